/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_engine.c - turns wires: pumps legs, lets backends progress, keeps timers,
 * sleeps.
 *
 * One turn does what can be done now and never waits. A thread of ours turns an engine while there
 * is work and for the spin time after (less where that catches nothing), then sleeps in ppoll(2) on
 * the wires' descriptors, a wake-up descriptor and the next timer. A polled node has no threads:
 * its user turns the engines.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "ucx-transport/xp_int.h"
#include "ucx-transport/xp_numa.h"

enum { STAND_BY_NS = 100000 }; /* so long after the last help a thread of ours takes over */

/* ---------------------------------------------------------------- who is the engine; any thread */

static void ring(struct xp_engine *engine, int fd)
{
    uint64_t one = 1;

    if (xp_node_has_descriptors(engine->node))
        (void)!write(fd, &one, sizeof(one)); /* full: it will wake anyway */
}

/* Wakes who sleeps past a timer, once. Who is awake or stands by looks at them soon enough. */
static void wake_for_time(struct xp_engine *engine)
{
    uint64_t due_ns = atomic_load(&engine->timer_ns); /* pairs with sleep_past_timers() */
    bool helper = atomic_load(&engine->has_sleeper);
    _Atomic uint64_t *until_ns = helper ? &engine->helper_until_ns : &engine->thread_until_ns;

    if (engine->wake_fd < 0 || atomic_load(&engine->runner) != 0)
        return; /* he looks when he lets go */
    if (due_ns < atomic_load(until_ns) && atomic_exchange(until_ns, 0) != 0)
        ring(engine, helper ? engine->help_fd : engine->wake_fd);
}

static uint64_t self(void)
{
    return (uint64_t)pthread_self();
}

bool xp_engine_try_untimed(struct xp_engine *engine)
{
    uint64_t nobody = 0;

    if (atomic_load_explicit(&engine->runner, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong(&engine->runner, &nobody, self()))
        return false;
    engine->is_untimed = true;
    return true;
}

void xp_engine_look_at_clock(struct xp_engine *engine)
{
    engine->now_ns = fab_clock_now_ns(engine->node->clock);
    engine->is_untimed = false;
}

bool xp_engine_try(struct xp_engine *engine)
{
    if (!xp_engine_try_untimed(engine))
        return false;
    xp_engine_look_at_clock(engine);
    return true;
}

bool xp_engine_is_mine(const struct xp_engine *engine)
{
    return atomic_load_explicit(&engine->runner, memory_order_relaxed) == self();
}

static bool has_work(struct xp_engine *engine)
{
    bool any = atomic_load(&engine->work) || atomic_load(&engine->stop);

    for (uint32_t i = 0; i < engine->slot_count && !any; i++)
        any = atomic_load(&engine->slots[i]->any_ready);
    return any;
}

void xp_engine_let_go(struct xp_engine *engine)
{
    atomic_store(&engine->runner, 0);
    if (has_work(engine) ||
        (atomic_load(&engine->is_wanted) && atomic_exchange(&engine->is_wanted, false)))
        xp_engine_wake(engine); /* what came meanwhile has woken nobody */
    else
        wake_for_time(engine);
}

/* ---------------------------------------------------------------- asking for a turn; any thread */

void xp_engine_wake(struct xp_engine *engine)
{
    /* Pairs with sleep_until_event() and xp_engine_let_go(): either who sleeps or is the engine
     * sees the work, or we see it asleep or gone. */
    atomic_thread_fence(memory_order_seq_cst);
    if (engine->wake_fd < 0 || atomic_load_explicit(&engine->runner, memory_order_relaxed) != 0)
        return;
    if (atomic_load_explicit(&engine->has_sleeper, memory_order_relaxed))
        ring(engine, engine->help_fd);
    else if (atomic_load_explicit(&engine->asleep, memory_order_relaxed) &&
             atomic_load_explicit(&engine->helpers, memory_order_relaxed) == 0 &&
             atomic_exchange(&engine->asleep, false)) /* once: he may have to wait for a core */
        ring(engine, engine->wake_fd);
}

void xp_engine_nudge(struct xp_engine *engine)
{
    /* After the change itself, in one order with it; pairs with the fence in
     * xp_engine_help_sleep().
     */
    if (atomic_load(&engine->has_sleeper))
        ring(engine, engine->help_fd);
}

void xp_engine_timer(struct xp_engine *engine, uint64_t at)
{
    uint64_t before = atomic_load_explicit(&engine->timer_ns, memory_order_relaxed);

    while (at < before) {
        if (atomic_compare_exchange_weak(&engine->timer_ns, &before, at)) {
            wake_for_time(engine);
            return;
        }
    }
}

void xp_leg_kick(struct xp_leg *leg)
{
    struct xp_slot *slot = leg->slot;
    bool news = false;

    fab_mutex_lock(&slot->ready_lock);
    if (!leg->ready && !leg->detached) {
        leg->ready = news = true;
        fab_list_append(&slot->ready, &leg->ready_link);
        atomic_store_explicit(&slot->any_ready, true, memory_order_relaxed);
    }
    fab_mutex_unlock(&slot->ready_lock);
    if (news)
        xp_engine_wake(slot->engine);
}

void xp_conn_work(struct xp_conn *conn)
{
    struct xp_engine *control = &conn->node->engines[0];

    if (!atomic_exchange(&control->work, true))
        xp_engine_wake(control);
}

/* ---------------------------------------------------------------- the turn */

/* Moves one list to the end of another. */
static void splice(struct fab_list *to, struct fab_list *from)
{
    struct fab_list *node;

    while ((node = fab_list_take(from)) != NULL)
        fab_list_append(to, node);
}

/* Lets go of a leg whose connection is closed; true if it did, and the leg is not ours any more. */
static bool detach(struct xp_leg *leg)
{
    struct xp_conn *conn = leg->conn;
    struct xp_slot *slot = leg->slot;
    bool over;

    if (!atomic_load_explicit(&conn->muted, memory_order_acquire))
        return false; /* far from it: no lock for that */
    fab_mutex_lock(&conn->lock);
    /* Whoever closed it kicked the leg, so it is pumped once more before it may go. */
    over = conn->state == XP_CONN_CLOSED && fab_list_is_empty(&leg->lives) && !leg->expected;
    if (over) {
        fab_mutex_lock(&slot->ready_lock);
        fab_list_remove(&leg->ready_link);
        fab_list_remove(&leg->slot_link);
        leg->detached = true;
        fab_mutex_unlock(&slot->ready_lock);
        xp_conn_work(conn);
    }
    fab_mutex_unlock(&conn->lock);
    return over;
}

/* The next leg that was kicked, of those that were when this began: `taken`. Called and left with
 * ready_lock held. */
static struct xp_leg *next_taken(struct fab_list *taken)
{
    struct fab_list *node = fab_list_take(taken);
    struct xp_leg *leg = node ? fab_list_object(node, struct xp_leg, ready_link) : NULL;

    if (leg)
        leg->ready = false;
    return leg;
}

static bool pump_ready(struct xp_slot *slot)
{
    struct fab_list taken;
    struct xp_leg *leg;
    bool did = false;

    fab_list_init(&taken);
    fab_mutex_lock(&slot->ready_lock);
    atomic_store_explicit(&slot->any_ready, false, memory_order_relaxed);
    /* The timers may have been looked at since a fresh leg set them, without the leg. */
    if (!fab_list_is_empty(&slot->fresh))
        xp_engine_timer(slot->engine, slot->engine->now_ns);
    splice(&slot->legs, &slot->fresh);
    splice(&taken, &slot->ready);
    while ((leg = next_taken(&taken)) != NULL) {
        bool last = fab_list_is_empty(&taken);

        fab_mutex_unlock(&slot->ready_lock);
        did = true;
        xp_leg_pump(leg);
        (void)detach(leg);
        if (last)
            return did;
        fab_mutex_lock(&slot->ready_lock);
    }
    fab_mutex_unlock(&slot->ready_lock);
    return did;
}

/* A wire moved. Where spinning catches the next event it is worth a core, else not; a little always
 * is, to catch what comes on the heels of an answer. */
static void adapt_spin(struct xp_engine *engine)
{
    enum { BURST_NS = 2000, LEAST_SHARE = 8 }; /* the tail of the same event says nothing */
    uint64_t gap_ns = engine->now_ns - engine->heard_ns, most_ns = engine->node->spin_ns;
    uint64_t spin_ns = atomic_load_explicit(&engine->spin_ns, memory_order_relaxed) / 2;

    engine->heard_ns = engine->now_ns;
    if (gap_ns < BURST_NS || (engine->control && engine->node->yields))
        return;
    if (spin_ns < most_ns / LEAST_SHARE)
        spin_ns = most_ns / LEAST_SHARE;
    atomic_store_explicit(&engine->spin_ns, gap_ns <= most_ns ? most_ns : spin_ns,
                          memory_order_relaxed);
}

static bool turn_slot(struct xp_slot *slot)
{
    /* A kick that is just being made is seen at the next turn, or keeps the engine from sleeping.
     */
    bool did = atomic_load_explicit(&slot->any_ready, memory_order_relaxed) && pump_ready(slot);

    if (!slot->backend->progress(slot->wire))
        return did;
    slot->engine->recent = slot;
    adapt_spin(slot->engine);
    if (atomic_load_explicit(&slot->any_ready, memory_order_relaxed))
        (void)pump_ready(slot); /* the answer leaves now */
    if (slot->any_stalled) {
        slot->any_stalled = false;
        FAB_LIST_EACH(node, after, &slot->legs)
        xp_leg_kick(fab_list_object(node, struct xp_leg, slot_link));
    }
    return true;
}

static uint64_t slot_timers(struct xp_slot *slot, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(node, after, &slot->legs)
    next_ns = fab_earlier_ns(next_ns,
                             xp_leg_timer(fab_list_object(node, struct xp_leg, slot_link), now_ns));
    return next_ns;
}

/* Only the control engine takes connections off the list, so `conn` stays valid meanwhile. */
static struct xp_conn *conn_after(struct xp_node *node, struct xp_conn *conn)
{
    struct fab_list *next;

    fab_mutex_lock(&node->lock);
    next = conn ? conn->link.next : node->conns.next;
    fab_mutex_unlock(&node->lock);
    return next == &node->conns ? NULL : fab_list_object(next, struct xp_conn, link);
}

static uint64_t turn_conns(struct xp_node *node, uint64_t now_ns)
{
    struct xp_conn *conn = conn_after(node, NULL), *next;
    uint64_t next_ns = UINT64_MAX;

    for (; conn; conn = next) {
        next_ns = fab_earlier_ns(next_ns, xp_conn_turn(conn, now_ns));
        next = conn_after(node, conn);
        if (!xp_conn_is_over(conn))
            continue;
        fab_mutex_lock(&node->lock);
        fab_list_remove(&conn->link);
        (void)fab_map_remove(&node->sessions, conn->session_id);
        fab_mutex_unlock(&node->lock);
        xp_conn_free(conn);
    }
    return next_ns;
}

/* Nothing to do but, perhaps, for timers and sockets. */
static bool is_quiet(const struct xp_engine *engine)
{
    for (uint32_t i = 0; i < engine->slot_count; i++) {
        const struct xp_slot *slot = engine->slots[i];

        if (atomic_load_explicit(&slot->any_ready, memory_order_relaxed) ||
            !slot->backend->is_quiet || !slot->backend->is_quiet(slot->wire))
            return false;
    }
    return !atomic_load_explicit(&engine->work, memory_order_relaxed);
}

/* The program closed our descriptors: sessions end without any wire being touched. */
static bool turn_gone(struct xp_engine *engine)
{
    uint64_t next_ns = UINT64_MAX;
    bool did = false;

    atomic_store(&engine->timer_ns, UINT64_MAX);
    atomic_store(&engine->work, false);
    for (uint32_t i = 0; i < engine->slot_count; i++) {
        struct xp_slot *slot = engine->slots[i];

        did = atomic_load(&slot->any_ready) || did;
        fab_mutex_lock(&slot->ready_lock);
        splice(&slot->legs, &slot->fresh);
        while (next_taken(&slot->ready)) {
        }
        atomic_store(&slot->any_ready, false);
        fab_mutex_unlock(&slot->ready_lock);
        FAB_LIST_EACH(node, after, &slot->legs)
        {
            struct xp_leg *leg = fab_list_object(node, struct xp_leg, slot_link);

            xp_leg_end_gone(leg);
            (void)detach(leg);
        }
    }
    if (engine->control)
        next_ns = turn_conns(engine->node, engine->now_ns);
    xp_engine_timer(engine, next_ns);
    return did;
}

/* A look is dear, so it is taken after each sleep and before each wake-up only. */
static bool is_gone(const struct xp_engine *engine)
{
    return atomic_load_explicit(&engine->node->is_gone, memory_order_relaxed);
}

bool xp_engine_turn(struct xp_engine *engine)
{
    enum { FULL_TURN = 64 }; /* every so many looks; reading the clock is most of a quiet turn */
    uint64_t now_ns, next_ns = UINT64_MAX;
    bool did = false, worked = false, is_due, is_full = ++engine->looks % FULL_TURN == 0;

    if (!is_full && is_quiet(engine))
        return false;
    if (is_gone(engine))
        return turn_gone(engine);
    if (is_full || !engine->is_quick)
        xp_engine_look_at_clock(engine);
    now_ns = engine->now_ns;
    for (uint32_t i = 0; i < engine->slot_count; i++)
        did = turn_slot(engine->slots[i]) || did;
    is_due = now_ns >= atomic_load(&engine->timer_ns);
    if (is_due) {
        atomic_store(&engine->timer_ns, UINT64_MAX);
        for (uint32_t i = 0; i < engine->slot_count; i++)
            next_ns = fab_earlier_ns(next_ns, slot_timers(engine->slots[i], now_ns));
    }
    if (engine->control && atomic_load_explicit(&engine->work, memory_order_relaxed))
        worked = atomic_exchange(&engine->work, false);
    if (engine->control && (worked || is_due))
        next_ns = fab_earlier_ns(next_ns, turn_conns(engine->node, now_ns));
    xp_engine_timer(engine, next_ns);
    return did || worked || (is_due && has_work(engine)); /* a timer alone is no work */
}

bool xp_engine_shares_core(const struct xp_engine *engine)
{
    const struct xp_slot *slot = engine->recent;

    return slot && slot->backend->shares_core && slot->backend->shares_core(slot->wire);
}

uint64_t xp_engine_deadline_ns(const struct xp_engine *engine)
{
    uint64_t next_ns = atomic_load(&engine->timer_ns);

    for (uint32_t i = 0; i < engine->slot_count; i++) {
        const struct xp_slot *slot = engine->slots[i];

        if (slot->backend->deadline_ns)
            next_ns = fab_earlier_ns(next_ns, slot->backend->deadline_ns(slot->wire));
    }
    return next_ns;
}

/* ---------------------------------------------------------------- help, and sending in passing */

/* Between two looks: the other end may run on the same core's other half. */
static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Some turns in a row, until one did anything; with the engine ours. On a quick engine most are
 * only looks, and taking it for each would cost more than they do. */
static bool turns(struct xp_engine *engine)
{
    enum { LOOKS = 64 };
    bool did = xp_engine_turn(engine);

    for (int i = 1; engine->is_quick && !did && i < LOOKS; i++) {
        relax();
        did = xp_engine_turn(engine);
    }
    return did;
}

uint64_t xp_engine_help(struct xp_engine *engine, bool *mine)
{
    /* First: the engine's own thread, if it is at it, gives way. */
    atomic_store_explicit(&engine->helped,
                          atomic_load_explicit(&engine->helped, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    *mine = *mine || xp_engine_try(engine);
    if (!*mine)
        return fab_clock_now_ns(engine->node->clock);
    (void)turns(engine);
    return engine->now_ns;
}

void xp_engine_help_start(struct xp_engine *engine)
{
    (void)atomic_fetch_add(&engine->helpers, 1);
}

void xp_engine_help_stop(struct xp_engine *engine)
{
    if (atomic_load(&engine->queued) > 0) /* they have counted on us */
        atomic_store(&engine->work, true);
    (void)atomic_fetch_sub(&engine->helpers, 1);
    if (has_work(engine)) /* what came meanwhile has woken nobody */
        xp_engine_wake(engine);
    else
        wake_for_time(engine);
}

void xp_engine_push_end(struct xp_engine *engine)
{
    bool stalled = false;

    for (uint32_t i = 0; i < engine->slot_count; i++) {
        struct xp_slot *slot = engine->slots[i];

        while (slot->caps.in_passing && !slot->any_stalled &&
               atomic_load_explicit(&slot->any_ready, memory_order_relaxed))
            (void)pump_ready(slot);
        stalled = stalled || slot->any_stalled ||
                  (slot->backend->is_settled && !slot->backend->is_settled(slot->wire));
    }
    if (stalled) /* the engine's thread must wait for room, or see to the rest */
        atomic_store(&engine->work, true);
    xp_engine_let_go(engine);
}

/* ---------------------------------------------------------------- the thread */

/* Arms every wire and lists what to wait for; false: an event is there already. The engine is ours,
 * and let go. */
static bool arm(struct xp_engine *engine, struct pollfd *fds, nfds_t *count_out)
{
    bool quiet = true;

    for (uint32_t i = 0; i < engine->slot_count; i++) {
        struct xp_slot *slot = engine->slots[i];

        fds[1 + i] = (struct pollfd){.fd = slot->backend->event_fd(slot->wire), .events = POLLIN};
        quiet = slot->backend->arm(slot->wire) == FAB_OK && quiet;
    }
    xp_engine_let_go(engine);
    *count_out = 1 + engine->slot_count;
    return quiet;
}

static uint64_t until_timer_ns(const struct xp_engine *engine)
{
    uint64_t now_ns = fab_clock_now_ns(engine->node->clock);
    uint64_t due_ns = xp_engine_deadline_ns(engine);

    if (due_ns == UINT64_MAX)
        return UINT64_MAX;
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

/* What fds says, or so long; the first of them is ours to empty. Never for ever: who cannot be
 * woken any more must see that. */
static void sleep_on(struct xp_engine *engine, struct pollfd *fds, nfds_t count, uint64_t wait_ns)
{
    enum { MOST_NS = 999999999, GONE_NS = 10000000 };
    bool gone = is_gone(engine);
    uint64_t most_ns = gone ? GONE_NS : MOST_NS, drained;
    const struct timespec limit = {.tv_nsec = (long)(wait_ns < most_ns ? wait_ns : most_ns)};
    int ready = ppoll(fds, gone ? 0 : count, &limit, NULL);

    /* Whatever ends it, the next turn finds out. */
    if (xp_node_has_descriptors(engine->node) && ready > 0 && fds[0].revents)
        (void)!read(fds[0].fd, &drained, sizeof(drained));
}

/* Somebody else is the engine in passing, and wakes who sleeps when he lets go; false: he just has.
 */
static bool asks_for_it(struct xp_engine *engine)
{
    atomic_store(&engine->is_wanted, true);
    return atomic_load(&engine->runner) != 0;
}

/* Until the next timer; *until_ns says when, so that who makes one due earlier wakes us. */
static void sleep_past_timers(struct xp_engine *engine, struct pollfd *fds, nfds_t count,
                              _Atomic uint64_t *until_ns)
{
    atomic_store(until_ns, UINT64_MAX); /* before the look at them */
    atomic_store(until_ns, xp_engine_deadline_ns(engine));
    sleep_on(engine, fds, count, until_timer_ns(engine));
    atomic_store(until_ns, 0);
}

/* Sleeps on the wires; the caller was announced as asleep and has looked for work. */
static void sleep_armed(struct xp_engine *engine, struct pollfd *fds, _Atomic uint64_t *until_ns)
{
    nfds_t count = 1;

    if (is_gone(engine)) {
        sleep_on(engine, fds, 0, until_timer_ns(engine));
    } else if (xp_engine_try(engine)) {
        if (arm(engine, fds, &count))
            sleep_past_timers(engine, fds, count, until_ns);
    } else if (asks_for_it(engine)) {
        sleep_on(engine, fds, count, STAND_BY_NS);
        atomic_store(&engine->is_wanted, false);
    }
}

/* The thread of ours has nothing to do while a helper sleeps on the wires. */
static void retire(struct xp_engine *engine)
{
    struct pollfd fds[] = {{.fd = engine->wake_fd, .events = POLLIN},
                           {.fd = engine->return_fd, .events = POLLIN}};
    uint64_t drained;

    atomic_store(&engine->asleep, true); /* work wakes it when the helper has gone */
    atomic_store(&engine->retired, true);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in return_to_work() */
    if (atomic_load(&engine->has_sleeper) && !atomic_load(&engine->stop))
        sleep_on(engine, fds, FAB_ARRAY_LEN(fds), UINT64_MAX);
    atomic_store(&engine->asleep, false);
    atomic_store(&engine->retired, false);
    atomic_store(&engine->is_returning, false);
    if (xp_node_has_descriptors(engine->node))
        (void)!read(engine->return_fd, &drained, sizeof(drained));
}

static void set_return(struct xp_engine *engine, uint64_t after_ns)
{
    const struct itimerspec at = {.it_value.tv_nsec = (long)after_ns};

    atomic_store(&engine->is_returning, after_ns > 0);
    if (xp_node_has_descriptors(engine->node))
        (void)timerfd_settime(engine->return_fd, 0, &at, NULL);
}

/* From now on a helper may be held up, and nobody would look at the wires. It mostly comes back
 * before that: to be woken each time would cost both more than the timer does. */
static void return_to_work(struct xp_engine *engine)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&engine->retired, memory_order_relaxed))
        set_return(engine, STAND_BY_NS);
}

bool xp_engine_help_sleep(struct xp_engine *engine, bool (*is_done)(void *user), void *user)
{
    struct pollfd fds[1 + 2 * XP_RAILS_MAX] = {{.fd = engine->help_fd, .events = POLLIN}};

    if (engine->help_fd < 0 || atomic_exchange(&engine->has_sleeper, true))
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_work(engine) && !is_done(user)) {
        if (atomic_load(&engine->is_returning))
            set_return(engine, 0);
        sleep_armed(engine, fds, &engine->helper_until_ns);
    }
    atomic_store(&engine->has_sleeper, false);
    return_to_work(engine);
    return true;
}

/* Waits for the next event; or, while others turn the engine, for a moment without arming what they
 * look at themselves: they may be gone after it, or held up. */
static void sleep_until_event(struct xp_engine *engine, bool stands_by)
{
    struct pollfd fds[1 + 2 * XP_RAILS_MAX] = {{.fd = engine->wake_fd, .events = POLLIN}};

    atomic_store(&engine->asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&engine->helpers) > 0) /* they look for work before they leave */
        sleep_on(engine, fds, 1, STAND_BY_NS);
    else if (!has_work(engine) && stands_by)
        sleep_on(engine, fds, 1, STAND_BY_NS);
    else if (!has_work(engine))
        sleep_armed(engine, fds, &engine->thread_until_ns);
    atomic_store(&engine->asleep, false);
}

static void *engine_main(void *argument)
{
    struct xp_engine *engine = argument;
    const struct xp_node *node = engine->node;
    uint64_t busy_ns = 0, helped = 0, now_ns;
    struct fab_err err = {0};
    bool did = false, is_vain;

    if (xp_numa_bind_thread(engine->numa_node, &err) != FAB_OK)
        fab_log_debug(node->log, "a thread of the transport is not beside its rail", "why %s",
                      err.text);
    while (!atomic_load(&engine->stop)) {
        uint64_t helped_now = atomic_load_explicit(&engine->helped, memory_order_relaxed);

        if (helped_now != helped) {
            helped = helped_now;
            sleep_until_event(engine, /* stands_by */ true);
            continue;
        }
        if (atomic_load(&engine->has_sleeper)) {
            retire(engine);
            helped = atomic_load_explicit(&engine->helped, memory_order_relaxed);
            continue;
        }
        if (xp_engine_try(engine)) {
            now_ns = engine->now_ns;
            /* From the end of the last work on: after a cold start that alone may take longer than
             * this thread spins, and the next event would find it asleep again, for good. */
            if (did)
                busy_ns = now_ns;
            did = turns(engine);
            is_vain = xp_engine_shares_core(engine);
            xp_engine_let_go(engine);
        } else {
            now_ns = fab_clock_now_ns(node->clock);
            did = is_vain = false;
        }
        if (!did && (is_vain || now_ns - busy_ns >=
                                    atomic_load_explicit(&engine->spin_ns, memory_order_relaxed)))
            sleep_until_event(engine, /* stands_by */ false);
    }
    return NULL;
}

int xp_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    int result;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(thread, NULL, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

enum fab_status xp_engine_start(struct xp_engine *engine, struct fab_err *err)
{
    char name[16];
    int result;

    atomic_store(&engine->spin_ns, engine->node->yields ? 0 : engine->node->spin_ns);
    engine->wake_fd = fab_fault("eventfd") ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->wake_fd >= 0 && engine->control)
        engine->help_fd = fab_fault("eventfd") ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->help_fd >= 0)
        engine->return_fd =
            fab_fault("eventfd") ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (engine->wake_fd < 0 || (engine->control && engine->return_fd < 0))
        return fab_err_errno(err, errno, "a descriptor to wake the transport");
    result = xp_thread_start(&engine->thread, engine_main, engine);
    if (result != 0)
        return fab_err_errno(err, result, "a thread for the transport");
    engine->started = true;
    (void)snprintf(name, sizeof(name), "xp-%s%d", engine->control ? "control" : "bulk",
                   (int)(engine - engine->node->engines));
    (void)pthread_setname_np(engine->thread, name);
    return FAB_OK;
}

void xp_engine_stop(struct xp_engine *engine)
{
    if (engine->started) {
        atomic_store(&engine->stop, true);
        xp_engine_wake(engine);
        ring(engine, engine->wake_fd); /* if it has retired */
        (void)pthread_join(engine->thread, NULL);
        engine->started = false;
    }
}

void xp_engine_fini(struct xp_engine *engine)
{
    bool has_fds = xp_node_has_descriptors(engine->node);

    if (engine->wake_fd >= 0 && has_fds)
        (void)close(engine->wake_fd);
    if (engine->help_fd >= 0 && has_fds)
        (void)close(engine->help_fd);
    if (engine->return_fd >= 0 && has_fds)
        (void)close(engine->return_fd);
    engine->wake_fd = engine->help_fd = engine->return_fd = -1;
}
