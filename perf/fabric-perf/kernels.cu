/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/kernels.cu - see kernels.h. Compiled by plain nvcc.
 */
#include "perf/fabric-perf/kernels.h"

static __global__ void empty()
{
}

/* 16 bytes a thread; the rest, below 16, byte by byte. */
static __global__ void copy(uint4 *to, const uint4 *from, size_t count, unsigned rest)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        to[i] = from[i];
    else if (i - count < rest)
        ((char *)(to + count))[i - count] = ((const char *)(from + count))[i - count];
}

cudaError_t fp_kernel_empty(cudaStream_t stream)
{
    empty<<<1, 1, 0, stream>>>();
    return cudaGetLastError();
}

cudaError_t fp_kernel_copy(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
    const unsigned threads = 256, rest = (unsigned)(bytes % sizeof(uint4));
    const size_t count = bytes / sizeof(uint4);

    copy<<<(unsigned)((count + rest + threads - 1) / threads), threads, 0, stream>>>(
        (uint4 *)to, (const uint4 *)from, count, rest);
    return cudaGetLastError();
}
