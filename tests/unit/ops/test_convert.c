/* SPDX-License-Identifier: Apache-2.0
 * cvt between all formats, roundings and register widths against casts and rounding modes of the
 * host; the half formats against a search for the nearest value. Packing and unpacking mov.
 */
#include "tests/unit/ops/ops_rig.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

__extension__ typedef __int128 wide;

/* ---- types ----------------------------------------------------------------------------------- */

struct type {
    uint8_t type, bytes;
    bool is_signed, is_float;
};
static const struct type types[] = {
    {PTX_U8, 1, false, false},  {PTX_S8, 1, true, false},   {PTX_U16, 2, false, false},
    {PTX_S16, 2, true, false},  {PTX_U32, 4, false, false}, {PTX_S32, 4, true, false},
    {PTX_U64, 8, false, false}, {PTX_S64, 8, true, false},  {PTX_F16, 2, true, true},
    {PTX_BF16, 2, true, true},  {PTX_F32, 4, true, true},   {PTX_F64, 8, true, true},
};
enum { INTEGERS = 8, TYPES = FAB_ARRAY_LEN(types) };

static const struct type *type_of(uint8_t type)
{
    size_t i = 0;

    while (types[i].type != type) /* only types of the table are asked for */
        i++;
    return &types[i];
}

/* ---- values ---------------------------------------------------------------------------------- */

static double small_value(uint64_t bits, int exponent_bits, int mantissa_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const double fraction = (double)(bits & ((1u << mantissa_bits) - 1)) / (1 << mantissa_bits);
    const double sign = bits >> (mantissa_bits + exponent_bits) & 1 ? -1 : 1;

    if (exponent == (1 << exponent_bits) - 1)
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias));
}

static double float_value(uint8_t type, uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float narrow;
    double value;

    switch (type) {
    case PTX_F16:
        return small_value(bits & 0xffff, 5, 10);
    case PTX_BF16:
        return small_value(bits & 0xffff, 8, 7);
    case PTX_F32:
        memcpy(&narrow, &low, sizeof(narrow));
        return (double)narrow;
    default:
        memcpy(&value, &bits, sizeof(value));
        return value;
    }
}

static wide integer_value(const struct type *t, uint64_t bits)
{
    const unsigned width = 8u * t->bytes;
    const uint64_t low = width < 64 ? bits & ((UINT64_C(1) << width) - 1) : bits;

    return t->is_signed && low >> (width - 1) & 1 ? (wide)low - ((wide)1 << width) : (wide)low;
}

/* A value of an integer type in a register of `bytes` bytes. */
static uint64_t in_register(const struct type *t, wide value, unsigned bytes)
{
    const wide same = integer_value(t, (uint64_t)value);
    return bytes < 8 ? (uint64_t)same & ((UINT64_C(1) << (8 * bytes)) - 1) : (uint64_t)same;
}

static wide clamped(const struct type *t, wide value)
{
    const unsigned width = 8u * t->bytes;
    const wide high = ((wide)1 << (t->is_signed ? width - 1 : width)) - 1;
    const wide low = t->is_signed ? -high - 1 : 0;

    return value < low ? low : value > high ? high : value;
}

static void begin_rounding(uint8_t round)
{
    static const int modes[] = {[PTX_ROUND_RZ] = FE_TOWARDZERO, [PTX_ROUND_RM] = FE_DOWNWARD,
                                [PTX_ROUND_RP] = FE_UPWARD,     [PTX_ROUND_RZI] = FE_TOWARDZERO,
                                [PTX_ROUND_RMI] = FE_DOWNWARD,  [PTX_ROUND_RPI] = FE_UPWARD};

    fesetround(modes[round]); /* the others are 0: FE_TONEAREST */
}

static uint64_t f64_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return isnan(x) ? UINT64_C(0xfff8000000000000) : bits;
}

static uint64_t f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return isnan(x) ? 0x7fffffff : bits;
}

/* The encoding of a half format that rounding wants: by walking over all its finite values. */
static uint64_t small_bits(long double x, uint8_t type, uint8_t round)
{
    const uint64_t infinity = type == PTX_F16 ? 0x7c00 : 0x7f80;
    const uint64_t sign = signbit(x) ? 0x8000 : 0;
    const long double magnitude = fabsl(x);
    const bool away = (round == PTX_ROUND_RM && sign) || (round == PTX_ROUND_RP && !sign);
    const bool toward = round == PTX_ROUND_RZ || (!away && round != PTX_ROUND_RN && round != 0);
    uint64_t low = 0, high = infinity; /* value(low) <= magnitude < value(high) */
    long double below, above;

    if (isnan(x))
        return 0x7fff;
    if (isinf(x))
        return sign | infinity;
    while (high - low > 1) {
        const uint64_t middle = (low + high) / 2;
        if ((long double)float_value(type, middle) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    below = float_value(type, low);
    /* Above the largest number stands what would follow if exponents went on. */
    above = high == infinity ? 2 * below - (long double)float_value(type, low - 1)
                             : float_value(type, high);
    if (magnitude == below || toward)
        return sign | low;
    if (away)
        return sign | high;
    if (magnitude - below == above - magnitude)
        return sign | (low & 1 ? high : low);
    return sign | (magnitude - below < above - magnitude ? low : high);
}

static uint64_t float_bits(const struct ptx_op *op, long double x)
{
    volatile long double exact = x;
    volatile float narrow;
    volatile double value;

    switch (op->type) {
    case PTX_F16:
    case PTX_BF16:
        return small_bits(x, op->type, op->round);
    case PTX_F32:
        begin_rounding(op->round);
        narrow = (float)exact;
        fesetround(FE_TONEAREST);
        return f32_bits(narrow);
    default:
        begin_rounding(op->round);
        value = (double)exact;
        fesetround(FE_TONEAREST);
        return f64_bits(value);
    }
}

static bool is_subnormal32(uint64_t bits)
{
    return (bits & 0x7f800000) == 0 && (bits & 0x7fffff) != 0;
}

/* ---- the oracle ------------------------------------------------------------------------------ */

static unsigned to_register; /* bytes of d in the case at hand */

static uint64_t float_to_integer(const struct ptx_op *op, const struct type *to, double x)
{
    volatile double exact = x;
    double whole;

    if (isnan(x)) {
        const bool top = op->type2 == PTX_F64 || to->bytes == 8;
        return in_register(to, top ? (wide)1 << (8 * to->bytes - 1) : 0, to_register);
    }
    begin_rounding(op->round);
    whole = nearbyint(exact);
    fesetround(FE_TONEAREST);
    whole = fmin(fmax(whole, -0x1p70), 0x1p70);
    return in_register(to, clamped(to, (wide)whole), to_register);
}

static uint64_t float_to_float(const struct ptx_op *op, uint64_t a)
{
    const bool ftz = op->flags & PTX_F_FTZ;
    struct ptx_op plain = *op;
    double x;
    uint64_t bits;

    if (ftz && op->type2 == PTX_F32 && is_subnormal32(a))
        a &= 0x80000000;
    x = float_value(op->type2, a);
    if (op->round >= PTX_ROUND_RNI) {
        volatile double exact = x;
        begin_rounding(op->round);
        x = nearbyint(exact);
        fesetround(FE_TONEAREST);
        plain.round = PTX_ROUND_RN;
    }
    if (op->flags & PTX_F_SAT)
        x = isnan(x) || x <= 0 ? 0 : fmin(x, 1);
    bits = float_bits(&plain, x);
    return ftz && op->type == PTX_F32 && is_subnormal32(bits) ? bits & 0x80000000 : bits;
}

static uint64_t converted(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const struct type *to = type_of(op->type), *from = type_of(op->type2);
    wide value;

    (void)b, (void)c, (void)u;
    if (from->is_float)
        return to->is_float ? float_to_float(op, a)
                            : float_to_integer(op, to,
                                               op->flags & PTX_F_FTZ && is_subnormal32(a)
                                                   ? 0
                                                   : float_value(op->type2, a));
    value = integer_value(from, a);
    if (!to->is_float)
        return in_register(to, op->flags & PTX_F_SAT ? clamped(to, value) : value, to_register);
    if (op->flags & PTX_F_SAT)
        value = value < 0 ? 0 : value > 1 ? 1 : value;
    return float_bits(op, (long double)value);
}

/* Numbers of every size, in any format: integers, halves and floats from near 0 to overflow. */
static uint64_t any_operand(unsigned bytes)
{
    static const double edges[] = {0,      -0.0,    0.5,    1.5,        2.5,          -0.5,
                                   127.5,  128,     255.5,  -128.5,     32767.5,      65535.5,
                                   65504,  65519.9, 65520,  2147483647, 2147483648.0, 4294967295.5,
                                   9.3e18, -9.3e18, 1.9e19, 6e-8,       2.9e-8,       5.96e-8,
                                   1e-40,  -1e-40,  3.4e38, 3.5e38,     1e300};
    const uint64_t random = rig_random();
    const double edge = edges[random / 4 % FAB_ARRAY_LEN(edges)];

    if (random % 4 == 0)
        return rig_operand(bytes);
    if (random % 4 == 1)
        return bytes == 8 ? f64_bits(edge) : bytes == 4 ? f32_bits((float)edge) : random >> 8;
    if (random % 4 == 2) {
        const double some = ldexp((double)(int64_t)rig_random(), (int)(random / 4 % 90) - 90);
        return bytes == 8 ? f64_bits(some) : bytes == 4 ? f32_bits((float)some) : random >> 8;
    }
    return rig_random();
}

static void check_conversion(const struct type *to, const struct type *from, uint8_t round,
                             uint32_t flags, unsigned to_bytes, unsigned from_bytes)
{
    to_register = to_bytes;
    rig_check(&(struct rig_case){
        .op = {.family = PTX_CVT,
               .type = to->type,
               .type2 = from->type,
               .round = round,
               .flags = flags},
        .form = {.dst_bytes = (uint8_t)to_bytes, .src_bytes = (uint8_t)from_bytes},
        .d = to_bytes,
        .a = from_bytes,
        .oracle = converted,
        .operand = any_operand});
}

static unsigned natural(const struct type *t)
{
    return t->bytes < 2 ? 2 : t->bytes;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_integers(void)
{
    for (size_t to = 0; to < INTEGERS; to++)
        for (size_t from = 0; from < INTEGERS; from++)
            for (unsigned to_bytes = natural(&types[to]); to_bytes <= 8; to_bytes *= 2)
                for (unsigned from_bytes = natural(&types[from]); from_bytes <= 8;
                     from_bytes *= 2) {
                    check_conversion(&types[to], &types[from], 0, 0, to_bytes, from_bytes);
                    check_conversion(&types[to], &types[from], 0, PTX_F_SAT, to_bytes, from_bytes);
                }
}

static void test_floats_to_integers(void)
{
    for (size_t to = 0; to < INTEGERS; to++)
        for (size_t from = INTEGERS; from < TYPES; from++)
            for (uint8_t round = PTX_ROUND_RNI; round <= (uint8_t)PTX_ROUND_RPI; round++) {
                const unsigned bytes = natural(&types[to]);
                check_conversion(&types[to], &types[from], round, 0, bytes, types[from].bytes);
                check_conversion(&types[to], &types[from], round, PTX_F_SAT, bytes,
                                 types[from].bytes);
                if (bytes < 8)
                    check_conversion(&types[to], &types[from], round, 0, 8, types[from].bytes);
                if (types[from].type == PTX_F32)
                    check_conversion(&types[to], &types[from], round, PTX_F_FTZ, bytes, 4);
            }
}

static void test_integers_to_floats(void)
{
    for (size_t to = INTEGERS; to < TYPES; to++)
        for (size_t from = 0; from < INTEGERS; from++)
            for (uint8_t round = PTX_ROUND_RN; round <= (uint8_t)PTX_ROUND_RP; round++) {
                const unsigned bytes = natural(&types[from]);
                check_conversion(&types[to], &types[from], round, 0, types[to].bytes, bytes);
                if (bytes < 8)
                    check_conversion(&types[to], &types[from], round, 0, types[to].bytes, 8);
                if (types[to].type == PTX_F32)
                    check_conversion(&types[to], &types[from], round, PTX_F_SAT, 4, bytes);
            }
}

static void test_floats(void)
{
    for (size_t to = INTEGERS; to < TYPES; to++)
        for (size_t from = INTEGERS; from < TYPES; from++)
            for (uint8_t round = PTX_ROUND_NONE; round <= (uint8_t)PTX_ROUND_RPI; round++) {
                if (round == PTX_ROUND_RNA)
                    continue;
                for (uint32_t form = 0; form < 4; form++)
                    check_conversion(&types[to], &types[from], round,
                                     (form & 1 ? PTX_F_FTZ : 0u) | (form & 2 ? PTX_F_SAT : 0u),
                                     types[to].bytes, types[from].bytes);
            }
}

/* ---- narrow formats with .relu and .satfinite, pairs, tf32 ----------------------------------- */

static uint64_t narrowed(const struct ptx_op *op, uint64_t a, uint8_t type)
{
    const uint64_t largest = type == PTX_F16 ? 0x7bff : 0x7f7f;
    double x = float_value(PTX_F32, a);
    uint64_t bits;

    if ((op->flags & PTX_F_RELU) && x <= 0)
        x = signbit(x) ? 0 : x;
    bits = small_bits(x, type, op->round);
    if ((op->flags & PTX_F_SATFINITE) && !isnan(x) && (bits & 0x7fff) > largest)
        bits = (bits & 0x8000) | largest;
    return bits;
}

static uint64_t narrow(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    (void)c, (void)u;
    if (op->type == PTX_F16X2 || op->type == PTX_BF16X2) {
        const uint8_t half = op->type == PTX_F16X2 ? PTX_F16 : PTX_BF16;
        return narrowed(op, a, half) << 16 | narrowed(op, b, half);
    }
    return narrowed(op, a, op->type);
}

static uint64_t tf32(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const uint64_t magnitude = a & 0x7fffffff, rest = magnitude & 0x1fff;
    uint64_t kept = magnitude >> 13;

    (void)b, (void)c, (void)u;
    if (magnitude > 0x7f800000)
        return 0x7fffe000;
    if ((op->flags & PTX_F_RELU) && a >> 31)
        return 0;
    if (magnitude < 0x7f800000)
        kept += op->round == PTX_ROUND_RNA  ? rest >= 0x1000
                : op->round == PTX_ROUND_RN ? rest > 0x1000 || (rest == 0x1000 && kept & 1)
                                            : 0;
    return (a & 0x80000000) | kept << 13;
}

static void test_narrow(void)
{
    static const uint8_t targets[] = {PTX_F16, PTX_BF16, PTX_F16X2, PTX_BF16X2};
    static const uint8_t rounds[] = {PTX_ROUND_RN, PTX_ROUND_RZ, PTX_ROUND_RNA};

    for (size_t r = 0; r < FAB_ARRAY_LEN(rounds); r++)
        for (uint32_t form = 0; form < 4; form++) {
            const uint32_t flags = (form & 1 ? PTX_F_RELU : 0u) | (form & 2 ? PTX_F_SATFINITE : 0u);
            struct rig_case c = {.op = {.family = PTX_CVT,
                                        .type = PTX_TF32,
                                        .type2 = PTX_F32,
                                        .round = rounds[r],
                                        .flags = flags & PTX_F_RELU},
                                 .d = 4,
                                 .a = 4,
                                 .oracle = tf32,
                                 .operand = any_operand};
            rig_check(&c);
            if (rounds[r] == PTX_ROUND_RNA)
                continue;
            c.op.flags = flags;
            c.oracle = narrow;
            for (size_t t = 0; t < FAB_ARRAY_LEN(targets); t++) {
                c.op.type = targets[t];
                c.d = t < 2 ? 2 : 4;
                c.b = t < 2 ? 0 : 4;
                rig_check(&c);
            }
        }
    rig_check_refused(&(struct ptx_op){
        .family = PTX_CVT, .type = PTX_F16X2, .type2 = PTX_F32, .round = PTX_ROUND_RP});
    rig_check_refused(&(struct ptx_op){
        .family = PTX_CVT, .type = PTX_E4M3X2, .type2 = PTX_F32, .round = PTX_ROUND_RN});
}

/* ---- mov with vectors ------------------------------------------------------------------------ */

static void test_packing(void)
{
    static const struct {
        uint8_t type, whole_bytes, part_bytes, count;
    } cases[] = {{PTX_B16, 2, 2, 2},
                 {PTX_B32, 4, 2, 2},
                 {PTX_B32, 4, 2, 4},
                 {PTX_B64, 8, 4, 2},
                 {PTX_B64, 8, 2, 4}};
    static const enum rig_slot sources[] = {SLOT_A, SLOT_B, SLOT_C, SLOT_X0};
    static const enum rig_slot targets[] = {SLOT_D, SLOT_X0, SLOT_X1, SLOT_X2};
    unsigned isa_count;
    const struct warp_isa *const *isas = warp_isa_list(&isa_count);

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases) * isa_count; i++) {
        const struct warp_isa *isa = isas[i % isa_count];
        const unsigned whole = cases[i / isa_count].whole_bytes;
        const unsigned part = cases[i / isa_count].part_bytes, count = cases[i / isa_count].count;
        const unsigned bits = 8 * whole / count;
        const struct ptx_op op = {.family = PTX_MOV, .type = cases[i / isa_count].type};
        const struct warp_form pack = {.src_elems = (uint8_t)count};
        const struct warp_form unpack = {.dst_elems = (uint8_t)count};
        uint64_t wanted[WARP_LANES] = {0};

        check_case("mov.b%u of %u parts in %s", 8 * whole, count, isa->name);
        rig_reset();
        rig_use(SLOT_D);
        for (unsigned n = 0; n < count; n++) {
            rig_use(sources[n]);
            for (unsigned lane = 0; lane < WARP_LANES; lane++) {
                const uint64_t value = rig_random() & ((UINT64_C(1) << (8 * part)) - 1);
                rig_put(sources[n], part, lane, value);
                wanted[lane] |= (value & ((UINT64_C(1) << bits) - 1)) << (n * bits);
            }
        }
        CHECK(rig_went_on(rig_run(isa->find(&op, &pack))));
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            CHECK_EQ(rig_get(SLOT_D, whole, lane), wanted[lane]);

        rig_reset();
        rig_use(SLOT_A);
        for (unsigned n = 1; n < count; n++)
            rig_use(targets[n]); /* the first part goes to '_' */
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            rig_put(SLOT_A, whole, lane, wanted[lane]);
        CHECK(rig_went_on(rig_run(isa->find(&op, &unpack))));
        for (unsigned n = 1; n < count; n++)
            for (unsigned lane = 0; lane < WARP_LANES; lane++)
                CHECK_EQ(rig_get(targets[n], part, lane),
                         wanted[lane] >> (n * bits) & ((UINT64_C(1) << bits) - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_integers),
                                       CHECK_TEST(test_floats_to_integers),
                                       CHECK_TEST(test_integers_to_floats),
                                       CHECK_TEST(test_floats),
                                       CHECK_TEST(test_narrow),
                                       CHECK_TEST(test_packing)};

    return check_run(tests);
}
