/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/context_api.c - cuCtx*: own contexts, the current one, what is asked about them.
 */
#include "cuda-client/context_int.h"
#include "generated/cuda-api/client_impl.h"

bool cudac_context_flags_are_valid(unsigned flags)
{
    unsigned schedule = flags & CU_CTX_SCHED_MASK;

    if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
        return false;
    return schedule == CU_CTX_SCHED_AUTO || schedule == CU_CTX_SCHED_SPIN ||
           schedule == CU_CTX_SCHED_YIELD || schedule == CU_CTX_SCHED_BLOCKING_SYNC;
}

/* ---- making and destroying ------------------------------------------------------------------ */

static CUresult context_create(CUcontext *pctx, unsigned flags, uint32_t sm_count, CUdevice dev)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    struct cudac_context *context;
    CUresult result;

    if (!pctx || !cudac_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    result = cudac_context_new(vgpu, flags, sm_count, /* is_primary */ false, &context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!cudac_context_push(context)) {
        cudac_context_close(context, /* reset */ false);
        if (cuc_object_retire(&context->object))
            cuc_object_put(&context->object);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *pctx = cudac_context_handle(context);
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    return context_create(pctx, flags, /* sm_count */ 0, dev);
}

/* One parameter is known, a number of multiprocessors; only devices under MPS have it. */
CUresult cudac_cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams,
                              unsigned int flags, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (numParams < 0 || (numParams > 0 && !paramsArray))
        return CUDA_ERROR_INVALID_VALUE;
    if (numParams == 0)
        return context_create(pctx, flags, /* sm_count */ 0, dev);
    if (!vgpu || !cudac_vgpu_facts(vgpu)->affinity_sm)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    if (numParams > 1 || paramsArray->type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    return context_create(pctx, flags, paramsArray->param.smCount.val, dev);
}

CUresult cudac_cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams,
                              unsigned int flags, CUdevice dev)
{
    if (ctxCreateParams && ctxCreateParams->cigParams) {
        if (ctxCreateParams->numExecAffinityParams > 0)
            return CUDA_ERROR_INVALID_VALUE; /* one or the other */
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (!ctxCreateParams)
        return context_create(pctx, flags, /* sm_count */ 0, dev);
    return cudac_cuCtxCreate_v3(pctx, ctxCreateParams->execAffinityParams,
                                ctxCreateParams->numExecAffinityParams, flags, dev);
}

CUresult cudac_cuCtxDestroy_v2(CUcontext ctx)
{
    struct cudac_context *context = cudac_context_from_handle(ctx);
    struct cudac_context *popped;

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
    if (cudac_context_peek() == context && cudac_context_pop(&popped))
        cuc_object_put(&popped->object);
    cudac_context_close(context, /* reset */ false);
    cuc_object_put(&context->object); /* the handle's */
    cuc_object_put(&context->object);
    return CUDA_SUCCESS;
}

/* ---- the stack ------------------------------------------------------------------------------ */

/* A context that can be made current. */
static CUresult usable(CUcontext handle, struct cudac_context **context_out)
{
    struct cudac_context *context = cudac_context_from_handle(handle);

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    /* A closed primary context is kept: it may be opened again under the same handle. */
    *context_out = context;
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxPushCurrent_v2(CUcontext ctx)
{
    struct cudac_context *context = NULL;
    CUresult result;

    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    result = usable(ctx, &context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!cudac_context_push(context))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    cuc_object_put(&context->object);
    return result;
}

CUresult cudac_cuCtxPopCurrent_v2(CUcontext *pctx)
{
    struct cudac_context *context;

    if (!cudac_context_pop(&context))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx)
        *pctx = context ? cudac_context_handle(context) : NULL;
    if (context)
        cuc_object_put(&context->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxSetCurrent(CUcontext ctx)
{
    struct cudac_context *context = NULL;
    CUresult result;

    if (!ctx) {
        cudac_context_set_top(NULL);
        return CUDA_SUCCESS;
    }
    result = usable(ctx, &context);
    if (result != CUDA_SUCCESS)
        return result;
    cudac_context_set_top(context);
    if (cudac_context_peek() != context)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    cuc_object_put(&context->object);
    return result;
}

CUresult cudac_cuCtxGetCurrent(CUcontext *pctx)
{
    struct cudac_context *context = cudac_context_peek();

    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    *pctx = context ? cudac_context_handle(context) : NULL;
    return CUDA_SUCCESS;
}

/* Deprecated forms of the same: a context has one user here. */
CUresult cudac_cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pctx || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    *pctx = cudac_context_handle(context);
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxDetach(CUcontext ctx)
{
    return cudac_cuCtxDestroy_v2(ctx);
}

/* ---- questions ------------------------------------------------------------------------------ */

/* Answered also after an error: they ask nothing of the device. */
static CUresult asked_context(CUcontext handle, struct cudac_context **context_out)
{
    struct cudac_context *context = cudac_context_peek();

    if (handle) {
        context = cudac_context_from_handle(handle);
        if (context)
            cuc_object_put(&context->object); /* borrowed, as cudac_context_of() */
    }
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!atomic_load_explicit(&context->is_open, memory_order_acquire))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *context_out = context;
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    struct cudac_context *context;
    CUresult result;

    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *device = cudac_vgpu_ordinal(context->vgpu);
    return result;
}

CUresult cudac_cuCtxGetDevice(CUdevice *device)
{
    return cudac_cuCtxGetDevice_v2(device, /* ctx */ NULL);
}

CUresult cudac_cuCtxGetFlags(unsigned int *flags)
{
    struct cudac_context *context;
    CUresult result;

    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(NULL, &context);
    if (result == CUDA_SUCCESS)
        *flags = atomic_load_explicit(&context->flags, memory_order_relaxed);
    return result;
}

CUresult cudac_cuCtxSetFlags(unsigned int flags)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!cudac_context_flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_context_set(context, WIRE_CTX_FLAGS, 0, flags, NULL);
    if (result == CUDA_SUCCESS)
        atomic_store_explicit(&context->flags, flags, memory_order_relaxed);
    return result;
}

CUresult cudac_cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
    struct cudac_context *context;
    CUresult result;

    if (!ctxId)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *ctxId = context->id;
    return result;
}

CUresult cudac_cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
    struct cudac_context *context;
    CUresult result;

    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    result = asked_context(ctx, &context);
    if (result == CUDA_SUCCESS)
        *version = context->api_version;
    return result;
}

CUresult cudac_cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    struct cudac_context *context;
    CUresult result = asked_context(NULL, &context);

    if (result != CUDA_SUCCESS)
        return result;
    if (leastPriority)
        *leastPriority = context->priority_least;
    if (greatestPriority)
        *greatestPriority = context->priority_greatest;
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxGetExecAffinity(CUexecAffinityParam *pExecAffinity, CUexecAffinityType type)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pExecAffinity)
        return CUDA_ERROR_INVALID_VALUE;
    (void)type;
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

CUresult cudac_cuCtxSynchronize_v2(CUcontext ctx)
{
    struct cudac_context *context;
    CUresult result = cudac_context_of(ctx, &context);

    return result == CUDA_SUCCESS ? cudac_context_wait(context) : result;
}

CUresult cudac_cuCtxSynchronize(void)
{
    return cudac_cuCtxSynchronize_v2(/* ctx */ NULL);
}
