/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/set.c - cudaMemset and its kin: bytes of one value, in rows and in slices.
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaMemset(bool per_thread, void *devPtr, int value, size_t count)
{
    if (count == 0)
        return cudaSuccess;
    return CRT_DRV_ON(per_thread, MemsetD8, crt_dptr(devPtr), (unsigned char)value, count);
}

cudaError_t crt_cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream)
{
    if (count == 0)
        return cudaSuccess;
    return CRT_DRV(MemsetD8Async, crt_dptr(devPtr), (unsigned char)value, count, stream);
}

cudaError_t crt_cudaMemset2D(bool per_thread, void *devPtr, size_t pitch, int value, size_t width,
                             size_t height)
{
    if (width == 0 || height == 0)
        return cudaSuccess;
    return CRT_DRV_ON(per_thread, MemsetD2D8, crt_dptr(devPtr), pitch, (unsigned char)value, width,
                      height);
}

cudaError_t crt_cudaMemset2DAsync(void *devPtr, size_t pitch, int value, size_t width,
                                  size_t height, cudaStream_t stream)
{
    if (width == 0 || height == 0)
        return cudaSuccess;
    return CRT_DRV(MemsetD2D8Async, crt_dptr(devPtr), pitch, (unsigned char)value, width, height,
                   stream);
}

/* The driver sets planes only: one call a slice, or a single one where the rows of all slices
 * follow each other at the same distance. */
struct slices {
    size_t count, rows, stride_bytes;
};

static struct slices cut(struct cudaPitchedPtr memory, struct cudaExtent extent)
{
    if (extent.height == memory.ysize)
        return (struct slices){.count = 1, .rows = extent.height * extent.depth};
    return (struct slices){
        .count = extent.depth, .rows = extent.height, .stride_bytes = memory.pitch * memory.ysize};
}

cudaError_t crt_cudaMemset3D(bool per_thread, struct cudaPitchedPtr pitchedDevPtr, int value,
                             struct cudaExtent extent)
{
    struct slices slices = cut(pitchedDevPtr, extent);
    cudaError_t status = cudaSuccess;

    for (size_t i = 0; i < slices.count && status == cudaSuccess; i++)
        status = crt_cudaMemset2D(per_thread, (char *)pitchedDevPtr.ptr + i * slices.stride_bytes,
                                  pitchedDevPtr.pitch, value, extent.width, slices.rows);
    return status;
}

cudaError_t crt_cudaMemset3DAsync(struct cudaPitchedPtr pitchedDevPtr, int value,
                                  struct cudaExtent extent, cudaStream_t stream)
{
    struct slices slices = cut(pitchedDevPtr, extent);
    cudaError_t status = cudaSuccess;

    for (size_t i = 0; i < slices.count && status == cudaSuccess; i++)
        status =
            crt_cudaMemset2DAsync((char *)pitchedDevPtr.ptr + i * slices.stride_bytes,
                                  pitchedDevPtr.pitch, value, extent.width, slices.rows, stream);
    return status;
}
