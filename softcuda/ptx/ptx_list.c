/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_list.c - lists that grow inside an arena, so that nobody has to free them.
 *
 * A list leaves its smaller selves behind in the arena: at most as much again as it holds.
 */
#include <string.h>

#include "softcuda/ptx/ptx_int.h"

enum { ROOM_FIRST = 16 };

void *ptx_list_add(struct ptx_list *list, struct fab_arena *arena, size_t item_bytes)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : ROOM_FIRST;
        void *items = fab_arena_alloc_array(arena, room, item_bytes);

        if (!items)
            return NULL;
        if (list->count)
            memcpy(items, list->items, list->count * item_bytes);
        list->items = items;
        list->room = room;
    }
    return (char *)list->items + list->count++ * item_bytes;
}
