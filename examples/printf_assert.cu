/* SPDX-License-Identifier: Apache-2.0
 * printf_assert - text from the device, and what a failed device assertion does: the launch ends
 * with cudaErrorAssert, the error stays with the context, the program lives on and can report it.
 */
#include <cassert>

#include "check.h"

__global__ void introduce(const char *greeting, double half)
{
    printf("%s from block %u, thread %u: %.2f, %5d|%-5d|%05x %c%%\n", greeting, blockIdx.x,
           threadIdx.x, (blockIdx.x + threadIdx.x) * half, -7, 7, 0xbeef, 'A' + (int)threadIdx.x);
}

__global__ void must_be_small(int value)
{
    assert(value < 10 && "the value is too large");
}

int main()
{
    char *greeting;

    CUDA_CHECK(cudaMallocManaged(&greeting, 16));
    snprintf(greeting, 16, "hello");
    introduce<<<2, 2>>>(greeting, 0.5);
    CUDA_CHECK(cudaDeviceSynchronize()); /* the text is out after this */

    must_be_small<<<1, 1>>>(3);
    CUDA_CHECK(cudaDeviceSynchronize());
    must_be_small<<<1, 1>>>(30);
    cudaError_t first = cudaDeviceSynchronize(), again = cudaDeviceSynchronize();
    printf("assertion: %s, and again: %s\n", cudaGetErrorName(first), cudaGetErrorName(again));
    return finish(first != cudaErrorAssert || again != cudaErrorAssert);
}
