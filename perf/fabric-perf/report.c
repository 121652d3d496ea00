/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/report.c - see report.h.
 *
 * In the order in which a reader asks: how fast, beside what, over which sizes, between which GPUs,
 * what could not be measured, how was it done, and every row.
 */
#include "perf/fabric-perf/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "perf/fabric-perf/chart.h"
#include "perf/fabric-perf/print.h"

struct report {
    FILE *file;
    const struct fp_result *results;
    uint32_t count;
    struct fp_chart charts[FP_CHARTS_MAX];
    uint32_t chart_count;
};

/* Limits alone are no column and no line of their own. */
static bool is_measured(const struct fp_result *result)
{
    for (uint32_t i = 0; i < result->row_count; i++)
        if (result->rows[i].key.test != FP_LIMIT)
            return true;
    return false;
}

static void cell(const struct report *report, const char *text)
{
    (void)fputs("<td>", report->file);
    fp_escape(report->file, text);
    (void)fputs("</td>", report->file);
}

static void name_all(const struct report *report)
{
    bool is_later = false;

    for (uint32_t i = 0; i < report->count; i++) {
        if (!is_measured(&report->results[i]))
            continue;
        (void)fputs(is_later ? ", " : "", report->file);
        fp_escape(report->file, report->results[i].label);
        is_later = true;
    }
}

/* ---- head --------------------------------------------------------------------------------------
 */

static void put_style(const struct report *report)
{
    (void)fputs(
        "<style>\n"
        ":root{color-scheme:light dark;--ink:#20242b;--weak:#667080;--line:#dde1e7;--paper:#fff;"
        "--card:#f7f8fa}\n"
        "@media (prefers-color-scheme:dark){:root{--ink:#e8eaee;--weak:#98a1af;--line:#30363f;"
        "--paper:#16191d;--card:#1d2126}}\n"
        "body{margin:0 auto;padding:28px 24px 60px;max-width:1440px;background:var(--paper);"
        "color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',"
        "sans-serif}\n"
        "h1{font-size:26px;margin:0 0 4px}\nh2{font-size:18px;margin:36px 0 10px}\n"
        "p,li{max-width:78ch}\n.weak{color:var(--weak)}\n"
        "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
        "th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--line);"
        "white-space:nowrap}\nth{font-weight:600;vertical-align:bottom}\n"
        "th:first-child,td:first-child{text-align:left}\n.weak{font-weight:400}\n"
        ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(400px,1fr));gap:14px}\n"
        "svg.chart{width:100%;height:auto;background:var(--card);border-radius:8px}\n"
        ".key{display:flex;flex-wrap:wrap;gap:6px 22px;margin:4px 0 12px;padding:0;"
        "list-style:none}\n.key "
        "svg{width:26px;height:10px;vertical-align:middle;margin-right:7px}\n"
        ".wide{overflow-x:auto}\ndetails{margin:10px 0}\nsummary{cursor:pointer}\n"
        "code{font-size:13px;overflow-wrap:anywhere}\n.heat td{text-align:center;padding:3px 7px;"
        "border:0}\n.heat th{padding:3px 7px;border:0;text-align:center}\n",
        report->file);
    fp_chart_style(report->file, true);
    (void)fputs("</style>\n", report->file);
}

static void put_head(const struct report *report)
{
    const struct fp_result *first = &report->results[0];

    (void)fputs(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
        "<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>Copy suite: ",
        report->file);
    name_all(report);
    (void)fputs("</title>\n", report->file);
    put_style(report);
    (void)fputs("</head>\n<body>\n<h1>Copy suite: ", report->file);
    name_all(report);
    (void)fputs("</h1>\n<p class=\"weak\">", report->file);
    fp_escape(report->file, first->date);
    (void)fputs(" on ", report->file);
    fp_escape(report->file, first->host);
    (void)fputs(": ", report->file);
    fp_escape(report->file, first->cpu);
    (void)fprintf(report->file, ", %u cores, ", first->cores);
    fp_escape(report->file, first->system);
    (void)fputs("</p>\n", report->file);
}

/* ---- at a glance -------------------------------------------------------------------------------
 */

/* A value, and how many times the first result's it is. */
static void put_value(const struct report *report, double value, double first, bool is_first)
{
    char text[FP_NUMBER_BYTES];

    (void)fprintf(report->file, "<td>%s</td>", fp_number(value, text));
    if (!is_first)
        (void)fprintf(report->file, "<td class=\"weak\">%s</td>",
                      fp_ratio(first > 0 ? value / first : 0, text));
}

static void put_chart_line(const struct report *report, const struct fp_chart *chart)
{
    const uint64_t size = fp_chart_size(chart, report->results, report->count);
    char title[FP_TITLE_BYTES], text[FP_NUMBER_BYTES];
    double first = 0;
    bool is_first = true;

    if (size == 0)
        return;
    (void)fprintf(report->file, "<tr><td>%s</td><td>%s</td><td>%s</td>",
                  fp_title(&chart->key, title), fp_size_text(size, text),
                  chart->is_time ? "us" : "MB/s");
    for (uint32_t i = 0; i < report->count; i++) {
        const double value = fp_chart_value(chart, &report->results[i], size);

        if (!is_measured(&report->results[i]))
            continue;
        put_value(report, value, first, is_first);
        first = is_first ? value : first;
        is_first = false;
    }
    (void)fputs("</tr>\n", report->file);
}

/* Launches and synchronisation have no size, and so no plot. */
static void put_plain_lines(const struct report *report)
{
    static const enum fp_test tests[] = {FP_LAUNCH, FP_LAUNCH_SYNC, FP_SYNC};

    for (size_t t = 0; t < FAB_ARRAY_LEN(tests); t++) {
        struct fp_key key = {.test = tests[t], .gpu = 0, .peer = -1, .gpus = 1, .streams = 1};
        char title[FP_TITLE_BYTES];
        double first = 0;
        bool is_first = true;

        if (!fp_find(&report->results[0], &key))
            continue;
        (void)fprintf(report->file, "<tr><td>%s</td><td></td><td>us</td>", fp_title(&key, title));
        for (uint32_t i = 0; i < report->count; i++) {
            const struct fp_row *row = fp_find(&report->results[i], &key);

            if (!is_measured(&report->results[i]))
                continue;
            put_value(report, row ? row->us : 0, first, is_first);
            first = is_first && row ? row->us : first;
            is_first = false;
        }
        (void)fputs("</tr>\n", report->file);
    }
}

static void put_glance(const struct report *report)
{
    bool is_first = true;

    (void)fputs(
        "<h2>At a glance</h2>\n<p class=\"weak\">Time of one copy that is waited for, at the "
        "smallest size; rate of copies that are posted, at the largest size that all have; "
        "and how many times the first column's that is.</p>\n<div class=\"wide\"><table>\n"
        "<tr><th>What</th><th>Size</th><th>Unit</th>",
        report->file);
    for (uint32_t i = 0; i < report->count; i++) {
        if (!is_measured(&report->results[i]))
            continue;
        (void)fputs(is_first ? "<th>" : "<th colspan=\"2\">", report->file);
        fp_escape(report->file, report->results[i].label);
        (void)fputs("</th>", report->file);
        is_first = false;
    }
    (void)fputs("</tr>\n", report->file);
    for (int is_rate = 0; is_rate < 2; is_rate++) /* times, then rates */
        for (uint32_t i = 0; i < report->chart_count; i++)
            if (report->charts[i].is_time == !is_rate)
                put_chart_line(report, &report->charts[i]);
    put_plain_lines(report);
    (void)fputs("</table></div>\n", report->file);
}

static void put_limits(const struct report *report)
{
    bool is_begun = false;

    for (uint32_t r = 0; r < report->count; r++) {
        for (uint32_t i = 0; i < report->results[r].row_count; i++) {
            const struct fp_row *row = &report->results[r].rows[i];
            char size[FP_NUMBER_BYTES], us[FP_NUMBER_BYTES], rate[FP_NUMBER_BYTES];

            if (row->key.test != FP_LIMIT)
                continue;
            if (!is_begun)
                (void)fputs(
                    "<h2>Limits: other programs on the same machine and wires</h2>\n<table>\n"
                    "<tr><th>Program</th><th>Size</th><th>us</th><th>MB/s</th></tr>\n",
                    report->file);
            is_begun = true;
            (void)fputs("<tr>", report->file);
            cell(report, row->name);
            cell(report, row->key.size ? fp_size_text(row->key.size, size) : "");
            cell(report, fp_number(row->us, us));
            cell(report, fp_number(row->mb_s, rate));
            (void)fputs("</tr>\n", report->file);
        }
    }
    if (is_begun)
        (void)fputs("</table>\n", report->file);
}

/* ---- plots -------------------------------------------------------------------------------------
 */

static void put_key(const struct report *report)
{
    (void)fputs("<ul class=\"key\">\n", report->file);
    for (uint32_t i = 0; i < report->count; i++) {
        if (!is_measured(&report->results[i]))
            continue;
        (void)fprintf(report->file,
                      "<li><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 26 10\"><g "
                      "class=\"s%u\"><polyline points=\"0,5 26,5\"/>"
                      "<circle cx=\"13\" cy=\"5\" r=\"3\"/></g></svg>",
                      i % 8);
        fp_escape(report->file, report->results[i].label);
        (void)fputs("</li>\n", report->file);
    }
    (void)fputs("<li class=\"weak\">dashed: limits; upright strokes: 90 % intervals</li>\n</ul>\n",
                report->file);
}

static void put_charts(const struct report *report)
{
    static const char *const titles[] = {"Rates of posted copies and kernels",
                                         "Times of copies that are waited for"};

    for (int is_time = 0; is_time < 2; is_time++) {
        bool is_begun = false;

        for (uint32_t i = 0; i < report->chart_count; i++) {
            if (report->charts[i].is_time != is_time)
                continue;
            if (!is_begun) {
                (void)fprintf(report->file, "<h2>%s</h2>\n", titles[is_time]);
                put_key(report);
                (void)fputs("<div class=\"charts\">\n", report->file);
            }
            is_begun = true;
            fp_chart_draw(report->file, &report->charts[i], report->results, report->count, false);
        }
        if (is_begun)
            (void)fputs("</div>\n", report->file);
    }
}

/* ---- matrices ----------------------------------------------------------------------------------
 */

static void put_heat(const struct report *report, const struct fp_result *result,
                     const struct fp_key *like, uint32_t gpus, double best)
{
    for (uint32_t from = 0; from < gpus; from++) {
        (void)fprintf(report->file, "<tr><th>%u</th>", from);
        for (uint32_t to = 0; to < gpus; to++) {
            struct fp_key key = *like;
            const struct fp_row *row;
            char text[FP_NUMBER_BYTES];
            double value = 0, strength;

            key.gpu = (int32_t)from;
            key.peer = (int32_t)to;
            row = fp_find(result, &key);
            if (row)
                value = like->call == FP_CALL_SYNC ? row->us : row->mb_s;
            /* The better, the stronger: by decades of the best. */
            strength = value > 0 && best > 0 ? 0.55 - 0.45 * fabs(log10(value / best)) : 0;
            (void)fprintf(report->file, "<td style=\"background:rgba(0,114,178,%.2f)\">%s</td>",
                          strength > 0 ? strength : 0, row ? fp_number(value, text) : "");
        }
        (void)fputs("</tr>\n", report->file);
    }
}

static void put_matrix(const struct report *report, const struct fp_result *result,
                       const struct fp_key *like)
{
    char size[FP_NUMBER_BYTES];
    uint32_t gpus = 0;
    double best = 0;

    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct fp_row *row = &result->rows[i];
        const double value = like->call == FP_CALL_SYNC ? row->us : row->mb_s;

        if (row->key.test != FP_P2P || row->key.call != like->call || row->key.peer < 0 ||
            row->key.size != like->size)
            continue;
        gpus = (uint32_t)row->key.peer + 1 > gpus ? (uint32_t)row->key.peer + 1 : gpus;
        if (value > 0 && (best == 0 || (like->call == FP_CALL_SYNC ? value < best : value > best)))
            best = value;
    }
    (void)fputs("<h2>GPU to GPU, ", report->file);
    fp_escape(report->file, result->label);
    (void)fprintf(report->file,
                  ": %s, %s</h2>\n<div class=\"wide\"><table class=\"heat\">\n"
                  "<tr><th>from \\ to</th>",
                  fp_size_text(like->size, size),
                  like->call == FP_CALL_SYNC ? "us, waited for" : "MB/s, posted");
    for (uint32_t to = 0; to < gpus; to++)
        (void)fprintf(report->file, "<th>%u</th>", to);
    (void)fputs("</tr>\n", report->file);
    put_heat(report, result, like, gpus, best);
    (void)fputs("</table></div>\n", report->file);
}

static void put_matrices(const struct report *report)
{
    for (uint32_t r = 0; r < report->count; r++)
        for (uint32_t i = 0; i < report->results[r].row_count; i++) {
            const struct fp_key *key = &report->results[r].rows[i].key;

            /* This pair is in no other list. */
            if (key->test == FP_P2P && key->gpu == 1 && key->peer == 0)
                put_matrix(report, &report->results[r], key);
        }
}

/* ---- what, how, and all ------------------------------------------------------------------------
 */

static void put_refused(const struct report *report)
{
    uint32_t refused = 0, all = 0;

    for (uint32_t r = 0; r < report->count; r++) {
        for (uint32_t i = 0; i < report->results[r].row_count; i++) {
            refused += report->results[r].rows[i].us <= 0 && report->results[r].rows[i].reason[0];
            all++;
        }
    }
    (void)fprintf(report->file, "<h2>What has no number</h2>\n<p>%u of %u rows", refused, all);
    if (refused == 0) {
        (void)fputs(": every row was measured cleanly.</p>\n", report->file);
        return;
    }
    (void)fputs(" could not be measured cleanly, and have a reason in place of one.</p>\n"
                "<details><summary>Which, and why</summary>\n<table>\n"
                "<tr><th>Result</th><th>Row</th><th>Size</th><th>Reason</th></tr>\n",
                report->file);
    for (uint32_t r = 0; r < report->count; r++) {
        for (uint32_t i = 0; i < report->results[r].row_count; i++) {
            const struct fp_row *row = &report->results[r].rows[i];
            char title[FP_TITLE_BYTES], size[FP_NUMBER_BYTES];

            if (!row->reason[0])
                continue;
            (void)fputs("<tr>", report->file);
            cell(report, report->results[r].label);
            cell(report, fp_title(&row->key, title));
            cell(report, row->key.size ? fp_size_text(row->key.size, size) : "");
            cell(report, row->reason);
            (void)fputs("</tr>\n", report->file);
        }
    }
    (void)fputs("</table></details>\n", report->file);
}

static void put_result_facts(const struct report *report, const struct fp_result *result)
{
    (void)fputs("<li><b>", report->file);
    fp_escape(report->file, result->label);
    (void)fputs("</b>: <code>", report->file);
    fp_escape(report->file, result->command);
    (void)fputs("</code>, ", report->file);
    fp_escape(report->file, result->date);
    if (result->device_count > 0) {
        (void)fprintf(report->file, "; CUDA driver %u.%u, runtime %u.%u; %u x ",
                      result->driver_version / 1000, result->driver_version % 1000 / 10,
                      result->runtime_version / 1000, result->runtime_version % 1000 / 10,
                      result->device_count);
        fp_escape(report->file, result->devices[0].name);
    }
    (void)fputs("</li>\n", report->file);
}

static void put_method(const struct report *report)
{
    (void)fputs(
        "<h2>How it was measured</h2>\n<p>The same program each time, by fabric-perf(1). A number "
        "is "
        "the median of repeats, each of as many copies as fill its part of the row's time, after a "
        "warm-up; beside it stands the 90 % interval of the median. A row whose interval is wider "
        "than the limit, or whose repeats are too short for the clock, gets no number. Posted "
        "copies "
        "(cudaMemcpyAsync) wait after every 64; copies that are waited for (cudaMemcpy) include a "
        "synchronisation where the call itself has none. MB are 10^6 bytes, of all copies "
        "together. "
        "The bytes that arrived were compared with the bytes that were sent in every "
        "row.</p>\n<ul>\n",
        report->file);
    for (uint32_t i = 0; i < report->count; i++)
        put_result_facts(report, &report->results[i]);
    (void)fputs("</ul>\n", report->file);
}

static void put_row(const struct report *report, const struct fp_row *row)
{
    char title[FP_TITLE_BYTES], text[FP_NUMBER_BYTES];

    (void)fputs("<tr>", report->file);
    cell(report, row->name[0] ? row->name : fp_title(&row->key, title));
    cell(report, row->key.size ? fp_size_text(row->key.size, text) : "");
    cell(report, fp_number(row->us, text));
    cell(report, fp_number(row->us_low, text));
    cell(report, fp_number(row->us_high, text));
    cell(report, fp_number(row->mb_s, text));
    (void)snprintf(text, sizeof(text), "%u x %u", row->repeats, row->iterations);
    cell(report, text);
    cell(report, row->is_verified ? "right" : row->key.size && !row->name[0] ? "not checked" : "");
    cell(report, row->reason);
    (void)fputs("</tr>\n", report->file);
}

static void put_rows(const struct report *report)
{
    (void)fputs("<h2>Every row</h2>\n", report->file);
    for (uint32_t r = 0; r < report->count; r++) {
        (void)fputs("<details><summary>", report->file);
        fp_escape(report->file, report->results[r].label);
        (void)fprintf(report->file,
                      ", %u rows</summary>\n<div class=\"wide\"><table>\n<tr><th>What</th>"
                      "<th>Size</th><th>us</th><th>low</th><th>high</th><th>MB/s</th>"
                      "<th>Repeats</th><th>Data</th><th>Reason</th></tr>\n",
                      report->results[r].row_count);
        for (uint32_t i = 0; i < report->results[r].row_count; i++)
            put_row(report, &report->results[r].rows[i]);
        (void)fputs("</table></div></details>\n", report->file);
    }
}

void fp_report_html(FILE *file, const struct fp_result *results, uint32_t count)
{
    struct report report = {.file = file, .results = results, .count = count};

    report.chart_count = fp_charts_find(results, count, report.charts);
    put_head(&report);
    put_glance(&report);
    put_limits(&report);
    put_charts(&report);
    put_matrices(&report);
    put_refused(&report);
    put_method(&report);
    put_rows(&report);
    (void)fputs("</body>\n</html>\n", file);
}

/* ---- the picture -------------------------------------------------------------------------------
 */

/* What a reader looks for first, by test, call and memory. */
static const struct fp_key telling[] = {
    {.test = FP_H2D, .call = FP_CALL_ASYNC, .memory = FP_PINNED},
    {.test = FP_D2H, .call = FP_CALL_ASYNC, .memory = FP_PINNED},
    {.test = FP_H2D, .call = FP_CALL_SYNC, .memory = FP_PINNED},
    {.test = FP_P2P, .call = FP_CALL_ASYNC, .memory = FP_MEMORY_NONE},
};

static const struct fp_chart *find_telling(const struct report *report, const struct fp_key *key)
{
    for (uint32_t i = 0; i < report->chart_count; i++) {
        const struct fp_key *other = &report->charts[i].key;

        if (other->test == key->test && other->call == key->call && other->memory == key->memory &&
            other->gpus == 1 && other->streams == 1)
            return &report->charts[i];
    }
    return NULL;
}

static void put_picture_key(const struct report *report, int width)
{
    int x = 20;

    (void)fprintf(report->file, "<rect width=\"%d\" height=\"100%%\" fill=\"#ffffff\"/>\n", width);
    for (uint32_t i = 0; i < report->count; i++) {
        if (!is_measured(&report->results[i]))
            continue;
        (void)fprintf(
            report->file,
            "<g class=\"s%u\"><polyline points=\"%d,22 %d,22\"/><circle cx=\"%d\" cy=\"22\" "
            "r=\"3\"/></g><text class=\"title\" x=\"%d\" y=\"26\">",
            i % 8, x, x + 26, x + 13, x + 34);
        fp_escape(report->file, report->results[i].label);
        (void)fputs("</text>\n", report->file);
        x += 34 + 9 * (int)strlen(report->results[i].label) + 20;
    }
    (void)fprintf(report->file,
                  "<text class=\"tick\" x=\"%d\" y=\"26\" text-anchor=\"end\">dashed: "
                  "limits of other programs</text>\n",
                  width - 14);
}

void fp_report_svg(FILE *file, const struct fp_result *results, uint32_t count)
{
    enum { COLUMNS = 2, KEY_HEIGHT = 44 };
    struct report report = {.file = file, .results = results, .count = count};
    const struct fp_chart *shown[FAB_ARRAY_LEN(telling)];
    uint32_t found = 0, rows;

    report.chart_count = fp_charts_find(results, count, report.charts);
    for (size_t i = 0; i < FAB_ARRAY_LEN(telling); i++) {
        shown[found] = find_telling(&report, &telling[i]);
        found += shown[found] != NULL;
    }
    rows = (found + COLUMNS - 1) / COLUMNS;
    (void)fprintf(
        file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" width=\"%d\">\n<style>\n",
        COLUMNS * FP_CHART_WIDTH, KEY_HEIGHT + rows * FP_CHART_HEIGHT, COLUMNS * FP_CHART_WIDTH);
    fp_chart_style(file, false);
    (void)fputs("</style>\n", file);
    put_picture_key(&report, COLUMNS * FP_CHART_WIDTH);
    for (uint32_t i = 0; i < found; i++) {
        (void)fprintf(file, "<g transform=\"translate(%u %u)\">\n", i % COLUMNS * FP_CHART_WIDTH,
                      KEY_HEIGHT + i / COLUMNS * FP_CHART_HEIGHT);
        fp_chart_draw(file, shown[i], results, count, true);
        (void)fputs("</g>\n", file);
    }
    (void)fputs("</svg>\n", file);
}
