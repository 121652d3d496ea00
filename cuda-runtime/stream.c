/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/stream.c - streams and their callbacks.
 */
#include <stdlib.h>

#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaStreamCreate(cudaStream_t *pStream)
{
    return CRT_DRV(StreamCreate, pStream, CU_STREAM_DEFAULT);
}

cudaError_t crt_cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags)
{
    return CRT_DRV(StreamCreate, pStream, flags);
}

cudaError_t crt_cudaStreamCreateWithPriority(cudaStream_t *pStream, unsigned int flags,
                                             int priority)
{
    return CRT_DRV(StreamCreateWithPriority, pStream, flags, priority);
}

cudaError_t crt_cudaStreamDestroy(cudaStream_t stream)
{
    return CRT_DRV(StreamDestroy, stream);
}

cudaError_t crt_cudaStreamQuery(cudaStream_t stream)
{
    return CRT_DRV(StreamQuery, stream);
}

cudaError_t crt_cudaStreamSynchronize(cudaStream_t stream)
{
    return CRT_DRV(StreamSynchronize, stream);
}

cudaError_t crt_cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    return CRT_DRV(StreamWaitEvent, stream, event, flags);
}

cudaError_t crt_cudaStreamAttachMemAsync(cudaStream_t stream, void *devPtr, size_t length,
                                         unsigned int flags)
{
    return CRT_DRV(StreamAttachMemAsync, stream, crt_dptr(devPtr), length, flags);
}

cudaError_t crt_cudaStreamGetPriority(cudaStream_t hStream, int *priority)
{
    return CRT_DRV(StreamGetPriority, hStream, priority);
}

cudaError_t crt_cudaStreamGetFlags(cudaStream_t hStream, unsigned int *flags)
{
    return CRT_DRV(StreamGetFlags, hStream, flags);
}

cudaError_t crt_cudaStreamGetId(cudaStream_t hStream, unsigned long long *streamId)
{
    return CRT_DRV(StreamGetId, hStream, streamId);
}

cudaError_t crt_cudaStreamGetDevice(cudaStream_t hStream, int *device)
{
    return CRT_DRV(StreamGetDevice, hStream, device);
}

/* Attribute numbers and values are the driver's (abi_check.c). */
cudaError_t crt_cudaStreamGetAttribute(cudaStream_t hStream, cudaLaunchAttributeID attr,
                                       cudaLaunchAttributeValue *value_out)
{
    return CRT_DRV(StreamGetAttribute, hStream, (CUstreamAttrID)attr,
                   (CUstreamAttrValue *)value_out);
}

cudaError_t crt_cudaStreamSetAttribute(cudaStream_t hStream, cudaLaunchAttributeID attr,
                                       const cudaLaunchAttributeValue *value)
{
    return CRT_DRV(StreamSetAttribute, hStream, (CUstreamAttrID)attr,
                   (const CUstreamAttrValue *)value);
}

cudaError_t crt_cudaStreamCopyAttributes(cudaStream_t dst, cudaStream_t src)
{
    return CRT_DRV(StreamCopyAttributes, dst, src);
}

/* The driver's callback has a CUresult where the runtime's has a cudaError_t. */
struct callback {
    cudaStreamCallback_t function;
    void *user_data;
};

static void CUDA_CB run_callback(CUstream stream, CUresult result, void *user_data)
{
    struct callback callback = *(struct callback *)user_data;

    free(user_data);
    callback.function(stream, crt_status(result), callback.user_data);
}

cudaError_t crt_cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback,
                                      void *userData, unsigned int flags)
{
    struct callback *record;
    cudaError_t status;

    if (!callback || flags != 0)
        return cudaErrorInvalidValue;
    record = malloc(sizeof(*record));
    if (!record)
        return cudaErrorMemoryAllocation;
    *record = (struct callback){.function = callback, .user_data = userData};
    status = CRT_DRV(StreamAddCallback, stream, run_callback, record, 0);
    if (status != cudaSuccess)
        free(record);
    return status;
}
