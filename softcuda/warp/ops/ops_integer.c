/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_integer.c - integer arithmetic of the PTX ISA, less the carry flag
 * (ops_carry.c) and logic (ops_logic.c). A variant source: compiled once per instruction set.
 *
 * Signed arithmetic wraps (the file is compiled with -fwrapv). Division by zero gives all ones and
 * a remainder by zero the dividend, as devices do; nothing here can raise a signal.
 */
#include "softcuda/warp/ops/ops_int.h"
#include "softcuda/warp/ops/ops_list.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

/* ---- add, sub, neg, abs, min, max, sad ------------------------------------------------------- */

OPS_EACH_UNSIGNED(OPS_BINARY, add, x + y)
OPS_EACH_UNSIGNED(OPS_BINARY, sub, x - y)
OPS_EACH_INTEGER(OPS_BINARY, min, x < y ? x : y)
OPS_EACH_INTEGER(OPS_BINARY, max, x > y ? x : y)
OPS_EACH_SIGNED(OPS_UNARY_T, abs, x < 0 ? -x : x)
OPS_EACH_SIGNED(OPS_UNARY_T, neg, -x)
OPS_EACH_INTEGER(OPS_TERNARY, sad, z + (x < y ? y - x : x - y))

OPS_INLINE s32 saturate_s32(s64 x)
{
    return (s32)(x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x);
}

OPS_BINARY(add_sat_s32, s32, saturate_s32((s64)x + y))
OPS_BINARY(sub_sat_s32, s32, saturate_s32((s64)x - y))
OPS_BINARY(min_relu_s32, s32, (x < y ? x : y) > 0 ? (x < y ? x : y) : 0)
OPS_BINARY(max_relu_s32, s32, (x > y ? x : y) > 0 ? (x > y ? x : y) : 0)

/* Two 16-bit values in a register. `F` is one of the 16-bit lane functions above. */
#define OPS_PAIR(name, T, F)                                                                       \
    OPS_BINARY(name, u32, (u32)(u16)F((T)x, (T)y) | (u32)(u16)F((T)(x >> 16), (T)(y >> 16)) << 16)
OPS_INLINE s16 relu_s16(s16 x)
{
    return (s16)(x > 0 ? x : 0);
}
OPS_INLINE s16 min_relu_s16(s16 x, s16 y)
{
    return relu_s16(lane_min_s16(x, y));
}
OPS_INLINE s16 max_relu_s16(s16 x, s16 y)
{
    return relu_s16(lane_max_s16(x, y));
}
OPS_PAIR(add_u16x2, u16, lane_add_u16)
OPS_PAIR(min_u16x2, u16, lane_min_u16)
OPS_PAIR(max_u16x2, u16, lane_max_u16)
OPS_PAIR(min_s16x2, s16, lane_min_s16)
OPS_PAIR(max_s16x2, s16, lane_max_s16)
OPS_PAIR(min_relu_s16x2, s16, min_relu_s16)
OPS_PAIR(max_relu_s16x2, s16, max_relu_s16)

static const ops_by_type add_rows = {
    OPS_ROWS_SIGNLESS(add), [PTX_U16X2] = add_u16x2, [PTX_S16X2] = add_u16x2};
static const ops_by_type sub_rows = {OPS_ROWS_SIGNLESS(sub)};
static const ops_by_type min_rows = {
    OPS_ROWS_SIGN(min), [PTX_U16X2] = min_u16x2, [PTX_S16X2] = min_s16x2};
static const ops_by_type max_rows = {
    OPS_ROWS_SIGN(max), [PTX_U16X2] = max_u16x2, [PTX_S16X2] = max_s16x2};
static const ops_by_type abs_rows = {[PTX_S16] = abs_s16, [PTX_S32] = abs_s32, [PTX_S64] = abs_s64};
static const ops_by_type neg_rows = {[PTX_S16] = neg_s16, [PTX_S32] = neg_s32, [PTX_S64] = neg_s64};
static const ops_by_type sad_rows = {OPS_ROWS_SIGN(sad)};
static const ops_by_type add_sat_rows = {[PTX_S32] = add_sat_s32};
static const ops_by_type sub_sat_rows = {[PTX_S32] = sub_sat_s32};
static const ops_by_type min_relu_rows = {[PTX_S32] = min_relu_s32, [PTX_S16X2] = min_relu_s16x2};
static const ops_by_type max_relu_rows = {[PTX_S32] = max_relu_s32, [PTX_S16X2] = max_relu_s16x2};

/* ---- mul, mad, mul24, mad24, dp4a, dp2a ------------------------------------------------------ */

OPS_EACH_UNSIGNED(OPS_BINARY, mul_lo, (u64)x *y)
OPS_BINARY(mul_hi_u16, u16, ((u32)x * y) >> 16)
OPS_BINARY(mul_hi_s16, s16, ((s32)x * y) >> 16)
OPS_BINARY(mul_hi_u32, u32, ((u64)x * y) >> 32)
OPS_BINARY(mul_hi_s32, s32, ((s64)x * y) >> 32)
OPS_BINARY(mul_hi_u64, u64, ((u128)x * y) >> 64)
OPS_BINARY(mul_hi_s64, s64, ((s128)x * y) >> 64)
OPS_BINARY2(mul_wide_u16, u32, u16, u16, (u32)x *y)
OPS_BINARY2(mul_wide_s16, s32, s16, s16, (s32)x *y)
OPS_BINARY2(mul_wide_u32, u64, u32, u32, (u64)x *y)
OPS_BINARY2(mul_wide_s32, s64, s32, s32, (s64)x *y)

OPS_EACH_UNSIGNED(OPS_TERNARY, mad_lo, (u64)x *y + z)
OPS_TERNARY(mad_hi_u16, u16, lane_mul_hi_u16(x, y) + z)
OPS_TERNARY(mad_hi_s16, s16, lane_mul_hi_s16(x, y) + z)
OPS_TERNARY(mad_hi_u32, u32, lane_mul_hi_u32(x, y) + z)
OPS_TERNARY(mad_hi_s32, s32, lane_mul_hi_s32(x, y) + z)
OPS_TERNARY(mad_hi_u64, u64, lane_mul_hi_u64(x, y) + z)
OPS_TERNARY(mad_hi_s64, s64, lane_mul_hi_s64(x, y) + z)
OPS_TERNARY(mad_hi_sat_s32, s32, saturate_s32((s64)lane_mul_hi_s32(x, y) + z))
OPS_TERNARY2(mad_wide_u16, u32, u16, u16, u32, (u32)x *y + z)
OPS_TERNARY2(mad_wide_s16, s32, s16, s16, s32, (s32)x *y + z)
OPS_TERNARY2(mad_wide_u32, u64, u32, u32, u64, (u64)x *y + z)
OPS_TERNARY2(mad_wide_s32, s64, s32, s32, s64, (s64)x *y + z)

/* The low 24 bits of each source; .hi is bits 16..47 of the 48-bit product. */
OPS_INLINE s64 low24_s32(s32 x)
{
    return (s32)((u32)x << 8) >> 8;
}
OPS_BINARY(mul24_lo_u32, u32, (u64)(x & 0xffffffu) * (y & 0xffffffu))
OPS_BINARY(mul24_hi_u32, u32, ((u64)(x & 0xffffffu) * (y & 0xffffffu)) >> 16)
OPS_BINARY(mul24_lo_s32, s32, low24_s32(x) * low24_s32(y))
OPS_BINARY(mul24_hi_s32, s32, (low24_s32(x) * low24_s32(y)) >> 16)
OPS_TERNARY(mad24_lo_u32, u32, lane_mul24_lo_u32(x, y) + z)
OPS_TERNARY(mad24_hi_u32, u32, lane_mul24_hi_u32(x, y) + z)
OPS_TERNARY(mad24_lo_s32, s32, lane_mul24_lo_s32(x, y) + z)
OPS_TERNARY(mad24_hi_s32, s32, lane_mul24_hi_s32(x, y) + z)
OPS_TERNARY(mad24_hi_sat_s32, s32, saturate_s32((s64)lane_mul24_hi_s32(x, y) + z))

#define OPS_BYTE(T, x, n) ((s32)(T)((x) >> (8 * (n))))
#define OPS_HALF(T, x, n) ((s32)(T)((x) >> (16 * (n))))
#define OPS_DOT4(name, A, B)                                                                       \
    OPS_TERNARY(                                                                                   \
        name, u32,                                                                                 \
        z + (u32)(OPS_BYTE(A, x, 0) * OPS_BYTE(B, y, 0) + OPS_BYTE(A, x, 1) * OPS_BYTE(B, y, 1) +  \
                  OPS_BYTE(A, x, 2) * OPS_BYTE(B, y, 2) + OPS_BYTE(A, x, 3) * OPS_BYTE(B, y, 3)))
#define OPS_DOT2(name, A, B, first)                                                                \
    OPS_TERNARY(name, u32,                                                                         \
                z + (u32)(OPS_HALF(A, x, 0) * OPS_BYTE(B, y, first) +                              \
                          OPS_HALF(A, x, 1) * OPS_BYTE(B, y, (first) + 1)))
OPS_DOT4(dp4a_uu, u8, u8)
OPS_DOT4(dp4a_us, u8, s8)
OPS_DOT4(dp4a_su, s8, u8)
OPS_DOT4(dp4a_ss, s8, s8)
OPS_DOT2(dp2a_lo_uu, u16, u8, 0)
OPS_DOT2(dp2a_lo_us, u16, s8, 0)
OPS_DOT2(dp2a_lo_su, s16, u8, 0)
OPS_DOT2(dp2a_lo_ss, s16, s8, 0)
OPS_DOT2(dp2a_hi_uu, u16, u8, 2)
OPS_DOT2(dp2a_hi_us, u16, s8, 2)
OPS_DOT2(dp2a_hi_su, s16, u8, 2)
OPS_DOT2(dp2a_hi_ss, s16, s8, 2)

static const ops_by_type mul_lo_rows = {OPS_ROWS_SIGNLESS(mul_lo)};
static const ops_by_type mul_hi_rows = {OPS_ROWS_SIGN(mul_hi)};
static const ops_by_type mul_wide_rows = {[PTX_U16] = mul_wide_u16,
                                          [PTX_S16] = mul_wide_s16,
                                          [PTX_U32] = mul_wide_u32,
                                          [PTX_S32] = mul_wide_s32};
static const ops_by_type mad_lo_rows = {OPS_ROWS_SIGNLESS(mad_lo)};
static const ops_by_type mad_hi_rows = {OPS_ROWS_SIGN(mad_hi)};
static const ops_by_type mad_wide_rows = {[PTX_U16] = mad_wide_u16,
                                          [PTX_S16] = mad_wide_s16,
                                          [PTX_U32] = mad_wide_u32,
                                          [PTX_S32] = mad_wide_s32};
static const ops_by_type mad_hi_sat_rows = {[PTX_S32] = mad_hi_sat_s32};
static const ops_by_type mul24_lo_rows = {[PTX_U32] = mul24_lo_u32, [PTX_S32] = mul24_lo_s32};
static const ops_by_type mul24_hi_rows = {[PTX_U32] = mul24_hi_u32, [PTX_S32] = mul24_hi_s32};
static const ops_by_type mad24_lo_rows = {[PTX_U32] = mad24_lo_u32, [PTX_S32] = mad24_lo_s32};
static const ops_by_type mad24_hi_rows = {[PTX_U32] = mad24_hi_u32, [PTX_S32] = mad24_hi_s32};
static const ops_by_type mad24_hi_sat_rows = {[PTX_S32] = mad24_hi_sat_s32};

/* ---- div, rem -------------------------------------------------------------------------------- */

OPS_EACH_UNSIGNED(OPS_BINARY, div, y ? x / y : ~(u64)0)
OPS_EACH_UNSIGNED(OPS_BINARY, rem, y ? x % y : x)
OPS_EACH_SIGNED(OPS_BINARY, div, y == 0 ? -1 : y == -1 ? -x : x / y)
OPS_EACH_SIGNED(OPS_BINARY, rem, y == 0 ? x : y == -1 ? 0 : x % y)

static const ops_by_type div_rows = {OPS_ROWS_SIGN(div)};
static const ops_by_type rem_rows = {OPS_ROWS_SIGN(rem)};

/* ---- bits ------------------------------------------------------------------------------------ */

OPS_INLINE u32 high_bit32(u32 x)
{
    return x ? 31u - (u32)__builtin_clz(x) : UINT32_MAX;
}
OPS_INLINE u32 high_bit64(u64 x)
{
    return x ? 63u - (u32)__builtin_clzll(x) : UINT32_MAX;
}
/* The distance of the found bit from the top; nothing found stays all ones. */
OPS_INLINE u32 from_top(u32 bit, u32 top)
{
    return bit == UINT32_MAX ? bit : top - bit;
}

OPS_UNARY(popc_u32, u32, u32, __builtin_popcount(x))
OPS_UNARY(popc_u64, u32, u64, __builtin_popcountll(x))
OPS_UNARY(clz_u32, u32, u32, x ? __builtin_clz(x) : 32)
OPS_UNARY(clz_u64, u32, u64, x ? __builtin_clzll(x) : 64)
OPS_UNARY(bfind_u32, u32, u32, high_bit32(x))
OPS_UNARY(bfind_u64, u32, u64, high_bit64(x))
OPS_UNARY(bfind_s32, u32, s32, high_bit32((u32)(x < 0 ? ~x : x)))
OPS_UNARY(bfind_s64, u32, s64, high_bit64((u64)(x < 0 ? ~x : x)))
OPS_UNARY(bfind_amt_u32, u32, u32, from_top(lane_bfind_u32(x), 31))
OPS_UNARY(bfind_amt_u64, u32, u64, from_top(lane_bfind_u64(x), 63))
OPS_UNARY(bfind_amt_s32, u32, s32, from_top(lane_bfind_s32(x), 31))
OPS_UNARY(bfind_amt_s64, u32, s64, from_top(lane_bfind_s64(x), 63))

OPS_INLINE u32 reverse32(u32 x)
{
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
OPS_UNARY(brev_u32, u32, u32, reverse32(x))
OPS_UNARY(brev_u64, u64, u64, (u64)reverse32((u32)x) << 32 | reverse32((u32)(x >> 32)))

/* pos and len count to 255; what lies above the register is zero or, for signed, its top bit. */
OPS_INLINE u64 extract_u64(u64 x, u32 pos, u32 len)
{
    const u64 value = pos < 64 ? x >> pos : 0;
    return len < 64 ? value & ((UINT64_C(1) << len) - 1) : value;
}
OPS_INLINE s64 extract_s64(s64 x, u32 pos, u32 len)
{
    const s64 value = x >> (pos < 63 ? pos : 63);
    if (len == 0)
        return 0;
    return len < 64 ? (s64)((u64)value << (64 - len)) >> (64 - len) : value;
}
OPS_TERNARY2(bfe_u32, u32, u32, u32, u32, extract_u64(x, y & 0xff, z & 0xff))
OPS_TERNARY2(bfe_u64, u64, u64, u32, u32, extract_u64(x, y & 0xff, z & 0xff))
OPS_TERNARY2(bfe_s32, s32, s32, u32, u32, extract_s64(x, y & 0xff, z & 0xff))
OPS_TERNARY2(bfe_s64, s64, s64, u32, u32, extract_s64(x, y & 0xff, z & 0xff))

OPS_INLINE u64 insert_u64(u64 field, u64 into, u32 pos, u32 len)
{
    const u64 low = len < 64 ? (UINT64_C(1) << len) - 1 : UINT64_MAX;
    const u64 mask = pos < 64 ? low << pos : 0;
    return (into & ~mask) | ((pos < 64 ? field << pos : 0) & mask);
}
#define OPS_BFI(name, T)                                                                           \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        T *d = OPS_VECTOR(T, w, in->d);                                                            \
        const T *a = OPS_VECTOR(const T, w, in->a), *b = OPS_VECTOR(const T, w, in->b);            \
        const u32 *pos = OPS_VECTOR(const u32, w, in->c);                                          \
        const u32 *len = OPS_VECTOR(const u32, w, in->ext[0]);                                     \
        OPS_WRITE(T, w, d, insert_u64(a[i], b[i], pos[i] & 0xff, len[i] & 0xff));                  \
        return in + 1;                                                                             \
    }
OPS_BFI(bfi_u32, u32)
OPS_BFI(bfi_u64, u64)

OPS_INLINE u32 extend_u32(u32 x, u32 bits)
{
    return bits < 32 ? x & ((1u << bits) - 1) : x;
}
OPS_INLINE s32 extend_s32(s32 x, u32 bits)
{
    return bits == 0 ? 0 : bits < 32 ? (s32)((u32)x << (32 - bits)) >> (32 - bits) : x;
}
OPS_BINARY(szext_clamp_u32, u32, extend_u32(x, y))
OPS_BINARY(szext_wrap_u32, u32, extend_u32(x, y & 31))
OPS_BINARY2(szext_clamp_s32, s32, s32, u32, extend_s32(x, y))
OPS_BINARY2(szext_wrap_s32, s32, s32, u32, extend_s32(x, y & 31))

/* `count` ones from bit `first` up; the part above bit 31 is lost. */
OPS_INLINE u32 ones(u32 first, u32 count)
{
    const u32 low = count < 32 ? (1u << count) - 1 : UINT32_MAX;
    return first < 32 ? low << first : 0;
}
OPS_BINARY(bmsk_clamp, u32, ones(x, y))
OPS_BINARY(bmsk_wrap, u32, ones(x & 31, y & 31))

/* The offset-th set bit of `mask` from bit `base` on, upwards or (negative) downwards. */
static u32 nth_set(u32 mask, u32 base, s32 offset)
{
    const s32 step = offset < 0 ? -1 : 1;
    u32 left = offset < 0 ? 0u - (u32)offset : (u32)offset;

    if (base >= 32)
        return UINT32_MAX;
    if (left == 0)
        return mask >> base & 1 ? base : UINT32_MAX;
    for (s32 bit = (s32)base; bit >= 0 && bit < 32; bit += step)
        if (mask >> bit & 1 && --left == 0)
            return (u32)bit;
    return UINT32_MAX;
}
OPS_TERNARY2(fns_b32, u32, u32, u32, s32, nth_set(x, y, z))

static const ops_by_type popc_rows = {[PTX_B32] = popc_u32, [PTX_B64] = popc_u64};
static const ops_by_type clz_rows = {[PTX_B32] = clz_u32, [PTX_B64] = clz_u64};
static const ops_by_type brev_rows = {[PTX_B32] = brev_u32, [PTX_B64] = brev_u64};
static const ops_by_type bfi_rows = {[PTX_B32] = bfi_u32, [PTX_B64] = bfi_u64};
static const ops_by_type bfe_rows = {OPS_ROWS_SIGN_32_64(bfe)};
static const ops_by_type bfind_rows = {OPS_ROWS_SIGN_32_64(bfind)};
static const ops_by_type bfind_amt_rows = {OPS_ROWS_SIGN_32_64(bfind_amt)};
static const ops_by_type szext_clamp_rows = {
    [PTX_U32] = szext_clamp_u32, [PTX_S32] = szext_clamp_s32};
static const ops_by_type szext_wrap_rows = {[PTX_U32] = szext_wrap_u32, [PTX_S32] = szext_wrap_s32};
static const ops_by_type bmsk_clamp_rows = {[PTX_B32] = bmsk_clamp};
static const ops_by_type bmsk_wrap_rows = {[PTX_B32] = bmsk_wrap};
static const ops_by_type fns_rows = {[PTX_B32] = fns_b32};

/* ---- finder ---------------------------------------------------------------------------------- */

static warp_fn find_mul_mad(const struct ptx_op *op)
{
    const bool sat = (op->flags & PTX_F_SAT) != 0;
    const bool hi = op->sub == PTX_SUB_HI;

    if (op->sub != PTX_SUB_LO && !hi && op->sub != PTX_SUB_WIDE)
        return NULL;
    switch (op->family) {
    case PTX_MUL:
        return ops_pick(op,
                        hi                      ? mul_hi_rows
                        : op->sub == PTX_SUB_LO ? mul_lo_rows
                                                : mul_wide_rows,
                        0);
    case PTX_MAD:
        if (sat)
            return hi ? ops_pick(op, mad_hi_sat_rows, PTX_F_SAT) : NULL;
        return ops_pick(op,
                        hi                      ? mad_hi_rows
                        : op->sub == PTX_SUB_LO ? mad_lo_rows
                                                : mad_wide_rows,
                        0);
    case PTX_MUL24:
        return op->sub == PTX_SUB_WIDE ? NULL : ops_pick(op, hi ? mul24_hi_rows : mul24_lo_rows, 0);
    case PTX_MAD24:
        if (op->sub == PTX_SUB_WIDE || (sat && !hi))
            return NULL;
        return sat ? ops_pick(op, mad24_hi_sat_rows, PTX_F_SAT)
                   : ops_pick(op, hi ? mad24_hi_rows : mad24_lo_rows, 0);
    default:
        return NULL;
    }
}

static warp_fn find_dot(const struct ptx_op *op)
{
    static const warp_fn dp4a[2][2] = {{dp4a_uu, dp4a_us}, {dp4a_su, dp4a_ss}};
    static const warp_fn dp2a[2][2][2] = {{{dp2a_lo_uu, dp2a_lo_us}, {dp2a_lo_su, dp2a_lo_ss}},
                                          {{dp2a_hi_uu, dp2a_hi_us}, {dp2a_hi_su, dp2a_hi_ss}}};
    const bool first = op->type == PTX_S32;
    const bool second = op->type2 == PTX_S32 || (op->flags & PTX_F_SIGNED2);

    if ((op->flags & ~(u32)PTX_F_SIGNED2) || (op->type != PTX_S32 && op->type != PTX_U32))
        return NULL;
    if (op->type2 && op->type2 != PTX_S32 && op->type2 != PTX_U32)
        return NULL;
    if (op->family == PTX_DP4A)
        return dp4a[first][second];
    if (op->sub != PTX_SUB_LO && op->sub != PTX_SUB_HI)
        return NULL;
    return dp2a[op->sub == PTX_SUB_HI][first][second];
}

warp_fn OPS_SYM(ops_find_integer)(const struct ptx_op *op, const struct warp_form *form)
{
    const bool sat = (op->flags & PTX_F_SAT) != 0;
    const bool relu = (op->flags & PTX_F_RELU) != 0;
    const bool wrap = (op->flags & PTX_F_WRAP) != 0;

    (void)form;
    switch (op->family) {
    case PTX_ADD:
        return ops_pick(op, sat ? add_sat_rows : add_rows, sat ? PTX_F_SAT : 0);
    case PTX_SUB:
        return ops_pick(op, sat ? sub_sat_rows : sub_rows, sat ? PTX_F_SAT : 0);
    case PTX_MIN:
        return ops_pick(op, relu ? min_relu_rows : min_rows, relu ? PTX_F_RELU : 0);
    case PTX_MAX:
        return ops_pick(op, relu ? max_relu_rows : max_rows, relu ? PTX_F_RELU : 0);
    case PTX_ABS:
        return ops_pick(op, abs_rows, 0);
    case PTX_NEG:
        return ops_pick(op, neg_rows, 0);
    case PTX_SAD:
        return ops_pick(op, sad_rows, 0);
    case PTX_MUL:
    case PTX_MAD:
    case PTX_MUL24:
    case PTX_MAD24:
        return find_mul_mad(op);
    case PTX_DP4A:
    case PTX_DP2A:
        return find_dot(op);
    case PTX_DIV:
        return ops_pick(op, div_rows, 0);
    case PTX_REM:
        return ops_pick(op, rem_rows, 0);
    case PTX_POPC:
        return ops_pick(op, popc_rows, 0);
    case PTX_CLZ:
        return ops_pick(op, clz_rows, 0);
    case PTX_BFIND:
        return op->flags & PTX_F_SHIFTAMT ? ops_pick(op, bfind_amt_rows, PTX_F_SHIFTAMT)
                                          : ops_pick(op, bfind_rows, 0);
    case PTX_BREV:
        return ops_pick(op, brev_rows, 0);
    case PTX_BFE:
        return ops_pick(op, bfe_rows, 0);
    case PTX_BFI:
        return ops_pick(op, bfi_rows, 0);
    case PTX_SZEXT:
        return ops_pick(op, wrap ? szext_wrap_rows : szext_clamp_rows, PTX_F_WRAP);
    case PTX_BMSK:
        return ops_pick(op, wrap ? bmsk_wrap_rows : bmsk_clamp_rows, PTX_F_WRAP);
    case PTX_FNS:
        return ops_pick(op, fns_rows, 0);
    default:
        return NULL;
    }
}
