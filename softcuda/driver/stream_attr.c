/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/stream_attr.c - attributes of streams, and what is left of capture without it.
 */
#include "softcuda/driver/stream_int.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/thread.h"

CUresult soft_cuStreamGetAttribute(CUstream hStream, CUstreamAttrID attr,
                                   CUstreamAttrValue *value_out)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!value_out) {
        soft_stream_put(stream);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (attr == CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW)
        value_out->accessPolicyWindow = stream->window;
    else if (attr == CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY)
        value_out->syncPolicy = stream->sync_policy;
    else if (attr == CU_STREAM_ATTRIBUTE_PRIORITY)
        value_out->priority = stream->priority;
    else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP)
        value_out->memSyncDomainMap = stream->domain_map;
    else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN)
        value_out->memSyncDomain = stream->domain;
    else
        result = CUDA_ERROR_INVALID_VALUE;
    soft_stream_put(stream);
    return result;
}

static CUresult attribute_set(struct soft_stream *stream, CUstreamAttrID attr,
                              const CUstreamAttrValue *value)
{
    if (attr == CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW) {
        if (value->accessPolicyWindow.hitRatio < 0.0f || value->accessPolicyWindow.hitRatio > 1.0f)
            return CUDA_ERROR_INVALID_VALUE;
        stream->window = value->accessPolicyWindow;
    } else if (attr == CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY) {
        if (value->syncPolicy < CU_SYNC_POLICY_AUTO ||
            value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
            return CUDA_ERROR_INVALID_VALUE;
        stream->sync_policy = value->syncPolicy;
    } else if (attr == CU_STREAM_ATTRIBUTE_PRIORITY) {
        if (value->priority > SOFT_PRIORITY_LEAST || value->priority < SOFT_PRIORITY_GREATEST)
            return CUDA_ERROR_INVALID_VALUE;
        stream->priority = value->priority;
    } else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP) {
        stream->domain_map = value->memSyncDomainMap;
    } else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN) {
        if (value->memSyncDomain > CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE)
            return CUDA_ERROR_INVALID_VALUE;
        stream->domain = value->memSyncDomain;
    } else {
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult soft_cuStreamSetAttribute(CUstream hStream, CUstreamAttrID attr,
                                   const CUstreamAttrValue *value)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = value ? attribute_set(stream, attr, value) : CUDA_ERROR_INVALID_VALUE;
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuStreamCopyAttributes(CUstream dst, CUstream src)
{
    struct soft_stream *to, *from;
    CUresult result = soft_stream_get(dst, &to);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_stream_get(src, &from);
    if (result == CUDA_SUCCESS) {
        if (to->context == from->context) {
            to->window = from->window;
            to->sync_policy = from->sync_policy;
            to->domain_map = from->domain_map;
            to->domain = from->domain;
        } else {
            result = CUDA_ERROR_INVALID_CONTEXT;
        }
        soft_stream_put(from);
    }
    soft_stream_put(to);
    return result;
}

/* Streams are never captured here: capture is refused where it would begin. */
CUresult soft_cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    soft_stream_put(stream);
    if (!captureStatus)
        return CUDA_ERROR_INVALID_VALUE;
    *captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult soft_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    CUstreamCaptureMode before = (CUstreamCaptureMode)soft_thread.capture_mode;

    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    soft_thread.capture_mode = (int)*mode;
    *mode = before;
    return CUDA_SUCCESS;
}
