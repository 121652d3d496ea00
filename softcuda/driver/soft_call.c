/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/soft_call.c - what stands around every driver call; threads' own state.
 */
#include "softcuda/driver/soft_call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generated/cuda-api/capi_names.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/thread.h"
#include "softcuda/driver/trace.h"

_Thread_local struct soft_thread soft_thread;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exit(void *arg)
{
    (void)arg;
    if (!soft_is_forked())
        soft_context_thread_exit();
}

static void exit_key_create(void)
{
    (void)pthread_key_create(&exit_key, thread_exit);
}

void soft_thread_watch(void)
{
    if (soft_thread.has_exit_hook)
        return;
    (void)pthread_once(&exit_once, exit_key_create);
    soft_thread.has_exit_hook = pthread_setspecific(exit_key, &soft_thread) == 0;
}

CUresult soft_call_begin(struct soft_call *call, uint32_t number, uint32_t flags)
{
    call->number = number;
    call->outer_per_thread = soft_thread.per_thread;
    soft_thread.per_thread = (flags & SOFT_CALL_PER_THREAD) != 0;
    if (soft_trace_on())
        soft_trace_begin(number);
    if (flags & SOFT_CALL_NEEDS_INIT) {
        if (!soft_is_initialized() || soft_is_forked())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (soft_thread.in_host_function)
            return CUDA_ERROR_NOT_PERMITTED;
    }
    return CUDA_SUCCESS;
}

CUresult soft_call_end(struct soft_call *call, CUresult result)
{
    soft_thread.per_thread = call->outer_per_thread;
    if (soft_trace_on())
        soft_trace_end(call->number, result);
    return result;
}

CUresult soft_call_refused(uint32_t number)
{
    soft_trace_refused(number);
    return CUDA_ERROR_NOT_SUPPORTED;
}

bool soft_call_is_per_thread(void)
{
    return soft_thread.per_thread;
}
