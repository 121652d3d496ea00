/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_convert.c - the common conversions, in vectors. A variant source; every
 * other form of cvt is in ops_convert_general.c, and a test compares the two.
 */
#include <math.h>

#include "softcuda/warp/ops/ops_int.h"
#include "softcuda/warp/ops/ops_list.h"

/* ---- integers, each in a register of its own size (8 bits: in 16) ---------------------------- */

OPS_UNARY(u16_u8, u16, u16, (u8)x)
OPS_UNARY(s16_s8, s16, u16, (s8)x)
OPS_UNARY(u32_u8, u32, u16, (u8)x)
OPS_UNARY(s32_s8, s32, u16, (s8)x)
OPS_UNARY(u32_u16, u32, u16, x)
OPS_UNARY(s32_s16, s32, s16, x)
OPS_UNARY(u64_u16, u64, u16, x)
OPS_UNARY(s64_s16, s64, s16, x)
OPS_UNARY(u64_u32, u64, u32, x)
OPS_UNARY(s64_s32, s64, s32, x)
OPS_UNARY(u16_u32, u16, u32, x)
OPS_UNARY(u16_u64, u16, u64, x)
OPS_UNARY(u32_u64, u32, u64, x)
OPS_UNARY(u8_u32, u16, u32, (u8)x)
OPS_UNARY(u32_u32, u32, u32, x)
OPS_UNARY(u64_u64, u64, u64, x)

/* ---- integers to floats ---------------------------------------------------------------------- */

OPS_UNARY(f32_u8, f32, u16, (f32)(u8)x)
OPS_UNARY(f32_s8, f32, u16, (f32)(s8)x)
OPS_UNARY(f32_u16, f32, u16, (f32)x)
OPS_UNARY(f32_s16, f32, s16, (f32)x)
OPS_UNARY(f32_u32, f32, u32, (f32)x)
OPS_UNARY(f32_s32, f32, s32, (f32)x)
OPS_UNARY(f32_u64, f32, u64, (f32)x)
OPS_UNARY(f32_s64, f32, s64, (f32)x)
OPS_UNARY(f64_u32, f64, u32, (f64)x)
OPS_UNARY(f64_s32, f64, s32, (f64)x)
OPS_UNARY(f64_u64, f64, u64, (f64)x)
OPS_UNARY(f64_s64, f64, s64, (f64)x)

/* ---- floats to integers: saturating; NaN as the PTX ISA says for the pair -------------------- */

/* `whole` is x rounded; only what fits is ever cast. low and limit bound the type: [low, limit). */
#define TO_INTEGER(T, whole, low, limit, least, most, nan)                                         \
    ((whole) != (whole)   ? (T)(nan)                                                               \
     : (whole) >= (limit) ? (T)(most)                                                              \
     : (whole) >= (low)   ? (T)(whole)                                                             \
                          : (T)(least))
/* The same without branches, for the pair that vectors convert directly. */
OPS_INLINE s32 to_s32(f32 whole)
{
    const f32 bounded = whole >= -0x1p31f && whole < 0x1p31f ? whole : 0.0f;
    const s32 value = (s32)bounded;

    return whole >= 0x1p31f ? INT32_MAX : whole < -0x1p31f ? INT32_MIN : value;
}
OPS_INLINE u32 to_u32(f32 whole)
{
    return TO_INTEGER(u32, whole, 0.0f, 0x1p32f, 0, UINT32_MAX, 0);
}
OPS_INLINE s64 to_s64(f32 whole)
{
    return TO_INTEGER(s64, whole, -0x1p63f, 0x1p63f, INT64_MIN, INT64_MAX, INT64_MIN);
}
OPS_INLINE s32 to_s32_f64(f64 whole)
{
    return TO_INTEGER(s32, whole, -0x1p31, 0x1p31, INT32_MIN, INT32_MAX, INT32_MIN);
}
OPS_INLINE u32 to_u32_f64(f64 whole)
{
    return TO_INTEGER(u32, whole, 0.0, 0x1p32, 0, UINT32_MAX, 0x80000000u);
}
OPS_INLINE s64 to_s64_f64(f64 whole)
{
    return TO_INTEGER(s64, whole, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX, INT64_MIN);
}

#define ROUNDINGS_TO(name, T, F, to, suffix)                                                       \
    OPS_UNARY(name##_rni, T, F, to(__builtin_rint##suffix(x)))                                     \
    OPS_UNARY(name##_rzi, T, F, to(__builtin_trunc##suffix(x)))                                    \
    OPS_UNARY(name##_rmi, T, F, to(__builtin_floor##suffix(x)))                                    \
    OPS_UNARY(name##_rpi, T, F, to(__builtin_ceil##suffix(x)))
#define ROUNDINGS_OF(name)                                                                         \
    {                                                                                              \
        name##_rni, name##_rzi, name##_rmi, name##_rpi                                             \
    }
ROUNDINGS_TO(s32_f32, s32, f32, to_s32, f)
ROUNDINGS_TO(u32_f32, u32, f32, to_u32, f)
ROUNDINGS_TO(s64_f32, s64, f32, to_s64, f)
ROUNDINGS_TO(s32_f64, s32, f64, to_s32_f64, )
ROUNDINGS_TO(u32_f64, u32, f64, to_u32_f64, )
ROUNDINGS_TO(s64_f64, s64, f64, to_s64_f64, )
ROUNDINGS_TO(f32_f32, f32, f32, ops_nan32, f)
ROUNDINGS_TO(f64_f64, f64, f64, ops_nan64, )

/* ---- between floats -------------------------------------------------------------------------- */

OPS_UNARY(f64_f32, f64, f32, ops_nan64((f64)x))
OPS_UNARY(f32_f64, f32, f64, ops_nan32((f32)x))

/* Exact: the subnormals of f16 become normal by a multiplication. */
OPS_INLINE f32 half_to_float(u16 half)
{
    const u32 magnitude = half & 0x7fffu, sign = (u32)(half & 0x8000u) << 16;
    const f32 scaled = ops_float32(magnitude << 13) * 0x1p112f;
    const u32 bits = magnitude < 0x7c00    ? ops_bits32(scaled)
                     : magnitude == 0x7c00 ? 0x7f800000u
                                           : OPS_NAN32;

    return ops_float32(magnitude > 0x7c00 ? OPS_NAN32 : bits | sign);
}

/* Round to nearest even: normal results by adding half a unit to the bits, subnormal ones by adding
 * a number whose unit is theirs. */
OPS_INLINE u16 float_to_half(f32 x)
{
    const u32 all = ops_bits32(x), magnitude = all & 0x7fffffffu, sign = all >> 16 & 0x8000u;
    const u32 normal = (magnitude + 0xfffu + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
    const u32 subnormal = ops_bits32(ops_float32(magnitude) + 0.5f) - 0x3f000000u;
    u32 half = magnitude < 0x38800000u ? subnormal : normal;

    half = magnitude >= 0x477ff000u ? 0x7c00u : half; /* from 65520 on */
    return (u16)(magnitude > 0x7f800000u ? 0x7fffu : half | sign);
}

OPS_INLINE u16 float_to_bfloat(f32 x)
{
    const u32 bits = ops_bits32(x);
    const u32 rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;

    return (u16)((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded);
}

OPS_UNARY(f32_f16, f32, u16, half_to_float(x))
OPS_UNARY(f16_f32, u16, f32, float_to_half(x))
OPS_UNARY(f32_bf16, f32, u16, ops_nan32(ops_float32((u32)x << 16)))
OPS_UNARY(bf16_f32, u16, f32, float_to_bfloat(x))
OPS_BINARY2(f16x2_f32, u32, f32, f32, (u32)float_to_half(x) << 16 | float_to_half(y))
OPS_BINARY2(bf16x2_f32, u32, f32, f32, (u32)float_to_bfloat(x) << 16 | float_to_bfloat(y))

/* ---- finder ---------------------------------------------------------------------------------- */

/* Without a rounding, or with the one that stands here; NONE also allows RN where it is implied. */
static const struct row {
    uint8_t to, from;
    warp_fn fn;
} plain[] = {
    {PTX_U16, PTX_U8, u16_u8},     {PTX_S16, PTX_U8, u16_u8},   {PTX_S16, PTX_S8, s16_s8},
    {PTX_U16, PTX_S8, s16_s8},     {PTX_U32, PTX_U8, u32_u8},   {PTX_S32, PTX_U8, u32_u8},
    {PTX_S32, PTX_S8, s32_s8},     {PTX_U32, PTX_S8, s32_s8},   {PTX_U32, PTX_U16, u32_u16},
    {PTX_S32, PTX_U16, u32_u16},   {PTX_S32, PTX_S16, s32_s16}, {PTX_U32, PTX_S16, s32_s16},
    {PTX_U64, PTX_U16, u64_u16},   {PTX_S64, PTX_U16, u64_u16}, {PTX_S64, PTX_S16, s64_s16},
    {PTX_U64, PTX_S16, s64_s16},   {PTX_U64, PTX_U32, u64_u32}, {PTX_S64, PTX_U32, u64_u32},
    {PTX_S64, PTX_S32, s64_s32},   {PTX_U64, PTX_S32, s64_s32}, {PTX_U16, PTX_U32, u16_u32},
    {PTX_S16, PTX_U32, u16_u32},   {PTX_U16, PTX_S32, u16_u32}, {PTX_S16, PTX_S32, u16_u32},
    {PTX_U16, PTX_U64, u16_u64},   {PTX_S16, PTX_S64, u16_u64}, {PTX_U16, PTX_S64, u16_u64},
    {PTX_U32, PTX_U64, u32_u64},   {PTX_S32, PTX_U64, u32_u64}, {PTX_U32, PTX_S64, u32_u64},
    {PTX_S32, PTX_S64, u32_u64},   {PTX_U8, PTX_U32, u8_u32},   {PTX_U8, PTX_S32, u8_u32},
    {PTX_U32, PTX_S32, u32_u32},   {PTX_S32, PTX_U32, u32_u32}, {PTX_U64, PTX_S64, u64_u64},
    {PTX_S64, PTX_U64, u64_u64},   {PTX_F64, PTX_F32, f64_f32}, {PTX_F32, PTX_F16, f32_f16},
    {PTX_F32, PTX_BF16, f32_bf16}, {PTX_F64, PTX_U32, f64_u32}, {PTX_F64, PTX_S32, f64_s32},
};
static const struct row nearest[] = {
    {PTX_F32, PTX_U8, f32_u8},         {PTX_F32, PTX_S8, f32_s8},
    {PTX_F32, PTX_U16, f32_u16},       {PTX_F32, PTX_S16, f32_s16},
    {PTX_F32, PTX_U32, f32_u32},       {PTX_F32, PTX_S32, f32_s32},
    {PTX_F32, PTX_U64, f32_u64},       {PTX_F32, PTX_S64, f32_s64},
    {PTX_F64, PTX_U32, f64_u32},       {PTX_F64, PTX_S32, f64_s32},
    {PTX_F64, PTX_U64, f64_u64},       {PTX_F64, PTX_S64, f64_s64},
    {PTX_F32, PTX_F64, f32_f64},       {PTX_F16, PTX_F32, f16_f32},
    {PTX_BF16, PTX_F32, bf16_f32},     {PTX_F16X2, PTX_F32, f16x2_f32},
    {PTX_BF16X2, PTX_F32, bf16x2_f32},
};
static const struct {
    uint8_t to, from;
    warp_fn fn[4]; /* RNI, RZI, RMI, RPI */
} whole[] = {
    {PTX_S32, PTX_F32, ROUNDINGS_OF(s32_f32)}, {PTX_U32, PTX_F32, ROUNDINGS_OF(u32_f32)},
    {PTX_S64, PTX_F32, ROUNDINGS_OF(s64_f32)}, {PTX_S32, PTX_F64, ROUNDINGS_OF(s32_f64)},
    {PTX_U32, PTX_F64, ROUNDINGS_OF(u32_f64)}, {PTX_S64, PTX_F64, ROUNDINGS_OF(s64_f64)},
    {PTX_F32, PTX_F32, ROUNDINGS_OF(f32_f32)}, {PTX_F64, PTX_F64, ROUNDINGS_OF(f64_f64)},
};

static warp_fn find_row(const struct row *rows, size_t count, const struct ptx_op *op)
{
    for (size_t n = 0; n < count; n++)
        if (rows[n].to == op->type && rows[n].from == op->type2)
            return rows[n].fn;
    return NULL;
}

/* A register wider than its type needs the general form. */
static bool is_natural(uint8_t type, u32 register_bytes)
{
    static const uint8_t bytes[PTX_TYPE_COUNT] = {
        [PTX_U8] = 2,  [PTX_S8] = 2,  [PTX_U16] = 2,   [PTX_S16] = 2,   [PTX_U32] = 4,
        [PTX_S32] = 4, [PTX_U64] = 8, [PTX_S64] = 8,   [PTX_F16] = 2,   [PTX_BF16] = 2,
        [PTX_F32] = 4, [PTX_F64] = 8, [PTX_F16X2] = 4, [PTX_BF16X2] = 4};

    return register_bytes == 0 || register_bytes == bytes[type];
}

warp_fn OPS_SYM(ops_find_convert)(const struct ptx_op *op, const struct warp_form *form)
{
    if (op->family != PTX_CVT || op->flags || op->type >= PTX_TYPE_COUNT ||
        op->type2 >= PTX_TYPE_COUNT)
        return NULL;
    if (form && !(is_natural(op->type, form->dst_bytes) && is_natural(op->type2, form->src_bytes)))
        return NULL;
    if (op->round == PTX_ROUND_NONE)
        return find_row(plain, FAB_ARRAY_LEN(plain), op);
    if (op->round == PTX_ROUND_RN)
        return find_row(nearest, FAB_ARRAY_LEN(nearest), op);
    if (op->round < PTX_ROUND_RNI || op->round > PTX_ROUND_RPI)
        return NULL;
    for (size_t n = 0; n < FAB_ARRAY_LEN(whole); n++)
        if (whole[n].to == op->type && whole[n].from == op->type2)
            return whole[n].fn[op->round - PTX_ROUND_RNI];
    return NULL;
}
