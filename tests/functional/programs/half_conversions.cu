/* SPDX-License-Identifier: Apache-2.0
 * 16-bit floating-point types as storage: every half goes to float and back unchanged, conversions
 * round to nearest even, bfloat16 likewise. (16-bit arithmetic is another matter.)
 */
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "examples/check.h"

__global__ void round_trip(unsigned short *half_out, unsigned short *bf16_out, float *floats)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    __half h = __ushort_as_half((unsigned short)i);
    __nv_bfloat16 b = __ushort_as_bfloat16((unsigned short)i);

    floats[i] = __half2float(h);
    half_out[i] = __half_as_ushort(__float2half_rn(__half2float(h)));
    bf16_out[i] = __bfloat16_as_ushort(__float2bfloat16_rn(__bfloat162float(b)));
}

__global__ void round_all(const float *in, unsigned short *half_out, unsigned short *bf16_out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    half_out[i] = __half_as_ushort(__float2half_rn(in[i]));
    bf16_out[i] = __bfloat16_as_ushort(__float2bfloat16_rn(in[i]));
}

static float half_value(unsigned short bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0    ? std::ldexp((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : std::ldexp((float)(fraction + 1024), exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static bool is_half_nan(unsigned short bits)
{
    return (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff);
}

static bool is_bf16_nan(unsigned short bits)
{
    return (bits & 0x7f80) == 0x7f80 && (bits & 0x7f);
}

int main()
{
    const int count = 65536;
    unsigned short *half_out, *bf16_out;
    float *floats;
    long wrong = 0;

    CUDA_CHECK(cudaMallocManaged(&half_out, count * sizeof(short)));
    CUDA_CHECK(cudaMallocManaged(&bf16_out, count * sizeof(short)));
    CUDA_CHECK(cudaMallocManaged(&floats, count * sizeof(float)));
    round_trip<<<count / 256, 256>>>(half_out, bf16_out, floats);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < count; i++) {
        unsigned short bits = (unsigned short)i;
        float want = half_value(bits);
        wrong += std::isnan(want) ? !std::isnan(floats[i]) : floats[i] != want;
        wrong += is_half_nan(bits) ? !is_half_nan(half_out[i]) : half_out[i] != bits;
        wrong += is_bf16_nan(bits) ? !is_bf16_nan(bf16_out[i]) : bf16_out[i] != bits;
    }

    /* The host's own conversions of the same headers are the reference for rounding. */
    uint32_t state = 99;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t bits = (state & 0x807fffffu) | (90u + state % 70u) << 23;
        memcpy(&floats[i], &bits, sizeof(bits));
    }
    round_all<<<count / 256, 256>>>(floats, half_out, bf16_out);
    CUDA_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < count; i++) {
        wrong += half_out[i] != __half_as_ushort(__float2half_rn(floats[i]));
        wrong += bf16_out[i] != __bfloat16_as_ushort(__float2bfloat16_rn(floats[i]));
    }
    CUDA_CHECK(cudaFree(half_out));
    CUDA_CHECK(cudaFree(bf16_out));
    CUDA_CHECK(cudaFree(floats));
    return finish(wrong);
}
