/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/hold.c - see hold.h.
 *
 * A lane's queue is as deep as a stream's, and a full one would stop the leader. So a lane that has
 * taken some waits and is not done with them is given back behind the last one, and another takes
 * over, which first waits for it.
 */
#include "cuda-server/hold.h"

#include <stdlib.h>

#include "cuda-server/context.h"

enum { LANE_WAITS = 64 }; /* in a lane; a wait may be three of the driver's commands */

static void give_lane(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    (void)status;
    cudas_lane_give(arg);
}

/* The context's own lane does not keep the context alive. */
static CUresult take_lane(struct cudas_context *context, struct cudas_lane **lane_out)
{
    CUresult result = cudas_lane_take(context, lane_out);

    if (result == CUDA_SUCCESS)
        cudas_object_put(&context->object);
    return result;
}

/* To the context's other lanes when all in it is done, or now if the context has failed. */
static void give_back(struct cudas_context *context, struct cudas_lane *lane)
{
    cudas_object_ref(&context->object);
    if (context->worker->cu.cuStreamAddCallback(lane->stream, give_lane, lane, 0) != CUDA_SUCCESS)
        cudas_lane_give(lane);
}

static void set_lane(struct cudas_context *context, struct cudas_lane *lane)
{
    fab_mutex_lock(&context->lock);
    context->hold.lane = lane;
    fab_mutex_unlock(&context->lock);
    context->hold.used = 0;
}

static CUresult change_lane(struct cudas_context *context)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct cudas_lane *before = context->hold.lane, *lane = NULL;
    CUresult result = take_lane(context, &lane);

    if (result != CUDA_SUCCESS)
        return result;
    /* Its event stands for both from now on: who looks meanwhile finds one or the other. */
    result = cu->cuStreamWaitEvent(lane->stream, before->event, 0);
    if (result == CUDA_SUCCESS)
        result = cu->cuEventRecord(lane->event, lane->stream);
    if (result == CUDA_SUCCESS)
        set_lane(context, lane);
    give_back(context, result == CUDA_SUCCESS ? before : lane);
    return result;
}

CUresult cudas_hold_begin(struct cudas_context *context, CUstream *stream_out)
{
    struct cudas_hold *hold = &context->hold;
    struct cudas_lane *lane = NULL;
    CUresult result = CUDA_SUCCESS;

    if (!hold->lane) {
        result = take_lane(context, &lane);
        if (result == CUDA_SUCCESS)
            set_lane(context, lane);
    } else if (hold->used >= LANE_WAITS) {
        if (context->worker->cu.cuStreamQuery(hold->lane->stream) == CUDA_SUCCESS)
            hold->used = 0;
        else
            result = change_lane(context);
    }
    if (result != CUDA_SUCCESS)
        return result;
    hold->used++;
    *stream_out = hold->lane->stream;
    return CUDA_SUCCESS;
}

CUresult cudas_hold_end(struct cudas_context *context)
{
    const struct cudas_lane *lane = context->hold.lane;
    CUresult result = context->worker->cu.cuEventRecord(lane->event, lane->stream);

    if (result == CUDA_SUCCESS)
        (void)atomic_fetch_add_explicit(&context->hold.count, 1, memory_order_release);
    return result;
}

CUresult cudas_hold_apply(struct cudas_context *context, struct cudas_stream *stream)
{
    const uint64_t count = atomic_load_explicit(&context->hold.count, memory_order_acquire);
    CUresult result;

    if (stream->is_own || atomic_load_explicit(&stream->held, memory_order_relaxed) >= count)
        return CUDA_SUCCESS;
    fab_mutex_lock(&context->lock); /* the lane stays; the client keeps room in the stream */
    result = context->worker->cu.cuStreamWaitEvent(stream->handle, context->hold.lane->event, 0);
    if (result == CUDA_SUCCESS)
        atomic_store_explicit(&stream->held, count, memory_order_relaxed);
    fab_mutex_unlock(&context->lock);
    return result;
}

void cudas_hold_fini(struct cudas_hold *hold)
{
    free(hold->lane); /* the driver's part went with its context */
}
