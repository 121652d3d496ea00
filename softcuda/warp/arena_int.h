/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/arena_int.h - memory that lives as long as its program: taken in pieces, freed
 * whole.
 */
#ifndef SOFTCUDA_WARP_ARENA_INT_H
#define SOFTCUDA_WARP_ARENA_INT_H

#include <stddef.h>

struct warp_arena_chunk;

struct warp_arena {
    struct warp_arena_chunk *chunks; /* newest first */
    size_t used_bytes;               /* of the newest */
};

/* Zeroed memory, aligned to 64 bytes; NULL when there is none. */
void *warp_arena_alloc(struct warp_arena *arena, size_t count, size_t item_bytes);
void warp_arena_fini(struct warp_arena *arena);

#endif /* SOFTCUDA_WARP_ARENA_INT_H */
