/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_mem.c - an arena for what lives as long as a module, and lists that grow in one.
 *
 * All of it is zeroed. Chunks double up to a limit, so that a small module costs one allocation.
 */
#include "softcuda/ptx/ptx_int.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
    CHUNK_BYTES_FIRST = 16 << 10,
    CHUNK_BYTES_MAX = 1 << 20,
    LIST_ROOM_FIRST = 16,
};

struct ptx_chunk {
    struct ptx_chunk *next;
    size_t room_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

static size_t round_up(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

/* Puts a chunk with at least `bytes` of room first. */
static bool add_chunk(struct ptx_arena *arena, size_t bytes)
{
    size_t room = arena->chunks ? arena->chunks->room_bytes * 2 : CHUNK_BYTES_FIRST;
    struct ptx_chunk *chunk;

    if (room > CHUNK_BYTES_MAX)
        room = CHUNK_BYTES_MAX;
    if (room < bytes)
        room = bytes;
    chunk = fab_alloc_zeroed(1, sizeof(*chunk) + room);
    if (!chunk)
        return false;
    chunk->next = arena->chunks;
    chunk->room_bytes = room;
    arena->chunks = chunk;
    arena->used_bytes = 0;
    return true;
}

void *ptx_arena_alloc(struct ptx_arena *arena, size_t bytes)
{
    void *memory;

    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes);
    if (!arena->chunks || arena->chunks->room_bytes - arena->used_bytes < bytes) {
        if (!add_chunk(arena, bytes))
            return NULL;
    }
    memory = arena->chunks->bytes + arena->used_bytes;
    arena->used_bytes += bytes;
    return memory;
}

void ptx_arena_fini(struct ptx_arena *arena)
{
    while (arena->chunks) {
        struct ptx_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        free(chunk);
    }
    arena->used_bytes = 0;
}

void *ptx_list_add(struct ptx_list *list, struct ptx_arena *arena, size_t item_bytes)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : LIST_ROOM_FIRST;
        void *items = ptx_arena_alloc(arena, room * item_bytes);

        if (!items)
            return NULL;
        if (list->count)
            memcpy(items, list->items, list->count * item_bytes);
        list->items = items;
        list->room = room;
    }
    return (char *)list->items + list->count++ * item_bytes;
}
