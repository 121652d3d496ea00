/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-rack.h - what xp-bench does to its two hosts, and the foreign programs on them.
 *
 * The hosts are namespaces made by tests/rack/rack.sh; we are on host 1.
 */
#ifndef PERF_XP_BENCH_RACK_H
#define PERF_XP_BENCH_RACK_H

#include <stdbool.h>
#include <stddef.h>

/* Becomes this program again, on host 1 of a rack of so many. Comes back only if it cannot. */
void bench_enter_rack(unsigned hosts, int count, char **arguments);

/* Both directions of a rail at every host; NULL: as fast as the machine. */
/* What each program calls before it begins; NULL: nothing. */
void bench_set_child_setup(void (*setup)(void));

bool bench_set_rate(unsigned rail, const char *rate);
/* The port of a host's link on its switch. */
bool bench_set_link(unsigned rail, unsigned host, bool up);

/* Median half round trip of an active message with so many bytes, in us; 0: it did not work. */
double bench_perftest_latency_us(size_t size_bytes, unsigned count);
/* The same through UCX's shared memory. */
double bench_perftest_shm_latency_us(size_t size_bytes, unsigned count);
/* Bytes per second of active messages; 0: it did not work. */
double bench_perftest_bandwidth(size_t size_bytes, unsigned count);
/* Bytes per second of one TCP stream over a rail; 0: it did not work. */
double bench_iperf3(unsigned rail, unsigned seconds);

#endif /* PERF_XP_BENCH_RACK_H */
