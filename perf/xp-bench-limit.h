/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-limit.h - what this machine can do without our transport: memcpy, a bare ring.
 */
#ifndef PERF_XP_BENCH_LIMIT_H
#define PERF_XP_BENCH_LIMIT_H

#include <stddef.h>

/* Bytes per second of one memcpy. */
double bench_memcpy_rate(void *to, const void *from, size_t size_bytes);

/* Median time in us of 8 bytes to another process and back through two of the transport's rings,
 * with both ends spinning and nothing else; 0: it did not work. Forks. */
double bench_ring_round_trip_us(unsigned count);

#endif /* PERF_XP_BENCH_LIMIT_H */
