/* SPDX-License-Identifier: Apache-2.0
 * 128-bit integers, which the compiler makes of carry chains (its division asks with an addition
 * for what a subtraction left in the carry flag), and recursion as deep as the stack limit allows.
 */
#include "examples/check.h"

typedef __int128 wide;
typedef unsigned __int128 unsigned_wide;

enum { LANES = 64, RESULTS = 7, DEPTH = 300 };

__global__ void compute(const wide *a, const wide *b, wide *out)
{
    int i = threadIdx.x;
    wide x = a[i], y = b[i], *o = out + RESULTS * i;

    o[0] = x + y;
    o[1] = x - y;
    o[2] = (wide)((unsigned_wide)x * (unsigned_wide)y);
    o[3] = x / y;
    o[4] = x % y;
    o[5] = (wide)((unsigned_wide)x / (unsigned_wide)y);
    o[6] = x >> i ^ (wide)((unsigned_wide)y << i);
}

static wide random_wide(int bits)
{
    unsigned_wide value = 0;

    for (int i = 0; i < 9; i++)
        value = value << 15 ^ (unsigned)rand();
    return (wide)(value >> (128 - bits));
}

static long wrong_wides(void)
{
    wide *a, *b, *out;
    long wrong = 0;

    CUDA_CHECK(cudaMallocManaged(&a, LANES * sizeof(wide)));
    CUDA_CHECK(cudaMallocManaged(&b, LANES * sizeof(wide)));
    CUDA_CHECK(cudaMallocManaged(&out, LANES * RESULTS * sizeof(wide)));
    for (int i = 0; i < LANES; i++) {
        a[i] = random_wide(125) * (i & 1 ? -1 : 1);
        b[i] = (random_wide(3 + i * 122 / LANES) | 1) * (i & 2 ? -1 : 1);
    }
    compute<<<1, LANES>>>(a, b, out);
    CUDA_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < LANES; i++) {
        wide x = a[i], y = b[i];
        const wide want[RESULTS] = {
            x + y,
            x - y,
            (wide)((unsigned_wide)x * (unsigned_wide)y),
            x / y,
            x % y,
            (wide)((unsigned_wide)x / (unsigned_wide)y),
            x >> i ^ (wide)((unsigned_wide)y << i),
        };

        for (int r = 0; r < RESULTS; r++)
            if (out[RESULTS * i + r] != want[r]) {
                fprintf(stderr, "lane %d, result %d differs\n", i, r);
                wrong++;
            }
    }
    return wrong;
}

/* The array keeps a frame in local memory. */
__device__ __noinline__ int deep(int n, const int *last)
{
    volatile int kept[16];

    kept[n & 15] = n;
    return n == 0 ? *last : deep(n - 1, last) + kept[n & 15];
}

__global__ void recurse(int *out, const int *last)
{
    out[threadIdx.x] = deep(DEPTH + threadIdx.x, last);
}

static long wrong_recursion(void)
{
    int *out;
    long wrong = 0;

    CUDA_CHECK(cudaMallocManaged(&out, (LANES + 1) * sizeof(int)));
    out[LANES] = 5;
    CUDA_CHECK(cudaDeviceSetLimit(cudaLimitStackSize, 64 * 1024));
    recurse<<<1, LANES>>>(out, out + LANES);
    CUDA_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < LANES; i++)
        wrong += out[i] != (DEPTH + i) * (DEPTH + i + 1) / 2 + 5;
    return wrong;
}

int main()
{
    return finish(wrong_wides() + wrong_recursion());
}
