/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/hostfn.c - cuLaunchHostFunc and cuStreamAddCallback.
 *
 * Functions of a context run one after the other on a thread of its own, where every CUDA call is
 * refused (CUDA_ERROR_NOT_PERMITTED).
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/host_call.h"
#include "cuda-client/memory.h"
#include "generated/cuda-api/client_impl.h"

struct host_function {
    struct cudac_host_call call; /* first */
    CUhostFn fn;
    CUstreamCallback callback;
    CUstream stream;
    void *arg;
};

static void run_one(struct cudac_task *task)
{
    struct host_function *function = (struct host_function *)task;
    CUresult error = function->call.error;

    if (error == CUDA_SUCCESS)
        error = cudac_memory_before_host_call(cudac_context_worker(function->call.context));
    /* A host function is skipped after an error; a callback is told of it. */
    if (function->callback)
        function->callback(function->stream, error, function->arg);
    else if (error == CUDA_SUCCESS)
        function->fn(function->arg);
    cudac_host_call_end(&function->call);
}

static void end_unrun(void *arg)
{
    cudac_host_call_end(arg);
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

static void function_turn(struct cudac_host_call *call)
{
    struct cudac_tasks *tasks = tasks_of(call->context);

    call->task.run = run_one;
    if (tasks && cudac_tasks_add(tasks, &call->task))
        return;
    /* No thread to run it on: the stream must not wait for ever. */
    cudac_context_set_error(call->context, CUDA_ERROR_OPERATING_SYSTEM);
    if (cudac_host_thread_run(end_unrun, call) != CUDA_SUCCESS)
        cudac_host_call_end(call);
}

static CUresult host_submit(CUstream handle, const struct host_function *from)
{
    struct host_function *function;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_make_room(stream);
    function = fab_alloc(sizeof(*function));
    if (function) {
        *function = *from;
        function->call.turn = function_turn;
        result = cudac_host_call_post(stream, &function->call,
                                      from->callback ? WIRE_HOST_CALLBACK : WIRE_HOST_FUNCTION);
        if (result != CUDA_SUCCESS)
            free(function);
    } else {
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(hStream, &(struct host_function){.fn = fn, .arg = userData});
}

CUresult cudac_cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                                   unsigned int flags)
{
    if (!callback || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(
        hStream, &(struct host_function){.callback = callback, .stream = hStream, .arg = userData});
}
