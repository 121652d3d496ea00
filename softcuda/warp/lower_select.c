/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_select.c - one PTX instruction to one or a few intermediate ones.
 *
 * A guard (@p) on anything but a branch becomes a branch around it: one mechanism for all, at the
 * price of a split where the guard differs by lane; compilers guard only branches.
 */
#include "softcuda/warp/lower_int.h"

#include "softcuda/warp/exec_ops_int.h"

struct lower_insn *lower_add(struct lower *l, const struct ptx_op *op)
{
    struct lower_insn *in;

    if (!lower_room(l, &l->insns, l->insn_count, &l->insn_room, sizeof(*l->insns)))
        return NULL;
    in = &l->insns[l->insn_count++];
    *in = (struct lower_insn){.op = *op,
                              .d = WARP_NO_OPERAND,
                              .e = WARP_NO_OPERAND,
                              .a = WARP_NO_OPERAND,
                              .b = WARP_NO_OPERAND,
                              .c = WARP_NO_OPERAND,
                              .label = -1,
                              .line = l->line};
    return in;
}

static struct lower_insn *add_own(struct lower *l, const struct ptx_op *op, warp_fn fn)
{
    struct lower_insn *in = lower_add(l, op);

    if (in)
        in->fn = fn;
    return in;
}

void lower_add_move(struct lower *l, uint32_t d, uint32_t a, uint8_t width)
{
    enum ptx_type type = width == 0   ? PTX_PRED
                         : width == 2 ? PTX_B16
                         : width == 4 ? PTX_B32
                         : width == 8 ? PTX_B64
                                      : PTX_B128;
    const struct ptx_op op = {.family = PTX_MOV, .type = (uint8_t)type};
    struct lower_insn *in = lower_add(l, &op);

    if (in) {
        in->d = d;
        in->a = a;
    }
}

int32_t lower_label_new(struct lower *l)
{
    if (!lower_room(l, &l->label_at, l->label_count, &l->label_room, sizeof(*l->label_at)))
        return -1;
    l->label_at[l->label_count] = 0;
    return (int32_t)l->label_count++;
}

static void add_branch(struct lower *l, const struct ptx_op *op, int32_t label, uint32_t predicate,
                       bool negate)
{
    struct lower_insn *in = add_own(l, op, warp_op_bra);

    if (in) {
        in->kind = LOWER_BRANCH;
        in->label = label;
        in->a = predicate;
        in->negate = negate;
    }
}

static uint32_t guard(const struct ptx_insn *in)
{
    return in->guard_reg == PTX_NONE_INDEX ? WARP_NO_OPERAND
                                           : warp_operand(WARP_BASE_FRAME, (uint32_t)in->guard_reg);
}

static void select_switch(struct lower *l, const struct ptx_insn *in)
{
    uint32_t index = lower_source(l, &in->operands[0], PTX_U32);
    struct lower_insn *out = add_own(l, &in->op, warp_op_switch);

    if (out) {
        out->kind = LOWER_SWITCH;
        out->a = index;
        out->targets = in->targets;
        out->target_count = in->target_count;
    }
}

static void select_end(struct lower *l, const struct ptx_insn *in)
{
    bool exits = in->op.family == PTX_EXIT || l->function->is_entry;
    struct lower_insn *out = add_own(l, &in->op, exits ? warp_op_exit : warp_op_ret);

    if (out)
        out->kind = LOWER_END;
}

static enum ptx_sub barrier_kind(const struct ptx_op *op)
{
    if (op->sub != PTX_SUB_RED)
        return (enum ptx_sub)op->sub;
    if (op->boolop == PTX_BOOL_AND)
        return PTX_SUB_AND;
    return op->boolop == PTX_BOOL_OR ? PTX_SUB_OR : PTX_SUB_POPC;
}

static void select_barrier(struct lower *l, const struct ptx_insn *in)
{
    enum ptx_sub kind = barrier_kind(&in->op);
    bool is_red = kind == PTX_SUB_AND || kind == PTX_SUB_OR || kind == PTX_SUB_POPC;
    bool is_warp = kind == PTX_SUB_WARP_SYNC;
    uint32_t source[3] = {WARP_NO_OPERAND, WARP_NO_OPERAND, WARP_NO_OPERAND};
    uint32_t count = (uint32_t)in->operand_count - in->dst_count;
    struct lower_insn *out;

    if ((!is_red && !is_warp && kind != PTX_SUB_SYNC && kind != PTX_SUB_ARRIVE) || count > 3 ||
        count == 0) {
        lower_fail(l, FAB_ERR_UNSUPPORTED, "this form of %s",
                   ptx_family_name((enum ptx_family)in->op.family));
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        source[i] = lower_source(l, &in->operands[in->dst_count + i],
                                 is_red && i == count - 1 ? PTX_PRED : PTX_U32);
    out = add_own(l, &in->op, is_warp ? warp_op_warp_sync : warp_op_barrier);
    if (!out)
        return;
    out->imm = kind;
    out->a = source[0];
    out->b = is_red && count == 2 ? WARP_NO_OPERAND : source[1];
    out->c = is_red ? source[count - 1] : WARP_NO_OPERAND;
    if (in->dst_count)
        out->d = lower_destination(l, &in->operands[0]);
}

static void set_source(struct lower_insn *out, uint32_t index, uint32_t operand, uint32_t *ext)
{
    if (index == 0)
        out->a = operand;
    else if (index == 1)
        out->b = operand;
    else if (index == 2)
        out->c = operand;
    else
        ext[index - 3] = operand;
}

/* Destinations: d, e or d, ext for a vector. Returns how many went to ext. */
static uint32_t select_destinations(struct lower *l, const struct ptx_insn *in,
                                    struct lower_insn *proto, uint32_t *ext)
{
    const struct ptx_operand *first = &in->operands[0];

    if (in->dst_count == 0)
        return 0;
    if (first->kind != PTX_OPERAND_VEC) {
        proto->d = lower_destination(l, first);
        if (in->dst_count > 1)
            proto->e = lower_destination(l, &in->operands[1]);
        return 0;
    }
    proto->d = lower_destination(l, &first->elems[0]);
    for (uint32_t i = 1; i < first->elem_count; i++)
        ext[i - 1] = lower_destination(l, &first->elems[i]);
    return first->elem_count - 1u;
}

/* The type of one element of a packed source: mov.b64 d, {x, y}. */
static enum ptx_type element_type(enum ptx_type whole, uint32_t count)
{
    uint32_t bytes = ptx_type_bytes(whole) / (count ? count : 1);

    return bytes >= 8 ? PTX_B64 : bytes == 4 ? PTX_B32 : bytes == 2 ? PTX_B16 : PTX_B8;
}

static uint32_t select_source(struct lower *l, const struct ptx_insn *in, uint32_t index,
                              struct lower_insn *proto)
{
    struct ptx_operand operand = in->operands[in->dst_count + index];
    bool is_set = in->op.family == PTX_SET || in->op.family == PTX_SETP;

    if (is_set && index == 2 && operand.negate) {
        proto->flags |= WARP_I_NEGATE_LAST;
        operand.negate = false;
    }
    return lower_source(l, &operand, lower_source_type(&in->op, index));
}

enum { SOURCES_MAX = 16 };

static void select_plain(struct lower *l, const struct ptx_insn *in)
{
    struct lower_insn proto = {.d = WARP_NO_OPERAND, .e = WARP_NO_OPERAND};
    uint32_t sources[SOURCES_MAX], ext[SOURCES_MAX] = {0}, count = 0, ext_defs, ext_count;
    uint32_t written = in->operand_count - (uint32_t)in->dst_count;
    struct lower_insn *out;

    ext_defs = ext_count = select_destinations(l, in, &proto, ext);
    for (uint32_t i = 0; i < written && l->status == FAB_OK; i++) {
        const struct ptx_operand *operand = &in->operands[in->dst_count + i];

        if (operand->kind != PTX_OPERAND_VEC) {
            sources[count++] = select_source(l, in, i, &proto);
            continue;
        }
        for (uint32_t k = 0; k < operand->elem_count; k++)
            sources[count++] =
                lower_source(l, &operand->elems[k],
                             element_type((enum ptx_type)in->op.type, operand->elem_count));
    }
    out = lower_add(l, &in->op);
    if (!out)
        return;
    out->d = proto.d;
    out->e = proto.e;
    out->flags = proto.flags;
    for (uint32_t i = 0; i < count; i++)
        set_source(out, i, sources[i], ext + ext_defs);
    if (count > 3)
        ext_count += count - 3;
    if (in->op.family == PTX_LOP3 && count > 3) {
        const struct lower_const *table = lower_const_of(l, sources[3]);

        out->imm = table ? (int64_t)table->value : 0;
    }
    if (in->op.family == PTX_MOV) {
        out->dst_elems = in->operands[0].elem_count;
        out->src_elems = in->operands[in->dst_count].elem_count;
    }
    if (in->op.family == PTX_CVT) {
        out->dst_bytes = lower_operand_width(l, out->d, 0);
        out->src_bytes = lower_operand_width(l, out->a, 0);
    }
    out->ext_count = (uint16_t)ext_count;
    out->ext_defs = (uint8_t)ext_defs;
    out->ext = lower_alloc(l, ext_count, sizeof(*ext));
    for (uint32_t i = 0; out->ext && i < ext_count; i++)
        out->ext[i] = ext[i];
}

static void select_move(struct lower *l, const struct ptx_insn *in)
{
    const struct ptx_operand *source = &in->operands[in->operand_count - 1];
    struct lower_insn *out;
    uint8_t width = lower_type_width((enum ptx_type)in->op.type);

    if (source->kind == PTX_OPERAND_SREG && lower_sreg_is_dynamic((enum ptx_sreg)source->sreg)) {
        uint32_t d = lower_destination(l, &in->operands[0]);

        out = add_own(l, &in->op, warp_op_sreg);
        if (!out)
            return;
        out->d = d;
        out->imm = source->sreg;
        out->flags = width;
        return;
    }
    select_plain(l, in);
}

/* Global, constant and parameter addresses are host addresses already. */
static bool cvta_is_move(const struct ptx_op *op)
{
    return op->space == PTX_SPACE_GLOBAL || op->space == PTX_SPACE_CONST ||
           op->space == PTX_SPACE_PARAM;
}

static void select_copy(struct lower *l, const struct ptx_insn *in)
{
    uint8_t width = lower_type_width((enum ptx_type)in->op.type);
    uint32_t d = lower_destination(l, &in->operands[0]);
    uint32_t a = lower_source(l, &in->operands[1], (enum ptx_type)in->op.type);

    lower_add_move(l, d, a, width);
}

static void select_own(struct lower *l, const struct ptx_insn *in, warp_fn fn)
{
    struct lower_insn *out = add_own(l, &in->op, fn);

    (void)out;
}

static bool has_address(const struct ptx_insn *in)
{
    for (uint32_t i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == PTX_OPERAND_ADDR)
            return true;
    return false;
}

static void select_insn(struct lower *l, const struct ptx_insn *in)
{
    switch ((int)in->op.family) {
    case PTX_BRX:
        select_switch(l, in);
        return;
    case PTX_RET:
    case PTX_EXIT:
        select_end(l, in);
        return;
    case PTX_CALL:
        lower_call(l, in);
        return;
    case PTX_BAR:
    case PTX_BARRIER:
        select_barrier(l, in);
        return;
    case PTX_TRAP:
    case PTX_BRKPT:
        select_own(l, in, warp_op_trap);
        return;
    case PTX_NANOSLEEP:
        select_own(l, in, warp_op_nanosleep);
        return;
    case PTX_GRIDDEPCONTROL:
    case PTX_PMEVENT:
        return; /* nothing to wait for: a grid starts after those before it; no monitors */
    case PTX_MAPA:
        select_copy(l, in); /* a cluster is one block: every address is its own */
        return;
    case PTX_GETCTARANK:
        lower_add_move(l, lower_destination(l, &in->operands[0]), lower_const(l, 4, 0), 4);
        return;
    case PTX_MOV:
        select_move(l, in);
        return;
    case PTX_CVTA:
        if (cvta_is_move(&in->op)) {
            select_copy(l, in);
            return;
        }
        break;
    default:
        break;
    }
    if (has_address(in))
        lower_memory(l, in);
    else
        select_plain(l, in);
}

static void select_guarded(struct lower *l, const struct ptx_insn *in)
{
    const struct ptx_op op = {.family = PTX_BRA};
    int32_t around;

    if (in->op.family == PTX_BRA) {
        add_branch(l, &in->op, in->operands[0].label, guard(in), in->guard_negate);
        return;
    }
    if (in->guard_reg == PTX_NONE_INDEX) {
        select_insn(l, in);
        return;
    }
    around = lower_label_new(l);
    add_branch(l, &op, around, guard(in), !in->guard_negate);
    select_insn(l, in);
    if (around >= 0)
        l->label_at[around] = l->insn_count;
}

static void select_registers(struct lower *l)
{
    for (uint32_t i = 0; i < l->function->reg_count; i++)
        (void)lower_reg_new(l, lower_type_width(l->function->regs[i].type));
    l->frame_reg = WARP_NO_OPERAND;
    if (!l->function->is_entry)
        l->frame_reg = lower_reg_new(l, 8);
}

void lower_select(struct lower *l)
{
    const struct ptx_function *function = l->function;
    uint32_t *start = lower_alloc(l, function->insn_count + 1, sizeof(*start));
    const struct ptx_op end = {.family = PTX_RET};
    struct lower_insn *last;

    if (!start)
        return;
    select_registers(l);
    for (uint32_t i = 0; i < function->label_count; i++)
        (void)lower_label_new(l);
    for (uint32_t i = 0; i < function->insn_count && l->status == FAB_OK; i++) {
        l->line = function->insns[i].line;
        start[i] = l->insn_count;
        select_guarded(l, &function->insns[i]);
    }
    start[function->insn_count] = l->insn_count;
    /* A body may end without ret. */
    last = lower_add(l, &end);
    if (l->status != FAB_OK || !last)
        return;
    last->fn = function->is_entry ? warp_op_exit : warp_op_ret;
    last->kind = LOWER_END;
    for (uint32_t i = 0; i < function->label_count; i++)
        l->label_at[i] = start[function->labels[i].insn];
}
