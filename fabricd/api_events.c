/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_events.c - the ledger's events, read or followed (server-sent events).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_int.h"

#define TYPE "text/event-stream"

enum { CHUNK_BYTES = 1 << 20 };

struct writing {
    FILE *stream;
    uint64_t last;
    size_t count;
};

static enum fab_status add_member(void *user, uint64_t number, const char *json,
                                  struct fab_err *err)
{
    struct writing *writing = user;

    (void)number;
    (void)err;
    (void)fprintf(writing->stream, "%s%s", writing->count++ ? "," : "", json);
    return FAB_OK;
}

void api_get_events(struct api_call *call)
{
    struct writing writing = {.count = 0};
    uint64_t after = 0;
    char *text = NULL;
    size_t bytes = 0;
    enum fab_status status;

    if (!api_query_after(call, &after))
        return;
    writing.stream = open_memstream(&text, &bytes);
    if (!writing.stream) {
        api_fail_status(call, FAB_ERR_NOMEM, "");
        return;
    }
    (void)fprintf(writing.stream,
                  "{\"@odata.id\":\"" API_ROOT "/Oem/Fabric/Events\",\"@odata.type\":"
                  "\"#FabricEvents.v1_0_0.FabricEvents\",\"Id\":\"Events\",\"Name\":"
                  "\"Every change, oldest first\",\"Members\":[");
    status = ledger_events(call->api->parts.ledger, after, add_member, &writing, NULL);
    (void)fprintf(writing.stream, "]}");
    if (fclose(writing.stream) != 0)
        status = FAB_ERR_NOMEM;
    if (status == FAB_OK)
        api_reply_text(call, "application/json;charset=utf-8", text, bytes);
    else
        api_fail_status(call, status, "");
    free(text);
}

void api_get_event_service(struct api_call *call)
{
    json_t *json = api_resource("EventService", "EventService.v1_10_2.EventService", "EventService",
                                "Event service");

    api_put(call, json, "ServiceEnabled", json_true());
    api_put(call, json, "ServerSentEventUri", json_string(API_ROOT "/EventService/SSE"));
    api_put(call, json, "Status", api_status_json(LEDGER_COMPOSED));
    api_reply(call, 200, json);
}

/* ---- the stream -------------------------------------------------------------------------------
 */

static enum fab_status add_event(void *user, uint64_t number, const char *json, struct fab_err *err)
{
    struct writing *writing = user;

    if (ftell(writing->stream) > CHUNK_BYTES)
        return fab_err_set(err, FAB_ERR_AGAIN, "the rest comes with the next chunk");
    (void)fprintf(writing->stream, "id: %" PRIu64 "\ndata: %s\n\n", number, json);
    writing->last = number;
    return FAB_OK;
}

void api_get_stream(struct api_call *call)
{
    uint64_t after = ledger_last_event(call->api->parts.ledger);
    char text[API_QUERY_BYTES];
    struct api_wait *wait;

    if (api_query(call, "after", text) && !api_query_after(call, &after))
        return;
    wait = api_wait_add(call, API_WAIT_EVENTS, "");
    if (!wait)
        return;
    wait->after = after;
    /* The head at once, so that who follows knows that it does. */
    call->api->answered(call->api->user, call->request->id,
                        &(struct api_answer){.status = 200,
                                             .type = TYPE,
                                             .body = ": follow\n\n",
                                             .body_bytes = strlen(": follow\n\n"),
                                             .location = "",
                                             .adhoc = "",
                                             .allow = "",
                                             .is_more = true});
    api_turn_stream(call->api, wait);
}

void api_turn_stream(struct api *api, struct api_wait *wait)
{
    while (wait->after < ledger_last_event(api->parts.ledger)) {
        struct writing writing = {.last = wait->after};
        char *text = NULL;
        size_t bytes = 0;
        enum fab_status status = FAB_ERR_NOMEM;
        bool is_over;

        writing.stream = open_memstream(&text, &bytes);
        if (writing.stream) {
            status = ledger_events(api->parts.ledger, wait->after, add_event, &writing, NULL);
            if (fclose(writing.stream) != 0)
                status = FAB_ERR_NOMEM;
        }
        /* A stream with a hole would be worse than one that ends: who follows comes again. */
        is_over = (status != FAB_OK && status != FAB_ERR_AGAIN) || writing.last == wait->after;
        api->answered(api->user, wait->id,
                      &(struct api_answer){.status = 200,
                                           .type = TYPE,
                                           .body = is_over ? "" : text,
                                           .body_bytes = is_over ? 0 : bytes,
                                           .location = "",
                                           .adhoc = "",
                                           .allow = "",
                                           .is_more = !is_over});
        free(text);
        if (is_over) {
            api_wait_end(api, wait);
            return;
        }
        wait->after = writing.last;
    }
}
