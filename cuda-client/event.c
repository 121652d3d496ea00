/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/event.c - events and waits for them.
 *
 * Each record has a number of the event's own, a generation; the event knows which it recorded last
 * and up to which it is known to be done. A wait is for the generation of the moment in which it
 * is asked for, so recording again changes nothing for those who wait already.
 *
 * A program that comes to wait when the record has long been at the worker would ask what the
 * worker knows: with the next record the worker is asked to tell, and the wait costs no question. A
 * wait that follows its record at once is a call, which nothing that is told could overtake; so is
 * one that has not been told of, and so no wait depends on it.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/copy_link.h"
#include "cuda-client/flags.h"
#include "cuda-client/memory.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/transfer.h"
#include "generated/cuda-api/client_impl.h"
#include "ucx-transport/xp.h"

struct cudac_event {
    struct cuc_object object;
    struct cudac_context *context;  /* holds a reference */
    uint64_t id;                    /* on the wire */
    unsigned flags;                 /* CU_EVENT_* */
    struct cudac_event *next, **at; /* in the context, guarded by its lock */
    pthread_mutex_t lock; /* held while recording, so that generations follow the wire's order */
    _Atomic uint64_t generation, done; /* 0: never */
    _Atomic bool is_late; /* the host waited when the last record had reached the worker */
    struct cudac_asked asked;
    pthread_mutex_t last_lock;   /* guards what follows; taken last, never over a command */
    struct cudac_stream *stream; /* of the last record; NULL: the context */
    uint64_t position, number;   /* in it; of the command */
};

static void event_destroy(struct cuc_object *object)
{
    struct cudac_event *event = (struct cudac_event *)object;

    cudac_stream_put(event->stream);
    (void)pthread_mutex_destroy(&event->last_lock);
    (void)pthread_mutex_destroy(&event->lock);
    cuc_object_put(&event->context->object);
    free(event);
}

static struct cudac_event *event_get(CUevent handle)
{
    return (struct cudac_event *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_EVENT);
}

static void event_put(struct cudac_event *event)
{
    if (event)
        cuc_object_put(&event->object);
}

static struct cudac_worker *worker_of(const struct cudac_event *event)
{
    return cudac_context_worker(event->context);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void list_add(struct cudac_event *event)
{
    struct cudac_context *context = event->context;

    pthread_mutex_lock(&context->lock);
    event->next = context->events;
    event->at = &context->events;
    if (event->next)
        event->next->at = &event->next;
    context->events = event;
    pthread_mutex_unlock(&context->lock);
}

static void list_remove(struct cudac_event *event)
{
    struct cudac_context *context = event->context;

    pthread_mutex_lock(&context->lock);
    if (event->at) {
        *event->at = event->next;
        if (event->next)
            event->next->at = event->at;
        event->at = NULL;
    }
    pthread_mutex_unlock(&context->lock);
}

/* True for the one caller that did it. */
static bool event_retire(struct cudac_event *event)
{
    if (!cuc_object_retire(&event->object))
        return false;
    list_remove(event);
    event_put(event);
    return true;
}

void cudac_events_close(struct cudac_context *context)
{
    for (;;) {
        struct cudac_event *event;

        pthread_mutex_lock(&context->lock);
        event = context->events;
        if (event)
            cuc_object_ref(&event->object);
        pthread_mutex_unlock(&context->lock);
        if (!event)
            return;
        if (!event_retire(event))
            list_remove(event);
        event_put(event);
    }
}

static CUresult worker_create(const struct cudac_event *event)
{
    const struct wire_event_create message = {
        .event = event->id, .ctx = event->context->id, .flags = event->flags};
    struct wire_parts parts;

    wire_put_event_create(&message, &parts);
    return cudac_post(worker_of(event), WIRE_EVENT_CREATE, &parts, NULL);
}

static CUresult event_new(struct cudac_context *context, unsigned flags,
                          struct cudac_event **event_out)
{
    struct cudac_event *event = fab_alloc_zeroed(1, sizeof(*event));
    CUresult result;

    if (!event)
        return CUDA_ERROR_OUT_OF_MEMORY;
    event->context = context;
    event->id = cudac_id_new();
    event->flags = flags;
    (void)pthread_mutex_init(&event->lock, NULL);
    (void)pthread_mutex_init(&event->last_lock, NULL);
    cuc_object_ref(&context->object);
    result = cuc_object_register(&event->object, CUC_EVENT, event_destroy);
    if (result != CUDA_SUCCESS) {
        event_destroy(&event->object);
        return result;
    }
    result = worker_create(event);
    if (result != CUDA_SUCCESS) {
        (void)cuc_object_retire(&event->object);
        event_put(event);
        return result;
    }
    list_add(event);
    *event_out = event;
    return CUDA_SUCCESS;
}

CUresult cudac_cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    struct cudac_context *context;
    struct cudac_event *event;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!phEvent || Flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_EVENT_INTERPROCESS && !(Flags & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_VALUE;
    result = event_new(context, Flags, &event);
    if (result == CUDA_SUCCESS)
        *phEvent = (CUevent)(uintptr_t)event->object.handle; // NOLINT(performance-no-int-to-ptr)
    return result;
}

CUresult cudac_cuEventDestroy_v2(CUevent hEvent)
{
    struct cudac_event *event = event_get(hEvent);
    struct wire_event_destroy message;
    struct wire_parts parts;

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    if (event_retire(event)) {
        message = (struct wire_event_destroy){.event = event->id};
        wire_put_event_destroy(&message, &parts);
        (void)cudac_post(worker_of(event), WIRE_EVENT_DESTROY, &parts, NULL); /* lost: gone, too */
    }
    event_put(event);
    return CUDA_SUCCESS;
}

/* ---- progress ------------------------------------------------------------------------------- */

static bool is_done(const struct cudac_event *event)
{
    return atomic_load_explicit(&event->done, memory_order_acquire) >=
           atomic_load_explicit(&event->generation, memory_order_acquire);
}

/* A generation is done, and so is what its stream had before it. */
static void event_reached(struct cudac_event *event, uint64_t generation, bool by_sync)
{
    uint64_t done = atomic_load_explicit(&event->done, memory_order_relaxed), position;
    struct cudac_stream *stream;
    bool is_last;

    while (done < generation &&
           !atomic_compare_exchange_weak_explicit(&event->done, &done, generation,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    pthread_mutex_lock(&event->last_lock);
    is_last = atomic_load_explicit(&event->generation, memory_order_relaxed) == generation;
    position = event->position;
    stream = is_last ? event->stream : NULL;
    if (stream)
        cuc_object_ref(&stream->object);
    pthread_mutex_unlock(&event->last_lock);
    if (stream)
        (by_sync ? cudac_stream_synced : cudac_stream_reached)(stream, position);
    else if (is_last)
        (by_sync ? cudac_streams_synced : cudac_streams_reached)(event->context, position);
    cudac_stream_put(stream);
}

/* The worker has synchronised before it told. */
static void told_done(struct cuc_object *ref, uint64_t generation)
{
    event_reached((struct cudac_event *)ref, generation, /* by_sync */ true);
}

/* ---- recording ------------------------------------------------------------------------------ */

static void set_last(struct cudac_event *event, struct cudac_stream *stream, uint64_t position,
                     uint64_t number, uint64_t generation)
{
    struct cudac_stream *before;

    if (stream)
        cuc_object_ref(&stream->object);
    pthread_mutex_lock(&event->last_lock);
    before = event->stream;
    event->stream = stream;
    event->position = position;
    event->number = number;
    atomic_store_explicit(&event->generation, generation, memory_order_release);
    pthread_mutex_unlock(&event->last_lock);
    cudac_stream_put(before);
}

/* `stream` NULL: all present work of the context. */
static CUresult post_record(struct cudac_event *event, struct cudac_stream *stream,
                            const struct wire_event_record *message, uint64_t *number_out,
                            uint64_t *position_out)
{
    struct cudac_context *context = event->context;
    struct wire_parts parts;
    CUresult result;

    wire_put_event_record(message, &parts);
    if (stream)
        return cudac_stream_post_at(stream, WIRE_EVENT_RECORD, &parts, number_out, position_out);
    pthread_mutex_lock(&context->order);
    result = cudac_post(worker_of(event), WIRE_EVENT_RECORD, &parts, number_out);
    *position_out = atomic_load_explicit(&context->sequence, memory_order_acquire);
    pthread_mutex_unlock(&context->order);
    return result;
}

static CUresult record_locked(struct cudac_event *event, struct cudac_stream *stream)
{
    struct cudac_context *context = event->context;
    struct wire_event_record message = {
        .event = event->id,
        .ctx = context->id,
        .stream = stream ? stream->id : 0,
        .generation = atomic_load_explicit(&event->generation, memory_order_relaxed) + 1,
        .whole_ctx = stream == NULL};
    const struct cudac_watched watched = {.object = event->id,
                                          .position = ~message.generation, /* no query's */
                                          .mark = message.generation,
                                          .ref = &event->object,
                                          .done = told_done};
    uint64_t number, position;
    CUresult result;

    if (atomic_exchange_explicit(&event->is_late, false, memory_order_relaxed) && stream &&
        cudac_watch_expect(context, &watched))
        message.tell = watched.position;
    result = post_record(event, stream, &message, &number, &position);
    if (result == CUDA_SUCCESS)
        set_last(event, stream, position, number, message.generation);
    else if (message.tell != 0)
        cudac_watch_unexpect(context, &watched);
    return result;
}

static CUresult event_record(struct cudac_event *event, struct cudac_context *context,
                             struct cudac_stream *stream)
{
    CUresult result;

    if (context != event->context)
        return CUDA_ERROR_INVALID_HANDLE;
    if (stream)
        cudac_stream_make_room(stream);
    pthread_mutex_lock(&event->lock);
    result = record_locked(event, stream);
    pthread_mutex_unlock(&event->lock);
    return result;
}

CUresult cudac_cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags)
{
    struct cudac_event *event;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    /* CU_EVENT_RECORD_EXTERNAL belongs to capture. */
    if (!event)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (flags != CU_EVENT_RECORD_DEFAULT)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = event_record(event, stream->context, stream);
    event_put(event);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuEventRecord(CUevent hEvent, CUstream hStream)
{
    return cudac_cuEventRecordWithFlags(hEvent, hStream, CU_EVENT_RECORD_DEFAULT);
}

CUresult cudac_cuCtxRecordEvent(CUcontext hCtx, CUevent hEvent)
{
    struct cudac_context *context;
    struct cudac_event *event;
    CUresult result = cudac_context_of(hCtx, &context);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = event_record(event, context, NULL);
    event_put(event);
    return result;
}

/* ---- asking and waiting --------------------------------------------------------------------- */

static void query_done(struct cuc_object *ref, uint64_t generation)
{
    event_reached((struct cudac_event *)ref, generation, /* by_sync */ false);
}

/* The first question about a generation goes to the worker, which tells when it is reached. */
static CUresult event_query(struct cudac_event *event)
{
    uint64_t generation = atomic_load_explicit(&event->generation, memory_order_acquire);
    const struct wire_event_watch message = {.event = event->id, .generation = generation};
    const struct cudac_watched watched = {.object = event->id,
                                          .position = generation,
                                          .mark = generation,
                                          .ref = &event->object,
                                          .done = query_done,
                                          .asked = &event->asked};
    struct wire_parts parts;
    CUresult result;

    if (is_done(event))
        return CUDA_SUCCESS;
    if (!cudac_asked_is_stale(&event->asked, worker_of(event)))
        return CUDA_ERROR_NOT_READY;
    wire_put_event_watch(&message, &parts);
    result = cudac_watch_ask(event->context, WIRE_EVENT_WATCH, &parts, &watched);
    if (result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_READY)
        result = is_done(event) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    return result;
}

CUresult cudac_cuEventQuery(CUevent hEvent)
{
    struct cudac_event *event = event_get(hEvent);
    CUresult result;

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = cudac_context_error(event->context);
    if (result == CUDA_SUCCESS)
        result = event_query(event);
    if (result == CUDA_SUCCESS)
        result = cudac_memory_after_wait(cudac_context_worker(event->context));
    event_put(event);
    return result;
}

/* The record is known to be done, and nothing that was printed before it is still in the driver: by
 * a synchronisation that was after it, or because no stream has left anything. */
static bool is_quiet(struct cudac_event *event)
{
    struct cudac_stream *stream;
    bool is = false;

    if (!is_done(event))
        return false;
    pthread_mutex_lock(&event->last_lock);
    stream = event->stream;
    if (stream) /* what was launched later is not waited for */
        is = atomic_load_explicit(&stream->synced, memory_order_acquire) >= event->position;
    pthread_mutex_unlock(&event->last_lock);
    return is || cudac_streams_have_printed(event->context);
}

/* Whether the worker has the last record, if there is one. */
static bool has_arrived(struct cudac_event *event)
{
    struct xp_watermarks marks;
    uint64_t number;

    if (cudac_worker_state(worker_of(event)) != CUDA_SUCCESS)
        return false;
    pthread_mutex_lock(&event->last_lock);
    number = event->number;
    pthread_mutex_unlock(&event->last_lock);
    xp_watermarks(worker_of(event)->conn, &marks);
    return number != 0 && number <= marks.acknowledged;
}

static CUresult event_wait(struct cudac_event *event)
{
    uint64_t generation = atomic_load_explicit(&event->generation, memory_order_acquire);
    const struct wire_event_sync message = {.event = event->id};
    struct wire_parts parts;
    CUresult result;

    if (has_arrived(event))
        atomic_store_explicit(&event->is_late, true, memory_order_relaxed);
    if (generation == 0 || is_quiet(event))
        return cudac_sync_locally(event->context);
    wire_put_event_sync(&message, &parts);
    result = cudac_sync_call(event->context, WIRE_EVENT_SYNC, &parts);
    if (result == CUDA_SUCCESS)
        event_reached(event, generation, /* by_sync */ true);
    return result;
}

CUresult cudac_cuEventSynchronize(CUevent hEvent)
{
    struct cudac_event *event = event_get(hEvent);
    CUresult result;

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = cudac_context_error(event->context);
    if (result == CUDA_SUCCESS)
        result = event_wait(event);
    event_put(event);
    return result;
}

/* ---- streams that wait ---------------------------------------------------------------------- */

static CUresult post_work(struct cudac_context *context, struct cudac_stream *stream, uint32_t op,
                          const struct wire_parts *parts)
{
    CUresult result;

    if (stream)
        return cudac_stream_post(stream, op, parts, NULL);
    result = cudac_post(cudac_context_worker(context), op, parts, NULL);
    if (result == CUDA_SUCCESS) /* counted when it is posted, as all work */
        cudac_streams_gate(context);
    return result;
}

/* In the same worker the order of commands says which record is meant. */
static CUresult wait_here(const struct cudac_event *event, struct cudac_context *context,
                          struct cudac_stream *stream, unsigned flags)
{
    const struct wire_event_wait message = {.event = event->id,
                                            .ctx = context->id,
                                            .stream = stream ? stream->id : 0,
                                            .flags = flags,
                                            .whole_ctx = stream == NULL};
    struct wire_parts parts;

    wire_put_event_wait(&message, &parts);
    return post_work(context, stream, WIRE_EVENT_WAIT, &parts);
}

/* The recorder's worker tells when the present record is done; a flag here waits for that. The
 * connection that peer copies use is the shorter way. */
static CUresult wait_there(const struct cudac_event *event, struct cudac_context *context,
                           struct cudac_stream *stream)
{
    struct wire_event_notify notify = {.event = event->id, .flag = cudac_id_new()};
    const struct wire_flag_wait wait = {.flag = notify.flag,
                                        .ctx = context->id,
                                        .stream = stream ? stream->id : 0,
                                        .whole_ctx = stream == NULL};
    struct cudac_worker *from = worker_of(event);
    struct wire_parts parts;
    CUresult result = cudac_flag_route(notify.flag, from, cudac_context_worker(context),
                                       CUDA_ERROR_DEVICE_UNAVAILABLE);

    if (result != CUDA_SUCCESS)
        return result;
    /* That way tells nobody here, who would wait for bytes that are on their way. */
    if (stream && !cudac_transfers_pending_from(from))
        (void)cudac_link_find(from, cudac_context_worker(context), &notify.peer);
    wire_put_event_notify(&notify, &parts);
    result = cudac_post(from, WIRE_EVENT_NOTIFY, &parts, NULL);
    if (result == CUDA_SUCCESS) {
        wire_put_flag_wait(&wait, &parts);
        result = post_work(context, stream, WIRE_FLAG_WAIT, &parts);
    }
    if (result != CUDA_SUCCESS)
        cudac_flag_forget(notify.flag);
    else if (notify.peer != 0)
        cudac_flag_waits(notify.flag, stream);
    return result;
}

/* `stream` NULL: later work of all streams of the context. */
static CUresult wait_for(struct cudac_event *event, struct cudac_context *context,
                         struct cudac_stream *stream, unsigned flags)
{
    if (worker_of(event) != cudac_context_worker(context))
        cudac_memory_waits_for(cudac_context_worker(context), worker_of(event));
    if (is_done(event))
        return CUDA_SUCCESS; /* reached already, or never recorded */
    if (stream)
        cudac_stream_make_room(stream);
    if (worker_of(event) == cudac_context_worker(context))
        return wait_here(event, context, stream, flags);
    return wait_there(event, context, stream);
}

CUresult cudac_cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
    struct cudac_event *event;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = wait_for(event, stream->context, stream, Flags);
    event_put(event);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuCtxWaitEvent(CUcontext hCtx, CUevent hEvent)
{
    struct cudac_context *context;
    struct cudac_event *event;
    CUresult result = cudac_context_of(hCtx, &context);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = wait_for(event, context, NULL, 0);
    event_put(event);
    return result;
}

/* ---- time ----------------------------------------------------------------------------------- */

static CUresult elapsed_check(const struct cudac_event *start, const struct cudac_event *end)
{
    if (!start || !end || (start->flags | end->flags) & CU_EVENT_DISABLE_TIMING ||
        start->context->vgpu != end->context->vgpu)
        return CUDA_ERROR_INVALID_HANDLE;
    if (atomic_load_explicit(&start->generation, memory_order_acquire) == 0 ||
        atomic_load_explicit(&end->generation, memory_order_acquire) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    return CUDA_SUCCESS;
}

static CUresult elapsed_ask(const struct cudac_event *start, const struct cudac_event *end,
                            float *milliseconds_out)
{
    const struct wire_event_elapsed message = {.start = start->id, .end = end->id};
    struct wire_event_elapsed_reply elapsed;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_event_elapsed(&message, &parts);
    result = cudac_call(worker_of(end), WIRE_EVENT_ELAPSED, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        !wire_get_event_elapsed_reply(reply.bytes, reply.size_bytes, &elapsed))
        result = cudac_worker_broken(worker_of(end), "a reply to event_elapsed does not decode");
    if (result == CUDA_SUCCESS)
        *milliseconds_out = elapsed.milliseconds;
    cudac_reply_free(&reply);
    return cudac_context_result(end->context, result);
}

CUresult cudac_cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    struct cudac_event *start = event_get(hStart), *end = event_get(hEnd);
    CUresult result = elapsed_check(start, end), error = CUDA_SUCCESS;

    if (start && end)
        error = cudac_context_error(end->context);
    if (error != CUDA_SUCCESS)
        result = error;
    if (start && end && !pMilliseconds)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = elapsed_ask(start, end, pMilliseconds);
    event_put(start);
    event_put(end);
    return result;
}
