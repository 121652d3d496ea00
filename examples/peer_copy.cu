/* SPDX-License-Identifier: Apache-2.0
 * peer_copy - data travels round a ring of all devices without touching the host, each device
 * adding its mark; where peer access exists, a kernel also reads a neighbour's memory directly.
 * Run with --devices 4 (softcuda-run) to see four of them.
 */
#include <vector>

#include "check.h"

__global__ void add_mark(int *values, int count, int mark)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        values[i] = values[i] * 3 + mark;
}

__global__ void copy_from(const int *neighbour, int *own, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        own[i] = neighbour[i];
}

int main()
{
    const int count = 50000;
    const size_t bytes = count * sizeof(int);
    int devices = 0, direct = 0;

    CUDA_CHECK(cudaGetDeviceCount(&devices));
    std::vector<int *> buffer(devices);
    std::vector<int> want(count), got(count);
    for (int d = 0; d < devices; d++) {
        CUDA_CHECK(cudaSetDevice(d));
        CUDA_CHECK(cudaMalloc(&buffer[d], bytes));
    }
    for (int i = 0; i < count; i++)
        want[i] = i;
    CUDA_CHECK(cudaSetDevice(0));
    CUDA_CHECK(cudaMemcpy(buffer[0], want.data(), bytes, cudaMemcpyHostToDevice));

    for (int d = 0; d < devices; d++) {
        int next = (d + 1) % devices, can_access = 0;
        CUDA_CHECK(cudaSetDevice(d));
        add_mark<<<(count + 255) / 256, 256>>>(buffer[d], count, d + 1);
        CUDA_CHECK(cudaGetLastError());
        CUDA_CHECK(cudaDeviceSynchronize());
        for (int i = 0; i < count; i++)
            want[i] = want[i] * 3 + d + 1;
        if (next == d)
            break;
        CUDA_CHECK(cudaDeviceCanAccessPeer(&can_access, next, d));
        if (can_access) {
            CUDA_CHECK(cudaSetDevice(next));
            CUDA_CHECK(cudaDeviceEnablePeerAccess(d, 0));
            copy_from<<<(count + 255) / 256, 256>>>(buffer[d], buffer[next], count);
            CUDA_CHECK(cudaGetLastError());
            CUDA_CHECK(cudaDeviceSynchronize());
            CUDA_CHECK(cudaDeviceDisablePeerAccess(d));
            direct++;
        } else {
            CUDA_CHECK(cudaMemcpyPeer(buffer[next], next, buffer[d], d, bytes));
        }
    }
    CUDA_CHECK(cudaMemcpy(got.data(), buffer[0], bytes, cudaMemcpyDefault));

    for (int d = 0; d < devices; d++) {
        CUDA_CHECK(cudaSetDevice(d));
        CUDA_CHECK(cudaFree(buffer[d]));
    }
    printf("%d integers round %d device(s), %d hop(s) by direct access\n", count, devices, direct);
    return finish(count_wrong("values", got.data(), want.data(), count));
}
