/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_serve.c - workers of this node for programs of other hosts.
 *
 * A worker is started only for a system that is prepared here, for the host whose certificate asks
 * and its owner's programs. A host that falls silent keeps its workers for the grace period; a host
 * whose agent was restarted has lost the programs' broker, and they end at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

/* A host that has dialled; kept while this agent runs, because it may ask again for what has ended
 * since. */
struct agent_guest {
    struct fab_list node;
    struct agent *agent;
    char name[LEDGER_NAME_BYTES];
    uint64_t instance;
    struct link *link;     /* NULL: lost */
    uint64_t lost_ns;      /* since when */
    uint32_t last_channel; /* the highest that it ever asked for */
    struct fab_list served;
};

struct served {
    struct fab_list node;
    struct agent_guest *guest;
    uint32_t channel;
    struct agent_worker *worker;
    int fd, process_fd;
    struct loop_watch *watch, *process;
    char why[SES_TEXT_BYTES]; /* of its end, if it is known before */
};

/* ---- what the host hears ----------------------------------------------------------------------
 */

static void tell_ended(struct agent_guest *guest, uint32_t channel, const char *why)
{
    struct message message = {.kind = MESSAGE_WORKER_ENDED, .worker_ended = {.channel = channel}};

    agent_copy_text(message.worker_ended.why, sizeof(message.worker_ended.why), why);
    if (guest->link)
        (void)link_send(guest->link, &message); /* lost: it asks when the link is back */
}

static void tell_started(const struct served *served)
{
    struct agent *agent = served->guest->agent;
    struct message message = {
        .kind = MESSAGE_WORKER_STARTED,
        .worker_started = {.channel = served->channel, .pid = (uint32_t)served->worker->pid}};

    agent_node_fill(agent, /* is_apart */ true, &message.worker_started.node);
    if (served->guest->link)
        (void)link_send(served->guest->link, &message);
}

/* ---- one worker -------------------------------------------------------------------------------
 */

/* False: there is nothing more now. */
static bool carry_packet(struct served *served)
{
    char packet[LINK_PACKET_BYTES];
    ssize_t got;

    if (served->fd < 0)
        return false;
    got = recv(served->fd, packet, sizeof(packet), MSG_DONTWAIT);
    if (got > 0) {
        if (served->guest->link)
            (void)link_send_packet(served->guest->link, served->channel, packet, (size_t)got);
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
        return errno == ECONNRESET; /* said once, then it gives what it holds */
    loop_unwatch(served->watch);
    served->watch = NULL;
    (void)close(served->fd);
    served->fd = -1;
    return false;
}

static void on_worker(void *user, uint32_t events)
{
    (void)events;
    (void)carry_packet(user);
}

static void served_free(struct served *served)
{
    loop_unwatch(served->watch);
    loop_unwatch(served->process);
    if (served->fd >= 0)
        (void)close(served->fd);
    if (served->process_fd >= 0)
        (void)close(served->process_fd);
    fab_list_remove(&served->node);
    free(served);
}

static void on_process(void *user, uint32_t events)
{
    struct served *served = user;
    char why[SES_TEXT_BYTES];

    (void)events;
    while (carry_packet(served))
        ; /* its last words */
    (void)snprintf(why, sizeof(why), "the gpu-worker (pid %d) ended", (int)served->worker->pid);
    agent_worker_end(served->worker);
    tell_ended(served->guest, served->channel, served->why[0] ? served->why : why);
    served_free(served);
}

static enum fab_status check_start(const struct agent_guest *guest,
                                   const struct message_worker_start *start,
                                   const struct agent_lease *lease, struct fab_err *err)
{
    if (!lease)
        return fab_err_set(err, FAB_ERR_STALE, "no system %s with fence number %llu is here",
                           start->system, (unsigned long long)start->fence);
    if (start->uid != 0 && start->uid != lease->owner_uid)
        return fab_err_set(err, FAB_ERR_DENIED, "the system %s belongs to user %u, not to %u",
                           start->system, lease->owner_uid, start->uid);
    for (uint32_t i = 0; i < start->device_count; i++) {
        uint32_t k = 0;

        while (k < lease->gpu_count && (lease->gpus[k].index != start->devices[i] ||
                                        strcmp(lease->gpus[k].host, guest->name) != 0))
            k++;
        if (k == lease->gpu_count)
            return fab_err_set(err, FAB_ERR_DENIED, "GPU %u is not of %s for host %s",
                               start->devices[i], start->system, guest->name);
    }
    return FAB_OK;
}

static enum fab_status watch_served(struct served *served, struct fab_err *err)
{
    struct loop *loop = served->guest->agent->loop;
    enum fab_status status;

    served->process_fd = pidfd_open(served->worker->pid, 0);
    if (served->process_fd < 0)
        return fab_err_errno(err, errno, "watching a worker");
    status = loop_watch(loop, served->fd, EPOLLIN, on_worker, served, &served->watch, err);
    if (status == FAB_OK)
        status = loop_watch(loop, served->process_fd, EPOLLIN, on_process, served, &served->process,
                            err);
    return status;
}

static enum fab_status serve(struct agent_guest *guest, const struct message_worker_start *start,
                             struct agent_lease *lease, struct fab_err *err)
{
    struct served *served = fab_alloc_zeroed(1, sizeof(*served));
    enum fab_status status;
    int ends[2];

    if (!served)
        return fab_err_set(err, FAB_ERR_NOMEM, "a worker");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(served);
        return fab_err_errno(err, errno, "opening a socket pair for a worker");
    }
    *served =
        (struct served){.guest = guest, .channel = start->channel, .fd = ends[0], .process_fd = -1};
    fab_list_append(&guest->served, &served->node);
    status = agent_worker_start(lease, ends[1], &served->worker, err);
    (void)close(ends[1]);
    if (status == FAB_OK) {
        status = watch_served(served, err);
        if (status != FAB_OK) {
            agent_worker_kill(served->worker);
            agent_worker_end(served->worker);
        }
    }
    if (status != FAB_OK) {
        served_free(served);
        return status;
    }
    tell_started(served);
    return FAB_OK;
}

/* ---- what the host says -----------------------------------------------------------------------
 */

static struct served *find_served(struct agent_guest *guest, uint32_t channel)
{
    FAB_LIST_EACH(at, after, &guest->served)
    {
        struct served *served = fab_list_object(at, struct served, node);

        if (served->channel == channel)
            return served;
    }
    return NULL;
}

static void on_start(struct agent_guest *guest, const struct message_worker_start *start)
{
    struct agent_lease *lease = agent_lease_find(guest->agent, start->system, start->fence);
    struct served *served = find_served(guest, start->channel);
    struct fab_err err = {0};

    if (served) {
        tell_started(served); /* it lives */
        return;
    }
    if (start->channel <= guest->last_channel) {
        tell_ended(guest, start->channel, "the gpu-worker ended while the link was down");
        return;
    }
    guest->last_channel = start->channel;
    if (check_start(guest, start, lease, &err) != FAB_OK ||
        serve(guest, start, lease, &err) != FAB_OK)
        tell_ended(guest, start->channel, err.text);
}

static void on_stop(struct agent_guest *guest, uint32_t channel)
{
    struct served *served = find_served(guest, channel);

    if (served)
        agent_worker_kill(served->worker); /* its end is told as ever */
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct agent_guest *guest = user;

    (void)link;
    if (message->kind == MESSAGE_WORKER_START)
        on_start(guest, &message->worker_start);
    else if (message->kind == MESSAGE_WORKER_STOP)
        on_stop(guest, message->stop_channel);
    else
        fab_log_warn(&guest->agent->log, "a message that is not for a node was ignored",
                     "host %s kind %s", guest->name, message_kind_name(message->kind));
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    struct agent_guest *guest = user;
    const struct served *served = find_served(guest, channel);

    (void)link;
    if (served && served->fd >= 0 &&
        send(served->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)count)
        fab_log_debug(&guest->agent->log, "a message to a worker was lost", "host %s channel %u",
                      guest->name, channel); /* it is ending: its process says so */
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct agent_guest *guest = user;

    guest->link = NULL;
    guest->lost_ns = agent_now_ns(guest->agent);
    link_close(link);
    fab_log_info(&guest->agent->log, "the link of a host is down", "host %s why %s", guest->name,
                 why->text);
}

static const struct link_ops guest_ops = {
    .message = on_message, .packet = on_packet, .down = on_down};

/* ---- guests -----------------------------------------------------------------------------------
 */

static void end_all(struct agent_guest *guest, const char *why)
{
    FAB_LIST_EACH(at, after, &guest->served)
    {
        struct served *served = fab_list_object(at, struct served, node);

        agent_copy_text(served->why, sizeof(served->why), why);
        agent_worker_kill(served->worker);
    }
}

static struct agent_guest *guest_of(struct agent *agent, const char *name)
{
    struct agent_guest *guest;

    FAB_LIST_EACH(at, after, &agent->guests)
    {
        guest = fab_list_object(at, struct agent_guest, node);
        if (strcmp(guest->name, name) == 0)
            return guest;
    }
    guest = fab_alloc_zeroed(1, sizeof(*guest));
    if (!guest)
        return NULL;
    guest->agent = agent;
    agent_copy_text(guest->name, sizeof(guest->name), name);
    fab_list_init(&guest->served);
    fab_list_append(&agent->guests, &guest->node);
    return guest;
}

void agent_take_link(struct agent *agent, struct link *link, const char *peer,
                     const struct message_hello *hello)
{
    struct agent_guest *guest = guest_of(agent, peer);
    struct message message;

    if (!guest) {
        link_close(link);
        return;
    }
    if (guest->instance != hello->instance) {
        end_all(guest, "the agent of the program's host was restarted");
        guest->last_channel = 0;
    }
    guest->instance = hello->instance;
    link_close(guest->link); /* the host has given it up, or it would not dial */
    guest->link = link;
    link_set_ops(link, &guest_ops, guest);
    agent_hello(agent, /* to_agent */ false, &message);
    message.kind = MESSAGE_WELCOME;
    (void)link_send(link, &message);
}

void agent_guests_cut(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->guests)
    {
        struct agent_guest *guest = fab_list_object(at, struct agent_guest, node);

        link_close(guest->link);
        guest->link = NULL;
        guest->lost_ns = agent_now_ns(agent);
    }
}

void agent_serve_lease_end(struct agent_lease *lease, const char *why)
{
    FAB_LIST_EACH(at, after, &lease->agent->guests)
    {
        struct agent_guest *guest = fab_list_object(at, struct agent_guest, node);

        FAB_LIST_EACH(place, next, &guest->served)
        {
            struct served *served = fab_list_object(place, struct served, node);

            if (served->worker->lease == lease)
                agent_copy_text(served->why, sizeof(served->why), why);
        }
    }
}

uint64_t agent_guests_turn(struct agent *agent, uint64_t now_ns)
{
    const uint64_t late_ns = loop_lateness_ns(&agent->guests_turned_ns, now_ns);
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &agent->guests)
    {
        struct agent_guest *guest = fab_list_object(at, struct agent_guest, node);
        uint64_t end_ns;

        if (guest->link || fab_list_is_empty(&guest->served))
            continue;
        guest->lost_ns = fab_earlier_ns(fab_deadline_ns(guest->lost_ns, late_ns), now_ns);
        end_ns = fab_deadline_ns(guest->lost_ns, agent->settings->grace_ns);
        if (now_ns >= end_ns)
            end_all(guest, "the program's host was silent for longer than the grace period");
        else
            next_ns = fab_earlier_ns(next_ns, fab_earlier_ns(end_ns, now_ns + LOOP_ROUND_NS));
    }
    return next_ns;
}

void agent_guests_end(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->guests)
    {
        struct agent_guest *guest = fab_list_object(at, struct agent_guest, node);

        FAB_LIST_EACH(place, next, &guest->served)
        {
            struct served *served = fab_list_object(place, struct served, node);

            agent_worker_kill(served->worker);
            agent_worker_end(served->worker);
            served_free(served);
        }
        link_close(guest->link);
        fab_list_remove(&guest->node);
        free(guest);
    }
}
