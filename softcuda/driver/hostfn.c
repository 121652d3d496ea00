/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/hostfn.c - cuLaunchHostFunc and cuStreamAddCallback.
 *
 * The functions run in stream order on a thread of the context, where every CUDA call is refused
 * (CUDA_ERROR_NOT_PERMITTED). The thread starts at the first of them.
 */
#include "softcuda/driver/hostfn.h"

#include "cuda-common/thread.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/thread.h"

struct host_call {
    CUhostFn fn;
    CUstreamCallback callback;
    CUstream stream;
    void *arg;
};

void soft_host_init(struct soft_host_queue *queue)
{
    *queue = (struct soft_host_queue){.first = NULL};
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->changed, NULL);
}

static void run_one(struct soft_command *command)
{
    const struct host_call *call = (const struct host_call *)(void *)command->data;
    CUresult error = soft_context_error(command->context);

    /* A host function is skipped after an error; a callback is told of it. */
    if (call->callback)
        call->callback(call->stream, error, call->arg);
    else if (error == CUDA_SUCCESS)
        call->fn(call->arg);
    soft_command_finish(command, CUDA_SUCCESS);
}

static void *host_thread(void *arg)
{
    struct soft_context *context = arg;
    struct soft_host_queue *queue = &context->host;

    soft_thread.in_host_function = true;
    pthread_mutex_lock(&queue->lock);
    while (!queue->must_end) {
        struct soft_command *command = queue->first;

        if (!command) {
            (void)pthread_cond_wait(&queue->changed, &queue->lock);
            continue;
        }
        queue->first = command->next;
        if (!queue->first)
            queue->last = NULL;
        pthread_mutex_unlock(&queue->lock);
        run_one(command);
        pthread_mutex_lock(&queue->lock);
    }
    queue->has_thread = false;
    pthread_mutex_unlock(&queue->lock);
    cuc_object_put(&context->object);
    return NULL;
}

static void host_start(struct soft_command *command)
{
    struct soft_context *context = command->context;
    struct soft_host_queue *queue = &context->host;
    bool has_thread;

    pthread_mutex_lock(&queue->lock);
    command->next = NULL;
    if (queue->last)
        queue->last->next = command;
    else
        queue->first = command;
    queue->last = command;
    queue->must_end = false;
    if (!queue->has_thread) {
        cuc_object_ref(&context->object);
        queue->has_thread = cuc_thread_start("softcuda-host", host_thread, context);
        if (!queue->has_thread)
            cuc_object_put(&context->object);
    }
    has_thread = queue->has_thread;
    if (has_thread)
        (void)pthread_cond_signal(&queue->changed);
    else
        queue->first = queue->last = NULL;
    pthread_mutex_unlock(&queue->lock);
    if (!has_thread)
        soft_command_finish(command, CUDA_ERROR_OPERATING_SYSTEM);
}

void soft_host_stop(struct soft_context *context)
{
    struct soft_host_queue *queue = &context->host;

    pthread_mutex_lock(&queue->lock);
    queue->must_end = true;
    (void)pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static const struct soft_command_ops host_ops = {
    .name = "host function", .start = host_start, .even_failed = true};

static CUresult host_submit(CUstream handle, struct host_call call)
{
    struct soft_command *command;
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    command = soft_command_new(stream->context, stream, &host_ops);
    if (command) {
        *(struct host_call *)(void *)command->data = call;
        soft_command_submit(command);
    }
    soft_stream_put(stream);
    return command ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult soft_cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(hStream, (struct host_call){.fn = fn, .arg = userData});
}

CUresult soft_cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                                  unsigned int flags)
{
    if (!callback || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return host_submit(
        hStream, (struct host_call){.callback = callback, .stream = hStream, .arg = userData});
}
