/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/pool.h - memory pools, for the files that implement them.
 *
 * A pool is a heap that keeps empty blocks. A stream-ordered free is pending until the client knows
 * that its stream has got there; until then the same stream may take the memory again, since its
 * work is in order anyway. Thread: the lock of the pool's place guards everything.
 */
#ifndef CUDA_CLIENT_POOL_H
#define CUDA_CLIENT_POOL_H

#include "cuda-client/memory_int.h"
#include "cuda-client/stream.h"
#include "cuda-common/object.h"
#include "cuda-common/pool.h"

struct cudac_pool_free; /* a pending free */

/* Look-ups by handle take references and need no lock; the handle's own reference goes when the
 * pool is destroyed and its last allocation is freed. */
struct cudac_pool {
    struct cuc_object object; /* its handle is the CUmemoryPool */
    struct cudac_vgpu *vgpu;
    bool is_default;
    bool gone;              /* destroyed by the program */
    uint64_t live;          /* allocations and pending frees */
    struct cuc_pool common; /* limits, account, flags */
    struct cudac_heap heap;
    struct cudac_pool_free *pending;
    struct cudac_pool *next; /* of the same vgpu */
};

/* The pool of a handle with one more reference; NULL if there is none. */
struct cudac_pool *cudac_pool_get(CUmemoryPool handle);
CUmemoryPool cudac_pool_handle(const struct cudac_pool *pool);

/* Under the lock of the vgpu's place. */
CUresult cudac_pool_create(struct cudac_vgpu *vgpu, uint64_t max_bytes,
                           struct cudac_pool **pool_out);
/* Its handle is stale already. Ends now, or with its last allocation. */
void cudac_pool_retire(struct cudac_pool *pool);
/* The vgpu's default and current pool, made on first use; NULL: out of memory. */
struct cudac_pool *cudac_pool_default(struct cudac_vgpu *vgpu);
struct cudac_pool *cudac_pool_current(struct cudac_vgpu *vgpu);
void cudac_pool_make_current(struct cudac_pool *pool);

/* Allocates for a stream; waits for pending frees when memory is short. Without locks. */
CUresult cudac_pool_alloc(struct cudac_pool *pool, struct cudac_stream *stream, uint64_t bytes,
                          CUdeviceptr *address_out);
/* Frees in stream order. Takes a reference of the stream. Without locks. */
CUresult cudac_pool_free_async(uint64_t address, struct cudac_stream *stream);

#endif /* CUDA_CLIENT_POOL_H */
