/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/pool_api.c - the calls of stream-ordered allocation and memory pools.
 *
 * Pools lie on devices and cannot be exported. Source: CUDA Driver API, Stream Ordered Memory
 * Allocator.
 */
#include <stddef.h>

#include "cuda-client/pool.h"
#include "generated/cuda-api/client_impl.h"

static void lock(const struct cudac_vgpu *vgpu)
{
    (void)pthread_mutex_lock(&cudac_place_of(vgpu)->lock);
}

static void unlock(const struct cudac_vgpu *vgpu)
{
    (void)pthread_mutex_unlock(&cudac_place_of(vgpu)->lock);
}

/* ---- allocating -------------------------------------------------------------------------------
 */

CUresult cudac_cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_vgpu *vgpu = stream->context->vgpu;

    lock(vgpu);
    struct cudac_pool *pool = cudac_pool_current(vgpu);

    if (pool)
        cuc_object_ref(&pool->object);
    unlock(vgpu);
    if (!dptr || bytesize == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = pool ? cudac_pool_alloc(pool, stream, bytesize, dptr) : CUDA_ERROR_OUT_OF_MEMORY;
    if (pool)
        cuc_object_put(&pool->object);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                       CUstream hStream)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_pool *found = cudac_pool_get(pool);

    if (!dptr || bytesize == 0 || !found)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = cudac_pool_alloc(found, stream, bytesize, dptr);
    if (found)
        cuc_object_put(&found->object);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_pool_free_async(dptr, stream);
    cudac_stream_put(stream);
    return result;
}

/* ---- pools -------------------------------------------------------------------------------------
 */

CUresult cudac_cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
    struct cudac_pool *made;
    CUdevice ordinal;
    CUresult result = pool ? cuc_pool_check(poolProps, &ordinal) : CUDA_ERROR_INVALID_VALUE;

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_vgpu *vgpu = cudac_vgpu_at(ordinal);

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    lock(vgpu);
    result = cudac_pool_create(vgpu, poolProps->maxSize, &made);
    if (result == CUDA_SUCCESS)
        *pool = cudac_pool_handle(made);
    unlock(vgpu);
    return result;
}

CUresult cudac_cuMemPoolDestroy(CUmemoryPool pool)
{
    struct cudac_pool *found = cudac_pool_get(pool);
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!found)
        return result;
    if (!found->is_default && cuc_object_retire(&found->object)) {
        struct cudac_vgpu *vgpu = found->vgpu;

        cudac_pools_settle(vgpu);
        lock(vgpu);
        cudac_pool_retire(found);
        unlock(vgpu);
        result = CUDA_SUCCESS;
    }
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
    struct cudac_pool *found = cudac_pool_get(pool);

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    cudac_pools_settle(found->vgpu);
    lock(found->vgpu);
    (void)cuc_heap_trim(&found->heap.common, minBytesToKeep);
    unlock(found->vgpu);
    cuc_object_put(&found->object);
    return CUDA_SUCCESS;
}

/* ---- attributes ---------------------------------------------------------------------------------
 */

CUresult cudac_cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct cudac_pool *found = value ? cudac_pool_get(pool) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    cudac_pools_settle(found->vgpu);
    lock(found->vgpu);
    CUresult result = cuc_pool_set(&found->common, &found->heap.common, attr, value);

    unlock(found->vgpu);
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct cudac_pool *found = value ? cudac_pool_get(pool) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    cudac_pools_settle(found->vgpu);
    lock(found->vgpu);
    CUresult result = cuc_pool_get(&found->common, &found->heap.common, attr, value);

    unlock(found->vgpu);
    cuc_object_put(&found->object);
    return result;
}

/* ---- access -------------------------------------------------------------------------------------
 */

static bool can_peer(int from, int to)
{
    const struct cudac_vgpu *of = cudac_vgpu_at(from), *owner = cudac_vgpu_at(to);

    return of != owner && (cudac_vgpu_facts(of)->peer_mask & memory_bit(owner)) != 0;
}

/* Checks one description and works it into the masks. */
static CUresult apply_access(const struct cudac_pool *pool, const CUmemAccessDesc *desc,
                             uint64_t *read_mask, uint64_t *write_mask)
{
    int device;
    CUresult result = cuc_pool_access(desc, cudac_vgpu_ordinal(pool->vgpu), cudac_vgpu_count(),
                                      can_peer, &device);

    if (result != CUDA_SUCCESS || device < 0)
        return result;
    uint64_t bit = memory_bit(cudac_vgpu_at(device));

    *read_mask &= ~bit;
    *write_mask &= ~bit;
    if (desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
        *read_mask |= bit;
        *write_mask |= bit;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
    struct cudac_pool *found = map || count == 0 ? cudac_pool_get(pool) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    lock(found->vgpu);
    uint64_t read_mask = found->heap.read_mask, write_mask = found->heap.write_mask;

    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        result = apply_access(found, &map[i], &read_mask, &write_mask);
    if (result == CUDA_SUCCESS) {
        found->heap.read_mask = read_mask;
        found->heap.write_mask = write_mask;
        result = cudac_heap_access(&found->heap);
    }
    unlock(found->vgpu);
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool memPool,
                                  CUmemLocation *location)
{
    struct cudac_pool *found = flags && location ? cudac_pool_get(memPool) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
        result = CUDA_ERROR_INVALID_VALUE;
    } else if (!cudac_vgpu_at(location->id)) {
        result = CUDA_ERROR_INVALID_DEVICE;
    } else {
        lock(found->vgpu);
        *flags = found->heap.write_mask & memory_bit(cudac_vgpu_at(location->id))
                     ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                     : CU_MEM_ACCESS_FLAGS_PROT_NONE;
        unlock(found->vgpu);
    }
    cuc_object_put(&found->object);
    return result;
}

/* ---- a device's pools ---------------------------------------------------------------------- */

static CUresult pool_of_device(CUmemoryPool *pool_out, CUdevice dev, bool current)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!pool_out)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    lock(vgpu);
    struct cudac_pool *pool = current ? cudac_pool_current(vgpu) : cudac_pool_default(vgpu);

    if (pool)
        *pool_out = cudac_pool_handle(pool);
    unlock(vgpu);
    return pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cudac_cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
    return pool_of_device(pool_out, dev, false);
}

CUresult cudac_cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
    return pool_of_device(pool, dev, true);
}

CUresult cudac_cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    struct cudac_pool *found = cudac_pool_get(pool);

    if (!found)
        return result;
    lock(vgpu);
    if (found->vgpu == vgpu && !found->gone) {
        cudac_pool_make_current(found);
        result = CUDA_SUCCESS;
    }
    unlock(vgpu);
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
                                      CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool_out, device, false) : result;
}

CUresult cudac_cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location,
                               CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool, device, true) : result;
}

CUresult cudac_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? cudac_cuDeviceSetMemPool(device, pool) : result;
}
