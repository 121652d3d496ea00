/* SPDX-License-Identifier: Apache-2.0
 * base/json.h - what jansson lacks: bounded input, our errors, values by path.
 *
 * Target base_json (links jansson). Building, printing and freeing are jansson's own
 * (json_pack, json_dumps, json_decref). Input comes from people and peers: its size and depth
 * are bounded, a name that stands twice is refused.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

struct fab_json_limits {
    size_t size_bytes; /* 0: 1 MiB */
    unsigned depth;    /* of nested objects and arrays; 0: 32 */
};

/* Parses a text that need not end with NUL; `limits` may be NULL. The value is given to the caller
 * (json_decref). FAB_ERR_LIMIT: too long or too deep; FAB_ERR_FORMAT: no JSON, err with line and
 * column. `name` stands for the source in messages. */
FAB_NODISCARD enum fab_status fab_json_load(const char *text, size_t text_bytes, const char *name,
                                            const struct fab_json_limits *limits, json_t **json_out,
                                            struct fab_err *err);
FAB_NODISCARD enum fab_status fab_json_load_file(const char *path,
                                                 const struct fab_json_limits *limits,
                                                 json_t **json_out, struct fab_err *err);

/* The value at a path such as "gpus[2].name" ("" is the root itself), borrowed. FAB_ERR_NOT_FOUND.
 */
FAB_NODISCARD enum fab_status fab_json_get(const json_t *root, const char *path,
                                           const json_t **json_out, struct fab_err *err);

/* The same with a type: FAB_ERR_INVALID if it has another one, FAB_ERR_RANGE outside min..max. The
 * string is borrowed from root. */
FAB_NODISCARD enum fab_status fab_json_get_string(const json_t *root, const char *path,
                                                  const char **text_out, struct fab_err *err);
FAB_NODISCARD enum fab_status fab_json_get_int(const json_t *root, const char *path, int64_t min,
                                               int64_t max, int64_t *value_out,
                                               struct fab_err *err);
FAB_NODISCARD enum fab_status fab_json_get_bool(const json_t *root, const char *path,
                                                bool *value_out, struct fab_err *err);

#endif /* BASE_JSON_H */
