/* SPDX-License-Identifier: Apache-2.0
 * base/setting.c - one row of a settings table: parse, check, assign, describe.
 *
 * A value is read aside, checked, and only then put into the field.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/settings_int.h"

/* One of them holds the value, in the field's own type. */
union value {
    bool truth;
    int64_t number;
    uint64_t amount; /* bytes or nanoseconds */
    int choice;
    char *text;
};

void fab_setting_limits(const struct fab_setting *row, int64_t *min_out, int64_t *max_out)
{
    bool open = row->min == 0 && row->max == 0;

    *min_out = row->min;
    *max_out = open ? INT64_MAX : row->max;
    if (!open)
        return;
    if (row->type == FAB_SETTING_INT)
        *min_out = INT64_MIN;
    else if (row->type == FAB_SETTING_STRING)
        *max_out = FAB_SETTING_STRING_MAX_BYTES;
    else if (row->type == FAB_SETTING_LIST)
        *max_out = FAB_SETTING_LIST_MAX_ITEMS;
}

const char *fab_setting_format(const struct fab_setting *row, int64_t value,
                               char text[FAB_NUMBER_TEXT_BYTES])
{
    if (row->type == FAB_SETTING_SIZE)
        return fab_format_size((uint64_t)value, text);
    if (row->type == FAB_SETTING_DURATION)
        return fab_format_duration((uint64_t)value, text);
    (void)snprintf(text, FAB_NUMBER_TEXT_BYTES, "%" PRId64, value);
    return text;
}

static void describe_choices(const struct fab_setting *row, char *text, size_t text_bytes)
{
    size_t used = 0;

    for (const char *const *choice = row->choices; *choice && used < text_bytes; choice++) {
        int wrote = snprintf(text + used, text_bytes - used, "%s%s",
                             choice == row->choices ? "" : ", ", *choice);

        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static void describe_limits(const struct fab_setting *row, char *text, size_t text_bytes)
{
    char min_text[FAB_NUMBER_TEXT_BYTES], max_text[FAB_NUMBER_TEXT_BYTES];
    const char *of = row->unit ? row->unit : "";
    int64_t min, max;

    if (row->type == FAB_SETTING_STRING)
        of = "characters";
    else if (row->type == FAB_SETTING_LIST)
        of = "items";
    fab_setting_limits(row, &min, &max);
    (void)snprintf(text, text_bytes, "%s .. %s%s%s", fab_setting_format(row, min, min_text),
                   fab_setting_format(row, max, max_text), *of ? " " : "", of);
}

const char *fab_setting_range(const struct fab_setting *row, char *text, size_t text_bytes)
{
    text[0] = '\0';
    if (row->type == FAB_SETTING_BOOL)
        (void)snprintf(text, text_bytes, "true, false");
    else if (row->type == FAB_SETTING_ENUM)
        describe_choices(row, text, text_bytes);
    else if (row->min != 0 || row->max != 0)
        describe_limits(row, text, text_bytes);
    return text;
}

enum fab_status fab_setting_refuse(const struct fab_setting *row, enum fab_status status,
                                   const char *shown, const char *problem, struct fab_err *err)
{
    char range[FAB_SETTING_RANGE_TEXT_BYTES];
    bool any = fab_setting_range(row, range, sizeof(range))[0] == '\0';

    return fab_err_set(err, status, "%.80s %s%s%s%s", shown, problem,
                       any ? "" : " (allowed: ", range, any ? "" : ")");
}

static enum fab_status parse_bool(const char *text, bool *truth_out)
{
    static const struct {
        const char *word;
        bool truth;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *truth_out = words[i].truth;
            return FAB_OK;
        }
    }
    return FAB_ERR_INVALID;
}

static enum fab_status parse_choice(const struct fab_setting *row, const char *text,
                                    int *choice_out)
{
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            *choice_out = i;
            return FAB_OK;
        }
    }
    return FAB_ERR_INVALID;
}

static const char *type_problem(enum fab_setting_type type)
{
    switch (type) {
    case FAB_SETTING_BOOL:
        return "is not true or false";
    case FAB_SETTING_INT:
        return "is not a whole number";
    case FAB_SETTING_SIZE:
        return "is not a size such as \"64MiB\" (KiB, MiB, GiB, TiB)";
    case FAB_SETTING_DURATION:
        return "is not a duration such as \"2m30s\" (d, h, m, s, ms, us, ns)";
    case FAB_SETTING_STRING:
        return "is not a string";
    case FAB_SETTING_ENUM:
        return "is not one of the choices";
    case FAB_SETTING_LIST:
        return "is not a list";
    }
    return "is not understood";
}

/* `value_out` may hold anything on failure; no memory is taken. */
static enum fab_status read_value(const struct fab_setting *row, const char *text,
                                  union value *value_out)
{
    switch (row->type) {
    case FAB_SETTING_BOOL:
        return parse_bool(text, &value_out->truth);
    case FAB_SETTING_INT:
        return fab_parse_int(text, &value_out->number);
    case FAB_SETTING_SIZE:
        return fab_parse_size(text, &value_out->amount);
    case FAB_SETTING_DURATION:
        return fab_parse_duration(text, &value_out->amount);
    case FAB_SETTING_ENUM:
        return parse_choice(row, text, &value_out->choice);
    case FAB_SETTING_STRING:
    case FAB_SETTING_LIST:
        break;
    }
    return FAB_ERR_UNSUPPORTED;
}

static bool is_in_range(const struct fab_setting *row, const union value *value)
{
    int64_t min, max;

    fab_setting_limits(row, &min, &max);
    switch (row->type) {
    case FAB_SETTING_INT:
        return value->number >= min && value->number <= max;
    case FAB_SETTING_SIZE:
    case FAB_SETTING_DURATION:
        /* min of these is never negative (fab_schema_check). */
        return value->amount >= (uint64_t)min && value->amount <= (uint64_t)max;
    case FAB_SETTING_BOOL:
    case FAB_SETTING_ENUM:
    case FAB_SETTING_STRING:
    case FAB_SETTING_LIST:
        break;
    }
    return true;
}

static void store(const struct fab_setting *row, const union value *value, void *field)
{
    switch (row->type) {
    case FAB_SETTING_BOOL:
        *(bool *)field = value->truth;
        break;
    case FAB_SETTING_INT:
        *(int64_t *)field = value->number;
        break;
    case FAB_SETTING_SIZE:
    case FAB_SETTING_DURATION:
        *(uint64_t *)field = value->amount;
        break;
    case FAB_SETTING_ENUM:
        *(int *)field = value->choice;
        break;
    case FAB_SETTING_STRING:
    case FAB_SETTING_LIST:
        break; /* have functions of their own */
    }
}

/* The last two gates of every value. */
static enum fab_status check_and_store(const struct fab_setting *row, const union value *value,
                                       const char *shown, void *field, struct fab_err *err)
{
    if (!is_in_range(row, value))
        return fab_setting_refuse(row, FAB_ERR_RANGE, shown, "is out of range", err);
    if (row->check) {
        enum fab_status status = row->check(row, value, err);

        if (status != FAB_OK)
            return status;
    }
    store(row, value, field);
    return FAB_OK;
}

static enum fab_status parse_string(const struct fab_setting *row, const char *text, char **field,
                                    struct fab_err *err)
{
    int64_t min, max, length = (int64_t)strlen(text);
    enum fab_status status = FAB_OK;
    char *copy;

    fab_setting_limits(row, &min, &max);
    if (length < min || length > max)
        return fab_setting_refuse(row, FAB_ERR_RANGE, "the text", "is too short or too long", err);
    copy = fab_alloc_text(text);
    if (!copy)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    if (row->check)
        status = row->check(row, &copy, err);
    if (status != FAB_OK) {
        free(copy);
        return status;
    }
    free(*field);
    *field = copy;
    return FAB_OK;
}

enum fab_status fab_setting_parse(const struct fab_setting *row, const char *text, void *field,
                                  struct fab_err *err)
{
    union value value;
    char shown[64];
    enum fab_status status;

    if (row->type == FAB_SETTING_STRING)
        return parse_string(row, text, field, err);
    if (row->type == FAB_SETTING_LIST)
        return fab_err_set(err, FAB_ERR_UNSUPPORTED, "a list can be set in the file only");
    (void)snprintf(shown, sizeof(shown), "\"%.50s\"", text);
    status = read_value(row, text, &value);
    if (status == FAB_ERR_RANGE)
        return fab_setting_refuse(row, status, shown, "is out of range", err);
    if (status != FAB_OK)
        return fab_setting_refuse(row, status, shown, type_problem(row->type), err);
    return check_and_store(row, &value, shown, field, err);
}

enum fab_status fab_setting_assign(const struct fab_setting *row, int64_t number, void *field,
                                   struct fab_err *err)
{
    char shown[FAB_NUMBER_TEXT_BYTES];
    union value value;

    (void)snprintf(shown, sizeof(shown), "%" PRId64, number);
    if (row->type == FAB_SETTING_INT)
        value = (union value){.number = number};
    else if (row->type == FAB_SETTING_SIZE && number >= 0)
        value = (union value){.amount = (uint64_t)number};
    else
        return fab_setting_refuse(row, FAB_ERR_INVALID, shown, type_problem(row->type), err);
    return check_and_store(row, &value, shown, field, err);
}
