/* SPDX-License-Identifier: Apache-2.0
 * Variables of the device: __constant__ and __device__ symbols of all kinds of types, initialisers
 * with addresses, copies to and from symbols with offsets, symbol addresses and sizes.
 */
#include <cstring>

#include "examples/check.h"

struct point {
    double x;
    char tag;
    short y[3];
};

__constant__ float coefficients[8] = {1, 2, 3, 4, 5, 6, 7, 8};
__constant__ point fixed_point = {2.5, 'p', {1, -2, 3}};
__device__ int table[16] = {10, 11, 12};
__device__ int *into_table = &table[2]; /* an address in an initialiser */
__device__ const char *const message = "on the device";
__device__ unsigned long long counter;
static __device__ double hidden = 0.5;
template <typename T> __device__ T templated = (T)3;

__global__ void use_symbols(double *out)
{
    int i = threadIdx.x;

    atomicAdd(&counter, 1ull);
    if (i >= 8)
        return;
    out[i] = coefficients[i] * fixed_point.x + table[i] + fixed_point.y[i % 3] + hidden;
    if (i == 0) {
        out[8] = *into_table;
        out[9] = message[3];
        out[10] = templated<float> + templated<int>;
        out[11] = fixed_point.tag;
        templated<int> = 99;
    }
}

int main()
{
    double *out, got[12];
    float scaled[8];
    int patch[2] = {100, 200};
    unsigned long long counted = 7;
    long wrong = 0;

    for (int i = 0; i < 8; i++)
        scaled[i] = 10.0f * (float)(i + 1);
    CUDA_CHECK(cudaMalloc(&out, sizeof(got)));
    CUDA_CHECK(cudaMemcpyToSymbol(coefficients, scaled, sizeof(scaled)));
    CUDA_CHECK(cudaMemcpyToSymbol(table, patch, sizeof(patch), 3 * sizeof(int)));
    use_symbols<<<1, 32>>>(out);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));

    const int host_table[8] = {10, 11, 12, 100, 200, 0, 0, 0};
    const short y[3] = {1, -2, 3};
    for (int i = 0; i < 8; i++)
        wrong += got[i] != scaled[i] * 2.5 + host_table[i] + y[i % 3] + 0.5;
    wrong += got[8] != 12 || got[9] != "on the device"[3];
    wrong += got[10] != 6 || got[11] != 'p';

    CUDA_CHECK(cudaMemcpyFromSymbol(&counted, counter, sizeof(counted)));
    wrong += counted != 32;
    int templated_now = 0;
    CUDA_CHECK(cudaMemcpyFromSymbol(&templated_now, templated<int>, sizeof(int)));
    wrong += templated_now != 99;

    void *address = nullptr;
    size_t bytes = 0;
    int third = 0;
    CUDA_CHECK(cudaGetSymbolAddress(&address, table));
    CUDA_CHECK(cudaGetSymbolSize(&bytes, table));
    CUDA_CHECK(cudaMemcpy(&third, (int *)address + 2, sizeof(int), cudaMemcpyDeviceToHost));
    wrong += bytes != sizeof(int) * 16 || third != 12;

    static int no_symbol;
    wrong += cudaMemcpyToSymbol(no_symbol, &third, sizeof(int)) != cudaErrorInvalidSymbol;
    wrong += cudaGetLastError() != cudaErrorInvalidSymbol || cudaGetLastError() != cudaSuccess;
    CUDA_CHECK(cudaFree(out));
    return finish(wrong);
}
