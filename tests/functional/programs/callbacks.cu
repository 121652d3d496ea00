/* SPDX-License-Identifier: Apache-2.0
 * Host functions and callbacks in stream order, per-thread default streams from several threads,
 * queries, priorities. Built with --default-stream per-thread.
 */
#include <atomic>
#include <thread>
#include <vector>

#include "examples/check.h"

__global__ void add_one(int *value)
{
    *value += 1;
}

struct note {
    std::atomic<int> *order;
    int seen;
};

static void CUDART_CB take_number(void *data)
{
    note *at = (note *)data;
    at->seen = (*at->order)++;
}

static void CUDART_CB old_callback(cudaStream_t, cudaError_t status, void *data)
{
    take_number(data);
    if (status != cudaSuccess)
        ((note *)data)->seen = -100;
}

static void one_thread(int number, std::atomic<long> *wrong)
{
    int *value, result = -1;

    CUDA_CHECK(cudaMalloc(&value, sizeof(int)));
    CUDA_CHECK(cudaMemset(value, 0, sizeof(int)));
    for (int i = 0; i < 50 + number; i++)
        add_one<<<1, 1>>>(value); /* this thread's own default stream */
    CUDA_CHECK(cudaMemcpyAsync(&result, value, sizeof(int), cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaStreamSynchronize(0));
    *wrong += result != 50 + number;
    CUDA_CHECK(cudaFree(value));
}

int main()
{
    std::atomic<int> order{0};
    std::atomic<long> wrong{0};
    note first{&order, -1}, second{&order, -1}, third{&order, -1};
    cudaStream_t stream;
    int *value, lowest = 0, highest = 0, priority = 1, result = 0;

    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
    CUDA_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, highest));
    CUDA_CHECK(cudaStreamGetPriority(stream, &priority));
    wrong += priority != highest;
    CUDA_CHECK(cudaMalloc(&value, sizeof(int)));
    CUDA_CHECK(cudaMemsetAsync(value, 0, sizeof(int), stream));
    CUDA_CHECK(cudaLaunchHostFunc(stream, take_number, &first));
    add_one<<<1, 1, 0, stream>>>(value);
    CUDA_CHECK(cudaStreamAddCallback(stream, old_callback, &second, 0));
    CUDA_CHECK(cudaMemcpyAsync(&result, value, sizeof(int), cudaMemcpyDeviceToHost, stream));
    CUDA_CHECK(cudaLaunchHostFunc(stream, take_number, &third));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    wrong += first.seen != 0 || second.seen != 1 || third.seen != 2 || result != 1;
    wrong += cudaStreamQuery(stream) != cudaSuccess;

    std::vector<std::thread> threads;
    for (int number = 0; number < 4; number++)
        threads.emplace_back(one_thread, number, &wrong);
    for (std::thread &thread : threads)
        thread.join();
    CUDA_CHECK(cudaFree(value));
    CUDA_CHECK(cudaStreamDestroy(stream));
    return finish(wrong);
}
