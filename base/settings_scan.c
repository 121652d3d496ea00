/* SPDX-License-Identifier: Apache-2.0
 * base/settings_scan.c - see settings_scan.h.
 *
 * Knows only the words of the libconfig grammar, not its sentences: what it cannot
 * place goes through unchanged and libconfig judges it.
 * Source: libconfig manual, section 2.1, "Configuration Files".
 */
#include "base/settings_scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/settings_file.h"

enum { NUMBER_MAX_BYTES = 64 };

struct scanner {
    const char *name; /* of the file, for messages */
    const char *at, *end;
    char *out; /* where the next byte of the copy goes */
    unsigned line;
    unsigned depth; /* open brackets of all kinds */
    struct fab_err *err;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_part(char c)
{
    return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '*';
}

static bool starts_with(const struct scanner *scanner, const char *word)
{
    size_t word_bytes = strlen(word);

    return (size_t)(scanner->end - scanner->at) >= word_bytes &&
           memcmp(scanner->at, word, word_bytes) == 0;
}

static void copy(struct scanner *scanner, size_t count)
{
    for (; count > 0 && scanner->at < scanner->end; count--) {
        if (*scanner->at == '\n')
            scanner->line++;
        *scanner->out++ = *scanner->at++;
    }
}

static enum fab_status refuse(const struct scanner *scanner, enum fab_status status,
                              const char *what)
{
    return fab_err_set(scanner->err, status, "%s:%u: %s", scanner->name, scanner->line, what);
}

/* Comments become blanks of the same lines: inside them nothing can mislead the other scanner. */
static enum fab_status scan_comment(struct scanner *scanner)
{
    bool block = starts_with(scanner, "/*");

    while (scanner->at < scanner->end) {
        if (block ? starts_with(scanner, "*/") : *scanner->at == '\n')
            break;
        if (*scanner->at == '\n')
            copy(scanner, 1);
        else
            scanner->at++;
    }
    if (!block)
        return FAB_OK;
    if (scanner->at == scanner->end)
        return refuse(scanner, FAB_ERR_FORMAT, "a comment has no end");
    scanner->at += 2;
    *scanner->out++ = ' ';
    return FAB_OK;
}

static enum fab_status scan_string(struct scanner *scanner)
{
    copy(scanner, 1);
    while (scanner->at < scanner->end && *scanner->at != '"') {
        if (starts_with(scanner, "\\x00"))
            return refuse(scanner, FAB_ERR_FORMAT, "a string cannot hold \\x00");
        copy(scanner, *scanner->at == '\\' ? 2 : 1);
    }
    if (scanner->at == scanner->end)
        return refuse(scanner, FAB_ERR_FORMAT, "a string has no end");
    copy(scanner, 1);
    return FAB_OK;
}

/* The word as an integer: digits after an optional sign, or hexadecimal; "L" marks are taken off
 * before. FAB_ERR_INVALID if it is anything else. */
static enum fab_status judge_integer(const char *word, size_t word_bytes)
{
    char number[NUMBER_MAX_BYTES];
    int64_t value;

    if (word[0] == '+')
        word++, word_bytes--;
    if (word_bytes >= sizeof(number))
        word_bytes = sizeof(number) - 1; /* out of range or malformed already */
    memcpy(number, word, word_bytes);
    number[word_bytes] = '\0';
    return fab_parse_int(number, &value);
}

static bool is_float(const char *word, size_t word_bytes)
{
    bool any_digit = false, mark = false;

    for (size_t i = 0; i < word_bytes; i++) {
        char c = word[i];

        if (is_digit(c))
            any_digit = true;
        else if (c == '.' || ((c == 'e' || c == 'E') && any_digit))
            mark = true;
        else if (c != '+' && c != '-')
            return false;
    }
    return any_digit && mark;
}

static size_t number_word_bytes(const struct scanner *scanner)
{
    const char *at = scanner->at;
    bool hex = false;

    while (at < scanner->end) {
        bool after_e = at > scanner->at && !hex && (at[-1] == 'e' || at[-1] == 'E');

        if (*at == 'x' || *at == 'X')
            hex = true;
        if (is_digit(*at) || is_letter(*at) || *at == '.' || *at == '_' ||
            ((*at == '+' || *at == '-') && (at == scanner->at || after_e)))
            at++;
        else
            break;
    }
    return (size_t)(at - scanner->at);
}

static enum fab_status scan_number(struct scanner *scanner)
{
    size_t word_bytes = number_word_bytes(scanner), digits = word_bytes;
    const char *word = scanner->at;
    enum fab_status status;

    for (unsigned marks = 0; marks < 2 && digits > 0 && word[digits - 1] == 'L'; marks++)
        digits--;
    status = judge_integer(word, digits);
    if (status == FAB_ERR_RANGE)
        return fab_err_set(scanner->err, status, "%s:%u: %.*s does not fit into 64 bits",
                           scanner->name, scanner->line,
                           (int)(digits < NUMBER_MAX_BYTES ? digits : 40), word);
    if (status == FAB_OK) {
        copy(scanner, digits);
        scanner->at = word + word_bytes;
        *scanner->out++ = 'L';
        return FAB_OK;
    }
    if (!is_float(word, word_bytes))
        return fab_err_set(scanner->err, FAB_ERR_FORMAT,
                           "%s:%u: %.*s is not a number; values with units stand in quotes",
                           scanner->name, scanner->line,
                           (int)(word_bytes < NUMBER_MAX_BYTES ? word_bytes : 40), word);
    copy(scanner, word_bytes);
    return FAB_OK;
}

static enum fab_status scan_other(struct scanner *scanner)
{
    char c = *scanner->at;

    if (c == '\0')
        return refuse(scanner, FAB_ERR_FORMAT, "a NUL byte");
    if (c == '@')
        return refuse(scanner, FAB_ERR_UNSUPPORTED, "@include is not supported");
    if (c == '{' || c == '(' || c == '[') {
        if (++scanner->depth > FAB_SETTINGS_DEPTH_MAX)
            return refuse(scanner, FAB_ERR_LIMIT, "groups and lists are nested too deeply");
    } else if ((c == '}' || c == ')' || c == ']') && scanner->depth > 0) {
        scanner->depth--;
    }
    copy(scanner, 1);
    return FAB_OK;
}

static enum fab_status scan_word(struct scanner *scanner)
{
    char c = *scanner->at;

    if (c == '#' || starts_with(scanner, "//") || starts_with(scanner, "/*"))
        return scan_comment(scanner);
    if (c == '"')
        return scan_string(scanner);
    if (is_digit(c) || c == '+' || c == '-' || c == '.')
        return scan_number(scanner);
    if (is_letter(c) || c == '*' || c == '_') {
        do
            copy(scanner, 1);
        while (scanner->at < scanner->end && is_name_part(*scanner->at));
        return FAB_OK;
    }
    return scan_other(scanner);
}

enum fab_status fab_settings_scan(const char *text, size_t text_bytes, const char *name,
                                  char **text_out, struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    /* A word of one digit grows to two bytes: never more than twice. */
    char *marked = fab_alloc(2 * text_bytes + 1);
    struct scanner scanner = {
        .name = name, .at = text, .end = text + text_bytes, .out = marked, .line = 1, .err = err};

    if (!marked)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    while (scanner.at < scanner.end && status == FAB_OK)
        status = scan_word(&scanner);
    *scanner.out = '\0';
    if (status == FAB_OK)
        *text_out = marked;
    else
        free(marked);
    return status;
}
