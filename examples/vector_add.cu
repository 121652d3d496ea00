/* SPDX-License-Identifier: Apache-2.0
 * vector_add - the smallest complete CUDA program: allocate, copy, launch, copy back, compare.
 */
#include <vector>

#include "check.h"

__global__ void vector_add(const float *a, const float *b, float *sum, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        sum[i] = a[i] + b[i];
}

int main()
{
    const int count = 100003; /* not a multiple of anything: the last block is partly idle */
    const size_t bytes = count * sizeof(float);
    std::vector<float> a(count), b(count), want(count), got(count);

    for (int i = 0; i < count; i++) {
        a[i] = 0.5f * (float)i;
        b[i] = 1.0f / (float)(i + 1);
        want[i] = a[i] + b[i];
    }

    float *device_a, *device_b, *device_sum;
    CUDA_CHECK(cudaMalloc(&device_a, bytes));
    CUDA_CHECK(cudaMalloc(&device_b, bytes));
    CUDA_CHECK(cudaMalloc(&device_sum, bytes));
    CUDA_CHECK(cudaMemcpy(device_a, a.data(), bytes, cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemcpy(device_b, b.data(), bytes, cudaMemcpyHostToDevice));

    vector_add<<<(count + 255) / 256, 256>>>(device_a, device_b, device_sum, count);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_sum, bytes, cudaMemcpyDeviceToHost));

    CUDA_CHECK(cudaFree(device_a));
    CUDA_CHECK(cudaFree(device_b));
    CUDA_CHECK(cudaFree(device_sum));
    printf("added %d pairs of floats\n", count);
    return finish(count_wrong("sum", got.data(), want.data(), count));
}
