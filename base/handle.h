/* SPDX-License-Identifier: Apache-2.0
 * base/handle.h - numbers for objects that cross a boundary.
 *
 * A handle holds a kind (8 bits), a generation (32) and an index (24), in that order
 * from the top. A number that was never given, is of another kind or whose object is
 * gone is FAB_ERR_STALE, never a pointer. The same calls give the same numbers. 0 is
 * never a handle. Thread: the owner's; share one table under the owner's lock.
 */
#ifndef BASE_HANDLE_H
#define BASE_HANDLE_H

#include <stdint.h>

#include "base/vec.h"

enum {
    FAB_HANDLE_INDEX_BITS = 24,
    FAB_HANDLE_GENERATION_BITS = 32,
    FAB_HANDLE_COUNT_MAX = 1 << FAB_HANDLE_INDEX_BITS, /* live objects */
};

struct fab_handle_table {
    struct fab_vec slots;
    uint32_t first_free; /* index + 1 of the slot freed last; 0: none */
    uint32_t count;      /* live objects */
};

void fab_handle_table_init(struct fab_handle_table *table);
void fab_handle_table_fini(struct fab_handle_table *table); /* the objects stay */

/* `object` is kept and not NULL. FAB_ERR_NOMEM; FAB_ERR_LIMIT with FAB_HANDLE_COUNT_MAX objects. */
FAB_NODISCARD enum fab_status fab_handle_grant(struct fab_handle_table *table, uint8_t kind,
                                               void *object, uint64_t *handle_out);

/* The object in *object_out, or FAB_ERR_STALE. */
FAB_NODISCARD enum fab_status fab_handle_lookup(const struct fab_handle_table *table, uint8_t kind,
                                                uint64_t handle, void **object_out);

/* Ends the handle; the object in *object_out (may be NULL), or FAB_ERR_STALE. */
FAB_NODISCARD enum fab_status fab_handle_release(struct fab_handle_table *table, uint8_t kind,
                                                 uint64_t handle, void **object_out);

/* All live objects by index, for teardown: *cursor starts at 0; NULL at the end. */
void *fab_handle_next(const struct fab_handle_table *table, uint32_t *cursor, uint64_t *handle_out);

static inline uint8_t fab_handle_kind(uint64_t handle)
{
    return (uint8_t)(handle >> (FAB_HANDLE_INDEX_BITS + FAB_HANDLE_GENERATION_BITS));
}

#endif /* BASE_HANDLE_H */
