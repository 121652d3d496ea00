/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/launch_int.h - a grid on its way, and the pool that runs it.
 */
#ifndef SOFTCUDA_WARP_LAUNCH_INT_H
#define SOFTCUDA_WARP_LAUNCH_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "softcuda/warp/exec_int.h"
#include "softcuda/warp/launch.h"

enum warp_prepare_state { WARP_UNPREPARED, WARP_PREPARING, WARP_PREPARED };

enum { WARP_WORKSPACE_BYTES = 64 };

struct warp_launch {
    struct warp_launch *prev, *next; /* in the pool's ring; next also in the free list */
    struct warp_pool *pool;
    struct warp_program *program;
    const struct warp_env *env;
    uint64_t id; /* never used twice */
    uint64_t grid_id;
    uint32_t grid[3], block[3];
    uint32_t threads, warp_count; /* of a block */
    uint32_t dynamic_shared_bytes, shared_bytes;
    uint64_t local_stride;
    bool cooperative;
    void (*done)(void *arg, const struct warp_outcome *outcome);
    void *done_arg;

    atomic_uint references;
    atomic_uint prepare; /* enum warp_prepare_state */
    atomic_bool stop;    /* a fault or cancel: start nothing, leave at the next chance */
    atomic_bool finished;
    atomic_uint_least64_t next_block;
    atomic_uint_least64_t unfinished; /* blocks; at 0 the launch is done */
    uint64_t block_count;
    atomic_uint suspended_count; /* changed under the lock */
    atomic_uint rotations;       /* times that a block was suspended */

    pthread_mutex_t lock;       /* the fields below */
    struct warp_run *suspended; /* oldest first */
    struct warp_run *suspended_last;
    struct warp_outcome outcome;

    /* Memory that is kept when the record is used again. */
    uint8_t *page;   /* base BLOCK as every block begins with it */
    uint8_t *shapes; /* base SHAPE per warp index */
    uint8_t *params;
    size_t page_room, shapes_room, params_room;
    FAB_ALIGNED(64)
    uint8_t workspace[WARP_WORKSPACE_BYTES]; /* grid barrier: u32 size, u32 barrier */
};

enum { WARP_IDLE_SPIN_NS = 40000 };

/* Rounding and denormal mode of this thread: sets one, returns the old. */
#if defined(__x86_64__)
enum { WARP_FLOAT_DEFAULT = 0x1f80 }; /* MXCSR: round to nearest, no traps, no flushing */
static inline unsigned warp_float_mode(unsigned mode)
{
    unsigned old = __builtin_ia32_stmxcsr();

    __builtin_ia32_ldmxcsr(mode);
    return old;
}
#else
enum { WARP_FLOAT_DEFAULT = 0 };
static inline unsigned warp_float_mode(unsigned mode)
{
    return mode; /* threads elsewhere begin with the default, and programs rarely change it */
}
#endif

static inline void warp_relax(void) /* inside a loop that looks at memory */
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

struct warp_task {
    struct warp_task *next;
    void (*fn)(void *arg);
    void *arg;
};

struct warp_pool {
    struct warp_policy policy;
    unsigned worker_count;
    int32_t budget_full, budget_split;

    atomic_uint sequence;           /* changes when there may be work; workers sleep on it */
    atomic_uint spinners, sleepers; /* workers without work: awake, asleep */
    atomic_uint active;             /* launches in the ring */
    atomic_uint pending_tasks;
    atomic_bool closing;

    pthread_mutex_t lock;     /* the fields below */
    struct warp_launch *ring; /* next to be served */
    struct warp_launch *free_launches;
    struct warp_task *tasks, *last_task;
    struct warp_worker *helpers; /* of waiting threads, not in use */
    bool started;
    pthread_t *threads;
    struct warp_worker *workers;
    unsigned thread_count;
    pthread_cond_t idle; /* a launch left the ring */
};

/* launch.c */
bool warp_launch_prepare(struct warp_launch *launch); /* false: somebody else is at it */
void warp_launch_fail(struct warp_launch *launch, const struct warp_outcome *outcome);
void warp_launch_blocks_done(struct warp_launch *launch, uint64_t count);
void warp_page_fill(const struct warp_launch *launch, const struct warp_hoisted *hoisted,
                    uint8_t *page, const uint32_t ctaid[3], uint32_t warp_index);
void warp_hoisted_run(const struct warp_hoisted *hoisted, struct warp *w);
/* Runs blocks of the launch until none can be taken, others deserve a turn, or enough() says so.
 * False if there was none. */
bool warp_launch_serve(struct warp_launch *launch, struct warp_worker *worker,
                       bool (*enough)(void *arg), void *arg);

/* pool.c */
struct warp_launch *warp_pool_launch_get(struct warp_pool *pool); /* NULL: no memory */
void warp_pool_launch_put(struct warp_launch *launch);
void warp_pool_add(struct warp_launch *launch);
struct warp_worker *warp_pool_helper_get(struct warp_pool *pool); /* NULL: no memory */
void warp_pool_helper_put(struct warp_worker *worker);
void warp_pool_notify(struct warp_pool *pool, unsigned count); /* wakes up to count sleepers */
void warp_pool_finish(struct warp_launch *launch);             /* its last block has ended */
bool warp_pool_is_shared(const struct warp_pool *pool);        /* others wait for a worker */

#endif /* SOFTCUDA_WARP_LAUNCH_INT_H */
