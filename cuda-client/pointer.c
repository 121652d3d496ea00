/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/pointer.c - what is known of an address: pointer attributes; and the device
 * attributes that follow from where memory lies.
 *
 * Source: CUDA Driver API, Unified Addressing, cuPointerGetAttribute.
 */
#include "cuda-common/pointer.h"

#include "cuda-client/region.h"
#include "generated/cuda-api/client_impl.h"

/* ---- pointers ---------------------------------------------------------------------------------
 */

static void learn_mapping(uint64_t address, struct cudac_context *current,
                          struct cuc_pointer *pointer)
{
    const struct cudac_reader reader = cudac_reader_of(current);
    struct cudac_extent extent;

    if (!cudac_extent_find(address, &extent, &pointer->map_lo, &pointer->map_hi))
        return;
    if (extent.phys) {
        pointer->handle_types = extent.handle_types;
        pointer->block_id = extent.block_id;
    }
    if (cudac_extent_allows(&reader, &extent, true))
        pointer->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
    else if (cudac_extent_allows(&reader, &extent, false))
        pointer->access = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ;
}

static void learn_alloc(uint64_t address, const struct cudac_alloc *alloc,
                        struct cuc_pointer *pointer)
{
    struct cudac_context *context = cudac_context_of_id(alloc->context_id);
    const struct cudac_vgpu *vgpu = alloc->vgpu;
    struct cudac_memory_info info;

    if (!vgpu && context)
        vgpu = context->vgpu;
    pointer->is_known = true;
    pointer->is_host = alloc->kind == CUDAC_MEMORY_HOST || alloc->kind == CUDAC_MEMORY_REGISTERED;
    pointer->is_managed = alloc->kind == CUDAC_MEMORY_MANAGED;
    pointer->sync_memops = alloc->sync_memops;
    pointer->base = alloc->base;
    pointer->bytes = alloc->bytes;
    pointer->id = pointer->block_id = alloc->id;
    pointer->device_pointer = pointer->host_pointer = address;
    if (cudac_memory_find(address, &info) && info.host_address) {
        pointer->device_pointer = info.device_address;
        pointer->host_pointer = info.host_address;
    }
    if (context) {
        pointer->context = cudac_context_handle(context);
        cuc_object_put(&context->object);
    }
    pointer->pool = (CUmemoryPool)memory_pointer(alloc->pool_handle);
    if (vgpu)
        pointer->ordinal = cudac_vgpu_ordinal(vgpu);
}

static struct cuc_pointer learn(uint64_t address, struct cudac_context *current)
{
    struct cuc_pointer pointer = {.ordinal = CU_DEVICE_INVALID};
    struct cudac_alloc alloc;

    (void)cudac_memory_reserved(address, &pointer.reserved_lo, &pointer.reserved_hi);
    if (cudac_alloc_find(address, &alloc)) {
        learn_alloc(address, &alloc, &pointer);
        learn_mapping(address, current, &pointer);
    }
    return pointer;
}

CUresult cudac_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cuc_pointer pointer = learn(ptr, context);

    return cuc_pointer_attribute(&pointer, attribute, data);
}

CUresult cudac_cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes,
                                      void **data, CUdeviceptr ptr)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!attributes || !data || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cuc_pointer pointer = learn(ptr, context);

    return cuc_pointer_attributes(&pointer, numAttributes, attributes, data);
}

/* Copies are complete when the call returns or in stream order, whatever the flag says: it is kept
 * and reported. */
CUresult cudac_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
                                     CUdeviceptr ptr)
{
    struct cudac_context *context;
    struct cudac_alloc seen;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !cudac_alloc_find(ptr, &seen) ||
        seen.kind != CUDAC_MEMORY_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    struct cudac_place *place = cudac_place_of(seen.vgpu);

    (void)pthread_mutex_lock(&place->lock);
    struct cudac_alloc *alloc = cudac_alloc_at(ptr);
    bool is_same = alloc && alloc->id == seen.id;

    if (is_same) {
        cudac_table_write();
        alloc->sync_memops = *(const unsigned *)value != 0;
        cudac_table_unlock();
    }
    (void)pthread_mutex_unlock(&place->lock);
    return is_same ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- devices ----------------------------------------------------------------------------------
 */

bool cudac_memory_attribute(const struct cudac_vgpu *vgpu, CUdevice_attribute attribute,
                            int *value_out)
{
    switch ((unsigned)attribute) {
    /* Pageable memory is the client's: a worker does not see it. */
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
    /* Registered memory has an alias. */
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
        *value_out = 0;
        return true;
    /* Where memory must move, it does at launches and waits only. */
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST:
    case CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED:
        *value_out = 0;
        return !cudac_worker_is_same_host(cudac_vgpu_worker(vgpu));
    default:
        return false;
    }
}
