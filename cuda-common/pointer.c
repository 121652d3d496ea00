/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pointer.c - the answers, each in its attribute's width.
 */
#include "cuda-common/pointer.h"

#include <string.h>

/* One integer of the attribute's width. */
static CUresult put(void *data, const void *value, size_t bytes)
{
    memcpy(data, value, bytes);
    return CUDA_SUCCESS;
}

#define PUT(type, value) put(data, &(type){(type)(value)}, sizeof(type))

/* A reserved address without a mapping is a range, and nothing else. */
static bool is_answered(const struct cuc_pointer *pointer, CUpointer_attribute attribute)
{
    return pointer->is_known ||
           (pointer->reserved_hi != 0 && (attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ||
                                          attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE ||
                                          attribute == CU_POINTER_ATTRIBUTE_MAPPED));
}

static CUresult answer(const struct cuc_pointer *pointer, CUpointer_attribute attribute, void *data)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        return PUT(CUcontext, pointer->context);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return PUT(unsigned, pointer->is_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return PUT(CUdeviceptr, pointer->device_pointer);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (!pointer->is_host && !pointer->is_managed)
            return CUDA_ERROR_INVALID_VALUE;
        return PUT(uint64_t, pointer->host_pointer);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
        return CUDA_ERROR_NOT_SUPPORTED;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        return PUT(unsigned, pointer->sync_memops);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        return PUT(unsigned long long, pointer->id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return PUT(unsigned, pointer->is_managed);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return PUT(int, pointer->ordinal);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        return PUT(unsigned, 0); /* as for memory of cuMemCreate, which this is */
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        return PUT(uint64_t, pointer->reserved_hi ? pointer->reserved_lo : pointer->base);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        return PUT(size_t, pointer->reserved_hi ? pointer->reserved_hi - pointer->reserved_lo
                                                : pointer->bytes);
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return PUT(unsigned, pointer->map_hi != 0);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        return PUT(unsigned, pointer->handle_types);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        return PUT(unsigned, 0);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return PUT(unsigned, pointer->access);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        return PUT(CUmemoryPool, pointer->pool);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        return PUT(size_t, pointer->map_hi - pointer->map_lo);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        return PUT(uint64_t, pointer->map_lo);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return PUT(unsigned long long, pointer->block_id);
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

CUresult cuc_pointer_attribute(const struct cuc_pointer *pointer, CUpointer_attribute attribute,
                               void *data)
{
    return is_answered(pointer, attribute) ? answer(pointer, attribute, data)
                                           : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuc_pointer_attributes(const struct cuc_pointer *pointer, unsigned count,
                                const CUpointer_attribute *attributes, void **data)
{
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = 0; result == CUDA_SUCCESS && i < count; i++) {
        if (!data[i])
            return CUDA_ERROR_INVALID_VALUE;
        if (cuc_pointer_attribute(pointer, attributes[i], data[i]) != CUDA_SUCCESS)
            result = answer_nothing(attributes[i], data[i]);
    }
    return result;
}
