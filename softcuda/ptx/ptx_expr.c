/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_expr.c - constants and constant expressions.
 *
 * Integers are 64 bits, signed unless a U suffix, their size or a cast makes them unsigned;
 * floating point is double, except 0f..., which keeps its type so that it can be used bit by bit.
 * Source: PTX ISA 9.0, section 4.5 (Constants).
 */
#include "softcuda/ptx/ptx_int.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES_MAX = 128, WARP_SIZE = 32 };

static struct ptx_value of_int(int64_t value)
{
    return (struct ptx_value){PTX_S64, (uint64_t)value};
}

static struct ptx_value of_double(double value)
{
    struct ptx_value result = {PTX_F64, 0};

    memcpy(&result.bits, &value, sizeof(value));
    return result;
}

static bool is_float(struct ptx_value value)
{
    return value.type == PTX_F32 || value.type == PTX_F64;
}

static double as_double(struct ptx_value value)
{
    double result;
    float single;
    uint32_t low = (uint32_t)value.bits;

    if (value.type == PTX_F64) {
        memcpy(&result, &value.bits, sizeof(result));
    } else if (value.type == PTX_F32) {
        memcpy(&single, &low, sizeof(single));
        result = (double)single;
    } else {
        result = value.type == PTX_U64 ? (double)value.bits : (double)(int64_t)value.bits;
    }
    return result;
}

/* Towards zero, saturating; NaN is 0. A bare cast would be undefined outside the range. */
static uint64_t bits_of_double(double value, bool is_unsigned)
{
    const double two63 = 9223372036854775808.0;

    if (value != value) /* NaN */
        return 0;
    if (is_unsigned && value >= two63)
        return value >= 2 * two63 ? UINT64_MAX : (uint64_t)value;
    if (is_unsigned && value < 0)
        return 0;
    if (value >= two63)
        return INT64_MAX;
    return value < -two63 ? (uint64_t)INT64_MIN : (uint64_t)(int64_t)value;
}

static uint64_t bits_of_single(double value)
{
    float single = (float)value;
    uint32_t bits;

    memcpy(&bits, &single, sizeof(bits));
    return bits;
}

bool ptx_value_fits(struct ptx_value value, enum ptx_type type)
{
    return !is_float(value) || !ptx_type_is_float(type) || type == PTX_F32 || type == PTX_F64;
}

uint64_t ptx_value_as(struct ptx_value value, enum ptx_type type)
{
    uint32_t bytes = ptx_type_bytes(type);
    uint64_t bits = value.bits;

    if (type == PTX_F64 || (type == PTX_B64 && is_float(value)))
        bits = of_double(as_double(value)).bits;
    else if (type == PTX_F32 || (bytes == 4 && value.type == PTX_F64))
        bits = value.type == PTX_F32 ? bits : bits_of_single(as_double(value));
    else if (is_float(value) && bytes != 4)
        bits = bits_of_double(as_double(value), !ptx_type_is_signed(type));
    if (bytes > 0 && bytes < 8)
        bits &= (UINT64_C(1) << bytes * 8) - 1;
    return bits;
}

/* ---- literals ----------------------------------------------------------------------------- */

/* Digits of `base` (at least one) that end at `end`; an overflow is an error. */
static struct ptx_value integer_of(struct ptx_parser *p, const char *digits, const char *end,
                                   unsigned base)
{
    struct ptx_value result = {PTX_S64, 0};
    bool is_unsigned = end > digits && end[-1] == 'U';

    if (is_unsigned)
        end--;
    if (digits == end)
        ptx_fail(p, FAB_ERR_FORMAT, "number without digits");
    for (; digits < end; digits++) {
        unsigned c = (unsigned char)*digits, digit = 99;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        if (digit >= base) {
            ptx_fail(p, FAB_ERR_FORMAT, "'%c' in a number of base %u", *digits, base);
            break;
        }
        if (__builtin_mul_overflow(result.bits, base, &result.bits) ||
            __builtin_add_overflow(result.bits, digit, &result.bits)) {
            ptx_fail(p, FAB_ERR_FORMAT, "number above 64 bits");
            break;
        }
    }
    if (is_unsigned || result.bits > INT64_MAX)
        result.type = PTX_U64;
    return result;
}

static struct ptx_value float_bits_of(struct ptx_parser *p, struct ptx_span span, size_t digits,
                                      enum ptx_type type)
{
    struct ptx_value result = integer_of(p, span.text + 2, span.text + span.bytes, /* base */ 16);

    if (span.bytes != digits + 2)
        ptx_fail(p, FAB_ERR_FORMAT, "0%c wants exactly %zu hexadecimal digits", span.text[1],
                 digits);
    result.type = type;
    return result;
}

static struct ptx_value decimal_float_of(struct ptx_parser *p, struct ptx_span span)
{
    char text[NUMBER_BYTES_MAX];
    locale_t plain;
    char *end;
    double value;

    if (span.bytes >= sizeof(text)) {
        ptx_fail(p, FAB_ERR_LIMIT, "number longer than %d characters", NUMBER_BYTES_MAX - 1);
        return of_int(0);
    }
    memcpy(text, span.text, span.bytes);
    text[span.bytes] = '\0';
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) {
        ptx_fail(p, FAB_ERR_NOMEM, "out of memory");
        return of_int(0);
    }
    value = strtod_l(text, &end, plain); /* the program's own locale may have a decimal comma */
    freelocale(plain);
    if (*end != '\0')
        ptx_fail(p, FAB_ERR_FORMAT, "'%s' is not a number", text);
    return of_double(value);
}

static struct ptx_value number_of(struct ptx_parser *p, struct ptx_span span)
{
    const char *text = span.text, *end = text + span.bytes;
    char second = '\0';

    if (span.bytes > 1)
        second = text[1];
    if (text[0] == '0') {
        switch (second) {
        case 'x':
        case 'X':
            return integer_of(p, text + 2, end, 16);
        case 'b':
        case 'B':
            return integer_of(p, text + 2, end, 2);
        case 'f':
        case 'F':
            return float_bits_of(p, span, 8, PTX_F32);
        case 'd':
        case 'D':
            return float_bits_of(p, span, 16, PTX_F64);
        default:
            break;
        }
    }
    for (const char *c = text; c < end; c++) {
        if (*c == '.' || *c == 'e' || *c == 'E')
            return decimal_float_of(p, span);
    }
    if (text[0] == '0' && second >= '0' && second <= '9')
        return integer_of(p, text + 1, end, 8);
    return integer_of(p, text, end, 10);
}

/* ---- operators ---------------------------------------------------------------------------- */

static const struct binary_operator {
    unsigned punct;
    int precedence; /* as in C, higher binds closer */
} operators[] = {
    {PTX_PUNCT('|', '|'), 1},
    {PTX_PUNCT('&', '&'), 2},
    {'|', 3},
    {'^', 4},
    {'&', 5},
    {PTX_PUNCT('=', '='), 6},
    {PTX_PUNCT('!', '='), 6},
    {'<', 7},
    {'>', 7},
    {PTX_PUNCT('<', '='), 7},
    {PTX_PUNCT('>', '='), 7},
    {PTX_PUNCT('<', '<'), 8},
    {PTX_PUNCT('>', '>'), 8},
    {'+', 9},
    {'-', 9},
    {'*', 10},
    {'/', 10},
    {'%', 10},
};

static const struct binary_operator *find_operator(const struct ptx_parser *p)
{
    /* Nearly always the expression ends here: tables are long lists of numbers. */
    if (p->token.kind != PTX_TOKEN_PUNCT || p->token.punct == ',' || p->token.punct == '}')
        return NULL;
    for (size_t i = 0; i < FAB_ARRAY_LEN(operators); i++) {
        if (operators[i].punct == p->token.punct)
            return &operators[i];
    }
    return NULL;
}

static struct ptx_value apply_double(struct ptx_parser *p, unsigned punct, double a, double b)
{
    switch (punct) {
    case '+':
        return of_double(a + b);
    case '-':
        return of_double(a - b);
    case '*':
        return of_double(a * b);
    case '/':
        return of_double(a / b);
    case '<':
        return of_int(a < b);
    case '>':
        return of_int(a > b);
    case PTX_PUNCT('<', '='):
        return of_int(a <= b);
    case PTX_PUNCT('>', '='):
        return of_int(a >= b);
    case PTX_PUNCT('=', '='):
        return of_int(a == b);
    case PTX_PUNCT('!', '='):
        return of_int(a != b);
    default:
        ptx_fail(p, FAB_ERR_FORMAT, "an operator for integers between floating-point constants");
        return of_int(0);
    }
}

static uint64_t divide(struct ptx_parser *p, unsigned punct, uint64_t a, uint64_t b,
                       bool is_unsigned)
{
    if (b == 0) {
        ptx_fail(p, FAB_ERR_FORMAT, "division by zero in a constant expression");
        return 0;
    }
    if (is_unsigned)
        return punct == '/' ? a / b : a % b;
    if (b == UINT64_MAX) /* -1: the one quotient that can overflow */
        return punct == '/' ? 0 - a : 0;
    return (uint64_t)(punct == '/' ? (int64_t)a / (int64_t)b : (int64_t)a % (int64_t)b);
}

static uint64_t shift(unsigned punct, uint64_t a, uint64_t b, bool is_unsigned)
{
    if (b > 63)
        return punct != PTX_PUNCT('<', '<') && !is_unsigned && (int64_t)a < 0 ? UINT64_MAX : 0;
    if (punct == PTX_PUNCT('<', '<'))
        return a << b;
    return is_unsigned ? a >> b : (uint64_t)((int64_t)a >> b);
}

static bool is_less(uint64_t a, uint64_t b, bool is_unsigned)
{
    return is_unsigned ? a < b : (int64_t)a < (int64_t)b;
}

static struct ptx_value apply(struct ptx_parser *p, unsigned punct, struct ptx_value left,
                              struct ptx_value right)
{
    uint64_t a = left.bits, b = right.bits;
    bool u = left.type == PTX_U64 || right.type == PTX_U64;
    struct ptx_value result = {u ? PTX_U64 : PTX_S64, 0};

    if (is_float(left) || is_float(right))
        return apply_double(p, punct, as_double(left), as_double(right));
    switch (punct) {
    case '+':
        result.bits = a + b;
        return result;
    case '-':
        result.bits = a - b;
        return result;
    case '*':
        result.bits = a * b;
        return result;
    case '/':
    case '%':
        result.bits = divide(p, punct, a, b, u);
        return result;
    case '&':
        result.bits = a & b;
        return result;
    case '|':
        result.bits = a | b;
        return result;
    case '^':
        result.bits = a ^ b;
        return result;
    case PTX_PUNCT('<', '<'):
    case PTX_PUNCT('>', '>'):
        result.type = left.type;
        result.bits = shift(punct, a, b, left.type == PTX_U64);
        return result;
    case '<':
        return of_int(is_less(a, b, u));
    case '>':
        return of_int(is_less(b, a, u));
    case PTX_PUNCT('<', '='):
        return of_int(!is_less(b, a, u));
    case PTX_PUNCT('>', '='):
        return of_int(!is_less(a, b, u));
    case PTX_PUNCT('=', '='):
        return of_int(a == b);
    case PTX_PUNCT('!', '='):
        return of_int(a != b);
    case PTX_PUNCT('&', '&'):
        return of_int(a && b);
    default: /* || */
        return of_int(a || b);
    }
}

/* ---- grammar ------------------------------------------------------------------------------ */

static struct ptx_value unary(struct ptx_parser *p);
static struct ptx_value binary(struct ptx_parser *p, int precedence);

bool ptx_at_expr(const struct ptx_parser *p)
{
    if (p->token.kind == PTX_TOKEN_NUMBER)
        return true;
    if (p->token.kind == PTX_TOKEN_NAME)
        return ptx_span_is(p->token.span, "WARP_SZ");
    return ptx_is(p, '-') || ptx_is(p, '+') || ptx_is(p, '~') || ptx_is(p, '!') || ptx_is(p, '(');
}

/* "(.s64) x", "(.u64) x" or "(x)"; behind the '('. */
static struct ptx_value parenthesised(struct ptx_parser *p)
{
    struct ptx_value value;
    enum ptx_type type;

    if (p->token.kind != PTX_TOKEN_DOT) {
        value = ptx_expr(p);
        ptx_expect(p, ')');
        return value;
    }
    if (!ptx_type_from(p->token.span, &type) || (type != PTX_S64 && type != PTX_U64))
        ptx_fail_expected(p, "a cast to .s64 or .u64");
    ptx_next(p);
    ptx_expect(p, ')');
    value = unary(p);
    if (is_float(value))
        value.bits = bits_of_double(as_double(value), type == PTX_U64);
    value.type = type;
    return value;
}

static struct ptx_value negated(struct ptx_value value)
{
    if (value.type == PTX_F32) /* the sign bit: keeps a NaN's payload */
        return (struct ptx_value){PTX_F32, value.bits ^ UINT64_C(0x80000000)};
    if (value.type == PTX_F64)
        return (struct ptx_value){PTX_F64, value.bits ^ (UINT64_C(1) << 63)};
    value.bits = 0 - value.bits;
    return value;
}

static struct ptx_value unary_of(struct ptx_parser *p)
{
    struct ptx_token token = p->token;
    struct ptx_value value;

    ptx_next(p);
    if (token.kind == PTX_TOKEN_NUMBER)
        return number_of(p, token.span);
    if (token.kind == PTX_TOKEN_NAME)
        return of_int(WARP_SIZE); /* ptx_at_expr() lets no other name through */
    switch (token.punct) {
    case '(':
        return parenthesised(p);
    case '-':
        return negated(unary(p));
    case '+':
        return unary(p);
    case '~':
        value = unary(p);
        if (is_float(value))
            ptx_fail(p, FAB_ERR_FORMAT, "'~' of a floating-point constant");
        value.bits = ~value.bits;
        return value;
    default: /* ! */
        return of_int(as_double(unary(p)) == 0);
    }
}

static struct ptx_value unary(struct ptx_parser *p)
{
    struct ptx_value value = of_int(0);

    if (!ptx_at_expr(p)) {
        ptx_fail_expected(p, "a constant");
        return value;
    }
    if (!ptx_enter(p))
        return value;
    value = unary_of(p);
    ptx_leave(p);
    return value;
}

static struct ptx_value binary(struct ptx_parser *p, int precedence)
{
    struct ptx_value left = unary(p);
    const struct binary_operator *found;

    while ((found = find_operator(p)) != NULL && found->precedence >= precedence) {
        struct ptx_value right;

        if (!ptx_enter(p))
            break;
        ptx_next(p);
        right = binary(p, found->precedence + 1);
        left = apply(p, found->punct, left, right);
        ptx_leave(p);
    }
    return left;
}

struct ptx_value ptx_expr(struct ptx_parser *p)
{
    struct ptx_value condition = binary(p, 1), yes, no;

    if (!ptx_is(p, '?') || !ptx_enter(p))
        return condition;
    ptx_next(p);
    yes = ptx_expr(p);
    ptx_expect(p, ':');
    no = ptx_expr(p);
    ptx_leave(p);
    return as_double(condition) != 0 ? yes : no;
}

uint64_t ptx_expr_uint(struct ptx_parser *p, uint64_t max, const char *what)
{
    uint32_t line = p->token.line;
    struct ptx_value value = ptx_expr(p);

    if (is_float(value) || (value.type == PTX_S64 && (int64_t)value.bits < 0) || value.bits > max) {
        ptx_fail_at(p, line, FAB_ERR_FORMAT, "%s is not in 0..%llu", what, (unsigned long long)max);
        return 0;
    }
    return value.bits;
}
