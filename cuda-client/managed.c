/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed.c - managed memory: its allocations, the variables that drivers place, and
 * the calls about advice, prefetches and attachment.
 *
 * Managed memory lies in this process, where workers on the same host map it. Elsewhere it moves at
 * launches and waits (managed_move.c), so advice and prefetches change nothing but what queries
 * answer. Source: CUDA Driver API, Unified Addressing.
 */
#include "cuda-common/managed.h"

#include <string.h>

#include "cuda-client/region.h"
#include "cuda-client/stream.h"
#include "generated/cuda-api/client_impl.h"
#include "ucx-transport/xp.h"

enum {
    MANAGED_UNIT = 64 * 1024,    /* no two allocations share one */
    MANAGED_LARGE = 1024 * 1024, /* from here on aligned to CUC_GRANULE */
};

/* Enters an allocation whose bytes are mapped; the region's and the record's other fields are set.
 * Under memory_lock. */
static CUresult enter(struct cudac_alloc *values, const struct cudac_region *region,
                      struct cudac_alloc **alloc_out)
{
    const struct cudac_extent extent = {.kind = CUDAC_MEMORY_MANAGED,
                                        .read_mask = MEMORY_ALL_DEVICES,
                                        .write_mask = MEMORY_ALL_DEVICES};
    CUresult result = cudac_region_add(region, &values->region);

    if (result != CUDA_SUCCESS)
        return result;
    values->advice = cuc_advice_new(values->base, values->span_bytes);
    if (!values->advice ||
        cudac_extent_add(values->base, values->base + values->span_bytes, &extent) != CUDA_SUCCESS)
        goto fail;
    if (cudac_alloc_add(values, alloc_out) == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    cudac_extent_remove(values->base);
fail:
    cuc_advice_free(values->advice);
    cudac_region_unlink(values->region); /* no kernel was launched since: it has no places */
    cudac_region_end(values->region);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Whether any worker could map the bytes: else they are not registered, as the transport would pin
 * them. */
static bool is_any_same_host(void)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        if (cudac_worker_is_same_host(cudac_worker_at(i)))
            return true;
    }
    return false;
}

/* Under memory_lock. */
static CUresult managed_alloc(struct cudac_context *context, uint64_t bytes, uint32_t flags,
                              struct cudac_alloc **alloc_out)
{
    uint64_t step = bytes >= MANAGED_LARGE ? CUC_GRANULE : MANAGED_UNIT;
    struct cudac_alloc values = {.bytes = bytes,
                                 .kind = CUDAC_MEMORY_MANAGED,
                                 .context = context,
                                 .context_id = context->id,
                                 .attach_flags = flags};

    if (!cudac_shared_fits(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    values.span_bytes = mem_round_up(bytes, step);
    CUresult result = cudac_shared_map(CUDAC_SHARED_MANAGED, values.span_bytes, step, &values.base);

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_region region = {.kind = CUDAC_MEMORY_MANAGED,
                                  .host_address = values.base,
                                  .device_address = values.base,
                                  .bytes = values.span_bytes};

    if (is_any_same_host())
        region.mem = cudac_shared_register(values.base, values.span_bytes);
    result = enter(&values, &region, alloc_out);
    if (result != CUDA_SUCCESS)
        cudac_shared_release(values.base, values.span_bytes);
    return result;
}

struct cudac_dropped cudac_managed_take_out(struct cudac_alloc *alloc)
{
    const struct cudac_dropped dropped = {
        .region = alloc->region, .address = alloc->base, .bytes = alloc->span_bytes};

    cudac_extent_remove(alloc->base);
    cudac_alloc_remove(alloc);
    cudac_region_unlink(dropped.region);
    return dropped;
}

CUresult cudac_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    struct cudac_context *context;
    struct cudac_alloc *alloc;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!dptr || bytesize == 0 || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result = managed_alloc(context, bytesize, flags, &alloc);
    if (result == CUDA_SUCCESS)
        *dptr = alloc->base;
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length,
                                      unsigned int flags)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    struct cudac_alloc *alloc = cudac_alloc_at(dptr);
    bool known = flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST ||
                 flags == CU_MEM_ATTACH_SINGLE;
    bool no_stream = hStream == NULL || hStream == CU_STREAM_LEGACY;

    if (known && alloc && alloc->kind == CUDAC_MEMORY_MANAGED && alloc->base == dptr &&
        (length == 0 || length == alloc->bytes) && !(flags == CU_MEM_ATTACH_SINGLE && no_stream)) {
        cudac_table_write();
        alloc->attach_flags = flags;
        cudac_table_unlock();
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    cudac_stream_put(stream);
    return result;
}

/* ---- variables that drivers place --------------------------------------------------------------
 */

/* A variable shares its pages with others: they are mapped with the first, and stay. */
static CUresult map_pages(uint64_t address, uint64_t bytes)
{
    uint64_t end = mem_round_up(address + bytes, MEMORY_PAGE);

    for (uint64_t at = address & ~(MEMORY_PAGE - 1); at < end; at += MEMORY_PAGE) {
        if (cudac_shared_has(at))
            continue;
        CUresult result = cudac_shared_map_at(at, MEMORY_PAGE);

        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_managed_add_variable(struct cudac_context *context, uint64_t address, uint64_t bytes,
                                    const void *owner)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    struct cudac_alloc *alloc, values = {.base = address,
                                         .bytes = bytes,
                                         .span_bytes = bytes,
                                         .kind = CUDAC_MEMORY_MANAGED,
                                         .context = context,
                                         .context_id = context->id,
                                         .attach_flags = CU_MEM_ATTACH_GLOBAL,
                                         .owner = owner};
    const struct cudac_region region = {.kind = CUDAC_MEMORY_MANAGED,
                                        .host_address = address,
                                        .device_address = address,
                                        .bytes = bytes,
                                        .owner = worker,
                                        .placed = region_bit(worker)};

    (void)pthread_mutex_lock(&cudac_memory_lock);
    CUresult result = map_pages(address, bytes);

    if (result == CUDA_SUCCESS)
        result = enter(&values, &region, &alloc);
    if (result == CUDA_SUCCESS) {
        memset(memory_pointer(address), 0, bytes); /* an earlier module's may have been here */
        result = cudac_move_fetch(alloc->region, context);
        if (result != CUDA_SUCCESS)
            cudac_managed_remove_variable(alloc);
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

void cudac_managed_remove_variable(struct cudac_alloc *alloc)
{
    struct cudac_region *region = alloc->region;

    cudac_extent_remove(alloc->base);
    cudac_alloc_remove(alloc);
    cudac_region_unlink(region);
    cudac_region_end(region); /* its only place is the driver's own */
}

/* ---- advice, prefetch, discard -----------------------------------------------------------------
 */

static bool find(uint64_t address, struct cuc_managed *managed_out)
{
    const struct cudac_alloc *alloc = cudac_alloc_at(address);

    if (!alloc || alloc->kind != CUDAC_MEMORY_MANAGED)
        return false;
    *managed_out = (struct cuc_managed){.base = alloc->base,
                                        .bytes = alloc->bytes,
                                        .span_bytes = alloc->span_bytes,
                                        .advice = alloc->advice};
    return true;
}

static struct cuc_managed_set managed_set(void)
{
    return (struct cuc_managed_set){.find = find, .device_count = cudac_vgpu_count()};
}

CUresult cudac_cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
                              CUmemLocation location)
{
    const struct cuc_managed_set set = managed_set();
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result = cuc_managed_advise(&set, devPtr, count, advice, location);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
    return cudac_cuMemAdvise_v2(devPtr, count, advice, cuc_managed_location(device));
}

CUresult cudac_cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                                     unsigned int flags, CUstream hStream)
{
    const struct cuc_managed_set set = managed_set();
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_put(stream);
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result = cuc_managed_prefetch(&set, devPtr, count, location, flags);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
                                  CUstream hStream)
{
    return cudac_cuMemPrefetchAsync_v2(devPtr, count, cuc_managed_location(dstDevice), 0, hStream);
}

static CUresult batch_call(const struct cuc_managed_batch *batch, unsigned long long flags,
                           CUstream hStream)
{
    const struct cuc_managed_set set = managed_set();
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_put(stream);
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result = cuc_managed_batch(&set, batch, flags);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuMemPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                       CUmemLocation *prefetchLocs, size_t *prefetchLocIdxs,
                                       size_t numPrefetchLocs, unsigned long long flags,
                                       CUstream hStream)
{
    return batch_call(&(struct cuc_managed_batch){dptrs, sizes, count, prefetchLocs,
                                                  prefetchLocIdxs, numPrefetchLocs, false},
                      flags, hStream);
}

/* Discarded contents are undefined until written: they stay what they were. */
CUresult cudac_cuMemDiscardBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                      unsigned long long flags, CUstream hStream)
{
    return batch_call(&(struct cuc_managed_batch){dptrs, sizes, count, NULL, NULL, 0, true}, flags,
                      hStream);
}

CUresult cudac_cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
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

CUresult cudac_cuMemRangeGetAttributes(void **data, size_t *dataSizes,
                                       CUmem_range_attribute *attributes, size_t numAttributes,
                                       CUdeviceptr devPtr, size_t count)
{
    const struct cuc_managed_set set = managed_set();
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data || !dataSizes || !attributes || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result =
        cuc_managed_attributes(&set, data, dataSizes, attributes, numAttributes, devPtr, count);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuMemRangeGetAttribute(void *data, size_t dataSize, CUmem_range_attribute attribute,
                                      CUdeviceptr devPtr, size_t count)
{
    return cudac_cuMemRangeGetAttributes(&data, &dataSize, &attribute, 1, devPtr, count);
}
