/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_plan.h - how a transfer is cut into chunks.
 *
 * Size and unit fix the plan, so both ends know every chunk's place and the receiver refuses a
 * header that says otherwise. The first chunks are quarters of the unit, so that the pipeline
 * behind starts soon; a transfer of at most two units is cut in quarters throughout. Thread: any.
 */
#ifndef UCX_TRANSPORT_XP_PLAN_H
#define UCX_TRANSPORT_XP_PLAN_H

#include <stdint.h>

#include "base/status.h"

enum {
    XP_PLAN_UNIT_MIN_BYTES = 64,
    XP_PLAN_FIRST_CHUNKS = 4, /* small ones in front */
    XP_PLAN_SMALL_UNITS = 2,  /* a transfer up to here is cut in quarters only */
};

struct xp_plan {
    uint64_t total_bytes;
    uint32_t unit_bytes;
    uint32_t first_bytes; /* of the first XP_PLAN_FIRST_CHUNKS */
    uint32_t later_bytes; /* of the others, but the last is what is left */
    uint32_t chunk_count;
};

/* FAB_ERR_RANGE: total is 0, unit is out of range, or the chunks cannot be counted. */
FAB_NODISCARD enum fab_status xp_plan_make(uint64_t total_bytes, uint32_t unit_bytes,
                                           struct xp_plan *plan_out);
/* index < chunk_count. */
void xp_plan_chunk(const struct xp_plan *plan, uint32_t index, uint64_t *offset_out,
                   uint32_t *size_bytes_out);

#endif /* UCX_TRANSPORT_XP_PLAN_H */
