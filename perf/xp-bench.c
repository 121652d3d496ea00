/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench.c - the transport beside ucx_perftest, iperf3, memcpy and a bare ring.
 *
 *     xp-bench [--quick] [--json] [--same-host] [--pin] [--pairs N] [--part NAME]...
 *
 * --part measures that part only (the table below names them), and may be repeated. --pin: each
 * end on a core of its own, for a machine that has other work (the limits find theirs). Runs on two
 * hosts with two rails made by tests/rack/rack.sh, which it starts itself; the rows of one host
 * (--same-host: only these) need none. A pair is one measurement of ours and one of the limit, one
 * after the other. Exit status: 0 measured, 1 failed, 2 misused, 77 where the machine forbids
 * namespaces; a missed budget is only reported.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/parse.h"
#include "perf/bench-row.h"
#include "perf/xp-bench-local.h"
#include "perf/xp-bench-rack.h"
#include "perf/xp-bench-work.h"

enum {
    MIB = BENCH_MIB,
    CHUNK = 4 * MIB,
    PAIRS = 31,
    PAIRS_QUICK = 5,
    SPIN_US = 50,
    SIZES = 4,
};

#define LARGEST ((size_t)512 * MIB)

/* What --part chooses: the parts of one host have the bits of enum bench_local_part. */
enum {
    PART_TCP = 1 << 8,
    PART_LIMITED = 1 << 9,
    PART_BESIDE = 1 << 10,
    PART_CUT = 1 << 11,
    PART_LOSSES = 1 << 12,
    PARTS_LOCAL = PART_TCP - 1, /* and all above */
};
static const struct part {
    const char *name;
    unsigned bits;
} parts[] = {
    {"calls", BENCH_LOCAL_CALLS},
    {"copies", BENCH_LOCAL_COPIES},
    {"idle", BENCH_LOCAL_IDLE},
    {"killed", BENCH_LOCAL_KILLED},
    {"tcp", PART_TCP},
    {"limited", PART_LIMITED},
    {"beside", PART_BESIDE},
    {"cut", PART_CUT},
    {"losses", PART_LOSSES},
};

static struct {
    bool quick, json, same_host, pin;
    unsigned pairs, parts;
} options;

enum row_name {
    ROW_CALL,
    ROW_POSTS,
    ROW_BULK_UCX,
    ROW_BULK_TCP,
    ROW_IDLE,
    ROW_LIMITED,
    ROW_ONE_SIZES, /* one for each of sizes[] */
    ROW_TWO_SIZES = ROW_ONE_SIZES + SIZES,
    ROW_BESIDE = ROW_TWO_SIZES + SIZES,
    ROW_TWO,
    ROW_UNEQUAL,
    ROW_CUT,
    ROW_KILLED,
    ROW_SILENT_BUSY,
    ROW_SILENT_IDLE,
    ROW_COUNT
};

static struct bench_row rows[ROW_COUNT] = {
    [ROW_CALL] = {.name = "call 8 B, 2 x ucp_am_lat", .unit = "us", .budget = 1.25},
    [ROW_POSTS] = {.name = "posts 64 B, 5 M/s", .unit = "M/s", .budget = 1, .at_least = true},
    [ROW_BULK_UCX] = {.name = "bulk, ucp_am_bw 4 MiB",
                      .unit = "MB/s",
                      .budget = 0.95,
                      .at_least = true},
    [ROW_BULK_TCP] = {.name = "bulk, iperf3", .unit = "MB/s", .budget = 0.85, .at_least = true},
    [ROW_LIMITED] = {.name = "bulk at 1 Gbit/s, iperf3",
                     .unit = "MB/s",
                     .budget = 0.98,
                     .at_least = true},
    [ROW_IDLE] = {.name = "idle over tcp, 0.1 % of a core", .unit = "%", .budget = 1},
    [ROW_ONE_SIZES] = {.name = "64 KiB, one rail of 1 Gbit/s", .unit = "MB/s"},
    [ROW_ONE_SIZES + 1] = {.name = "1 MiB, one rail", .unit = "MB/s"},
    [ROW_ONE_SIZES + 2] = {.name = "16 MiB, one rail", .unit = "MB/s"},
    [ROW_ONE_SIZES + 3] = {.name = "256 MiB, one rail", .unit = "MB/s"},
    [ROW_TWO_SIZES] = {.name = "64 KiB, two rails of 1 Gbit/s", .unit = "MB/s"},
    [ROW_TWO_SIZES + 1] = {.name = "1 MiB, two rails", .unit = "MB/s"},
    [ROW_TWO_SIZES + 2] = {.name = "16 MiB, two rails", .unit = "MB/s"},
    [ROW_TWO_SIZES + 3] = {.name = "256 MiB, two rails", .unit = "MB/s"},
    [ROW_BESIDE] = {.name = "slowest call beside bulk, 5 ms", .unit = "ms", .budget = 1},
    [ROW_TWO] = {.name = "two rails of 1 Gbit/s, one",
                 .unit = "MB/s",
                 .budget = 1.9,
                 .at_least = true},
    [ROW_UNEQUAL] = {.name = "1 + 0.4 Gbit/s, sum of iperf3",
                     .unit = "MB/s",
                     .budget = 0.9,
                     .at_least = true},
    [ROW_CUT] = {.name = "1 s after a cut, one rail",
                 .unit = "MB/s",
                 .budget = 0.9,
                 .at_least = true},
    [ROW_KILLED] = {.name = "killed peer, 200 ms", .unit = "ms", .budget = 1},
    [ROW_SILENT_BUSY] = {.name = "silent link with data, 2 s", .unit = "ms", .budget = 1},
    [ROW_SILENT_IDLE] = {.name = "silent link idle, 3 s", .unit = "ms", .budget = 1},
};

static const uint64_t sizes[SIZES] = {64 << 10, MIB, (uint64_t)16 * MIB, (uint64_t)256 * MIB};

static uint8_t *memory; /* of the largest transfer */

static struct ucx_place place_of(unsigned rails)
{
    return (struct ucx_place){.devices = {"rail0", rails > 1 ? "rail1" : NULL}, .spin_us = SPIN_US};
}

static void pair_start(struct bench_pair *pair, unsigned rails)
{
    struct ucx_place there = place_of(rails);
    char netns[64];

    (void)snprintf(netns, sizeof(netns), "%s/2.net", getenv("RACK_RUN"));
    there.netns = netns;
    bench_pair_start(pair, &there);
}

static void pair_connect(struct bench_pair *pair, unsigned rails)
{
    struct ucx_place here = place_of(rails);

    bench_pair_connect(pair, &here);
}

static void pair_open(struct bench_pair *pair, unsigned rails)
{
    pair_start(pair, rails);
    pair_connect(pair, rails);
}

/* ---------------------------------------------------------------- as fast as the machine */

static void measure_unlimited(void)
{
    enum { SIZE = 64 * MIB };
    struct bench_pair pair;

    pair_open(&pair, 1);
    (void)bench_bulk_rate(&pair, memory, SIZE);
    for (unsigned i = 0; i < options.pairs; i++) {
        double bulk, ucx;

        bench_row_add(&rows[ROW_CALL], bench_call_median_us(&pair, 0),
                      2 * bench_perftest_latency_us(8, 1000));
        bench_row_add(&rows[ROW_POSTS],
                      bench_posts_rate(&pair, options.quick ? 500000 : 2000000) / 1e6, 5);
        bulk = bench_bulk_rate(&pair, memory, SIZE);
        ucx = bench_perftest_bandwidth(CHUNK, SIZE / CHUNK);
        bench_row_add(&rows[ROW_BULK_UCX], bulk / 1e6, ucx / 1e6);
        bench_row_add(&rows[ROW_BULK_TCP], bulk / 1e6, bench_iperf3(0, 1) / 1e6);
    }
    bench_row_add(&rows[ROW_IDLE], bench_idle_percent(&pair, options.quick ? 2000 : 5000), 0.1);
    bench_pair_close(&pair);
}

/* ---------------------------------------------------------------- rate-limited */

/* Beside what iperf3 gets out of so many rails. */
static void measure_sizes(struct bench_pair *pair, unsigned first_row, unsigned rails)
{
    double limit = rails * bench_median(rows[ROW_LIMITED].limit, rows[ROW_LIMITED].pair_count);

    for (unsigned i = 0; i < SIZES; i++) {
        unsigned count = options.quick ? 3 : options.pairs;

        if (sizes[i] > (uint64_t)16 * MIB)
            count = options.quick ? 1 : 3; /* seconds each, and hardly any noise */
        for (unsigned k = 0; k < count; k++)
            bench_row_add(&rows[first_row + i], bench_bulk_rate(pair, memory, sizes[i]) / 1e6,
                          limit);
    }
}

static void measure_limited(void)
{
    const uint64_t size = (options.quick ? 64 : 256) * (uint64_t)MIB;
    const unsigned rounds = options.quick ? 2 : options.pairs, seconds = options.quick ? 1 : 3;
    struct bench_pair one, two;

    pair_start(&one, 1);
    pair_start(&two, 2);
    pair_connect(&one, 1);
    pair_connect(&two, 2);
    for (unsigned i = 0; i < rounds; i++) {
        double alone = bench_bulk_rate(&one, memory, size);

        bench_row_add(&rows[ROW_LIMITED], alone / 1e6, bench_iperf3(0, seconds) / 1e6);
        bench_row_add(&rows[ROW_TWO], bench_bulk_rate(&two, memory, size) / 1e6, alone / 1e6);
    }
    measure_sizes(&one, ROW_ONE_SIZES, 1);
    measure_sizes(&two, ROW_TWO_SIZES, 2);
    if (!bench_set_rate(1, "400mbit"))
        bench_fail("tc");
    for (unsigned i = 0; i < rounds; i++)
        bench_row_add(&rows[ROW_UNEQUAL], bench_bulk_rate(&two, memory, size) / 1e6,
                      (bench_iperf3(0, seconds) + bench_iperf3(1, seconds)) / 1e6);
    if (!bench_set_rate(1, "1gbit"))
        bench_fail("tc");
    bench_pair_close(&two);
    bench_pair_close(&one);
}

static void measure_beside(void)
{
    const uint64_t size = (options.quick ? 128 : 256) * (uint64_t)MIB;
    struct ucx_bulk_args args = bench_transfer(size);
    struct ucx_flight flight;
    struct xp_conn_stats stats;
    struct bench_pair pair;
    double slowest = 0, took;

    pair_open(&pair, 1);
    ucx_bulk_start(&flight, &pair.link, true, memory, &args);
    do {
        took = bench_call_s(&pair);
        slowest = took > slowest ? took : slowest;
        xp_conn_stats(pair.link.conn, &stats);
    } while (stats.rails[0].sent_bytes < size - (uint64_t)4 * CHUNK);
    if (ucx_bulk_wait(&flight))
        bench_row_add(&rows[ROW_BESIDE], slowest * 1e3, 5);
    bench_pair_close(&pair);
}

/* ---------------------------------------------------------------- damage */

static uint64_t sent_bytes(struct bench_pair *pair)
{
    struct xp_conn_stats stats;

    xp_conn_stats(pair->link.conn, &stats);
    return stats.rails[0].sent_bytes + stats.rails[1].sent_bytes;
}

static void set_link(bool up)
{
    if (!bench_set_link(0, 2, up))
        bench_fail("ip link");
}

/* The rate from one second after the cut of the first rail on; 0: the transfer failed. */
static double rate_after_cut(struct bench_pair *pair)
{
    const uint64_t size = 384 * (uint64_t)MIB;
    struct ucx_bulk_args args = bench_transfer(size);
    struct ucx_flight flight;
    uint64_t before = sent_bytes(pair), sent;
    double cut_s;

    ucx_bulk_start(&flight, &pair->link, true, memory, &args);
    while (sent_bytes(pair) - before < (uint64_t)64 * MIB)
        (void)sched_yield();
    set_link(false);
    cut_s = bench_now_s();
    while (bench_now_s() - cut_s < 1)
        bench_pause();
    sent = sent_bytes(pair) - before;
    cut_s = bench_now_s();
    if (!ucx_bulk_wait(&flight))
        return 0;
    return (double)(size - sent) / (bench_now_s() - cut_s);
}

/* A lost rail is tried again after 10 s at the latest. */
static void wait_rails(struct bench_pair *pair, unsigned rails)
{
    enum { UP_LIMIT_S = 60 };
    double start_s = bench_now_s();

    for (unsigned rail = 0; rail < rails;) {
        struct xp_conn_stats stats;

        xp_conn_stats(pair->link.conn, &stats);
        if (stats.rails[rail].up) {
            rail++;
            continue;
        }
        if (bench_now_s() - start_s > UP_LIMIT_S)
            bench_fail("a rail did not come back in 60 s after its link");
        bench_pause();
    }
}

/* Beside what one such rail carries just before. The link, and the rail over it, come back after
 * each cut. */
static void measure_cut(unsigned count)
{
    struct bench_pair one, two;

    pair_start(&one, 1);
    pair_start(&two, 2);
    pair_connect(&one, 1);
    pair_connect(&two, 2);
    for (unsigned i = 0; i < count; i++) {
        double alone;

        wait_rails(&one, 1);
        wait_rails(&two, 2);
        alone = bench_bulk_rate(&one, memory, (uint64_t)128 * MIB);
        bench_row_add(&rows[ROW_CUT], rate_after_cut(&two) / 1e6, alone / 1e6);
        set_link(true);
    }
    bench_pair_close(&two);
    bench_pair_close(&one);
}

static void measure_loss(enum row_name row, double budget_ms, bool kill, bool busy)
{
    struct ucx_bulk_args args = bench_transfer(384 * (uint64_t)MIB);
    struct ucx_flight flight;
    struct bench_pair pair;
    double since_s;

    pair_open(&pair, 1);
    (void)bench_bulk_rate(&pair, memory, (uint64_t)16 * MIB); /* so that there is a usual time */
    if (busy) {
        ucx_bulk_start(&flight, &pair.link, true, memory, &args);
        while (sent_bytes(&pair) < (uint64_t)32 * MIB)
            (void)sched_yield();
    }
    since_s = bench_now_s();
    if (kill)
        ucx_peer_kill(&pair.peer);
    else
        set_link(false);
    bench_row_add(&rows[row], bench_noticed_ms(&pair, since_s), budget_ms);
    xp_conn_condemn(pair.link.conn, FAB_ERR_PEER_LOST, "measured");
    if (busy)
        (void)ucx_bulk_wait(&flight); /* that it failed is no news */
    if (!kill)
        set_link(true);
    ucx_link_close(&pair.link);
    ucx_peer_kill(&pair.peer);
}

/* ---------------------------------------------------------------- main */

static unsigned part_of(const char *name)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++) {
        if (strcmp(parts[i].name, name) == 0)
            return parts[i].bits;
    }
    return 0;
}

static FAB_NORETURN void usage(void)
{
    (void)fprintf(stderr,
                  "usage: xp-bench [--quick] [--json] [--same-host] [--pin] [--pairs 1..%d] "
                  "[--part NAME]...\nparts:",
                  BENCH_PAIRS_MAX);
    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        (void)fprintf(stderr, " %s", parts[i].name);
    (void)fprintf(stderr, "\n");
    exit(2);
}

static void parse(int count, char **arguments)
{
    int64_t pairs = 0;

    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--quick") == 0)
            options.quick = true;
        else if (strcmp(arguments[i], "--json") == 0)
            options.json = true;
        else if (strcmp(arguments[i], "--same-host") == 0)
            options.same_host = true;
        else if (strcmp(arguments[i], "--pin") == 0)
            options.pin = true;
        else if (strcmp(arguments[i], "--part") == 0 && i + 1 < count && part_of(arguments[i + 1]))
            options.parts |= part_of(arguments[++i]);
        else if (strcmp(arguments[i], "--pairs") == 0 && i + 1 < count &&
                 fab_parse_int(arguments[i + 1], &pairs) == FAB_OK && pairs >= 1 &&
                 pairs <= BENCH_PAIRS_MAX)
            i++;
        else {
            usage();
        }
    }
    if (!options.parts)
        options.parts = UINT_MAX;
    if (options.same_host)
        options.parts &= PARTS_LOCAL;
    if (!options.parts)
        usage(); /* --same-host, and parts on rails */
    options.pairs = pairs ? (unsigned)pairs : options.quick ? PAIRS_QUICK : PAIRS;
}

static void measure_rack(void)
{
    const char *reason = ucx_why_not();
    unsigned long_pairs = options.quick ? 1 : options.pairs; /* of what takes seconds */

    memory = malloc(LARGEST);
    if (reason || !memory)
        bench_fail(reason ? reason : "no memory");
    memset(memory, 1, LARGEST);
    if (options.parts & PART_TCP) {
        bench_say("calls, posts and bulk as fast as the machine");
        measure_unlimited();
    }
    if (!bench_set_rate(0, "1gbit") || !bench_set_rate(1, "1gbit"))
        bench_fail("tc");
    if (options.parts & PART_LIMITED) {
        bench_say("rails of 1 and 0.4 Gbit/s");
        measure_limited();
    }
    if (options.parts & PART_BESIDE) {
        bench_say("calls beside bulk");
        for (unsigned i = 0; i < long_pairs; i++)
            measure_beside();
    }
    if (options.parts & PART_CUT) {
        bench_say("cuts");
        measure_cut(long_pairs);
    }
    if (options.parts & PART_LOSSES) {
        bench_say("killed peers and silent links");
        for (unsigned i = 0; i < long_pairs; i++) {
            measure_loss(ROW_KILLED, 200, true, false);
            measure_loss(ROW_SILENT_BUSY, 2000, false, true);
            measure_loss(ROW_SILENT_IDLE, 3000, false, false);
        }
    }
    free(memory);
}

/* The rows of parts that were measured. */
static void print(struct bench_row *local, unsigned local_count)
{
    struct bench_row *shown[ROW_COUNT + 64];
    unsigned count = 0;

    for (unsigned i = 0; i < local_count && i < 64; i++) {
        if (local[i].pair_count || local[i].reason)
            shown[count++] = &local[i];
    }
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].pair_count || rows[i].reason)
            shown[count++] = &rows[i];
    }
    if (options.json)
        (void)printf("[\n");
    for (unsigned i = 0; i < count; i++)
        bench_row_print(shown[i], options.json, i == count - 1);
    if (options.json)
        (void)printf("]\n");
}

static double foreign_round_trip_us(void)
{
    return 2 * bench_perftest_shm_latency_us(8, 10000);
}

int main(int count, char **arguments)
{
    struct bench_row *local;
    unsigned local_count;

    parse(count, arguments);
    if (!options.same_host && !getenv("RACK_RUN")) {
        bench_enter_rack(2, count, arguments);
        bench_fail("tests/rack/rack.sh cannot be started");
    }
    bench_set_child_setup(bench_unpin);
    if (options.pin && !bench_pin_pairs())
        bench_fail("--pin needs two cores");
    local = bench_local(options.parts & PARTS_LOCAL, options.pairs, options.quick,
                        options.same_host ? NULL : foreign_round_trip_us, &local_count);
    if (options.parts > PARTS_LOCAL)
        measure_rack();
    print(local, local_count);
    return 0;
}
