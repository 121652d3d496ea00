/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/queue.c - the graph of commands: order, start, finish, wait.
 *
 * Commands that became ready are collected under the lock and started after it is given up. Work
 * that takes time goes to a ready list that engine workers and waiting threads empty.
 */
#include "softcuda/driver/queue.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/tick.h"

enum waiter_state { WAITING, SLEEPING, DONE };

enum {
    SPIN_NS = 30 * 1000,      /* a waiting thread spins this long before it sleeps */
    SPIN_CHECK = 64,          /* pauses between looks at the clock */
    FREE_COMMANDS_MAX = 4096, /* kept for reuse */
    ROOM_PAUSE_NS = 20000,    /* between looks for room */
};

struct command_list {
    struct soft_command *first, *last;
};

static struct {
    pthread_mutex_t lock;
    struct command_list started;   /* became ready under the lock; by the thread that holds it */
    struct command_list on_worker; /* ready, best priority first */
    struct soft_command *free;
    uint32_t free_count;
    _Atomic uint32_t on_worker_count;
} graph = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP};

/* Non-NULL while this thread starts commands: further ones join the list instead of recursing. */
static _Thread_local struct command_list *starting __attribute__((tls_model("initial-exec")));

uint64_t soft_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void list_append(struct command_list *list, struct soft_command *command)
{
    command->next = NULL;
    if (list->last)
        list->last->next = command;
    else
        list->first = command;
    list->last = command;
}

static struct soft_command *list_pop(struct command_list *list)
{
    struct soft_command *command = list->first;

    if (command) {
        list->first = command->next;
        if (!list->first)
            list->last = NULL;
        command->next = NULL;
    }
    return command;
}

/* ---- commands ------------------------------------------------------------------------------- */

struct soft_command *soft_command_new(struct soft_context *context, struct soft_stream *stream,
                                      const struct soft_command_ops *ops)
{
    struct soft_command *command;

    pthread_mutex_lock(&graph.lock);
    command = graph.free;
    if (command) {
        graph.free = command->next;
        graph.free_count--;
    }
    pthread_mutex_unlock(&graph.lock);
    if (!command) {
        command = fab_alloc(sizeof(*command));
        if (!command)
            return NULL;
    }
    command->ops = ops;
    command->context = context;
    command->stream = stream;
    command->next = NULL;
    command->successors = command->last_successor = NULL;
    command->waiters = NULL;
    command->blockers = 1;
    atomic_init(&command->refs, 1);
    command->is_cancelled = false;
    command->ready_ns = command->end_ns = 0;
    command->priority = stream ? stream->priority : SOFT_PRIORITY_LEAST;
    command->after_stream.to = command->after_legacy.to = NULL;
    command->after_gate.to = command->after_other.to = command->before_legacy.to = NULL;
    atomic_init(&command->launch, NULL);
    return command;
}

void soft_command_ref(struct soft_command *command)
{
    (void)atomic_fetch_add_explicit(&command->refs, 1, memory_order_relaxed);
}

void soft_command_unref(struct soft_command *command)
{
    if (atomic_fetch_sub_explicit(&command->refs, 1, memory_order_acq_rel) != 1)
        return;
    warp_launch_put(atomic_load_explicit(&command->launch, memory_order_relaxed));
    if (command->ops->clear)
        command->ops->clear(command);
    pthread_mutex_lock(&graph.lock);
    if (graph.free_count < FREE_COMMANDS_MAX) {
        command->next = graph.free;
        graph.free = command;
        graph.free_count++;
        command = NULL;
    }
    pthread_mutex_unlock(&graph.lock);
    free(command);
}

void soft_command_drop(struct soft_command *command)
{
    soft_command_unref(command);
}

/* ---- starting ------------------------------------------------------------------------------- */

static void run_pending(void *arg)
{
    (void)arg;
    (void)soft_queue_help();
}

static void hand_to_workers(struct soft_command *command)
{
    struct soft_command **at;

    pthread_mutex_lock(&graph.lock);
    for (at = &graph.on_worker.first; *at && (*at)->priority <= command->priority;)
        at = &(*at)->next;
    command->next = *at;
    *at = command;
    if (!command->next)
        graph.on_worker.last = command;
    atomic_fetch_add_explicit(&graph.on_worker_count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&graph.lock);
    if (warp_pool_run(soft_engine(), run_pending, NULL) != FAB_OK)
        (void)soft_queue_help(); /* no memory to post it: then here */
}

static void start_command(struct soft_command *command, bool here)
{
    if (!command->ops->even_failed && soft_context_error(command->context) != CUDA_SUCCESS)
        soft_command_finish(command, CUDA_SUCCESS);
    else if (command->ops->on_worker && !here)
        hand_to_workers(command);
    else
        command->ops->start(command);
}

static void start_all(struct command_list *list)
{
    struct soft_command *command;

    if (starting) {
        while ((command = list_pop(list)))
            list_append(starting, command);
        return;
    }
    starting = list;
    while ((command = list_pop(list)))
        start_command(command, false);
    starting = NULL;
}

bool soft_queue_help(void)
{
    struct soft_command *command;

    if (atomic_load_explicit(&graph.on_worker_count, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&graph.lock);
    command = list_pop(&graph.on_worker);
    if (command)
        atomic_fetch_sub_explicit(&graph.on_worker_count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&graph.lock);
    if (!command)
        return false;
    start_command(command, true);
    return true;
}

void soft_queue_lock(void)
{
    pthread_mutex_lock(&graph.lock);
}

void soft_queue_unlock(void)
{
    struct command_list list = graph.started;

    graph.started = (struct command_list){NULL, NULL};
    pthread_mutex_unlock(&graph.lock);
    if (list.first)
        start_all(&list);
}

/* ---- order ---------------------------------------------------------------------------------- */

static struct soft_command *tail_of(const struct soft_stream *stream)
{
    return atomic_load_explicit(&stream->tail, memory_order_relaxed);
}

static void link_locked(struct soft_edge *edge, struct soft_command *command,
                        struct soft_command *other)
{
    edge->to = command;
    edge->next = NULL;
    if (other->last_successor)
        other->last_successor->next = edge;
    else
        other->successors = edge;
    other->last_successor = edge;
    command->blockers++;
}

bool soft_command_after_locked(struct soft_command *command, struct soft_command *other)
{
    struct soft_edge *edge = &command->after_other;
    bool on_heap = edge->to != NULL;

    if (!other)
        return true;
    if (on_heap) {
        edge = fab_alloc(sizeof(*edge));
        if (!edge)
            return false;
    }
    edge->on_heap = on_heap;
    link_locked(edge, command, other);
    return true;
}

bool soft_command_after_context_locked(struct soft_command *command, struct soft_context *context)
{
    bool done = true;

    for (struct soft_stream *stream = context->queue.streams; stream; stream = stream->next)
        done = done && soft_command_after_locked(command, tail_of(stream));
    return done;
}

/* The default stream waits for all blocking streams, and they wait for it. */
static void order_with_legacy(struct soft_command *command, struct soft_stream *stream)
{
    struct soft_context_queue *queue = &command->context->queue;

    if (!queue->legacy || !soft_stream_is_blocking(stream))
        return;
    if (stream != queue->legacy) {
        struct soft_command *tail = tail_of(queue->legacy);

        command->after_legacy.on_heap = false;
        if (tail)
            link_locked(&command->after_legacy, command, tail);
        return;
    }
    for (struct soft_stream *other = queue->streams; other; other = other->next) {
        struct soft_command *tail = tail_of(other);

        if (other == stream || !soft_stream_is_blocking(other) || !tail || tail->before_legacy.to)
            continue;
        tail->before_legacy.on_heap = false;
        link_locked(&tail->before_legacy, command, tail);
    }
}

static void order_with_gate(struct soft_command *command)
{
    command->after_gate.on_heap = false;
    if (command->context->queue.gate)
        link_locked(&command->after_gate, command, command->context->queue.gate);
}

static void release_locked(struct soft_command *command, uint64_t end_ns)
{
    if (end_ns > command->ready_ns)
        command->ready_ns = end_ns;
    if (--command->blockers > 0)
        return;
    if (command->stream)
        command->stream->head = command;
    list_append(&graph.started, command);
}

void soft_command_submit_locked(struct soft_command *command)
{
    struct soft_stream *stream = command->stream;

    atomic_fetch_add_explicit(&command->context->queue.pending, 1, memory_order_relaxed);
    if (stream) {
        atomic_fetch_add_explicit(&stream->pending, 1, memory_order_relaxed);
        struct soft_command *tail = tail_of(stream);

        order_with_gate(command);
        order_with_legacy(command, stream);
        command->after_stream.on_heap = false;
        if (tail)
            link_locked(&command->after_stream, command, tail);
        atomic_store_explicit(&stream->tail, command, memory_order_release);
    }
    release_locked(command, 0);
}

void soft_command_gate_locked(struct soft_command *command)
{
    order_with_gate(command);
    soft_command_submit_locked(command);
    command->context->queue.gate = command;
}

/* ---- finishing ------------------------------------------------------------------------------ */

static void wake(struct soft_waiter *waiter)
{
    /* After DONE is stored the waiter's stack may be gone: the address is only a key then. */
    if (atomic_exchange_explicit(&waiter->state, DONE, memory_order_acq_rel) == SLEEPING)
        (void)syscall(SYS_futex, &waiter->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void leave_stream_locked(struct soft_command *command, struct soft_stream *stream)
{
    atomic_fetch_sub_explicit(&stream->pending, 1, memory_order_relaxed);
    stream->end_ns = command->end_ns;
    if (stream->head == command)
        stream->head = NULL;
    if (tail_of(stream) == command)
        atomic_store_explicit(&stream->tail, NULL, memory_order_release);
}

/* Returns a stream whose last reference of the graph is now the caller's to put, or NULL. */
static struct soft_stream *finish_locked(struct soft_command *command)
{
    struct soft_stream *stream = command->stream;
    struct soft_waiter *waiter = command->waiters;
    struct soft_edge *edge = command->successors;

    if (command->ops->passed)
        command->ops->passed(command);
    atomic_fetch_sub_explicit(&command->context->queue.pending, 1, memory_order_relaxed);
    if (command->context->queue.gate == command)
        command->context->queue.gate = NULL;
    if (stream)
        leave_stream_locked(command, stream);
    while (edge) {
        struct soft_edge *next = edge->next;
        struct soft_command *to = edge->to;

        if (edge->on_heap)
            free(edge);
        else
            edge->to = NULL;
        release_locked(to, command->end_ns);
        edge = next;
    }
    while (waiter) {
        struct soft_waiter *next = waiter->next;

        wake(waiter);
        waiter = next;
    }
    if (!stream || !stream->is_retired || tail_of(stream))
        return NULL;
    return soft_stream_unlink_locked(stream);
}

void soft_command_finish(struct soft_command *command, CUresult result)
{
    struct soft_stream *orphan;

    if (result != CUDA_SUCCESS)
        soft_context_set_error(command->context, result);
    if (command->end_ns == 0)
        command->end_ns = soft_now_ns();
    if (command->end_ns < command->ready_ns)
        command->end_ns = command->ready_ns;
    soft_queue_lock();
    orphan = finish_locked(command);
    soft_queue_unlock();
    soft_command_unref(command);
    if (orphan)
        cuc_object_put(&orphan->object);
}

void soft_command_marker(struct soft_command *command)
{
    soft_command_finish(command, CUDA_SUCCESS);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static bool waiter_is_done(void *arg)
{
    struct soft_waiter *waiter = arg;

    return atomic_load_explicit(&waiter->state, memory_order_acquire) == DONE;
}

static bool is_running(const struct soft_command *command)
{
    return command && atomic_load_explicit(&command->launch, memory_order_acquire);
}

/* A running grid that stands in the way: of the stream itself first, else of its context. */
static struct soft_command *find_running(struct soft_context *context, struct soft_stream *stream)
{
    struct soft_command *found = NULL;

    soft_queue_lock();
    if (stream && is_running(stream->head))
        found = stream->head;
    for (struct soft_stream *at = context->queue.streams; at && !found; at = at->next)
        if (is_running(at->head))
            found = at->head;
    if (found)
        soft_command_ref(found);
    soft_queue_unlock();
    return found;
}

void soft_queue_cancel(struct soft_context *context)
{
    for (;;) {
        struct soft_command *found = NULL;

        soft_queue_lock();
        for (struct soft_stream *at = context->queue.streams; at && !found; at = at->next)
            /* A head leaves its stream before it is freed, which the analyzer can not see. */
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
            if (is_running(at->head) && !at->head->is_cancelled)
                found = at->head;
        if (found) {
            found->is_cancelled = true;
            soft_command_ref(found);
        }
        soft_queue_unlock();
        if (!found)
            return;
        warp_launch_cancel(atomic_load_explicit(&found->launch, memory_order_acquire));
        soft_command_unref(found);
    }
}

/* Returns the launch that was helped, only to compare with the next one. */
static const void *help_launch(struct soft_context *context, struct soft_stream *stream,
                               struct soft_waiter *waiter)
{
    struct soft_command *command = find_running(context, stream);
    struct warp_launch *launch;

    if (!command)
        return NULL;
    launch = atomic_load_explicit(&command->launch, memory_order_acquire);
    warp_launch_help(launch, waiter_is_done, waiter);
    soft_command_unref(command);
    return launch;
}

static void spin_or_sleep(struct soft_waiter *waiter, uint64_t spin_until_ns)
{
    uint32_t waiting = WAITING;

    for (int i = 0; i < SPIN_CHECK; i++) {
        if (waiter_is_done(waiter))
            return;
        __builtin_ia32_pause();
    }
    if (soft_now_ns() < spin_until_ns)
        return;
    if (atomic_compare_exchange_strong_explicit(&waiter->state, &waiting, SLEEPING,
                                                memory_order_acq_rel, memory_order_acquire))
        waiting = SLEEPING;
    while (waiting == SLEEPING) {
        (void)syscall(SYS_futex, &waiter->state, FUTEX_WAIT_PRIVATE, SLEEPING, NULL, NULL, 0);
        waiting = atomic_load_explicit(&waiter->state, memory_order_acquire);
    }
}

static void wait_for(struct soft_waiter *waiter, struct soft_context *context,
                     struct soft_stream *stream)
{
    uint64_t spin_until_ns = 0;
    const void *last_helped = NULL;

    while (!waiter_is_done(waiter)) {
        const void *helped;

        if (soft_queue_help())
            continue;
        soft_tick_poll();
        helped = help_launch(context, stream, waiter);
        if (waiter_is_done(waiter))
            return;
        if (spin_until_ns == 0 || (helped && helped != last_helped))
            spin_until_ns = soft_now_ns() + SPIN_NS;
        last_helped = helped;
        spin_or_sleep(waiter, spin_until_ns);
    }
}

static void waiter_attach_locked(struct soft_waiter *waiter, struct soft_command *command)
{
    atomic_init(&waiter->state, WAITING);
    waiter->next = command->waiters;
    command->waiters = waiter;
}

void soft_command_wait_unlock(struct soft_command *command)
{
    struct soft_waiter waiter;
    struct soft_context *context;
    struct soft_stream *stream;

    if (!command) {
        soft_queue_unlock();
        return;
    }
    context = command->context;
    stream = command->stream;
    waiter_attach_locked(&waiter, command);
    soft_queue_unlock();
    wait_for(&waiter, context, stream);
}

static bool is_full(const struct soft_stream *stream)
{
    return stream && atomic_load_explicit(&stream->pending, memory_order_relaxed) >=
                         soft_device_models()->queue_depth;
}

/* Until there is room: waits for what the stream does, or for what lets it begin. */
static void wait_for_room(struct soft_stream *stream)
{
    while (is_full(stream)) {
        struct soft_command *head;

        soft_queue_lock();
        head = stream->head;
        soft_command_wait_unlock(head);
        if (head || soft_queue_help())
            continue;
        soft_tick_poll();
        (void)nanosleep(&(struct timespec){.tv_nsec = ROOM_PAUSE_NS}, NULL);
    }
}

void soft_command_submit(struct soft_command *command)
{
    if (FAB_UNLIKELY(is_full(command->stream)))
        wait_for_room(command->stream);
    soft_queue_lock();
    soft_command_submit_locked(command);
    soft_queue_unlock();
}

CUresult soft_command_submit_and_wait(struct soft_command *command)
{
    struct soft_waiter waiter;
    struct soft_context *context = command->context;
    struct soft_stream *stream = command->stream;
    bool is_ready;

    soft_queue_lock();
    waiter_attach_locked(&waiter, command);
    soft_command_submit_locked(command);
    is_ready = graph.started.last == command;
    if (is_ready)
        graph.started = (struct command_list){NULL, NULL}; /* nothing else was started here */
    soft_queue_unlock();
    if (is_ready)
        start_command(command, true);
    wait_for(&waiter, context, stream);
    return soft_context_error(context);
}
