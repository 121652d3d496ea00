/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_int.h - what the files of device memory share: physical memory, extents,
 * allocations, heaps.
 *
 * Three things stand apart. An *extent* is one mapping, and decides whether an access is valid. An
 * *allocation* is what a program asked for, and answers queries. *Physical memory* (mem_phys) is
 * what cuMemCreate makes and may be mapped at several places; all other memory is anonymous. A heap
 * makes allocations in blocks, one extent or a few pieces each.
 *
 * Locks, in this order: mem_lock (all changes; held over system calls), then the table's
 * reader-writer lock (mem_table.c; held for a moment). Look-ups take only the second.
 */
#ifndef SOFTCUDA_DRIVER_MEM_INT_H
#define SOFTCUDA_DRIVER_MEM_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"
#include "cuda-common/heap.h"
#include "cuda-common/managed.h"
#include "cuda-common/ranges.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/va.h"

struct soft_device;

#define MEM_KIB UINT64_C(1024)
#define MEM_MIB (UINT64_C(1) << 20)
#define MEM_GRANULE CUC_GRANULE /* also of physical memory */
#define MEM_PIECE CUC_PIECE
#define MEM_UNIT CUC_UNIT
#define MEM_PAGE UINT64_C(4096)
#define MEM_ALL_DEVICES UINT64_MAX

extern pthread_mutex_t mem_lock;

/* Takes that much of the device, emptying pools when it is short. */
bool mem_charge(struct soft_device *device, uint64_t bytes);

/* ---- physical memory (mem_phys.c; mem_lock) ------------------------------------------------ */

struct mem_phys {
    struct soft_device *device;     /* NULL: host memory, not charged */
    int fd;                         /* own memfd, or the device's */
    bool exportable;                /* has its own memfd */
    bool imported;                  /* charged by the process that made it */
    uint64_t id;                    /* for queries */
    uint64_t offset, bytes;         /* in the memfd */
    uint32_t refs;                  /* handles and mappings */
    CUmemAllocationProp properties; /* of cuMemCreate, for queries */
};

/* Charges and makes `bytes` (a multiple of MEM_GRANULE), zeroed. One reference. Returns
 * CUDA_ERROR_OUT_OF_MEMORY if that much is not free. device NULL: host memory. */
CUresult mem_phys_create(struct soft_device *device, uint64_t bytes, bool exportable,
                         struct mem_phys **phys_out);
CUresult mem_phys_import(int fd, struct mem_phys **phys_out); /* borrowed descriptor */
/* At the last reference the memory is cleared and given back. Takes NULL. */
void mem_phys_put(struct mem_phys *phys);
/* Maps the first `bytes`, without access, at an address inside a reservation. Takes no reference.
 */
bool mem_phys_map(const struct mem_phys *phys, uint64_t address, uint64_t bytes);

/* ---- extents and allocations (mem_table.c) ------------------------------------------------- */

struct mem_extent {
    enum mem_kind kind;
    struct soft_device *device;     /* owner; NULL: host memory */
    uint64_t read_mask, write_mask; /* bit k: contexts of device ordinal k */
    bool by_peer;                   /* also contexts that enabled peer access to the owner */
    struct mem_phys *phys;          /* a reference, for MEM_VIRTUAL; else NULL */
};

struct soft_pool;

/* One allocation. Thread: fields change under mem_lock and the table's write lock. */
struct mem_alloc {
    uint64_t base, bytes; /* as asked for */
    uint64_t span_bytes;  /* taken: bytes rounded up */
    uint64_t id;
    enum mem_kind kind;
    struct soft_device *device;
    struct soft_context *context;
    uint32_t host_flags;
    bool sync_memops;
    bool is_freed;             /* stream-ordered, and its free is pending */
    struct cuc_heap_part part; /* from a heap */
    struct soft_pool *pool;    /* stream-ordered */
    uint32_t attach_flags;     /* MEM_MANAGED: CU_MEM_ATTACH_* */
    struct cuc_advice *advice; /* MEM_MANAGED */
};

CUresult mem_extent_add(uint64_t lo, uint64_t hi, const struct mem_extent *extent);
void mem_extent_remove(uint64_t lo);
/* Under mem_lock, or inside mem_table_read. NULL if there is none. */
struct cuc_range *mem_extent_find(uint64_t address);
bool mem_extent_hit(uint64_t lo, uint64_t hi);
/* Sets the access masks of all extents in [lo, hi), which must be whole ones. */
void mem_extent_access(uint64_t lo, uint64_t hi, uint64_t read_mask, uint64_t write_mask);

/* Copies what is given, adds an id, and enters it. */
CUresult mem_alloc_add(const struct mem_alloc *values, struct mem_alloc **alloc_out);
void mem_alloc_remove(struct mem_alloc *alloc); /* frees the record */
/* The same memory, handed out again for `bytes`: a new id. */
void mem_alloc_renew(struct mem_alloc *alloc, uint64_t bytes, struct soft_context *context);
/* Under mem_lock, or inside mem_table_read. NULL if there is none. */
struct mem_alloc *mem_alloc_find(uint64_t address);
/* The next allocation at or above an address, or NULL. Under mem_lock. */
struct mem_alloc *mem_alloc_next(uint64_t address);

/* Brackets of short look-ups and changes of records. */
void mem_table_read(void);
void mem_table_write(void);
void mem_table_unlock(void);

/* ---- heaps (mem_heap.c; mem_lock) ----------------------------------------------------------- */

struct mem_heap {
    struct cuc_heap common; /* ops: mem_heap_ops */
    enum mem_kind kind;
    enum va_area area;
    struct soft_device *device;
    struct soft_context *context; /* that its allocations belong to; NULL for pools */
    struct soft_pool *pool;
    uint64_t read_mask, write_mask;
    bool by_peer;
};
extern const struct cuc_heap_ops mem_heap_ops;

CUresult mem_heap_alloc(struct mem_heap *heap, uint64_t bytes, uint64_t align,
                        struct mem_alloc **alloc_out);
void mem_heap_free(struct mem_alloc *alloc);
/* Gives the masks of the heap to all its extents. */
void mem_heap_access(struct mem_heap *heap);
/* Frees everything in it. */
void mem_heap_clear(struct mem_heap *heap);

/* ---- contexts (mem_context.c) --------------------------------------------------------------- */

/* What memory keeps for a context. */
struct mem_context {
    struct soft_context *context;
    struct soft_device *device;
    uint64_t peer_mask; /* ordinals whose memory it may access; under the table's write lock */
    struct mem_heap heap, fixed;
    uint64_t reserve_bytes;
    struct mem_context *next;
};

/* Under mem_lock or inside mem_table_read. NULL for a context that was never opened. */
struct mem_context *mem_context_find(const struct soft_context *context);
/* Whether contexts of that kind may read (write) an extent; inside mem_table_read. `reader` NULL:
 * any access counts. */
bool mem_context_may(const struct mem_context *reader, const struct mem_extent *extent, bool write);

/* The reservation of cuMemAddressReserve that holds an address (vmm.c; without mem_lock). */
bool mem_reserved_find(uint64_t address, uint64_t *lo_out, uint64_t *hi_out);
/* Inside the process's limits at all (host.c)? */
bool mem_host_fits(uint64_t bytes);

/* Frees a stream-ordered allocation at once; mem_lock. */
void mem_pool_free(struct mem_alloc *alloc);
/* Asks every pool of the device to give back what it does not use (pool.c; mem_lock). Returns
 * whether something was given back. */
bool mem_pools_trim(struct soft_device *device);
/* Frees stream-ordered allocations that a context made (pool.c; mem_lock). */
void mem_pools_context_close(struct soft_context *context);
/* Frees host and managed allocations of a context (host.c; mem_lock). */
void mem_host_context_close(struct soft_context *context);

/* host.c: frees one host allocation; mem_lock. */
void mem_host_free(struct mem_alloc *alloc);
/* managed.c: plain memory that host and devices see. */
CUresult mem_managed_alloc(struct soft_context *context, uint64_t bytes, uint32_t flags,
                           struct mem_alloc **alloc_out);
void mem_managed_free(struct mem_alloc *alloc);

static inline void *mem_pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

static inline uint64_t mem_device_bit(int ordinal)
{
    return UINT64_C(1) << (unsigned)ordinal;
}

#endif /* SOFTCUDA_DRIVER_MEM_INT_H */
