/* SPDX-License-Identifier: Apache-2.0
 * session/ses_packet.c - one message a packet, behind a head that says what it is.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session/ses_int.h"

enum { SES_MAGIC = 0x53455346 }; /* "FSES" */

struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t body_bytes;
    uint32_t zero;
};

/* Room for the one descriptor that a message may bring, aligned as the kernel wants it. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* `passed` -1: no descriptor. */
static void attach_descriptor(struct msghdr *message, union control *control, int passed)
{
    struct cmsghdr *entry;

    if (passed < 0)
        return;
    *control = (union control){.bytes = {0}};
    message->msg_control = control->bytes;
    message->msg_controllen = sizeof(control->bytes);
    entry = CMSG_FIRSTHDR(message);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(sizeof(passed));
    memcpy(CMSG_DATA(entry), &passed, sizeof(passed));
}

/* -1: none came. */
static int detach_descriptor(struct msghdr *message)
{
    const struct cmsghdr *entry = CMSG_FIRSTHDR(message);
    int passed = -1;

    if (entry && entry->cmsg_level == SOL_SOCKET && entry->cmsg_type == SCM_RIGHTS &&
        entry->cmsg_len == CMSG_LEN(sizeof(passed)))
        memcpy(&passed, CMSG_DATA(entry), sizeof(passed));
    return passed;
}

enum fab_status ses_send(int fd, uint32_t op, const struct sesm_parts *parts, struct fab_err *err)
{
    return ses_send_descriptor(fd, op, parts, -1, err);
}

enum fab_status ses_send_descriptor(int fd, uint32_t op, const struct sesm_parts *parts, int passed,
                                    struct fab_err *err)
{
    union control control;
    struct head head = {.magic = SES_MAGIC, .version = SES_VERSION, .op = (uint16_t)op};
    struct iovec all[1 + SESM_PARTS_MAX] = {{.iov_base = &head, .iov_len = sizeof(head)}};
    struct msghdr message = {.msg_iov = all, .msg_iovlen = 1 + parts->count};
    ssize_t sent;

    attach_descriptor(&message, &control, passed);
    for (size_t i = 0; i < parts->count; i++) {
        all[1 + i] = parts->part[i];
        head.body_bytes += (uint32_t)parts->part[i].iov_len;
    }
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return FAB_OK;
    if (errno == EPIPE || errno == ECONNRESET)
        return fab_err_set(err, FAB_ERR_PEER_LOST, "the other end of the attach protocol is gone");
    return fab_err_errno(err, errno, "sending a message of the attach protocol");
}

static enum fab_status wait_readable(int fd, int timeout_ms, struct fab_err *err)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int got;

    do
        got = poll(&poll_fd, 1, timeout_ms);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return FAB_OK;
    if (got == 0)
        return fab_err_set(err, FAB_ERR_TIMEOUT, "no answer after %d s", timeout_ms / 1000);
    return fab_err_errno(err, errno, "waiting for a message of the attach protocol");
}

static enum fab_status check_head(const struct head *head, size_t body_bytes, struct fab_err *err)
{
    if (head->magic != SES_MAGIC || head->body_bytes != body_bytes || head->zero != 0)
        return fab_err_set(err, FAB_ERR_PROTOCOL, "not a message of the attach protocol");
    if (head->version != SES_VERSION)
        return fab_err_set(err, FAB_ERR_VERSION,
                           "attach protocol %u at the other end, %d here: install the same version "
                           "of fabricd, the client and the workers on all nodes",
                           head->version, SES_VERSION);
    return FAB_OK;
}

enum fab_status ses_receive(int fd, int timeout_ms, struct ses_packet *packet, struct fab_err *err)
{
    return ses_receive_descriptor(fd, timeout_ms, packet, NULL, err);
}

enum fab_status ses_receive_descriptor(int fd, int timeout_ms, struct ses_packet *packet,
                                       int *passed_out, struct fab_err *err)
{
    union control control;
    struct head head;
    struct iovec parts[2] = {{.iov_base = &head, .iov_len = sizeof(head)},
                             {.iov_base = packet->body, .iov_len = sizeof(packet->body)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    enum fab_status status = wait_readable(fd, timeout_ms, err);
    ssize_t got;

    if (status != FAB_OK)
        return status;
    if (passed_out) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    /* A socket that was closed with a message of ours unread says so once, then gives what it
     * holds. Source: unix(7), ECONNRESET. */
    for (bool was_reset = false;; was_reset = true) {
        do
            got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
        if (got >= 0 || errno != ECONNRESET || was_reset)
            break;
    }
    if (got < 0 && errno == EAGAIN)
        return fab_err_set(err, FAB_ERR_TIMEOUT, "no message");
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return fab_err_set(err, FAB_ERR_PEER_LOST, "the other end of the attach protocol is gone");
    if (got < 0)
        return fab_err_errno(err, errno, "receiving a message of the attach protocol");
    if (passed_out)
        *passed_out = detach_descriptor(&message);
    if ((size_t)got < sizeof(head) || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return fab_err_set(err, FAB_ERR_PROTOCOL, "a message of the attach protocol is cut");
    packet->op = head.op;
    packet->size_bytes = (size_t)got - sizeof(head);
    return check_head(&head, packet->size_bytes, err);
}

enum fab_status ses_refused(const struct ses_packet *packet, struct fab_err *err)
{
    struct sesm_refuse refuse;

    if (!sesm_get_refuse(packet->body, packet->size_bytes, &refuse) || refuse.status >= FAB_OK)
        return fab_err_set(err, FAB_ERR_PROTOCOL, "a refusal that makes no sense");
    return fab_err_set(err, (enum fab_status)refuse.status, "%.*s", (int)refuse.text_count,
                       refuse.text_count ? (const char *)refuse.text : "");
}

enum fab_status ses_last_words(int fd, enum fab_status status, struct fab_err *err)
{
    struct ses_packet packet;

    if (status != FAB_ERR_PEER_LOST)
        return status;
    while (ses_receive(fd, SES_WAIT_NOT, &packet, NULL) == FAB_OK) {
        if (packet.op == SESM_REFUSE)
            return ses_refused(&packet, err);
    }
    return status;
}

enum fab_status ses_expect(int fd, uint32_t op, struct ses_packet *packet, struct fab_err *err)
{
    enum fab_status status = ses_receive(fd, SES_ANSWER_MS, packet, err);

    if (status != FAB_OK)
        return status;
    if (packet->op == SESM_REFUSE)
        return ses_refused(packet, err);
    if (packet->op != op)
        return fab_err_set(err, FAB_ERR_PROTOCOL, "message %u of the attach protocol, not %u",
                           packet->op, op);
    return FAB_OK;
}

void ses_refuse(int fd, enum fab_status status, const char *text)
{
    struct sesm_refuse refuse = {.status = (int32_t)status, .text = text};
    struct sesm_parts parts;

    refuse.text_count = (uint32_t)strnlen(text, SES_TEXT_BYTES - 1);
    sesm_put_refuse(&refuse, &parts);
    if (ses_send(fd, SESM_REFUSE, &parts, NULL) != FAB_OK)
        return; /* it is gone: it need not hear why */
}

static void event_of(const struct ses_packet *packet, struct ses_event *event_out)
{
    struct sesm_event event;

    if (packet->op != SESM_EVENT || !sesm_get_event(packet->body, packet->size_bytes, &event) ||
        event.kind > SES_EVENT_BROKER_GONE)
        return; /* a later version's event: nothing to us */
    event_out->kind = (enum ses_event_kind)event.kind;
    event_out->worker = event.worker;
    (void)snprintf(event_out->text, sizeof(event_out->text), "%.*s", (int)event.text_count,
                   event.text_count ? (const char *)event.text : "");
}

void ses_event_take(int fd, bool *is_over, struct ses_event *event_out)
{
    struct ses_packet packet;
    struct fab_err err = {0};
    enum fab_status status;

    *event_out = (struct ses_event){.kind = SES_EVENT_NONE};
    if (*is_over)
        return;
    status = ses_receive(fd, SES_WAIT_NOT, &packet, &err);
    if (status == FAB_ERR_TIMEOUT)
        return;
    if (status == FAB_OK && packet.op != SESM_REFUSE) {
        event_of(&packet, event_out);
        return;
    }
    if (status == FAB_OK)
        (void)ses_refused(&packet, &err); /* for its text */
    event_out->kind = status == FAB_OK ? SES_EVENT_REVOKED : SES_EVENT_BROKER_GONE;
    *is_over = true;
    (void)snprintf(event_out->text, sizeof(event_out->text), "%s", err.text);
}
