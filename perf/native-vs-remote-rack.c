/* SPDX-License-Identifier: Apache-2.0
 * perf/native-vs-remote-rack.c - see native-vs-remote-rack.h.
 *
 * At a limited rate the wire is the limit, so foreign programs on the same rail are. As fast as the
 * machine, the copies that a path cannot do without (the bytes come into the worker's memory and
 * go from there to the device) share the cores with the wire: then the limit is raw UCX and one
 * memcpy one after the other.
 */
#include "perf/native-vs-remote-rack.h"

#include <stdio.h>
#include <string.h>

#include "perf/cuda-bench-side.h"
#include "perf/xp-bench-rack.h"

enum { MIB = 1 << 20, CHUNK = 4 * MIB, SIZE = 64 * MIB };

enum row_name {
    ROW_IN,
    ROW_OUT,
    ROW_PAGEABLE_IN,
    ROW_TWO,
    ROW_PEER,
    ROW_TOUCHED,
    ROW_FAST_IN,
    ROW_FAST_OUT,
    ROW_FAST_PEER,
    ROW_COUNT
};

static struct bench_row rows[ROW_COUNT] = {
    [ROW_IN] = {.name = "64 MiB in, 1 Gbit/s, iperf3", .unit = "MB/s", .budget = 0.98},
    [ROW_OUT] = {.name = "64 MiB out, 1 Gbit/s, iperf3", .unit = "MB/s", .budget = 0.98},
    [ROW_PAGEABLE_IN] = {.name = "64 MiB in, pageable, 1 Gbit/s, iperf3",
                         .unit = "MB/s",
                         .budget = 0.98},
    [ROW_TWO] = {.name = "256 MiB in, two rails of 1 Gbit/s, one", .unit = "MB/s", .budget = 1.9},
    [ROW_PEER] = {.name = "64 MiB node to node, 1 Gbit/s, ucp_am_bw",
                  .unit = "MB/s",
                  .budget = 0.95},
    [ROW_TOUCHED] = {.name = "of these bytes at the client, 1 %", .unit = "%", .budget = 1},
    [ROW_FAST_IN] = {.name = "64 MiB in, unlimited, ucp_am_bw and memcpy",
                     .unit = "MB/s",
                     .budget = 0.95},
    [ROW_FAST_OUT] = {.name = "64 MiB out, unlimited, ucp_am_bw and memcpy",
                      .unit = "MB/s",
                      .budget = 0.95},
    [ROW_FAST_PEER] = {.name = "64 MiB node to node, unlimited, ucp_am_bw", .unit = "MB/s"},
};

struct sides {
    struct bench_side one, two, nodes; /* one rail; two rails; two nodes on one rail */
};

/* MB/s of a copy. */
static double rate(struct bench_side *side, const char *ask, unsigned size)
{
    double us = bench_side_ask(side, ask, size, 1);

    return us > 0 ? size / us : 0;
}

/* What has passed this host's rails, both ways. */
static double rail_bytes(void)
{
    FILE *file = fopen("/proc/self/net/dev", "re");
    double bytes = 0, in, out;
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        const char *name = strstr(line, "rail");

        if (name && sscanf(name, "rail%*u: %lf %*u %*u %*u %*u %*u %*u %*u %lf", &in, &out) == 2)
            bytes += in + out;
    }
    if (file)
        (void)fclose(file);
    return bytes;
}

static void measure_peer(struct bench_side *side, enum row_name row, double limit)
{
    double before = rail_bytes(), ours = rate(side, "peer", SIZE);
    double touched = (rail_bytes() - before) / SIZE * 100;

    bench_row_add(&rows[row], ours, limit);
    if (row == ROW_PEER && ours > 0)
        bench_row_add(&rows[ROW_TOUCHED], touched, 1);
}

static double raw_ucx(void)
{
    return bench_perftest_bandwidth(CHUNK, SIZE / CHUNK) / 1e6;
}

static void measure_limited(struct sides *sides, unsigned parts, unsigned pairs)
{
    for (unsigned i = 0; i < pairs; i++) {
        if (parts & 1U << BENCH_RACK_LIMITED) {
            double wire = bench_iperf3(0, 1) / 1e6;

            bench_row_add(&rows[ROW_IN], rate(&sides->one, "in-pinned", SIZE), wire);
            bench_row_add(&rows[ROW_OUT], rate(&sides->one, "out-pinned", SIZE), wire);
            bench_row_add(&rows[ROW_PAGEABLE_IN], rate(&sides->one, "in-pageable", SIZE), wire);
        }
        if (parts & 1U << BENCH_RACK_RAILS)
            bench_row_add(&rows[ROW_TWO], rate(&sides->two, "in-pinned", 4 * SIZE),
                          rate(&sides->one, "in-pinned", SIZE));
        if (parts & 1U << BENCH_RACK_PEER)
            measure_peer(&sides->nodes, ROW_PEER, raw_ucx());
    }
}

static void measure_unlimited(struct sides *sides, unsigned pairs)
{
    for (unsigned i = 0; i < pairs; i++) {
        double ucx = raw_ucx(), memory = rate(&sides->one, "memcpy", SIZE);
        double both = ucx > 0 && memory > 0 ? 1 / (1 / ucx + 1 / memory) : 0;

        bench_row_add(&rows[ROW_FAST_IN], rate(&sides->one, "in-pinned", SIZE), both);
        bench_row_add(&rows[ROW_FAST_OUT], rate(&sides->one, "out-pinned", SIZE), both);
        measure_peer(&sides->nodes, ROW_FAST_PEER, ucx);
    }
}

struct bench_row *bench_rack_rows(unsigned parts, unsigned pairs, bool quick, size_t *count_out)
{
    struct sides sides;

    for (int i = 0; i < ROW_COUNT; i++)
        rows[i].at_least = i != ROW_TOUCHED;
    if (!bench_side_open(&sides.one, SIDE_RAIL, 1, NULL) ||
        !bench_side_open(&sides.two, SIDE_RAILS, 1, NULL) ||
        !bench_side_open(&sides.nodes, SIDE_RAIL, 2, NULL))
        return NULL;
    (void)rate(&sides.nodes, "peer", SIZE); /* the nodes get to know each other */
    if (parts & 1U << BENCH_RACK_FAST)
        measure_unlimited(&sides, pairs);
    if (!bench_set_rate(0, "1gbit") || !bench_set_rate(1, "1gbit")) {
        fprintf(stderr, "native-vs-remote: tc failed\n");
        return NULL;
    }
    measure_limited(&sides, parts, quick ? 2 : pairs); /* seconds each, and hardly any noise */
    bench_side_close(&sides.one);
    bench_side_close(&sides.two);
    bench_side_close(&sides.nodes);
    *count_out = ROW_COUNT;
    return rows;
}
