/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/stats.c - see stats.h.
 */
#include "perf/fabric-perf/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* A sample that lasts fewer ticks of the clock than this is not measured to a percent. */
enum { TICKS_MIN = 100, LOOKS = 1000 };

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

void fp_stats_median(struct fp_samples *samples, double *median_out, double *low_out,
                     double *high_out)
{
    const double count = samples->count, half = 1.645 * sqrt(count) / 2, middle = (count - 1) / 2;
    const double low = floor(middle - half), high = ceil(middle + half);

    qsort(samples->us, samples->count, sizeof(samples->us[0]), compare);
    *median_out = samples->us[(samples->count - 1) / 2];
    if (samples->count % 2 == 0)
        *median_out = (*median_out + samples->us[samples->count / 2]) / 2;
    *low_out = samples->us[low < 0 ? 0 : (size_t)low];
    *high_out = samples->us[high > count - 1 ? samples->count - 1 : (size_t)high];
}

double fp_stats_spread(double median, double low, double high)
{
    return median > 0 ? (high - low) / median : 0;
}

bool fp_stats_is_wide(const struct fp_samples *samples, double spread_max)
{
    struct fp_samples copy = *samples;
    double median, low, high;

    if (copy.count == 0)
        return true;
    fp_stats_median(&copy, &median, &low, &high);
    return fp_stats_spread(median, low, high) > spread_max;
}

void fp_stats_fill(struct fp_samples *samples, const struct fp_cleanness *wanted,
                   struct fp_row *row)
{
    double median = 0, low = 0, high = 0;

    row->iterations = samples->iterations;
    row->repeats = samples->count;
    row->us = row->us_low = row->us_high = 0;
    if (samples->count < FP_SAMPLES_MIN) {
        (void)snprintf(row->reason, sizeof(row->reason), "%u repeats, needs %d", samples->count,
                       FP_SAMPLES_MIN);
        return;
    }
    fp_stats_median(samples, &median, &low, &high);
    if (median * samples->iterations < TICKS_MIN * wanted->tick_us || median <= 0) {
        (void)snprintf(row->reason, sizeof(row->reason), "timer: a repeat of %.3g us, needs %.3g",
                       median * samples->iterations, TICKS_MIN * wanted->tick_us);
        return;
    }
    if (fp_stats_spread(median, low, high) > wanted->spread_max) {
        (void)snprintf(row->reason, sizeof(row->reason), "spread %.0f %%: %.4g to %.4g us",
                       100 * fp_stats_spread(median, low, high), low, high);
        return;
    }
    row->us = median;
    row->us_low = low;
    row->us_high = high;
}

double fp_stats_now_us(void)
{
    return (double)fab_clock_now_ns(fab_clock_real()) / 1e3;
}

double fp_stats_tick_us(void)
{
    double smallest = 1e6;

    for (int i = 0; i < LOOKS; i++) {
        double first = fp_stats_now_us(), next;

        do
            next = fp_stats_now_us();
        while (next <= first);
        smallest = fmin(smallest, next - first);
    }
    return smallest;
}
