/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_wait.c - requests whose answer comes later: creates, deletes, followers, streams.
 *
 * A create that is sent again (its first answer was lost) follows the system that the first one
 * made; a delete waits until the last GPU is confirmed, whoever asked first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "fabricd/api_int.h"

struct api_wait *api_wait_add(struct api_call *call, enum api_wait_kind kind, const char *system)
{
    struct api_wait *wait = fab_alloc_zeroed(1, sizeof(*wait));

    if (!wait || fab_vec_push(&call->api->waits, &wait) != FAB_OK) {
        free(wait);
        api_fail_status(call, FAB_ERR_NOMEM, "");
        return NULL;
    }
    *wait = (struct api_wait){.id = call->request->id,
                              .kind = kind,
                              .body = json_incref(call->body),
                              .uid = call->uid,
                              .role = call->role};
    (void)snprintf(wait->system, sizeof(wait->system), "%s", system);
    (void)snprintf(wait->node, sizeof(wait->node), "%s", call->request->node);
    return wait;
}

struct api_wait *api_wait_find(const struct api *api, uint64_t id)
{
    for (size_t i = 0; i < api->waits.count; i++)
        if ((*fab_vec_at(&api->waits, struct api_wait *, i))->id == id)
            return *fab_vec_at(&api->waits, struct api_wait *, i);
    return NULL;
}

void api_wait_end(struct api *api, struct api_wait *wait)
{
    for (size_t i = 0; i < api->waits.count; i++)
        if (*fab_vec_at(&api->waits, struct api_wait *, i) == wait) {
            fab_vec_remove(&api->waits, i);
            break;
        }
    json_decref(wait->body);
    free(wait);
}

/* ---- late answers -----------------------------------------------------------------------------
 */

/* A call as it was; the request's texts are those that answers need. */
static struct api_call call_again(struct api *api, const struct api_wait *wait,
                                  struct api_request *request)
{
    *request = (struct api_request){
        .id = wait->id, .method = "", .path = "", .body = "", .node = wait->node, .uid = wait->uid};
    return (struct api_call){.api = api, .request = request, .role = wait->role, .uid = wait->uid};
}

static void fail_late(struct api *api, struct api_wait *wait, enum fab_status status,
                      const char *text)
{
    struct api_request request;
    struct api_call call = call_again(api, wait, &request);

    /* An unknown host is the request's mistake; the collection itself is there. */
    if (status == FAB_ERR_NOT_FOUND && wait->kind == API_WAIT_CREATE)
        status = FAB_ERR_INVALID;
    if (status == FAB_ERR_BUSY && wait->kind == API_WAIT_CREATE &&
        json_object_get(wait->body, "Links"))
        status = FAB_ERR_STATE; /* GPUs by name: others would not do */
    api_fail_status(&call, status, text);
    api_wait_end(api, wait);
}

static void reply_system(struct api *api, struct api_wait *wait, unsigned status,
                         const struct ledger_system *system)
{
    struct api_request request;
    struct api_call call = call_again(api, wait, &request);
    char location[API_URI_BYTES];

    (void)snprintf(location, sizeof(location), API_ROOT "/Systems/%s", system->name);
    api_reply_made(&call, status, api_system_json(&call, system), location,
                   status == 201 && system->is_adhoc ? system->name : "");
    api_wait_end(api, wait);
}

static void reply_nothing(struct api *api, struct api_wait *wait)
{
    struct api_request request;
    struct api_call call = call_again(api, wait, &request);

    api_reply_nothing(&call);
    api_wait_end(api, wait);
}

/* A system of that name came first: the same request follows it. */
static bool may_follow(struct api *api, struct api_wait *wait)
{
    const struct ledger_system *system = ledger_find_system(api->parts.ledger, wait->system);

    if (!system || !api_is_same_system(system, wait->body, wait->uid, wait->node))
        return false;
    wait->kind = API_WAIT_MADE;
    wait->created_ms = system->created_ms;
    return true;
}

void api_take_answer(struct api *api, uint64_t request_id, enum fab_status status,
                     const struct ledger_system *system, const struct fab_err *err)
{
    struct api_wait *wait = api_wait_find(api, request_id);

    if (!wait)
        return; /* who asked has gone */
    if (wait->kind == API_WAIT_DELETE && (status == FAB_OK && system)) {
        wait->kind = API_WAIT_GONE;
        wait->created_ms = system->created_ms;
    } else if (status == FAB_OK && system) {
        reply_system(api, wait, 201, system);
    } else if (status == FAB_OK) {
        reply_nothing(api, wait);
    } else if (wait->kind != API_WAIT_CREATE || status != FAB_ERR_EXISTS ||
               !may_follow(api, wait)) {
        fail_late(api, wait, status, err ? err->text : "");
    }
}

/* ---- followers --------------------------------------------------------------------------------
 */

static void turn_made(struct api *api, struct api_wait *wait, const struct ledger_system *system)
{
    char text[FAB_ERR_TEXT_BYTES * 2];

    if (!system || system->state == LEDGER_RELEASING || system->state == LEDGER_FAILED) {
        (void)snprintf(text, sizeof(text), "system %s was not composed: %s", wait->system,
                       system && system->reason[0] ? system->reason : "see `compose events`");
        fail_late(api, wait, FAB_ERR_CANCELLED, text);
    } else if (system->state == LEDGER_COMPOSED) {
        reply_system(api, wait, 200, system);
    }
}

static void turn_wait(struct api *api, struct api_wait *wait)
{
    const struct ledger_system *system = ledger_find_system(api->parts.ledger, wait->system);

    /* A later one of the same name is another. */
    if (system && system->created_ms != wait->created_ms)
        system = NULL;
    switch (wait->kind) {
    case API_WAIT_CREATE:
    case API_WAIT_DELETE:
        return; /* the manager's */
    case API_WAIT_MADE:
        turn_made(api, wait, system);
        return;
    case API_WAIT_GONE:
        if (!system)
            reply_nothing(api, wait);
        return;
    case API_WAIT_EVENTS:
        api_turn_stream(api, wait);
        return;
    }
}

void api_turn(struct api *api, uint64_t now_ms)
{
    (void)now_ms;
    for (size_t i = api->waits.count; i > 0; i--)
        turn_wait(api, *fab_vec_at(&api->waits, struct api_wait *, i - 1));
}

void api_gone(struct api *api, uint64_t id, uint64_t now_ms)
{
    struct api_wait *wait = api_wait_find(api, id);
    const bool is_managers =
        wait && (wait->kind == API_WAIT_CREATE || wait->kind == API_WAIT_DELETE);

    if (!wait)
        return;
    api_wait_end(api, wait);
    if (is_managers)
        manager_forget(api->manager, id, now_ms);
}
