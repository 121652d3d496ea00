/* SPDX-License-Identifier: Apache-2.0
 * reduce_shuffle - a sum in three levels: lanes of a warp by shuffles, warps of a block through
 * shared memory, blocks by one atomic each.
 */
#include <vector>

#include "check.h"

__device__ long long warp_sum(long long value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

__global__ void reduce(const int *values, int count, unsigned long long *total)
{
    __shared__ long long warp_totals[32];
    long long sum = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        sum += values[i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0)
        warp_totals[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? warp_totals[threadIdx.x] : 0;
        sum = warp_sum(sum);
        if (threadIdx.x == 0)
            atomicAdd(total, (unsigned long long)sum); /* two's complement: signs take care */
    }
}

int main()
{
    const int count = 1000003;
    std::vector<int> values(count);
    long long want = 0, got = -1;

    for (int i = 0; i < count; i++) {
        values[i] = (int)(i * 2654435761u >> 8) - 8000000;
        want += values[i];
    }

    int *device_values;
    unsigned long long *device_total;
    CUDA_CHECK(cudaMalloc(&device_values, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&device_total, sizeof(*device_total)));
    CUDA_CHECK(cudaMemset(device_total, 0, sizeof(*device_total)));
    CUDA_CHECK(cudaMemcpy(device_values, values.data(), count * sizeof(int),
                          cudaMemcpyHostToDevice));

    reduce<<<64, 256>>>(device_values, count, device_total);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(&got, device_total, sizeof(got), cudaMemcpyDeviceToHost));

    CUDA_CHECK(cudaFree(device_values));
    CUDA_CHECK(cudaFree(device_total));
    printf("sum of %d integers: %lld\n", count, got);
    return finish(count_wrong("total", &got, &want, 1));
}
