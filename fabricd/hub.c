/* SPDX-License-Identifier: Apache-2.0
 * fabricd/hub.c - agents' messages to ledger, rack, manager and API; commands and answers back.
 *
 * A link that ends is noted and dealt with in the next turn, because it may end inside a call of
 * the manager. A node whose link has ended is lost when lost_after has passed without a new one.
 */
#include "fabricd/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/vec.h"
#include "fabricd/api.h"
#include "fabricd/http.h"
#include "fabricd/hub_int.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"
#include "fabricd/rack.h"
#include "fabricd/settings.h"
#include "fabricd/store.h"

#define NS_PER_MS UINT64_C(1000000)

enum { PATH_BYTES = 1200, SOCKET_MODE = 0666 };

/* A daemon that is connected. */
struct peer {
    struct hub *hub;
    struct link *link;
    char name[LEDGER_NAME_BYTES];
    char address[MESSAGE_ADDRESS_BYTES];
    bool has_hello, is_agent, is_fabric, has_reported, is_down;
    char why[FAB_ERR_TEXT_BYTES]; /* it is down */
};

/* A node whose link has ended. */
struct missing {
    char name[LEDGER_NAME_BYTES];
    char why[LEDGER_REASON_BYTES];
    uint64_t until_ns;
};

/* A request that has no (whole) answer yet. */
struct asked {
    uint64_t id;         /* the API's */
    uint64_t foreign_id; /* of who asked */
    struct peer *peer;   /* NULL: HTTP of this process */
    struct http *http;   /* that */
    bool is_stream;      /* a part of the answer has gone */
};

struct listener {
    struct hub *hub;
    struct http *http; /* NULL: none */
};

struct hub {
    struct loop *loop;
    const struct fabricd_settings *settings;
    struct fab_log log;
    struct store *store;
    struct ledger *ledger;
    struct rack *rack;
    struct manager *manager;
    struct api *api;
    struct listener local;   /* api.sock, where no agent has it */
    struct listener network; /* HTTPS */
    struct fab_vec peers;    /* struct peer * */
    struct fab_vec missing;  /* struct missing */
    uint64_t turned_ns;      /* for loop_lateness_ns() */
    struct fab_vec asked;    /* struct asked */
    uint64_t last_id;
    struct message out; /* large: one at a time */
};

/* ---- requests ---------------------------------------------------------------------------------
 */

static struct asked *find_asked(struct hub *hub, uint64_t id)
{
    for (size_t i = 0; i < hub->asked.count; i++)
        if (fab_vec_at(&hub->asked, struct asked, i)->id == id)
            return fab_vec_at(&hub->asked, struct asked, i);
    return NULL;
}

static void drop_asked(struct hub *hub, uint64_t id)
{
    for (size_t i = 0; i < hub->asked.count; i++)
        if (fab_vec_at(&hub->asked, struct asked, i)->id == id) {
            fab_vec_remove_swap(&hub->asked, i);
            return;
        }
}

/* 0: no memory. */
static uint64_t add_asked(struct hub *hub, struct peer *peer, struct http *http,
                          uint64_t foreign_id)
{
    const struct asked asked = {
        .id = hub->last_id + 1, .foreign_id = foreign_id, .peer = peer, .http = http};

    if (fab_vec_push(&hub->asked, &asked) != FAB_OK)
        return 0;
    return ++hub->last_id;
}

static void send_answer(struct hub *hub, const struct asked *asked, const struct api_answer *answer)
{
    struct message *message = &hub->out;

    *message = (struct message){.kind = MESSAGE_ANSWER,
                                .answer = {.id = asked->foreign_id,
                                           .status = answer->status,
                                           .body = answer->body,
                                           .body_bytes = answer->body_bytes,
                                           .is_more = answer->is_more}};
    (void)snprintf(message->answer.type, sizeof(message->answer.type), "%s", answer->type);
    (void)snprintf(message->answer.location, sizeof(message->answer.location), "%s",
                   answer->location);
    (void)snprintf(message->answer.allow, sizeof(message->answer.allow), "%s", answer->allow);
    (void)snprintf(message->answer.adhoc, sizeof(message->answer.adhoc), "%s", answer->adhoc);
    (void)link_send(asked->peer->link, message); /* an end of the link comes as one */
}

static void on_answered(void *user, uint64_t id, const struct api_answer *answer)
{
    struct hub *hub = user;
    struct asked *asked = find_asked(hub, id);

    if (!asked)
        return;
    if (asked->peer && !asked->peer->is_down)
        send_answer(hub, asked, answer);
    else if (!asked->peer)
        hub_http_answer(asked->http, asked->foreign_id, answer, asked->is_stream);
    asked->is_stream = true;
    if (!answer->is_more)
        drop_asked(hub, id);
}

/* Hands a request to the API. 0: no memory, and nobody will answer it. */
static uint64_t ask(struct hub *hub, struct peer *peer, struct http *http, uint64_t foreign_id,
                    struct api_request request)
{
    request.id = add_asked(hub, peer, http, foreign_id);
    if (request.id)
        api_request(hub->api, &request, hub_wall_ms());
    return request.id;
}

/* Of api.sock, or of the network. Without memory the connection's time limit ends it. */
static void on_http(void *user, const struct http_request *request)
{
    const struct listener *listener = user;
    struct hub *hub = listener->hub;
    const bool is_local = listener == &hub->local;

    (void)ask(hub, NULL, listener->http, request->id,
              (struct api_request){.method = request->method,
                                   .path = request->path,
                                   .body = request->body,
                                   .body_bytes = request->body_bytes,
                                   .node = is_local ? hub->settings->node : "",
                                   .uid = request->uid,
                                   .role = is_local ? API_BY_UID : API_BY_TOKEN,
                                   .token = request->token,
                                   .name = request->name});
}

static void end_asked(struct hub *hub, const struct peer *peer, const struct http *http,
                      uint64_t foreign_id)
{
    for (size_t i = hub->asked.count; i > 0; i--) {
        const struct asked asked = *fab_vec_at(&hub->asked, struct asked, i - 1);

        if (asked.peer != peer || asked.http != http ||
            (foreign_id && asked.foreign_id != foreign_id))
            continue;
        drop_asked(hub, asked.id);
        api_gone(hub->api, asked.id, hub_wall_ms());
        i = hub->asked.count + 1; /* others may have been answered meanwhile */
    }
}

static void on_http_gone(void *user, uint64_t id)
{
    const struct listener *listener = user;

    end_asked(listener->hub, NULL, listener->http, id);
}

static void take_request(struct peer *peer, const struct message_request *request)
{
    struct hub *hub = peer->hub;

    if (!ask(hub, peer, NULL, request->id,
             (struct api_request){.method = request->method,
                                  .path = request->path,
                                  .body = request->body ? request->body : "",
                                  .body_bytes = request->body_bytes,
                                  .node = peer->name,
                                  .uid = request->uid}))
        fab_log_error(&hub->log, "a request was lost for want of memory", "node %s", peer->name);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static struct peer *find_agent(const struct hub *hub, const char *name)
{
    for (size_t i = 0; i < hub->peers.count; i++) {
        struct peer *peer = *fab_vec_at(&hub->peers, struct peer *, i);

        if (peer->is_agent && !peer->is_down && strcmp(peer->name, name) == 0)
            return peer;
    }
    return NULL;
}

bool hub_has(const struct hub *hub, const char *node)
{
    return find_agent(hub, node) != NULL; /* is_agent: it has said hello */
}

static const char *host_of(const struct ledger_gpu *gpu)
{
    const struct ledger_system *system = gpu->system;

    for (uint32_t i = 0; system && i < system->host_count; i++)
        for (uint32_t k = 0; k < system->hosts[i].gpu_count; k++)
            if (system->gpus[system->hosts[i].first_gpu + k] == gpu)
                return system->hosts[i].node;
    return "";
}

static void put_gpu(const struct hub *hub, const struct manager_command *command, uint32_t index,
                    struct message_gpu *gpu_out)
{
    const struct ledger_gpu *gpu = command->gpus[index];
    const struct rack_node *node = rack_find(hub->rack, gpu->node->name);

    *gpu_out = (struct message_gpu){.index = gpu->index, .fence = gpu->fence};
    (void)snprintf(gpu_out->uuid, sizeof(gpu_out->uuid), "%s", gpu->uuid);
    (void)snprintf(gpu_out->node, sizeof(gpu_out->node), "%s", gpu->node->name);
    (void)snprintf(gpu_out->host, sizeof(gpu_out->host), "%s", host_of(gpu));
    if (command->verb == MANAGER_PRESENT && node)
        (void)snprintf(gpu_out->address, sizeof(gpu_out->address), "%s", node->address);
    gpu_out->rail_count = command->rails[index].count;
    memcpy(gpu_out->rails, command->rails[index].pairs, sizeof(gpu_out->rails));
}

static void on_command(void *user, const struct manager_command *command)
{
    struct hub *hub = user;
    struct peer *peer = find_agent(hub, command->node);
    struct message_command *out = &hub->out.command;
    const struct ledger_system *system = ledger_find_system(hub->ledger, command->system);

    if (!peer || !peer->has_reported)
        return; /* it is told when it reports */
    hub->out = (struct message){.kind = MESSAGE_COMMAND,
                                .command = {.verb = command->verb,
                                            .owner_uid = command->owner_uid,
                                            .fence = command->fence,
                                            .is_adhoc = system && system->is_adhoc,
                                            .gpu_count = command->gpu_count}};
    (void)snprintf(out->system, sizeof(out->system), "%s", command->system);
    for (uint32_t i = 0; i < command->gpu_count; i++)
        put_gpu(hub, command, i, &out->gpus[i]);
    (void)link_send(peer->link, &hub->out);
}

static void on_manager_answer(void *user, uint64_t request_id, enum fab_status status,
                              const struct ledger_system *system, const struct fab_err *err)
{
    api_take_answer(((struct hub *)user)->api, request_id, status, system, err);
}

static uint32_t on_rails(void *user, const char *node, const struct rails_rail **rails_out)
{
    return rack_rails(((struct hub *)user)->rack, node, rails_out);
}

static const struct manager_ops manager_ops = {
    .command = on_command, .answer = on_manager_answer, .rails = on_rails};

/* ---- what agents say --------------------------------------------------------------------------
 */

static void take_report(struct peer *peer, const struct message_report *report)
{
    struct hub *hub = peer->hub;
    struct ledger_gpu_report gpus[LEDGER_NODE_GPU_MAX];
    const uint64_t now_ms = hub_wall_ms();
    bool is_new = false;
    struct fab_err err = {0};
    enum fab_status status =
        rack_report(hub->rack, peer->name, peer->address, report, &is_new, &err);

    for (uint32_t i = 0; status == FAB_OK && i < report->gpu_count; i++)
        gpus[i] = (struct ledger_gpu_report){.uuid = report->gpus[i].uuid,
                                             .name = report->gpus[i].name,
                                             .index = report->gpus[i].index,
                                             .fence = report->gpus[i].fence};
    if (status == FAB_OK)
        status = ledger_node_report(hub->ledger, peer->name, report->machine->boot_id, gpus,
                                    report->gpu_count, now_ms, &err);
    if (status != FAB_OK) {
        fab_log_error(&hub->log, "a report was refused", "node %s why %s", peer->name, err.text);
        return;
    }
    if (rack_is_stale(hub->rack))
        hub_join_rack(hub);
    if (is_new || !peer->has_reported) {
        peer->has_reported = true;
        manager_node_up(hub->manager, peer->name, now_ms);
    } else {
        manager_turn(hub->manager, now_ms);
    }
}

/* NULL: it is no GPU of this node, which is logged. */
static const struct ledger_gpu *own_gpu(const struct peer *peer, const char *uuid)
{
    const struct ledger_gpu *gpu = ledger_find_gpu(peer->hub->ledger, uuid);

    if (gpu && strcmp(gpu->node->name, peer->name) == 0)
        return gpu;
    fab_log_warn(&peer->hub->log, "a message of a GPU that the node has not was ignored",
                 "node %s gpu %s", peer->name, uuid);
    return NULL;
}

static void take_gauges(const struct peer *peer, const struct topo_gauges *gauges)
{
    struct fab_err err = {0};

    if (rack_gauges(peer->hub->rack, peer->name, gauges, &err) != FAB_OK)
        fab_log_error(&peer->hub->log, "gauges were lost", "node %s why %s", peer->name, err.text);
}

static void take_checked(struct peer *peer, const struct message_checked *checked)
{
    struct hub *hub = peer->hub;
    struct fab_err err = {0};

    if (!own_gpu(peer, checked->uuid))
        return;
    if (ledger_gpu_checked(hub->ledger, checked->uuid, checked->reason[0] ? checked->reason : NULL,
                           hub_wall_ms(), &err) != FAB_OK)
        fab_log_error(&hub->log, "a check was not noted", "gpu %s why %s", checked->uuid, err.text);
    manager_turn(hub->manager, hub_wall_ms());
}

static void take_released(struct peer *peer, const struct message_released *released)
{
    struct hub *hub = peer->hub;
    struct fab_err err = {0};

    if (!own_gpu(peer, released->uuid))
        return;
    if (ledger_gpu_released(hub->ledger, released->uuid, released->fence, hub_wall_ms(), &err) !=
        FAB_OK)
        fab_log_error(&hub->log, "a release was not noted", "gpu %s why %s", released->uuid,
                      err.text);
    manager_turn(hub->manager, hub_wall_ms());
}

static void take_done(struct peer *peer, const struct message_done *done)
{
    switch (done->verb) {
    case MANAGER_PREPARE:
    case MANAGER_PRESENT:
        manager_prepared(peer->hub->manager, peer->name, done->system, done->fence,
                         done->reason[0] ? done->reason : NULL, hub_wall_ms());
        return;
    case MANAGER_RELEASE: /* MESSAGE_RELEASED says it of each GPU */
    case MANAGER_WITHDRAW:
        return;
    }
}

static void take_fabric(struct peer *peer, const struct topo_fabric *fabric)
{
    struct fab_err err = {0};

    if (rack_sweep(peer->hub->rack, fabric, &err) != FAB_OK)
        fab_log_error(&peer->hub->log, "a sweep was lost", "why %s", err.text);
}

/* A new link of a node takes the place of its old one, and it is not missing any more. */
static void replace(struct hub *hub, const struct peer *peer)
{
    for (size_t i = 0; i < hub->peers.count; i++) {
        struct peer *other = *fab_vec_at(&hub->peers, struct peer *, i);

        if (other != peer && other->has_hello && other->is_agent && peer->is_agent &&
            strcmp(other->name, peer->name) == 0)
            other->is_down = true;
    }
    for (size_t i = hub->missing.count; peer->is_agent && i > 0; i--)
        if (strcmp(fab_vec_at(&hub->missing, struct missing, i - 1)->name, peer->name) == 0)
            fab_vec_remove_swap(&hub->missing, i - 1);
}

static void take_hello(struct peer *peer, const struct message_hello *hello)
{
    struct hub *hub = peer->hub;

    peer->has_hello = true;
    peer->is_agent = hello->is_agent;
    peer->is_fabric = hello->is_fabric;
    (void)snprintf(peer->address, sizeof(peer->address), "%s", hello->address);
    replace(hub, peer);
    hub->out = (struct message){.kind = MESSAGE_WELCOME, .welcome = {.version = MESSAGE_VERSION}};
    (void)snprintf(hub->out.welcome.node, sizeof(hub->out.welcome.node), "%s", hub->settings->node);
    (void)snprintf(hub->out.welcome.address, sizeof(hub->out.welcome.address), "%s",
                   fabricd_address(hub->settings));
    hub_boot_id(hub->out.welcome.boot_id, sizeof(hub->out.welcome.boot_id));
    (void)link_send(peer->link, &hub->out);
    fab_log_info(&hub->log, "a node is there", "node %s", peer->name);
}

static void ignore(const struct peer *peer, const struct message *message)
{
    fab_log_warn(&peer->hub->log, "a message that is not for the manager was ignored",
                 "node %s kind %s", peer->name, message_kind_name(message->kind));
}

static void take_agent_message(struct peer *peer, const struct message *message)
{
    switch (message->kind) { /* what only an agent says */
    case MESSAGE_REPORT:
        take_report(peer, &message->report);
        return;
    case MESSAGE_GAUGES:
        take_gauges(peer, message->gauges);
        return;
    case MESSAGE_CHECKED:
        take_checked(peer, &message->checked);
        return;
    case MESSAGE_DONE:
        take_done(peer, &message->done);
        return;
    case MESSAGE_RELEASED:
        take_released(peer, &message->released);
        return;
    case MESSAGE_REQUEST:
        take_request(peer, &message->request);
        return;
    case MESSAGE_REQUEST_GONE:
        end_asked(peer->hub, peer, NULL, message->gone_id);
        return;
    case MESSAGE_PING:
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
    case MESSAGE_COMMAND:
    case MESSAGE_FABRIC:
    case MESSAGE_ANSWER:
    case MESSAGE_WORKER_START:
    case MESSAGE_WORKER_STARTED:
    case MESSAGE_WORKER_ENDED:
    case MESSAGE_WORKER_STOP:
    case MESSAGE_REFUSE:
    case MESSAGE_KINDS:
        break;
    }
    ignore(peer, message);
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct peer *peer = user;

    (void)link;
    if (peer->is_down)
        return;
    if (!peer->has_hello && message->kind == MESSAGE_HELLO)
        take_hello(peer, &message->hello);
    else if (peer->has_hello && peer->is_fabric && message->kind == MESSAGE_FABRIC)
        take_fabric(peer, message->fabric);
    else if (peer->has_hello && peer->is_agent)
        take_agent_message(peer, message);
    else
        ignore(peer, message);
}

/* ---- links ------------------------------------------------------------------------------------
 */

static void on_up(void *user, struct link *link, const char *peer)
{
    (void)user;
    (void)link;
    (void)peer;
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    const struct peer *peer = user;

    (void)link;
    (void)bytes;
    (void)count;
    fab_log_warn(&peer->hub->log, "a packet that is not for the manager was ignored",
                 "node %s channel %" PRIu32, peer->name, channel);
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct peer *peer = user;

    (void)link;
    peer->is_down = true;
    (void)snprintf(peer->why, sizeof(peer->why), "%s", why ? why->text : "");
}

static const struct link_ops link_ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

static struct peer *add_peer(struct hub *hub, const char *name)
{
    struct peer *peer = fab_alloc_zeroed(1, sizeof(*peer));

    if (!peer || fab_vec_push(&hub->peers, &peer) != FAB_OK) {
        free(peer);
        return NULL;
    }
    peer->hub = hub;
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    return peer;
}

static void drop_peer(struct hub *hub, struct peer *peer)
{
    for (size_t i = 0; i < hub->peers.count; i++)
        if (*fab_vec_at(&hub->peers, struct peer *, i) == peer) {
            fab_vec_remove(&hub->peers, i);
            break;
        }
    end_asked(hub, peer, NULL, 0);
    link_close(peer->link);
    free(peer);
}

enum fab_status hub_join(struct hub *hub, int fd, const char *node, struct fab_err *err)
{
    struct peer *peer = add_peer(hub, node);
    enum fab_status status;

    if (!peer) {
        (void)close(fd);
        return fab_err_set(err, FAB_ERR_NOMEM, "a link to %s", node);
    }
    status = link_adopt(hub->loop, fd, node, &link_ops, peer, &peer->link, err);
    if (status != FAB_OK)
        drop_peer(hub, peer);
    return status;
}

void hub_take_link(struct hub *hub, struct link *link, const char *name,
                   const struct message_hello *hello)
{
    struct peer *peer = add_peer(hub, name);

    if (!peer) {
        fab_log_error(&hub->log, "a node was refused for want of memory", "node %s", name);
        link_close(link);
        return;
    }
    peer->link = link;
    link_set_ops(link, &link_ops, peer);
    take_hello(peer, hello);
}

/* ---- turns ------------------------------------------------------------------------------------
 */

void hub_join_rack(struct hub *hub)
{
    struct fab_err err = {0};

    if (rack_join(hub->rack, hub->manager, &err) != FAB_OK)
        fab_log_error(&hub->log, "machines and fabric do not make a topology", "why %s", err.text);
}

static void note_missing(struct hub *hub, const struct peer *peer, uint64_t now_ns)
{
    struct missing missing = {.until_ns = fab_deadline_ns(now_ns, hub->settings->lost_after_ns)};

    (void)snprintf(missing.name, sizeof(missing.name), "%s", peer->name);
    (void)snprintf(missing.why, sizeof(missing.why), "its connection has ended: %.150s", peer->why);
    fab_log_warn(&hub->log, "a node is away", "node %s why %s", peer->name, peer->why);
    if (fab_vec_push(&hub->missing, &missing) != FAB_OK) /* rather early than never */
        (void)!ledger_node_lost(hub->ledger, peer->name, missing.why, hub_wall_ms(), NULL);
}

static void drop_ended(struct hub *hub, uint64_t now_ns)
{
    for (size_t i = hub->peers.count; i > 0; i--) {
        struct peer *peer = *fab_vec_at(&hub->peers, struct peer *, i - 1);

        if (!peer->is_down)
            continue;
        if (peer->has_hello && peer->is_agent && !find_agent(hub, peer->name))
            note_missing(hub, peer, now_ns);
        drop_peer(hub, peer);
        i = hub->peers.count + 1; /* others may have ended meanwhile */
    }
}

/* They may have dialled meanwhile. */
static void forgive_lateness(struct hub *hub, uint64_t now_ns)
{
    const uint64_t late_ns = loop_lateness_ns(&hub->turned_ns, now_ns);

    for (size_t i = 0; i < hub->missing.count; i++) {
        struct missing *missing = fab_vec_at(&hub->missing, struct missing, i);

        missing->until_ns = fab_deadline_ns(missing->until_ns, late_ns);
    }
}

/* Returns when to come again. */
static uint64_t expire_missing(struct hub *hub, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    for (size_t i = hub->missing.count; i > 0; i--) {
        const struct missing *missing = fab_vec_at(&hub->missing, struct missing, i - 1);
        struct fab_err err = {0};
        enum fab_status status;

        if (missing->until_ns > now_ns) {
            next_ns =
                fab_earlier_ns(fab_earlier_ns(missing->until_ns, now_ns + LOOP_ROUND_NS), next_ns);
            continue;
        }
        status = ledger_node_lost(hub->ledger, missing->name, missing->why, hub_wall_ms(), &err);
        if (status != FAB_OK && status != FAB_ERR_NOT_FOUND) /* it never reported */
            fab_log_error(&hub->log, "a lost node was not noted", "node %s why %s", missing->name,
                          err.text);
        fab_vec_remove_swap(&hub->missing, i - 1);
        manager_turn(hub->manager, hub_wall_ms());
    }
    return next_ns;
}

uint64_t hub_turn(struct hub *hub, uint64_t now_ns)
{
    struct http *const servers[] = {hub->local.http, hub->network.http};
    uint64_t now_ms, next_ms, next_ns;

    forgive_lateness(hub, now_ns);
    drop_ended(hub, now_ns);
    next_ns = expire_missing(hub, now_ns);
    now_ms = hub_wall_ms();
    if (rack_is_stale(hub->rack)) {
        hub_join_rack(hub);
        manager_turn(hub->manager, now_ms);
    } else if (manager_next_ms(hub->manager) <= now_ms) {
        manager_turn(hub->manager, now_ms);
    }
    api_turn(hub->api, now_ms);
    next_ms = manager_next_ms(hub->manager);
    if (next_ms != UINT64_MAX) {
        const uint64_t at_ns = now_ns + (next_ms > now_ms ? (next_ms - now_ms) * NS_PER_MS : 0);

        next_ns = fab_earlier_ns(at_ns, next_ns);
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(servers); i++) {
        const uint64_t at_ns = servers[i] ? http_turn(servers[i], now_ns) : UINT64_MAX;

        next_ns = fab_earlier_ns(at_ns, next_ns);
    }
    return next_ns;
}

/* ---- the object -------------------------------------------------------------------------------
 */

static enum fab_status open_store(struct hub *hub, struct fab_err *err)
{
    char where[PATH_BYTES];
    enum fab_status status;

    (void)snprintf(where, sizeof(where), "sqlite:%s/fabricd.db", hub->settings->state_dir);
    status = store_open(where, &hub->store, err);
    if (status == FAB_OK)
        status = ledger_open(hub->store, hub_wall_ms(), &hub->ledger, err);
    return status;
}

static struct http_network network_of(const struct fabricd_settings *settings)
{
    return (struct http_network){settings->api_listen, settings->tls_ca, settings->tls_certificate,
                                 settings->tls_key, settings->tls_revoked};
}

static enum fab_status open_api(struct hub *hub, struct fab_err *err)
{
    const struct http_network network = network_of(hub->settings);
    const struct api_parts parts = {
        .settings = hub->settings, .ledger = hub->ledger, .rack = hub->rack};
    char path[PATH_BYTES];
    enum fab_status status = api_create(&parts, on_answered, hub, &hub->api, err);

    if (status == FAB_OK)
        api_set_manager(hub->api, hub->manager);
    if (status == FAB_OK && hub->settings->api_listen[0])
        status = http_create_network(hub->loop, &network, on_http, on_http_gone, &hub->network,
                                     &hub->network.http, err);
    if (status != FAB_OK || hub->settings->is_agent)
        return status;
    (void)snprintf(path, sizeof(path), "%s/api.sock", hub->settings->run_dir);
    return http_create(hub->loop, path, SOCKET_MODE, on_http, on_http_gone, &hub->local,
                       &hub->local.http, err);
}

enum fab_status hub_create(struct loop *loop, const struct fabricd_settings *settings,
                           struct link_tls *tls, struct hub **hub_out, struct fab_err *err)
{
    struct hub *hub = fab_alloc_zeroed(1, sizeof(*hub));
    enum fab_status status;

    (void)tls;
    if (!hub)
        return fab_err_set(err, FAB_ERR_NOMEM, "the manager");
    hub->loop = loop;
    hub->settings = settings;
    hub->local.hub = hub->network.hub = hub;
    fab_vec_init(&hub->peers, sizeof(struct peer *));
    fab_vec_init(&hub->missing, sizeof(struct missing));
    fab_vec_init(&hub->asked, sizeof(struct asked));
    (void)!fab_log_init(&hub->log, "fabricd", STDERR_FILENO, NULL); /* main told of a bad level */
    status = open_store(hub, err);
    if (status == FAB_OK)
        status = rack_create(&hub->rack, err);
    if (status == FAB_OK)
        status = manager_create(hub->ledger, &manager_ops, hub, &hub->manager, err);
    if (status == FAB_OK)
        status = open_api(hub, err);
    if (status != FAB_OK) {
        hub_destroy(hub);
        return status;
    }
    manager_set_grace(hub->manager, settings->grace_ns / NS_PER_MS);
    *hub_out = hub;
    return FAB_OK;
}

void hub_destroy(struct hub *hub)
{
    if (!hub)
        return;
    /* Nobody waits any more, and nothing is undone for it: systems stay as they are. */
    fab_vec_clear(&hub->asked);
    api_destroy(hub->api);
    hub->api = NULL;
    while (hub->peers.count > 0)
        drop_peer(hub, *fab_vec_at(&hub->peers, struct peer *, 0));
    http_destroy(hub->local.http);
    http_destroy(hub->network.http);
    manager_destroy(hub->manager);
    rack_destroy(hub->rack);
    ledger_close(hub->ledger);
    store_close(hub->store);
    fab_vec_fini(&hub->peers);
    fab_vec_fini(&hub->missing);
    fab_vec_fini(&hub->asked);
    free(hub);
}

enum fab_status hub_reload(struct hub *hub, struct fab_err *err)
{
    const struct http_network network = network_of(hub->settings);
    const enum fab_status status =
        hub->network.http ? http_reload_network(hub->network.http, &network, err) : FAB_OK;

    if (status == FAB_OK)
        api_reload(hub->api);
    return status;
}
