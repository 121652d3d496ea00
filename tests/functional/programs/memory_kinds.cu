/* SPDX-License-Identifier: Apache-2.0
 * Memory of every kind: pitched and 3D copies and sets, mapped and registered host memory,
 * stream-ordered allocation and pools, pointer attributes, copies of default direction.
 */
#include <cstdint>
#include <cstring>
#include <vector>

#include "examples/check.h"

__global__ void double_pitched(char *base, size_t pitch, int width, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;

    if (x < width && y < height)
        ((float *)(base + y * pitch))[x] *= 2.0f;
}

__global__ void triple(int *values, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        values[i] *= 3;
}

static long pitched()
{
    const int width = 77, height = 13;
    std::vector<float> in(width * height), got(width * height);
    float *device;
    size_t pitch;
    long wrong = 0;

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (float)i;
    CUDA_CHECK(cudaMallocPitch(&device, &pitch, width * sizeof(float), height));
    wrong += pitch < width * sizeof(float) || pitch % 32 != 0;
    CUDA_CHECK(cudaMemcpy2D(device, pitch, in.data(), width * sizeof(float), width * sizeof(float),
                            height, cudaMemcpyHostToDevice));
    double_pitched<<<dim3(2, height), 64>>>((char *)device, pitch, width, height);
    CUDA_CHECK(cudaMemset2D(device, pitch, 0, 5 * sizeof(float), 2)); /* a corner of 5 x 2 */
    CUDA_CHECK(cudaMemcpy2D(got.data(), width * sizeof(float), device, pitch,
                            width * sizeof(float), height, cudaMemcpyDeviceToHost));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            wrong += got[y * width + x] != (x < 5 && y < 2 ? 0.0f : 2.0f * in[y * width + x]);
    CUDA_CHECK(cudaFree(device));
    return wrong;
}

static long three_dimensions()
{
    const int x = 9, y = 5, z = 4;
    std::vector<int> in(x * y * z), got(8, -1);
    cudaPitchedPtr device;
    cudaMemcpy3DParms copy = {};

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (int)i;
    CUDA_CHECK(cudaMalloc3D(&device, make_cudaExtent(x * sizeof(int), y, z)));
    copy.srcPtr = make_cudaPitchedPtr(in.data(), x * sizeof(int), x, y);
    copy.dstPtr = device;
    copy.extent = make_cudaExtent(x * sizeof(int), y, z);
    copy.kind = cudaMemcpyHostToDevice;
    CUDA_CHECK(cudaMemcpy3D(&copy));
    /* A box of 2 x 2 x 2 out of the middle. */
    copy = {};
    copy.srcPtr = device;
    copy.srcPos = make_cudaPos(3 * sizeof(int), 2, 1);
    copy.dstPtr = make_cudaPitchedPtr(got.data(), 2 * sizeof(int), 2, 2);
    copy.extent = make_cudaExtent(2 * sizeof(int), 2, 2);
    copy.kind = cudaMemcpyDeviceToHost;
    CUDA_CHECK(cudaMemcpy3D(&copy));
    CUDA_CHECK(cudaFree(device.ptr));
    long wrong = 0;
    for (int i = 0; i < 8; i++)
        wrong += got[i] != ((1 + i / 4) * y + 2 + i / 2 % 2) * x + 3 + i % 2;
    return wrong;
}

static long host_memory()
{
    const int count = 3000;
    int *mapped, *mapped_on_device, *registered_on_device;
    std::vector<int> own(count, 5);
    unsigned flags = 0;
    long wrong = 0;

    CUDA_CHECK(cudaHostAlloc(&mapped, count * sizeof(int), cudaHostAllocMapped));
    CUDA_CHECK(cudaHostGetDevicePointer(&mapped_on_device, mapped, 0));
    CUDA_CHECK(cudaHostGetFlags(&flags, mapped));
    wrong += !(flags & cudaHostAllocMapped);
    CUDA_CHECK(cudaHostRegister(own.data(), count * sizeof(int), cudaHostRegisterMapped));
    CUDA_CHECK(cudaHostGetDevicePointer(&registered_on_device, own.data(), 0));
    for (int i = 0; i < count; i++)
        mapped[i] = i;
    triple<<<12, 256>>>(mapped_on_device, count);
    triple<<<12, 256>>>(registered_on_device, count);
    CUDA_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < count; i++)
        wrong += mapped[i] != 3 * i || own[i] != 15;

    cudaPointerAttributes attributes;
    CUDA_CHECK(cudaPointerGetAttributes(&attributes, mapped));
    wrong += attributes.type != cudaMemoryTypeHost || attributes.hostPointer != mapped;
    CUDA_CHECK(cudaHostUnregister(own.data()));
    CUDA_CHECK(cudaFreeHost(mapped));
    CUDA_CHECK(cudaPointerGetAttributes(&attributes, &count));
    wrong += attributes.type != cudaMemoryTypeUnregistered;
    return wrong;
}

static long stream_ordered()
{
    cudaStream_t stream;
    cudaMemPool_t pool;
    int *first, *second, got[4] = {0};
    size_t kept = ~0ull;
    uint64_t threshold = 1 << 20, read_back = 0, reserved = 0;
    long wrong = 0;

    CUDA_CHECK(cudaStreamCreate(&stream));
    CUDA_CHECK(cudaMallocAsync(&first, 4 * sizeof(int), stream));
    CUDA_CHECK(cudaMemsetAsync(first, 1, 4 * sizeof(int), stream));
    triple<<<1, 4, 0, stream>>>(first, 4);
    CUDA_CHECK(cudaMemcpyAsync(got, first, sizeof(got), cudaMemcpyDeviceToHost, stream));
    CUDA_CHECK(cudaFreeAsync(first, stream));
    CUDA_CHECK(cudaMallocAsync(&second, 1 << 16, stream));
    CUDA_CHECK(cudaFreeAsync(second, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    wrong += got[3] != 0x01010101 * 3;

    CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, 0));
    CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
    CUDA_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &read_back));
    CUDA_CHECK(cudaMemPoolTrimTo(pool, 0));
    CUDA_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved));
    wrong += read_back != threshold || reserved != 0;

    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = 0;
    CUDA_CHECK(cudaMemPoolCreate(&pool, &properties));
    CUDA_CHECK(cudaMallocFromPoolAsync(&first, 4096, pool, stream));
    cudaPointerAttributes attributes;
    CUDA_CHECK(cudaPointerGetAttributes(&attributes, first));
    wrong += attributes.type != cudaMemoryTypeDevice || attributes.device != 0;
    CUDA_CHECK(cudaFreeAsync(first, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaMemPoolDestroy(pool));
    CUDA_CHECK(cudaStreamDestroy(stream));
    (void)kept;
    return wrong;
}

static long accounts()
{
    size_t free_before, free_during, free_after, total;
    void *memory;

    CUDA_CHECK(cudaMemGetInfo(&free_before, &total));
    CUDA_CHECK(cudaMalloc(&memory, 64 << 20));
    CUDA_CHECK(cudaMemGetInfo(&free_during, &total));
    CUDA_CHECK(cudaFree(memory));
    CUDA_CHECK(cudaMemGetInfo(&free_after, &total));
    return (free_before - free_during != 64 << 20) + (free_after != free_before) +
           (free_before > total);
}

int main()
{
    return finish(pitched() + three_dimensions() + host_memory() + stream_ordered() + accounts());
}
