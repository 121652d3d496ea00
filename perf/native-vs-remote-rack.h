/* SPDX-License-Identifier: Apache-2.0
 * perf/native-vs-remote-rack.h - copies over real rails: a client and two GPU nodes on three hosts
 * of namespaces.
 */
#ifndef PERF_NATIVE_VS_REMOTE_RACK_H
#define PERF_NATIVE_VS_REMOTE_RACK_H

#include <stdbool.h>

#include "perf/bench-row.h"

/* Parts: as fast as the machine; at a limited rate: one rail, two, between nodes. */
enum bench_rack_part { BENCH_RACK_FAST, BENCH_RACK_LIMITED, BENCH_RACK_RAILS, BENCH_RACK_PEER };

/* `parts` has a bit for each. We are on host 1 of such a rack (bench_enter_rack()). NULL: it failed
 * and has said why. */
struct bench_row *bench_rack_rows(unsigned parts, unsigned pairs, bool quick, size_t *count_out);

#endif /* PERF_NATIVE_VS_REMOTE_RACK_H */
