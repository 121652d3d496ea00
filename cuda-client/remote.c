/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/remote.c - commands to workers, their messages, and what happens when one is lost.
 */
#include "cuda-client/remote_int.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "cuda-client/flags.h"
#include "cuda-client/init.h"
#include "cuda-client/thread.h"
#include "cuda-client/timeline.h"
#include "cuda-client/trace.h"
#include "cuda-client/waiter.h"
#include "ucx-transport/xp.h"

static _Atomic uint64_t last_id;
static bool sync_wanted; /* FABRIC_SYNC=1 */

uint64_t cudac_ids_new(uint32_t count)
{
    return atomic_fetch_add_explicit(&last_id, count, memory_order_relaxed) + 1;
}

uint64_t cudac_id_new(void)
{
    return cudac_ids_new(1);
}

void cudac_remote_set_sync(bool wanted)
{
    sync_wanted = wanted;
}

bool cudac_remote_is_sync(void)
{
    return sync_wanted;
}

/* ---- results -------------------------------------------------------------------------------- */

CUresult cudac_worker_state(const struct cudac_worker *worker)
{
    return (CUresult)atomic_load_explicit(&worker->state, memory_order_acquire);
}

/* From now on everything of that worker fails, and its contexts say why. Who learns it first, a
 * failed command or the event, does it. */
static void mark_lost(struct cudac_worker *worker)
{
    if (atomic_exchange_explicit(&worker->state, CUDA_ERROR_DEVICE_UNAVAILABLE,
                                 memory_order_acq_rel) == CUDA_SUCCESS)
        cudac_contexts_lost(worker);
}

/* What a command's failure means; FAB_OK has been dealt with. */
static CUresult result_of(struct cudac_worker *worker, enum fab_status status)
{
    switch ((int)status) {
    case FAB_ERR_RANGE:
        return CUDA_ERROR_INVALID_VALUE; /* more than one message holds */
    case FAB_ERR_NOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case FAB_ERR_STALE:
        return CUDA_ERROR_NOT_INITIALIZED; /* a forked child */
    default:
        mark_lost(worker);
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
}

static size_t parts_bytes(const struct wire_parts *parts)
{
    size_t bytes = 0;

    for (size_t i = 0; i < parts->count; i++)
        bytes += parts->part[i].iov_len;
    return bytes;
}

static void pause_briefly(void)
{
    const struct timespec pause = {.tv_nsec = 100000};

    (void)nanosleep(&pause, NULL);
}

/* After FAB_ERR_AGAIN: until the worker takes more. */
static enum fab_status wait_for_room(struct cudac_worker *worker, const struct wire_parts *parts)
{
    uint64_t start_ns = cudac_now_ns();
    enum fab_status status;

    atomic_fetch_add_explicit(&worker->count.stalls, 1, memory_order_relaxed);
    status = xp_wait_room(worker->conn, parts_bytes(parts), UINT64_MAX);
    if (status == FAB_OK)
        (void)sched_yield(); /* there may be room, but too many open calls */
    if (cudac_trace_on())
        cudac_trace_span("stall", worker->index, start_ns);
    return status;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* FABRIC_SYNC=1: the answer to a call says that everything before it was executed. */
static CUresult post_wait(struct cudac_worker *worker)
{
    const struct wire_stats nothing = {0};
    struct wire_parts parts;

    wire_put_stats(&nothing, &parts);
    return cudac_call(worker, WIRE_STATS, &parts, NULL);
}

CUresult cudac_post(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                    uint64_t *number_out)
{
    enum fab_status status;
    CUresult state = cudac_worker_state(worker);

    if (state != CUDA_SUCCESS)
        return state;
    for (;;) {
        status = xp_post(worker->conn, op, parts->part, parts->count, number_out);
        if (status != FAB_ERR_AGAIN)
            break;
        status = wait_for_room(worker, parts);
        if (status != FAB_OK)
            break;
    }
    if (status != FAB_OK)
        return result_of(worker, status);
    atomic_fetch_add_explicit(&worker->count.posts, 1, memory_order_relaxed);
    return FAB_UNLIKELY(sync_wanted) ? post_wait(worker) : CUDA_SUCCESS;
}

/* Room for the largest reply: the thread's own, or new if a reply is still in use there. */
static void *reply_room(void)
{
    if (!cudac_thread.reply) {
        cudac_thread.reply = fab_alloc(XP_MESSAGE_MAX_BYTES);
        cudac_thread_watch();
    }
    if (!cudac_thread.reply || cudac_thread.is_reply_taken)
        return fab_alloc(XP_MESSAGE_MAX_BYTES);
    cudac_thread.is_reply_taken = true;
    return cudac_thread.reply;
}

static void reply_room_free(void *room)
{
    if (room && room == cudac_thread.reply)
        cudac_thread.is_reply_taken = false;
    else
        free(room);
}

void cudac_reply_free(struct cudac_reply *reply)
{
    reply_room_free(reply->owned);
    reply->owned = NULL;
    reply->bytes = NULL;
    reply->size_bytes = 0;
}

static enum fab_status call_carried(struct cudac_worker *worker, uint32_t op,
                                    const struct wire_parts *parts, void *room,
                                    struct xp_reply *reply)
{
    for (;;) {
        enum fab_status status =
            xp_call(worker->conn, op, parts->part, parts->count, room, XP_MESSAGE_MAX_BYTES, reply);

        if (status == FAB_ERR_AGAIN)
            status = wait_for_room(worker, parts);
        else
            return status;
        if (status != FAB_OK)
            return status;
    }
}

CUresult cudac_call(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                    struct cudac_reply *reply)
{
    struct xp_reply carried = {.carried = FAB_OK};
    uint64_t start_ns = cudac_now_ns();
    enum fab_status status;
    CUresult state = cudac_worker_state(worker);
    void *room;

    if (reply)
        *reply = (struct cudac_reply){.result = state};
    if (state != CUDA_SUCCESS)
        return state;
    room = reply_room();
    if (!room)
        return CUDA_ERROR_OUT_OF_MEMORY;
    atomic_fetch_add_explicit(&worker->count.calls, 1, memory_order_relaxed);
    status = call_carried(worker, op, parts, room, &carried);
    atomic_fetch_add_explicit(&worker->count.wait_ns, cudac_now_ns() - start_ns,
                              memory_order_relaxed);
    if (cudac_trace_on())
        cudac_trace_span(wire_row_find(op)->name, worker->index, start_ns);
    state = status == FAB_OK ? (CUresult)carried.result : result_of(worker, status);
    if (!reply) {
        reply_room_free(room);
        return state;
    }
    *reply = (struct cudac_reply){.result = state, .owned = room};
    if (status == FAB_OK) {
        reply->bytes = room;
        reply->size_bytes = carried.size_bytes;
    }
    return state;
}

/* ---- several at once ------------------------------------------------------------------------ */

struct pending_call {
    struct xp_call call; /* first */
    struct cudac_worker *worker;
    struct cudac_waiter waiter;
    enum fab_status carried;
    CUresult result;
    void *bytes;
    size_t size_bytes;
};

static void pending_done(struct xp_call *call, const struct xp_reply *reply)
{
    struct pending_call *pending = (struct pending_call *)call;

    pending->carried = reply->carried;
    if (reply->carried == FAB_OK) {
        pending->result = (CUresult)reply->result;
        pending->size_bytes = reply->size_bytes;
        pending->bytes = fab_alloc(reply->size_bytes + 1);
        if (pending->bytes)
            memcpy(pending->bytes, reply->bytes, reply->size_bytes);
        else
            pending->carried = FAB_ERR_NOMEM;
    }
    cudac_waiter_wake(&pending->waiter);
}

CUresult cudac_call_start(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                          struct cudac_pending *pending)
{
    struct pending_call *call;
    enum fab_status status;
    CUresult state = cudac_worker_state(worker);

    pending->internal = NULL;
    if (state != CUDA_SUCCESS)
        return state;
    call = fab_alloc_zeroed(1, sizeof(*call));
    if (!call)
        return CUDA_ERROR_OUT_OF_MEMORY;
    call->call.done = pending_done;
    call->worker = worker;
    for (;;) {
        status = xp_call_start(worker->conn, op, parts->part, parts->count, &call->call);
        if (status != FAB_ERR_AGAIN)
            break;
        status = wait_for_room(worker, parts);
        if (status != FAB_OK)
            break;
    }
    if (status != FAB_OK) {
        free(call);
        return result_of(worker, status);
    }
    atomic_fetch_add_explicit(&worker->count.calls, 1, memory_order_relaxed);
    pending->internal = call;
    return CUDA_SUCCESS;
}

CUresult cudac_call_finish(struct cudac_pending *pending, struct cudac_reply *reply)
{
    struct pending_call *call = pending->internal;
    CUresult result;

    if (reply)
        *reply = (struct cudac_reply){.result = CUDA_ERROR_DEVICE_UNAVAILABLE};
    if (!call)
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    cudac_waiter_wait(&call->waiter);
    result = call->carried == FAB_OK ? call->result : result_of(call->worker, call->carried);
    if (reply)
        *reply = (struct cudac_reply){.result = result,
                                      .bytes = call->bytes,
                                      .size_bytes = call->size_bytes,
                                      .owned = call->bytes};
    else
        free(call->bytes);
    free(call);
    pending->internal = NULL;
    return result;
}

/* ---- signals -------------------------------------------------------------------------------- */

CUresult cudac_signal(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts)
{
    enum fab_status status;
    CUresult state = cudac_worker_state(worker);

    if (state != CUDA_SUCCESS)
        return state;
    for (;;) {
        status = xp_signal(worker->conn, op, parts->part, parts->count);
        if (status != FAB_ERR_AGAIN)
            break;
        pause_briefly(); /* only acknowledgements make room, and nobody tells of them */
    }
    if (status != FAB_OK)
        return result_of(worker, status);
    atomic_fetch_add_explicit(&worker->count.signals, 1, memory_order_relaxed);
    return CUDA_SUCCESS;
}

/* ---- what comes from workers ---------------------------------------------------------------- */

static const struct {
    uint32_t op;
    cudac_down_fn *take;
} down[] = {
    {WIRE_TEXT, cudac_on_text},         {WIRE_CONTEXT_ERROR, cudac_on_context_error},
    {WIRE_REACHED, cudac_on_reached},   {WIRE_HOST_RUN, cudac_on_host_run},
    {WIRE_OUT_DATA, cudac_on_out_data}, {WIRE_PULL, cudac_on_pull},
    {WIRE_HELD, cudac_on_held},         {WIRE_FLAG, cudac_on_flag},
};

/* Beside cudac_contexts_lost: these may wait until the transport has let go of everything. */
static cudac_lost_fn *const lost[] = {cudac_transfers_lost, cudac_host_calls_lost,
                                      cudac_flags_lost};

CUresult cudac_worker_broken(struct cudac_worker *worker, const char *what)
{
    mark_lost(worker);
    xp_conn_condemn(worker->conn, FAB_ERR_PROTOCOL, what);
    return CUDA_ERROR_UNKNOWN;
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct cudac_worker *worker = user;

    (void)conn;
    if (message->kind == XP_SIGNAL)
        for (size_t i = 0; i < FAB_ARRAY_LEN(down); i++)
            if (down[i].op == message->op && down[i].take) {
                down[i].take(worker, message->args, message->args_bytes);
                return;
            }
    (void)cudac_worker_broken(worker, "it sent a message that is none of a worker's");
}

/* One line, whoever comes first: the event, which knows why, or the end of the process. A failed
 * attach says why itself. */
static void tell_loss(struct cudac_worker *worker, const char *why)
{
    if (cudac_is_attached() &&
        !atomic_exchange_explicit(&worker->is_loss_told, true, memory_order_acq_rel))
        cudac_tell("fabric: the GPUs of %s are lost: %s", worker->node, why);
}

void cudac_tell_losses(void)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++)
        if (cudac_worker_state(cudac_worker_at(i)) != CUDA_SUCCESS)
            tell_loss(cudac_worker_at(i), "its worker does not answer any more");
}

static void worker_lost(struct cudac_worker *worker, const struct xp_event *event)
{
    mark_lost(worker);
    atomic_store_explicit(&worker->silent_since, 0, memory_order_relaxed);
    tell_loss(worker, event->text && event->text[0] ? event->text : fab_status_text(event->status));
    for (size_t i = 0; i < FAB_ARRAY_LEN(lost); i++)
        if (lost[i])
            lost[i](worker);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct cudac_worker *worker = user;

    (void)conn;
    switch (event->kind) {
    case XP_EVENT_UP:
        atomic_store_explicit(&worker->silent_since, 0, memory_order_relaxed);
        cudac_watch_wake();
        break;
    case XP_EVENT_SILENT:
        atomic_store_explicit(&worker->silent_since, cudac_now_ns(), memory_order_relaxed);
        cudac_watch_wake();
        break;
    case XP_EVENT_LOST:
        worker_lost(worker, event);
        break;
    case XP_EVENT_RAIL_UP:
    case XP_EVENT_RAIL_DOWN:
    case XP_EVENT_CLOSED:
        break;
    }
}

const struct xp_handlers cudac_handlers = {.message = on_message, .event = on_event};
const struct xp_handlers cudac_traced_handlers = {
    .message = on_message, .event = on_event, .batch = cudac_timeline_batch};

/* Nothing here asks a worker to hold. */
void cudac_on_held(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_held held;

    if (!wire_get_held(bytes, size_bytes, &held))
        (void)cudac_worker_broken(worker, "a held message does not decode");
}
