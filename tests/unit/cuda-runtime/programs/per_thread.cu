/* SPDX-License-Identifier: Apache-2.0
 * Compiled with --default-stream per-thread: the default stream is handle 2 everywhere.
 */
#include <cstdio>

#include <cuda_runtime.h>

__global__ void nothing()
{
}

int main()
{
    float value = 1, *data = nullptr;
    cudaStream_t stream = nullptr;

    if (cudaMalloc(&data, sizeof(value)) ||
        cudaMemcpy(data, &value, sizeof(value), cudaMemcpyHostToDevice))
        return 1;
    nothing<<<1, 1>>>();
    nothing<<<1, 1, 0, cudaStreamLegacy>>>();
    if (cudaStreamSynchronize(stream) || cudaGetLastError() || cudaFree(data))
        return 1;
    std::printf("done\n");
    return 0;
}
