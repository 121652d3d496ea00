/* SPDX-License-Identifier: Apache-2.0
 * session/ses_broker.c - the broker: who is there, and what is heard from whom.
 *
 * A seat is one client process; it has one place a worker. Every descriptor in the epoll set
 * belongs to a watch inside the seat or place. A seat goes in two steps: seat_end() tells the
 * workers to end and marks it, and it is freed when the last of their processes is gone, at the
 * latest after they were killed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/list.h"
#include "session/ses_broker.h"
#include "session/ses_int.h"

enum {
    SES_TURN_EVENTS = 32,
    SES_OVERFLOW_UID = 65534,
};
static const uint64_t answer_ns = UINT64_C(10000000000); /* for each step of an attach */
static const uint64_t kill_after_ns = UINT64_C(2000000000);

enum watch_kind { WATCH_LISTENER, WATCH_CLIENT, WATCH_CLIENT_PID, WATCH_WORKER, WATCH_WORKER_PID };

struct watch {
    enum watch_kind kind;
    int fd; /* -1: none */
    struct seat *seat;
    uint32_t index; /* of the worker */
};

struct place {
    struct watch channel, process;
    pid_t pid;         /* 0: not started or gone, or elsewhere */
    bool is_elsewhere; /* it has no pid here, and has not gone yet */
    struct ses_node node;
    bool has_offer, is_ready;
    struct ses_link to_client; /* kept until all workers are ready, then wiped */
    uint32_t rows;
    uint32_t address_bytes;
    uint8_t address[SES_ADDRESS_MAX_BYTES];
};

enum seat_state { SEAT_HELLO, SEAT_GRANTED, SEAT_LINKED, SEAT_ATTACHED, SEAT_ENDING };

struct seat {
    struct fab_list node;
    struct ses_broker *broker;
    enum seat_state state;
    struct ses_peer peer;
    struct watch channel, process;
    void *session; /* the owner's */
    bool has_session;
    uint64_t deadline_ns; /* of the present step; UINT64_MAX: none */
    struct ses_grant grant;
    struct place *places; /* grant.worker_count */
    bool has_address;
    uint32_t rows, address_bytes;
    uint32_t row; /* that all agreed on */
    uint8_t address[SES_ADDRESS_MAX_BYTES];
};

struct ses_broker {
    struct ses_broker_ops ops;
    void *user;
    const struct fab_clock *clock;
    int epoll_fd;
    struct watch listener;
    struct fab_list seats;
    uint32_t seat_count;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* ---- watches ----------------------------------------------------------------------------------
 */

static bool watch_open(struct ses_broker *broker, struct watch *watch, enum watch_kind kind, int fd,
                       struct seat *seat, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = watch}};

    *watch = (struct watch){.kind = kind, .fd = fd, .seat = seat, .index = index};
    if (fd < 0)
        return false;
    return epoll_ctl(broker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void watch_close(struct ses_broker *broker, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    (void)close(watch->fd);
    watch->fd = -1;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static void tell(int fd, enum ses_event_kind kind, uint32_t worker, const char *text)
{
    struct sesm_event event = {.kind = kind, .worker = worker, .text = text};
    struct sesm_parts parts;

    if (fd < 0)
        return;
    event.text_count = (uint32_t)strnlen(text, SES_TEXT_BYTES - 1);
    sesm_put_event(&event, &parts);
    if (ses_send(fd, SESM_EVENT, &parts, NULL) != FAB_OK)
        return; /* it is gone: its own watch says so */
}

/* ---- the end of a seat ------------------------------------------------------------------------
 */

static void seat_free(struct seat *seat)
{
    struct ses_broker *broker = seat->broker;

    for (uint32_t i = 0; seat->places && i < seat->grant.worker_count; i++) {
        watch_close(broker, &seat->places[i].channel);
        watch_close(broker, &seat->places[i].process);
    }
    watch_close(broker, &seat->channel);
    watch_close(broker, &seat->process);
    if (seat->has_session && broker->ops.ended)
        broker->ops.ended(broker->user, seat->session);
    fab_list_remove(&seat->node);
    broker->seat_count--;
    free(seat->places);
    free(seat);
}

static bool has_workers(const struct seat *seat)
{
    for (uint32_t i = 0; seat->places && i < seat->grant.worker_count; i++) {
        if (seat->places[i].pid || seat->places[i].is_elsewhere)
            return true;
    }
    return false;
}

/* Workers hear that they are to end; who does not within kill_after_ns is killed. */
static void seat_end(struct seat *seat, const char *why)
{
    struct ses_broker *broker = seat->broker;

    if (seat->state == SEAT_ENDING)
        return;
    seat->state = SEAT_ENDING;
    watch_close(broker, &seat->channel);
    watch_close(broker, &seat->process);
    for (uint32_t i = 0; seat->places && i < seat->grant.worker_count; i++)
        tell(seat->places[i].channel.fd, SES_EVENT_REVOKED, i, why);
    seat->deadline_ns = fab_deadline_ns(fab_clock_now_ns(broker->clock), kill_after_ns);
}

static void seat_refuse(struct seat *seat, enum fab_status status, const char *text)
{
    if (seat->channel.fd >= 0)
        ses_refuse(seat->channel.fd, status, text);
    seat_end(seat, text);
}

static void seat_kill(struct seat *seat)
{
    const struct ses_broker_ops *ops = &seat->broker->ops;

    for (uint32_t i = 0; seat->places && i < seat->grant.worker_count; i++) {
        if (seat->places[i].pid && seat->places[i].process.fd >= 0)
            (void)pidfd_send_signal(seat->places[i].process.fd, SIGKILL, NULL, 0);
        if (seat->places[i].is_elsewhere && ops->kill)
            ops->kill(seat->broker->user, seat->session, i);
    }
    seat->deadline_ns = fab_deadline_ns(fab_clock_now_ns(seat->broker->clock), kill_after_ns);
}

/* ---- attach -----------------------------------------------------------------------------------
 */

static void send_prepare(struct seat *seat, uint32_t index)
{
    struct ses_grant_message *message = fab_alloc_zeroed(1, sizeof(*message));
    struct ses_grant *grant = fab_alloc_zeroed(1, sizeof(*grant));
    uint32_t numbers[SES_VGPUS_MAX];
    struct sesm_parts parts;

    if (!message || !grant) {
        seat_refuse(seat, FAB_ERR_NOMEM, "fabricd is out of memory");
        goto out;
    }
    *grant = seat->grant;
    grant->node = seat->places[index].node;
    grant->vgpu_count = 0;
    for (uint32_t i = 0; i < seat->grant.vgpu_count; i++) {
        if (seat->grant.vgpus[i].worker != index)
            continue;
        numbers[grant->vgpu_count] = i;
        grant->vgpus[grant->vgpu_count++] = seat->grant.vgpus[i];
    }
    ses_grant_put(grant, numbers, message, &parts);
    /* A process that is gone is told of by its pidfd. */
    (void)!ses_send(seat->places[index].channel.fd, SESM_GRANT, &parts, NULL);
out:
    free(message);
    free(grant);
}

static enum fab_status start_worker(struct seat *seat, uint32_t index, struct fab_err *err)
{
    struct ses_broker *broker = seat->broker;
    struct place *place = &seat->places[index];
    enum fab_status status;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fab_err_errno(err, errno, "opening a socket pair for a worker");
    if (!watch_open(broker, &place->channel, WATCH_WORKER, pair[0], seat, index)) {
        (void)close(pair[1]);
        return fab_err_errno(err, errno, "watching a worker");
    }
    status = broker->ops.start(broker->user, seat->session, index, pair[1], &place->node,
                               &place->pid, err);
    (void)close(pair[1]);
    if (status != FAB_OK) {
        place->pid = 0;
        return status;
    }
    place->is_elsewhere = place->pid == 0;
    if (place->is_elsewhere)
        return FAB_OK; /* the rest follows when it has started */
    if (!watch_open(broker, &place->process, WATCH_WORKER_PID, pidfd_open(place->pid, 0), seat,
                    index))
        return fab_err_errno(err, errno, "watching worker %d", place->pid);
    send_prepare(seat, index);
    return FAB_OK;
}

static void seat_start(struct seat *seat)
{
    struct ses_broker *broker = seat->broker;
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;

    seat->places = fab_alloc_zeroed(seat->grant.worker_count + 1, sizeof(*seat->places));
    if (!seat->places) {
        seat_refuse(seat, FAB_ERR_NOMEM, "fabricd is out of memory");
        return;
    }
    for (uint32_t i = 0; i < seat->grant.worker_count; i++)
        seat->places[i].channel.fd = seat->places[i].process.fd = -1;
    for (uint32_t i = 0; status == FAB_OK && i < seat->grant.worker_count; i++)
        status = start_worker(seat, i, &err);
    if (status != FAB_OK)
        seat_refuse(seat, status, err.text);
    seat->deadline_ns = fab_deadline_ns(fab_clock_now_ns(broker->clock), answer_ns);
}

static void on_hello(struct seat *seat, const struct ses_packet *packet)
{
    struct ses_grant_message *message = NULL;
    struct ses_broker *broker = seat->broker;
    struct fab_err err = {0};
    struct sesm_hello hello;
    struct sesm_parts parts;
    enum fab_status status;

    if (seat->state != SEAT_HELLO || packet->op != SESM_HELLO ||
        !sesm_get_hello(packet->body, packet->size_bytes, &hello)) {
        seat_refuse(seat, FAB_ERR_PROTOCOL, "the attach protocol begins with hello");
        return;
    }
    if (memchr(hello.system, '\0', sizeof(hello.system)) == NULL) {
        seat_refuse(seat, FAB_ERR_PROTOCOL, "the name of the system does not end");
        return;
    }
    memcpy(seat->peer.system, hello.system, sizeof(seat->peer.system));
    seat->peer.gpus = hello.gpus;
    status = broker->ops.grant(broker->user, &seat->peer, &seat->grant, &seat->session, &err);
    if (status != FAB_OK) {
        seat_refuse(seat, status, err.text);
        return;
    }
    seat->has_session = true;
    seat->state = SEAT_GRANTED;
    message = fab_alloc_zeroed(1, sizeof(*message));
    if (!message) {
        seat_refuse(seat, FAB_ERR_NOMEM, "fabricd is out of memory");
        return;
    }
    ses_grant_put(&seat->grant, /* vgpu_index */ NULL, message, &parts);
    status = ses_send(seat->channel.fd, SESM_GRANT, &parts, &err);
    free(message);
    if (status != FAB_OK) {
        seat_end(seat, err.text);
        return;
    }
    seat_start(seat); /* while the client opens its rails */
}

/* A new session between the client and worker `index`; both ends' links. */
static enum fab_status make_links(struct seat *seat, uint32_t index, struct ses_link *to_client,
                                  struct ses_link *to_worker, struct fab_err *err)
{
    const struct place *place = &seat->places[index];
    struct ses_broker *broker = seat->broker;

    *to_client = *to_worker = (struct ses_link){0};
    if (getrandom(&to_client->session_id, sizeof(to_client->session_id), 0) < 0 ||
        getrandom(to_client->key, sizeof(to_client->key), 0) < 0)
        return fab_err_errno(err, errno, "making a session key");
    to_client->session_id |= 1; /* never 0 */
    to_worker->session_id = to_client->session_id;
    memcpy(to_worker->key, to_client->key, sizeof(to_worker->key));
    memcpy(to_client->address, place->address, place->address_bytes);
    to_client->address_bytes = place->address_bytes;
    memcpy(to_worker->address, seat->address, seat->address_bytes);
    to_worker->address_bytes = seat->address_bytes;
    if (broker->ops.pairs)
        to_client->pair_count =
            broker->ops.pairs(broker->user, seat->session, index, to_client->pairs);
    to_worker->pair_count = to_client->pair_count;
    for (uint32_t i = 0; i < to_client->pair_count; i++)
        to_worker->pairs[i] =
            (struct ses_pair){.local = to_client->pairs[i].peer, .peer = to_client->pairs[i].local};
    return FAB_OK;
}

static enum fab_status send_link(int fd, const struct ses_link *link, uint32_t index, uint32_t row,
                                 struct fab_err *err)
{
    struct sesm_link message;
    struct sesm_parts parts;
    enum fab_status status;

    ses_link_put(link, index, row, &message, &parts);
    status = ses_send(fd, SESM_LINK, &parts, err);
    explicit_bzero(&message, sizeof(message));
    explicit_bzero(&parts, sizeof(parts));
    return status;
}

/* The worker hears of the client; what the client is to hear waits for all workers. */
static enum fab_status introduce(struct seat *seat, uint32_t index, struct fab_err *err)
{
    struct place *place = &seat->places[index];
    struct ses_link to_worker;
    enum fab_status status = make_links(seat, index, &place->to_client, &to_worker, err);

    if (status == FAB_OK && place->channel.fd >= 0)
        status = send_link(place->channel.fd, &to_worker, index, seat->row, err);
    /* Lost now, or heard of before: its process's end follows, and says who it was. */
    if (status == FAB_ERR_PEER_LOST)
        status = FAB_OK;
    explicit_bzero(&to_worker, sizeof(to_worker));
    return status;
}

/* When everybody's address is there. */
static void seat_link(struct seat *seat)
{
    uint32_t rows = seat->rows;
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;

    if (seat->state != SEAT_GRANTED || !seat->has_address)
        return;
    for (uint32_t i = 0; i < seat->grant.worker_count; i++) {
        if (!seat->places[i].has_offer)
            return;
        rows &= seat->places[i].rows;
    }
    if (rows == 0) {
        seat_refuse(seat, FAB_ERR_BUSY,
                    "no address layout suits the program and all workers: something lies in the "
                    "way, or an address-space limit (ulimit -v) is too low");
        return;
    }
    seat->row = (uint32_t)__builtin_ctz(rows);
    seat->state = SEAT_LINKED;
    seat->deadline_ns = fab_deadline_ns(fab_clock_now_ns(seat->broker->clock), answer_ns);
    for (uint32_t i = 0; status == FAB_OK && i < seat->grant.worker_count; i++)
        status = introduce(seat, i, &err);
    if (status != FAB_OK)
        seat_refuse(seat, status, err.text);
}

/* When all workers wait for the client: a dial before that would be in vain for a second. */
static void seat_attach(struct seat *seat)
{
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;

    for (uint32_t i = 0; i < seat->grant.worker_count; i++) {
        if (!seat->places[i].is_ready)
            return;
    }
    for (uint32_t i = 0; i < seat->grant.worker_count; i++) {
        struct place *place = &seat->places[i];

        if (status == FAB_OK)
            status = send_link(seat->channel.fd, &place->to_client, i, seat->row, &err);
        explicit_bzero(&place->to_client, sizeof(place->to_client));
    }
    if (status != FAB_OK) {
        seat_refuse(seat, status, err.text);
        return;
    }
    seat->state = SEAT_ATTACHED;
    seat->deadline_ns = UINT64_MAX;
}

static bool take_address(const struct ses_packet *packet, uint8_t *address, uint32_t *bytes_out,
                         uint32_t *rows_out)
{
    struct sesm_address message;

    if (packet->op != SESM_ADDRESS ||
        !sesm_get_address(packet->body, packet->size_bytes, &message) || message.address_count == 0)
        return false;
    memcpy(address, message.address, message.address_count);
    *bytes_out = message.address_count;
    *rows_out = message.rows;
    return true;
}

/* ---- what is heard ----------------------------------------------------------------------------
 */

static void on_client(struct seat *seat)
{
    struct ses_packet packet;
    struct fab_err err = {0};
    enum fab_status status = ses_receive(seat->channel.fd, SES_WAIT_NOT, &packet, &err);

    if (status == FAB_ERR_TIMEOUT)
        return;
    if (status == FAB_ERR_PEER_LOST || (status == FAB_OK && packet.op == SESM_GOODBYE)) {
        seat_end(seat, "the program has ended");
        return;
    }
    if (status != FAB_OK) {
        seat_refuse(seat, status, err.text);
        return;
    }
    if (seat->state == SEAT_HELLO) {
        on_hello(seat, &packet);
        return;
    }
    if (seat->state != SEAT_GRANTED || seat->has_address ||
        !take_address(&packet, seat->address, &seat->address_bytes, &seat->rows)) {
        seat_refuse(seat, FAB_ERR_PROTOCOL, "a message out of turn");
        return;
    }
    seat->has_address = true;
    seat_link(seat);
}

/* False: nothing more is to be heard from it now. */
static bool on_worker(struct seat *seat, uint32_t index)
{
    struct place *place = &seat->places[index];
    char text[SES_TEXT_BYTES];
    struct ses_packet packet;
    struct fab_err err = {0};
    enum fab_status status = ses_receive(place->channel.fd, SES_WAIT_NOT, &packet, &err);

    if (status == FAB_ERR_TIMEOUT)
        return false;
    if (status == FAB_ERR_PEER_LOST) {
        watch_close(seat->broker, &place->channel); /* the process's end follows */
        return false;
    }
    if (status == FAB_OK && packet.op == SESM_REFUSE) {
        status = ses_refused(&packet, &err);
        (void)snprintf(text, sizeof(text), "%.64s: %.180s", place->node.name, err.text);
        seat_refuse(seat, status, text);
        return false;
    }
    if (status == FAB_OK && packet.op == SESM_READY && seat->state == SEAT_LINKED &&
        !place->is_ready) {
        place->is_ready = true;
        seat_attach(seat);
        return true;
    }
    if (status != FAB_OK || place->has_offer ||
        !take_address(&packet, place->address, &place->address_bytes, &place->rows)) {
        seat_refuse(seat, FAB_ERR_PROTOCOL, "a worker broke the attach protocol");
        return false;
    }
    place->has_offer = true;
    seat_link(seat);
    return true;
}

static void worker_gone(struct seat *seat, uint32_t index, const char *text)
{
    struct place *place = &seat->places[index];
    struct ses_broker *broker = seat->broker;
    pid_t pid = place->pid;

    while (place->channel.fd >= 0 && seat->state != SEAT_ENDING && on_worker(seat, index))
        ; /* its last words */
    place->pid = 0;
    place->is_elsewhere = false;
    watch_close(broker, &place->process);
    watch_close(broker, &place->channel);
    if (broker->ops.worker_ended)
        broker->ops.worker_ended(broker->user, seat->session, index, pid, text);
    if (seat->state == SEAT_ATTACHED)
        tell(seat->channel.fd, SES_EVENT_WORKER_GONE, index, text);
    else if (seat->state != SEAT_ENDING)
        seat_refuse(seat, FAB_ERR_NODE_LOST, text);
}

static void on_worker_gone(struct seat *seat, uint32_t index)
{
    const struct place *place = &seat->places[index];
    char text[SES_TEXT_BYTES];

    (void)snprintf(text, sizeof(text), "the gpu-worker on %.64s (pid %d) ended", place->node.name,
                   place->pid);
    worker_gone(seat, index, text);
}

static struct seat *find_seat(const struct ses_broker *broker, const void *session)
{
    for (struct fab_list *at = broker->seats.next; at != &broker->seats; at = at->next) {
        struct seat *seat = fab_list_object(at, struct seat, node);

        if (seat->has_session && seat->session == session)
            return seat;
    }
    return NULL;
}

void ses_broker_worker_started(struct ses_broker *broker, const void *session, uint32_t index,
                               const struct ses_node *node)
{
    struct seat *seat = find_seat(broker, session);

    if (!seat || seat->state == SEAT_ENDING || !seat->places[index].is_elsewhere)
        return;
    seat->places[index].node = *node;
    send_prepare(seat, index);
}

void ses_broker_worker_gone(struct ses_broker *broker, const void *session, uint32_t index,
                            const char *why)
{
    struct seat *seat = find_seat(broker, session);

    if (seat && seat->places && seat->places[index].is_elsewhere)
        worker_gone(seat, index, why);
}

bool ses_broker_is_attached(const struct ses_broker *broker, const void *session)
{
    const struct seat *seat = find_seat(broker, session);

    return seat && seat->state == SEAT_ATTACHED;
}

/* ---- newcomers --------------------------------------------------------------------------------
 */

static enum fab_status identify(int fd, struct ses_peer *peer_out, struct fab_err *err)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return fab_err_errno(err, errno, "asking who connects");
    if (credentials.pid == 0)
        return fab_err_set(err, FAB_ERR_DENIED,
                           "fabricd cannot see your process: start the container with the host's "
                           "process namespace, or fabricd inside it");
    if (credentials.uid == SES_OVERFLOW_UID && geteuid() != SES_OVERFLOW_UID)
        return fab_err_set(err, FAB_ERR_DENIED,
                           "your user has no number in fabricd's user namespace: map it there");
    *peer_out =
        (struct ses_peer){.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
    return FAB_OK;
}

static void on_newcomer(struct ses_broker *broker)
{
    int fd = accept4(broker->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct fab_err err = {0};
    struct ses_peer peer;
    enum fab_status status;
    struct seat *seat;

    if (fd < 0)
        return;
    status = identify(fd, &peer, &err);
    seat = status == FAB_OK ? fab_alloc_zeroed(1, sizeof(*seat)) : NULL;
    if (!seat) {
        ses_refuse(fd, status == FAB_OK ? FAB_ERR_NOMEM : status, err.text);
        (void)close(fd);
        return;
    }
    *seat = (struct seat){.broker = broker, .peer = peer};
    seat->process.fd = -1;
    seat->deadline_ns = fab_deadline_ns(fab_clock_now_ns(broker->clock), answer_ns);
    fab_list_append(&broker->seats, &seat->node);
    broker->seat_count++;
    /* The process is evidence; the socket, which a child may hold, is not. */
    if (!watch_open(broker, &seat->channel, WATCH_CLIENT, fd, seat, 0) ||
        !watch_open(broker, &seat->process, WATCH_CLIENT_PID, pidfd_open(peer.pid, 0), seat, 0))
        seat_refuse(seat, FAB_ERR_IO, "fabricd cannot watch your process");
}

/* ---- turning ----------------------------------------------------------------------------------
 */

static void on_watch(struct ses_broker *broker, struct watch *watch)
{
    if (watch->fd < 0)
        return; /* closed by an event before it in the same turn */
    switch (watch->kind) {
    case WATCH_LISTENER:
        on_newcomer(broker);
        break;
    case WATCH_CLIENT:
        on_client(watch->seat);
        break;
    case WATCH_CLIENT_PID:
        seat_end(watch->seat, "the program has ended");
        break;
    case WATCH_WORKER:
        (void)on_worker(watch->seat, watch->index);
        break;
    case WATCH_WORKER_PID:
        on_worker_gone(watch->seat, watch->index);
        break;
    }
}

static void seat_overdue(struct seat *seat)
{
    if (seat->state == SEAT_ENDING)
        seat_kill(seat);
    else
        seat_refuse(seat, FAB_ERR_TIMEOUT,
                    seat->has_address ? "a gpu-worker was not ready in time"
                                      : "the program did not go on with its attach");
}

void ses_broker_turn(struct ses_broker *broker)
{
    struct epoll_event events[SES_TURN_EVENTS];
    int count = epoll_wait(broker->epoll_fd, events, SES_TURN_EVENTS, 0);
    uint64_t now = fab_clock_now_ns(broker->clock);

    for (int i = 0; i < count; i++)
        on_watch(broker, events[i].data.ptr);
    for (struct fab_list *at = broker->seats.next, *next; at != &broker->seats; at = next) {
        struct seat *seat = (struct seat *)((char *)at - offsetof(struct seat, node));

        next = at->next;
        if (seat->state == SEAT_ENDING && !has_workers(seat))
            seat_free(seat);
        else if (now >= seat->deadline_ns)
            seat_overdue(seat);
    }
}

int ses_broker_fd(const struct ses_broker *broker)
{
    return broker->epoll_fd;
}

int ses_broker_wait_ms(const struct ses_broker *broker)
{
    uint64_t now = fab_clock_now_ns(broker->clock), first = UINT64_MAX;

    for (const struct fab_list *at = broker->seats.next; at != &broker->seats; at = at->next) {
        const struct seat *seat =
            (const struct seat *)((const char *)at - offsetof(struct seat, node));

        if (seat->state == SEAT_ENDING && !has_workers(seat))
            return 0;
        first = seat->deadline_ns < first ? seat->deadline_ns : first;
    }
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)((first - now) / 1000000 + 1);
}

uint32_t ses_broker_session_count(const struct ses_broker *broker)
{
    return broker->seat_count;
}

void ses_broker_revoke(struct ses_broker *broker, const void *session, const char *why)
{
    for (struct fab_list *at = broker->seats.next; at != &broker->seats; at = at->next) {
        struct seat *seat = (struct seat *)((char *)at - offsetof(struct seat, node));

        /* In the middle of its attach, too, the client hears it as a refusal. */
        if (!session || seat->session == session)
            seat_refuse(seat, FAB_ERR_CANCELLED, why);
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

static enum fab_status listen_at(struct ses_broker *broker, const char *path, mode_t mode,
                                 struct fab_err *err)
{
    int fd;
    enum fab_status status = ses_listen(path, mode, &fd, err);

    if (status != FAB_OK)
        return status;
    (void)snprintf(broker->path, sizeof(broker->path), "%s", path); /* it was bound: it fits */
    if (!watch_open(broker, &broker->listener, WATCH_LISTENER, fd, NULL, 0))
        return fab_err_errno(err, errno, "watching %s", path); /* destroy() closes it */
    return FAB_OK;
}

enum fab_status ses_broker_create(const char *path, mode_t mode, const struct ses_broker_ops *ops,
                                  void *user, struct ses_broker **broker_out, struct fab_err *err)
{
    struct ses_broker *broker = fab_alloc_zeroed(1, sizeof(*broker));
    enum fab_status status;

    if (!broker)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    broker->ops = *ops;
    broker->user = user;
    broker->clock = fab_clock_real();
    broker->listener.fd = -1;
    fab_list_init(&broker->seats);
    broker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    status = broker->epoll_fd < 0 ? fab_err_errno(err, errno, "epoll") : FAB_OK;
    if (status == FAB_OK)
        status = listen_at(broker, path, mode, err);
    if (status != FAB_OK) {
        ses_broker_destroy(broker);
        return status;
    }
    *broker_out = broker;
    return FAB_OK;
}

void ses_broker_destroy(struct ses_broker *broker)
{
    if (!broker)
        return;
    ses_broker_revoke(broker, /* session */ NULL, "fabricd stops");
    while (!fab_list_is_empty(&broker->seats)) {
        struct pollfd poll_fd = {.fd = broker->epoll_fd, .events = POLLIN};

        (void)poll(&poll_fd, 1, ses_broker_wait_ms(broker));
        ses_broker_turn(broker);
    }
    if (broker->listener.fd >= 0)
        (void)unlink(broker->path);
    watch_close(broker, &broker->listener);
    if (broker->epoll_fd >= 0)
        (void)close(broker->epoll_fd);
    free(broker);
}
