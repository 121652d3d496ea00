/* SPDX-License-Identifier: Apache-2.0
 * jacobi - Laplace's equation on a plate by Jacobi iterations, the rows shared out over all devices.
 * After each iteration the border rows go to the neighbours; the change is summed with atomics and
 * ends the loop. One to many devices give the same result.
 */
#include <algorithm>
#include <vector>

#include "check.h"

enum { COLUMNS = 256, ROWS = 128, THREADS = 128, ITERATIONS = 60 };

/* Rows 1 .. rows of the slab are its own; rows 0 and rows + 1 are the neighbours' borders. */
__global__ void iterate(const float *now, float *next, int rows, float *largest_change)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y + 1;

    if (column < 1 || column >= COLUMNS - 1 || row > rows)
        return;
    int at = row * COLUMNS + column;
    float value = 0.25f * (now[at - 1] + now[at + 1] + now[at - COLUMNS] + now[at + COLUMNS]);
    next[at] = value;
    /* Changes are not negative, and so ordered like their bits. */
    atomicMax((int *)largest_change, __float_as_int(fabsf(value - now[at])));
}

struct slab {
    int device, first_row, rows;
    float *now, *next, *change;
};

static void exchange_borders(std::vector<slab> &slabs)
{
    const size_t row_bytes = COLUMNS * sizeof(float);

    for (size_t s = 0; s + 1 < slabs.size(); s++) {
        slab &upper = slabs[s], &lower = slabs[s + 1];
        CUDA_CHECK(cudaMemcpyPeerAsync(lower.next, lower.device,
                                       upper.next + upper.rows * COLUMNS, upper.device, row_bytes));
        CUDA_CHECK(cudaMemcpyPeerAsync(upper.next + (upper.rows + 1) * COLUMNS, upper.device,
                                       lower.next + COLUMNS, lower.device, row_bytes));
    }
}

static std::vector<float> start_plate()
{
    std::vector<float> plate((ROWS + 2) * COLUMNS, 0.0f);

    for (int column = 0; column < COLUMNS; column++)
        plate[column] = 100.0f; /* a hot upper edge */
    return plate;
}

int main()
{
    int devices = 0;
    std::vector<float> want = start_plate(), other = want, got(want.size());
    float want_change = 0.0f;

    CUDA_CHECK(cudaGetDeviceCount(&devices));
    std::vector<slab> slabs(std::min(devices, (int)ROWS));
    for (int s = 0, row = 0; s < (int)slabs.size(); s++) {
        slab &part = slabs[s];
        part.device = s;
        part.first_row = row;
        part.rows = ROWS / (int)slabs.size() + (s < ROWS % (int)slabs.size());
        row += part.rows;
        size_t bytes = (part.rows + 2) * COLUMNS * sizeof(float);
        CUDA_CHECK(cudaSetDevice(s));
        CUDA_CHECK(cudaMalloc(&part.now, bytes));
        CUDA_CHECK(cudaMalloc(&part.next, bytes));
        CUDA_CHECK(cudaMalloc(&part.change, sizeof(float)));
        for (float *half : {part.now, part.next})
            CUDA_CHECK(cudaMemcpy(half, want.data() + part.first_row * COLUMNS, bytes,
                                  cudaMemcpyHostToDevice));
    }

    float largest = 0.0f;
    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
        for (slab &part : slabs) {
            CUDA_CHECK(cudaSetDevice(part.device));
            CUDA_CHECK(cudaMemsetAsync(part.change, 0, sizeof(float)));
            iterate<<<dim3(COLUMNS / THREADS, part.rows), THREADS>>>(part.now, part.next, part.rows,
                                                                     part.change);
            CUDA_CHECK(cudaGetLastError());
        }
        for (slab &part : slabs) {
            CUDA_CHECK(cudaSetDevice(part.device));
            CUDA_CHECK(cudaDeviceSynchronize());
        }
        exchange_borders(slabs);
        largest = 0.0f;
        for (slab &part : slabs) {
            float change;
            CUDA_CHECK(cudaSetDevice(part.device));
            CUDA_CHECK(cudaDeviceSynchronize());
            CUDA_CHECK(cudaMemcpy(&change, part.change, sizeof(change), cudaMemcpyDeviceToHost));
            largest = std::max(largest, change);
            std::swap(part.now, part.next);
        }
    }
    for (slab &part : slabs)
        CUDA_CHECK(cudaMemcpy(got.data() + (part.first_row + 1) * COLUMNS, part.now + COLUMNS,
                              part.rows * COLUMNS * sizeof(float), cudaMemcpyDeviceToHost));

    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
        want_change = 0.0f;
        for (int row = 1; row <= ROWS; row++)
            for (int column = 1; column < COLUMNS - 1; column++) {
                int at = row * COLUMNS + column;
                other[at] = 0.25f * (want[at - 1] + want[at + 1] + want[at - COLUMNS] +
                                     want[at + COLUMNS]);
                want_change = std::max(want_change, std::fabs(other[at] - want[at]));
            }
        want.swap(other);
    }
    printf("%d iterations on %zu device(s), largest change %.6f\n", ITERATIONS, slabs.size(),
           largest);
    long wrong = count_wrong("plate", got.data() + COLUMNS, want.data() + COLUMNS,
                             (long)ROWS * COLUMNS);
    wrong += count_wrong("change", &largest, &want_change, 1);
    for (slab &part : slabs) {
        CUDA_CHECK(cudaSetDevice(part.device));
        CUDA_CHECK(cudaFree(part.now));
        CUDA_CHECK(cudaFree(part.next));
        CUDA_CHECK(cudaFree(part.change));
    }
    return finish(wrong);
}
