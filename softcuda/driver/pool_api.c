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

    if (!pool || !poolProps || poolProps->usage != 0 || poolProps->win32SecurityAttributes)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < sizeof(poolProps->reserved); i++) {
        if (poolProps->reserved[i])
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (poolProps->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED ||
        poolProps->handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
        poolProps->location.type == CU_MEM_LOCATION_TYPE_HOST ||
        poolProps->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
        poolProps->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (poolProps->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        poolProps->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    struct soft_device *device = soft_device_at(poolProps->location.id);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = soft_pool_create(device, poolProps->maxSize, &made);

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

/* The flags are kept and reported. Memory is reused across streams as if opportunistic reuse were
 * on: the finished free is what makes it available. */
static int *flag_of(struct soft_pool *pool, CUmemPool_attribute attr)
{
    if (attr == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES)
        return &pool->follow_event_dependencies;
    if (attr == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC)
        return &pool->allow_opportunistic;
    if (attr == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
        return &pool->allow_internal_dependencies;
    return NULL;
}

static uint64_t *amount_of(struct soft_pool *pool, CUmemPool_attribute attr)
{
    if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        return &pool->release_threshold_bytes;
    if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        return &pool->heap.common.reserved_bytes;
    if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        return &pool->heap.common.reserved_high_bytes;
    if (attr == CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
        return &pool->used_bytes;
    if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH)
        return &pool->used_high_bytes;
    return NULL;
}

/* Under mem_lock. */
static CUresult set_attribute(struct soft_pool *pool, CUmemPool_attribute attr, const void *value)
{
    int *flag = flag_of(pool, attr);

    if (flag) {
        *flag = *(const int *)value != 0;
        return CUDA_SUCCESS;
    }
    cuuint64_t amount = *(const cuuint64_t *)value;

    if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
        pool->release_threshold_bytes = amount;
    } else if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH && amount == 0) {
        pool->heap.common.reserved_high_bytes = pool->heap.common.reserved_bytes;
    } else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH && amount == 0) {
        pool->used_high_bytes = pool->used_bytes;
    } else {
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult soft_cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct soft_pool *found = value ? soft_pool_get(pool) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = set_attribute(found, attr, value);

    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct soft_pool *found = value ? soft_pool_get(pool) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    const int *flag = flag_of(found, attr);
    const uint64_t *amount = amount_of(found, attr);

    if (flag)
        *(int *)value = *flag;
    else if (amount)
        *(cuuint64_t *)value = *amount;
    else
        result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

/* ---- access -------------------------------------------------------------------------------------
 */

/* Checks one description and works it into the masks. */
static CUresult apply_access(const struct soft_pool *pool, const CUmemAccessDesc *desc,
                             uint64_t *read_mask, uint64_t *write_mask)
{
    struct soft_device *device = soft_device_at(desc->location.id);

    if (desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    if (device == pool->device)
        return desc->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE ? CUDA_ERROR_INVALID_VALUE
                                                            : CUDA_SUCCESS;
    if (!soft_device_can_peer(device, pool->device))
        return CUDA_ERROR_INVALID_DEVICE;
    uint64_t bit = mem_device_bit(soft_device_ordinal(device));

    *read_mask &= ~bit;
    *write_mask &= ~bit;
    if (desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
        *read_mask |= bit;
        *write_mask |= bit;
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

/* The device that a location and type of the 13.0 calls name: pinned memory of a device is all
 * there is. */
static CUresult device_of(const CUmemLocation *location, CUmemAllocationType type,
                          CUdevice *device_out)
{
    if (!location)
        return CUDA_ERROR_INVALID_VALUE;
    if (type == CU_MEM_ALLOCATION_TYPE_MANAGED || location->type == CU_MEM_LOCATION_TYPE_HOST ||
        location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
        location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    *device_out = location->id;
    return CUDA_SUCCESS;
}

CUresult soft_cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
                                     CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = device_of(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool_out, device, false) : result;
}

CUresult soft_cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
    CUdevice device;
    CUresult result = device_of(location, type, &device);

    return result == CUDA_SUCCESS ? pool_of_device(pool, device, true) : result;
}

CUresult soft_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
    CUdevice device;
    CUresult result = device_of(location, type, &device);

    return result == CUDA_SUCCESS ? soft_cuDeviceSetMemPool(device, pool) : result;
}
