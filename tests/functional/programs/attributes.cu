/* SPDX-License-Identifier: Apache-2.0
 * Questions about devices and kernels: properties, function attributes, occupancy, large dynamic
 * shared memory, launches with attributes, driver entry points.
 */
#include <cuda.h>

#include <cstring>

#include "examples/check.h"

extern __shared__ float dynamic_shared[];

__global__ void fill_shared(float *out, int floats)
{
    for (int i = threadIdx.x; i < floats; i += blockDim.x)
        dynamic_shared[i] = (float)i;
    __syncthreads();
    float sum = 0.0f;
    for (int i = threadIdx.x; i < floats; i += blockDim.x)
        sum += dynamic_shared[floats - 1 - i];
    atomicAdd(out, sum);
}

__global__ void __launch_bounds__(256, 2) bounded(int *out)
{
    __shared__ int fixed[300];
    fixed[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = fixed[255 - threadIdx.x];
}

int main()
{
    cudaDeviceProp properties;
    cudaFuncAttributes attributes;
    int value = 0, grid = 0, block = 0, blocks_per_sm = 0, runtime = 0, driver = 0;
    long wrong = 0;

    CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    wrong += properties.warpSize != 32 || properties.maxThreadsPerBlock != 1024 ||
             properties.name[0] == '\0' || properties.totalGlobalMem == 0;
    CUDA_CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
    wrong += value != properties.major;
    CUDA_CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
    wrong += value != properties.multiProcessorCount || value < 1;
    CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    CUDA_CHECK(cudaDriverGetVersion(&driver));
    wrong += runtime / 1000 != CUDART_VERSION / 1000 || driver < runtime;

    CUDA_CHECK(cudaFuncGetAttributes(&attributes, bounded));
    wrong += attributes.sharedSizeBytes < 1200 || attributes.maxThreadsPerBlock > 256;
    CUDA_CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, fill_shared, 0, 0));
    CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_per_sm, bounded, 256, 0));
    wrong += grid < 1 || block < 32 || block > 1024 || blocks_per_sm < 1;

    float *out, sum = 0.0f;
    const int floats = 15 * 1024; /* 60 KiB: above the 48 KiB that need no permission */
    CUDA_CHECK(cudaMalloc(&out, sizeof(float)));
    CUDA_CHECK(cudaMemset(out, 0, sizeof(float)));
    fill_shared<<<1, 128, floats * sizeof(float)>>>(out, floats);
    wrong += cudaGetLastError() != cudaErrorInvalidValue;
    CUDA_CHECK(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    floats * (int)sizeof(float)));
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute launch_attribute[1] = {};
    launch_attribute[0].id = cudaLaunchAttributePriority;
    launch_attribute[0].val.priority = 0;
    config.gridDim = dim3(1);
    config.blockDim = dim3(128);
    config.dynamicSmemBytes = floats * sizeof(float);
    config.attrs = launch_attribute;
    config.numAttrs = 1;
    CUDA_CHECK(cudaLaunchKernelEx(&config, fill_shared, out, floats));
    CUDA_CHECK(cudaMemcpy(&sum, out, sizeof(sum), cudaMemcpyDeviceToHost));
    wrong += std::fabs(sum / (0.5f * floats * (floats - 1.0f)) - 1.0f) > 1e-3f;

    /* The driver below, by its entry point. */
    CUresult (*get_count)(int *) = nullptr;
    cudaDriverEntryPointQueryResult found;
    CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuDeviceGetCount", (void **)&get_count, 12000,
                                                cudaEnableDefault, &found));
    int devices = 0;
    wrong += found != cudaDriverEntryPointSuccess || get_count(&devices) != CUDA_SUCCESS ||
             devices < 1;
    CUDA_CHECK(cudaFree(out));
    return finish(wrong);
}
