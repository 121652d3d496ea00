/* SPDX-License-Identifier: Apache-2.0
 * fabricd/loop.h - one thread, many descriptors: the event loop of the daemon.
 *
 * Everything of the daemon happens in callbacks of this loop, one after the other, so nothing in it
 * is locked. Callbacks must not block. Thread: the one that runs it.
 */
#ifndef FABRICD_LOOP_H
#define FABRICD_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/status.h"

struct fab_err;
struct fab_list;
struct loop;
struct loop_watch;

FAB_NODISCARD enum fab_status loop_create(struct loop **loop_out, struct fab_err *err);
void loop_destroy(struct loop *loop); /* takes NULL; every watch must have been closed */

/* Calls `ready` with the events (EPOLLIN ...) that are there. The descriptor stays the caller's and
 * must be open until loop_unwatch(). */
FAB_NODISCARD enum fab_status loop_watch(struct loop *loop, int fd, uint32_t events,
                                         void (*ready)(void *user, uint32_t events), void *user,
                                         struct loop_watch **watch_out, struct fab_err *err);
/* Other events from now on. */
void loop_rewatch(struct loop_watch *watch, uint32_t events);
/* May be called in a callback, also in its own. Takes NULL. */
void loop_unwatch(struct loop_watch *watch);

/* After every round of callbacks, and at the time that it returned last (CLOCK_MONOTONIC
 * nanoseconds; UINT64_MAX: not because of time), `turn` is called: what follows from many causes
 * has one place. */
void loop_set_turn(struct loop *loop, uint64_t (*turn)(void *user, uint64_t now_ns), void *user);

/* The links of this loop (link.c), which have their own time limits. */
struct fab_list *loop_links(struct loop *loop);

/* Until loop_stop(). */
FAB_NODISCARD enum fab_status loop_run(struct loop *loop, struct fab_err *err);
void loop_stop(struct loop *loop);

#define LOOP_ROUND_NS UINT64_C(1000000000)

/* Who waits for others to be heard must not count time in which this process could not hear: it was
 * stopped, or had no processor, or the disk. Says how much of the time since the last call that
 * is: all but a second. So a turn is needed each second while somebody waits. *turned_ns: of the
 * last call; 0: none yet. */
uint64_t loop_lateness_ns(uint64_t *turned_ns, uint64_t now_ns);

#endif /* FABRICD_LOOP_H */
