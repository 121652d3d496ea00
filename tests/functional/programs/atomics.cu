/* SPDX-License-Identifier: Apache-2.0
 * Atomics of every kind on global and shared memory, and cuda::atomic_ref with orders and scopes.
 */
#include <cuda/atomic>

#include "examples/check.h"

struct results {
    int add, sub, smallest, largest, bits_and, bits_or, bits_xor;
    unsigned inc, dec, cas_adds, exchanged, umax;
    long long wide_max;
    unsigned long long wide_add, wide_cas;
    float float_add;
    double double_add;
    int ref_add, ref_max, shared_total;
};

__global__ void work(results *r)
{
    __shared__ int block_total;
    __shared__ float block_float;
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (threadIdx.x == 0) {
        block_total = 0;
        block_float = 0.0f;
    }
    __syncthreads();
    atomicAdd(&r->add, i);
    atomicSub(&r->sub, 2);
    atomicMin(&r->smallest, 50 - i);
    atomicMax(&r->largest, i * 3);
    atomicAnd(&r->bits_and, ~(1 << i % 20));
    atomicOr(&r->bits_or, 1 << i % 31);
    atomicXor(&r->bits_xor, i);
    atomicInc(&r->inc, 9);
    atomicDec(&r->dec, 6);
    atomicExch(&r->exchanged, 77u);
    atomicMax(&r->umax, (unsigned)-i);
    atomicMax(&r->wide_max, (long long)i << 33);
    atomicAdd(&r->wide_add, 1ull << 32);
    atomicAdd(&r->float_add, 0.5f);
    atomicAdd(&r->double_add, 0.25);
    for (unsigned seen = r->cas_adds, old;; seen = old) { /* a loop that lanes leave one by one */
        old = atomicCAS(&r->cas_adds, seen, seen + 3);
        if (old == seen)
            break;
    }
    atomicCAS(&r->wide_cas, 5ull, 6ull);
    cuda::atomic_ref<int, cuda::thread_scope_device> add(r->ref_add), max(r->ref_max);
    add.fetch_add(2, cuda::memory_order_relaxed);
    max.fetch_max(i, cuda::memory_order_acq_rel);

    atomicAdd(&block_total, 1);
    atomicAdd(&block_float, 1.0f);
    __syncthreads();
    if (threadIdx.x == 0)
        atomicAdd_system(&r->shared_total, block_total + (int)block_float);
}

int main()
{
    const int blocks = 8, threads = 96, count = blocks * threads;
    results *r, want = {};

    CUDA_CHECK(cudaMallocManaged(&r, sizeof(*r)));
    *r = {};
    r->bits_and = -1;
    r->wide_cas = 5;
    work<<<blocks, threads>>>(r);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaDeviceSynchronize());

    want.bits_and = -1;
    for (int i = 0; i < count; i++) {
        want.add += i;
        want.bits_and &= ~(1 << i % 20);
        want.bits_or |= 1 << i % 31;
        want.bits_xor ^= i;
        want.inc = want.inc >= 9 ? 0 : want.inc + 1;
        want.dec = want.dec == 0 || want.dec > 6 ? 6 : want.dec - 1;
    }
    long wrong = r->add != want.add;
    wrong += r->sub != -2 * count || r->smallest != 50 - (count - 1) || r->largest != 3 * (count - 1);
    wrong += r->bits_and != want.bits_and || r->bits_or != want.bits_or;
    wrong += r->bits_xor != want.bits_xor || r->inc != want.inc || r->dec != want.dec;
    wrong += r->exchanged != 77 || r->umax != 0xffffffffu;
    wrong += r->wide_max != (long long)(count - 1) << 33;
    wrong += r->wide_add != (unsigned long long)count << 32 || r->wide_cas != 6;
    wrong += r->float_add != 0.5f * count || r->double_add != 0.25 * count;
    wrong += r->cas_adds != 3u * count;
    wrong += r->ref_add != 2 * count || r->ref_max != count - 1 || r->shared_total != 2 * count;
    CUDA_CHECK(cudaFree(r));
    return finish(wrong);
}
