/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_decl.c - declarations of variables and parameters.
 *
 * The words between state space and name come in any order (compilers differ); each is checked.
 * Initialisers are in ptx_init.c.
 * Source: PTX ISA 9.0, chapter 5 (State Spaces, Types, and Variables).
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

bool ptx_space_from(struct ptx_span word, enum ptx_space *space_out)
{
    static const struct {
        const char *text;
        enum ptx_space space;
    } spaces[] = {
        {"reg", PTX_SPACE_REG},       {"global", PTX_SPACE_GLOBAL}, {"const", PTX_SPACE_CONST},
        {"shared", PTX_SPACE_SHARED}, {"local", PTX_SPACE_LOCAL},   {"param", PTX_SPACE_PARAM},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(spaces); i++) {
        if (ptx_span_is(word, spaces[i].text)) {
            *space_out = spaces[i].space;
            return true;
        }
    }
    return false;
}

/* What stands before the name. */
struct declared {
    enum ptx_type type;
    uint32_t vec;   /* 1, 2 or 4 */
    uint32_t align; /* 0: natural */
    bool is_managed, is_pointer;
};

static uint32_t parse_align(struct ptx_parser *p)
{
    uint64_t align = ptx_expr_uint(p, PTX_ALIGN_MAX, ".align");

    if (align == 0 || (align & (align - 1)) != 0) {
        ptx_fail(p, FAB_ERR_FORMAT, ".align %llu is not a power of two", (unsigned long long)align);
        return 1;
    }
    return (uint32_t)align;
}

bool ptx_parse_attributes(struct ptx_parser *p)
{
    bool is_managed = false;
    uint32_t open = 0;

    do {
        if (ptx_is(p, '('))
            open++;
        else if (ptx_is(p, ')') && open > 0)
            open--;
        else if (ptx_is_dot(p, "managed"))
            is_managed = true;
        ptx_next(p);
    } while (open > 0 && p->token.kind != PTX_TOKEN_END);
    return is_managed;
}

/* ".ptr", ".ptr.global", ".ptr .align 16": where a pointer parameter leads, not how it lies. */
static void parse_pointer(struct ptx_parser *p, struct declared *d)
{
    enum ptx_space space;

    d->is_pointer = true;
    if (p->token.kind == PTX_TOKEN_DOT && ptx_space_from(p->token.span, &space))
        ptx_next(p);
    if (ptx_is_dot(p, "align")) {
        ptx_next(p);
        (void)parse_align(p); /* a promise that nothing here needs */
    }
}

static void parse_declared(struct ptx_parser *p, struct declared *d)
{
    *d = (struct declared){.vec = 1};
    while (p->token.kind == PTX_TOKEN_DOT) {
        struct ptx_span word = p->token.span;

        if (ptx_span_is(word, "align")) {
            ptx_next(p);
            d->align = parse_align(p);
            continue;
        }
        if (!ptx_span_is(word, "v2") && !ptx_span_is(word, "v4") && !ptx_span_is(word, "ptr") &&
            !ptx_span_is(word, "attribute") &&
            (d->type != PTX_NOTYPE || !ptx_type_from(word, &d->type))) {
            ptx_fail(p, FAB_ERR_UNSUPPORTED, "'.%.*s' in a declaration is not supported",
                     ptx_span_precision(word), word.text);
            return;
        }
        ptx_next(p);
        if (ptx_span_is(word, "v2") || ptx_span_is(word, "v4"))
            d->vec = (uint32_t)(word.text[1] - '0');
        else if (ptx_span_is(word, "ptr"))
            parse_pointer(p, d);
        else if (ptx_span_is(word, "attribute"))
            d->is_managed |= ptx_parse_attributes(p);
    }
    if (d->type == PTX_NOTYPE)
        ptx_fail_expected(p, "a type");
}

/* ---- one variable ------------------------------------------------------------------------- */

static void add_dimension(struct ptx_parser *p, struct ptx_shape *shape, uint64_t size)
{
    if (shape->count == PTX_DIMENSIONS_MAX)
        ptx_fail(p, FAB_ERR_LIMIT, "more than %d dimensions", PTX_DIMENSIONS_MAX);
    else
        shape->sizes[shape->count++] = size;
}

static void parse_dimensions(struct ptx_parser *p, struct ptx_shape *shape)
{
    while (ptx_accept(p, '[')) {
        uint64_t size = 0;

        if (ptx_is(p, ']') && shape->count == 0)
            shape->is_open = true; /* only the first can be */
        else
            size = ptx_expr_uint(p, PTX_VAR_BYTES_MAX, "array size");
        add_dimension(p, shape, size);
        ptx_expect(p, ']');
    }
}

/* The size in bytes, 0 for an open one; and the elements below each dimension. */
static uint64_t measure(struct ptx_parser *p, struct ptx_shape *shape, uint32_t element_bytes)
{
    uint64_t elements = 1, bytes;

    for (uint32_t i = shape->count; i-- > 0;) {
        shape->strides[i] = elements;
        if (__builtin_mul_overflow(elements, shape->sizes[i], &elements)) {
            ptx_fail(p, FAB_ERR_LIMIT, "array too large");
            return 0;
        }
    }
    if (__builtin_mul_overflow(elements, element_bytes, &bytes) || bytes > PTX_VAR_BYTES_MAX) {
        ptx_fail(p, FAB_ERR_LIMIT, "variable too large");
        return 0;
    }
    return bytes;
}

static struct ptx_var *parse_var(struct ptx_parser *p, enum ptx_space space,
                                 const struct declared *d)
{
    struct ptx_var *var = ptx_new(p, 1, sizeof(*var));
    uint32_t element_bytes = ptx_type_bytes(d->type);
    struct ptx_shape shape = {.count = 0};

    if (!var)
        return NULL;
    var->line = p->token.line;
    var->space = space;
    var->type = d->type;
    var->align = d->align ? d->align : element_bytes * d->vec;
    var->is_managed = d->is_managed;
    var->is_pointer = d->is_pointer;
    var->name = ptx_keep_text(p, ptx_expect_name(p));
    parse_dimensions(p, &shape);
    if (d->vec > 1)
        add_dimension(p, &shape, d->vec);
    var->bytes = measure(p, &shape, element_bytes);
    if (element_bytes == 0 && space != PTX_SPACE_REG)
        ptx_fail(p, FAB_ERR_FORMAT, "'%.80s' has no size", var->name);
    if (ptx_accept(p, '='))
        ptx_parse_init(p, var, &shape);
    return var;
}

void ptx_parse_vars(struct ptx_parser *p, enum ptx_space space, struct ptx_linkage linkage,
                    void (*add)(struct ptx_parser *p, void *arg, struct ptx_var *var), void *arg)
{
    struct declared d;

    if (space == PTX_SPACE_CONST && ptx_accept(p, '[')) { /* .const[bank], PTX before 2.2 */
        (void)ptx_expr_uint(p, UINT32_MAX, "bank");       /* all in one space */
        ptx_expect(p, ']');
    }
    parse_declared(p, &d);
    do {
        struct ptx_var *var = parse_var(p, space, &d);

        if (!var || p->status != FAB_OK)
            return;
        var->is_extern = linkage.is_extern;
        var->is_visible = linkage.is_visible;
        var->is_weak = linkage.is_weak;
        add(p, arg, var);
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
}

/* ---- parameters --------------------------------------------------------------------------- */

static struct ptx_var *parse_param(struct ptx_parser *p)
{
    enum ptx_space space = PTX_SPACE_GENERIC;
    struct declared d;

    if (p->token.kind != PTX_TOKEN_DOT || !ptx_space_from(p->token.span, &space) ||
        (space != PTX_SPACE_PARAM && space != PTX_SPACE_REG)) {
        ptx_fail_expected(p, ".param or .reg");
        return NULL;
    }
    ptx_next(p);
    parse_declared(p, &d);
    return parse_var(p, space, &d);
}

void ptx_parse_params(struct ptx_parser *p, const struct ptx_var *const **params_out,
                      uint32_t *count_out)
{
    struct ptx_list params = {0};

    ptx_expect(p, '(');
    if (!ptx_is(p, ')')) {
        do {
            struct ptx_var *param = parse_param(p);
            struct ptx_var **slot = ptx_push(p, &params, sizeof(struct ptx_var *));

            if (!slot)
                return;
            *slot = param;
            if (params.count > PTX_PARAMS_MAX)
                ptx_fail(p, FAB_ERR_LIMIT, "more than %d parameters", PTX_PARAMS_MAX);
        } while (ptx_accept(p, ','));
    }
    ptx_expect(p, ')');
    if (p->status != FAB_OK)
        return;
    *params_out = ptx_keep(p, &params, sizeof(struct ptx_var *));
    *count_out = params.count && *params_out ? (uint32_t)params.count : 0;
}

/* "(rets) _ (params)" and what may follow; behind ".callprototype". */
void ptx_parse_prototype(struct ptx_parser *p, struct ptx_prototype *proto)
{
    if (ptx_is(p, '('))
        ptx_parse_params(p, &proto->rets, &proto->ret_count);
    (void)ptx_expect_name(p); /* '_' */
    if (ptx_is(p, '('))
        ptx_parse_params(p, &proto->params, &proto->param_count);
    while (p->token.kind == PTX_TOKEN_DOT) {
        proto->noreturn |= ptx_is_dot(p, "noreturn");
        ptx_next(p);
        if (ptx_at_expr(p)) /* .abi_preserve N */
            (void)ptx_expr(p);
    }
    ptx_expect(p, ';');
}
