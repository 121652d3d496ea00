/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_peer.c - workers on other nodes, for programs of this host: one link a node.
 *
 * A channel is the worker's end of its socket pair, carried over the link. A lost link says nothing
 * about workers: they are asked for again by the same channel when it is back, and the answer is
 * evidence, as is an agent that was restarted. Only an attach that is not complete fails with its
 * link, because packets of it may be lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

#define DIAL_FIRST_NS UINT64_C(100000000)
#define DIAL_MOST_NS UINT64_C(5000000000)

struct agent_peer {
    struct fab_list node;
    struct agent *agent;
    char name[LEDGER_NAME_BYTES];
    char address[MESSAGE_ADDRESS_BYTES];
    struct link *link;
    bool is_up;        /* welcomed */
    uint64_t instance; /* of its agent; 0: never heard */
    uint64_t redial_ns, backoff_ns;
    uint32_t last_channel;
    struct fab_list channels;
};

struct agent_channel {
    struct fab_list node;
    struct agent_peer *peer;
    struct agent_session *session; /* NULL: nobody wants it; it is told when the link is back */
    uint32_t index;
    int fd;
    struct loop_watch *watch;
    bool is_asked, is_started;
    struct message_worker_start start;
};

/* ---- channels ---------------------------------------------------------------------------------
 */

static void channel_close(struct agent_channel *channel)
{
    loop_unwatch(channel->watch);
    channel->watch = NULL;
    if (channel->fd >= 0)
        (void)close(channel->fd);
    channel->fd = -1;
}

static void channel_free(struct agent_channel *channel)
{
    channel_close(channel);
    fab_list_remove(&channel->node);
    free(channel);
}

static void send_stop(struct agent_channel *channel)
{
    const struct message message = {.kind = MESSAGE_WORKER_STOP,
                                    .stop_channel = channel->start.channel};

    (void)link_send(channel->peer->link, &message); /* lost: its node asks its grace period */
}

void agent_channel_stop(struct agent_channel *channel)
{
    if (!channel)
        return;
    channel->session = NULL;
    if (channel->is_asked && !channel->peer->is_up) {
        channel_close(channel);
        return;
    }
    if (channel->is_asked)
        send_stop(channel);
    channel_free(channel);
}

/* The worker is gone, and its program hears it. */
static void channel_end(struct agent_channel *channel, const char *why)
{
    struct agent_session *session = channel->session;
    const uint32_t index = channel->index;

    channel_free(channel);
    if (!session)
        return;
    session->seats[index].channel = NULL;
    ses_broker_worker_gone(session->agent->broker, session, index, why);
}

/* It may live on, but this attach cannot be completed. */
static void channel_fail(struct agent_channel *channel, const char *why)
{
    struct agent_session *session = channel->session;
    const uint32_t index = channel->index;

    if (!session)
        return;
    session->seats[index].channel = NULL;
    agent_channel_stop(channel);
    ses_broker_worker_gone(session->agent->broker, session, index, why);
}

static struct agent_channel *find_channel(struct agent_peer *peer, uint32_t id)
{
    FAB_LIST_EACH(at, after, &peer->channels)
    {
        struct agent_channel *channel = fab_list_object(at, struct agent_channel, node);

        if (channel->start.channel == id)
            return channel;
    }
    return NULL;
}

/* What the broker says to the worker. */
static void on_broker(void *user, uint32_t events)
{
    struct agent_channel *channel = user;
    char packet[LINK_PACKET_BYTES];
    const ssize_t got = recv(channel->fd, packet, sizeof(packet), MSG_DONTWAIT);

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) { /* it has closed its end; whether the worker goes is the owner's to say */
        channel_close(channel);
        return;
    }
    if (channel->peer->is_up)
        (void)link_send_packet(channel->peer->link, channel->start.channel, packet, (size_t)got);
}

static void ask(struct agent_channel *channel)
{
    const struct message message = {.kind = MESSAGE_WORKER_START, .worker_start = channel->start};

    channel->is_asked = true;
    (void)link_send(channel->peer->link, &message); /* lost: asked again when it is back */
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static void on_up(void *user, struct link *link, const char *name)
{
    struct agent_peer *peer = user;
    struct message message;

    (void)name; /* link_dial() has proved it */
    agent_hello(peer->agent, /* to_agent */ true, &message);
    (void)link_send(link, &message);
}

static void on_welcome(struct agent_peer *peer, const struct message_hello *welcome)
{
    const bool is_other = peer->instance != 0 && peer->instance != welcome->instance;
    char why[SES_TEXT_BYTES];

    peer->instance = welcome->instance;
    peer->backoff_ns = 0;
    peer->is_up = true;
    (void)snprintf(why, sizeof(why), "the agent of %s was restarted, and its workers have ended",
                   peer->name);
    FAB_LIST_EACH(at, after, &peer->channels)
    {
        struct agent_channel *channel = fab_list_object(at, struct agent_channel, node);

        if (is_other && channel->is_asked) {
            channel_end(channel, why);
        } else if (!channel->session) {
            send_stop(channel);
            channel_free(channel);
        } else {
            ask(channel);
        }
    }
}

static void on_started(struct agent_peer *peer, const struct message_worker_started *started)
{
    struct agent_channel *channel = find_channel(peer, started->channel);
    struct agent_session *session = channel ? channel->session : NULL;
    struct ses_pair pairs[SES_RAILS_MAX];
    struct ses_node *where;
    char why[SES_TEXT_BYTES];

    if (!session || channel->is_started)
        return; /* not wanted any more, or asked for again: it lives */
    channel->is_started = true;
    where = &session->seats[channel->index].where;
    *where = started->node;
    agent_copy_text(where->name, sizeof(where->name), peer->name);
    agent_rails_keep_there(agent_rails_gpu(session, peer->name), where);
    if (memcmp(where->id, session->here.id, sizeof(where->id)) != 0 &&
        agent_rails_pair(session, channel->index, pairs) == 0) {
        (void)snprintf(why, sizeof(why),
                       "no rail of %.64s leads to %.64s now: see `compose show %.48s`",
                       session->here.name, peer->name, session->system);
        channel_fail(channel, why);
        return;
    }
    ses_broker_worker_started(peer->agent->broker, session, channel->index, where);
}

static void on_worker_ended(struct agent_peer *peer, const struct message_worker_ended *ended)
{
    struct agent_channel *channel = find_channel(peer, ended->channel);
    char why[SES_TEXT_BYTES];

    if (!channel)
        return;
    (void)snprintf(why, sizeof(why), "%.64s: %.180s", peer->name, ended->why);
    channel_end(channel, why);
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct agent_peer *peer = user;

    (void)link;
    if (message->kind == MESSAGE_WELCOME && !peer->is_up)
        on_welcome(peer, &message->welcome);
    else if (message->kind == MESSAGE_WORKER_STARTED)
        on_started(peer, &message->worker_started);
    else if (message->kind == MESSAGE_WORKER_ENDED)
        on_worker_ended(peer, &message->worker_ended);
    else
        fab_log_warn(&peer->agent->log, "a message that is not for a host was ignored",
                     "peer %s kind %s", peer->name, message_kind_name(message->kind));
}

/* What a worker says to the broker. */
static void on_packet(void *user, struct link *link, uint32_t id, const void *bytes, size_t count)
{
    struct agent_peer *peer = user;
    const struct agent_channel *channel = find_channel(peer, id);

    (void)link;
    if (channel && channel->fd >= 0 &&
        send(channel->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)count)
        fab_log_warn(&peer->agent->log, "a worker's message was lost", "peer %s channel %u",
                     peer->name, id); /* the attach ends by its time limit */
}

static void dial_later(struct agent_peer *peer)
{
    peer->backoff_ns = peer->backoff_ns == 0 ? DIAL_FIRST_NS : peer->backoff_ns * 2;
    peer->backoff_ns = fab_earlier_ns(peer->backoff_ns, DIAL_MOST_NS);
    peer->redial_ns = agent_now_ns(peer->agent) + peer->backoff_ns;
}

static void fail_attaches(struct agent_peer *peer, const char *what)
{
    char why[SES_TEXT_BYTES];

    (void)snprintf(why, sizeof(why), "the agent of %.60s (%s) cannot be reached: %.80s", peer->name,
                   peer->address, what);
    FAB_LIST_EACH(at, after, &peer->channels)
    {
        struct agent_channel *channel = fab_list_object(at, struct agent_channel, node);

        if (channel->session && !ses_broker_is_attached(peer->agent->broker, channel->session))
            channel_fail(channel, why);
    }
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct agent_peer *peer = user;

    peer->link = NULL;
    peer->is_up = false;
    link_close(link);
    dial_later(peer);
    fab_log_warn(&peer->agent->log, "the link to a node is down", "node %s why %s", peer->name,
                 why->text);
    fail_attaches(peer, why->text);
}

static const struct link_ops peer_ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

static enum fab_status dial(struct agent_peer *peer, struct fab_err *err)
{
    struct agent *agent = peer->agent;
    enum fab_status status;

    if (!agent->tls)
        return fab_err_set(err, FAB_ERR_STATE,
                           "this daemon has no certificate (tls_ca, tls_certificate, tls_key)");
    status = link_dial(agent->loop, agent->tls, peer->address, peer->name, &peer_ops, peer,
                       &peer->link, err);
    if (status != FAB_OK)
        dial_later(peer);
    return status;
}

/* ---- peers ------------------------------------------------------------------------------------
 */

static struct agent_peer *find_peer(struct agent *agent, const char *name)
{
    FAB_LIST_EACH(at, after, &agent->peers)
    {
        struct agent_peer *peer = fab_list_object(at, struct agent_peer, node);

        if (strcmp(peer->name, name) == 0)
            return peer;
    }
    return NULL;
}

static struct agent_peer *peer_create(struct agent *agent, const char *name)
{
    struct agent_peer *peer = fab_alloc_zeroed(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->agent = agent;
    agent_copy_text(peer->name, sizeof(peer->name), name);
    fab_list_init(&peer->channels);
    fab_list_append(&agent->peers, &peer->node);
    return peer;
}

static void fill_start(struct agent_channel *channel)
{
    const struct agent_session *session = channel->session;
    const struct message_command *command = &session->command_of;
    struct message_worker_start *start = &channel->start;

    *start = (struct message_worker_start){
        .channel = ++channel->peer->last_channel, .fence = session->fence, .uid = session->uid};
    agent_copy_text(start->system, sizeof(start->system), session->system);
    for (uint32_t i = 0; i < command->gpu_count; i++)
        if (strcmp(command->gpus[i].node, channel->peer->name) == 0)
            start->devices[start->device_count++] = command->gpus[i].index;
}

enum fab_status agent_channel_open(struct agent_session *session, uint32_t index,
                                   const struct message_gpu *gpu, int fd,
                                   struct agent_channel **channel_out, struct fab_err *err)
{
    struct agent_peer *peer = find_peer(session->agent, gpu->node);
    struct agent_channel *channel = fab_alloc_zeroed(1, sizeof(*channel));
    enum fab_status status;

    if (!peer)
        peer = peer_create(session->agent, gpu->node);
    if (!peer || !channel) {
        free(channel);
        return fab_err_set(err, FAB_ERR_NOMEM, "a worker on %s", gpu->node);
    }
    agent_copy_text(peer->address, sizeof(peer->address), gpu->address);
    *channel = (struct agent_channel){.peer = peer, .session = session, .index = index};
    fab_list_append(&peer->channels, &channel->node);
    fill_start(channel);
    channel->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    status = channel->fd < 0 ? fab_err_errno(err, errno, "copying a descriptor")
                             : loop_watch(session->agent->loop, channel->fd, EPOLLIN, on_broker,
                                          channel, &channel->watch, err);
    if (status == FAB_OK && !peer->link)
        status = dial(peer, err);
    if (status != FAB_OK) {
        fab_err_context(err, "a worker on %s (%s)", peer->name, peer->address);
        channel_free(channel);
        return status;
    }
    if (peer->is_up)
        ask(channel);
    *channel_out = channel;
    return FAB_OK;
}

bool agent_peers_are_up(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->peers)
    {
        if (!fab_list_object(at, struct agent_peer, node)->is_up)
            return false;
    }
    return true;
}

uint64_t agent_peers_turn(struct agent *agent, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &agent->peers)
    {
        struct agent_peer *peer = fab_list_object(at, struct agent_peer, node);
        struct fab_err err = {0};

        if (peer->link || fab_list_is_empty(&peer->channels))
            continue;
        if (now_ns >= peer->redial_ns && dial(peer, &err) == FAB_OK)
            continue;
        next_ns = fab_earlier_ns(next_ns, peer->redial_ns);
    }
    return next_ns;
}

void agent_peers_end(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->peers)
    {
        struct agent_peer *peer = fab_list_object(at, struct agent_peer, node);

        while (!fab_list_is_empty(&peer->channels))
            channel_free(fab_list_object(peer->channels.next, struct agent_channel, node));
        link_close(peer->link);
        fab_list_remove(&peer->node);
        free(peer);
    }
}
