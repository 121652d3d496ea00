/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/pointer.c - what is known of an address: pointer attributes.
 *
 * Source: CUDA Driver API, Unified Addressing, cuPointerGetAttribute.
 */
#include "cuda-common/pointer.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"
#include "softcuda/driver/pool.h"

static bool is_host(const struct mem_info *info)
{
    return info->kind == MEM_HOST || info->kind == MEM_REGISTERED ||
           (info->kind == MEM_VIRTUAL && !info->device);
}

/* Inside mem_table_read: what mapping and record say. */
static void learn_mapping(uint64_t address, const struct soft_context *current,
                          struct cuc_pointer *pointer)
{
    const struct mem_alloc *alloc = mem_alloc_find(address);
    const struct cuc_range *range = mem_extent_find(address);
    const struct mem_context *reader = current ? mem_context_find(current) : NULL;

    if (alloc)
        pointer->sync_memops = alloc->sync_memops;
    if (!range)
        return;
    const struct mem_extent *extent = range->item;

    pointer->map_lo = range->lo;
    pointer->map_hi = range->hi;
    if (extent->phys) {
        pointer->handle_types = (unsigned)extent->phys->properties.requestedHandleTypes;
        pointer->block_id = extent->phys->id;
    }
    if (reader && mem_context_may(reader, extent, true))
        pointer->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
    else if (reader && mem_context_may(reader, extent, false))
        pointer->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ;
}

static struct cuc_pointer learn(uint64_t address, const struct soft_context *current)
{
    struct cuc_pointer pointer = {.ordinal = CU_DEVICE_INVALID};
    struct mem_info info;

    (void)mem_reserved_find(address, &pointer.reserved_lo, &pointer.reserved_hi);
    if (!soft_mem_find(address, &info))
        return pointer;
    const struct soft_device *device = info.device;

    if (!device && info.context)
        device = soft_context_device(info.context);
    pointer.is_known = true;
    pointer.is_host = is_host(&info);
    pointer.is_managed = info.kind == MEM_MANAGED;
    pointer.base = info.base;
    pointer.bytes = info.bytes;
    pointer.id = pointer.block_id = info.id;
    pointer.device_pointer = info.device_alias;
    pointer.host_pointer = address;
    pointer.context = info.context ? soft_context_handle(info.context) : NULL;
    pointer.pool = info.pool;
    if (device)
        pointer.ordinal = soft_device_ordinal(device);
    mem_table_read();
    learn_mapping(address, current, &pointer);
    mem_table_unlock();
    return pointer;
}

CUresult soft_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cuc_pointer pointer = learn(ptr, context);

    return cuc_pointer_attribute(&pointer, attribute, data);
}

CUresult soft_cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes,
                                     void **data, CUdeviceptr ptr)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!attributes || !data || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cuc_pointer pointer = learn(ptr, context);

    return cuc_pointer_attributes(&pointer, numAttributes, attributes, data);
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
