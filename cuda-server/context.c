/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/context.c - see context.h; the commands about contexts are in context_ops.c.
 */
#include "cuda-server/context.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/outbox.h"

/* What is current in this thread, so that the driver is asked only for a change. */
static _Thread_local uint64_t current_serial;

CUresult cudas_enter(struct cudas_context *context)
{
    CUresult result;

    if (current_serial == context->serial)
        return CUDA_SUCCESS;
    if (!atomic_load_explicit(&context->is_open, memory_order_acquire))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    result = context->worker->cu.cuCtxSetCurrent(context->handle);
    current_serial = result == CUDA_SUCCESS ? context->serial : 0;
    return result;
}

void cudas_leave(struct cudas_worker *worker)
{
    if (current_serial != 0)
        (void)worker->cu.cuCtxSetCurrent(NULL);
    current_serial = 0;
}

void cudas_context_put(struct cudas_context *context)
{
    if (context)
        cudas_object_put(&context->object);
}

CUresult cudas_context_enter(struct cudas_worker *worker, uint64_t id,
                             struct cudas_context **context_out)
{
    struct cudas_context *context =
        (struct cudas_context *)cudas_object_get(worker, id, CUDAS_CONTEXT);
    CUresult result = context ? cudas_enter(context) : CUDA_ERROR_INVALID_CONTEXT;

    if (result == CUDA_SUCCESS)
        *context_out = context;
    else
        cudas_context_put(context);
    return result;
}

struct cudas_context *cudas_context_of_vgpu(struct cudas_worker *worker, uint32_t vgpu)
{
    struct cudas_context *found = NULL;

    fab_mutex_lock(&worker->objects->lock);
    FAB_LIST_EACH(node, after, &worker->objects->all)
    {
        struct cudas_object *object = fab_list_object(node, struct cudas_object, link);

        if (!found && object->kind == CUDAS_CONTEXT &&
            ((struct cudas_context *)object)->vgpu == vgpu) {
            found = (struct cudas_context *)object;
            cudas_object_ref(object);
        }
    }
    fab_mutex_unlock(&worker->objects->lock);
    return found;
}

void cudas_context_each(struct cudas_worker *worker,
                        void (*fn)(struct cudas_context *context, void *arg), void *arg)
{
    struct fab_vec found = FAB_VEC(struct cudas_context *);

    fab_mutex_lock(&worker->objects->lock);
    FAB_LIST_EACH(node, after, &worker->objects->all)
    {
        struct cudas_object *object = fab_list_object(node, struct cudas_object, link);

        if (object->kind == CUDAS_CONTEXT && fab_vec_push(&found, &object) == FAB_OK)
            cudas_object_ref(object);
    }
    fab_mutex_unlock(&worker->objects->lock);
    for (size_t i = 0; i < found.count; i++) {
        struct cudas_context *context = *fab_vec_at(&found, struct cudas_context *, i);

        fn(context, arg);
        cudas_context_put(context);
    }
    fab_vec_fini(&found);
}

CUresult cudas_place_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                         struct cudas_place *place_out)
{
    struct cudas_place place = {.context = NULL};
    CUresult result = cudas_context_enter(worker, context, &place.context);

    if (result != CUDA_SUCCESS)
        return result;
    if (stream == 0) {
        place.stream = &place.context->legacy;
        cudas_object_ref(&place.context->object);
    } else {
        place.stream = (struct cudas_stream *)cudas_object_get(worker, stream, CUDAS_STREAM);
        if (place.stream && place.stream->object.context != place.context) {
            cudas_object_put(&place.stream->object);
            place.stream = NULL;
        }
    }
    if (!place.stream) {
        cudas_context_put(place.context);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    *place_out = place;
    return CUDA_SUCCESS;
}

CUresult cudas_work_place_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                              struct cudas_place *place_out)
{
    CUresult result = cudas_place_get(worker, context, stream, place_out);

    if (result == CUDA_SUCCESS) {
        result = cudas_hold_apply(place_out->context, place_out->stream);
        if (result != CUDA_SUCCESS)
            cudas_place_put(place_out);
    }
    return result;
}

CUresult cudas_scope_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                         bool whole_context, struct cudas_place *place_out)
{
    return whole_context ? cudas_place_get(worker, context, 0, place_out)
                         : cudas_work_place_get(worker, context, stream, place_out);
}

void cudas_place_put(struct cudas_place *place)
{
    if (!place->context)
        return;
    if (place->stream == &place->context->legacy)
        cudas_context_put(place->context);
    else
        cudas_object_put(&place->stream->object);
    cudas_context_put(place->context);
    *place = (struct cudas_place){.context = NULL};
}

/* ---- lanes ----------------------------------------------------------------------------------- */

CUresult cudas_lane_take(struct cudas_context *context, struct cudas_lane **lane_out)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct cudas_lane *lane;
    struct fab_list *node;
    CUresult result;

    fab_mutex_lock(&context->lock);
    node = fab_list_take(&context->lanes);
    fab_mutex_unlock(&context->lock);
    if (node) {
        *lane_out = fab_list_object(node, struct cudas_lane, link);
        cudas_object_ref(&context->object);
        return CUDA_SUCCESS;
    }
    lane = fab_alloc_zeroed(1, sizeof(*lane));
    if (!lane)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = cu->cuStreamCreateWithPriority(&lane->stream, CU_STREAM_NON_BLOCKING, 0);
    if (result == CUDA_SUCCESS)
        result = cu->cuEventCreate(&lane->event, CU_EVENT_DISABLE_TIMING);
    if (result != CUDA_SUCCESS) {
        if (lane->stream)
            (void)cu->cuStreamDestroy_v2(lane->stream);
        free(lane);
        return result;
    }
    lane->context = context;
    cudas_object_ref(&context->object);
    *lane_out = lane;
    return CUDA_SUCCESS;
}

void cudas_lane_give(struct cudas_lane *lane)
{
    struct cudas_context *context = lane ? lane->context : NULL;

    if (!lane)
        return;
    fab_mutex_lock(&context->lock);
    fab_list_insert(&context->lanes, &lane->link);
    fab_mutex_unlock(&context->lock);
    cudas_context_put(context);
}

/* ---- errors ---------------------------------------------------------------------------------- */

void cudas_context_failed(struct cudas_context *context, CUresult result)
{
    int none = 0;
    struct wire_parts parts;

    if (!atomic_compare_exchange_strong(&context->told, &none, (int)result))
        return;
    none = 0;
    (void)atomic_compare_exchange_strong(&context->worker->failed, &none, (int)result);
    wire_put_context_error(
        &(struct wire_context_error){.ctx = context->object.id, .result = (int32_t)result}, &parts);
    cudas_signal(context->worker, WIRE_CONTEXT_ERROR, &parts);
}
