/* SPDX-License-Identifier: Apache-2.0
 * grid_sync - a cooperative kernel: all blocks meet at a grid-wide barrier between the steps of a
 * diffusion, so that one launch does what otherwise takes one launch a step.
 */
#include <cooperative_groups.h>
#include <vector>

#include "check.h"

namespace cg = cooperative_groups;

__global__ void diffuse(float *now, float *next, int count, int steps)
{
    cg::grid_group grid = cg::this_grid();

    for (int step = 0; step < steps; step++) {
        for (int i = (int)grid.thread_rank(); i < count; i += (int)grid.size()) {
            float left = now[i > 0 ? i - 1 : 0], right = now[i < count - 1 ? i + 1 : i];
            next[i] = 0.25f * left + 0.5f * now[i] + 0.25f * right;
        }
        grid.sync();
        float *old = now;
        now = next;
        next = old;
    }
}

int main()
{
    const int threads = 128, steps = 20;
    int count = 5000, device = 0, supported = 0, sm_count = 0, blocks_per_sm = 0;

    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrCooperativeLaunch, device));
    CUDA_CHECK(cudaDeviceGetAttribute(&sm_count, cudaDevAttrMultiProcessorCount, device));
    CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_per_sm, diffuse, threads, 0));
    if (!supported || blocks_per_sm < 1) {
        printf("no cooperative launch on this device\n");
        return finish(1);
    }
    int blocks = sm_count * blocks_per_sm < 16 ? sm_count * blocks_per_sm : 16;

    std::vector<float> want(count, 0.0f), got(count), other(count);
    want[count / 2] = 1024.0f;
    float *now, *next;
    CUDA_CHECK(cudaMalloc(&now, count * sizeof(float)));
    CUDA_CHECK(cudaMalloc(&next, count * sizeof(float)));
    CUDA_CHECK(cudaMemcpy(now, want.data(), count * sizeof(float), cudaMemcpyHostToDevice));

    int steps_argument = steps;
    void *arguments[] = {&now, &next, &count, &steps_argument};
    CUDA_CHECK(cudaLaunchCooperativeKernel((void *)diffuse, dim3(blocks), dim3(threads), arguments,
                                           0, 0));
    CUDA_CHECK(cudaMemcpy(got.data(), steps % 2 ? next : now, count * sizeof(float),
                          cudaMemcpyDeviceToHost));
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < count; i++)
            other[i] = 0.25f * want[i > 0 ? i - 1 : 0] + 0.5f * want[i] +
                       0.25f * want[i < count - 1 ? i + 1 : i];
        want.swap(other);
    }

    CUDA_CHECK(cudaFree(now));
    CUDA_CHECK(cudaFree(next));
    printf("%d steps over %d cells by %d cooperating blocks\n", steps, count, blocks);
    return finish(count_wrong("cells", got.data(), want.data(), count, 1e-6));
}
