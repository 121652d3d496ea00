/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/batch.c - cuMemcpyBatchAsync and cuMemcpy3DBatchAsync, both ABIs.
 *
 * The copies of a batch may run in any order; here they run in the order given. All are checked
 * before the first is enqueued; the older ABI tells which one was refused.
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/copy.h"
#include "softcuda/driver/copy_box.h"
#include "softcuda/driver/stream_int.h"

#define NO_INDEX SIZE_MAX /* the refusal belongs to the call, not to one copy */

static bool order_is_valid(CUmemcpySrcAccessOrder order)
{
    return order == CU_MEMCPY_SRC_ACCESS_ORDER_STREAM ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

/* The default stream is refused, as CUDA documents for batches. */
static CUresult batch_stream(CUstream handle, struct soft_stream **stream_out)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_stream_get(handle, stream_out);
    if (result != CUDA_SUCCESS)
        return result;
    if (*stream_out == context->queue.legacy) {
        soft_stream_put(*stream_out);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    return CUDA_SUCCESS;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static CUresult attributes_check(const CUmemcpyAttributes *attrs, const size_t *indices,
                                 size_t attr_count, size_t count)
{
    if (!attrs || !indices || attr_count == 0 || attr_count > count || indices[0] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < attr_count; i++) {
        if (!order_is_valid(attrs[i].srcAccessOrder) ||
            attrs[i].flags & ~(unsigned)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
            return CUDA_ERROR_INVALID_VALUE;
        if (indices[i] >= count || (i > 0 && indices[i] <= indices[i - 1]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult lines_check(const CUdeviceptr *dsts, const CUdeviceptr *srcs, const size_t *sizes,
                            size_t count, size_t *failed_out)
{
    for (size_t i = 0; i < count; i++) {
        CUresult result = sizes[i] ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;

        if (result == CUDA_SUCCESS)
            result = soft_side_check(NULL, SOFT_SIDE_ANY, dsts[i], sizes[i], /* write */ true);
        if (result == CUDA_SUCCESS)
            result = soft_side_check(NULL, SOFT_SIDE_ANY, srcs[i], sizes[i], /* write */ false);
        if (result != CUDA_SUCCESS) {
            *failed_out = i;
            return result;
        }
    }
    return CUDA_SUCCESS;
}

/* Reading the source in the call is stronger than any order that may be asked for. */
static enum soft_wait batch_wait(CUmemcpySrcAccessOrder order, uint64_t dst, uint64_t src)
{
    if (soft_is_pageable(dst))
        return SOFT_WAIT_DONE;
    if (order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL || soft_is_pageable(src))
        return SOFT_WAIT_SOURCE;
    return SOFT_WAIT_NEVER;
}

static CUresult lines_submit(struct soft_stream *stream, const CUdeviceptr *dsts,
                             const CUdeviceptr *srcs, const size_t *sizes, size_t count,
                             const CUmemcpyAttributes *attrs, const size_t *indices,
                             size_t attr_count)
{
    size_t attr = 0;

    for (size_t i = 0; i < count; i++) {
        const struct soft_transfer what = {
            .dst = dsts[i], .src = srcs[i], .width = sizes[i], .height = 1, .depth = 1};
        CUresult result;

        while (attr + 1 < attr_count && indices[attr + 1] <= i)
            attr++;
        result = soft_transfer_submit(stream, &what,
                                      batch_wait(attrs[attr].srcAccessOrder, dsts[i], srcs[i]));
        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

CUresult soft_cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
                                 CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
                                 size_t *failIdx, CUstream hStream)
{
    struct soft_stream *stream;
    size_t failed = NO_INDEX;
    CUresult result = batch_stream(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!dsts || !srcs || !sizes || count == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = attributes_check(attrs, attrsIdxs, numAttrs, count);
    if (result == CUDA_SUCCESS)
        result = lines_check(dsts, srcs, sizes, count, &failed);
    if (result == CUDA_SUCCESS)
        result = lines_submit(stream, dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs);
    if (result != CUDA_SUCCESS && failIdx)
        *failIdx = failed;
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes,
                                    size_t count, CUmemcpyAttributes *attrs, size_t *attrsIdxs,
                                    size_t numAttrs, CUstream hStream)
{
    return soft_cuMemcpyBatchAsync(dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs,
                                   /* failIdx */ NULL, hStream);
}

/* ---- boxes ---------------------------------------------------------------------------------- */

static CUresult operand_side(const CUmemcpy3DOperand *operand, const CUextent3D *extent,
                             struct soft_box_side *side_out)
{
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (operand->type != CU_MEMCPY_OPERAND_TYPE_POINTER)
        return CUDA_ERROR_INVALID_VALUE;
    *side_out = (struct soft_box_side){
        .type = CU_MEMORYTYPE_UNIFIED,
        .device = operand->op.ptr.ptr,
        .pitch_bytes = operand->op.ptr.rowLength ? operand->op.ptr.rowLength : extent->width,
        .height = operand->op.ptr.layerHeight ? operand->op.ptr.layerHeight : extent->height,
    };
    return CUDA_SUCCESS;
}

static CUresult box_of_op(const CUDA_MEMCPY3D_BATCH_OP *op, struct soft_box *box_out)
{
    CUresult result;

    *box_out = (struct soft_box){
        .width_bytes = op->extent.width, .height = op->extent.height, .depth = op->extent.depth};
    if (!order_is_valid(op->srcAccessOrder) ||
        op->flags & ~(unsigned)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
        return CUDA_ERROR_INVALID_VALUE;
    result = operand_side(&op->src, &op->extent, &box_out->src);
    if (result == CUDA_SUCCESS)
        result = operand_side(&op->dst, &op->extent, &box_out->dst);
    return result == CUDA_SUCCESS ? soft_box_check(box_out) : result;
}

CUresult soft_cuMemcpy3DBatchAsync(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, size_t *failIdx,
                                   unsigned long long flags, CUstream hStream)
{
    struct soft_stream *stream;
    struct soft_box box;
    size_t failed = NO_INDEX;
    CUresult result = batch_stream(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!opList || numOps == 0 || flags != 0)
        result = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < numOps && result == CUDA_SUCCESS; i++) {
        result = box_of_op(&opList[i], &box);
        if (result != CUDA_SUCCESS)
            failed = i;
    }
    for (size_t i = 0; i < numOps && result == CUDA_SUCCESS; i++) {
        (void)box_of_op(&opList[i], &box); /* the same answer as above */
        result = soft_box_copy(hStream, &box, /* is_async */ true);
        if (result != CUDA_SUCCESS)
            failed = i;
        else if (opList[i].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL)
            result = soft_stream_wait(stream);
    }
    if (result != CUDA_SUCCESS && failIdx)
        *failIdx = failed;
    soft_stream_put(stream);
    return result;
}

CUresult soft_cuMemcpy3DBatchAsync_v2(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList,
                                      unsigned long long flags, CUstream hStream)
{
    return soft_cuMemcpy3DBatchAsync(numOps, opList, /* failIdx */ NULL, flags, hStream);
}
