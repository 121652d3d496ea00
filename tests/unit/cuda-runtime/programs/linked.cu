/* SPDX-License-Identifier: Apache-2.0
 * Compiled with -rdc=true: every unit registers through one linked image.
 */
#include <cstdio>

#include <cuda_runtime.h>

__managed__ int shared_value = 1;

__device__ __noinline__ int next(int value)
{
    return value + 1;
}

__global__ void step(int *value)
{
    *value = next(shared_value);
}

int main()
{
    int *value = nullptr;

    shared_value = 7;
    if (cudaMalloc(&value, sizeof(*value)))
        return 1;
    step<<<1, 1>>>(value);
    if (cudaGetLastError() || cudaDeviceSynchronize() || cudaFree(value))
        return 1;
    std::printf("done value=%d\n", shared_value);
    return 0;
}
