/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench.c - the transport over UCX and tcp beside ucx_perftest and iperf3.
 *
 *     xp-bench [--quick] [--json] [--pairs N]
 *
 * Runs on two hosts with two rails made by tests/rack/rack.sh, which it starts itself. A pair is
 * one measurement of ours and one of the limit, one after the other. Exit status: 0 measured, 1
 * failed, 2 misused, 77 where the machine forbids namespaces; a missed budget is only reported.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/parse.h"
#include "perf/xp-bench-rack.h"
#include "perf/xp-bench-row.h"
#include "perf/xp-peer.h"

enum { MIB = 1 << 20, CHUNK = 4 * MIB, PAIRS = 31, PAIRS_QUICK = 5, SPIN_US = 50 };

#define NS_PER_S 1e9

static struct {
    bool quick, json;
    unsigned pairs;
} options;

enum row_name {
    ROW_CALL,
    ROW_POSTS,
    ROW_BULK_UCX,
    ROW_BULK_TCP,
    ROW_LIMITED,
    ROW_BESIDE,
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

static uint64_t next_id;
static uint8_t *memory; /* of the largest transfer */

static void fail(const char *what)
{
    (void)fprintf(stderr, "xp-bench: %s\n", what);
    exit(1);
}

static double now_s(void)
{
    return (double)fab_clock_now_ns(fab_clock_real()) / NS_PER_S;
}

static void say(const char *what)
{
    (void)fprintf(stderr, "xp-bench: %s ...\n", what);
}

/* ---------------------------------------------------------------- pieces */

struct pair {
    struct ucx_peer peer;
    struct ucx_link link;
};

static struct ucx_place place_of(unsigned rails)
{
    return (struct ucx_place){.devices = {"rail0", rails > 1 ? "rail1" : NULL}, .spin_us = SPIN_US};
}

/* Peers come before any link: a process cannot fork while its UCX is at work. */
static void pair_start(struct pair *pair, unsigned rails)
{
    struct ucx_place there = place_of(rails);
    char netns[64];

    (void)snprintf(netns, sizeof(netns), "%s/2.net", getenv("RACK_RUN"));
    there.netns = netns;
    if (!ucx_peer_start(&pair->peer, &there))
        fail("no peer");
}

static void pair_connect(struct pair *pair, unsigned rails)
{
    struct ucx_place here = place_of(rails);
    struct fab_err err = {0};

    if (!ucx_link_open(&pair->link, &pair->peer, &here, &err))
        fail(err.text);
}

static void pair_open(struct pair *pair, unsigned rails)
{
    pair_start(pair, rails);
    pair_connect(pair, rails);
}

static void pair_close(struct pair *pair)
{
    ucx_link_close(&pair->link);
    (void)ucx_peer_stop(&pair->peer);
}

static struct ucx_bulk_args transfer(uint64_t size_bytes)
{
    return (struct ucx_bulk_args){.id = ++next_id, .size_bytes = size_bytes};
}

/* Bytes per second of one transfer to the peer; 0: it failed. */
static double bulk_rate(struct pair *pair, uint64_t size_bytes)
{
    struct ucx_bulk_args args = transfer(size_bytes);
    double from_s = now_s();

    return ucx_bulk(&pair->link, true, memory, &args) ? (double)size_bytes / (now_s() - from_s) : 0;
}

static double call_s(struct pair *pair)
{
    uint64_t value = 0;
    struct iovec part = {.iov_base = &value, .iov_len = sizeof(value)};
    struct xp_reply reply;
    double from_s = now_s();

    if (xp_call(pair->link.conn, UCX_OP_ECHO, &part, 1, &value, sizeof(value), &reply) != FAB_OK)
        fail("a call failed");
    return now_s() - from_s;
}

/* ---------------------------------------------------------------- as fast as the machine */

static double call_median_us(struct pair *pair)
{
    enum { CALLS = 1000 };
    static double took[CALLS];

    for (int i = 0; i < CALLS; i++)
        took[i] = call_s(pair) * 1e6;
    return bench_median(took, CALLS);
}

static double posts_per_s(struct pair *pair)
{
    static uint64_t sequence;
    uint64_t args[8] = {0}, count = options.quick ? 500000 : 2000000;
    struct iovec part = {.iov_base = args, .iov_len = sizeof(args)};
    struct xp_reply reply;
    double from_s = now_s();

    for (uint64_t i = 0; i < count; i++) {
        args[0] = sequence++;
        while (xp_post(pair->link.conn, UCX_OP_NOTHING, &part, 1, NULL) != FAB_OK) {
            if (xp_wait_room(pair->link.conn, sizeof(args), UINT64_MAX) != FAB_OK)
                fail("posting failed");
        }
    }
    if (xp_call(pair->link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply) != FAB_OK ||
        (uint64_t)reply.result != sequence)
        fail("posts were lost or changed their order");
    return (double)count / (now_s() - from_s);
}

static void measure_unlimited(void)
{
    enum { SIZE = 64 * MIB };
    struct pair pair;

    pair_open(&pair, 1);
    (void)bulk_rate(&pair, SIZE);
    for (unsigned i = 0; i < options.pairs; i++) {
        double bulk, ucx;

        bench_row_add(&rows[ROW_CALL], call_median_us(&pair),
                      2 * bench_perftest_latency_us(8, 1000));
        bench_row_add(&rows[ROW_POSTS], posts_per_s(&pair) / 1e6, 5);
        bulk = bulk_rate(&pair, SIZE);
        ucx = bench_perftest_bandwidth(CHUNK, SIZE / CHUNK);
        bench_row_add(&rows[ROW_BULK_UCX], bulk / 1e6, ucx / 1e6);
        bench_row_add(&rows[ROW_BULK_TCP], bulk / 1e6, bench_iperf3(0, 1) / 1e6);
    }
    pair_close(&pair);
}

/* ---------------------------------------------------------------- rate-limited */

static void measure_limited(void)
{
    const uint64_t size = (options.quick ? 64 : 256) * (uint64_t)MIB;
    const unsigned rounds = options.quick ? 3 : options.pairs;
    struct pair one, two;

    pair_start(&one, 1);
    pair_start(&two, 2);
    pair_connect(&one, 1);
    pair_connect(&two, 2);
    for (unsigned i = 0; i < rounds; i++) {
        double alone = bulk_rate(&one, size);

        bench_row_add(&rows[ROW_LIMITED], alone / 1e6, bench_iperf3(0, 3) / 1e6);
        bench_row_add(&rows[ROW_TWO], bulk_rate(&two, size) / 1e6, alone / 1e6);
    }
    if (!bench_set_rate(1, "400mbit"))
        fail("tc");
    for (unsigned i = 0; i < rounds; i++)
        bench_row_add(&rows[ROW_UNEQUAL], bulk_rate(&two, size) / 1e6,
                      (bench_iperf3(0, 2) + bench_iperf3(1, 2)) / 1e6);
    if (!bench_set_rate(1, "1gbit"))
        fail("tc");
    pair_close(&two);
    pair_close(&one);
}

static void measure_beside(void)
{
    const uint64_t size = (options.quick ? 128 : 512) * (uint64_t)MIB;
    struct ucx_bulk_args args = transfer(size);
    struct ucx_flight flight;
    struct xp_conn_stats stats;
    struct pair pair;
    double slowest = 0, took;

    pair_open(&pair, 1);
    ucx_bulk_start(&flight, &pair.link, true, memory, &args);
    do {
        took = call_s(&pair);
        slowest = took > slowest ? took : slowest;
        xp_conn_stats(pair.link.conn, &stats);
    } while (stats.rails[0].sent_bytes < size - (uint64_t)4 * CHUNK);
    if (ucx_bulk_wait(&flight))
        bench_row_add(&rows[ROW_BESIDE], slowest * 1e3, 5);
    pair_close(&pair);
}

/* ---------------------------------------------------------------- damage */

static uint64_t sent_bytes(struct pair *pair)
{
    struct xp_conn_stats stats;

    xp_conn_stats(pair->link.conn, &stats);
    return stats.rails[0].sent_bytes + stats.rails[1].sent_bytes;
}

static void measure_cut(void)
{
    const uint64_t size = 384 * (uint64_t)MIB;
    struct ucx_bulk_args args = transfer(size);
    struct ucx_flight flight;
    struct pair pair;
    uint64_t sent;
    double cut_s;

    pair_open(&pair, 2);
    ucx_bulk_start(&flight, &pair.link, true, memory, &args);
    while (sent_bytes(&pair) < (uint64_t)64 * MIB)
        (void)sched_yield();
    if (!bench_set_link(0, 2, false))
        fail("ip link");
    cut_s = now_s();
    while (now_s() - cut_s < 1)
        (void)sched_yield();
    sent = sent_bytes(&pair);
    cut_s = now_s();
    if (!ucx_bulk_wait(&flight))
        rows[ROW_CUT].reason = "the transfer failed";
    else
        bench_row_add(&rows[ROW_CUT], (double)(size - sent) / (now_s() - cut_s) / 1e6,
                      bench_median(rows[ROW_LIMITED].ours, rows[ROW_LIMITED].pair_count));
    (void)bench_set_link(0, 2, true);
    pair_close(&pair);
}

/* How long until the first rail is called down, in ms. */
static double noticed_ms(struct pair *pair, double since_s)
{
    while (pair->link.down_ns == 0 && now_s() - since_s < 30)
        (void)sched_yield();
    return pair->link.down_ns ? (double)pair->link.down_ns / 1e6 - since_s * 1e3 : 0;
}

static void measure_loss(enum row_name row, double budget_ms, bool kill, bool busy)
{
    struct ucx_bulk_args args = transfer(384 * (uint64_t)MIB);
    struct ucx_flight flight;
    struct pair pair;
    double since_s;

    pair_open(&pair, 1);
    (void)bulk_rate(&pair, (uint64_t)16 * MIB); /* so that there is a usual time */
    if (busy) {
        ucx_bulk_start(&flight, &pair.link, true, memory, &args);
        while (sent_bytes(&pair) < (uint64_t)32 * MIB)
            (void)sched_yield();
    }
    since_s = now_s();
    if (kill)
        ucx_peer_kill(&pair.peer);
    else if (!bench_set_link(0, 2, false))
        fail("ip link");
    bench_row_add(&rows[row], noticed_ms(&pair, since_s), budget_ms);
    xp_conn_condemn(pair.link.conn, FAB_ERR_PEER_LOST, "measured");
    if (busy)
        (void)ucx_bulk_wait(&flight); /* that it failed is no news */
    if (!kill)
        (void)bench_set_link(0, 2, true);
    ucx_link_close(&pair.link);
    ucx_peer_kill(&pair.peer);
}

/* ---------------------------------------------------------------- main */

static void parse(int count, char **arguments)
{
    int64_t pairs = 0;

    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--quick") == 0)
            options.quick = true;
        else if (strcmp(arguments[i], "--json") == 0)
            options.json = true;
        else if (strcmp(arguments[i], "--pairs") == 0 && i + 1 < count &&
                 fab_parse_int(arguments[i + 1], &pairs) == FAB_OK && pairs >= 1 &&
                 pairs <= BENCH_PAIRS_MAX)
            i++;
        else {
            (void)fprintf(stderr, "usage: xp-bench [--quick] [--json] [--pairs 1..%d]\n",
                          BENCH_PAIRS_MAX);
            exit(2);
        }
    }
    options.pairs = pairs ? (unsigned)pairs : options.quick ? PAIRS_QUICK : PAIRS;
}

/* Starts this program again on host 1 of a rack of its own. */
static void enter_rack(int count, char **arguments)
{
    char self[PATH_MAX], script[] = XP_BENCH_RACK, run[] = "run", hosts[] = "2";
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char **all = calloc((size_t)count + 4, sizeof(*all));

    if (bytes < 0 || !all)
        fail("where am I?");
    self[bytes] = '\0';
    all[0] = script;
    all[1] = run;
    all[2] = hosts;
    all[3] = self;
    for (int i = 1; i < count; i++)
        all[3 + i] = arguments[i];
    (void)execv(script, all);
    fail("tests/rack/rack.sh cannot be started");
}

int main(int count, char **arguments)
{
    const char *reason;

    parse(count, arguments);
    if (!getenv("RACK_RUN"))
        enter_rack(count, arguments);
    reason = ucx_why_not();
    memory = calloc(1, (size_t)512 * MIB);
    if (reason || !memory)
        fail(reason ? reason : "no memory");
    say("calls, posts and bulk as fast as the machine");
    measure_unlimited();
    if (!bench_set_rate(0, "1gbit") || !bench_set_rate(1, "1gbit"))
        fail("tc");
    say("rails of 1 and 0.4 Gbit/s");
    measure_limited();
    say("calls beside bulk");
    measure_beside();
    say("a cut");
    measure_cut();
    say("a killed peer and silent links");
    measure_loss(ROW_KILLED, 200, true, false);
    measure_loss(ROW_SILENT_BUSY, 2000, false, true);
    measure_loss(ROW_SILENT_IDLE, 3000, false, false);
    if (options.json)
        (void)printf("[\n");
    for (int i = 0; i < ROW_COUNT; i++)
        bench_row_print(&rows[i], options.json, i == ROW_COUNT - 1);
    if (options.json)
        (void)printf("]\n");
    free(memory);
    return 0;
}
