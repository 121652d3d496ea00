/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link.c - see link.h. Life of a link: it connects, shakes hands, is greeted (the first
 * frame of who listens says that our certificate was accepted), is up, has failed (down() is to
 * come), is down. Callbacks may close any link: a link in whose calls we are is freed behind them.
 */
#include "fabricd/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "fabricd/link_int.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"

enum {
    HEAD_BYTES = 8,        /* length and channel */
    CHANNEL_BYTES = 4,     /* which the length counts */
    READ_BYTES = 64 << 10, /* at once */
    ROUND_BYTES = 1 << 20, /* in one call of the loop, so that others get their turn */
    KEPT_BYTES = 1 << 20   /* an empty buffer may keep so much */
};
#define OPEN_LIMIT_NS UINT64_C(10000000000) /* from the begin until it is up */

enum link_state {
    LINK_CONNECTING,
    LINK_SHAKING,
    LINK_GREETED, /* waits for the first frame */
    LINK_UP,
    LINK_FAILED,
    LINK_DOWN
};

struct buffer {
    char *bytes;
    size_t at, end, capacity; /* bytes[at..end) are there */
};

struct link {
    struct link_timed timed;
    struct loop *loop;
    struct loop_watch *watch;
    uint32_t events; /* that are watched */
    int fd;
    struct link_secure *secure; /* NULL: plain */
    enum link_state state;
    bool is_listener, is_closed, was_up;
    bool is_mute; /* the peer takes nothing any more; what it said is still read */
    bool wants_write;
    unsigned calls; /* of ours that are on the stack */
    bool has_sent, has_heard;
    uint64_t sent_ns, heard_ns; /* as the last turns saw it; 0: no turn yet */
    uint64_t turned_ns;         /* of the last turn */
    struct buffer in, out;
    struct fab_err why;
    const struct link_ops *ops;
    void *user;
    char name[LINK_NAME_BYTES];
};

/* ---- buffers ----------------------------------------------------------------------------------
 */

static bool buffer_reserve(struct buffer *buffer, size_t count)
{
    size_t used = buffer->end - buffer->at, capacity = buffer->capacity;
    char *bytes;

    if (buffer->capacity - buffer->end >= count)
        return true;
    if (buffer->at > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->at, used);
        buffer->at = 0;
        buffer->end = used;
    }
    while (capacity - used < count)
        capacity = capacity ? 2 * capacity : READ_BYTES;
    if (capacity == buffer->capacity)
        return true;
    bytes = fab_alloc_resize(buffer->bytes, capacity, 1);
    if (!bytes)
        return false;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

static void buffer_clear(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

static void buffer_take(struct buffer *buffer, size_t count)
{
    buffer->at += count;
    if (buffer->at < buffer->end)
        return;
    buffer->at = buffer->end = 0;
    if (buffer->capacity > KEPT_BYTES)
        buffer_clear(buffer);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* The link goes down for `err`: in this call of the loop, or in the next one, which comes at once.
 */
static void fail(struct link *link, const struct fab_err *err)
{
    if (link->state >= LINK_FAILED)
        return;
    link->why = *err;
    fab_err_context(&link->why, "%s", link->name);
    link->state = LINK_FAILED;
    link->timed.due_ns = 0;
    (void)shutdown(link->fd, SHUT_RDWR); /* wakes the loop; it may be connected no more */
}

static void fail_text(struct link *link, enum fab_status status, const char *text)
{
    struct fab_err err = {0};

    (void)fab_err_set(&err, status, "%s", text);
    fail(link, &err);
}

static void release(struct link *link)
{
    loop_unwatch(link->watch);
    link->watch = NULL;
    link_secure_close(link->secure);
    link->secure = NULL;
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    buffer_clear(&link->out);
}

static void enter(struct link *link)
{
    link->calls++;
}

static void leave(struct link *link)
{
    link->calls--;
    if (link->calls == 0 && link->state == LINK_FAILED && !link->is_closed) {
        link->calls++;
        link->state = LINK_DOWN;
        link->timed.due_ns = UINT64_MAX;
        release(link);
        link->ops->down(link->user, link, &link->why);
        link->calls--;
    }
    if (link->calls == 0 && link->is_closed) {
        buffer_clear(&link->in);
        free(link);
    }
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static enum fab_status write_some(struct link *link, const char *bytes, size_t count,
                                  size_t *count_out, struct fab_err *err)
{
    ssize_t sent;

    if (link->secure)
        return link_secure_write(link->secure, bytes, count, count_out, err);
    sent = send(link->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return FAB_ERR_AGAIN;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
        return FAB_ERR_PEER_LOST;
    if (sent < 0)
        return fab_err_errno(err, errno, "sending");
    *count_out = (size_t)sent;
    return FAB_OK;
}

static void flush(struct link *link)
{
    struct fab_err err = {0};

    while (!link->is_mute && link->out.at < link->out.end) {
        size_t count = 0;
        enum fab_status status = write_some(link, link->out.bytes + link->out.at,
                                            link->out.end - link->out.at, &count, &err);

        if (status == FAB_ERR_AGAIN)
            return;
        if (status == FAB_ERR_PEER_LOST) {
            /* It may have said why: reading finds that, and the end. */
            link->is_mute = true;
            buffer_clear(&link->out);
            return;
        }
        if (status != FAB_OK) {
            fail(link, &err);
            return;
        }
        buffer_take(&link->out, count);
    }
}

static void watch_what_is_due(struct link *link)
{
    uint32_t events = EPOLLIN;

    if (link->state == LINK_CONNECTING)
        events = EPOLLOUT;
    else if (link->state == LINK_SHAKING)
        events = link->wants_write ? EPOLLOUT : EPOLLIN;
    else if (link->out.at < link->out.end)
        events |= EPOLLOUT;
    if (link->watch && events != link->events) {
        loop_rewatch(link->watch, events);
        link->events = events;
    }
}

static void put_u32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const char *at)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

static bool queue_frame(struct link *link, uint32_t channel, const void *bytes, size_t count)
{
    struct buffer *out = &link->out;

    if (link->state >= LINK_FAILED || link->is_mute)
        return false;
    if (out->end - out->at + HEAD_BYTES + count > LINK_QUEUE_BYTES) {
        fail_text(link, FAB_ERR_LIMIT, "it does not read what is sent to it");
        return false;
    }
    if (!buffer_reserve(out, HEAD_BYTES + count)) {
        fail_text(link, FAB_ERR_NOMEM, "no memory for what is sent");
        return false;
    }
    put_u32(out->bytes + out->end, (uint32_t)(CHANNEL_BYTES + count));
    put_u32(out->bytes + out->end + CHANNEL_BYTES, channel);
    memcpy(out->bytes + out->end + HEAD_BYTES, bytes, count);
    out->end += HEAD_BYTES + count;
    link->has_sent = true;
    if (link->state == LINK_UP || link->state == LINK_GREETED)
        flush(link);
    watch_what_is_due(link);
    return true;
}

bool link_send(struct link *link, const struct message *message)
{
    struct fab_err err = {0};
    char *text = NULL;
    size_t bytes = 0;
    bool is_sent;

    if (link->state >= LINK_FAILED)
        return false;
    if (message_write(message, LINK_MESSAGE_BYTES, &text, &bytes, &err) != FAB_OK) {
        fail(link, &err);
        return false;
    }
    is_sent = queue_frame(link, 0, text, bytes);
    free(text);
    return is_sent;
}

bool link_send_packet(struct link *link, uint32_t channel, const void *bytes, size_t count)
{
    if (channel == 0 || count == 0 || count > LINK_PACKET_BYTES) {
        fail_text(link, FAB_ERR_INVALID, "a packet without channel or bytes, or too long");
        return false;
    }
    return queue_frame(link, channel, bytes, count);
}

static void say_refused(struct link *link, const char *reason)
{
    struct message message = {.kind = MESSAGE_REFUSE};

    (void)snprintf(message.refuse_reason, sizeof(message.refuse_reason), "%s", reason);
    (void)link_send(link, &message); /* it ends anyhow */
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void go_up(struct link *link)
{
    char peer[LINK_NAME_BYTES];
    char from[LINK_NAME_BYTES];

    (void)snprintf(from, sizeof(from), "%s", link->name);
    (void)snprintf(peer, sizeof(peer), "%s",
                   link->secure ? link_secure_peer(link->secure) : link->name);
    if (link->secure)
        (void)snprintf(link->name, sizeof(link->name), "%.80s (%.80s)", peer, from);
    link->state = LINK_UP;
    link->was_up = true;
    link->ops->up(link->user, link, peer);
}

static void take_message(struct link *link, const char *text, size_t bytes)
{
    struct fab_err err = {0};
    struct message message;
    enum fab_status status = message_read(text, bytes, &message, &err);

    if (status != FAB_OK) {
        err.status =
            status == FAB_ERR_VERSION || status == FAB_ERR_NOMEM ? status : FAB_ERR_PROTOCOL;
        say_refused(link, err.text);
        fail(link, &err);
        return;
    }
    if (message.kind == MESSAGE_REFUSE) {
        (void)fab_err_set(&err, FAB_ERR_DENIED, "refused: %s", message.refuse_reason);
        fail(link, &err);
    } else if (message.kind != MESSAGE_PING) {
        link->ops->message(link->user, link, &message);
    }
    message_clear(&message);
}

/* One frame, if it is there. False: wait for more. */
static bool take_frame(struct link *link)
{
    struct buffer *in = &link->in;
    const size_t there = in->end - in->at;
    const char *head = in->bytes + in->at;
    size_t count;
    uint32_t channel, length;

    if (there < HEAD_BYTES)
        return false;
    length = get_u32(head);
    channel = get_u32(head + CHANNEL_BYTES);
    count = length - CHANNEL_BYTES;
    if (length <= CHANNEL_BYTES ||
        count > (channel == 0 ? LINK_MESSAGE_BYTES : LINK_PACKET_BYTES)) {
        say_refused(link, "a frame breaks a bound");
        fail_text(link, FAB_ERR_PROTOCOL, "a frame breaks a bound");
        return false;
    }
    if (there < HEAD_BYTES + count)
        return false;
    if (link->state == LINK_GREETED)
        go_up(link);
    if (link->state == LINK_UP && !link->is_closed) {
        if (channel == 0)
            take_message(link, head + HEAD_BYTES, count);
        else
            link->ops->packet(link->user, link, channel, head + HEAD_BYTES, count);
    }
    buffer_take(in, HEAD_BYTES + count);
    return true;
}

static bool is_open(const struct link *link)
{
    return !link->is_closed && (link->state == LINK_GREETED || link->state == LINK_UP);
}

static enum fab_status read_some(struct link *link, size_t *count_out, struct fab_err *err)
{
    struct buffer *in = &link->in;
    ssize_t got;

    if (!buffer_reserve(in, READ_BYTES))
        return fab_err_set(err, FAB_ERR_NOMEM, "no memory for what comes");
    if (link->secure)
        return link_secure_read(link->secure, in->bytes + in->end, READ_BYTES, count_out, err);
    got = recv(link->fd, in->bytes + in->end, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return FAB_ERR_AGAIN;
    if (got < 0)
        return fab_err_errno(err, errno, "receiving");
    if (got == 0)
        return fab_err_set(err, FAB_ERR_PEER_LOST, "closed by the peer");
    *count_out = (size_t)got;
    return FAB_OK;
}

static void read_all(struct link *link)
{
    size_t taken = 0;

    while (is_open(link) &&
           (taken < ROUND_BYTES || (link->secure && link_secure_has_more(link->secure)))) {
        struct fab_err err = {0};
        size_t count = 0;
        enum fab_status status = read_some(link, &count, &err);

        if (status == FAB_ERR_AGAIN)
            return;
        if (status != FAB_OK) {
            fail(link, &err);
            return;
        }
        link->has_heard = true;
        link->in.end += count;
        taken += count;
        while (is_open(link) && take_frame(link))
            ;
    }
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void ping(struct link *link)
{
    const struct message message = {.kind = MESSAGE_PING};

    (void)link_send(link, &message); /* a failure has its own way */
}

static void shake(struct link *link)
{
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;

    if (link->secure)
        status = link_secure_handshake(link->secure, &link->wants_write, &err);
    if (status == FAB_ERR_AGAIN)
        return;
    if (status != FAB_OK) {
        fail(link, &err);
        return;
    }
    if (link->secure && !link->is_listener)
        link->state = LINK_GREETED;
    else
        go_up(link);
    if (link->secure && is_open(link))
        ping(link); /* the greeting, if we listen */
}

static void connected(struct link *link)
{
    struct fab_err err = {0};
    int error = 0;
    socklen_t bytes = sizeof(error);

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
        error = errno;
    if (error != 0) {
        (void)fab_err_errno(&err, error, "connecting");
        fail(link, &err);
        return;
    }
    link->state = LINK_SHAKING;
}

static void ready(void *user, uint32_t events)
{
    struct link *link = user;

    enter(link);
    if (link->state == LINK_CONNECTING)
        connected(link);
    if (link->state == LINK_SHAKING)
        shake(link);
    if (is_open(link))
        flush(link);
    if (is_open(link) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR) || link->secure))
        read_all(link);
    if (!link->is_closed)
        watch_what_is_due(link);
    leave(link);
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void check_silence(struct link *link, uint64_t now_ns)
{
    /* The other end may be in this process, too, and was as deaf. */
    const uint64_t late_ns = loop_lateness_ns(&link->turned_ns, now_ns);

    if (link->heard_ns != 0)
        link->heard_ns += late_ns;
    if (link->has_heard || link->heard_ns == 0)
        link->heard_ns = now_ns;
    link->has_heard = false;
    if (now_ns - link->heard_ns < LINK_SILENCE_NS)
        return;
    read_all(link); /* the silence may be ours: what came was not read yet */
    if (link->has_heard)
        link->heard_ns = now_ns;
    else
        fail_text(link, FAB_ERR_TIMEOUT, "silent for 5 s");
    link->has_heard = false;
}

static void turn_up(struct link *link, uint64_t now_ns)
{
    if (link->has_sent || link->sent_ns == 0)
        link->sent_ns = now_ns;
    link->has_sent = false;
    check_silence(link, now_ns);
    if (link->state == LINK_UP && !link->is_closed && now_ns - link->sent_ns >= LINK_PING_NS) {
        ping(link);
        link->has_sent = false;
        link->sent_ns = now_ns;
    }
    link->timed.due_ns = link->sent_ns + LINK_PING_NS;
    if (link->heard_ns + LINK_SILENCE_NS < link->timed.due_ns)
        link->timed.due_ns = link->heard_ns + LINK_SILENCE_NS;
}

static void turn(struct link_timed *timed, uint64_t now_ns)
{
    struct link *link = fab_list_object(&timed->node, struct link, timed.node);

    enter(link);
    if (link->state == LINK_UP) {
        turn_up(link, now_ns);
    } else if (link->state < LINK_UP) {
        if (timed->due_ns == 0)
            timed->due_ns = now_ns + OPEN_LIMIT_NS;
        else if (now_ns >= timed->due_ns)
            fail_text(link, FAB_ERR_TIMEOUT, "no handshake within 10 s");
    }
    leave(link);
}

uint64_t link_turn(struct loop *loop, uint64_t now_ns)
{
    struct fab_list *head = loop_links(loop);
    uint64_t due_ns = UINT64_MAX;
    size_t count = 0;

    FAB_LIST_EACH(at, after, head)
    count++;
    /* Each goes to the end before its turn, in which it may end, and others with it. */
    for (; count > 0 && !fab_list_is_empty(head); count--) {
        struct fab_list *node = fab_list_take(head);
        struct link_timed *timed = fab_list_object(node, struct link_timed, node);

        fab_list_append(head, node);
        timed->turn(timed, now_ns);
    }
    FAB_LIST_EACH(at, after, head)
    {
        const struct link_timed *timed = fab_list_object(at, struct link_timed, node);

        if (timed->due_ns < due_ns)
            due_ns = timed->due_ns;
    }
    return due_ns;
}

/* ---- begin and end ----------------------------------------------------------------------------
 */

static void destroy(struct link *link)
{
    fab_list_remove(&link->timed.node);
    release(link);
    link->is_closed = true;
    enter(link);
    leave(link);
}

enum fab_status link_start(const struct link_start *start, struct link **link_out,
                           struct fab_err *err)
{
    struct link *link = fab_alloc_zeroed(1, sizeof(*link));
    enum fab_status status = FAB_OK;

    if (!link) {
        (void)close(start->fd);
        return fab_err_set(err, FAB_ERR_NOMEM, "a link to %s", start->name);
    }
    fab_list_init(&link->timed.node);
    link->timed.turn = turn;
    link->loop = start->loop;
    link->fd = start->fd;
    link->is_listener = start->is_listener;
    link->ops = start->ops;
    link->user = start->user;
    link->events = EPOLLOUT; /* comes at once where it is connected */
    (void)snprintf(link->name, sizeof(link->name), "%s", start->name);
    if (start->tls)
        status = link_secure_open(start->tls, link->fd, link->is_listener, start->peer,
                                  &link->secure, err);
    if (status == FAB_OK)
        status = loop_watch(link->loop, link->fd, link->events, ready, link, &link->watch, err);
    if (status != FAB_OK) {
        destroy(link);
        return status;
    }
    fab_list_append(loop_links(link->loop), &link->timed.node);
    *link_out = link;
    return FAB_OK;
}

enum fab_status link_adopt(struct loop *loop, int fd, const char *name, const struct link_ops *ops,
                           void *user, struct link **link_out, struct fab_err *err)
{
    const struct link_start start = {
        .loop = loop, .fd = fd, .name = name, .ops = ops, .user = user};

    return link_start(&start, link_out, err);
}

/* Accepted here and never up; NULL: something else. */
static struct link *stranger(struct fab_list *node)
{
    struct link_timed *timed = fab_list_object(node, struct link_timed, node);
    struct link *link = fab_list_object(node, struct link, timed.node);

    return timed->turn == turn && link->is_listener && !link->was_up ? link : NULL;
}

size_t link_count_strangers(struct loop *loop)
{
    size_t count = 0;

    FAB_LIST_EACH(at, after, loop_links(loop))
    count += stranger(at) != NULL;
    return count;
}

void link_close_strangers(struct loop *loop, const void *user)
{
    FAB_LIST_EACH(at, after, loop_links(loop))
    {
        struct link *link = stranger(at);

        if (link && link->user == user)
            link_close(link);
    }
}

void link_set_ops(struct link *link, const struct link_ops *ops, void *user)
{
    link->ops = ops;
    link->user = user;
}

void link_close(struct link *link)
{
    if (!link)
        return;
    if (is_open(link))
        flush(link);
    destroy(link);
}

void link_refuse(struct link *link, const char *reason)
{
    say_refused(link, reason);
    link_close(link);
}
