/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_box.c - two- and three-dimensional copies.
 *
 * All forms become one description of two sides and a box (cuda-common/copy_shape.h).
 */
#include "cuda-client/copy_box.h"

#include "generated/cuda-api/client_impl.h"

/* ---- the copy ------------------------------------------------------------------------------- */

static CUresult box_submit(struct cudac_stream *stream, const struct cudac_box *box,
                           const struct cuc_place *dst, const struct cuc_place *src, bool is_async)
{
    const struct cudac_copy what = {.dst = dst->start,
                                    .src = src->start,
                                    .width = box->shape.width_bytes,
                                    .height = box->shape.height,
                                    .depth = box->shape.depth,
                                    .dst_pitch = dst->pitch,
                                    .dst_layer = dst->layer,
                                    .src_pitch = src->pitch,
                                    .src_layer = src->layer,
                                    .dst_side = dst->side,
                                    .src_side = src->side};
    CUresult result = cudac_side_check(box->dst_context ? box->dst_context : stream->context,
                                       dst->side, dst->start, dst->span_bytes, /* write */ true);

    if (result == CUDA_SUCCESS)
        result = cudac_side_check(box->src_context, src->side, src->start, src->span_bytes,
                                  /* write */ false);
    if (result != CUDA_SUCCESS)
        return result;
    return cudac_copy_submit(
        stream, &what, cudac_copy_wait(dst->side, dst->start, src->side, src->start, is_async));
}

CUresult cudac_box_copy(CUstream handle, const struct cudac_box *box, bool is_async)
{
    struct cuc_place dst, src;
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!cuc_box_is_empty(&box->shape)) {
        result = cuc_box_places(&box->shape, &dst, &src);
        if (result == CUDA_SUCCESS)
            result = box_submit(stream, box, &dst, &src, is_async);
    } else if (!is_async) {
        result = cudac_stream_wait(stream);
    }
    cudac_stream_put(stream);
    return result;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static CUresult box_of_peer(const CUDA_MEMCPY3D_PEER *copy, struct cudac_box *box_out)
{
    CUresult result = CUDA_SUCCESS;

    *box_out = (struct cudac_box){.shape = cuc_box_of_peer(copy)};
    if (copy->dstContext)
        result = cudac_context_of(copy->dstContext, &box_out->dst_context);
    if (result == CUDA_SUCCESS && copy->srcContext)
        result = cudac_context_of(copy->srcContext, &box_out->src_context);
    return result;
}

CUresult cudac_cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
    struct cudac_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct cudac_box){.shape = cuc_box_of_2d(pCopy)};
    return cudac_box_copy(NULL, &box, /* is_async */ false);
}

CUresult cudac_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
    return cudac_cuMemcpy2D_v2(pCopy);
}

CUresult cudac_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    struct cudac_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct cudac_box){.shape = cuc_box_of_2d(pCopy)};
    return cudac_box_copy(hStream, &box, /* is_async */ true);
}

CUresult cudac_cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
    struct cudac_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct cudac_box){.shape = cuc_box_of_3d(pCopy)};
    return cudac_box_copy(NULL, &box, /* is_async */ false);
}

CUresult cudac_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    struct cudac_box box;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct cudac_box){.shape = cuc_box_of_3d(pCopy)};
    return cudac_box_copy(hStream, &box, /* is_async */ true);
}

CUresult cudac_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    struct cudac_box box;
    CUresult result;

    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    result = box_of_peer(pCopy, &box);
    return result == CUDA_SUCCESS ? cudac_box_copy(hStream, &box, /* is_async */ true) : result;
}

CUresult cudac_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
    struct cudac_context *current;
    struct cudac_box box;
    CUresult result = cudac_context_current(&current);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    result = box_of_peer(pCopy, &box);
    if (result == CUDA_SUCCESS && box.dst_context)
        result = cudac_context_wait(box.dst_context);
    if (result == CUDA_SUCCESS && box.src_context)
        result = cudac_context_wait(box.src_context);
    if (result == CUDA_SUCCESS)
        result = cudac_box_copy(NULL, &box, /* is_async */ false);
    return result == CUDA_SUCCESS ? cudac_context_wait(current) : result;
}
