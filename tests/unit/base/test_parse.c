/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_parse.c - numbers with units, at and beyond every edge.
 */
#include "tests/support/check.h"

#include "base/parse.h"

#define KEPT UINT64_C(0xabad1dea) /* an output that must not change on failure */
#define SECOND UINT64_C(1000000000)

static void test_parse_size(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        uint64_t bytes;
    } cases[] = {
        {"bare number is bytes", "4096", FAB_OK, 4096},
        {"binary suffix", "64KiB", FAB_OK, 65536},
        {"largest suffix", "3TiB", FAB_OK, UINT64_C(3) << 40},
        {"zero with suffix", "0TiB", FAB_OK, 0},
        {"largest", "18446744073709551615", FAB_OK, UINT64_MAX},
        {"one above the largest", "18446744073709551616", FAB_ERR_RANGE, KEPT},
        {"ten times the largest", "184467440737095516150", FAB_ERR_RANGE, KEPT},
        {"overflow only through the suffix", "16777216TiB", FAB_ERR_RANGE, KEPT},
        {"too large and malformed", "18446744073709551616KB", FAB_ERR_INVALID, KEPT},
        {"sign", "-1", FAB_ERR_INVALID, KEPT},
        {"plus", "+1", FAB_ERR_INVALID, KEPT},
        {"KB is refused: 1000 or 1024?", "1KB", FAB_ERR_INVALID, KEPT},
        {"lower case", "1mib", FAB_ERR_INVALID, KEPT},
        {"text after the suffix", "1KiBx", FAB_ERR_INVALID, KEPT},
        {"blank before the suffix", "1 KiB", FAB_ERR_INVALID, KEPT},
        {"leading blank", " 1", FAB_ERR_INVALID, KEPT},
        {"fraction", "1.5GiB", FAB_ERR_INVALID, KEPT},
        {"suffix alone", "KiB", FAB_ERR_INVALID, KEPT},
        {"empty", "", FAB_ERR_INVALID, KEPT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t bytes = KEPT;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_parse_size(cases[i].text, &bytes), cases[i].status);
        CHECK_EQ(bytes, cases[i].bytes);
    }
}

static void test_parse_duration(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        uint64_t ns;
    } cases[] = {
        {"minutes and seconds", "2m30s", FAB_OK, 150 * SECOND},
        {"minutes are not milliseconds", "5m", FAB_OK, 300 * SECOND},
        {"milliseconds", "500ms", FAB_OK, SECOND / 2},
        {"every unit", "1d2h3m4s5ms6us7ns", FAB_OK, 93784 * SECOND + 5006007},
        {"zero needs no unit", "0", FAB_OK, 0},
        {"zero with one", "0s", FAB_OK, 0},
        {"largest", "18446744073709551615ns", FAB_OK, UINT64_MAX},
        {"number too large", "18446744073709551616ns", FAB_ERR_RANGE, KEPT},
        {"overflow through the unit", "213504d", FAB_ERR_RANGE, KEPT},
        {"overflow through the sum", "18446744073s999ms", FAB_ERR_RANGE, KEPT},
        {"too large, then malformed", "213504d1x", FAB_ERR_INVALID, KEPT},
        {"no unit", "30", FAB_ERR_INVALID, KEPT},
        {"no unit at the end", "2m30", FAB_ERR_INVALID, KEPT},
        {"wrong order", "30s2m", FAB_ERR_INVALID, KEPT},
        {"a unit twice", "1s1s", FAB_ERR_INVALID, KEPT},
        {"unknown unit", "1w", FAB_ERR_INVALID, KEPT},
        {"a unit and more letters", "1secs", FAB_ERR_INVALID, KEPT},
        {"sign", "-1s", FAB_ERR_INVALID, KEPT},
        {"fraction", "1.5s", FAB_ERR_INVALID, KEPT},
        {"empty", "", FAB_ERR_INVALID, KEPT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t ns = KEPT;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_parse_duration(cases[i].text, &ns), cases[i].status);
        CHECK_EQ(ns, cases[i].ns);
    }
}

static void test_parse_int(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        int64_t value;
    } cases[] = {
        {"decimal", "42", FAB_OK, 42},
        {"negative", "-17", FAB_OK, -17},
        {"hexadecimal", "0x1F", FAB_OK, 31},
        {"negative hexadecimal", "-0x10", FAB_OK, -16},
        {"leading zero is decimal", "010", FAB_OK, 10},
        {"largest", "9223372036854775807", FAB_OK, INT64_MAX},
        {"smallest", "-9223372036854775808", FAB_OK, INT64_MIN},
        {"above", "9223372036854775808", FAB_ERR_RANGE, (int64_t)KEPT},
        {"below", "-9223372036854775809", FAB_ERR_RANGE, (int64_t)KEPT},
        {"far above", "99999999999999999999999", FAB_ERR_RANGE, (int64_t)KEPT},
        {"hexadecimal above", "0x8000000000000000", FAB_ERR_RANGE, (int64_t)KEPT},
        {"no digits", "0x", FAB_ERR_INVALID, (int64_t)KEPT},
        {"sign alone", "-", FAB_ERR_INVALID, (int64_t)KEPT},
        {"letters behind", "12a", FAB_ERR_INVALID, (int64_t)KEPT},
        {"empty", "", FAB_ERR_INVALID, (int64_t)KEPT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        int64_t value = (int64_t)KEPT;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_parse_int(cases[i].text, &value), cases[i].status);
        CHECK_EQ(value, cases[i].value);
    }
}

static void test_format_reads_back(void)
{
    static const struct {
        uint64_t value;
        const char *size, *duration;
    } cases[] = {
        {0, "0", "0"},
        {1, "1", "1ns"},
        {1024, "1KiB", "1us24ns"},
        {UINT64_C(80) << 30, "80GiB", "1m25s899ms345us920ns"},
        {150 * SECOND, "146484375KiB", "2m30s"},
        {UINT64_MAX, "18446744073709551615", "213503d23h34m33s709ms551us615ns"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        char text[FAB_NUMBER_TEXT_BYTES];
        uint64_t back = KEPT;

        CHECK_CASE("%s", cases[i].size);
        CHECK_STR(fab_format_size(cases[i].value, text), cases[i].size);
        CHECK_EQ(fab_parse_size(text, &back), FAB_OK);
        CHECK_EQ(back, cases[i].value);
        CHECK_STR(fab_format_duration(cases[i].value, text), cases[i].duration);
        CHECK_EQ(fab_parse_duration(text, &back), FAB_OK);
        CHECK_EQ(back, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_parse_size),
        CHECK_TEST(test_parse_duration),
        CHECK_TEST(test_parse_int),
        CHECK_TEST(test_format_reads_back),
    };

    return check_run(tests);
}
