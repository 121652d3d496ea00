/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy_box.c - two- and three-dimensional copies.
 *
 * All forms become one description of two sides and a box (cuda-common/copy_shape.h).
 */
#include "softcuda/driver/copy_box.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/stream_int.h"

/* ---- the copy ------------------------------------------------------------------------------- */

static enum soft_wait box_wait(const struct cuc_place *dst, const struct cuc_place *src,
                               bool is_async)
{
    bool dst_pageable = dst->side != CUC_SIDE_DEVICE && soft_is_pageable(dst->start);
    bool src_pageable = src->side != CUC_SIDE_DEVICE && soft_is_pageable(src->start);

    if (dst_pageable)
        return SOFT_WAIT_DONE;
    if (is_async)
        return src_pageable ? SOFT_WAIT_SOURCE : SOFT_WAIT_NEVER;
    if (dst->side == CUC_SIDE_DEVICE && src->side == CUC_SIDE_DEVICE)
        return SOFT_WAIT_NEVER;
    return SOFT_WAIT_DONE;
}

static CUresult box_submit(struct soft_stream *stream, const struct soft_box *box,
                           const struct cuc_place *dst, const struct cuc_place *src, bool is_async)
{
    const struct soft_transfer what = {.dst = dst->start,
                                       .src = src->start,
                                       .width = box->shape.width_bytes,
                                       .height = box->shape.height,
                                       .depth = box->shape.depth,
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

CUresult soft_box_copy(CUstream handle, const struct soft_box *box, bool is_async)
{
    struct cuc_place dst, src;
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!cuc_box_is_empty(&box->shape)) {
        result = cuc_box_places(&box->shape, &dst, &src);
        if (result == CUDA_SUCCESS)
            result = box_submit(stream, box, &dst, &src, is_async);
    } else if (!is_async) {
        result = soft_stream_wait(stream);
    }
    soft_stream_put(stream);
    return result;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static CUresult box_of_peer(const CUDA_MEMCPY3D_PEER *copy, struct soft_box *box_out)
{
    CUresult result = CUDA_SUCCESS;

    *box_out = (struct soft_box){.shape = cuc_box_of_peer(copy)};
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
    box = (struct soft_box){.shape = cuc_box_of_2d(pCopy)};
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
    box = (struct soft_box){.shape = cuc_box_of_2d(pCopy)};
    return soft_box_copy(hStream, &box, /* is_async */ true);
}

CUresult soft_cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct soft_box){.shape = cuc_box_of_3d(pCopy)};
    return soft_box_copy(NULL, &box, /* is_async */ false);
}

CUresult soft_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    struct soft_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct soft_box){.shape = cuc_box_of_3d(pCopy)};
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
