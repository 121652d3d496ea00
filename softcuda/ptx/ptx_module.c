/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_module.c - the index of a module: directives, variables, functions' heads.
 *
 * Bodies are stepped over (ptx_body.c decodes them on first use). What names what is checked here,
 * at the end, when every name is known.
 * Source: PTX ISA 9.0, chapters 4 and 11 (Directives).
 */
#include "softcuda/ptx/ptx_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct index {
    struct ptx_parser p;
    struct ptx_list vars;      /* struct ptx_var * */
    struct ptx_list functions; /* struct ptx_function * */
};

/* ---- names -------------------------------------------------------------------------------- */

static void add_name(struct ptx_parser *p, const char *text, enum ptx_name_kind kind, void *object)
{
    struct ptx_span span = {text, strlen(text)};
    struct ptx_name *name = ptx_names_add(&p->module->names, span, kind);

    if (!name) {
        ptx_fail(p, FAB_ERR_NOMEM, "out of memory");
        return;
    }
    name->object = object;
}

static struct ptx_name *find_name(const struct ptx_module_rec *module, const char *text)
{
    return ptx_names_find(&module->names, (struct ptx_span){text, strlen(text)});
}

struct ptx_function *ptx_function_find(const struct ptx_module *module, const char *name)
{
    const struct ptx_name *found = find_name((const struct ptx_module_rec *)module, name);

    return found && found->kind == PTX_NAME_FUNC ? found->object : NULL;
}

const struct ptx_var *ptx_var_find(const struct ptx_module *module, const char *name)
{
    const struct ptx_name *found = find_name((const struct ptx_module_rec *)module, name);

    return found && found->kind == PTX_NAME_VAR ? found->object : NULL;
}

/* ---- variables ---------------------------------------------------------------------------- */

static void add_var(struct ptx_parser *p, void *arg, struct ptx_var *var)
{
    struct index *index = arg;
    struct ptx_name *known = find_name(p->module, var->name);
    struct ptx_var **slot;

    if (known && known->kind == PTX_NAME_VAR) {
        struct ptx_var *before = known->object;

        if (!before->is_extern && !var->is_extern)
            ptx_fail(p, FAB_ERR_FORMAT, "'%.80s' is declared twice", var->name);
        else if (before->is_extern)
            *before = *var; /* the pointer is in use: the definition replaces what it shows */
        return;
    }
    if (known) {
        ptx_fail(p, FAB_ERR_FORMAT, "'%.80s' is a function and a variable", var->name);
        return;
    }
    slot = ptx_push(p, &index->vars, sizeof(struct ptx_var *));
    if (!slot)
        return;
    *slot = var;
    add_name(p, var->name, PTX_NAME_VAR, var);
}

/* ---- functions ---------------------------------------------------------------------------- */

static void parse_numbers(struct ptx_parser *p, uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = 1;
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = (uint32_t)ptx_expr_uint(p, UINT32_MAX, "number");
        if (!ptx_accept(p, ','))
            return;
    }
}

/* One word behind the parameters; unknown ones are stepped over with their numbers or strings. */
static void parse_tuning(struct ptx_parser *p, struct ptx_function *f)
{
    struct ptx_span word = p->token.span;

    ptx_next(p);
    if (ptx_span_is(word, "maxntid")) {
        parse_numbers(p, f->maxntid, 3);
    } else if (ptx_span_is(word, "reqntid")) {
        parse_numbers(p, f->reqntid, 3);
    } else if (ptx_span_is(word, "reqnctapercluster")) {
        parse_numbers(p, f->reqnctapercluster, 3);
    } else if (ptx_span_is(word, "minnctapersm")) {
        parse_numbers(p, &f->min_blocks_per_sm, 1);
    } else if (ptx_span_is(word, "maxnreg")) {
        parse_numbers(p, &f->max_regs, 1);
    } else if (ptx_span_is(word, "noreturn")) {
        f->is_noreturn = true;
        f->proto.noreturn = true;
    } else if (ptx_span_is(word, "pragma")) {
        while (p->token.kind == PTX_TOKEN_STRING || ptx_is(p, ','))
            ptx_next(p);
        (void)ptx_accept(p, ';'); /* ends the pragma, not the function */
    } else {
        while (p->token.kind == PTX_TOKEN_STRING || p->token.kind == PTX_TOKEN_NUMBER ||
               ptx_is(p, ','))
            ptx_next(p);
    }
}

/* Offsets in the launch buffer: each parameter at its alignment, in order. */
static void place_params(struct ptx_parser *p, struct ptx_function *f)
{
    uint32_t *offsets = ptx_new(p, f->proto.param_count, sizeof(*offsets));
    uint64_t end = 0;

    for (uint32_t i = 0; offsets && i < f->proto.param_count; i++) {
        const struct ptx_var *param = f->proto.params[i];

        end = (end + param->align - 1) & ~((uint64_t)param->align - 1);
        offsets[i] = (uint32_t)end;
        end += param->bytes;
        if (end > PTX_LAUNCH_BYTES_MAX) {
            ptx_fail_at(p, f->line, FAB_ERR_LIMIT, "parameters above %d bytes",
                        PTX_LAUNCH_BYTES_MAX);
            return;
        }
    }
    f->param_offset = offsets;
    f->param_bytes = (uint32_t)end;
}

static void parse_head(struct ptx_parser *p, struct ptx_function *f)
{
    f->line = p->token.line;
    if (ptx_is_dot(p, "attribute")) {
        ptx_next(p);
        (void)ptx_parse_attributes(p); /* .unified: nothing for functions here */
    }
    if (ptx_is(p, '('))
        ptx_parse_params(p, &f->proto.rets, &f->proto.ret_count);
    f->name = ptx_keep_text(p, ptx_expect_name(p));
    if (ptx_is(p, '('))
        ptx_parse_params(p, &f->proto.params, &f->proto.param_count);
    while (p->token.kind == PTX_TOKEN_DOT)
        parse_tuning(p, f);
    if (f->is_entry && p->status == FAB_OK)
        place_params(p, f);
}

/* A declaration and the definition that completes it are one function. */
static void add_function(struct index *index, struct ptx_function_rec *rec)
{
    struct ptx_parser *p = &index->p;
    struct ptx_name *known = find_name(p->module, rec->pub.name);
    struct ptx_function **slot;

    if (known && known->kind == PTX_NAME_FUNC) {
        struct ptx_function *before = known->object;

        if (before->body && rec->pub.body)
            ptx_fail_at(p, rec->pub.line, FAB_ERR_FORMAT, "'%.80s' is defined twice",
                        rec->pub.name);
        else if (rec->pub.body)
            *before = rec->pub;
        return;
    }
    if (known) {
        ptx_fail(p, FAB_ERR_FORMAT, "'%.80s' is a variable and a function", rec->pub.name);
        return;
    }
    slot = ptx_push(p, &index->functions, sizeof(struct ptx_function *));
    if (!slot)
        return;
    *slot = &rec->pub;
    add_name(p, rec->pub.name, PTX_NAME_FUNC, &rec->pub);
}

static void parse_function(struct index *index, struct ptx_linkage linkage, bool is_entry)
{
    struct ptx_parser *p = &index->p;
    struct ptx_function_rec *rec = ptx_new(p, 1, sizeof(*rec));

    if (!rec)
        return;
    rec->pub.is_entry = is_entry;
    rec->pub.is_extern = linkage.is_extern;
    rec->pub.is_visible = linkage.is_visible;
    rec->pub.is_weak = linkage.is_weak;
    parse_head(p, &rec->pub);
    if (ptx_is(p, '{')) {
        rec->pub.body_line = p->token.line;
        struct ptx_span body = ptx_skip_block(p);
        rec->pub.body = body.text;
        rec->pub.body_bytes = body.bytes;
    } else {
        ptx_expect(p, ';');
    }
    if (p->status == FAB_OK)
        add_function(index, rec);
}

/* ".alias new, old;" */
static void parse_alias(struct index *index)
{
    struct ptx_parser *p = &index->p;
    struct ptx_span alias = ptx_expect_name(p), aliased;
    const struct ptx_name *known;
    struct ptx_name *own;

    ptx_expect(p, ',');
    aliased = ptx_expect_name(p);
    ptx_expect(p, ';');
    if (p->status != FAB_OK)
        return;
    known = ptx_names_find(&p->module->names, aliased);
    if (!known || known->kind != PTX_NAME_FUNC) {
        ptx_fail(p, FAB_ERR_FORMAT, "alias of '%.*s', which is no function",
                 ptx_span_precision(aliased), aliased.text);
        return;
    }
    own = ptx_names_find(&p->module->names, alias);
    if (own && own->kind == PTX_NAME_FUNC)
        own->object = known->object; /* its declaration */
    else
        add_name(p, ptx_keep_text(p, alias), PTX_NAME_FUNC, known->object);
}

/* ---- directives --------------------------------------------------------------------------- */

/* "9.0" */
static void parse_version(struct ptx_parser *p)
{
    struct ptx_module *module = &p->module->pub;
    uint32_t *field = &module->version_major;

    if (p->token.kind != PTX_TOKEN_NUMBER) {
        ptx_fail_expected(p, "a version");
        return;
    }
    module->version_major = module->version_minor = 0;
    for (size_t i = 0; i < p->token.span.bytes && i < 9; i++) {
        char c = p->token.span.text[i];

        if (c == '.')
            field = &module->version_minor;
        else if (c >= '0' && c <= '9')
            *field = *field * 10 + (uint32_t)(c - '0');
    }
    ptx_next(p);
}

/* "sm_90a, debug" */
static void parse_target(struct ptx_parser *p)
{
    do {
        struct ptx_span word = ptx_expect_name(p);
        uint32_t number = 0;
        size_t i = 3;

        if (word.bytes < 4 || memcmp(word.text, "sm_", 3) != 0)
            continue;
        for (; i < word.bytes && i < 8 && word.text[i] >= '0' && word.text[i] <= '9'; i++)
            number = number * 10 + (uint32_t)(word.text[i] - '0');
        p->module->pub.target = number;
        p->module->pub.target_suffix = '\0';
        if (i < word.bytes)
            p->module->pub.target_suffix = word.text[i];
    } while (ptx_accept(p, ','));
}

static void parse_address_size(struct ptx_parser *p)
{
    uint64_t bits = ptx_expr_uint(p, UINT32_MAX, ".address_size");

    if (p->status == FAB_OK && bits != 64)
        ptx_fail(p, FAB_ERR_UNSUPPORTED, "%llu-bit addresses are not supported",
                 (unsigned long long)bits);
    p->module->pub.address_bits = (uint32_t)bits;
}

static struct ptx_linkage parse_linkage(struct ptx_parser *p)
{
    struct ptx_linkage linkage = {.is_extern = false};

    for (;;) {
        if (ptx_is_dot(p, "extern"))
            linkage.is_extern = true;
        else if (ptx_is_dot(p, "visible"))
            linkage.is_visible = true;
        else if (ptx_is_dot(p, "weak") || ptx_is_dot(p, "common"))
            linkage.is_weak = true;
        else
            return linkage;
        ptx_next(p);
    }
}

/* A function or a variable; false if it is neither. */
static bool parse_object(struct index *index)
{
    struct ptx_parser *p = &index->p;
    struct ptx_linkage linkage = parse_linkage(p);
    enum ptx_space space;

    if (ptx_is_dot(p, "entry") || ptx_is_dot(p, "func")) {
        bool is_entry = ptx_is_dot(p, "entry");

        ptx_next(p);
        parse_function(index, linkage, is_entry);
        return true;
    }
    if (p->token.kind != PTX_TOKEN_DOT || !ptx_space_from(p->token.span, &space) ||
        space == PTX_SPACE_REG)
        return false;
    ptx_next(p);
    /* .global .texref and kin: what uses them is refused, their declaration is not. */
    if (ptx_is_dot(p, "texref") || ptx_is_dot(p, "surfref") || ptx_is_dot(p, "samplerref"))
        ptx_skip_statement(p);
    else
        ptx_parse_vars(p, space, linkage, add_var, index);
    return true;
}

static void parse_directive(struct index *index)
{
    struct ptx_parser *p = &index->p;

    if (ptx_is_dot(p, "version")) {
        ptx_next(p);
        parse_version(p);
    } else if (ptx_is_dot(p, "target")) {
        ptx_next(p);
        parse_target(p);
    } else if (ptx_is_dot(p, "address_size")) {
        ptx_next(p);
        parse_address_size(p);
    } else if (ptx_is_dot(p, "alias")) {
        ptx_next(p);
        parse_alias(index);
    } else if (ptx_is_dot(p, "file") || ptx_is_dot(p, "loc")) {
        ptx_skip_line(p);
    } else if (!parse_object(index)) {
        ptx_skip_statement(p); /* .section, .pragma, and what newer versions bring */
    }
}

static void parse_directives(struct index *index)
{
    struct ptx_parser *p = &index->p;

    while (p->token.kind != PTX_TOKEN_END) {
        if (p->token.kind == PTX_TOKEN_DOT)
            parse_directive(index);
        else if (ptx_is(p, '@')) /* @@DWARF */
            ptx_skip_line(p);
        else if (!ptx_accept(p, ';'))
            ptx_fail_expected(p, "a directive");
    }
}

/* ---- the module --------------------------------------------------------------------------- */

/* Initialisers may name what comes later; an alias is replaced by what it stands for. */
static void check_relocs(struct ptx_parser *p, const struct ptx_var *var)
{
    for (uint32_t i = 0; i < var->reloc_count; i++) {
        const struct ptx_name *name = find_name(p->module, var->relocs[i].symbol);

        if (!name) {
            ptx_fail_at(p, var->line, FAB_ERR_FORMAT, "'%.80s' holds the address of '%.80s', %s",
                        var->name, var->relocs[i].symbol, "which is not declared");
            return;
        }
    }
}

static void finish(struct index *index)
{
    struct ptx_parser *p = &index->p;
    struct ptx_module *module = &p->module->pub;

    if (p->status == FAB_OK && module->version_major == 0)
        ptx_fail(p, FAB_ERR_FORMAT, "no .version: this is not PTX");
    module->vars = ptx_keep(p, &index->vars, sizeof(struct ptx_var *));
    module->functions = ptx_keep(p, &index->functions, sizeof(struct ptx_function *));
    if (p->status != FAB_OK)
        return;
    module->var_count = (uint32_t)index->vars.count;
    module->function_count = (uint32_t)index->functions.count;
    for (uint32_t i = 0; i < module->var_count; i++)
        check_relocs(p, module->vars[i]);
}

enum fab_status ptx_module_parse(const char *text, size_t bytes, struct ptx_module **module_out,
                                 struct fab_err *err)
{
    struct ptx_span span = {text, strnlen(text, bytes)};
    struct ptx_module_rec *module = fab_alloc_zeroed(1, sizeof(*module));
    struct index index = {.vars = {0}};
    enum fab_status status;

    if (!module)
        return fab_err_set(err, FAB_ERR_NOMEM, "PTX module");
    module->names.arena = &module->arena;
    module->opcodes.arena = &module->arena;
    module->pub.address_bits = 64;
    ptx_parser_init(&index.p, module, span, 1, err);
    parse_directives(&index);
    finish(&index);
    status = index.p.status;
    ptx_parser_fini(&index.p);
    if (status != FAB_OK) {
        ptx_module_destroy(&module->pub);
        return status;
    }
    *module_out = &module->pub;
    return FAB_OK;
}

void ptx_module_destroy(struct ptx_module *module)
{
    struct ptx_module_rec *rec = (struct ptx_module_rec *)module;

    if (!rec)
        return;
    fab_arena_fini(&rec->arena);
    free(rec);
}
