/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_logic.c - and, or, xor, not, cnot, lop3, shifts, prmt, selp, slct and mov,
 * with the packing and unpacking forms. A variant source.
 */
#include "softcuda/warp/ops/ops_int.h"
#include "softcuda/warp/ops/ops_list.h"

/* ---- logic ----------------------------------------------------------------------------------- */

OPS_EACH_UNSIGNED(OPS_BINARY, and, x &y)
OPS_EACH_UNSIGNED(OPS_BINARY, or, x | y)
OPS_EACH_UNSIGNED(OPS_BINARY, xor, x ^ y)
OPS_EACH_UNSIGNED(OPS_UNARY_T, not, ~x)
OPS_EACH_UNSIGNED(OPS_UNARY_T, cnot, x == 0 ? 1 : 0)

/* On predicates: one word for the whole warp. */
#define PREDICATE(name, expr)                                                                      \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        u32 *d = OPS_AT(u32, w, in->d);                                                            \
        const u32 x = *OPS_AT(const u32, w, in->a);                                                \
        const u32 y = in->b == WARP_NO_OPERAND ? 0 : *OPS_AT(const u32, w, in->b);                 \
        (void)y;                                                                                   \
        *d = (*d & ~w->mask) | ((expr)&w->mask);                                                   \
        return in + 1;                                                                             \
    }
PREDICATE(and_pred, x &y)
PREDICATE(or_pred, x | y)
PREDICATE(xor_pred, x ^ y)
PREDICATE(not_pred, ~x)
PREDICATE(mov_pred, x)

static const ops_by_type and_rows = {OPS_ROWS_BITS(and), [PTX_PRED] = and_pred};
static const ops_by_type or_rows = {OPS_ROWS_BITS(or), [PTX_PRED] = or_pred};
static const ops_by_type xor_rows = {OPS_ROWS_BITS(xor), [PTX_PRED] = xor_pred};
static const ops_by_type not_rows = {OPS_ROWS_BITS(not ), [PTX_PRED] = not_pred};
static const ops_by_type cnot_rows = {OPS_ROWS_BITS(cnot)};

/* s ? p : q, bit by bit. */
OPS_INLINE u32 mux(u32 s, u32 p, u32 q)
{
    return q ^ (s & (p ^ q));
}

/* Bit a<<2 | b<<1 | c of the table is the result for these three bits. */
OPS_HANDLER(lop3_b32)
{
    u32 *d = OPS_VECTOR(u32, w, in->d);
    const u32 *a = OPS_VECTOR(const u32, w, in->a), *b = OPS_VECTOR(const u32, w, in->b);
    const u32 *c = OPS_VECTOR(const u32, w, in->c);
    u32 t[8];

    for (unsigned n = 0; n < 8; n++)
        t[n] = in->imm >> n & 1 ? UINT32_MAX : 0;
    OPS_WRITE(u32, w, d,
              mux(a[i], mux(b[i], mux(c[i], t[7], t[6]), mux(c[i], t[5], t[4])),
                  mux(b[i], mux(c[i], t[3], t[2]), mux(c[i], t[1], t[0]))));
    return in + 1;
}

/* ---- shifts ---------------------------------------------------------------------------------- */

#define SHIFT(name, T, width, expr_in, expr_out)                                                   \
    OPS_BINARY2(name, T, T, u32, y < (width) ? (expr_in) : (expr_out))
SHIFT(shl_u16, u16, 16, (u32)x << y, 0)
SHIFT(shl_u32, u32, 32, x << y, 0)
SHIFT(shl_u64, u64, 64, x << y, 0)
SHIFT(shr_u16, u16, 16, x >> y, 0)
SHIFT(shr_u32, u32, 32, x >> y, 0)
SHIFT(shr_u64, u64, 64, x >> y, 0)
SHIFT(shr_s16, s16, 16, x >> y, x >> 15)
SHIFT(shr_s32, s32, 32, x >> y, x >> 31)
SHIFT(shr_s64, s64, 64, x >> y, x >> 63)

static const ops_by_type shl_rows = {OPS_ROWS_BITS(shl)};
static const ops_by_type shr_rows = {OPS_ROWS_BITS(shr), OPS_ROWS_SIGN(shr)};

/* The funnel b:a shifted by c. */
OPS_INLINE u32 funnel_left(u32 a, u32 b, u32 n)
{
    return (u32)(((u64)b << 32 | a) << n >> 32);
}
OPS_INLINE u32 funnel_right(u32 a, u32 b, u32 n)
{
    return (u32)(((u64)b << 32 | a) >> n);
}
OPS_TERNARY(shf_l_wrap, u32, funnel_left(x, y, z & 31))
OPS_TERNARY(shf_l_clamp, u32, z < 32 ? funnel_left(x, y, z) : x)
OPS_TERNARY(shf_r_wrap, u32, funnel_right(x, y, z & 31))
OPS_TERNARY(shf_r_clamp, u32, z < 32 ? funnel_right(x, y, z) : y)

static warp_fn find_shf(const struct ptx_op *op)
{
    const bool wrap = (op->flags & PTX_F_WRAP) != 0;

    if (op->type != PTX_B32 || (op->flags & ~(u32)PTX_F_WRAP))
        return NULL;
    if (op->sub == PTX_SUB_L)
        return wrap ? shf_l_wrap : shf_l_clamp;
    return op->sub == PTX_SUB_R ? (wrap ? shf_r_wrap : shf_r_clamp) : NULL;
}

/* ---- prmt ------------------------------------------------------------------------------------ */

/* Byte `n` of the eight in b:a; with bit 3 of the selector its sign in all bits. */
OPS_INLINE u32 chosen_byte(u64 bytes, u32 selector)
{
    const u32 byte = (u32)(bytes >> (8 * (selector & 7))) & 0xff;
    return selector & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
}
OPS_INLINE u32 permute(u32 a, u32 b, u32 selectors)
{
    const u64 bytes = (u64)b << 32 | a;
    return chosen_byte(bytes, selectors & 15) | chosen_byte(bytes, selectors >> 4 & 15) << 8 |
           chosen_byte(bytes, selectors >> 8 & 15) << 16 |
           chosen_byte(bytes, selectors >> 12 & 15) << 24;
}
/* The special modes are tables of selectors, by the low two bits of c. */
#define PRMT_MODE(name, s0, s1, s2, s3)                                                            \
    OPS_TERNARY(name, u32,                                                                         \
                permute(x, y,                                                                      \
                        (z & 3) == 0   ? (u32)(s0)                                                 \
                        : (z & 3) == 1 ? (u32)(s1)                                                 \
                        : (z & 3) == 2 ? (u32)(s2)                                                 \
                                       : (u32)(s3)))
OPS_TERNARY(prmt_any, u32, permute(x, y, z))
PRMT_MODE(prmt_f4e, 0x3210, 0x4321, 0x5432, 0x6543)
PRMT_MODE(prmt_b4e, 0x5670, 0x6701, 0x7012, 0x0123)
PRMT_MODE(prmt_rc8, 0x0000, 0x1111, 0x2222, 0x3333)
PRMT_MODE(prmt_ecl, 0x3210, 0x3211, 0x3222, 0x3333)
PRMT_MODE(prmt_ecr, 0x0000, 0x1110, 0x2210, 0x3210)
PRMT_MODE(prmt_rc16, 0x1010, 0x3232, 0x1010, 0x3232)

static warp_fn find_prmt(const struct ptx_op *op)
{
    if (op->type != PTX_B32 || op->flags)
        return NULL;
    switch (op->sub) {
    case PTX_SUB_NONE:
        return prmt_any;
    case PTX_SUB_F4E:
        return prmt_f4e;
    case PTX_SUB_B4E:
        return prmt_b4e;
    case PTX_SUB_RC8:
        return prmt_rc8;
    case PTX_SUB_ECL:
        return prmt_ecl;
    case PTX_SUB_ECR:
        return prmt_ecr;
    case PTX_SUB_RC16:
        return prmt_rc16;
    default:
        return NULL;
    }
}

/* ---- selp, slct ------------------------------------------------------------------------------ */

#define SELP(name, T)                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        T *d = OPS_VECTOR(T, w, in->d);                                                            \
        const T *a = OPS_VECTOR(const T, w, in->a), *b = OPS_VECTOR(const T, w, in->b);            \
        u32 p = *OPS_AT(const u32, w, in->c);                                                      \
        if (in->flags & WARP_I_NEGATE_LAST)                                                        \
            p = ~p;                                                                                \
        OPS_WRITE(T, w, d,                                                                         \
                  (sizeof(T) == 8 ? (p & ops_lane_bit64[i]) != 0 : (p & ops_lane_bit[i]) != 0)     \
                      ? a[i]                                                                       \
                      : b[i]);                                                                     \
        return in + 1;                                                                             \
    }
SELP(selp_u16, u16)
SELP(selp_u32, u32)
SELP(selp_u64, u64)

static const ops_by_type selp_rows = {
    OPS_ROWS_BITS(selp),  OPS_ROWS_SIGNLESS(selp), [PTX_F32] = selp_u32,
    [PTX_F64] = selp_u64, [PTX_F16] = selp_u16,    [PTX_BF16] = selp_u16};

#define SLCT(name, C, condition)                                                                   \
    OPS_TERNARY2(name##_u16, u16, u16, u16, C, (condition) ? x : y)                                \
    OPS_TERNARY2(name##_u32, u32, u32, u32, C, (condition) ? x : y)                                \
    OPS_TERNARY2(name##_u64, u64, u64, u64, C, (condition) ? x : y)                                \
    static const ops_by_type name##_rows = {                                                       \
        OPS_ROWS_BITS(name),                                                                       \
        OPS_ROWS_SIGNLESS(name), [PTX_F32] = name##_u32, [PTX_F64] = name##_u64};
SLCT(slct_s32, s32, z >= 0)
SLCT(slct_f32, f32, z >= 0.0f)
SLCT(slct_f32_ftz, f32, ops_flush(z) >= 0.0f)

static warp_fn find_slct(const struct ptx_op *op)
{
    if (op->type2 == PTX_S32)
        return ops_pick(op, slct_s32_rows, 0);
    if (op->type2 != PTX_F32)
        return NULL;
    return op->flags & PTX_F_FTZ ? ops_pick(op, slct_f32_ftz_rows, PTX_F_FTZ)
                                 : ops_pick(op, slct_f32_rows, 0);
}

/* ---- mov ------------------------------------------------------------------------------------- */

OPS_EACH_UNSIGNED(OPS_UNARY_T, mov, x)

OPS_HANDLER(mov_b128)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);

    OPS_WRITE(u64, w, d, a[i]);
    d += WARP_LANES, a += WARP_LANES;
    OPS_WRITE(u64, w, d, a[i]);
    return in + 1;
}

static const ops_by_type mov_rows = {
    OPS_ROWS_BITS(mov),    OPS_ROWS_SIGNLESS(mov), [PTX_F32] = mov_u32,   [PTX_F64] = mov_u64,
    [PTX_F16] = mov_u16,   [PTX_BF16] = mov_u16,   [PTX_F16X2] = mov_u32, [PTX_BF16X2] = mov_u32,
    [PTX_B128] = mov_b128, [PTX_PRED] = mov_pred};

/* mov d, {x, y}: W is the whole, P the part's register; `bits` the part's width. */
#define PACK2(name, W, P, bits)                                                                    \
    OPS_BINARY2(name, W, P, P, (W)((W)(x & ((W) ~(W)0 >> (bits))) | (W)((u64)y << (bits))))
PACK2(pack_u16x2, u32, u16, 16)
PACK2(pack_u32x2, u64, u32, 32)
PACK2(pack_u8x2, u16, u16, 8)

/* Into four parts, each in a 16-bit register. */
#define PACK4(name, W, bits)                                                                       \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        const W part = (W) ~(W)0 >> (3 * (bits));                                                  \
        W *d = OPS_VECTOR(W, w, in->d);                                                            \
        const u16 *s0 = OPS_VECTOR(const u16, w, in->a), *s1 = OPS_VECTOR(const u16, w, in->b);    \
        const u16 *s2 = OPS_VECTOR(const u16, w, in->c);                                           \
        const u16 *s3 = OPS_VECTOR(const u16, w, in->ext[0]);                                      \
        OPS_WRITE(W, w, d,                                                                         \
                  (s0[i] & part) | (s1[i] & part) << (bits) | (s2[i] & part) << (2 * (bits)) |     \
                      (s3[i] & part) << (3 * (bits)));                                             \
        return in + 1;                                                                             \
    }
PACK4(pack_u16x4, u64, 16)
PACK4(pack_u8x4, u32, 8)

OPS_HANDLER(pack_u64x2)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a), *b = OPS_VECTOR(const u64, w, in->b);

    OPS_WRITE(u64, w, d, a[i]);
    d += WARP_LANES;
    OPS_WRITE(u64, w, d, b[i]);
    return in + 1;
}

/* mov {x, y, ..}, s: part n goes to its register unless that is '_'. The source may be the slot
 * of no destination: their widths differ. */
#define UNPACK(name, W, P, bits, count)                                                            \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        const W *a = OPS_VECTOR(const W, w, in->a);                                                \
        const W part = (W) ~(W)0 >> (8 * sizeof(W) - (bits));                                      \
        for (unsigned n = 0; n < (count); n++) {                                                   \
            const u32 operand = n ? in->ext[n - 1] : in->d;                                        \
            P *d;                                                                                  \
            if (operand == WARP_NO_OPERAND)                                                        \
                continue;                                                                          \
            d = OPS_VECTOR(P, w, operand);                                                         \
            OPS_WRITE(P, w, d, a[i] >> (n * (bits)) & part);                                       \
        }                                                                                          \
        return in + 1;                                                                             \
    }
UNPACK(unpack_u16x2, u32, u16, 16, 2)
UNPACK(unpack_u32x2, u64, u32, 32, 2)
UNPACK(unpack_u16x4, u64, u16, 16, 4)
UNPACK(unpack_u8x4, u32, u16, 8, 4)

/* A source of 16 bits may share its slot with a destination, so it is copied first. */
OPS_HANDLER(unpack_u8x2)
{
    u16 a[WARP_LANES];

    memcpy(a, warp_at(w, in->a), sizeof(a));
    for (unsigned n = 0; n < 2; n++) {
        const u32 operand = n ? in->ext[0] : in->d;
        u16 *d;

        if (operand == WARP_NO_OPERAND)
            continue;
        d = OPS_VECTOR(u16, w, operand);
        OPS_WRITE(u16, w, d, a[i] >> (8 * n) & 0xff);
    }
    return in + 1;
}

OPS_HANDLER(unpack_u64x2)
{
    const u64 *a = OPS_VECTOR(const u64, w, in->a);

    for (unsigned n = 0; n < 2; n++, a += WARP_LANES) {
        const u32 operand = n ? in->ext[0] : in->d;
        u64 *d;

        if (operand == WARP_NO_OPERAND)
            continue;
        d = OPS_VECTOR(u64, w, operand);
        OPS_WRITE(u64, w, d, a[i]);
    }
    return in + 1;
}

static warp_fn find_mov(const struct ptx_op *op, const struct warp_form *form)
{
    static const ops_by_type pack2 = {[PTX_B16] = pack_u8x2,
                                      [PTX_B32] = pack_u16x2,
                                      [PTX_B64] = pack_u32x2,
                                      [PTX_B128] = pack_u64x2};
    static const ops_by_type pack4 = {[PTX_B32] = pack_u8x4, [PTX_B64] = pack_u16x4};
    static const ops_by_type unpack2 = {[PTX_B16] = unpack_u8x2,
                                        [PTX_B32] = unpack_u16x2,
                                        [PTX_B64] = unpack_u32x2,
                                        [PTX_B128] = unpack_u64x2};
    static const ops_by_type unpack4 = {[PTX_B32] = unpack_u8x4, [PTX_B64] = unpack_u16x4};

    if (form && form->src_elems > 1)
        return form->src_elems == 2   ? ops_pick(op, pack2, 0)
               : form->src_elems == 4 ? ops_pick(op, pack4, 0)
                                      : NULL;
    if (form && form->dst_elems > 1)
        return form->dst_elems == 2   ? ops_pick(op, unpack2, 0)
               : form->dst_elems == 4 ? ops_pick(op, unpack4, 0)
                                      : NULL;
    return ops_pick(op, mov_rows, 0);
}

/* ---- finder ---------------------------------------------------------------------------------- */

warp_fn OPS_SYM(ops_find_logic)(const struct ptx_op *op, const struct warp_form *form)
{
    switch (op->family) {
    case PTX_AND:
        return ops_pick(op, and_rows, 0);
    case PTX_OR:
        return ops_pick(op, or_rows, 0);
    case PTX_XOR:
        return ops_pick(op, xor_rows, 0);
    case PTX_NOT:
        return ops_pick(op, not_rows, 0);
    case PTX_CNOT:
        return ops_pick(op, cnot_rows, 0);
    case PTX_LOP3:
        return op->type == PTX_B32 && !op->boolop && !op->flags ? lop3_b32 : NULL;
    case PTX_SHL:
        return ops_pick(op, shl_rows, 0);
    case PTX_SHR:
        return ops_pick(op, shr_rows, 0);
    case PTX_SHF:
        return find_shf(op);
    case PTX_PRMT:
        return find_prmt(op);
    case PTX_SELP:
        return ops_pick(op, selp_rows, 0);
    case PTX_SLCT:
        return find_slct(op);
    case PTX_MOV:
        return find_mov(op, form);
    default:
        return NULL;
    }
}
