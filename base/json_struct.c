/* SPDX-License-Identifier: Apache-2.0
 * base/json_struct.c - see json_struct.h.
 */
#include "base/json_struct.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

enum { ASCII_FIRST = 0x20, ASCII_LAST = 0x7e, INDEX_FIRST = -1 };

/* ---- values -----------------------------------------------------------------------------------
 */

static uint64_t uint_get(const void *at, size_t size_bytes)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (size_bytes) {
    case sizeof(u8):
        return *(const uint8_t *)at;
    case sizeof(u16):
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case sizeof(u32):
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

static void uint_put(void *at, size_t size_bytes, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;

    switch (size_bytes) {
    case sizeof(u8):
        memcpy(at, &u8, sizeof(u8));
        break;
    case sizeof(u16):
        memcpy(at, &u16, sizeof(u16));
        break;
    case sizeof(u32):
        memcpy(at, &u32, sizeof(u32));
        break;
    default:
        memcpy(at, &value, sizeof(value));
    }
}

static json_t *hex_json(uint64_t value)
{
    return json_sprintf("0x%016" PRIx64, value);
}

/* Exactly what hex_json() writes. */
bool fab_json_hex_parse(const char *text, uint64_t *value_out)
{
    char again[24];
    unsigned long long value;
    char *end;

    if (!text || strlen(text) != strlen("0x") + 16 || strspn(text + 2, "0123456789abcdef") != 16)
        return false;
    value = strtoull(text, &end, 16);
    (void)snprintf(again, sizeof(again), "0x%016llx", value);
    if (strcmp(again, text) != 0)
        return false;
    *value_out = value;
    return true;
}

static bool is_printable(char c)
{
    return c >= ASCII_FIRST && c <= ASCII_LAST;
}

static enum fab_status wrong(const struct fab_json_member *member, const char *wanted,
                             struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_INVALID, "%s is not %s", member->name, wanted);
}

static enum fab_status too_many(const struct fab_json_member *member, const char *what,
                                size_t count, size_t most, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_LIMIT, "%s: %zu %s (allowed: %zu)", member->name, count, what,
                       most);
}

/* A text with an end, of printable characters (not of prose). */
static enum fab_status check_text(const struct fab_json_member *member, const char *text,
                                  struct fab_err *err)
{
    size_t bytes = strnlen(text, member->size_bytes);

    if (bytes == member->size_bytes)
        return too_many(member, "bytes", bytes, member->size_bytes - 1, err);
    for (size_t i = 0; i < bytes && member->kind == FAB_JSON_TEXT; i++) {
        if (!is_printable(text[i]))
            return wrong(member, "printable ASCII", err);
    }
    if (member->is_valid && !member->is_valid(text))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not valid: \"%.80s\"", member->name, text);
    return FAB_OK;
}

static size_t item_bytes(const struct fab_json_member *member)
{
    return member->of ? member->of->struct_bytes : member->size_bytes;
}

/* ---- encoding ---------------------------------------------------------------------------------
 */

static enum fab_status no_memory(const struct fab_json_member *member, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOMEM, "%s as JSON", member->name);
}

static enum fab_status encode_prose(const struct fab_json_member *member, const char *text,
                                    json_t **json_out, struct fab_err *err)
{
    enum fab_status status = check_text(member, text, err);
    char *copy;

    if (status != FAB_OK)
        return status;
    copy = fab_alloc_text(text);
    if (!copy)
        return no_memory(member, err);
    for (char *at = copy; *at; at++) {
        if (!is_printable(*at))
            *at = '?';
    }
    *json_out = json_string(copy);
    free(copy);
    return FAB_OK;
}

static enum fab_status encode_body(const struct fab_json_member *member, const uint8_t *from,
                                   json_t **json_out, struct fab_err *err)
{
    const char *body;
    size_t bytes;

    memcpy(&body, from + member->offset, sizeof(body));
    memcpy(&bytes, from + member->count_offset, sizeof(bytes));
    if (bytes > member->most)
        return too_many(member, "bytes", bytes, member->most, err);
    if (bytes > 0 && memchr(body, '\0', bytes))
        return wrong(member, "text without NUL", err);
    *json_out = json_stringn(body ? body : "", bytes);
    /* jansson does not say which; the text is far more often the cause than memory. */
    return *json_out ? FAB_OK : wrong(member, "UTF-8", err);
}

static enum fab_status encode_enum(const struct fab_json_member *member, const void *at,
                                   json_t **json_out, struct fab_err *err)
{
    uint64_t number = uint_get(at, sizeof(uint32_t)), known = 0;

    while (member->names[known])
        known++;
    if (number >= known)
        return wrong(member, "one of the known words", err);
    *json_out = json_string(member->names[number]);
    return FAB_OK;
}

static enum fab_status encode_struct(const struct fab_json_struct *table, const void *from,
                                     json_t **json_out, struct fab_err *err)
{
    json_t *object = json_object();
    enum fab_status status = object ? fab_json_encode(table, from, object, err)
                                    : fab_err_set(err, FAB_ERR_NOMEM, "a JSON object");

    if (status == FAB_OK)
        *json_out = object;
    else
        json_decref(object);
    return status;
}

static enum fab_status encode_items(const struct fab_json_member *member, const uint8_t *items,
                                    size_t count, json_t *array, struct fab_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = items + i * item_bytes(member);
        json_t *item = NULL;

        if (member->of) {
            enum fab_status status = encode_struct(member->of, at, &item, err);

            if (status != FAB_OK) {
                fab_err_context(err, "%s[%zu]", member->name, i);
                return status;
            }
        } else
            item = json_integer((json_int_t)uint_get(at, member->size_bytes));
        if (json_array_append_new(array, item) != 0)
            return no_memory(member, err);
    }
    return FAB_OK;
}

static enum fab_status encode_many(const struct fab_json_member *member, const uint8_t *from,
                                   json_t **json_out, struct fab_err *err)
{
    const uint8_t *items = from + member->offset;
    size_t count = uint_get(from + member->count_offset, sizeof(uint32_t));
    enum fab_status status;
    json_t *array;

    if (count > member->most)
        return too_many(member, "of them", count, member->most, err);
    if (member->kind == FAB_JSON_LIST)
        memcpy(&items, from + member->offset, sizeof(items));
    array = json_array();
    if (!array)
        return no_memory(member, err);
    status = encode_items(member, items, count, array, err);
    if (status == FAB_OK)
        *json_out = array;
    else
        json_decref(array);
    return status;
}

/* *json_out stays NULL where there is no memory. */
static enum fab_status encode_member(const struct fab_json_member *member, const uint8_t *from,
                                     json_t **json_out, struct fab_err *err)
{
    const void *at = from + member->offset;
    enum fab_status status;
    uint64_t value;
    int32_t index;

    switch (member->kind) {
    case FAB_JSON_UINT:
        *json_out = json_integer((json_int_t)uint_get(at, member->size_bytes));
        return FAB_OK;
    case FAB_JSON_INDEX:
        memcpy(&index, at, sizeof(index));
        if (index < INDEX_FIRST)
            return fab_err_set(err, FAB_ERR_RANGE, "%s: %d is out of range", member->name, index);
        *json_out = json_integer(index);
        return FAB_OK;
    case FAB_JSON_U64:
        value = uint_get(at, sizeof(value));
        *json_out = value > INT64_MAX ? hex_json(value) : json_integer((json_int_t)value);
        return FAB_OK;
    case FAB_JSON_GUID:
        *json_out = hex_json(uint_get(at, sizeof(value)));
        return FAB_OK;
    case FAB_JSON_BOOL:
        *json_out = json_boolean(*(const bool *)at);
        return FAB_OK;
    case FAB_JSON_TEXT:
        status = check_text(member, at, err);
        if (status == FAB_OK)
            *json_out = json_string(at);
        return status;
    case FAB_JSON_PROSE:
        return encode_prose(member, at, json_out, err);
    case FAB_JSON_BODY:
        return encode_body(member, from, json_out, err);
    case FAB_JSON_ENUM:
        return encode_enum(member, at, json_out, err);
    case FAB_JSON_OWN:
        return member->own->encode(at, json_out, err);
    case FAB_JSON_STRUCT:
        return encode_struct(member->of, at, json_out, err);
    case FAB_JSON_ARRAY:
    case FAB_JSON_LIST:
        return encode_many(member, from, json_out, err);
    }
    return FAB_ERR_INVALID;
}

enum fab_status fab_json_encode(const struct fab_json_struct *table, const void *from,
                                json_t *object, struct fab_err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct fab_json_member *member = &table->members[i];
        json_t *json = NULL;
        enum fab_status status = encode_member(member, from, &json, err);

        if (status != FAB_OK)
            return status;
        if (json_object_set_new(object, member->name, json) != 0)
            return no_memory(member, err);
    }
    return FAB_OK;
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

static enum fab_status decode_uint(const struct fab_json_member *member, size_t size_bytes,
                                   const json_t *json, uint8_t *at, struct fab_err *err)
{
    uint64_t largest = UINT64_MAX >> (64 - 8 * size_bytes);
    json_int_t value = json_integer_value(json);

    if (!json_is_integer(json))
        return wrong(member, "a whole number", err);
    if (value < 0 || (uint64_t)value > largest)
        return fab_err_set(err, FAB_ERR_RANGE, "%s: %" JSON_INTEGER_FORMAT " is out of range",
                           member->name, value);
    uint_put(at, size_bytes, (uint64_t)value);
    return FAB_OK;
}

static enum fab_status decode_u64(const struct fab_json_member *member, const json_t *json,
                                  uint8_t *at, struct fab_err *err)
{
    uint64_t wide;

    if (!json_is_string(json))
        return decode_uint(member, sizeof(wide), json, at, err);
    if (!fab_json_hex_parse(json_string_value(json), &wide) || wide <= INT64_MAX)
        return wrong(member, "a number above 2^63 as \"0x\" and 16 digits", err);
    uint_put(at, sizeof(wide), wide);
    return FAB_OK;
}

static enum fab_status decode_guid(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *at, struct fab_err *err)
{
    uint64_t guid;

    if (!fab_json_hex_parse(json_string_value(json), &guid))
        return wrong(member, "a GUID \"0x\" and 16 digits", err);
    uint_put(at, sizeof(guid), guid);
    return FAB_OK;
}

static enum fab_status decode_index(const struct fab_json_member *member, const json_t *json,
                                    uint8_t *at, struct fab_err *err)
{
    json_int_t value = json_integer_value(json);
    int32_t index = (int32_t)value;

    if (!json_is_integer(json))
        return wrong(member, "a whole number", err);
    if (value < INDEX_FIRST || value > INT32_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "%s: %" JSON_INTEGER_FORMAT " is out of range",
                           member->name, value);
    memcpy(at, &index, sizeof(index));
    return FAB_OK;
}

static enum fab_status decode_bool(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *at, struct fab_err *err)
{
    if (!json_is_boolean(json))
        return wrong(member, "true or false", err);
    *(bool *)at = json_is_true(json);
    return FAB_OK;
}

static enum fab_status decode_text(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *at, struct fab_err *err)
{
    const size_t bytes = json_string_length(json);
    const char *text = json_string_value(json);

    if (!text)
        return wrong(member, "a string", err);
    if (bytes >= member->size_bytes)
        return too_many(member, "bytes", bytes, member->size_bytes - 1, err);
    for (size_t i = 0; i < bytes; i++) {
        if (!is_printable(text[i]))
            return wrong(member, "printable ASCII", err);
    }
    memcpy(at, text, bytes + 1);
    return check_text(member, text, err);
}

static enum fab_status decode_body(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *to, struct fab_err *err)
{
    const size_t bytes = json_string_length(json);
    char *body;

    if (!json_is_string(json))
        return wrong(member, "a string", err);
    if (bytes > member->most)
        return too_many(member, "bytes", bytes, member->most, err);
    body = fab_alloc(bytes + 1);
    if (!body)
        return fab_err_set(err, FAB_ERR_NOMEM, "%s of %zu bytes", member->name, bytes);
    memcpy(body, json_string_value(json), bytes + 1);
    memcpy(to + member->offset, &body, sizeof(body));
    memcpy(to + member->count_offset, &bytes, sizeof(bytes));
    return FAB_OK;
}

static enum fab_status decode_enum(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *at, struct fab_err *err)
{
    const char *text = json_string_value(json);

    for (uint32_t i = 0; text && member->names[i]; i++) {
        if (!strcmp(member->names[i], text)) {
            uint_put(at, sizeof(i), i);
            return FAB_OK;
        }
    }
    return wrong(member, "one of the known words", err);
}

static enum fab_status decode_items(const struct fab_json_member *member, const json_t *json,
                                    uint8_t *items, struct fab_err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(json, i, item)
    {
        uint8_t *at = items + i * item_bytes(member);
        enum fab_status status = member->of
                                     ? fab_json_decode(member->of, item, member->name, at, err)
                                     : decode_uint(member, member->size_bytes, item, at, err);

        if (status != FAB_OK) {
            fab_err_context(err, "%s[%zu]", member->name, i);
            return status;
        }
    }
    return FAB_OK;
}

static enum fab_status decode_many(const struct fab_json_member *member, const json_t *json,
                                   uint8_t *to, struct fab_err *err)
{
    size_t count = json_array_size(json);
    uint8_t *items = to + member->offset;

    if (!json_is_array(json))
        return wrong(member, "an array", err);
    if (count > member->most)
        return too_many(member, "of them", count, member->most, err);
    if (count == 0)
        return FAB_OK;
    if (member->kind == FAB_JSON_LIST) {
        items = fab_alloc_zeroed(count, item_bytes(member));
        if (!items)
            return fab_err_set(err, FAB_ERR_NOMEM, "%zu %s", count, member->name);
        memcpy(to + member->offset, &items, sizeof(items));
    }
    uint_put(to + member->count_offset, sizeof(uint32_t), count);
    return decode_items(member, json, items, err);
}

static enum fab_status decode_member(const struct fab_json_member *member, const json_t *json,
                                     uint8_t *to, struct fab_err *err)
{
    uint8_t *at = to + member->offset;

    switch (member->kind) {
    case FAB_JSON_UINT:
        return decode_uint(member, member->size_bytes, json, at, err);
    case FAB_JSON_U64:
        return decode_u64(member, json, at, err);
    case FAB_JSON_GUID:
        return decode_guid(member, json, at, err);
    case FAB_JSON_INDEX:
        return decode_index(member, json, at, err);
    case FAB_JSON_BOOL:
        return decode_bool(member, json, at, err);
    case FAB_JSON_TEXT:
    case FAB_JSON_PROSE:
        return decode_text(member, json, at, err);
    case FAB_JSON_BODY:
        return decode_body(member, json, to, err);
    case FAB_JSON_ENUM:
        return decode_enum(member, json, at, err);
    case FAB_JSON_OWN:
        return member->own->decode(json, at, err);
    case FAB_JSON_STRUCT:
        return fab_json_decode(member->of, json, member->name, at, err);
    case FAB_JSON_ARRAY:
    case FAB_JSON_LIST:
        return decode_many(member, json, to, err);
    }
    return FAB_ERR_INVALID;
}

/* Every member stands there, and nothing else: both ends are of one version. */
enum fab_status fab_json_decode(const struct fab_json_struct *table, const json_t *json,
                                const char *name, void *to, struct fab_err *err)
{
    if (!json_is_object(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not an object", name);
    for (size_t i = 0; i < table->count; i++) {
        const struct fab_json_member *member = &table->members[i];
        const json_t *value = json_object_get(json, member->name);
        enum fab_status status;

        if (!value)
            return fab_err_set(err, FAB_ERR_INVALID, "%s is missing", member->name);
        status = decode_member(member, value, to, err);
        if (status != FAB_OK)
            return status;
    }
    if (json_object_size(json) != table->count)
        return fab_err_set(err, FAB_ERR_INVALID, "%s has a member that is not known", name);
    return FAB_OK;
}
