/* SPDX-License-Identifier: Apache-2.0
 * compose/client.h - what the files of libcompose share: errors, and values out of answers.
 */
#ifndef COMPOSE_CLIENT_H
#define COMPOSE_CLIENT_H

#include "base/json.h"
#include "compose/compose.h"

enum { COMPOSE_ANSWER_BYTES = 17 << 20 }; /* the daemon's answers are at most 16 MiB */

/* Fills the record (may be NULL) with one line and returns the status. */
enum compose_status compose_error_set(struct compose_error *error, enum compose_status status,
                                      const char *format, ...) FAB_PRINTF(3, 4);

/* What the API's answer says: its sentence, its code, and the status that follows from both. */
enum compose_status compose_error_from_answer(struct compose_error *error, unsigned http_status,
                                              const char *body, size_t body_bytes);

/* compose_ask() with the answer as JSON, given (json_decref). */
FAB_NODISCARD enum compose_status compose_ask_json(struct compose *compose, const char *method,
                                                   const char *path, const char *body,
                                                   json_t **answer_out,
                                                   struct compose_error *error);

/* "BASE/NAME" with what a path does not take in NAME escaped; given (free). NULL: no memory. */
char *compose_path(const char *base, const char *name);

/* The value at a path of base/json.h, or the fallback where there is none of that type. */
const char *compose_text_at(const json_t *root, const char *path, const char *fallback);
int64_t compose_number_at(const json_t *root, const char *path, int64_t fallback);
/* An array at the path, borrowed; NULL where there is none: json_array_size(NULL) is 0. */
const json_t *compose_array_at(const json_t *root, const char *path);

#endif /* COMPOSE_CLIENT_H */
