/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/host_call.c - what the client does when a stream comes to it.
 *
 * A worker says when a stream has come to a host call (host_run) and goes on when it hears that the
 * client has done it (host_done).
 */
#include "cuda-client/host_call.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/transfer.h"

static struct {
    pthread_mutex_t lock;
    struct cudac_host_call *first; /* those whose turn has not come */
    struct cudac_tasks *service;   /* cudac_host_thread_run */
    _Atomic uint64_t pending;      /* posted and not finished */
} host = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool cudac_host_calls_pending(void)
{
    return atomic_load_explicit(&host.pending, memory_order_acquire) > 0;
}

/* By token (0: any) of the worker, out of the list; NULL: none. */
static struct cudac_host_call *call_take(const struct cudac_worker *worker, uint64_t token)
{
    struct cudac_host_call **at, *call;

    pthread_mutex_lock(&host.lock);
    for (at = &host.first; (call = *at); at = &call->next)
        if (cudac_context_worker(call->context) == worker && (token == 0 || call->token == token))
            break;
    if (call)
        *at = call->next;
    pthread_mutex_unlock(&host.lock);
    return call;
}

static void call_forget(struct cudac_host_call *call)
{
    (void)atomic_fetch_sub_explicit(&host.pending, 1, memory_order_acq_rel);
    cuc_object_put(&call->context->object);
}

CUresult cudac_host_call_post(struct cudac_stream *stream, struct cudac_host_call *call,
                              uint32_t kind)
{
    const struct wire_host_call message = {
        .ctx = stream->context->id, .stream = stream->id, .token = cudac_id_new(), .kind = kind};
    struct wire_parts parts;
    CUresult result;

    call->context = stream->context;
    call->token = message.token;
    cuc_object_ref(&call->context->object);
    (void)atomic_fetch_add_explicit(&host.pending, 1, memory_order_acq_rel);
    pthread_mutex_lock(&host.lock);
    call->next = host.first;
    host.first = call;
    pthread_mutex_unlock(&host.lock);
    wire_put_host_call(&message, &parts);
    result = cudac_stream_post(stream, WIRE_HOST_CALL, &parts, NULL);
    if (result == CUDA_SUCCESS)
        return result;
    if (!call_take(cudac_context_worker(stream->context), message.token))
        return CUDA_SUCCESS; /* the worker is lost, and its turn has come for that */
    call_forget(call);
    return result;
}

void cudac_host_call_end(struct cudac_host_call *call)
{
    const struct wire_host_done done = {.token = call->token};
    struct wire_parts parts;

    cudac_memory_after_host_call();
    wire_put_host_done(&done, &parts);
    /* A lost worker has no stream that waits. */
    (void)cudac_signal(cudac_context_worker(call->context), WIRE_HOST_DONE, &parts);
    call_forget(call);
    free(call);
}

static void call_turn(void *arg)
{
    struct cudac_host_call *call = arg;

    if (call->error == CUDA_SUCCESS) /* what it waited for may have failed to land */
        call->error = cudac_context_error(call->context);
    call->turn(call);
}

void cudac_on_host_run(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct cudac_host_call *call;
    struct wire_host_run run;

    if (!wire_get_host_run(bytes, size_bytes, &run)) {
        (void)cudac_worker_broken(worker, "a host_run does not decode");
        return;
    }
    cudac_worker_has_news(worker);
    call = call_take(worker, run.token);
    if (!call)
        return;
    call->error = cudac_context_error(call->context);
    if (call->error == CUDA_SUCCESS)
        call->error = (CUresult)run.result;
    if (run.landed_count == 0 ||
        cudac_transfers_when(worker, run.landed, run.landed_count, call_turn, call) != CUDA_SUCCESS)
        call_turn(call);
}

void cudac_host_calls_lost(struct cudac_worker *worker)
{
    struct cudac_host_call *call;

    while ((call = call_take(worker, /* token */ 0))) {
        call->error = CUDA_ERROR_DEVICE_UNAVAILABLE;
        call_turn(call);
    }
}

/* ---- no call of the program's, but the moment in which it would be -------------------------- */

static void catch_up_end(void *arg)
{
    cudac_host_call_end(arg);
}

static void catch_up_turn(struct cudac_host_call *call)
{
    if (cudac_host_thread_run(catch_up_end, call) != CUDA_SUCCESS)
        cudac_host_call_end(call);
}

CUresult cudac_memory_catch_up(struct cudac_stream *stream)
{
    struct cudac_host_call *call = fab_alloc_zeroed(1, sizeof(*call));
    CUresult result;

    if (!call)
        return CUDA_ERROR_OUT_OF_MEMORY;
    call->turn = catch_up_turn;
    result = cudac_host_call_post(stream, call, WIRE_HOST_CALLBACK);
    if (result != CUDA_SUCCESS)
        free(call);
    return result;
}

/* ---- things to do for the control engine ---------------------------------------------------- */

struct service_task {
    struct cudac_task task; /* first */
    void (*fn)(void *arg);
    void *arg;
};

static void service_run(struct cudac_task *task)
{
    struct service_task *service = (struct service_task *)task;

    service->fn(service->arg);
    free(service);
}

CUresult cudac_host_thread_run(void (*fn)(void *arg), void *arg)
{
    struct service_task *task = fab_alloc(sizeof(*task));
    struct cudac_tasks *service;

    if (!task)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *task = (struct service_task){.task = {.run = service_run}, .fn = fn, .arg = arg};
    pthread_mutex_lock(&host.lock);
    if (!host.service)
        host.service = cudac_tasks_new("fabric-service", /* is_for_host_functions */ false);
    service = host.service;
    pthread_mutex_unlock(&host.lock);
    if (service && cudac_tasks_add(service, &task->task))
        return CUDA_SUCCESS;
    free(task);
    return CUDA_ERROR_OUT_OF_MEMORY;
}
