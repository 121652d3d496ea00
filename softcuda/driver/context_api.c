/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/context_api.c - cuCtx*: own contexts, the current one, what is asked about them.
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/flags.h"
#include "softcuda/driver/stream_int.h"

enum { API_VERSION = 3020 }; /* of the context interface: the first with 64-bit pointers */

bool soft_context_flags_are_valid(unsigned flags)
{
    unsigned schedule = flags & CU_CTX_SCHED_MASK;

    if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
        return false;
    return schedule == CU_CTX_SCHED_AUTO || schedule == CU_CTX_SCHED_SPIN ||
           schedule == CU_CTX_SCHED_YIELD || schedule == CU_CTX_SCHED_BLOCKING_SYNC;
}

/* ---- making and destroying ------------------------------------------------------------------ */

static CUresult context_create(CUcontext *pctx, unsigned flags, CUdevice dev)
{
    struct soft_device *device = soft_device_at(dev);
    struct soft_context *context;
    CUresult result;

    if (!pctx || !soft_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    result = soft_context_new(device, flags, API_VERSION, /* is_primary */ false, &context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!soft_context_push(context)) {
        soft_context_close(context);
        if (cuc_object_retire(&context->object))
            cuc_object_put(&context->object);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *pctx = soft_context_handle(context);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    return context_create(pctx, flags, dev);
}

/* An affinity to a number of multiprocessors exists under MPS only. */
CUresult soft_cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams,
                             unsigned int flags, CUdevice dev)
{
    if (numParams < 0 || (numParams > 0 && !paramsArray))
        return CUDA_ERROR_INVALID_VALUE;
    if (numParams > 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return context_create(pctx, flags, dev);
}

CUresult soft_cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams,
                             unsigned int flags, CUdevice dev)
{
    if (ctxCreateParams && ctxCreateParams->cigParams) {
        if (ctxCreateParams->numExecAffinityParams > 0)
            return CUDA_ERROR_INVALID_VALUE; /* one or the other */
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (!ctxCreateParams)
        return context_create(pctx, flags, dev);
    return soft_cuCtxCreate_v3(pctx, ctxCreateParams->execAffinityParams,
                               ctxCreateParams->numExecAffinityParams, flags, dev);
}

CUresult soft_cuCtxDestroy_v2(CUcontext ctx)
{
    struct soft_context *context = soft_context_from_handle(ctx);
    struct soft_context *popped;

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (context->is_primary) {
        cuc_object_put(&context->object);
        return CUDA_ERROR_INVALID_CONTEXT; /* cuDevicePrimaryCtxRelease ends those */
    }
    if (!cuc_object_retire(&context->object)) {
        cuc_object_put(&context->object);
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (soft_context_peek() == context && soft_context_pop(&popped))
        cuc_object_put(&popped->object);
    soft_context_close(context);
    cuc_object_put(&context->object); /* the handle's */
    cuc_object_put(&context->object);
    return CUDA_SUCCESS;
}

/* ---- the stack ------------------------------------------------------------------------------ */

/* A context that can be made current. */
static CUresult usable(CUcontext handle, struct soft_context **context_out)
{
    struct soft_context *context = soft_context_from_handle(handle);

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    /* A closed primary context is kept: it may be opened again under the same handle. */
    *context_out = context;
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxPushCurrent_v2(CUcontext ctx)
{
    struct soft_context *context = NULL;
    CUresult result;

    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    result = usable(ctx, &context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!soft_context_push(context))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    cuc_object_put(&context->object);
    return result;
}

CUresult soft_cuCtxPopCurrent_v2(CUcontext *pctx)
{
    struct soft_context *context;

    if (!soft_context_pop(&context))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx)
        *pctx = context ? soft_context_handle(context) : NULL;
    if (context)
        cuc_object_put(&context->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxSetCurrent(CUcontext ctx)
{
    struct soft_context *context = NULL;
    CUresult result;

    if (!ctx) {
        soft_context_set_top(NULL);
        return CUDA_SUCCESS;
    }
    result = usable(ctx, &context);
    if (result != CUDA_SUCCESS)
        return result;
    soft_context_set_top(context);
    if (soft_context_peek() != context)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    cuc_object_put(&context->object);
    return result;
}

CUresult soft_cuCtxGetCurrent(CUcontext *pctx)
{
    struct soft_context *context = soft_context_peek();

    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    *pctx = context ? soft_context_handle(context) : NULL;
    return CUDA_SUCCESS;
}

/* Deprecated forms of the same: a context has one user here. */
CUresult soft_cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pctx || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    *pctx = soft_context_handle(context);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxDetach(CUcontext ctx)
{
    return soft_cuCtxDestroy_v2(ctx);
}

/* ---- questions ------------------------------------------------------------------------------ */

/* Answered also after an error: they ask nothing of the device. */
static CUresult asked_context(CUcontext handle, struct soft_context **context_out)
{
    struct soft_context *context = soft_context_peek();

    if (handle) {
        context = soft_context_from_handle(handle);
        if (context)
            cuc_object_put(&context->object); /* borrowed, as soft_context_of() */
    }
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!atomic_load_explicit(&context->is_open, memory_order_acquire))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *context_out = context;
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    struct soft_context *context;
    CUresult result;

    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *device = soft_device_ordinal(context->device);
    return result;
}

CUresult soft_cuCtxGetDevice(CUdevice *device)
{
    return soft_cuCtxGetDevice_v2(device, /* ctx */ NULL);
}

CUresult soft_cuCtxGetFlags(unsigned int *flags)
{
    struct soft_context *context;
    CUresult result;

    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(NULL, &context);
    if (result == CUDA_SUCCESS)
        *flags = atomic_load_explicit(&context->flags, memory_order_relaxed);
    return result;
}

CUresult soft_cuCtxSetFlags(unsigned int flags)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!soft_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    atomic_store_explicit(&context->flags, flags, memory_order_relaxed);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
    struct soft_context *context;
    CUresult result;

    if (!ctxId)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *ctxId = context->id;
    return result;
}

CUresult soft_cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
    struct soft_context *context;
    CUresult result;

    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *version = context->api_version;
    return result;
}

CUresult soft_cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    struct soft_context *context;
    CUresult result = asked_context(NULL, &context);

    if (result != CUDA_SUCCESS)
        return result;
    if (leastPriority)
        *leastPriority = SOFT_PRIORITY_LEAST;
    if (greatestPriority)
        *greatestPriority = SOFT_PRIORITY_GREATEST;
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxGetExecAffinity(CUexecAffinityParam *pExecAffinity, CUexecAffinityType type)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pExecAffinity)
        return CUDA_ERROR_INVALID_VALUE;
    (void)type;
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

CUresult soft_cuCtxSynchronize_v2(CUcontext ctx)
{
    struct soft_context *context;
    CUresult result = soft_context_of(ctx, &context);

    return result == CUDA_SUCCESS ? soft_context_wait(context) : result;
}

CUresult soft_cuCtxSynchronize(void)
{
    return soft_cuCtxSynchronize_v2(/* ctx */ NULL);
}
