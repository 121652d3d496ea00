/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/vmm.c - the checks, in the order in which they are answered.
 */
#include "cuda-common/vmm.h"

#include "cuda-common/heap.h"

bool cuc_vmm_is_aligned(uint64_t value)
{
    return value % CUC_GRANULE == 0;
}

CUresult cuc_vmm_check(const CUmemAllocationProp *prop, int device_count, int *device_out)
{
    if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || prop->win32HandleMetaData)
        return CUDA_ERROR_INVALID_VALUE;
    if (prop->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (prop->allocFlags.usage != 0)
        return CUDA_ERROR_NOT_SUPPORTED; /* tile pools are for sparse arrays */
    *device_out = CUC_VMM_HOST;
    switch (prop->location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        if (prop->location.id < 0 || prop->location.id >= device_count)
            return CUDA_ERROR_INVALID_DEVICE;
        *device_out = prop->location.id;
        return CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST:
        return prop->requestedHandleTypes != 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
        return prop->location.id < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
    case CU_MEM_LOCATION_TYPE_INVALID:
    case CU_MEM_LOCATION_TYPE_MAX:
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuc_vmm_granularity(const CUmemAllocationProp *prop,
                             CUmemAllocationGranularity_flags option, int device_count,
                             size_t *granularity_out)
{
    int device;
    CUresult result = cuc_vmm_check(prop, device_count, &device);

    if (result != CUDA_SUCCESS)
        return result;
    if (!granularity_out || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
                             option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        return CUDA_ERROR_INVALID_VALUE;
    *granularity_out = CUC_GRANULE;
    return CUDA_SUCCESS;
}

CUresult cuc_vmm_access(const CUmemAccessDesc *desc, int owner, int device_count,
                        bool (*can_peer)(int from, int to), int *device_out)
{
    int device = desc->location.id;

    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    if (desc->location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        if (device < 0 || device >= device_count ||
            (owner != CUC_VMM_HOST && device != owner && !can_peer(device, owner)))
            return CUDA_ERROR_INVALID_DEVICE;
        *device_out = device;
        return CUDA_SUCCESS;
    }
    if (desc->location.type == CU_MEM_LOCATION_TYPE_INVALID || owner != CUC_VMM_HOST)
        return CUDA_ERROR_INVALID_VALUE; /* the host reaches host memory only */
    *device_out = CUC_VMM_HOST;
    return CUDA_SUCCESS;
}
