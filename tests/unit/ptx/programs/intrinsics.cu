// SPDX-License-Identifier: Apache-2.0
// Warp functions, atomics, bit tricks, mathematics, conversions of small floating-point types.
#include <cmath>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

__global__ void warp(unsigned *u, unsigned long long *w, float *f)
{
    unsigned mask = __activemask();

    u[0] = __ballot_sync(mask, u[0] > 3) + __any_sync(mask, u[1]) + __all_sync(mask, u[2]);
    u[1] = __shfl_sync(mask, u[1], 3) + __shfl_up_sync(mask, u[2], 1, 16);
    f[0] = __shfl_xor_sync(mask, f[1], 5) + __shfl_down_sync(mask, f[2], 2);
    w[0] = __shfl_sync(mask, w[1], 7) + __match_any_sync(mask, w[2]);
    int all;
    u[3] = __match_all_sync(mask, u[4], &all) + all + __uni_sync(mask, u[5]);
    __syncwarp(mask);
    u[5] = __syncthreads_count(u[6]) + __syncthreads_and(u[7]) + __syncthreads_or(u[8]);
    __nanosleep(100);
#if __CUDA_ARCH__ >= 800
    u[6] = __reduce_add_sync(mask, u[6]) + __reduce_xor_sync(mask, u[7]);
    u[7] = __reduce_max_sync(mask, static_cast<int>(u[7])) + __reduce_min_sync(mask, u[8]);
#endif
}

__global__ void atomics(int *i, unsigned *u, unsigned long long *w, float *f, double *d)
{
    __shared__ unsigned s[4];

    s[threadIdx.x & 3] = 0;
    __syncthreads();
    atomicAdd(i, 1), atomicSub(i, 2), atomicMin(i, 3), atomicMax(i, -4), atomicExch(i, 5);
    atomicAnd(u, 7u), atomicOr(u, 8u), atomicXor(u, 9u), atomicInc(u, 10), atomicDec(u, 11);
    u[1] = atomicCAS(u, 1, 2) + atomicAdd(&s[1], 3) + atomicMax(&s[2], 4u);
    w[1] = atomicCAS(w, 1ull, 2ull) + atomicExch(w, 3ull) + atomicMax(w, 4ull);
    f[1] = atomicAdd(f, 1.5f), d[1] = atomicAdd(d, 2.5);
    atomicAdd_block(i, 1), atomicAdd_system(u, 1u);
    unsigned short *h = reinterpret_cast<unsigned short *>(u + 8);
    h[1] = atomicCAS(h, static_cast<unsigned short>(1), static_cast<unsigned short>(2));
    __threadfence(), __threadfence_block(), __threadfence_system();
}

__global__ void bits(unsigned *u, int *i, unsigned long long *w, long long *l)
{
    u[0] = __popc(u[1]) + __clz(u[2]) + __ffs(u[3]) + __brev(u[4]) + __byte_perm(u[5], u[6], u[7]);
    w[0] = __popcll(w[1]) + __clzll(w[2]) + __ffsll(w[3]) + __brevll(w[4]);
    u[1] = __umulhi(u[1], u[2]) + __umul24(u[3], u[4]) + __usad(u[5], u[6], u[7]);
    i[0] = __mulhi(i[1], i[2]) + __mul24(i[3], i[4]) + __sad(i[5], i[6], u[0]) + __hadd(i[1], i[2]);
    u[2] = __funnelshift_l(u[1], u[2], u[3]) + __funnelshift_rc(u[4], u[5], u[6]);
    l[0] = __mul64hi(l[1], l[2]) + l[3] / l[4] + l[5] % l[6] + (l[7] >> (i[0] & 63));
    w[5] = __umul64hi(w[1], w[2]) + w[3] / w[4] + w[6] % w[7];
    i[1] = __dp4a(i[2], i[3], i[4]) + i[5] / i[6] + i[7] % i[8] + abs(i[9]) + min(i[10], i[11]);
    u[8] = (u[1] & u[2]) ^ (u[3] | ~u[4]);
    short *s = reinterpret_cast<short *>(i + 16);
    s[0] = s[1] * s[2] + s[3] / (s[4] | 1);
    signed char *c = reinterpret_cast<signed char *>(s + 16);
    c[0] = c[1] + (c[2] > c[3] ? c[4] : c[5]);
}

__global__ void single(float *f)
{
    f[0] = sinf(f[1]) + cosf(f[2]) + tanf(f[3]) + expf(f[4]) + logf(f[5]) + powf(f[6], f[7]);
    f[1] = sqrtf(f[1]) + rsqrtf(f[2]) + cbrtf(f[3]) + fmaf(f[4], f[5], f[6]) + fmodf(f[7], f[8]);
    f[2] = floorf(f[1]) + ceilf(f[2]) + truncf(f[3]) + roundf(f[4]) + rintf(f[5]) + fabsf(f[6]);
    f[3] = fminf(f[1], f[2]) + fmaxf(f[3], f[4]) + copysignf(f[5], f[6]) + tanhf(f[7]) + erff(f[8]);
    f[4] = __sinf(f[1]) + __expf(f[2]) + __logf(f[3]) + __powf(f[4], f[5]) + __fdividef(f[6], f[7]);
    f[5] = __fadd_rz(f[1], f[2]) + __fmul_ru(f[3], f[4]) + __fdiv_rd(f[5], f[6]) + __frcp_rn(f[7]);
    f[6] = __fsqrt_rz(f[1]) + __saturatef(f[2]) + f[3] / f[4] + isnan(f[5]) + isinf(f[6]);
    f[7] = __float2int_rn(f[1]) + __float2uint_ru(f[2]) + __float2ll_rd(f[3]) + __int2float_rz(7);
    f[8] = __float_as_int(f[1]) + __int_as_float(5) + lgammaf(f[2]) + normcdff(f[3]) + j0f(f[4]);
}

__global__ void twice(double *d)
{
    d[0] = sin(d[1]) + cos(d[2]) + exp(d[3]) + log(d[4]) + pow(d[5], d[6]) + sqrt(d[7]) + cbrt(d[8]);
    d[1] = fma(d[1], d[2], d[3]) + fmod(d[4], d[5]) + floor(d[6]) + nearbyint(d[7]) + d[8] / d[1];
    d[2] = __dadd_rz(d[1], d[2]) + __dmul_ru(d[3], d[4]) + __ddiv_rd(d[5], d[6]) + rsqrt(d[7]);
    d[3] = __double2int_rz(d[1]) + __double2ll_rn(d[2]) + __double2float_rd(d[3]) + erf(d[4]);
    d[4] = __double2hiint(d[1]) + __hiloint2double(5, 6) + (d[2] > d[3]) + atan2(d[4], d[5]);
}

__global__ void small(__half *h, __nv_bfloat16 *b, float *f, int *i, __half2 *h2)
{
    h[0] = __float2half_rn(f[0]), h[1] = __float2half_rz(f[1]), h[2] = __int2half_rn(i[0]);
    f[2] = __half2float(h[3]), i[1] = __half2int_rz(h[4]), i[2] = __half2short_rn(h[5]);
    b[0] = __float2bfloat16(f[3]), f[4] = __bfloat162float(b[1]);
    h2[0] = __floats2half2_rn(f[5], f[6]), f[7] = __low2float(h2[1]) + __high2float(h2[2]);
    h[6] = h[7] + h[8] * h[9] - __hneg(h[10]), h2[3] = __hfma2(h2[4], h2[5], h2[6]);
    i[3] = h[11] < h[12], h[13] = __hmax(h[14], h[15]);
    unsigned char *c = reinterpret_cast<unsigned char *>(i + 8);
    c[0] = __nv_cvt_float_to_fp8(f[8], __NV_SATFINITE, __NV_E4M3);
    f[9] = __half2float(__half(__nv_cvt_fp8_to_halfraw(c[1], __NV_E5M2)));
}

__global__ void caches(float4 *v, const float2 *c, int *i)
{
    v[0] = __ldg(v + 1), v[2] = __ldcg(v + 3), v[4] = __ldcs(v + 5);
    __stcs(v + 6, v[7]), __stwt(i, __ldlu(i + 1)), __stcg(i + 2, __ldcv(i + 3));
    float2 pair = c[threadIdx.x];
    v[8].x = pair.x + pair.y;
    volatile int *spun = i + 4;
    while (*spun == 0)
        ;
    i[5] = static_cast<int>(clock64()) + clock();
}
