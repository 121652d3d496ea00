/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/queue.c - see queue.h.
 *
 * The ring has one producer (the control engine) and one consumer (the leader). It is larger than
 * the credit that the transport gives, so it never fills up. A leader without commands is the
 * control engine itself (xp_serve).
 */
#include "cuda-server/queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "cuda-server/dispatch.h"
#include "cuda-server/gate.h"
#include "cuda-server/meter.h"

enum {
    RING_BYTES = 8 << 20, /* the credit: 4 MiB of arguments, 65536 commands; and one gap */
    ALIGN = 8,
    ACK_COMMANDS = 64,  /* credit is given at least so often */
    COMPANY_CALLS = 64, /* so long after commands came beside a call it is expected again */
    THREADS_MAX = 1024,
    IDLE_S = 1, /* so long a follower waits to be called */
};

/* In front of each command in the ring. */
struct record {
    uint64_t number;
    uint32_t op; /* 0: skip to the ring's begin */
    uint32_t args_bytes;
    uint64_t is_call;
};

/* A thread that may lead. */
struct follower {
    struct cudas_queue *queue;
    struct follower *next; /* idle: the one that was idle before */
    pthread_cond_t called;
    pthread_t thread;
    bool is_called;
    bool has_ended; /* or never began: the place is free; the thread is to be joined */
    bool was_started;
};

struct cudas_queue {
    struct cudas_worker *worker;
    uint8_t *ring;
    _Atomic uint64_t head, tail; /* bytes put in, taken out */
    _Atomic bool has_leader, is_ending;
    _Atomic uint32_t company; /* so many calls are still expected to have others beside them */
    uint64_t pushed, hold_at; /* the producer's: the last number; where a hold comes, 0: none */
    uint64_t executed, told;  /* the leader's: commands, for credit */

    pthread_mutex_t lock;  /* guards what follows */
    struct follower *idle; /* the last one first, so that those who are too many stay idle */
    struct follower followers[THREADS_MAX];
};

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* ---- the producer ---------------------------------------------------------------------------- */

static struct record *record_at(const struct cudas_queue *queue, uint64_t position)
{
    return (struct record *)(void *)(queue->ring + position % RING_BYTES);
}

static void *follower_main(void *arg);

static void join(struct follower *follower)
{
    if (follower->was_started)
        (void)pthread_join(follower->thread, NULL); /* it has nothing left to do */
    follower->was_started = false;
}

/* Without memory for another thread the commands wait for one that is there. */
static void start_thread_locked(struct cudas_queue *queue)
{
    struct follower *follower = queue->followers;
    sigset_t all, before;

    while (follower < queue->followers + THREADS_MAX && !follower->has_ended)
        follower++;
    if (follower == queue->followers + THREADS_MAX)
        return;
    join(follower);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&follower->thread, NULL, follower_main, follower) == 0) {
        follower->was_started = true;
        follower->has_ended = false;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Commands wait and nobody leads. */
static void call_follower(struct cudas_queue *queue)
{
    struct follower *follower;

    (void)pthread_mutex_lock(&queue->lock);
    follower = queue->idle;
    if (!atomic_load(&queue->has_leader) && !atomic_load(&queue->is_ending)) {
        if (follower) {
            queue->idle = follower->next;
            follower->is_called = true;
            (void)pthread_cond_signal(&follower->called);
        } else {
            start_thread_locked(queue);
        }
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

static bool push(struct cudas_queue *queue, const struct xp_message *message)
{
    const uint64_t bytes = sizeof(struct record) + padded(message->args_bytes);
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    const uint64_t to_end = RING_BYTES - head % RING_BYTES;
    const uint64_t gap = to_end < bytes ? to_end : 0;
    struct record *record;

    if (head + gap + bytes - atomic_load_explicit(&queue->tail, memory_order_acquire) > RING_BYTES)
        return false;
    if (gap > 0) {
        if (gap >= sizeof(*record)) /* a shorter one explains itself */
            record_at(queue, head)->op = 0;
        head += gap;
    }
    record = record_at(queue, head);
    *record = (struct record){.number = message->number,
                              .op = message->op,
                              .args_bytes = (uint32_t)message->args_bytes,
                              .is_call = message->kind == XP_CALL};
    memcpy(record + 1, message->args, message->args_bytes);
    atomic_store(&queue->head, head + bytes);
    if (atomic_load(&queue->worker->stats.parked) > 0)
        atomic_store_explicit(&queue->company, COMPANY_CALLS, memory_order_relaxed);
    if (atomic_load(&queue->has_leader))
        xp_serve_nudge(queue->worker->node); /* not if the leader runs this itself */
    else
        call_follower(queue);
    return true;
}

/* A hold that is due goes in behind the last command that it lets through. */
static void push_hold(struct cudas_queue *queue)
{
    const struct xp_message hold = {
        .kind = XP_POST, .op = WIRE_HOLD, .number = queue->pushed, .args = ""};

    if (queue->hold_at != 0 && queue->pushed + 1 >= queue->hold_at) {
        queue->hold_at = 0;
        cudas_gate_announce(queue->worker);
        (void)push(queue, &hold); /* there is room: it is smaller than the ring's reserve */
    }
}

bool cudas_queue_push(struct cudas_queue *queue, const struct xp_message *message)
{
    if (message->op == WIRE_HOLD || !push(queue, message))
        return false; /* a hold is a signal */
    queue->pushed = message->number;
    push_hold(queue);
    return true;
}

void cudas_queue_hold(struct cudas_queue *queue, uint64_t number)
{
    queue->hold_at = number > 0 ? number : 1;
    push_hold(queue);
}

void cudas_queue_release(struct cudas_queue *queue)
{
    queue->hold_at = 0;
    cudas_gate_open(queue->worker);
}

/* ---- the leader ------------------------------------------------------------------------------ */

static bool is_empty(struct cudas_queue *queue)
{
    return atomic_load(&queue->head) == atomic_load_explicit(&queue->tail, memory_order_relaxed);
}

static void give_credit(struct cudas_queue *queue)
{
    if (queue->executed == queue->told)
        return;
    queue->told = queue->executed;
    xp_executed(atomic_load_explicit(&queue->worker->conn, memory_order_relaxed), queue->told);
}

static bool has_news(void *user)
{
    struct cudas_queue *queue = user;

    return !is_empty(queue) || atomic_load(&queue->is_ending);
}

/* False: the queue is ending. */
static bool wait_for_command(struct cudas_queue *queue)
{
    if (is_empty(queue)) {
        cudas_meter_close(queue->worker);
        give_credit(queue);
        xp_serve(queue->worker->node, has_news, queue);
    }
    return !is_empty(queue) || !atomic_load(&queue->is_ending);
}

/* The next command; its end in *next_out. */
static const struct record *take(struct cudas_queue *queue, uint64_t *next_out)
{
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    const uint64_t to_end = RING_BYTES - tail % RING_BYTES;
    const struct record *record = record_at(queue, tail);

    if (to_end < sizeof(*record) || record->op == 0) {
        tail += to_end;
        record = record_at(queue, tail);
    }
    *next_out = tail + sizeof(*record) + padded(record->args_bytes);
    return record;
}

static void done_with(struct cudas_queue *queue, const struct record *record, uint64_t next)
{
    queue->executed = record->number;
    atomic_store_explicit(&queue->tail, next, memory_order_release);
    if (queue->executed - queue->told >= ACK_COMMANDS)
        give_credit(queue);
}

static void count_parked(struct cudas_stats *stats)
{
    const uint64_t now = atomic_fetch_add_explicit(&stats->parked, 1, memory_order_relaxed) + 1;
    uint64_t most = atomic_load_explicit(&stats->parked_max, memory_order_relaxed);

    while (now > most && !atomic_compare_exchange_weak(&stats->parked_max, &most, now))
        ;
}

/* Then somebody leads while this call is executed. Otherwise nobody does until more comes, which
 * the transport's own thread notices a little later: a program with one thread sends nothing then.
 */
static bool expects_company(struct cudas_queue *queue)
{
    uint32_t left = atomic_load_explicit(&queue->company, memory_order_relaxed);

    if (left > 0)
        atomic_store_explicit(&queue->company, left - 1, memory_order_relaxed);
    return left > 0;
}

/* Gives the lead up and executes a call that may take its time. `buffer` is the thread's. */
static void park(struct cudas_queue *queue, const struct record *record, uint64_t next,
                 struct fab_vec *buffer)
{
    struct cudas_command command = {.number = record->number,
                                    .op = record->op,
                                    .is_call = true,
                                    .size_bytes = record->args_bytes};
    struct cudas_stats *stats = &queue->worker->stats;

    if (fab_vec_reserve(buffer, record->args_bytes) != FAB_OK) {
        cudas_reply(queue->worker, &command, CUDA_ERROR_OUT_OF_MEMORY, NULL);
        done_with(queue, record, next);
        xp_serve_end(queue->worker->node); /* as below: the caller takes the lead again */
        atomic_store(&queue->has_leader, false);
        return;
    }
    if (record->args_bytes > 0)
        memcpy(buffer->items, record + 1, record->args_bytes);
    command.bytes = buffer->items;
    done_with(queue, record, next);
    if (is_empty(queue))
        give_credit(queue);
    count_parked(stats);
    command.is_parked = true;
    xp_serve_end(queue->worker->node);
    atomic_store(&queue->has_leader, false);
    if (!is_empty(queue) || expects_company(queue))
        call_follower(queue);
    cudas_dispatch(queue->worker, &command);
}

/* Executes commands until the lead is given up or the queue ends. */
static void lead(struct cudas_queue *queue, struct fab_vec *buffer)
{
    xp_serve_begin(queue->worker->node);
    while (wait_for_command(queue)) {
        uint64_t next;
        const struct record *record = take(queue, &next);

        atomic_fetch_add_explicit(&queue->worker->stats.commands, 1, memory_order_relaxed);
        if (record->op != WIRE_LAUNCH && record->op != WIRE_LAUNCH_CALL)
            cudas_meter_close(queue->worker);
        if (record->is_call && cudas_is_parked(record->op)) {
            park(queue, record, next, buffer);
            if (atomic_exchange(&queue->has_leader, true))
                return; /* somebody else leads now */
            xp_serve_begin(queue->worker->node);
            continue;
        }
        cudas_dispatch(queue->worker, &(struct cudas_command){.number = record->number,
                                                              .op = record->op,
                                                              .is_call = record->is_call != 0,
                                                              .bytes = record + 1,
                                                              .size_bytes = record->args_bytes});
        done_with(queue, record, next);
    }
    xp_serve_end(queue->worker->node);
    atomic_store(&queue->has_leader, false);
}

/* Until it is called or the queue ends. False: nobody has called for long, and others are idle. */
static bool idle_locked(struct follower *follower)
{
    struct cudas_queue *queue = follower->queue;
    struct follower **at = &queue->idle;
    struct timespec until;
    int error = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    follower->next = queue->idle;
    follower->is_called = false;
    queue->idle = follower;
    /* The one at the end of the list stays. */
    while (!follower->is_called && !atomic_load(&queue->is_ending) &&
           !(error == ETIMEDOUT && follower->next))
        error = follower->next ? pthread_cond_timedwait(&follower->called, &queue->lock, &until)
                               : pthread_cond_wait(&follower->called, &queue->lock);
    if (follower->is_called || atomic_load(&queue->is_ending))
        return true;
    while (*at != follower)
        at = &(*at)->next;
    *at = follower->next;
    return false;
}

static void *follower_main(void *arg)
{
    struct follower *follower = arg;
    struct cudas_queue *queue = follower->queue;
    struct fab_vec buffer = FAB_VEC(char); /* from memory that is aligned for anything */
    bool is_wanted = true;

    cudas_thread_begin(queue->worker, "cudas-lead");
    (void)pthread_mutex_lock(&queue->lock);
    while (is_wanted && !atomic_load(&queue->is_ending)) {
        if (atomic_exchange(&queue->has_leader, true)) {
            is_wanted = idle_locked(follower);
            continue;
        }
        (void)pthread_mutex_unlock(&queue->lock);
        lead(queue, &buffer);
        (void)pthread_mutex_lock(&queue->lock);
    }
    follower->has_ended = true;
    (void)pthread_mutex_unlock(&queue->lock);
    fab_vec_fini(&buffer);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void init_followers(struct cudas_queue *queue)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        queue->followers[i] = (struct follower){.queue = queue, .has_ended = true};
        (void)pthread_cond_init(&queue->followers[i].called, &monotonic);
    }
    (void)pthread_condattr_destroy(&monotonic);
}

enum fab_status cudas_queue_create(struct cudas_worker *worker, struct cudas_queue **queue_out,
                                   struct fab_err *err)
{
    struct cudas_queue *queue = fab_alloc_zeroed(1, sizeof(*queue));

    if (!queue)
        return fab_err_set(err, FAB_ERR_NOMEM, "command queue");
    queue->worker = worker;
    queue->ring =
        mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (queue->ring == MAP_FAILED) {
        free(queue);
        return fab_err_set(err, FAB_ERR_NOMEM, "ring of the command queue");
    }
    (void)pthread_mutex_init(&queue->lock, NULL);
    init_followers(queue);
    (void)pthread_mutex_lock(&queue->lock);
    start_thread_locked(queue);
    (void)pthread_mutex_unlock(&queue->lock);
    *queue_out = queue;
    return FAB_OK;
}

void cudas_queue_stop(struct cudas_queue *queue)
{
    if (!queue || atomic_exchange(&queue->is_ending, true)) /* again: the node may be gone */
        return;
    (void)pthread_mutex_lock(&queue->lock);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        (void)pthread_cond_signal(&queue->followers[i].called);
    (void)pthread_mutex_unlock(&queue->lock);
    if (queue->worker->node)
        xp_serve_nudge(queue->worker->node);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        join(&queue->followers[i]); /* none is started any more */
}

void cudas_queue_destroy(struct cudas_queue *queue)
{
    if (!queue)
        return;
    (void)munmap(queue->ring, RING_BYTES);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        (void)pthread_cond_destroy(&queue->followers[i].called);
    (void)pthread_mutex_destroy(&queue->lock);
    free(queue);
}
