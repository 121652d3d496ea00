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

#include "softcuda/warp/ops/ops_memory.h"

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

/* ---- places in memory ------------------------------------------------------------------------ */

/* Valid bytes are those with address - lo < size; they are at host + address. */
struct ops_place {
    u64 lo, size, host;
};

/* The window that `address` lies in, if it can be had without asking anybody. */
OPS_INLINE bool ops_place_open(const struct warp *w, enum ops_window kind, u64 address, bool write,
                               struct ops_place *window)
{
    if (kind == OPS_SHARED) {
        *window = (struct ops_place){0, w->block->shared_bytes, (u64)(uintptr_t)w->block->shared};
        return true;
    }
    for (unsigned n = 0; n < WARP_TLB_ENTRIES; n++) {
        const struct warp_range *range = &w->tlb->entry[n];
        if (address - range->lo < range->hi - range->lo && (range->can_write || !write)) {
            *window = (struct ops_place){range->lo, range->hi - range->lo, 0};
            return true;
        }
    }
    if (kind == OPS_GENERIC) {
        const u64 shared = (u64)(uintptr_t)w->block->shared;
        *window = (struct ops_place){shared, w->block->shared_bytes, 0};
        return address - shared < w->block->shared_bytes;
    }
    return false;
}

/* Is [address, address + bytes) in the window, and the address a multiple of `align`? */
OPS_INLINE bool ops_place_holds(const struct ops_place *window, u64 address, u64 bytes, u64 align)
{
    const u64 offset = address - window->lo;

    return offset < window->size && window->size - offset >= bytes && !(address & (align - 1));
}

/* ---- rows of any addresses ------------------------------------------------------------------- */

/* The addresses of a row, of 32 or 64 bits; imm is added to each. */
OPS_INLINE u64 ops_row_address(const struct warp_insn *in, const void *addresses, bool addr32,
                               unsigned l)
{
    return addr32 ? (u32)(((const u32 *)addresses)[l] + (u32)in->imm)
                  : ((const u64 *)addresses)[l] + (u64)in->imm;
}

/* Are the lanes `on` of a row all in the place? (A loop and not vector types: those of more than
 * the machine's width are compared element by element.) */
OPS_INLINE bool ops_row_inside(const struct warp_insn *in, const void *addresses, bool addr32,
                               u32 on, const struct ops_place *place, u32 bytes)
{
    const u64 limit = place->size - bytes, lo = place->lo, imm = (u64)in->imm;
    FAB_ALIGNED(64) u64 bad[OPS_ROW];

    if (place->size < bytes)
        return false;
    if (addr32) {
        const u32 *a = addresses;
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)
        {
            const u64 address = (u32)(a[l] + (u32)imm);
            const u64 outside = address - lo > limit ? UINT64_MAX : address & (bytes - 1);
            bad[l] = on & ops_lane_bit64[l] ? outside : 0;
        }
    } else {
        const u64 *a = addresses;
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)
        {
            const u64 address = a[l] + imm;
            const u64 outside = address - lo > limit ? UINT64_MAX : address & (bytes - 1);
            bad[l] = on & ops_lane_bit64[l] ? outside : 0;
        }
    }
    return ops_is_zero(bad, sizeof(bad));
}

/* ops_resolve(), fast: all addresses in one place. */
OPS_INLINE bool ops_resolve_rows(struct warp *w, const struct warp_insn *in, enum ops_window window,
                                 u32 bytes, bool write, u64 at[WARP_LANES])
{
    const bool addr32 = (in->flags & WARP_I_ADDR32) != 0;
    const u32 row_bytes = OPS_ROW * (addr32 ? 4 : 8), mask = w->mask;
    const u8 *addresses;
    struct ops_place place;

    if (FAB_UNLIKELY(in->a == WARP_NO_OPERAND))
        return ops_resolve(w, in, in->a, window, bytes, write, at);
    addresses = (const u8 *)warp_at(w, in->a);
    if (!ops_place_open(w, window, ops_row_address(in, addresses, addr32, (u32)__builtin_ctz(mask)),
                        write, &place) ||
        !ops_row_inside(in, addresses, addr32, mask & 0xffff, &place, bytes) ||
        !ops_row_inside(in, addresses + row_bytes, addr32, mask >> OPS_ROW, &place, bytes))
        return ops_resolve(w, in, in->a, window, bytes, write, at);
    for (unsigned l = 0; l < WARP_LANES; l++)
        at[l] = place.host + ops_row_address(in, addresses, addr32, l);
    return true;
}

#endif /* SOFTCUDA_WARP_OPS_OPS_ROWS_H */
