/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/hostfn.c - cuLaunchHostFunc and cuStreamAddCallback.
 *
 * A worker says when a stream has come to a host function (host_run) and goes on when it hears that
 * the function has run (host_done). Functions of a context run one after the other on a thread of
 * its own, where every CUDA call is refused (CUDA_ERROR_NOT_PERMITTED).
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/tasks.h"
#include "cuda-client/transfer.h"
#include "generated/cuda-api/client_impl.h"

struct host_call {
    struct cudac_task task;        /* first */
    struct host_call *next;        /* in the list of those whose turn has not come */
    struct cudac_context *context; /* holds a reference */
    uint64_t token;
    CUhostFn fn;
    CUstreamCallback callback;
    CUstream stream;
    void *arg;
    CUresult error; /* for a callback */
};

static struct {
    pthread_mutex_t lock;
    struct host_call *first;
    struct cudac_tasks *service; /* cudac_host_thread_run */
    _Atomic uint64_t pending;    /* posted and not finished */
} host = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool cudac_host_calls_pending(void)
{
    return atomic_load_explicit(&host.pending, memory_order_acquire) > 0;
}

/* ---- the list ------------------------------------------------------------------------------- */

static void call_free(struct host_call *call)
{
    (void)atomic_fetch_sub_explicit(&host.pending, 1, memory_order_acq_rel);
    cuc_object_put(&call->context->object);
    free(call);
}

static void call_add(struct host_call *call)
{
    pthread_mutex_lock(&host.lock);
    call->next = host.first;
    host.first = call;
    pthread_mutex_unlock(&host.lock);
}

/* By token (0: any) of the worker, out of the list; NULL: none. */
static struct host_call *call_take(const struct cudac_worker *worker, uint64_t token)
{
    struct host_call **at, *call;

    pthread_mutex_lock(&host.lock);
    for (at = &host.first; (call = *at); at = &call->next)
        if (cudac_context_worker(call->context) == worker && (token == 0 || call->token == token))
            break;
    if (call)
        *at = call->next;
    pthread_mutex_unlock(&host.lock);
    return call;
}

/* ---- running -------------------------------------------------------------------------------- */

static void run_one(struct cudac_task *task)
{
    struct host_call *call = (struct host_call *)task;
    const struct wire_host_done done = {.token = call->token};
    struct wire_parts parts;

    /* A host function is skipped after an error; a callback is told of it. */
    if (call->callback)
        call->callback(call->stream, call->error, call->arg);
    else if (call->error == CUDA_SUCCESS)
        call->fn(call->arg);
    wire_put_host_done(&done, &parts);
    /* A lost worker has no stream that waits. */
    (void)cudac_signal(cudac_context_worker(call->context), WIRE_HOST_DONE, &parts);
    call_free(call);
}

static struct cudac_tasks *tasks_of(struct cudac_context *context)
{
    struct cudac_tasks *tasks;

    pthread_mutex_lock(&context->lock);
    if (!context->host)
        context->host = cudac_tasks_new("fabric-host", /* is_for_host_functions */ true);
    tasks = context->host;
    pthread_mutex_unlock(&context->lock);
    return tasks;
}

static void run_soon(void *arg)
{
    struct host_call *call = arg;
    struct cudac_tasks *tasks = tasks_of(call->context);

    call->task.run = run_one;
    if (tasks && cudac_tasks_add(tasks, &call->task))
        return;
    /* No thread to run it on: the stream must not wait for ever. */
    cudac_context_set_error(call->context, CUDA_ERROR_OPERATING_SYSTEM);
    call->callback = NULL;
    call->error = CUDA_ERROR_OPERATING_SYSTEM;
    run_one(&call->task);
}

void cudac_on_host_run(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct host_call *call;
    struct wire_host_run run;

    if (!wire_get_host_run(bytes, size_bytes, &run)) {
        (void)cudac_worker_broken(worker, "a host_run does not decode");
        return;
    }
    call = call_take(worker, run.token);
    if (!call)
        return;
    call->error = cudac_context_error(call->context);
    if (call->error == CUDA_SUCCESS)
        call->error = (CUresult)run.result;
    if (run.landed_count == 0)
        run_soon(call);
    else if (cudac_transfers_when(worker, run.landed, run.landed_count, run_soon, call) !=
             CUDA_SUCCESS)
        run_soon(call);
}

/* Callbacks hear that it will never be their turn. */
void cudac_host_calls_lost(struct cudac_worker *worker)
{
    struct host_call *call;

    while ((call = call_take(worker, /* token */ 0))) {
        call->error = CUDA_ERROR_DEVICE_UNAVAILABLE;
        run_soon(call);
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

static CUresult host_submit(CUstream handle, const struct host_call *from)
{
    struct wire_host_call message = {
        .token = cudac_id_new(), .kind = from->callback ? WIRE_HOST_CALLBACK : WIRE_HOST_FUNCTION};
    struct cudac_stream *stream;
    struct host_call *call;
    struct wire_parts parts;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    call = fab_alloc(sizeof(*call));
    if (!call) {
        cudac_stream_put(stream);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *call = *from;
    call->context = stream->context;
    call->token = message.token;
    cuc_object_ref(&call->context->object);
    (void)atomic_fetch_add_explicit(&host.pending, 1, memory_order_acq_rel);
    call_add(call);
    message.ctx = stream->context->id;
    message.stream = stream->id;
    wire_put_host_call(&message, &parts);
    result = cudac_stream_post(stream, WIRE_HOST_CALL, &parts, NULL);
    if (result != CUDA_SUCCESS) {
        call = call_take(cudac_context_worker(stream->context), message.token);
        if (call)
            call_free(call);
    }
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(hStream, &(struct host_call){.fn = fn, .arg = userData});
}

CUresult cudac_cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                                   unsigned int flags)
{
    if (!callback || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(
        hStream, &(struct host_call){.callback = callback, .stream = hStream, .arg = userData});
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
