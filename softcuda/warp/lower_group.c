/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_group.c - loads of .shared from one address register become one instruction.
 *
 * Unrolled loops over tiles are mostly such loads. They move up to the first of them, past
 * arithmetic and other loads only; the address is then looked at once for all (exec_group.c).
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

#include "softcuda/warp/exec_ops_int.h"

static bool can_group(const struct lower_insn *in)
{
    return in->kind == LOWER_PLAIN && !in->fn && in->op.family == PTX_LD &&
           in->op.space == PTX_SPACE_SHARED && in->op.sem == PTX_SEM_WEAK && in->op.vec <= 1 &&
           ptx_type_bytes((enum ptx_type)in->op.type) == 4 && in->d != WARP_NO_OPERAND &&
           in->dst_bytes == 4 && in->a != WARP_NO_OPERAND && in->flags == WARP_I_ADDR32 &&
           (in->imm & 3) == 0;
}

/* A load may move up past it. */
static bool can_pass(const struct lower_insn *in)
{
    if (in->fn == warp_op_load_group)
        return true; /* an earlier group, or the place that one of its members left */
    if (in->kind != LOWER_PLAIN || in->fn)
        return false;
    if (in->op.family == PTX_LD)
        return in->op.sem == PTX_SEM_WEAK;
    return lower_is_pure(&in->op);
}

struct search {
    uint32_t operand;
    bool read, written;
};

static void look_for(void *arg, uint32_t *operand, bool is_def)
{
    struct search *search = arg;

    if (*operand != search->operand)
        return;
    search->written = search->written || is_def;
    search->read = search->read || !is_def;
}

static struct search find_operand(struct lower_insn *in, uint32_t operand)
{
    struct search search = {.operand = operand};

    lower_each_operand(in, look_for, &search);
    return search;
}

/* The members of the group that begins at `first`: instruction numbers. */
static uint32_t find_members(struct lower *l, uint32_t first, uint32_t end,
                             uint32_t members[WARP_GROUP_MAX])
{
    const struct lower_insn *head = &l->insns[first];
    uint32_t count = 1;

    members[0] = first;
    if (head->d == head->a)
        return 1;
    for (uint32_t i = first + 1; i < end && count < WARP_GROUP_MAX; i++) {
        struct lower_insn *in = &l->insns[i];
        bool movable = can_group(in) && in->a == head->a;

        if (!can_pass(in))
            break;
        for (uint32_t k = first; movable && k < i; k++) {
            struct search search = find_operand(&l->insns[k], in->d);

            movable = !search.read && !search.written;
        }
        if (movable && in->d != head->a)
            members[count++] = i;
        else if (find_operand(in, head->a).written)
            break;
    }
    return count;
}

static void make_group(struct lower *l, const uint32_t *members, uint32_t count)
{
    struct lower_insn *parts = lower_alloc(l, count, sizeof(*parts));
    uint32_t *ext = lower_alloc(l, count, sizeof(*ext));
    struct lower_insn *head = &l->insns[members[0]];

    if (!parts || !ext)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct lower_insn *in = &l->insns[members[i]];

        parts[i] = *in;
        ext[i] = in->d;
        if (i > 0)
            *in = (struct lower_insn){.fn = warp_op_load_group,
                                      .d = WARP_NO_OPERAND,
                                      .e = WARP_NO_OPERAND,
                                      .a = WARP_NO_OPERAND,
                                      .b = WARP_NO_OPERAND,
                                      .c = WARP_NO_OPERAND};
    }
    head->fn = warp_op_load_group;
    head->d = WARP_NO_OPERAND;
    head->ext = ext;
    head->ext_count = (uint16_t)count;
    head->ext_defs = (uint8_t)count;
    head->parts = parts;
}

/* Members that went into a group were marked by an empty record; the block closes up. */
static void close_up(struct lower *l, struct lower_block *b)
{
    uint32_t kept = b->first;

    for (uint32_t i = b->first; i < b->end; i++)
        if (l->insns[i].fn != warp_op_load_group || l->insns[i].parts)
            l->insns[kept++] = l->insns[i];
    b->end = kept;
}

void lower_group(struct lower *l)
{
    uint32_t members[WARP_GROUP_MAX];

    if (l->no_hoisting)
        return; /* the policy that runs every instruction where it stands */
    for (uint32_t i = 0; i < l->block_count; i++) {
        struct lower_block *b = &l->blocks[i];
        bool grouped = false;

        for (uint32_t k = b->first; k < b->end && l->status == FAB_OK; k++) {
            uint32_t count = can_group(&l->insns[k]) ? find_members(l, k, b->end, members) : 0;

            if (count < 2)
                continue;
            make_group(l, members, count);
            grouped = true;
        }
        if (grouped)
            close_up(l, b);
    }
}
