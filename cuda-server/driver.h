/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/driver.h - the one way from the worker to a CUDA driver: a table of its public
 * functions, found by name in whatever libcuda.so.1 the worker was told to load.
 *
 * Nothing here links a driver or knows which one it has. Types come from cuda.h, under the names
 * that the library exports. Thread: any, once loaded.
 */
#ifndef CUDA_SERVER_DRIVER_H
#define CUDA_SERVER_DRIVER_H

#include <cuda.h>
#include <cudaProfiler.h>
#include <cudaTypedefs.h>
#include <stdbool.h>

#include "base/err.h"

/* Every driver has these. */
#define CUDAS_DRIVER_REQUIRED(X)                                                                   \
    X(cuInit)                                                                                      \
    X(cuDriverGetVersion)                                                                          \
    X(cuDeviceGetCount)                                                                            \
    X(cuDeviceGet)                                                                                 \
    X(cuDeviceGetName)                                                                             \
    X(cuDeviceGetUuid_v2)                                                                          \
    X(cuDeviceGetLuid)                                                                             \
    X(cuDeviceGetPCIBusId)                                                                         \
    X(cuDeviceGetAttribute)                                                                        \
    X(cuDeviceTotalMem_v2)                                                                         \
    X(cuDeviceCanAccessPeer)                                                                       \
    X(cuDeviceGetP2PAttribute)                                                                     \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuDevicePrimaryCtxRelease_v2)                                                                \
    X(cuDevicePrimaryCtxReset_v2)                                                                  \
    X(cuDevicePrimaryCtxSetFlags_v2)                                                               \
    X(cuCtxDestroy_v2)                                                                             \
    X(cuCtxSetCurrent)                                                                             \
    X(cuCtxGetFlags)                                                                               \
    X(cuCtxGetApiVersion)                                                                          \
    X(cuCtxGetLimit)                                                                               \
    X(cuCtxSetLimit)                                                                               \
    X(cuCtxGetCacheConfig)                                                                         \
    X(cuCtxSetCacheConfig)                                                                         \
    X(cuCtxGetSharedMemConfig)                                                                     \
    X(cuCtxSetSharedMemConfig)                                                                     \
    X(cuCtxGetStreamPriorityRange)                                                                 \
    X(cuCtxSynchronize)                                                                            \
    X(cuCtxEnablePeerAccess)                                                                       \
    X(cuCtxDisablePeerAccess)                                                                      \
    X(cuStreamCreateWithPriority)                                                                  \
    X(cuStreamDestroy_v2)                                                                          \
    X(cuStreamSynchronize)                                                                         \
    X(cuStreamGetFlags)                                                                            \
    X(cuStreamQuery)                                                                               \
    X(cuStreamWaitEvent)                                                                           \
    X(cuStreamAddCallback)                                                                         \
    X(cuLaunchHostFunc)                                                                            \
    X(cuStreamWaitValue32_v2)                                                                      \
    X(cuStreamBatchMemOp_v2)                                                                       \
    X(cuEventCreate)                                                                               \
    X(cuEventDestroy_v2)                                                                           \
    X(cuEventRecord)                                                                               \
    X(cuEventRecordWithFlags)                                                                      \
    X(cuEventQuery)                                                                                \
    X(cuEventSynchronize)                                                                          \
    X(cuEventElapsedTime)                                                                          \
    X(cuModuleLoadDataEx)                                                                          \
    X(cuModuleUnload)                                                                              \
    X(cuModuleGetFunction)                                                                         \
    X(cuModuleGetGlobal_v2)                                                                        \
    X(cuFuncGetAttribute)                                                                          \
    X(cuFuncSetAttribute)                                                                          \
    X(cuFuncSetCacheConfig)                                                                        \
    X(cuLaunchKernel)                                                                              \
    X(cuLaunchCooperativeKernel)                                                                   \
    X(cuMemGetInfo_v2)                                                                             \
    X(cuMemAddressReserve)                                                                         \
    X(cuMemAddressFree)                                                                            \
    X(cuMemCreate)                                                                                 \
    X(cuMemRelease)                                                                                \
    X(cuMemMap)                                                                                    \
    X(cuMemUnmap)                                                                                  \
    X(cuMemSetAccess)                                                                              \
    X(cuMemHostRegister_v2)                                                                        \
    X(cuMemHostUnregister)                                                                         \
    X(cuMemHostGetDevicePointer_v2)                                                                \
    X(cuPointerGetAttribute)                                                                       \
    X(cuMemcpyHtoDAsync_v2)                                                                        \
    X(cuMemcpyDtoHAsync_v2)                                                                        \
    X(cuMemcpyDtoDAsync_v2)                                                                        \
    X(cuMemcpyPeerAsync)                                                                           \
    X(cuMemcpy3DAsync_v2)                                                                          \
    X(cuMemcpy3DPeerAsync)                                                                         \
    X(cuMemsetD8Async)                                                                             \
    X(cuMemsetD16Async)                                                                            \
    X(cuMemsetD32Async)                                                                            \
    X(cuMemsetD2D8Async)                                                                           \
    X(cuMemsetD2D16Async)                                                                          \
    X(cuMemsetD2D32Async)

/* Older drivers lack some of these: NULL then, and what needs them is CUDA_ERROR_NOT_SUPPORTED. */
#define CUDAS_DRIVER_OPTIONAL(X)                                                                   \
    X(cuDeviceGetTexture1DLinearMaxWidth)                                                          \
    X(cuDeviceGetExecAffinitySupport)                                                              \
    X(cuCtxSetFlags)                                                                               \
    X(cuCtxResetPersistingL2Cache)                                                                 \
    X(cuCtxRecordEvent)                                                                            \
    X(cuFlushGPUDirectRDMAWrites)                                                                  \
    X(cuProfilerStart)                                                                             \
    X(cuProfilerStop)                                                                              \
    X(cuStreamSetAttribute)                                                                        \
    X(cuModuleGetFunctionCount)                                                                    \
    X(cuModuleEnumerateFunctions)                                                                  \
    X(cuFuncGetName)                                                                               \
    X(cuFuncGetParamInfo)                                                                          \
    X(cuFuncIsLoaded)                                                                              \
    X(cuFuncLoad)                                                                                  \
    X(cuFuncSetSharedMemConfig)                                                                    \
    X(cuLibraryLoadData)                                                                           \
    X(cuLibraryUnload)                                                                             \
    X(cuLibraryGetModule)                                                                          \
    X(cuLibraryGetKernel)                                                                          \
    X(cuLibraryGetKernelCount)                                                                     \
    X(cuLibraryEnumerateKernels)                                                                   \
    X(cuLibraryGetGlobal)                                                                          \
    X(cuLibraryGetManaged)                                                                         \
    X(cuKernelGetFunction)                                                                         \
    X(cuKernelGetName)                                                                             \
    X(cuKernelGetParamInfo)                                                                        \
    X(cuKernelGetAttribute)                                                                        \
    X(cuKernelSetAttribute)                                                                        \
    X(cuKernelSetCacheConfig)                                                                      \
    X(cuLaunchKernelEx)                                                                            \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)                                        \
    X(cuOccupancyMaxPotentialClusterSize)                                                          \
    X(cuOccupancyMaxActiveClusters)

struct cudas_driver {
    void *library;
    /* Forms that cuda.h no longer declares. */
    PFN_cuCtxCreate_v3020 cuCtxCreate_v2;
    PFN_cuCtxCreate_v11040 cuCtxCreate_v3; /* may be NULL */
#define CUDAS_DRIVER_MEMBER(name) __typeof__(name) *name;
/* Programs may call what is deprecated, so the worker must. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    CUDAS_DRIVER_REQUIRED(CUDAS_DRIVER_MEMBER)
    CUDAS_DRIVER_OPTIONAL(CUDAS_DRIVER_MEMBER)
#pragma GCC diagnostic pop
#undef CUDAS_DRIVER_MEMBER
};

/* Loads the library (NULL: libcuda.so.1 as the loader finds it) and fills the table; it is never
 * unloaded, since its threads go on. FAB_ERR_NOT_FOUND: no such library; FAB_ERR_UNSUPPORTED: a
 * required function is missing (err names it). */
FAB_NODISCARD enum fab_status cudas_driver_load(const char *path, struct cudas_driver *driver_out,
                                                struct fab_err *err);

/* Whether a result is one of those that CUDA reports asynchronously and keeps in the context. */
bool cudas_is_sticky(CUresult result);

#endif /* CUDA_SERVER_DRIVER_H */
