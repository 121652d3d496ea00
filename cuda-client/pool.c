/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/pool.c - memory pools and stream-ordered allocation.
 *
 * An allocation is made at the call, so its address can be passed on at once. Memory comes, in this
 * order, from a pending free of the same stream, from what the pool holds, from the device. A free
 * leaves a mark in its stream (an event record); when the client knows that the mark is done, by
 * any wait or query, the memory is the pool's again, and what then exceeds the release threshold
 * goes back to the device.
 */
#include "cuda-client/pool.h"

#include <stdlib.h>

#include "base/alloc.h"

struct cudac_pool_free {
    struct cudac_pool *pool;
    struct cudac_stream *stream; /* a reference, so that no other stream gets its address */
    uint64_t position;           /* of the mark in the stream */
    uint64_t order;              /* of all frees of the vgpu */
    struct cudac_alloc *alloc;   /* NULL: taken again, nothing is left to do */
    struct cudac_pool_free *next;
};

/* Under the place's lock. */
static struct vgpu_pools {
    struct cudac_pool *all, *standard, *current;
    uint64_t order;         /* of the last free */
    uint64_t done_order;    /* all up to here are known to be done */
    _Atomic uint32_t count; /* of pending frees: read without the lock */
} of_vgpu[MEMORY_VGPUS_MAX];

static struct vgpu_pools *pools_of(const struct cudac_vgpu *vgpu)
{
    return &of_vgpu[cudac_vgpu_index(vgpu)];
}

struct cudac_pool *cudac_pool_get(CUmemoryPool handle)
{
    return (struct cudac_pool *)cuc_object_get((uintptr_t)handle, CUC_POOL);
}

CUmemoryPool cudac_pool_handle(const struct cudac_pool *pool)
{
    return (CUmemoryPool)memory_pointer(pool->object.handle);
}

static void pool_destroy(struct cuc_object *object)
{
    free(object); /* the heap was cleared before the last reference went */
}

/* Ends a destroyed pool that has nothing left. */
static void pool_settle(struct cudac_pool *pool)
{
    struct cudac_pool **at = &pools_of(pool->vgpu)->all;

    if (!pool->gone || pool->live > 0)
        return;
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    cudac_heap_clear(&pool->heap);
    cuc_object_put(&pool->object);
}

CUresult cudac_pool_create(struct cudac_vgpu *vgpu, uint64_t max_bytes,
                           struct cudac_pool **pool_out)
{
    struct cudac_pool *pool = fab_alloc_zeroed(1, sizeof(*pool));
    uint64_t own = memory_bit(vgpu);

    if (!pool)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pool->vgpu = vgpu;
    cuc_pool_init(&pool->common, max_bytes);
    pool->heap = (struct cudac_heap){.common = {.ops = &cudac_heap_ops, .keep_empty = true},
                                     .vgpu = vgpu,
                                     .pool = pool,
                                     .read_mask = own,
                                     .write_mask = own};
    CUresult result = cuc_object_register(&pool->object, CUC_POOL, pool_destroy);

    if (result != CUDA_SUCCESS) {
        free(pool);
        return result;
    }
    pool->heap.pool_handle = pool->object.handle;
    pool->next = pools_of(vgpu)->all;
    pools_of(vgpu)->all = pool;
    *pool_out = pool;
    return CUDA_SUCCESS;
}

struct cudac_pool *cudac_pool_default(struct cudac_vgpu *vgpu)
{
    struct vgpu_pools *pools = pools_of(vgpu);

    if (!pools->standard && cudac_pool_create(vgpu, 0, &pools->standard) == CUDA_SUCCESS)
        pools->standard->is_default = true;
    return pools->standard;
}

struct cudac_pool *cudac_pool_current(struct cudac_vgpu *vgpu)
{
    struct cudac_pool *current = pools_of(vgpu)->current;

    return current ? current : cudac_pool_default(vgpu);
}

void cudac_pool_make_current(struct cudac_pool *pool)
{
    pools_of(pool->vgpu)->current = pool;
}

void cudac_pool_retire(struct cudac_pool *pool)
{
    struct vgpu_pools *pools = pools_of(pool->vgpu);

    if (pools->current == pool)
        pools->current = NULL;
    pool->gone = true;
    (void)cuc_heap_trim(&pool->heap.common, 0);
    pool_settle(pool);
}

/* ---- frees that are done ----------------------------------------------------------------------
 */

static bool is_done(const struct cudac_pool_free *record)
{
    return record->order <= pools_of(record->pool->vgpu)->done_order ||
           atomic_load_explicit(&record->stream->done, memory_order_acquire) >= record->position;
}

/* Takes finished frees out of one pool and chains them to `done`. */
static struct cudac_pool_free *take_done(struct cudac_pool *pool, struct cudac_pool_free *done)
{
    struct cudac_pool_free **at = &pool->pending, *record;

    while ((record = *at) != NULL) {
        if (!is_done(record)) {
            at = &record->next;
            continue;
        }
        *at = record->next;
        record->next = done;
        done = record;
        (void)atomic_fetch_sub(&pools_of(pool->vgpu)->count, 1);
        if (record->alloc)
            cudac_pool_free(record->alloc);
        pool->live--;
    }
    return done;
}

/* All that is done on the vgpu takes effect. What it returns is for records_end(), after the lock:
 * the last reference of a stream may be put there. */
static struct cudac_pool_free *settle(struct cudac_vgpu *vgpu)
{
    struct cudac_pool_free *done = NULL;

    for (struct cudac_pool *pool = pools_of(vgpu)->all, *next; pool; pool = next) {
        next = pool->next;
        done = take_done(pool, done);
        pool_settle(pool);
    }
    return done;
}

static void records_end(struct cudac_pool_free *records)
{
    while (records) {
        struct cudac_pool_free *next = records->next;

        cudac_stream_put(records->stream);
        free(records);
        records = next;
    }
}

void cudac_pools_settle(struct cudac_vgpu *vgpu)
{
    struct cudac_place *place = cudac_place_of(vgpu);

    if (atomic_load_explicit(&pools_of(vgpu)->count, memory_order_acquire) == 0)
        return;
    (void)pthread_mutex_lock(&place->lock);
    struct cudac_pool_free *done = settle(vgpu);

    (void)pthread_mutex_unlock(&place->lock);
    records_end(done);
}

void cudac_pools_settle_all(const struct cudac_worker *worker)
{
    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        if (atomic_load_explicit(&of_vgpu[i].count, memory_order_acquire) == 0)
            continue;
        struct cudac_vgpu *vgpu = cudac_vgpu_of_index(i);

        if (cudac_vgpu_worker(vgpu) == worker)
            cudac_pools_settle(vgpu);
    }
}

/* ---- allocation -------------------------------------------------------------------------------
 */

/* Memory whose free is pending in the same stream. */
static struct cudac_alloc *take_pending(struct cudac_pool *pool, const struct cudac_stream *stream,
                                        uint64_t bytes)
{
    struct cudac_pool_free *best = NULL;

    for (struct cudac_pool_free *at = pool->pending; at; at = at->next) {
        if (at->stream == stream && at->alloc && cuc_pool_serves(at->alloc->span_bytes, bytes) &&
            (!best || at->alloc->span_bytes < best->alloc->span_bytes))
            best = at;
    }
    if (!best)
        return NULL;
    struct cudac_alloc *alloc = best->alloc;

    best->alloc = NULL;
    return alloc;
}

static CUresult alloc_locked(struct cudac_pool *pool, struct cudac_stream *stream, uint64_t bytes,
                             CUdeviceptr *address_out)
{
    struct cudac_alloc *alloc = take_pending(pool, stream, bytes);

    if (!alloc) {
        if (!cuc_pool_has_room(&pool->common, bytes))
            return CUDA_ERROR_OUT_OF_MEMORY;
        CUresult result = cudac_heap_alloc(&pool->heap, bytes, &alloc);

        if (result != CUDA_SUCCESS)
            return result;
        pool->live++;
        cuc_pool_use(&pool->common, alloc->span_bytes);
    }
    cudac_alloc_renew(alloc, bytes, stream->context);
    *address_out = alloc->base;
    return CUDA_SUCCESS;
}

static CUresult alloc_once(struct cudac_pool *pool, struct cudac_stream *stream, uint64_t bytes,
                           CUdeviceptr *address_out)
{
    struct cudac_place *place = cudac_place_of(pool->vgpu);

    (void)pthread_mutex_lock(&place->lock);
    struct cudac_pool_free *done = settle(pool->vgpu);
    CUresult result = alloc_locked(pool, stream, bytes, address_out);

    (void)pthread_mutex_unlock(&place->lock);
    records_end(done);
    return result;
}

CUresult cudac_pool_alloc(struct cudac_pool *pool, struct cudac_stream *stream, uint64_t bytes,
                          CUdeviceptr *address_out)
{
    CUresult result = alloc_once(pool, stream, bytes, address_out);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && cudac_pools_reclaim(pool->vgpu))
        result = alloc_once(pool, stream, bytes, address_out);
    return result;
}

/* ---- free -------------------------------------------------------------------------------------
 */

void cudac_pool_free(struct cudac_alloc *alloc)
{
    struct cudac_pool *pool = alloc->pool;
    uint64_t span_bytes = alloc->span_bytes;

    pool->live--;
    cudac_heap_free(alloc);
    cuc_pool_unuse(&pool->common, &pool->heap.common, span_bytes);
    pool_settle(pool);
}

/* Records the event that marks where frees of a context are in its streams; nobody waits for it. */
static CUresult mark_locked(struct cudac_stream *stream, struct cudac_memory_context *entry)
{
    struct cudac_context *context = stream->context;
    struct wire_parts parts;

    if (entry->free_event == 0) {
        const struct wire_event_create create = {
            .event = cudac_id_new(), .ctx = context->id, .flags = CU_EVENT_DISABLE_TIMING};

        wire_put_event_create(&create, &parts);
        CUresult result =
            cudac_post(cudac_context_worker(context), WIRE_EVENT_CREATE, &parts, NULL);

        if (result != CUDA_SUCCESS)
            return result;
        entry->free_event = create.event;
    }
    const struct wire_event_record record = {.event = entry->free_event,
                                             .ctx = context->id,
                                             .stream = stream->id,
                                             .generation = ++entry->free_generation};

    wire_put_event_record(&record, &parts);
    return cudac_stream_post(stream, WIRE_EVENT_RECORD, &parts, NULL);
}

static CUresult mark(struct cudac_stream *stream, uint64_t *position_out)
{
    static pthread_mutex_t mark_lock = PTHREAD_MUTEX_INITIALIZER; /* frees at several devices */
    struct cudac_memory_context *entry = cudac_memory_context(stream->context);

    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    (void)pthread_mutex_lock(&mark_lock);
    CUresult result = mark_locked(stream, entry);

    (void)pthread_mutex_unlock(&mark_lock);
    *position_out = atomic_load_explicit(&stream->posted, memory_order_acquire);
    return result;
}

static CUresult free_locked(uint64_t address, struct cudac_vgpu *vgpu, struct cudac_stream *stream)
{
    struct cudac_alloc *alloc = cudac_alloc_at(address);
    struct cudac_pool_free *record;

    if (!alloc || alloc->base != address || !alloc->pool || alloc->vgpu != vgpu || alloc->is_freed)
        return CUDA_ERROR_INVALID_VALUE;
    record = fab_alloc(sizeof(*record));
    if (!record)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *record = (struct cudac_pool_free){.pool = alloc->pool,
                                       .stream = stream,
                                       .order = pools_of(vgpu)->order + 1,
                                       .alloc = alloc,
                                       .next = alloc->pool->pending};
    CUresult result = mark(stream, &record->position);

    if (result != CUDA_SUCCESS) {
        free(record);
        return result;
    }
    cuc_object_ref(&stream->object);
    cudac_table_write();
    alloc->is_freed = true;
    cudac_table_unlock();
    alloc->pool->pending = record;
    alloc->pool->live++;
    pools_of(vgpu)->order++;
    (void)atomic_fetch_add(&pools_of(vgpu)->count, 1);
    return CUDA_SUCCESS;
}

CUresult cudac_pool_free_async(uint64_t address, struct cudac_stream *stream)
{
    struct cudac_alloc seen;

    if (!cudac_alloc_find(address, &seen) || !seen.pool)
        return CUDA_ERROR_INVALID_VALUE;
    struct cudac_place *place = cudac_place_of(seen.vgpu);

    (void)pthread_mutex_lock(&place->lock);
    CUresult result = free_locked(address, seen.vgpu, stream);

    (void)pthread_mutex_unlock(&place->lock);
    return result;
}

/* ---- for the other files of memory ------------------------------------------------------------
 */

bool cudac_pools_trim(struct cudac_vgpu *vgpu)
{
    uint64_t given = 0;

    for (struct cudac_pool *pool = pools_of(vgpu)->all; pool; pool = pool->next)
        given += cuc_heap_trim(&pool->heap.common, 0);
    return given > 0;
}

/* A free's mark may lie in a stream of another device: all are waited for. */
bool cudac_pools_reclaim(struct cudac_vgpu *vgpu)
{
    struct cudac_place *place = cudac_place_of(vgpu);
    struct vgpu_pools *pools = pools_of(vgpu);

    if (atomic_load_explicit(&pools->count, memory_order_acquire) == 0)
        return false;
    (void)pthread_mutex_lock(&place->lock);
    uint64_t order = pools->order;

    (void)pthread_mutex_unlock(&place->lock);
    if (cudac_memory_wait_all() != CUDA_SUCCESS)
        return false;
    (void)pthread_mutex_lock(&place->lock);
    if (order > pools->done_order)
        pools->done_order = order;
    struct cudac_pool_free *done = settle(vgpu);

    (void)pthread_mutex_unlock(&place->lock);
    records_end(done);
    return true;
}

bool cudac_memory_reclaim(struct cudac_vgpu *vgpu)
{
    struct cudac_place *place = cudac_place_of(vgpu);
    bool pending = cudac_pools_reclaim(vgpu);

    (void)pthread_mutex_lock(&place->lock);
    bool given = cudac_pools_trim(vgpu);

    (void)pthread_mutex_unlock(&place->lock);
    return given || pending;
}

/* Under the place's lock of the vgpu. */
static void free_all_of(const struct cudac_vgpu *vgpu, const struct cudac_context *context)
{
    struct cudac_alloc *alloc;

    for (uint64_t at = 0; (alloc = cudac_alloc_next(at)) != NULL;) {
        at = alloc->base + alloc->span_bytes;
        if (alloc->pool && alloc->vgpu == vgpu && alloc->context_id == context->id &&
            !alloc->is_freed)
            cudac_pool_free(alloc);
    }
}

/* All work of the context is done. */
static struct cudac_pool_free *close_at(struct cudac_vgpu *vgpu,
                                        const struct cudac_context *context)
{
    for (struct cudac_pool *pool = pools_of(vgpu)->all; pool; pool = pool->next) {
        for (struct cudac_pool_free *at = pool->pending; at; at = at->next) {
            if (at->stream->context == context)
                at->order = 0;
        }
    }
    return settle(vgpu);
}

void cudac_pools_context_close(struct cudac_context *context)
{
    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        struct cudac_vgpu *vgpu = cudac_vgpu_of_index(i);
        struct cudac_place *place = vgpu ? cudac_place_of(vgpu) : NULL;

        if (!vgpu || !pools_of(vgpu)->all)
            continue;
        (void)pthread_mutex_lock(&place->lock);
        free_all_of(vgpu, context);
        struct cudac_pool_free *done = close_at(vgpu, context);

        (void)pthread_mutex_unlock(&place->lock);
        records_end(done);
    }
}
