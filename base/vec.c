/* SPDX-License-Identifier: Apache-2.0
 * base/vec.c - see vec.h. Grows by half, so that freed blocks can be used again.
 */
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { FIRST_CAPACITY = 8 };

static void *item_at(const struct fab_vec *vec, size_t index)
{
    return (char *)vec->items + index * vec->item_bytes;
}

void fab_vec_init(struct fab_vec *vec, size_t item_bytes)
{
    *vec = (struct fab_vec){.item_bytes = item_bytes};
}

void fab_vec_fini(struct fab_vec *vec)
{
    free(vec->items);
    fab_vec_init(vec, vec->item_bytes);
}

enum fab_status fab_vec_reserve(struct fab_vec *vec, size_t capacity)
{
    void *items;

    if (capacity <= vec->capacity)
        return FAB_OK;
    items = fab_alloc_resize(vec->items, capacity, vec->item_bytes);
    if (!items)
        return FAB_ERR_NOMEM;
    vec->items = items;
    vec->capacity = capacity;
    return FAB_OK;
}

void *fab_vec_add(struct fab_vec *vec)
{
    size_t grown = vec->capacity ? vec->capacity + vec->capacity / 2 : FIRST_CAPACITY;

    if (vec->count == vec->capacity && fab_vec_reserve(vec, grown) != FAB_OK)
        return NULL;
    return memset(item_at(vec, vec->count++), 0, vec->item_bytes);
}

enum fab_status fab_vec_push(struct fab_vec *vec, const void *item)
{
    void *place = fab_vec_add(vec);

    if (!place)
        return FAB_ERR_NOMEM;
    memcpy(place, item, vec->item_bytes);
    return FAB_OK;
}

bool fab_vec_pop(struct fab_vec *vec, void *item_out)
{
    if (vec->count == 0)
        return false;
    vec->count--;
    if (item_out)
        memcpy(item_out, item_at(vec, vec->count), vec->item_bytes);
    return true;
}

void fab_vec_remove(struct fab_vec *vec, size_t index)
{
    fab_assert(index < vec->count);
    vec->count--;
    memmove(item_at(vec, index), item_at(vec, index + 1), (vec->count - index) * vec->item_bytes);
}

void fab_vec_remove_swap(struct fab_vec *vec, size_t index)
{
    fab_assert(index < vec->count);
    vec->count--;
    if (index != vec->count)
        memcpy(item_at(vec, index), item_at(vec, vec->count), vec->item_bytes);
}

void fab_vec_clear(struct fab_vec *vec)
{
    vec->count = 0;
}
