/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/pool.c - worker threads and the ring of launches they serve in turn.
 *
 * A worker stays with a launch while it is alone; with several it takes one block (or one turn of
 * a block) and goes on to the next launch, so that a kernel that never ends starves nobody. Out of
 * work it spins for WARP_IDLE_SPIN_NS, then sleeps. Lock order: pool->lock, then launch->lock.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "softcuda/warp/launch_int.h"

enum { BUDGET_FULL = 1000, BUDGET_SPLIT = 16, WORKERS_MIN = 2 };

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- sleeping and waking ---- */

void warp_pool_notify(struct warp_pool *pool, unsigned count)
{
    unsigned spinning;

    atomic_fetch_add(&pool->sequence, 1);
    /* Who spins sees the new number, even if it is just about to sleep (wait_for_work). */
    spinning = atomic_load(&pool->spinners);
    if (count > spinning && atomic_load(&pool->sleepers) > 0)
        (void)syscall(SYS_futex, &pool->sequence, FUTEX_WAKE_PRIVATE,
                      count == INT_MAX ? INT_MAX : count - spinning, NULL, NULL, 0);
}

static bool spin_for_work(struct warp_pool *pool, unsigned seen)
{
    uint64_t until = now_ns() + WARP_IDLE_SPIN_NS;

    do {
        for (unsigned i = 0; i < 64; i++) {
            if (atomic_load_explicit(&pool->sequence, memory_order_acquire) != seen)
                return true;
            warp_relax();
        }
        (void)sched_yield(); /* who has work goes first */
    } while (now_ns() < until);
    return false;
}

/* Until the sequence is not `seen` any more. */
static void wait_for_work(struct warp_pool *pool, unsigned seen)
{
    bool found;

    atomic_fetch_add(&pool->spinners, 1);
    found = spin_for_work(pool, seen);
    atomic_fetch_sub(&pool->spinners, 1);
    if (found)
        return;
    atomic_fetch_add(&pool->sleepers, 1);
    if (atomic_load(&pool->sequence) == seen)
        (void)syscall(SYS_futex, &pool->sequence, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&pool->sleepers, 1);
}

bool warp_pool_is_shared(const struct warp_pool *pool)
{
    return atomic_load_explicit(&pool->active, memory_order_relaxed) > 1 ||
           atomic_load_explicit(&pool->pending_tasks, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&pool->closing, memory_order_relaxed);
}

/* ---- workers ---- */

static struct warp_task *take_task_locked(struct warp_pool *pool)
{
    struct warp_task *task = pool->tasks;

    if (task) {
        pool->tasks = task->next;
        if (!task->next)
            pool->last_task = NULL;
        atomic_fetch_sub(&pool->pending_tasks, 1);
    }
    return task;
}

static bool has_work(struct warp_launch *launch)
{
    bool suspended;

    if (atomic_load(&launch->finished) || atomic_load(&launch->prepare) == WARP_PREPARING)
        return false;
    if (atomic_load(&launch->next_block) < launch->block_count)
        return true;
    (void)pthread_mutex_lock(&launch->lock);
    suspended = launch->suspended != NULL;
    (void)pthread_mutex_unlock(&launch->lock);
    return suspended;
}

/* The next launch of the ring that has something to do, with a reference; NULL: none. */
static struct warp_launch *take_launch_locked(struct warp_pool *pool)
{
    struct warp_launch *first = pool->ring, *launch = first;

    if (!first)
        return NULL;
    do {
        if (has_work(launch)) {
            pool->ring = launch->next;
            atomic_fetch_add(&launch->references, 1);
            return launch;
        }
        launch = launch->next;
    } while (launch != first);
    return NULL;
}

static void block_signals(void)
{
    sigset_t set;

    (void)sigfillset(&set);
    (void)sigdelset(&set, SIGSEGV); /* ours: raised by the instruction itself */
    (void)sigdelset(&set, SIGBUS);
    (void)sigdelset(&set, SIGFPE);
    (void)sigdelset(&set, SIGILL);
    (void)pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void *worker_main(void *arg)
{
    struct warp_worker *worker = arg;
    struct warp_pool *pool = worker->pool;

    (void)pthread_setname_np(pthread_self(), "softcuda-pool");
    (void)warp_float_mode(WARP_FLOAT_DEFAULT); /* whatever the starting thread had */
    warp_net_enter(worker);
    for (;;) {
        /* Before everything that is looked at, `closing` too: what comes later changes it. */
        unsigned seen = atomic_load(&pool->sequence);
        struct warp_launch *launch = NULL;
        struct warp_task *task;

        if (atomic_load(&pool->closing))
            break;
        (void)pthread_mutex_lock(&pool->lock);
        task = take_task_locked(pool);
        if (!task)
            launch = take_launch_locked(pool);
        (void)pthread_mutex_unlock(&pool->lock);
        if (task) {
            task->fn(task->arg);
            free(task);
        } else if (launch) {
            (void)warp_launch_serve(launch, worker, NULL, NULL); /* none: others were faster */
            warp_launch_put(launch);
        } else {
            wait_for_work(pool, seen);
        }
    }
    return NULL;
}

/* Threads start with the first work, so that a program that never launches has none. */
static void start_locked(struct warp_pool *pool)
{
    sigset_t old;

    if (pool->started)
        return;
    pool->started = true;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &old);
    block_signals(); /* inherited by the new threads */
    for (unsigned i = 0; i < pool->worker_count; i++) {
        pool->workers[i] = (struct warp_worker){.pool = pool, .index = i};
        if (pthread_create(&pool->threads[i], NULL, worker_main, &pool->workers[i]) != 0)
            break; /* fewer serve as well; with none the waiting thread does it all */
        pool->thread_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- launches ---- */

struct warp_launch *warp_pool_launch_get(struct warp_pool *pool)
{
    struct warp_launch *launch;

    (void)pthread_mutex_lock(&pool->lock);
    launch = pool->free_launches;
    if (launch)
        pool->free_launches = launch->next;
    (void)pthread_mutex_unlock(&pool->lock);
    if (launch)
        return launch;
    launch = aligned_alloc(64, (sizeof(*launch) + 63) & ~(size_t)63);
    if (!launch)
        return NULL;
    memset(launch, 0, sizeof(*launch));
    launch->pool = pool;
    (void)pthread_mutex_init(&launch->lock, NULL); /* cannot fail without attributes */
    return launch;
}

void warp_pool_launch_put(struct warp_launch *launch)
{
    struct warp_pool *pool = launch->pool;

    (void)pthread_mutex_lock(&pool->lock);
    launch->next = pool->free_launches;
    pool->free_launches = launch;
    (void)pthread_mutex_unlock(&pool->lock);
}

void warp_pool_add(struct warp_launch *launch)
{
    struct warp_pool *pool = launch->pool;
    unsigned wake = launch->block_count < pool->worker_count ? (unsigned)launch->block_count
                                                             : pool->worker_count;

    (void)pthread_mutex_lock(&pool->lock);
    start_locked(pool);
    if (pool->ring) {
        /* In front of the one to be served next: that is the end of the line. */
        launch->next = pool->ring;
        launch->prev = pool->ring->prev;
        launch->prev->next = launch;
        launch->next->prev = launch;
    } else {
        launch->next = launch->prev = launch;
        pool->ring = launch;
    }
    atomic_fetch_add(&pool->active, 1);
    (void)pthread_mutex_unlock(&pool->lock);
    warp_pool_notify(pool, wake);
}

void warp_pool_finish(struct warp_launch *launch)
{
    struct warp_pool *pool = launch->pool;
    struct warp_outcome outcome;

    (void)pthread_mutex_lock(&launch->lock);
    launch->outcome.ended_ns = now_ns();
    outcome = launch->outcome;
    (void)pthread_mutex_unlock(&launch->lock);
    (void)pthread_mutex_lock(&pool->lock);
    if (launch->next == launch) {
        pool->ring = NULL;
    } else {
        if (pool->ring == launch)
            pool->ring = launch->next;
        launch->prev->next = launch->next;
        launch->next->prev = launch->prev;
    }
    atomic_fetch_sub(&pool->active, 1);
    (void)pthread_mutex_unlock(&pool->lock);
    if (launch->done)
        launch->done(launch->done_arg, &outcome);
    atomic_store_explicit(&launch->finished, true, memory_order_release);
    (void)pthread_mutex_lock(&pool->lock);
    (void)pthread_cond_broadcast(&pool->idle);
    (void)pthread_mutex_unlock(&pool->lock);
    warp_launch_put(launch);
}

struct warp_worker *warp_pool_helper_get(struct warp_pool *pool)
{
    struct warp_worker *worker;

    (void)pthread_mutex_lock(&pool->lock);
    worker = pool->helpers;
    if (worker)
        pool->helpers = worker->next;
    (void)pthread_mutex_unlock(&pool->lock);
    if (worker)
        return worker;
    worker = fab_alloc_zeroed(1, sizeof(*worker));
    if (worker)
        *worker = (struct warp_worker){.pool = pool, .index = pool->worker_count};
    return worker;
}

void warp_pool_helper_put(struct warp_worker *worker)
{
    struct warp_pool *pool = worker->pool;

    (void)pthread_mutex_lock(&pool->lock);
    worker->next = pool->helpers;
    pool->helpers = worker;
    (void)pthread_mutex_unlock(&pool->lock);
}

enum fab_status warp_pool_run(struct warp_pool *pool, void (*fn)(void *arg), void *arg)
{
    struct warp_task *task = fab_alloc_zeroed(1, sizeof(*task));

    if (!task)
        return FAB_ERR_NOMEM;
    *task = (struct warp_task){.fn = fn, .arg = arg};
    (void)pthread_mutex_lock(&pool->lock);
    start_locked(pool);
    if (pool->last_task)
        pool->last_task->next = task;
    else
        pool->tasks = task;
    pool->last_task = task;
    atomic_fetch_add(&pool->pending_tasks, 1);
    (void)pthread_mutex_unlock(&pool->lock);
    warp_pool_notify(pool, 1);
    return FAB_OK;
}

/* ---- the pool ---- */

static unsigned default_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores > WORKERS_MIN ? (unsigned)cores : WORKERS_MIN;
}

enum fab_status warp_pool_create(const struct warp_policy *policy, struct warp_pool **pool_out,
                                 struct fab_err *err)
{
    struct warp_pool *pool = fab_alloc_zeroed(1, sizeof(*pool));

    if (!pool)
        return fab_err_set(err, FAB_ERR_NOMEM, "worker pool");
    if (policy)
        pool->policy = *policy;
    pool->worker_count = pool->policy.worker_count ? pool->policy.worker_count : default_workers();
    pool->budget_full = pool->policy.budget_full ? pool->policy.budget_full : BUDGET_FULL;
    pool->budget_split = pool->policy.budget_split ? pool->policy.budget_split : BUDGET_SPLIT;
    (void)pthread_mutex_init(&pool->lock, NULL); /* cannot fail without attributes */
    (void)pthread_cond_init(&pool->idle, NULL);
    pool->threads = fab_alloc_zeroed(pool->worker_count, sizeof(*pool->threads));
    pool->workers = fab_alloc_zeroed(pool->worker_count, sizeof(*pool->workers));
    if (!pool->threads || !pool->workers) {
        warp_pool_destroy(pool);
        return fab_err_set(err, FAB_ERR_NOMEM, "worker pool");
    }
    *pool_out = pool;
    return FAB_OK;
}

static void free_launch(struct warp_launch *launch)
{
    (void)pthread_mutex_destroy(&launch->lock);
    free(launch->page);
    free(launch->shapes);
    free(launch->params);
    free(launch);
}

void warp_pool_destroy(struct warp_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->ring)
        (void)pthread_cond_wait(&pool->idle, &pool->lock);
    (void)pthread_mutex_unlock(&pool->lock);
    atomic_store(&pool->closing, true);
    warp_pool_notify(pool, INT_MAX);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
        warp_worker_fini(&pool->workers[i]);
    }
    while (pool->helpers) {
        struct warp_worker *next = pool->helpers->next;

        warp_worker_fini(pool->helpers);
        free(pool->helpers);
        pool->helpers = next;
    }
    while (pool->free_launches) {
        struct warp_launch *next = pool->free_launches->next;

        free_launch(pool->free_launches);
        pool->free_launches = next;
    }
    while (pool->tasks)
        free(take_task_locked(pool));
    free(pool->threads);
    free(pool->workers);
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->idle);
    free(pool);
}

unsigned warp_pool_worker_count(const struct warp_pool *pool)
{
    return pool->worker_count;
}
