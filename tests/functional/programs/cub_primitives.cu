/* SPDX-License-Identifier: Apache-2.0
 * CUB: device-wide reduce, scan, radix sort of 64-bit keys, select, histogram; block and warp
 * primitives inside a kernel.
 */
#include <cub/cub.cuh>
#include <cuda/functional>

#include <algorithm>
#include <vector>

#include "examples/check.h"

template <int THREADS>
__global__ void block_primitives(const int *in, int *scanned, int *block_sums)
{
    using scan = cub::BlockScan<int, THREADS>;
    using reduce = cub::BlockReduce<int, THREADS>;
    using warp_reduce = cub::WarpReduce<int>;
    __shared__ union {
        typename scan::TempStorage scan;
        typename reduce::TempStorage reduce;
        typename warp_reduce::TempStorage warp[THREADS / 32];
    } scratch;
    int at = blockIdx.x * THREADS + threadIdx.x, value = in[at], result;

    scan(scratch.scan).InclusiveSum(value, result);
    scanned[at] = result;
    __syncthreads();
    int total = reduce(scratch.reduce).Sum(value);
    __syncthreads();
    int warp_max = warp_reduce(scratch.warp[threadIdx.x / 32]).Reduce(value, cuda::maximum<>{});
    if (threadIdx.x == 0)
        block_sums[blockIdx.x] = total * 1000 + warp_max;
}

template <typename F> static void with_scratch(F call)
{
    size_t bytes = 0;
    void *scratch = nullptr;

    CUDA_CHECK(call(nullptr, bytes));
    CUDA_CHECK(cudaMalloc(&scratch, bytes));
    CUDA_CHECK(call(scratch, bytes));
    CUDA_CHECK(cudaDeviceSynchronize());
    CUDA_CHECK(cudaFree(scratch));
}

int main()
{
    const int threads = 128, blocks = 24, count = threads * blocks;
    std::vector<int> host(count), got(count);
    std::vector<unsigned long long> keys(count), got_keys(count);
    unsigned long long state = 42;
    long wrong = 0;

    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        host[i] = (int)(state >> 40) % 100;
        keys[i] = state;
    }
    int *in, *out, *sums;
    unsigned long long *keys_in, *keys_out;
    CUDA_CHECK(cudaMalloc(&in, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&out, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&sums, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&keys_in, count * sizeof(*keys_in)));
    CUDA_CHECK(cudaMalloc(&keys_out, count * sizeof(*keys_out)));
    CUDA_CHECK(cudaMemcpy(in, host.data(), count * sizeof(int), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemcpy(keys_in, keys.data(), count * sizeof(*keys_in), cudaMemcpyHostToDevice));

    block_primitives<threads><<<blocks, threads>>>(in, out, sums);
    CUDA_CHECK(cudaGetLastError());
    std::vector<int> got_sums(blocks);
    CUDA_CHECK(cudaMemcpy(got.data(), out, count * sizeof(int), cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(got_sums.data(), sums, blocks * sizeof(int), cudaMemcpyDeviceToHost));
    for (int block = 0; block < blocks; block++) {
        int sum = 0, highest = 0;
        for (int i = 0; i < threads; i++) {
            sum += host[block * threads + i];
            if (i < 32)
                highest = std::max(highest, host[block * threads + i]);
            wrong += got[block * threads + i] != sum;
        }
        wrong += got_sums[block] != sum * 1000 + highest;
    }

    int total = 0, want_total = 0;
    with_scratch([&](void *scratch, size_t &bytes) {
        return cub::DeviceReduce::Sum(scratch, bytes, in, sums, count);
    });
    CUDA_CHECK(cudaMemcpy(&total, sums, sizeof(int), cudaMemcpyDeviceToHost));
    for (int value : host)
        want_total += value;
    wrong += total != want_total;

    with_scratch([&](void *scratch, size_t &bytes) {
        return cub::DeviceScan::InclusiveSum(scratch, bytes, in, out, count);
    });
    CUDA_CHECK(cudaMemcpy(got.data(), out, count * sizeof(int), cudaMemcpyDeviceToHost));
    for (int i = 0, sum = 0; i < count; i++)
        wrong += got[i] != (sum += host[i]);

    with_scratch([&](void *scratch, size_t &bytes) {
        return cub::DeviceRadixSort::SortKeys(scratch, bytes, keys_in, keys_out, count);
    });
    CUDA_CHECK(cudaMemcpy(got_keys.data(), keys_out, count * sizeof(*keys_out),
                          cudaMemcpyDeviceToHost));
    std::sort(keys.begin(), keys.end());
    wrong += got_keys != keys;

    with_scratch([&](void *scratch, size_t &bytes) {
        return cub::DeviceHistogram::HistogramEven(scratch, bytes, in, sums, 11, 0, 100, count);
    });
    CUDA_CHECK(cudaMemcpy(got_sums.data(), sums, 10 * sizeof(int), cudaMemcpyDeviceToHost));
    std::vector<int> bins(10, 0);
    for (int value : host)
        bins[value / 10]++;
    wrong += count_wrong("bins", got_sums.data(), bins.data(), 10);
    return finish(wrong);
}
