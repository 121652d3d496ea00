/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/meter.c - see meter.h.
 */
#include "cuda-server/meter.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/trace.h"

enum {
    BATCH_MAX = 256,    /* launches between two events */
    PENDING_MAX = 1024, /* batches whose time is not read yet, more than a driver's queues hold */
    BUSY_MAX = 16,      /* batches that are looked at and still run */
    NS_PER_MS = 1000000,
};

struct cudas_batch {
    struct fab_list link;
    CUevent start, end;
    uint64_t stream; /* for the timeline */
    uint32_t launches;
};

static struct cudas_batch *batch_free(struct cudas_context *context, bool *may_grow_out)
{
    struct fab_list *node;

    fab_mutex_lock(&context->lock);
    node = fab_list_take(&context->free_batches);
    *may_grow_out = context->batch_count < PENDING_MAX;
    fab_mutex_unlock(&context->lock);
    return node ? fab_list_object(node, struct cudas_batch, link) : NULL;
}

static struct cudas_batch *batch_new(struct cudas_context *context)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct cudas_batch *batch = fab_alloc_zeroed(1, sizeof(*batch));

    if (!batch)
        return NULL;
    if (cu->cuEventCreate(&batch->start, CU_EVENT_DEFAULT) != CUDA_SUCCESS ||
        cu->cuEventCreate(&batch->end, CU_EVENT_DEFAULT) != CUDA_SUCCESS) {
        free(batch); /* the events go with their context */
        return NULL;
    }
    fab_mutex_lock(&context->lock);
    context->batch_count++;
    fab_mutex_unlock(&context->lock);
    return batch;
}

static struct cudas_batch *batch_take(struct cudas_context *context)
{
    bool may_grow;
    struct cudas_batch *batch = batch_free(context, &may_grow);

    if (batch || may_grow)
        return batch ? batch : batch_new(context);
    cudas_meter_read(context); /* nobody has waited for long */
    return batch_free(context, &may_grow);
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
    meter->open->launches = meter->launches;
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
    batch->stream = place->stream->object.id;
    cudas_object_ref(&place->context->object);
    *meter = (struct cudas_meter){
        .open = batch, .context = place->context, .stream = place->stream->handle, .launches = 1};
}

/* A moment of the device and of our clock. */
struct anchor {
    CUevent event; /* NULL: none */
    uint64_t at_ns;
};

/* On a lane, which has nothing to wait for. */
static struct anchor anchor_set(struct cudas_context *context)
{
    const struct cudas_driver *cu = &context->worker->cu;
    const struct fab_clock *clock = context->worker->clock;
    struct anchor anchor = {.event = NULL};
    struct cudas_lane *lane;
    uint64_t from_ns, to_ns;
    CUresult result;

    if (cudas_lane_take(context, &lane) != CUDA_SUCCESS)
        return anchor;
    result = cu->cuEventCreate(&anchor.event, CU_EVENT_DEFAULT);
    from_ns = fab_clock_now_ns(clock);
    if (result == CUDA_SUCCESS)
        result = cu->cuEventRecord(anchor.event, lane->stream);
    if (result == CUDA_SUCCESS)
        result = cu->cuEventSynchronize(anchor.event);
    to_ns = fab_clock_now_ns(clock);
    cudas_lane_give(lane);
    anchor.at_ns = from_ns + (to_ns - from_ns) / 2;
    if (result != CUDA_SUCCESS && anchor.event) {
        (void)cu->cuEventDestroy_v2(anchor.event);
        anchor.event = NULL;
    }
    return anchor;
}

/* A finished batch, for the timeline. */
static void tell(struct cudas_context *context, const struct cudas_batch *batch,
                 const struct anchor *anchor, uint64_t took_ns)
{
    float milliseconds;

    if (!anchor->event || context->worker->cu.cuEventElapsedTime(&milliseconds, batch->start,
                                                                 anchor->event) != CUDA_SUCCESS)
        return;
    const uint64_t start_ns = anchor->at_ns - (uint64_t)((double)milliseconds * NS_PER_MS);

    cudas_trace_add(context->worker, &(struct wire_span){.ctx = context->object.id,
                                                         .stream = batch->stream,
                                                         .start_ns = start_ns,
                                                         .end_ns = start_ns + took_ns,
                                                         .vgpu = context->vgpu,
                                                         .launches = batch->launches});
}

static void read_locked(struct cudas_context *context, const struct anchor *anchor)
{
    struct cudas_worker *worker = context->worker;
    uint32_t busy = 0;
    float milliseconds;

    FAB_LIST_EACH(node, after, &context->pending_batches)
    {
        struct cudas_batch *batch = fab_list_object(node, struct cudas_batch, link);
        const CUresult result = worker->cu.cuEventQuery(batch->end);

        if (result == CUDA_ERROR_NOT_READY) {
            if (++busy == BUSY_MAX)
                break;
            continue; /* a later one may be of another stream */
        }
        if (result == CUDA_SUCCESS && worker->cu.cuEventElapsedTime(&milliseconds, batch->start,
                                                                    batch->end) == CUDA_SUCCESS) {
            const uint64_t took_ns = (uint64_t)((double)milliseconds * NS_PER_MS);

            atomic_fetch_add_explicit(&worker->stats.gpu_ns, took_ns, memory_order_relaxed);
            tell(context, batch, anchor, took_ns);
        }
        fab_list_remove(node);
        fab_list_append(&context->free_batches, node);
    }
}

void cudas_meter_read(struct cudas_context *context)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct anchor anchor = {.event = NULL};

    fab_mutex_lock(&context->lock);
    const bool has_some = !fab_list_is_empty(&context->pending_batches);
    fab_mutex_unlock(&context->lock);
    if (!has_some)
        return;
    if (cudas_trace_is_on(context->worker))
        anchor = anchor_set(context);
    fab_mutex_lock(&context->lock);
    read_locked(context, &anchor);
    fab_mutex_unlock(&context->lock);
    if (anchor.event)
        (void)cu->cuEventDestroy_v2(anchor.event);
}

static void read_entered(struct cudas_context *context, void *arg)
{
    (void)arg;
    if (cudas_enter(context) == CUDA_SUCCESS)
        cudas_meter_read(context);
}

void cudas_meter_read_all(struct cudas_worker *worker)
{
    cudas_context_each(worker, read_entered, NULL);
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
