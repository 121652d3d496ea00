/* SPDX-License-Identifier: Apache-2.0
 * Asynchronous copies to shared memory: cuda::barrier with arrive and wait, cuda::pipeline in two
 * stages, cooperative memcpy_async. Built for sm_80, so that cp.async and mbarrier are used.
 */
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#include <cuda/pipeline>

#include <vector>

#include "examples/check.h"

namespace cg = cooperative_groups;

enum { THREADS = 128, STAGES = 2 };

__global__ void by_barrier(const int *in, int *out, int rounds)
{
    __shared__ int buffer[THREADS];
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    cg::thread_block block = cg::this_thread_block();

    if (block.thread_rank() == 0)
        init(&barrier, block.size());
    block.sync();
    for (int round = 0; round < rounds; round++) {
        cuda::memcpy_async(block, buffer, in + round * THREADS, sizeof(buffer), barrier);
        barrier.arrive_and_wait();
        out[round * THREADS + threadIdx.x] = buffer[THREADS - 1 - threadIdx.x];
        barrier.arrive_and_wait();
    }
}

__global__ void by_pipeline(const int *in, int *out, int rounds)
{
    __shared__ int buffer[STAGES][THREADS];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
    cg::thread_block block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);

    for (int round = 0, fetched = 0; round < rounds; round++) {
        for (; fetched < rounds && fetched < round + STAGES; fetched++) {
            pipeline.producer_acquire();
            cuda::memcpy_async(block, buffer[fetched % STAGES], in + fetched * THREADS,
                               sizeof(buffer[0]), pipeline);
            pipeline.producer_commit();
        }
        pipeline.consumer_wait();
        out[round * THREADS + threadIdx.x] = buffer[round % STAGES][THREADS - 1 - threadIdx.x];
        pipeline.consumer_release();
    }
}

__global__ void by_group(const int *in, int *out, int rounds)
{
    __shared__ int buffer[THREADS];
    cg::thread_block block = cg::this_thread_block();

    for (int round = 0; round < rounds; round++) {
        cg::memcpy_async(block, buffer, in + round * THREADS, sizeof(buffer));
        cg::wait(block);
        out[round * THREADS + threadIdx.x] = buffer[THREADS - 1 - threadIdx.x];
        block.sync();
    }
}

int main()
{
    const int rounds = 9, count = THREADS * rounds;
    std::vector<int> in(count), want(count), got(count);
    void (*const kernels[])(const int *, int *, int) = {by_barrier, by_pipeline, by_group};
    const char *const names[] = {"barrier", "pipeline", "group"};
    int *device_in, *device_out;
    long wrong = 0;

    for (int i = 0; i < count; i++) {
        in[i] = i * 3 + 1;
        want[i] = (i / THREADS * THREADS + THREADS - 1 - i % THREADS) * 3 + 1;
    }
    CUDA_CHECK(cudaMalloc(&device_in, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&device_out, count * sizeof(int)));
    CUDA_CHECK(cudaMemcpy(device_in, in.data(), count * sizeof(int), cudaMemcpyHostToDevice));
    for (int k = 0; k < 3; k++) {
        CUDA_CHECK(cudaMemset(device_out, 0, count * sizeof(int)));
        kernels[k]<<<1, THREADS>>>(device_in, device_out, rounds);
        CUDA_CHECK(cudaGetLastError());
        CUDA_CHECK(cudaMemcpy(got.data(), device_out, count * sizeof(int),
                              cudaMemcpyDeviceToHost));
        wrong += count_wrong(names[k], got.data(), want.data(), count);
    }
    return finish(wrong);
}
