/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/layout.c - keeping the address layout's ranges free in this process (design D4).
 *
 * Reserved address space costs nothing: no access, no commitment, not in core dumps. Where the
 * process may have only so much of it (RLIMIT_AS), nothing is reserved and memory is mapped in
 * place when it is used.
 */
#include "cuda-client/layout_int.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "cuda-client/remote.h"
#include "cuda-common/layout.h"

enum { SPANS = 5 };

struct reservation {
    struct cuc_span span[SPANS];
    uint32_t count; /* how many are reserved */
};

static struct {
    struct reservation rows[CUC_LAYOUT_COUNT];
    uint32_t row;
    bool is_reserved;
} layout;

uint32_t cudac_layout_row(void)
{
    return layout.row;
}

bool cudac_layout_is_reserved(void)
{
    return layout.is_reserved;
}

static bool span_reserve(struct cuc_span span)
{
    // NOLINTBEGIN(performance-no-int-to-ptr)
    void *wanted = (void *)(uintptr_t)span.base;
    void *got = mmap(wanted, span.bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    // NOLINTEND(performance-no-int-to-ptr)

    if (got == MAP_FAILED)
        return false;
    if (got != wanted) { /* a kernel that does not know MAP_FIXED_NOREPLACE */
        (void)munmap(got, span.bytes);
        return false;
    }
    (void)madvise(got, span.bytes, MADV_DONTDUMP);
    return true;
}

static void row_release(struct reservation *row)
{
    while (row->count > 0) {
        row->count--;
        // NOLINTNEXTLINE(performance-no-int-to-ptr)
        (void)munmap((void *)(uintptr_t)row->span[row->count].base, row->span[row->count].bytes);
    }
}

static bool row_reserve(uint32_t index, uint32_t vgpu_count)
{
    const struct cuc_layout *from = cuc_layout_row(index);
    struct reservation *row = &layout.rows[index];
    const struct cuc_span spans[SPANS] = {
        {from->slice.base, from->slice.bytes * vgpu_count},
        {from->fixed.base, from->fixed.bytes * vgpu_count},
        from->pinned,
        from->managed,
        from->reserve,
    };

    for (row->count = 0; row->count < SPANS; row->count++) {
        row->span[row->count] = spans[row->count];
        if (!span_reserve(spans[row->count])) {
            row_release(row);
            return false;
        }
    }
    return true;
}

uint32_t cudac_layout_reserve(uint32_t vgpu_count)
{
    uint32_t suits = cuc_layout_suits(), mask = 0;
    struct rlimit limit;

    layout.is_reserved = getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY;
    for (uint32_t i = 0; i < CUC_LAYOUT_COUNT; i++) {
        if (!(suits >> i & 1) || vgpu_count > (uint32_t)cuc_layout_row(i)->device_max)
            continue;
        if (!layout.is_reserved || row_reserve(i, vgpu_count))
            mask |= 1u << i;
    }
    return mask;
}

void cudac_layout_choose(uint32_t row)
{
    layout.row = row;
    for (uint32_t i = 0; i < CUC_LAYOUT_COUNT; i++)
        if (i != row)
            row_release(&layout.rows[i]);
}

void cudac_layout_release(void)
{
    for (uint32_t i = 0; i < CUC_LAYOUT_COUNT; i++)
        row_release(&layout.rows[i]);
}
