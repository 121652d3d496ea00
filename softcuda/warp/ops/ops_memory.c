/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_memory.c - the common loads and stores, fast. A variant source.
 *
 * A warp's addresses are looked at in two rows of 16 lanes. A row of consecutive elements is one
 * copy, a row of equal addresses one load; other rows are taken lane by lane after one check of
 * them all. Whatever does not fit (another range, a fault, a rare width) goes to the general
 * handler, which does it all again from the start: nothing is written before the checks.
 */
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_memory.h"

enum { ROW = WARP_LANES / 2 };

/* Valid addresses are those with address - lo <= span; the bytes are at host + address. */
struct window {
    u64 lo, span, host;
};

OPS_INLINE bool window_open(const struct warp *w, enum ops_window kind, u64 address, u32 bytes,
                            bool write, struct window *window)
{
    if (kind == OPS_SHARED) {
        const u32 size = w->block->shared_bytes;
        *window = (struct window){0, (u64)size - bytes, (u64)(uintptr_t)w->block->shared};
        return size >= bytes;
    }
    for (unsigned n = 0; n < WARP_TLB_ENTRIES; n++) {
        const struct warp_range *range = &w->tlb->entry[n];
        if (address - range->lo < range->hi - range->lo && (range->can_write || !write)) {
            *window = (struct window){range->lo, range->hi - range->lo - bytes, 0};
            return range->hi - range->lo >= bytes;
        }
    }
    if (kind == OPS_GENERIC) {
        const u64 shared = (u64)(uintptr_t)w->block->shared;
        const u32 size = w->block->shared_bytes;
        *window = (struct window){shared, (u64)size - bytes, 0};
        return size >= bytes && address - shared < size;
    }
    return false;
}

/* Bit l: lane l of the row is not at first + l * step. Addresses are u64, or u32 that wrap. */
OPS_INLINE u32 row_differs64(const u64 *a, u64 first, u64 step)
{
#if defined(__AVX512F__)
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i steps = _mm512_set1_epi64((long long)step);
    const __m512i low =
        _mm512_add_epi64(_mm512_set1_epi64((long long)first), _mm512_mullox_epi64(lane, steps));
    const __m512i high = _mm512_add_epi64(low, _mm512_slli_epi64(steps, 3));

    return (u32)_mm512_cmpneq_epi64_mask(low, _mm512_load_si512(a)) |
           (u32)_mm512_cmpneq_epi64_mask(high, _mm512_load_si512(a + 8)) << 8;
#else
    u32 bits = 0;
    for (unsigned l = 0; l < ROW; l++)
        bits |= a[l] != first + l * step ? ops_lane_bit[l] : 0;
    return bits;
#endif
}

OPS_INLINE u32 row_differs32(const u32 *a, u32 first, u32 step)
{
#if defined(__AVX512F__)
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i wanted = _mm512_add_epi32(_mm512_set1_epi32((int)first),
                                            _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)step)));
    return (u32)_mm512_cmpneq_epi32_mask(wanted, _mm512_load_si512(a));
#else
    u32 bits = 0;
    for (unsigned l = 0; l < ROW; l++)
        bits |= a[l] != first + l * step ? ops_lane_bit[l] : 0;
    return bits;
#endif
}

/* Bit l: lane l of the row is outside the window or not aligned. */
OPS_INLINE u32 row_outside(const u64 at[ROW], const struct window *window, u32 bytes)
{
    u32 bits = 0;

    for (unsigned l = 0; l < ROW; l++)
        bits |= (at[l] - window->lo > window->span) | ((at[l] & (bytes - 1)) != 0) ? ops_lane_bit[l]
                                                                                   : 0;
    return bits;
}

enum row_kind { ROW_EMPTY, ROW_CONSECUTIVE, ROW_EQUAL, ROW_SCATTERED, ROW_REFUSED };

/* What the addresses of a row are like. *first_out: of lane 0, were the row consecutive, or of all
 * lanes if equal, offset added; at[]: all addresses of a scattered row. */
OPS_INLINE enum row_kind row_classify(const struct warp_insn *in, const void *addresses,
                                      bool addr32, u32 on, const struct window *window, u32 bytes,
                                      u64 *first_out, u64 at[ROW])
{
    const u64 *a64 = (const u64 *)addresses;
    const u32 *a32 = (const u32 *)addresses;
    const u64 imm = (u64)in->imm;
    unsigned lane, last;
    u64 address, first;

    if (on == 0)
        return ROW_EMPTY;
    lane = (unsigned)__builtin_ctz(on);
    last = 31u - (unsigned)__builtin_clz(on);
    address = addr32 ? (u32)(a32[lane] + (u32)imm) : a64[lane] + imm;
    first = address - (u64)lane * bytes;
    if (!((addr32 ? row_differs32(a32, (u32)(first - imm), bytes)
                  : row_differs64(a64, first - imm, bytes)) &
          on)) {
        *first_out = first;
        return address - window->lo <= window->span &&
                       first + (u64)last * bytes - window->lo <= window->span &&
                       !(address & (bytes - 1))
                   ? ROW_CONSECUTIVE
                   : ROW_REFUSED;
    }
    if (!((addr32 ? row_differs32(a32, (u32)(address - imm), 0)
                  : row_differs64(a64, address - imm, 0)) &
          on)) {
        *first_out = address;
        return address - window->lo <= window->span && !(address & (bytes - 1)) ? ROW_EQUAL
                                                                                : ROW_REFUSED;
    }
    for (unsigned l = 0; l < ROW; l++)
        at[l] = addr32 ? (u32)(a32[l] + (u32)imm) : a64[l] + imm;
    return row_outside(at, window, bytes) & on ? ROW_REFUSED : ROW_SCATTERED;
}

/* Both rows; false if one is refused. */
struct rows {
    enum row_kind kind[2];
    u64 first[2];
    FAB_ALIGNED(64) u64 at[WARP_LANES];
};

OPS_INLINE bool rows_classify(const struct warp *w, const struct warp_insn *in,
                              enum ops_window kind, bool addr32, u32 bytes, bool write,
                              struct window *window, struct rows *rows)
{
    const u8 *a = (const u8 *)warp_at(w, in->a);
    const unsigned lane = (unsigned)__builtin_ctz(w->mask);
    const u64 address = addr32 ? (u32)(((const u32 *)(const void *)a)[lane] + (u32)in->imm)
                               : ((const u64 *)(const void *)a)[lane] + (u64)in->imm;

    if (FAB_UNLIKELY(!window_open(w, kind, address, bytes, write, window)))
        return false;
    for (unsigned r = 0; r < 2; r++) {
        rows->kind[r] =
            row_classify(in, a + r * ROW * (addr32 ? 4 : 8), addr32, w->mask >> (r * ROW) & 0xffff,
                         window, bytes, &rows->first[r], rows->at + r * ROW);
        if (FAB_UNLIKELY(rows->kind[r] == ROW_REFUSED))
            return false;
    }
    return true;
}

/* ---- one element a lane
 * ----------------------------------------------------------------------------- */

#define FOR_LANES(m, l)                                                                            \
    for (u32 m_ = (m), l = 0; m_ && (l = (u32)__builtin_ctz(m_), true); m_ &= m_ - 1)

/* M is the type in memory, R the register's. */
#define LOAD(name, R, M, element, window_kind, addr32)                                             \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        struct window window;                                                                      \
        struct rows rows;                                                                          \
        R *d = OPS_VECTOR(R, w, in->d);                                                            \
        if (FAB_UNLIKELY(                                                                          \
                !rows_classify(w, in, window_kind, addr32, sizeof(M), false, &window, &rows)))     \
            return ops_load(w, in, ops_form(window_kind, OPS_ELEMENT_##element, 0));               \
        for (unsigned r = 0; r < 2; r++, d += ROW) {                                               \
            const u32 on = w->mask >> (r * ROW) & 0xffff;                                          \
            const M *from = (const M *)ops_host(window.host + rows.first[r]);                      \
            const u64 *at = rows.at + r * ROW;                                                     \
            if (rows.kind[r] == ROW_CONSECUTIVE) {                                                 \
                if (FAB_LIKELY(on == 0xffff)) {                                                    \
                    OPS_IVDEP for (unsigned l = 0; l < ROW; l++) d[l] = (R)from[l];                \
                } else {                                                                           \
                    FOR_LANES(on, l) d[l] = (R)from[l];                                            \
                }                                                                                  \
            } else if (rows.kind[r] == ROW_EQUAL) {                                                \
                const R value = (R)*from;                                                          \
                if (FAB_LIKELY(on == 0xffff)) {                                                    \
                    OPS_IVDEP for (unsigned l = 0; l < ROW; l++) d[l] = value;                     \
                } else {                                                                           \
                    FOR_LANES(on, l) d[l] = value;                                                 \
                }                                                                                  \
            } else if (rows.kind[r] == ROW_SCATTERED) {                                            \
                FOR_LANES(on, l) d[l] = (R) * (const M *)ops_host(window.host + at[l]);            \
            }                                                                                      \
        }                                                                                          \
        return in + 1;                                                                             \
    }

#define STORE(name, R, M, element, window_kind, addr32)                                            \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        struct window window;                                                                      \
        struct rows rows;                                                                          \
        const R *b = OPS_VECTOR(const R, w, in->b);                                                \
        if (FAB_UNLIKELY(                                                                          \
                !rows_classify(w, in, window_kind, addr32, sizeof(M), true, &window, &rows)))      \
            return ops_store(w, in, ops_form(window_kind, OPS_ELEMENT_##element, 0));              \
        for (unsigned r = 0; r < 2; r++, b += ROW) {                                               \
            const u32 on = w->mask >> (r * ROW) & 0xffff;                                          \
            M *to = (M *)ops_host(window.host + rows.first[r]);                                    \
            const u64 *at = rows.at + r * ROW;                                                     \
            if (rows.kind[r] == ROW_CONSECUTIVE) {                                                 \
                if (FAB_LIKELY(on == 0xffff)) {                                                    \
                    OPS_IVDEP for (unsigned l = 0; l < ROW; l++) to[l] = (M)b[l];                  \
                } else {                                                                           \
                    FOR_LANES(on, l) to[l] = (M)b[l];                                              \
                }                                                                                  \
            } else if (rows.kind[r] == ROW_EQUAL) {                                                \
                *to = (M)b[31 - __builtin_clz(on)]; /* the highest lane's value stays */           \
            } else if (rows.kind[r] == ROW_SCATTERED) {                                            \
                FOR_LANES(on, l) * (M *)ops_host(window.host + at[l]) = (M)b[l];                   \
            }                                                                                      \
        }                                                                                          \
        return in + 1;                                                                             \
    }

/* ---- vectors of 2 and 4 elements
 * -------------------------------------------------------------------- */

/* T is the type of an element in memory and register; operands of '_' go to `waste`. */
#define LOAD_VECTOR(name, T, count, element, window_kind, addr32)                                  \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        struct window window;                                                                      \
        struct rows rows;                                                                          \
        FAB_ALIGNED(64) T waste[WARP_LANES];                                                       \
        T *d[count];                                                                               \
        if (FAB_UNLIKELY(!rows_classify(w, in, window_kind, addr32, (count) * sizeof(T), false,    \
                                        &window, &rows)))                                          \
            return ops_load(w, in,                                                                 \
                            ops_form(window_kind, OPS_ELEMENT_##element, (count) == 4 ? 2 : 1));   \
        for (unsigned n = 0; n < (count); n++) {                                                   \
            const u32 operand = n ? in->ext[n - 1] : in->d;                                        \
            d[n] = operand == WARP_NO_OPERAND ? waste : OPS_VECTOR(T, w, operand);                 \
        }                                                                                          \
        for (unsigned r = 0; r < 2; r++) {                                                         \
            const u32 on = w->mask >> (r * ROW) & 0xffff;                                          \
            const T *from = (const T *)ops_host(window.host + rows.first[r]);                      \
            const u64 *at = rows.at + r * ROW;                                                     \
            if (rows.kind[r] == ROW_CONSECUTIVE && on == 0xffff) {                                 \
                for (unsigned n = 0; n < (count); n++) {                                           \
                    T *to = d[n] + r * ROW;                                                        \
                    OPS_IVDEP for (unsigned l = 0; l < ROW; l++) to[l] = from[l * (count) + n];    \
                }                                                                                  \
                continue;                                                                          \
            }                                                                                      \
            FOR_LANES(on, l)                                                                       \
            {                                                                                      \
                const T *one = rows.kind[r] == ROW_CONSECUTIVE ? from + l * (count)                \
                               : rows.kind[r] == ROW_EQUAL                                         \
                                   ? from                                                          \
                                   : (const T *)ops_host(window.host + at[l]);                     \
                for (unsigned n = 0; n < (count); n++)                                             \
                    d[n][r * ROW + l] = one[n];                                                    \
            }                                                                                      \
        }                                                                                          \
        return in + 1;                                                                             \
    }

#define STORE_VECTOR(name, T, count, element, window_kind, addr32)                                 \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        struct window window;                                                                      \
        struct rows rows;                                                                          \
        const T *b[count];                                                                         \
        if (FAB_UNLIKELY(!rows_classify(w, in, window_kind, addr32, (count) * sizeof(T), true,     \
                                        &window, &rows)))                                          \
            return ops_store(w, in,                                                                \
                             ops_form(window_kind, OPS_ELEMENT_##element, (count) == 4 ? 2 : 1));  \
        for (unsigned n = 0; n < (count); n++)                                                     \
            b[n] = OPS_VECTOR(const T, w, n ? in->ext[n - 1] : in->b);                             \
        for (unsigned r = 0; r < 2; r++) {                                                         \
            const u32 on = w->mask >> (r * ROW) & 0xffff;                                          \
            T *to = (T *)ops_host(window.host + rows.first[r]);                                    \
            const u64 *at = rows.at + r * ROW;                                                     \
            FOR_LANES(on, l)                                                                       \
            {                                                                                      \
                T *one = rows.kind[r] == ROW_CONSECUTIVE ? to + l * (count)                        \
                         : rows.kind[r] == ROW_EQUAL     ? to                                      \
                                                         : (T *)ops_host(window.host + at[l]);         \
                for (unsigned n = 0; n < (count); n++)                                             \
                    one[n] = b[n][r * ROW + l];                                                    \
            }                                                                                      \
        }                                                                                          \
        return in + 1;                                                                             \
    }

/* ---- the forms that are fast
 * ------------------------------------------------------------------------ */

#define FORMS(M, suffix, window, addr32)                                                           \
    M##_ONE(u8_##suffix, u16, u8, U8_U16, window, addr32)                                          \
        M##_ONE(u8w_##suffix, u32, u8, U8_U32, window, addr32)                                     \
            M##_ONE(u16_##suffix, u16, u16, U16_U16, window, addr32)                               \
                M##_ONE(u32_##suffix, u32, u32, U32_U32, window, addr32)                           \
                    M##_ONE(u64_##suffix, u64, u64, U64_U64, window, addr32)                       \
                        M##_MANY(u32x2_##suffix, u32, 2, U32_U32, window, addr32)                  \
                            M##_MANY(u32x4_##suffix, u32, 4, U32_U32, window, addr32)              \
                                M##_MANY(u64x2_##suffix, u64, 2, U64_U64, window, addr32)
#define LD_ONE(name, R, M, element, window, addr32) LOAD(ld_##name, R, M, element, window, addr32)
#define ST_ONE(name, R, M, element, window, addr32) STORE(st_##name, R, M, element, window, addr32)
#define LD_MANY(name, T, count, element, window, addr32)                                           \
    LOAD_VECTOR(ld_##name, T, count, element, window, addr32)
#define ST_MANY(name, T, count, element, window, addr32)                                           \
    STORE_VECTOR(st_##name, T, count, element, window, addr32)

FORMS(LD, device, OPS_DEVICE, false)
FORMS(LD, generic, OPS_GENERIC, false)
FORMS(LD, shared, OPS_SHARED, false)
FORMS(LD, shared32, OPS_SHARED, true)
FORMS(ST, device, OPS_DEVICE, false)
FORMS(ST, generic, OPS_GENERIC, false)
FORMS(ST, shared, OPS_SHARED, false)
FORMS(ST, shared32, OPS_SHARED, true)

/* ---- finder
 * ------------------------------------------------------------------------------------------ */

#define FAST_ROWS(suffix, window, is_addr32)                                                       \
    {window, OPS_ELEMENT_U8_U16, 0, is_addr32, ld_u8_##suffix, st_u8_##suffix},                    \
        {window, OPS_ELEMENT_U8_U32, 0, is_addr32, ld_u8w_##suffix, st_u8w_##suffix},              \
        {window, OPS_ELEMENT_U16_U16, 0, is_addr32, ld_u16_##suffix, st_u16_##suffix},             \
        {window, OPS_ELEMENT_U32_U32, 0, is_addr32, ld_u32_##suffix, st_u32_##suffix},             \
        {window, OPS_ELEMENT_U64_U64, 0, is_addr32, ld_u64_##suffix, st_u64_##suffix},             \
        {window, OPS_ELEMENT_U32_U32, 1, is_addr32, ld_u32x2_##suffix, st_u32x2_##suffix},         \
        {window, OPS_ELEMENT_U32_U32, 2, is_addr32, ld_u32x4_##suffix, st_u32x4_##suffix},         \
    {                                                                                              \
        window, OPS_ELEMENT_U64_U64, 1, is_addr32, ld_u64x2_##suffix, st_u64x2_##suffix            \
    }

warp_fn OPS_SYM(ops_find_memory)(const struct ptx_op *op, const struct warp_form *form)
{
    static const struct {
        enum ops_window window;
        enum ops_element element;
        uint8_t count_log2;
        bool addr32;
        warp_fn load, store;
    } rows[] = {FAST_ROWS(device, OPS_DEVICE, false), FAST_ROWS(generic, OPS_GENERIC, false),
                FAST_ROWS(shared, OPS_SHARED, false), FAST_ROWS(shared32, OPS_SHARED, true)};
    const bool is_store = op->family == PTX_ST;
    unsigned wanted;

    if ((!is_store && op->family != PTX_LD && op->family != PTX_LDU) || op->flags)
        return NULL;
    if (!form || form->addr_constant || op->sem > PTX_SEM_RELAXED)
        return NULL; /* served by the general handler */
    if (!ops_form_of(op, is_store ? form->src_bytes : form->dst_bytes, is_store, &wanted))
        return NULL;
    for (unsigned n = 0; n < FAB_ARRAY_LEN(rows); n++)
        if (ops_form(rows[n].window, rows[n].element, rows[n].count_log2) == wanted &&
            rows[n].addr32 == form->addr32)
            return is_store ? rows[n].store : rows[n].load;
    return NULL;
}
