/* SPDX-License-Identifier: Apache-2.0
 * scan - inclusive prefix sums of many rows: Hillis and Steele's algorithm in shared memory, with
 * a barrier on both sides of every step.
 */
#include <vector>

#include "check.h"

enum { ROW = 256 };

__global__ void scan_rows(const int *in, int *out)
{
    __shared__ int sums[ROW];
    int i = threadIdx.x;

    sums[i] = in[blockIdx.x * ROW + i];
    __syncthreads();
    for (int distance = 1; distance < ROW; distance *= 2) {
        int left = i >= distance ? sums[i - distance] : 0;
        __syncthreads(); /* all have read before anyone writes */
        sums[i] += left;
        __syncthreads();
    }
    out[blockIdx.x * ROW + i] = sums[i];
}

int main()
{
    const int rows = 200, count = rows * ROW;
    std::vector<int> in(count), want(count), got(count);

    for (int i = 0; i < count; i++) {
        in[i] = i % 7 - 3;
        want[i] = in[i] + (i % ROW ? want[i - 1] : 0);
    }

    int *device_in, *device_out;
    CUDA_CHECK(cudaMalloc(&device_in, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&device_out, count * sizeof(int)));
    CUDA_CHECK(cudaMemcpy(device_in, in.data(), count * sizeof(int), cudaMemcpyHostToDevice));
    scan_rows<<<rows, ROW>>>(device_in, device_out);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_out, count * sizeof(int), cudaMemcpyDeviceToHost));

    CUDA_CHECK(cudaFree(device_in));
    CUDA_CHECK(cudaFree(device_out));
    printf("scanned %d rows of %d integers\n", rows, ROW);
    return finish(count_wrong("sums", got.data(), want.data(), count));
}
