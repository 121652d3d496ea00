/* SPDX-License-Identifier: Apache-2.0
 * base/settings_check.c - finds mistakes in a table of settings; for unit tests.
 */
#include <string.h>

#include "base/settings_int.h"

enum { NAME_MAX_BYTES = 100 };

static enum fab_status check_schema(const struct fab_schema *schema, bool is_item,
                                    struct fab_err *err);

/* Parts of lower case letters, digits and '_', a letter first, joined by dots. */
static bool is_name(const char *name)
{
    bool at_start = true;

    if (strlen(name) > NAME_MAX_BYTES)
        return false;
    for (; *name; name++) {
        bool letter = *name >= 'a' && *name <= 'z';
        bool other = (*name >= '0' && *name <= '9') || *name == '_' || *name == '.';

        if (!letter && (at_start || !other))
            return false;
        at_start = *name == '.';
    }
    return !at_start;
}

static size_t field_align_bytes(enum fab_setting_type type)
{
    switch (type) {
    case FAB_SETTING_BOOL:
        return sizeof(bool);
    case FAB_SETTING_ENUM:
        return sizeof(int);
    case FAB_SETTING_INT:
    case FAB_SETTING_SIZE:
    case FAB_SETTING_DURATION:
    case FAB_SETTING_STRING:
    case FAB_SETTING_LIST:
        break;
    }
    return sizeof(uint64_t);
}

/* Same name, one inside the other as group and value, or the same option or variable. */
static bool collide(const struct fab_setting *a, const struct fab_setting *b)
{
    const char *left = a->name, *right = b->name;

    if (a->env && b->env && strcmp(a->env, b->env) == 0)
        return true;
    for (; *left && *right; left++, right++) {
        bool both_marks = (*left == '.' || *left == '_') && (*right == '.' || *right == '_');

        if (*left != *right && !both_marks)
            return false;
    }
    return *left == *right || *left == '.' || *right == '.';
}

static const char *range_mistake(const struct fab_setting *row)
{
    int64_t min, max;

    fab_setting_limits(row, &min, &max);
    if (min > max || (min < 0 && row->type != FAB_SETTING_INT))
        return "the range is empty or below zero";
    if (row->type == FAB_SETTING_STRING || row->type == FAB_SETTING_LIST)
        return NULL; /* none at all is allowed by default */
    if (!row->fallback && !(row->flags & FAB_SETTING_REQUIRED) && (min > 0 || max < 0))
        return "the implied default 0 is out of range";
    return NULL;
}

static const char *row_mistake(const struct fab_schema *schema, const struct fab_setting *row,
                               bool is_item)
{
    size_t align_bytes = field_align_bytes(row->type);

    if (!is_name(row->name))
        return "the name is malformed";
    if (!row->help || !*row->help)
        return "help is missing";
    if (row->type == FAB_SETTING_ENUM && (!row->choices || !row->choices[0]))
        return "choices are missing";
    if (row->type == FAB_SETTING_LIST && (!row->item || row->fallback || row->env))
        return "a list has an item, no default and no variable";
    if ((row->flags & FAB_SETTING_REQUIRED) && !is_item)
        return "required is for items of lists";
    if (row->offset % align_bytes != 0 || row->offset + align_bytes > schema->target_bytes)
        return "the offset is outside the target";
    return range_mistake(row);
}

static enum fab_status check_default(const struct fab_schema *schema, const struct fab_setting *row,
                                     struct fab_err *err)
{
    struct fab_schema alone = *schema;
    union {
        uint64_t number;
        char *text;
        struct fab_setting_list list;
    } target = {.number = 0};
    struct fab_setting moved = *row;
    enum fab_status status;

    moved.offset = 0;
    alone.rows = &moved;
    alone.row_count = 1;
    alone.target_bytes = sizeof(target);
    status = fab_settings_init(&alone, &target, err);
    if (status == FAB_OK)
        fab_settings_clear(&alone, &target);
    return status == FAB_OK ? FAB_OK : FAB_ERR_INVALID;
}

static enum fab_status check_row(const struct fab_schema *schema, size_t index, bool is_item,
                                 struct fab_err *err)
{
    const struct fab_setting *row = &schema->rows[index];
    const char *mistake = row_mistake(schema, row, is_item);

    for (size_t i = 0; i < index && !mistake; i++) {
        if (collide(row, &schema->rows[i]))
            mistake = "the name, option or variable is taken";
    }
    if (mistake)
        return fab_err_set(err, FAB_ERR_INVALID, "%s: %s", row->name, mistake);
    if (row->type == FAB_SETTING_LIST) {
        enum fab_status status = check_schema(row->item, /* is_item */ true, err);

        if (status != FAB_OK)
            fab_err_context(err, "%s", row->name);
        return status;
    }
    return check_default(schema, row, err);
}

static enum fab_status check_schema(const struct fab_schema *schema, bool is_item,
                                    struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    for (size_t i = 0; i < schema->row_count && status == FAB_OK; i++)
        status = check_row(schema, i, is_item, err);
    return status;
}

enum fab_status fab_schema_check(const struct fab_schema *schema, struct fab_err *err)
{
    return check_schema(schema, /* is_item */ false, err);
}
