/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem.c - cuMemAlloc and its kin: plain device memory.
 *
 * Source: CUDA Driver API, Memory Management.
 */
#include "softcuda/driver/mem.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

enum { PITCH_ALIGN = 512 };

CUresult soft_cuMemGetInfo_v2(size_t *free, size_t *total)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);
    uint64_t free_bytes, total_bytes;

    if (result != CUDA_SUCCESS)
        return result;
    soft_device_memory(soft_context_device(context), &free_bytes, &total_bytes);
    if (free)
        *free = free_bytes;
    if (total)
        *total = total_bytes;
    return CUDA_SUCCESS;
}

static CUresult alloc_once(struct soft_context *context, uint64_t bytes, uint64_t *address_out)
{
    struct mem_alloc *alloc;
    CUresult result = CUDA_ERROR_INVALID_CONTEXT;

    (void)pthread_mutex_lock(&mem_lock);
    struct mem_context *entry = mem_context_find(context);

    if (entry)
        result = mem_heap_alloc(&entry->heap, bytes, MEM_UNIT, &alloc);
    if (result == CUDA_SUCCESS)
        *address_out = alloc->base;
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);
    uint64_t address;

    if (result != CUDA_SUCCESS)
        return result;
    if (!dptr || bytesize == 0)
        return CUDA_ERROR_INVALID_VALUE;
    result = alloc_once(context, bytesize, &address);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && soft_mem_reclaim(soft_context_device(context)))
        result = alloc_once(context, bytesize, &address);
    if (result == CUDA_SUCCESS)
        *dptr = address;
    return result;
}

CUresult soft_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes,
                                 size_t Height, unsigned int ElementSizeBytes)
{
    size_t pitch = mem_round_up(WidthInBytes, PITCH_ALIGN), bytes;

    if (!dptr || !pPitch || WidthInBytes == 0 || Height == 0 || pitch < WidthInBytes ||
        (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_mul_overflow(pitch, Height, &bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = soft_cuMemAlloc_v2(dptr, bytes);

    if (result == CUDA_SUCCESS)
        *pPitch = pitch;
    return result;
}

/* What is being freed may be in use by any device that can reach it. */
static CUresult wait_for_users(const struct mem_info *info)
{
    CUresult result = CUDA_SUCCESS;

    if (info->kind == MEM_DEVICE)
        return soft_device_wait(info->device);
    for (int i = 0; i < soft_device_count(); i++) {
        CUresult one = soft_device_wait(soft_device_at(i));

        if (result == CUDA_SUCCESS)
            result = one;
    }
    return result;
}

CUresult soft_cuMemFree_v2(CUdeviceptr dptr)
{
    struct soft_context *context;
    struct mem_info info;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS || dptr == 0)
        return result;
    if (!soft_mem_find(dptr, &info) || info.base != dptr ||
        (info.kind != MEM_DEVICE && info.kind != MEM_MANAGED))
        return CUDA_ERROR_INVALID_VALUE;
    result = wait_for_users(&info);

    (void)pthread_mutex_lock(&mem_lock);
    struct mem_alloc *alloc = mem_alloc_find(dptr);

    /* Another thread may have freed it meanwhile. */
    if (!alloc || alloc->id != info.id || alloc->is_freed)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (alloc->kind == MEM_MANAGED)
        mem_managed_free(alloc);
    else if (alloc->pool)
        mem_pool_free(alloc);
    else
        mem_heap_free(alloc);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    struct soft_context *context;
    struct mem_info info;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!soft_mem_find(dptr, &info))
        return CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = info.base;
    if (psize)
        *psize = info.bytes;
    return CUDA_SUCCESS;
}
