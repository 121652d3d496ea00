/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/symbol.c - __device__, __constant__ and __managed__ variables by host name.
 */
#include "cuda-runtime/registry.h"
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaGetSymbolAddress(void **devPtr, const void *symbol)
{
    CUdeviceptr address;
    size_t bytes;
    cudaError_t status =
        devPtr ? crt_variable_find(symbol, &address, &bytes) : cudaErrorInvalidValue;

    if (status == cudaSuccess)
        *devPtr = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaGetSymbolSize(size_t *size, const void *symbol)
{
    CUdeviceptr address;
    size_t bytes;
    cudaError_t status = size ? crt_variable_find(symbol, &address, &bytes) : cudaErrorInvalidValue;

    if (status == cudaSuccess)
        *size = bytes;
    return status;
}

/* The place inside a variable that a copy of `count` bytes at `offset` touches. `wrong_way` is the
 * kind that would go the other way round. */
static cudaError_t part_of(const void *symbol, size_t count, size_t offset,
                           enum cudaMemcpyKind kind, enum cudaMemcpyKind wrong_way, void **part_out)
{
    CUdeviceptr address;
    size_t bytes;
    cudaError_t status;

    if (kind == cudaMemcpyHostToHost || kind == wrong_way || (unsigned)kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    status = crt_variable_find(symbol, &address, &bytes);
    if (status != cudaSuccess)
        return status;
    if (offset > bytes || count > bytes - offset)
        return cudaErrorInvalidValue;
    *part_out = crt_pointer(address + offset);
    return cudaSuccess;
}

cudaError_t crt_cudaMemcpyToSymbol(bool per_thread, const void *symbol, const void *src,
                                   size_t count, size_t offset, enum cudaMemcpyKind kind)
{
    void *part;
    cudaError_t status = part_of(symbol, count, offset, kind, cudaMemcpyDeviceToHost, &part);

    return status == cudaSuccess ? crt_copy(per_thread, part, src, count, kind) : status;
}

cudaError_t crt_cudaMemcpyFromSymbol(bool per_thread, void *dst, const void *symbol, size_t count,
                                     size_t offset, enum cudaMemcpyKind kind)
{
    void *part;
    cudaError_t status = part_of(symbol, count, offset, kind, cudaMemcpyHostToDevice, &part);

    return status == cudaSuccess ? crt_copy(per_thread, dst, part, count, kind) : status;
}

cudaError_t crt_cudaMemcpyToSymbolAsync(const void *symbol, const void *src, size_t count,
                                        size_t offset, enum cudaMemcpyKind kind,
                                        cudaStream_t stream)
{
    void *part;
    cudaError_t status = part_of(symbol, count, offset, kind, cudaMemcpyDeviceToHost, &part);

    return status == cudaSuccess ? crt_copy_async(part, src, count, kind, stream) : status;
}

cudaError_t crt_cudaMemcpyFromSymbolAsync(void *dst, const void *symbol, size_t count,
                                          size_t offset, enum cudaMemcpyKind kind,
                                          cudaStream_t stream)
{
    void *part;
    cudaError_t status = part_of(symbol, count, offset, kind, cudaMemcpyHostToDevice, &part);

    return status == cudaSuccess ? crt_copy_async(dst, part, count, kind, stream) : status;
}
