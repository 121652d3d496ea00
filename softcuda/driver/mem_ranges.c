/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_ranges.c - the sorted array of ranges.
 */
#include "softcuda/driver/mem_ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

size_t mem_ranges_after(const struct mem_ranges *set, uint64_t address)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->at[middle].hi <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mem_range *mem_ranges_find(const struct mem_ranges *set, uint64_t address)
{
    size_t i = mem_ranges_after(set, address);

    return i < set->count && set->at[i].lo <= address ? &set->at[i] : NULL;
}

bool mem_ranges_hit(const struct mem_ranges *set, uint64_t lo, uint64_t hi)
{
    size_t i = mem_ranges_after(set, lo);

    return i < set->count && set->at[i].lo < hi;
}

bool mem_ranges_insert(struct mem_ranges *set, uint64_t lo, uint64_t hi, void *item)
{
    size_t i = mem_ranges_after(set, lo);

    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 32;
        struct mem_range *at = fab_alloc_resize(set->at, capacity, sizeof(*at));

        if (!at)
            return false;
        set->at = at;
        set->capacity = capacity;
    }
    memmove(&set->at[i + 1], &set->at[i], (set->count - i) * sizeof(set->at[0]));
    set->at[i] = (struct mem_range){.lo = lo, .hi = hi, .item = item};
    set->count++;
    return true;
}

bool mem_ranges_remove(struct mem_ranges *set, uint64_t lo)
{
    size_t i = mem_ranges_after(set, lo);

    if (i == set->count || set->at[i].lo != lo)
        return false;
    set->count--;
    memmove(&set->at[i], &set->at[i + 1], (set->count - i) * sizeof(set->at[0]));
    return true;
}

bool mem_ranges_first_fit(const struct mem_ranges *set, uint64_t lo, uint64_t hi, uint64_t bytes,
                          uint64_t align, uint64_t *address_out)
{
    uint64_t at = mem_round_up(lo, align);

    for (size_t i = mem_ranges_after(set, lo); i < set->count && set->at[i].lo < hi; i++) {
        if (set->at[i].lo > at && set->at[i].lo - at >= bytes)
            break;
        if (set->at[i].hi > at)
            at = mem_round_up(set->at[i].hi, align);
    }
    if (at < lo || at >= hi || hi - at < bytes)
        return false;
    *address_out = at;
    return true;
}

void mem_ranges_clear(struct mem_ranges *set)
{
    free(set->at);
    *set = (struct mem_ranges){0};
}
