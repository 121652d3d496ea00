/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/phys.h - physical memory of cuMemCreate: at the worker of its device, or in this
 * process for the host's.
 *
 * Thread: memory_lock.
 */
#ifndef CUDA_CLIENT_PHYS_H
#define CUDA_CLIENT_PHYS_H

#include "cuda-client/memory_int.h"

struct xp_mem;

struct cudac_phys {
    struct cudac_vgpu *vgpu; /* NULL: host memory */
    uint64_t wire_id;        /* of a device's */
    uint64_t host_base;      /* of the host's, in the pinned range */
    struct xp_mem *mem;      /* of the host's; may be NULL */
    uint64_t bytes;
    uint64_t id;       /* for queries */
    uint32_t refs;     /* handles and mappings */
    uint32_t mappings; /* of these */
    int token_fd;      /* plus one: what was exported; 0: nothing yet */
    CUmemAllocationProp properties;
    struct cudac_phys *next;
};

/* With one reference. */
CUresult cudac_phys_create(struct cudac_vgpu *vgpu, uint64_t bytes,
                           const CUmemAllocationProp *properties, struct cudac_phys **phys_out);
void cudac_phys_put(struct cudac_phys *phys);
/* A descriptor by which this process finds the memory again. */
CUresult cudac_phys_export(struct cudac_phys *phys, int *fd_out);
/* With one more reference. CUDA_ERROR_NOT_SUPPORTED: another process's. */
CUresult cudac_phys_import(int fd, struct cudac_phys **phys_out);
/* Maps the first `bytes` at an address, without access for kernels. Takes no reference. */
CUresult cudac_phys_map(struct cudac_phys *phys, uint64_t address, uint64_t bytes);
void cudac_phys_unmap(struct cudac_phys *phys, uint64_t address, uint64_t bytes);

#endif /* CUDA_CLIENT_PHYS_H */
