/* SPDX-License-Identifier: Apache-2.0
 * streams_overlap - copy in, compute, copy out, piece by piece on several streams, so that copies
 * and kernels of different pieces overlap. Events time it; a wait orders one stream behind another.
 */
#include "check.h"

__global__ void scale_and_shift(float *values, int count, float factor, float shift)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        values[i] = values[i] * factor + shift;
}

__global__ void sum_ends(const float *values, int count, float *result)
{
    *result = values[0] + values[count - 1];
}

int main()
{
    const int streams = 4, piece = 65536, count = streams * piece;
    const size_t piece_bytes = piece * sizeof(float);
    float *host, *device, *device_ends, ends = 0.0f;
    cudaStream_t stream[streams];
    cudaEvent_t start, piece_done[streams], end;

    CUDA_CHECK(cudaMallocHost(&host, count * sizeof(float)));
    CUDA_CHECK(cudaMalloc(&device, count * sizeof(float)));
    CUDA_CHECK(cudaMalloc(&device_ends, sizeof(float)));
    CUDA_CHECK(cudaEventCreate(&start));
    CUDA_CHECK(cudaEventCreate(&end));
    for (int i = 0; i < count; i++)
        host[i] = (float)(i % 1000);

    CUDA_CHECK(cudaEventRecord(start));
    for (int s = 0; s < streams; s++) {
        float *host_piece = host + s * piece, *device_piece = device + s * piece;
        CUDA_CHECK(cudaStreamCreateWithFlags(&stream[s], cudaStreamNonBlocking));
        CUDA_CHECK(cudaEventCreateWithFlags(&piece_done[s], cudaEventDisableTiming));
        CUDA_CHECK(cudaMemcpyAsync(device_piece, host_piece, piece_bytes, cudaMemcpyHostToDevice,
                                   stream[s]));
        scale_and_shift<<<piece / 256, 256, 0, stream[s]>>>(device_piece, piece, 2.0f, (float)s);
        CUDA_CHECK(cudaGetLastError());
        CUDA_CHECK(cudaMemcpyAsync(host_piece, device_piece, piece_bytes, cudaMemcpyDeviceToHost,
                                   stream[s]));
        CUDA_CHECK(cudaEventRecord(piece_done[s], stream[s]));
    }
    /* One stream goes on when all pieces are done; the host does not wait in between. */
    for (int s = 1; s < streams; s++)
        CUDA_CHECK(cudaStreamWaitEvent(stream[0], piece_done[s], 0));
    sum_ends<<<1, 1, 0, stream[0]>>>(device, count, device_ends);
    CUDA_CHECK(cudaMemcpyAsync(&ends, device_ends, sizeof(ends), cudaMemcpyDeviceToHost,
                               stream[0]));
    CUDA_CHECK(cudaEventRecord(end, stream[0]));
    CUDA_CHECK(cudaEventSynchronize(end));

    float elapsed_ms = -1.0f;
    CUDA_CHECK(cudaEventElapsedTime(&elapsed_ms, start, end));
    long wrong = elapsed_ms < 0.0f;
    for (int i = 0; i < count; i++)
        wrong += host[i] != (float)(i % 1000) * 2.0f + (float)(i / piece);
    CUDA_CHECK(cudaStreamSynchronize(stream[0]));
    wrong += ends != host[0] + host[count - 1];

    for (int s = 0; s < streams; s++) {
        CUDA_CHECK(cudaEventDestroy(piece_done[s]));
        CUDA_CHECK(cudaStreamDestroy(stream[s]));
    }
    CUDA_CHECK(cudaEventDestroy(start));
    CUDA_CHECK(cudaEventDestroy(end));
    CUDA_CHECK(cudaFree(device));
    CUDA_CHECK(cudaFree(device_ends));
    CUDA_CHECK(cudaFreeHost(host));
    printf("%d pieces of %d floats through %d streams\n", streams, piece, streams);
    return finish(wrong);
}
