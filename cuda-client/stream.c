/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stream.c - streams: life, handles, posting and waiting.
 *
 * A stream's work is counted by its context, a posted command in one step with its posting, a call
 * before it is sent. So whoever reads the count and then asks the worker asks about everything up
 * to there, and of two posted commands the earlier one has the lower number.
 */
#include "cuda-client/stream_int.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/landed_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/text.h"
#include "cuda-client/timeline.h"
#include "cuda-client/trace.h"
#include "cuda-client/transfer.h"

/* ---- life ----------------------------------------------------------------------------------- */

static void stream_destroy(struct cuc_object *object)
{
    struct cudac_stream *stream = (struct cudac_stream *)object;

    cuc_object_put(&stream->context->object);
    free(stream->attributes);
    free(stream);
}

static CUresult worker_create(const struct cudac_stream *stream)
{
    const struct wire_stream_create message = {.stream = stream->id,
                                               .ctx = stream->context->id,
                                               .flags = stream->flags,
                                               .priority = stream->priority};
    struct wire_parts parts;

    if (stream->id == 0)
        return CUDA_SUCCESS;
    wire_put_stream_create(&message, &parts);
    return cudac_post(cudac_context_worker(stream->context), WIRE_STREAM_CREATE, &parts, NULL);
}

static void worker_destroy(const struct cudac_stream *stream)
{
    const struct wire_stream_destroy message = {.stream = stream->id};
    struct wire_parts parts;

    if (stream->id == 0)
        return;
    wire_put_stream_destroy(&message, &parts);
    /* A lost worker has no stream to destroy. */
    (void)cudac_post(cudac_context_worker(stream->context), WIRE_STREAM_DESTROY, &parts, NULL);
}

static void list_add(struct cudac_stream *stream)
{
    struct cudac_context *context = stream->context;

    pthread_mutex_lock(&context->lock);
    stream->next = context->streams;
    context->streams = stream;
    pthread_mutex_unlock(&context->lock);
}

static bool list_remove(struct cudac_stream *stream)
{
    struct cudac_context *context = stream->context;
    struct cudac_stream **at;
    bool was_there;

    pthread_mutex_lock(&context->lock);
    for (at = &context->streams; *at && *at != stream;)
        at = &(*at)->next;
    was_there = *at != NULL;
    if (was_there)
        *at = stream->next;
    pthread_mutex_unlock(&context->lock);
    return was_there;
}

CUresult cudac_stream_new(struct cudac_context *context, uint64_t id, unsigned flags, int priority,
                          struct cudac_stream **stream_out)
{
    struct cudac_stream *stream = fab_alloc_zeroed(1, sizeof(*stream));
    CUresult result;

    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    stream->context = context;
    stream->id = id;
    stream->flags = flags;
    stream->priority = priority;
    cuc_object_ref(&context->object);
    result = cuc_object_register(&stream->object, CUC_STREAM, stream_destroy);
    if (result != CUDA_SUCCESS) {
        stream_destroy(&stream->object);
        return result;
    }
    result = worker_create(stream);
    if (result != CUDA_SUCCESS) {
        (void)cuc_object_retire(&stream->object);
        cuc_object_put(&stream->object);
        return result;
    }
    list_add(stream);
    *stream_out = stream;
    return CUDA_SUCCESS;
}

/* True for the one caller that ended it; its handle's reference is put. */
static bool stream_end(struct cudac_stream *stream)
{
    if (!cuc_object_retire(&stream->object))
        return false;
    atomic_store_explicit(&stream->is_retired, true, memory_order_release);
    return true;
}

/* An own stream with pending work stays in the list, where the default stream looks for it, until
 * that is known to be done: as long as its handle's reference. */
void cudac_stream_retire(struct cudac_stream *stream)
{
    if (!stream_end(stream))
        return;
    worker_destroy(stream);
    if (cudac_stream_is_idle(stream) && list_remove(stream))
        cuc_object_put(&stream->object);
}

/* Takes streams that were retired while busy out of the list, now that they are done. */
static void sweep(struct cudac_context *context)
{
    struct cudac_stream *gone = NULL, **at;

    pthread_mutex_lock(&context->lock);
    for (at = &context->streams; *at;) {
        struct cudac_stream *stream = *at;

        if (!atomic_load_explicit(&stream->is_retired, memory_order_acquire) ||
            atomic_load_explicit(&stream->done, memory_order_acquire) <
                atomic_load_explicit(&stream->posted, memory_order_acquire)) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        stream->next = gone;
        gone = stream;
    }
    pthread_mutex_unlock(&context->lock);
    while (gone) {
        struct cudac_stream *next = gone->next;

        cuc_object_put(&gone->object);
        gone = next;
    }
}

void cudac_streams_close(struct cudac_context *context)
{
    pthread_mutex_lock(&context->lock);
    context->legacy = NULL;
    pthread_mutex_unlock(&context->lock);
    for (;;) {
        struct cudac_stream *stream;

        pthread_mutex_lock(&context->lock);
        stream = context->streams;
        if (stream)
            context->streams = stream->next;
        pthread_mutex_unlock(&context->lock);
        if (!stream)
            return;
        (void)stream_end(stream);
        cuc_object_put(&stream->object);
    }
}

/* ---- progress ------------------------------------------------------------------------------- */

static void raise_to(_Atomic uint64_t *value, uint64_t position)
{
    uint64_t now = atomic_load_explicit(value, memory_order_relaxed);

    while (now < position && !atomic_compare_exchange_weak_explicit(
                                 value, &now, position, memory_order_acq_rel, memory_order_relaxed))
        ;
}

static bool is_done(struct cudac_stream *stream)
{
    return atomic_load_explicit(&stream->done, memory_order_acquire) >=
           atomic_load_explicit(&stream->posted, memory_order_acquire);
}

/* Its end was learnt by a synchronisation, which printed what kernels before it had left, in
 * whichever stream. */
static bool is_synced(struct cudac_stream *stream)
{
    return atomic_load_explicit(&stream->synced, memory_order_acquire) >=
           atomic_load_explicit(&stream->posted, memory_order_acquire);
}

static bool has_printed(struct cudac_stream *stream)
{
    return atomic_load_explicit(&stream->synced, memory_order_acquire) >=
           atomic_load_explicit(&stream->launched, memory_order_acquire);
}

static bool is_quiet(struct cudac_stream *stream)
{
    return is_done(stream) && has_printed(stream);
}

static bool all_are(struct cudac_context *context, bool blocking_only,
                    bool (*test)(struct cudac_stream *stream))
{
    bool are = true;

    pthread_mutex_lock(&context->lock);
    for (struct cudac_stream *stream = context->streams; stream && are; stream = stream->next)
        are = (blocking_only && !cudac_stream_is_blocking(stream)) || test(stream);
    pthread_mutex_unlock(&context->lock);
    return are;
}

bool cudac_stream_is_idle(struct cudac_stream *stream)
{
    return is_done(stream) &&
           (stream->id != 0 || all_are(stream->context, /* blocking_only */ true, is_done));
}

bool cudac_stream_starts_now(struct cudac_stream *stream)
{
    return is_done(stream) && (!cudac_stream_is_blocking(stream) ||
                               all_are(stream->context, /* blocking_only */ true, is_done));
}

static bool is_past_gate(struct cudac_stream *stream)
{
    const uint64_t done = atomic_load_explicit(&stream->done, memory_order_acquire);

    return done >= atomic_load_explicit(&stream->gate, memory_order_acquire) &&
           done >= atomic_load_explicit(&stream->context->gate, memory_order_acquire);
}

bool cudac_stream_reads_now(struct cudac_stream *stream)
{
    return is_past_gate(stream) &&
           (!cudac_stream_is_blocking(stream) ||
            all_are(stream->context, /* blocking_only */ true, is_past_gate));
}

bool cudac_stream_is_quiet(struct cudac_stream *stream)
{
    if (is_synced(stream) &&
        (stream->id != 0 || all_are(stream->context, /* blocking_only */ true, is_synced)))
        return true;
    return cudac_stream_is_idle(stream) && cudac_streams_have_printed(stream->context);
}

bool cudac_streams_have_printed(struct cudac_context *context)
{
    return all_are(context, /* blocking_only */ false, has_printed);
}

bool cudac_streams_are_quiet(struct cudac_context *context)
{
    return all_are(context, /* blocking_only */ false, is_quiet);
}

static void all_reached(struct cudac_context *context, uint64_t position, bool blocking_only,
                        bool by_sync)
{
    bool is_retired = false;

    pthread_mutex_lock(&context->lock);
    for (struct cudac_stream *stream = context->streams; stream; stream = stream->next) {
        if (blocking_only && !cudac_stream_is_blocking(stream))
            continue;
        raise_to(&stream->done, position);
        if (by_sync)
            raise_to(&stream->synced, position);
        is_retired |= atomic_load_explicit(&stream->is_retired, memory_order_relaxed);
    }
    pthread_mutex_unlock(&context->lock);
    if (is_retired)
        sweep(context);
}

/* Whether a command is behind all that the default stream was given before its position. A wait
 * for an event that is over is no work for a driver, and waits for nothing. A launch that is a call
 * is counted when it has been answered: another thread may have given the default stream something
 * meanwhile. */
static bool is_behind_legacy(uint32_t op)
{
    return op != WIRE_EVENT_WAIT && op != WIRE_LAUNCH_CALL;
}

/* What a blocking stream did waited for what the default stream had before it. */
static void legacy_reached(struct cudac_stream *stream, uint64_t position)
{
    struct cudac_context *context = stream->context;
    uint64_t behind = atomic_load_explicit(&stream->behind, memory_order_acquire);

    if (!cudac_stream_is_blocking(stream) ||
        atomic_load_explicit(&stream->posted, memory_order_acquire) > position)
        return;
    pthread_mutex_lock(&context->lock);
    if (context->legacy)
        raise_to(&context->legacy->done, behind);
    pthread_mutex_unlock(&context->lock);
}

static void one_reached(struct cudac_stream *stream, uint64_t position, bool by_sync)
{
    raise_to(&stream->done, position);
    if (by_sync)
        raise_to(&stream->synced, position);
    if (stream->id != 0)
        legacy_reached(stream, position);
    if (stream->id == 0)
        all_reached(stream->context, position, /* blocking_only */ true, by_sync);
    else if (atomic_load_explicit(&stream->is_retired, memory_order_relaxed))
        sweep(stream->context);
}

void cudac_stream_reached(struct cudac_stream *stream, uint64_t position)
{
    one_reached(stream, position, /* by_sync */ false);
}

void cudac_stream_synced(struct cudac_stream *stream, uint64_t position)
{
    one_reached(stream, position, /* by_sync */ true);
}

void cudac_streams_reached(struct cudac_context *context, uint64_t position)
{
    all_reached(context, position, /* blocking_only */ false, /* by_sync */ false);
}

void cudac_streams_synced(struct cudac_context *context, uint64_t position)
{
    all_reached(context, position, /* blocking_only */ false, /* by_sync */ true);
}

/* Whether a command ends by itself once those before it have. A copy between devices may wait for
 * other streams of theirs. */
static bool is_gate(uint32_t op)
{
    switch (op) {
    case WIRE_COPY_IN:
    case WIRE_COPY_IN_WAIT:
    case WIRE_COPY_OUT:
    case WIRE_COPY_OUT_WAIT:
    case WIRE_SET:
    case WIRE_SET_WAIT:
    case WIRE_EVENT_RECORD:
        return false;
    default:
        return true;
    }
}

void cudac_streams_gate(struct cudac_context *context)
{
    raise_to(&context->gate,
             atomic_fetch_add_explicit(&context->sequence, 1, memory_order_acq_rel) + 1);
}

uint64_t cudac_stream_count(struct cudac_stream *stream, uint32_t op)
{
    uint64_t position =
        atomic_fetch_add_explicit(&stream->context->sequence, 1, memory_order_acq_rel) + 1;

    cudac_room_count(stream, op);
    if (op == WIRE_LAUNCH || op == WIRE_LAUNCH_CALL)
        raise_to(&stream->launched, position);
    if (is_gate(op))
        raise_to(&stream->gate, position);
    raise_to(&stream->posted, position);
    if (is_behind_legacy(op)) /* after `posted`: who sees this sees that */
        raise_to(&stream->behind, position);
    return position;
}

/* ---- the seam (stream.h) -------------------------------------------------------------------- */

CUresult cudac_stream_default(struct cudac_context *context, struct cudac_stream **stream_out)
{
    CUresult result = CUDA_SUCCESS;

    if (cudac_call_is_per_thread())
        result = cudac_thread_stream_get(context, stream_out);
    else if (context->legacy)
        *stream_out = context->legacy;
    else
        result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (result == CUDA_SUCCESS)
        cuc_object_ref(&(*stream_out)->object);
    return result;
}

CUresult cudac_stream_get(CUstream handle, struct cudac_stream **stream_out)
{
    struct cudac_context *context;
    struct cudac_stream *stream;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!handle)
        return cudac_stream_default(context, stream_out);
    if (handle == CU_STREAM_LEGACY) {
        stream = context->legacy;
        if (!stream)
            return CUDA_ERROR_CONTEXT_IS_DESTROYED;
        cuc_object_ref(&stream->object);
    } else if (handle == CU_STREAM_PER_THREAD) {
        result = cudac_thread_stream_get(context, &stream);
        if (result != CUDA_SUCCESS)
            return result;
        cuc_object_ref(&stream->object);
    } else {
        stream = (struct cudac_stream *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_STREAM);
        if (!stream)
            return CUDA_ERROR_INVALID_HANDLE;
        result = cudac_context_error(stream->context);
        if (result != CUDA_SUCCESS) {
            cudac_stream_put(stream);
            return result;
        }
    }
    *stream_out = stream;
    return CUDA_SUCCESS;
}

void cudac_stream_put(struct cudac_stream *stream)
{
    if (stream)
        cuc_object_put(&stream->object);
}

CUresult cudac_stream_post_at(struct cudac_stream *stream, uint32_t op,
                              const struct wire_parts *parts, uint64_t *number_out,
                              uint64_t *position_out)
{
    struct cudac_context *context = stream->context;
    CUresult result;

    pthread_mutex_lock(&context->order);
    result = cudac_post(cudac_context_worker(context), op, parts, number_out);
    if (result == CUDA_SUCCESS)
        *position_out = cudac_stream_count(stream, op);
    pthread_mutex_unlock(&context->order);
    return result;
}

CUresult cudac_stream_post(struct cudac_stream *stream, uint32_t op, const struct wire_parts *parts,
                           uint64_t *number_out)
{
    uint64_t position;

    return cudac_stream_post_at(stream, op, parts, number_out, &position);
}

/* Waits for what a reply says has landed; `result` is the reply's. */
static CUresult wait_landed(struct cudac_context *context, uint32_t op,
                            const struct cudac_reply *reply, CUresult result)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    struct cudac_landed landed;
    CUresult moved = CUDA_SUCCESS;

    if (!reply->bytes || reply->size_bytes == 0)
        return result; /* a refusal carries nothing */
    if (!cudac_landed_get(op, reply, &landed))
        return cudac_worker_broken(worker, "a reply does not decode");
    cudac_worker_has_news(worker);
    if (landed.count > 0)
        moved = cudac_transfers_wait(worker, landed.ids, landed.count);
    return result == CUDA_SUCCESS ? moved : result;
}

CUresult cudac_stream_call(struct cudac_stream *stream, uint32_t op, const struct wire_parts *parts,
                           struct cudac_reply *reply)
{
    struct cudac_context *context = stream->context;
    struct cudac_reply own, *at = reply ? reply : &own;
    uint64_t position = cudac_stream_count(stream, op);
    CUresult result = cudac_call(cudac_context_worker(context), op, parts, at);

    result = wait_landed(context, op, at, result);
    at->result = result;
    if (!reply)
        cudac_reply_free(&own);
    if (result == CUDA_SUCCESS)
        cudac_stream_reached(stream, position);
    return cudac_context_result(context, result);
}

CUresult cudac_sync_locally(struct cudac_context *context)
{
    CUresult result;

    cudac_text_flush();
    result = cudac_memory_after_wait(cudac_context_worker(context));
    if (cudac_trace_on())
        cudac_timeline_after_wait(cudac_context_worker(context));
    return result == CUDA_SUCCESS ? cudac_context_error(context) : result;
}

CUresult cudac_sync_call(struct cudac_context *context, uint32_t op, const struct wire_parts *parts)
{
    struct cudac_reply reply;
    CUresult result = cudac_call(cudac_context_worker(context), op, parts, &reply), local;

    result = wait_landed(context, op, &reply, result);
    cudac_reply_free(&reply);
    (void)cudac_context_result(context, result);
    local = cudac_sync_locally(context); /* a sticky error may have come by itself, too */
    return result == CUDA_SUCCESS ? local : result;
}

CUresult cudac_stream_wait(struct cudac_stream *stream)
{
    struct cudac_context *context = stream->context;
    const struct wire_stream_sync message = {.ctx = context->id, .stream = stream->id};
    uint64_t position = atomic_load_explicit(&context->sequence, memory_order_acquire);
    struct wire_parts parts;
    CUresult result;

    if (cudac_stream_is_quiet(stream))
        return cudac_sync_locally(context);
    wire_put_stream_sync(&message, &parts);
    result = cudac_sync_call(context, WIRE_STREAM_SYNC, &parts);
    if (result == CUDA_SUCCESS)
        cudac_stream_synced(stream, position);
    return result;
}

/* ---- asking --------------------------------------------------------------------------------- */

static void query_done(struct cuc_object *ref, uint64_t position)
{
    cudac_stream_reached((struct cudac_stream *)ref, position);
}

/* The first question about a position goes to the worker, which tells when it is reached. */
CUresult cudac_stream_query(struct cudac_stream *stream)
{
    struct cudac_context *context = stream->context;
    struct wire_stream_watch message = {
        .ctx = context->id, .stream = stream->id, .position = cudac_id_new()};
    struct cudac_watched watched = {
        .object = stream->id ? stream->id : context->id,
        .position = message.position,
        .mark = atomic_load_explicit(&context->sequence, memory_order_acquire),
        .ref = &stream->object,
        .done = query_done,
        .asked = &stream->asked};
    struct wire_parts parts;
    CUresult result;

    if (cudac_stream_is_idle(stream))
        return CUDA_SUCCESS;
    if (!cudac_asked_is_stale(&stream->asked, cudac_context_worker(context)))
        return CUDA_ERROR_NOT_READY;
    wire_put_stream_watch(&message, &parts);
    result = cudac_watch_ask(context, WIRE_STREAM_WATCH, &parts, &watched);
    if (result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_READY)
        result = cudac_stream_is_idle(stream) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    return result;
}
