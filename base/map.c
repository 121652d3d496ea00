/* SPDX-License-Identifier: Apache-2.0
 * base/map.c - see map.h. Open addressing, linear probing, at most three quarters full.
 *
 * Removing moves later entries of the same run back, so that there are no tombstones
 * and a miss stays short.
 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

enum { FIRST_CAPACITY = 16 };

/* The finaliser of MurmurHash3 (public domain, A. Appleby): spreads neighbouring keys. */
static uint64_t mix(uint64_t key)
{
    key = (key ^ (key >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    key = (key ^ (key >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ (key >> 33);
}

static size_t home_of(const struct fab_map *map, uint64_t key)
{
    return (size_t)mix(key) & (map->capacity - 1);
}

/* Where the key is, or the free entry where its run ends. The map is never full. */
static size_t locate(const struct fab_map *map, uint64_t key, const char *text)
{
    size_t at = home_of(map, key);

    for (;; at = (at + 1) & (map->capacity - 1)) {
        const struct fab_map_entry *entry = &map->entries[at];

        if (!entry->value)
            return at;
        if (entry->key == key && (!text || strcmp(entry->text, text) == 0))
            return at;
    }
}

static enum fab_status grow(struct fab_map *map)
{
    struct fab_map grown = {.capacity = map->capacity ? 2 * map->capacity : FIRST_CAPACITY,
                            .count = map->count};

    grown.entries = fab_alloc_zeroed(grown.capacity, sizeof(*grown.entries));
    if (!grown.entries)
        return FAB_ERR_NOMEM;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct fab_map_entry *entry = &map->entries[i];

        if (entry->value)
            grown.entries[locate(&grown, entry->key, entry->text)] = *entry;
    }
    free(map->entries);
    *map = grown;
    return FAB_OK;
}

static void *find(const struct fab_map *map, uint64_t key, const char *text)
{
    return map->count > 0 ? map->entries[locate(map, key, text)].value : NULL;
}

static enum fab_status put(struct fab_map *map, uint64_t key, const char *text, void *value)
{
    struct fab_map_entry *entry;
    char *copy = NULL;

    fab_assert(value);
    if (map->capacity > 0) {
        entry = &map->entries[locate(map, key, text)];
        if (entry->value) {
            entry->value = value;
            return FAB_OK;
        }
    }
    if (4 * (map->count + 1) > 3 * map->capacity && grow(map) != FAB_OK)
        return FAB_ERR_NOMEM;
    if (text) {
        copy = fab_alloc_text(text);
        if (!copy)
            return FAB_ERR_NOMEM;
    }
    map->entries[locate(map, key, text)] =
        (struct fab_map_entry){.key = key, .text = copy, .value = value};
    map->count++;
    return FAB_OK;
}

/* Moves each entry behind the hole into it whose home is not between the hole and the entry. */
static void close_hole(struct fab_map *map, size_t hole)
{
    size_t mask = map->capacity - 1;

    for (size_t at = (hole + 1) & mask; map->entries[at].value; at = (at + 1) & mask) {
        size_t home = home_of(map, map->entries[at].key);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole] = (struct fab_map_entry){.value = NULL};
}

static void *take(struct fab_map *map, uint64_t key, const char *text)
{
    size_t at;
    void *value;

    if (map->count == 0)
        return NULL;
    at = locate(map, key, text);
    value = map->entries[at].value;
    if (!value)
        return NULL;
    free(map->entries[at].text);
    close_hole(map, at);
    map->count--;
    return value;
}

void fab_map_init(struct fab_map *map)
{
    *map = (struct fab_map){.entries = NULL};
}

void fab_map_fini(struct fab_map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free(map->entries[i].text);
    free(map->entries);
    fab_map_init(map);
}

void *fab_map_find(const struct fab_map *map, uint64_t key)
{
    return find(map, key, NULL);
}

void *fab_map_find_text(const struct fab_map *map, const char *text)
{
    return find(map, fab_hash_text(FAB_HASH_START, text), text);
}

enum fab_status fab_map_put(struct fab_map *map, uint64_t key, void *value)
{
    return put(map, key, NULL, value);
}

enum fab_status fab_map_put_text(struct fab_map *map, const char *text, void *value)
{
    return put(map, fab_hash_text(FAB_HASH_START, text), text, value);
}

void *fab_map_remove(struct fab_map *map, uint64_t key)
{
    return take(map, key, NULL);
}

void *fab_map_remove_text(struct fab_map *map, const char *text)
{
    return take(map, fab_hash_text(FAB_HASH_START, text), text);
}

const struct fab_map_entry *fab_map_next(const struct fab_map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        const struct fab_map_entry *entry = &map->entries[(*cursor)++];

        if (entry->value)
            return entry;
    }
    return NULL;
}
