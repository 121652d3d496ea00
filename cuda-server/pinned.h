/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/pinned.h - the page-locked memory that the worker uses in a context: words that
 * streams wait for, and slots through which data pass.
 *
 * It is the worker's own memory, registered with the driver in its context and gone with it, so
 * that the addresses of the layout stay the client's. Words are counted up and never written down:
 * a word is free again as soon as its value is set. Thread: any, under the context's lock.
 */
#ifndef CUDA_SERVER_PINNED_H
#define CUDA_SERVER_PINNED_H

#include <cuda.h>

#include "base/list.h"
#include "base/vec.h"

struct cudas_context;

enum {
    CUDAS_SLOT_BYTES = 1 << 20,        /* of a large slot: the largest chunk of a transfer */
    CUDAS_SMALL_SLOT_BYTES = 64 << 10, /* the largest message with data */
    CUDAS_SLOTS_MAX = 32,              /* large ones in a context */
    CUDAS_SMALL_SLOTS_MAX = 1024,
};

/* A place in page-locked memory. */
struct cudas_slot {
    struct fab_list link;
    void *bytes;
    size_t size_bytes;
    CUevent event; /* the driver's work on it; large slots have one */
};

struct cudas_pinned {
    struct fab_list areas; /* mappings */
    struct fab_list words; /* that are free */
    struct fab_list slots, small_slots;
    uint32_t slot_count, small_slot_count; /* that exist */
};

/* A stream goes on when `word` has reached `value`. */
struct cudas_wait {
    struct cudas_context *context; /* holds a reference; NULL: no wait */
    struct cudas_word *word;
};

void cudas_pinned_init(struct cudas_pinned *pinned);
/* With the context's last reference; the driver has forgotten the memory with the context. */
void cudas_pinned_fini(struct cudas_pinned *pinned);

/* Makes `stream` of the context (current in this thread) wait; cudas_wait_end() lets it go on, from
 * any thread, exactly once. */
CUresult cudas_wait_begin(struct cudas_context *context, CUstream stream,
                          struct cudas_wait *wait_out);
/* The same wait for one more stream. */
CUresult cudas_wait_also(const struct cudas_wait *wait, CUstream stream);
void cudas_wait_end(struct cudas_wait *wait); /* takes an empty one, and leaves one */

/* A free slot of at least that size, or NULL: all in use (or no memory). The context must be
 * current in this thread when the slot may have to be made (`may_grow`). */
struct cudas_slot *cudas_slot_take(struct cudas_context *context, size_t size_bytes, bool may_grow);
void cudas_slot_give(struct cudas_context *context, struct cudas_slot *slot); /* takes NULL */
/* Whether at least half of the large slots are free (or not made yet). */
bool cudas_slots_are_plenty(struct cudas_context *context);

#endif /* CUDA_SERVER_PINNED_H */
