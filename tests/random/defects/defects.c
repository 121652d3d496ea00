/* SPDX-License-Identifier: Apache-2.0
 * tests/random/defects/defects.c - a libcuda.so.1 with one defect, in front of another one.
 *
 * It exports the functions that a defect changes; all others are found in the library that it is
 * linked with. In front of softcuda it makes a gpu-worker that does one thing wrong, in front of
 * the client library a client that does. RANDOM_DEFECT names the one; without it nothing is wrong.
 * The random programs must find each of them (find-defects).
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

static bool is(const char *defect)
{
    const char *name = getenv("RANDOM_DEFECT");

    return name && strcmp(name, defect) == 0;
}

/* True for every n-th time that a defect could show: rare ones must be found, too. */
static bool now_and_then(unsigned n)
{
    static _Atomic unsigned count;

    return atomic_fetch_add(&count, 1) % n == n - 1;
}

#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---- a worker's defects -----------------------------------------------------------------------
 */

FAB_EXPORT CUresult CUDAAPI cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    if (is("dropped-event-wait"))
        return CUDA_SUCCESS;
    return REAL(cuStreamWaitEvent)(stream, event, flags);
}

FAB_EXPORT CUresult CUDAAPI cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address,
                                                   cuuint32_t value, unsigned flags)
{
    if (is("dropped-value-wait"))
        return CUDA_SUCCESS;
    return REAL(cuStreamWaitValue32_v2)(stream, address, value, flags);
}

FAB_EXPORT CUresult CUDAAPI cuStreamSynchronize(CUstream stream)
{
    if (is("missing-fence"))
        return CUDA_SUCCESS;
    return REAL(cuStreamSynchronize)(stream);
}

FAB_EXPORT CUresult CUDAAPI cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy,
                                           unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                           unsigned shared, CUstream stream, void **params,
                                           void **extra)
{
    if (is("lost-launch") && now_and_then(50))
        return CUDA_SUCCESS;
    if (is("launch-in-another-stream"))
        stream = CU_STREAM_PER_THREAD;
    return REAL(cuLaunchKernel)(function, gx, gy, gz, bx, by, bz, shared, stream, params, extra);
}

FAB_EXPORT CUresult CUDAAPI cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *arg)
{
    if (is("early-callback") && now_and_then(5)) {
        fn(arg);
        return CUDA_SUCCESS;
    }
    return REAL(cuLaunchHostFunc)(stream, fn, arg);
}

FAB_EXPORT CUresult CUDAAPI cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes,
                                                 CUstream stream)
{
    if (is("short-copy") && bytes > 1)
        bytes--;
    return REAL(cuMemcpyHtoDAsync_v2)(to, from, bytes, stream);
}

FAB_EXPORT CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count,
                                             CUstream stream)
{
    if (is("half-a-set"))
        count /= 2;
    return REAL(cuMemsetD32Async)(at, value, count, stream);
}

/* ---- a client's defects -----------------------------------------------------------------------
 */

/* Freed at once instead of in stream order: its memory is used again too early. */
FAB_EXPORT CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr at, CUstream stream)
{
    static _Thread_local CUstream other;

    if (is("early-reuse")) {
        if (!other && REAL(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
            other = stream;
        return REAL(cuMemFreeAsync)(at, other);
    }
    return REAL(cuMemFreeAsync)(at, stream);
}

FAB_EXPORT CUresult CUDAAPI cuStreamAddCallback(CUstream stream, CUstreamCallback fn, void *arg,
                                                unsigned flags)
{
    if (is("lost-callback") && now_and_then(4))
        return CUDA_SUCCESS;
    return REAL(cuStreamAddCallback)(stream, fn, arg, flags);
}

/* Two threads' answers change places: each gets the one before. */
FAB_EXPORT CUresult CUDAAPI cuFuncGetAttribute(int *value, CUfunction_attribute attribute,
                                               CUfunction function)
{
    static _Atomic int before;
    int mine;
    CUresult result = REAL(cuFuncGetAttribute)(&mine, attribute, function);

    if (result == CUDA_SUCCESS)
        *value = is("swapped-replies") ? atomic_exchange(&before, mine) : mine;
    return result;
}

FAB_EXPORT CUresult CUDAAPI cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    CUresult result = REAL(cuMemcpyDtoH_v2)(to, from, bytes);

    if (is("stale-bytes") && result == CUDA_SUCCESS && bytes > 4096 && now_and_then(10))
        memset((char *)to + bytes - 64, 0, 64);
    return result;
}

FAB_EXPORT CUresult CUDAAPI cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    CUresult result = REAL(cuMemGetInfo_v2)(free_bytes, total_bytes);

    if (is("leaked-block") && result == CUDA_SUCCESS)
        *free_bytes -= 2 << 20;
    return result;
}

FAB_EXPORT CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream)
{
    if (is("wrong-error-code") && !event)
        return CUDA_ERROR_INVALID_VALUE;
    return REAL(cuEventRecord)(event, stream);
}
