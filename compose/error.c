/* SPDX-License-Identifier: Apache-2.0
 * compose/error.c - why a call failed, and values out of answers.
 *
 * Texts of an answer reach terminals: each becomes one line without control characters.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "compose/client.h"

/* ---- errors -----------------------------------------------------------------------------------
 */

static void make_one_line(char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text))
            *text = ' ';
}

enum compose_status compose_error_set(struct compose_error *error, enum compose_status status,
                                      const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    *error = (struct compose_error){.status = status};
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    make_one_line(error->message);
    return status;
}

static enum compose_status status_of(unsigned http_status, const char *code)
{
    static const struct {
        unsigned http_status;
        enum compose_status status;
    } rows[] = {
        {400, COMPOSE_MISUSED},   {401, COMPOSE_DENIED},  {403, COMPOSE_DENIED},
        {404, COMPOSE_NOT_FOUND}, {405, COMPOSE_MISUSED}, {409, COMPOSE_CONFLICT},
        {413, COMPOSE_MISUSED},   {503, COMPOSE_AWAY},    {504, COMPOSE_TIMEOUT},
    };

    if (http_status == 503 && strstr(code, ".Full"))
        return COMPOSE_FULL;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++)
        if (rows[i].http_status == http_status)
            return rows[i].status;
    return COMPOSE_FAILED;
}

enum compose_status compose_error_from_answer(struct compose_error *error, unsigned http_status,
                                              const char *body, size_t body_bytes)
{
    json_t *root = NULL;
    const char *code = "", *message = "";
    enum compose_status status;

    if (fab_json_load(body, body_bytes, "the answer", NULL, &root, NULL) == FAB_OK) {
        code = compose_text_at(root, "error.code", "");
        message = compose_text_at(root, "error.message", "");
    }
    status = status_of(http_status, code);
    if (message[0])
        (void)compose_error_set(error, status, "%s", message);
    else
        (void)compose_error_set(error, status,
                                "the daemon answers HTTP status %u and no reason: see its log",
                                http_status);
    if (error) {
        error->http_status = http_status;
        (void)snprintf(error->code, sizeof(error->code), "%s", code);
        make_one_line(error->code);
    }
    json_decref(root);
    return status;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

enum compose_status compose_ask_json(struct compose *compose, const char *method, const char *path,
                                     const char *body, json_t **answer_out,
                                     struct compose_error *error)
{
    const struct fab_json_limits limits = {.size_bytes = COMPOSE_ANSWER_BYTES};
    struct compose_answer answer = {0};
    struct fab_err err = {0};
    enum compose_status status = compose_ask(compose, method, path, body, &answer, error);

    if (status != COMPOSE_OK)
        return status;
    if (fab_json_load(answer.body, answer.body_bytes, "the answer", &limits, answer_out, &err) !=
        FAB_OK)
        status = compose_error_set(
            error, COMPOSE_FAILED,
            "the daemon's answer cannot be read (%s): is it of this version?", err.text);
    compose_answer_clear(&answer);
    return status;
}

char *compose_path(const char *base, const char *name)
{
    static const char hex[] = "0123456789ABCDEF";
    const size_t base_bytes = strlen(base);
    char *path = malloc(base_bytes + 1 + 3 * strlen(name) + 1), *at = path;

    if (!path)
        return NULL;
    memcpy(path, base, base_bytes);
    at += base_bytes;
    *at++ = '/';
    for (; *name; name++) {
        const unsigned char c = (unsigned char)*name;

        if (isalnum(c) || strchr("._-", c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    *at = '\0';
    return path;
}

const char *compose_text_at(const json_t *root, const char *path, const char *fallback)
{
    const char *text = fallback;

    return fab_json_get_string(root, path, &text, NULL) == FAB_OK ? text : fallback;
}

int64_t compose_number_at(const json_t *root, const char *path, int64_t fallback)
{
    int64_t number = fallback;

    return fab_json_get_int(root, path, INT64_MIN, INT64_MAX, &number, NULL) == FAB_OK ? number
                                                                                       : fallback;
}

const json_t *compose_array_at(const json_t *root, const char *path)
{
    const json_t *found = NULL;

    return fab_json_get(root, path, &found, NULL) == FAB_OK && json_is_array(found) ? found : NULL;
}
