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

/* Vectors as wide as the machine's; wider ones would go through memory piece by piece. */
#if defined(__AVX512F__)
enum { OPS_PART = 64 };
#define OPS_NUMBERS_32 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define OPS_NUMBERS_64 0, 1, 2, 3, 4, 5, 6, 7
#define OPS_IS_ZERO(v) (_mm512_test_epi64_mask((__m512i)(v), (__m512i)(v)) == 0)
#elif defined(__AVX2__)
enum { OPS_PART = 32 };
#define OPS_NUMBERS_32 0, 1, 2, 3, 4, 5, 6, 7
#define OPS_NUMBERS_64 0, 1, 2, 3
#define OPS_IS_ZERO(v) _mm256_testz_si256((__m256i)(v), (__m256i)(v))
#elif defined(__SSE4_1__)
enum { OPS_PART = 16 };
#define OPS_NUMBERS_32 0, 1, 2, 3
#define OPS_NUMBERS_64 0, 1
#define OPS_IS_ZERO(v) _mm_testz_si128((__m128i)(v), (__m128i)(v))
#else
enum { OPS_PART = 16 };
#define OPS_NUMBERS_32 0, 1, 2, 3
#define OPS_NUMBERS_64 0, 1
#define OPS_IS_ZERO(v) ((((ops_part64)(v))[0] | ((ops_part64)(v))[1]) == 0)
#endif
typedef u32 ops_part32 __attribute__((vector_size(OPS_PART), may_alias));
typedef u64 ops_part64 __attribute__((vector_size(OPS_PART), may_alias));

enum ops_row_kind { OPS_ROW_SCATTERED, OPS_ROW_CONSECUTIVE, OPS_ROW_EQUAL };

/* What 16 active lanes' addresses are like, `step` bytes apart if consecutive. */
OPS_INLINE enum ops_row_kind ops_row_kind64(const u64 *addresses, u64 step)
{
    const ops_part64 numbers = {OPS_NUMBERS_64};
    ops_part64 delta = {0}, differs = {0};

    for (unsigned n = 0; n < OPS_ROW * 8 / OPS_PART; n++) {
        const ops_part64 apart = ((const ops_part64 *)addresses)[n] - addresses[0];
        delta |= apart;
        differs |= apart ^ ((numbers + (u64)n * (OPS_PART / 8)) * step);
    }
    if (OPS_IS_ZERO(differs))
        return OPS_ROW_CONSECUTIVE;
    return OPS_IS_ZERO(delta) ? OPS_ROW_EQUAL : OPS_ROW_SCATTERED;
}

OPS_INLINE enum ops_row_kind ops_row_kind32(const u32 *addresses, u32 step)
{
    const ops_part32 numbers = {OPS_NUMBERS_32};
    ops_part32 delta = {0}, differs = {0};

    for (unsigned n = 0; n < OPS_ROW * 4 / OPS_PART; n++) {
        const ops_part32 apart = ((const ops_part32 *)addresses)[n] - addresses[0];
        delta |= apart;
        differs |= apart ^ ((numbers + n * (OPS_PART / 4)) * step);
    }
    if (OPS_IS_ZERO(differs))
        return OPS_ROW_CONSECUTIVE;
    return OPS_IS_ZERO(delta) ? OPS_ROW_EQUAL : OPS_ROW_SCATTERED;
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
                               u32 on, const struct ops_place *place, u64 bytes)
{
    const u64 limit = place->size - bytes, lo = place->lo, imm = (u64)in->imm;
    u64 bad = 0;

    if (place->size < bytes)
        return false;
    if (addr32) {
        const u32 *a = addresses;
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)
        {
            const u64 address = (u32)(a[l] + (u32)imm);
            const u64 outside = address - lo > limit ? UINT64_MAX : address & (bytes - 1);
            bad |= on & ops_lane_bit64[l] ? outside : 0;
        }
    } else {
        const u64 *a = addresses;
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)
        {
            const u64 address = a[l] + imm;
            const u64 outside = address - lo > limit ? UINT64_MAX : address & (bytes - 1);
            bad |= on & ops_lane_bit64[l] ? outside : 0;
        }
    }
    return bad == 0;
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
