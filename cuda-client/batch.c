/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/batch.c - cuMemcpyBatchAsync and cuMemcpy3DBatchAsync, both ABIs.
 *
 * The copies of a batch may run in any order; here they run in the order given. All are checked
 * before the first is enqueued; the older ABI tells which one was refused.
 */
#include "cuda-client/copy_box.h"
#include "generated/cuda-api/client_impl.h"

#define NO_INDEX SIZE_MAX /* the refusal belongs to the call, not to one copy */

/* The default stream is refused, as CUDA documents for batches. */
static CUresult batch_stream(CUstream handle, struct cudac_stream **stream_out)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_stream_get(handle, stream_out);
    if (result != CUDA_SUCCESS)
        return result;
    if ((*stream_out)->context == context && (*stream_out)->id == 0) {
        cudac_stream_put(*stream_out);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    return CUDA_SUCCESS;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static CUresult lines_check(const CUdeviceptr *dsts, const CUdeviceptr *srcs, const size_t *sizes,
                            size_t count, size_t *failed_out)
{
    for (size_t i = 0; i < count; i++) {
        CUresult result = sizes[i] ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;

        if (result == CUDA_SUCCESS)
            result = cudac_side_check(NULL, CUC_SIDE_ANY, dsts[i], sizes[i], /* write */ true);
        if (result == CUDA_SUCCESS)
            result = cudac_side_check(NULL, CUC_SIDE_ANY, srcs[i], sizes[i], /* write */ false);
        if (result != CUDA_SUCCESS) {
            *failed_out = i;
            return result;
        }
    }
    return CUDA_SUCCESS;
}

/* Reading the source in the call is stronger than any order that may be asked for. */
static enum cudac_wait batch_wait(CUmemcpySrcAccessOrder order, uint64_t dst, uint64_t src)
{
    if (cudac_is_pageable(dst))
        return CUDAC_WAIT_DONE;
    if (order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL || cudac_is_pageable(src))
        return CUDAC_WAIT_SOURCE;
    return CUDAC_WAIT_NEVER;
}

static CUresult lines_submit(struct cudac_stream *stream, const CUdeviceptr *dsts,
                             const CUdeviceptr *srcs, const size_t *sizes, size_t count,
                             const CUmemcpyAttributes *attrs, const size_t *indices,
                             size_t attr_count)
{
    size_t attr = 0;

    for (size_t i = 0; i < count; i++) {
        const struct cudac_copy what = {.dst = dsts[i],
                                        .src = srcs[i],
                                        .width = sizes[i],
                                        .height = 1,
                                        .depth = 1,
                                        .dst_side = CUC_SIDE_ANY,
                                        .src_side = CUC_SIDE_ANY};
        CUresult result;

        while (attr + 1 < attr_count && indices[attr + 1] <= i)
            attr++;
        result = cudac_copy_submit(stream, &what,
                                   batch_wait(attrs[attr].srcAccessOrder, dsts[i], srcs[i]));
        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
                                  CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
                                  size_t *failIdx, CUstream hStream)
{
    struct cudac_stream *stream;
    size_t failed = NO_INDEX;
    CUresult result = batch_stream(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!dsts || !srcs || !sizes || count == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = cuc_batch_attributes_check(attrs, attrsIdxs, numAttrs, count);
    if (result == CUDA_SUCCESS)
        result = lines_check(dsts, srcs, sizes, count, &failed);
    if (result == CUDA_SUCCESS)
        result = lines_submit(stream, dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs);
    if (result != CUDA_SUCCESS && failIdx)
        *failIdx = failed;
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes,
                                     size_t count, CUmemcpyAttributes *attrs, size_t *attrsIdxs,
                                     size_t numAttrs, CUstream hStream)
{
    return cudac_cuMemcpyBatchAsync(dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs,
                                    /* failIdx */ NULL, hStream);
}

/* ---- boxes ---------------------------------------------------------------------------------- */

CUresult cudac_cuMemcpy3DBatchAsync(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, size_t *failIdx,
                                    unsigned long long flags, CUstream hStream)
{
    struct cudac_stream *stream;
    struct cudac_box box = {.dst_context = NULL};
    size_t failed = NO_INDEX;
    CUresult result = batch_stream(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (!opList || numOps == 0 || flags != 0)
        result = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < numOps && result == CUDA_SUCCESS; i++) {
        result = cuc_box_of_batch(&opList[i], &box.shape);
        if (result != CUDA_SUCCESS)
            failed = i;
    }
    for (size_t i = 0; i < numOps && result == CUDA_SUCCESS; i++) {
        (void)cuc_box_of_batch(&opList[i], &box.shape); /* the same answer as above */
        result = cudac_box_copy(hStream, &box, /* is_async */ true);
        if (result != CUDA_SUCCESS)
            failed = i;
        else if (opList[i].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL)
            result = cudac_stream_wait(stream);
    }
    if (result != CUDA_SUCCESS && failIdx)
        *failIdx = failed;
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuMemcpy3DBatchAsync_v2(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList,
                                       unsigned long long flags, CUstream hStream)
{
    return cudac_cuMemcpy3DBatchAsync(numOps, opList, /* failIdx */ NULL, flags, hStream);
}
