/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed_api.c - the calls of managed memory: allocation, advice, prefetch and
 * discard, range attributes, attachment.
 *
 * Source: CUDA Driver API, Unified Addressing; both the 12 forms (a device number) and the 13 forms
 * (a location).
 */
#include <stddef.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/managed.h"
#include "softcuda/driver/stream.h"

CUresult soft_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    struct soft_context *context;
    struct mem_alloc *alloc;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!dptr || bytesize == 0 || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    result = mem_managed_alloc(context, bytesize, flags, &alloc);
    if (result == CUDA_SUCCESS)
        *dptr = alloc->base;
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length,
                                     unsigned int flags)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    struct mem_alloc *alloc = mem_alloc_find(dptr);
    bool known = flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST ||
                 flags == CU_MEM_ATTACH_SINGLE;
    bool no_stream = hStream == NULL || hStream == CU_STREAM_LEGACY;

    if (known && alloc && alloc->kind == MEM_MANAGED && alloc->base == dptr &&
        (length == 0 || length == alloc->bytes) && !(flags == CU_MEM_ATTACH_SINGLE && no_stream)) {
        alloc->attach_flags = flags;
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
                             CUmemLocation location)
{
    const struct cuc_managed_set set = mem_managed_set();
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    result = cuc_managed_advise(&set, devPtr, count, advice, location);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
    return soft_cuMemAdvise_v2(devPtr, count, advice, cuc_managed_location(device));
}

CUresult soft_cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                                    unsigned int flags, CUstream hStream)
{
    const struct cuc_managed_set set = mem_managed_set();
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    soft_stream_put(stream); /* all sides share the memory: nothing is left to queue */
    (void)pthread_mutex_lock(&mem_lock);
    result = cuc_managed_prefetch(&set, devPtr, count, location, flags);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
                                 CUstream hStream)
{
    return soft_cuMemPrefetchAsync_v2(devPtr, count, cuc_managed_location(dstDevice), 0, hStream);
}

static CUresult batch_call(const struct cuc_managed_batch *batch, unsigned long long flags,
                           CUstream hStream)
{
    const struct cuc_managed_set set = mem_managed_set();
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    soft_stream_put(stream);
    (void)pthread_mutex_lock(&mem_lock);
    result = cuc_managed_batch(&set, batch, flags);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                      CUmemLocation *prefetchLocs, size_t *prefetchLocIdxs,
                                      size_t numPrefetchLocs, unsigned long long flags,
                                      CUstream hStream)
{
    return batch_call(&(struct cuc_managed_batch){dptrs, sizes, count, prefetchLocs,
                                                  prefetchLocIdxs, numPrefetchLocs, false},
                      flags, hStream);
}

/* Discarded contents are undefined until written: they stay what they were. */
CUresult soft_cuMemDiscardBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                     unsigned long long flags, CUstream hStream)
{
    return batch_call(&(struct cuc_managed_batch){dptrs, sizes, count, NULL, NULL, 0, true}, flags,
                      hStream);
}

CUresult soft_cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                                CUmemLocation *prefetchLocs,
                                                size_t *prefetchLocIdxs, size_t numPrefetchLocs,
                                                unsigned long long flags, CUstream hStream)
{
    if (numPrefetchLocs == 0)
        return CUDA_ERROR_INVALID_VALUE;
    return batch_call(&(struct cuc_managed_batch){dptrs, sizes, count, prefetchLocs,
                                                  prefetchLocIdxs, numPrefetchLocs, true},
                      flags, hStream);
}

CUresult soft_cuMemRangeGetAttributes(void **data, size_t *dataSizes,
                                      CUmem_range_attribute *attributes, size_t numAttributes,
                                      CUdeviceptr devPtr, size_t count)
{
    const struct cuc_managed_set set = mem_managed_set();
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data || !dataSizes || !attributes || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    result =
        cuc_managed_attributes(&set, data, dataSizes, attributes, numAttributes, devPtr, count);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemRangeGetAttribute(void *data, size_t dataSize, CUmem_range_attribute attribute,
                                     CUdeviceptr devPtr, size_t count)
{
    return soft_cuMemRangeGetAttributes(&data, &dataSize, &attribute, 1, devPtr, count);
}
