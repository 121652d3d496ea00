/* SPDX-License-Identifier: Apache-2.0
 * The mathematical library on the device against the host's, in float and double.
 */
#include <vector>

#include "examples/check.h"

#define FUNCTIONS(X)                                                                               \
    X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(tanh) X(exp) X(exp2) X(expm1)   \
    X(log) X(log2) X(log10) X(log1p) X(sqrt) X(cbrt) X(erf) X(erfc) X(lgamma) X(tgamma) X(floor)   \
    X(ceil) X(trunc) X(round) X(rint) X(fabs)

enum {
#define NUMBER(f) NUMBER_##f,
    FUNCTIONS(NUMBER) FUNCTION_COUNT
};

template <typename T> __host__ __device__ T apply(int function, T x)
{
    switch (function) {
#define CASE(f)                                                                                    \
    case NUMBER_##f:                                                                               \
        return f(x);
        FUNCTIONS(CASE)
    }
    return x;
}

template <typename T> __global__ void apply_all(const T *in, T *out, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= count)
        return;
    for (int f = 0; f < FUNCTION_COUNT; f++)
        out[f * count + i] = apply(f, in[i]);
    out[FUNCTION_COUNT * count + i] = pow(in[i] + (T)2, in[(i + 1) % count]);
    out[(FUNCTION_COUNT + 1) * count + i] = fmod(in[i] * (T)100, (T)0.7);
    out[(FUNCTION_COUNT + 2) * count + i] = atan2(in[i], in[(i + 1) % count]);
    out[(FUNCTION_COUNT + 3) * count + i] = hypot(in[i], in[(i + 1) % count]);
    out[(FUNCTION_COUNT + 4) * count + i] = fma(in[i], in[i], (T)-0.25);
}

template <typename T> static long compare(const char *name, double tolerance)
{
    const int count = 500, rows = FUNCTION_COUNT + 5;
    std::vector<T> in(count), got(count * rows), want(count * rows);
    T *device_in, *device_out;

    for (int i = 0; i < count; i++)
        in[i] = (T)(i - 249.5) / (T)250; /* inside (-1, 1), never 0 */
    CUDA_CHECK(cudaMalloc(&device_in, count * sizeof(T)));
    CUDA_CHECK(cudaMalloc(&device_out, got.size() * sizeof(T)));
    CUDA_CHECK(cudaMemcpy(device_in, in.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    apply_all<T><<<(count + 63) / 64, 64>>>(device_in, device_out, count);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_out, got.size() * sizeof(T), cudaMemcpyDeviceToHost));
    for (int i = 0; i < count; i++) {
        T x = in[i], y = in[(i + 1) % count];
        for (int f = 0; f < FUNCTION_COUNT; f++)
            want[f * count + i] = apply(f, x);
        want[FUNCTION_COUNT * count + i] = std::pow(x + (T)2, y);
        want[(FUNCTION_COUNT + 1) * count + i] = std::fmod(x * (T)100, (T)0.7);
        want[(FUNCTION_COUNT + 2) * count + i] = std::atan2(x, y);
        want[(FUNCTION_COUNT + 3) * count + i] = std::hypot(x, y);
        want[(FUNCTION_COUNT + 4) * count + i] = std::fma(x, x, (T)-0.25);
    }
    for (size_t i = 0; i < want.size(); i++) /* log of a negative number and kin: NaN on both sides */
        if (std::isnan(want[i]) && std::isnan(got[i]))
            want[i] = got[i] = 0;
    long wrong = 0;
    for (int row = 0; row < rows; row++) {
        char label[32];
        snprintf(label, sizeof(label), "%s row %d", name, row);
        wrong += count_wrong(label, &got[row * count], &want[row * count], count, tolerance);
    }
    CUDA_CHECK(cudaFree(device_in));
    CUDA_CHECK(cudaFree(device_out));
    return wrong;
}

int main()
{
    return finish(compare<float>("float", 2e-5) + compare<double>("double", 1e-13));
}
