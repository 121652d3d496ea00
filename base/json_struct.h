/* SPDX-License-Identifier: Apache-2.0
 * base/json_struct.h - structs as JSON objects: a table of members, one encoder, one decoder.
 *
 * For records that one of our processes writes and another reads. Reading trusts nothing: every
 * member stands there and no other, with its type, within its range; the decoder proves that, what
 * members say of each other is the caller's to check. What is written can be read again. Target
 * base_json.
 */
#ifndef BASE_JSON_STRUCT_H
#define BASE_JSON_STRUCT_H

#include "base/json.h"

enum fab_json_kind {
    FAB_JSON_UINT,  /* of 1, 2 or 4 bytes */
    FAB_JSON_INDEX, /* int32_t, from -1 */
    FAB_JSON_U64,   /* above INT64_MAX as text "0x...", which JSON's integers do not reach */
    FAB_JSON_GUID,  /* uint64_t as "0x" and 16 digits */
    FAB_JSON_BOOL,
    FAB_JSON_TEXT,  /* char array that ends with NUL: printable ASCII */
    FAB_JSON_PROSE, /* the same, for people: what is not printable ASCII is written as '?' */
    FAB_JSON_BODY,  /* char * to UTF-8 without NUL inside, its bytes (size_t) at count_offset */
    FAB_JSON_ENUM,  /* of `names` */
    FAB_JSON_OWN,   /* of `own` */
    FAB_JSON_STRUCT,
    FAB_JSON_ARRAY, /* in the struct, their number (uint32_t) at count_offset */
    FAB_JSON_LIST   /* the same by pointer; NULL if there are none */
};

/* A value that only its owner can write. */
struct fab_json_own {
    enum fab_status (*encode)(const void *from, json_t **json_out, struct fab_err *err);
    enum fab_status (*decode)(const json_t *json, void *to, struct fab_err *err);
};

struct fab_json_member {
    const char *name;
    enum fab_json_kind kind;
    size_t offset, size_bytes; /* size: of UINT, TEXT, PROSE; of an item where `of` is NULL */
    size_t count_offset;
    size_t most;                      /* items of ARRAY and LIST, bytes of BODY */
    const char *const *names;         /* ends with NULL */
    bool (*is_valid)(const char *at); /* of a TEXT; NULL: any */
    const struct fab_json_own *own;
    const struct fab_json_struct *of; /* STRUCT, ARRAY, LIST; NULL: items are UINT */
};

struct fab_json_struct {
    const struct fab_json_member *members;
    size_t count, struct_bytes;
};

#define FAB_JSON_MEMBER(type_name, member, its_kind)                                               \
    {                                                                                              \
        .name = #member, .kind = (its_kind), .offset = offsetof(struct type_name, member),         \
        .size_bytes = sizeof(((struct type_name *)0)->member)                                      \
    }
#define FAB_JSON_NAMED(type_name, member, its_names)                                               \
    {                                                                                              \
        .name = #member, .kind = FAB_JSON_ENUM, .offset = offsetof(struct type_name, member),      \
        .names = (its_names)                                                                       \
    }
#define FAB_JSON_VALID(type_name, member, valid)                                                   \
    {                                                                                              \
        .name = #member, .kind = FAB_JSON_TEXT, .offset = offsetof(struct type_name, member),      \
        .size_bytes = sizeof(((struct type_name *)0)->member), .is_valid = (valid)                 \
    }
#define FAB_JSON_BY_OWNER(type_name, member, its_own)                                              \
    {                                                                                              \
        .name = #member, .kind = FAB_JSON_OWN, .offset = offsetof(struct type_name, member),       \
        .own = &(its_own)                                                                          \
    }
#define FAB_JSON_INSIDE(type_name, member, table)                                                  \
    {                                                                                              \
        .name = #member, .kind = FAB_JSON_STRUCT, .offset = offsetof(struct type_name, member),    \
        .of = &(table)                                                                             \
    }
#define FAB_JSON_MANY(type_name, member, its_kind, count, bound, table)                            \
    {                                                                                              \
        .name = #member, .kind = (its_kind), .offset = offsetof(struct type_name, member),         \
        .size_bytes = sizeof(*((struct type_name *)0)->member),                                    \
        .count_offset = offsetof(struct type_name, count), .most = (bound), .of = (table)          \
    }
#define FAB_JSON_TABLE(rows, type_name)                                                            \
    {                                                                                              \
        .members = (rows), .count = FAB_ARRAY_LEN(rows), .struct_bytes = sizeof(struct type_name)  \
    }

/* Adds the members to `object`, which may hold others. FAB_ERR_INVALID, FAB_ERR_LIMIT name the
 * member that could not be read again; FAB_ERR_NOMEM. */
FAB_NODISCARD enum fab_status fab_json_encode(const struct fab_json_struct *table, const void *from,
                                              json_t *object, struct fab_err *err);
/* `name` stands for the object in messages; `to` is zero before. FAB_ERR_INVALID, FAB_ERR_RANGE,
 * FAB_ERR_LIMIT name the member. What `to` points to is then the caller's, also after a failure. */
FAB_NODISCARD enum fab_status fab_json_decode(const struct fab_json_struct *table,
                                              const json_t *json, const char *name, void *to,
                                              struct fab_err *err);

/* A whole number as the kinds U64 and GUID write it. */
bool fab_json_hex_parse(const char *text, uint64_t *value_out);

#endif /* BASE_JSON_STRUCT_H */
