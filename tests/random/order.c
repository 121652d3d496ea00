/* SPDX-License-Identifier: Apache-2.0
 * tests/random/order.c - what must come before what, brought about in one of CUDA's ways.
 */
#include "tests/random/world.h"

#include <sched.h>

static void make_current(struct world *w, uint32_t lane)
{
    (void)CU(w, cuCtxSetCurrent, w->lane[lane].context);
}

uint32_t world_lane(struct world *w, struct rng *rng)
{
    uint32_t lane = rng_below(rng, w->lane_count);

    make_current(w, lane);
    return lane;
}

uint32_t world_lane_on(struct world *w, struct rng *rng, uint32_t device)
{
    uint32_t first = rng_below(rng, w->lane_count);

    for (uint32_t i = 0; i < w->lane_count; i++) {
        uint32_t lane = (first + i) % w->lane_count;

        if (w->lane[lane].device == device) {
            make_current(w, lane);
            return lane;
        }
    }
    make_current(w, 0);
    return 0;
}

/* By asking until it is done: the number of questions is nobody's business. */
static CUresult ask_stream(struct world *w, CUstream stream)
{
    CUresult result;

    if (world_is_told(w, CAPI_cuStreamQuery))
        return world_result(w, CAPI_cuStreamQuery, w->told_result);
    while ((result = w->cu->cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY)
        sched_yield();
    return world_result(w, CAPI_cuStreamQuery, result);
}

static CUresult ask_event(struct world *w, CUevent event)
{
    CUresult result;

    if (world_is_told(w, CAPI_cuEventQuery))
        return world_result(w, CAPI_cuEventQuery, w->told_result);
    while ((result = w->cu->cuEventQuery(event)) == CUDA_ERROR_NOT_READY)
        sched_yield();
    return world_result(w, CAPI_cuEventQuery, result);
}

/* The host waits until everything of the lane is done. */
void world_settle_lane(struct world *w, struct rng *rng, uint32_t lane)
{
    const struct lane *at = &w->lane[lane];
    CUevent event = (CUevent)world_pick_live(w, rng, POOL_EVENT);

    (void)CU(w, cuCtxSetCurrent, at->context);
    switch (rng_below(rng, 5)) {
    case 0:
        (void)CU(w, cuStreamSynchronize, at->handle);
        break;
    case 1:
        (void)CU(w, cuCtxSynchronize);
        break;
    case 2:
        (void)ask_stream(w, at->handle);
        break;
    case 3: /* an event belongs to one context: another's is refused, and does not count */
        if (event && CU(w, cuEventRecord, event, at->handle) == CUDA_SUCCESS) {
            (void)CU(w, cuEventSynchronize, event);
            break;
        }
        (void)CU(w, cuStreamSynchronize, at->handle);
        break;
    default:
        if (event && CU(w, cuEventRecordWithFlags, event, at->handle, 0) == CUDA_SUCCESS) {
            (void)ask_event(w, event);
            break;
        }
        (void)CU(w, cuStreamSynchronize, at->handle);
        break;
    }
}

/* `later` goes on when what `earlier` has now is done. */
static void put_behind(struct world *w, struct rng *rng, uint32_t earlier, uint32_t later)
{
    CUevent event = (CUevent)world_pick_live(w, rng, POOL_EVENT);

    if (event && !rng_chance(rng, 3)) {
        (void)CU(w, cuCtxSetCurrent, w->lane[earlier].context);
        if (CU(w, cuEventRecord, event, w->lane[earlier].handle) == CUDA_SUCCESS) {
            make_current(w, later);
            if (CU(w, cuStreamWaitEvent, w->lane[later].handle, event, 0) == CUDA_SUCCESS)
                return;
        }
    }
    world_settle_lane(w, rng, earlier);
    make_current(w, later);
}

void world_use_buffer(struct world *w, struct rng *rng, uint32_t lane, struct buffer *buffer)
{
    if (buffer->busy && buffer->lane != lane)
        put_behind(w, rng, buffer->lane, lane);
    buffer->busy = true;
    buffer->lane = lane;
}

void world_use_host(struct world *w, struct rng *rng, uint32_t lane, struct host *host)
{
    if (host->busy && host->lane != lane)
        put_behind(w, rng, host->lane, lane);
    host->busy = true;
    host->lane = lane;
}

void world_settle_buffer(struct world *w, struct rng *rng, struct buffer *buffer)
{
    if (buffer->busy)
        world_settle_lane(w, rng, buffer->lane);
    buffer->busy = false;
}

void world_settle_host(struct world *w, struct rng *rng, struct host *host)
{
    if (host->busy)
        world_settle_lane(w, rng, host->lane);
    host->busy = false;
}

/* Whoever chooses something may mix its contents with those of all else in the step. */
static void touch(struct world *w, uint32_t *touched, bool *is_tainted)
{
    *touched = w->step + 1;
    if (*is_tainted)
        world_taint(w);
    else
        *is_tainted = w->tainted_step == w->step + 1;
}

struct buffer *world_buffer(struct world *w, struct rng *rng, int device)
{
    uint32_t first = rng_below(rng, w->buffer_count);

    for (uint32_t i = 0; i < w->buffer_count; i++) {
        struct buffer *buffer = &w->buffer[(first + i) % w->buffer_count];

        if (device < 0 || buffer->device == (uint32_t)device) {
            touch(w, &buffer->touched, &buffer->is_tainted);
            return buffer;
        }
    }
    return NULL;
}

struct host *world_host(struct world *w, struct rng *rng)
{
    struct host *host = w->host_count ? &w->host[rng_below(rng, w->host_count)] : NULL;

    if (host)
        touch(w, &host->touched, &host->is_tainted);
    return host;
}
