/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy_box.c - two- and three-dimensional copies.
 *
 * All forms become one description of two sides and a box. CUDA arrays are refused
 * (CUDA_ERROR_NOT_SUPPORTED): none can be made here.
 */
#include "softcuda/driver/copy_box.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/stream_int.h"

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

/* ---- one side ------------------------------------------------------------------------------- */

/* Where the box starts and how far its rows and layers lie apart. */
struct side_place {
    uint64_t start, span_bytes;
    size_t pitch, layer;
    enum soft_side side;
};

static CUresult memory_type(CUmemorytype type, enum soft_side *side_out)
{
    if (type == CU_MEMORYTYPE_HOST)
        *side_out = SOFT_SIDE_HOST;
    else if (type == CU_MEMORYTYPE_DEVICE)
        *side_out = SOFT_SIDE_DEVICE;
    else if (type == CU_MEMORYTYPE_UNIFIED)
        *side_out = SOFT_SIDE_ANY;
    else
        return type == CU_MEMORYTYPE_ARRAY ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult side_place(const struct soft_box_side *side, const struct soft_box *box,
                           struct side_place *place_out)
{
    size_t row_end = side->x_bytes + box->width_bytes;
    bool needs_pitch = box->height > 1 || box->depth > 1 || side->y > 0 || side->z > 0;
    bool needs_height = box->depth > 1 || side->z > 0;
    CUresult result = memory_type(side->type, &place_out->side);

    if (result != CUDA_SUCCESS)
        return result;
    if (row_end < side->x_bytes || (needs_pitch && side->pitch_bytes < row_end))
        return CUDA_ERROR_INVALID_VALUE;
    if (needs_height && side->height < side->y + box->height)
        return CUDA_ERROR_INVALID_VALUE;
    place_out->pitch = side->pitch_bytes;
    if (__builtin_mul_overflow(side->pitch_bytes, side->height, &place_out->layer))
        return CUDA_ERROR_INVALID_VALUE;
    place_out->start = (side->type == CU_MEMORYTYPE_HOST ? address_of(side->host) : side->device) +
                       side->z * place_out->layer + side->y * side->pitch_bytes + side->x_bytes;
    place_out->span_bytes = (uint64_t)(box->depth - 1) * place_out->layer +
                            (uint64_t)(box->height - 1) * side->pitch_bytes + box->width_bytes;
    return CUDA_SUCCESS;
}

/* ---- the copy ------------------------------------------------------------------------------- */

static enum soft_wait box_wait(const struct side_place *dst, const struct side_place *src,
                               bool is_async)
{
    bool dst_pageable = dst->side != SOFT_SIDE_DEVICE && soft_is_pageable(dst->start);
    bool src_pageable = src->side != SOFT_SIDE_DEVICE && soft_is_pageable(src->start);

    if (dst_pageable)
        return SOFT_WAIT_DONE;
    if (is_async)
        return src_pageable ? SOFT_WAIT_SOURCE : SOFT_WAIT_NEVER;
    if (dst->side == SOFT_SIDE_DEVICE && src->side == SOFT_SIDE_DEVICE)
        return SOFT_WAIT_NEVER;
    return SOFT_WAIT_DONE;
}

static CUresult box_submit(struct soft_stream *stream, const struct soft_box *box,
                           const struct side_place *dst, const struct side_place *src,
                           bool is_async)
{
    const struct soft_transfer what = {.dst = dst->start,
                                       .src = src->start,
                                       .width = box->width_bytes,
                                       .height = box->height,
                                       .depth = box->depth,
                                       .dst_pitch = dst->pitch,
                                       .dst_layer = dst->layer,
                                       .src_pitch = src->pitch,
                                       .src_layer = src->layer};
    CUresult result = soft_side_check(box->dst_context ? box->dst_context : stream->context,
                                      dst->side, dst->start, dst->span_bytes, /* write */ true);

    if (result == CUDA_SUCCESS)
        result = soft_side_check(box->src_context, src->side, src->start, src->span_bytes,
                                 /* write */ false);
    if (result != CUDA_SUCCESS)
        return result;
    return soft_transfer_submit(stream, &what, box_wait(dst, src, is_async));
}

CUresult soft_box_check(const struct soft_box *box)
{
    struct side_place place;
    CUresult result;

    if (box->width_bytes == 0 || box->height == 0 || box->depth == 0)
        return CUDA_SUCCESS;
    result = side_place(&box->src, box, &place);
    return result == CUDA_SUCCESS ? side_place(&box->dst, box, &place) : result;
}

CUresult soft_box_copy(CUstream handle, const struct soft_box *box, bool is_async)
{
    struct side_place dst, src;
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (box->width_bytes > 0 && box->height > 0 && box->depth > 0) {
        result = side_place(&box->src, box, &src);
        if (result == CUDA_SUCCESS)
            result = side_place(&box->dst, box, &dst);
        if (result == CUDA_SUCCESS)
            result = box_submit(stream, box, &dst, &src, is_async);
    } else if (!is_async) {
        result = soft_stream_wait(stream);
    }
    soft_stream_put(stream);
    return result;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static struct soft_box box_of_2d(const CUDA_MEMCPY2D *copy)
{
    return (struct soft_box){
        .src = {.type = copy->srcMemoryType,
                .host = copy->srcHost,
                .device = copy->srcDevice,
                .x_bytes = copy->srcXInBytes,
                .y = copy->srcY,
                .pitch_bytes = copy->srcPitch},
        .dst = {.type = copy->dstMemoryType,
                .host = copy->dstHost,
                .device = copy->dstDevice,
                .x_bytes = copy->dstXInBytes,
                .y = copy->dstY,
                .pitch_bytes = copy->dstPitch},
        .width_bytes = copy->WidthInBytes,
        .height = copy->Height,
        .depth = 1,
    };
}

static struct soft_box box_of_3d(const CUDA_MEMCPY3D *copy)
{
    return (struct soft_box){
        .src = {.type = copy->srcMemoryType,
                .host = copy->srcHost,
                .device = copy->srcDevice,
                .x_bytes = copy->srcXInBytes,
                .y = copy->srcY,
                .z = copy->srcZ,
                .pitch_bytes = copy->srcPitch,
                .height = copy->srcHeight},
        .dst = {.type = copy->dstMemoryType,
                .host = copy->dstHost,
                .device = copy->dstDevice,
                .x_bytes = copy->dstXInBytes,
                .y = copy->dstY,
                .z = copy->dstZ,
                .pitch_bytes = copy->dstPitch,
                .height = copy->dstHeight},
        .width_bytes = copy->WidthInBytes,
        .height = copy->Height,
        .depth = copy->Depth,
    };
}

static CUresult box_of_peer(const CUDA_MEMCPY3D_PEER *copy, struct soft_box *box_out)
{
    const CUDA_MEMCPY3D plain = {.srcXInBytes = copy->srcXInBytes,
                                 .srcY = copy->srcY,
                                 .srcZ = copy->srcZ,
                                 .srcLOD = copy->srcLOD,
                                 .srcMemoryType = copy->srcMemoryType,
                                 .srcHost = copy->srcHost,
                                 .srcDevice = copy->srcDevice,
                                 .srcPitch = copy->srcPitch,
                                 .srcHeight = copy->srcHeight,
                                 .dstXInBytes = copy->dstXInBytes,
                                 .dstY = copy->dstY,
                                 .dstZ = copy->dstZ,
                                 .dstLOD = copy->dstLOD,
                                 .dstMemoryType = copy->dstMemoryType,
                                 .dstHost = copy->dstHost,
                                 .dstDevice = copy->dstDevice,
                                 .dstPitch = copy->dstPitch,
                                 .dstHeight = copy->dstHeight,
                                 .WidthInBytes = copy->WidthInBytes,
                                 .Height = copy->Height,
                                 .Depth = copy->Depth};
    CUresult result = CUDA_SUCCESS;

    *box_out = box_of_3d(&plain);
    if (copy->dstContext)
        result = soft_context_of(copy->dstContext, &box_out->dst_context);
    if (result == CUDA_SUCCESS && copy->srcContext)
        result = soft_context_of(copy->srcContext, &box_out->src_context);
    return result;
}

CUresult soft_cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = box_of_2d(pCopy);
    return soft_box_copy(NULL, &box, /* is_async */ false);
}

CUresult soft_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
    return soft_cuMemcpy2D_v2(pCopy);
}

CUresult soft_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = box_of_2d(pCopy);
    return soft_box_copy(hStream, &box, /* is_async */ true);
}

CUresult soft_cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = box_of_3d(pCopy);
    return soft_box_copy(NULL, &box, /* is_async */ false);
}

CUresult soft_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = box_of_3d(pCopy);
    return soft_box_copy(hStream, &box, /* is_async */ true);
}

CUresult soft_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    struct soft_box box;
    CUresult result;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    result = box_of_peer(pCopy, &box);
    return result == CUDA_SUCCESS ? soft_box_copy(hStream, &box, /* is_async */ true) : result;
}

CUresult soft_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
    struct soft_context *current;
    struct soft_box box;
    CUresult result = soft_context_current(&current);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    result = box_of_peer(pCopy, &box);
    if (result == CUDA_SUCCESS && box.dst_context)
        result = soft_context_wait(box.dst_context);
    if (result == CUDA_SUCCESS && box.src_context)
        result = soft_context_wait(box.src_context);
    if (result == CUDA_SUCCESS)
        result = soft_box_copy(NULL, &box, /* is_async */ false);
    return result == CUDA_SUCCESS ? soft_context_wait(current) : result;
}
