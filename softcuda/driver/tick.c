/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/tick.c - the thread behind deadlines and watched values.
 */
#include "softcuda/driver/tick.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "cuda-common/thread.h"
#include "softcuda/driver/queue.h"

enum {
    EAGER_NS = 100 * 1000,     /* a watched value is looked at without pause this long */
    PAUSE_MIN_NS = 20 * 1000,  /* then with pauses of an eighth of the time waited so far, */
    PAUSE_MAX_NS = 2000 * 1000 /* at most this much */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct soft_tick *timed; /* by due_ns */
    struct soft_tick *watched;
    _Atomic uint32_t count;
    uint64_t progress_ns; /* when the watched list changed last */
    bool has_thread;
} ticks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct soft_tick *take_due_locked(uint64_t now_ns)
{
    struct soft_tick *due = NULL, **last = &due, **at = &ticks.watched;

    while (ticks.timed && ticks.timed->due_ns <= now_ns) {
        *last = ticks.timed;
        ticks.timed = ticks.timed->next;
        last = &(*last)->next;
        atomic_fetch_sub_explicit(&ticks.count, 1, memory_order_relaxed);
    }
    while (*at) {
        struct soft_tick *tick = *at;

        if (!tick->is_due(tick->arg)) {
            at = &tick->next;
            continue;
        }
        *at = tick->next;
        *last = tick;
        last = &tick->next;
        ticks.progress_ns = now_ns;
        atomic_fetch_sub_explicit(&ticks.count, 1, memory_order_relaxed);
    }
    *last = NULL;
    return due;
}

static void fire_all(struct soft_tick *due)
{
    while (due) {
        struct soft_tick *next = due->next; /* fire() may give the memory back */

        due->fire(due->arg);
        due = next;
    }
}

void soft_tick_poll(void)
{
    struct soft_tick *due;

    if (atomic_load_explicit(&ticks.count, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&ticks.lock);
    due = take_due_locked(soft_now_ns());
    pthread_mutex_unlock(&ticks.lock);
    fire_all(due);
}

static void pause_locked(uint64_t now_ns)
{
    uint64_t until_ns = UINT64_MAX;
    struct timespec until;

    if (ticks.watched) {
        uint64_t waited_ns = now_ns - ticks.progress_ns;
        uint64_t pause_ns = waited_ns / 8;

        if (waited_ns < EAGER_NS) {
            pthread_mutex_unlock(&ticks.lock);
            (void)sched_yield();
            pthread_mutex_lock(&ticks.lock);
            return;
        }
        pause_ns = pause_ns < PAUSE_MIN_NS ? PAUSE_MIN_NS : pause_ns;
        until_ns = now_ns + (pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause_ns);
    }
    if (ticks.timed && ticks.timed->due_ns < until_ns)
        until_ns = ticks.timed->due_ns;
    if (until_ns == UINT64_MAX) {
        (void)pthread_cond_wait(&ticks.changed, &ticks.lock);
        return;
    }
    until.tv_sec = (time_t)(until_ns / UINT64_C(1000000000));
    until.tv_nsec = (long)(until_ns % UINT64_C(1000000000));
    (void)pthread_cond_timedwait(&ticks.changed, &ticks.lock, &until);
}

static void *tick_thread(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&ticks.lock);
    for (;;) {
        uint64_t now_ns = soft_now_ns();
        struct soft_tick *due = take_due_locked(now_ns);

        if (due) {
            pthread_mutex_unlock(&ticks.lock);
            fire_all(due);
            pthread_mutex_lock(&ticks.lock);
            continue;
        }
        pause_locked(now_ns);
    }
    return NULL;
}

/* Without a thread, waiting threads alone see what is due: that is late, never wrong. */
static void need_thread_locked(void)
{
    pthread_condattr_t attr;

    if (ticks.has_thread)
        return;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ticks.changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    ticks.has_thread = cuc_thread_start("softcuda-tick", tick_thread, NULL);
}

void soft_tick_at(struct soft_tick *tick, uint64_t due_ns)
{
    struct soft_tick **at;

    tick->due_ns = due_ns;
    pthread_mutex_lock(&ticks.lock);
    need_thread_locked();
    for (at = &ticks.timed; *at && (*at)->due_ns <= due_ns;)
        at = &(*at)->next;
    tick->next = *at;
    *at = tick;
    atomic_fetch_add_explicit(&ticks.count, 1, memory_order_relaxed);
    if (ticks.timed == tick)
        (void)pthread_cond_signal(&ticks.changed);
    pthread_mutex_unlock(&ticks.lock);
}

void soft_tick_when(struct soft_tick *tick)
{
    struct soft_tick **at;

    pthread_mutex_lock(&ticks.lock);
    need_thread_locked();
    for (at = &ticks.watched; *at;)
        at = &(*at)->next;
    tick->next = NULL;
    *at = tick;
    ticks.progress_ns = soft_now_ns();
    atomic_fetch_add_explicit(&ticks.count, 1, memory_order_relaxed);
    (void)pthread_cond_signal(&ticks.changed);
    pthread_mutex_unlock(&ticks.lock);
}
