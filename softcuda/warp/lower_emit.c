/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_emit.c - final instructions: handlers, slots, branch targets.
 */
#include "softcuda/warp/lower_int.h"

#include "softcuda/warp/exec_ops_int.h"

void lower_each_operand(struct lower_insn *in,
                        void (*fn)(void *arg, uint32_t *operand, bool is_def), void *arg)
{
    uint32_t *const fixed[] = {&in->d, &in->e, &in->a, &in->b, &in->c};

    for (uint32_t i = 0; i < 2; i++)
        if (*fixed[i] != WARP_NO_OPERAND)
            fn(arg, fixed[i], true);
    for (uint32_t i = 0; i < in->ext_defs; i++)
        if (in->ext[i] != WARP_NO_OPERAND)
            fn(arg, &in->ext[i], true);
    for (uint32_t i = 2; i < FAB_ARRAY_LEN(fixed); i++)
        if (*fixed[i] != WARP_NO_OPERAND)
            fn(arg, fixed[i], false);
    for (uint32_t i = in->ext_defs; i < in->ext_count; i++)
        if (in->ext[i] != WARP_NO_OPERAND)
            fn(arg, &in->ext[i], false);
}

/* ---- handlers ---- */

static void form_source(const struct lower *l, struct warp_form *form, uint32_t index,
                        uint32_t operand)
{
    const struct lower_const *constant = lower_const_of(l, operand);

    if (lower_operand_is_uniform(l, operand))
        form->uniform |= 1u << index;
    if (constant && !constant->varies && index < FAB_ARRAY_LEN(form->constant)) {
        form->known |= 1u << index;
        form->constant[index] = constant->value;
    }
}

static bool has_memory_operand(const struct ptx_op *op)
{
    switch ((int)op->family) {
    case PTX_LD:
    case PTX_LDU:
    case PTX_ST:
    case PTX_ATOM:
    case PTX_RED:
    case PTX_PREFETCH:
    case PTX_PREFETCHU:
    case PTX_CP_ASYNC:
    case PTX_MBARRIER:
        return true;
    default:
        return false;
    }
}

static warp_fn find_handler(struct lower *l, const struct lower_insn *in)
{
    struct warp_form form = {
        .dst_bytes = in->dst_bytes,
        .src_bytes = in->src_bytes,
        .dst_elems = in->dst_elems,
        .src_elems = in->src_elems,
        .source_count = in->source_count,
    };
    warp_fn fn;

    if (in->fn)
        return in->fn;
    form_source(l, &form, 0, in->a);
    form_source(l, &form, 1, in->b);
    form_source(l, &form, 2, in->c);
    for (uint32_t i = in->ext_defs; i < in->ext_count; i++)
        form_source(l, &form, 3 + i - in->ext_defs, in->ext[i]);
    form.addr32 = in->flags & WARP_I_ADDR32;
    form.addr_constant = has_memory_operand(&in->op) && in->a == WARP_NO_OPERAND;
    fn = l->isa->find(&in->op, &form);
    if (!fn)
        lower_fail(l, FAB_ERR_UNSUPPORTED, "%s.%s in this form is not supported",
                   ptx_family_name((enum ptx_family)in->op.family),
                   ptx_type_name((enum ptx_type)in->op.type));
    return fn;
}

static uint32_t final_operand(const struct lower *l, uint32_t operand)
{
    if (operand == WARP_NO_OPERAND || (operand & 3u) != WARP_BASE_FRAME)
        return operand;
    return warp_operand(WARP_BASE_FRAME, l->regs[operand >> 2].slot);
}

static void resolve_copies(struct warp_copy *copies, uint32_t count, const uint32_t *ext)
{
    for (uint32_t i = 0; i < count; i++)
        if (copies[i].operand != WARP_NO_OPERAND)
            copies[i].operand = ext[copies[i].operand];
}

static void emit_one(struct lower *l, struct lower_insn *in, struct warp_insn *out, bool resolve);

/* ext holds the final destinations. */
static const struct warp_group *emit_group(struct lower *l, struct lower_insn *in)
{
    struct warp_group *group = lower_alloc(l, 1, sizeof(*group));
    struct warp_insn *insns = lower_alloc(l, in->ext_count + 1u, sizeof(*insns));

    if (!group || !insns)
        return NULL;
    *group = (struct warp_group){
        .insns = insns, .count = in->ext_count, .imm_min = INT64_MAX, .imm_max = INT64_MIN};
    for (uint32_t i = 0; i < group->count; i++) {
        emit_one(l, &in->parts[i], &insns[i], true);
        if (insns[i].imm < group->imm_min)
            group->imm_min = insns[i].imm;
        if (insns[i].imm > group->imm_max)
            group->imm_max = insns[i].imm;
    }
    return group;
}

/* `resolve`: base FRAME still names registers (not so in hoisted code). */
static void emit_one(struct lower *l, struct lower_insn *in, struct warp_insn *out, bool resolve)
{
    l->line = in->line;
    *out = (struct warp_insn){.fn = find_handler(l, in),
                              .d = in->d,
                              .e = in->e,
                              .a = in->a,
                              .b = in->b,
                              .c = in->c,
                              .line = in->line,
                              .imm = in->imm,
                              .flags = in->flags};
    if (resolve) {
        out->d = final_operand(l, in->d);
        out->e = final_operand(l, in->e);
        out->a = final_operand(l, in->a);
        out->b = final_operand(l, in->b);
        out->c = final_operand(l, in->c);
        for (uint32_t i = 0; i < in->ext_count; i++)
            in->ext[i] = final_operand(l, in->ext[i]);
    }
    out->ext = in->ext;
    if (in->parts) {
        out->fn = warp_load_group_for(l->isa->name);
        out->aux = emit_group(l, in);
    }
    if (in->is_chain) {
        struct warp_chain *chain = lower_alloc(l, 1, sizeof(*chain));

        if (!chain)
            return;
        *chain = (struct warp_chain){.operands = in->ext, .count = in->ext_count / 2u};
        out->aux = chain;
    }
    if (in->op.family == PTX_CALL) {
        /* The record belongs to this instruction alone; it was made for it. */
        struct warp_call *call = lower_alloc(l, 1, sizeof(*call));

        if (!call)
            return;
        *call = *(const struct warp_call *)in->aux;
        resolve_copies(call->args, call->arg_count, in->ext);
        resolve_copies(call->rets, call->ret_count, in->ext);
        out->aux = call;
    }
}

/* ---- branches ---- */

enum {
    SPIN_INSNS_MAX = 32, /* a spinning loop is short */
    SPIN_COST = 16,
};

/* A loop with it may wait for what another thread does. Atomics that only count do not wait. */
static bool looks_like_waiting(const struct lower *l, const struct lower_insn *in)
{
    const struct lower_const *operand;

    switch ((int)in->op.family) {
    case PTX_NANOSLEEP:
    case PTX_MBARRIER:
        return true;
    case PTX_LD:
        return in->op.sem != PTX_SEM_WEAK;
    case PTX_ATOM:
        operand = lower_const_of(l, in->b);
        return in->op.sub == PTX_SUB_CAS || in->op.sub == PTX_SUB_EXCH ||
               (operand && !operand->varies && operand->value == 0); /* a load in disguise */
    default:
        return false;
    }
}

/* What a back edge over the instructions [from, to] of the layout costs. */
static uint32_t back_edge_cost(const struct lower *l, uint32_t from_block, uint32_t to_block)
{
    uint32_t insns = 0, cost;
    bool memory = false, spins = false, calls = false;

    for (int32_t i = l->blocks[from_block].order; i <= l->blocks[to_block].order; i++) {
        const struct lower_block *b = &l->blocks[l->order[i]];

        for (uint32_t k = b->first; k < b->end; k++, insns++) {
            const struct ptx_op *op = &l->insns[k].op;

            memory = memory || has_memory_operand(op);
            calls = calls || op->family == PTX_CALL;
            spins = spins || looks_like_waiting(l, &l->insns[k]);
        }
    }
    cost = spins && insns <= SPIN_INSNS_MAX ? warp_branch_cost(SPIN_COST, SPIN_COST)
                                            : warp_branch_cost(1, memory || calls ? 1 : 0);
    return spins || calls ? cost | WARP_MAY_WAIT : cost;
}

struct emitter {
    struct lower *l;
    struct warp_insn *at;
    const struct warp_insn **start; /* per block */
    uint32_t block;                 /* being emitted */
};

static bool is_back(const struct emitter *e, uint32_t target)
{
    return e->l->blocks[target].order <= e->l->blocks[e->block].order;
}

static void emit_branch(struct emitter *e, uint32_t target, uint32_t predicate, bool negate,
                        uint32_t line)
{
    bool back = is_back(e, target);

    *e->at = (struct warp_insn){.d = WARP_NO_OPERAND,
                                .e = WARP_NO_OPERAND,
                                .a = final_operand(e->l, predicate),
                                .b = WARP_NO_OPERAND,
                                .c = WARP_NO_OPERAND,
                                .line = line,
                                .target = e->start[target]};
    if (predicate == WARP_NO_OPERAND)
        e->at->fn = back ? warp_op_bra_back : warp_op_bra;
    else
        e->at->fn = negate ? warp_op_bra_unless : warp_op_bra_if;
    if (back)
        e->at->spare = back_edge_cost(e->l, target, e->block);
    e->at++;
}

static void emit_switch(struct emitter *e, struct lower_insn *in, const struct lower_block *b)
{
    struct warp_switch *to = lower_alloc(e->l, 1, sizeof(*to));
    const struct warp_insn **targets =
        lower_alloc(e->l, b->succ_count, sizeof(const struct warp_insn *));

    if (!to || !targets)
        return;
    for (uint32_t i = 0; i < b->succ_count; i++)
        targets[i] = e->start[b->succ[i]];
    *to = (struct warp_switch){.targets = targets, .target_count = b->succ_count};
    emit_one(e->l, in, e->at, true);
    e->at->aux = to;
    e->at->spare = warp_branch_cost(1, 1);
    e->at++;
}

/* The block that follows in the layout; block_count: none. */
static uint32_t following(const struct lower *l, uint32_t block)
{
    uint32_t next = (uint32_t)l->blocks[block].order + 1;

    return next < l->order_count ? l->order[next] : l->block_count;
}

/* How many instructions a block's end takes, beside those before it. */
static uint32_t end_count(const struct lower *l, uint32_t block)
{
    const struct lower_block *b = &l->blocks[block];
    uint32_t next = following(l, block);

    switch ((enum lower_kind)l->insns[b->end - 1].kind) {
    case LOWER_PLAIN:
        return b->succ[0] == next ? 1 : 2;
    case LOWER_BRANCH:
        if (b->succ_count == 1)
            return b->succ[0] == next ? 0 : 1;
        return b->succ[0] == next || b->succ[1] == next ? 1 : 2;
    case LOWER_SWITCH:
    case LOWER_END:
        break;
    }
    return 1;
}

static void emit_end(struct emitter *e, const struct lower_block *b)
{
    struct lower *l = e->l;
    struct lower_insn *last = &l->insns[b->end - 1];
    uint32_t next = following(l, e->block), none = WARP_NO_OPERAND;

    switch ((enum lower_kind)last->kind) {
    case LOWER_PLAIN:
        emit_one(l, last, e->at++, true);
        if (b->succ[0] != next)
            emit_branch(e, b->succ[0], none, false, last->line);
        break;
    case LOWER_END:
        emit_one(l, last, e->at++, true);
        break;
    case LOWER_SWITCH:
        emit_switch(e, last, b);
        break;
    case LOWER_BRANCH:
        if (b->succ_count == 1) {
            if (b->succ[0] != next)
                emit_branch(e, b->succ[0], none, false, last->line);
        } else if (b->succ[1] == next) {
            emit_branch(e, b->succ[0], last->a, !last->negate, last->line);
        } else {
            emit_branch(e, b->succ[1], last->a, last->negate, last->line);
            if (b->succ[0] != next)
                emit_branch(e, b->succ[0], none, false, last->line);
        }
        break;
    }
}

void lower_emit(struct lower *l)
{
    struct emitter e = {.l = l};
    uint32_t count = 0;

    e.start = lower_alloc(l, l->block_count, sizeof(const struct warp_insn *));
    if (!e.start)
        return;
    for (uint32_t i = 0; i < l->order_count; i++)
        count += l->blocks[l->order[i]].end - l->blocks[l->order[i]].first - 1 +
                 end_count(l, l->order[i]);
    e.at = lower_alloc(l, count + 1, sizeof(*e.at));
    if (!e.at)
        return;
    l->code->insns = e.at;
    l->code->insn_count = count;
    for (uint32_t i = 0, at = 0; i < l->order_count; i++) {
        e.start[l->order[i]] = l->code->insns + at;
        at += l->blocks[l->order[i]].end - l->blocks[l->order[i]].first - 1 +
              end_count(l, l->order[i]);
    }
    for (uint32_t i = 0; i < l->order_count && l->status == FAB_OK; i++) {
        const struct lower_block *b = &l->blocks[l->order[i]];

        e.block = l->order[i];
        for (uint32_t k = b->first; k + 1 < b->end; k++)
            emit_one(l, &l->insns[k], e.at++, true);
        emit_end(&e, b);
    }
    if (l->frame_reg != WARP_NO_OPERAND)
        l->code->frame_offset = l->regs[l->frame_reg >> 2].slot;
}

void lower_emit_hoisted(struct lower *l)
{
    for (unsigned level = 0; level < WARP_HOIST_LEVELS; level++) {
        struct warp_hoisted *hoisted = &l->program->hoisted[level];
        struct warp_insn *insns = lower_alloc(l, l->hoisted_count[level] + 1, sizeof(*insns));

        for (uint32_t i = 0; insns && i < l->hoisted_count[level]; i++)
            emit_one(l, &l->hoisted[level][i], &insns[i], false);
        hoisted->insns = insns;
        hoisted->count = l->hoisted_count[level];
    }
}
