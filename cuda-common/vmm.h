/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/vmm.h - checks of virtual memory management: sizes, properties, who may access.
 *
 * Sizes and addresses are multiples of CUC_GRANULE. Devices are ordinals; the host is
 * CUC_VMM_HOST. Source: CUDA Driver API, Virtual Memory Management.
 */
#ifndef CUDA_COMMON_VMM_H
#define CUDA_COMMON_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

enum { CUC_VMM_HOST = -1 };

bool cuc_vmm_is_aligned(uint64_t value);
/* Where memory with these properties lies. */
CUresult cuc_vmm_check(const CUmemAllocationProp *prop, int device_count, int *device_out);
CUresult cuc_vmm_granularity(const CUmemAllocationProp *prop,
                             CUmemAllocationGranularity_flags option, int device_count,
                             size_t *granularity_out);
/* One description of cuMemSetAccess for memory of `owner`: which device it is about. */
CUresult cuc_vmm_access(const CUmemAccessDesc *desc, int owner, int device_count,
                        bool (*can_peer)(int from, int to), int *device_out);

#endif /* CUDA_COMMON_VMM_H */
