/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/gate.c - see gate.h.
 */
#include "cuda-server/gate.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/outbox.h"

struct inside {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t announced, met; /* holds that are on their way, and that came to the gate */
    uint64_t released;       /* that close nothing any more */
};

static struct inside *inside_of(const struct cudas_gate *gate)
{
    return gate->internal;
}

enum fab_status cudas_gate_create(struct cudas_gate **gate_out, struct fab_err *err)
{
    struct cudas_gate *gate = fab_alloc_zeroed(1, sizeof(*gate));
    struct inside *inside = fab_alloc_zeroed(1, sizeof(*inside));

    if (!gate || !inside) {
        free(gate);
        free(inside);
        return fab_err_set(err, FAB_ERR_NOMEM, "gate");
    }
    (void)pthread_mutex_init(&inside->lock, NULL);
    (void)pthread_cond_init(&inside->changed, NULL);
    gate->internal = inside;
    *gate_out = gate;
    return FAB_OK;
}

void cudas_gate_destroy(struct cudas_gate *gate)
{
    if (!gate)
        return;
    (void)pthread_cond_destroy(&inside_of(gate)->changed);
    (void)pthread_mutex_destroy(&inside_of(gate)->lock);
    free(gate->internal);
    free(gate);
}

void cudas_gate_wait(struct cudas_worker *worker)
{
    struct cudas_gate *gate = worker->gate;
    struct inside *inside = inside_of(gate);
    const uint64_t from_ns = fab_clock_now_ns(worker->clock);

    (void)pthread_mutex_lock(&inside->lock);
    while (atomic_load(&gate->is_closed) && !atomic_load(&worker->is_over))
        (void)pthread_cond_wait(&inside->changed, &inside->lock);
    (void)pthread_mutex_unlock(&inside->lock);
    atomic_fetch_add_explicit(&worker->stats.gate_wait_ns,
                              fab_clock_now_ns(worker->clock) - from_ns, memory_order_relaxed);
}

static void drain(struct cudas_context *context, void *arg)
{
    (void)arg;
    if (cudas_enter(context) == CUDA_SUCCESS) /* its error stays in the context */
        (void)context->worker->cu.cuCtxSynchronize();
}

void cudas_gate_announce(struct cudas_worker *worker)
{
    struct inside *inside = inside_of(worker->gate);

    (void)pthread_mutex_lock(&inside->lock);
    inside->announced++;
    (void)pthread_mutex_unlock(&inside->lock);
}

void cudas_gate_close(struct cudas_worker *worker, uint64_t number)
{
    struct inside *inside = inside_of(worker->gate);
    struct wire_parts parts;

    (void)pthread_mutex_lock(&inside->lock);
    inside->met++;
    atomic_store(&worker->gate->is_closed, inside->met > inside->released);
    (void)pthread_mutex_unlock(&inside->lock);
    cudas_context_each(worker, drain, NULL);
    wire_put_held(&(struct wire_held){.number = number}, &parts);
    cudas_signal(worker, WIRE_HELD, &parts);
    cudas_gate_wait(worker);
}

void cudas_gate_open(struct cudas_worker *worker)
{
    struct inside *inside = inside_of(worker->gate);

    (void)pthread_mutex_lock(&inside->lock);
    inside->released = inside->announced;
    atomic_store(&worker->gate->is_closed, false);
    (void)pthread_cond_broadcast(&inside->changed);
    (void)pthread_mutex_unlock(&inside->lock);
}
