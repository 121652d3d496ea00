/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_error.c - answers: JSON that is well, and Redfish's extended errors.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_int.h"

static const char content_type[] = "application/json;charset=utf-8";

/* When even an error cannot be made. */
static const char no_memory[] =
    "{\"error\":{\"code\":\"Fabric.1.0.InternalError\",\"message\":\"the manager has no memory "
    "left: try again later\"}}\n";

static void answer(const struct api_call *call, const struct api_answer *answer)
{
    call->api->answered(call->api->user, call->request->id, answer);
}

static void send_json(struct api_call *call, struct api_answer wanted, json_t *json)
{
    char *text = json && !call->has_no_memory ? json_dumps(json, JSON_COMPACT) : NULL;
    const size_t bytes = text ? strlen(text) : 0;

    json_decref(json);
    wanted.type = content_type;
    if (!text) {
        wanted = (struct api_answer){.status = 500,
                                     .type = content_type,
                                     .location = "",
                                     .adhoc = "",
                                     .allow = "",
                                     .body = no_memory,
                                     .body_bytes = sizeof(no_memory) - 1};
    } else if (bytes > MESSAGE_BODY_BYTES) {
        static const char text_too_long[] =
            "{\"error\":{\"code\":\"Fabric.1.0.TooLong\",\"message\":\"the answer is longer than "
            "16 MiB: ask for less, without $expand\"}}\n";

        wanted.status = 500;
        wanted.body = text_too_long;
        wanted.body_bytes = sizeof(text_too_long) - 1;
    } else {
        wanted.body = text;
        wanted.body_bytes = bytes;
    }
    answer(call, &wanted);
    free(text);
}

void api_reply(struct api_call *call, unsigned status, json_t *json)
{
    api_reply_made(call, status, json, "", "");
}

void api_reply_made(struct api_call *call, unsigned status, json_t *json, const char *location,
                    const char *adhoc)
{
    send_json(
        call,
        (struct api_answer){.status = status, .location = location, .adhoc = adhoc, .allow = ""},
        json);
}

void api_reply_session(struct api_call *call, json_t *json, const char *location, const char *token)
{
    send_json(call,
              (struct api_answer){
                  .status = 201, .location = location, .adhoc = "", .allow = "", .token = token},
              json);
}

void api_reply_text(struct api_call *call, const char *type, const char *text, size_t bytes)
{
    answer(call, &(struct api_answer){.status = 200,
                                      .type = type,
                                      .body = text,
                                      .body_bytes = bytes,
                                      .location = "",
                                      .adhoc = "",
                                      .allow = ""});
}

void api_reply_nothing(struct api_call *call)
{
    answer(call, &(struct api_answer){.status = 204,
                                      .type = content_type,
                                      .body = "",
                                      .location = "",
                                      .adhoc = "",
                                      .allow = ""});
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static const char *resolution_of(unsigned status)
{
    switch (status) {
    case 401:
        return "Log in, and send the request again.";
    case 403:
        return "Ask an administrator.";
    case 404:
        return "Look at the collection for what there is.";
    case 405:
        return "Use a method that Allow names.";
    case 409:
        return "Look at the resource's state.";
    case 503:
        return "Try again later.";
    default:
        return "Read the message.";
    }
}

static void fail(struct api_call *call, unsigned status, const char *code, const char *text)
{
    char allow[API_ALLOW_BYTES] = "";
    json_t *error =
        json_pack("{s:{s:s+,s:o,s:[{s:s,s:s+,s:o,s:[],s:s,s:s}]}}", "error", "code", "Fabric.1.0.",
                  code, "message", api_text(text), "@Message.ExtendedInfo", "@odata.type",
                  "#Message.v1_2_1.Message", "MessageId", "Fabric.1.0.", code, "Message",
                  api_text(text), "MessageArgs", "Severity", status >= 500 ? "Critical" : "Warning",
                  "Resolution", resolution_of(status));

    if (status == 405)
        (void)api_allow(call->route, allow);
    send_json(call,
              (struct api_answer){.status = status, .location = "", .adhoc = "", .allow = allow},
              error);
}

void api_fail(struct api_call *call, unsigned status, const char *code, const char *format, ...)
{
    char text[FAB_ERR_TEXT_BYTES * 2];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail(call, status, code, text);
}

void api_fail_status(struct api_call *call, enum fab_status status, const char *text)
{
    static const struct {
        enum fab_status status;
        unsigned http;
        const char *code;
    } rows[] = {
        {FAB_ERR_INVALID, 400, "PropertyValueError"},
        {FAB_ERR_RANGE, 400, "PropertyValueError"},
        {FAB_ERR_FORMAT, 400, "PropertyValueError"},
        {FAB_ERR_NOT_FOUND, 404, "ResourceNotFound"},
        {FAB_ERR_EXISTS, 409, "ResourceAlreadyExists"},
        {FAB_ERR_STATE, 409, "WrongState"},
        {FAB_ERR_DENIED, 403, "InsufficientPrivilege"},
        {FAB_ERR_LIMIT, 503, "Full"},
        {FAB_ERR_BUSY, 503, "Full"},
        {FAB_ERR_TIMEOUT, 503, "Full"}, /* the time to wait for GPUs is over */
        {FAB_ERR_CANCELLED, 504, "Undone"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++)
        if (rows[i].status == status) {
            fail(call, rows[i].http, rows[i].code, text[0] ? text : fab_status_text(status));
            return;
        }
    fail(call, 500, "InternalError", text[0] ? text : fab_status_text(status));
}
