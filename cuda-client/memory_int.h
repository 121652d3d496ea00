/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memory_int.h - what the files of memory share: extents, allocations, places, heaps.
 *
 * An *extent* is one mapping in a worker (or host memory), and decides whether an access is valid.
 * An *allocation* is what a program asked for, and answers queries. A *place* is a virtual GPU's
 * slice: what is taken of it, and its lock. A *region* (region.h) is host memory that kernels can
 * see.
 *
 * Locks, in this order: memory_lock (host memory, reservations, regions), then a place's lock (that
 * GPU's heaps and pools), both held over calls to workers; then the tables' reader-writer lock,
 * held for a moment. Look-ups take only the last.
 */
#ifndef CUDA_CLIENT_MEMORY_INT_H
#define CUDA_CLIENT_MEMORY_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"
#include "cuda-client/context.h"
#include "cuda-client/memory.h"
#include "cuda-client/remote.h"
#include "cuda-common/heap.h"
#include "cuda-common/layout.h"
#include "cuda-common/ranges.h"

struct cudac_phys;
struct cudac_pool;
struct cudac_region;
struct cuc_advice;

#define MEMORY_PAGE UINT64_C(4096)
#define MEMORY_ALL_DEVICES UINT64_MAX

enum { MEMORY_VGPUS_MAX = 64 };

/* ---- tables (memory.c) ----------------------------------------------------------------------- */

struct cudac_extent {
    enum cudac_memory_kind kind;
    struct cudac_vgpu *vgpu;        /* owner; NULL: host memory */
    uint64_t read_mask, write_mask; /* bit k: contexts of the vgpu with index k */
    bool by_peer;                   /* also contexts that enabled peer access to the owner */
    struct cudac_phys *phys;        /* of cuMemMap: what is mapped; memory_lock */
    uint64_t block_id;              /* of it, for queries */
    uint32_t handle_types;
};

/* Thread: fields change under the lock of what made it and the tables' write lock. */
struct cudac_alloc {
    uint64_t base, bytes; /* as asked for */
    uint64_t span_bytes;  /* taken: bytes rounded up */
    uint64_t id;          /* for queries; never given twice */
    enum cudac_memory_kind kind;
    struct cudac_vgpu *vgpu;
    struct cudac_context *context; /* that made it: for its handle only, it may be closed */
    uint64_t context_id;           /* cudac_context_of_id() */
    uint32_t host_flags;           /* CU_MEMHOSTALLOC_*, CU_MEMHOSTREGISTER_* */
    uint32_t attach_flags;         /* MANAGED: CU_MEM_ATTACH_* */
    bool sync_memops;
    bool is_alias;             /* REGISTERED: by the address that kernels use */
    bool is_freed;             /* stream-ordered, and its free is pending */
    struct cuc_heap_part part; /* from a heap */
    struct cudac_pool *pool;   /* stream-ordered; the place's lock */
    uint64_t pool_handle;
    struct cudac_region *region; /* host memory that kernels see */
    struct cuc_advice *advice;   /* MANAGED */
    const void *owner;           /* FIXED: whose it is */
};

CUresult cudac_extent_add(uint64_t lo, uint64_t hi, const struct cudac_extent *extent);
void cudac_extent_remove(uint64_t lo);
bool cudac_extent_hit(uint64_t lo, uint64_t hi);
/* Sets the access masks of all extents in [lo, hi), which must be whole ones. */
void cudac_extent_access(uint64_t lo, uint64_t hi, uint64_t read_mask, uint64_t write_mask);
/* A copy of the extent that holds the address, and its bounds (may be NULL). */
bool cudac_extent_find(uint64_t address, struct cudac_extent *extent_out, uint64_t *lo_out,
                       uint64_t *hi_out);
/* Who asks: what a context may access. */
struct cudac_reader {
    bool is_any;         /* any access counts */
    uint64_t own, peers; /* bits of vgpus: its own, and those whose memory it may access */
};
struct cudac_reader cudac_reader_of(struct cudac_context *context); /* NULL: anybody */
bool cudac_extent_allows(const struct cudac_reader *reader, const struct cudac_extent *extent,
                         bool write);

/* For records in tables of their own. */
uint64_t cudac_alloc_id(void);
/* Copies what is given, adds an id, and enters it. */
CUresult cudac_alloc_add(const struct cudac_alloc *values, struct cudac_alloc **alloc_out);
void cudac_alloc_remove(struct cudac_alloc *alloc); /* frees the record, and its advice */
/* The same memory, handed out again for `bytes`: a new id. */
void cudac_alloc_renew(struct cudac_alloc *alloc, uint64_t bytes, struct cudac_context *context);
/* A copy of the live allocation that holds the address. */
bool cudac_alloc_find(uint64_t address, struct cudac_alloc *alloc_out);
/* The record itself, while the lock of what made it is held. NULL if there is none. */
struct cudac_alloc *cudac_alloc_at(uint64_t address);
/* The next record at or above an address, or NULL. */
struct cudac_alloc *cudac_alloc_next(uint64_t address);

/* Inside cudac_table_read (memory_fixed.c): the module variable there, preferably of the current
 * context's device. `owners_out`: how many devices have one, the current one counting alone. */
const struct cudac_alloc *cudac_fixed_find(uint64_t address, uint32_t *owners_out);
/* Where the memory around a module variable that the reader may access ends; 0:
 * the address is in none. */
uint64_t cudac_fixed_end(const struct cudac_reader *reader, uint64_t address);
/* The memory around a module variable, as its extent. */
void cudac_fixed_extent(const struct cudac_alloc *alloc, struct cudac_extent *extent_out,
                        uint64_t *lo_out, uint64_t *hi_out);
/* One line on stderr, once a process. Without locks. */
void cudac_fixed_complain(uint64_t address);
void cudac_fixed_context_close(const struct cudac_context *context);

/* Brackets of short changes of records. */
void cudac_table_read(void);
void cudac_table_write(void);
void cudac_table_unlock(void);

/* ---- places and heaps (heap.c) --------------------------------------------------------------- */

struct cudac_place {
    pthread_mutex_t lock;
    struct cuc_ranges taken; /* of the slice */
};
struct cudac_place *cudac_place_of(const struct cudac_vgpu *vgpu);
const struct cuc_layout *cudac_layout(void);

struct cudac_heap {
    struct cuc_heap common; /* ops: cudac_heap_ops */
    struct cudac_vgpu *vgpu;
    struct cudac_context *context; /* that its allocations belong to; NULL for pools */
    struct cudac_pool *pool;
    uint64_t pool_handle;
    uint64_t read_mask, write_mask; /* by index of vgpus */
    bool by_peer;
};
extern const struct cuc_heap_ops cudac_heap_ops;

/* Under the place's lock. */
CUresult cudac_heap_alloc(struct cudac_heap *heap, uint64_t bytes, struct cudac_alloc **alloc_out);
void cudac_heap_free(struct cudac_alloc *alloc);
/* Gives the masks of the heap to all its extents, here and at the worker. */
CUresult cudac_heap_access(struct cudac_heap *heap);
void cudac_heap_clear(struct cudac_heap *heap);

/* What memory keeps for a context; made on first use. */
struct cudac_memory_context {
    struct cudac_context *context;
    uint64_t free_event, free_generation; /* pool.c: on the wire */
    struct cudac_heap heap;
    struct cudac_memory_context *next;
};
struct cudac_memory_context *cudac_memory_context(struct cudac_context *context);
/* Inside cudac_table_read, or NULL. */
struct cudac_memory_context *cudac_memory_context_find(const struct cudac_context *context);
/* Waits for a device's work as cuMemFree does; sticky errors are told to the context of that id. */
CUresult cudac_memory_wait(struct cudac_vgpu *vgpu, uint64_t context_id);
/* The same for every device that has a context and is not lost: the first error. */
CUresult cudac_memory_wait_all(void);

/* Calls that answer with a result only. */
CUresult cudac_memory_call(struct cudac_worker *worker, uint32_t op,
                           const struct wire_parts *parts);

/* ---- pools (pool.c) ---------------------------------------------------------------------------
 */

/* Asks the pools of a vgpu to give back what they do not use; place's lock. Whether any did. */
bool cudac_pools_trim(struct cudac_vgpu *vgpu);
/* Waits for stream-ordered frees that are pending on the vgpu; true if there were any, so that an
 * allocation may be tried again. Without locks. */
bool cudac_pools_reclaim(struct cudac_vgpu *vgpu);
/* Frees a stream-ordered allocation at once; place's lock. */
void cudac_pool_free(struct cudac_alloc *alloc);
/* Frees that the client knows to be done take effect. Without locks; quick when there are none. */
void cudac_pools_settle(struct cudac_vgpu *vgpu);
void cudac_pools_settle_all(const struct cudac_worker *worker);
/* Frees what the context allocated; its work is done. Without locks. */
void cudac_pools_context_close(struct cudac_context *context);

/* The reservation of cuMemAddressReserve that holds an address (vmm.c; without memory_lock). */
bool cudac_memory_reserved(uint64_t address, uint64_t *lo_out, uint64_t *hi_out);

/* ---- host memory ------------------------------------------------------------------------------
 */

extern pthread_mutex_t cudac_memory_lock;
/* A __managed__ variable that the worker's driver placed. Without locks. */
CUresult cudac_managed_add_variable(struct cudac_context *context, uint64_t address, uint64_t bytes,
                                    const void *owner);
void cudac_managed_remove_variable(struct cudac_alloc *alloc); /* memory_lock */
/* host.c: frees host and managed allocations of a context. */
void cudac_host_context_close(struct cudac_context *context);

static inline void *memory_pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

static inline uint64_t memory_bit(const struct cudac_vgpu *vgpu)
{
    return UINT64_C(1) << cudac_vgpu_index(vgpu);
}

#endif /* CUDA_CLIENT_MEMORY_INT_H */
