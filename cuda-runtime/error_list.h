/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/error_list.h - every cudaError_t and what it means, in our words.
 *
 * The numbers are the toolkit's enum; a switch in error.c tells of one that is missing.
 */
#ifndef CRT_ERROR_LIST_H
#define CRT_ERROR_LIST_H

#define CRT_ERROR_LIST(X)                                                                          \
    X(cudaSuccess, "no error")                                                                     \
    X(cudaErrorInvalidValue, "invalid argument")                                                   \
    X(cudaErrorMemoryAllocation, "out of memory")                                                  \
    X(cudaErrorInitializationError, "CUDA could not be initialised in this process")               \
    X(cudaErrorCudartUnloading, "the driver is shutting down")                                     \
    X(cudaErrorProfilerDisabled, "the profiler is disabled")                                       \
    X(cudaErrorProfilerNotInitialized, "the profiler is not initialised")                          \
    X(cudaErrorProfilerAlreadyStarted, "the profiler is already started")                          \
    X(cudaErrorProfilerAlreadyStopped, "the profiler is already stopped")                          \
    X(cudaErrorInvalidConfiguration, "invalid configuration: grid or block outside the limits")    \
    X(cudaErrorInvalidPitchValue, "invalid pitch")                                                 \
    X(cudaErrorInvalidSymbol, "no such device variable")                                           \
    X(cudaErrorInvalidHostPointer, "invalid host pointer")                                         \
    X(cudaErrorInvalidDevicePointer, "invalid device pointer")                                     \
    X(cudaErrorInvalidTexture, "invalid texture")                                                  \
    X(cudaErrorInvalidTextureBinding, "invalid texture binding")                                   \
    X(cudaErrorInvalidChannelDescriptor, "invalid channel descriptor")                             \
    X(cudaErrorInvalidMemcpyDirection, "invalid direction of a copy")                              \
    X(cudaErrorAddressOfConstant, "address of a constant variable taken")                          \
    X(cudaErrorTextureFetchFailed, "texture fetch failed")                                         \
    X(cudaErrorTextureNotBound, "texture not bound")                                               \
    X(cudaErrorSynchronizationError, "synchronisation failed")                                     \
    X(cudaErrorInvalidFilterSetting, "filter mode does not fit the texture")                       \
    X(cudaErrorInvalidNormSetting, "normalised reads do not fit the texture")                      \
    X(cudaErrorMixedDeviceExecution, "device and emulated code mixed")                             \
    X(cudaErrorNotYetImplemented, "not implemented yet")                                           \
    X(cudaErrorMemoryValueTooLarge, "memory value too large")                                      \
    X(cudaErrorStubLibrary, "the loaded CUDA driver is a stub library")                            \
    X(cudaErrorInsufficientDriver, "no CUDA driver, or one too old for this runtime")              \
    X(cudaErrorCallRequiresNewerDriver, "the CUDA driver lacks what this call needs")              \
    X(cudaErrorInvalidSurface, "invalid surface")                                                  \
    X(cudaErrorDuplicateVariableName, "two variables of one name")                                 \
    X(cudaErrorDuplicateTextureName, "two textures of one name")                                   \
    X(cudaErrorDuplicateSurfaceName, "two surfaces of one name")                                   \
    X(cudaErrorDevicesUnavailable, "device busy or unavailable")                                   \
    X(cudaErrorIncompatibleDriverContext, "current context not usable by the runtime")             \
    X(cudaErrorMissingConfiguration, "launch without a configuration")                             \
    X(cudaErrorPriorLaunchFailure, "an earlier launch failed")                                     \
    X(cudaErrorLaunchMaxDepthExceeded, "launches nested too deeply")                               \
    X(cudaErrorLaunchFileScopedTex, "file-scoped texture in a nested launch")                      \
    X(cudaErrorLaunchFileScopedSurf, "file-scoped surface in a nested launch")                     \
    X(cudaErrorSyncDepthExceeded, "device-side synchronisation nested too deeply")                 \
    X(cudaErrorLaunchPendingCountExceeded, "too many device-side launches pending")                \
    X(cudaErrorInvalidDeviceFunction, "no such device function")                                   \
    X(cudaErrorNoDevice, "no CUDA device")                                                         \
    X(cudaErrorInvalidDevice, "no such device")                                                    \
    X(cudaErrorDeviceNotLicensed, "device not licensed")                                           \
    X(cudaErrorSoftwareValidityNotEstablished, "validity of the CUDA software not established")    \
    X(cudaErrorStartupFailure, "the runtime could not start")                                      \
    X(cudaErrorInvalidKernelImage, "invalid device code")                                          \
    X(cudaErrorDeviceUninitialized, "invalid context")                                             \
    X(cudaErrorMapBufferObjectFailed, "mapping a buffer failed")                                   \
    X(cudaErrorUnmapBufferObjectFailed, "unmapping a buffer failed")                               \
    X(cudaErrorArrayIsMapped, "array is mapped")                                                   \
    X(cudaErrorAlreadyMapped, "already mapped")                                                    \
    X(cudaErrorNoKernelImageForDevice, "no device code for this device")                           \
    X(cudaErrorAlreadyAcquired, "already acquired")                                                \
    X(cudaErrorNotMapped, "not mapped")                                                            \
    X(cudaErrorNotMappedAsArray, "not mapped as an array")                                         \
    X(cudaErrorNotMappedAsPointer, "not mapped as a pointer")                                      \
    X(cudaErrorECCUncorrectable, "uncorrectable memory error")                                     \
    X(cudaErrorUnsupportedLimit, "limit not supported by the device")                              \
    X(cudaErrorDeviceAlreadyInUse, "context in use by another thread")                             \
    X(cudaErrorPeerAccessUnsupported, "no peer access between these devices")                      \
    X(cudaErrorInvalidPtx, "PTX could not be compiled")                                            \
    X(cudaErrorInvalidGraphicsContext, "invalid graphics context")                                 \
    X(cudaErrorNvlinkUncorrectable, "uncorrectable NVLink error")                                  \
    X(cudaErrorJitCompilerNotFound, "PTX compiler not found")                                      \
    X(cudaErrorUnsupportedPtxVersion, "PTX newer than the driver")                                 \
    X(cudaErrorJitCompilationDisabled, "PTX compilation is disabled")                              \
    X(cudaErrorUnsupportedExecAffinity, "execution affinity not supported")                        \
    X(cudaErrorUnsupportedDevSideSync, "device-side synchronisation not supported")                \
    X(cudaErrorContained, "a contained hardware error")                                            \
    X(cudaErrorInvalidSource, "invalid device code source")                                        \
    X(cudaErrorFileNotFound, "file not found")                                                     \
    X(cudaErrorSharedObjectSymbolNotFound, "symbol of a shared object not found")                  \
    X(cudaErrorSharedObjectInitFailed, "shared object could not be initialised")                   \
    X(cudaErrorOperatingSystem, "an operating system call failed")                                 \
    X(cudaErrorInvalidResourceHandle, "invalid handle")                                            \
    X(cudaErrorIllegalState, "object in the wrong state")                                          \
    X(cudaErrorLossyQuery, "the query would lose information")                                     \
    X(cudaErrorSymbolNotFound, "name not found")                                                   \
    X(cudaErrorNotReady, "not ready")                                                              \
    X(cudaErrorIllegalAddress, "illegal memory access by a kernel")                                \
    X(cudaErrorLaunchOutOfResources, "launch needs more than the device has")                      \
    X(cudaErrorLaunchTimeout, "a kernel ran for too long")                                         \
    X(cudaErrorLaunchIncompatibleTexturing, "launch in an incompatible texture mode")              \
    X(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled")                         \
    X(cudaErrorPeerAccessNotEnabled, "peer access is not enabled")                                 \
    X(cudaErrorSetOnActiveProcess, "primary context is already active")                            \
    X(cudaErrorContextIsDestroyed, "context is destroyed")                                         \
    X(cudaErrorAssert, "an assertion in device code failed")                                       \
    X(cudaErrorTooManyPeers, "too many peers")                                                     \
    X(cudaErrorHostMemoryAlreadyRegistered, "host memory is already registered")                   \
    X(cudaErrorHostMemoryNotRegistered, "host memory is not registered")                           \
    X(cudaErrorHardwareStackError, "stack error in a kernel")                                      \
    X(cudaErrorIllegalInstruction, "illegal instruction in a kernel")                              \
    X(cudaErrorMisalignedAddress, "misaligned address in a kernel")                                \
    X(cudaErrorInvalidAddressSpace, "address of the wrong space in a kernel")                      \
    X(cudaErrorInvalidPc, "invalid program counter in a kernel")                                   \
    X(cudaErrorLaunchFailure, "a kernel failed")                                                   \
    X(cudaErrorCooperativeLaunchTooLarge, "too many blocks for a cooperative launch")              \
    X(cudaErrorTensorMemoryLeak, "a kernel left tensor memory allocated")                          \
    X(cudaErrorNotPermitted, "not permitted here")                                                 \
    X(cudaErrorNotSupported, "not supported")                                                      \
    X(cudaErrorSystemNotReady, "system not ready for CUDA")                                        \
    X(cudaErrorSystemDriverMismatch, "kernel driver and CUDA driver do not fit")                   \
    X(cudaErrorCompatNotSupportedOnDevice, "forward compatibility not supported on the device")    \
    X(cudaErrorMpsConnectionFailed, "MPS: no connection to the server")                            \
    X(cudaErrorMpsRpcFailure, "MPS: call failed")                                                  \
    X(cudaErrorMpsServerNotReady, "MPS: server not ready")                                         \
    X(cudaErrorMpsMaxClientsReached, "MPS: too many clients")                                      \
    X(cudaErrorMpsMaxConnectionsReached, "MPS: too many connections")                              \
    X(cudaErrorMpsClientTerminated, "MPS: client terminated by the server")                        \
    X(cudaErrorCdpNotSupported, "device-side launches not supported")                              \
    X(cudaErrorCdpVersionMismatch, "device-side launch versions differ")                           \
    X(cudaErrorStreamCaptureUnsupported, "not allowed while a stream is captured")                 \
    X(cudaErrorStreamCaptureInvalidated, "capture is invalid after an earlier error")              \
    X(cudaErrorStreamCaptureMerge, "two captures would be merged")                                 \
    X(cudaErrorStreamCaptureUnmatched, "capture did not begin in this stream")                     \
    X(cudaErrorStreamCaptureUnjoined, "capture has work that was not joined")                      \
    X(cudaErrorStreamCaptureIsolation, "dependency across the border of a capture")                \
    X(cudaErrorStreamCaptureImplicit, "capture would depend on the legacy stream")                 \
    X(cudaErrorCapturedEvent, "event recorded in a capture")                                       \
    X(cudaErrorStreamCaptureWrongThread, "capture ended in the wrong thread")                      \
    X(cudaErrorTimeout, "the time is over")                                                        \
    X(cudaErrorGraphExecUpdateFailure, "graph update not possible")                                \
    X(cudaErrorExternalDevice, "an external device failed")                                        \
    X(cudaErrorInvalidClusterSize, "invalid cluster size")                                         \
    X(cudaErrorFunctionNotLoaded, "function not loaded")                                           \
    X(cudaErrorInvalidResourceType, "invalid resource type")                                       \
    X(cudaErrorInvalidResourceConfiguration, "invalid resource configuration")                     \
    X(cudaErrorUnknown, "unknown error")                                                           \
    X(cudaErrorApiFailureBase, "general failure")

#endif /* CRT_ERROR_LIST_H */
