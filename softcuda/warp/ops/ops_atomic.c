/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_atomic.c - atom and red. A variant source (for the addresses).
 *
 * Shared memory is plain read-modify-write in lane order: a block is never on two threads at once.
 * Elsewhere each lane is one atomic operation of the processor, stronger than any order that the
 * instruction may ask for; lanes that add to one place are added up first.
 */
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_memory.h"
#include "softcuda/warp/ops/ops_rows.h"

#define ORDER __ATOMIC_SEQ_CST

/* ---- one lane: the old value at p ------------------------------------------------------------ */

/* Anything the processor has no instruction for: `expr` is the new value, from `old`, y and z. */
#define EXCHANGE_LOOP(T, p, expr)                                                                  \
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                  \
    while (!__atomic_compare_exchange_n(p, &old, (T)(expr), true, ORDER, __ATOMIC_RELAXED)) {      \
    }                                                                                              \
    return old

#define LANE(name, T, plain, atomic)                                                               \
    OPS_INLINE T plain_##name(T *p, T y, T z)                                                      \
    {                                                                                              \
        const T old = *p;                                                                          \
        (void)y, (void)z;                                                                          \
        *p = (T)(plain);                                                                           \
        return old;                                                                                \
    }                                                                                              \
    OPS_INLINE T atomic_##name(T *p, T y, T z)                                                     \
    {                                                                                              \
        (void)y, (void)z;                                                                          \
        atomic;                                                                                    \
    }
#define LANE_LOOP(name, T, expr) LANE(name, T, expr, EXCHANGE_LOOP(T, p, expr))

OPS_INLINE u32 add_f32_bits(u32 x, u32 y, bool flush)
{
    const f32 sum = flush ? ops_flush(ops_flush(ops_float32(x)) + ops_flush(ops_float32(y)))
                          : ops_float32(x) + ops_float32(y);
    return ops_bits32(ops_nan32(sum));
}

OPS_INLINE u64 add_f64_bits(u64 x, u64 y)
{
    return ops_bits64(ops_nan64(ops_float64(x) + ops_float64(y)));
}

LANE(add_u32, u32, old + y, return __atomic_fetch_add(p, y, ORDER))
LANE(add_u64, u64, old + y, return __atomic_fetch_add(p, y, ORDER))
LANE(and_u32, u32, old &y, return __atomic_fetch_and(p, y, ORDER))
LANE(and_u64, u64, old &y, return __atomic_fetch_and(p, y, ORDER))
LANE(or_u32, u32, old | y, return __atomic_fetch_or(p, y, ORDER))
LANE(or_u64, u64, old | y, return __atomic_fetch_or(p, y, ORDER))
LANE(xor_u32, u32, old ^ y, return __atomic_fetch_xor(p, y, ORDER))
LANE(xor_u64, u64, old ^ y, return __atomic_fetch_xor(p, y, ORDER))
LANE(exch_u32, u32, y, return __atomic_exchange_n(p, y, ORDER))
LANE(exch_u64, u64, y, return __atomic_exchange_n(p, y, ORDER))
LANE(cas_u16, u16, old == y ? z : old, __atomic_compare_exchange_n(p, &y, z, false, ORDER, ORDER);
     return y)
LANE(cas_u32, u32, old == y ? z : old, __atomic_compare_exchange_n(p, &y, z, false, ORDER, ORDER);
     return y)
LANE(cas_u64, u64, old == y ? z : old, __atomic_compare_exchange_n(p, &y, z, false, ORDER, ORDER);
     return y)
LANE_LOOP(min_u32, u32, old < y ? old : y)
LANE_LOOP(max_u32, u32, old > y ? old : y)
LANE_LOOP(min_u64, u64, old < y ? old : y)
LANE_LOOP(max_u64, u64, old > y ? old : y)
LANE_LOOP(min_s32, s32, old < y ? old : y)
LANE_LOOP(max_s32, s32, old > y ? old : y)
LANE_LOOP(min_s64, s64, old < y ? old : y)
LANE_LOOP(max_s64, s64, old > y ? old : y)
LANE_LOOP(inc_u32, u32, old >= y ? 0 : old + 1)
LANE_LOOP(dec_u32, u32, old == 0 || old > y ? y : old - 1)
/* On global memory f32 is flushed, on shared memory not (PTX ISA, atom). */
LANE(add_f32, u32, add_f32_bits(old, y, false), EXCHANGE_LOOP(u32, p, add_f32_bits(old, y, true)))
LANE_LOOP(add_f64, u64, add_f64_bits(old, y))

/* ---- all lanes ------------------------------------------------------------------------------- */

/* Out of line: one copy serves all handlers below. */
static __attribute__((noinline)) bool resolve(struct warp *w, const struct warp_insn *in,
                                              enum ops_window window, u32 bytes, u64 at[WARP_LANES])
{
    return ops_resolve_rows(w, in, window, bytes, true, at);
}

static bool all_equal(const struct warp *w, const u64 at[WARP_LANES])
{
    const u64 first = at[__builtin_ctz(w->mask)];
    u64 differs = 0;

    for (u32 m = w->mask; m; m &= m - 1)
        differs |= at[__builtin_ctz(m)] ^ first;
    return differs == 0;
}

/* Sources are copied before d is written: d may be one of them, and lanes with a later value must
 * not see it. (Each lane reads its own only, so that holds without a copy.) */
#define ATOMIC(name, T, window, how)                                                               \
    OPS_HANDLER(how##_##name##_##window)                                                           \
    {                                                                                              \
        u64 at[WARP_LANES];                                                                        \
        const T *b = OPS_VECTOR(const T, w, in->b);                                                \
        const T *c = in->c == WARP_NO_OPERAND ? b : OPS_VECTOR(const T, w, in->c);                 \
        T waste[WARP_LANES];                                                                       \
        T *d = in->d == WARP_NO_OPERAND ? waste : OPS_VECTOR(T, w, in->d);                         \
        if (!resolve(w, in, window, sizeof(T), at))                                                \
            return WARP_STOP_FAULT;                                                                \
        for (u32 m = w->mask; m; m &= m - 1) {                                                     \
            const unsigned l = (unsigned)__builtin_ctz(m);                                         \
            d[l] = how##_##name((T *)ops_host(at[l]), b[l], c[l]);                                 \
        }                                                                                          \
        return in + 1;                                                                             \
    }

/* Integer addition: one atomic for lanes that share an address, handed out in lane order. */
#define ATOMIC_SUM(name, T, window)                                                                \
    OPS_HANDLER(sum_##name##_##window)                                                             \
    {                                                                                              \
        u64 at[WARP_LANES];                                                                        \
        const T *b = OPS_VECTOR(const T, w, in->b);                                                \
        T waste[WARP_LANES], before[WARP_LANES], total = 0;                                        \
        T *d = in->d == WARP_NO_OPERAND ? waste : OPS_VECTOR(T, w, in->d);                         \
        if (!resolve(w, in, window, sizeof(T), at))                                                \
            return WARP_STOP_FAULT;                                                                \
        if (!all_equal(w, at)) {                                                                   \
            for (u32 m = w->mask; m; m &= m - 1) {                                                 \
                const unsigned l = (unsigned)__builtin_ctz(m);                                     \
                d[l] = atomic_##name((T *)ops_host(at[l]), b[l], 0);                               \
            }                                                                                      \
            return in + 1;                                                                         \
        }                                                                                          \
        for (u32 m = w->mask; m; m &= m - 1) {                                                     \
            const unsigned l = (unsigned)__builtin_ctz(m);                                         \
            before[l] = total;                                                                     \
            total += b[l];                                                                         \
        }                                                                                          \
        total = __atomic_fetch_add((T *)ops_host(at[__builtin_ctz(w->mask)]), total, ORDER);       \
        for (u32 m = w->mask; m; m &= m - 1) {                                                     \
            const unsigned l = (unsigned)__builtin_ctz(m);                                         \
            d[l] = total + before[l];                                                              \
        }                                                                                          \
        return in + 1;                                                                             \
    }

typedef warp_fn by_window[OPS_WINDOWS]; /* local memory has no atomics */
#define ATOMIC_WINDOWS(name, T)                                                                    \
    ATOMIC(name, T, OPS_DEVICE, atomic)                                                            \
    ATOMIC(name, T, OPS_GENERIC, atomic)                                                           \
    ATOMIC(name, T, OPS_SHARED, plain)                                                             \
    static const by_window rows_##name = {[OPS_DEVICE] = atomic_##name##_OPS_DEVICE,               \
                                          [OPS_GENERIC] = atomic_##name##_OPS_GENERIC,             \
                                          [OPS_SHARED] = plain_##name##_OPS_SHARED};
#define ATOMIC_SUM_WINDOWS(name, T)                                                                \
    ATOMIC_SUM(name, T, OPS_DEVICE)                                                                \
    ATOMIC_SUM(name, T, OPS_GENERIC)                                                               \
    ATOMIC(name, T, OPS_SHARED, plain)                                                             \
    static const by_window rows_##name = {[OPS_DEVICE] = sum_##name##_OPS_DEVICE,                  \
                                          [OPS_GENERIC] = sum_##name##_OPS_GENERIC,                \
                                          [OPS_SHARED] = plain_##name##_OPS_SHARED};

ATOMIC_SUM_WINDOWS(add_u32, u32)
ATOMIC_SUM_WINDOWS(add_u64, u64)
ATOMIC_WINDOWS(add_f32, u32)
ATOMIC_WINDOWS(add_f64, u64)
ATOMIC_WINDOWS(and_u32, u32)
ATOMIC_WINDOWS(and_u64, u64)
ATOMIC_WINDOWS(or_u32, u32)
ATOMIC_WINDOWS(or_u64, u64)
ATOMIC_WINDOWS(xor_u32, u32)
ATOMIC_WINDOWS(xor_u64, u64)
ATOMIC_WINDOWS(exch_u32, u32)
ATOMIC_WINDOWS(exch_u64, u64)
ATOMIC_WINDOWS(cas_u16, u16)
ATOMIC_WINDOWS(cas_u32, u32)
ATOMIC_WINDOWS(cas_u64, u64)
ATOMIC_WINDOWS(min_u32, u32)
ATOMIC_WINDOWS(max_u32, u32)
ATOMIC_WINDOWS(min_u64, u64)
ATOMIC_WINDOWS(max_u64, u64)
ATOMIC_WINDOWS(min_s32, s32)
ATOMIC_WINDOWS(max_s32, s32)
ATOMIC_WINDOWS(min_s64, s64)
ATOMIC_WINDOWS(max_s64, s64)
ATOMIC_WINDOWS(inc_u32, u32)
ATOMIC_WINDOWS(dec_u32, u32)

/* ---- finder ---------------------------------------------------------------------------------- */

static const struct {
    uint8_t sub, type;
    const by_window *windows;
} rows[] = {
    {PTX_SUB_ADD, PTX_U32, &rows_add_u32},   {PTX_SUB_ADD, PTX_S32, &rows_add_u32},
    {PTX_SUB_ADD, PTX_U64, &rows_add_u64},   {PTX_SUB_ADD, PTX_S64, &rows_add_u64},
    {PTX_SUB_ADD, PTX_F32, &rows_add_f32},   {PTX_SUB_ADD, PTX_F64, &rows_add_f64},
    {PTX_SUB_AND, PTX_B32, &rows_and_u32},   {PTX_SUB_AND, PTX_B64, &rows_and_u64},
    {PTX_SUB_OR, PTX_B32, &rows_or_u32},     {PTX_SUB_OR, PTX_B64, &rows_or_u64},
    {PTX_SUB_XOR, PTX_B32, &rows_xor_u32},   {PTX_SUB_XOR, PTX_B64, &rows_xor_u64},
    {PTX_SUB_EXCH, PTX_B32, &rows_exch_u32}, {PTX_SUB_EXCH, PTX_B64, &rows_exch_u64},
    {PTX_SUB_CAS, PTX_B16, &rows_cas_u16},   {PTX_SUB_CAS, PTX_B32, &rows_cas_u32},
    {PTX_SUB_CAS, PTX_B64, &rows_cas_u64},   {PTX_SUB_MIN, PTX_U32, &rows_min_u32},
    {PTX_SUB_MIN, PTX_S32, &rows_min_s32},   {PTX_SUB_MIN, PTX_U64, &rows_min_u64},
    {PTX_SUB_MIN, PTX_S64, &rows_min_s64},   {PTX_SUB_MAX, PTX_U32, &rows_max_u32},
    {PTX_SUB_MAX, PTX_S32, &rows_max_s32},   {PTX_SUB_MAX, PTX_U64, &rows_max_u64},
    {PTX_SUB_MAX, PTX_S64, &rows_max_s64},   {PTX_SUB_INC, PTX_U32, &rows_inc_u32},
    {PTX_SUB_DEC, PTX_U32, &rows_dec_u32},
};

warp_fn OPS_SYM(ops_find_atomic)(const struct ptx_op *op, const struct warp_form *form)
{
    enum ops_window window;

    (void)form;
    if ((op->family != PTX_ATOM && op->family != PTX_RED) || op->flags || op->vec > 1)
        return NULL;
    if (op->family == PTX_RED && (op->sub == PTX_SUB_EXCH || op->sub == PTX_SUB_CAS))
        return NULL;
    if (!ops_window_of(op->space, &window) || window == OPS_LOCAL)
        return NULL;
    for (size_t n = 0; n < FAB_ARRAY_LEN(rows); n++)
        if (rows[n].sub == op->sub && rows[n].type == op->type)
            return (*rows[n].windows)[window];
    return NULL;
}
