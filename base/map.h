/* SPDX-License-Identifier: Apache-2.0
 * base/map.h - a hash map from a 64-bit number, or from a text, to a pointer.
 *
 * A map uses one kind of key throughout. Values are never NULL, so NULL means "not
 * there". An all-zero struct is an empty map. Thread: the owner's.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_map_entry {
    uint64_t key; /* the number, or the text's hash */
    char *text;   /* the map's own copy; NULL in a map of numbers */
    void *value;  /* NULL: the entry is free */
};

struct fab_map {
    struct fab_map_entry *entries;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
};

void fab_map_init(struct fab_map *map);
void fab_map_fini(struct fab_map *map); /* the values are the caller's business */

void *fab_map_find(const struct fab_map *map, uint64_t key);
void *fab_map_find_text(const struct fab_map *map, const char *text);

/* Adds or replaces. FAB_ERR_NOMEM leaves the map as it was; replacing cannot fail. */
FAB_NODISCARD enum fab_status fab_map_put(struct fab_map *map, uint64_t key, void *value);
FAB_NODISCARD enum fab_status fab_map_put_text(struct fab_map *map, const char *text, void *value);

/* Return the value that was there, or NULL. */
void *fab_map_remove(struct fab_map *map, uint64_t key);
void *fab_map_remove_text(struct fab_map *map, const char *text);

/* The next entry in no special order (but the same for the same calls); *cursor starts at 0. NULL
 * at the end. The map must not change meanwhile. */
const struct fab_map_entry *fab_map_next(const struct fab_map *map, size_t *cursor);

#endif /* BASE_MAP_H */
