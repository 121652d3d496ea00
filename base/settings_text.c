/* SPDX-License-Identifier: Apache-2.0
 * base/settings_text.c - --help, man page and example file from one table.
 */
#include "base/settings_text.h"

#include <string.h>

#include "base/settings_int.h"

enum {
    HELP_COLUMN = 6, /* where the text under an option begins */
    LINE_COLUMNS = 79,
    INDENT_COLUMNS = 4,
};

static const char *type_name(const struct fab_setting *row)
{
    switch (row->type) {
    case FAB_SETTING_BOOL:
        return "true|false";
    case FAB_SETTING_INT:
        return row->unit ? row->unit : "number";
    case FAB_SETTING_SIZE:
        return "size";
    case FAB_SETTING_DURATION:
        return "duration";
    case FAB_SETTING_STRING:
        return "string";
    case FAB_SETTING_ENUM:
        return "choice";
    case FAB_SETTING_LIST:
        return "list";
    }
    return "";
}

/* Words from `text` in lines that begin with `prefix`. */
static void print_wrapped(FILE *out, const char *prefix, const char *text)
{
    size_t column = 0;

    while (*text) {
        size_t word_bytes = strcspn(text, " ");

        if (column == 0 || column + 1 + word_bytes > LINE_COLUMNS) {
            (void)fprintf(out, "%s%s", column > 0 ? "\n" : "", prefix);
            column = strlen(prefix);
        } else {
            (void)fputc(' ', out);
            column++;
        }
        (void)fprintf(out, "%.*s", (int)word_bytes, text);
        column += word_bytes;
        text += word_bytes;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

/* "Allowed: 1MiB .. 1TiB. Default: 8GiB. ..." in one line; empty if there is nothing to say. */
static void describe(const struct fab_setting *row, char *text, size_t text_bytes)
{
    char range[FAB_SETTING_RANGE_TEXT_BYTES];
    bool has_range = fab_setting_range(row, range, sizeof(range))[0] != '\0';

    (void)snprintf(text, text_bytes, "%s%s%s%s%s%s%s%s%s%s%s", has_range ? "Allowed: " : "", range,
                   has_range ? ". " : "", row->fallback ? "Default: " : "",
                   row->fallback ? row->fallback : "", row->fallback ? ". " : "",
                   row->env ? "Environment: " : "", row->env ? row->env : "", row->env ? ". " : "",
                   row->flags & FAB_SETTING_REQUIRED ? "Must be set. " : "",
                   row->flags & FAB_SETTING_RUNTIME ? "Can change while running." : "");
}

static void print_option(const struct fab_setting *row, FILE *out)
{
    (void)fprintf(out, "  --%s", row->type == FAB_SETTING_BOOL ? "[no-]" : "");
    for (const char *name = row->name; *name; name++)
        (void)fputc(*name == '.' || *name == '_' ? '-' : *name, out);
    if (row->type != FAB_SETTING_BOOL)
        (void)fprintf(out, "=%s", type_name(row));
    (void)fputc('\n', out);
}

void fab_settings_print_help(const struct fab_schema *schema, FILE *out)
{
    char text[512];
    char prefix[HELP_COLUMN + 1];

    (void)snprintf(prefix, sizeof(prefix), "%*s", HELP_COLUMN, "");
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];

        if (row->type == FAB_SETTING_LIST)
            continue;
        print_option(row, out);
        print_wrapped(out, prefix, row->help);
        describe(row, text, sizeof(text));
        if (*text)
            print_wrapped(out, prefix, text);
    }
}

/* A dot or quote that begins a line, and any backslash, mean something to mdoc; each sentence has
 * its own line. */
static void print_mdoc_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        (void)fputs("\\&", out);
    for (const char *start = text; *text; text++) {
        if (*text == '\\')
            (void)fputs("\\e", out);
        else if (*text == ' ' && text > start && text[-1] == '.' && text[1] >= 'A' &&
                 text[1] <= 'Z')
            (void)fputc('\n', out);
        else
            (void)fputc(*text, out);
    }
    (void)fputc('\n', out);
}

void fab_settings_print_man(const struct fab_schema *schema, FILE *out)
{
    char text[512];

    (void)fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];

        (void)fprintf(out, ".It Va %s No = Ar %s\n", row->name, type_name(row));
        print_mdoc_text(out, row->help);
        describe(row, text, sizeof(text));
        if (*text) {
            size_t used = strlen(text);

            if (text[used - 1] == ' ')
                text[used - 1] = '\0'; /* mandoc warns of blanks at the end */
            (void)fputs(".br\n", out);
            print_mdoc_text(out, text);
        }
        if (row->type == FAB_SETTING_LIST) {
            (void)fputs("Each item has:\n", out);
            fab_settings_print_man(row->item, out);
        }
    }
    (void)fputs(".El\n", out);
}

static void print_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++)
        (void)fprintf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    (void)fputc('"', out);
}

/* What stands for a number that has no default: the allowed one nearest to 0. */
static int64_t placeholder(const struct fab_setting *row)
{
    int64_t min, max;

    fab_setting_limits(row, &min, &max);
    return min > 0 ? min : max < 0 ? max : 0;
}

static void print_value(const struct fab_setting *row, FILE *out)
{
    char number[FAB_NUMBER_TEXT_BYTES];
    const char *value = row->fallback;

    switch (row->type) {
    case FAB_SETTING_BOOL:
        (void)fputs(value ? value : "false", out);
        return;
    case FAB_SETTING_INT:
        (void)fputs(value ? value : fab_setting_format(row, placeholder(row), number), out);
        return;
    case FAB_SETTING_SIZE:
    case FAB_SETTING_DURATION:
        value = value ? value : fab_setting_format(row, placeholder(row), number);
        break;
    case FAB_SETTING_ENUM:
        value = value ? value : row->choices[0];
        break;
    case FAB_SETTING_STRING:
    case FAB_SETTING_LIST:
        value = value ? value : "";
        break;
    }
    print_quoted(out, value);
}

static void print_rows(const struct fab_schema *schema, const char *group, unsigned depth,
                       FILE *out);

static void print_row(const struct fab_setting *row, const char *name, unsigned depth, FILE *out)
{
    int indent = (int)depth * INDENT_COLUMNS;
    char prefix[64], text[512];

    (void)snprintf(prefix, sizeof(prefix), "# %*s# ", indent, "");
    print_wrapped(out, prefix, row->help);
    describe(row, text, sizeof(text));
    if (*text)
        print_wrapped(out, prefix, text);
    (void)fprintf(out, "# %*s%s = ", indent, "", name);
    if (row->type != FAB_SETTING_LIST) {
        print_value(row, out);
        (void)fputs(";\n", out);
        return;
    }
    (void)fputs("(\n", out);
    (void)fprintf(out, "# %*s{\n", indent + INDENT_COLUMNS, "");
    print_rows(row->item, "", depth + 2, out);
    (void)fprintf(out, "# %*s}\n", indent + INDENT_COLUMNS, "");
    (void)fprintf(out, "# %*s);\n", indent, "");
}

/* The name's part behind "group." up to the next dot; 0 if the name is not in that group. */
static size_t part_in_group(const char *name, const char *group, const char **part_out)
{
    size_t group_bytes = strlen(group);

    if (strncmp(name, group, group_bytes) != 0)
        return 0;
    name += group_bytes;
    if (group_bytes > 0 && *name++ != '.')
        return 0;
    *part_out = name;
    return strcspn(name, ".");
}

/* Whether an earlier row has opened the same sub-group already. */
static bool is_printed(const struct fab_schema *schema, size_t index, const char *group)
{
    size_t group_bytes = strlen(group);

    for (size_t i = 0; i < index; i++) {
        if (strncmp(schema->rows[i].name, group, group_bytes) == 0 &&
            schema->rows[i].name[group_bytes] == '.')
            return true;
    }
    return false;
}

static void print_rows(const struct fab_schema *schema, const char *group, unsigned depth,
                       FILE *out)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];
        const char *part = NULL;
        size_t part_bytes = part_in_group(row->name, group, &part);
        char inner[128];

        if (part_bytes == 0)
            continue;
        if (part[part_bytes] == '\0') {
            print_row(row, part, depth, out);
            continue;
        }
        (void)snprintf(inner, sizeof(inner), "%.*s", (int)(part + part_bytes - row->name),
                       row->name);
        if (is_printed(schema, i, inner))
            continue;
        (void)fprintf(out, "# %*s%.*s = {\n", (int)depth * INDENT_COLUMNS, "", (int)part_bytes,
                      part);
        print_rows(schema, inner, depth + 1, out);
        (void)fprintf(out, "# %*s};\n", (int)depth * INDENT_COLUMNS, "");
    }
}

void fab_settings_print_example(const struct fab_schema *schema, FILE *out)
{
    (void)fprintf(out,
                  "# Settings of %s. Everything is shown at its default and commented out.\n"
                  "# Take away the first \"# \" of a line to change it.\n",
                  schema->name);
    print_rows(schema, "", 0, out);
}
