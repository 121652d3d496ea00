/* SPDX-License-Identifier: Apache-2.0
 * perf/bench-row.c - see bench-row.h.
 */
#include "perf/bench-row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

double bench_median(double *values, unsigned count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof(*values), compare);
    return values[(count - 1) / 2];
}

void bench_row_add(struct bench_row *row, double ours, double limit)
{
    if (ours <= 0 || limit <= 0) {
        row->reason = ours <= 0 ? "ours did not run" : "the limit did not run";
        return;
    }
    if (row->pair_count == BENCH_PAIRS_MAX)
        return;
    row->ours[row->pair_count] = ours;
    row->limit[row->pair_count] = limit;
    row->ratio[row->pair_count++] = ours / limit;
}

/* The 90 % interval of a median, by order statistics: 0.82 standard deviations of the binomial. */
static void interval(const double *sorted, unsigned count, double *low_out, double *high_out)
{
    double half = 1.645 * sqrt((double)count) / 2, middle = ((double)count - 1) / 2;
    double low = floor(middle - half), high = ceil(middle + half);

    *low_out = sorted[low < 0 ? 0 : (unsigned)low];
    *high_out = sorted[high > count - 1 ? count - 1 : (unsigned)high];
}

void bench_row_print(struct bench_row *row, bool json, bool is_last)
{
    double ours = bench_median(row->ours, row->pair_count);
    double limit = bench_median(row->limit, row->pair_count);
    double ratio = bench_median(row->ratio, row->pair_count), low = 0, high = 0;
    bool judged = row->pair_count > 0 && row->budget > 0 && !row->reason, met;

    if (row->pair_count > 0)
        interval(row->ratio, row->pair_count, &low, &high);
    met = row->at_least ? high >= row->budget : low <= row->budget;
    if (!json) {
        (void)printf("%-32s %10.4g %10.4g %-5s ratio %6.3f [%6.3f, %6.3f] %2u pairs", row->name,
                     ours, limit, row->unit, ratio, low, high, row->pair_count);
        if (judged)
            (void)printf("  budget %s %g: %s", row->at_least ? ">=" : "<=", row->budget,
                         met ? "met" : "missed");
        else
            (void)printf("  (%s)", row->reason ? row->reason : "reported only");
        (void)printf("\n");
        return;
    }
    (void)printf("  {\"name\": \"%s\", \"ours\": %.6g, \"limit\": %.6g, \"unit\": \"%s\", "
                 "\"ratio\": %.4g, \"interval\": [%.4g, %.4g], \"pairs\": %u, ",
                 row->name, ours, limit, row->unit, ratio, low, high, row->pair_count);
    if (row->budget > 0)
        (void)printf("\"budget\": %g, \"at_least\": %s, ", row->budget,
                     row->at_least ? "true" : "false");
    else
        (void)printf("\"budget\": null, ");
    if (judged)
        (void)printf("\"met\": %s}", met ? "true" : "false");
    else
        (void)printf("\"met\": null, \"reason\": \"%s\"}",
                     row->reason ? row->reason : "reported only");
    (void)printf("%s\n", is_last ? "" : ",");
}

void bench_rows_print(struct bench_row *rows, size_t count, bool json)
{
    struct bench_row *last = NULL; /* printed when it is known whether another follows */

    if (json)
        (void)printf("[\n");
    for (size_t i = 0; i < count; i++) {
        if (rows[i].pair_count == 0 && !rows[i].reason)
            continue;
        if (last)
            bench_row_print(last, json, /* is_last */ false);
        last = &rows[i];
    }
    if (last)
        bench_row_print(last, json, /* is_last */ true);
    if (json)
        (void)printf("]\n");
}
