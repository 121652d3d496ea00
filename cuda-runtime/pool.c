/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/pool.c - stream-ordered allocation and the pools behind it.
 *
 * Pool properties, attributes and access records are the driver's (abi_check.c).
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaMallocAsync(void **devPtr, size_t size, cudaStream_t hStream)
{
    CUdeviceptr address;
    cudaError_t status;

    if (!devPtr)
        return cudaErrorInvalidValue;
    status = CRT_DRV(MemAllocAsync, &address, size, hStream);
    if (status == cudaSuccess)
        *devPtr = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaMallocFromPoolAsync(void **ptr, size_t size, cudaMemPool_t memPool,
                                        cudaStream_t stream)
{
    CUdeviceptr address;
    cudaError_t status;

    if (!ptr)
        return cudaErrorInvalidValue;
    status = CRT_DRV(MemAllocFromPoolAsync, &address, size, memPool, stream);
    if (status == cudaSuccess)
        *ptr = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaFreeAsync(void *devPtr, cudaStream_t hStream)
{
    return CRT_DRV(MemFreeAsync, crt_dptr(devPtr), hStream);
}

cudaError_t crt_cudaDeviceGetDefaultMemPool(cudaMemPool_t *memPool, int device)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    return status == cudaSuccess ? CRT_DRV(DeviceGetDefaultMemPool, memPool, handle) : status;
}

cudaError_t crt_cudaDeviceGetMemPool(cudaMemPool_t *memPool, int device)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    return status == cudaSuccess ? CRT_DRV(DeviceGetMemPool, memPool, handle) : status;
}

cudaError_t crt_cudaDeviceSetMemPool(int device, cudaMemPool_t memPool)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    return status == cudaSuccess ? CRT_DRV(DeviceSetMemPool, handle, memPool) : status;
}

cudaError_t crt_cudaMemGetDefaultMemPool(cudaMemPool_t *memPool, struct cudaMemLocation *location,
                                         enum cudaMemAllocationType type)
{
    return CRT_DRV(MemGetDefaultMemPool, memPool, (CUmemLocation *)location,
                   (CUmemAllocationType)type);
}

cudaError_t crt_cudaMemGetMemPool(cudaMemPool_t *memPool, struct cudaMemLocation *location,
                                  enum cudaMemAllocationType type)
{
    return CRT_DRV(MemGetMemPool, memPool, (CUmemLocation *)location, (CUmemAllocationType)type);
}

cudaError_t crt_cudaMemSetMemPool(struct cudaMemLocation *location, enum cudaMemAllocationType type,
                                  cudaMemPool_t memPool)
{
    return CRT_DRV(MemSetMemPool, (CUmemLocation *)location, (CUmemAllocationType)type, memPool);
}

cudaError_t crt_cudaMemPoolCreate(cudaMemPool_t *memPool, const struct cudaMemPoolProps *poolProps)
{
    return CRT_DRV(MemPoolCreate, memPool, (const CUmemPoolProps *)poolProps);
}

cudaError_t crt_cudaMemPoolDestroy(cudaMemPool_t memPool)
{
    return CRT_DRV(MemPoolDestroy, memPool);
}

cudaError_t crt_cudaMemPoolTrimTo(cudaMemPool_t memPool, size_t minBytesToKeep)
{
    return CRT_DRV(MemPoolTrimTo, memPool, minBytesToKeep);
}

cudaError_t crt_cudaMemPoolGetAttribute(cudaMemPool_t memPool, enum cudaMemPoolAttr attr,
                                        void *value)
{
    return CRT_DRV(MemPoolGetAttribute, memPool, (CUmemPool_attribute)attr, value);
}

cudaError_t crt_cudaMemPoolSetAttribute(cudaMemPool_t memPool, enum cudaMemPoolAttr attr,
                                        void *value)
{
    return CRT_DRV(MemPoolSetAttribute, memPool, (CUmemPool_attribute)attr, value);
}

cudaError_t crt_cudaMemPoolGetAccess(enum cudaMemAccessFlags *flags, cudaMemPool_t memPool,
                                     struct cudaMemLocation *location)
{
    return CRT_DRV(MemPoolGetAccess, (CUmemAccess_flags *)flags, memPool,
                   (CUmemLocation *)location);
}

cudaError_t crt_cudaMemPoolSetAccess(cudaMemPool_t memPool,
                                     const struct cudaMemAccessDesc *descList, size_t count)
{
    return CRT_DRV(MemPoolSetAccess, memPool, (const CUmemAccessDesc *)descList, count);
}
