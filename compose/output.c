/* SPDX-License-Identifier: Apache-2.0
 * compose/output.c - the same rows as a table for people and as JSON for programs.
 *
 * Tables are made by libsmartcols, which cuts nothing off and escapes control characters.
 */
#include <ctype.h>
#include <libsmartcols/libsmartcols.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compose/cli.h"

static FAB_NORETURN void no_memory(void)
{
    fprintf(stderr, "compose: out of memory\n");
    cli_exit(CLI_FAILED);
}

/* ---- making -----------------------------------------------------------------------------------
 */

char *cli_text(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        no_memory();
    return text;
}

json_t *cli_pack(const char *format, ...)
{
    va_list arguments;
    json_error_t error;
    json_t *root;

    va_start(arguments, format);
    root = json_vpack_ex(&error, 0, format, arguments);
    va_end(arguments);
    if (!root) {
        fprintf(stderr, "compose: %s\n", error.text);
        cli_exit(CLI_FAILED);
    }
    return root;
}

void cli_append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) != 0)
        no_memory();
}

/* ---- values as text ---------------------------------------------------------------------------
 */

static char *bytes_text(json_int_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 0) /* not known */
        return cli_text("-");
    for (; value >= 1024 && unit + 1 < FAB_ARRAY_LEN(units); unit++)
        value /= 1024;
    return cli_text(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static char *time_text(json_int_t ms)
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[32];

    if (ms <= 0 || !localtime_r(&seconds, &parts) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return cli_text("-");
    return cli_text("%s", text);
}

static char *user_text(json_int_t uid)
{
    const struct passwd *user = getpwuid((uid_t)uid);

    return user ? cli_text("%s", user->pw_name) : cli_text("%" JSON_INTEGER_FORMAT, uid);
}

static char *list_text(const json_t *array)
{
    char *text = cli_text("%s", "");

    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *part = json_string_value(json_array_get(array, i));
        char *longer = cli_text("%s%s%s", text, i ? "," : "", part ? part : "");

        free(text);
        text = longer;
    }
    return text;
}

static char *number_text(json_int_t number, enum cli_kind kind)
{
    switch (kind) {
    case CLI_BYTES:
        return bytes_text(number);
    case CLI_TIME:
        return time_text(number);
    case CLI_USER:
        return user_text(number);
    case CLI_PERCENT:
        return number < 0 ? cli_text("-") : cli_text("%" JSON_INTEGER_FORMAT " %%", number);
    case CLI_TEXT:
    case CLI_NUMBER:
    case CLI_LIST:
        break;
    }
    return cli_text("%" JSON_INTEGER_FORMAT, number);
}

char *cli_value_text(const json_t *value, enum cli_kind kind)
{
    const char *text = json_string_value(value);

    if (json_is_integer(value))
        return number_text(json_integer_value(value), kind);
    if (json_is_boolean(value))
        return cli_text(json_is_true(value) ? "yes" : "no");
    if (json_array_size(value) > 0)
        return list_text(value);
    return cli_text("%s", text && text[0] ? text : "-");
}

void cli_print_clean(FILE *stream, const char *text)
{
    for (; *text; text++)
        (void)fputc(iscntrl((unsigned char)*text) ? ' ' : *text, stream);
}

/* ---- printing ---------------------------------------------------------------------------------
 */

int cli_json(json_t *root)
{
    if (json_dumpf(root, stdout, JSON_INDENT(2)) != 0)
        no_memory();
    printf("\n");
    json_decref(root);
    return CLI_DONE;
}

static bool is_right(enum cli_kind kind)
{
    return kind == CLI_NUMBER || kind == CLI_BYTES || kind == CLI_PERCENT;
}

static void add_row(struct libscols_table *table, const json_t *row,
                    const struct cli_column *columns, size_t count)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);

    if (!line)
        no_memory();
    for (size_t i = 0; i < count; i++)
        if (scols_line_refer_data(
                line, i, cli_value_text(json_object_get(row, columns[i].key), columns[i].kind)) !=
            0)
            no_memory();
}

int cli_rows(const struct cli *cli, json_t *rows, const struct cli_column *columns, size_t count)
{
    struct libscols_table *table;

    if (cli->is_json)
        return cli_json(rows);
    table = scols_new_table();
    if (!table)
        no_memory();
    for (size_t i = 0; i < count; i++)
        if (!scols_table_new_column(table, columns[i].title, 0,
                                    is_right(columns[i].kind) ? SCOLS_FL_RIGHT : 0))
            no_memory();
    for (size_t i = 0; i < json_array_size(rows); i++)
        add_row(table, json_array_get(rows, i), columns, count);
    if (json_array_size(rows) > 0 && scols_print_table(table) != 0)
        no_memory();
    scols_unref_table(table);
    json_decref(rows);
    return CLI_DONE;
}
