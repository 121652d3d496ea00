/* SPDX-License-Identifier: Apache-2.0
 * base/settings_args.c - takes the settings out of a command line.
 *
 * The option of a row is its name with '-' for '.' and '_': device.max_size is
 * --device-max-size. Everything else stays for the program's own options.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/settings_int.h"

/* `option` is name_bytes long: without "--", "no-" and "=...". */
static bool is_option_of(const char *name, const char *option, size_t name_bytes)
{
    if (strlen(name) != name_bytes)
        return false;
    for (size_t i = 0; i < name_bytes; i++) {
        bool is_mark = name[i] == '.' || name[i] == '_';

        if (is_mark ? option[i] != '-' : option[i] != name[i])
            return false;
    }
    return true;
}

static const struct fab_setting *find_option(const struct fab_schema *schema, const char *option,
                                             size_t name_bytes)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        if (is_option_of(schema->rows[i].name, option, name_bytes))
            return &schema->rows[i];
    }
    return NULL;
}

/* The row that an argument names, and its value: behind '=', "true" or "false" for a bare switch,
 * NULL where it must be the next argument. NULL if it is no setting. */
static const struct fab_setting *match(const struct fab_schema *schema, const char *arg,
                                       const char **value_out)
{
    const char *option = arg + 2, *equals;
    const struct fab_setting *row;

    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    equals = strchr(option, '=');
    row = find_option(schema, option, equals ? (size_t)(equals - option) : strlen(option));
    if (row) {
        *value_out = equals ? equals + 1 : row->type == FAB_SETTING_BOOL ? "true" : NULL;
        return row;
    }
    if (strncmp(option, "no-", 3) != 0 || equals)
        return NULL;
    row = find_option(schema, option + 3, strlen(option + 3));
    *value_out = "false";
    return row && row->type == FAB_SETTING_BOOL ? row : NULL;
}

/* Fills kept with what remains; *kept_count starts at 0. */
static enum fab_status take_all(const struct fab_schema *schema, void *draft, int argc, char **argv,
                                char **kept, int *kept_count, struct fab_err *err)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct fab_setting *row;
        enum fab_status status;
        const char *arg = argv[i];

        if (strcmp(arg, "--") == 0) {
            while (i < argc)
                kept[(*kept_count)++] = argv[i++];
            break;
        }
        row = match(schema, arg, &value);
        if (!row) {
            kept[(*kept_count)++] = argv[i];
            continue;
        }
        if (!value && ++i < argc)
            value = argv[i];
        if (!value)
            return fab_err_set(err, FAB_ERR_INVALID, "%.100s wants a value", arg);
        status = fab_setting_parse(row, value, fab_setting_field(row, draft), err);
        if (status != FAB_OK) {
            fab_err_context(err, "%.*s", (int)strcspn(arg, "="), arg);
            return status;
        }
    }
    return FAB_OK;
}

enum fab_status fab_settings_read_args(const struct fab_schema *schema, void *target, int *argc,
                                       char **argv, struct fab_err *err)
{
    char **kept = fab_alloc_zeroed((size_t)*argc + 1, sizeof(*kept));
    int kept_count = 0;
    enum fab_status status;
    void *draft;

    if (!kept)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    status = fab_settings_draft(schema, target, &draft, err);
    if (status != FAB_OK)
        goto out;
    status = take_all(schema, draft, *argc, argv, kept, &kept_count, err);
    status = fab_settings_draft_end(schema, target, draft, status);
    if (status != FAB_OK || *argc < 1)
        goto out;
    memcpy(argv + 1, kept, (size_t)kept_count * sizeof(*kept));
    argv[kept_count + 1] = NULL; /* as main's argv ends; nothing taken leaves it where it was */
    *argc = kept_count + 1;
out:
    free(kept);
    return status;
}
