/* SPDX-License-Identifier: Apache-2.0
 * Cooperative groups below the grid: tiles of several sizes, coalesced and labelled groups,
 * group-wide scans and reductions, elections.
 */
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

#include <vector>

#include "examples/check.h"

namespace cg = cooperative_groups;

template <int SIZE> __device__ int tile_sum(int value)
{
    cg::thread_block_tile<SIZE> tile = cg::tiled_partition<SIZE>(cg::this_thread_block());

    return cg::reduce(tile, value, cg::plus<int>()) + (int)tile.meta_group_rank() * 1000000;
}

__global__ void in_groups(int *out)
{
    cg::thread_block block = cg::this_thread_block();
    int rank = (int)block.thread_rank(), count = (int)block.size(), at = 0;

    out[at++ * count + rank] = tile_sum<4>(rank);
    out[at++ * count + rank] = tile_sum<16>(rank);
    out[at++ * count + rank] = tile_sum<32>(rank);

    int odd = -1;
    if (rank % 3 == 1) { /* lanes that came here together */
        cg::coalesced_group active = cg::coalesced_threads();
        odd = (int)active.size() * 100 + (int)active.thread_rank();
        active.sync();
    }
    out[at++ * count + rank] = odd;

    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    auto same = cg::labeled_partition(warp, rank % 5);
    out[at++ * count + rank] = cg::reduce(same, rank, cg::greater<int>());
    out[at++ * count + rank] = cg::inclusive_scan(warp, rank % 7);
    out[at++ * count + rank] = (int)warp.ballot(rank % 2 == 0) ^ (warp.any(rank == 40) ? 1 : 0);
    out[at++ * count + rank] = warp.shfl(rank * 10, 5) + warp.shfl_xor(rank, 3);
    cg::sync(block);
}

int main()
{
    const int threads = 96, rows = 8;
    std::vector<int> got(threads * rows), want(threads * rows);
    int *device;

    CUDA_CHECK(cudaMalloc(&device, got.size() * sizeof(int)));
    in_groups<<<1, threads>>>(device);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device, got.size() * sizeof(int), cudaMemcpyDeviceToHost));

    for (int rank = 0; rank < threads; rank++) {
        int row = 0, warp = rank / 32 * 32;
        for (int size : {4, 16, 32}) {
            int first = rank / size * size, sum = 0;
            for (int i = first; i < first + size; i++)
                sum += i;
            want[row++ * threads + rank] = sum + rank / size * 1000000;
        }
        int members = 0, before = 0;
        for (int i = warp; i < warp + 32; i++)
            if (i % 3 == 1) {
                members++;
                before += i < rank;
            }
        want[row++ * threads + rank] = rank % 3 == 1 ? members * 100 + before : -1;
        int highest = 0, sum = 0;
        unsigned even = 0;
        for (int i = warp; i < warp + 32; i++) {
            if (i % 5 == rank % 5)
                highest = i;
            if (i <= rank)
                sum += i % 7;
            even |= (unsigned)(i % 2 == 0) << (i - warp);
        }
        want[row++ * threads + rank] = highest;
        want[row++ * threads + rank] = sum;
        want[row++ * threads + rank] = (int)even ^ (warp == 32);
        want[row++ * threads + rank] = (warp + 5) * 10 + (rank ^ 3);
    }
    CUDA_CHECK(cudaFree(device));
    return finish(count_wrong("groups", got.data(), want.data(), (long)got.size()));
}
