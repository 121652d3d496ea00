/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_heap.c - heaps of a device in this process: what blocks are made of.
 *
 * A block of up to 32 MiB is one extent, a larger one pieces of 32 MiB and a tail: a piece is the
 * unit that can be moved later. Nothing else maps this memory, so it is plain anonymous memory,
 * which large pages make fast to touch first.
 */
#include <stddef.h>

#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

static struct mem_heap *heap_of(struct cuc_heap *common)
{
    return (struct mem_heap *)((char *)common - offsetof(struct mem_heap, common));
}

/* One extent a piece. Returns how many bytes from `lo` on have one now. */
static uint64_t enter_pieces(const struct mem_heap *heap, uint64_t lo, uint64_t bytes)
{
    const struct mem_extent extent = {.kind = heap->kind,
                                      .device = heap->device,
                                      .read_mask = heap->read_mask,
                                      .write_mask = heap->write_mask,
                                      .by_peer = heap->by_peer};
    uint64_t entered = 0;

    while (entered < bytes) {
        uint64_t left = bytes - entered;
        uint64_t piece = left < MEM_PIECE ? left : MEM_PIECE;

        if (mem_extent_add(lo + entered, lo + entered + piece, &extent) != CUDA_SUCCESS)
            break;
        entered += piece;
    }
    return entered;
}

static void drop_pieces(uint64_t lo, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += MEM_PIECE)
        mem_extent_remove(lo + at);
}

static void block_give(struct cuc_heap *common, uint64_t address, uint64_t bytes)
{
    drop_pieces(address, bytes);
    va_release(address, bytes);
    soft_device_uncharge(heap_of(common)->device, bytes);
}

static CUresult block_make(struct cuc_heap *common, uint64_t bytes, bool shared,
                           uint64_t *address_out)
{
    const struct mem_heap *heap = heap_of(common);
    uint64_t lo, entered;

    if (!mem_charge(heap->device, bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!va_reserve(heap->area, soft_device_ordinal(heap->device), bytes, MEM_GRANULE, &lo))
        goto uncharge;
    /* Small allocations touch little of their block: huge pages would clear all of it. */
    if (!va_open(lo, bytes, /* huge */ !shared))
        goto release;
    entered = enter_pieces(heap, lo, bytes);
    if (entered == bytes) {
        *address_out = lo;
        return CUDA_SUCCESS;
    }
    drop_pieces(lo, entered);
release:
    va_release(lo, bytes);
uncharge:
    soft_device_uncharge(heap->device, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

const struct cuc_heap_ops mem_heap_ops = {.make = block_make, .give = block_give};

CUresult mem_heap_alloc(struct mem_heap *heap, uint64_t bytes, uint64_t align,
                        struct mem_alloc **alloc_out)
{
    struct mem_alloc values = {.bytes = bytes,
                               .kind = heap->kind,
                               .device = heap->device,
                               .context = heap->context,
                               .pool = heap->pool};
    CUresult result = cuc_heap_alloc(&heap->common, bytes, align, &values.part);

    if (result != CUDA_SUCCESS)
        return result;
    values.base = values.part.base;
    values.span_bytes = values.part.span_bytes;
    result = mem_alloc_add(&values, alloc_out);
    if (result != CUDA_SUCCESS)
        cuc_heap_free(&values.part);
    return result;
}

void mem_heap_free(struct mem_alloc *alloc)
{
    const struct cuc_heap_part part = alloc->part;

    mem_alloc_remove(alloc);
    cuc_heap_free(&part);
}

static void change_access(uint64_t lo, uint64_t bytes, void *arg)
{
    const struct mem_heap *heap = arg;

    mem_extent_access(lo, lo + bytes, heap->read_mask, heap->write_mask);
}

void mem_heap_access(struct mem_heap *heap)
{
    cuc_heap_each(&heap->common, change_access, heap);
}

static void drop_allocations(uint64_t lo, uint64_t bytes, void *arg)
{
    struct mem_alloc *alloc;

    (void)arg;
    while ((alloc = mem_alloc_next(lo)) != NULL && alloc->base < lo + bytes)
        mem_alloc_remove(alloc);
}

void mem_heap_clear(struct mem_heap *heap)
{
    cuc_heap_each(&heap->common, drop_allocations, NULL);
    cuc_heap_clear(&heap->common);
}
