/* SPDX-License-Identifier: Apache-2.0
 * base/arena.h - memory that is given back all at once.
 *
 * For what is built together and dies together: a parsed module, a request. An
 * all-zero struct is an empty arena. Thread: the owner's.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/compiler.h"

struct fab_arena_block;

struct fab_arena {
    struct fab_arena_block *newest;
    size_t used_bytes; /* given out in all, with padding */
};

void fab_arena_fini(struct fab_arena *arena);

/* Cleared memory, aligned for any type, or to align_bytes (a power of two up to 4096). NULL if
 * there is no memory. Never moves; size 0 gives an address of its own. */
FAB_NODISCARD void *fab_arena_alloc(struct fab_arena *arena, size_t size_bytes);
FAB_NODISCARD void *fab_arena_alloc_aligned(struct fab_arena *arena, size_t size_bytes,
                                            size_t align_bytes);
FAB_NODISCARD void *fab_arena_alloc_array(struct fab_arena *arena, size_t count, size_t item_bytes);

/* A copy of the first text_bytes of the text, ended by NUL. */
FAB_NODISCARD char *fab_arena_text(struct fab_arena *arena, const char *text, size_t text_bytes);

/* Everything is given back, but the newest block is kept for what comes next. */
void fab_arena_reset(struct fab_arena *arena);

#endif /* BASE_ARENA_H */
