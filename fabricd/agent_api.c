/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_api.c - RUN/api.sock: local clients' requests go to the manager, with who asks.
 *
 * The agent does not look into them. It keeps a pidfd of who asks for a system, because an ad hoc
 * one lives as long as that program. Requests of its own take the same way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "fabricd/agent_int.h"

enum { API_MODE = 0666 }; /* the manager says who may what */

struct request {
    struct fab_list node;
    uint64_t id;
    uint64_t http_id; /* 0: the agent's own */
    uint32_t uid;
    int asker_fd;      /* of a request that may make a system; -1: of others */
    bool has_streamed; /* a part of its answer went out */
    void (*done)(struct agent *agent, const char *system, uint64_t fence, uint32_t status);
    char system[LEDGER_NAME_BYTES];
    uint64_t fence;
};

static const char systems_path[] = "/redfish/v1/Systems";

static void request_free(struct request *request)
{
    if (request->asker_fd >= 0)
        (void)close(request->asker_fd);
    fab_list_remove(&request->node);
    free(request);
}

static struct request *request_create(struct agent *agent, uint64_t http_id, uint32_t uid)
{
    struct request *request = fab_alloc_zeroed(1, sizeof(*request));

    if (!request)
        return NULL;
    *request = (struct request){
        .id = ++agent->last_request, .http_id = http_id, .uid = uid, .asker_fd = -1};
    fab_list_append(&agent->requests, &request->node);
    return request;
}

/* ---- errors of the agent itself ---------------------------------------------------------------
 */

static void answer_error(struct agent *agent, uint64_t http_id, uint32_t status, const char *code,
                         const char *sentence)
{
    json_t *json = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", sentence);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    http_answer(agent->http, http_id, status, "application/json", NULL, text ? text : "",
                text ? strlen(text) : 0);
    free(text);
    json_decref(json);
}

static void answer_away(struct agent *agent, uint64_t http_id, const char *sentence)
{
    answer_error(agent, http_id, HTTP_AWAY, "Fabric.1.0.ManagerAway", sentence);
}

static void answer_not_there(struct agent *agent, uint64_t http_id)
{
    char sentence[FAB_ERR_TEXT_BYTES];
    const char *address = agent->settings->manager;

    (void)snprintf(sentence, sizeof(sentence),
                   "the manager%s%.64s%s does not answer %s: running programs go on; look for "
                   "fabricd there, or ask again later",
                   address && address[0] ? " (" : "", address && address[0] ? address : "",
                   address && address[0] ? ")" : "", agent->settings->node);
    answer_away(agent, http_id, sentence);
}

/* ---- requests of local clients ----------------------------------------------------------------
 */

static bool may_make_a_system(const struct http_request *request)
{
    const size_t length = sizeof(systems_path) - 1;
    const char *end = request->path + length;

    return strcmp(request->method, "POST") == 0 &&
           strncmp(request->path, systems_path, length) == 0 &&
           (*end == '\0' || *end == '?' || *end == '/');
}

static bool is_too_long(const struct http_request *request)
{
    return strlen(request->path) >= MESSAGE_PATH_BYTES ||
           strlen(request->method) >= sizeof(((struct message_request *)NULL)->method);
}

/* Messages are text. What a client sends that is none ends here, and not the link to the manager.
 */
static bool can_be_sent(struct agent *agent, uint64_t http_id, const struct message *message)
{
    struct fab_err err = {0};

    if (message_check(message, &err) == FAB_OK)
        return true;
    answer_error(agent, http_id, HTTP_BAD_REQUEST, "Base.1.0.GeneralError", err.text);
    return false;
}

static void on_request(void *user, const struct http_request *asked)
{
    struct agent *agent = user;
    struct message message = {.kind = MESSAGE_REQUEST,
                              .request = {.body = asked->body,
                                          .body_bytes = asked->body_bytes,
                                          .uid = asked->uid,
                                          .pid = (uint32_t)asked->pid}};
    struct request *request;

    if (is_too_long(asked)) {
        answer_error(agent, asked->id, HTTP_URI_LONG, "Base.1.0.GeneralError",
                     "the path or method is too long");
        return;
    }
    agent_copy_text(message.request.method, sizeof(message.request.method), asked->method);
    agent_copy_text(message.request.path, sizeof(message.request.path), asked->path);
    if (!can_be_sent(agent, asked->id, &message))
        return;
    request = agent->is_manager_up ? request_create(agent, asked->id, asked->uid) : NULL;
    if (!request) {
        answer_not_there(agent, asked->id);
        return;
    }
    message.request.id = request->id;
    if (may_make_a_system(asked))
        request->asker_fd = pidfd_open(asked->pid, 0); /* gone already: so is its ad hoc system */
    if (!agent_tell(agent, &message)) {
        request_free(request);
        answer_not_there(agent, asked->id);
    }
}

static struct request *find(struct agent *agent, uint64_t id, uint64_t http_id)
{
    FAB_LIST_EACH(at, after, &agent->requests)
    {
        struct request *request = fab_list_object(at, struct request, node);

        if ((id && request->id == id) || (http_id && request->http_id == http_id))
            return request;
    }
    return NULL;
}

static void on_gone(void *user, uint64_t http_id)
{
    struct agent *agent = user;
    struct request *request = find(agent, 0, http_id);
    struct message message = {.kind = MESSAGE_REQUEST_GONE};

    if (!request)
        return;
    message.gone_id = request->id;
    (void)agent_tell(agent, &message); /* without the manager there is nobody to care */
    request_free(request);
}

bool agent_api_is_asking(struct agent *agent, uint32_t uid)
{
    FAB_LIST_EACH(at, after, &agent->requests)
    {
        const struct request *request = fab_list_object(at, struct request, node);

        if (request->uid == uid && request->asker_fd >= 0)
            return true;
    }
    return false;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void answer_client(struct agent *agent, struct request *request,
                          const struct message_answer *answer)
{
    const char *body = answer->body ? answer->body : "";

    if (answer->is_more || request->has_streamed)
        http_stream(agent->http, request->http_id, answer->status, answer->type, body,
                    answer->body_bytes, !answer->is_more);
    else
        http_answer_head(agent->http, request->http_id,
                         &(struct http_head){.status = answer->status,
                                             .type = answer->type,
                                             .location = answer->location,
                                             .allow = answer->allow},
                         body, answer->body_bytes);
    request->has_streamed = answer->is_more || request->has_streamed;
}

void agent_api_answer(struct agent *agent, const struct message_answer *answer)
{
    struct request *request = find(agent, answer->id, 0);

    if (!request)
        return; /* who asked has gone */
    if (request->done)
        request->done(agent, request->system, request->fence, answer->status);
    else
        answer_client(agent, request, answer);
    if (answer->is_more)
        return;
    if (answer->adhoc[0] && request->asker_fd >= 0) {
        agent_view_set_asker(agent, answer->adhoc, request->asker_fd);
        request->asker_fd = -1;
    }
    request_free(request);
}

void agent_api_cut(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->requests)
    {
        struct request *request = fab_list_object(at, struct request, node);
        const uint64_t http_id = request->http_id;
        const bool has_streamed = request->has_streamed;

        if (request->done)
            request->done(agent, request->system, request->fence, HTTP_AWAY);
        request_free(request);
        if (http_id && has_streamed)
            http_stream(agent->http, http_id, HTTP_OK, "", "", 0, /* is_last */ true);
        else if (http_id)
            answer_away(agent, http_id,
                        "the manager went away before it answered: what was asked may have been "
                        "done; look, or ask again (a create by the same name is not done twice)");
    }
}

void agent_api_ask(struct agent *agent, const char *method, const char *path, uint32_t uid,
                   void (*done)(struct agent *agent, const char *system, uint64_t fence,
                                uint32_t status),
                   const char *system, uint64_t fence)
{
    struct request *request = request_create(agent, 0, uid);
    struct message message = {.kind = MESSAGE_REQUEST};

    if (!request)
        return; /* asked again when the manager is back */
    request->done = done;
    request->fence = fence;
    agent_copy_text(request->system, sizeof(request->system), system);
    message.request = (struct message_request){
        .id = request->id, .body = "", .uid = uid, .pid = (uint32_t)getpid()};
    agent_copy_text(message.request.method, sizeof(message.request.method), method);
    agent_copy_text(message.request.path, sizeof(message.request.path), path);
    if (!agent_tell(agent, &message)) {
        request_free(request);
        done(agent, system, fence, HTTP_AWAY);
    }
}

/* ---- the socket -------------------------------------------------------------------------------
 */

enum fab_status agent_api_open(struct agent *agent, struct fab_err *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%.4000s/api.sock", agent->settings->run_dir);
    return http_create(agent->loop, path, API_MODE, on_request, on_gone, agent, &agent->http, err);
}

void agent_api_close(struct agent *agent)
{
    while (!fab_list_is_empty(&agent->requests))
        request_free(fab_list_object(agent->requests.next, struct request, node));
    http_destroy(agent->http);
    agent->http = NULL;
}
