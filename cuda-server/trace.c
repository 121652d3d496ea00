/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/trace.c - see trace.h.
 */
#include "cuda-server/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/mutex.h"
#include "cuda-server/dispatch.h"
#include "cuda-server/meter.h"

enum {
    SPANS_MAX = 65536, /* that are kept; a client that traces fetches them after its waits */
    FETCH_MAX = 4096,  /* in one reply */
};

/* A ring. */
struct cudas_trace {
    struct fab_mutex lock;
    uint32_t first, count;
    uint64_t dropped;
    struct wire_span spans[SPANS_MAX];
};

static struct cudas_trace *trace_of(struct cudas_worker *worker)
{
    return atomic_load_explicit(&worker->trace, memory_order_acquire);
}

/* Calls run beside each other: the first one there makes it. */
static bool begin(struct cudas_worker *worker)
{
    struct cudas_trace *trace = fab_alloc_zeroed(1, sizeof(*trace)), *none = NULL;

    if (!trace)
        return false;
    fab_mutex_init(&trace->lock);
    if (atomic_compare_exchange_strong(&worker->trace, &none, trace))
        return true;
    fab_mutex_fini(&trace->lock);
    free(trace);
    return true;
}

void cudas_trace_destroy(struct cudas_worker *worker)
{
    struct cudas_trace *trace = atomic_exchange(&worker->trace, NULL);

    if (!trace)
        return;
    fab_mutex_fini(&trace->lock);
    free(trace);
}

void cudas_trace_add(struct cudas_worker *worker, const struct wire_span *span)
{
    struct cudas_trace *trace = trace_of(worker);

    if (!trace)
        return;
    fab_mutex_lock(&trace->lock);
    if (trace->count < SPANS_MAX)
        trace->spans[(trace->first + trace->count++) % SPANS_MAX] = *span;
    else
        trace->dropped++;
    fab_mutex_unlock(&trace->lock);
}

static void take(struct cudas_trace *trace, struct wire_span *spans, struct wire_trace_reply *reply)
{
    fab_mutex_lock(&trace->lock);
    while (reply->spans_count < FETCH_MAX && trace->count > 0) {
        spans[reply->spans_count++] = trace->spans[trace->first];
        trace->first = (trace->first + 1) % SPANS_MAX;
        trace->count--;
    }
    reply->dropped = trace->dropped;
    fab_mutex_unlock(&trace->lock);
}

void cudas_on_trace(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_trace_reply reply = {.asked_ns = fab_clock_now_ns(worker->clock)};
    struct wire_span *spans = fab_alloc(FETCH_MAX * sizeof(*spans));
    struct wire_parts parts;
    struct wire_trace m;

    if (!wire_get_trace(command->bytes, command->size_bytes, &m)) {
        free(spans);
        cudas_malformed(worker, command);
        return;
    }
    if (!spans || (!trace_of(worker) && !begin(worker))) {
        free(spans);
        cudas_reply(worker, command, CUDA_ERROR_OUT_OF_MEMORY, NULL);
        return;
    }
    cudas_meter_read_all(worker);
    take(trace_of(worker), spans, &reply);
    reply.spans = spans;
    reply.answered_ns = fab_clock_now_ns(worker->clock);
    wire_put_trace_reply(&reply, &parts);
    cudas_reply(worker, command, CUDA_SUCCESS, &parts);
    free(spans);
}
