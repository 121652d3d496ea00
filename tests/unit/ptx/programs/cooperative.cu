// SPDX-License-Identifier: Apache-2.0
// Cooperative groups and the C++ library's barriers, pipelines and atomics.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/pipeline>

namespace cg = cooperative_groups;

__global__ void groups(int *data)
{
    cg::grid_group grid = cg::this_grid();
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<16>(block);
    auto active = cg::coalesced_threads();

    data[grid.thread_rank()] = tile.shfl_down(data[0], 2) + tile.any(data[1]) + active.size();
    block.sync();
    data[1] = cg::reduce(tile, data[2], cg::plus<int>()) + tile.ballot(data[3]) + active.shfl(3, 0);
    grid.sync();
    auto parts = cg::labeled_partition(active, data[4]);
    data[5] = parts.thread_rank() + cg::binary_partition(active, data[6] > 0).size();
}

__global__ void barriers(int *data)
{
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;

    if (threadIdx.x == 0)
        init(&barrier, blockDim.x);
    __syncthreads();
    auto token = barrier.arrive();
    data[0]++;
    barrier.wait(std::move(token));
    barrier.arrive_and_wait();
    barrier.arrive_and_drop();
}

__global__ void pipelines(int *out, const int *in, int n)
{
    __shared__ int stage[2][128];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    cg::thread_block block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);

    for (int i = 0; i < n; i++) {
        pipeline.producer_acquire();
        cuda::memcpy_async(block, stage[i & 1], in + i * 128, sizeof(stage[0]), pipeline);
        pipeline.producer_commit();
        pipeline.consumer_wait();
        out[i * 128 + threadIdx.x] = stage[i & 1][threadIdx.x];
        pipeline.consumer_release();
    }
    cg::memcpy_async(block, stage[0], in, sizeof(stage[0]));
    cg::wait(block);
    out[0] = stage[0][5];
}

__global__ void atomics(int *data, cuda::atomic<unsigned long long> *system)
{
    cuda::atomic_ref<int, cuda::thread_scope_device> device(data[0]);
    cuda::atomic_ref<int, cuda::thread_scope_block> block(data[1]);
    int expected = 3;

    device.fetch_add(1, cuda::std::memory_order_relaxed);
    block.fetch_max(2, cuda::std::memory_order_acq_rel);
    device.compare_exchange_strong(expected, 7);
    system->store(device.load(cuda::std::memory_order_acquire));
    system->fetch_or(5, cuda::std::memory_order_release);
    cuda::atomic_thread_fence(cuda::std::memory_order_seq_cst, cuda::thread_scope_device);
    data[2] = block.exchange(4);
}
