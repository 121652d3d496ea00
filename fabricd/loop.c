/* SPDX-License-Identifier: Apache-2.0
 * fabricd/loop.c - epoll. A watch that is closed in a callback is freed after the round, because
 * its event may be among those that were fetched.
 */
#include "fabricd/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

enum { EVENTS_A_ROUND = 64, NS_PER_MS = 1000000, WAIT_MAX_MS = 60000 };

struct loop_watch {
    struct fab_list node; /* in the loop's closed list once it is closed */
    struct loop *loop;
    int fd; /* -1: closed */
    void (*ready)(void *user, uint32_t events);
    void *user;
};

struct loop {
    int epoll_fd;
    bool is_stopped;
    uint64_t (*turn)(void *user, uint64_t now_ns);
    void *turn_user;
    struct fab_list closed;
    struct fab_list links;
};

enum fab_status loop_create(struct loop **loop_out, struct fab_err *err)
{
    struct loop *loop = fab_alloc_zeroed(1, sizeof(*loop));

    if (!loop)
        return fab_err_set(err, FAB_ERR_NOMEM, "an event loop");
    fab_list_init(&loop->closed);
    fab_list_init(&loop->links);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return fab_err_errno(err, errno, "an event loop");
    }
    *loop_out = loop;
    return FAB_OK;
}

static void free_closed(struct loop *loop)
{
    struct fab_list *node;

    while ((node = fab_list_take(&loop->closed)) != NULL)
        free(fab_list_object(node, struct loop_watch, node));
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    free_closed(loop);
    (void)close(loop->epoll_fd);
    free(loop);
}

enum fab_status loop_watch(struct loop *loop, int fd, uint32_t events,
                           void (*ready)(void *user, uint32_t events), void *user,
                           struct loop_watch **watch_out, struct fab_err *err)
{
    struct loop_watch *watch = fab_alloc_zeroed(1, sizeof(*watch));
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (!watch)
        return fab_err_set(err, FAB_ERR_NOMEM, "watching a descriptor");
    *watch = (struct loop_watch){.loop = loop, .fd = fd, .ready = ready, .user = user};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(watch);
        return fab_err_errno(err, errno, "watching descriptor %d", fd);
    }
    *watch_out = watch;
    return FAB_OK;
}

void loop_rewatch(struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event); /* it is in the set */
}

void loop_unwatch(struct loop_watch *watch)
{
    if (!watch)
        return;
    (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL); /* it is in the set */
    watch->fd = -1;
    fab_list_append(&watch->loop->closed, &watch->node);
}

struct fab_list *loop_links(struct loop *loop)
{
    return &loop->links;
}

void loop_set_turn(struct loop *loop, uint64_t (*turn)(void *user, uint64_t now_ns), void *user)
{
    loop->turn = turn;
    loop->turn_user = user;
}

/* Rounded up: a turn that comes too early would only come again. */
static int wait_ms(uint64_t now_ns, uint64_t next_ns)
{
    const uint64_t left_ns = next_ns > now_ns ? next_ns - now_ns : 0;

    if (left_ns / NS_PER_MS >= WAIT_MAX_MS)
        return WAIT_MAX_MS;
    return (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

enum fab_status loop_run(struct loop *loop, struct fab_err *err)
{
    const struct fab_clock *clock = fab_clock_real();

    loop->is_stopped = false;
    while (!loop->is_stopped) {
        struct epoll_event events[EVENTS_A_ROUND];
        const uint64_t now_ns = fab_clock_now_ns(clock);
        const uint64_t next_ns = loop->turn ? loop->turn(loop->turn_user, now_ns) : UINT64_MAX;
        int count;

        if (loop->is_stopped)
            break;
        count = epoll_wait(loop->epoll_fd, events, EVENTS_A_ROUND, wait_ms(now_ns, next_ns));
        if (count < 0 && errno != EINTR)
            return fab_err_errno(err, errno, "waiting for events");
        for (int i = 0; i < count; i++) {
            const struct loop_watch *watch = events[i].data.ptr;

            if (watch->fd >= 0)
                watch->ready(watch->user, events[i].events);
        }
        free_closed(loop);
    }
    return FAB_OK;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}

uint64_t loop_lateness_ns(uint64_t *turned_ns, uint64_t now_ns)
{
    const uint64_t passed_ns = *turned_ns && now_ns > *turned_ns ? now_ns - *turned_ns : 0;

    *turned_ns = now_ns;
    return passed_ns > LOOP_ROUND_NS ? passed_ns - LOOP_ROUND_NS : 0;
}
