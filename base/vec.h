/* SPDX-License-Identifier: Apache-2.0
 * base/vec.h - a growable array of items of one size.
 *
 * An all-zero struct with item_bytes set is an empty array. Pointers to items hold
 * until the next call that adds. Thread: the owner's.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>

#include "base/status.h"

struct fab_vec {
    void *items;
    size_t count, capacity;
    size_t item_bytes; /* not 0 */
};

#define FAB_VEC(type)                                                                              \
    {                                                                                              \
        .item_bytes = sizeof(type)                                                                 \
    }
#define fab_vec_items(vec, type) ((type *)(vec)->items)
#define fab_vec_at(vec, type, index) (&((type *)(vec)->items)[index])

void fab_vec_init(struct fab_vec *vec, size_t item_bytes);
void fab_vec_fini(struct fab_vec *vec); /* the items' own memory is the caller's business */

/* A new cleared item at the end; NULL if there is no memory, the array is then unchanged. */
FAB_NODISCARD void *fab_vec_add(struct fab_vec *vec);
/* A copy of *item at the end. FAB_OK or FAB_ERR_NOMEM. */
FAB_NODISCARD enum fab_status fab_vec_push(struct fab_vec *vec, const void *item);
/* Room for so many items in all, so that adding up to there cannot fail. FAB_ERR_NOMEM. */
FAB_NODISCARD enum fab_status fab_vec_reserve(struct fab_vec *vec, size_t capacity);

/* Takes the last item away and copies it to *item_out (may be NULL); false if there is none. */
bool fab_vec_pop(struct fab_vec *vec, void *item_out);
void fab_vec_remove(struct fab_vec *vec, size_t index);      /* the later items move down */
void fab_vec_remove_swap(struct fab_vec *vec, size_t index); /* the last item takes the place */
void fab_vec_clear(struct fab_vec *vec);                     /* keeps the memory */

#endif /* BASE_VEC_H */
