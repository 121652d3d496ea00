/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_api.c - the one-dimensional copies.
 *
 * The plain calls work in the default stream, and wait unless both sides are device memory.
 * Source: CUDA Driver API, Memory Management; "API synchronization behavior".
 */
#include "cuda-client/copy.h"
#include "generated/cuda-api/client_impl.h"

/* A straight copy; the sides are checked in the contexts that they belong to. */
struct line {
    uint64_t dst, src;
    size_t bytes;
    enum cuc_side dst_side, src_side;
    struct cudac_context *dst_context, *src_context; /* NULL: any; an address names its device */
};

static CUresult line_copy(CUstream handle, const struct line *line, bool is_async)
{
    const struct cudac_copy copy = {.dst = line->dst,
                                    .src = line->src,
                                    .width = line->bytes,
                                    .height = 1,
                                    .depth = 1,
                                    .dst_side = line->dst_side,
                                    .src_side = line->src_side};
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_side_check(line->dst_context, line->dst_side, line->dst, line->bytes,
                              /* write */ true);
    if (result == CUDA_SUCCESS)
        result = cudac_side_check(line->src_context, line->src_side, line->src, line->bytes,
                                  /* write */ false);
    if (result == CUDA_SUCCESS)
        result = cudac_copy_submit(
            stream, &copy,
            cudac_copy_wait(line->dst_side, line->dst, line->src_side, line->src, is_async));
    cudac_stream_put(stream);
    return result;
}

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static CUresult host_to_device(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream,
                               bool is_async)
{
    const struct line line = {.dst = dst,
                              .src = address_of(src),
                              .bytes = bytes,
                              .dst_side = CUC_SIDE_DEVICE,
                              .src_side = CUC_SIDE_HOST};

    return line_copy(stream, &line, is_async);
}

static CUresult device_to_host(void *dst, CUdeviceptr src, size_t bytes, CUstream stream,
                               bool is_async)
{
    const struct line line = {.dst = address_of(dst),
                              .src = src,
                              .bytes = bytes,
                              .dst_side = CUC_SIDE_HOST,
                              .src_side = CUC_SIDE_DEVICE};

    return line_copy(stream, &line, is_async);
}

static CUresult device_to_device(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream,
                                 bool is_async)
{
    const struct line line = {.dst = dst,
                              .src = src,
                              .bytes = bytes,
                              .dst_side = CUC_SIDE_DEVICE,
                              .src_side = CUC_SIDE_DEVICE};

    return line_copy(stream, &line, is_async);
}

static CUresult unified(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream,
                        bool is_async)
{
    const struct line line = {
        .dst = dst, .src = src, .bytes = bytes, .dst_side = CUC_SIDE_ANY, .src_side = CUC_SIDE_ANY};

    return line_copy(stream, &line, is_async);
}

CUresult cudac_cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return host_to_device(dstDevice, srcHost, ByteCount, NULL, /* is_async */ false);
}

CUresult cudac_cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                                    CUstream hStream)
{
    return host_to_device(dstDevice, srcHost, ByteCount, hStream, /* is_async */ true);
}

CUresult cudac_cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return device_to_host(dstHost, srcDevice, ByteCount, NULL, /* is_async */ false);
}

CUresult cudac_cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                                    CUstream hStream)
{
    return device_to_host(dstHost, srcDevice, ByteCount, hStream, /* is_async */ true);
}

CUresult cudac_cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return device_to_device(dstDevice, srcDevice, ByteCount, NULL, /* is_async */ false);
}

CUresult cudac_cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                                    CUstream hStream)
{
    return device_to_device(dstDevice, srcDevice, ByteCount, hStream, /* is_async */ true);
}

CUresult cudac_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return unified(dst, src, ByteCount, NULL, /* is_async */ false);
}

CUresult cudac_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
    return unified(dst, src, ByteCount, hStream, /* is_async */ true);
}

/* ---- between contexts ----------------------------------------------------------------------- */

static CUresult peer_line(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src,
                          CUcontext src_context, size_t bytes, struct line *line_out)
{
    CUresult result;

    *line_out = (struct line){.dst = dst,
                              .src = src,
                              .bytes = bytes,
                              .dst_side = CUC_SIDE_DEVICE,
                              .src_side = CUC_SIDE_DEVICE};
    if (!dst_context || !src_context)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_context_of(dst_context, &line_out->dst_context);
    if (result == CUDA_SUCCESS)
        result = cudac_context_of(src_context, &line_out->src_context);
    return result;
}

/* Runs behind everything in both contexts. */
CUresult cudac_cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                            CUcontext srcContext, size_t ByteCount)
{
    struct cudac_context *current;
    struct line line;
    CUresult result = cudac_context_current(&current);

    if (result == CUDA_SUCCESS)
        result = peer_line(dstDevice, dstContext, srcDevice, srcContext, ByteCount, &line);
    if (result == CUDA_SUCCESS && line.dst_context != current)
        result = cudac_context_wait(line.dst_context);
    if (result == CUDA_SUCCESS && line.src_context != current)
        result = cudac_context_wait(line.src_context);
    if (result != CUDA_SUCCESS)
        return result;
    result = line_copy(NULL, &line, /* is_async */ false);
    /* Later work of the other contexts comes behind the copy. */
    if (result == CUDA_SUCCESS && (line.dst_context != current || line.src_context != current))
        result = cudac_context_wait(current);
    return result;
}

CUresult cudac_cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                                 CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
    struct cudac_context *current;
    struct line line;
    CUresult result = cudac_context_current(&current);

    if (result == CUDA_SUCCESS)
        result = peer_line(dstDevice, dstContext, srcDevice, srcContext, ByteCount, &line);
    if (result != CUDA_SUCCESS)
        return result;
    return line_copy(hStream, &line, /* is_async */ true);
}
