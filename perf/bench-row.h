/* SPDX-License-Identifier: Apache-2.0
 * perf/bench-row.h - a line of the report: pairs of ours and a limit, and the budget.
 */
#ifndef PERF_BENCH_ROW_H
#define PERF_BENCH_ROW_H

#include <stdbool.h>
#include <stddef.h>

enum { BENCH_PAIRS_MAX = 64 };

struct bench_row {
    const char *name, *unit;
    double budget;      /* of the ratio; 0: reported only */
    bool at_least;      /* the ratio shall be at least that; else at most */
    const char *reason; /* why it could not be measured, or is not judged */
    unsigned pair_count;
    double ours[BENCH_PAIRS_MAX], limit[BENCH_PAIRS_MAX], ratio[BENCH_PAIRS_MAX];
};

/* One pair; a value that is 0 was not measured: the row says so. */
void bench_row_add(struct bench_row *row, double ours, double limit);
void bench_row_print(struct bench_row *row, bool json, bool is_last);
/* Those that have a pair, or a reason for having none. */
void bench_rows_print(struct bench_row *rows, size_t count, bool json);

/* Sorts; the median of an even count is the lower one. */
double bench_median(double *values, unsigned count);

#endif /* PERF_BENCH_ROW_H */
