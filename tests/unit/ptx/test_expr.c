/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_expr.c - literals and constant expressions, as a variable's value.
 */
#include "softcuda/ptx/ptx_int.h"
#include "tests/support/check.h"

#include <locale.h>
#include <string.h>

/* The bits of a double. */
static uint64_t f64(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static struct ptx_value value_of(const char *text, enum fab_status *status_out)
{
    struct ptx_module_rec module = {.init_bytes = 0};
    struct fab_err err;
    struct ptx_parser p;
    struct ptx_value value;

    ptx_parser_init(&p, &module, (struct ptx_span){text, strlen(text)}, 1, &err);
    value = ptx_expr(&p);
    if (p.status == FAB_OK && p.token.kind != PTX_TOKEN_END)
        ptx_fail_expected(&p, "the end");
    *status_out = p.status;
    ptx_parser_fini(&p);
    fab_arena_fini(&module.arena);
    return value;
}

static void test_good(void)
{
    const struct {
        const char *text;
        enum ptx_type type;
        uint64_t bits;
    } cases[] = {
        {"0", PTX_S64, 0},
        {"42", PTX_S64, 42},
        {"42U", PTX_U64, 42},
        {"0x1F", PTX_S64, 31},
        {"0XfFU", PTX_U64, 255},
        {"017", PTX_S64, 15},
        {"017U", PTX_U64, 15},
        {"0b1011", PTX_S64, 11},
        {"9223372036854775807", PTX_S64, INT64_MAX},
        {"9223372036854775808", PTX_U64, UINT64_C(1) << 63},
        {"18446744073709551615", PTX_U64, UINT64_MAX},
        {"-9223372036854775808", PTX_U64, UINT64_C(1) << 63},
        {"-1", PTX_S64, UINT64_MAX},
        {"- -3", PTX_S64, 3},
        {"~0", PTX_S64, UINT64_MAX},
        {"!5", PTX_S64, 0},
        {"!0", PTX_S64, 1},
        {"WARP_SZ", PTX_S64, 32},
        {"WARP_SZ * 4 + 1", PTX_S64, 129},
        {"0f3F800000", PTX_F32, 0x3f800000},
        {"0F3f800000", PTX_F32, 0x3f800000},
        {"-0f3F800000", PTX_F32, 0xbf800000},
        {"-0f7FC00001", PTX_F32, 0xffc00001},
        {"0d3FF0000000000000", PTX_F64, UINT64_C(0x3ff0000000000000)},
        {"-0d0000000000000000", PTX_F64, UINT64_C(1) << 63},
        {"1.5", PTX_F64, f64(1.5)},
        {"1.", PTX_F64, f64(1.0)},
        {"1e3", PTX_F64, f64(1e3)},
        {"2.5E-3", PTX_F64, f64(2.5e-3)},
        {"1.0 / 4", PTX_F64, f64(0.25)},
        {"1.5 < 2", PTX_S64, 1},
        {"2 + 3 * 4", PTX_S64, 14},
        {"(2 + 3) * 4", PTX_S64, 20},
        {"20 - 5 - 4", PTX_S64, 11},
        {"1 << 4 + 1", PTX_S64, 32},
        {"1 | 2 ^ 3 & 6", PTX_S64, 1},
        {"7 % 4", PTX_S64, 3},
        {"-7 / 2", PTX_S64, (uint64_t)-3},
        {"-7 % 4", PTX_S64, (uint64_t)-3},
        {"-7 / 2U", PTX_U64, (UINT64_MAX - 6) / 2},
        {"-8 >> 1", PTX_S64, (uint64_t)-4},
        {"-8 >> 100", PTX_S64, UINT64_MAX},
        {"1 << 64", PTX_S64, 0},
        {"(.u64) -8 >> 60", PTX_U64, 15},
        {"(.s64) 2.9", PTX_S64, 2},
        {"(.u64) -1.0", PTX_U64, 0},
        {"(.s64) 1e300", PTX_S64, INT64_MAX},
        {"-1 < 1", PTX_S64, 1},
        {"-1 < 1U", PTX_S64, 0},
        {"3 == 3 && 4 != 5", PTX_S64, 1},
        {"0 || 0", PTX_S64, 0},
        {"2 >= 2", PTX_S64, 1},
        {"3 <= 2", PTX_S64, 0},
        {"1 ? 10 : 20", PTX_S64, 10},
        {"0 ? 10 : 1 ? 30 : 40", PTX_S64, 30},
        {"(.s64) 0x8000000000000000 / -1", PTX_S64, UINT64_C(1) << 63},
        {"(.s64) 0x8000000000000000 % -1", PTX_S64, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        enum fab_status status;
        struct ptx_value value = value_of(cases[i].text, &status);

        CHECK_CASE("%s", cases[i].text);
        CHECK_EQ(status, FAB_OK);
        CHECK_EQ(value.type, cases[i].type);
        CHECK_EQ(value.bits, cases[i].bits);
    }
}

static void test_bad(void)
{
    const struct {
        const char *text;
        enum fab_status status;
    } cases[] = {
        {"", FAB_ERR_FORMAT},
        {"x", FAB_ERR_FORMAT},
        {"0x", FAB_ERR_FORMAT},
        {"0b2", FAB_ERR_FORMAT},
        {"089", FAB_ERR_FORMAT},
        {"12a", FAB_ERR_FORMAT},
        {"18446744073709551616", FAB_ERR_FORMAT},
        {"0xFFFFFFFFFFFFFFFFF", FAB_ERR_FORMAT},
        {"0f3F80000", FAB_ERR_FORMAT},
        {"0f3F8000000", FAB_ERR_FORMAT},
        {"0d3F800000", FAB_ERR_FORMAT},
        {"1.5.2", FAB_ERR_FORMAT},
        {"1 / 0", FAB_ERR_FORMAT},
        {"1 % 0", FAB_ERR_FORMAT},
        {"1.5 & 1", FAB_ERR_FORMAT},
        {"~1.5", FAB_ERR_FORMAT},
        {"(1", FAB_ERR_FORMAT},
        {"1 +", FAB_ERR_FORMAT},
        {"1 ? 2", FAB_ERR_FORMAT},
        {"(.f32) 1", FAB_ERR_FORMAT},
        {"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1", FAB_ERR_LIMIT},
        {"------------------------------------------------------------------1", FAB_ERR_LIMIT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        enum fab_status status;

        CHECK_CASE("%s", cases[i].text);
        (void)value_of(cases[i].text, &status);
        CHECK_EQ(status, cases[i].status);
    }
}

static void test_value_as(void)
{
    const struct {
        const char *label;
        struct ptx_value value;
        enum ptx_type type;
        uint64_t bits;
    } cases[] = {
        {"-1 as u8", {PTX_S64, UINT64_MAX}, PTX_U8, 0xff},
        {"-1 as s32", {PTX_S64, UINT64_MAX}, PTX_S32, 0xffffffff},
        {"integer as f32", {PTX_S64, 2}, PTX_F32, 0x40000000},
        {"large unsigned as f64", {PTX_U64, UINT64_C(1) << 63}, PTX_F64, f64(0x1p63)},
        {"double as f32", {PTX_F64, f64(1.0)}, PTX_F32, 0x3f800000},
        {"double as b32", {PTX_F64, f64(1.0)}, PTX_B32, 0x3f800000},
        {"single as b32 keeps its bits", {PTX_F32, 0x7fc00001}, PTX_B32, 0x7fc00001},
        {"single as f32 keeps its bits", {PTX_F32, 0x7fc00001}, PTX_F32, 0x7fc00001},
        {"single as f64", {PTX_F32, 0x3f800000}, PTX_F64, f64(1.0)},
        {"single as b64", {PTX_F32, 0x3f800000}, PTX_B64, f64(1.0)},
        {"double as s64", {PTX_F64, f64(-2.7)}, PTX_S64, (uint64_t)-2},
        {"NaN as s64", {PTX_F64, UINT64_C(0x7ff8000000000000)}, PTX_S64, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(ptx_value_as(cases[i].value, cases[i].type), cases[i].bits);
    }
}

/* A program may have set a locale with a decimal comma. */
static void test_locale(void)
{
    enum fab_status status;
    struct ptx_value value;

    CHECK_CASE("decimal point in any locale");
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is not installed, this tests less */
    value = value_of("1.5", &status);
    (void)setlocale(LC_ALL, "C");
    CHECK_EQ(status, FAB_OK);
    CHECK_EQ(value.bits, f64(1.5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_good),
        CHECK_TEST(test_bad),
        CHECK_TEST(test_value_as),
        CHECK_TEST(test_locale),
    };

    return check_run(tests);
}
