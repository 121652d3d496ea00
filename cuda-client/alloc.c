/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/alloc.c - cuMemAlloc and its kin: plain device memory.
 *
 * Source: CUDA Driver API, Memory Management.
 */
#include "cuda-client/memory_int.h"
#include "cuda-client/region.h"
#include "generated/cuda-api/client_impl.h"

enum { PITCH_ALIGN = 512 };

CUresult cudac_cuMemGetInfo_v2(size_t *free, size_t *total)
{
    struct cudac_context *context;
    struct wire_mem_info_reply info;
    struct cudac_reply reply = {0};
    struct wire_parts parts;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_worker *worker = cudac_context_worker(context);

    cudac_pools_settle(context->vgpu);
    wire_put_mem_info(&(struct wire_mem_info){.ctx = context->id}, &parts);
    result = cudac_call(worker, WIRE_MEM_INFO, &parts, &reply);
    if (result == CUDA_SUCCESS) {
        if (!wire_get_mem_info_reply(reply.bytes, reply.size_bytes, &info)) {
            result = cudac_worker_broken(worker, "a reply to mem_info is malformed");
        } else {
            if (free)
                *free = info.free_bytes;
            if (total)
                *total = info.total_bytes;
        }
    }
    cudac_reply_free(&reply);
    return result;
}

static CUresult alloc_once(struct cudac_context *context, uint64_t bytes, uint64_t *address_out)
{
    struct cudac_memory_context *entry = cudac_memory_context(context);
    struct cudac_place *place = cudac_place_of(context->vgpu);
    struct cudac_alloc *alloc;

    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    (void)pthread_mutex_lock(&place->lock);
    CUresult result = cudac_heap_alloc(&entry->heap, bytes, &alloc);

    if (result == CUDA_SUCCESS)
        *address_out = alloc->base;
    (void)pthread_mutex_unlock(&place->lock);
    return result;
}

CUresult cudac_cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);
    uint64_t address;

    if (result != CUDA_SUCCESS)
        return result;
    if (!dptr || bytesize == 0)
        return CUDA_ERROR_INVALID_VALUE;
    result = alloc_once(context, bytesize, &address);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && cudac_pools_reclaim(context->vgpu))
        result = alloc_once(context, bytesize, &address);
    if (result == CUDA_SUCCESS)
        *dptr = address;
    return result;
}

CUresult cudac_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes,
                                  size_t Height, unsigned int ElementSizeBytes)
{
    size_t pitch = mem_round_up(WidthInBytes, PITCH_ALIGN), bytes;

    if (!dptr || !pPitch || WidthInBytes == 0 || Height == 0 || pitch < WidthInBytes ||
        (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_mul_overflow(pitch, Height, &bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = cudac_cuMemAlloc_v2(dptr, bytes);

    if (result == CUDA_SUCCESS)
        *pPitch = pitch;
    return result;
}

/* The record may have gone, or been handed out again, while we waited for the device. */
static bool still_is(const struct cudac_alloc *now, const struct cudac_alloc *before)
{
    return now && now->id == before->id && !now->is_freed;
}

static CUresult free_device(const struct cudac_alloc *seen, CUresult waited)
{
    struct cudac_place *place = cudac_place_of(seen->vgpu);

    (void)pthread_mutex_lock(&place->lock);
    struct cudac_alloc *alloc = cudac_alloc_at(seen->base);

    if (!still_is(alloc, seen))
        waited = CUDA_ERROR_INVALID_VALUE;
    else if (alloc->pool)
        cudac_pool_free(alloc);
    else
        cudac_heap_free(alloc);
    (void)pthread_mutex_unlock(&place->lock);
    return waited;
}

static CUresult free_managed(const struct cudac_alloc *seen, CUresult waited)
{
    struct cudac_dropped dropped = {.region = NULL};

    (void)pthread_mutex_lock(&cudac_memory_lock);
    struct cudac_alloc *alloc = cudac_alloc_at(seen->base);

    if (!still_is(alloc, seen))
        waited = CUDA_ERROR_INVALID_VALUE;
    else
        dropped = cudac_managed_take_out(alloc);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    cudac_dropped_end(&dropped);
    return waited;
}

/* Memory of a lost worker is freed here too, and the error says what became of it. */
CUresult cudac_cuMemFree_v2(CUdeviceptr dptr)
{
    struct cudac_context *context;
    struct cudac_alloc seen;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS || dptr == 0)
        return result;
    if (!cudac_alloc_find(dptr, &seen) || seen.base != dptr ||
        (seen.kind != CUDAC_MEMORY_DEVICE && seen.kind != CUDAC_MEMORY_MANAGED) || seen.owner)
        return CUDA_ERROR_INVALID_VALUE;
    if (seen.kind == CUDAC_MEMORY_MANAGED)
        return free_managed(&seen, cudac_memory_wait_all());
    return free_device(&seen, cudac_memory_wait(seen.vgpu, seen.context_id));
}

CUresult cudac_cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    struct cudac_context *context;
    struct cudac_alloc alloc;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!cudac_alloc_find(dptr, &alloc))
        return CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = alloc.base;
    if (psize)
        *psize = alloc.bytes;
    return CUDA_SUCCESS;
}
