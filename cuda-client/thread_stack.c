/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/thread_stack.c - the calling thread's stack of contexts and its default streams.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/context_int.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/thread.h"

static struct cudac_thread_stack *stack_get(void)
{
    if (!cudac_thread.stack) {
        cudac_thread.stack = fab_alloc_zeroed(1, sizeof(*cudac_thread.stack));
        cudac_thread_watch();
    }
    return cudac_thread.stack;
}

struct cudac_context *cudac_context_peek(void)
{
    return cudac_thread.current;
}

bool cudac_context_push(struct cudac_context *context)
{
    struct cudac_thread_stack *stack = stack_get();

    if (!stack || stack->depth == CUDAC_CONTEXT_STACK_MAX)
        return false;
    if (context)
        cuc_object_ref(&context->object);
    stack->entry[stack->depth++] = context;
    cudac_thread.current = context;
    return true;
}

bool cudac_context_pop(struct cudac_context **context_out)
{
    struct cudac_thread_stack *stack = cudac_thread.stack;
    struct cudac_context *context;

    if (!stack || stack->depth == 0)
        return false;
    context = stack->entry[--stack->depth];
    cudac_thread.current = stack->depth > 0 ? stack->entry[stack->depth - 1] : NULL;
    *context_out = context;
    return true;
}

static void entry_put(struct cudac_context *context)
{
    if (context)
        cuc_object_put(&context->object);
}

void cudac_context_set_top(struct cudac_context *context)
{
    struct cudac_context *old = NULL;

    if (cudac_thread.current == context)
        return;
    if (cudac_context_pop(&old))
        entry_put(old);
    if (context)
        (void)cudac_context_push(context);
}

void cudac_context_thread_exit(void)
{
    struct cudac_context *context;

    while (cudac_thread.streams) {
        struct cudac_thread_stream *entry = cudac_thread.streams;

        cudac_thread.streams = entry->next;
        cudac_stream_retire(entry->stream);
        cudac_stream_put(entry->stream);
        free(entry);
    }
    while (cudac_context_pop(&context))
        entry_put(context);
    free(cudac_thread.stack);
    cudac_thread.stack = NULL;
}

CUresult cudac_thread_stream_get(struct cudac_context *context, struct cudac_stream **stream_out)
{
    struct cudac_thread_stream *entry;
    struct cudac_stream *stream;
    CUresult result;

    for (entry = cudac_thread.streams; entry; entry = entry->next)
        if (entry->context == context)
            break;
    if (entry && !atomic_load_explicit(&entry->stream->is_retired, memory_order_acquire)) {
        *stream_out = entry->stream;
        return CUDA_SUCCESS;
    }
    result = cudac_stream_new(context, cudac_id_new(), CU_STREAM_DEFAULT, context->priority_least,
                              &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (entry) {
        cudac_stream_put(entry->stream); /* the context was closed and opened again */
    } else {
        entry = fab_alloc(sizeof(*entry));
        if (!entry) {
            cudac_stream_retire(stream);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        *entry = (struct cudac_thread_stream){.next = cudac_thread.streams, .context = context};
        cudac_thread.streams = entry;
        cudac_thread_watch();
    }
    cuc_object_ref(&stream->object);
    entry->stream = stream;
    *stream_out = stream;
    return CUDA_SUCCESS;
}
