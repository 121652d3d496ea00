/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/pool.h - memory pools, for the files that implement them.
 *
 * A pool is a heap that keeps empty blocks. A stream-ordered free is pending until its command
 * runs; until then the same stream may take the memory again, since its work is in order anyway.
 * Thread: mem_lock guards everything.
 */
#ifndef SOFTCUDA_DRIVER_POOL_H
#define SOFTCUDA_DRIVER_POOL_H

#include "cuda-common/object.h"
#include "cuda-common/pool.h"
#include "softcuda/driver/mem_int.h"

struct soft_stream;

struct soft_pool_free; /* a pending free */

/* Look-ups by handle take references and need no lock; the handle's own reference goes when the
 * pool is destroyed and its last allocation is freed. */
struct soft_pool {
    struct cuc_object object; /* its handle is the CUmemoryPool */
    struct soft_device *device;
    bool is_default;
    bool gone;              /* destroyed by the program */
    uint64_t live;          /* allocations and pending frees */
    struct cuc_pool common; /* limits, account, flags */
    struct mem_heap heap;
    struct soft_pool_free *pending;
    struct soft_pool *next;
};

/* The pool of a handle with one more reference; NULL if there is none. */
struct soft_pool *soft_pool_get(CUmemoryPool handle);
CUmemoryPool soft_pool_handle(const struct soft_pool *pool);

CUresult soft_pool_create(struct soft_device *device, uint64_t max_bytes,
                          struct soft_pool **pool_out); /* under mem_lock */
/* Its handle is stale already. Ends now, or with its last allocation. Under mem_lock. */
void soft_pool_retire(struct soft_pool *pool);

/* The device's default and current pool, made on first use; NULL: out of memory. Under mem_lock. */
struct soft_pool *soft_pool_default(struct soft_device *device);
struct soft_pool *soft_pool_current(struct soft_device *device);
void soft_pool_make_current(struct soft_device *device, struct soft_pool *pool);

/* Allocates for a stream; waits for pending frees when memory is short. */
CUresult soft_pool_alloc(struct soft_pool *pool, struct soft_stream *stream, uint64_t bytes,
                         CUdeviceptr *address_out);

/* Frees in stream order; keeps the caller's reference of the stream on CUDA_SUCCESS. */
CUresult soft_pool_free_async(uint64_t address, struct soft_stream *stream);

/* Sets which devices may access the pool's memory, now and later. Under mem_lock. */
void soft_pool_access(struct soft_pool *pool, uint64_t read_mask, uint64_t write_mask);

#endif /* SOFTCUDA_DRIVER_POOL_H */
