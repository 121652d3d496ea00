/* SPDX-License-Identifier: Apache-2.0
 * base/settings_file.c - the only place that knows libconfig.
 *
 * The text is scanned (settings_scan.h), parsed by libconfig, and its tree is walked
 * against the rows: every setting of the file must find its row.
 */
#include "base/settings_file.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/settings_int.h"
#include "base/settings_scan.h"

enum { PATH_MAX_BYTES = 256 };

struct walk {
    unsigned line; /* of the setting that was looked at last: where an error is */
    struct fab_err *err;
};

static enum fab_status read_group(struct walk *walk, const struct fab_schema *schema, void *target,
                                  const config_setting_t *group, const char *prefix);

static const char *file_type_name(int type)
{
    switch (type) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return "a list";
    default:
        return "nothing";
    }
}

static const char *wanted_in_file(enum fab_setting_type type)
{
    switch (type) {
    case FAB_SETTING_BOOL:
        return "where true or false is wanted";
    case FAB_SETTING_INT:
        return "where a whole number is wanted";
    case FAB_SETTING_SIZE:
        return "where a size is wanted, such as \"64MiB\" or a number of bytes";
    case FAB_SETTING_DURATION:
        return "where a duration is wanted, such as \"2m30s\"";
    case FAB_SETTING_STRING:
    case FAB_SETTING_ENUM:
        return "where a string is wanted";
    case FAB_SETTING_LIST:
        return "where a list is wanted";
    }
    return "of the wrong type";
}

/* Whether the group has a setting at the dotted name. */
static bool has_member(const config_setting_t *group, const char *name)
{
    char part[PATH_MAX_BYTES];

    while (group) {
        size_t part_bytes = strcspn(name, ".");

        (void)snprintf(part, sizeof(part), "%.*s", (int)part_bytes, name);
        group = config_setting_get_member(group, part);
        if (name[part_bytes] == '\0')
            break;
        if (group && !config_setting_is_group(group))
            return false;
        name += part_bytes + 1;
    }
    return group != NULL;
}

static enum fab_status check_required(struct walk *walk, const struct fab_schema *schema,
                                      const config_setting_t *group)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];

        if ((row->flags & FAB_SETTING_REQUIRED) && !has_member(group, row->name)) {
            walk->line = config_setting_source_line(group);
            return fab_err_set(walk->err, FAB_ERR_INVALID, "%s is missing", row->name);
        }
    }
    return FAB_OK;
}

static enum fab_status read_scalar(struct walk *walk, const struct fab_setting *row, void *field,
                                   const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    bool is_text = row->type == FAB_SETTING_SIZE || row->type == FAB_SETTING_DURATION ||
                   row->type == FAB_SETTING_STRING || row->type == FAB_SETTING_ENUM;
    bool is_number = row->type == FAB_SETTING_INT || row->type == FAB_SETTING_SIZE;

    if (type == CONFIG_TYPE_STRING && is_text)
        return fab_setting_parse(row, config_setting_get_string(setting), field, walk->err);
    if (type == CONFIG_TYPE_INT64 && is_number) /* the scanner leaves no 32-bit integers */
        return fab_setting_assign(row, config_setting_get_int64(setting), field, walk->err);
    if (type == CONFIG_TYPE_BOOL && row->type == FAB_SETTING_BOOL)
        return fab_setting_parse(row, config_setting_get_bool(setting) ? "true" : "false", field,
                                 walk->err);
    return fab_setting_refuse(row, FAB_ERR_INVALID, file_type_name(type), wanted_in_file(row->type),
                              walk->err);
}

static enum fab_status read_item(struct walk *walk, const struct fab_schema *schema, void *item,
                                 const config_setting_t *setting)
{
    enum fab_status status;

    walk->line = config_setting_source_line(setting);
    if (config_setting_is_group(setting)) {
        status = read_group(walk, schema, item, setting, "");
        return status == FAB_OK ? check_required(walk, schema, setting) : status;
    }
    if (schema->row_count == 1)
        return read_scalar(walk, &schema->rows[0], fab_setting_field(&schema->rows[0], item),
                           setting);
    return fab_err_set(walk->err, FAB_ERR_INVALID, "%s where a group { ... } is wanted",
                       file_type_name(config_setting_type(setting)));
}

/* The new list replaces the old one as a whole. */
static enum fab_status read_list(struct walk *walk, const struct fab_setting *row,
                                 struct fab_setting_list *field, const config_setting_t *setting)
{
    size_t count = (size_t)config_setting_length(setting);
    struct fab_setting_list list = {.items = NULL};
    enum fab_status status = FAB_OK;
    int64_t min, max;

    if (!config_setting_is_list(setting) && !config_setting_is_array(setting))
        return read_scalar(walk, row, field, setting); /* which refuses it */
    fab_setting_limits(row, &min, &max);
    if ((int64_t)count < min || (int64_t)count > max)
        return fab_setting_refuse(row, FAB_ERR_RANGE, "the list", "is too short or too long",
                                  walk->err);
    list.items = fab_alloc_zeroed(count, row->item->target_bytes);
    if (!list.items)
        return fab_err_set(walk->err, FAB_ERR_NOMEM, "out of memory");
    while (list.count < count && status == FAB_OK) {
        void *item = (char *)list.items + list.count * row->item->target_bytes;

        status = fab_settings_init(row->item, item, walk->err);
        if (status != FAB_OK)
            break;
        list.count++;
        status = read_item(walk, row->item, item,
                           config_setting_get_elem(setting, (unsigned)list.count - 1));
        if (status != FAB_OK)
            fab_err_context(walk->err, "[%zu]", list.count - 1);
    }
    if (status == FAB_OK && row->check)
        status = row->check(row, &list, walk->err);
    if (status == FAB_OK) {
        struct fab_setting_list old = *field;

        *field = list;
        list = old;
    }
    fab_setting_list_clear(row, &list);
    return status;
}

/* Whether some row's name begins with "path.". */
static bool is_group_name(const struct fab_schema *schema, const char *path)
{
    size_t path_bytes = strlen(path);

    for (size_t i = 0; i < schema->row_count; i++) {
        const char *name = schema->rows[i].name;

        if (strncmp(name, path, path_bytes) == 0 && name[path_bytes] == '.')
            return true;
    }
    return false;
}

static enum fab_status read_member(struct walk *walk, const struct fab_schema *schema, void *target,
                                   const config_setting_t *setting, const char *path)
{
    const struct fab_setting *row = fab_setting_find(schema, path);
    enum fab_status status;

    walk->line = config_setting_source_line(setting);
    if (!row && is_group_name(schema, path)) {
        if (config_setting_is_group(setting))
            return read_group(walk, schema, target, setting, path);
        return fab_err_set(walk->err, FAB_ERR_INVALID, "%s: %s where a group { ... } is wanted",
                           path, file_type_name(config_setting_type(setting)));
    }
    if (!row)
        return fab_err_set(walk->err, FAB_ERR_NOT_FOUND, "%s: no such setting", path);
    if (row->type == FAB_SETTING_LIST)
        status = read_list(walk, row, fab_setting_field(row, target), setting);
    else
        status = read_scalar(walk, row, fab_setting_field(row, target), setting);
    if (status != FAB_OK)
        fab_err_context(walk->err, "%s", path);
    return status;
}

/* Depth is bounded by the scanner and, further, by the dots in the rows' names. */
static enum fab_status read_group(struct walk *walk, const struct fab_schema *schema, void *target,
                                  const config_setting_t *group, const char *prefix)
{
    enum fab_status status = FAB_OK;
    char path[PATH_MAX_BYTES];

    for (int i = 0; i < config_setting_length(group) && status == FAB_OK; i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);

        /* A cut name cannot meet a row, whose names are shorter (fab_schema_check). */
        (void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "",
                       config_setting_name(setting));
        status = read_member(walk, schema, target, setting, path);
    }
    return status;
}

static enum fab_status read_tree(const struct fab_schema *schema, void *target,
                                 const config_t *tree, const char *name, struct fab_err *err)
{
    struct walk walk = {.err = err};
    void *draft;
    enum fab_status status = fab_settings_draft(schema, target, &draft, err);

    if (status != FAB_OK)
        return status;
    status = read_group(&walk, schema, draft, config_root_setting(tree), "");
    if (status != FAB_OK)
        fab_err_context(err, "%s:%u", name, walk.line);
    return fab_settings_draft_end(schema, target, draft, status);
}

enum fab_status fab_settings_read_text(const struct fab_schema *schema, void *target,
                                       const char *text, size_t text_bytes, const char *name,
                                       struct fab_err *err)
{
    enum fab_status status;
    char *marked;
    config_t tree;

    if (text_bytes > FAB_SETTINGS_FILE_MAX_BYTES)
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: larger than %d bytes", name,
                           FAB_SETTINGS_FILE_MAX_BYTES);
    status = fab_settings_scan(text, text_bytes, name, &marked, err);
    if (status != FAB_OK)
        return status;
    config_init(&tree);
    if (config_read_string(&tree, marked) == CONFIG_TRUE)
        status = read_tree(schema, target, &tree, name, err);
    else
        status = fab_err_set(err, FAB_ERR_FORMAT, "%s:%d: %s", name, config_error_line(&tree),
                             config_error_text(&tree));
    config_destroy(&tree);
    free(marked);
    return status;
}

enum fab_status fab_settings_read_file(const struct fab_schema *schema, void *target,
                                       const char *path, struct fab_err *err)
{
    size_t text_bytes = 0;
    char *text = NULL;
    enum fab_status status =
        fab_file_read(path, FAB_SETTINGS_FILE_MAX_BYTES, &text, &text_bytes, err);

    if (status != FAB_OK)
        return status;
    status = fab_settings_read_text(schema, target, text, text_bytes, path, err);
    free(text);
    return status;
}
