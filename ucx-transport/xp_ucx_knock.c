/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_knock.c - is the way to a peer open? Asked before UCX dials.
 *
 * UCX 1.13.1 either blocks in connect(2) for minutes when a link is dead, or (TCP_CONN_NB) connects
 * in the background and was seen to crash when that fails. So each tcp wire has a door: a
 * listening socket whose connections are closed at once and never read. A dial first knocks there,
 * without blocking; only when the peer's kernel has answered is the UCX endpoint made, whose own
 * connect then takes a round trip. A dial to a dead link so costs UCX nothing at all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ucx-transport/xp_ucx_int.h"

enum { BACKLOG = 128, SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC };

static bool watch(struct xp_wire *wire, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(wire->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool find_address(const char *device, struct sockaddr_in *address_out)
{
    struct ifaddrs *all, *one;
    bool found = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (one = all; one && !found; one = one->ifa_next) {
        found = one->ifa_addr && one->ifa_addr->sa_family == AF_INET &&
                strcmp(one->ifa_name, device) == 0;
        if (found)
            memcpy(address_out, one->ifa_addr, sizeof(*address_out));
    }
    freeifaddrs(all);
    return found;
}

enum fab_status xp_ucx_door_open(struct xp_wire *wire, const char *device, struct fab_err *err)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);

    wire->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (wire->epoll_fd < 0 || !watch(wire, wire->event_fd, EPOLLIN))
        return fab_err_errno(err, errno, "a descriptor to wait on");
    if (strchr(device, ':') || !find_address(device, &wire->own))
        return FAB_OK; /* InfiniBand, or IPv6 only: UCX dials unasked */
    address = wire->own;
    address.sin_port = 0;
    wire->door_fd = socket(AF_INET, SOCKET_FLAGS, 0);
    if (wire->door_fd < 0 || bind(wire->door_fd, (struct sockaddr *)&address, bytes) != 0 ||
        listen(wire->door_fd, BACKLOG) != 0 ||
        getsockname(wire->door_fd, (struct sockaddr *)&address, &bytes) != 0 ||
        !watch(wire, wire->door_fd, EPOLLIN))
        return fab_err_errno(err, errno, "the door of a rail");
    memcpy(wire->address, &address.sin_addr, sizeof(address.sin_addr));
    memcpy(wire->address + sizeof(address.sin_addr), &address.sin_port, sizeof(address.sin_port));
    return FAB_OK;
}

void xp_ucx_door_close(struct xp_wire *wire)
{
    if (wire->door_fd >= 0)
        (void)close(wire->door_fd);
    if (wire->epoll_fd >= 0)
        (void)close(wire->epoll_fd);
}

bool xp_ucx_knock(struct xp_ep *ep)
{
    struct sockaddr_in to = {.sin_family = AF_INET}, from = ep->wire->own;

    memcpy(&to.sin_addr, ep->address, sizeof(to.sin_addr));
    memcpy(&to.sin_port, ep->address + sizeof(to.sin_addr), sizeof(to.sin_port));
    if (to.sin_port == 0 || ep->wire->door_fd < 0)
        return false;
    from.sin_port = 0;
    ep->knock_fd = socket(AF_INET, SOCKET_FLAGS, 0);
    if (ep->knock_fd < 0)
        return false;
    if (bind(ep->knock_fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
        (connect(ep->knock_fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS) &&
        watch(ep->wire, ep->knock_fd, EPOLLOUT)) {
        fab_list_append(&ep->wire->knocking, &ep->knock_link);
        return true;
    }
    /* No way at all: as good as an answer that says so. */
    xp_ucx_knock_end(ep);
    xp_ucx_ep_answered(ep, /* is_open */ false);
    return true;
}

void xp_ucx_knock_end(struct xp_ep *ep)
{
    fab_list_remove(&ep->knock_link);
    if (ep->knock_fd >= 0)
        (void)close(ep->knock_fd);
    ep->knock_fd = -1;
}

bool xp_ucx_knock_progress(struct xp_wire *wire)
{
    bool did = false;

    FAB_LIST_EACH(node, after, &wire->knocking)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, knock_link);
        struct sockaddr_in peer;
        socklen_t bytes = sizeof(peer), error_bytes = sizeof(int);
        int error = 0;

        if (getsockopt(ep->knock_fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0)
            error = errno;
        if (!error && getpeername(ep->knock_fd, (struct sockaddr *)&peer, &bytes) != 0)
            continue; /* not yet */
        did = true;
        xp_ucx_knock_end(ep);
        xp_ucx_ep_answered(ep, !error);
    }
    return did;
}

void xp_ucx_door_answer(struct xp_wire *wire)
{
    int fd;

    while (wire->door_fd >= 0 && (fd = accept4(wire->door_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        (void)close(fd);
}
