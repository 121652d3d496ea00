/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/heap.c - blocks, and the units of those that small allocations share.
 */
#include "cuda-common/heap.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-common/ranges.h"

enum {
    UNITS = CUC_GRANULE / CUC_UNIT, /* of a shared block */
    WORD_UNITS = 64,
    WORDS = UNITS / WORD_UNITS,
};

struct cuc_block {
    struct cuc_heap *heap;
    struct cuc_block *next;
    uint64_t lo, bytes;
    bool shared;   /* of small allocations: `used` counts */
    uint32_t live; /* allocations in it */
    uint32_t free_units;
    uint32_t gap_max; /* no gap of more units exists (an upper bound) */
    uint64_t used[WORDS];
};

/* ---- units of a shared block ---------------------------------------------------------------- */

static bool unit_used(const struct cuc_block *block, uint32_t unit)
{
    return block->used[unit / WORD_UNITS] >> (unit % WORD_UNITS) & 1;
}

static void units_mark(struct cuc_block *block, uint32_t first, uint32_t count, bool used)
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
static uint32_t units_fit(struct cuc_block *block, uint32_t count, uint32_t align)
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

static void block_link(struct cuc_heap *heap, struct cuc_block *block)
{
    struct cuc_block **at = &heap->blocks;

    while (*at && (*at)->lo < block->lo)
        at = &(*at)->next;
    block->next = *at;
    *at = block;
    heap->reserved_bytes += block->bytes;
    if (heap->reserved_bytes > heap->reserved_high_bytes)
        heap->reserved_high_bytes = heap->reserved_bytes;
}

static CUresult block_create(struct cuc_heap *heap, uint64_t bytes, bool shared,
                             struct cuc_block **block_out)
{
    struct cuc_block *block = fab_alloc_zeroed(1, sizeof(*block));
    CUresult result;

    if (!block)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *block = (struct cuc_block){
        .heap = heap, .bytes = bytes, .shared = shared, .free_units = UNITS, .gap_max = UNITS};
    result = heap->ops->make(heap, bytes, shared, &block->lo);
    if (result != CUDA_SUCCESS) {
        free(block);
        return result;
    }
    block_link(heap, block);
    *block_out = block;
    return CUDA_SUCCESS;
}

static void block_destroy(struct cuc_block *block)
{
    struct cuc_heap *heap = block->heap;
    struct cuc_block **at = &heap->blocks;

    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    heap->reserved_bytes -= block->bytes;
    heap->ops->give(heap, block->lo, block->bytes);
    free(block);
}

/* ---- allocations ----------------------------------------------------------------------------- */

static CUresult alloc_small(struct cuc_heap *heap, uint64_t bytes, uint64_t align,
                            struct cuc_heap_part *part_out)
{
    uint32_t count = (uint32_t)((bytes + CUC_UNIT - 1) / CUC_UNIT);
    uint32_t align_units = align > CUC_UNIT ? (uint32_t)(align / CUC_UNIT) : 1;
    struct cuc_block *block;
    uint32_t unit = UNITS;

    for (block = heap->blocks; block; block = block->next) {
        if (!block->shared && !(block->live == 0 && block->bytes == CUC_GRANULE))
            continue;
        unit = units_fit(block, count, align_units);
        if (unit < UNITS)
            break;
    }
    if (!block) {
        CUresult result = block_create(heap, CUC_GRANULE, true, &block);

        if (result != CUDA_SUCCESS)
            return result;
        unit = 0;
    }
    block->shared = true;
    block->live++;
    units_mark(block, unit, count, true);
    *part_out = (struct cuc_heap_part){
        .base = block->lo + unit * CUC_UNIT, .span_bytes = count * CUC_UNIT, .block = block};
    return CUDA_SUCCESS;
}

/* An empty block kept by a pool that fits without wasting more than a quarter. */
static struct cuc_block *kept_block(struct cuc_heap *heap, uint64_t bytes)
{
    struct cuc_block *best = NULL;

    for (struct cuc_block *block = heap->blocks; block; block = block->next) {
        if (block->live == 0 && block->bytes >= bytes && block->bytes - bytes <= bytes / 4 &&
            (!best || block->bytes < best->bytes))
            best = block;
    }
    return best;
}

CUresult cuc_heap_alloc(struct cuc_heap *heap, uint64_t bytes, uint64_t align,
                        struct cuc_heap_part *part_out)
{
    if (bytes == 0 || align > CUC_GRANULE)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > UINT64_MAX - CUC_GRANULE)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (bytes < CUC_GRANULE)
        return alloc_small(heap, bytes, align, part_out);
    struct cuc_block *block = kept_block(heap, mem_round_up(bytes, CUC_GRANULE));

    if (!block) {
        CUresult result = block_create(heap, mem_round_up(bytes, CUC_GRANULE), false, &block);

        if (result != CUDA_SUCCESS)
            return result;
    }
    block->shared = false;
    block->live++;
    *part_out =
        (struct cuc_heap_part){.base = block->lo, .span_bytes = block->bytes, .block = block};
    return CUDA_SUCCESS;
}

void cuc_heap_free(const struct cuc_heap_part *part)
{
    struct cuc_block *block = part->block;

    if (block->shared)
        units_mark(block, (uint32_t)((part->base - block->lo) / CUC_UNIT),
                   (uint32_t)(part->span_bytes / CUC_UNIT), false);
    block->live--;
    if (block->live == 0 && !block->heap->keep_empty)
        block_destroy(block);
}

uint64_t cuc_heap_trim(struct cuc_heap *heap, uint64_t keep_bytes)
{
    uint64_t given = 0;

    for (struct cuc_block *block = heap->blocks, *next; block; block = next) {
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

void cuc_heap_each(const struct cuc_heap *heap, void (*see)(uint64_t lo, uint64_t bytes, void *arg),
                   void *arg)
{
    for (const struct cuc_block *block = heap->blocks; block; block = block->next)
        see(block->lo, block->bytes, arg);
}

void cuc_heap_clear(struct cuc_heap *heap)
{
    struct cuc_block *block;

    while ((block = heap->blocks) != NULL) {
        heap->blocks = block->next;
        heap->reserved_bytes -= block->bytes;
        heap->ops->give(heap, block->lo, block->bytes);
        free(block);
    }
}
