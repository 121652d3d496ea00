/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/region.h - host memory that kernels can see: pinned, registered, managed.
 *
 * A region has a place in the workers that need it, at the address that kernels use: the client's
 * own bytes where the worker is on the same host (then all share one memory), else memory of the
 * worker's node, and managed_move.c carries what changed from one to the other. Bytes that can be
 * shared lie in one memory file a range of the address layout (shared.c). Thread: memory_lock,
 * unless said otherwise.
 */
#ifndef CUDA_CLIENT_REGION_H
#define CUDA_CLIENT_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda-client/memory_int.h"

struct xp_mem;

/* Fields but the last two groups never change once it is entered, so look-ups may read them. */
struct cudac_region {
    enum cudac_memory_kind kind;
    uint64_t host_address, device_address, bytes;
    struct xp_mem *mem; /* NULL: not registered with the transport */
    uint64_t window_id, window_offset;
    struct cudac_worker *owner; /* a variable that this worker's driver placed; else NULL */

    bool is_wanted;   /* kernels may use it whatever their parameters say */
    uint64_t pointed; /* bit k: parameters of a launch at worker k once pointed into it */
    uint64_t placed;  /* bit k: worker k has a place for it */
    uint64_t shared;  /* of these: worker k sees the client's own bytes */
    uint64_t refused; /* worker k could not make a place */

    /* managed_move.c */
    struct cudac_worker *away; /* whose kernels may be changing it; NULL: nobody's */
    uint64_t used_at;          /* when it was last given to `away`, in a count of all such */
    uint64_t waited_at;        /* the use that was waited for, and all before it */
    struct {
        uint64_t context_id, stream_id; /* on the wire */
    } uses[4];                          /* streams it was given to since it was at home */
    uint32_t use_count;
    bool is_gathered;               /* who has the turn waits for it */
    bool is_chosen;                 /* for the launch that is being prepared */
    bool is_used_widely;            /* by more, or by ones that are not known */
    struct cudac_worker *copied_to; /* whose place held `copy`'s bytes; NULL: no one's */
    unsigned char *copy;            /* what was there when both sides were last equal */

    struct cudac_region *next;
};

/* ---- bytes that can be shared (shared.c) ------------------------------------------------------
 */

enum cudac_shared_area { CUDAC_SHARED_PINNED, CUDAC_SHARED_MANAGED };

/* Addresses without memory: for the aliases of registered memory. */
CUresult cudac_shared_reserve(enum cudac_shared_area area, uint64_t bytes, uint64_t align,
                              uint64_t *address_out);
/* Zeroed memory at a free place of the area, or at an address that a driver chose. `bytes` are
 * whole pages. CUDA_ERROR_OUT_OF_MEMORY; CUDA_ERROR_NOT_SUPPORTED: the address is not free here. */
CUresult cudac_shared_map(enum cudac_shared_area area, uint64_t bytes, uint64_t align,
                          uint64_t *address_out);
CUresult cudac_shared_map_at(uint64_t address, uint64_t bytes);
/* Whether the page of that address has memory of ours. */
bool cudac_shared_has(uint64_t address);
/* Gives any of these back. */
void cudac_shared_release(uint64_t address, uint64_t bytes);
/* The same bytes at another address too, inside a reservation of the program's; and no longer. */
bool cudac_shared_alias(uint64_t base, uint64_t address, uint64_t bytes);
void cudac_shared_unalias(uint64_t address, uint64_t bytes);
/* Registers memory of cudac_shared_map() with the transport, so that workers on this host map it
 * and rails send from it. NULL: it works without. */
struct xp_mem *cudac_shared_register(uint64_t address, uint64_t bytes);
/* Whether that many bytes could be in this machine's memory at all. */
bool cudac_shared_fits(uint64_t bytes);

/* ---- regions (region.c) -----------------------------------------------------------------------
 */

/* Enters a copy of `values` into the list. */
CUresult cudac_region_add(const struct cudac_region *values, struct cudac_region **region_out);
/* Takes it out of the list: kernels launched from now on know nothing of it. */
void cudac_region_unlink(struct cudac_region *region);
/* Ends it: it leaves the workers, which wait for their devices there, so no lock may be held, and
 * the transport. Takes NULL. */
void cudac_region_end(struct cudac_region *region);

/* Memory that was taken out of the tables and is yet to be given back. */
struct cudac_dropped {
    struct cudac_region *region; /* unlinked */
    uint64_t address, bytes;     /* cudac_shared_release(); 0: nothing */
};
/* Without locks. */
void cudac_dropped_end(const struct cudac_dropped *dropped);
struct cudac_region *cudac_region_first(void);
/* Gives it a place in the worker. */
CUresult cudac_region_place(struct cudac_region *region, struct cudac_worker *worker);
/* From now on kernels may use it at any time. */
void cudac_region_want(struct cudac_region *region);

static inline uint64_t region_bit(const struct cudac_worker *worker)
{
    return UINT64_C(1) << cudac_worker_index(worker);
}

/* managed.c: takes a managed allocation out of the tables. */
struct cudac_dropped cudac_managed_take_out(struct cudac_alloc *alloc);

/* ---- moving (managed_move.c): what distributed unified memory will take over -------------------
 */

/* A region was added, wanted or removed: what launches must look at has changed. */
void cudac_move_changed(void);
/* The region is about to go: nothing of it is kept. */
void cudac_move_forget(struct cudac_region *region);
/* Without memory_lock. */
void cudac_move_context_close(const struct cudac_context *context);
/* Its first bytes are those in the worker: they come here now. */
CUresult cudac_move_fetch(struct cudac_region *region, struct cudac_context *context);

#endif /* CUDA_CLIENT_REGION_H */
