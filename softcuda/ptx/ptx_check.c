/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_check.c - do the operands fit the rule's signature?
 *
 * What passes here has the register widths, address spaces and counts that the operation wants;
 * softcuda/warp relies on it. Constants are brought to the type that they are used as.
 * Source: PTX ISA 9.0, sections 6.4 and 9.2 (Using Addresses; Type Information).
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

struct check {
    struct ptx_body *b;
    const struct ptx_op *op;
    bool is_dst;
    bool may_drop; /* '_' may stand for the result */
};

/* ---- the signature ------------------------------------------------------------------------ */

struct signature {
    char letters[PTX_OPERANDS_MAX];
    uint32_t dst_count, count;
    bool is_pair;
};

/* The next alternative of "T=TT T|P=TT"; NULL: no more. */
static const char *next_signature(const char *text, struct signature *s)
{
    *s = (struct signature){.count = 0};
    while (*text == ' ')
        text++;
    if (!*text)
        return NULL;
    for (; *text && *text != ' '; text++) {
        if (*text == '|')
            s->is_pair = true;
        else if (*text == '=')
            s->dst_count = s->count;
        else
            s->letters[s->count++] = *text;
    }
    return text;
}

/* ---- one operand -------------------------------------------------------------------------- */

static void misfit(const struct check *c, const char *what)
{
    ptx_fail(&c->b->p, FAB_ERR_FORMAT, "%s: %s", ptx_family_name((enum ptx_family)c->op->family),
             what);
}

static void check_predicate(const struct check *c, const struct ptx_operand *o)
{
    bool is_reg = o->kind == PTX_OPERAND_REG && ptx_body_reg_type(c->b, o->reg) == PTX_PRED;
    bool is_sreg = o->kind == PTX_OPERAND_SREG && o->sreg == PTX_SREG_IS_EXPLICIT_CLUSTER;

    if (!is_reg && !(is_sreg && !c->is_dst) && !(o->kind == PTX_OPERAND_IMM && !c->is_dst) &&
        !(o->kind == PTX_OPERAND_NONE && c->may_drop))
        misfit(c, "a predicate register is wanted");
    else if (o->negate && c->is_dst)
        misfit(c, "a result cannot be negated");
}

/* Constants: F32 and F64 where the type says so, plain bits elsewhere. */
static void convert_constant(const struct check *c, struct ptx_operand *o, enum ptx_type type)
{
    struct ptx_value value = {o->imm_type, o->imm};

    if (!ptx_value_fits(value, type))
        misfit(c, "a constant of this type is written by its bits");
    else if (type == PTX_F32 || type == PTX_F64) {
        o->imm = ptx_value_as(value, type);
        o->imm_type = type;
    } else if (o->imm_type != PTX_S64) {
        o->imm = ptx_value_as(value, type);
        o->imm_type = PTX_S64;
    }
}

/* A value of `type`; registers have its size, or a larger one if `may_be_wider`. */
static void check_value(const struct check *c, struct ptx_operand *o, enum ptx_type type,
                        bool may_be_wider)
{
    uint32_t wanted = ptx_type_bytes(type), bytes;

    if (type == PTX_PRED) {
        check_predicate(c, o);
        return;
    }
    if (o->negate) {
        misfit(c, "only predicates can be negated");
    } else if (o->kind == PTX_OPERAND_REG) {
        bytes = ptx_type_bytes(ptx_body_reg_type(c->b, o->reg));
        may_be_wider = may_be_wider && type != PTX_F32 && type != PTX_F64;
        if (bytes != wanted && !(may_be_wider && bytes > wanted))
            misfit(c, "a register has the wrong size");
    } else if (c->is_dst) {
        if (o->kind != PTX_OPERAND_NONE || !c->may_drop)
            misfit(c, "the result is no register");
    } else if (o->kind == PTX_OPERAND_IMM) {
        convert_constant(c, o, type);
    } else if (o->kind == PTX_OPERAND_SYMBOL || o->kind == PTX_OPERAND_FUNC) {
        if (wanted != 4 && wanted != 8)
            misfit(c, "an address in a register of the wrong size");
    } else if (o->kind != PTX_OPERAND_SREG) {
        misfit(c, "a register or a constant is wanted");
    }
}

/* Elements of `type` each; a copy, because elems is const for the reader. */
static void check_elements(const struct check *c, struct ptx_operand *o, enum ptx_type type,
                           bool may_be_wider)
{
    struct ptx_operand *elems = ptx_new(&c->b->p, o->elem_count, sizeof(*elems));
    struct check inner = *c;

    if (!elems)
        return;
    memcpy(elems, o->elems, o->elem_count * sizeof(*elems));
    o->elems = elems;
    inner.may_drop = c->is_dst;
    for (uint32_t i = 0; i < o->elem_count; i++)
        check_value(&inner, &elems[i], type, may_be_wider);
}

static enum ptx_type bits_type(uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return PTX_B8;
    case 2:
        return PTX_B16;
    case 4:
        return PTX_B32;
    case 8:
        return PTX_B64;
    default:
        return PTX_NOTYPE;
    }
}

/* mov: {a, b} packs into a register of their size together. */
static void check_packing(const struct check *c, struct ptx_operand *o)
{
    enum ptx_type part = PTX_NOTYPE;

    if (o->kind != PTX_OPERAND_VEC) {
        check_value(c, o, (enum ptx_type)c->op->type, /* may_be_wider */ false);
        return;
    }
    if (o->elem_count == 2 || o->elem_count == 4)
        part = bits_type(ptx_type_bytes((enum ptx_type)c->op->type) / o->elem_count);
    if (part == PTX_NOTYPE)
        misfit(c, "a vector that does not fill the type");
    else
        check_elements(c, o, part, /* may_be_wider */ part == PTX_B8);
}

static void check_vector(const struct check *c, struct ptx_operand *o)
{
    enum ptx_type type = (enum ptx_type)c->op->type;

    if (o->kind == PTX_OPERAND_VEC && o->elem_count != c->op->vec)
        misfit(c, "a vector of another length");
    else if (o->kind == PTX_OPERAND_VEC)
        check_elements(c, o, type, /* may_be_wider */ true);
    else if (c->op->vec != 1)
        misfit(c, "a vector is wanted");
    else
        check_value(c, o, type, /* may_be_wider */ true);
}

static void check_address(const struct check *c, const struct ptx_operand *o, enum ptx_space space)
{
    bool is_wide =
        space == PTX_SPACE_GENERIC || space == PTX_SPACE_GLOBAL || space == PTX_SPACE_CONST;

    if (o->kind != PTX_OPERAND_ADDR) {
        misfit(c, "an address in [] is wanted");
    } else if (o->reg != PTX_NONE_INDEX) {
        uint32_t bytes = ptx_type_bytes(ptx_body_reg_type(c->b, o->reg));

        if (bytes != 8 && (bytes != 4 || is_wide))
            misfit(c, "an address register has the wrong size");
    } else if (o->var && o->var->space != space &&
               !(space == PTX_SPACE_GENERIC &&
                 (o->var->space == PTX_SPACE_GLOBAL || o->var->space == PTX_SPACE_CONST))) {
        misfit(c, "the variable lies in another state space");
    }
}

static enum ptx_type twice(enum ptx_type type)
{
    return bits_type(2 * ptx_type_bytes(type));
}

static void check_operand(const struct check *c, char letter, struct ptx_operand *o)
{
    enum ptx_type type = (enum ptx_type)c->op->type, type2 = (enum ptx_type)c->op->type2;
    bool is_predicate = o->kind == PTX_OPERAND_REG && ptx_body_reg_type(c->b, o->reg) == PTX_PRED;

    switch (letter) {
    case 'T':
        check_value(c, o, type, /* may_be_wider */ false);
        break;
    case 'U':
        check_value(c, o, type2, /* may_be_wider */ false);
        break;
    case 'D':
        check_value(c, o, type, /* may_be_wider */ true);
        break;
    case 'S':
        check_value(c, o, type2, /* may_be_wider */ true);
        break;
    case 'W':
        check_value(c, o, twice(type), /* may_be_wider */ false);
        break;
    case 'X':
        check_packing(c, o);
        break;
    case 'v':
        check_vector(c, o);
        break;
    case 'R':
        check_value(c, o, PTX_B32, /* may_be_wider */ false);
        break;
    case 'Q':
        check_value(c, o, PTX_B64, /* may_be_wider */ false);
        break;
    case 'P':
        check_predicate(c, o);
        break;
    case 'F':
        check_value(c, o, is_predicate ? PTX_PRED : PTX_B32, /* may_be_wider */ false);
        break;
    case 'I':
        if (o->kind != PTX_OPERAND_IMM)
            misfit(c, "a constant is wanted");
        break;
    case 'A':
        check_address(c, o, (enum ptx_space)c->op->space);
        break;
    case 'G':
        check_address(c, o, PTX_SPACE_GLOBAL);
        break;
    default: /* * */
        break;
    }
}

/* ---- all operands ------------------------------------------------------------------------- */

static bool choose(const char *alternatives, uint32_t count, bool is_pair, struct signature *s)
{
    const char *at = alternatives;

    while ((at = next_signature(at, s)) != NULL) {
        if (s->count == count && s->is_pair == is_pair)
            return true;
    }
    return false;
}

/* Results that nobody wants: of atomics, arrivals, and either half of a pair. */
static bool may_drop(const struct ptx_op *op, const struct signature *s)
{
    return s->is_pair || op->family == PTX_ATOM || op->family == PTX_MBARRIER;
}

void ptx_check_operands(struct ptx_body *b, const struct ptx_opcode *opcode,
                        struct ptx_operand *operands, uint32_t count, bool is_pair,
                        struct ptx_insn *insn)
{
    struct check c = {.b = b, .op = &opcode->op};
    struct signature s;
    struct ptx_operand *kept;

    if (opcode->has_policy && count > 0) {
        count--; /* the cache policy changes no result */
        check_operand(&c, 'Q', &operands[count]);
    }
    if (!choose(opcode->operands, count, is_pair, &s)) {
        misfit(&c, "wrong number of operands");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        c.is_dst = i < s.dst_count;
        c.may_drop = c.is_dst && may_drop(c.op, &s);
        check_operand(&c, s.letters[i], &operands[i]);
    }
    if (c.op->family == PTX_MOV && b->p.status == FAB_OK && operands[0].kind == PTX_OPERAND_VEC &&
        operands[1].kind == PTX_OPERAND_VEC)
        misfit(&c, "from a vector to a vector");
    kept = ptx_new(&b->p, count, sizeof(*kept));
    if (!kept)
        return;
    if (count)
        memcpy(kept, operands, count * sizeof(*kept));
    insn->operands = kept;
    insn->operand_count = (uint8_t)count;
    insn->dst_count = (uint8_t)s.dst_count;
}
