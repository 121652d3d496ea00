/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_lex.c - tokens over the text in place, and the parser's small tools.
 *
 * Nothing is copied and nothing needs a terminator. Comments and preprocessor lines are
 * skipped here; debug lines (.loc, .file) are skipped by the directives, which call
 * ptx_skip_line(). Source: PTX ISA 9.0, chapter 4 (Syntax).
 */
#include "softcuda/ptx/ptx_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What a name can have behind its first character. */
static bool is_name(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || is_digit(c) || c == '_' || c == '$';
}

/* ---- the parser's record ------------------------------------------------------------------ */

void ptx_parser_init(struct ptx_parser *p, struct ptx_module_rec *module, struct ptx_span text,
                     uint32_t line, struct fab_err *err)
{
    *p = (struct ptx_parser){
        .at = text.text, .end = text.text + text.bytes, .line = line, .module = module, .err = err};
    ptx_next(p);
}

void ptx_parser_fini(struct ptx_parser *p)
{
    fab_arena_fini(&p->scratch);
}

static void fail_list(struct ptx_parser *p, uint32_t line, enum fab_status status,
                      const char *format, va_list args) FAB_PRINTF(4, 0);

static void fail_list(struct ptx_parser *p, uint32_t line, enum fab_status status,
                      const char *format, va_list args)
{
    char text[FAB_ERR_TEXT_BYTES];

    if (p->status != FAB_OK)
        return;
    (void)vsnprintf(text, sizeof(text), format, args);
    p->status = fab_err_set(p->err, status, "line %u: %s", line, text);
    p->at = p->end;
    p->token = (struct ptx_token){.kind = PTX_TOKEN_END, .line = p->token.line};
}

void ptx_fail(struct ptx_parser *p, enum fab_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_list(p, p->token.line, status, format, args);
    va_end(args);
}

void ptx_fail_at(struct ptx_parser *p, uint32_t line, enum fab_status status, const char *format,
                 ...)
{
    va_list args;

    va_start(args, format);
    fail_list(p, line, status, format, args);
    va_end(args);
}

void ptx_fail_expected(struct ptx_parser *p, const char *what)
{
    struct ptx_span span = p->token.span;

    if (p->token.kind == PTX_TOKEN_END)
        ptx_fail(p, FAB_ERR_FORMAT, "%s expected, but the text ends", what);
    else
        ptx_fail(p, FAB_ERR_FORMAT, "%s expected, found '%.*s'", what, ptx_span_precision(span),
                 span.text);
}

bool ptx_enter(struct ptx_parser *p)
{
    if (p->depth == PTX_NEST_MAX) {
        ptx_fail(p, FAB_ERR_LIMIT, "nested more than %d deep", PTX_NEST_MAX);
        return false;
    }
    p->depth++;
    return true;
}

void ptx_leave(struct ptx_parser *p)
{
    p->depth--;
}

static void *tested(struct ptx_parser *p, void *memory)
{
    if (!memory)
        ptx_fail(p, FAB_ERR_NOMEM, "out of memory");
    return memory;
}

void *ptx_new(struct ptx_parser *p, size_t count, size_t item_bytes)
{
    return tested(p, fab_arena_alloc_array(&p->module->arena, count, item_bytes));
}

void *ptx_push(struct ptx_parser *p, struct ptx_list *list, size_t item_bytes)
{
    return tested(p, ptx_list_add(list, &p->scratch, item_bytes));
}

void *ptx_keep(struct ptx_parser *p, const struct ptx_list *list, size_t item_bytes)
{
    void *kept;

    if (!list->count)
        return NULL;
    kept = ptx_new(p, list->count, item_bytes);
    if (kept)
        memcpy(kept, list->items, list->count * item_bytes);
    return kept;
}

const char *ptx_keep_text(struct ptx_parser *p, struct ptx_span span)
{
    char *text = ptx_new(p, span.bytes + 1, 1);

    if (!text)
        return "";
    if (span.bytes)
        memcpy(text, span.text, span.bytes);
    return text;
}

bool ptx_span_is(struct ptx_span span, const char *text)
{
    return strlen(text) == span.bytes && memcmp(text, span.text, span.bytes) == 0;
}

int ptx_span_precision(struct ptx_span span)
{
    enum { READABLE_BYTES = 80 };

    return span.bytes < READABLE_BYTES ? (int)span.bytes : READABLE_BYTES;
}

/* ---- tokens ------------------------------------------------------------------------------- */

static bool is_at(const struct ptx_parser *p, const char pair[2])
{
    return p->end - p->at >= 2 && p->at[0] == pair[0] && p->at[1] == pair[1];
}

static void skip_to_newline(struct ptx_parser *p)
{
    const char *newline = memchr(p->at, '\n', (size_t)(p->end - p->at));

    p->at = newline ? newline : p->end;
}

/* At a slash and a star. */
static void skip_long_comment(struct ptx_parser *p)
{
    p->at += 2;
    while (p->end - p->at >= 2 && !is_at(p, "*/"))
        p->line += *p->at++ == '\n';
    p->at = p->end - p->at >= 2 ? p->at + 2 : p->end;
}

/* To the next character that belongs to a token. */
static void skip_blanks(struct ptx_parser *p)
{
    while (p->at < p->end) {
        if (is_space(*p->at)) {
            p->at++;
        } else if (*p->at == '\n') {
            p->at++;
            p->line++;
        } else if (*p->at == '#' || is_at(p, "//")) {
            skip_to_newline(p);
        } else if (is_at(p, "/*")) {
            skip_long_comment(p);
        } else {
            return;
        }
    }
}

static void lex_name(struct ptx_parser *p)
{
    p->token.kind = PTX_TOKEN_NAME;
    p->at++;
    while (p->at < p->end && is_name(*p->at))
        p->at++;
}

static void lex_dot(struct ptx_parser *p)
{
    p->token.kind = PTX_TOKEN_DOT;
    p->at++;
    p->token.span.text = p->at;
    while (p->at < p->end && (is_name(*p->at) || is_at(p, "::")))
        p->at += *p->at == ':' ? 2 : 1;
}

/* 12, 0x1fU, 0f3f800000, 1.5e-3: everything that can be in one, to be judged by ptx_expr(). */
static void lex_number(struct ptx_parser *p)
{
    bool is_prefixed = p->end - p->at >= 2 && p->at[0] == '0' && is_name(p->at[1]) &&
                       !is_digit(p->at[1]) && p->at[1] != 'e' && p->at[1] != 'E';

    p->token.kind = PTX_TOKEN_NUMBER;
    while (p->at < p->end) {
        char c = *p->at;

        if (!is_name(c) && (is_prefixed || c != '.'))
            break;
        p->at++;
        if (!is_prefixed && (c == 'e' || c == 'E') && p->at < p->end &&
            (*p->at == '-' || *p->at == '+'))
            p->at++;
    }
}

static void lex_string(struct ptx_parser *p)
{
    p->token.kind = PTX_TOKEN_STRING;
    p->at++;
    p->token.span.text = p->at;
    while (p->at < p->end && *p->at != '"') {
        if (*p->at == '\\' && p->end - p->at >= 2)
            p->at++;
        p->line += *p->at == '\n';
        p->at++;
    }
}

static void lex_punct(struct ptx_parser *p)
{
    static const char *const pairs[] = {"<<", ">>", "&&", "||", "==", "!=", "<=", ">="};

    p->token.kind = PTX_TOKEN_PUNCT;
    p->token.punct = (unsigned char)*p->at;
    for (size_t i = 0; i < FAB_ARRAY_LEN(pairs); i++) {
        if (is_at(p, pairs[i])) {
            p->token.punct = PTX_PUNCT(pairs[i][0], pairs[i][1]);
            p->at++;
            break;
        }
    }
    p->at++;
}

void ptx_next(struct ptx_parser *p)
{
    char c;

    skip_blanks(p);
    p->token = (struct ptx_token){.kind = PTX_TOKEN_END, .span = {p->at, 0}, .line = p->line};
    if (p->at == p->end)
        return;
    c = *p->at;
    if (c == '.')
        lex_dot(p);
    else if (is_digit(c))
        lex_number(p);
    else if (is_name(c) || (c == '%' && p->end - p->at >= 2 && is_name(p->at[1])))
        lex_name(p);
    else if (c == '"')
        lex_string(p);
    else
        lex_punct(p); /* a single % is one */
    p->token.span.bytes = (size_t)(p->at - p->token.span.text);
    if (p->token.kind == PTX_TOKEN_STRING && p->at < p->end)
        p->at++; /* the closing quote */
}

bool ptx_is(const struct ptx_parser *p, unsigned punct)
{
    return p->token.kind == PTX_TOKEN_PUNCT && p->token.punct == punct;
}

bool ptx_is_dot(const struct ptx_parser *p, const char *word)
{
    return p->token.kind == PTX_TOKEN_DOT && ptx_span_is(p->token.span, word);
}

bool ptx_accept(struct ptx_parser *p, unsigned punct)
{
    if (!ptx_is(p, punct))
        return false;
    ptx_next(p);
    return true;
}

void ptx_expect(struct ptx_parser *p, unsigned punct)
{
    char what[] = {'\'', (char)punct, '\'', '\0'};

    if (!ptx_accept(p, punct))
        ptx_fail_expected(p, what);
}

struct ptx_span ptx_expect_name(struct ptx_parser *p)
{
    struct ptx_span span = p->token.span;

    if (p->token.kind != PTX_TOKEN_NAME) {
        ptx_fail_expected(p, "a name");
        return (struct ptx_span){"", 0};
    }
    ptx_next(p);
    return span;
}

/* ---- skipping ----------------------------------------------------------------------------- */

void ptx_skip_line(struct ptx_parser *p)
{
    /* The present token may be the last of its line, and the lexer is right behind it. */
    skip_to_newline(p);
    ptx_next(p);
}

/* Bodies are most of a module and are only decoded on first use: braces are counted by character,
 * not by token. */
struct ptx_span ptx_skip_block(struct ptx_parser *p)
{
    struct ptx_span inside = {p->at, 0};
    uint32_t open = 1;

    while (p->at < p->end) {
        switch (*p->at) {
        case '{':
            open++;
            break;
        case '}':
            open--;
            break;
        case '"':
            lex_string(p);
            break;
        case '/':
        case '#':
            skip_blanks(p);
            if (p->at < p->end && *p->at != '/')
                continue;
            break;
        case '\n':
            p->line++;
            break;
        default:
            break;
        }
        if (p->at == p->end)
            break;
        p->at++;
        if (!open) {
            inside.bytes = (size_t)(p->at - 1 - inside.text);
            ptx_next(p);
            return inside;
        }
    }
    ptx_fail(p, FAB_ERR_FORMAT, "'{' without its '}'");
    return (struct ptx_span){"", 0};
}

void ptx_skip_statement(struct ptx_parser *p)
{
    while (p->token.kind != PTX_TOKEN_END) {
        if (ptx_is(p, '{')) {
            (void)ptx_skip_block(p); /* what is inside does not matter */
            return;
        }
        if (ptx_accept(p, ';'))
            return;
        ptx_next(p);
    }
}
