/* SPDX-License-Identifier: Apache-2.0
 * Median, interval, and when there is no number.
 */
#include "perf/fabric-perf/stats.h"

#include <string.h>

#include "tests/support/check.h"

static struct fp_samples make(const double *us, uint32_t count, uint32_t iterations)
{
    struct fp_samples samples = {.count = count, .iterations = iterations};

    memcpy(samples.us, us, count * sizeof(*us));
    return samples;
}

static void test_median(void)
{
    static const struct {
        const char *name;
        uint32_t count;
        double us[31], median, low, high;
    } rows[] = {
        {"one", 1, {7}, 7, 7, 7},
        {"two: their mean", 2, {8, 6}, 7, 6, 8},
        {"odd, out of order", 5, {5, 1, 4, 2, 3}, 3, 1, 5},
        {"few: the whole range", 7, {9, 2, 3, 4, 5, 6, 1}, 4, 1, 9},
        {"fifteen: the fourth and the twelfth",
         15,
         {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1},
         8,
         4,
         12},
        {"one far away does not count",
         15,
         {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 900},
         1,
         1,
         1},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_samples samples = make(rows[i].us, rows[i].count, 1);
        double median = 0, low = 0, high = 0;

        CHECK_CASE("%s", rows[i].name);
        fp_stats_median(&samples, &median, &low, &high);
        CHECK_NEAR(median, rows[i].median, 1e-9);
        CHECK_NEAR(low, rows[i].low, 1e-9);
        CHECK_NEAR(high, rows[i].high, 1e-9);
    }
}

static void test_fill(void)
{
    static const struct fp_cleanness wanted = {.spread_max = 0.2, .tick_us = 0.03};
    static const struct {
        const char *name;
        uint32_t count, iterations;
        double us[5], expected;
        const char *reason; /* how it begins */
    } rows[] = {
        {"clean", 5, 1000, {10, 10.1, 10.2, 9.9, 10}, 10, ""},
        {"too few", 4, 1000, {10, 10, 10, 10}, 0, "4 repeats, needs 5"},
        {"too wide", 5, 1000, {10, 10, 10, 10, 13}, 0, "spread 30 %: 10 to 13 us"},
        {"exactly as wide as may be", 5, 1000, {10, 10, 10, 10, 12}, 10, ""},
        {"a repeat shorter than the clock sees",
         5,
         1,
         {2, 2, 2, 2, 2},
         0,
         "timer: a repeat of 2 us, needs 3"},
        {"the same with more iterations", 5, 2, {2, 2, 2, 2, 2}, 2, ""},
        {"nothing passed", 5, 1000, {0, 0, 0, 0, 0}, 0, "timer"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_samples samples = make(rows[i].us, rows[i].count, rows[i].iterations);
        struct fp_row row = {.us = 99};

        CHECK_CASE("%s", rows[i].name);
        fp_stats_fill(&samples, &wanted, &row);
        CHECK_NEAR(row.us, rows[i].expected, 1e-9);
        CHECK_EQ(row.repeats, rows[i].count);
        CHECK_EQ(row.iterations, rows[i].iterations);
        CHECK(rows[i].expected > 0 ? row.us_low <= row.us && row.us <= row.us_high
                                   : row.us_low <= 0 && row.us_high <= 0);
        CHECK_HAS(row.reason, rows[i].reason);
        CHECK_EQ(row.reason[0] == '\0', rows[i].reason[0] == '\0');
    }
}

static void test_is_wide(void)
{
    const double steady[] = {1, 1, 1, 1, 1.1}, wild[] = {1, 1, 2, 1, 1};
    struct fp_samples samples = make(steady, 5, 1);

    CHECK(!fp_stats_is_wide(&samples, 0.2));
    samples = make(wild, 5, 1);
    CHECK(fp_stats_is_wide(&samples, 0.2));
    CHECK_NEAR(samples.us[2], 2, 1e-9); /* looked at, not sorted */
    samples.count = 0;
    CHECK(fp_stats_is_wide(&samples, 0.2));
}

static void test_clock(void)
{
    const double first = fp_stats_now_us();

    CHECK(fp_stats_tick_us() > 0);
    CHECK(fp_stats_now_us() > first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_median), CHECK_TEST(test_fill),
                                       CHECK_TEST(test_is_wide), CHECK_TEST(test_clock)};
    return check_run(tests);
}
