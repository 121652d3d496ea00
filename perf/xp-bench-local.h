/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-local.h - the rows of xp-bench for two processes on one host.
 */
#ifndef PERF_XP_BENCH_LOCAL_H
#define PERF_XP_BENCH_LOCAL_H

#include <stdbool.h>

struct bench_row;

/* What can be measured alone. */
enum bench_local_part {
    BENCH_LOCAL_CALLS = 1 << 0, /* and posts */
    BENCH_LOCAL_COPIES = 1 << 1,
    BENCH_LOCAL_IDLE = 1 << 2,
    BENCH_LOCAL_KILLED = 1 << 3,
};

/* Measures `parts`; before this process has any UCX, because it forks. Returns the rows. The bare
 * ring is a limit of our own: it must come near what `foreign_us` measures, the round trip of UCX's
 * shared memory; NULL: that cannot be, and calls are not judged. */
struct bench_row *bench_local(unsigned parts, unsigned pairs, bool quick,
                              double (*foreign_us)(void), unsigned *row_count_out);

#endif /* PERF_XP_BENCH_LOCAL_H */
