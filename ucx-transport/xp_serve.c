/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_serve.c - threads that are the control engine while they wait.
 *
 * A message for a thread that sleeps on the wires itself costs one change of threads; through a
 * thread of ours it would be two. It spins first, because an answer that comes soon costs none at
 * all; where cores are short it gives way meanwhile, so that it takes no core from who works. On
 * the peer's own core it only keeps the answer from being given, and sleeps at once.
 */
#include <sched.h>
#include <time.h>

#include "ucx-transport/xp_int.h"

/* Spins for the node's time. Now and then for longer, if that was not enough: on a machine that
 * takes its time to wake a thread, two ends that sleep would keep each other asleep for good. */
bool xp_engine_help_awake(struct xp_engine *engine, bool mine, bool (*is_done)(void *user),
                          void *user)
{
    enum { LONG_EVERY = 8, LONG_FACTOR = 8 };
    const struct xp_node *node = engine->node;
    uint32_t missed = atomic_load_explicit(&engine->missed, memory_order_relaxed);
    uint64_t spin_ns = node->spin_ns * ((missed + 1) % LONG_EVERY ? 1 : LONG_FACTOR);
    uint64_t now_ns, until_ns;
    bool done, is_vain = false;

    if (mine && engine->is_untimed)
        xp_engine_look_at_clock(engine);
    now_ns = mine ? engine->now_ns : fab_clock_now_ns(node->clock);
    until_ns = fab_deadline_ns(now_ns, spin_ns);
    while (!(done = is_done(user)) && !is_vain && now_ns < until_ns) {
        now_ns = xp_engine_help(engine, &mine);
        is_vain = mine && xp_engine_shares_core(engine);
        if (!node->yields)
            continue;
        if (mine) /* nobody else could be it meanwhile */
            xp_engine_push_end(engine);
        mine = false;
        (void)sched_yield();
    }
    if (!done || missed)
        atomic_store_explicit(&engine->missed, done ? 0 : missed + 1, memory_order_relaxed);
    if (atomic_load_explicit(&engine->queued, memory_order_relaxed) > 0)
        atomic_store(&engine->work, true); /* they have counted on us */
    if (mine)
        xp_engine_push_end(engine);
    return done;
}

bool xp_engine_help_asleep(struct xp_engine *engine, bool (*is_done)(void *user), void *user)
{
    while (!is_done(user)) {
        bool mine = false;

        if (!xp_engine_help_sleep(engine, is_done, user))
            return false;
        (void)xp_engine_help(engine, &mine);
        if (mine)
            xp_engine_push_end(engine);
    }
    return true;
}

void xp_serve_begin(struct xp_node *node)
{
    xp_engine_help_start(&node->engines[0]);
}

void xp_serve(struct xp_node *node, bool (*is_done)(void *user), void *user)
{
    const struct timespec pause = {.tv_nsec = 100000};
    struct xp_engine *engine = &node->engines[0];

    while (!xp_engine_help_awake(engine, /* mine */ false, is_done, user) &&
           !xp_engine_help_asleep(engine, is_done, user))
        (void)nanosleep(&pause, NULL); /* a second server, against the rule: slow, but it gets on */
}

void xp_serve_end(struct xp_node *node)
{
    xp_engine_help_stop(&node->engines[0]);
}

void xp_serve_nudge(struct xp_node *node)
{
    xp_engine_nudge(&node->engines[0]);
}
