/* SPDX-License-Identifier: Apache-2.0
 * The cuRAND device API (header only): XORWOW and Philox in kernels estimate pi and a normal's
 * variance; the same seed gives the same numbers again.
 */
#include <curand_kernel.h>

#include <vector>

#include "examples/check.h"

template <typename STATE>
__global__ void estimate(unsigned long long seed, int samples, int *hits, double *squares)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x, inside = 0;
    double sum = 0.0;
    STATE state;

    curand_init(seed, thread, 0, &state);
    for (int i = 0; i < samples; i++) {
        float x = curand_uniform(&state), y = curand_uniform(&state);
        inside += x * x + y * y <= 1.0f;
        double z = curand_normal_double(&state);
        sum += z * z;
    }
    hits[thread] = inside;
    squares[thread] = sum;
}

template <typename STATE> static long check(const char *name)
{
    const int threads = 256, samples = 200;
    std::vector<int> hits(threads), again(threads);
    std::vector<double> squares(threads);
    int *device_hits;
    double *device_squares, total_hits = 0.0, variance = 0.0;

    CUDA_CHECK(cudaMalloc(&device_hits, threads * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&device_squares, threads * sizeof(double)));
    for (std::vector<int> *result : {&hits, &again}) {
        estimate<STATE><<<threads / 64, 64>>>(1234, samples, device_hits, device_squares);
        CUDA_CHECK(cudaGetLastError());
        CUDA_CHECK(cudaMemcpy(result->data(), device_hits, threads * sizeof(int),
                              cudaMemcpyDeviceToHost));
    }
    CUDA_CHECK(cudaMemcpy(squares.data(), device_squares, threads * sizeof(double),
                          cudaMemcpyDeviceToHost));
    for (int i = 0; i < threads; i++) {
        total_hits += hits[i];
        variance += squares[i];
    }
    double pi = 4.0 * total_hits / (threads * samples);
    variance /= threads * samples;
    printf("%s: pi %.3f, variance %.3f\n", name, pi, variance);
    CUDA_CHECK(cudaFree(device_hits));
    CUDA_CHECK(cudaFree(device_squares));
    return (std::fabs(pi - 3.14159) > 0.05) + (std::fabs(variance - 1.0) > 0.05) + (hits != again);
}

int main()
{
    return finish(check<curandStateXORWOW_t>("xorwow") + check<curandStatePhilox4_32_10_t>("philox"));
}
