/* SPDX-License-Identifier: Apache-2.0
 * Integer, bit and logic instructions of every type against an oracle in 128-bit arithmetic.
 */
#include "tests/unit/ops/ops_rig.h"

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

/* ---- types ----------------------------------------------------------------------------------- */

static unsigned bytes_of(uint8_t type)
{
    static const uint8_t bytes[] = {
#define BYTES(name, text, size) size,
        PTX_TYPE_LIST(BYTES)
#undef BYTES
    };
    return bytes[type];
}

static bool is_signed(uint8_t type)
{
    return type == PTX_S16 || type == PTX_S32 || type == PTX_S64;
}

/* The number that the low `bits` of x stand for. */
static wide number(uint64_t x, unsigned bits, bool has_sign)
{
    const uint64_t low = bits < 64 ? x & ((UINT64_C(1) << bits) - 1) : x;

    if (has_sign && low >> (bits - 1) & 1)
        return (wide)low - ((wide)1 << bits);
    return low;
}

static uint64_t low_bits(wide value, unsigned bits)
{
    return bits < 64 ? (uint64_t)value & ((UINT64_C(1) << bits) - 1) : (uint64_t)value;
}

static wide clamp(wide value, wide low, wide high)
{
    return value < low ? low : value > high ? high : value;
}

static wide clamp_signed(wide value, unsigned bits)
{
    return clamp(value, -((wide)1 << (bits - 1)), ((wide)1 << (bits - 1)) - 1);
}

/* Towards minus infinity: what an arithmetic shift does. */
static wide shift_down(wide value, unsigned bits)
{
    const wide unit = (wide)1 << bits;
    return value >= 0 ? value / unit : -((-value + unit - 1) / unit);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static uint64_t divide(wide x, wide y, unsigned bits)
{
    return y == 0 ? low_bits(-1, bits) : low_bits(x / y, bits);
}

static uint64_t arithmetic(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const unsigned bits = 8 * bytes_of(op->type);
    const bool s = is_signed(op->type), sat = op->flags & PTX_F_SAT;
    const bool is_wide = op->sub == PTX_SUB_WIDE;
    const wide x = number(a, bits, s), y = number(b, bits, s);
    const wide z = number(c, is_wide ? 2 * bits : bits, s);
    wide value = 0;

    (void)u;
    switch (op->family) {
    case PTX_ADD:
        value = x + y;
        break;
    case PTX_SUB:
        value = x - y;
        break;
    case PTX_MIN:
        value = x < y ? x : y;
        break;
    case PTX_MAX:
        value = x > y ? x : y;
        break;
    case PTX_ABS:
        value = x < 0 ? -x : x;
        break;
    case PTX_NEG:
        value = -x;
        break;
    case PTX_SAD:
        value = z + (x > y ? x - y : y - x);
        break;
    case PTX_DIV:
        return divide(x, y, bits);
    case PTX_REM:
        return y == 0 ? low_bits(x, bits) : low_bits(x % y, bits);
    case PTX_MUL:
    case PTX_MAD:
        /* The full product needs all 128 bits, which wrap like the two's complement they are. */
        value = (wide)((uwide)x * (uwide)y);
        if (op->sub == PTX_SUB_HI)
            value = s ? value >> bits : (wide)((uwide)value >> bits);
        if (op->family == PTX_MAD)
            value = (wide)((uwide)value + (uwide)z);
        break;
    default:
        break;
    }
    if (op->flags & PTX_F_RELU)
        value = value < 0 ? 0 : value;
    if (sat)
        value = clamp_signed(value, bits);
    return low_bits(value, is_wide ? 2 * bits : bits);
}

static void test_arithmetic(void)
{
    static const uint8_t types[] = {PTX_U16, PTX_S16, PTX_U32, PTX_S32, PTX_U64, PTX_S64};
    static const struct {
        uint8_t family, sub, sources;
        bool only_signed;
    } rows[] = {
        {PTX_ADD, 0, 2, false},
        {PTX_SUB, 0, 2, false},
        {PTX_MIN, 0, 2, false},
        {PTX_MAX, 0, 2, false},
        {PTX_ABS, 0, 1, true},
        {PTX_NEG, 0, 1, true},
        {PTX_SAD, 0, 3, false},
        {PTX_DIV, 0, 2, false},
        {PTX_REM, 0, 2, false},
        {PTX_MUL, PTX_SUB_LO, 2, false},
        {PTX_MUL, PTX_SUB_HI, 2, false},
        {PTX_MUL, PTX_SUB_WIDE, 2, false},
        {PTX_MAD, PTX_SUB_LO, 3, false},
        {PTX_MAD, PTX_SUB_HI, 3, false},
        {PTX_MAD, PTX_SUB_WIDE, 3, false},
    };

    for (size_t r = 0; r < FAB_ARRAY_LEN(rows); r++)
        for (size_t t = 0; t < FAB_ARRAY_LEN(types); t++) {
            const unsigned bytes = bytes_of(types[t]);
            const bool is_wide = rows[r].sub == PTX_SUB_WIDE;
            struct rig_case c = {
                .op = {.family = rows[r].family, .type = types[t], .sub = rows[r].sub},
                .d = is_wide ? 2 * bytes : bytes,
                .a = bytes,
                .oracle = arithmetic};

            if ((rows[r].only_signed && !is_signed(types[t])) || (is_wide && bytes == 8)) {
                rig_check_refused(&c.op);
                continue;
            }
            c.b = rows[r].sources > 1 ? bytes : 0;
            c.c = rows[r].sources > 2 ? (is_wide ? 2 * bytes : bytes) : 0;
            rig_check(&c);
        }
}

static void test_saturation(void)
{
    static const struct rig_case cases[] = {
        {.op = {.family = PTX_ADD, .type = PTX_S32, .flags = PTX_F_SAT},
         .d = 4,
         .a = 4,
         .b = 4,
         .oracle = arithmetic},
        {.op = {.family = PTX_SUB, .type = PTX_S32, .flags = PTX_F_SAT},
         .d = 4,
         .a = 4,
         .b = 4,
         .oracle = arithmetic},
        {.op = {.family = PTX_MAD, .type = PTX_S32, .sub = PTX_SUB_HI, .flags = PTX_F_SAT},
         .d = 4,
         .a = 4,
         .b = 4,
         .c = 4,
         .oracle = arithmetic},
        {.op = {.family = PTX_MIN, .type = PTX_S32, .flags = PTX_F_RELU},
         .d = 4,
         .a = 4,
         .b = 4,
         .oracle = arithmetic},
        {.op = {.family = PTX_MAX, .type = PTX_S32, .flags = PTX_F_RELU},
         .d = 4,
         .a = 4,
         .b = 4,
         .oracle = arithmetic},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++)
        rig_check(&cases[i]);
    rig_check_refused(&(struct ptx_op){.family = PTX_ADD, .type = PTX_U32, .flags = PTX_F_SAT});
}

static uint64_t pairs(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    struct ptx_op half = *op;

    half.type = op->type == PTX_U16X2 ? PTX_U16 : PTX_S16;
    return arithmetic(&half, a & 0xffff, b & 0xffff, c, x) |
           arithmetic(&half, a >> 16, b >> 16, c, x) << 16;
}

static void test_pairs(void)
{
    static const uint8_t families[] = {PTX_ADD, PTX_MIN, PTX_MAX};

    for (size_t f = 0; f < FAB_ARRAY_LEN(families); f++)
        for (int s = 0; s < 2; s++)
            rig_check(
                &(struct rig_case){.op = {.family = families[f], .type = s ? PTX_S16X2 : PTX_U16X2},
                                   .d = 4,
                                   .a = 4,
                                   .b = 4,
                                   .oracle = pairs});
    rig_check(&(struct rig_case){.op = {.family = PTX_MAX, .type = PTX_S16X2, .flags = PTX_F_RELU},
                                 .d = 4,
                                 .a = 4,
                                 .b = 4,
                                 .oracle = pairs});
}

/* ---- mul24, dot products --------------------------------------------------------------------- */

static uint64_t products24(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const bool s = is_signed(op->type);
    wide value = number(a, 24, s) * number(b, 24, s);

    (void)u;
    if (op->sub == PTX_SUB_HI)
        value = number((uint64_t)shift_down(value, 16), 32, s);
    if (op->family == PTX_MAD24)
        value += number(c, 32, s);
    return low_bits(op->flags & PTX_F_SAT ? clamp_signed(value, 32) : value, 32);
}

static uint64_t dots(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t u)
{
    const bool is_dp4a = op->family == PTX_DP4A;
    const unsigned bits = is_dp4a ? 8 : 16, first = op->sub == PTX_SUB_HI ? 2 : 0;
    wide value = number(c, 32, false);

    (void)u;
    for (unsigned n = 0; n < (is_dp4a ? 4u : 2u); n++)
        value += number(a >> (n * bits), bits, op->type == PTX_S32) *
                 number(b >> (8 * (n + first)), 8, op->type2 == PTX_S32);
    return low_bits(value, 32);
}

static void test_products(void)
{
    static const uint8_t types[] = {PTX_U32, PTX_S32};

    for (int t = 0; t < 2; t++)
        for (int hi = 0; hi < 2; hi++) {
            const uint8_t sub = hi ? PTX_SUB_HI : PTX_SUB_LO;
            rig_check(&(struct rig_case){.op = {.family = PTX_MUL24, .type = types[t], .sub = sub},
                                         .d = 4,
                                         .a = 4,
                                         .b = 4,
                                         .oracle = products24});
            rig_check(&(struct rig_case){.op = {.family = PTX_MAD24, .type = types[t], .sub = sub},
                                         .d = 4,
                                         .a = 4,
                                         .b = 4,
                                         .c = 4,
                                         .oracle = products24});
            for (int t2 = 0; t2 < 2; t2++) {
                rig_check(&(struct rig_case){
                    .op = {.family = PTX_DP2A, .type = types[t], .type2 = types[t2], .sub = sub},
                    .d = 4,
                    .a = 4,
                    .b = 4,
                    .c = 4,
                    .oracle = dots});
                rig_check(&(struct rig_case){
                    .op = {.family = PTX_DP4A, .type = types[t], .type2 = types[t2]},
                    .d = 4,
                    .a = 4,
                    .b = 4,
                    .c = 4,
                    .oracle = dots});
            }
        }
    rig_check(&(struct rig_case){
        .op = {.family = PTX_MAD24, .type = PTX_S32, .sub = PTX_SUB_HI, .flags = PTX_F_SAT},
        .d = 4,
        .a = 4,
        .b = 4,
        .c = 4,
        .oracle = products24});
}

/* ---- bits, one at a time --------------------------------------------------------------------- */

static unsigned bit(uint64_t x, unsigned n)
{
    return n < 64 ? x >> n & 1 : 0;
}

static uint64_t find_bit(const struct ptx_op *op, uint64_t x, unsigned bits)
{
    const unsigned sign = is_signed(op->type) ? bit(x, bits - 1) : 0;

    for (unsigned n = bits; n-- > 0;)
        if (bit(x, n) != sign)
            return op->flags & PTX_F_SHIFTAMT ? bits - 1 - n : n;
    return UINT32_MAX;
}

static uint64_t one_source_bits(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c,
                                uint64_t x)
{
    const unsigned bits = 8 * bytes_of(op->type);
    uint64_t value = 0;

    (void)b, (void)c, (void)x;
    switch (op->family) {
    case PTX_POPC:
        for (unsigned n = 0; n < bits; n++)
            value += bit(a, n);
        return value;
    case PTX_CLZ:
        while (value < bits && !bit(a, bits - 1 - (unsigned)value))
            value++;
        return value;
    case PTX_BREV:
        for (unsigned n = 0; n < bits; n++)
            value |= (uint64_t)bit(a, n) << (bits - 1 - n);
        return value;
    case PTX_BFIND:
        return find_bit(op, a, bits);
    case PTX_NOT:
        return low_bits(~(wide)a, bits);
    case PTX_CNOT:
        return a == 0;
    default:
        return a; /* mov */
    }
}

static uint64_t fields(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    const unsigned bits = 8 * bytes_of(op->type);
    const bool insert = op->family == PTX_BFI;
    const unsigned pos = (unsigned)(insert ? c : b) & 255, len = (unsigned)(insert ? x : c) & 255;
    const unsigned top = pos + len - 1 < bits ? pos + len - 1 : bits - 1;
    uint64_t value = insert ? b : 0;

    for (unsigned n = 0; n < bits; n++) {
        if (insert) {
            if (n < len && pos + n < bits)
                value = (value & ~(UINT64_C(1) << (pos + n))) | (uint64_t)bit(a, n) << (pos + n);
        } else {
            const unsigned filler = is_signed(op->type) && len ? bit(a, top) : 0;
            value |= (uint64_t)(n < len && pos + n < bits ? bit(a, pos + n) : filler) << n;
        }
    }
    return value;
}

static uint64_t shifts(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    const unsigned bits = 8 * bytes_of(op->type);

    (void)c, (void)x;
    if (op->family == PTX_SHL)
        return b >= bits ? 0 : low_bits((wide)a << b, bits);
    return low_bits(shift_down(number(a, bits, is_signed(op->type)), b > bits ? bits : (unsigned)b),
                    bits);
}

static uint64_t logic(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    (void)c, (void)x;
    return op->family == PTX_AND ? a & b : op->family == PTX_OR ? a | b : a ^ b;
}

static void test_bits(void)
{
    static const uint8_t all[] = {PTX_B16, PTX_B32, PTX_B64};
    static const uint8_t found[] = {PTX_U32, PTX_S32, PTX_U64, PTX_S64};
    static const uint8_t shifted[] = {PTX_B16, PTX_B32, PTX_B64, PTX_U16, PTX_U32,
                                      PTX_U64, PTX_S16, PTX_S32, PTX_S64};
    static const uint8_t counting[] = {PTX_POPC, PTX_CLZ, PTX_BREV};
    static const uint8_t of_one[] = {PTX_NOT, PTX_CNOT, PTX_MOV};
    static const uint8_t of_two[] = {PTX_AND, PTX_OR, PTX_XOR};

    for (size_t t = 1; t < FAB_ARRAY_LEN(all); t++) {
        const unsigned bytes = bytes_of(all[t]);
        for (size_t f = 0; f < FAB_ARRAY_LEN(counting); f++)
            rig_check(&(struct rig_case){.op = {.family = counting[f], .type = all[t]},
                                         .d = counting[f] == PTX_BREV ? bytes : 4,
                                         .a = bytes,
                                         .oracle = one_source_bits});
        rig_check(&(struct rig_case){.op = {.family = PTX_BFI, .type = all[t]},
                                     .d = bytes,
                                     .a = bytes,
                                     .b = bytes,
                                     .c = 4,
                                     .x = 4,
                                     .oracle = fields});
    }
    for (size_t t = 0; t < FAB_ARRAY_LEN(all); t++) {
        const unsigned bytes = bytes_of(all[t]);
        for (size_t f = 0; f < FAB_ARRAY_LEN(of_one); f++)
            rig_check(&(struct rig_case){.op = {.family = of_one[f], .type = all[t]},
                                         .d = bytes,
                                         .a = bytes,
                                         .oracle = one_source_bits});
        for (size_t f = 0; f < FAB_ARRAY_LEN(of_two); f++)
            rig_check(&(struct rig_case){.op = {.family = of_two[f], .type = all[t]},
                                         .d = bytes,
                                         .a = bytes,
                                         .b = bytes,
                                         .oracle = logic});
    }
    for (size_t t = 0; t < FAB_ARRAY_LEN(found); t++) {
        const unsigned bytes = bytes_of(found[t]);
        for (int amount = 0; amount < 2; amount++)
            rig_check(&(struct rig_case){
                .op = {.family = PTX_BFIND, .type = found[t], .flags = amount ? PTX_F_SHIFTAMT : 0},
                .d = 4,
                .a = bytes,
                .oracle = one_source_bits});
        rig_check(&(struct rig_case){.op = {.family = PTX_BFE, .type = found[t]},
                                     .d = bytes,
                                     .a = bytes,
                                     .b = 4,
                                     .c = 4,
                                     .oracle = fields});
    }
    for (size_t t = 0; t < FAB_ARRAY_LEN(shifted); t++) {
        const unsigned bytes = bytes_of(shifted[t]);
        for (int left = 0; left < 2; left++)
            if (!left || t < FAB_ARRAY_LEN(all))
                rig_check(&(struct rig_case){
                    .op = {.family = left ? PTX_SHL : PTX_SHR, .type = shifted[t]},
                    .d = bytes,
                    .a = bytes,
                    .b = 4,
                    .oracle = shifts});
    }
}

/* ---- masks, funnels, permutations ------------------------------------------------------------ */

static uint64_t three_words(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    const bool wrap = op->flags & PTX_F_WRAP;
    const uint64_t joined = b << 32 | a;
    unsigned n;

    (void)x;
    switch (op->family) {
    case PTX_SHF:
        n = wrap ? (unsigned)c & 31 : c > 32 ? 32 : (unsigned)c;
        if (op->sub == PTX_SUB_R)
            return low_bits((wide)(joined >> n), 32);
        return low_bits((wide)((uwide)joined << n >> 32), 32);
    case PTX_SZEXT:
        n = wrap ? (unsigned)b & 31 : b > 32 ? 32 : (unsigned)b;
        return n ? low_bits(number(a, n, is_signed(op->type)), 32) : 0;
    default: { /* bmsk */
        uint64_t mask = 0;
        const uint64_t from = wrap ? a & 31 : a, count = wrap ? b & 31 : b;
        for (uint64_t i = 0; i < 32; i++)
            mask |= i >= from && i - from < count ? UINT64_C(1) << i : 0;
        return mask;
    }
    }
}

static uint64_t nth(const struct ptx_op *op, uint64_t mask, uint64_t base, uint64_t offset,
                    uint64_t x)
{
    const int step = (int32_t)offset < 0 ? -1 : 1;
    int64_t left = (int32_t)offset < 0 ? -(int64_t)(int32_t)offset : (int32_t)offset;

    (void)op, (void)x;
    if (base > 31)
        return UINT32_MAX;
    if (left == 0)
        return bit(mask, (unsigned)base) ? base : UINT32_MAX;
    for (int n = (int)base; n >= 0 && n < 32; n += step)
        if (bit(mask, (unsigned)n) && --left == 0)
            return (uint64_t)n;
    return UINT32_MAX;
}

static uint64_t permuted(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x)
{
    /* PTX ISA, prmt: source byte numbers of the special modes for c = 0..3, byte 3 first. */
    static const unsigned modes[][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
        {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
        {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    const uint64_t bytes = b << 32 | a;
    const uint64_t selectors = op->sub ? modes[op->sub - PTX_SUB_F4E][c & 3] : c;
    uint64_t value = 0;

    (void)x;
    for (unsigned n = 0; n < 4; n++) {
        const unsigned selector = (unsigned)(selectors >> (4 * n)) & 15;
        uint64_t byte = bytes >> (8 * (selector & 7)) & 255;
        if (selector & 8)
            byte = byte & 128 ? 255 : 0;
        value |= byte << (8 * n);
    }
    return value;
}

static void test_words(void)
{
    for (int wrap = 0; wrap < 2; wrap++) {
        const uint32_t flags = wrap ? PTX_F_WRAP : 0;
        for (int right = 0; right < 2; right++)
            rig_check(&(struct rig_case){.op = {.family = PTX_SHF,
                                                .type = PTX_B32,
                                                .sub = right ? PTX_SUB_R : PTX_SUB_L,
                                                .flags = flags},
                                         .d = 4,
                                         .a = 4,
                                         .b = 4,
                                         .c = 4,
                                         .oracle = three_words});
        rig_check(&(struct rig_case){.op = {.family = PTX_BMSK, .type = PTX_B32, .flags = flags},
                                     .d = 4,
                                     .a = 4,
                                     .b = 4,
                                     .oracle = three_words});
        for (int s = 0; s < 2; s++)
            rig_check(&(struct rig_case){
                .op = {.family = PTX_SZEXT, .type = s ? PTX_S32 : PTX_U32, .flags = flags},
                .d = 4,
                .a = 4,
                .b = 4,
                .oracle = three_words});
    }
    rig_check(&(struct rig_case){
        .op = {.family = PTX_FNS, .type = PTX_B32}, .d = 4, .a = 4, .b = 4, .c = 4, .oracle = nth});
    for (uint8_t mode = PTX_SUB_F4E - 1; mode <= (uint8_t)PTX_SUB_RC16; mode++)
        rig_check(&(struct rig_case){.op = {.family = PTX_PRMT,
                                            .type = PTX_B32,
                                            .sub = mode < PTX_SUB_F4E ? PTX_SUB_NONE : mode},
                                     .d = 4,
                                     .a = 4,
                                     .b = 4,
                                     .c = 4,
                                     .oracle = permuted});
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_arithmetic), CHECK_TEST(test_saturation),
                                       CHECK_TEST(test_pairs),      CHECK_TEST(test_products),
                                       CHECK_TEST(test_bits),       CHECK_TEST(test_words)};

    return check_run(tests);
}
