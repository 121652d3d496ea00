/* SPDX-License-Identifier: Apache-2.0
 * base/arena.c - see arena.h. A chain of blocks; a large request gets a block of its own.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { BLOCK_BYTES = 16 * 1024, ALIGN_MAX_BYTES = 4096 };

struct fab_arena_block {
    struct fab_arena_block *older;
    size_t capacity, used; /* bytes of data[] */
    alignas(max_align_t) unsigned char data[];
};

void fab_arena_fini(struct fab_arena *arena)
{
    struct fab_arena_block *block = arena->newest;

    while (block) {
        struct fab_arena_block *older = block->older;

        free(block);
        block = older;
    }
    *arena = (struct fab_arena){.newest = NULL};
}

/* How many bytes to skip in the block so that the next byte is aligned. */
static size_t padding(const struct fab_arena_block *block, size_t align_bytes)
{
    return (size_t)(-((uintptr_t)block->data + block->used) & (align_bytes - 1));
}

static struct fab_arena_block *add_block(struct fab_arena *arena, size_t least_bytes)
{
    size_t capacity = least_bytes > BLOCK_BYTES ? least_bytes : BLOCK_BYTES;
    struct fab_arena_block *block;

    if (capacity > SIZE_MAX - sizeof(*block))
        return NULL;
    block = fab_alloc(sizeof(*block) + capacity);
    if (!block)
        return NULL;
    block->older = arena->newest;
    block->capacity = capacity;
    block->used = 0;
    arena->newest = block;
    return block;
}

void *fab_arena_alloc_aligned(struct fab_arena *arena, size_t size_bytes, size_t align_bytes)
{
    struct fab_arena_block *block = arena->newest;
    size_t wanted = size_bytes > 0 ? size_bytes : 1, skip;
    void *memory;

    fab_assert(align_bytes > 0 && align_bytes <= ALIGN_MAX_BYTES &&
               (align_bytes & (align_bytes - 1)) == 0);
    if (wanted > SIZE_MAX - 2 * (size_t)ALIGN_MAX_BYTES)
        return NULL;
    skip = block ? padding(block, align_bytes) : 0;
    if (!block || block->capacity - block->used < skip ||
        block->capacity - block->used - skip < wanted) {
        block = add_block(arena, wanted + align_bytes);
        if (!block)
            return NULL;
        skip = padding(block, align_bytes);
    }
    memory = block->data + block->used + skip;
    block->used += skip + wanted;
    arena->used_bytes += skip + wanted;
    return memset(memory, 0, wanted);
}

void *fab_arena_alloc(struct fab_arena *arena, size_t size_bytes)
{
    return fab_arena_alloc_aligned(arena, size_bytes, alignof(max_align_t));
}

void *fab_arena_alloc_array(struct fab_arena *arena, size_t count, size_t item_bytes)
{
    size_t size_bytes;

    if (__builtin_mul_overflow(count, item_bytes, &size_bytes))
        return NULL;
    return fab_arena_alloc(arena, size_bytes);
}

char *fab_arena_text(struct fab_arena *arena, const char *text, size_t text_bytes)
{
    char *copy = text_bytes < SIZE_MAX ? fab_arena_alloc_aligned(arena, text_bytes + 1, 1) : NULL;

    return copy ? memcpy(copy, text, text_bytes) : NULL;
}

void fab_arena_reset(struct fab_arena *arena)
{
    struct fab_arena_block *kept = arena->newest;

    if (!kept)
        return;
    arena->newest = kept->older;
    fab_arena_fini(arena);
    kept->older = NULL;
    kept->used = 0;
    arena->newest = kept;
}
