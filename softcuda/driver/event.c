/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/event.c - events and waits for them.
 *
 * Recording enqueues a command; the event remembers its latest one until it is done. A wait is an
 * edge from the command that was the latest at the time of the wait, so recording again changes
 * nothing for those who wait already.
 */
#include "softcuda/driver/event.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/stream_int.h"

struct soft_event {
    struct cuc_object object;
    struct soft_context *context;  /* holds a reference */
    unsigned flags;                /* CU_EVENT_* */
    struct soft_event *next, **at; /* in the context, guarded by its lock */
    /* Guarded by the queue lock. */
    struct soft_command *recording; /* the latest record, until it is done */
    uint64_t time_ns;               /* of the latest that is done */
    bool is_recorded;
};

static void event_destroy(struct cuc_object *object)
{
    struct soft_event *event = (struct soft_event *)object;

    cuc_object_put(&event->context->object);
    free(event);
}

static struct soft_event *event_get(CUevent handle)
{
    return (struct soft_event *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_EVENT);
}

static void event_unlink(struct soft_event *event)
{
    struct soft_context *context = event->context;

    pthread_mutex_lock(&context->lock);
    if (event->at) {
        *event->at = event->next;
        if (event->next)
            event->next->at = event->at;
        event->at = NULL;
    }
    pthread_mutex_unlock(&context->lock);
}

static void event_retire(struct soft_event *event)
{
    if (!cuc_object_retire(&event->object))
        return;
    event_unlink(event);
    cuc_object_put(&event->object);
}

void soft_events_close(struct soft_context *context)
{
    for (;;) {
        struct soft_event *event;

        pthread_mutex_lock(&context->lock);
        event = context->events;
        if (event)
            cuc_object_ref(&event->object);
        pthread_mutex_unlock(&context->lock);
        if (!event)
            return;
        event_retire(event);
        event_unlink(event);
        cuc_object_put(&event->object);
    }
}

CUresult soft_cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    struct soft_context *context;
    struct soft_event *event;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!phEvent || Flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_EVENT_INTERPROCESS && !(Flags & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_VALUE;
    event = fab_alloc_zeroed(1, sizeof(*event));
    if (!event)
        return CUDA_ERROR_OUT_OF_MEMORY;
    event->context = context;
    event->flags = Flags;
    cuc_object_ref(&context->object);
    result = cuc_object_register(&event->object, CUC_EVENT, event_destroy);
    if (result != CUDA_SUCCESS) {
        event_destroy(&event->object);
        return result;
    }
    pthread_mutex_lock(&context->lock);
    event->next = context->events;
    event->at = &context->events;
    if (event->next)
        event->next->at = &event->next;
    context->events = event;
    pthread_mutex_unlock(&context->lock);
    *phEvent = (CUevent)(uintptr_t)event->object.handle;
    return CUDA_SUCCESS;
}

CUresult soft_cuEventDestroy_v2(CUevent hEvent)
{
    struct soft_event *event = event_get(hEvent);

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    event_retire(event);
    cuc_object_put(&event->object);
    return CUDA_SUCCESS;
}

/* ---- recording ------------------------------------------------------------------------------ */

static struct soft_event **event_of(struct soft_command *command)
{
    return (struct soft_event **)(void *)command->data;
}

static void record_start(struct soft_command *command)
{
    bool is_modelled = soft_device_model(command->context->device)->time != DEVICE_TIME_REAL;

    /* Modelled time ends when the work before ended by the model, not when a thread saw it. */
    command->end_ns = is_modelled && command->ready_ns ? command->ready_ns : soft_now_ns();
    soft_command_finish(command, CUDA_SUCCESS);
}

static void record_passed(struct soft_command *command)
{
    struct soft_event *event = *event_of(command);

    if (event->recording != command)
        return; /* recorded again since */
    event->recording = NULL;
    event->time_ns = command->end_ns;
}

static void record_clear(struct soft_command *command)
{
    cuc_object_put(&(*event_of(command))->object);
}

static const struct soft_command_ops record_ops = {
    .name = "event record",
    .start = record_start,
    .clear = record_clear,
    .passed = record_passed,
    .even_failed = true,
};

/* `stream` NULL: all present work of the context. */
static CUresult event_record(struct soft_event *event, struct soft_context *context,
                             struct soft_stream *stream)
{
    struct soft_command *command;
    bool done = true;

    if (context != event->context)
        return CUDA_ERROR_INVALID_HANDLE;
    command = soft_command_new(context, stream, &record_ops);
    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    cuc_object_ref(&event->object);
    *event_of(command) = event;
    soft_queue_lock();
    if (!stream)
        done = soft_command_after_context_locked(command, context);
    event->recording = command;
    event->is_recorded = true;
    soft_command_submit_locked(command);
    soft_queue_unlock();
    return done ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult soft_cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags)
{
    struct soft_event *event;
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

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
    if (event)
        cuc_object_put(&event->object);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuEventRecord(CUevent hEvent, CUstream hStream)
{
    return soft_cuEventRecordWithFlags(hEvent, hStream, CU_EVENT_RECORD_DEFAULT);
}

CUresult soft_cuCtxRecordEvent(CUcontext hCtx, CUevent hEvent)
{
    struct soft_context *context;
    struct soft_event *event;
    CUresult result = soft_context_of(hCtx, &context);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = event_record(event, context, NULL);
    cuc_object_put(&event->object);
    return result;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static const struct soft_command_ops wait_ops = {
    .name = "event wait", .start = soft_command_marker, .even_failed = true};

static CUresult stream_wait_event(struct soft_stream *stream, struct soft_event *event)
{
    struct soft_command *command = soft_command_new(stream->context, stream, &wait_ops);

    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    soft_queue_lock();
    if (event->recording) {
        (void)soft_command_after_locked(command, event->recording); /* its own edge: no memory */
        soft_command_submit_locked(command);
        command = NULL;
    }
    soft_queue_unlock();
    if (command)
        soft_command_drop(command); /* reached already, or never recorded */
    return CUDA_SUCCESS;
}

CUresult soft_cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
    struct soft_event *event;
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = stream_wait_event(stream, event);
    if (event)
        cuc_object_put(&event->object);
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuCtxWaitEvent(CUcontext hCtx, CUevent hEvent)
{
    struct soft_context *context;
    struct soft_command *gate;
    struct soft_event *event;
    CUresult result = soft_context_of(hCtx, &context);

    if (result != CUDA_SUCCESS)
        return result;
    event = event_get(hEvent);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    gate = soft_command_new(context, NULL, &wait_ops);
    if (gate) {
        soft_queue_lock();
        (void)soft_command_after_locked(gate, event->recording); /* its own edge: no memory */
        soft_command_gate_locked(gate);
        soft_queue_unlock();
    } else {
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    cuc_object_put(&event->object);
    return result;
}

CUresult soft_cuEventQuery(CUevent hEvent)
{
    struct soft_event *event = event_get(hEvent);
    CUresult result;

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    soft_queue_lock();
    result = event->recording ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
    soft_queue_unlock();
    if (soft_context_error(event->context) != CUDA_SUCCESS)
        result = soft_context_error(event->context);
    cuc_object_put(&event->object);
    return result;
}

CUresult soft_cuEventSynchronize(CUevent hEvent)
{
    struct soft_event *event = event_get(hEvent);
    CUresult result;

    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    soft_queue_lock();
    soft_command_wait_unlock(event->recording);
    soft_text_flush(&event->context->text);
    result = soft_context_error(event->context);
    cuc_object_put(&event->object);
    return result;
}

static CUresult elapsed_locked(const struct soft_event *start, const struct soft_event *end,
                               int64_t *ns_out)
{
    if ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING)
        return CUDA_ERROR_INVALID_HANDLE;
    if (start->context->device != end->context->device)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!start->is_recorded || !end->is_recorded)
        return CUDA_ERROR_INVALID_HANDLE;
    if (start->recording || end->recording)
        return CUDA_ERROR_NOT_READY;
    *ns_out = (int64_t)(end->time_ns - start->time_ns);
    return CUDA_SUCCESS;
}

CUresult soft_cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    struct soft_event *start = event_get(hStart), *end = event_get(hEnd);
    CUresult result = CUDA_ERROR_INVALID_HANDLE;
    int64_t ns = 0;

    if (start && end) {
        soft_queue_lock();
        result = elapsed_locked(start, end, &ns);
        soft_queue_unlock();
        if (soft_context_error(end->context) != CUDA_SUCCESS)
            result = soft_context_error(end->context);
        if (!pMilliseconds)
            result = CUDA_ERROR_INVALID_VALUE;
    }
    if (result == CUDA_SUCCESS)
        *pMilliseconds = (float)((double)ns / 1e6);
    if (start)
        cuc_object_put(&start->object);
    if (end)
        cuc_object_put(&end->object);
    return result;
}
