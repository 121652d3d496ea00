/* SPDX-License-Identifier: Apache-2.0
 * Control flow that is hard on a machine of 32 lanes: recursion, divergent loops and switches,
 * local arrays, early exits before barriers, a spin lock inside a warp, a producer warp.
 */
#include <vector>

#include "examples/check.h"

__device__ __noinline__ long long ackermann_like(int m, int n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann_like(m - 1, 1) : ackermann_like(m - 1, (int)(n % 5)) + n;
}

__host__ __device__ inline int collatz(long long n)
{
    int steps = 0;

    while (n != 1) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        steps++;
    }
    return steps;
}

__host__ __device__ inline int by_switch(int x)
{
    switch (x % 7) {
    case 0:
        return x * 2;
    case 1:
        return x - 100;
    case 2:
        return by_switch(x / 2) + 1;
    case 4:
        return -x;
    case 5:
        return x ^ 0x55;
    default:
        return x / 3;
    }
}

__global__ void diverge(long long *out, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, local[16];

    if (i >= count)
        return; /* before the barrier: the others must not wait for these */
    for (int k = 0; k < 16; k++)
        local[k] = (i * (k + 1)) % 17;
    for (int k = 0; k < 15; k++) /* insertion by addresses that differ from lane to lane */
        if (local[k] > local[k + 1]) {
            int swap = local[k];
            local[k] = local[k + 1];
            local[k + 1] = swap;
        }
    __syncthreads();
    out[i] = collatz(i + 1) + 1000LL * by_switch(i) + 1000000LL * local[i % 16] +
             1000000000LL * ackermann_like(3, i % 4);
}

__device__ int lock_word = 0, guarded = 0;

__global__ void spin_lock()
{
    bool done = false;

    while (!done) {
        if (atomicCAS(&lock_word, 0, 1) == 0) {
            __threadfence();
            guarded = guarded + 1; /* not atomic: only the lock protects it */
            __threadfence();
            atomicExch(&lock_word, 0);
            done = true;
        }
    }
}

__global__ void producer_consumer(int *result)
{
    __shared__ volatile int mailbox, ready;

    if (threadIdx.x == 0)
        ready = 0;
    __syncthreads();
    if (threadIdx.x == 32) { /* another warp than the one that waits */
        mailbox = 1234;
        __threadfence_block();
        ready = 1;
    } else if (threadIdx.x == 0) {
        while (!ready) {
        }
        *result = mailbox;
    }
}

static long long host_ackermann(int m, int n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? host_ackermann(m - 1, 1) : host_ackermann(m - 1, n % 5) + n;
}

int main()
{
    const int count = 700;
    std::vector<long long> got(count), want(count);
    long long *device;
    int *result, received = 0, counted = 0;
    long wrong = 0;

    for (int i = 0; i < count; i++) {
        int local[16];
        for (int k = 0; k < 16; k++)
            local[k] = (i * (k + 1)) % 17;
        for (int k = 0; k < 15; k++)
            if (local[k] > local[k + 1])
                std::swap(local[k], local[k + 1]);
        want[i] = collatz(i + 1) + 1000LL * by_switch(i) + 1000000LL * local[i % 16] +
                  1000000000LL * host_ackermann(3, i % 4);
    }
    CUDA_CHECK(cudaMalloc(&device, count * sizeof(*device)));
    CUDA_CHECK(cudaMalloc(&result, sizeof(int)));
    diverge<<<(count + 127) / 128, 128>>>(device, count);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device, count * sizeof(*device), cudaMemcpyDeviceToHost));
    wrong += count_wrong("diverge", got.data(), want.data(), count);

    spin_lock<<<4, 128>>>();
    CUDA_CHECK(cudaMemcpyFromSymbol(&counted, guarded, sizeof(int)));
    wrong += counted != 512;
    producer_consumer<<<1, 64>>>(result);
    CUDA_CHECK(cudaMemcpy(&received, result, sizeof(int), cudaMemcpyDeviceToHost));
    wrong += received != 1234;
    CUDA_CHECK(cudaFree(device));
    CUDA_CHECK(cudaFree(result));
    return finish(wrong);
}
