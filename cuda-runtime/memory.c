/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/memory.c - device, pinned, registered and managed memory, and what a pointer is.
 */
#include "generated/cuda-runtime/crt_impl.h"

enum {
    PITCH_ELEMENT_BYTES = 4
}; /* the widest access that pitched memory is aligned for at least */

cudaError_t crt_cudaMalloc(void **devPtr, size_t size)
{
    CUdeviceptr address = 0;
    cudaError_t status = cudaSuccess;

    if (!devPtr)
        return cudaErrorInvalidValue;
    if (size != 0) /* nothing is a null pointer, and no error */
        status = CRT_DRV(MemAlloc, &address, size);
    if (status == cudaSuccess)
        *devPtr = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaFree(void *devPtr)
{
    return devPtr ? CRT_DRV(MemFree, crt_dptr(devPtr)) : cudaSuccess;
}

cudaError_t crt_cudaMallocPitch(void **devPtr, size_t *pitch, size_t width, size_t height)
{
    CUdeviceptr address = 0;
    size_t pitch_bytes = 0;
    cudaError_t status = cudaSuccess;

    if (!devPtr || !pitch)
        return cudaErrorInvalidValue;
    if (width != 0 && height != 0)
        status = CRT_DRV(MemAllocPitch, &address, &pitch_bytes, width, height, PITCH_ELEMENT_BYTES);
    if (status != cudaSuccess)
        return status;
    *devPtr = crt_pointer(address);
    *pitch = pitch_bytes;
    return cudaSuccess;
}

cudaError_t crt_cudaMalloc3D(struct cudaPitchedPtr *pitchedDevPtr, struct cudaExtent extent)
{
    struct cudaPitchedPtr memory = {.xsize = extent.width, .ysize = extent.height};
    size_t rows;
    cudaError_t status;

    if (!pitchedDevPtr || __builtin_mul_overflow(extent.height, extent.depth, &rows))
        return cudaErrorInvalidValue;
    status = crt_cudaMallocPitch(&memory.ptr, &memory.pitch, extent.width, rows);
    if (status == cudaSuccess)
        *pitchedDevPtr = memory;
    return status;
}

cudaError_t crt_cudaMallocManaged(void **devPtr, size_t size, unsigned int flags)
{
    CUdeviceptr address;
    cudaError_t status;

    if (!devPtr || size == 0)
        return cudaErrorInvalidValue;
    status = CRT_DRV(MemAllocManaged, &address, size, flags);
    if (status == cudaSuccess)
        *devPtr = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaHostAlloc(void **pHost, size_t size, unsigned int flags)
{
    void *memory = NULL;
    cudaError_t status = cudaSuccess;

    if (!pHost)
        return cudaErrorInvalidValue;
    if (size != 0)
        status = CRT_DRV(MemHostAlloc, &memory, size, flags);
    if (status == cudaSuccess)
        *pHost = memory;
    return status;
}

cudaError_t crt_cudaMallocHost(void **ptr, size_t size)
{
    return crt_cudaHostAlloc(ptr, size, cudaHostAllocDefault);
}

cudaError_t crt_cudaFreeHost(void *ptr)
{
    return ptr ? CRT_DRV(MemFreeHost, ptr) : cudaSuccess;
}

cudaError_t crt_cudaHostRegister(void *ptr, size_t size, unsigned int flags)
{
    return CRT_DRV(MemHostRegister, ptr, size, flags);
}

cudaError_t crt_cudaHostUnregister(void *ptr)
{
    return CRT_DRV(MemHostUnregister, ptr);
}

cudaError_t crt_cudaHostGetDevicePointer(void **pDevice, void *pHost, unsigned int flags)
{
    CUdeviceptr address;
    cudaError_t status;

    if (!pDevice)
        return cudaErrorInvalidValue;
    status = CRT_DRV(MemHostGetDevicePointer, &address, pHost, flags);
    if (status == cudaSuccess)
        *pDevice = crt_pointer(address);
    return status;
}

cudaError_t crt_cudaHostGetFlags(unsigned int *pFlags, void *pHost)
{
    return CRT_DRV(MemHostGetFlags, pFlags, pHost);
}

cudaError_t crt_cudaMemGetInfo(size_t *free, size_t *total)
{
    return CRT_DRV(MemGetInfo, free, total);
}

cudaError_t crt_cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr)
{
    CUmemorytype type = 0; /* stays 0 for memory that CUDA does not know: no error */
    CUdeviceptr device_pointer = 0;
    void *host_pointer = NULL;
    int is_managed = 0;
    int device = -2; /* what the driver leaves there for unknown memory */
    CUpointer_attribute asked[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE,    CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
        CU_POINTER_ATTRIBUTE_HOST_POINTER,   CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
    };
    void *answers[] = {&type, &device_pointer, &host_pointer, &is_managed, &device};
    cudaError_t status;

    if (!attributes)
        return cudaErrorInvalidValue;
    status = CRT_DRV(PointerGetAttributes, FAB_ARRAY_LEN(asked), asked, answers, crt_dptr(ptr));
    if (status != cudaSuccess)
        return status;
    *attributes = (struct cudaPointerAttributes){
        .type = cudaMemoryTypeUnregistered,
        .device = device,
        .devicePointer = crt_pointer(device_pointer),
        .hostPointer = host_pointer,
    };
    if (is_managed)
        attributes->type = cudaMemoryTypeManaged;
    else if (type == CU_MEMORYTYPE_HOST)
        attributes->type = cudaMemoryTypeHost;
    else if (type == CU_MEMORYTYPE_DEVICE)
        attributes->type = cudaMemoryTypeDevice;
    else
        attributes->hostPointer = (void *)(uintptr_t)ptr; /* plain memory of the program */
    return cudaSuccess;
}
