/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-local.h - the rows of xp-bench for two processes on one host.
 */
#ifndef PERF_XP_BENCH_LOCAL_H
#define PERF_XP_BENCH_LOCAL_H

#include <stdbool.h>

struct bench_row;

/* Measures; before this process has any UCX, because it forks. Returns the rows. */
struct bench_row *bench_local(unsigned pairs, bool quick, unsigned *row_count_out);

#endif /* PERF_XP_BENCH_LOCAL_H */
