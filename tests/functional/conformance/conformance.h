/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/conformance.h - rows that any libcuda.so.1 must pass.
 *
 * A row is label, call, expected status, and an expression for the effect:
 *
 *     ROW("an unknown flag", cu.cuStreamCreate(&stream, 8), CUDA_ERROR_INVALID_VALUE,
 *         stream == KEPT);
 *
 * The driver is opened by name (argument, CONFORMANCE_LIBCUDA, or the one of this build), never
 * linked, so the same program asks a real one. A group is a file; it runs in a process of its own,
 * because errors that stick to a context must not reach the next group.
 *
 * NVIDIA's driver takes handles and pointers on trust, where ours look: ROW_CHECKED rows are not
 * asked of it. Where its answers are others than ours, the row says both (conformance_nvidia).
 * These were read off driver 580.159 on an H200.
 */
#ifndef TESTS_FUNCTIONAL_CONFORMANCE_CONFORMANCE_H
#define TESTS_FUNCTIONAL_CONFORMANCE_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>
#include <cudaProfiler.h>

#include "base/compiler.h"
#include "tests/functional/conformance/kernels.h"

/* The names as cuda.h spells them: its macros choose the exported one, here as in programs. */
/* clang-format off */
#define CONFORMANCE_FUNCTIONS(X)                                                                   \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuGetErrorString) X(cuGetProcAddress)      \
    X(cuDeviceGet) X(cuDeviceGetCount) X(cuDeviceGetAttribute) X(cuDeviceTotalMem)                 \
    X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease) X(cuDevicePrimaryCtxReset)            \
    X(cuDevicePrimaryCtxGetState) X(cuDevicePrimaryCtxSetFlags)                                    \
    X(cuCtxCreate) X(cuCtxDestroy) X(cuCtxPushCurrent) X(cuCtxPopCurrent) X(cuCtxSetCurrent)       \
    X(cuCtxGetCurrent) X(cuCtxGetDevice) X(cuCtxGetFlags) X(cuCtxGetId) X(cuCtxSynchronize)        \
    X(cuCtxSetLimit) X(cuCtxGetLimit) X(cuCtxGetCacheConfig) X(cuCtxSetCacheConfig)                \
    X(cuCtxGetApiVersion) X(cuCtxGetStreamPriorityRange) X(cuCtxWaitEvent)                         \
    X(cuModuleLoadData) X(cuModuleLoadDataEx) X(cuModuleLoad) X(cuModuleUnload)                    \
    X(cuModuleGetFunction) X(cuModuleGetGlobal) X(cuModuleGetFunctionCount)                        \
    X(cuModuleEnumerateFunctions) X(cuModuleGetLoadingMode)                                        \
    X(cuLibraryLoadData) X(cuLibraryUnload) X(cuLibraryGetKernel) X(cuLibraryGetModule)            \
    X(cuLibraryGetKernelCount) X(cuLibraryEnumerateKernels) X(cuLibraryGetGlobal)                  \
    X(cuKernelGetFunction) X(cuKernelGetAttribute) X(cuKernelSetAttribute) X(cuKernelGetName)      \
    X(cuKernelGetParamInfo) X(cuKernelGetLibrary)                                                  \
    X(cuFuncGetAttribute) X(cuFuncSetAttribute) X(cuFuncGetName) X(cuFuncGetParamInfo)             \
    X(cuFuncGetModule) X(cuFuncSetCacheConfig) X(cuFuncLoad) X(cuFuncIsLoaded)                     \
    X(cuLaunchKernel) X(cuLaunchKernelEx) X(cuLaunchCooperativeKernel) X(cuLaunchHostFunc)         \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor) X(cuOccupancyMaxPotentialBlockSize)             \
    X(cuOccupancyAvailableDynamicSMemPerBlock)                                                     \
    X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) X(cuMemFreeHost) X(cuMemGetInfo)                  \
    X(cuMemcpy) X(cuMemcpyAsync) X(cuMemcpyHtoD) X(cuMemcpyDtoH) X(cuMemcpyDtoD)                   \
    X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) X(cuMemcpyDtoDAsync) X(cuMemcpy2D)                   \
    X(cuMemcpy2DUnaligned) X(cuMemcpy2DAsync) X(cuMemcpy3D) X(cuMemcpy3DAsync) X(cuMemcpyPeer)     \
    X(cuMemcpyPeerAsync) X(cuMemcpyBatchAsync)                                                     \
    X(cuMemsetD8) X(cuMemsetD16) X(cuMemsetD32) X(cuMemsetD2D8) X(cuMemsetD2D16)                   \
    X(cuMemsetD2D32) X(cuMemsetD8Async) X(cuMemsetD32Async)                                        \
    X(cuStreamCreate) X(cuStreamCreateWithPriority) X(cuStreamDestroy) X(cuStreamSynchronize)      \
    X(cuStreamQuery) X(cuStreamWaitEvent) X(cuStreamAddCallback) X(cuStreamGetPriority)            \
    X(cuStreamGetFlags) X(cuStreamGetCtx) X(cuStreamGetId) X(cuStreamGetDevice)                    \
    X(cuStreamWaitValue32) X(cuStreamWriteValue32) X(cuStreamWaitValue64) X(cuStreamWriteValue64)  \
    X(cuStreamBatchMemOp) X(cuStreamGetAttribute) X(cuStreamSetAttribute)                          \
    X(cuStreamCopyAttributes) X(cuStreamIsCapturing)                                               \
    X(cuEventCreate) X(cuEventDestroy) X(cuEventRecord) X(cuEventRecordWithFlags) X(cuEventQuery)  \
    X(cuEventSynchronize) X(cuEventElapsedTime)                                                    \
    X(cuDeviceCanAccessPeer) X(cuMemAllocPitch) X(cuMemGetAddressRange) X(cuMemAllocHost)          \
    X(cuMemHostGetDevicePointer) X(cuMemHostGetFlags) X(cuMemHostRegister)                         \
    X(cuMemHostUnregister) X(cuMemAllocManaged) X(cuMemAdvise) X(cuMemPrefetchAsync)               \
    X(cuMemRangeGetAttribute) X(cuStreamAttachMemAsync) X(cuMemAddressReserve)                     \
    X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease) X(cuMemMap) X(cuMemUnmap)                   \
    X(cuMemSetAccess) X(cuMemGetAccess) X(cuMemGetAllocationGranularity)                           \
    X(cuMemRetainAllocationHandle) X(cuMemExportToShareableHandle)                                 \
    X(cuMemImportFromShareableHandle) X(cuMemAllocAsync) X(cuMemFreeAsync)                         \
    X(cuMemAllocFromPoolAsync) X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemPoolSetAttribute)     \
    X(cuMemPoolGetAttribute) X(cuMemPoolTrimTo) X(cuMemPoolSetAccess) X(cuMemPoolGetAccess)        \
    X(cuDeviceGetDefaultMemPool) X(cuDeviceGetMemPool) X(cuDeviceSetMemPool)                       \
    X(cuCtxEnablePeerAccess) X(cuCtxDisablePeerAccess) X(cuPointerGetAttribute)                    \
    X(cuPointerGetAttributes) X(cuPointerSetAttribute)                                             \
    X(cuProfilerStart) X(cuProfilerStop)
/* clang-format on */

struct conformance_driver {
#define CONFORMANCE_FIELD(name) __typeof__(&name) name;
    CONFORMANCE_FUNCTIONS(CONFORMANCE_FIELD)
#undef CONFORMANCE_FIELD
};
extern struct conformance_driver cu;

/* An output that must not change on failure. */
#define KEPT ((void *)(uintptr_t)0xabad1dea)

#define ROW(label, call, expected, effect)                                                         \
    do {                                                                                           \
        CUresult row_status = (call);                                                              \
                                                                                                   \
        conformance_row((label), row_status, (expected), (effect), #effect, __FILE__, __LINE__);   \
    } while (0)

/* What only a library answers that checks what it is given. */
#define ROW_CHECKED(label, call, expected, effect)                                                 \
    do {                                                                                           \
        if (conformance_checks)                                                                    \
            ROW(label, call, expected, effect);                                                    \
    } while (0)

/* NVIDIA's driver may write to outputs of calls that fail. */
#define IS_KEPT(unchanged) (!conformance_checks || (unchanged))

extern bool conformance_checks; /* the library that is asked is one of ours */
extern bool conformance_nvidia; /* NVIDIA's driver answers: here, or behind the library */

/* Runs rows(arg) in a process of its own, which must be forked before cuInit. */
void conformance_apart(void (*rows)(const void *), const void *arg);

void conformance_row(const char *label, CUresult status, CUresult expected, bool effect,
                     const char *effect_text, const char *file, int line);

/* Ends the process when a call fails without which nothing else can be asked: as skipped when there
 * is no device. */
void conformance_need(CUresult status, const char *what);

/* cuInit, device 0, its primary context current, the kernels loaded. Ends the process on failure:
 * nothing else could be asked. */
struct conformance_world {
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUdeviceptr memory; /* CONFORMANCE_BYTES, zeroed */
    uint32_t *pinned;   /* a page of pinned memory, zeroed */
    CUfunction wait_flag;
    CUstream releaser; /* of what conformance_hold() holds */
};
enum { CONFORMANCE_BYTES = 1 << 20 };
void conformance_world_open(struct conformance_world *world);
CUfunction conformance_kernel(const struct conformance_world *world, const char *name);
uint32_t conformance_read(CUdeviceptr at); /* the word there, after all work */

/* Launches a kernel into `stream` that runs until conformance_let_go(). Its flag is device memory,
 * set in a stream of its own, so that it sees it wherever the device is. */
CUresult conformance_hold(const struct conformance_world *world, CUstream stream);
void conformance_let_go(const struct conformance_world *world);

/* Waits for an event whose record the driver has long had: of the next one it may tell unasked. */
CUresult conformance_wait_late(CUevent event);

/* Groups, a file each. */
void group_init(void);
void group_context(void);
void group_stream(void);
void group_order(void);
void group_event(void);
void group_module(void);
void group_library(void);
void group_launch(void);
void group_copy(void);
void group_set(void);
void group_memop(void);
void group_fault(void);
void group_alloc(void); /* memory.h */
void group_host(void);
void group_managed(void);
void group_vmm(void);
void group_pool(void);
void group_peer(void);
void group_pointer(void);
void group_source(void);
void group_killed(void);

#endif /* TESTS_FUNCTIONAL_CONFORMANCE_CONFORMANCE_H */
