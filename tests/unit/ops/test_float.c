/* SPDX-License-Identifier: Apache-2.0
 * IEEE arithmetic, comparisons and selections of floats against the host's scalar arithmetic under
 * each rounding mode, and the approximations against libm within the bounds of the PTX ISA.
 */
#include "tests/unit/ops/ops_rig.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

#define NAN32 UINT64_C(0x7fffffff)
#define NAN64 UINT64_C(0xfff8000000000000)

static float f32_of(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof(x));
    return x;
}

static uint64_t bits_of32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return isnan(x) ? NAN32 : bits;
}

static double f64_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static uint64_t bits_of64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return isnan(x) ? NAN64 : bits;
}

static float flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

/* Bits of floats of all classes, with exponents often near each other. */
static uint64_t float_operand(unsigned bytes)
{
    static const uint32_t edges32[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                       0xff800000, 0x7fc00001, 0xffc12345, 0x00000001, 0x80000001,
                                       0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff,
                                       0x3f000000, 0x40490fdb, 0x4b000001, 0x7f000000, 0x34000000};
    const uint64_t random = rig_random();

    if (bytes == 1)
        return random;
    if (bytes == 4) {
        if (random % 3 == 0)
            return edges32[random / 3 % FAB_ARRAY_LEN(edges32)];
        if (random % 3 == 1)
            return (rig_random() & 0x807fffff) | (0x3d + random % 5) << 24;
        return rig_random() & UINT32_MAX;
    }
    if (random % 3 == 0)
        return bits_of64(f32_of(edges32[random / 3 % FAB_ARRAY_LEN(edges32)]));
    if (random % 3 == 1)
        return (rig_random() & UINT64_C(0x800fffffffffffff)) | (UINT64_C(0x3fd) + random % 5) << 52;
    return rig_random();
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static void begin_rounding(uint8_t round)
{
    fesetround(round == PTX_ROUND_RZ   ? FE_TOWARDZERO
               : round == PTX_ROUND_RM ? FE_DOWNWARD
               : round == PTX_ROUND_RP ? FE_UPWARD
                                       : FE_TONEAREST);
}

#define ARITHMETIC(T, fma_function, sqrt_function)                                                 \
    static T value_##T(uint8_t family, T a, T b, T c)                                              \
    {                                                                                              \
        volatile T x = a, y = b, z = c, one = 1, result;                                           \
        switch (family) {                                                                          \
        case PTX_ADD:                                                                              \
            result = x + y;                                                                        \
            break;                                                                                 \
        case PTX_SUB:                                                                              \
            result = x - y;                                                                        \
            break;                                                                                 \
        case PTX_MUL:                                                                              \
            result = x * y;                                                                        \
            break;                                                                                 \
        case PTX_DIV:                                                                              \
            result = x / y;                                                                        \
            break;                                                                                 \
        case PTX_RCP:                                                                              \
            result = one / x;                                                                      \
            break;                                                                                 \
        case PTX_SQRT:                                                                             \
            result = sqrt_function(x);                                                             \
            break;                                                                                 \
        case PTX_RSQRT:                                                                            \
            result = sqrt_function(x);                                                             \
            result = one / result;                                                                 \
            break;                                                                                 \
        default:                                                                                   \
            result = fma_function(x, y, z);                                                        \
        }                                                                                          \
        return result;                                                                             \
    }
ARITHMETIC(float, fmaf, sqrtf)
ARITHMETIC(double, fma, sqrt)

static uint64_t arithmetic(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const bool ftz = op->flags & PTX_F_FTZ;
    float x = f32_of(a), y = f32_of(b), z = f32_of(c), result;

    (void)u;
    if (op->type == PTX_F64) {
        double wide;
        begin_rounding(op->round);
        wide = value_double((uint8_t)op->family, f64_of(a), f64_of(b), f64_of(c));
        fesetround(FE_TONEAREST);
        return bits_of64(wide);
    }
    if (ftz)
        x = flushed(x), y = flushed(y), z = flushed(z);
    begin_rounding(op->round);
    result = value_float((uint8_t)op->family, x, y, z);
    fesetround(FE_TONEAREST);
    result = ftz ? flushed(result) : result;
    if (op->flags & PTX_F_SAT)
        result = isnan(result) || result <= 0 ? 0.0f : fminf(result, 1.0f);
    return bits_of32(result);
}

static void check_arithmetic(uint8_t family, uint8_t type, uint8_t round, uint32_t flags,
                             unsigned sources)
{
    const unsigned bytes = type == PTX_F32 ? 4 : 8;

    rig_check(
        &(struct rig_case){.op = {.family = family, .type = type, .round = round, .flags = flags},
                           .d = bytes,
                           .a = bytes,
                           .b = sources > 1 ? bytes : 0,
                           .c = sources > 2 ? bytes : 0,
                           .oracle = arithmetic,
                           .operand = float_operand});
}

static void test_arithmetic(void)
{
    static const struct {
        uint8_t family, sources;
        bool can_saturate;
    } rows[] = {{PTX_ADD, 2, true}, {PTX_SUB, 2, true},  {PTX_MUL, 2, true},  {PTX_FMA, 3, true},
                {PTX_MAD, 3, true}, {PTX_DIV, 2, false}, {PTX_RCP, 1, false}, {PTX_SQRT, 1, false}};

    for (size_t r = 0; r < FAB_ARRAY_LEN(rows); r++)
        for (uint8_t round = PTX_ROUND_RN; round <= (uint8_t)PTX_ROUND_RP; round++) {
            check_arithmetic(rows[r].family, PTX_F64, round, 0, rows[r].sources);
            for (uint32_t form = 0; form < (rows[r].can_saturate ? 4u : 2u); form++)
                check_arithmetic(rows[r].family, PTX_F32, round,
                                 (form & 1 ? PTX_F_FTZ : 0u) | (form & 2 ? PTX_F_SAT : 0u),
                                 rows[r].sources);
        }
    for (uint32_t ftz = 0; ftz < 2; ftz++) {
        const uint32_t flags = ftz ? PTX_F_FTZ : 0;
        check_arithmetic(PTX_DIV, PTX_F32, 0, flags | PTX_F_APPROX, 2);
        check_arithmetic(PTX_DIV, PTX_F32, 0, flags | PTX_F_FULL, 2);
        check_arithmetic(PTX_RCP, PTX_F32, 0, flags | PTX_F_APPROX, 1);
        check_arithmetic(PTX_SQRT, PTX_F32, 0, flags | PTX_F_APPROX, 1);
        check_arithmetic(PTX_RSQRT, PTX_F32, 0, flags | PTX_F_APPROX, 1);
    }
    check_arithmetic(PTX_RSQRT, PTX_F64, 0, PTX_F_APPROX, 1);
    rig_check_refused(&(struct ptx_op){.family = PTX_ADD, .type = PTX_F64, .flags = PTX_F_FTZ});
    rig_check_refused(&(struct ptx_op){.family = PTX_ADD, .type = PTX_F16});
}

/* ---- sign, min, max -------------------------------------------------------------------------- */

/* The lesser (or greater) number; -0 counts as below +0. */
static double lesser(double x, double y, bool greater)
{
    if (x == y)
        return signbit(x) != greater ? x : y;
    return (x < y) != greater ? x : y;
}

static double chosen(const struct ptx_op *op, double x, double y)
{
    const bool max = op->family == PTX_MAX, negative = signbit(x) != signbit(y);
    double result;

    if (op->flags & PTX_F_XORSIGN)
        x = fabs(x), y = fabs(y);
    if (isnan(x) || isnan(y)) {
        if ((op->flags & PTX_F_NAN) || (isnan(x) && isnan(y)))
            return NAN;
        result = isnan(x) ? y : x;
    } else {
        result = lesser(x, y, max);
    }
    return op->flags & PTX_F_XORSIGN ? copysign(result, negative ? -1 : 1) : result;
}

static uint64_t signs(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const bool is_wide = op->type == PTX_F64;
    const uint64_t sign = is_wide ? UINT64_C(1) << 63 : UINT64_C(1) << 31;

    (void)c, (void)u;
    if (op->flags & PTX_F_FTZ) {
        /* Through the bits: a NaN keeps its payload in abs and neg. */
        a = fpclassify(f32_of(a)) == FP_SUBNORMAL ? a & sign : a;
        b = fpclassify(f32_of(b)) == FP_SUBNORMAL ? b & sign : b;
    }
    switch (op->family) {
    case PTX_ABS:
        return a & ~sign;
    case PTX_NEG:
        return a ^ sign;
    case PTX_COPYSIGN:
        return (b & ~sign) | (a & sign);
    default:
        return is_wide ? bits_of64(chosen(op, f64_of(a), f64_of(b)))
                       : bits_of32((float)chosen(op, (double)f32_of(a), (double)f32_of(b)));
    }
}

/* Signs of a NaN under .xorsign.abs are not defined. */
static bool same_number(const struct ptx_op *op, uint64_t got, uint64_t wanted)
{
    return got == wanted ||
           ((op->flags & PTX_F_XORSIGN) && isnan(f32_of(got)) && isnan(f32_of(wanted)));
}

static void check_signs(uint8_t family, uint8_t type, uint32_t flags, bool two)
{
    const unsigned bytes = type == PTX_F32 ? 4 : 8;

    rig_check(&(struct rig_case){.op = {.family = family, .type = type, .flags = flags},
                                 .d = bytes,
                                 .a = bytes,
                                 .b = two ? bytes : 0,
                                 .oracle = signs,
                                 .operand = float_operand,
                                 .same = same_number});
}

static void test_signs(void)
{
    for (int wide = 0; wide < 2; wide++) {
        const uint8_t type = wide ? PTX_F64 : PTX_F32;
        check_signs(PTX_ABS, type, 0, false);
        check_signs(PTX_NEG, type, 0, false);
        check_signs(PTX_COPYSIGN, type, 0, true);
        check_signs(PTX_MIN, type, 0, true);
        check_signs(PTX_MAX, type, 0, true);
    }
    check_signs(PTX_ABS, PTX_F32, PTX_F_FTZ, false);
    check_signs(PTX_NEG, PTX_F32, PTX_F_FTZ, false);
    for (uint32_t form = 0; form < 8; form++) {
        const uint32_t flags = (form & 1 ? PTX_F_FTZ : 0u) | (form & 2 ? PTX_F_NAN : 0u) |
                               (form & 4 ? PTX_F_XORSIGN : 0u);
        check_signs(PTX_MIN, PTX_F32, flags, true);
        check_signs(PTX_MAX, PTX_F32, flags, true);
    }
}

/* ---- comparisons ----------------------------------------------------------------------------- */

static bool compared(uint8_t cmp, long double x, long double y)
{
    const bool unordered = isnan(x) || isnan(y);

    switch (cmp) {
    case PTX_CMP_EQ:
        return !unordered && x == y;
    case PTX_CMP_NE:
        return !unordered && x != y;
    case PTX_CMP_LT:
    case PTX_CMP_LO:
        return !unordered && x < y;
    case PTX_CMP_LE:
    case PTX_CMP_LS:
        return !unordered && x <= y;
    case PTX_CMP_GT:
    case PTX_CMP_HI:
        return !unordered && x > y;
    case PTX_CMP_GE:
    case PTX_CMP_HS:
        return !unordered && x >= y;
    case PTX_CMP_EQU:
        return unordered || x == y;
    case PTX_CMP_NEU:
        return unordered || x != y;
    case PTX_CMP_LTU:
        return unordered || x < y;
    case PTX_CMP_LEU:
        return unordered || x <= y;
    case PTX_CMP_GTU:
        return unordered || x > y;
    case PTX_CMP_GEU:
        return unordered || x >= y;
    case PTX_CMP_NUM:
        return !unordered;
    default:
        return unordered;
    }
}

/* A source as a number; long double holds all of them exactly. */
static long double source(uint8_t type, uint64_t bits, bool ftz)
{
    switch (type) {
    case PTX_F32:
        return ftz ? flushed(f32_of(bits)) : f32_of(bits);
    case PTX_F64:
        return f64_of(bits);
    case PTX_S16:
        return (int16_t)bits;
    case PTX_S32:
        return (int32_t)bits;
    case PTX_S64:
        return (int64_t)bits;
    default:
        return bits;
    }
}

static uint64_t comparison(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const uint8_t type = op->family == PTX_SETP ? op->type : op->type2;
    const bool ftz = op->flags & PTX_F_FTZ;
    bool result = compared(op->cmp, source(type, a, ftz), source(type, b, ftz));

    (void)u;
    result = op->boolop == PTX_BOOL_AND   ? result && c
             : op->boolop == PTX_BOOL_OR  ? result || c
             : op->boolop == PTX_BOOL_XOR ? result != (c != 0)
                                          : result;
    if (op->family == PTX_SETP)
        return result;
    return !result ? 0 : op->type == PTX_F32 ? 0x3f800000 : UINT32_MAX;
}

static uint64_t near_operand(unsigned bytes)
{
    return rig_random() & 1 ? rig_operand(bytes) : rig_random() % 4 - (bytes == 1 ? 0 : 2);
}

static void check_comparison(uint8_t type, uint8_t cmp, uint32_t flags)
{
    static const uint8_t sizes[PTX_TYPE_COUNT] = {
        [PTX_B16] = 2, [PTX_U16] = 2, [PTX_S16] = 2, [PTX_B32] = 4, [PTX_U32] = 4, [PTX_S32] = 4,
        [PTX_F32] = 4, [PTX_B64] = 8, [PTX_U64] = 8, [PTX_S64] = 8, [PTX_F64] = 8};
    const unsigned bytes = sizes[type];
    const bool is_float = type == PTX_F32 || type == PTX_F64;

    for (uint8_t boolop = PTX_BOOL_NONE; boolop <= (uint8_t)PTX_BOOL_XOR; boolop++) {
        struct rig_case c = {
            .op = {.family = PTX_SETP, .type = type, .cmp = cmp, .boolop = boolop, .flags = flags},
            .d = 1,
            .a = bytes,
            .b = bytes,
            .c = boolop ? 1 : 0,
            .oracle = comparison,
            .operand = is_float ? float_operand : near_operand};
        rig_check(&c);
        c.op.family = PTX_SET;
        c.op.type2 = type;
        c.op.type = PTX_U32;
        c.d = 4;
        rig_check(&c);
        c.op.type = PTX_F32;
        rig_check(&c);
    }
}

static void test_comparisons(void)
{
    static const uint8_t unsigneds[] = {PTX_U16, PTX_U32, PTX_U64};
    static const uint8_t signeds[] = {PTX_S16, PTX_S32, PTX_S64};
    static const uint8_t bits[] = {PTX_B16, PTX_B32, PTX_B64};

    for (size_t t = 0; t < 3; t++) {
        for (uint8_t cmp = PTX_CMP_EQ; cmp <= (uint8_t)PTX_CMP_HS; cmp++)
            check_comparison(unsigneds[t], cmp, 0);
        for (uint8_t cmp = PTX_CMP_EQ; cmp <= (uint8_t)PTX_CMP_GE; cmp++)
            check_comparison(signeds[t], cmp, 0);
        check_comparison(bits[t], PTX_CMP_EQ, 0);
        check_comparison(bits[t], PTX_CMP_NE, 0);
        rig_check_refused(&(struct ptx_op){.family = PTX_SETP, .type = bits[t], .cmp = PTX_CMP_LT});
    }
    for (uint8_t cmp = PTX_CMP_EQ; cmp <= (uint8_t)PTX_CMP_NAN; cmp++) {
        if (cmp >= PTX_CMP_LO && cmp <= PTX_CMP_HS)
            continue;
        check_comparison(PTX_F32, cmp, 0);
        check_comparison(PTX_F32, cmp, PTX_F_FTZ);
        check_comparison(PTX_F64, cmp, 0);
    }
}

/* p|q: q is the comparison's opposite, combined in the same way; and c may be p. */
static void test_second_predicate(void)
{
    const struct ptx_op op = {
        .family = PTX_SETP, .type = PTX_S32, .cmp = PTX_CMP_LT, .boolop = PTX_BOOL_AND};
    const struct warp_form form = {0};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (unsigned n = 0; n < count; n++) {
        check_case("setp.lt.and p|q in %s", isas[n]->name);
        rig_reset();
        rig_use(SLOT_D);
        rig_use(SLOT_E);
        rig_use(SLOT_A);
        rig_use(SLOT_B);
        rig.insn[0].c = rig.insn[0].d;
        rig.insn[0].flags = WARP_I_NEGATE_LAST;
        rig_mask(0x00ff00ff);
        for (unsigned lane = 0; lane < WARP_LANES; lane++) {
            rig_put(SLOT_A, 4, lane, lane);
            rig_put(SLOT_B, 4, lane, 20);
        }
        *rig_predicate(SLOT_D) = 0x0f0f0f0f; /* negated source: lanes 4-7, 12-15 ... */
        *rig_predicate(SLOT_E) = 0;
        CHECK(rig_went_on(rig_run(isas[n]->find(&op, &form))));
        /* Lanes 0-7 and 16-23 are on; lanes below 20 compare true; c holds in 4-7 and 20-23. */
        CHECK_EQ(*rig_predicate(SLOT_D), 0x0f000ff0);
        CHECK_EQ(*rig_predicate(SLOT_E), 0x00f00000);
    }
}

static uint64_t classes(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const int kind = op->type == PTX_F64 ? fpclassify(f64_of(a)) : fpclassify(f32_of(a));

    (void)b, (void)c, (void)u;
    switch (op->sub) {
    case PTX_SUB_FINITE:
        return kind != FP_NAN && kind != FP_INFINITE;
    case PTX_SUB_INFINITE:
        return kind == FP_INFINITE;
    case PTX_SUB_NUMBER:
        return kind != FP_NAN;
    case PTX_SUB_NOTANUMBER:
        return kind == FP_NAN;
    case PTX_SUB_NORMAL:
        return kind == FP_NORMAL;
    default:
        return kind == FP_SUBNORMAL;
    }
}

static uint64_t selected(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    bool first = c != 0;

    (void)u;
    if (op->family == PTX_SLCT)
        first = op->type2 == PTX_S32
                    ? (int32_t)c >= 0
                    : (op->flags & PTX_F_FTZ ? flushed(f32_of(c)) : f32_of(c)) >= 0;
    return first ? a : b;
}

static void test_classes_and_selection(void)
{
    static const uint8_t types[] = {PTX_B16, PTX_B32, PTX_B64, PTX_U16,
                                    PTX_S32, PTX_U64, PTX_F32, PTX_F64};
    static const uint8_t bytes[] = {2, 4, 8, 2, 4, 8, 4, 8};

    for (uint8_t sub = PTX_SUB_FINITE; sub <= (uint8_t)PTX_SUB_SUBNORMAL; sub++)
        for (int wide = 0; wide < 2; wide++)
            rig_check(&(struct rig_case){
                .op = {.family = PTX_TESTP, .type = wide ? PTX_F64 : PTX_F32, .sub = sub},
                .d = 1,
                .a = wide ? 8 : 4,
                .oracle = classes,
                .operand = float_operand});
    for (size_t t = 0; t < FAB_ARRAY_LEN(types); t++) {
        struct rig_case c = {.op = {.family = PTX_SELP, .type = types[t]},
                             .d = bytes[t],
                             .a = bytes[t],
                             .b = bytes[t],
                             .c = 1,
                             .oracle = selected};
        rig_check(&c);
        c.op.family = PTX_SLCT;
        c.op.type2 = PTX_S32;
        c.c = 4;
        rig_check(&c);
        c.op.type2 = PTX_F32;
        rig_check(&c);
        c.op.flags = PTX_F_FTZ;
        rig_check(&c);
    }
}

/* ---- approximations -------------------------------------------------------------------------- */

static double exact(const struct ptx_op *op, double x)
{
    switch (op->family) {
    case PTX_EX2:
        return exp2(x);
    case PTX_LG2:
        return log2(x);
    case PTX_SIN:
        return sin(x);
    case PTX_COS:
        return cos(x);
    default:
        return tanh(x);
    }
}

static uint64_t approximated(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c,
                             uint64_t u)
{
    const float x = op->flags & PTX_F_FTZ ? flushed(f32_of(a)) : f32_of(a);
    const float result = (float)exact(op, (double)x);

    (void)b, (void)c, (void)u;
    return bits_of32(op->flags & PTX_F_FTZ ? flushed(result) : result);
}

/* One unit in the last place of the rounded result; the ISA allows 2^-20.5 absolute for sin and
 * cos near 0, 2^-22 for lg2, 2 units for ex2 and 2^-11 relative for tanh. */
static bool is_near(const struct ptx_op *op, uint64_t got, uint64_t wanted)
{
    const int64_t distance = (int64_t)(int32_t)got - (int64_t)(int32_t)wanted;

    (void)op;
    return distance >= -1 && distance <= 1;
}

static uint64_t angle_operand(unsigned bytes)
{
    const uint64_t random = rig_random();

    (void)bytes;
    if (random % 4 == 0)
        return float_operand(4);
    return bits_of32(
        (float)((double)(int64_t)rig_random() * (random % 4 == 1 ? 0x1p-61 : 0x1p-57)));
}

static void test_approximations(void)
{
    static const uint8_t families[] = {PTX_EX2, PTX_LG2, PTX_SIN, PTX_COS, PTX_TANH};

    for (size_t f = 0; f < FAB_ARRAY_LEN(families); f++)
        for (int ftz = 0; ftz < (families[f] == PTX_TANH ? 1 : 2); ftz++) {
            const struct rig_case c = {.op = {.family = families[f],
                                              .type = PTX_F32,
                                              .flags = PTX_F_APPROX | (ftz ? PTX_F_FTZ : 0u)},
                                       .d = 4,
                                       .a = 4,
                                       .oracle = approximated,
                                       .operand = angle_operand,
                                       .same = is_near};
            for (int again = 0; again < 20; again++)
                rig_check(&c);
        }
}

/* What the oracles allow may differ by a unit: between variants nothing may. */
static void test_variants_agree(void)
{
    static const uint8_t families[] = {PTX_EX2,  PTX_LG2, PTX_SIN,  PTX_COS,
                                       PTX_TANH, PTX_RCP, PTX_SQRT, PTX_RSQRT};
    const struct warp_form form = {0};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);
    uint32_t first[WARP_LANES];

    if (count < 2)
        check_skip("only one variant here");
    for (size_t f = 0; f < FAB_ARRAY_LEN(families); f++) {
        const struct ptx_op op = {.family = families[f], .type = PTX_F32, .flags = PTX_F_APPROX};
        for (int round = 0; round < 1000; round++) {
            uint32_t sources[WARP_LANES];
            for (unsigned lane = 0; lane < WARP_LANES; lane++)
                sources[lane] = (uint32_t)angle_operand(4);
            for (unsigned n = 0; n < count; n++) {
                check_case("%s.approx in %s", rig_family(&op), isas[n]->name);
                rig_reset();
                rig_use(SLOT_D);
                rig_use(SLOT_A);
                memcpy(rig_lanes(SLOT_A), sources, sizeof(sources));
                CHECK(rig_went_on(rig_run(isas[n]->find(&op, &form))));
                if (n == 0)
                    memcpy(first, rig_lanes(SLOT_D), sizeof(first));
                CHECK_MEM(rig_lanes(SLOT_D), first, sizeof(first));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_arithmetic),
                                       CHECK_TEST(test_signs),
                                       CHECK_TEST(test_comparisons),
                                       CHECK_TEST(test_second_predicate),
                                       CHECK_TEST(test_classes_and_selection),
                                       CHECK_TEST(test_approximations),
                                       CHECK_TEST(test_variants_agree)};

    return check_run(tests);
}
