/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/pool_api.c - the calls of stream-ordered allocation and memory pools.
 *
 * Pools lie on devices and cannot be exported. Source: CUDA Driver API, Stream Ordered Memory
 * Allocator.
 */
#include <stddef.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/pool.h"
#include "softcuda/driver/stream.h"

/* ---- allocating -------------------------------------------------------------------------------
 */

CUresult soft_cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    struct soft_pool *pool = soft_pool_current(soft_context_device(soft_stream_context(stream)));

    if (pool)
        cuc_object_ref(&pool->object);
    (void)pthread_mutex_unlock(&mem_lock);
    if (!dptr || bytesize == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = pool ? soft_pool_alloc(pool, stream, bytesize, dptr) : CUDA_ERROR_OUT_OF_MEMORY;
    if (pool)
        cuc_object_put(&pool->object);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                      CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    struct soft_pool *found = soft_pool_get(pool);

    if (!dptr || bytesize == 0 || !found)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = soft_pool_alloc(found, stream, bytesize, dptr);
    if (found)
        cuc_object_put(&found->object);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_pool_free_async(dptr, stream);
    if (result != CUDA_SUCCESS)
        soft_stream_put(stream); /* else it is kept until the free has run */
    return result;
}

/* ---- pools -------------------------------------------------------------------------------------
 */

CUresult soft_cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
    struct soft_pool *made;

    CUdevice ordinal;
    CUresult result = pool ? cuc_pool_check(poolProps, &ordinal) : CUDA_ERROR_INVALID_VALUE;

    if (result != CUDA_SUCCESS)
        return result;
    struct soft_device *device = soft_device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    (void)pthread_mutex_lock(&mem_lock);
    result = soft_pool_create(device, poolProps->maxSize, &made);
    if (result == CUDA_SUCCESS)
        *pool = soft_pool_handle(made);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemPoolDestroy(CUmemoryPool pool)
{
    struct soft_pool *found = soft_pool_get(pool);
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!found)
        return result;
    if (!found->is_default && cuc_object_retire(&found->object)) {
        (void)pthread_mutex_lock(&mem_lock);
        soft_pool_retire(found);
        (void)pthread_mutex_unlock(&mem_lock);
        result = CUDA_SUCCESS;
    }
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
    struct soft_pool *found = soft_pool_get(pool);

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    (void)cuc_heap_trim(&found->heap.common, minBytesToKeep);
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return CUDA_SUCCESS;
}

/* ---- attributes ---------------------------------------------------------------------------------
 */

CUresult soft_cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct soft_pool *found = value ? soft_pool_get(pool) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = cuc_pool_set(&found->common, &found->heap.common, attr, value);

    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct soft_pool *found = value ? soft_pool_get(pool) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = cuc_pool_get(&found->common, &found->heap.common, attr, value);

    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

/* ---- access -------------------------------------------------------------------------------------
 */

static bool can_peer(int from, int to)
{
    return soft_device_can_peer(soft_device_at(from), soft_device_at(to));
}

/* Checks one description and works it into the masks. */
static CUresult apply_access(const struct soft_pool *pool, const CUmemAccessDesc *desc,
                             uint64_t *read_mask, uint64_t *write_mask)
{
    int device;
    CUresult result = cuc_pool_access(desc, soft_device_ordinal(pool->device), soft_device_count(),
                                      can_peer, &device);

    if (result != CUDA_SUCCESS || device < 0)
        return result;
    *read_mask &= ~mem_device_bit(device);
    *write_mask &= ~mem_device_bit(device);
    if (desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
        *read_mask |= mem_device_bit(device);
        *write_mask |= mem_device_bit(device);
    }
    return CUDA_SUCCESS;
}

CUresult soft_cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
    struct soft_pool *found = map || count == 0 ? soft_pool_get(pool) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    uint64_t read_mask = found->heap.read_mask, write_mask = found->heap.write_mask;

    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        result = apply_access(found, &map[i], &read_mask, &write_mask);
    if (result == CUDA_SUCCESS)
        soft_pool_access(found, read_mask, write_mask);
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool memPool,
                                 CUmemLocation *location)
{
    struct soft_pool *found = flags && location ? soft_pool_get(memPool) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
        result = CUDA_ERROR_INVALID_VALUE;
    } else if (!soft_device_at(location->id)) {
        result = CUDA_ERROR_INVALID_DEVICE;
    } else {
        (void)pthread_mutex_lock(&mem_lock);
        *flags = found->heap.write_mask & mem_device_bit(location->id)
                     ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                     : CU_MEM_ACCESS_FLAGS_PROT_NONE;
        (void)pthread_mutex_unlock(&mem_lock);
    }
    cuc_object_put(&found->object);
    return result;
}

/* ---- a device's pools
 * ----------------------------------------------------------------------------- */

static CUresult pool_of_device(CUmemoryPool *pool_out, CUdevice dev, bool current)
{
    struct soft_device *device = soft_device_at(dev);

    if (!pool_out)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    (void)pthread_mutex_lock(&mem_lock);
    struct soft_pool *pool = current ? soft_pool_current(device) : soft_pool_default(device);

    if (pool)
        *pool_out = soft_pool_handle(pool);
    (void)pthread_mutex_unlock(&mem_lock);
    return pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult soft_cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
    return pool_of_device(pool_out, dev, false);
}

CUresult soft_cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
    return pool_of_device(pool, dev, true);
}

CUresult soft_cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
    struct soft_device *device = soft_device_at(dev);
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    struct soft_pool *found = soft_pool_get(pool);

    if (!found)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (found->device == device && !found->gone) {
        soft_pool_make_current(device, found);
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
                                     CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool_out, device, false) : result;
}

CUresult soft_cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool, device, true) : result;
}

CUresult soft_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
    CUdevice device;
    CUresult result = cuc_pool_device(location, type, &device);

    return result == CUDA_SUCCESS ? soft_cuDeviceSetMemPool(device, pool) : result;
}
