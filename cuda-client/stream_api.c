/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stream_api.c - cuStream*: making, destroying, waiting, what is asked of streams.
 */
#include "cuda-client/context_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream_int.h"
#include "generated/cuda-api/client_impl.h"

CUresult cudac_cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
    struct cudac_context *context;
    struct cudac_stream *stream;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!phStream || flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    if (priority > context->priority_least) /* lower numbers go first */
        priority = context->priority_least;
    if (priority < context->priority_greatest)
        priority = context->priority_greatest;
    result = cudac_stream_new(context, cudac_id_new(), flags, priority, &stream);
    if (result == CUDA_SUCCESS)
        *phStream = (CUstream)(uintptr_t)stream->object.handle;
    return result;
}

CUresult cudac_cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
    return cudac_cuStreamCreateWithPriority(phStream, Flags, /* priority */ 0);
}

CUresult cudac_cuStreamDestroy_v2(CUstream hStream)
{
    struct cudac_stream *stream;

    if (!hStream || hStream == CU_STREAM_LEGACY || hStream == CU_STREAM_PER_THREAD)
        return CUDA_ERROR_INVALID_HANDLE;
    stream = (struct cudac_stream *)cuc_object_get((uint64_t)(uintptr_t)hStream, CUC_STREAM);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    cudac_stream_retire(stream);
    cudac_stream_put(stream);
    return CUDA_SUCCESS;
}

CUresult cudac_cuStreamSynchronize(CUstream hStream)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_stream_wait(stream);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuStreamQuery(CUstream hStream)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_context_error(stream->context);
    if (result == CUDA_SUCCESS)
        result = cudac_stream_query(stream);
    if (result == CUDA_SUCCESS)
        result = cudac_memory_after_wait(cudac_context_worker(stream->context));
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuStreamGetPriority(CUstream hStream, int *priority)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (priority)
        *priority = stream->priority;
    cudac_stream_put(stream);
    return priority ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cudac_cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (flags)
        *flags = stream->flags;
    cudac_stream_put(stream);
    return flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cudac_cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (streamId)
        *streamId = stream->object.handle;
    cudac_stream_put(stream);
    return streamId ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cudac_cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (pctx)
        *pctx = cudac_context_handle(stream->context);
    cudac_stream_put(stream);
    return pctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* No stream belongs to a green context here. */
CUresult cudac_cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    CUresult result = cudac_cuStreamGetCtx(hStream, pCtx);

    if (result == CUDA_SUCCESS && pGreenCtx)
        *pGreenCtx = NULL;
    return result;
}

CUresult cudac_cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (device)
        *device = cudac_vgpu_ordinal(stream->context->vgpu);
    cudac_stream_put(stream);
    return device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
