/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_chain.c - fma instructions that each add to the one before become one.
 *
 * They must stand one after the other (lower_group.c has moved the loads of a dot product away),
 * and nobody else may read the sums between: those are not stored at all (exec_chain.c).
 */
#include "softcuda/warp/lower_int.h"

#include "softcuda/warp/exec_ops_int.h"

static bool can_chain(const struct lower_insn *in)
{
    return in->kind == LOWER_PLAIN && !in->fn && in->op.family == PTX_FMA &&
           in->op.type == PTX_F32 && in->op.round == PTX_ROUND_RN && in->op.flags == 0 &&
           in->d != WARP_NO_OPERAND;
}

struct uses {
    struct lower *l;
    uint16_t *count; /* per register: how often it is read; saturates */
};

static void count_use(void *arg, uint32_t *operand, bool is_def)
{
    struct uses *uses = arg;

    if (!is_def && (*operand & 3u) == WARP_BASE_FRAME && uses->count[*operand >> 2] < UINT16_MAX)
        uses->count[*operand >> 2]++;
}

/* How many instructions from `first` on make one chain. */
static uint32_t chain_length(const struct lower *l, const struct uses *uses, uint32_t first,
                             uint32_t end)
{
    uint32_t count = 1;

    if (!can_chain(&l->insns[first]))
        return 0;
    while (first + count < end && count < WARP_GROUP_MAX) {
        const struct lower_insn *last = &l->insns[first + count - 1];
        const struct lower_insn *next = &l->insns[first + count];

        if (!can_chain(next) || next->c != last->d || next->a == last->d || next->b == last->d ||
            uses->count[last->d >> 2] != 1 || l->regs[last->d >> 2].defs != 1)
            break;
        count++;
    }
    return count;
}

static void make_chain(struct lower *l, uint32_t first, uint32_t count)
{
    uint32_t *ext = lower_alloc(l, 2 * (size_t)count, sizeof(*ext));
    struct lower_insn *head = &l->insns[first];

    if (!ext)
        return;
    for (uint32_t i = 0; i < count; i++) {
        ext[(size_t)2 * i] = head[i].a;
        ext[(size_t)2 * i + 1] = head[i].b;
    }
    head->fn = warp_fma_chain_for(l->isa->name);
    head->a = head->b = WARP_NO_OPERAND;
    head->d = head[count - 1].d;
    head->ext = ext;
    head->ext_count = (uint16_t)(2 * count);
    head->ext_defs = 0;
    head->is_chain = true;
}

static void chain_block(struct lower *l, const struct uses *uses, struct lower_block *b)
{
    uint32_t kept = b->first;

    for (uint32_t i = b->first; i < b->end;) {
        uint32_t count = chain_length(l, uses, i, b->end);

        if (count >= 2)
            make_chain(l, i, count);
        l->insns[kept++] = l->insns[i];
        i += count ? count : 1;
    }
    b->end = kept;
}

void lower_chain(struct lower *l)
{
    struct uses uses = {.l = l};

    if (l->no_hoisting || !warp_fma_chain_for(l->isa->name))
        return;
    uses.count = lower_alloc(l, l->reg_count, sizeof(*uses.count));
    if (!uses.count)
        return;
    for (uint32_t i = 0; i < l->block_count; i++)
        for (uint32_t k = l->blocks[i].first; k < l->blocks[i].end; k++)
            lower_each_operand(&l->insns[k], count_use, &uses);
    for (uint32_t i = 0; i < l->block_count && l->status == FAB_OK; i++)
        chain_block(l, &uses, &l->blocks[i]);
}
