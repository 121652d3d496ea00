/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/heap.c - heaps of a virtual GPU: where blocks lie in its slice, and how the worker
 * maps them.
 *
 * A block is one call to the worker (mem_map), made only when no block has room; what is taken from
 * it afterwards is not the worker's business. Addresses are first fit in the slice, so the same
 * calls give the same addresses. Source of the rules: cuda-common/heap.h.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/memory_int.h"
#include "cuda-client/region.h"
#include "cuda-client/transfer.h"

static struct cudac_place places[MEMORY_VGPUS_MAX]; /* all-zero is an unlocked mutex */

static struct cudac_memory_context *contexts; /* under the tables' lock */

struct cudac_place *cudac_place_of(const struct cudac_vgpu *vgpu)
{
    return &places[cudac_vgpu_index(vgpu)];
}

const struct cuc_layout *cudac_layout(void)
{
    return cuc_layout_row(cudac_layout_row());
}

CUresult cudac_memory_call(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts)
{
    struct cudac_reply reply = {0};
    CUresult result = cudac_call(worker, op, parts, &reply);

    cudac_reply_free(&reply);
    return result;
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

static struct cudac_heap *heap_of(struct cuc_heap *common)
{
    return (struct cudac_heap *)((char *)common - offsetof(struct cudac_heap, common));
}

struct peers {
    const struct cudac_vgpu *owner;
    uint64_t mask;
};

static void see_peer(struct cudac_context *context, void *arg)
{
    struct peers *peers = arg;

    if (context->vgpu != peers->owner && cudac_context_can_access(context, peers->owner))
        peers->mask |= memory_bit(context->vgpu);
}

/* Who else may access a heap's memory: entries for the wire. Returns how many. */
static uint32_t access_of(const struct cudac_heap *heap,
                          struct wire_access access[MEMORY_VGPUS_MAX])
{
    uint64_t own = memory_bit(heap->vgpu);
    uint64_t write_mask = heap->write_mask, read_mask = heap->read_mask;
    uint32_t count = 0;

    if (heap->by_peer) {
        struct peers peers = {.owner = heap->vgpu};

        cudac_context_each(NULL, see_peer, &peers);
        write_mask |= peers.mask;
        read_mask |= peers.mask;
    }
    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        uint64_t bit = UINT64_C(1) << i;
        const struct cudac_vgpu *vgpu = read_mask & bit & ~own ? cudac_vgpu_of_index(i) : NULL;

        if (vgpu && cudac_vgpu_worker(vgpu) == cudac_vgpu_worker(heap->vgpu))
            access[count++] =
                (struct wire_access){.vgpu = (int32_t)i,
                                     .flags = write_mask & bit ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                                                               : CU_MEM_ACCESS_FLAGS_PROT_READ};
    }
    return count;
}

static CUresult worker_map(const struct cudac_heap *heap, uint64_t address, uint64_t bytes)
{
    struct wire_access access[MEMORY_VGPUS_MAX];
    struct wire_mem_map map = {
        .address = address, .bytes = bytes, .vgpu = cudac_vgpu_index(heap->vgpu), .access = access};
    struct wire_parts parts;

    map.access_count = access_of(heap, access);
    wire_put_mem_map(&map, &parts);
    return cudac_memory_call(cudac_vgpu_worker(heap->vgpu), WIRE_MEM_MAP, &parts);
}

static void worker_unmap(const struct cudac_heap *heap, uint64_t address, uint64_t bytes)
{
    const struct wire_range range = {.address = address, .bytes = bytes};
    const struct wire_mem_free message = {
        .vgpu = cudac_vgpu_index(heap->vgpu), .ranges = &range, .ranges_count = 1};
    struct wire_parts parts;

    wire_put_mem_free(&message, &parts);
    /* A worker that is lost has freed it. */
    (void)cudac_memory_call(cudac_vgpu_worker(heap->vgpu), WIRE_MEM_FREE, &parts);
}

/* One extent a piece. Returns how many bytes from `lo` on have one now. */
static uint64_t enter_pieces(const struct cudac_heap *heap, uint64_t lo, uint64_t bytes)
{
    const struct cudac_extent extent = {.kind = CUDAC_MEMORY_DEVICE,
                                        .vgpu = heap->vgpu,
                                        .read_mask = heap->read_mask,
                                        .write_mask = heap->write_mask,
                                        .by_peer = heap->by_peer};
    uint64_t entered = 0;

    while (entered < bytes) {
        uint64_t left = bytes - entered, piece = left < CUC_PIECE ? left : CUC_PIECE;

        if (cudac_extent_add(lo + entered, lo + entered + piece, &extent) != CUDA_SUCCESS)
            break;
        entered += piece;
    }
    return entered;
}

static void drop_pieces(uint64_t lo, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += CUC_PIECE)
        cudac_extent_remove(lo + at);
}

static void block_give(struct cuc_heap *common, uint64_t address, uint64_t bytes)
{
    const struct cudac_heap *heap = heap_of(common);

    drop_pieces(address, bytes);
    worker_unmap(heap, address, bytes);
    (void)cuc_ranges_remove(&cudac_place_of(heap->vgpu)->taken, address);
}

static CUresult block_make(struct cuc_heap *common, uint64_t bytes, bool shared,
                           uint64_t *address_out)
{
    const struct cudac_heap *heap = heap_of(common);
    struct cudac_place *place = cudac_place_of(heap->vgpu);
    const struct cuc_span slice = cuc_layout_slice(cudac_layout(), cudac_vgpu_index(heap->vgpu));
    uint64_t lo, entered;
    CUresult result;

    (void)shared;
    if (!cuc_ranges_first_fit(&place->taken, slice.base, slice.base + slice.bytes, bytes,
                              CUC_GRANULE, &lo) ||
        !cuc_ranges_insert(&place->taken, lo, lo + bytes, NULL))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = worker_map(heap, lo, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && cudac_pools_trim(heap->vgpu))
        result = worker_map(heap, lo, bytes);
    if (result == CUDA_SUCCESS) {
        entered = enter_pieces(heap, lo, bytes);
        if (entered == bytes) {
            *address_out = lo;
            return CUDA_SUCCESS;
        }
        drop_pieces(lo, entered);
        worker_unmap(heap, lo, bytes);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    (void)cuc_ranges_remove(&place->taken, lo);
    return result;
}

const struct cuc_heap_ops cudac_heap_ops = {.make = block_make, .give = block_give};

/* ---- heaps ------------------------------------------------------------------------------------
 */

CUresult cudac_heap_alloc(struct cudac_heap *heap, uint64_t bytes, struct cudac_alloc **alloc_out)
{
    struct cudac_alloc values = {.bytes = bytes,
                                 .kind = CUDAC_MEMORY_DEVICE,
                                 .vgpu = heap->vgpu,
                                 .context = heap->context,
                                 .context_id = heap->context ? heap->context->id : 0,
                                 .pool = heap->pool,
                                 .pool_handle = heap->pool_handle};
    CUresult result = cuc_heap_alloc(&heap->common, bytes, CUC_UNIT, &values.part);

    if (result != CUDA_SUCCESS)
        return result;
    values.base = values.part.base;
    values.span_bytes = values.part.span_bytes;
    result = cudac_alloc_add(&values, alloc_out);
    if (result != CUDA_SUCCESS)
        cuc_heap_free(&values.part);
    return result;
}

void cudac_heap_free(struct cudac_alloc *alloc)
{
    const struct cuc_heap_part part = alloc->part;

    cudac_alloc_remove(alloc);
    cuc_heap_free(&part);
}

struct access_change {
    struct cudac_heap *heap;
    struct wire_access access[MEMORY_VGPUS_MAX];
    uint32_t count;
    CUresult result;
};

static void change_access(uint64_t lo, uint64_t bytes, void *arg)
{
    struct access_change *change = arg;
    struct cudac_heap *heap = change->heap;
    const struct wire_mem_access message = {
        .address = lo, .bytes = bytes, .access = change->access, .access_count = change->count};
    struct wire_parts parts;

    cudac_extent_access(lo, lo + bytes, heap->read_mask, heap->write_mask);
    if (change->count == 0)
        return;
    wire_put_mem_access(&message, &parts);
    CUresult result = cudac_memory_call(cudac_vgpu_worker(heap->vgpu), WIRE_MEM_ACCESS, &parts);

    if (change->result == CUDA_SUCCESS)
        change->result = result;
}

/* Devices that lost access are told so too: every device of the worker has an entry. */
CUresult cudac_heap_access(struct cudac_heap *heap)
{
    struct access_change change = {.heap = heap};
    uint64_t listed = memory_bit(heap->vgpu);

    change.count = access_of(heap, change.access);
    for (uint32_t i = 0; i < change.count; i++)
        listed |= UINT64_C(1) << (unsigned)change.access[i].vgpu;
    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        const struct cudac_vgpu *vgpu = cudac_vgpu_of_index(i);

        if (vgpu && !(listed & UINT64_C(1) << i) &&
            cudac_vgpu_worker(vgpu) == cudac_vgpu_worker(heap->vgpu))
            change.access[change.count++] =
                (struct wire_access){.vgpu = (int32_t)i, .flags = CU_MEM_ACCESS_FLAGS_PROT_NONE};
    }
    cuc_heap_each(&heap->common, change_access, &change);
    return change.result;
}

static void drop_allocations(uint64_t lo, uint64_t bytes, void *arg)
{
    struct cudac_alloc *alloc;

    (void)arg;
    while ((alloc = cudac_alloc_next(lo)) != NULL && alloc->base < lo + bytes)
        cudac_alloc_remove(alloc);
}

void cudac_heap_clear(struct cudac_heap *heap)
{
    cuc_heap_each(&heap->common, drop_allocations, NULL);
    cuc_heap_clear(&heap->common);
}

/* ---- contexts ---------------------------------------------------------------------------------
 */

struct cudac_memory_context *cudac_memory_context_find(const struct cudac_context *context)
{
    struct cudac_memory_context *at = contexts;

    while (at && at->context != context)
        at = at->next;
    return at;
}

/* A new entry, or the one that another thread made meanwhile. */
static struct cudac_memory_context *entry_new(struct cudac_context *context)
{
    struct cudac_memory_context *entry, *made = fab_alloc_zeroed(1, sizeof(*made));
    uint64_t own = memory_bit(context->vgpu);

    cudac_table_write();
    entry = cudac_memory_context_find(context);
    if (!entry && made) {
        *made = (struct cudac_memory_context){.context = context,
                                              .heap = {.common = {.ops = &cudac_heap_ops},
                                                       .vgpu = context->vgpu,
                                                       .context = context,
                                                       .read_mask = own,
                                                       .write_mask = own,
                                                       .by_peer = true},
                                              .next = contexts};
        contexts = entry = made;
        made = NULL;
    }
    cudac_table_unlock();
    free(made);
    return entry;
}

struct cudac_memory_context *cudac_memory_context(struct cudac_context *context)
{
    cudac_table_read();
    struct cudac_memory_context *entry = cudac_memory_context_find(context);

    cudac_table_unlock();
    return entry ? entry : entry_new(context);
}

void cudac_memory_context_close(struct cudac_context *context)
{
    struct cudac_place *place = cudac_place_of(context->vgpu);
    struct cudac_memory_context **at = &contexts, *entry;

    cudac_move_context_close(context);
    cudac_fixed_context_close(context);
    cudac_host_context_close(context);
    cudac_pools_context_close(context);
    (void)pthread_mutex_lock(&place->lock);
    cudac_table_read();
    entry = cudac_memory_context_find(context);
    cudac_table_unlock();
    if (entry) {
        cudac_heap_clear(&entry->heap);
        cudac_table_write();
        while (*at != entry)
            at = &(*at)->next;
        *at = entry->next;
        cudac_table_unlock();
        free(entry);
    }
    (void)pthread_mutex_unlock(&place->lock);
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

CUresult cudac_memory_wait(struct cudac_vgpu *vgpu, uint64_t context_id)
{
    struct cudac_worker *worker = cudac_vgpu_worker(vgpu);
    const struct wire_mem_free message = {
        .ctx = context_id, .wait = 1, .vgpu = cudac_vgpu_index(vgpu)};
    struct wire_mem_free_reply waited;
    struct cudac_reply reply = {0};
    struct wire_parts parts;

    wire_put_mem_free(&message, &parts);
    CUresult result = cudac_call(worker, WIRE_MEM_FREE, &parts, &reply), landed = CUDA_SUCCESS;

    if (reply.bytes && wire_get_mem_free_reply(reply.bytes, reply.size_bytes, &waited))
        landed = cudac_transfers_wait(worker, waited.landed, waited.landed_count);
    cudac_reply_free(&reply);
    if (result == CUDA_SUCCESS)
        result = landed;
    if (result == CUDA_SUCCESS)
        result = cudac_memory_after_wait(worker);
    struct cudac_context *context = cudac_context_of_id(context_id);

    if (context) {
        result = cudac_context_result(context, result);
        cuc_object_put(&context->object);
    }
    return result;
}

struct devices_seen {
    uint64_t mask;
    uint64_t context_id[MEMORY_VGPUS_MAX];
};

static void see_device(struct cudac_context *context, void *arg)
{
    struct devices_seen *seen = arg;
    uint32_t index = cudac_vgpu_index(context->vgpu);

    seen->mask |= UINT64_C(1) << index;
    seen->context_id[index] = context->id;
}

CUresult cudac_memory_wait_all(void)
{
    struct devices_seen seen = {0};
    CUresult result = CUDA_SUCCESS;

    cudac_context_each(NULL, see_device, &seen);
    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        struct cudac_vgpu *vgpu = seen.mask & UINT64_C(1) << i ? cudac_vgpu_of_index(i) : NULL;

        if (!vgpu || cudac_worker_state(cudac_vgpu_worker(vgpu)) != CUDA_SUCCESS)
            continue; /* a lost one uses nothing any more */
        CUresult one = cudac_memory_wait(vgpu, seen.context_id[i]);

        if (result == CUDA_SUCCESS)
            result = one;
    }
    return result;
}
