/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pointer.h - pointer attributes: what is answered of an address once it is known what
 * lies there.
 *
 * Source: CUDA Driver API, Unified Addressing, cuPointerGetAttribute.
 */
#ifndef CUDA_COMMON_POINTER_H
#define CUDA_COMMON_POINTER_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

/* Everything that an attribute may ask for, of one address; zero but for `ordinal`: nothing. */
struct cuc_pointer {
    bool is_known;            /* an allocation or mapping */
    bool is_host, is_managed; /* its kind; neither: device memory */
    bool sync_memops;
    uint64_t reserved_lo, reserved_hi; /* of cuMemAddressReserve; 0: none */
    uint64_t base, bytes, id;          /* the allocation */
    uint64_t device_pointer;           /* for kernels */
    uint64_t host_pointer;             /* for the host, where it has one */
    CUcontext context;                 /* that made it */
    CUmemoryPool pool;
    int ordinal; /* of the device whose memory it is, or that was current when it was made; -2: none
                  */
    uint64_t map_lo, map_hi; /* the mapping around the address; 0: not mapped */
    unsigned handle_types;
    uint64_t block_id;
    unsigned access; /* CU_POINTER_ATTRIBUTE_ACCESS_FLAG_* of the current context */
};

/* CUDA_ERROR_INVALID_VALUE: the attribute means nothing for this address. */
CUresult cuc_pointer_attribute(const struct cuc_pointer *pointer, CUpointer_attribute attribute,
                               void *data);
/* cuPointerGetAttributes: what means nothing is answered with nothing. The arrays are checked. */
CUresult cuc_pointer_attributes(const struct cuc_pointer *pointer, unsigned count,
                                const CUpointer_attribute *attributes, void **data);

#endif /* CUDA_COMMON_POINTER_H */
