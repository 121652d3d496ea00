/* SPDX-License-Identifier: Apache-2.0
 * base/settings.c - a whole target: defaults, copies, environment, reload.
 */
#include "base/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/settings_int.h"

static const void *const_field(const struct fab_setting *row, const void *target)
{
    return (const char *)target + row->offset;
}

static void *list_item(const struct fab_setting *row, const struct fab_setting_list *list,
                       size_t index)
{
    return (char *)list->items + index * row->item->target_bytes;
}

const struct fab_setting *fab_setting_find(const struct fab_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        if (strcmp(schema->rows[i].name, name) == 0)
            return &schema->rows[i];
    }
    return NULL;
}

enum fab_status fab_settings_init(const struct fab_schema *schema, void *target,
                                  struct fab_err *err)
{
    memset(target, 0, schema->target_bytes);
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];
        enum fab_status status = FAB_OK;

        if (row->fallback)
            status = fab_setting_parse(row, row->fallback, fab_setting_field(row, target), err);
        if (status != FAB_OK) {
            fab_err_context(err, "default of %s", row->name);
            fab_settings_clear(schema, target);
            return status;
        }
    }
    return FAB_OK;
}

void fab_setting_list_clear(const struct fab_setting *row, struct fab_setting_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fab_settings_clear(row->item, list_item(row, list, i));
    free(list->items);
    *list = (struct fab_setting_list){.items = NULL};
}

void fab_settings_clear(const struct fab_schema *schema, void *target)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];
        void *field = fab_setting_field(row, target);

        if (row->type == FAB_SETTING_STRING)
            free(*(char **)field);
        else if (row->type == FAB_SETTING_LIST)
            fab_setting_list_clear(row, field);
    }
    memset(target, 0, schema->target_bytes);
}

/* `field` holds the original's pointer, of which it must become a copy; all-zero on failure. */
static enum fab_status copy_list(const struct fab_setting *row, struct fab_setting_list *field,
                                 struct fab_err *err)
{
    struct fab_setting_list from = *field;

    *field = (struct fab_setting_list){.items = NULL};
    if (from.count == 0)
        return FAB_OK;
    field->items = fab_alloc_zeroed(from.count, row->item->target_bytes);
    if (!field->items)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < from.count; i++) {
        enum fab_status status =
            fab_settings_copy(row->item, list_item(row, &from, i), list_item(row, field, i), err);

        if (status != FAB_OK) {
            fab_setting_list_clear(row, field);
            return status;
        }
        field->count++;
    }
    return FAB_OK;
}

static enum fab_status copy_owned(const struct fab_setting *row, void *field, struct fab_err *err)
{
    if (row->type == FAB_SETTING_LIST)
        return copy_list(row, field, err);
    if (row->type == FAB_SETTING_STRING && *(char **)field) {
        char *copy = fab_alloc_text(*(char **)field);

        *(char **)field = copy;
        return copy ? FAB_OK : fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    }
    return FAB_OK;
}

/* Not yet copied rows still hold the original's pointers: they must not be freed. */
static void forget_from(const struct fab_schema *schema, size_t first, void *target)
{
    for (size_t i = first; i < schema->row_count; i++) {
        void *field = fab_setting_field(&schema->rows[i], target);

        if (schema->rows[i].type == FAB_SETTING_STRING)
            *(char **)field = NULL;
        else if (schema->rows[i].type == FAB_SETTING_LIST)
            *(struct fab_setting_list *)field = (struct fab_setting_list){.items = NULL};
    }
}

enum fab_status fab_settings_copy(const struct fab_schema *schema, const void *target,
                                  void *copy_out, struct fab_err *err)
{
    memcpy(copy_out, target, schema->target_bytes);
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];
        enum fab_status status = copy_owned(row, fab_setting_field(row, copy_out), err);

        if (status != FAB_OK) {
            forget_from(schema, i + 1, copy_out);
            fab_settings_clear(schema, copy_out);
            return status;
        }
    }
    return FAB_OK;
}

enum fab_status fab_settings_draft(const struct fab_schema *schema, const void *target,
                                   void **draft_out, struct fab_err *err)
{
    void *draft = fab_alloc(schema->target_bytes);
    enum fab_status status;

    if (!draft)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    status = fab_settings_copy(schema, target, draft, err);
    if (status != FAB_OK) {
        free(draft);
        return status;
    }
    *draft_out = draft;
    return FAB_OK;
}

enum fab_status fab_settings_draft_end(const struct fab_schema *schema, void *target, void *draft,
                                       enum fab_status status)
{
    if (status == FAB_OK) {
        fab_settings_clear(schema, target);
        memcpy(target, draft, schema->target_bytes);
    } else {
        fab_settings_clear(schema, draft);
    }
    free(draft);
    return status;
}

enum fab_status fab_settings_set(const struct fab_schema *schema, void *target, const char *name,
                                 const char *text, struct fab_err *err)
{
    const struct fab_setting *row = fab_setting_find(schema, name);
    enum fab_status status;

    if (!row)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%.100s: no such setting", name);
    status = fab_setting_parse(row, text, fab_setting_field(row, target), err);
    if (status != FAB_OK)
        fab_err_context(err, "%s", name);
    return status;
}

enum fab_status fab_settings_read_env(const struct fab_schema *schema, void *target,
                                      struct fab_err *err)
{
    void *draft = NULL;
    enum fab_status status = fab_settings_draft(schema, target, &draft, err);

    if (status != FAB_OK)
        return status;
    for (size_t i = 0; i < schema->row_count && status == FAB_OK; i++) {
        const struct fab_setting *row = &schema->rows[i];
        const char *text = row->env ? getenv(row->env) : NULL;

        if (!text)
            continue;
        status = fab_setting_parse(row, text, fab_setting_field(row, draft), err);
        if (status != FAB_OK)
            fab_err_context(err, "%s", row->env);
    }
    return fab_settings_draft_end(schema, target, draft, status);
}

static size_t field_bytes(enum fab_setting_type type)
{
    switch (type) {
    case FAB_SETTING_BOOL:
        return sizeof(bool);
    case FAB_SETTING_INT:
    case FAB_SETTING_SIZE:
    case FAB_SETTING_DURATION:
        return sizeof(uint64_t);
    case FAB_SETTING_ENUM:
        return sizeof(int);
    case FAB_SETTING_STRING:
        return sizeof(char *);
    case FAB_SETTING_LIST:
        return sizeof(struct fab_setting_list);
    }
    return 0;
}

static bool is_same(const struct fab_setting *row, const void *a, const void *b);

static bool is_same_list(const struct fab_setting *row, const struct fab_setting_list *a,
                         const struct fab_setting_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        for (size_t r = 0; r < row->item->row_count; r++) {
            const struct fab_setting *item_row = &row->item->rows[r];

            if (!is_same(item_row, const_field(item_row, list_item(row, a, i)),
                         const_field(item_row, list_item(row, b, i))))
                return false;
        }
    }
    return true;
}

static bool is_same(const struct fab_setting *row, const void *a, const void *b)
{
    const char *const *text_a = a, *const *text_b = b;

    if (row->type == FAB_SETTING_LIST)
        return is_same_list(row, a, b);
    if (row->type != FAB_SETTING_STRING)
        return memcmp(a, b, field_bytes(row->type)) == 0;
    if (!*text_a || !*text_b)
        return *text_a == *text_b;
    return strcmp(*text_a, *text_b) == 0;
}

static void swap_fields(const struct fab_setting *row, void *a, void *b)
{
    unsigned char kept[sizeof(struct fab_setting_list)]; /* the largest field */
    size_t size_bytes = field_bytes(row->type);

    memcpy(kept, a, size_bytes);
    memcpy(a, b, size_bytes);
    memcpy(b, kept, size_bytes);
}

enum fab_status fab_settings_reload(const struct fab_schema *schema, void *target, void *fresh,
                                    struct fab_err *err)
{
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];

        if (!(row->flags & FAB_SETTING_RUNTIME) &&
            !is_same(row, const_field(row, target), const_field(row, fresh)))
            return fab_err_set(err, FAB_ERR_STATE, "%s can change at a restart only", row->name);
    }
    for (size_t i = 0; i < schema->row_count; i++) {
        const struct fab_setting *row = &schema->rows[i];

        swap_fields(row, fab_setting_field(row, target), fab_setting_field(row, fresh));
    }
    return FAB_OK;
}
