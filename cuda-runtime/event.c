/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/event.c - events.
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaEventCreate(cudaEvent_t *event)
{
    return CRT_DRV(EventCreate, event, CU_EVENT_DEFAULT);
}

cudaError_t crt_cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    return CRT_DRV(EventCreate, event, flags);
}

cudaError_t crt_cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return CRT_DRV(EventRecord, event, stream);
}

cudaError_t crt_cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags)
{
    return CRT_DRV(EventRecordWithFlags, event, stream, flags);
}

cudaError_t crt_cudaEventQuery(cudaEvent_t event)
{
    return CRT_DRV(EventQuery, event);
}

cudaError_t crt_cudaEventSynchronize(cudaEvent_t event)
{
    return CRT_DRV(EventSynchronize, event);
}

cudaError_t crt_cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    return CRT_DRV(EventElapsedTime, ms, start, end);
}

cudaError_t crt_cudaEventDestroy(cudaEvent_t event)
{
    return CRT_DRV(EventDestroy, event);
}
