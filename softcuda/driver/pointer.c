/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/pointer.c - what is known of an address: pointer attributes.
 *
 * Source: CUDA Driver API, Unified Addressing, cuPointerGetAttribute.
 */
#include <stddef.h>
#include <string.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"
#include "softcuda/driver/pool.h"

/* Everything that an attribute may ask for, of one address. */
struct pointer_facts {
    bool known;                        /* an allocation or mapping */
    uint64_t reserved_lo, reserved_hi; /* of cuMemAddressReserve; 0: none */
    bool sync_memops;
    struct mem_info info;
    struct soft_device *device; /* whose memory it is, or that was current when it was made */
    uint64_t map_lo, map_hi;    /* the mapping around the address; 0: not mapped */
    unsigned handle_types;
    uint64_t block_id;
    unsigned access; /* CU_POINTER_ATTRIBUTE_ACCESS_FLAG_* of the current context */
};

static void learn(uint64_t address, const struct soft_context *current, struct pointer_facts *facts)
{
    (void)mem_reserved_find(address, &facts->reserved_lo, &facts->reserved_hi);
    if (!soft_mem_find(address, &facts->info))
        return;
    facts->known = true;
    facts->device = facts->info.device;
    if (!facts->device && facts->info.context)
        facts->device = soft_context_device(facts->info.context);
    facts->block_id = facts->info.id;
    mem_table_read();
    const struct mem_alloc *alloc = mem_alloc_find(address);
    const struct cuc_range *range = mem_extent_find(address);
    const struct mem_context *reader = current ? mem_context_find(current) : NULL;

    if (alloc)
        facts->sync_memops = alloc->sync_memops;
    if (range) {
        const struct mem_extent *extent = range->item;

        facts->map_lo = range->lo;
        facts->map_hi = range->hi;
        if (extent->phys)
            facts->handle_types = (unsigned)extent->phys->properties.requestedHandleTypes;
        if (extent->phys)
            facts->block_id = extent->phys->id;
        if (reader && mem_context_may(reader, extent, true))
            facts->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
        else if (reader && mem_context_may(reader, extent, false))
            facts->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ;
    }
    mem_table_unlock();
}

static bool is_host(const struct pointer_facts *facts)
{
    return facts->info.kind == MEM_HOST || facts->info.kind == MEM_REGISTERED ||
           (facts->info.kind == MEM_VIRTUAL && !facts->info.device);
}

/* One integer of the attribute's width. */
static CUresult put(void *data, const void *value, size_t bytes)
{
    memcpy(data, value, bytes);
    return CUDA_SUCCESS;
}

#define PUT(type, value) put(data, &(type){(type)(value)}, sizeof(type))

/* A reserved address without a mapping is a range, and nothing else. */
static bool is_answered(const struct pointer_facts *facts, CUpointer_attribute attribute)
{
    return facts->known ||
           (facts->reserved_hi != 0 && (attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ||
                                        attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE ||
                                        attribute == CU_POINTER_ATTRIBUTE_MAPPED));
}

/* CUDA_ERROR_INVALID_VALUE: the attribute means nothing for this address. */
static CUresult answer(const struct pointer_facts *facts, uint64_t address,
                       CUpointer_attribute attribute, void *data)
{
    const struct mem_info *info = &facts->info;

    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        return PUT(CUcontext, info->context ? soft_context_handle(info->context) : NULL);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return PUT(unsigned, is_host(facts) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return PUT(CUdeviceptr, info->device_alias);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (!is_host(facts) && info->kind != MEM_MANAGED)
            return CUDA_ERROR_INVALID_VALUE;
        return PUT(uint64_t, address);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
        return CUDA_ERROR_NOT_SUPPORTED;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        return PUT(unsigned, facts->sync_memops);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        return PUT(unsigned long long, info->id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return PUT(unsigned, info->kind == MEM_MANAGED);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return PUT(int, facts->device ? soft_device_ordinal(facts->device) : CU_DEVICE_INVALID);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        return PUT(unsigned, 0); /* as for memory of cuMemCreate, which this is */
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        return PUT(uint64_t, facts->reserved_hi ? facts->reserved_lo : info->base);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        return PUT(size_t,
                   facts->reserved_hi ? facts->reserved_hi - facts->reserved_lo : info->bytes);
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return PUT(unsigned, facts->map_hi != 0);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        return PUT(unsigned, facts->handle_types);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        return PUT(unsigned, 0);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return PUT(unsigned, facts->access);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        return PUT(CUmemoryPool, info->pool);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        return PUT(size_t, facts->map_hi - facts->map_lo);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        return PUT(uint64_t, facts->map_lo);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return PUT(unsigned long long, facts->block_id);
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return PUT(unsigned, 0);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* The answer of cuPointerGetAttributes where there is none: nothing, in the attribute's width. */
static CUresult answer_nothing(CUpointer_attribute attribute, void *data)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return PUT(int, CU_DEVICE_INVALID);
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return PUT(uint64_t, 0);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return PUT(unsigned, 0);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult soft_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct pointer_facts facts = {0};
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    learn(ptr, context, &facts);
    if (!is_answered(&facts, attribute))
        return CUDA_ERROR_INVALID_VALUE;
    return answer(&facts, ptr, attribute, data);
}

CUresult soft_cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes,
                                     void **data, CUdeviceptr ptr)
{
    struct pointer_facts facts = {0};
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!attributes || !data || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    learn(ptr, context, &facts);
    for (unsigned int i = 0; result == CUDA_SUCCESS && i < numAttributes; i++) {
        if (!data[i])
            return CUDA_ERROR_INVALID_VALUE;
        if (!is_answered(&facts, attributes[i]) ||
            answer(&facts, ptr, attributes[i], data[i]) != CUDA_SUCCESS)
            result = answer_nothing(attributes[i], data[i]);
    }
    return result;
}

CUresult soft_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
                                    CUdeviceptr ptr)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    result = CUDA_ERROR_INVALID_VALUE;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    mem_table_write();
    struct mem_alloc *alloc = mem_alloc_find(ptr);

    if (alloc && alloc->kind == MEM_DEVICE) {
        alloc->sync_memops = *(const unsigned *)value != 0;
        result = CUDA_SUCCESS;
    }
    mem_table_unlock();
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}
