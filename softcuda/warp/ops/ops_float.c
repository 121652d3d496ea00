/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_float.c - IEEE arithmetic on f32 and f64: add, sub, mul, fma, mad, div,
 * rcp, sqrt, rsqrt, abs, neg, min, max, copysign. A variant source.
 *
 * Everything here is correctly rounded, also where PTX would allow an approximation: division and
 * square root are single vector instructions, and so all variants agree to the bit. The directed
 * roundings run the same handler under another rounding mode of the processor; .ftz is done on the
 * values and never through processor modes.
 */
#include <fenv.h>
#include <math.h>

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#include "softcuda/warp/ops/ops_int.h"
#include "softcuda/warp/ops/ops_list.h"

/* ---- rounding -------------------------------------------------------------------------------- */

enum { ROUND_RN, ROUND_RZ, ROUND_RM, ROUND_RP, ROUND_COUNT };

/* Runs a handler under a directed rounding. Handlers work on memory through pointers that the
 * compiler cannot see through here, so no operation moves across the change of mode. */
static __attribute__((noinline)) const struct warp_insn *
run_rounded(struct warp *w, const struct warp_insn *in, warp_fn fn, unsigned round)
{
    const struct warp_insn *next;
#ifdef __SSE2__
    static const unsigned bits[ROUND_COUNT] = {_MM_ROUND_NEAREST, _MM_ROUND_TOWARD_ZERO,
                                               _MM_ROUND_DOWN, _MM_ROUND_UP};
    const unsigned before = _mm_getcsr();

    _mm_setcsr((before & ~(unsigned)_MM_ROUND_MASK) | bits[round]);
    next = fn(w, in);
    _mm_setcsr(before);
#else
    static const int modes[ROUND_COUNT] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    const int before = fegetround();

    (void)fesetround(modes[round]); /* the four modes exist wherever we build */
    next = fn(w, in);
    (void)fesetround(before);
#endif
    return next;
}

#define ROUNDED(name)                                                                              \
    OPS_HANDLER(name##_rz)                                                                         \
    {                                                                                              \
        return run_rounded(w, in, name, ROUND_RZ);                                                 \
    }                                                                                              \
    OPS_HANDLER(name##_rm)                                                                         \
    {                                                                                              \
        return run_rounded(w, in, name, ROUND_RM);                                                 \
    }                                                                                              \
    OPS_HANDLER(name##_rp)                                                                         \
    {                                                                                              \
        return run_rounded(w, in, name, ROUND_RP);                                                 \
    }
#define ROUNDS(name)                                                                               \
    {                                                                                              \
        name, name##_rz, name##_rm, name##_rp                                                      \
    }

typedef warp_fn by_round[ROUND_COUNT];

static warp_fn pick_round(const struct ptx_op *op, const by_round rows)
{
    switch (op->round) {
    case PTX_ROUND_NONE:
    case PTX_ROUND_RN:
        return rows[ROUND_RN];
    case PTX_ROUND_RZ:
        return rows[ROUND_RZ];
    case PTX_ROUND_RM:
        return rows[ROUND_RM];
    case PTX_ROUND_RP:
        return rows[ROUND_RP];
    default:
        return NULL;
    }
}

/* ---- forms: plain, .ftz, .sat, .ftz.sat, each in four roundings ------------------------------ */

enum { FORM_FTZ = 1, FORM_SAT = 2, FORM_COUNT = 4 };

static unsigned form_of(const struct ptx_op *op)
{
    return (op->flags & PTX_F_FTZ ? FORM_FTZ : 0u) | (op->flags & PTX_F_SAT ? FORM_SAT : 0u);
}

#define F32_ROUNDED(name)                                                                          \
    ROUNDED(name)                                                                                  \
    ROUNDED(name##_ftz)                                                                            \
    ROUNDED(name##_sat)                                                                            \
    ROUNDED(name##_ftz_sat)                                                                        \
    static const by_round name##_rows[FORM_COUNT] = {ROUNDS(name), ROUNDS(name##_ftz),             \
                                                     ROUNDS(name##_sat), ROUNDS(name##_ftz_sat)};

#define F32_BINARY(name, expr)                                                                     \
    OPS_BINARY(name, f32, ops_nan32(expr))                                                         \
    OPS_BINARY(name##_ftz, f32, ops_flush(lane_##name(ops_flush(x), ops_flush(y))))                \
    OPS_BINARY(name##_sat, f32, ops_saturate(lane_##name(x, y)))                                   \
    OPS_BINARY(name##_ftz_sat, f32, ops_saturate(lane_##name##_ftz(x, y)))                         \
    F32_ROUNDED(name)

#define F32_TERNARY(name, expr)                                                                    \
    OPS_TERNARY(name, f32, ops_nan32(expr))                                                        \
    OPS_TERNARY(name##_ftz, f32, ops_flush(lane_##name(ops_flush(x), ops_flush(y), ops_flush(z)))) \
    OPS_TERNARY(name##_sat, f32, ops_saturate(lane_##name(x, y, z)))                               \
    OPS_TERNARY(name##_ftz_sat, f32, ops_saturate(lane_##name##_ftz(x, y, z)))                     \
    F32_ROUNDED(name)

/* Without .sat. */
#define F32_UNARY(name, expr)                                                                      \
    OPS_UNARY(name, f32, f32, ops_nan32(expr))                                                     \
    OPS_UNARY(name##_ftz, f32, f32, ops_flush(lane_##name(ops_flush(x))))                          \
    ROUNDED(name)                                                                                  \
    ROUNDED(name##_ftz)                                                                            \
    static const by_round name##_rows[FORM_COUNT] = {ROUNDS(name), ROUNDS(name##_ftz)};

#define F64_ROWS(name)                                                                             \
    ROUNDED(name)                                                                                  \
    static const by_round name##_rows = ROUNDS(name);

F32_BINARY(add_f32, x + y)
F32_BINARY(sub_f32, x - y)
F32_BINARY(mul_f32, x *y)
F32_BINARY(div_f32, x / y)
F32_TERNARY(fma_f32, __builtin_fmaf(x, y, z))
F32_UNARY(rcp_f32, 1.0f / x)
F32_UNARY(sqrt_f32, __builtin_sqrtf(x))
F32_UNARY(rsqrt_f32, 1.0f / __builtin_sqrtf(x))

OPS_BINARY(add_f64, f64, ops_nan64(x + y))
OPS_BINARY(sub_f64, f64, ops_nan64(x - y))
OPS_BINARY(mul_f64, f64, ops_nan64(x *y))
OPS_BINARY(div_f64, f64, ops_nan64(x / y))
OPS_TERNARY(fma_f64, f64, ops_nan64(__builtin_fma(x, y, z)))
OPS_UNARY(rcp_f64, f64, f64, ops_nan64(1.0 / x))
OPS_UNARY(sqrt_f64, f64, f64, ops_nan64(__builtin_sqrt(x)))
OPS_UNARY(rsqrt_f64, f64, f64, ops_nan64(1.0 / __builtin_sqrt(x)))
F64_ROWS(add_f64)
F64_ROWS(sub_f64)
F64_ROWS(mul_f64)
F64_ROWS(div_f64)
F64_ROWS(fma_f64)
F64_ROWS(rcp_f64)
F64_ROWS(sqrt_f64)

/* rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 flush, too, and deliver a value whose low word is
 * zero; code that uses them refines the result, so a better one is as good. */
OPS_INLINE f64 flush64(f64 x)
{
    const u64 bits = ops_bits64(x);
    const u64 sign = bits & (UINT64_C(1) << 63);
    return ops_float64((bits & UINT64_C(0x7ff0000000000000)) == 0 ? sign : bits);
}
OPS_UNARY(rcp_ftz_f64, f64, f64, flush64(lane_rcp_f64(flush64(x))))
OPS_UNARY(rsqrt_ftz_f64, f64, f64, flush64(lane_rsqrt_f64(flush64(x))))

/* ---- sign, min, max -------------------------------------------------------------------------- */

OPS_UNARY(abs_f32, f32, f32, __builtin_fabsf(x))
OPS_UNARY(neg_f32, f32, f32, -x)
OPS_UNARY(abs_f32_ftz, f32, f32, ops_flush(__builtin_fabsf(x)))
OPS_UNARY(neg_f32_ftz, f32, f32, -ops_flush(x))
OPS_UNARY(abs_f64, f64, f64, __builtin_fabs(x))
OPS_UNARY(neg_f64, f64, f64, -x)
/* The sign of a and the value of b. */
OPS_BINARY(copysign_f32, f32, __builtin_copysignf(y, x))
OPS_BINARY(copysign_f64, f64, __builtin_copysign(y, x))

/* One NaN loses against a number; -0 is below +0, and equal values have equal bits or are zeros. */
#define MINMAX_LANE(name, T, U, bits_of, float_of, nan_of, less, zeros)                            \
    OPS_INLINE T pick_##name(T x, T y)                                                             \
    {                                                                                              \
        U bits = bits_of(x less y ? x : y);                                                        \
        bits = x == y ? bits_of(x) zeros bits_of(y) : bits;                                        \
        bits = y == y ? bits : bits_of(nan_of(x));                                                 \
        return float_of(bits);                                                                     \
    }                                                                                              \
    OPS_BINARY(name, T, pick_##name(x, y))
MINMAX_LANE(min_f32, f32, u32, ops_bits32, ops_float32, ops_nan32, <, |)
MINMAX_LANE(max_f32, f32, u32, ops_bits32, ops_float32, ops_nan32, >, &)
MINMAX_LANE(min_f64, f64, u64, ops_bits64, ops_float64, ops_nan64, <, |)
MINMAX_LANE(max_f64, f64, u64, ops_bits64, ops_float64, ops_nan64, >, &)

/* .NaN: any NaN wins. .xorsign.abs: on magnitudes, with the product's sign. */
#define NAN_WINS(f) (x != x || y != y ? ops_float32(OPS_NAN32) : f)
#define XOR_SIGN(f)                                                                                \
    ops_float32((ops_bits32(f(__builtin_fabsf(x), __builtin_fabsf(y))) & 0x7fffffffu) |            \
                ((ops_bits32(x) ^ ops_bits32(y)) & 0x80000000u))
#define MINMAX_FORMS(name)                                                                         \
    OPS_BINARY(name##_ftz, f32, lane_##name(ops_flush(x), ops_flush(y)))                           \
    OPS_BINARY(name##_nan, f32, NAN_WINS(lane_##name(x, y)))                                       \
    OPS_BINARY(name##_ftz_nan, f32, lane_##name##_nan(ops_flush(x), ops_flush(y)))                 \
    OPS_BINARY(name##_xor, f32, XOR_SIGN(lane_##name))                                             \
    OPS_BINARY(name##_ftz_xor, f32, lane_##name##_xor(ops_flush(x), ops_flush(y)))                 \
    OPS_BINARY(name##_nan_xor, f32, NAN_WINS(lane_##name##_xor(x, y)))                             \
    OPS_BINARY(name##_ftz_nan_xor, f32, lane_##name##_nan_xor(ops_flush(x), ops_flush(y)))         \
    /* [xorsign][NaN][ftz] */                                                                      \
    static const warp_fn name##_forms[2][2][2] = {                                                 \
        {{name, name##_ftz}, {name##_nan, name##_ftz_nan}},                                        \
        {{name##_xor, name##_ftz_xor}, {name##_nan_xor, name##_ftz_nan_xor}}};
MINMAX_FORMS(min_f32)
MINMAX_FORMS(max_f32)

/* ---- finders --------------------------------------------------------------------------------- */

/* Correctly rounded arithmetic in all forms: rows by family. */
static warp_fn find_rounded(const struct ptx_op *op, const by_round *f32_rows,
                            const by_round *f64_rows, u32 f32_flags)
{
    if (op->type == PTX_F32 && f32_rows && !(op->flags & ~f32_flags))
        return pick_round(op, f32_rows[form_of(op)]);
    if (op->type == PTX_F64 && f64_rows && op->flags == 0)
        return pick_round(op, *f64_rows);
    return NULL;
}

/* div, rcp, sqrt, rsqrt: the approximations, which name no rounding, are served by the exact form.
 */
static warp_fn find_quotient(const struct ptx_op *op)
{
    const u32 inexact = op->flags & (PTX_F_APPROX | PTX_F_FULL);
    const u32 flags = PTX_F_FTZ | PTX_F_APPROX | PTX_F_FULL;
    struct ptx_op exact = *op;

    if (inexact && (op->round || (inexact != PTX_F_APPROX && op->family != PTX_DIV)))
        return NULL;
    if (op->type == PTX_F32)
        exact.flags &= ~(u32)(PTX_F_APPROX | PTX_F_FULL);
    switch (op->family) {
    case PTX_DIV:
        return find_rounded(&exact, div_f32_rows, &div_f64_rows, flags);
    case PTX_SQRT:
        return find_rounded(&exact, sqrt_f32_rows, &sqrt_f64_rows, flags);
    case PTX_RCP:
        if (op->type == PTX_F64 && op->flags == (PTX_F_APPROX | PTX_F_FTZ))
            return rcp_ftz_f64;
        return find_rounded(&exact, rcp_f32_rows, &rcp_f64_rows, flags);
    case PTX_RSQRT:
        if (op->type == PTX_F64)
            return op->flags == PTX_F_APPROX                 ? rsqrt_f64
                   : op->flags == (PTX_F_APPROX | PTX_F_FTZ) ? rsqrt_ftz_f64
                                                             : NULL;
        return find_rounded(&exact, rsqrt_f32_rows, NULL, flags);
    default:
        return NULL;
    }
}

static warp_fn find_minmax(const struct ptx_op *op, const warp_fn forms[2][2][2], warp_fn f64_form)
{
    if (op->type == PTX_F64)
        return op->flags ? NULL : f64_form;
    if (op->type != PTX_F32 || (op->flags & ~(u32)(PTX_F_FTZ | PTX_F_NAN | PTX_F_XORSIGN)))
        return NULL;
    return forms[(op->flags & PTX_F_XORSIGN) != 0][(op->flags & PTX_F_NAN) != 0]
                [(op->flags & PTX_F_FTZ) != 0];
}

static warp_fn find_sign(const struct ptx_op *op, warp_fn plain, warp_fn ftz, warp_fn f64_form)
{
    if (op->type == PTX_F64)
        return op->flags ? NULL : f64_form;
    if (op->type != PTX_F32 || (op->flags & ~(u32)PTX_F_FTZ))
        return NULL;
    return op->flags ? ftz : plain;
}

warp_fn OPS_SYM(ops_find_float)(const struct ptx_op *op, const struct warp_form *form)
{
    const u32 flags = PTX_F_FTZ | PTX_F_SAT;

    (void)form;
    switch (op->family) {
    case PTX_ADD:
        return find_rounded(op, add_f32_rows, &add_f64_rows, flags);
    case PTX_SUB:
        return find_rounded(op, sub_f32_rows, &sub_f64_rows, flags);
    case PTX_MUL:
        return find_rounded(op, mul_f32_rows, &mul_f64_rows, flags);
    case PTX_MAD: /* on every target that we report, mad is fma */
    case PTX_FMA:
        return find_rounded(op, fma_f32_rows, &fma_f64_rows, flags);
    case PTX_DIV:
    case PTX_RCP:
    case PTX_SQRT:
    case PTX_RSQRT:
        return find_quotient(op);
    case PTX_MIN:
        return find_minmax(op, min_f32_forms, min_f64);
    case PTX_MAX:
        return find_minmax(op, max_f32_forms, max_f64);
    case PTX_ABS:
        return find_sign(op, abs_f32, abs_f32_ftz, abs_f64);
    case PTX_NEG:
        return find_sign(op, neg_f32, neg_f32_ftz, neg_f64);
    case PTX_COPYSIGN:
        return find_sign(op, copysign_f32, NULL, copysign_f64);
    default:
        return NULL;
    }
}
