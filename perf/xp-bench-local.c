/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-local.c - see xp-bench-local.h.
 */
#include "perf/xp-bench-local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/bench-row.h"
#include "perf/xp-bench-limit.h"
#include "perf/xp-bench-work.h"

enum { SPIN_US = 50, ROUND_TRIPS = 1000, IDLE_US = 1000, LARGEST = 256 * BENCH_MIB };

enum local_row {
    LOCAL_RING,
    LOCAL_CALL,
    LOCAL_CALL_IDLE,
    LOCAL_POSTS,
    LOCAL_PINNED,
    LOCAL_PAGEABLE,
    LOCAL_SIZES, /* one for each of sizes[] */
    LOCAL_SIZES_END = LOCAL_SIZES + 4,
    LOCAL_IDLE = LOCAL_SIZES_END,
    LOCAL_KILLED,
    LOCAL_COUNT
};

static struct bench_row rows[LOCAL_COUNT] = {
    /* The ring is a limit of our own, which must reach 0.95 of a foreign one. */
    [LOCAL_RING] = {.name = "same host: bare ring, UCX's posix", .unit = "us", .budget = 1 / 0.95},
    [LOCAL_CALL] = {.name = "same host: call 8 B, bare ring", .unit = "us", .budget = 2.5},
    [LOCAL_CALL_IDLE] = {.name = "same host: call after 1 ms idle", .unit = "us"},
    [LOCAL_POSTS] = {.name = "same host: posts 64 B, 20 M/s",
                     .unit = "M/s",
                     .budget = 1,
                     .at_least = true},
    [LOCAL_PINNED] = {.name = "same host: pinned 64 MiB, memcpy",
                      .unit = "MB/s",
                      .budget = 0.85,
                      .at_least = true},
    [LOCAL_PAGEABLE] = {.name = "same host: pageable 64 MiB", .unit = "MB/s"},
    [LOCAL_SIZES] = {.name = "same host: pinned 64 KiB", .unit = "MB/s"},
    [LOCAL_SIZES + 1] = {.name = "same host: pinned 1 MiB", .unit = "MB/s"},
    [LOCAL_SIZES + 2] = {.name = "same host: pinned 16 MiB", .unit = "MB/s"},
    [LOCAL_SIZES + 3] = {.name = "same host: pinned 256 MiB", .unit = "MB/s"},
    [LOCAL_IDLE] = {.name = "same host: idle, 0.1 % of a core", .unit = "%", .budget = 1},
    [LOCAL_KILLED] = {.name = "same host: killed peer, 200 ms", .unit = "ms", .budget = 1},
};

static const uint64_t sizes[LOCAL_SIZES_END - LOCAL_SIZES] = {64 << 10, BENCH_MIB, 16 * BENCH_MIB,
                                                              LARGEST};

static const struct ucx_place place = {.same_host = true, .spin_us = SPIN_US};

static void open_pair(struct bench_pair *pair)
{
    bench_pair_start(pair, &place);
    bench_pair_connect(pair, &place);
}

/* What the machine gives changes from second to second (which cores share what), so the foreign
 * limit is taken beside each pair, too. */
static void measure_small(struct bench_pair *pair, unsigned pairs, bool quick,
                          double (*foreign_us)(void))
{
    for (unsigned i = 0; i < pairs; i++) {
        double shm_us = foreign_us ? foreign_us() : 0;
        double ring_us = bench_ring_round_trip_us(ROUND_TRIPS);

        if (foreign_us)
            bench_row_add(&rows[LOCAL_RING], ring_us, shm_us);
        bench_row_add(&rows[LOCAL_CALL], bench_call_median_us(pair, 0), ring_us);
        bench_row_add(&rows[LOCAL_CALL_IDLE], bench_call_median_us(pair, IDLE_US), ring_us);
        bench_row_add(&rows[LOCAL_POSTS], bench_posts_rate(pair, quick ? 1000000 : 4000000) / 1e6,
                      20);
    }
}

/* The limit copies between memory of the same kind: of two memfds, all pages there. */
static void measure_copies(struct bench_pair *pair, unsigned pairs)
{
    enum { SIZE = 64 * BENCH_MIB };
    struct ucx_window from, to;
    uint8_t *pageable = malloc(SIZE);

    if (!pageable || !ucx_window_open(&from, pair->link.node, LARGEST) ||
        !ucx_window_open(&to, pair->link.node, LARGEST))
        bench_fail("no memory");
    memset(from.bytes, 1, LARGEST);
    memset(to.bytes, 2, LARGEST);
    memset(pageable, 3, SIZE);
    pair->link.mem = from.mem;
    (void)bench_bulk_rate(pair, from.bytes, LARGEST); /* the peer's memory gets its pages */
    for (unsigned i = 0; i < pairs; i++) {
        double limit = bench_memcpy_rate(to.bytes, from.bytes, SIZE) / 1e6;

        bench_row_add(&rows[LOCAL_PINNED], bench_bulk_rate(pair, from.bytes, SIZE) / 1e6, limit);
        pair->link.mem = NULL;
        bench_row_add(&rows[LOCAL_PAGEABLE], bench_bulk_rate(pair, pageable, SIZE) / 1e6, limit);
        pair->link.mem = from.mem;
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            limit = bench_memcpy_rate(to.bytes, from.bytes, sizes[s]) / 1e6;
            bench_row_add(&rows[LOCAL_SIZES + s], bench_bulk_rate(pair, from.bytes, sizes[s]) / 1e6,
                          limit);
        }
    }
    pair->link.mem = NULL;
    ucx_window_close(&to);
    ucx_window_close(&from);
    free(pageable);
}

static void measure_killed(void)
{
    struct bench_pair pair;
    double since_s;

    open_pair(&pair);
    (void)bench_call_s(&pair);
    since_s = bench_now_s();
    ucx_peer_kill(&pair.peer);
    bench_row_add(&rows[LOCAL_KILLED], bench_noticed_ms(&pair, since_s), 200);
    ucx_link_close(&pair.link);
}

static void judge_ring(void)
{
    struct bench_row *ring = &rows[LOCAL_RING], *row = &rows[LOCAL_CALL];

    if (row->pair_count == 0)
        return;
    if (ring->pair_count == 0)
        row->reason = "UCX's shared memory was not measured beside the ring";
    else if (bench_median(ring->ratio, ring->pair_count) > ring->budget)
        row->reason = "UCX's shared memory is faster than the ring";
}

struct bench_row *bench_local(unsigned parts, unsigned pairs, bool quick,
                              double (*foreign_us)(void), unsigned *row_count_out)
{
    struct bench_pair pair;

    *row_count_out = LOCAL_COUNT;
    if (!parts)
        return rows;
    bench_say("calls, posts and copies on one host");
    open_pair(&pair);
    if (parts & BENCH_LOCAL_CALLS)
        measure_small(&pair, pairs, quick, foreign_us);
    judge_ring();
    if (parts & BENCH_LOCAL_COPIES)
        measure_copies(&pair, pairs);
    if (parts & BENCH_LOCAL_IDLE)
        bench_row_add(&rows[LOCAL_IDLE], bench_idle_percent(&pair, quick ? 2000 : 5000), 0.1);
    bench_pair_close(&pair);
    for (unsigned i = 0; parts & BENCH_LOCAL_KILLED && i < (quick ? 3 : pairs); i++)
        measure_killed();
    return rows;
}
