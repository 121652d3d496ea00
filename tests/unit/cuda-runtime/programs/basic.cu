/* SPDX-License-Identifier: Apache-2.0
 * What a usual program does, compiled by nvcc: templates, structs by value, all kinds of variables,
 * streams, events, occupancy. Run over the driver that takes notes; basic.log is what it notes.
 */
#include <cstdio>

#include <cuda_runtime.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        cudaError_t status = (call);                                                               \
        if (status != cudaSuccess) {                                                               \
            std::printf("%s: %s\n", #call, cudaGetErrorString(status));                            \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

struct Window {
    float low, high;
    int count;
};

__constant__ float table[16];
__device__ int counter;
__managed__ int total = 3;

template <typename T> __global__ void scale(T *data, T factor, Window window)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < window.count)
        data[i] = data[i] * factor + T(table[i % 16]);
    atomicAdd(&counter, 1);
    total = 4;
}

__global__ void __launch_bounds__(128) nothing()
{
}

int main()
{
    const float values[16] = {1, 2, 3};
    int count = 0, blocks = 0;
    float *data;
    cudaStream_t stream;
    cudaEvent_t start, stop;
    float ms;

    total = 5; /* first use of the image: before any call */
    TRY(cudaMalloc(&data, 256 * sizeof(float)));
    TRY(cudaMemcpyToSymbol(table, values, sizeof(values)));
    TRY(cudaStreamCreate(&stream));
    TRY(cudaEventCreate(&start));
    TRY(cudaEventCreate(&stop));
    TRY(cudaEventRecord(start, cudaStreamPerThread));
    scale<float><<<2, 128, 0, cudaStreamPerThread>>>(data, 2.0f, Window{0, 1, 256});
    TRY(cudaGetLastError());
    scale<double><<<dim3(1, 2), dim3(8, 4), 64>>>(reinterpret_cast<double *>(data), 2.0, Window{});
    TRY(cudaGetLastError());
    nothing<<<1, 1>>>();
    TRY(cudaEventRecord(stop, cudaStreamPerThread));
    TRY(cudaEventSynchronize(stop));
    TRY(cudaEventElapsedTime(&ms, start, stop));
    void *args[] = {nullptr};
    TRY(cudaLaunchKernel(reinterpret_cast<const void *>(&nothing), dim3(3), dim3(5), args, 0, 0));
    TRY(cudaMemcpyFromSymbol(&count, counter, sizeof(count)));
    TRY(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, nothing, 128, 0));
    TRY(cudaDeviceSynchronize());
    TRY(cudaFree(data));
    nothing<<<0, 1>>>();
    if (cudaGetLastError() != cudaErrorInvalidValue)
        return 2;
    std::printf("done total=%d\n", total);
    return 0;
}
