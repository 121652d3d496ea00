/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_int.h - what the handler sources share: lane types, the loops over lanes,
 * and the macros that turn one scalar expression into a handler.
 *
 * Two kinds of sources use it. The variant sources (CMakeLists.txt) are compiled once for each
 * instruction set with OPS_VARIANT naming it; the general ones, for what is rare or scalar anyway,
 * are compiled once. A finder maps a decoded operation to a handler, or to NULL for a form that
 * we do not have; every finder refuses flags that its handlers would ignore.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_INT_H
#define SOFTCUDA_WARP_OPS_OPS_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "softcuda/warp/ops/ops.h"

/* Lane types under the names that PTX gives them; the macros below paste them. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef float f32;
typedef double f64;

#define OPS_PASTE_(a, b) a##_##b
#define OPS_PASTE(a, b) OPS_PASTE_(a, b)
#ifdef OPS_VARIANT
#define OPS_SYM(name) OPS_PASTE(name, OPS_VARIANT)
#endif

#define OPS_INLINE static inline __attribute__((always_inline))

/* ---- lanes ----------------------------------------------------------------------------------- */

/* Lanes never depend on each other and a destination is either a source itself or apart from it. */
#ifdef __clang__
#define OPS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define OPS_IVDEP _Pragma("GCC ivdep")
#endif
#define OPS_LANES OPS_IVDEP for (unsigned i = 0; i < WARP_LANES; i++)

extern const u32 ops_lane_bit[WARP_LANES];   /* 1 << lane */
extern const u64 ops_lane_bit64[WARP_LANES]; /* the same for 64-bit lanes */

#define OPS_AT(T, w, operand) ((T *)__builtin_assume_aligned(warp_at((w), (operand)), 4))
#define OPS_VECTOR(T, w, operand) ((T *)__builtin_assume_aligned(warp_at((w), (operand)), 64))

/* Is lane i on? By the width of what it selects, so that both sides of the blend are as wide. */
#define OPS_ON(T, mask, lanes) (sizeof(T) == 8 ? ((mask)&ops_lane_bit64[i]) != 0 : (lanes)[i] != 0)

/* d[i] = value for the active lanes; `value` is an expression in i. */
#define OPS_WRITE(T, w, d, value)                                                                  \
    do {                                                                                           \
        const u64 mask_ = (w)->mask;                                                               \
        const u32 *lanes_ = (w)->lanes;                                                            \
        (void)lanes_;                                                                              \
        if (FAB_LIKELY(mask_ == WARP_FULL)) {                                                      \
            OPS_LANES(d)[i] = (T)(value);                                                          \
        } else {                                                                                   \
            OPS_LANES(d)[i] = OPS_ON(T, mask_, lanes_) ? (T)(value) : (d)[i];                      \
        }                                                                                          \
    } while (0)

#define OPS_HANDLER(name)                                                                          \
    static const struct warp_insn *name(struct warp *w, const struct warp_insn *in)

/* One scalar expression in x, y, z -> a lane function and its handler `name`. D is the lane type of
 * the destination; A, B, C those of the sources. */
#define OPS_UNARY(name, D, A, expr)                                                                \
    OPS_INLINE D lane_##name(A x)                                                                  \
    {                                                                                              \
        return (D)(expr);                                                                          \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        D *d = OPS_VECTOR(D, w, in->d);                                                            \
        const A *a = OPS_VECTOR(const A, w, in->a);                                                \
        OPS_WRITE(D, w, d, lane_##name(a[i]));                                                     \
        return in + 1;                                                                             \
    }

#define OPS_BINARY2(name, D, A, B, expr)                                                           \
    OPS_INLINE D lane_##name(A x, B y)                                                             \
    {                                                                                              \
        return (D)(expr);                                                                          \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        D *d = OPS_VECTOR(D, w, in->d);                                                            \
        const A *a = OPS_VECTOR(const A, w, in->a);                                                \
        const B *b = OPS_VECTOR(const B, w, in->b);                                                \
        OPS_WRITE(D, w, d, lane_##name(a[i], b[i]));                                               \
        return in + 1;                                                                             \
    }
#define OPS_BINARY(name, T, expr) OPS_BINARY2(name, T, T, T, expr)

#define OPS_TERNARY2(name, D, A, B, C, expr)                                                       \
    OPS_INLINE D lane_##name(A x, B y, C z)                                                        \
    {                                                                                              \
        return (D)(expr);                                                                          \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        D *d = OPS_VECTOR(D, w, in->d);                                                            \
        const A *a = OPS_VECTOR(const A, w, in->a);                                                \
        const B *b = OPS_VECTOR(const B, w, in->b);                                                \
        const C *c = OPS_VECTOR(const C, w, in->c);                                                \
        OPS_WRITE(D, w, d, lane_##name(a[i], b[i], c[i]));                                         \
        return in + 1;                                                                             \
    }
#define OPS_TERNARY(name, T, expr) OPS_TERNARY2(name, T, T, T, T, expr)

/* The same expression for 16, 32 and 64 bits; signs matter only where they are named. */
#define OPS_EACH_UNSIGNED(M, name, expr)                                                           \
    M(name##_u16, u16, expr) M(name##_u32, u32, expr) M(name##_u64, u64, expr)
#define OPS_EACH_SIGNED(M, name, expr)                                                             \
    M(name##_s16, s16, expr) M(name##_s32, s32, expr) M(name##_s64, s64, expr)
#define OPS_EACH_INTEGER(M, name, expr)                                                            \
    OPS_EACH_UNSIGNED(M, name, expr) OPS_EACH_SIGNED(M, name, expr)
#define OPS_UNARY_T(name, T, expr) OPS_UNARY(name, T, T, expr)

/* ---- finders --------------------------------------------------------------------------------- */

typedef warp_fn ops_finder(const struct ptx_op *op, const struct warp_form *form);

/* Rows of a table over enum ptx_type: handlers that do not care for the sign, and that do. */
#define OPS_ROWS_SIGNLESS(name)                                                                    \
    [PTX_U16] = name##_u16, [PTX_S16] = name##_u16, [PTX_U32] = name##_u32,                        \
    [PTX_S32] = name##_u32, [PTX_U64] = name##_u64, [PTX_S64] = name##_u64
#define OPS_ROWS_BITS(name) [PTX_B16] = name##_u16, [PTX_B32] = name##_u32, [PTX_B64] = name##_u64
#define OPS_ROWS_SIGN(name)                                                                        \
    [PTX_U16] = name##_u16, [PTX_S16] = name##_s16, [PTX_U32] = name##_u32,                        \
    [PTX_S32] = name##_s32, [PTX_U64] = name##_u64, [PTX_S64] = name##_s64
#define OPS_ROWS_SIGN_32_64(name)                                                                  \
    [PTX_U32] = name##_u32, [PTX_S32] = name##_s32, [PTX_U64] = name##_u64, [PTX_S64] = name##_s64

typedef warp_fn ops_by_type[PTX_TYPE_COUNT];

/* The table's entry if the operation carries no flags beyond `allowed`. */
static inline warp_fn ops_pick(const struct ptx_op *op, const warp_fn *table, u32 allowed)
{
    return (op->flags & ~allowed) || op->type >= PTX_TYPE_COUNT ? NULL : table[op->type];
}

/* ---- bits ------------------------------------------------------------------------------------ */

OPS_INLINE u32 ops_bits32(f32 x)
{
    u32 bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

OPS_INLINE f32 ops_float32(u32 bits)
{
    f32 x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

OPS_INLINE u64 ops_bits64(f64 x)
{
    u64 bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

OPS_INLINE f64 ops_float64(u64 bits)
{
    f64 x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Results that are not a number are the one NaN that devices deliver, whatever the payloads of the
 * sources: so variants agree, too. (CUDA C++ Programming Guide, floating-point standard.) */
#define OPS_NAN32 UINT32_C(0x7fffffff)
#define OPS_NAN64 UINT64_C(0xfff8000000000000)

OPS_INLINE f32 ops_nan32(f32 x)
{
    return x == x ? x : ops_float32(OPS_NAN32);
}

OPS_INLINE f64 ops_nan64(f64 x)
{
    return x == x ? x : ops_float64(OPS_NAN64);
}

/* .ftz: a subnormal becomes zero and keeps its sign. */
OPS_INLINE f32 ops_flush(f32 x)
{
    const u32 bits = ops_bits32(x);
    return ops_float32((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

/* .sat: into [0, 1]; NaN becomes +0. */
OPS_INLINE f32 ops_saturate(f32 x)
{
    const f32 low = x > 0.0f ? x : 0.0f;
    return low < 1.0f ? low : 1.0f;
}

#endif /* SOFTCUDA_WARP_OPS_OPS_INT_H */
