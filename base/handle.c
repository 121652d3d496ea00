/* SPDX-License-Identifier: Apache-2.0
 * base/handle.c - see handle.h.
 */
#include "base/handle.h"

struct slot {
    void *object; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
    uint8_t kind;
};

void fab_handle_table_init(struct fab_handle_table *table)
{
    *table = (struct fab_handle_table){.slots = FAB_VEC(struct slot)};
}

void fab_handle_table_fini(struct fab_handle_table *table)
{
    fab_vec_fini(&table->slots);
    fab_handle_table_init(table);
}

static uint64_t encode(uint8_t kind, uint32_t generation, uint32_t index)
{
    return (uint64_t)kind << (FAB_HANDLE_INDEX_BITS + FAB_HANDLE_GENERATION_BITS) |
           (uint64_t)generation << FAB_HANDLE_INDEX_BITS | index;
}

enum fab_status fab_handle_grant(struct fab_handle_table *table, uint8_t kind, void *object,
                                 uint64_t *handle_out)
{
    struct slot *slot;
    uint32_t index;

    if (table->first_free != 0) {
        index = table->first_free - 1;
        slot = fab_vec_at(&table->slots, struct slot, index);
        table->first_free = slot->next_free;
    } else {
        if (table->slots.count == FAB_HANDLE_COUNT_MAX)
            return FAB_ERR_LIMIT;
        index = (uint32_t)table->slots.count;
        slot = fab_vec_add(&table->slots);
        if (!slot)
            return FAB_ERR_NOMEM;
        slot->generation = 1; /* so that no handle is 0 */
    }
    slot->object = object;
    slot->kind = kind;
    table->count++;
    *handle_out = encode(kind, slot->generation, index);
    return FAB_OK;
}

static struct slot *find(const struct fab_handle_table *table, uint8_t kind, uint64_t handle)
{
    uint64_t index = handle & (FAB_HANDLE_COUNT_MAX - 1);
    struct slot *slot;

    if (index >= table->slots.count)
        return NULL;
    slot = fab_vec_at(&table->slots, struct slot, index);
    if (!slot->object || encode(kind, slot->generation, (uint32_t)index) != handle ||
        slot->kind != kind)
        return NULL;
    return slot;
}

enum fab_status fab_handle_lookup(const struct fab_handle_table *table, uint8_t kind,
                                  uint64_t handle, void **object_out)
{
    const struct slot *slot = find(table, kind, handle);

    if (!slot)
        return FAB_ERR_STALE;
    *object_out = slot->object;
    return FAB_OK;
}

enum fab_status fab_handle_release(struct fab_handle_table *table, uint8_t kind, uint64_t handle,
                                   void **object_out)
{
    struct slot *slot = find(table, kind, handle);

    if (!slot)
        return FAB_ERR_STALE;
    if (object_out)
        *object_out = slot->object;
    slot->object = NULL;
    table->count--;
    /* A slot that has used up its generations is never given again: its old handles stay stale. */
    if (slot->generation < UINT32_MAX) {
        slot->generation++;
        slot->next_free = table->first_free;
        table->first_free = (uint32_t)(handle & (FAB_HANDLE_COUNT_MAX - 1)) + 1;
    }
    return FAB_OK;
}

void *fab_handle_next(const struct fab_handle_table *table, uint32_t *cursor, uint64_t *handle_out)
{
    while (*cursor < table->slots.count) {
        uint32_t index = (*cursor)++;
        const struct slot *slot = fab_vec_at(&table->slots, struct slot, index);

        if (!slot->object)
            continue;
        if (handle_out)
            *handle_out = encode(slot->kind, slot->generation, index);
        return slot->object;
    }
    return NULL;
}
