/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_shm_socket.c - the unix sockets beside the rings: meeting, waking, death.
 *
 * The connector makes a sealed memfd with both rings and passes it; that it can be mapped proves
 * the same kernel. A socket carries one message at a time (SOCK_SEQPACKET). Death of the peer is
 * the socket's end, or its pidfd, which a forked child that lives on cannot hide. Thread: the
 * engine of the wire.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "ucx-transport/xp_auth.h"
#include "ucx-transport/xp_shm_int.h"

enum { MESSAGE_BYTES = 1 + sizeof(struct shm_memory_word), SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

/* ---------------------------------------------------------------- messages */

bool shm_say(int fd, enum shm_word word, const struct shm_memory_word *memory, int passed_fd)
{
    uint8_t bytes[MESSAGE_BYTES] = {(uint8_t)word};
    struct iovec part = {.iov_base = bytes, .iov_len = memory ? sizeof(bytes) : 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (memory)
        memcpy(bytes + 1, memory, sizeof(*memory));
    if (passed_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)part.iov_len;
}

/* One message: its bytes, and the descriptor or -1. 0: the peer is gone; -1: nothing there. */
static ssize_t hear(int fd, uint8_t bytes[MESSAGE_BYTES], int *passed_fd_out)
{
    struct iovec part = {.iov_base = bytes, .iov_len = MESSAGE_BYTES};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    *passed_fd_out = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(passed_fd_out, CMSG_DATA(header), sizeof(int));
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : 0;
    return got;
}

/* ---------------------------------------------------------------- meeting */

static bool watch(struct xp_wire *wire, int fd, uint32_t events, struct shm_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(wire->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void shm_watch_room(struct xp_ep *ep, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0),
                                .data.ptr = &ep->source};

    (void)epoll_ctl(ep->wire->epoll_fd, EPOLL_CTL_MOD, ep->fd, &event);
}

enum fab_status shm_listen(struct xp_wire *wire, struct fab_err *err)
{
    enum { BACKLOG = 128 };
    uint64_t random;
    int length;

    if (xp_random(&random, sizeof(random)) != FAB_OK)
        return fab_err_set(err, FAB_ERR_IO, "a name for the socket");
    wire->address.sun_family = AF_UNIX;
    if (wire->config.device && wire->config.device[0]) {
        length = snprintf(wire->path, sizeof(wire->path), "%s/xp-%016llx", wire->config.device,
                          (unsigned long long)random);
        if (length < 0 || (size_t)length >= sizeof(wire->path))
            return fab_err_set(err, FAB_ERR_RANGE, "%s is too long for a socket's folder",
                               wire->config.device);
        memcpy(wire->address.sun_path, wire->path, (size_t)length + 1);
        wire->address_bytes =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length + 1);
    } else {
        length = snprintf(wire->address.sun_path + 1, sizeof(wire->address.sun_path) - 1,
                          "fabric-xp-%016llx", (unsigned long long)random);
        wire->address_bytes =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    }
    wire->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (wire->listen_fd < 0 ||
        bind(wire->listen_fd, (struct sockaddr *)&wire->address, wire->address_bytes) != 0 ||
        listen(wire->listen_fd, BACKLOG) != 0)
        return fab_err_errno(err, errno, "the socket %s",
                             wire->path[0] ? wire->path : "(abstract)");
    wire->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    wire->listen_source = (struct shm_source){.kind = SHM_SOURCE_LISTENER, .object = wire};
    if (wire->epoll_fd < 0 || !watch(wire, wire->listen_fd, EPOLLIN, &wire->listen_source))
        return fab_err_errno(err, errno, "watching the socket");
    return FAB_OK;
}

/* A pidfd of who is at the other end; -1 where the kernel or a pid namespace gives none. */
static int peer_death_fd(int fd)
{
    struct ucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.pid <= 0)
        return -1;
    return (int)syscall(SYS_pidfd_open, who.pid, 0); /* close-on-exec by itself */
}

/* The rest of what both ends do with a socket and mapped rings. Takes both on success. */
static struct xp_ep *make_ep(struct xp_wire *wire, int fd, void *memory, bool connector,
                             void *owner)
{
    struct xp_ep *ep = shm_ep_create(wire, fd, memory, connector, owner);

    if (!ep)
        return NULL;
    ep->source = (struct shm_source){.kind = SHM_SOURCE_EP, .object = ep};
    ep->death_source = ep->source;
    if (!watch(wire, fd, EPOLLIN | EPOLLRDHUP, &ep->source))
        shm_ep_hung(ep);
    ep->death_fd = peer_death_fd(fd);
    if (ep->death_fd >= 0 && !watch(wire, ep->death_fd, EPOLLIN, &ep->death_source)) {
        (void)close(ep->death_fd);
        ep->death_fd = -1;
    }
    return ep;
}

/* Both rings, sealed so that the other end cannot take the pages away under us. */
static int rings_create(void **memory_out)
{
    int fd = fab_fault("memfd") ? -1 : memfd_create("fabric-xp", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    if (ftruncate(fd, 2 * (off_t)SHM_RING_BYTES) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0) {
        *memory_out =
            mmap(NULL, 2 * (size_t)SHM_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (*memory_out != MAP_FAILED)
            return fd;
    }
    (void)close(fd);
    return -1;
}

static void *rings_map(int fd)
{
    struct stat info;
    void *memory;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &info) != 0 ||
        info.st_size != 2 * (off_t)SHM_RING_BYTES)
        return NULL;
    memory = mmap(NULL, 2 * (size_t)SHM_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

enum fab_status shm_connect(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                            void *owner, struct xp_ep **ep_out, struct fab_err *err)
{
    struct sockaddr_un to = {0};
    void *memory = NULL;
    int rings_fd = -1, fd;
    struct xp_ep *ep = NULL;

    if (address_bytes > sizeof(to) || address_bytes <= offsetof(struct sockaddr_un, sun_path))
        return fab_err_set(err, FAB_ERR_FORMAT, "a socket address of %zu bytes", address_bytes);
    memcpy(&to, address, address_bytes);
    if (to.sun_family != AF_UNIX)
        return fab_err_set(err, FAB_ERR_FORMAT, "not a unix socket");
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, (socklen_t)address_bytes) == 0)
        rings_fd = rings_create(&memory);
    if (rings_fd >= 0 && shm_say(fd, SHM_WORD_RINGS, NULL, rings_fd))
        ep = make_ep(wire, fd, memory, /* connector */ true, owner);
    if (!ep)
        (void)fab_err_errno(err, errno, "the peer's socket");
    if (rings_fd >= 0)
        (void)close(rings_fd);
    if (!ep && rings_fd >= 0)
        (void)munmap(memory, 2 * (size_t)SHM_RING_BYTES);
    if (!ep && fd >= 0)
        (void)close(fd);
    *ep_out = ep;
    return ep ? FAB_OK : FAB_ERR_UNREACHABLE;
}

/* ---------------------------------------------------------------- strangers */

static void accept_strangers(struct xp_wire *wire)
{
    int fd;

    while ((fd = accept4(wire->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct shm_stranger *stranger = NULL;

        if (wire->stranger_count < SHM_STRANGERS_MAX)
            stranger = fab_alloc_zeroed(1, sizeof(*stranger));
        if (!stranger) {
            (void)close(fd);
            continue;
        }
        stranger->fd = fd;
        stranger->source = (struct shm_source){.kind = SHM_SOURCE_STRANGER, .object = stranger};
        fab_list_append(&wire->strangers, &stranger->link);
        wire->stranger_count++;
        if (!watch(wire, fd, EPOLLIN | EPOLLRDHUP, &stranger->source)) {
            wire->stranger_count--;
            shm_stranger_free(stranger);
        }
    }
}

void shm_stranger_free(struct shm_stranger *stranger)
{
    fab_list_remove(&stranger->link);
    if (stranger->fd >= 0)
        (void)close(stranger->fd);
    free(stranger);
}

/* The first message must bring the rings; anything else ends the acquaintance. */
static void hear_stranger(struct xp_wire *wire, struct shm_stranger *stranger)
{
    uint8_t bytes[MESSAGE_BYTES];
    int passed_fd;
    ssize_t got = hear(stranger->fd, bytes, &passed_fd);
    void *memory = NULL;

    if (got < 0)
        return;
    if (got == 1 && bytes[0] == SHM_WORD_RINGS && passed_fd >= 0)
        memory = rings_map(passed_fd);
    if (passed_fd >= 0)
        (void)close(passed_fd);
    (void)epoll_ctl(wire->epoll_fd, EPOLL_CTL_DEL, stranger->fd, NULL);
    if (memory && make_ep(wire, stranger->fd, memory, /* connector */ false, /* owner */ NULL))
        stranger->fd = -1;
    else if (memory)
        (void)munmap(memory, 2 * (size_t)SHM_RING_BYTES);
    wire->stranger_count--;
    shm_stranger_free(stranger);
}

/* ---------------------------------------------------------------- peers */

/* Words are taken one after the other, whoever takes them. False: the peer is gone. */
bool shm_ep_take_words(struct xp_ep *ep)
{
    uint8_t bytes[MESSAGE_BYTES];
    struct shm_memory_word word;
    int passed_fd;
    ssize_t got;

    fab_mutex_lock(&ep->wire->words_lock);
    while ((got = hear(ep->fd, bytes, &passed_fd)) > 0) {
        memcpy(&word, bytes + 1, sizeof(word));
        /* Only who has proved the key may give us memory. */
        if (bytes[0] == SHM_WORD_MEMORY && got == MESSAGE_BYTES && passed_fd >= 0 && ep->owner)
            shm_view_add(ep, &word, passed_fd);
        if (passed_fd >= 0)
            (void)close(passed_fd);
        if (bytes[0] == SHM_WORD_FORGET && got == MESSAGE_BYTES)
            shm_view_forget(ep, word.id);
    }
    fab_mutex_unlock(&ep->wire->words_lock);
    return got != 0;
}

void shm_ep_hear(struct xp_ep *ep)
{
    if (!shm_ep_take_words(ep))
        shm_ep_hung(ep);
}

static void hear_or_tell(struct xp_ep *ep, uint32_t events)
{
    if (events & EPOLLOUT) {
        fab_mutex_lock(&ep->wire->lock);
        shm_memory_tell_locked(ep);
        fab_mutex_unlock(&ep->wire->lock);
    }
    shm_ep_hear(ep);
}

bool shm_sockets_look(struct xp_wire *wire)
{
    enum { EVENTS = 32 };
    struct epoll_event events[EVENTS];
    int count = shm_has_fds(wire) ? epoll_wait(wire->epoll_fd, events, EVENTS, 0) : 0;

    for (int i = 0; i < count; i++) {
        struct shm_source *source = events[i].data.ptr;

        switch (source->kind) {
        case SHM_SOURCE_LISTENER:
            accept_strangers(wire);
            break;
        case SHM_SOURCE_STRANGER:
            hear_stranger(wire, source->object);
            break;
        case SHM_SOURCE_EP: {
            struct xp_ep *ep = source->object;

            if (source == &ep->death_source)
                shm_ep_hung(ep);
            else
                hear_or_tell(ep, events[i].events);
            break;
        }
        }
    }
    return count > 0;
}
