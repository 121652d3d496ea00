/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_rows.h - a row: 16 lanes of addresses, looked at together. For variant
 * sources.
 *
 * Rows of consecutive or of equal addresses are what kernels mostly have; one subtraction and one
 * comparison of a vector tell them from the rest.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_ROWS_H
#define SOFTCUDA_WARP_OPS_OPS_ROWS_H

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "softcuda/warp/ops/ops_int.h"

enum { OPS_ROW = WARP_LANES / 2 };

typedef u32 ops_row32 __attribute__((vector_size(OPS_ROW * 4), may_alias));
typedef u64 ops_row64 __attribute__((vector_size(OPS_ROW * 8), may_alias));

#define OPS_ROW_NUMBERS                                                                            \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                       \
    }

/* Are all `bytes` bytes zero? A multiple of 64, aligned to 64. */
OPS_INLINE bool ops_is_zero(const void *vector, unsigned bytes)
{
#if defined(__AVX512F__)
    __m512i any = _mm512_load_si512(vector);
    for (unsigned n = 1; n < bytes / 64; n++)
        any = _mm512_or_si512(any, _mm512_load_si512((const char *)vector + 64 * (size_t)n));
    return _mm512_test_epi64_mask(any, any) == 0;
#elif defined(__AVX2__)
    __m256i any = _mm256_load_si256((const __m256i *)vector);
    for (unsigned n = 1; n < bytes / 32; n++)
        any = _mm256_or_si256(any, _mm256_load_si256((const __m256i *)vector + n));
    return _mm256_testz_si256(any, any);
#elif defined(__SSE4_1__)
    __m128i any = _mm_load_si128((const __m128i *)vector);
    for (unsigned n = 1; n < bytes / 16; n++)
        any = _mm_or_si128(any, _mm_load_si128((const __m128i *)vector + n));
    return _mm_testz_si128(any, any);
#else
    u64 any = 0;
    for (unsigned n = 0; n < bytes / 8; n++)
        any |= ((const u64 *)vector)[n];
    return any == 0;
#endif
}

enum ops_row_kind { OPS_ROW_SCATTERED, OPS_ROW_CONSECUTIVE, OPS_ROW_EQUAL };

/* What 16 active lanes' addresses are like, `step` bytes apart if consecutive. */
OPS_INLINE enum ops_row_kind ops_row_kind64(const u64 *addresses, u64 step)
{
    static const ops_row64 numbers = OPS_ROW_NUMBERS;
    const ops_row64 delta = *(const ops_row64 *)addresses - addresses[0];
    const ops_row64 differs = delta ^ (numbers * step);

    if (ops_is_zero(&differs, sizeof(differs)))
        return OPS_ROW_CONSECUTIVE;
    return ops_is_zero(&delta, sizeof(delta)) ? OPS_ROW_EQUAL : OPS_ROW_SCATTERED;
}

OPS_INLINE enum ops_row_kind ops_row_kind32(const u32 *addresses, u32 step)
{
    static const ops_row32 numbers = OPS_ROW_NUMBERS;
    const ops_row32 delta = *(const ops_row32 *)addresses - addresses[0];
    const ops_row32 differs = delta ^ (numbers * step);

    if (ops_is_zero(&differs, sizeof(differs)))
        return OPS_ROW_CONSECUTIVE;
    return ops_is_zero(&delta, sizeof(delta)) ? OPS_ROW_EQUAL : OPS_ROW_SCATTERED;
}

#endif /* SOFTCUDA_WARP_OPS_OPS_ROWS_H */
