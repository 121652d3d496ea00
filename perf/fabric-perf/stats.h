/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/stats.h - from samples to a number, or to the reason why there is none.
 */
#ifndef PERF_FABRIC_PERF_STATS_H
#define PERF_FABRIC_PERF_STATS_H

#include "perf/fabric-perf/fp.h"

enum { FP_SAMPLES_MAX = 200, FP_SAMPLES_MIN = 5 };

struct fp_samples {
    double us[FP_SAMPLES_MAX];  /* of one iteration */
    uint32_t count, iterations; /* iterations of each sample */
};

/* Median and the 90 % interval of the median, by order statistics; sorts. Count is at least 1. */
void fp_stats_median(struct fp_samples *samples, double *median_out, double *low_out,
                     double *high_out);
/* (high - low) / median. */
double fp_stats_spread(double median, double low, double high);

struct fp_cleanness {
    double spread_max; /* of the interval; 0.2 is 20 % */
    double tick_us;    /* of the clock */
};

/* Fills the row's times, or its reason: fewer than FP_SAMPLES_MIN samples, samples too short for
 * the clock, or an interval that is too wide. */
void fp_stats_fill(struct fp_samples *samples, const struct fp_cleanness *wanted,
                   struct fp_row *row);
/* More samples might help. */
bool fp_stats_is_wide(const struct fp_samples *samples, double spread_max);

/* The smallest step that CLOCK_MONOTONIC shows a program, in us. */
double fp_stats_tick_us(void);
double fp_stats_now_us(void);

#endif /* PERF_FABRIC_PERF_STATS_H */
