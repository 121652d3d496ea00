/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/driver.h - the driver functions that the runtime stands on.
 *
 * libcuda.so.1 is opened at first need; every function is asked from cuGetProcAddress with the
 * version of its ABI, so that a driver which lacks one only loses the calls that need it.
 * Thread: filled once under a lock, constant afterwards.
 */
#ifndef CRT_DRIVER_H
#define CRT_DRIVER_H

#include <stdbool.h>

#include <cuda.h>
#include <cudaTypedefs.h>
#include <driver_types.h>

/* name without "cu", version of the ABI: one row a function (cudaTypedefs.h). */
#define CRT_DRIVER_LIST(X)                                                                         \
    X(Init, 2000)                                                                                  \
    X(DriverGetVersion, 2020)                                                                      \
    X(DeviceGet, 2000)                                                                             \
    X(DeviceGetCount, 2000)                                                                        \
    X(DeviceGetName, 2000)                                                                         \
    X(DeviceGetUuid, 9020)                                                                         \
    X(DeviceTotalMem, 3020)                                                                        \
    X(DeviceGetAttribute, 2000)                                                                    \
    X(DeviceGetP2PAttribute, 8000)                                                                 \
    X(DeviceGetHostAtomicCapabilities, 13000)                                                      \
    X(DeviceGetP2PAtomicCapabilities, 13000)                                                       \
    X(DeviceGetByPCIBusId, 4010)                                                                   \
    X(DeviceGetPCIBusId, 4010)                                                                     \
    X(DeviceCanAccessPeer, 4000)                                                                   \
    X(DeviceGetDefaultMemPool, 11020)                                                              \
    X(DeviceGetMemPool, 11020)                                                                     \
    X(DeviceSetMemPool, 11020)                                                                     \
    X(DevicePrimaryCtxRetain, 7000)                                                                \
    X(DevicePrimaryCtxRelease, 11000)                                                              \
    X(DevicePrimaryCtxReset, 11000)                                                                \
    X(DevicePrimaryCtxSetFlags, 11000)                                                             \
    X(DevicePrimaryCtxGetState, 7000)                                                              \
    X(FlushGPUDirectRDMAWrites, 11030)                                                             \
    X(CtxGetCurrent, 4000)                                                                         \
    X(CtxSetCurrent, 4000)                                                                         \
    X(CtxGetDevice, 2000)                                                                          \
    X(CtxGetFlags, 7000)                                                                           \
    X(CtxSynchronize, 2000)                                                                        \
    X(CtxGetLimit, 3010)                                                                           \
    X(CtxSetLimit, 3010)                                                                           \
    X(CtxGetCacheConfig, 3020)                                                                     \
    X(CtxSetCacheConfig, 3020)                                                                     \
    X(CtxGetStreamPriorityRange, 5050)                                                             \
    X(CtxResetPersistingL2Cache, 11000)                                                            \
    X(CtxEnablePeerAccess, 4000)                                                                   \
    X(CtxDisablePeerAccess, 4000)                                                                  \
    X(LibraryLoadData, 12000)                                                                      \
    X(LibraryLoadFromFile, 12000)                                                                  \
    X(LibraryUnload, 12000)                                                                        \
    X(LibraryGetKernel, 12000)                                                                     \
    X(LibraryGetGlobal, 12000)                                                                     \
    X(LibraryGetManaged, 12000)                                                                    \
    X(LibraryGetUnifiedFunction, 12000)                                                            \
    X(LibraryGetKernelCount, 12040)                                                                \
    X(LibraryEnumerateKernels, 12040)                                                              \
    X(KernelGetFunction, 12000)                                                                    \
    X(KernelGetAttribute, 12000)                                                                   \
    X(KernelSetAttribute, 12000)                                                                   \
    X(KernelSetCacheConfig, 12000)                                                                 \
    X(KernelGetName, 12030)                                                                        \
    X(KernelGetParamInfo, 12040)                                                                   \
    X(FuncGetAttribute, 2020)                                                                      \
    X(FuncSetAttribute, 9000)                                                                      \
    X(FuncSetCacheConfig, 3000)                                                                    \
    X(FuncGetName, 12030)                                                                          \
    X(FuncGetParamInfo, 12040)                                                                     \
    X(OccupancyMaxActiveBlocksPerMultiprocessorWithFlags, 7000)                                    \
    X(OccupancyAvailableDynamicSMemPerBlock, 10020)                                                \
    X(OccupancyMaxPotentialClusterSize, 11070)                                                     \
    X(OccupancyMaxActiveClusters, 11070)                                                           \
    X(LaunchKernel, 4000)                                                                          \
    X(LaunchKernelEx, 11060)                                                                       \
    X(LaunchCooperativeKernel, 9000)                                                               \
    X(LaunchHostFunc, 10000)                                                                       \
    X(MemGetInfo, 3020)                                                                            \
    X(MemAlloc, 3020)                                                                              \
    X(MemAllocPitch, 3020)                                                                         \
    X(MemAllocManaged, 6000)                                                                       \
    X(MemFree, 3020)                                                                               \
    X(MemHostAlloc, 2020)                                                                          \
    X(MemFreeHost, 2000)                                                                           \
    X(MemHostRegister, 6050)                                                                       \
    X(MemHostUnregister, 4000)                                                                     \
    X(MemHostGetDevicePointer, 3020)                                                               \
    X(MemHostGetFlags, 2030)                                                                       \
    X(PointerGetAttributes, 7000)                                                                  \
    X(MemAllocAsync, 11020)                                                                        \
    X(MemAllocFromPoolAsync, 11020)                                                                \
    X(MemFreeAsync, 11020)                                                                         \
    X(MemPoolCreate, 11020)                                                                        \
    X(MemPoolDestroy, 11020)                                                                       \
    X(MemPoolTrimTo, 11020)                                                                        \
    X(MemPoolGetAttribute, 11020)                                                                  \
    X(MemPoolSetAttribute, 11020)                                                                  \
    X(MemPoolGetAccess, 11020)                                                                     \
    X(MemPoolSetAccess, 11020)                                                                     \
    X(MemGetDefaultMemPool, 13000)                                                                 \
    X(MemGetMemPool, 13000)                                                                        \
    X(MemSetMemPool, 13000)                                                                        \
    X(MemAdvise, 12020)                                                                            \
    X(MemPrefetchAsync, 12020)                                                                     \
    X(MemPrefetchBatchAsync, 13000)                                                                \
    X(MemDiscardBatchAsync, 13000)                                                                 \
    X(MemDiscardAndPrefetchBatchAsync, 13000)                                                      \
    X(MemRangeGetAttribute, 8000)                                                                  \
    X(MemRangeGetAttributes, 8000)                                                                 \
    X(MemcpyAsync, 4000)                                                                           \
    X(MemcpyHtoDAsync, 3020)                                                                       \
    X(MemcpyDtoHAsync, 3020)                                                                       \
    X(MemcpyDtoDAsync, 3020)                                                                       \
    X(MemcpyPeerAsync, 4000)                                                                       \
    X(Memcpy2DAsync, 3020)                                                                         \
    X(Memcpy3DAsync, 3020)                                                                         \
    X(Memcpy3DPeerAsync, 4000)                                                                     \
    X(MemcpyBatchAsync, 13000)                                                                     \
    X(Memcpy3DBatchAsync, 13000)                                                                   \
    X(MemsetD8Async, 3020)                                                                         \
    X(MemsetD2D8Async, 3020)                                                                       \
    X(StreamCreate, 2000)                                                                          \
    X(StreamCreateWithPriority, 5050)                                                              \
    X(StreamDestroy, 4000)                                                                         \
    X(StreamQuery, 2000)                                                                           \
    X(StreamSynchronize, 2000)                                                                     \
    X(StreamWaitEvent, 3020)                                                                       \
    X(StreamAddCallback, 5000)                                                                     \
    X(StreamAttachMemAsync, 6000)                                                                  \
    X(StreamGetPriority, 5050)                                                                     \
    X(StreamGetFlags, 5050)                                                                        \
    X(StreamGetId, 12000)                                                                          \
    X(StreamGetDevice, 12080)                                                                      \
    X(StreamGetAttribute, 11000)                                                                   \
    X(StreamSetAttribute, 11000)                                                                   \
    X(StreamCopyAttributes, 11000)                                                                 \
    X(StreamIsCapturing, 10000)                                                                    \
    X(StreamGetCaptureInfo, 12030)                                                                 \
    X(ThreadExchangeStreamCaptureMode, 10010)                                                      \
    X(EventCreate, 2000)                                                                           \
    X(EventRecord, 2000)                                                                           \
    X(EventRecordWithFlags, 11010)                                                                 \
    X(EventQuery, 2000)                                                                            \
    X(EventSynchronize, 2000)                                                                      \
    X(EventElapsedTime, 12080)                                                                     \
    X(EventDestroy, 4000)                                                                          \
    X(LogsRegisterCallback, 12090)                                                                 \
    X(LogsUnregisterCallback, 12090)                                                               \
    X(LogsCurrent, 12090)                                                                          \
    X(LogsDumpToFile, 12090)                                                                       \
    X(LogsDumpToMemory, 12090)                                                                     \
    X(DeviceRegisterAsyncNotification, 12040)                                                      \
    X(DeviceUnregisterAsyncNotification, 12040)

/* Synchronous calls on the default stream: the stream is not a parameter, so the per-thread form is
 * another function. name, version of the legacy form. The other form is version 7000, _ptds. */
#define CRT_DRIVER_PTDS_LIST(X)                                                                    \
    X(Memcpy, 4000)                                                                                \
    X(MemcpyHtoD, 3020)                                                                            \
    X(MemcpyDtoH, 3020)                                                                            \
    X(MemcpyDtoD, 3020)                                                                            \
    X(MemcpyPeer, 4000)                                                                            \
    X(Memcpy2DUnaligned, 3020)                                                                     \
    X(Memcpy3D, 3020)                                                                              \
    X(Memcpy3DPeer, 4000)                                                                          \
    X(MemsetD8, 3020)                                                                              \
    X(MemsetD2D8, 3020)

/* Not in cudaTypedefs.h, but asked for in the same way. */
#define CRT_DRIVER_PLAIN_LIST(X)                                                                   \
    X(ProfilerStart, 4000)                                                                         \
    X(ProfilerStop, 4000)

struct crt_driver {
    PFN_cuGetProcAddress_v12000 GetProcAddress;
#define CRT_DRIVER_FIELD(name, version) PFN_cu##name##_v##version name;
    CRT_DRIVER_LIST(CRT_DRIVER_FIELD)
#undef CRT_DRIVER_FIELD
#define CRT_DRIVER_FIELD(name, version) CUresult(CUDAAPI *name)(void);
    CRT_DRIVER_PLAIN_LIST(CRT_DRIVER_FIELD)
#undef CRT_DRIVER_FIELD
    struct {
#define CRT_DRIVER_FIELD(name, version) PFN_cu##name##_v##version name;
        CRT_DRIVER_PTDS_LIST(CRT_DRIVER_FIELD)
#undef CRT_DRIVER_FIELD
    } on_default[2]; /* by the flag per_thread: legacy stream, per-thread stream */
};

/* Valid after crt_driver_open() answered cudaSuccess. */
extern struct crt_driver crt_drv;

/* Opens libcuda.so.1 and initialises it, once; later calls answer what the first one found:
 * cudaErrorInsufficientDriver without a usable library, cudaErrorNoDevice, or the driver's own
 * refusal. In a child of fork after that: cudaErrorInitializationError. */
cudaError_t crt_driver_open(void);

/* True in exit handlers that run after the driver began to end: no call into it any more. */
bool crt_driver_is_leaving(void);

/* Numbers of CUresult that have no cudaError become cudaErrorUnknown, the others are equal. */
cudaError_t crt_status(CUresult result);

/* A driver call and its result as the runtime's: 36 where the driver lacks the function. */
#define CRT_DRV(name, ...)                                                                         \
    (crt_drv.name ? crt_status(crt_drv.name(__VA_ARGS__)) : cudaErrorCallRequiresNewerDriver)
#define CRT_DRV_ON(per_thread, name, ...) CRT_DRV(on_default[per_thread].name, __VA_ARGS__)

#endif /* CRT_DRIVER_H */
