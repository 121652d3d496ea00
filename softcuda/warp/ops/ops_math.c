/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_math.c - ex2, lg2, sin, cos, tanh (.approx). A variant source.
 *
 * Each is a short series in double precision, rounded once: better than the bounds of the PTX ISA
 * and, since nothing here is fused or reordered, the same to the bit in every variant. Results are
 * not those of a device to the last bit; nobody may rely on that.
 */
#include <float.h>
#include <math.h>

#include "softcuda/warp/ops/ops_int.h"
#include "softcuda/warp/ops/ops_list.h"

/* Adding this moves the integer part of a double below 2^51 into its lowest bits. */
#define ROUNDER 0x1.8p52

OPS_INLINE f64 nearest(f64 x)
{
    return (x + ROUNDER) - ROUNDER;
}

/* e^t for |t| <= ln 2 / 2: the Taylor series, rest below 1e-11. */
OPS_INLINE f64 series_exp(f64 t)
{
    f64 s = 1.0 / 362880;

    s = s * t + 1.0 / 40320;
    s = s * t + 1.0 / 5040;
    s = s * t + 1.0 / 720;
    s = s * t + 1.0 / 120;
    s = s * t + 1.0 / 24;
    s = s * t + 1.0 / 6;
    s = s * t + 0.5;
    s = s * t + 1.0;
    return s * t + 1.0;
}

/* 2^x for |x| <= 1000. */
OPS_INLINE f64 exp2_f64(f64 x)
{
    const f64 whole = nearest(x);
    const u64 power = ops_bits64(x + ROUNDER) + 1023; /* its low bits: whole + 1023 */

    return series_exp((x - whole) * 0.693147180559945309417) * ops_float64(power << 52);
}

OPS_INLINE f32 exp2_f32(f32 x)
{
    const f64 wide = x;
    const f64 clamped = wide > 200.0 ? 200.0 : wide < -200.0 ? -200.0 : wide;
    const f32 result = (f32)exp2_f64(clamped); /* 2^200 becomes infinite, 2^-200 zero */

    return x == x ? result : ops_float32(OPS_NAN32);
}

/* log2 of a positive finite number. With m in [sqrt(1/2), sqrt(2)) and s = (m - 1) / (m + 1):
 * ln m = 2 atanh s, |s| < 0.172, series to s^13. */
OPS_INLINE f64 log2_f64(f64 x)
{
    const u64 bits = ops_bits64(x);
    const u64 half = UINT64_C(0x3fe6a09e667f3bcd);            /* sqrt(1/2) */
    const u64 shifted = bits - half + (UINT64_C(1023) << 52); /* exponent field: e + 1023 */
    const f64 exponent =
        ops_float64((shifted >> 52) | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023.0);
    const f64 m = ops_float64(bits - (((shifted >> 52) - 1023) << 52));
    const f64 s = (m - 1.0) / (m + 1.0), q = s * s;
    f64 p = 1.0 / 13;

    p = p * q + 1.0 / 11;
    p = p * q + 1.0 / 9;
    p = p * q + 1.0 / 7;
    p = p * q + 1.0 / 5;
    p = p * q + 1.0 / 3;
    p = p * q + 1.0;
    return exponent + p * s * 2.88539008177792681472; /* 2 / ln 2 */
}

OPS_INLINE f32 log2_f32(f32 x)
{
    const f32 result = (f32)log2_f64(x);

    return x > 0.0f ? (x <= FLT_MAX ? result : x)
                    : (x == 0.0f ? -(f32)INFINITY : ops_float32(OPS_NAN32));
}

/* sin and cos: x = n pi/2 + r with pi/2 in two parts, of which the first has 33 bits so that its
 * product with n is exact. Good to |x| < 2^20; sine_far() takes over there. */
#define FAR_AWAY 0x1p20
#define HALF_PI_HIGH 0x1.921fb544p+0
#define HALF_PI_LOW 0x1.0b4611a626331p-34

OPS_INLINE f64 sine_quadrant(f64 x, u64 quarter)
{
    const f64 n = nearest(x * 0.636619772367581343076); /* 2 / pi */
    const u64 quadrant = ops_bits64(x * 0.636619772367581343076 + ROUNDER) + quarter;
    const f64 r = (x - n * HALF_PI_HIGH) - n * HALF_PI_LOW, q = r * r;
    f64 s = -1.0 / 39916800, c = 1.0 / 479001600, value;

    s = s * q + 1.0 / 362880;
    s = s * q - 1.0 / 5040;
    s = s * q + 1.0 / 120;
    s = s * q - 1.0 / 6;
    s = s * q * r + r;
    c = c * q - 1.0 / 3628800;
    c = c * q + 1.0 / 40320;
    c = c * q - 1.0 / 720;
    c = c * q + 1.0 / 24;
    c = c * q - 0.5;
    c = c * q + 1.0;
    value = quadrant & 1 ? c : s;
    value = quadrant & 2 ? -value : value;
    return quarter == 0 && x == 0.0 ? x : value; /* sin(-0) is -0 */
}

/* The lanes that the series cannot serve. */
static __attribute__((noinline)) void sine_far(struct warp *w, const f32 *sources, f32 *d,
                                               bool cosine)
{
    for (unsigned i = 0; i < WARP_LANES; i++) {
        const f64 x = sources[i];

        if (!(w->mask >> i & 1) || fabs(x) < FAR_AWAY)
            continue;
        d[i] = ops_nan32((f32)(cosine ? cos(x) : sin(x)));
    }
}

#define SINE(name, quarter, load)                                                                  \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        f32 *d = OPS_VECTOR(f32, w, in->d);                                                        \
        const f32 *a = OPS_VECTOR(const f32, w, in->a);                                            \
        f32 x[WARP_LANES];                                                                         \
        u32 is_far = 0;                                                                            \
                                                                                                   \
        for (unsigned i = 0; i < WARP_LANES; i++) {                                                \
            x[i] = load(a[i]);                                                                     \
            is_far |= __builtin_fabsf(x[i]) < (f32)FAR_AWAY ? 0u : 1u;                             \
        }                                                                                          \
        OPS_WRITE(f32, w, d, (f32)sine_quadrant(x[i], quarter));                                   \
        if (FAB_UNLIKELY(is_far))                                                                  \
            sine_far(w, x, d, (quarter) != 0);                                                     \
        return in + 1;                                                                             \
    }
#define AS_IT_IS(x) (x)
SINE(sin_f32, 0, AS_IT_IS)
SINE(cos_f32, 1, AS_IT_IS)
SINE(sin_f32_ftz, 0, ops_flush)
SINE(cos_f32_ftz, 1, ops_flush)

OPS_UNARY(ex2_f32, f32, f32, exp2_f32(x))
OPS_UNARY(ex2_f32_ftz, f32, f32, ops_flush(exp2_f32(ops_flush(x))))
OPS_UNARY(lg2_f32, f32, f32, log2_f32(x))
OPS_UNARY(lg2_f32_ftz, f32, f32, log2_f32(ops_flush(x)))

/* tanh x = (e^2x - 1) / (e^2x + 1); x itself where x^3 / 3 is below half a unit of its last place.
 */
OPS_INLINE f32 tanh_lane(f32 x)
{
    const f64 wide = x;
    const f64 clamped = wide > 20.0 ? 20.0 : wide < -20.0 ? -20.0 : wide;
    const f64 power = exp2_f64(clamped * 2.88539008177792681472); /* 2 / ln 2 */
    const f32 result = (f32)((power - 1.0) / (power + 1.0));

    return __builtin_fabsf(x) < 0x1p-12f ? x : x == x ? result : ops_float32(OPS_NAN32);
}
OPS_UNARY(tanh_f32, f32, f32, tanh_lane(x))

warp_fn OPS_SYM(ops_find_math)(const struct ptx_op *op, const struct warp_form *form)
{
    const bool ftz = (op->flags & PTX_F_FTZ) != 0;

    (void)form;
    if (op->type != PTX_F32 || (op->flags & ~(u32)(PTX_F_FTZ | PTX_F_APPROX)))
        return NULL;
    switch (op->family) {
    case PTX_EX2:
        return ftz ? ex2_f32_ftz : ex2_f32;
    case PTX_LG2:
        return ftz ? lg2_f32_ftz : lg2_f32;
    case PTX_SIN:
        return ftz ? sin_f32_ftz : sin_f32;
    case PTX_COS:
        return ftz ? cos_f32_ftz : cos_f32;
    case PTX_TANH:
        return ftz ? NULL : tanh_f32;
    default:
        return NULL;
    }
}
