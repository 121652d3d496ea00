/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/arena.c - chunks of at least 64 KiB, cut from the front.
 */
#include "softcuda/warp/arena_int.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

enum { ARENA_ALIGN = 64, ARENA_CHUNK_BYTES = 64 * 1024 };

struct warp_arena_chunk {
    struct warp_arena_chunk *next;
    size_t size_bytes; /* with this header */
};

static size_t align_up(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

static struct warp_arena_chunk *add_chunk(struct warp_arena *arena, size_t bytes)
{
    size_t size_bytes = align_up(bytes) + ARENA_ALIGN;
    struct warp_arena_chunk *chunk;

    if (size_bytes < ARENA_CHUNK_BYTES)
        size_bytes = ARENA_CHUNK_BYTES;
    if (fab_fault("alloc"))
        return NULL;
    chunk = aligned_alloc(ARENA_ALIGN, size_bytes);
    if (!chunk)
        return NULL;
    *chunk = (struct warp_arena_chunk){.next = arena->chunks, .size_bytes = size_bytes};
    arena->chunks = chunk;
    arena->used_bytes = ARENA_ALIGN; /* the header's place */
    return chunk;
}

void *warp_arena_alloc(struct warp_arena *arena, size_t count, size_t item_bytes)
{
    struct warp_arena_chunk *chunk = arena->chunks;
    size_t bytes;
    uint8_t *memory;

    if (__builtin_mul_overflow(count, item_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    if (!chunk || chunk->size_bytes - arena->used_bytes < align_up(bytes))
        chunk = add_chunk(arena, bytes);
    if (!chunk)
        return NULL;
    memory = (uint8_t *)chunk + arena->used_bytes;
    arena->used_bytes += align_up(bytes);
    return memset(memory, 0, bytes);
}

void warp_arena_fini(struct warp_arena *arena)
{
    while (arena->chunks) {
        struct warp_arena_chunk *next = arena->chunks->next;

        free(arena->chunks);
        arena->chunks = next;
    }
    arena->used_bytes = 0;
}
