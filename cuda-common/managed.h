/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/managed.h - what programs say of managed memory: advice and prefetches, kept for each
 * stretch of an allocation, and the answers of range attributes.
 *
 * Nothing moves here. The driver that owns the allocations says where they are; it holds its lock
 * over these calls. Both the 12 forms (a device number) and the 13 forms (a location). Source: CUDA
 * Driver API, Unified Addressing.
 */
#ifndef CUDA_COMMON_MANAGED_H
#define CUDA_COMMON_MANAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

struct cuc_advice; /* of one allocation */

/* For [base, base + bytes), whole pages. NULL: out of memory. */
struct cuc_advice *cuc_advice_new(uint64_t base, uint64_t bytes);
void cuc_advice_free(struct cuc_advice *advice); /* takes NULL */

/* A managed allocation. */
struct cuc_managed {
    uint64_t base, bytes; /* as asked for */
    uint64_t span_bytes;  /* taken */
    struct cuc_advice *advice;
};

/* The allocations of a driver. */
struct cuc_managed_set {
    /* The one that holds the address; false: no managed memory. */
    bool (*find)(uint64_t address, struct cuc_managed *managed_out);
    int device_count;
};

/* The location that a device number (or CU_DEVICE_CPU) of the 12 forms means. */
CUmemLocation cuc_managed_location(CUdevice device);

CUresult cuc_managed_advise(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                            CUmem_advise advice, CUmemLocation location);
CUresult cuc_managed_prefetch(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                              CUmemLocation location, unsigned flags);

/* The batch calls; locs NULL: no prefetch. */
struct cuc_managed_batch {
    const CUdeviceptr *dptrs;
    const size_t *sizes;
    size_t count;
    const CUmemLocation *locs; /* range idxs[k] and up go to locs[k] */
    const size_t *idxs;
    size_t loc_count;
    bool discard;
};
CUresult cuc_managed_batch(const struct cuc_managed_set *set, const struct cuc_managed_batch *batch,
                           unsigned long long flags);

/* cuMemRangeGetAttributes, after its arrays were checked. */
CUresult cuc_managed_attributes(const struct cuc_managed_set *set, void **data,
                                const size_t *data_sizes, const CUmem_range_attribute *attributes,
                                size_t attribute_count, uint64_t address, uint64_t bytes);

#endif /* CUDA_COMMON_MANAGED_H */
