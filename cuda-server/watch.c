/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/watch.c - telling somebody when a stream or an event is there.
 *
 * A lane (a stream of the worker's own) waits for the event and then calls back; no thread waits
 * and the program's streams see nothing of it. What is told goes on the urgent lane.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/outbox.h"
#include "cuda-server/peer.h"
#include "cuda-server/sync.h"
#include "cuda-server/transfer.h"

struct watch {
    struct cudas_worker *worker;
    struct cudas_lane *lane;
    uint64_t object, position; /* for `reached` */
    uint64_t peer, flag;       /* flag 0: `reached` to the client; else this flag at that peer */
};

static void tell_reached(const struct watch *watch, CUresult result)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_reached m = {.object = watch->object,
                             .position = watch->position,
                             .result = (int32_t)result,
                             .landed = landed};
    struct wire_parts parts;

    cudas_before_news(watch->worker, watch->lane->context, result);
    m.landed_count = cudas_landed(watch->worker, landed);
    wire_put_reached(&m, &parts);
    cudas_signal(watch->worker, WIRE_REACHED, &parts);
}

static void is_reached(CUstream stream, CUresult status, void *arg)
{
    struct watch *watch = arg;

    (void)stream;
    if (watch->flag == 0)
        tell_reached(watch, status);
    else
        cudas_peer_flag(watch->worker, watch->peer, watch->flag, status);
    cudas_lane_give(watch->lane);
    free(watch);
}

/* `event` NULL: what is in `stream` now. The context is current. */
static CUresult watch_start(struct cudas_context *context, const struct watch *values,
                            CUstream stream, CUevent event)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct watch *watch = fab_alloc(sizeof(*watch));
    CUresult result;

    if (!watch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *watch = *values;
    result = cudas_lane_take(context, &watch->lane);
    if (result != CUDA_SUCCESS) {
        free(watch);
        return result;
    }
    if (!event) {
        event = watch->lane->event;
        result = cu->cuEventRecord(event, stream);
    }
    if (result == CUDA_SUCCESS)
        result = cu->cuStreamWaitEvent(watch->lane->stream, event, 0);
    if (result == CUDA_SUCCESS)
        result = cu->cuStreamAddCallback(watch->lane->stream, is_reached, watch, 0);
    if (result != CUDA_SUCCESS) {
        cudas_lane_give(watch->lane);
        free(watch);
    }
    return result;
}

/* NOT_READY now: the watch is to tell later. Else the answer is final. */
static CUresult watch_if_busy(struct cudas_context *context, const struct watch *values,
                              CUstream stream, CUevent event, CUresult now)
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
            result = watch_if_busy(event->object.context, &values, NULL, event->handle,
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
            result = watch_start(event->object.context, &values, NULL, event->handle);
    }
    /* Who waits must go on, whatever happened here. */
    if (result != CUDA_SUCCESS)
        cudas_peer_flag(worker, m.peer, m.flag, result);
    cudas_posted(worker, event ? event->object.context : NULL, result);
    if (event)
        cudas_object_put(&event->object);
}
