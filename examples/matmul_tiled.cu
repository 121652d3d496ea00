/* SPDX-License-Identifier: Apache-2.0
 * matmul_tiled - matrix product through shared memory: each block computes one 16 x 16 tile and
 * loads every input element once per tile instead of once per product.
 */
#include <vector>

#include "check.h"

enum { TILE = 16 };

__global__ void matmul(const float *a, const float *b, float *c, int n)
{
    __shared__ float tile_a[TILE][TILE], tile_b[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0.0f;

    for (int start = 0; start < n; start += TILE) {
        int k_a = start + threadIdx.x, k_b = start + threadIdx.y;
        tile_a[threadIdx.y][threadIdx.x] = row < n && k_a < n ? a[row * n + k_a] : 0.0f;
        tile_b[threadIdx.y][threadIdx.x] = column < n && k_b < n ? b[k_b * n + column] : 0.0f;
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            sum += tile_a[threadIdx.y][k] * tile_b[k][threadIdx.x];
        __syncthreads();
    }
    if (row < n && column < n)
        c[row * n + column] = sum;
}

int main()
{
    const int n = 150; /* the last tiles hang over the edge */
    const size_t bytes = (size_t)n * n * sizeof(float);
    std::vector<float> a(n * n), b(n * n), want(n * n), got(n * n);

    for (int i = 0; i < n * n; i++) {
        a[i] = (float)(i % 17) - 8.0f;
        b[i] = (float)(i % 13) - 6.0f;
    }
    for (int row = 0; row < n; row++)
        for (int column = 0; column < n; column++) {
            float sum = 0.0f;
            for (int k = 0; k < n; k++)
                sum += a[row * n + k] * b[k * n + column];
            want[row * n + column] = sum; /* small integers: exact in any order */
        }

    float *device_a, *device_b, *device_c;
    CUDA_CHECK(cudaMalloc(&device_a, bytes));
    CUDA_CHECK(cudaMalloc(&device_b, bytes));
    CUDA_CHECK(cudaMalloc(&device_c, bytes));
    CUDA_CHECK(cudaMemcpy(device_a, a.data(), bytes, cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaMemcpy(device_b, b.data(), bytes, cudaMemcpyHostToDevice));

    dim3 threads(TILE, TILE), blocks((n + TILE - 1) / TILE, (n + TILE - 1) / TILE);
    matmul<<<blocks, threads>>>(device_a, device_b, device_c, n);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_c, bytes, cudaMemcpyDeviceToHost));

    CUDA_CHECK(cudaFree(device_a));
    CUDA_CHECK(cudaFree(device_b));
    CUDA_CHECK(cudaFree(device_c));
    printf("multiplied two %d x %d matrices in %d x %d tiles\n", n, n, TILE, TILE);
    return finish(count_wrong("c", got.data(), want.data(), (long)n * n));
}
