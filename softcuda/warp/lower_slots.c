/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_slots.c - which register lives in which slot of the frame.
 *
 * Per-thread liveness, then linear scan. Lanes write only their own part of a slot, so liveness of
 * one thread is exact even when lanes stand at different places, on one condition: slots of
 * different widths never share bytes. Hence one pool per width.
 */
#include "softcuda/warp/lower_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { POOLS = 5 }; /* predicates, 2, 4, 8, 16 bytes */

static uint32_t pool_of(uint8_t width)
{
    return width == 0 ? 0 : width == 2 ? 1 : width == 4 ? 2 : width == 8 ? 3 : 4;
}

static const uint32_t pool_slot_bytes[POOLS] = {4, 64, 128, 256, 512};

struct live {
    struct lower *l;
    uint32_t words;
    uint64_t *in, *out, *use, *def; /* per block */
    uint32_t block;                 /* being looked at */
    uint32_t place;                 /* of the instruction */
};

static void note_use(void *arg, uint32_t *operand, bool is_def)
{
    struct live *live = arg;
    uint32_t reg = *operand >> 2;
    uint64_t bit = UINT64_C(1) << (reg % 64);
    size_t word = (size_t)live->block * live->words + reg / 64;

    if (!is_def && (*operand & 3u) == WARP_BASE_FRAME && !(live->def[word] & bit))
        live->use[word] |= bit;
}

static void note_def(void *arg, uint32_t *operand, bool is_def)
{
    struct live *live = arg;
    uint32_t reg = *operand >> 2;

    if (is_def)
        live->def[(size_t)live->block * live->words + reg / 64] |= UINT64_C(1) << (reg % 64);
}

static void touch(struct lower_reg *reg, uint32_t place)
{
    if (reg->first > place)
        reg->first = place;
    if (reg->last < place)
        reg->last = place;
}

static void note_place(void *arg, uint32_t *operand, bool is_def)
{
    struct live *live = arg;

    (void)is_def;
    if ((*operand & 3u) == WARP_BASE_FRAME)
        touch(&live->l->regs[*operand >> 2], live->place);
}

static void find_uses(struct live *live)
{
    struct lower *l = live->l;

    for (uint32_t i = 0; i < l->order_count; i++) {
        const struct lower_block *b = &l->blocks[l->order[i]];

        live->block = l->order[i];
        for (uint32_t k = b->first; k < b->end; k++) {
            lower_each_operand(&l->insns[k], note_use, live);
            lower_each_operand(&l->insns[k], note_def, live);
        }
    }
}

static bool flow_backwards(struct live *live, uint32_t block)
{
    const struct lower_block *b = &live->l->blocks[block];
    uint64_t *in = live->in + (size_t)block * live->words;
    uint64_t *out = live->out + (size_t)block * live->words;
    const uint64_t *use = live->use + (size_t)block * live->words;
    const uint64_t *def = live->def + (size_t)block * live->words;
    bool changed = false;

    for (uint32_t s = 0; s < b->succ_count; s++) {
        const uint64_t *from = live->in + (size_t)b->succ[s] * live->words;

        for (uint32_t i = 0; i < live->words; i++)
            out[i] |= from[i];
    }
    for (uint32_t i = 0; i < live->words; i++) {
        uint64_t now = use[i] | (out[i] & ~def[i]);

        changed = changed || now != in[i];
        in[i] = now;
    }
    return changed;
}

static void touch_set(struct lower *l, const uint64_t *set, uint32_t words, uint32_t place)
{
    for (uint32_t i = 0; i < words; i++)
        for (uint64_t rest = set[i]; rest; rest &= rest - 1)
            touch(&l->regs[i * 64 + (uint32_t)__builtin_ctzll(rest)], place);
}

/* One interval a register, from the first to the last place where it may be live. */
static void find_intervals(struct live *live)
{
    struct lower *l = live->l;
    uint32_t place = 0;

    for (uint32_t i = 0; i < l->reg_count; i++) {
        l->regs[i].first = UINT32_MAX;
        l->regs[i].last = 0;
    }
    for (uint32_t i = 0; i < l->order_count; i++) {
        const struct lower_block *b = &l->blocks[l->order[i]];

        touch_set(l, live->in + (size_t)l->order[i] * live->words, live->words, place);
        for (uint32_t k = b->first; k < b->end; k++) {
            live->place = place++;
            lower_each_operand(&l->insns[k], note_place, live);
        }
        touch_set(l, live->out + (size_t)l->order[i] * live->words, live->words, place - 1);
    }
    if (l->frame_reg != WARP_NO_OPERAND) {
        touch(&l->regs[l->frame_reg >> 2], 0); /* written by the call, before all else */
    }
}

static int by_first(const void *x, const void *y)
{
    const struct lower_reg *a = *(struct lower_reg *const *)x, *b = *(struct lower_reg *const *)y;

    return (a->first > b->first) - (a->first < b->first);
}

struct pool {
    struct lower_reg **active; /* per slot: who has it, NULL: free */
    uint32_t slots;
};

static uint32_t take_slot(struct pool *pool, struct lower_reg *reg, bool share)
{
    uint32_t slot = pool->slots;

    for (uint32_t i = 0; share && i < pool->slots; i++)
        /* Not from a value that ends in this very instruction: a destination never overlaps a
         * source, so that handlers need not care in which order they read and write. */
        if (pool->active[i]->last < reg->first) {
            slot = i;
            break;
        }
    if (slot == pool->slots)
        pool->slots++;
    pool->active[slot] = reg;
    return slot;
}

static void assign(struct lower *l, struct lower_reg **sorted, uint32_t count,
                   struct lower_reg **active)
{
    struct pool pools[POOLS] = {{.slots = 0}};
    uint32_t base[POOLS], end = 0;

    for (uint32_t p = 0; p < POOLS; p++)
        pools[p].active = active + (size_t)p * l->reg_count;
    for (uint32_t i = 0; i < count; i++)
        sorted[i]->slot =
            take_slot(&pools[pool_of(sorted[i]->width)], sorted[i], !l->no_slot_sharing);
    for (uint32_t p = 0; p < POOLS; p++) {
        base[p] = end;
        end += (pools[p].slots * pool_slot_bytes[p] + 63) & ~63u;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = pool_of(sorted[i]->width);

        sorted[i]->slot = base[p] + sorted[i]->slot * pool_slot_bytes[p];
    }
    l->code->frame_bytes = end;
    l->code->regs_per_thread =
        pools[1].slots + pools[2].slots + 2 * pools[3].slots + 4 * pools[4].slots;
}

static void assign_slots(struct lower *l)
{
    struct lower_reg **sorted = fab_alloc_zeroed(l->reg_count + 1, sizeof(*sorted));
    struct lower_reg **active = fab_alloc_zeroed((size_t)POOLS * l->reg_count + 1, sizeof(*active));
    uint32_t count = 0;

    if (sorted && active) {
        for (uint32_t i = 0; i < l->reg_count; i++)
            if (l->regs[i].first <= l->regs[i].last)
                sorted[count++] = &l->regs[i];
        qsort(sorted, count, sizeof(struct lower_reg *), by_first);
        assign(l, sorted, count, active);
    } else {
        lower_fail(l, FAB_ERR_NOMEM, "out of memory");
    }
    free(sorted);
    free(active);
}

void lower_slots(struct lower *l)
{
    struct live live = {.l = l, .words = (l->reg_count + 63) / 64};
    size_t set = (size_t)live.words * l->block_count;
    uint64_t *memory = fab_alloc_zeroed(4 * set + 1, sizeof(*memory));
    bool changed = true;

    if (!memory) {
        lower_fail(l, FAB_ERR_NOMEM, "out of memory");
        return;
    }
    live.in = memory;
    live.out = memory + set;
    live.use = memory + 2 * set;
    live.def = memory + 3 * set;
    find_uses(&live);
    while (changed) {
        changed = false;
        for (uint32_t i = l->order_count; i-- > 0;)
            changed = flow_backwards(&live, l->order[i]) || changed;
    }
    find_intervals(&live);
    free(memory);
    assign_slots(l);
}
