/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_uniform.c - values that need not be computed in every warp leave its code.
 *
 * A register with one definition, by a pure operation whose sources change only with the launch,
 * the warp's index or the block, always has the same value, wherever it is read: it moves to a
 * page and is computed once per launch, warp index or block. Copies of such values vanish. That
 * covers parameters, %ntid, address bases, and loop-invariant code.
 */
#include "softcuda/warp/lower_int.h"

bool lower_is_pure(const struct ptx_op *op)
{
    if (op->flags & PTX_F_CC)
        return false;
    if (op->family <= PTX_MOV) /* arithmetic, comparisons, logic, shifts */
        return op->family != PTX_ADDC && op->family != PTX_SUBC && op->family != PTX_MADC;
    return op->family == PTX_PRMT || op->family == PTX_CVT ||
           (op->family == PTX_CVTA && op->space == PTX_SPACE_SHARED);
}

static enum warp_level join(enum warp_level x, enum warp_level y)
{
    if (x == y || y == WARP_LEVEL_LAUNCH)
        return x;
    if (x == WARP_LEVEL_LAUNCH)
        return y;
    return WARP_LEVEL_LANE;
}

struct visit {
    struct lower *l;
    enum warp_level level;
    bool single; /* every destination has one definition */
};

static void count_definition(void *arg, uint32_t *operand, bool is_def)
{
    struct lower *l = arg;

    if (is_def)
        l->regs[*operand >> 2].defs++;
}

static void replace_alias(void *arg, uint32_t *operand, bool is_def)
{
    struct lower *l = arg;

    if (!is_def && (*operand & 3u) == WARP_BASE_FRAME &&
        l->regs[*operand >> 2].alias != WARP_NO_OPERAND)
        *operand = l->regs[*operand >> 2].alias;
}

static void classify(void *arg, uint32_t *operand, bool is_def)
{
    struct visit *visit = arg;

    if (is_def)
        visit->single = visit->single && visit->l->regs[*operand >> 2].defs == 1;
    else
        visit->level = join(visit->level, lower_operand_level(visit->l, *operand));
}

struct hoist {
    struct lower *l;
    enum warp_level level;
};

/* Destination to its place in the page; handlers write through base FRAME. */
static void move_to_page(void *arg, uint32_t *operand, bool is_def)
{
    struct hoist *hoist = arg;
    struct lower_reg *reg;
    uint32_t slot;

    if (!is_def)
        return;
    reg = &hoist->l->regs[*operand >> 2];
    slot = lower_page_slot(hoist->l, hoist->level, reg->width);
    reg->alias = slot;
    *operand = warp_operand(WARP_BASE_FRAME, slot >> 2);
}

static bool is_plain_copy(const struct lower_insn *in)
{
    return in->op.family == PTX_MOV && in->d != WARP_NO_OPERAND && in->e == WARP_NO_OPERAND &&
           in->b == WARP_NO_OPERAND && in->ext_count == 0;
}

static bool hoist_one(struct lower *l, struct lower_insn *in)
{
    struct visit visit = {.l = l, .level = WARP_LEVEL_LAUNCH, .single = true};
    struct hoist hoist = {.l = l};

    lower_each_operand(in, replace_alias, l);
    if (in->kind != LOWER_PLAIN || in->fn || !lower_is_pure(&in->op))
        return false;
    lower_each_operand(in, classify, &visit);
    if (in->op.family == PTX_CVTA)
        visit.level = join(visit.level, WARP_LEVEL_BLOCK);
    if (!visit.single || visit.level == WARP_LEVEL_LANE)
        return false;
    if (is_plain_copy(in)) {
        l->regs[in->d >> 2].alias = in->a;
        return true;
    }
    hoist.level = visit.level;
    if (!lower_room(l, &l->hoisted[visit.level], l->hoisted_count[visit.level],
                    &l->hoisted_room[visit.level], sizeof(*in)))
        return false;
    lower_each_operand(in, move_to_page, &hoist);
    l->hoisted[visit.level][l->hoisted_count[visit.level]++] = *in;
    return true;
}

/* Takes out what was hoisted and moves the labels along. */
static uint32_t hoist_pass(struct lower *l)
{
    uint32_t kept = 0, count = l->insn_count;
    uint32_t *new_place = lower_alloc(l, count + 1, sizeof(*new_place));

    if (!new_place)
        return 0;
    for (uint32_t i = 0; i < count && l->status == FAB_OK; i++) {
        new_place[i] = kept;
        l->line = l->insns[i].line;
        if (!hoist_one(l, &l->insns[i]))
            l->insns[kept++] = l->insns[i];
    }
    new_place[count] = kept;
    for (uint32_t i = 0; i < l->label_count; i++)
        l->label_at[i] = new_place[l->label_at[i]];
    l->insn_count = kept;
    return count - kept;
}

void lower_uniform(struct lower *l)
{
    for (uint32_t i = 0; i < l->insn_count; i++)
        lower_each_operand(&l->insns[i], count_definition, l);
    if (l->no_hoisting)
        return;
    /* Again while something moved: a use may stand before its definition in the text. */
    while (l->status == FAB_OK && hoist_pass(l) > 0)
        ;
    for (uint32_t i = 0; i < l->insn_count; i++)
        lower_each_operand(&l->insns[i], replace_alias, l);
}
