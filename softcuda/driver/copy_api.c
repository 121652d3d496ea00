/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy_api.c - the one-dimensional copies.
 *
 * The plain calls work in the default stream, and wait unless both sides are device memory.
 * Source: CUDA Driver API, Memory Management; "API synchronization behavior".
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/copy.h"

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static CUresult host_to_device(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream,
                               bool is_async)
{
    const struct soft_line line = {.dst = dst,
                                   .src = address_of(src),
                                   .bytes = bytes,
                                   .dst_side = CUC_SIDE_DEVICE,
                                   .src_side = CUC_SIDE_HOST};

    return soft_line_copy(stream, &line, is_async);
}

static CUresult device_to_host(void *dst, CUdeviceptr src, size_t bytes, CUstream stream,
                               bool is_async)
{
    const struct soft_line line = {.dst = address_of(dst),
                                   .src = src,
                                   .bytes = bytes,
                                   .dst_side = CUC_SIDE_HOST,
                                   .src_side = CUC_SIDE_DEVICE};

    return soft_line_copy(stream, &line, is_async);
}

static CUresult device_to_device(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream,
                                 bool is_async)
{
    const struct soft_line line = {.dst = dst,
                                   .src = src,
                                   .bytes = bytes,
                                   .dst_side = CUC_SIDE_DEVICE,
                                   .src_side = CUC_SIDE_DEVICE};

    return soft_line_copy(stream, &line, is_async);
}

static CUresult unified(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream,
                        bool is_async)
{
    const struct soft_line line = {
        .dst = dst, .src = src, .bytes = bytes, .dst_side = CUC_SIDE_ANY, .src_side = CUC_SIDE_ANY};

    return soft_line_copy(stream, &line, is_async);
}

CUresult soft_cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return host_to_device(dstDevice, srcHost, ByteCount, NULL, /* is_async */ false);
}

CUresult soft_cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                                   CUstream hStream)
{
    return host_to_device(dstDevice, srcHost, ByteCount, hStream, /* is_async */ true);
}

CUresult soft_cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return device_to_host(dstHost, srcDevice, ByteCount, NULL, /* is_async */ false);
}

CUresult soft_cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                                   CUstream hStream)
{
    return device_to_host(dstHost, srcDevice, ByteCount, hStream, /* is_async */ true);
}

CUresult soft_cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return device_to_device(dstDevice, srcDevice, ByteCount, NULL, /* is_async */ false);
}

CUresult soft_cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                                   CUstream hStream)
{
    return device_to_device(dstDevice, srcDevice, ByteCount, hStream, /* is_async */ true);
}

CUresult soft_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return unified(dst, src, ByteCount, NULL, /* is_async */ false);
}

CUresult soft_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
    return unified(dst, src, ByteCount, hStream, /* is_async */ true);
}

/* ---- between contexts ----------------------------------------------------------------------- */

static CUresult peer_line(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src,
                          CUcontext src_context, size_t bytes, struct soft_line *line_out)
{
    CUresult result;

    *line_out = (struct soft_line){.dst = dst,
                                   .src = src,
                                   .bytes = bytes,
                                   .dst_side = CUC_SIDE_DEVICE,
                                   .src_side = CUC_SIDE_DEVICE};
    if (!dst_context || !src_context)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_context_of(dst_context, &line_out->dst_context);
    if (result == CUDA_SUCCESS)
        result = soft_context_of(src_context, &line_out->src_context);
    return result;
}

/* Runs behind everything in both contexts. */
CUresult soft_cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                           CUcontext srcContext, size_t ByteCount)
{
    struct soft_context *current;
    struct soft_line line;
    CUresult result = soft_context_current(&current);

    if (result == CUDA_SUCCESS)
        result = peer_line(dstDevice, dstContext, srcDevice, srcContext, ByteCount, &line);
    if (result == CUDA_SUCCESS && line.dst_context != current)
        result = soft_context_wait(line.dst_context);
    if (result == CUDA_SUCCESS && line.src_context != current)
        result = soft_context_wait(line.src_context);
    if (result != CUDA_SUCCESS)
        return result;
    result = soft_line_copy(NULL, &line, /* is_async */ false);
    /* Later work of the other contexts comes behind the copy. */
    if (result == CUDA_SUCCESS && (line.dst_context != current || line.src_context != current))
        result = soft_context_wait(current);
    return result;
}

CUresult soft_cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                                CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
    struct soft_context *current;
    struct soft_line line;
    CUresult result = soft_context_current(&current);

    if (result == CUDA_SUCCESS)
        result = peer_line(dstDevice, dstContext, srcDevice, srcContext, ByteCount, &line);
    if (result != CUDA_SUCCESS)
        return result;
    return soft_line_copy(hStream, &line, /* is_async */ true);
}
