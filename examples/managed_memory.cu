/* SPDX-License-Identifier: Apache-2.0
 * managed_memory - one pointer for host and device: a list that the host links and a kernel walks,
 * a __managed__ variable, prefetch and advice.
 */
#include "check.h"

struct node {
    int value;
    node *next;
};

__managed__ int walked_nodes = 0;

__global__ void sum_list(const node *first, long long *sum)
{
    long long total = 0;

    for (const node *at = first; at; at = at->next) {
        total += at->value;
        walked_nodes++;
    }
    *sum = total;
}

__global__ void square_all(node *nodes, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        nodes[i].value *= nodes[i].value;
}

int main()
{
    const int count = 1000;
    node *nodes;
    long long *sum, want = 0;
    int device = 0;

    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaMallocManaged(&nodes, count * sizeof(node)));
    CUDA_CHECK(cudaMallocManaged(&sum, sizeof(*sum)));
    for (int i = 0; i < count; i++) {
        int next = (i + 7) % count; /* 7 and 1000 share no factor: one round visits all */
        nodes[i].value = i - 300;
        nodes[i].next = next == 0 ? nullptr : &nodes[next];
        want += (long long)(i - 300) * (i - 300);
    }

    cudaMemLocation location = {};
    location.type = cudaMemLocationTypeDevice;
    location.id = device;
    CUDA_CHECK(cudaMemAdvise(nodes, count * sizeof(node), cudaMemAdviseSetPreferredLocation,
                             location));
    CUDA_CHECK(cudaMemPrefetchAsync(nodes, count * sizeof(node), location, 0, 0));
    square_all<<<(count + 127) / 128, 128>>>(nodes, count);
    sum_list<<<1, 1>>>(nodes, sum);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaDeviceSynchronize());

    printf("walked %d nodes, sum of squares %lld\n", walked_nodes, *sum);
    long wrong = count_wrong("sum", sum, &want, 1) + (walked_nodes != count);
    wrong += nodes[1].value != 299 * 299; /* the host sees what the kernel wrote */
    CUDA_CHECK(cudaFree(nodes));
    CUDA_CHECK(cudaFree(sum));
    return finish(wrong);
}
