/* SPDX-License-Identifier: Apache-2.0
 * base/json.c - see json.h.
 */
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"

enum { SIZE_DEFAULT_BYTES = 1 << 20, DEPTH_DEFAULT = 32, KEY_MAX_BYTES = 256 };

static size_t size_limit(const struct fab_json_limits *limits)
{
    return limits && limits->size_bytes ? limits->size_bytes : SIZE_DEFAULT_BYTES;
}

/* jansson's own depth limit (2048) is compiled in, so the brackets are counted before. */
static bool is_too_deep(const char *text, size_t text_bytes, unsigned depth_max)
{
    bool in_string = false;
    unsigned depth = 0;

    for (size_t i = 0; i < text_bytes; i++) {
        char c = text[i];

        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > depth_max)
            return true;
    }
    return false;
}

enum fab_status fab_json_load(const char *text, size_t text_bytes, const char *name,
                              const struct fab_json_limits *limits, json_t **json_out,
                              struct fab_err *err)
{
    unsigned depth = limits && limits->depth ? limits->depth : DEPTH_DEFAULT;
    json_error_t error;
    json_t *json;

    if (text_bytes > size_limit(limits))
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: larger than %zu bytes", name,
                           size_limit(limits));
    if (is_too_deep(text, text_bytes, depth))
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: nested more than %u deep", name, depth);
    json = json_loadb(text, text_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json) {
        bool no_memory = json_error_code(&error) == json_error_out_of_memory;

        return fab_err_set(err, no_memory ? FAB_ERR_NOMEM : FAB_ERR_FORMAT, "%s:%d:%d: %s", name,
                           error.line, error.column, error.text);
    }
    *json_out = json;
    return FAB_OK;
}

enum fab_status fab_json_load_file(const char *path, const struct fab_json_limits *limits,
                                   json_t **json_out, struct fab_err *err)
{
    size_t text_bytes = 0;
    char *text = NULL;
    enum fab_status status = fab_file_read(path, size_limit(limits), &text, &text_bytes, err);

    if (status != FAB_OK)
        return status;
    status = fab_json_load(text, text_bytes, path, limits, json_out, err);
    free(text);
    return status;
}

/* "[2]" at *path: the element, and *path behind it. NULL if there is none. */
static const json_t *step_index(const json_t *at, const char **path)
{
    char digits[24];
    size_t digit_bytes = strspn(*path + 1, "0123456789");
    int64_t index;

    if (digit_bytes >= sizeof(digits) || (*path)[digit_bytes + 1] != ']')
        return NULL;
    memcpy(digits, *path + 1, digit_bytes);
    digits[digit_bytes] = '\0';
    *path += digit_bytes + 2;
    if (fab_parse_int(digits, &index) != FAB_OK)
        return NULL;
    return json_array_get(at, (size_t)index);
}

/* "name" or ".name" at *path, likewise. */
static const json_t *step_name(const json_t *at, const char **path)
{
    const char *name = *path + (**path == '.');
    size_t name_bytes = strcspn(name, ".[");
    char key[KEY_MAX_BYTES];

    if (name_bytes == 0 || name_bytes >= sizeof(key))
        return NULL;
    memcpy(key, name, name_bytes);
    key[name_bytes] = '\0';
    *path = name + name_bytes;
    return json_object_get(at, key);
}

enum fab_status fab_json_get(const json_t *root, const char *path, const json_t **json_out,
                             struct fab_err *err)
{
    const json_t *at = root;
    const char *rest = path;

    while (at && *rest)
        at = *rest == '[' ? step_index(at, &rest) : step_name(at, &rest);
    if (!at)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s is missing", path);
    *json_out = at;
    return FAB_OK;
}

enum fab_status fab_json_get_string(const json_t *root, const char *path, const char **text_out,
                                    struct fab_err *err)
{
    const json_t *json;
    enum fab_status status = fab_json_get(root, path, &json, err);

    if (status != FAB_OK)
        return status;
    if (!json_is_string(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not a string", path);
    *text_out = json_string_value(json);
    return FAB_OK;
}

enum fab_status fab_json_get_int(const json_t *root, const char *path, int64_t min, int64_t max,
                                 int64_t *value_out, struct fab_err *err)
{
    const json_t *json;
    enum fab_status status = fab_json_get(root, path, &json, err);
    int64_t value;

    if (status != FAB_OK)
        return status;
    if (!json_is_integer(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not a whole number", path);
    value = json_integer_value(json);
    if (value < min || value > max)
        return fab_err_set(err, FAB_ERR_RANGE,
                           "%s: %" PRId64 " is out of range (allowed: %" PRId64 " .. %" PRId64 ")",
                           path, value, min, max);
    *value_out = value;
    return FAB_OK;
}

enum fab_status fab_json_get_bool(const json_t *root, const char *path, bool *value_out,
                                  struct fab_err *err)
{
    const json_t *json = NULL;
    enum fab_status status = fab_json_get(root, path, &json, err);

    if (status != FAB_OK)
        return status;
    if (!json_is_boolean(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not true or false", path);
    *value_out = json_is_true(json);
    return FAB_OK;
}
