/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/faults.cu - kernels that go wrong, each in its own way.
 */
#include <cassert>

extern "C" {
__global__ void store(int *p, int lane)
{
    if (threadIdx.x == lane)
        *p = 1;
}

__global__ void load(const int *p, int *out)
{
    *out = p[threadIdx.x];
}

__global__ void shared_overrun(int n)
{
    __shared__ volatile int box[32];

    box[threadIdx.x] = 1;
    __syncthreads();
    asm volatile("st.shared.u32 [%0], %1;" ::"r"((unsigned)n), "r"(box[0]) : "memory");
}

__global__ void trap(int lane)
{
    if (threadIdx.x == lane)
        __trap();
}

__global__ void fails(int n)
{
    assert(threadIdx.x + blockIdx.x < n);
}

/* Half of the threads never come. */
__global__ void hang(int *out)
{
    if (threadIdx.x < 32)
        asm volatile("bar.sync 1, 64;" ::: "memory");
    else
        asm volatile("bar.sync 2, 64;" ::: "memory");
    *out = 1;
}

__global__ void endless(volatile int *flag)
{
    while (*flag == 0)
        ;
}

__global__ void endless_divergent(volatile int *flag, int *out)
{
    int n = 0;

    while (*flag == 0) {
        if (((threadIdx.x + n) & 3) == 0)
            n += 3;
        n++;
    }
    out[threadIdx.x] = n;
}

__global__ void endless_arithmetic(int n, int *out)
{
    unsigned v = n | 1;

    while (v != 0)
        v = v * 5 | 1;
    *out = v;
}

__global__ void wait_for(volatile int *flag, int *out)
{
    while (*flag == 0)
        ;
    out[blockIdx.x] = 1;
}

__global__ void set_flag(volatile int *flag)
{
    *flag = 1;
}

__device__ __noinline__ int deep(int n)
{
    volatile int box[64];

    box[n & 63] = n;
    return n == 0 ? 0 : deep(n - 1) + box[n & 63];
}

__global__ void overflow(int *out, int n)
{
    *out = deep(n);
}
}
