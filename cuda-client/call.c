/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/call.c - what stands around every driver call; threads' own state.
 */
#include "cuda-client/cudac_call.h"

#include <pthread.h>
#include <stdlib.h>

#include "cuda-client/context.h"
#include "cuda-client/init.h"
#include "cuda-client/memory.h"
#include "cuda-client/remote.h"
#include "cuda-client/thread.h"
#include "cuda-client/trace.h"

_Thread_local struct cudac_thread cudac_thread;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exit(void *arg)
{
    (void)arg;
    cudac_thread.has_exit_hook = false;
    if (cudac_is_forked())
        return;
    cudac_context_thread_exit();
    free(cudac_thread.reply);
    cudac_thread.reply = NULL;
}

static void exit_key_create(void)
{
    (void)pthread_key_create(&exit_key, thread_exit);
}

void cudac_thread_watch(void)
{
    if (cudac_thread.has_exit_hook)
        return;
    (void)pthread_once(&exit_once, exit_key_create);
    cudac_thread.has_exit_hook = pthread_setspecific(exit_key, &cudac_thread) == 0;
}

CUresult cudac_call_begin(struct cudac_call *call, uint32_t number, uint32_t flags)
{
    call->number = number;
    call->outer_per_thread = cudac_thread.per_thread;
    cudac_thread.per_thread = (flags & CUDAC_CALL_PER_THREAD) != 0;
    if (cudac_trace_on())
        cudac_trace_begin(number);
    if (flags & CUDAC_CALL_NEEDS_INIT) {
        if (!cudac_is_initialized() || cudac_is_forked())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (cudac_is_ending())
            return CUDA_ERROR_DEINITIALIZED;
        if (cudac_thread.in_host_function)
            return CUDA_ERROR_NOT_PERMITTED;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_call_end(struct cudac_call *call, CUresult result)
{
    cudac_thread.per_thread = call->outer_per_thread;
    if (cudac_thread.has_given) /* seldom */
        cudac_memory_call_end();
    if (cudac_trace_on())
        cudac_trace_end(call->number, result);
    return result;
}

CUresult cudac_call_refused(uint32_t number)
{
    cudac_trace_refused(number);
    return CUDA_ERROR_NOT_SUPPORTED;
}

bool cudac_call_is_per_thread(void)
{
    return cudac_thread.per_thread;
}

void cudac_thread_set_host_function(bool is_inside)
{
    cudac_thread.in_host_function = is_inside;
}
