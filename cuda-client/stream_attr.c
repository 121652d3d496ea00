/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stream_attr.c - attributes of streams, and what is left of capture without it.
 */
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/thread.h"
#include "generated/cuda-api/client_impl.h"

/* Guarded by the context's lock. */
struct cudac_stream_attributes {
    CUaccessPolicyWindow window;
    CUsynchronizationPolicy sync_policy;
    CUlaunchMemSyncDomainMap domain_map;
    CUlaunchMemSyncDomain domain;
};

static const struct cudac_stream_attributes as_created = {.sync_policy = CU_SYNC_POLICY_AUTO,
                                                          .domain_map = {.remote = 1}};

static struct cudac_stream_attributes attributes_get(struct cudac_stream *stream)
{
    struct cudac_stream_attributes copy;

    pthread_mutex_lock(&stream->context->lock);
    copy = stream->attributes ? *stream->attributes : as_created;
    pthread_mutex_unlock(&stream->context->lock);
    return copy;
}

static bool attributes_put(struct cudac_stream *stream,
                           const struct cudac_stream_attributes *attributes)
{
    pthread_mutex_lock(&stream->context->lock);
    if (!stream->attributes)
        stream->attributes = fab_alloc(sizeof(*stream->attributes));
    if (stream->attributes)
        *stream->attributes = *attributes;
    pthread_mutex_unlock(&stream->context->lock);
    return stream->attributes != NULL;
}

CUresult cudac_cuStreamGetAttribute(CUstream hStream, CUstreamAttrID attr,
                                    CUstreamAttrValue *value_out)
{
    struct cudac_stream_attributes now;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    now = attributes_get(stream);
    if (!value_out)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (attr == CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW)
        value_out->accessPolicyWindow = now.window;
    else if (attr == CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY)
        value_out->syncPolicy = now.sync_policy;
    else if (attr == CU_STREAM_ATTRIBUTE_PRIORITY)
        value_out->priority = stream->priority;
    else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP)
        value_out->memSyncDomainMap = now.domain_map;
    else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN)
        value_out->memSyncDomain = now.domain;
    else
        result = CUDA_ERROR_INVALID_VALUE;
    cudac_stream_put(stream);
    return result;
}

/* Puts a value that CUDA allows into the set. */
static CUresult attribute_put(const struct cudac_stream *stream,
                              struct cudac_stream_attributes *set, CUstreamAttrID attr,
                              const CUstreamAttrValue *value)
{
    const struct cudac_context *context = stream->context;
    bool is_valid = false;

    if (attr == CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW) {
        is_valid = value->accessPolicyWindow.hitRatio >= 0.0f &&
                   value->accessPolicyWindow.hitRatio <= 1.0f;
        set->window = value->accessPolicyWindow;
    } else if (attr == CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY) {
        is_valid = value->syncPolicy >= CU_SYNC_POLICY_AUTO &&
                   value->syncPolicy <= CU_SYNC_POLICY_BLOCKING_SYNC;
        set->sync_policy = value->syncPolicy;
    } else if (attr == CU_STREAM_ATTRIBUTE_PRIORITY) {
        is_valid = value->priority <= context->priority_least &&
                   value->priority >= context->priority_greatest;
    } else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP) {
        is_valid = true;
        set->domain_map = value->memSyncDomainMap;
    } else if (attr == CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN) {
        is_valid = value->memSyncDomain <= CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE;
        set->domain = value->memSyncDomain;
    }
    return is_valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult worker_set(const struct cudac_stream *stream, CUstreamAttrID attr,
                           const CUstreamAttrValue *value)
{
    struct wire_stream_set message = {
        .ctx = stream->context->id, .stream = stream->id, .attribute = (uint32_t)attr};
    struct wire_parts parts;

    _Static_assert(sizeof(message.value) == sizeof(*value), "an attribute's value");
    memcpy(message.value, value, sizeof(message.value));
    wire_put_stream_set(&message, &parts);
    return cudac_post(cudac_context_worker(stream->context), WIRE_STREAM_SET, &parts, NULL);
}

static CUresult attribute_set(struct cudac_stream *stream, CUstreamAttrID attr,
                              const CUstreamAttrValue *value)
{
    struct cudac_stream_attributes set = attributes_get(stream);
    CUresult result = attribute_put(stream, &set, attr, value);

    if (result == CUDA_SUCCESS && !attributes_put(stream, &set))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        result = worker_set(stream, attr, value);
    if (result == CUDA_SUCCESS && attr == CU_STREAM_ATTRIBUTE_PRIORITY)
        stream->priority = value->priority;
    return result;
}

CUresult cudac_cuStreamSetAttribute(CUstream hStream, CUstreamAttrID attr,
                                    const CUstreamAttrValue *value)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = value ? attribute_set(stream, attr, value) : CUDA_ERROR_INVALID_VALUE;
    cudac_stream_put(stream);
    return result;
}

/* All but the priority. */
static CUresult attributes_copy(struct cudac_stream *to, struct cudac_stream *from)
{
    const struct cudac_stream_attributes set = attributes_get(from);
    const struct {
        CUstreamAttrID id;
        CUstreamAttrValue value;
    } all[] = {
        {CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW, {.accessPolicyWindow = set.window}},
        {CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY, {.syncPolicy = set.sync_policy}},
        {CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP, {.memSyncDomainMap = set.domain_map}},
        {CU_STREAM_ATTRIBUTE_MEM_SYNC_DOMAIN, {.memSyncDomain = set.domain}},
    };
    CUresult result = CUDA_SUCCESS;

    for (size_t i = 0; i < FAB_ARRAY_LEN(all) && result == CUDA_SUCCESS; i++)
        result = attribute_set(to, all[i].id, &all[i].value);
    return result;
}

CUresult cudac_cuStreamCopyAttributes(CUstream dst, CUstream src)
{
    struct cudac_stream *to, *from;
    CUresult result = cudac_stream_get(dst, &to);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_stream_get(src, &from);
    if (result == CUDA_SUCCESS) {
        result =
            to->context == from->context ? attributes_copy(to, from) : CUDA_ERROR_INVALID_CONTEXT;
        cudac_stream_put(from);
    }
    cudac_stream_put(to);
    return result;
}

/* Streams are never captured here: capture is refused where it would begin. */
CUresult cudac_cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_put(stream);
    if (!captureStatus)
        return CUDA_ERROR_INVALID_VALUE;
    *captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cudac_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    CUstreamCaptureMode before = (CUstreamCaptureMode)cudac_thread.capture_mode;

    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    cudac_thread.capture_mode = (int)*mode;
    *mode = before;
    return CUDA_SUCCESS;
}
