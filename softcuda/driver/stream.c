/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/stream.c - streams: life, handles, the driver calls about them.
 */
#include "softcuda/driver/stream_int.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/event.h"
#include "softcuda/driver/soft_call.h"

static _Atomic uint64_t last_stream_id;

static const struct soft_command_ops marker_ops = {
    .name = "marker", .start = soft_command_marker, .even_failed = true};

/* ---- life ----------------------------------------------------------------------------------- */

static void stream_destroy(struct cuc_object *object)
{
    struct soft_stream *stream = (struct soft_stream *)object;

    cuc_object_put(&stream->context->object);
    free(stream);
}

static void list_add_locked(struct soft_context *context, struct soft_stream *stream)
{
    struct soft_stream **at;

    for (at = &context->queue.streams; *at;)
        at = &(*at)->next;
    stream->next = NULL;
    *at = stream;
}

struct soft_stream *soft_stream_unlink_locked(struct soft_stream *stream)
{
    struct soft_stream **at;

    for (at = &stream->context->queue.streams; *at && *at != stream;)
        at = &(*at)->next;
    if (*at)
        *at = stream->next;
    return stream;
}

CUresult soft_stream_new(struct soft_context *context, unsigned flags, int priority,
                         struct soft_stream **stream_out)
{
    struct soft_stream *stream = fab_alloc_zeroed(1, sizeof(*stream));
    CUresult result;

    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority;
    stream->id = atomic_fetch_add_explicit(&last_stream_id, 1, memory_order_relaxed) + 1;
    stream->sync_policy = CU_SYNC_POLICY_AUTO;
    stream->domain_map.remote = 1;
    cuc_object_ref(&context->object);
    result = cuc_object_register(&stream->object, CUC_STREAM, stream_destroy);
    if (result != CUDA_SUCCESS) {
        stream_destroy(&stream->object);
        return result;
    }
    soft_queue_lock();
    list_add_locked(context, stream);
    soft_queue_unlock();
    *stream_out = stream;
    return CUDA_SUCCESS;
}

void soft_stream_retire(struct soft_stream *stream)
{
    bool is_idle;

    if (!cuc_object_retire(&stream->object))
        return;
    soft_queue_lock();
    stream->is_retired = true;
    is_idle = atomic_load_explicit(&stream->tail, memory_order_relaxed) == NULL;
    if (is_idle)
        (void)soft_stream_unlink_locked(stream);
    soft_queue_unlock();
    if (is_idle)
        cuc_object_put(&stream->object);
}

/* ---- the seam (stream.h) -------------------------------------------------------------------- */

CUresult soft_stream_get(CUstream handle, struct soft_stream **stream_out)
{
    struct soft_context *context;
    struct soft_stream *stream;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!handle)
        handle = soft_call_is_per_thread() ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
    if (handle == CU_STREAM_LEGACY) {
        stream = context->queue.legacy;
        cuc_object_ref(&stream->object);
    } else if (handle == CU_STREAM_PER_THREAD) {
        result = soft_thread_stream_get(context, &stream);
        if (result != CUDA_SUCCESS)
            return result;
        cuc_object_ref(&stream->object);
    } else {
        stream = (struct soft_stream *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_STREAM);
        if (!stream)
            return CUDA_ERROR_INVALID_HANDLE;
        result = soft_context_error(stream->context);
        if (result != CUDA_SUCCESS) {
            soft_stream_put(stream);
            return result;
        }
    }
    *stream_out = stream;
    return CUDA_SUCCESS;
}

void soft_stream_put(struct soft_stream *stream)
{
    cuc_object_put(&stream->object);
}

struct soft_context *soft_stream_context(const struct soft_stream *stream)
{
    return stream->context;
}

struct stream_call {
    CUresult (*fn)(void *arg);
    void *arg;
};

static void call_start(struct soft_command *command)
{
    const struct stream_call *call = (const struct stream_call *)(void *)command->data;

    soft_command_finish(command, call->fn(call->arg));
}

static const struct soft_command_ops call_ops = {
    .name = "call", .start = call_start, .on_worker = true, .even_failed = true};

CUresult soft_stream_enqueue(struct soft_stream *stream, CUresult (*fn)(void *arg), void *arg)
{
    struct soft_command *command = soft_command_new(stream->context, stream, &call_ops);

    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *(struct stream_call *)(void *)command->data = (struct stream_call){fn, arg};
    soft_command_submit(command);
    return CUDA_SUCCESS;
}

/* The default stream also stands for the blocking streams that its next command would wait for. */
static bool is_idle_locked(struct soft_stream *stream)
{
    struct soft_context_queue *queue = &stream->context->queue;

    if (atomic_load_explicit(&stream->tail, memory_order_acquire))
        return false;
    if (stream != queue->legacy || atomic_load_explicit(&queue->pending, memory_order_relaxed) == 0)
        return true;
    for (struct soft_stream *other = queue->streams; other; other = other->next)
        if (soft_stream_is_blocking(other) &&
            atomic_load_explicit(&other->tail, memory_order_relaxed))
            return false;
    return true;
}

CUresult soft_stream_wait(struct soft_stream *stream)
{
    struct soft_context *context = stream->context;
    struct soft_command *marker = NULL;

    soft_queue_lock();
    if (stream != context->queue.legacy) {
        soft_command_wait_unlock(atomic_load_explicit(&stream->tail, memory_order_relaxed));
    } else if (is_idle_locked(stream)) {
        soft_queue_unlock();
    } else {
        soft_queue_unlock();
        marker = soft_command_new(context, stream, &marker_ops);
        if (!marker)
            return CUDA_ERROR_OUT_OF_MEMORY;
        (void)soft_command_submit_and_wait(marker);
    }
    soft_text_flush(&context->text);
    return soft_context_error(context);
}

/* ---- calls ---------------------------------------------------------------------------------- */

CUresult soft_cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
    struct soft_context *context;
    struct soft_stream *stream;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!phStream || flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    if (priority > SOFT_PRIORITY_LEAST)
        priority = SOFT_PRIORITY_LEAST;
    if (priority < SOFT_PRIORITY_GREATEST)
        priority = SOFT_PRIORITY_GREATEST;
    result = soft_stream_new(context, flags, priority, &stream);
    if (result == CUDA_SUCCESS)
        *phStream = (CUstream)(uintptr_t)stream->object.handle;
    return result;
}

CUresult soft_cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
    return soft_cuStreamCreateWithPriority(phStream, Flags, SOFT_PRIORITY_LEAST);
}

CUresult soft_cuStreamDestroy_v2(CUstream hStream)
{
    struct soft_stream *stream;

    if (!hStream || hStream == CU_STREAM_LEGACY || hStream == CU_STREAM_PER_THREAD)
        return CUDA_ERROR_INVALID_HANDLE;
    stream = (struct soft_stream *)cuc_object_get((uint64_t)(uintptr_t)hStream, CUC_STREAM);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    soft_stream_retire(stream);
    soft_stream_put(stream);
    return CUDA_SUCCESS;
}

CUresult soft_cuStreamSynchronize(CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_stream_wait(stream);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuStreamQuery(CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);
    bool is_idle;

    if (result != CUDA_SUCCESS)
        return result;
    soft_queue_lock();
    is_idle = is_idle_locked(stream);
    soft_queue_unlock();
    result = soft_context_error(stream->context);
    soft_stream_put(stream);
    if (result != CUDA_SUCCESS)
        return result;
    return is_idle ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult soft_cuStreamGetPriority(CUstream hStream, int *priority)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (priority)
        *priority = stream->priority;
    soft_stream_put(stream);
    return priority ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult soft_cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (flags)
        *flags = stream->flags;
    soft_stream_put(stream);
    return flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult soft_cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (streamId)
        *streamId = stream->id;
    soft_stream_put(stream);
    return streamId ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult soft_cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (pctx)
        *pctx = soft_context_handle(stream->context);
    soft_stream_put(stream);
    return pctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* No stream belongs to a green context here. */
CUresult soft_cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    CUresult result = soft_cuStreamGetCtx(hStream, pCtx);

    if (result == CUDA_SUCCESS && pGreenCtx)
        *pGreenCtx = NULL;
    return result;
}

CUresult soft_cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (device)
        *device = soft_device_ordinal(stream->context->device);
    soft_stream_put(stream);
    return device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
