/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/ranges.c - the sorted array of ranges.
 */
#include "cuda-common/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

size_t cuc_ranges_after(const struct cuc_ranges *set, uint64_t address)
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

struct cuc_range *cuc_ranges_find(const struct cuc_ranges *set, uint64_t address)
{
    size_t i = cuc_ranges_after(set, address);

    return i < set->count && set->at[i].lo <= address ? &set->at[i] : NULL;
}

bool cuc_ranges_hit(const struct cuc_ranges *set, uint64_t lo, uint64_t hi)
{
    size_t i = cuc_ranges_after(set, lo);

    return i < set->count && set->at[i].lo < hi;
}

bool cuc_ranges_insert(struct cuc_ranges *set, uint64_t lo, uint64_t hi, void *item)
{
    size_t i = cuc_ranges_after(set, lo);

    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 32;
        struct cuc_range *at = fab_alloc_resize(set->at, capacity, sizeof(*at));

        if (!at)
            return false;
        set->at = at;
        set->capacity = capacity;
    }
    memmove(&set->at[i + 1], &set->at[i], (set->count - i) * sizeof(set->at[0]));
    set->at[i] = (struct cuc_range){.lo = lo, .hi = hi, .item = item};
    set->count++;
    return true;
}

bool cuc_ranges_remove(struct cuc_ranges *set, uint64_t lo)
{
    size_t i = cuc_ranges_after(set, lo);

    if (i == set->count || set->at[i].lo != lo)
        return false;
    set->count--;
    memmove(&set->at[i], &set->at[i + 1], (set->count - i) * sizeof(set->at[0]));
    return true;
}

bool cuc_ranges_first_fit(const struct cuc_ranges *set, uint64_t lo, uint64_t hi, uint64_t bytes,
                          uint64_t align, uint64_t *address_out)
{
    uint64_t at = mem_round_up(lo, align);

    for (size_t i = cuc_ranges_after(set, lo); i < set->count && set->at[i].lo < hi; i++) {
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

void cuc_ranges_clear(struct cuc_ranges *set)
{
    free(set->at);
    *set = (struct cuc_ranges){0};
}
