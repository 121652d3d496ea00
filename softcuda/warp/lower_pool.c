/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_pool.c - constants, and the pages of values that do not differ by lane.
 *
 * Everything takes whole units of 64 bytes, so that an offset divided by 64 finds its record.
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

enum { UNIT = 64, PAGE_BYTES_MAX = 1 << 20 };

static uint32_t storage_bytes(uint8_t width)
{
    uint32_t bytes = width ? (uint32_t)width * WARP_LANES : (uint32_t)sizeof(uint32_t);

    return (bytes + UNIT - 1) & ~(uint32_t)(UNIT - 1);
}

static uint64_t cut_to_width(uint8_t width, uint64_t value)
{
    if (width == 0)
        return value ? WARP_FULL : 0;
    return width < 8 ? value & ((UINT64_C(1) << (8 * width)) - 1) : value;
}

/* ---- constants ---- */

static uint32_t const_add(struct lower *l, struct lower_const entry)
{
    uint32_t chain = (uint32_t)((entry.value * UINT64_C(0x9e3779b97f4a7c15)) >> 56);

    for (int32_t i = l->const_chain[chain]; i >= 0; i = l->consts[i].next) {
        const struct lower_const *old = &l->consts[i];

        if (old->value == entry.value && old->width == entry.width && old->varies == entry.varies)
            return warp_operand(WARP_BASE_CONST, old->offset);
    }
    if (!lower_room(l, &l->consts, l->const_count, &l->const_room, sizeof(*l->consts)))
        return WARP_NO_OPERAND;
    entry.next = l->const_chain[chain];
    entry.offset = l->const_bytes;
    l->const_bytes += storage_bytes(entry.width);
    l->const_chain[chain] = (int32_t)l->const_count;
    l->consts[l->const_count++] = entry;
    return warp_operand(WARP_BASE_CONST, entry.offset);
}

uint32_t lower_const(struct lower *l, uint8_t width, uint64_t value)
{
    return const_add(l, (struct lower_const){.value = cut_to_width(width, value), .width = width});
}

const struct lower_const *lower_const_of(const struct lower *l, uint32_t operand)
{
    uint32_t low = 0, high = l->const_count;

    if (operand == WARP_NO_OPERAND || (operand & 3u) != WARP_BASE_CONST)
        return NULL;
    while (high - low > 1) { /* entries lie in the order of their offsets */
        uint32_t middle = low + (high - low) / 2;

        if (l->consts[middle].offset <= operand >> 2)
            low = middle;
        else
            high = middle;
    }
    return &l->consts[low];
}

static uint32_t lane_value(uint32_t sreg, uint32_t lane)
{
    uint32_t eq = UINT32_C(1) << lane;

    switch (sreg) {
    case PTX_SREG_LANEID:
        return lane;
    case PTX_SREG_LANEMASK_EQ:
        return eq;
    case PTX_SREG_LANEMASK_LT:
        return eq - 1;
    case PTX_SREG_LANEMASK_LE:
        return eq | (eq - 1);
    case PTX_SREG_LANEMASK_GT:
        return ~(eq | (eq - 1));
    default: /* PTX_SREG_LANEMASK_GE */
        return ~(eq - 1);
    }
}

static void const_fill(uint8_t *at, const struct lower_const *entry)
{
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        uint64_t value = entry->varies ? lane_value(entry->sreg, lane) : entry->value;

        if (entry->width == 0) {
            memcpy(at, &value, sizeof(uint32_t));
        } else if (entry->width <= 8) {
            memcpy(at + (size_t)lane * entry->width, &value, entry->width);
        }
    }
}

/* ---- pages ---- */

uint32_t lower_page_slot(struct lower *l, enum warp_level level, uint8_t width)
{
    struct warp_program *program = l->program;
    uint32_t *end = level == WARP_LEVEL_SHAPE ? &program->shape_bytes : &program->page_bytes;
    uint32_t offset = *end, bytes = storage_bytes(width);

    if (offset + bytes > PAGE_BYTES_MAX) {
        lower_fail(l, FAB_ERR_LIMIT, "too many uniform values");
        return WARP_NO_OPERAND;
    }
    if (level == WARP_LEVEL_SHAPE) {
        *end += bytes;
        return warp_operand(WARP_BASE_SHAPE, offset);
    }
    while (l->page_level_room < (offset + bytes) / UNIT)
        if (!lower_room(l, &l->page_level, l->page_level_room, &l->page_level_room, 1))
            return WARP_NO_OPERAND;
    for (uint32_t i = offset / UNIT; i < (offset + bytes) / UNIT; i++)
        l->page_level[i] = (uint8_t)level;
    *end += bytes;
    return warp_operand(WARP_BASE_BLOCK, offset);
}

enum warp_level lower_operand_level(const struct lower *l, uint32_t operand)
{
    switch ((enum warp_base)(operand & 3u)) {
    case WARP_BASE_CONST:
        return lower_const_of(l, operand)->varies ? WARP_LEVEL_SHAPE : WARP_LEVEL_LAUNCH;
    case WARP_BASE_SHAPE:
        return WARP_LEVEL_SHAPE;
    case WARP_BASE_BLOCK:
        return (enum warp_level)l->page_level[(operand >> 2) / UNIT];
    case WARP_BASE_FRAME:
    case WARP_BASE_COUNT:
        break;
    }
    return WARP_LEVEL_LANE;
}

bool lower_operand_is_uniform(const struct lower *l, uint32_t operand)
{
    return operand != WARP_NO_OPERAND &&
           ((operand & 3u) == WARP_BASE_BLOCK ||
            ((operand & 3u) == WARP_BASE_CONST && !lower_const_of(l, operand)->varies));
}

static uint32_t page_value(struct lower *l, struct warp_init wanted)
{
    enum warp_base base = wanted.level == WARP_LEVEL_SHAPE ? WARP_BASE_SHAPE : WARP_BASE_BLOCK;
    uint32_t operand;

    for (uint32_t i = 0; i < l->init_count; i++) {
        const struct warp_init *old = &l->inits[i];

        if (old->kind == wanted.kind && old->value == wanted.value && old->width == wanted.width &&
            old->param_bytes == wanted.param_bytes && old->is_signed == wanted.is_signed)
            return warp_operand(base, old->offset);
    }
    operand = lower_page_slot(l, (enum warp_level)wanted.level, wanted.width);
    if (!lower_room(l, &l->inits, l->init_count, &l->init_room, sizeof(*l->inits)))
        return WARP_NO_OPERAND;
    wanted.offset = operand >> 2;
    l->inits[l->init_count++] = wanted;
    return operand;
}

uint32_t lower_param(struct lower *l, uint32_t offset, enum ptx_type type, uint8_t width)
{
    return page_value(l, (struct warp_init){.kind = WARP_INIT_PARAM,
                                            .level = WARP_LEVEL_LAUNCH,
                                            .width = width,
                                            .param_bytes = (uint8_t)ptx_type_bytes(type),
                                            .is_signed = ptx_type_is_signed(type),
                                            .value = offset});
}

uint32_t lower_param_address(struct lower *l, uint32_t offset)
{
    return page_value(l, (struct warp_init){.kind = WARP_INIT_PARAM_ADDRESS,
                                            .level = WARP_LEVEL_LAUNCH,
                                            .width = 8,
                                            .value = offset});
}

bool lower_sreg_is_dynamic(enum ptx_sreg sreg)
{
    return sreg == PTX_SREG_SMID || (sreg >= PTX_SREG_CLOCK && sreg <= PTX_SREG_GLOBALTIMER_HI) ||
           sreg == PTX_SREG_PM_ANY;
}

static enum warp_level sreg_level(enum ptx_sreg sreg)
{
    if (sreg <= PTX_SREG_TID_Z || sreg == PTX_SREG_WARPID)
        return WARP_LEVEL_SHAPE;
    if ((sreg >= PTX_SREG_CTAID_X && sreg <= PTX_SREG_CTAID_Z) ||
        (sreg >= PTX_SREG_CLUSTERID_X && sreg <= PTX_SREG_CLUSTERID_Z))
        return WARP_LEVEL_BLOCK;
    return WARP_LEVEL_LAUNCH;
}

uint32_t lower_sreg(struct lower *l, enum ptx_sreg sreg, uint8_t width)
{
    bool by_lane =
        sreg == PTX_SREG_LANEID || (sreg >= PTX_SREG_LANEMASK_EQ && sreg <= PTX_SREG_LANEMASK_GT);

    if (by_lane)
        return const_add(l, (struct lower_const){.value = (uint64_t)sreg << 32,
                                                 .width = width,
                                                 .varies = true,
                                                 .sreg = (uint8_t)sreg});
    if (sreg == PTX_SREG_ENVREG1 || sreg == PTX_SREG_ENVREG2)
        l->program->info.uses_grid_sync = true;
    return page_value(l, (struct warp_init){.kind = WARP_INIT_SREG,
                                            .level = (uint8_t)sreg_level(sreg),
                                            .width = width,
                                            .value = sreg});
}

/* The inits of each level, and the constants as the handlers read them. */
void lower_pool_finish(struct lower *l)
{
    struct warp_program *program = l->program;
    uint8_t *consts = lower_alloc(l, l->const_bytes, 1);

    for (uint32_t i = 0; consts && i < l->const_count; i++)
        const_fill(consts + l->consts[i].offset, &l->consts[i]);
    program->consts = consts;
    for (unsigned level = 0; level < WARP_HOIST_LEVELS; level++) {
        struct warp_hoisted *hoisted = &program->hoisted[level];
        struct warp_init *inits = lower_alloc(l, l->init_count, sizeof(*inits));

        for (uint32_t i = 0; inits && i < l->init_count; i++)
            if (l->inits[i].level == level)
                inits[hoisted->init_count++] = l->inits[i];
        hoisted->inits = inits;
    }
}
