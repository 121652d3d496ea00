/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/report.h - results as one HTML file, and as a picture.
 */
#ifndef PERF_FABRIC_PERF_REPORT_H
#define PERF_FABRIC_PERF_REPORT_H

#include <stdio.h>

#include "perf/fabric-perf/fp.h"

/* One file without scripts and without anything from elsewhere; it is also well-formed XML. */
void fp_report_html(FILE *file, const struct fp_result *results, uint32_t count);
/* The most telling four of its plots, for a README. */
void fp_report_svg(FILE *file, const struct fp_result *results, uint32_t count);

#endif /* PERF_FABRIC_PERF_REPORT_H */
