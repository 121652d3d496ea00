/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pool.h - rules of memory pools: properties, attributes, limits, who may access.
 *
 * A pool is a heap that keeps empty blocks, with an account of what is used. Which frees are done
 * is the driver's to know. Pools lie on devices and cannot be exported. Source: CUDA Driver API,
 * Stream Ordered Memory Allocator. Thread: the pool's lock.
 */
#ifndef CUDA_COMMON_POOL_H
#define CUDA_COMMON_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-common/heap.h"

struct cuc_pool {
    uint64_t max_bytes; /* 0: the device's memory */
    uint64_t release_threshold_bytes;
    uint64_t used_bytes, used_high_bytes;
    int follow_event_dependencies, allow_opportunistic, allow_internal_dependencies;
};

void cuc_pool_init(struct cuc_pool *pool, uint64_t max_bytes);

/* The properties of cuMemPoolCreate, and the location and type that name a device's pool. The
 * device is an ordinal, not checked. */
CUresult cuc_pool_check(const CUmemPoolProps *props, CUdevice *device_out);
CUresult cuc_pool_device(const CUmemLocation *location, CUmemAllocationType type,
                         CUdevice *device_out);

/* Whether a free that is pending in the same stream serves an allocation of `bytes` without
 * wasting more than a quarter. */
bool cuc_pool_serves(uint64_t span_bytes, uint64_t bytes);
/* Whether the pool's own limit leaves room. */
bool cuc_pool_has_room(const struct cuc_pool *pool, uint64_t bytes);
void cuc_pool_use(struct cuc_pool *pool, uint64_t span_bytes);
/* The memory is back in the heap already; what exceeds the threshold goes back to the device. */
void cuc_pool_unuse(struct cuc_pool *pool, struct cuc_heap *heap, uint64_t span_bytes);

CUresult cuc_pool_set(struct cuc_pool *pool, struct cuc_heap *heap, CUmemPool_attribute attribute,
                      const void *value);
CUresult cuc_pool_get(const struct cuc_pool *pool, const struct cuc_heap *heap,
                      CUmemPool_attribute attribute, void *value);

/* One description of cuMemPoolSetAccess for a pool on device `owner` (ordinals). *change_out: the
 * device that gets (PROT_READWRITE) or loses access; -1: nothing changes. */
CUresult cuc_pool_access(const CUmemAccessDesc *desc, int owner, int device_count,
                         bool (*can_peer)(int from, int to), int *change_out);

#endif /* CUDA_COMMON_POOL_H */
