/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/memory.h - device memory: one row an extent (design 7b, F4).
 *
 * An extent is what one cuMemMap mapped, the unit that can be moved later (F5). Everything that the
 * client may use as device memory has a row here but what the driver placed itself. Thread: any,
 * locked.
 */
#ifndef CUDA_SERVER_MEMORY_H
#define CUDA_SERVER_MEMORY_H

#include "base/mutex.h"
#include "cuda-common/ranges.h"
#include "cuda-server/object.h"

enum {
    CUDAS_GRANULE = 2 << 20, /* the smallest extent */
    CUDAS_PIECE = 32 << 20,  /* the largest that mem_map makes */
};

enum cudas_extent_kind {
    CUDAS_EXTENT_HEAP, /* of mem_map */
    CUDAS_EXTENT_PHYS, /* of phys_map */
    CUDAS_EXTENT_HOST, /* of host_map */
};

struct cudas_extent {
    enum cudas_extent_kind kind;
    int32_t vgpu;                        /* -1: the host */
    CUmemGenericAllocationHandle handle; /* HEAP: the extent's own */
    struct cudas_object *phys;           /* PHYS: holds a reference */
    bool is_reserved;                    /* its addresses were reserved for it alone */
};

struct cudas_phys {
    struct cudas_object object;
    struct cudas_worker *worker;
    CUmemGenericAllocationHandle handle;
    uint64_t bytes;
    int32_t vgpu;
};

struct cudas_memory {
    struct fab_mutex lock;
    struct cuc_ranges extents;                 /* struct cudas_extent */
    _Atomic uint64_t charged[CUDAS_VGPUS_MAX]; /* limit.h */
    uint64_t fixed[CUDAS_VGPUS_MAX];
};

FAB_NODISCARD enum fab_status cudas_memory_create(struct cudas_memory **memory_out,
                                                  struct fab_err *err);
/* Gives all extents back to the driver. Takes NULL. */
void cudas_memory_destroy(struct cudas_worker *worker);

/* Reserves in the driver the slice of each vgpu and where the program's own mappings come, and in
 * the process the places of host memory. FAB_ERR_BUSY: something lies there; nothing is reserved
 * then. */
FAB_NODISCARD enum fab_status cudas_memory_reserve(struct cudas_worker *worker,
                                                   const struct cuc_layout *layout,
                                                   struct fab_err *err);
void cudas_memory_release(struct cudas_worker *worker, const struct cuc_layout *layout);

/* Whether the range lies in what the driver has reserved for us: a slice, or where the program's
 * own mappings come. */
bool cudas_memory_is_reserved(const struct cudas_worker *worker, uint64_t address, uint64_t bytes);
/* Whether the range lies in a place that cudas_memory_reserve() holds for the client's host memory.
 */
bool cudas_memory_is_held(const struct cudas_worker *worker, uint64_t address, uint64_t bytes);

/* Properties for cuMemCreate on a device. */
void cudas_memory_properties(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                             CUmemAllocationProp *properties_out);
/* What `access` of a message means for cuMemSetAccess. CUDA_ERROR_INVALID_DEVICE. */
CUresult cudas_memory_access(struct cudas_worker *worker, uint64_t address, uint64_t bytes,
                             const struct wire_access *access, uint32_t count);
/* Memory of vgpu `owner` becomes accessible to `user`, or no longer. */
CUresult cudas_memory_peer(struct cudas_worker *worker, uint32_t owner, uint32_t user, bool enable);

/* Drops all extents that begin in [lo, hi), with the table's lock. */
void cudas_memory_unmap_locked(struct cudas_worker *worker, uint64_t lo, uint64_t hi);

/* Whose memory is mapped there: what the program maps itself may lie at any address. Where nothing
 * is, whose slice it is; NULL: nobody's. */
const struct cudas_vgpu *cudas_memory_vgpu(struct cudas_worker *worker, uint64_t address);

/* Whether every byte of the range is in extents of ours. */
bool cudas_memory_covers(struct cudas_worker *worker, uint64_t address, uint64_t bytes);

#endif /* CUDA_SERVER_MEMORY_H */
