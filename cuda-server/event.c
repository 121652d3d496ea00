/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/event.c - the commands about events; who waits for them elsewhere: watch.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/sync.h"
#include "cuda-server/watch.h"

static void event_destroy(struct cudas_object *object)
{
    free(object);
}

static CUresult event_create(struct cudas_worker *worker, const struct cudas_command *command,
                             const struct wire_event_create *m, struct cudas_context *context)
{
    struct cudas_event *event = fab_alloc_zeroed(1, sizeof(*event));
    CUresult result;

    if (!event)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *event = (struct cudas_event){.object = {.id = m->event,
                                             .kind = CUDAS_EVENT,
                                             .context = context,
                                             .destroy = event_destroy},
                                  .worker = worker};
    result = worker->cu.cuEventCreate(&event->handle, m->flags);
    if (result == CUDA_SUCCESS) {
        result = cudas_object_add(worker, &event->object, command);
        if (result == CUDA_SUCCESS)
            return result;
        (void)worker->cu.cuEventDestroy_v2(event->handle);
    }
    free(event);
    return result;
}

void cudas_on_event_create(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_event_create m;
    CUresult result;

    if (!wire_get_event_create(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = event_create(worker, command, &m, context);
    cudas_posted(worker, context, result);
    cudas_context_put(context);
}

void cudas_on_event_destroy(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_event *event;
    struct wire_event_destroy m;
    CUevent handle;
    CUresult result;

    if (!wire_get_event_destroy(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    event = (struct cudas_event *)cudas_object_remove(worker, m.event, CUDAS_EVENT);
    if (!event) {
        cudas_posted(worker, NULL, CUDA_ERROR_INVALID_HANDLE);
        return;
    }
    handle = event->handle;
    cudas_watches_forget(worker, event);
    result = cudas_enter(event->object.context);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuEventDestroy_v2(handle);
    cudas_posted(worker, event->object.context, result);
    cudas_object_put(&event->object);
}

static CUresult event_record(struct cudas_worker *worker, const struct wire_event_record *m,
                             const struct cudas_place *place, struct cudas_event *event)
{
    const struct cudas_driver *cu = &worker->cu;

    (void)atomic_fetch_add(&event->records, 1); /* first: see cudas_watches_look() */

    if (m->whole_ctx)
        return cu->cuCtxRecordEvent ? cu->cuCtxRecordEvent(place->context->handle, event->handle)
                                    : CUDA_ERROR_NOT_SUPPORTED;
    if (m->flags != CU_EVENT_RECORD_DEFAULT)
        return cu->cuEventRecordWithFlags(event->handle, place->stream->handle, m->flags);
    return cu->cuEventRecord(event->handle, place->stream->handle);
}

void cudas_on_event_record(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct cudas_event *event = NULL;
    struct wire_event_record m;
    CUresult result;

    if (!wire_get_event_record(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_scope_get(worker, m.ctx, m.stream, m.whole_ctx, &place);
    if (result == CUDA_SUCCESS) {
        event = (struct cudas_event *)cudas_object_get(worker, m.event, CUDAS_EVENT);
        result = event ? event_record(worker, &m, &place, event) : CUDA_ERROR_INVALID_HANDLE;
    }
    if (m.tell != 0)
        cudas_watch_tell(worker, result == CUDA_SUCCESS ? event : NULL, m.event, m.tell);
    cudas_posted(worker, place.context, result);
    if (event)
        cudas_object_put(&event->object);
    cudas_place_put(&place);
}

static CUresult event_wait(struct cudas_worker *worker, const struct wire_event_wait *m,
                           const struct cudas_place *place, const struct cudas_event *event)
{
    const struct cudas_driver *cu = &worker->cu;
    CUstream stream = place->stream->handle;
    CUresult result = m->whole_ctx ? cudas_hold_begin(place->context, &stream) : CUDA_SUCCESS;

    if (result == CUDA_SUCCESS)
        result = cu->cuStreamWaitEvent(stream, event->handle, m->flags);
    if (result == CUDA_SUCCESS && m->whole_ctx)
        result = cudas_hold_end(place->context);
    return result;
}

void cudas_on_event_wait(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct cudas_event *event = NULL;
    struct wire_event_wait m;
    CUresult result;

    if (!wire_get_event_wait(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_scope_get(worker, m.ctx, m.stream, m.whole_ctx, &place);
    if (result == CUDA_SUCCESS) {
        event = (struct cudas_event *)cudas_object_get(worker, m.event, CUDAS_EVENT);
        result = event ? event_wait(worker, &m, &place, event) : CUDA_ERROR_INVALID_HANDLE;
    }
    cudas_posted(worker, place.context, result);
    if (event)
        cudas_object_put(&event->object);
    cudas_place_put(&place);
}

void cudas_on_event_sync(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_event *event;
    struct wire_event_sync m;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_event_sync(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    event = (struct cudas_event *)cudas_object_get(worker, m.event, CUDAS_EVENT);
    if (event) {
        result = cudas_enter(event->object.context);
        if (result == CUDA_SUCCESS)
            result = worker->cu.cuEventSynchronize(event->handle);
    }
    cudas_reply_landed(worker, command, event ? event->object.context : NULL, result);
    if (event)
        cudas_object_put(&event->object);
}

void cudas_on_event_elapsed(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_event *start, *end;
    struct wire_event_elapsed_reply reply = {.milliseconds = 0};
    struct wire_event_elapsed m;
    struct wire_parts parts;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_event_elapsed(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    start = (struct cudas_event *)cudas_object_get(worker, m.start, CUDAS_EVENT);
    end = (struct cudas_event *)cudas_object_get(worker, m.end, CUDAS_EVENT);
    if (start && end) {
        result = cudas_enter(end->object.context);
        if (result == CUDA_SUCCESS)
            result = worker->cu.cuEventElapsedTime(&reply.milliseconds, start->handle, end->handle);
    }
    wire_put_event_elapsed_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    if (start)
        cudas_object_put(&start->object);
    if (end)
        cudas_object_put(&end->object);
}
