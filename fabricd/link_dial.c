/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link_dial.c - numeric addresses, dialling, and the listener. See link.h.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/parse.h"
#include "fabricd/link_int.h"
#include "fabricd/loop.h"

enum {
    HOST_BYTES = 64,
    PORT_BYTES = 8,
    PORT_LAST = 65535,
    BACKLOG = 128,
    ACCEPTED_A_ROUND = 16,
    STRANGERS_MAX = 256 /* handshakes at once */
};
#define PAUSE_NS UINT64_C(1000000000) /* when there are no descriptors */

struct link_listener {
    struct link_timed timed;
    struct loop *loop;
    struct link_tls *tls;
    struct loop_watch *watch;
    int fd;
    bool is_paused;
    const struct link_ops *ops;
    void *user;
};

struct address {
    struct sockaddr_storage at;
    socklen_t bytes;
};

/* ---- addresses --------------------------------------------------------------------------------
 */

static enum fab_status bad_address(const char *text, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_INVALID,
                       "'%.80s' is no ADDRESS:PORT with a numeric address (IPv6 in brackets)",
                       text);
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" in two. */
static bool split(const char *text, char host[HOST_BYTES], char port[PORT_BYTES])
{
    const char *colon = strrchr(text, ':');
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    int64_t number;

    if (bytes == 0 || fab_parse_int(colon + 1, &number) != FAB_OK || number < 0 ||
        number > PORT_LAST)
        return false;
    if (text[0] == '[' && text[bytes - 1] == ']' && bytes > 2) {
        text++;
        bytes -= 2;
    } else if (memchr(text, ':', bytes)) {
        return false;
    }
    if (bytes >= HOST_BYTES)
        return false;
    memcpy(host, text, bytes);
    host[bytes] = '\0';
    (void)snprintf(port, PORT_BYTES, "%u", (unsigned)number);
    return true;
}

static enum fab_status address_parse(const char *text, struct address *to, struct fab_err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[HOST_BYTES], port[PORT_BYTES];

    if (!split(text, host, port) || getaddrinfo(host, port, &hints, &found) != 0)
        return bad_address(text, err);
    to->bytes = found->ai_addrlen;
    memcpy(&to->at, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return FAB_OK;
}

static void address_format(const struct address *from, char text[LINK_NAME_BYTES])
{
    char host[HOST_BYTES] = "?", port[PORT_BYTES] = "?";

    (void)getnameinfo((const struct sockaddr *)&from->at, from->bytes, host, sizeof(host), port,
                      sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(text, LINK_NAME_BYTES, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int stream_socket(const struct address *address)
{
    return socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void set_option(int fd, int level, int option)
{
    const int on = 1;

    (void)setsockopt(fd, level, option, &on, sizeof(on)); /* it works without, less well */
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

enum fab_status link_dial(struct loop *loop, struct link_tls *tls, const char *address,
                          const char *peer, const struct link_ops *ops, void *user,
                          struct link **link_out, struct fab_err *err)
{
    struct link_start start = {
        .loop = loop, .tls = tls, .name = address, .peer = peer, .ops = ops, .user = user};
    struct address to;
    enum fab_status status = address_parse(address, &to, err);

    if (status != FAB_OK)
        return status;
    if (!tls)
        return fab_err_set(err, FAB_ERR_INVALID, "dialling %s without certificates", address);
    start.fd = stream_socket(&to);
    if (start.fd < 0)
        return fab_err_errno(err, errno, "a socket to %s", address);
    set_option(start.fd, IPPROTO_TCP, TCP_NODELAY);
    if (connect(start.fd, (const struct sockaddr *)&to.at, to.bytes) != 0 && errno != EINPROGRESS) {
        status = fab_err_errno(err, errno, "connecting to %s", address);
        (void)close(start.fd);
        return status;
    }
    return link_start(&start, link_out, err);
}

/* ---- listening --------------------------------------------------------------------------------
 */

static void pause_listener(struct link_listener *listener)
{
    listener->is_paused = true;
    listener->timed.due_ns = 0;
    loop_rewatch(listener->watch, 0);
}

static void turn(struct link_timed *timed, uint64_t now_ns)
{
    struct link_listener *listener =
        fab_list_object(&timed->node, struct link_listener, timed.node);

    if (listener->is_paused && timed->due_ns == 0) {
        timed->due_ns = now_ns + PAUSE_NS;
    } else if (listener->is_paused && now_ns >= timed->due_ns) {
        listener->is_paused = false;
        timed->due_ns = UINT64_MAX;
        loop_rewatch(listener->watch, EPOLLIN);
    }
}

static void take(struct link_listener *listener, int fd, const struct address *from)
{
    char name[LINK_NAME_BYTES];
    const struct link_start start = {.loop = listener->loop,
                                     .tls = listener->tls,
                                     .fd = fd,
                                     .is_listener = true,
                                     .name = name,
                                     .ops = listener->ops,
                                     .user = listener->user};
    struct link *link = NULL;

    address_format(from, name);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    /* Without memory for it the stranger is sent away: the descriptor is closed. */
    if (link_start(&start, &link, NULL) != FAB_OK)
        return;
}

static void ready(void *user, uint32_t events)
{
    struct link_listener *listener = user;

    (void)events;
    for (int i = 0; i < ACCEPTED_A_ROUND; i++) {
        struct address from = {.bytes = sizeof(from.at)};
        const int fd = accept4(listener->fd, (struct sockaddr *)&from.at, &from.bytes,
                               SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            pause_listener(listener);
        if (fd < 0)
            return; /* nobody is there any more */
        if (link_count_strangers(listener->loop) >= STRANGERS_MAX)
            (void)close(fd);
        else
            take(listener, fd, &from);
    }
}

static enum fab_status open_socket(struct link_listener *listener, const char *text,
                                   struct fab_err *err)
{
    struct address address;
    enum fab_status status = address_parse(text, &address, err);

    if (status != FAB_OK)
        return status;
    listener->fd = stream_socket(&address);
    if (listener->fd < 0)
        return fab_err_errno(err, errno, "a socket for %s", text);
    set_option(listener->fd, SOL_SOCKET, SO_REUSEADDR);
    if (bind(listener->fd, (const struct sockaddr *)&address.at, address.bytes) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return fab_err_errno(err, errno, "listening at %s", text);
    return FAB_OK;
}

enum fab_status link_listen(struct loop *loop, struct link_tls *tls, const char *address,
                            const struct link_ops *ops, void *user,
                            struct link_listener **listener_out, struct fab_err *err)
{
    struct link_listener *listener;
    enum fab_status status;

    if (!tls)
        return fab_err_set(err, FAB_ERR_INVALID, "listening at %s without certificates", address);
    listener = fab_alloc_zeroed(1, sizeof(*listener));
    if (!listener)
        return fab_err_set(err, FAB_ERR_NOMEM, "a listener");
    *listener =
        (struct link_listener){.loop = loop, .tls = tls, .fd = -1, .ops = ops, .user = user};
    fab_list_init(&listener->timed.node);
    listener->timed.turn = turn;
    listener->timed.due_ns = UINT64_MAX;
    status = open_socket(listener, address, err);
    if (status == FAB_OK)
        status = loop_watch(loop, listener->fd, EPOLLIN, ready, listener, &listener->watch, err);
    if (status != FAB_OK) {
        link_listener_close(listener);
        return status;
    }
    fab_list_append(loop_links(loop), &listener->timed.node);
    *listener_out = listener;
    return FAB_OK;
}

void link_listener_close(struct link_listener *listener)
{
    if (!listener)
        return;
    fab_list_remove(&listener->timed.node);
    loop_unwatch(listener->watch);
    if (listener->fd >= 0)
        (void)close(listener->fd);
    link_close_strangers(listener->loop, listener->user);
    free(listener);
}

uint16_t link_listener_port(const struct link_listener *listener)
{
    struct sockaddr_storage at = {0};
    socklen_t bytes = sizeof(at);
    const struct sockaddr_in *four = (const struct sockaddr_in *)&at;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&at;

    if (getsockname(listener->fd, (struct sockaddr *)&at, &bytes) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
}
