/* SPDX-License-Identifier: Apache-2.0
 * The report: what stands in it, that it needs nothing from elsewhere, and that names cannot become
 * markup. That it is well-formed is looked at by tests/functional/perf.
 */
#include "perf/fabric-perf/report.h"

#include <stdlib.h>
#include <string.h>

#include "perf/fabric-perf/chart.h"
#include "tests/support/check.h"
#include "tests/unit/perf/sample.h"

static uint32_t count_of(const char *text, const char *part)
{
    uint32_t count = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void test_html(void)
{
    static const char *const parts[] = {
        "<title>Copy suite: native, two rails</title>",
        ("<td>Host to device, cudaMemcpy, pinned, GPU 0</td><td>8 B</td><td>us</td><td>1.001</td>"
         "<td>2.002</td><td class=\"weak\">2.00x</td>"),
        "<td>Host to device, cudaMemcpyAsync, pinned, GPU 0</td><td>8 MiB</td><td>MB/s</td>",
        "<td>iperf3 &lt;1 rail&gt;</td><td></td><td>-</td><td>2500</td>",
        "2 of 27 rows could not be measured cleanly",
        "<code>fabric-perf -a</code>",
        "</html>\n",
    };
    struct fp_result results[3] = {sample_make("native", 1), sample_make("two rails", 2),
                                   sample_limits()};
    char *text = sample_text(fp_report_html, results, 3);

    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        CHECK_HAS(text, parts[i]);
    CHECK_EQ(count_of(text, "class=\"chart\""), 2);
    /* Two lines a plot, and their two entries in each of the two keys. */
    CHECK_EQ(count_of(text, "<g class=\"s0\">"), 4);
    CHECK_EQ(count_of(text, "<g class=\"s1\">"), 4);
    CHECK_EQ(count_of(text, "<script"), 0);
    CHECK_EQ(count_of(text, "src="), 0);
    CHECK_EQ(count_of(text, "href="), 0);
    free(text);
    for (int i = 0; i < 3; i++)
        fp_result_fini(&results[i]);
}

static void test_escape(void)
{
    struct fp_result result = sample_make("<b>&\"\x01\xff", 1);
    char *text = sample_text(fp_report_html, &result, 1);

    CHECK_HAS(text, "Copy suite: &lt;b&gt;&amp;&quot;?"
                    "?</title>");
    CHECK_EQ(count_of(text, "<b>&\""), 0);
    free(text);
    fp_result_fini(&result);
}

static void test_picture(void)
{
    struct fp_result results[2] = {sample_make("native", 1), sample_limits()};
    char *text = sample_text(fp_report_svg, results, 2);

    CHECK_HAS(text, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 344\"");
    CHECK_HAS(text, ">ucp_am_bw</text>");
    CHECK_EQ(count_of(text, "<g transform="), 2); /* of the four, those that there are */
    free(text);
    for (int i = 0; i < 2; i++)
        fp_result_fini(&results[i]);
}

/* Results are compared where all of them have a number. */
static void test_chart_size(void)
{
    struct fp_result results[2] = {sample_make("native", 1), sample_make("rail", 2)};
    struct fp_chart charts[FP_CHARTS_MAX];
    uint32_t count = fp_charts_find(results, 2, charts);

    if (!CHECK_EQ(count, 2))
        return;
    CHECK(charts[0].is_time && !charts[1].is_time);
    CHECK_EQ(fp_chart_size(&charts[0], results, 2), 8);
    CHECK_EQ(fp_chart_size(&charts[1], results, 2), 8 << 20);
    results[1].rows[0].us = 0;                           /* 8 B, waited for */
    results[1].rows[9].us = results[1].rows[9].mb_s = 0; /* 8 MiB, posted */
    CHECK_EQ(fp_chart_size(&charts[0], results, 2), 256);
    CHECK_EQ(fp_chart_size(&charts[1], results, 2), 256 << 10);
    for (uint32_t i = 0; i < results[0].row_count; i++) /* nothing: there is no such size */
        results[0].rows[i].us = results[0].rows[i].mb_s = results[1].rows[i].us =
            results[1].rows[i].mb_s = 0;
    CHECK_EQ(fp_chart_size(&charts[1], results, 2), 0);
    CHECK_EQ(fp_charts_find(results, 2, charts), 0);
    fp_result_fini(&results[0]);
    fp_result_fini(&results[1]);
}

/* Rows of a file that have times and no rates are no plot of rates. */
static void test_no_rates(void)
{
    struct fp_result result = sample_make("native", 1);
    struct fp_chart charts[FP_CHARTS_MAX];
    char *text;

    for (uint32_t i = 0; i < result.row_count; i++)
        result.rows[i].mb_s = 0;
    CHECK_EQ(fp_charts_find(&result, 1, charts), 1);
    CHECK(charts[0].is_time);
    text = sample_text(fp_report_html, &result, 1);
    CHECK_EQ(count_of(text, "class=\"chart\""), 1);
    free(text);
    fp_result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_html), CHECK_TEST(test_escape),
                                       CHECK_TEST(test_picture), CHECK_TEST(test_chart_size),
                                       CHECK_TEST(test_no_rates)};
    return check_run(tests);
}
