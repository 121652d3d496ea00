/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/pool.c - memory pools and stream-ordered allocation.
 *
 * An allocation is made at the call, so its address can be passed on at once. Memory comes, in this
 * order, from a pending free of the same stream, from what the pool holds, from the device. A free
 * takes effect when its command runs in the stream. What then exceeds the release threshold goes
 * back to the device. So where an allocation lies may depend on whether an earlier free has run:
 * a program that waits for its streams in between gets the same addresses every time.
 */
#include "softcuda/driver/pool.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/stream.h"

struct soft_pool_free {
    struct soft_pool *pool;
    struct soft_stream *stream; /* a reference, so that no other stream gets its address */
    struct mem_alloc *alloc;    /* NULL: taken again, nothing is left to do */
    struct soft_pool_free *next;
};

static struct soft_pool *pools; /* all of them */
static struct {
    struct soft_pool *standard, *current;
} of_device[DEVICE_COUNT_MAX];

struct soft_pool *soft_pool_get(CUmemoryPool handle)
{
    return (struct soft_pool *)cuc_object_get((uintptr_t)handle, CUC_POOL);
}

CUmemoryPool soft_pool_handle(const struct soft_pool *pool)
{
    return (CUmemoryPool)mem_pointer(pool->object.handle);
}

static void pool_destroy(struct cuc_object *object)
{
    free(object); /* the heap was cleared before the last reference went */
}

/* Ends a destroyed pool that has nothing left. Under mem_lock. */
static void pool_settle(struct soft_pool *pool)
{
    struct soft_pool **at = &pools;

    if (!pool->gone || pool->live > 0)
        return;
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    mem_heap_clear(&pool->heap);
    cuc_object_put(&pool->object);
}

CUresult soft_pool_create(struct soft_device *device, uint64_t max_bytes,
                          struct soft_pool **pool_out)
{
    struct soft_pool *pool = fab_alloc_zeroed(1, sizeof(*pool));
    uint64_t own = mem_device_bit(soft_device_ordinal(device));

    if (!pool)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pool->device = device;
    cuc_pool_init(&pool->common, max_bytes);
    pool->heap = (struct mem_heap){.common = {.ops = &mem_heap_ops, .keep_empty = true},
                                   .kind = MEM_DEVICE,
                                   .area = VA_SLICE,
                                   .device = device,
                                   .pool = pool,
                                   .read_mask = own,
                                   .write_mask = own};
    CUresult result = cuc_object_register(&pool->object, CUC_POOL, pool_destroy);

    if (result != CUDA_SUCCESS) {
        free(pool);
        return result;
    }
    pool->next = pools;
    pools = pool;
    *pool_out = pool;
    return CUDA_SUCCESS;
}

struct soft_pool *soft_pool_default(struct soft_device *device)
{
    int ordinal = soft_device_ordinal(device);

    if (!of_device[ordinal].standard &&
        soft_pool_create(device, 0, &of_device[ordinal].standard) == CUDA_SUCCESS)
        of_device[ordinal].standard->is_default = true;
    return of_device[ordinal].standard;
}

struct soft_pool *soft_pool_current(struct soft_device *device)
{
    struct soft_pool *current = of_device[soft_device_ordinal(device)].current;

    return current ? current : soft_pool_default(device);
}

void soft_pool_make_current(struct soft_device *device, struct soft_pool *pool)
{
    of_device[soft_device_ordinal(device)].current = pool;
}

void soft_pool_retire(struct soft_pool *pool)
{
    int ordinal = soft_device_ordinal(pool->device);

    if (of_device[ordinal].current == pool)
        of_device[ordinal].current = NULL;
    pool->gone = true;
    (void)cuc_heap_trim(&pool->heap.common, 0);
    pool_settle(pool);
}

void soft_pool_access(struct soft_pool *pool, uint64_t read_mask, uint64_t write_mask)
{
    pool->heap.read_mask = read_mask;
    pool->heap.write_mask = write_mask;
    mem_heap_access(&pool->heap);
}

/* ---- allocation ------------------------------------------------------------------------------ */

/* Memory whose free is pending in the same stream, if it fits without wasting more than a quarter.
 */
static struct mem_alloc *take_pending(struct soft_pool *pool, const struct soft_stream *stream,
                                      uint64_t bytes)
{
    struct soft_pool_free *best = NULL;

    for (struct soft_pool_free *free = pool->pending; free; free = free->next) {
        if (free->stream == stream && free->alloc &&
            cuc_pool_serves(free->alloc->span_bytes, bytes) &&
            (!best || free->alloc->span_bytes < best->alloc->span_bytes))
            best = free;
    }
    if (!best)
        return NULL;
    struct mem_alloc *alloc = best->alloc;

    best->alloc = NULL;
    return alloc;
}

static CUresult alloc_locked(struct soft_pool *pool, struct soft_stream *stream, uint64_t bytes,
                             CUdeviceptr *address_out)
{
    struct mem_alloc *alloc = take_pending(pool, stream, bytes);

    if (!alloc) {
        if (!cuc_pool_has_room(&pool->common, bytes))
            return CUDA_ERROR_OUT_OF_MEMORY;
        CUresult result = mem_heap_alloc(&pool->heap, bytes, MEM_UNIT, &alloc);

        if (result != CUDA_SUCCESS)
            return result;
        pool->live++;
        cuc_pool_use(&pool->common, alloc->span_bytes);
    }
    mem_alloc_renew(alloc, bytes, soft_stream_context(stream));
    *address_out = alloc->base;
    return CUDA_SUCCESS;
}

CUresult soft_pool_alloc(struct soft_pool *pool, struct soft_stream *stream, uint64_t bytes,
                         CUdeviceptr *address_out)
{
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = alloc_locked(pool, stream, bytes, address_out);

    (void)pthread_mutex_unlock(&mem_lock);
    if (result != CUDA_ERROR_OUT_OF_MEMORY || !soft_mem_reclaim(pool->device))
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    result = alloc_locked(pool, stream, bytes, address_out);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

/* ---- free ------------------------------------------------------------------------------------ */

void mem_pool_free(struct mem_alloc *alloc)
{
    struct soft_pool *pool = alloc->pool;
    uint64_t span_bytes = alloc->span_bytes;

    pool->live--;
    mem_heap_free(alloc);
    cuc_pool_unuse(&pool->common, &pool->heap.common, span_bytes);
    pool_settle(pool);
}

/* Takes the record off its pool's list; the memory must have been dealt with. Under mem_lock. */
static void record_end(struct soft_pool_free *record)
{
    struct soft_pool *pool = record->pool;
    struct soft_pool_free **at = &pool->pending;

    while (*at != record)
        at = &(*at)->next;
    *at = record->next;
    free(record);
    pool->live--;
    pool_settle(pool);
}

/* The command of a free: runs in stream order. */
static CUresult free_run(void *arg)
{
    struct soft_pool_free *record = arg;
    struct soft_stream *stream = record->stream;

    (void)pthread_mutex_lock(&mem_lock);
    if (record->alloc)
        mem_pool_free(record->alloc);
    record_end(record);
    (void)pthread_mutex_unlock(&mem_lock);
    soft_stream_put(stream);
    return CUDA_SUCCESS;
}

/* Under mem_lock. NULL if there is no such allocation, or out of memory (result_out says which). */
static struct soft_pool_free *record_free(uint64_t address, struct soft_stream *stream,
                                          CUresult *result_out)
{
    struct mem_alloc *alloc = mem_alloc_find(address);
    struct soft_pool_free *record;

    *result_out = CUDA_ERROR_INVALID_VALUE;
    if (!alloc || alloc->base != address || !alloc->pool || alloc->is_freed)
        return NULL;
    *result_out = CUDA_ERROR_OUT_OF_MEMORY;
    record = fab_alloc(sizeof(*record));
    if (!record)
        return NULL;
    *record = (struct soft_pool_free){
        .pool = alloc->pool, .stream = stream, .alloc = alloc, .next = alloc->pool->pending};
    alloc->pool->pending = record;
    alloc->pool->live++;
    alloc->is_freed = true;
    *result_out = CUDA_SUCCESS;
    return record;
}

CUresult soft_pool_free_async(uint64_t address, struct soft_stream *stream)
{
    CUresult result;

    (void)pthread_mutex_lock(&mem_lock);
    struct soft_pool_free *record = record_free(address, stream, &result);

    (void)pthread_mutex_unlock(&mem_lock);
    if (!record)
        return result;
    result = soft_stream_enqueue(stream, free_run, record);
    if (result == CUDA_SUCCESS)
        return result;
    /* Not queued: as if nothing had been asked. Between, its stream may have taken it again. */
    (void)pthread_mutex_lock(&mem_lock);
    if (record->alloc)
        record->alloc->is_freed = false;
    record_end(record);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

/* ---- for the other files of memory ------------------------------------------------------------
 */

bool mem_pools_trim(struct soft_device *device)
{
    uint64_t given = 0;

    for (struct soft_pool *pool = pools; pool; pool = pool->next) {
        if (pool->device == device)
            given += cuc_heap_trim(&pool->heap.common, 0);
    }
    return given > 0;
}

bool soft_mem_reclaim(struct soft_device *device)
{
    bool pending = false;

    (void)pthread_mutex_lock(&mem_lock);
    for (struct soft_pool *pool = pools; pool; pool = pool->next)
        pending = pending || (pool->device == device && pool->pending);
    (void)pthread_mutex_unlock(&mem_lock);
    return pending && soft_device_wait(device) == CUDA_SUCCESS;
}

void mem_pools_context_close(struct soft_context *context)
{
    struct mem_alloc *alloc;

    for (uint64_t at = 0; (alloc = mem_alloc_next(at)) != NULL;) {
        at = alloc->base + alloc->span_bytes;
        if (alloc->pool && alloc->context == context && !alloc->is_freed)
            mem_pool_free(alloc);
    }
}
