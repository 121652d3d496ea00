/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/chart.h - one measurement over the sizes, of several results, as a plot in SVG.
 */
#ifndef PERF_FABRIC_PERF_CHART_H
#define PERF_FABRIC_PERF_CHART_H

#include <stdio.h>

#include "perf/fabric-perf/fp.h"

enum { FP_CHARTS_MAX = 64, FP_CHART_WIDTH = 460, FP_CHART_HEIGHT = 300 };

struct fp_chart {
    struct fp_key key; /* all but the size */
    bool is_time;      /* us, where each copy is waited for; else MB/s */
};

/* What has numbers for at least three sizes, ordered by what is copied. */
uint32_t fp_charts_find(const struct fp_result *results, uint32_t count,
                        struct fp_chart charts[FP_CHARTS_MAX]);

/* An <svg> element, or with is_inner what stands in one, for a picture of several. */
void fp_chart_draw(FILE *file, const struct fp_chart *chart, const struct fp_result *results,
                   uint32_t count, bool is_inner);
/* The rules of its classes: s0, s1 ... lines by result; limit; for <style>. */
void fp_chart_style(FILE *file, bool is_dark_known);

/* The size at which results are compared: the smallest of a time, the largest of a rate, that all
 * results with the chart have; 0: there is none. */
uint64_t fp_chart_size(const struct fp_chart *chart, const struct fp_result *results,
                       uint32_t count);
/* Us or MB/s; 0: none. */
double fp_chart_value(const struct fp_chart *chart, const struct fp_result *result, uint64_t size);

/* Text between tags or in an attribute; what is not printable ASCII becomes '?'. */
void fp_escape(FILE *file, const char *text);

#endif /* PERF_FABRIC_PERF_CHART_H */
