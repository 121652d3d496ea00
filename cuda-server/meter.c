/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/meter.c - see meter.h.
 */
#include "cuda-server/meter.h"

#include <stdlib.h>

#include "base/alloc.h"

enum {
    BATCH_MAX = 256,   /* launches between two events */
    PENDING_MAX = 256, /* batches whose time is not read yet; then some go uncounted */
};

struct cudas_batch {
    struct fab_list link;
    CUevent start, end;
};

static struct cudas_batch *batch_take(struct cudas_context *context)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct cudas_batch *batch;
    struct fab_list *node;
    bool may_grow;

    fab_mutex_lock(&context->lock);
    node = fab_list_take(&context->free_batches);
    may_grow = context->batch_count < PENDING_MAX;
    context->batch_count += !node && may_grow;
    fab_mutex_unlock(&context->lock);
    if (node)
        return fab_list_object(node, struct cudas_batch, link);
    batch = may_grow ? fab_alloc_zeroed(1, sizeof(*batch)) : NULL;
    if (!batch)
        return NULL;
    if (cu->cuEventCreate(&batch->start, CU_EVENT_DEFAULT) != CUDA_SUCCESS ||
        cu->cuEventCreate(&batch->end, CU_EVENT_DEFAULT) != CUDA_SUCCESS) {
        free(batch); /* the events go with their context */
        return NULL;
    }
    return batch;
}

static void batch_give(struct cudas_context *context, struct fab_list *to,
                       struct cudas_batch *batch)
{
    fab_mutex_lock(&context->lock);
    fab_list_append(to, &batch->link);
    fab_mutex_unlock(&context->lock);
}

void cudas_meter_close(struct cudas_worker *worker)
{
    struct cudas_meter *meter = &worker->meter;
    struct cudas_context *context = meter->context;
    bool is_recorded;

    if (!meter->open)
        return;
    is_recorded = cudas_enter(context) == CUDA_SUCCESS &&
                  worker->cu.cuEventRecord(meter->open->end, meter->stream) == CUDA_SUCCESS;
    batch_give(context, is_recorded ? &context->pending_batches : &context->free_batches,
               meter->open);
    *meter = (struct cudas_meter){.open = NULL};
    cudas_context_put(context);
}

void cudas_meter_launch(struct cudas_worker *worker, const struct cudas_place *place)
{
    struct cudas_meter *meter = &worker->meter;
    struct cudas_batch *batch;

    if (meter->open && meter->context == place->context && meter->stream == place->stream->handle &&
        meter->launches < BATCH_MAX) {
        meter->launches++;
        return;
    }
    cudas_meter_close(worker);
    if (cudas_enter(place->context) != CUDA_SUCCESS)
        return; /* the launch will say so */
    batch = batch_take(place->context);
    if (!batch)
        return;
    if (worker->cu.cuEventRecord(batch->start, place->stream->handle) != CUDA_SUCCESS) {
        batch_give(place->context, &place->context->free_batches, batch);
        return;
    }
    cudas_object_ref(&place->context->object);
    *meter = (struct cudas_meter){
        .open = batch, .context = place->context, .stream = place->stream->handle, .launches = 1};
}

void cudas_meter_read(struct cudas_context *context)
{
    struct cudas_worker *worker = context->worker;
    float milliseconds;

    fab_mutex_lock(&context->lock);
    FAB_LIST_EACH(node, after, &context->pending_batches)
    {
        struct cudas_batch *batch = fab_list_object(node, struct cudas_batch, link);
        const CUresult result = worker->cu.cuEventQuery(batch->end);

        if (result == CUDA_ERROR_NOT_READY)
            break; /* later ones are later, mostly */
        if (result == CUDA_SUCCESS &&
            worker->cu.cuEventElapsedTime(&milliseconds, batch->start, batch->end) == CUDA_SUCCESS)
            atomic_fetch_add_explicit(&worker->stats.gpu_ns, (uint64_t)(milliseconds * 1e6F),
                                      memory_order_relaxed);
        fab_list_remove(node);
        fab_list_append(&context->free_batches, node);
    }
    fab_mutex_unlock(&context->lock);
}

static void free_all(struct fab_list *batches)
{
    struct fab_list *node;

    while ((node = fab_list_take(batches)) != NULL)
        free(fab_list_object(node, struct cudas_batch, link));
}

void cudas_meter_context_fini(struct cudas_context *context)
{
    free_all(&context->free_batches);
    free_all(&context->pending_batches);
}
