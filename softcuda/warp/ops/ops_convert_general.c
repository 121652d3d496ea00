/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_convert_general.c - cvt between all integer and floating formats, in every
 * rounding, lane by lane through one exact intermediate. The common conversions are in
 * ops_convert.c; what is here may be slow but has no special cases.
 *
 * Integers travel as 128-bit numbers and floats as long double, whose 64 bits of mantissa hold
 * every source exactly, so that each conversion rounds once.
 */
#include <math.h>

#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_numbered.h"

__extension__ typedef __int128 s128;

_Static_assert(__LDBL_MANT_DIG__ >= 64, "an intermediate must hold a 64-bit integer exactly");

/* ---- formats --------------------------------------------------------------------------------- */

enum float_format { F16, BF16, TF32, F32, F64, FORMATS };

static const struct {
    int exponent_bits, mantissa_bits;
    u8 register_bytes;
} formats[FORMATS] = {[F16] = {5, 10, 2},
                      [BF16] = {8, 7, 2},
                      [TF32] = {8, 10, 4}, /* in the upper bits of a 32-bit register */
                      [F32] = {8, 23, 4},
                      [F64] = {11, 52, 8}};

/* Roundings of a number to a format or to an integer; RNA is RN with ties away from zero. */
enum rounding { RN, RZ, RM, RP, RNA };

/* `value` (finite, >= 0) rounded to an integer; `negative` tells where it really points. */
static long double round_magnitude(long double value, enum rounding rounding, bool negative)
{
    const long double whole = floorl(value), rest = value - whole;
    bool up = false;

    switch (rounding) {
    case RN:
        up = rest > 0.5L || (rest == 0.5L && fmodl(whole, 2) != 0);
        break;
    case RNA:
        up = rest >= 0.5L;
        break;
    case RZ:
        break;
    case RM:
        up = rest > 0 && negative;
        break;
    case RP:
        up = rest > 0 && !negative;
        break;
    }
    return up ? whole + 1 : whole;
}

static long double read_float(u64 bits, enum float_format format)
{
    const int man = formats[format].mantissa_bits, exp = formats[format].exponent_bits;
    const int bias = (1 << (exp - 1)) - 1;
    const int exponent = (int)(bits >> man & ((1u << exp) - 1));
    const u64 fraction = bits & ((UINT64_C(1) << man) - 1);
    long double value;

    if (exponent == (1 << exp) - 1)
        value = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpl((long double)fraction, 1 - bias - man);
    else
        value = ldexpl((long double)(fraction | UINT64_C(1) << man), exponent - bias - man);
    return bits >> (man + exp) & 1 ? -value : value;
}

/* What overflows: infinity, or the largest number when rounding goes the other way. */
static u64 write_overflow(enum float_format format, enum rounding rounding, bool negative,
                          bool finite)
{
    const int man = formats[format].mantissa_bits, exp = formats[format].exponent_bits;
    const u64 infinity = ((UINT64_C(1) << exp) - 1) << man;
    const bool to_largest =
        finite || rounding == RZ || (rounding == RM && !negative) || (rounding == RP && negative);

    return infinity - (to_largest ? 1 : 0);
}

/* The encoding of `value` in a format (without TF32's place in its register). */
static u64 write_float(long double value, enum float_format format, enum rounding rounding,
                       bool satfinite)
{
    const int man = formats[format].mantissa_bits, exp = formats[format].exponent_bits;
    const int bias = (1 << (exp - 1)) - 1;
    const bool negative = signbit(value);
    const u64 sign = negative ? UINT64_C(1) << (man + exp) : 0;
    const long double magnitude = fabsl(value);
    int exponent;
    long double units;

    if (isnan(value))
        return format == F64 ? OPS_NAN64 : (UINT64_C(1) << (man + exp)) - 1;
    if (isinf(value))
        return sign | ((((UINT64_C(1) << exp) - 1) << man) - (satfinite ? 1 : 0));
    if (magnitude == 0)
        return sign;
    (void)frexpl(magnitude, &exponent); /* magnitude in [2^(exponent-1), 2^exponent) */
    exponent = exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
    units = round_magnitude(ldexpl(magnitude, man - exponent), rounding, negative);
    if (units >= ldexpl(1, man + 1)) { /* rounded up to the next power of two */
        units = ldexpl(1, man);
        exponent++;
    }
    if (exponent > bias)
        return sign | write_overflow(format, rounding, negative, satfinite);
    if (units < ldexpl(1, man)) /* subnormal */
        return sign | (u64)units;
    return sign | (((u64)(exponent + bias) << man) + ((u64)units - (UINT64_C(1) << man)));
}

static bool is_subnormal_f32(u64 bits)
{
    return (bits & 0x7f800000u) == 0 && (bits & 0x007fffffu) != 0;
}

/* ---- integers -------------------------------------------------------------------------------- */

/* An integer type in a register that may be wider: 18 of them. */
struct integer {
    u8 bytes, register_bytes;
    bool is_signed;
};
static const struct integer integers[] = {
    {1, 2, false}, {1, 4, false}, {1, 8, false}, {1, 2, true}, {1, 4, true},  {1, 8, true},
    {2, 2, false}, {2, 4, false}, {2, 8, false}, {2, 2, true}, {2, 4, true},  {2, 8, true},
    {4, 4, false}, {4, 8, false}, {4, 4, true},  {4, 8, true}, {8, 8, false}, {8, 8, true},
};
enum { INTEGERS = FAB_ARRAY_LEN(integers) };

static u64 read_register(const struct warp *w, u32 operand, u32 register_bytes, unsigned lane)
{
    switch (register_bytes) {
    case 2:
        return OPS_VECTOR(const u16, w, operand)[lane];
    case 4:
        return OPS_VECTOR(const u32, w, operand)[lane];
    default:
        return OPS_VECTOR(const u64, w, operand)[lane];
    }
}

static void write_register(const struct warp *w, u32 operand, u32 register_bytes, unsigned lane,
                           u64 value)
{
    switch (register_bytes) {
    case 2:
        OPS_VECTOR(u16, w, operand)[lane] = (u16)value;
        break;
    case 4:
        OPS_VECTOR(u32, w, operand)[lane] = (u32)value;
        break;
    default:
        OPS_VECTOR(u64, w, operand)[lane] = value;
    }
}

/* The low `bytes` of a value, extended to 64 bits by the type's sign. */
static u64 extend(u64 value, const struct integer *type)
{
    const unsigned drop = 64 - 8u * type->bytes;

    return type->is_signed ? (u64)((s64)(value << drop) >> drop) : value << drop >> drop;
}

static s128 read_integer(const struct warp *w, u32 operand, const struct integer *type,
                         unsigned lane)
{
    const u64 value = extend(read_register(w, operand, type->register_bytes, lane), type);
    return type->is_signed ? (s128)(s64)value : (s128)value;
}

static s128 clamp(s128 value, const struct integer *type)
{
    const unsigned bits = 8u * type->bytes;
    const s128 high = ((s128)1 << (type->is_signed ? bits - 1 : bits)) - 1;
    const s128 low = type->is_signed ? -high - 1 : 0;

    return value < low ? low : value > high ? high : value;
}

static void write_integer(const struct warp *w, u32 operand, const struct integer *type,
                          unsigned lane, s128 value)
{
    write_register(w, operand, type->register_bytes, lane, extend((u64)value, type));
}

/* ---- handlers: a form's number is a mixed-radix code of its parts ---------------------------- */

#define FOR_ACTIVE(w, lane)                                                                        \
    for (unsigned lane = 0; lane < WARP_LANES; lane++)                                             \
        if ((w)->mask >> lane & 1)

static const struct warp_insn *run_int_int(struct warp *w, const struct warp_insn *in,
                                           unsigned number)
{
    const struct integer *from = &integers[number / INTEGERS % INTEGERS];
    const struct integer *to = &integers[number % INTEGERS];

    FOR_ACTIVE(w, lane)
    write_integer(w, in->d, to, lane, read_integer(w, in->a, from, lane));
    return in + 1;
}

static const struct warp_insn *run_int_int_sat(struct warp *w, const struct warp_insn *in,
                                               unsigned number)
{
    const struct integer *from = &integers[number / INTEGERS % INTEGERS];
    const struct integer *to = &integers[number % INTEGERS];

    FOR_ACTIVE(w, lane)
    write_integer(w, in->d, to, lane, clamp(read_integer(w, in->a, from, lane), to));
    return in + 1;
}

static long double saturate(long double value)
{
    return value > 0 ? (value < 1 ? value : 1) : 0;
}

/* Sources of run_float_int and targets of run_int_float: a format and one flag of f32. */
enum { KIND_F16, KIND_BF16, KIND_F32, KIND_F64, KIND_F32_FLAG, KINDS };
static const enum float_format kind_format[KINDS] = {F16, BF16, F32, F64, F32};
enum { ROUNDINGS = 4 };

static const struct warp_insn *run_float_int(struct warp *w, const struct warp_insn *in,
                                             unsigned number)
{
    const struct integer *to = &integers[number % INTEGERS];
    const enum rounding rounding = (enum rounding)(number / INTEGERS % ROUNDINGS);
    const unsigned kind = number / INTEGERS / ROUNDINGS % KINDS;
    const enum float_format format = kind_format[kind];
    /* PTX ISA, cvt: what becomes of a NaN. */
    const s128 nan = format == F64 || to->bytes == 8 ? (s128)1 << (8 * to->bytes - 1) : 0;

    FOR_ACTIVE(w, lane)
    {
        u64 bits = read_register(w, in->a, formats[format].register_bytes, lane);
        long double value;
        s128 whole;

        if (kind == KIND_F32_FLAG && is_subnormal_f32(bits))
            bits &= 0x80000000u;
        value = read_float(bits, format);
        if (isnan(value)) {
            write_integer(w, in->d, to, lane, nan);
            continue;
        }
        value = fminl(fmaxl(value, -0x1p65L), 0x1p65L);
        whole = (s128)round_magnitude(fabsl(value), rounding, signbit(value));
        write_integer(w, in->d, to, lane, clamp(signbit(value) ? -whole : whole, to));
    }
    return in + 1;
}

static const struct warp_insn *run_int_float(struct warp *w, const struct warp_insn *in,
                                             unsigned number)
{
    const struct integer *from = &integers[number % INTEGERS];
    const enum rounding rounding = (enum rounding)(number / INTEGERS % ROUNDINGS);
    const unsigned kind = number / INTEGERS / ROUNDINGS % KINDS;
    const enum float_format format = kind_format[kind];

    FOR_ACTIVE(w, lane)
    {
        long double value = (long double)read_integer(w, in->a, from, lane);

        if (kind == KIND_F32_FLAG)
            value = saturate(value);
        write_register(w, in->d, formats[format].register_bytes, lane,
                       write_float(value, format, rounding, false));
    }
    return in + 1;
}

/* Between floats: source, target, rounding, and what the flags ask for. */
enum { SOURCES = 4, RULES = 5, FLAG_FTZ = 1, FLAG_SAT = 2, FLAG_SETS = 4 };
static const enum float_format source_format[SOURCES] = {F16, BF16, F32, F64};

static void convert_float(struct warp *w, const struct warp_insn *in, enum float_format from,
                          enum float_format to, enum rounding rounding, bool to_integer,
                          unsigned flags)
{
    FOR_ACTIVE(w, lane)
    {
        u64 bits = read_register(w, in->a, formats[from].register_bytes, lane);
        long double value;

        if ((flags & FLAG_FTZ) && from == F32 && is_subnormal_f32(bits))
            bits &= 0x80000000u;
        value = read_float(bits, from);
        if (to_integer && isfinite(value))
            value = copysignl(round_magnitude(fabsl(value), rounding, signbit(value)), value);
        if (flags & FLAG_SAT)
            value = saturate(value);
        bits = write_float(value, to, to_integer ? RN : rounding, false);
        if ((flags & FLAG_FTZ) && to == F32 && is_subnormal_f32(bits))
            bits &= 0x80000000u;
        write_register(w, in->d, formats[to].register_bytes, lane, bits);
    }
}

static const struct warp_insn *run_float_float(struct warp *w, const struct warp_insn *in,
                                               unsigned number)
{
    const unsigned pair = number % (SOURCES * SOURCES);
    const enum rounding rounding = (enum rounding)(number / (SOURCES * SOURCES) % ROUNDINGS);
    const unsigned flags = number / (SOURCES * SOURCES) / ROUNDINGS % FLAG_SETS;

    convert_float(w, in, source_format[pair / SOURCES], source_format[pair % SOURCES], rounding,
                  number & 256, flags);
    return in + 1;
}

/* cvt to tf32, f16 and bf16 with .relu or .satfinite, and the pairs f16x2 and bf16x2, all from f32:
 * a is the upper half of a pair. */
enum narrow_target { NARROW_F16, NARROW_BF16, NARROW_TF32, NARROW_F16X2, NARROW_BF16X2, NARROWS };
enum { NARROW_RELU = 1, NARROW_SATFINITE = 2, NARROW_FLAG_SETS = 4 };

static u64 narrow(u32 bits, enum float_format format, enum rounding rounding, unsigned flags)
{
    const long double value = read_float(bits, F32);
    const bool to_zero = (flags & NARROW_RELU) && signbit(value) && !isnan(value);

    return write_float(to_zero ? 0 : value, format, rounding, flags & NARROW_SATFINITE);
}

static const struct warp_insn *run_narrow(struct warp *w, const struct warp_insn *in,
                                          unsigned number)
{
    const enum narrow_target target = (enum narrow_target)(number % NARROWS);
    const unsigned flags = number / NARROWS % NARROW_FLAG_SETS;
    const enum rounding rounding = (enum rounding)(number / NARROWS / NARROW_FLAG_SETS);
    const u32 *a = OPS_VECTOR(const u32, w, in->a);

    FOR_ACTIVE(w, lane)
    {
        if (target == NARROW_F16X2 || target == NARROW_BF16X2) {
            const enum float_format format = target == NARROW_F16X2 ? F16 : BF16;
            const u32 *b = OPS_VECTOR(const u32, w, in->b);
            const u64 low = narrow(b[lane], format, rounding, flags);
            const u64 high = narrow(a[lane], format, rounding, flags);
            OPS_VECTOR(u32, w, in->d)[lane] = (u32)(low | high << 16);
        } else if (target == NARROW_TF32) {
            const u64 bits = narrow(a[lane], TF32, rounding, flags);
            OPS_VECTOR(u32, w, in->d)[lane] = (u32)(bits << 13);
        } else {
            const enum float_format format = target == NARROW_F16 ? F16 : BF16;
            OPS_VECTOR(u16, w, in->d)[lane] = (u16)narrow(a[lane], format, rounding, flags);
        }
    }
    return in + 1;
}

OPS_NUMBERED(run_int_int)
OPS_NUMBERED(run_int_int_sat)
OPS_NUMBERED(run_float_int)
OPS_NUMBERED(run_int_float)
OPS_NUMBERED(run_float_float)
OPS_NUMBERED(run_narrow)

/* ---- finder ---------------------------------------------------------------------------------- */

/* The index of an integer type in `integers`, or -1. */
static int integer_of(uint8_t type, u32 register_bytes)
{
    static const struct {
        u8 bytes;
        bool is_signed;
    } types[PTX_TYPE_COUNT] = {
        [PTX_U8] = {1, false},  [PTX_S8] = {1, true},   [PTX_U16] = {2, false},
        [PTX_S16] = {2, true},  [PTX_U32] = {4, false}, [PTX_S32] = {4, true},
        [PTX_U64] = {8, false}, [PTX_S64] = {8, true}};
    const u32 bytes = types[type].bytes;

    if (register_bytes == 0)
        register_bytes = bytes < 2 ? 2 : bytes;
    for (unsigned n = 0; bytes && n < INTEGERS; n++)
        if (integers[n].bytes == bytes && integers[n].register_bytes == register_bytes &&
            integers[n].is_signed == types[type].is_signed)
            return (int)n;
    return -1;
}

static int kind_of(uint8_t type)
{
    return type == PTX_F16    ? KIND_F16
           : type == PTX_BF16 ? KIND_BF16
           : type == PTX_F32  ? KIND_F32
           : type == PTX_F64  ? KIND_F64
                              : -1;
}

/* The rounding of a conversion; *to_integer_out for .rni and its kin. False: not one of ours. */
static bool rounding_of(uint8_t round, enum rounding *rounding_out, bool *to_integer_out)
{
    *to_integer_out = round >= PTX_ROUND_RNI;
    switch ((enum ptx_round)round) {
    case PTX_ROUND_NONE:
    case PTX_ROUND_RN:
    case PTX_ROUND_RNI:
        *rounding_out = RN;
        return true;
    case PTX_ROUND_RZ:
    case PTX_ROUND_RZI:
        *rounding_out = RZ;
        return true;
    case PTX_ROUND_RM:
    case PTX_ROUND_RMI:
        *rounding_out = RM;
        return true;
    case PTX_ROUND_RP:
    case PTX_ROUND_RPI:
        *rounding_out = RP;
        return true;
    case PTX_ROUND_RNA:
        *rounding_out = RNA;
        return true;
    }
    return false;
}

static warp_fn find_narrow(const struct ptx_op *op, enum rounding rounding)
{
    static const int8_t targets[PTX_TYPE_COUNT] = {
        [PTX_F16] = NARROW_F16 + 1,       [PTX_BF16] = NARROW_BF16 + 1,
        [PTX_TF32] = NARROW_TF32 + 1,     [PTX_F16X2] = NARROW_F16X2 + 1,
        [PTX_BF16X2] = NARROW_BF16X2 + 1,
    };
    const unsigned flags = (op->flags & PTX_F_RELU ? NARROW_RELU : 0u) |
                           (op->flags & PTX_F_SATFINITE ? NARROW_SATFINITE : 0u);

    if (!targets[op->type] || op->type2 != PTX_F32 ||
        (op->flags & ~(u32)(PTX_F_RELU | PTX_F_SATFINITE)))
        return NULL;
    if (rounding == RM || rounding == RP || (rounding == RNA && op->type != PTX_TF32))
        return NULL;
    return run_narrow_numbered[(unsigned)(targets[op->type] - 1) +
                               NARROWS * (flags + NARROW_FLAG_SETS * (unsigned)rounding)];
}

static warp_fn find_float_float(const struct ptx_op *op, enum rounding rounding, bool to_integer)
{
    const int from = kind_of(op->type2), to = kind_of(op->type);
    const unsigned flags =
        (op->flags & PTX_F_FTZ ? FLAG_FTZ : 0u) | (op->flags & PTX_F_SAT ? FLAG_SAT : 0u);

    if (from < 0 || to < 0 || (op->flags & PTX_F_RELU) || (op->flags & PTX_F_SATFINITE) ||
        rounding == RNA)
        return find_narrow(op, rounding);
    if (op->flags & ~(u32)(PTX_F_FTZ | PTX_F_SAT))
        return NULL;
    return run_float_float_numbered[(unsigned)(from * SOURCES + to) +
                                    SOURCES * SOURCES * ((unsigned)rounding + ROUNDINGS * flags) +
                                    (to_integer ? 256u : 0u)];
}

warp_fn ops_find_general_convert(const struct ptx_op *op, const struct warp_form *form)
{
    enum rounding rounding;
    bool to_integer;
    const bool sat = (op->flags & PTX_F_SAT) != 0, ftz = (op->flags & PTX_F_FTZ) != 0;
    int from, to;

    if (op->family != PTX_CVT || op->type >= PTX_TYPE_COUNT || op->type2 >= PTX_TYPE_COUNT)
        return NULL;
    if (!rounding_of(op->round, &rounding, &to_integer))
        return NULL;
    from = integer_of(op->type2, form ? form->src_bytes : 0);
    to = integer_of(op->type, form ? form->dst_bytes : 0);
    if (from < 0 && to < 0)
        return find_float_float(op, rounding, to_integer);
    if (rounding == RNA || (op->flags & ~(u32)(PTX_F_SAT | PTX_F_FTZ)))
        return NULL;
    if (from >= 0 && to >= 0)
        return (sat ? run_int_int_sat_numbered : run_int_int_numbered)[from * INTEGERS + to];
    if (from >= 0) {
        int kind = kind_of(op->type);
        if (kind < 0 || (sat && kind != KIND_F32))
            return NULL;
        kind = sat ? KIND_F32_FLAG : kind;
        return run_int_float_numbered[from + INTEGERS * ((int)rounding + ROUNDINGS * kind)];
    } else {
        int kind = kind_of(op->type2);
        if (kind < 0)
            return NULL;
        kind = kind == KIND_F32 && ftz ? KIND_F32_FLAG : kind; /* .sat is implied */
        return run_float_int_numbered[to + INTEGERS * ((int)rounding + ROUNDINGS * kind)];
    }
}
