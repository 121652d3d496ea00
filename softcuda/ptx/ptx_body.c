/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_body.c - one function's body: scopes, registers, labels, statements.
 *
 * Inline assembly and call sequences open scopes that declare the same names again and again, so
 * each name, label and label reference belongs to a scope. A reference is settled at the end
 * of the innermost scope that has the label.
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

/* ---- names -------------------------------------------------------------------------------- */

static struct ptx_name *declare(struct ptx_body *b, struct ptx_span span, enum ptx_name_kind kind)
{
    struct ptx_name *before = ptx_names_find(&b->names, span), *name;

    if (before && before->depth == b->names.depth) {
        ptx_fail(&b->p, FAB_ERR_FORMAT, "'%.*s' is declared twice", ptx_span_precision(span),
                 span.text);
        return NULL;
    }
    name = ptx_names_add(&b->names, span, kind);
    if (!name)
        ptx_fail(&b->p, FAB_ERR_NOMEM, "out of memory");
    return name;
}

/* The register of "%r12" that "%r<100>" declared, as an entry of its own. */
static struct ptx_name *find_numbered(const struct ptx_body *b, struct ptx_span span,
                                      uint32_t *number_out)
{
    struct ptx_name *name;
    size_t digits = 0;
    uint32_t number = 0;

    while (digits < span.bytes && digits < 9 && span.text[span.bytes - digits - 1] >= '0' &&
           span.text[span.bytes - digits - 1] <= '9')
        digits++;
    if (digits == 0 || digits == span.bytes ||
        (digits > 1 && span.text[span.bytes - digits] == '0'))
        return NULL;
    for (size_t i = span.bytes - digits; i < span.bytes; i++)
        number = number * 10 + (uint32_t)(span.text[i] - '0');
    name = ptx_names_find(&b->names, (struct ptx_span){span.text, span.bytes - digits});
    if (!name || name->kind != PTX_NAME_REGS || number >= name->count)
        return NULL;
    *number_out = number;
    return name;
}

bool ptx_body_find(const struct ptx_body *b, struct ptx_span span, struct ptx_name *name_out)
{
    const struct ptx_name *name = ptx_names_find(&b->names, span);
    uint32_t number;

    if (name && name->kind != PTX_NAME_REGS) {
        *name_out = *name;
        return true;
    }
    name = find_numbered(b, span, &number);
    if (!name)
        return false;
    *name_out = *name;
    name_out->kind = PTX_NAME_REG;
    name_out->index += number;
    return true;
}

/* ---- registers ---------------------------------------------------------------------------- */

enum ptx_type ptx_body_reg_type(const struct ptx_body *b, int32_t reg)
{
    const struct ptx_reg *regs = b->regs.items;

    return regs[reg].type;
}

static uint32_t add_regs(struct ptx_body *b, enum ptx_type type, uint64_t count)
{
    uint32_t first = (uint32_t)b->regs.count;

    if (count > PTX_REGS_MAX - b->regs.count) {
        ptx_fail(&b->p, FAB_ERR_LIMIT, "more than %d registers", PTX_REGS_MAX);
        return first;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct ptx_reg *reg = ptx_push(&b->p, &b->regs, sizeof(*reg));

        if (!reg)
            return first;
        reg->type = type;
    }
    return first;
}

static void declare_reg(struct ptx_body *b, enum ptx_type type, uint32_t vec)
{
    struct ptx_parser *p = &b->p;
    struct ptx_span span = ptx_expect_name(p);
    enum ptx_name_kind kind = vec > 1 ? PTX_NAME_REG_VEC : PTX_NAME_REG;
    uint64_t count = vec;
    struct ptx_name *name;

    if (ptx_accept(p, '<')) {
        /* Not a whole expression: that would take the '>' for an operator. */
        if (p->token.kind != PTX_TOKEN_NUMBER || vec > 1)
            ptx_fail_expected(p, "the number of registers");
        count = 0;
        for (size_t i = 0; i < p->token.span.bytes && count <= PTX_REGS_MAX; i++) {
            char c = p->token.span.text[i];

            if (c < '0' || c > '9')
                ptx_fail_expected(p, "the number of registers");
            else
                count = count * 10 + (uint64_t)(c - '0');
        }
        ptx_next(p);
        ptx_expect(p, '>');
        kind = PTX_NAME_REGS;
    }
    if (p->status != FAB_OK)
        return;
    name = declare(b, span, kind);
    if (!name)
        return;
    name->index = add_regs(b, type, count);
    name->count = (uint32_t)count;
}

/* ".b32 %r<10>, %x;"; behind ".reg". */
static void parse_regs(struct ptx_body *b)
{
    struct ptx_parser *p = &b->p;
    enum ptx_type type = PTX_NOTYPE;
    uint32_t vec = 1;

    if (ptx_is_dot(p, "v2") || ptx_is_dot(p, "v4")) {
        vec = (uint32_t)(p->token.span.text[1] - '0');
        ptx_next(p);
    }
    if (p->token.kind != PTX_TOKEN_DOT || !ptx_type_from(p->token.span, &type))
        ptx_fail_expected(p, "a type");
    if (type != PTX_PRED && ptx_type_bytes(type) == 1)
        type =
            PTX_B16; /* 8 bits are only loaded, stored and converted: the upper ones are unseen */
    ptx_next(p);
    do {
        declare_reg(b, type, vec);
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
}

/* ---- labels ------------------------------------------------------------------------------- */

void ptx_body_label_ref(struct ptx_body *b, struct ptx_span name, int32_t *index)
{
    struct ptx_label_ref *ref = ptx_push(&b->p, &b->refs, sizeof(*ref));

    if (!ref)
        return;
    *ref = (struct ptx_label_ref){name, index, b->p.token.line};
    *index = PTX_NONE_INDEX;
}

/* Settles what this scope can; the rest is the outer scope's. */
static void settle_refs(struct ptx_body *b)
{
    struct ptx_label_ref *refs = b->refs.items;
    size_t kept = b->refs_before[b->names.depth];

    for (size_t i = kept; i < b->refs.count; i++) {
        const struct ptx_name *name = ptx_names_find(&b->names, refs[i].name);

        if (name && name->kind == PTX_NAME_LABEL && name->depth == b->names.depth)
            *refs[i].index = (int32_t)name->index;
        else if (b->names.depth > 0)
            refs[kept++] = refs[i];
        else
            ptx_fail_at(&b->p, refs[i].line, FAB_ERR_FORMAT, "no label '%.*s'",
                        ptx_span_precision(refs[i].name), refs[i].name.text);
    }
    b->refs.count = kept;
}

static void enter_scope(struct ptx_body *b)
{
    if (!ptx_enter(&b->p))
        return;
    ptx_names_enter(&b->names);
    b->refs_before[b->names.depth] = (uint32_t)b->refs.count;
}

static void leave_scope(struct ptx_body *b)
{
    if (b->names.depth == 0) {
        ptx_fail(&b->p, FAB_ERR_FORMAT, "'}' without its '{'");
        return;
    }
    settle_refs(b);
    ptx_names_leave(&b->names);
    ptx_leave(&b->p);
}

static void parse_label(struct ptx_body *b, struct ptx_span span)
{
    struct ptx_name *name = declare(b, span, PTX_NAME_LABEL);
    struct ptx_label *label = ptx_push(&b->p, &b->labels, sizeof(*label));

    if (!name || !label)
        return;
    name->index = (uint32_t)b->labels.count - 1;
    label->name = ptx_keep_text(&b->p, span);
    label->insn = (uint32_t)b->insns.count;
}

/* "ts: .branchtargets A, B;" */
static void parse_branch_targets(struct ptx_body *b, struct ptx_span span)
{
    struct ptx_parser *p = &b->p;
    struct ptx_list words = {0};
    struct ptx_name *name = declare(b, span, PTX_NAME_TARGETS);
    struct ptx_targets *targets = ptx_new(p, 1, sizeof(*targets));

    do {
        struct ptx_span *word = ptx_push(p, &words, sizeof(*word));

        if (!word)
            return;
        *word = ptx_expect_name(p);
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
    if (!name || !targets || p->status != FAB_OK)
        return;
    name->object = targets;
    targets->labels = ptx_new(p, words.count, sizeof(int32_t));
    if (!targets->labels)
        return;
    targets->count = (uint32_t)words.count;
    for (uint32_t i = 0; i < targets->count; i++)
        ptx_body_label_ref(b, ((struct ptx_span *)words.items)[i], &targets->labels[i]);
}

/* "fp: .callprototype ...;" and "ft: .calltargets f, g;", whose functions have one prototype. */
static void parse_prototype(struct ptx_body *b, struct ptx_span span, bool is_targets)
{
    struct ptx_parser *p = &b->p;
    struct ptx_name *name = declare(b, span, PTX_NAME_PROTO);
    struct ptx_prototype *proto = ptx_new(p, 1, sizeof(*proto));

    if (!name || !proto)
        return;
    name->object = proto;
    if (is_targets) {
        struct ptx_name *first = ptx_names_find(&p->module->names, p->token.span);

        if (first && first->kind == PTX_NAME_FUNC)
            *proto = ((struct ptx_function *)first->object)->proto;
        else
            ptx_fail_expected(p, "a function");
        ptx_skip_statement(p);
    } else {
        ptx_parse_prototype(p, proto);
    }
}

/* ---- statements --------------------------------------------------------------------------- */

static void add_local(struct ptx_parser *p, void *arg, struct ptx_var *var)
{
    struct ptx_body *b = arg;
    struct ptx_var **slot = ptx_push(p, &b->locals, sizeof(struct ptx_var *));
    struct ptx_name *name;

    if (!slot)
        return;
    *slot = var;
    name = declare(b, (struct ptx_span){var->name, strlen(var->name)}, PTX_NAME_VAR);
    if (name)
        name->object = var;
}

static void parse_body_directive(struct ptx_body *b)
{
    struct ptx_parser *p = &b->p;
    struct ptx_linkage linkage = {.is_extern = ptx_is_dot(p, "extern")};
    enum ptx_space space;

    if (linkage.is_extern)
        ptx_next(p);
    if (p->token.kind != PTX_TOKEN_DOT) {
        ptx_fail_expected(p, "a state space");
    } else if (ptx_is_dot(p, "loc") || ptx_is_dot(p, "file")) {
        ptx_skip_line(p);
    } else if (!ptx_space_from(p->token.span, &space)) {
        ptx_skip_statement(p); /* .pragma and the like */
    } else {
        ptx_next(p);
        if (space == PTX_SPACE_REG)
            parse_regs(b);
        else
            ptx_parse_vars(p, space, linkage, add_local, b);
    }
}

/* The words of an opcode are contiguous as compilers write them; if not, they are joined. */
static struct ptx_span parse_spelling(struct ptx_parser *p, struct ptx_span first)
{
    struct ptx_span whole = first;
    char *joined;

    while (p->token.kind == PTX_TOKEN_DOT) {
        struct ptx_span word = p->token.span;

        if (whole.bytes + word.bytes + 1 > PTX_SPELLING_BYTES_MAX) {
            ptx_fail(p, FAB_ERR_LIMIT, "opcode longer than %d characters", PTX_SPELLING_BYTES_MAX);
            return first;
        }
        if (word.text == whole.text + whole.bytes + 1) {
            whole.bytes += word.bytes + 1;
        } else {
            joined = ptx_new(p, 1, whole.bytes + word.bytes + 1);
            if (!joined)
                return first;
            memcpy(joined, whole.text, whole.bytes);
            joined[whole.bytes] = '.';
            memcpy(joined + whole.bytes + 1, word.text, word.bytes);
            whole = (struct ptx_span){joined, whole.bytes + word.bytes + 1};
        }
        ptx_next(p);
    }
    return whole;
}

static void parse_guard(struct ptx_body *b, struct ptx_insn *insn)
{
    struct ptx_parser *p = &b->p;
    struct ptx_span span;
    struct ptx_name name;

    insn->guard_negate = ptx_accept(p, '!');
    span = ptx_expect_name(p);
    if (p->status != FAB_OK)
        return;
    if (!ptx_body_find(b, span, &name) || name.kind != PTX_NAME_REG ||
        ptx_body_reg_type(b, (int32_t)name.index) != PTX_PRED) {
        ptx_fail(p, FAB_ERR_FORMAT, "'%.*s' is no predicate register", ptx_span_precision(span),
                 span.text);
        return;
    }
    insn->guard_reg = (int32_t)name.index;
}

static void parse_insn(struct ptx_body *b, struct ptx_span first, struct ptx_insn *insn)
{
    struct ptx_parser *p = &b->p;
    const struct ptx_opcode *opcode = ptx_opcode_get(p, parse_spelling(p, first));
    struct ptx_insn *slot;

    if (!opcode)
        return;
    insn->op = opcode->op;
    if (opcode->op.family == PTX_CALL)
        ptx_parse_call(b, insn);
    else if (opcode->op.family == PTX_BRA || opcode->op.family == PTX_BRX)
        ptx_parse_branch(b, insn);
    else
        ptx_parse_operands(b, opcode, insn);
    ptx_expect(p, ';');
    if (p->status != FAB_OK)
        return;
    if (b->insns.count == PTX_INSNS_MAX) {
        ptx_fail(p, FAB_ERR_LIMIT, "more than %d instructions", PTX_INSNS_MAX);
        return;
    }
    slot = ptx_push(p, &b->insns, sizeof(*slot));
    if (slot)
        *slot = *insn;
}

/* A label, a labelled directive or an instruction. */
static void parse_named(struct ptx_body *b)
{
    struct ptx_parser *p = &b->p;
    struct ptx_insn insn = {.guard_reg = PTX_NONE_INDEX, .line = p->token.line};
    struct ptx_span first;

    if (ptx_accept(p, '@')) {
        parse_guard(b, &insn);
        parse_insn(b, ptx_expect_name(p), &insn);
        return;
    }
    first = ptx_expect_name(p);
    if (!ptx_accept(p, ':')) {
        parse_insn(b, first, &insn);
    } else if (ptx_is_dot(p, "branchtargets")) {
        ptx_next(p);
        parse_branch_targets(b, first);
    } else if (ptx_is_dot(p, "callprototype") || ptx_is_dot(p, "calltargets")) {
        bool is_targets = ptx_is_dot(p, "calltargets");

        ptx_next(p);
        parse_prototype(b, first, is_targets);
    } else {
        parse_label(b, first);
    }
}

static void parse_statements(struct ptx_body *b)
{
    struct ptx_parser *p = &b->p;

    while (p->token.kind != PTX_TOKEN_END) {
        if (p->token.kind == PTX_TOKEN_DOT)
            parse_body_directive(b);
        else if (ptx_accept(p, '{'))
            enter_scope(b);
        else if (ptx_accept(p, '}'))
            leave_scope(b);
        else if (p->token.kind == PTX_TOKEN_NAME || ptx_is(p, '@'))
            parse_named(b);
        else if (!ptx_accept(p, ';'))
            ptx_fail_expected(p, "a statement");
    }
    if (b->names.depth > 0)
        ptx_fail(p, FAB_ERR_FORMAT, "'{' without its '}'");
    else
        settle_refs(b);
}

/* ---- the function ------------------------------------------------------------------------- */

/* Parameters are names of the outermost scope; those in registers are its first registers. */
static void declare_params(struct ptx_body *b, const struct ptx_var *const *params, uint32_t count)
{
    for (uint32_t i = 0; i < count && b->p.status == FAB_OK; i++) {
        struct ptx_span span = {params[i]->name, strlen(params[i]->name)};
        bool is_reg = params[i]->space == PTX_SPACE_REG;
        struct ptx_name *name;

        if (ptx_span_is(span, "_"))
            continue;
        name = declare(b, span, is_reg ? PTX_NAME_REG : PTX_NAME_VAR);
        if (!name)
            return;
        if (is_reg)
            name->index = add_regs(b, params[i]->type, 1);
        else
            name->object = (void *)(uintptr_t)params[i]; /* only read through the name */
    }
}

static void keep(struct ptx_body *b)
{
    struct ptx_function *f = b->function;

    f->regs = ptx_keep(&b->p, &b->regs, sizeof(struct ptx_reg));
    f->insns = ptx_keep(&b->p, &b->insns, sizeof(struct ptx_insn));
    f->labels = ptx_keep(&b->p, &b->labels, sizeof(struct ptx_label));
    f->locals = ptx_keep(&b->p, &b->locals, sizeof(struct ptx_var *));
    if (b->p.status != FAB_OK)
        return;
    f->reg_count = (uint32_t)b->regs.count;
    f->insn_count = (uint32_t)b->insns.count;
    f->label_count = (uint32_t)b->labels.count;
    f->local_count = (uint32_t)b->locals.count;
    f->is_parsed = true;
}

enum fab_status ptx_function_parse(struct ptx_module *module, struct ptx_function *function,
                                   struct fab_err *err)
{
    struct ptx_function_rec *rec = (struct ptx_function_rec *)function;
    struct ptx_span body = {function->body, function->body_bytes};
    struct ptx_body b = {.function = function};
    enum fab_status status;

    if (function->is_parsed)
        return FAB_OK;
    if (rec->failure.status == FAB_OK && !function->body)
        (void)fab_err_set(&rec->failure, FAB_ERR_UNSUPPORTED, "function '%.80s' has no body here",
                          function->name);
    if (rec->failure.status == FAB_OK) {
        ptx_parser_init(&b.p, (struct ptx_module_rec *)module, body, function->body_line,
                        &rec->failure);
        b.names.arena = &b.p.scratch;
        declare_params(&b, function->proto.rets, function->proto.ret_count);
        declare_params(&b, function->proto.params, function->proto.param_count);
        parse_statements(&b);
        if (b.p.status == FAB_OK)
            keep(&b);
        ptx_parser_fini(&b.p);
    }
    status = rec->failure.status;
    if (err && status != FAB_OK)
        *err = rec->failure;
    if (status == FAB_ERR_NOMEM) /* may be otherwise the next time */
        rec->failure = (struct fab_err){.status = FAB_OK};
    return status;
}
