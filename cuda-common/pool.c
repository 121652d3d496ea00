/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pool.c - what a pool may be asked, and what it answers.
 */
#include "cuda-common/pool.h"

#include <stddef.h>

void cuc_pool_init(struct cuc_pool *pool, uint64_t max_bytes)
{
    *pool = (struct cuc_pool){.max_bytes = max_bytes,
                              .follow_event_dependencies = 1,
                              .allow_opportunistic = 1,
                              .allow_internal_dependencies = 1};
}

static bool is_host_location(CUmemLocationType type)
{
    return type == CU_MEM_LOCATION_TYPE_HOST || type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
           type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

CUresult cuc_pool_check(const CUmemPoolProps *props, CUdevice *device_out)
{
    if (!props || props->usage != 0 || props->win32SecurityAttributes)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < sizeof(props->reserved); i++) {
        if (props->reserved[i])
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED ||
        props->handleTypes != CU_MEM_HANDLE_TYPE_NONE || is_host_location(props->location.type))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    *device_out = props->location.id;
    return CUDA_SUCCESS;
}

CUresult cuc_pool_device(const CUmemLocation *location, CUmemAllocationType type,
                         CUdevice *device_out)
{
    if (!location)
        return CUDA_ERROR_INVALID_VALUE;
    if (type == CU_MEM_ALLOCATION_TYPE_MANAGED || is_host_location(location->type))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    *device_out = location->id;
    return CUDA_SUCCESS;
}

/* ---- the account ------------------------------------------------------------------------------
 */

bool cuc_pool_serves(uint64_t span_bytes, uint64_t bytes)
{
    return span_bytes >= bytes && span_bytes - bytes <= bytes / 4 + CUC_UNIT;
}

bool cuc_pool_has_room(const struct cuc_pool *pool, uint64_t bytes)
{
    return !pool->max_bytes ||
           (bytes <= pool->max_bytes && pool->used_bytes <= pool->max_bytes - bytes);
}

void cuc_pool_use(struct cuc_pool *pool, uint64_t span_bytes)
{
    pool->used_bytes += span_bytes;
    if (pool->used_bytes > pool->used_high_bytes)
        pool->used_high_bytes = pool->used_bytes;
}

void cuc_pool_unuse(struct cuc_pool *pool, struct cuc_heap *heap, uint64_t span_bytes)
{
    pool->used_bytes -= span_bytes;
    (void)cuc_heap_trim(heap, pool->release_threshold_bytes);
}

/* ---- attributes -------------------------------------------------------------------------------
 */

/* The flags are kept and reported. Memory is reused across streams as if opportunistic reuse were
 * on: the finished free is what makes it available. */
static size_t flag_at(CUmemPool_attribute attribute)
{
    if (attribute == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES)
        return offsetof(struct cuc_pool, follow_event_dependencies);
    if (attribute == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC)
        return offsetof(struct cuc_pool, allow_opportunistic);
    if (attribute == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
        return offsetof(struct cuc_pool, allow_internal_dependencies);
    return 0;
}

CUresult cuc_pool_set(struct cuc_pool *pool, struct cuc_heap *heap, CUmemPool_attribute attribute,
                      const void *value)
{
    size_t flag = flag_at(attribute);

    if (flag) {
        *(int *)((char *)pool + flag) = *(const int *)value != 0;
        return CUDA_SUCCESS;
    }
    cuuint64_t amount = *(const cuuint64_t *)value;

    if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        pool->release_threshold_bytes = amount;
    else if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH && amount == 0)
        heap->reserved_high_bytes = heap->reserved_bytes;
    else if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH && amount == 0)
        pool->used_high_bytes = pool->used_bytes;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static const uint64_t *amount_of(const struct cuc_pool *pool, const struct cuc_heap *heap,
                                 CUmemPool_attribute attribute)
{
    if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        return &pool->release_threshold_bytes;
    if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        return &heap->reserved_bytes;
    if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        return &heap->reserved_high_bytes;
    if (attribute == CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
        return &pool->used_bytes;
    if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH)
        return &pool->used_high_bytes;
    return NULL;
}

CUresult cuc_pool_get(const struct cuc_pool *pool, const struct cuc_heap *heap,
                      CUmemPool_attribute attribute, void *value)
{
    size_t flag = flag_at(attribute);
    const uint64_t *amount = amount_of(pool, heap, attribute);

    if (flag)
        *(int *)value = *(const int *)((const char *)pool + flag);
    else if (amount)
        *(cuuint64_t *)value = *amount;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* ---- access -----------------------------------------------------------------------------------
 */

CUresult cuc_pool_access(const CUmemAccessDesc *desc, int owner, int device_count,
                         bool (*can_peer)(int from, int to), int *change_out)
{
    int device = desc->location.id;

    if (desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    if (device < 0 || device >= device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    *change_out = -1;
    if (device == owner)
        return desc->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE ? CUDA_ERROR_INVALID_VALUE
                                                            : CUDA_SUCCESS;
    if (!can_peer(device, owner))
        return CUDA_ERROR_INVALID_DEVICE;
    *change_out = device;
    return CUDA_SUCCESS;
}
