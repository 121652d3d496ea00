/* SPDX-License-Identifier: Apache-2.0
 * histogram_atomics - 256 bins counted with atomics, first in shared memory, then in global.
 */
#include <vector>

#include "check.h"

enum { BINS = 256 };

__global__ void histogram(const unsigned char *bytes, int count, unsigned *bins)
{
    __shared__ unsigned block_bins[BINS];

    for (int bin = threadIdx.x; bin < BINS; bin += blockDim.x)
        block_bins[bin] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        atomicAdd(&block_bins[bytes[i]], 1u);
    __syncthreads();
    for (int bin = threadIdx.x; bin < BINS; bin += blockDim.x)
        if (block_bins[bin])
            atomicAdd(&bins[bin], block_bins[bin]);
}

int main()
{
    const int count = 500009;
    std::vector<unsigned char> bytes(count);
    std::vector<unsigned> want(BINS, 0), got(BINS);
    unsigned state = 12345;

    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)((state >> 24) & (state >> 16)); /* uneven on purpose */
        want[bytes[i]]++;
    }

    unsigned char *device_bytes;
    unsigned *device_bins;
    CUDA_CHECK(cudaMalloc(&device_bytes, count));
    CUDA_CHECK(cudaMalloc(&device_bins, BINS * sizeof(unsigned)));
    CUDA_CHECK(cudaMemcpy(device_bytes, bytes.data(), count, cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemset(device_bins, 0, BINS * sizeof(unsigned)));
    histogram<<<32, 192>>>(device_bytes, count, device_bins);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_bins, BINS * sizeof(unsigned),
                          cudaMemcpyDeviceToHost));

    CUDA_CHECK(cudaFree(device_bytes));
    CUDA_CHECK(cudaFree(device_bins));
    printf("sorted %d bytes into %d bins, the fullest has %u\n", count, BINS, got[0]);
    return finish(count_wrong("bins", got.data(), want.data(), BINS));
}
