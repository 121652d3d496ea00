/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/ranges.h - a set of address ranges that do not overlap, in order.
 *
 * A sorted array: look-ups are a binary search over few cache lines, and memory is mostly taken in
 * ascending order, so that inserting seldom moves much. Thread: the owner's lock.
 */
#ifndef CUDA_COMMON_RANGES_H
#define CUDA_COMMON_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct cuc_range {
    uint64_t lo, hi; /* bytes [lo, hi) */
    void *item;      /* the user's */
};

struct cuc_ranges {
    struct cuc_range *at;
    size_t count, capacity;
};

/* The range that holds `address`, or NULL. Valid until the set changes. */
struct cuc_range *cuc_ranges_find(const struct cuc_ranges *set, uint64_t address);
/* The first range that ends above `address`, as an index; count if there is none. */
size_t cuc_ranges_after(const struct cuc_ranges *set, uint64_t address);
/* Whether any range has a byte in [lo, hi). */
bool cuc_ranges_hit(const struct cuc_ranges *set, uint64_t lo, uint64_t hi);
/* The caller has checked that nothing is hit. False: out of memory, set unchanged. */
FAB_NODISCARD bool cuc_ranges_insert(struct cuc_ranges *set, uint64_t lo, uint64_t hi, void *item);
/* Removes the range that starts at `lo`; false if there is none. */
bool cuc_ranges_remove(struct cuc_ranges *set, uint64_t lo);
/* The lowest address in [lo, hi) where `bytes` are free; `align` is a power of two. */
bool cuc_ranges_first_fit(const struct cuc_ranges *set, uint64_t lo, uint64_t hi, uint64_t bytes,
                          uint64_t align, uint64_t *address_out);
void cuc_ranges_clear(struct cuc_ranges *set);

static inline uint64_t mem_round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

#endif /* CUDA_COMMON_RANGES_H */
