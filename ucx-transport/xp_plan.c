/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_plan.c - see xp_plan.h.
 */
#include "ucx-transport/xp_plan.h"

#include "base/assert.h"

enum {
    QUARTER = 4,
    CHUNKS_MAX = 1 << 24, /* 64 TiB in 4 MiB units; bounds the table that a transfer allocates */
};

enum fab_status xp_plan_make(uint64_t total_bytes, uint32_t unit_bytes, struct xp_plan *plan_out)
{
    struct xp_plan plan = {.total_bytes = total_bytes, .unit_bytes = unit_bytes};
    uint64_t first_part, later;

    if (total_bytes == 0 || unit_bytes < XP_PLAN_UNIT_MIN_BYTES)
        return FAB_ERR_RANGE;
    plan.first_bytes = unit_bytes / QUARTER;
    plan.later_bytes =
        total_bytes <= (uint64_t)unit_bytes * XP_PLAN_SMALL_UNITS ? plan.first_bytes : unit_bytes;
    first_part = (uint64_t)plan.first_bytes * XP_PLAN_FIRST_CHUNKS;
    if (total_bytes <= first_part) {
        plan.chunk_count = (uint32_t)((total_bytes - 1) / plan.first_bytes) + 1;
    } else {
        later = (total_bytes - first_part - 1) / plan.later_bytes + 1;
        if (later > CHUNKS_MAX - XP_PLAN_FIRST_CHUNKS)
            return FAB_ERR_RANGE;
        plan.chunk_count = XP_PLAN_FIRST_CHUNKS + (uint32_t)later;
    }
    *plan_out = plan;
    return FAB_OK;
}

void xp_plan_chunk(const struct xp_plan *plan, uint32_t index, uint64_t *offset_out,
                   uint32_t *size_bytes_out)
{
    uint64_t offset, size;

    fab_assert(index < plan->chunk_count);
    if (index < XP_PLAN_FIRST_CHUNKS) {
        offset = (uint64_t)index * plan->first_bytes;
        size = plan->first_bytes;
    } else {
        offset = (uint64_t)XP_PLAN_FIRST_CHUNKS * plan->first_bytes +
                 (uint64_t)(index - XP_PLAN_FIRST_CHUNKS) * plan->later_bytes;
        size = plan->later_bytes;
    }
    if (size > plan->total_bytes - offset)
        size = plan->total_bytes - offset;
    *offset_out = offset;
    *size_bytes_out = (uint32_t)size;
}
