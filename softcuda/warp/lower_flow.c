/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_flow.c - basic blocks and their order.
 *
 * The scheduler runs the fragment with the lowest pc first, so the order decides where split
 * lanes meet again: reverse post-order with every loop in one piece puts joins after all that
 * leads to them. It never decides correctness. Dominators: Cooper, Harvey, Kennedy.
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

struct flow {
    struct lower *l;
    uint32_t *rpo;   /* blocks in reverse post-order */
    int32_t *number; /* per block: place in rpo; -1: not reachable */
    uint32_t *idom;  /* per block */
    uint32_t count;  /* reachable blocks */
    uint64_t *loops; /* per block: bit set of the loops it is in */
    uint32_t words, loop_count;
    uint32_t *stack;
    uint8_t *seen;
};

static void mark_leaders(struct lower *l, uint8_t *leader)
{
    leader[0] = 1;
    for (uint32_t i = 0; i < l->insn_count; i++) {
        const struct lower_insn *in = &l->insns[i];

        if (in->kind != LOWER_PLAIN)
            leader[i + 1] = 1;
        if (in->kind == LOWER_BRANCH)
            leader[l->label_at[in->label]] = 1;
        for (uint32_t k = 0; in->kind == LOWER_SWITCH && k < in->target_count; k++)
            leader[l->label_at[in->targets[k]]] = 1;
    }
}

static void add_successors(struct lower *l, struct lower_block *block, uint32_t number,
                           const uint32_t *block_of)
{
    const struct lower_insn *last = &l->insns[block->end - 1];
    uint32_t room = last->kind == LOWER_SWITCH ? last->target_count : 2;

    block->succ = lower_alloc(l, room, sizeof(*block->succ));
    if (!block->succ)
        return;
    switch ((enum lower_kind)last->kind) {
    case LOWER_PLAIN:
        block->succ[block->succ_count++] = number + 1;
        break;
    case LOWER_BRANCH:
        if (last->a != WARP_NO_OPERAND)
            block->succ[block->succ_count++] = number + 1;
        block->succ[block->succ_count++] = block_of[l->label_at[last->label]];
        break;
    case LOWER_SWITCH:
        for (uint32_t i = 0; i < last->target_count; i++)
            block->succ[block->succ_count++] = block_of[l->label_at[last->targets[i]]];
        break;
    case LOWER_END:
        break;
    }
}

static void find_blocks(struct lower *l)
{
    uint8_t *leader = lower_alloc(l, l->insn_count + 1, 1);
    uint32_t *block_of = lower_alloc(l, l->insn_count + 1, sizeof(*block_of));
    uint32_t count = 0;

    if (!leader || !block_of)
        return;
    mark_leaders(l, leader);
    for (uint32_t i = 0; i < l->insn_count; i++) {
        count += leader[i];
        block_of[i] = count - 1;
    }
    l->blocks = lower_alloc(l, count, sizeof(*l->blocks));
    if (!l->blocks)
        return;
    l->block_count = count;
    for (uint32_t i = 0; i < l->insn_count; i++) {
        struct lower_block *block = &l->blocks[block_of[i]];

        if (leader[i])
            block->first = i;
        block->end = i + 1;
        block->order = -1;
    }
    for (uint32_t i = 0; i < count; i++)
        add_successors(l, &l->blocks[i], i, block_of);
}

/* How many loops two blocks share. */
static uint32_t common_loops(const struct flow *f, uint32_t x, uint32_t y)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < f->words; i++)
        count +=
            (uint32_t)__builtin_popcountll(f->loops[x * f->words + i] & f->loops[y * f->words + i]);
    return count;
}

/* The successor to visit next: what leaves most loops first, so that it comes last in the order;
 * of equals the later in the text. Returns block_count when all are seen. */
static uint32_t next_successor(const struct flow *f, uint32_t block)
{
    const struct lower_block *b = &f->l->blocks[block];
    uint32_t best = f->l->block_count, best_common = UINT32_MAX;

    for (uint32_t i = 0; i < b->succ_count; i++) {
        uint32_t s = b->succ[i], common = f->loops ? common_loops(f, block, s) : 0;

        if (f->seen[s])
            continue;
        if (common < best_common || (common == best_common && s > best)) {
            best = s;
            best_common = common;
        }
    }
    return best;
}

static void depth_first(struct flow *f)
{
    uint32_t depth = 0, at = f->l->block_count;

    memset(f->seen, 0, f->l->block_count);
    f->stack[depth++] = 0;
    f->seen[0] = 1;
    while (depth > 0) {
        uint32_t block = f->stack[depth - 1], next = next_successor(f, block);

        if (next < f->l->block_count) {
            f->seen[next] = 1;
            f->stack[depth++] = next;
        } else {
            f->rpo[--at] = block;
            depth--;
        }
    }
    f->count = f->l->block_count - at;
    memmove(f->rpo, f->rpo + at, f->count * sizeof(*f->rpo));
    for (uint32_t i = 0; i < f->l->block_count; i++)
        f->number[i] = -1;
    for (uint32_t i = 0; i < f->count; i++)
        f->number[f->rpo[i]] = (int32_t)i;
}

static uint32_t meet(const struct flow *f, uint32_t x, uint32_t y)
{
    while (x != y) {
        while (f->number[x] > f->number[y])
            x = f->idom[x];
        while (f->number[y] > f->number[x])
            y = f->idom[y];
    }
    return x;
}

static void find_dominators(struct flow *f)
{
    bool changed = true;

    for (uint32_t i = 0; i < f->l->block_count; i++)
        f->idom[i] = UINT32_MAX;
    f->idom[0] = 0;
    while (changed) {
        changed = false;
        /* Successors instead of predecessors: every edge u -> s refines s. */
        for (uint32_t i = 0; i < f->count; i++) {
            uint32_t u = f->rpo[i];
            const struct lower_block *b = &f->l->blocks[u];

            for (uint32_t k = 0; k < b->succ_count; k++) {
                uint32_t s = b->succ[k];
                uint32_t dom = f->idom[s] == UINT32_MAX ? u : meet(f, u, f->idom[s]);

                if (s != 0 && dom != f->idom[s]) {
                    f->idom[s] = dom;
                    changed = true;
                }
            }
        }
    }
}

static bool dominates(const struct flow *f, uint32_t x, uint32_t y)
{
    while (f->number[y] > f->number[x])
        y = f->idom[y];
    return x == y;
}

/* The natural loop of the back edge tail -> head gets bit `loop`: all that reaches the tail
 * without passing the head. Predecessors are found by passes over the order, backwards. */
static void mark_loop(struct flow *f, uint32_t head, uint32_t tail, uint32_t loop)
{
    uint64_t bit = UINT64_C(1) << (loop % 64);
    uint64_t *word = f->loops + loop / 64;
    bool changed = true;

    word[(size_t)head * f->words] |= bit;
    word[(size_t)tail * f->words] |= bit;
    while (changed) {
        changed = false;
        for (int32_t i = (int32_t)f->count - 1; i > f->number[head]; i--) {
            uint32_t u = f->rpo[i];
            const struct lower_block *b = &f->l->blocks[u];

            for (uint32_t k = 0; k < b->succ_count && !(word[(size_t)u * f->words] & bit); k++)
                if (b->succ[k] != head && (word[(size_t)b->succ[k] * f->words] & bit)) {
                    word[(size_t)u * f->words] |= bit;
                    changed = true;
                }
        }
    }
}

static void find_loops(struct flow *f)
{
    const struct lower *l = f->l;
    uint32_t edges = 0;

    for (uint32_t pass = 0; pass < 2; pass++) {
        edges = 0;
        for (uint32_t i = 0; i < f->count; i++) {
            const struct lower_block *b = &l->blocks[f->rpo[i]];

            for (uint32_t k = 0; k < b->succ_count; k++)
                if (dominates(f, b->succ[k], f->rpo[i])) {
                    if (pass == 1)
                        mark_loop(f, b->succ[k], f->rpo[i], edges);
                    edges++;
                }
        }
        if (pass == 0) {
            f->loop_count = edges;
            f->words = (edges + 63) / 64;
            f->loops = lower_alloc(f->l, (size_t)f->words * l->block_count, sizeof(*f->loops));
            if (!f->loops || edges == 0)
                return;
        }
    }
}

void lower_flow(struct lower *l)
{
    struct flow f = {.l = l};

    find_blocks(l);
    if (l->status != FAB_OK)
        return;
    f.rpo = lower_alloc(l, l->block_count, sizeof(*f.rpo));
    f.number = lower_alloc(l, l->block_count, sizeof(*f.number));
    f.idom = lower_alloc(l, l->block_count, sizeof(*f.idom));
    f.stack = lower_alloc(l, l->block_count, sizeof(*f.stack));
    f.seen = lower_alloc(l, l->block_count, 1);
    if (l->status != FAB_OK)
        return;
    depth_first(&f);
    find_dominators(&f);
    find_loops(&f);
    if (l->status != FAB_OK)
        return;
    depth_first(&f);
    l->order = f.rpo;
    l->order_count = f.count;
    for (uint32_t i = 0; i < f.count; i++)
        l->blocks[f.rpo[i]].order = (int32_t)i;
}
