/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/watch.c - telling somebody when a stream or an event is there.
 *
 * A lane (a stream of the worker's own) waits for the event and then calls back; no thread waits
 * and the program's streams see nothing of it. What is told goes on the urgent lane. Before any
 * other news of completion the open watches are looked at, so that a program which has seen one
 * thing done sees all done that was done before it.
 *
 * A watch that stands for a synchronisation (cudas_watch_tell) ends on the mover's thread: a driver
 * prints what kernels left only in a call that waits, and a callback may make none.
 */
#include "cuda-server/watch.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/outbox.h"
#include "cuda-server/peer.h"
#include "cuda-server/sync.h"
#include "cuda-server/text.h"
#include "cuda-server/transfer.h"

/* Events that are told of at once; a program that has more than that under way asks for the rest.
 */
enum { TELLING_MAX = 256 };

struct watch {
    struct fab_list link; /* of the open ones; on none when it has been told */
    struct cudas_worker *worker;
    struct cudas_lane *lane;
    struct cudas_event *event; /* holds a reference; NULL: the lane's own, recorded in a stream */
    uint64_t records;          /* of the event: the one that is meant */
    uint64_t object, position; /* for `reached` */
    uint64_t peer, flag;       /* flag 0: `reached` to the client; else this flag at that peer */
    bool syncs;      /* the mover synchronises before it tells; never among the open ones */
    CUresult status; /* for the mover */
    struct cudas_job job;
};

struct cudas_watches {
    struct fab_mutex syncing; /* held while the mover uses a context, which is open until then */
    struct fab_mutex lock;    /* guards the list, and events that are in it from being destroyed */
    struct fab_list open;
    _Atomic uint32_t count;
    _Atomic uint32_t telling; /* watches that stand for a synchronisation: each has a lane */
};

enum fab_status cudas_watches_create(struct cudas_watches **watches_out, struct fab_err *err)
{
    struct cudas_watches *watches = fab_alloc_zeroed(1, sizeof(*watches));

    if (!watches)
        return fab_err_set(err, FAB_ERR_NOMEM, "watches");
    fab_mutex_init(&watches->syncing);
    fab_mutex_init(&watches->lock);
    fab_list_init(&watches->open);
    *watches_out = watches;
    return FAB_OK;
}

void cudas_watches_destroy(struct cudas_watches *watches)
{
    if (!watches)
        return;
    fab_mutex_fini(&watches->lock);
    fab_mutex_fini(&watches->syncing);
    free(watches);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_reached(const struct watch *watch, CUresult result)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_reached m = {.object = watch->object,
                             .position = watch->position,
                             .result = (int32_t)result,
                             .landed = landed};
    struct wire_parts parts;

    m.landed_count = cudas_landed(watch->worker, landed);
    wire_put_reached(&m, &parts);
    cudas_signal(watch->worker, WIRE_REACHED, &parts);
}

/* A fault of this device is its own context's, not that of who waits, as in one driver. The client
 * names a peer only where none of its memory is behind the event; else it passes the flag on when
 * the bytes are there. */
static void tell_flag(const struct watch *watch)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_flag m = {.flag = watch->flag, .result = CUDA_SUCCESS, .landed = landed};
    struct wire_parts parts;

    if (watch->peer != 0) {
        cudas_peer_flag(watch->worker, watch->peer, watch->flag, CUDA_SUCCESS);
        return;
    }
    m.landed_count = cudas_landed(watch->worker, landed);
    wire_put_flag(&m, &parts);
    cudas_signal(watch->worker, WIRE_FLAG, &parts);
}

static void tell_locked(struct watch *watch, CUresult status)
{
    if (fab_list_is_empty(&watch->link))
        return;
    fab_list_remove(&watch->link);
    atomic_fetch_sub_explicit(&watch->worker->watches->count, 1, memory_order_relaxed);
    if (watch->flag == 0)
        tell_reached(watch, status);
    else
        tell_flag(watch);
}

static void watch_free(struct watch *watch)
{
    cudas_lane_give(watch->lane);
    if (watch->event)
        cudas_object_put(&watch->event->object);
    if (watch->syncs)
        atomic_fetch_sub_explicit(&watch->worker->watches->telling, 1, memory_order_relaxed);
    free(watch);
}

/* The lane has nothing left but the callback that brought us here. What a context that is closed
 * says of its work is nobody's: the client may have a new one of that name by now. */
static void tell_synced(void *arg)
{
    struct watch *watch = arg;
    struct cudas_worker *worker = watch->worker;
    struct cudas_context *context = watch->lane->context;
    CUresult result = CUDA_ERROR_NOT_READY;
    struct watch told;

    fab_mutex_lock(&worker->watches->syncing);
    if (atomic_load_explicit(&context->is_open, memory_order_acquire)) {
        result = watch->status;
        if (cudas_enter(context) == CUDA_SUCCESS && result == CUDA_SUCCESS)
            result = worker->cu.cuStreamSynchronize(watch->lane->stream);
        cudas_before_news(worker, context, result);
    }
    fab_mutex_unlock(&worker->watches->syncing);
    told = *watch;
    watch_free(watch); /* before: who is told may ask for the next one */
    tell_reached(&told, result);
}

void cudas_watches_close(struct cudas_context *context)
{
    fab_mutex_lock(&context->worker->watches->syncing);
    atomic_store_explicit(&context->is_open, false, memory_order_release);
    fab_mutex_unlock(&context->worker->watches->syncing);
}

static void is_reached(CUstream stream, CUresult status, void *arg)
{
    struct watch *watch = arg;
    struct cudas_worker *worker = watch->worker;

    (void)stream;
    if (watch->syncs) {
        watch->status = status;
        watch->job = (struct cudas_job){.fn = tell_synced, .arg = watch};
        cudas_mover_run(worker, &watch->job);
        return;
    }
    if (watch->flag == 0)
        cudas_text_send(worker);
    if (cudas_is_sticky(status))
        cudas_context_failed(watch->lane->context, status);
    fab_mutex_lock(&worker->watches->lock);
    tell_locked(watch, status);
    fab_mutex_unlock(&worker->watches->lock);
    watch_free(watch);
}

/* Whether the driver says that it is done. Recorded anew, an event says nothing of the record that
 * is meant; the lane still waits for that. */
static bool is_done(struct cudas_worker *worker, const struct watch *watch)
{
    CUevent event = watch->event ? watch->event->handle : watch->lane->event;

    return event && worker->cu.cuEventQuery(event) == CUDA_SUCCESS &&
           (!watch->event || atomic_load(&watch->event->records) == watch->records);
}

void cudas_watches_look(struct cudas_worker *worker)
{
    struct cudas_watches *watches = worker->watches;

    if (atomic_load_explicit(&watches->count, memory_order_relaxed) == 0)
        return;
    fab_mutex_lock(&watches->lock);
    FAB_LIST_EACH(node, after, &watches->open)
    {
        struct watch *watch = fab_list_object(node, struct watch, link);

        if (is_done(worker, watch)) /* errors are the callback's to tell */
            tell_locked(watch, CUDA_SUCCESS);
    }
    fab_mutex_unlock(&watches->lock);
}

void cudas_watches_forget(struct cudas_worker *worker, struct cudas_event *event)
{
    fab_mutex_lock(&worker->watches->lock);
    event->handle = NULL;
    fab_mutex_unlock(&worker->watches->lock);
}

/* ---- watching -------------------------------------------------------------------------------- */

static CUresult submit(struct watch *watch, CUstream stream, CUevent event)
{
    const struct cudas_driver *cu = &watch->worker->cu;
    CUresult result = CUDA_SUCCESS;

    if (!event) {
        event = watch->lane->event;
        result = cu->cuEventRecord(event, stream);
    }
    if (result == CUDA_SUCCESS)
        result = cu->cuStreamWaitEvent(watch->lane->stream, event, 0);
    return result;
}

static void watch_open(struct watch *watch)
{
    struct cudas_watches *watches = watch->worker->watches;

    fab_mutex_lock(&watches->lock);
    fab_list_append(&watches->open, &watch->link);
    atomic_fetch_add_explicit(&watches->count, 1, memory_order_relaxed);
    fab_mutex_unlock(&watches->lock);
}

/* `event` NULL: what is in `stream` now. The context is current. */
static CUresult watch_start(struct cudas_context *context, const struct watch *values,
                            CUstream stream, struct cudas_event *event)
{
    struct cudas_worker *worker = context->worker;
    struct watch *watch = fab_alloc(sizeof(*watch));
    CUresult result;

    if (!watch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *watch = *values;
    fab_list_init(&watch->link);
    if (watch->syncs)
        atomic_fetch_add_explicit(&worker->watches->telling, 1, memory_order_relaxed);
    result = cudas_lane_take(context, &watch->lane);
    if (result != CUDA_SUCCESS) {
        watch_free(watch);
        return result;
    }
    if (event) {
        watch->event = event;
        watch->records = atomic_load(&event->records);
        cudas_object_ref(&event->object);
    }
    result = submit(watch, stream, event ? event->handle : NULL);
    if (result == CUDA_SUCCESS) {
        if (!watch->syncs)
            watch_open(watch);
        result = worker->cu.cuStreamAddCallback(watch->lane->stream, is_reached, watch, 0);
        if (result == CUDA_SUCCESS)
            return result;
        fab_mutex_lock(&worker->watches->lock);
        if (!fab_list_is_empty(&watch->link)) {
            fab_list_remove(&watch->link);
            atomic_fetch_sub_explicit(&worker->watches->count, 1, memory_order_relaxed);
        }
        fab_mutex_unlock(&worker->watches->lock);
    }
    watch_free(watch);
    return result;
}

/* NOT_READY now: the watch is to tell later. Else the answer is final. */
static CUresult watch_if_busy(struct cudas_context *context, const struct watch *values,
                              CUstream stream, struct cudas_event *event, CUresult now)
{
    CUresult result = now;

    if (now == CUDA_ERROR_NOT_READY) {
        result = watch_start(context, values, stream, event);
        if (result == CUDA_SUCCESS)
            result = CUDA_ERROR_NOT_READY;
    }
    return result;
}

void cudas_on_stream_watch(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_stream_watch m;
    CUresult result;

    if (!wire_get_stream_watch(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        /* The default stream has no id of its own: its context's stands for it. */
        const struct watch values = {
            .worker = worker, .object = m.stream ? m.stream : m.ctx, .position = m.position};
        CUstream stream = place.stream->handle;

        result =
            watch_if_busy(place.context, &values, stream, NULL, worker->cu.cuStreamQuery(stream));
    }
    cudas_reply_landed(worker, command, place.context, result);
    cudas_place_put(&place);
}

void cudas_on_event_watch(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_event *event;
    struct wire_event_watch m;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_event_watch(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    event = (struct cudas_event *)cudas_object_get(worker, m.event, CUDAS_EVENT);
    if (event) {
        const struct watch values = {.worker = worker, .object = m.event, .position = m.generation};

        result = cudas_enter(event->object.context);
        if (result == CUDA_SUCCESS)
            result = watch_if_busy(event->object.context, &values, NULL, event,
                                   worker->cu.cuEventQuery(event->handle));
    }
    cudas_reply_landed(worker, command, event ? event->object.context : NULL, result);
    if (event)
        cudas_object_put(&event->object);
}

void cudas_on_event_notify(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_event *event;
    struct wire_event_notify m;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_event_notify(command->bytes, command->size_bytes, &m) || m.flag == 0) {
        cudas_malformed(worker, command);
        return;
    }
    event = (struct cudas_event *)cudas_object_get(worker, m.event, CUDAS_EVENT);
    if (event) {
        const struct watch values = {.worker = worker, .peer = m.peer, .flag = m.flag};

        result = cudas_enter(event->object.context);
        if (result == CUDA_SUCCESS)
            result = watch_start(event->object.context, &values, NULL, event);
    }
    /* Who waits must go on, whatever happened here. */
    if (result != CUDA_SUCCESS)
        cudas_peer_flag(worker, m.peer, m.flag, result);
    cudas_posted(worker, event ? event->object.context : NULL, result);
    if (event)
        cudas_object_put(&event->object);
}

void cudas_watch_tell(struct cudas_worker *worker, struct cudas_event *event, uint64_t id,
                      uint64_t position)
{
    const struct watch values = {
        .worker = worker, .object = id, .position = position, .syncs = true};

    if (!event ||
        atomic_load_explicit(&worker->watches->telling, memory_order_relaxed) >= TELLING_MAX ||
        watch_start(event->object.context, &values, NULL, event) != CUDA_SUCCESS)
        tell_reached(&values, CUDA_ERROR_NOT_READY);
}
