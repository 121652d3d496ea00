/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_operand.c - operands as they stand in the text; ptx_check.c says if they fit.
 *
 * Also the two instructions whose operands are unlike all others: branches and calls.
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

static void unknown_name(struct ptx_body *b, struct ptx_span span)
{
    ptx_fail(&b->p, FAB_ERR_FORMAT, "unknown name '%.*s'", ptx_span_precision(span), span.text);
}

/* ".x" behind a name: 0 to 3, or -1 if there is none. */
static int parse_component(struct ptx_parser *p)
{
    static const char names[] = "xyzwrgba";
    const char *found;

    if (p->token.kind != PTX_TOKEN_DOT || p->token.span.bytes != 1)
        return -1;
    found = strchr(names, p->token.span.text[0]);
    if (!found || !*found)
        return -1;
    ptx_next(p);
    return (int)(found - names) % 4;
}

/* A vector register as a whole, or one of its parts. */
static void take_reg_vec(struct ptx_body *b, const struct ptx_name *name, struct ptx_operand *o)
{
    int component = parse_component(&b->p);
    struct ptx_operand *elems;

    if (component >= 0) {
        if ((uint32_t)component >= name->count)
            ptx_fail(&b->p, FAB_ERR_FORMAT, "a vector of %u has no such part", name->count);
        o->kind = PTX_OPERAND_REG;
        o->reg = (int32_t)name->index + component;
        return;
    }
    elems = ptx_new(&b->p, name->count, sizeof(*elems));
    if (!elems)
        return;
    for (uint32_t i = 0; i < name->count; i++)
        elems[i] = (struct ptx_operand){
            .kind = PTX_OPERAND_REG, .reg = (int32_t)(name->index + i), .label = PTX_NONE_INDEX};
    o->kind = PTX_OPERAND_VEC;
    o->elems = elems;
    o->elem_count = (uint8_t)name->count;
}

static void take_name(struct ptx_body *b, struct ptx_name *name, struct ptx_operand *o)
{
    struct ptx_parser *p = &b->p;

    switch (name->kind) {
    case PTX_NAME_REG:
        o->kind = PTX_OPERAND_REG;
        o->reg = (int32_t)name->index;
        return;
    case PTX_NAME_REG_VEC:
        take_reg_vec(b, name, o);
        return;
    case PTX_NAME_VAR:
        o->kind = PTX_OPERAND_SYMBOL;
        o->var = name->object;
        if (ptx_accept(p, '+') || ptx_is(p, '-'))
            o->offset = (int64_t)ptx_value_as(ptx_expr(p), PTX_S64);
        return;
    case PTX_NAME_FUNC:
        o->kind = PTX_OPERAND_FUNC;
        o->symbol = ((struct ptx_function *)name->object)->name;
        return;
    case PTX_NAME_REGS:
    case PTX_NAME_LABEL:
    case PTX_NAME_TARGETS:
    case PTX_NAME_PROTO:
    case PTX_NAME_OPCODE:
        break;
    }
    ptx_fail(p, FAB_ERR_FORMAT, "'%.*s' is no operand", ptx_span_precision(name->span),
             name->span.text);
}

/* Special registers: %laneid, %tid.x. */
static bool take_sreg(struct ptx_body *b, struct ptx_span span, struct ptx_operand *o)
{
    struct ptx_parser *p = &b->p;
    struct ptx_span component = {"", 0};

    if (span.text[0] != '%')
        return false;
    if (p->token.kind == PTX_TOKEN_DOT)
        component = p->token.span;
    if (!ptx_sreg_from(span, component, &o->sreg))
        return false;
    if (component.bytes)
        ptx_next(p);
    o->kind = PTX_OPERAND_SREG;
    return true;
}

static void parse_named_operand(struct ptx_body *b, struct ptx_operand *o)
{
    struct ptx_span span = ptx_expect_name(&b->p);
    struct ptx_name local, *name;

    if (b->p.status != FAB_OK || ptx_span_is(span, "_"))
        return; /* NONE */
    if (ptx_body_find(b, span, &local)) {
        take_name(b, &local, o);
        return;
    }
    if (take_sreg(b, span, o))
        return;
    name = ptx_names_find(&b->p.module->names, span);
    if (name)
        take_name(b, name, o);
    else
        unknown_name(b, span);
}

/* "{a, b, ...}"; at the '{'. */
static void parse_vector(struct ptx_body *b, struct ptx_operand *o)
{
    struct ptx_parser *p = &b->p;
    struct ptx_operand *elems = ptx_new(p, PTX_VEC_MAX, sizeof(*elems));

    if (!elems)
        return;
    o->kind = PTX_OPERAND_VEC;
    o->elems = elems;
    ptx_expect(p, '{');
    do {
        struct ptx_operand *e = &elems[o->elem_count];

        if (o->elem_count == PTX_VEC_MAX) {
            ptx_fail(p, FAB_ERR_FORMAT, "a vector of more than %d", PTX_VEC_MAX);
            return;
        }
        if (ptx_is(p, '{') || ptx_is(p, '[')) {
            ptx_fail_expected(p, "an element");
            return;
        }
        ptx_parse_operand(b, e);
        if (e->kind != PTX_OPERAND_REG && e->kind != PTX_OPERAND_IMM && e->kind != PTX_OPERAND_NONE)
            ptx_fail(p, FAB_ERR_FORMAT, "an element is a register, a constant or '_'");
        o->elem_count++;
    } while (ptx_accept(p, ','));
    ptx_expect(p, '}');
}

/* "[base + offset]"; at the '['. */
static void parse_address(struct ptx_body *b, struct ptx_operand *o)
{
    struct ptx_parser *p = &b->p;

    ptx_expect(p, '[');
    if (ptx_at_expr(p)) {
        o->offset = (int64_t)ptx_value_as(ptx_expr(p), PTX_S64);
    } else {
        parse_named_operand(b, o);
        if (o->kind != PTX_OPERAND_REG && o->kind != PTX_OPERAND_SYMBOL)
            ptx_fail(p, FAB_ERR_FORMAT, "an address is a register, a variable or a constant");
        if (o->kind == PTX_OPERAND_REG && (ptx_accept(p, '+') || ptx_is(p, '-')))
            o->offset = (int64_t)ptx_value_as(ptx_expr(p), PTX_S64);
    }
    o->kind = PTX_OPERAND_ADDR;
    ptx_expect(p, ']');
}

void ptx_parse_operand(struct ptx_body *b, struct ptx_operand *o)
{
    struct ptx_parser *p = &b->p;

    *o = (struct ptx_operand){
        .kind = PTX_OPERAND_NONE, .reg = PTX_NONE_INDEX, .label = PTX_NONE_INDEX};
    if (ptx_accept(p, '!')) {
        o->negate = true;
        parse_named_operand(b, o);
    } else if (ptx_is(p, '{')) {
        parse_vector(b, o);
    } else if (ptx_is(p, '[')) {
        parse_address(b, o);
    } else if (ptx_at_expr(p)) {
        struct ptx_value value = ptx_expr(p);

        o->kind = PTX_OPERAND_IMM;
        o->imm_type = value.type == PTX_U64 ? PTX_S64 : value.type;
        o->imm = value.bits;
    } else {
        parse_named_operand(b, o);
    }
}

/* ---- instructions ------------------------------------------------------------------------- */

void ptx_parse_operands(struct ptx_body *b, const struct ptx_opcode *opcode, struct ptx_insn *insn)
{
    struct ptx_parser *p = &b->p;
    struct ptx_operand operands[PTX_OPERANDS_MAX];
    uint32_t count = 0;
    bool is_pair = false;

    while (!ptx_is(p, ';') && p->token.kind != PTX_TOKEN_END) {
        if (count == PTX_OPERANDS_MAX) {
            ptx_fail(p, FAB_ERR_FORMAT, "more than %d operands", PTX_OPERANDS_MAX);
            return;
        }
        ptx_parse_operand(b, &operands[count++]);
        if (count == 1 && ptx_accept(p, '|'))
            is_pair = true;
        else if (!ptx_accept(p, ','))
            break;
    }
    if (p->status == FAB_OK)
        ptx_check_operands(b, opcode, operands, count, is_pair, insn);
}

static const struct ptx_operand *keep_operands(struct ptx_body *b,
                                               const struct ptx_operand *operands, uint32_t count)
{
    struct ptx_operand *kept = ptx_new(&b->p, count, sizeof(*kept));

    if (kept && count)
        memcpy(kept, operands, count * sizeof(*kept));
    return kept;
}

/* "bra L", "brx.idx %r, table" */
void ptx_parse_branch(struct ptx_body *b, struct ptx_insn *insn)
{
    struct ptx_parser *p = &b->p;
    struct ptx_operand *o = ptx_new(p, 1, sizeof(*o));
    struct ptx_name name;
    struct ptx_span span;

    if (!o)
        return;
    insn->operands = o;
    insn->operand_count = 1;
    if (insn->op.family == PTX_BRA) {
        *o = (struct ptx_operand){.kind = PTX_OPERAND_LABEL, .reg = PTX_NONE_INDEX};
        span = ptx_expect_name(p);
        ptx_body_label_ref(b, span, &o->label);
        return;
    }
    ptx_parse_operand(b, o);
    if (o->kind != PTX_OPERAND_REG && o->kind != PTX_OPERAND_IMM)
        ptx_fail_expected(p, "the index of a branch target");
    if (o->kind == PTX_OPERAND_REG && ptx_type_bytes(ptx_body_reg_type(b, o->reg)) != 4)
        ptx_fail(p, FAB_ERR_FORMAT, "the index of a branch target has 32 bits");
    ptx_expect(p, ',');
    span = ptx_expect_name(p);
    if (p->status != FAB_OK)
        return;
    if (!ptx_body_find(b, span, &name) || name.kind != PTX_NAME_TARGETS) {
        ptx_fail(p, FAB_ERR_FORMAT, "no .branchtargets '%.*s'", ptx_span_precision(span),
                 span.text);
        return;
    }
    insn->targets = ((struct ptx_targets *)name.object)->labels;
    insn->target_count = ((struct ptx_targets *)name.object)->count;
}

/* "(a, b, ...)" */
static void parse_arguments(struct ptx_body *b, bool is_ret, const struct ptx_operand **out,
                            uint32_t *count_out)
{
    struct ptx_parser *p = &b->p;
    struct ptx_list list = {0};

    ptx_expect(p, '(');
    while (!ptx_is(p, ')') && p->token.kind != PTX_TOKEN_END) {
        struct ptx_operand *o = ptx_push(p, &list, sizeof(*o));
        bool is_param, is_value;

        if (!o)
            return;
        ptx_parse_operand(b, o);
        is_param =
            o->kind == PTX_OPERAND_SYMBOL && o->var->space == PTX_SPACE_PARAM && o->offset == 0;
        is_value =
            o->kind == PTX_OPERAND_REG || o->kind == (is_ret ? PTX_OPERAND_NONE : PTX_OPERAND_IMM);
        if ((!is_param && !is_value) || o->negate || list.count > PTX_PARAMS_MAX)
            ptx_fail_expected(p, "a .param variable, a register or a constant");
        if (!ptx_accept(p, ','))
            break;
    }
    ptx_expect(p, ')');
    if (p->status != FAB_OK)
        return;
    *out = keep_operands(b, list.items, (uint32_t)list.count);
    *count_out = (uint32_t)list.count;
}

static bool is_variadic(const struct ptx_prototype *proto)
{
    return proto->param_count > 0 && proto->params[proto->param_count - 1]->bytes == 0 &&
           proto->params[proto->param_count - 1]->space == PTX_SPACE_PARAM;
}

/* Counts only: sizes are the caller's and the callee's declarations, compared when lowered. */
static void check_call(struct ptx_body *b, const struct ptx_call *call,
                       const struct ptx_prototype *proto)
{
    bool fits = is_variadic(proto) ? call->arg_count + 1 >= proto->param_count
                                   : call->arg_count == proto->param_count;

    if (!fits || call->ret_count != proto->ret_count)
        ptx_fail(&b->p, FAB_ERR_FORMAT, "call with %u results and %u arguments, wanted %u and %u",
                 call->ret_count, call->arg_count, proto->ret_count, proto->param_count);
}

/* The prototype of the callee, from its declaration or from a label behind the arguments. */
static void settle_callee(struct ptx_body *b, struct ptx_call *call, struct ptx_span proto_label)
{
    struct ptx_parser *p = &b->p;
    struct ptx_name label;

    if (call->callee.kind == PTX_OPERAND_FUNC) {
        const struct ptx_function *f = ptx_function_find(&p->module->pub, call->callee.symbol);

        if (f)
            check_call(b, call, &f->proto);
        return;
    }
    if (call->callee.kind != PTX_OPERAND_REG ||
        ptx_type_bytes(ptx_body_reg_type(b, call->callee.reg)) != 8) {
        ptx_fail(p, FAB_ERR_FORMAT, "the callee is a function or a 64-bit register");
        return;
    }
    if (!ptx_body_find(b, proto_label, &label) || label.kind != PTX_NAME_PROTO) {
        ptx_fail(p, FAB_ERR_FORMAT, "an indirect call without its prototype");
        return;
    }
    call->prototype = label.object;
    check_call(b, call, call->prototype);
}

/* "(ret), f, (args), prototype"; all but f may be absent. */
void ptx_parse_call(struct ptx_body *b, struct ptx_insn *insn)
{
    struct ptx_parser *p = &b->p;
    struct ptx_call *call = ptx_new(p, 1, sizeof(*call));
    struct ptx_span proto_label = {"", 0};

    if (!call)
        return;
    if (ptx_is(p, '(')) {
        parse_arguments(b, /* is_ret */ true, &call->rets, &call->ret_count);
        ptx_expect(p, ',');
    }
    ptx_parse_operand(b, &call->callee);
    if (ptx_accept(p, ',')) {
        if (ptx_is(p, '('))
            parse_arguments(b, /* is_ret */ false, &call->args, &call->arg_count);
        else
            proto_label = ptx_expect_name(p);
    }
    if (ptx_accept(p, ','))
        proto_label = ptx_expect_name(p);
    if (p->status == FAB_OK)
        settle_callee(b, call, proto_label);
    insn->call = call;
}
