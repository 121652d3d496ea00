/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_pack.h - from a vector of 32 truths to a lane mask, for variant sources.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_PACK_H
#define SOFTCUDA_WARP_OPS_OPS_PACK_H

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "softcuda/warp/ops/ops_int.h"

/* Bit l of the result is the top bit of lane l; lanes hold 0 or all ones. */
OPS_INLINE u32 ops_pack32(const u32 lanes[WARP_LANES])
{
    u32 bits = 0;
#if defined(__AVX512DQ__)
    bits = (u32)_mm512_movepi32_mask(_mm512_loadu_si512(lanes)) |
           (u32)_mm512_movepi32_mask(_mm512_loadu_si512(lanes + 16)) << 16;
#elif defined(__AVX2__)
    for (unsigned n = 0; n < 4; n++)
        bits |= (u32)_mm256_movemask_ps(_mm256_loadu_ps((const float *)(lanes + (size_t)8 * n)))
                << (8 * n);
#elif defined(__SSE2__)
    for (unsigned n = 0; n < 8; n++)
        bits |= (u32)_mm_movemask_ps(_mm_loadu_ps((const float *)(lanes + (size_t)4 * n)))
                << (4 * n);
#else
    for (unsigned i = 0; i < WARP_LANES; i++)
        bits |= lanes[i] & ops_lane_bit[i];
#endif
    return bits;
}

OPS_INLINE u32 ops_pack64(const u64 lanes[WARP_LANES])
{
    u32 bits = 0;
#if defined(__AVX512DQ__)
    for (unsigned n = 0; n < 4; n++)
        bits |= (u32)_mm512_movepi64_mask(_mm512_loadu_si512(lanes + (size_t)8 * n)) << (8 * n);
#elif defined(__AVX2__)
    for (unsigned n = 0; n < 8; n++)
        bits |= (u32)_mm256_movemask_pd(_mm256_loadu_pd((const double *)(lanes + (size_t)4 * n)))
                << (4 * n);
#else
    for (unsigned i = 0; i < WARP_LANES; i++)
        bits |= (u32)lanes[i] & ops_lane_bit[i];
#endif
    return bits;
}

#endif /* SOFTCUDA_WARP_OPS_OPS_PACK_H */
