/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_init.c - initialisers: numbers, addresses, pieces of addresses, nested braces.
 *
 * Elements are written at a cursor that braces align to their sub-array, as in C. Addresses become
 * relocations, which name a symbol; ptx_module.c checks the names when all are known.
 * Source: PTX ISA 9.0, section 5.4.4 (Initializers).
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

struct init {
    struct ptx_parser *p;
    struct ptx_var *var;
    const struct ptx_shape *shape;
    uint8_t *init;          /* the variable's bytes, unless it is open: then */
    struct ptx_list bytes;  /* what has been written so far */
    struct ptx_list relocs; /* struct ptx_reloc */
    uint64_t cursor;        /* element */
    uint32_t element_bytes;
};

/* Room for the element at the cursor; NULL: failed. */
static uint8_t *element(struct init *in)
{
    uint64_t end = (in->cursor + 1) * in->element_bytes; /* the cursor is at most 2^41 */
    uint64_t limit = in->shape->is_open ? PTX_OPEN_INIT_BYTES_MAX : in->var->bytes;

    if (end > limit) {
        ptx_fail(in->p, FAB_ERR_FORMAT, "too many initialisers for '%.80s'", in->var->name);
        return NULL;
    }
    while (in->shape->is_open && in->bytes.count < end) {
        if (!ptx_push(in->p, &in->bytes, 1))
            return NULL;
    }
    return (in->shape->is_open ? (uint8_t *)in->bytes.items : in->init) + end - in->element_bytes;
}

static void put_number(struct init *in, struct ptx_value value)
{
    uint64_t bits = ptx_value_as(value, in->var->type);
    uint8_t *to = element(in);

    if (!ptx_value_fits(value, in->var->type))
        ptx_fail(in->p, FAB_ERR_FORMAT, "a constant of type .%s is written by its bits",
                 ptx_type_name(in->var->type));
    for (uint32_t i = 0; to && i < in->element_bytes; i++)
        to[i] = i < 8 ? (uint8_t)(bits >> 8 * i) : 0;
}

/* "generic(name)" or "name", then "+ constant"; an address. */
static void parse_symbol(struct init *in, struct ptx_reloc *reloc)
{
    struct ptx_parser *p = in->p;
    struct ptx_span name = ptx_expect_name(p);

    if (ptx_span_is(name, "generic") && ptx_accept(p, '(')) {
        parse_symbol(in, reloc);
        reloc->generic = true;
        ptx_expect(p, ')');
    } else {
        reloc->symbol = ptx_keep_text(p, name);
    }
    if (ptx_accept(p, '+') || ptx_is(p, '-'))
        reloc->addend += (int64_t)ptx_value_as(ptx_expr(p), PTX_S64);
}

/* 0xFF00 means the second byte: which bits of the address go into the element. */
static void set_mask(struct init *in, struct ptx_reloc *reloc, uint64_t mask)
{
    uint32_t shift = mask ? (uint32_t)__builtin_ctzll(mask) : 1;

    reloc->shift = (uint8_t)shift;
    reloc->bytes = (uint8_t)in->element_bytes;
    if (shift % 8 != 0 || in->element_bytes > 8 ||
        mask >> shift != UINT64_MAX >> (64 - 8 * in->element_bytes))
        ptx_fail(in->p, FAB_ERR_FORMAT, "mask 0x%llx does not choose an element's bytes",
                 (unsigned long long)mask);
}

static void put_address(struct init *in, bool is_masked, uint64_t mask)
{
    struct ptx_reloc *reloc = ptx_push(in->p, &in->relocs, sizeof(*reloc));

    if (!reloc)
        return;
    reloc->offset = in->cursor * in->element_bytes;
    reloc->bytes = (uint8_t)in->element_bytes;
    if (ptx_enter(in->p)) {
        parse_symbol(in, reloc);
        ptx_leave(in->p);
    }
    if (is_masked)
        set_mask(in, reloc, mask);
    else if (in->element_bytes != 8 && in->element_bytes != 4)
        ptx_fail(in->p, FAB_ERR_FORMAT, "an address in %u bytes", in->element_bytes);
    (void)element(in); /* it has failed, or there is room for the address */
}

static void parse_element(struct init *in)
{
    struct ptx_parser *p = in->p;

    if (p->token.kind == PTX_TOKEN_NAME && !ptx_at_expr(p)) {
        put_address(in, /* is_masked */ false, /* mask */ 0);
    } else if (p->token.kind == PTX_TOKEN_NUMBER) {
        struct ptx_value value = ptx_expr(p);

        if (ptx_accept(p, '(')) {
            put_address(in, /* is_masked */ true, value.bits);
            ptx_expect(p, ')');
        } else {
            put_number(in, value);
        }
    } else {
        put_number(in, ptx_expr(p));
    }
    in->cursor++;
}

/* Steps over "12, " if it is all of a small decimal number, a comma and another digit's blanks. */
static const char *plain_number(const char *at, const char *end, uint64_t *value_out)
{
    enum { DIGITS_MAX = 18 }; /* cannot overflow */
    const char *start = at;
    uint64_t value = 0;

    for (; at < end && *at >= '0' && *at <= '9' && at - start < DIGITS_MAX; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (at == start || (*start == '0' && at - start > 1) || at == end || *at != ',')
        return NULL;
    for (at++; at < end && *at == ' '; at++)
        continue;
    *value_out = value;
    return at < end && *at >= '0' && *at <= '9' ? at : NULL;
}

/* Tables hold hundreds of thousands of small numbers (cuRAND's do): all but the last of a run are
 * read without making tokens of them. At a number. */
static void take_plain_numbers(struct init *in)
{
    struct ptx_parser *p = in->p;
    const char *at = p->token.span.text, *next;
    uint64_t value;

    while ((next = plain_number(at, p->end, &value)) != NULL && p->status == FAB_OK) {
        put_number(in, (struct ptx_value){PTX_S64, value});
        in->cursor++;
        at = next;
    }
    if (p->status != FAB_OK || at == p->token.span.text)
        return;
    p->at = at;
    ptx_next(p);
}

/* "{ ... }" for one element of the dimension above `level`; at the '{'. */
static void parse_braces(struct init *in, uint32_t level)
{
    struct ptx_parser *p = in->p;

    ptx_expect(p, '{');
    if (level == in->shape->count) {
        ptx_fail(p, FAB_ERR_FORMAT, "'{' deeper than the dimensions of '%.80s'", in->var->name);
        return;
    }
    while (!ptx_is(p, '}') && p->token.kind != PTX_TOKEN_END) {
        if (ptx_is(p, '{')) {
            uint64_t start = in->cursor;

            parse_braces(in, level + 1);
            in->cursor = start + in->shape->strides[level];
            if (in->cursor > PTX_VAR_BYTES_MAX)
                ptx_fail(p, FAB_ERR_LIMIT, "'%.80s' is too large", in->var->name);
        } else {
            if (p->token.kind == PTX_TOKEN_NUMBER)
                take_plain_numbers(in);
            parse_element(in);
        }
        if (!ptx_accept(p, ','))
            break;
    }
    ptx_expect(p, '}');
}

/* Within what the module's initialised variables may take together? */
static bool reserve(struct ptx_parser *p, uint64_t bytes)
{
    if (bytes > PTX_INIT_BYTES_MAX - p->module->init_bytes) {
        ptx_fail(p, FAB_ERR_LIMIT, "initialised variables above %d MiB", PTX_INIT_BYTES_MAX >> 20);
        return false;
    }
    p->module->init_bytes += bytes;
    return true;
}

/* The first dimension of "x[] = {...}" is as large as its initialiser. */
static void close_shape(struct init *in)
{
    uint64_t row = in->shape->strides[0] * in->element_bytes;

    if (!row) {
        ptx_fail(in->p, FAB_ERR_FORMAT, "'%.80s' has no size", in->var->name);
        return;
    }
    in->var->bytes = (in->bytes.count + row - 1) / row * row;
    if (!reserve(in->p, in->var->bytes))
        return;
    in->init = ptx_new(in->p, 1, in->var->bytes);
    if (in->init && in->bytes.count)
        memcpy(in->init, in->bytes.items, in->bytes.count);
}

void ptx_parse_init(struct ptx_parser *p, struct ptx_var *var, const struct ptx_shape *shape)
{
    struct init in = {
        .p = p, .var = var, .shape = shape, .element_bytes = ptx_type_bytes(var->type)};

    if (p->status != FAB_OK)
        return;
    if (var->space != PTX_SPACE_GLOBAL && var->space != PTX_SPACE_CONST) {
        ptx_fail(p, FAB_ERR_FORMAT, "'%.80s' cannot be initialised: only .global and .const can",
                 var->name);
        return;
    }
    if (!shape->is_open) {
        if (!reserve(p, var->bytes))
            return;
        in.init = ptx_new(p, 1, var->bytes);
    }
    if (ptx_is(p, '{'))
        parse_braces(&in, 0);
    else
        parse_element(&in);
    if (p->status == FAB_OK && shape->is_open)
        close_shape(&in);
    if (p->status != FAB_OK)
        return;
    var->init = in.init;
    var->relocs = ptx_keep(p, &in.relocs, sizeof(struct ptx_reloc));
    var->reloc_count = var->relocs ? (uint32_t)in.relocs.count : 0;
}
