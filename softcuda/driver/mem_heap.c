/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_heap.c - allocations in blocks and pieces.
 *
 * Below 2 MiB: shared blocks of 2 MiB, in units of 512 bytes, first fit in the lowest block.
 * From 32 MiB on: pieces of 32 MiB and a tail in steps of 2 MiB. Between: one piece in steps of
 * 2 MiB. A piece is one extent, the unit that can be moved later. Nothing else maps this memory, so
 * it is plain anonymous memory, which large pages make fast to touch first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

enum {
    UNITS = MEM_GRANULE / MEM_UNIT, /* of a shared block */
    WORD_UNITS = 64,
    WORDS = UNITS / WORD_UNITS,
};

struct mem_block {
    struct mem_heap *heap;
    struct mem_block *next;
    uint64_t lo, bytes;
    uint64_t entered_bytes; /* that have extents: all, once it is built */
    bool is_charged;
    bool shared;   /* of small allocations: `used` counts */
    uint32_t live; /* allocations in it */
    uint32_t free_units;
    uint32_t gap_max; /* no gap of more units exists (an upper bound) */
    uint64_t used[WORDS];
};

/* ---- units of a shared block ---------------------------------------------------------------- */

static bool unit_used(const struct mem_block *block, uint32_t unit)
{
    return block->used[unit / WORD_UNITS] >> (unit % WORD_UNITS) & 1;
}

static void units_mark(struct mem_block *block, uint32_t first, uint32_t count, bool used)
{
    for (uint32_t unit = first; unit < first + count; unit++) {
        uint64_t bit = UINT64_C(1) << (unit % WORD_UNITS);

        if (used)
            block->used[unit / WORD_UNITS] |= bit;
        else
            block->used[unit / WORD_UNITS] &= ~bit;
    }
    if (used) {
        block->free_units -= count;
    } else {
        block->free_units += count;
        block->gap_max = UNITS;
    }
}

/* The first gap of `count` units at a multiple of `align` units, or UNITS. */
static uint32_t units_fit(struct mem_block *block, uint32_t count, uint32_t align)
{
    uint32_t gap_max = 0;

    if (count > block->free_units || count > block->gap_max)
        return UNITS;
    for (uint32_t unit = 0; unit < UNITS;) {
        if (unit % WORD_UNITS == 0 && block->used[unit / WORD_UNITS] == UINT64_MAX) {
            unit += WORD_UNITS;
            continue;
        }
        if (unit_used(block, unit)) {
            unit++;
            continue;
        }
        uint32_t end = unit;

        while (end < UNITS && !unit_used(block, end) && end - unit < count + align)
            end++;
        uint32_t at = (unit + align - 1) & ~(align - 1);

        if (at < end && end - at >= count)
            return at;
        gap_max = end - unit > gap_max ? end - unit : gap_max;
        unit = end;
    }
    block->gap_max = gap_max;
    return UNITS;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void block_link(struct mem_heap *heap, struct mem_block *block)
{
    struct mem_block **at = &heap->blocks;

    while (*at && (*at)->lo < block->lo)
        at = &(*at)->next;
    block->next = *at;
    *at = block;
    heap->reserved_bytes += block->bytes;
    if (heap->reserved_bytes > heap->reserved_high_bytes)
        heap->reserved_high_bytes = heap->reserved_bytes;
}

static void block_unlink(struct mem_block *block)
{
    struct mem_block **at = &block->heap->blocks;

    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    block->heap->reserved_bytes -= block->bytes;
}

/* Takes half-built blocks, which are not linked yet. */
static void block_drop(struct mem_block *block)
{
    for (uint64_t at = 0; at < block->entered_bytes; at += MEM_PIECE)
        mem_extent_remove(block->lo + at);
    if (block->lo)
        va_release(block->lo, block->bytes);
    if (block->is_charged)
        soft_device_uncharge(block->heap->device, block->bytes);
    free(block);
}

/* One extent a piece. */
static CUresult enter_pieces(struct mem_block *block)
{
    const struct mem_heap *heap = block->heap;
    struct mem_extent extent = {.kind = heap->kind,
                                .device = heap->device,
                                .read_mask = heap->read_mask,
                                .write_mask = heap->write_mask,
                                .by_peer = heap->by_peer};

    while (block->entered_bytes < block->bytes) {
        uint64_t left = block->bytes - block->entered_bytes;
        uint64_t bytes = left < MEM_PIECE ? left : MEM_PIECE;
        uint64_t lo = block->lo + block->entered_bytes;
        CUresult result = mem_extent_add(lo, lo + bytes, &extent);

        if (result != CUDA_SUCCESS)
            return result;
        block->entered_bytes += bytes;
    }
    return CUDA_SUCCESS;
}

static CUresult block_create(struct mem_heap *heap, uint64_t bytes, bool shared,
                             struct mem_block **block_out)
{
    struct mem_block *block = fab_alloc_zeroed(1, sizeof(*block));

    if (!block)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *block = (struct mem_block){
        .heap = heap, .bytes = bytes, .shared = shared, .free_units = UNITS, .gap_max = UNITS};
    block->is_charged = mem_charge(heap->device, bytes);
    if (!block->is_charged ||
        !va_reserve(heap->area, soft_device_ordinal(heap->device), bytes, MEM_GRANULE, &block->lo))
        goto out_of_memory;
    /* Small allocations touch little of their block: huge pages would clear all of it. */
    if (!va_open(block->lo, bytes, /* huge */ !shared) || enter_pieces(block) != CUDA_SUCCESS)
        goto out_of_memory;
    block_link(heap, block);
    *block_out = block;
    return CUDA_SUCCESS;

out_of_memory:
    block_drop(block);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static void block_destroy(struct mem_block *block)
{
    block_unlink(block);
    block_drop(block);
}

/* ---- allocations ----------------------------------------------------------------------------- */

static CUresult enter(struct mem_block *block, uint64_t base, uint64_t bytes, uint64_t span_bytes,
                      struct mem_alloc **alloc_out)
{
    struct mem_heap *heap = block->heap;
    struct mem_alloc values = {.base = base,
                               .bytes = bytes,
                               .span_bytes = span_bytes,
                               .kind = heap->kind,
                               .device = heap->device,
                               .context = heap->context,
                               .block = block,
                               .pool = heap->pool};
    CUresult result = mem_alloc_add(&values, alloc_out);

    if (result == CUDA_SUCCESS)
        block->live++;
    else if (block->live == 0)
        block_destroy(block);
    return result;
}

static CUresult alloc_small(struct mem_heap *heap, uint64_t bytes, uint64_t align,
                            struct mem_alloc **alloc_out)
{
    uint32_t count = (uint32_t)((bytes + MEM_UNIT - 1) / MEM_UNIT);
    uint32_t align_units = align > MEM_UNIT ? (uint32_t)(align / MEM_UNIT) : 1;
    struct mem_block *block;
    uint32_t unit = UNITS;

    for (block = heap->blocks; block; block = block->next) {
        if (!block->shared && !(block->live == 0 && block->bytes == MEM_GRANULE))
            continue;
        unit = units_fit(block, count, align_units);
        if (unit < UNITS)
            break;
    }
    if (!block) {
        CUresult result = block_create(heap, MEM_GRANULE, true, &block);

        if (result != CUDA_SUCCESS)
            return result;
        unit = 0;
    }
    block->shared = true;
    CUresult result = enter(block, block->lo + unit * MEM_UNIT, bytes, count * MEM_UNIT, alloc_out);

    if (result == CUDA_SUCCESS)
        units_mark(block, unit, count, true);
    return result;
}

/* An empty block kept by a pool that fits without wasting more than a quarter. */
static struct mem_block *kept_block(struct mem_heap *heap, uint64_t bytes)
{
    struct mem_block *best = NULL;

    for (struct mem_block *block = heap->blocks; block; block = block->next) {
        if (block->live == 0 && block->bytes >= bytes && block->bytes - bytes <= bytes / 4 &&
            (!best || block->bytes < best->bytes))
            best = block;
    }
    return best;
}

CUresult mem_heap_alloc(struct mem_heap *heap, uint64_t bytes, uint64_t align,
                        struct mem_alloc **alloc_out)
{
    if (bytes == 0 || bytes > UINT64_MAX - MEM_GRANULE || align > MEM_GRANULE)
        return bytes == 0 || align > MEM_GRANULE ? CUDA_ERROR_INVALID_VALUE
                                                 : CUDA_ERROR_OUT_OF_MEMORY;
    if (bytes < MEM_GRANULE)
        return alloc_small(heap, bytes, align, alloc_out);
    struct mem_block *block = kept_block(heap, mem_round_up(bytes, MEM_GRANULE));

    if (!block) {
        CUresult result = block_create(heap, mem_round_up(bytes, MEM_GRANULE), false, &block);

        if (result != CUDA_SUCCESS)
            return result;
    }
    block->shared = false;
    return enter(block, block->lo, bytes, block->bytes, alloc_out);
}

void mem_heap_free(struct mem_alloc *alloc)
{
    struct mem_block *block = alloc->block;

    if (block->shared)
        units_mark(block, (uint32_t)((alloc->base - block->lo) / MEM_UNIT),
                   (uint32_t)(alloc->span_bytes / MEM_UNIT), false);
    mem_alloc_remove(alloc);
    block->live--;
    if (block->live == 0 && !block->heap->keep_empty)
        block_destroy(block);
}

uint64_t mem_heap_trim(struct mem_heap *heap, uint64_t keep_bytes)
{
    uint64_t given = 0;

    for (struct mem_block *block = heap->blocks, *next; block; block = next) {
        next = block->next;
        if (heap->reserved_bytes <= keep_bytes)
            break;
        if (block->live > 0)
            continue;
        given += block->bytes;
        block_destroy(block);
    }
    return given;
}

void mem_heap_access(struct mem_heap *heap)
{
    for (const struct mem_block *block = heap->blocks; block; block = block->next)
        mem_extent_access(block->lo, block->lo + block->bytes, heap->read_mask, heap->write_mask);
}

void mem_heap_clear(struct mem_heap *heap)
{
    struct mem_block *block;

    while ((block = heap->blocks) != NULL) {
        struct mem_alloc *alloc;

        while (block->live > 0 && (alloc = mem_alloc_next(block->lo)) != NULL) {
            mem_alloc_remove(alloc);
            block->live--;
        }
        heap->blocks = block->next;
        heap->reserved_bytes -= block->bytes;
        block_drop(block);
    }
}
