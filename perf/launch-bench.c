/* SPDX-License-Identifier: Apache-2.0
 * perf/launch-bench.c - calls: what a launch costs the program, natively and remotely.
 *
 *     launch-bench [--quick] [--json] [--driver FILE] [--pairs N] [--part NAME]...
 *
 * Rows of one run, native and remote in turn; --part: those rows alone. Exit status: 0 measured, 1
 * failed, 2 misused; a missed budget is only reported.
 */
#include <stdio.h>

#include "base/compiler.h"
#include "perf/bench-options.h"
#include "perf/bench-row.h"
#include "perf/cuda-bench-side.h"

enum {
    PAIRS = 31,
    PAIRS_QUICK = 9,
    POSTS = 500, /* few enough that no launch waits for room in the driver */
};

enum part { PART_POSTS, PART_SYNC, PART_WORKER };
static const char *const parts[] = {
    [PART_POSTS] = "posts", [PART_SYNC] = "sync", [PART_WORKER] = "worker"};

static const struct {
    enum part part;
    const char *name, *ask, *unit;
    enum bench_side_kind kind;
    unsigned size, times;
    double limit_us; /* 0: native's, in the same pair */
    double budget;
} asked[] = {
    {PART_POSTS, "posted cuLaunchKernel, client CPU, 0.5 us", "launch-cpu", "us", SIDE_SAME_HOST,
     POSTS, 1, 0.5, 1},
    {PART_POSTS, "the same over a rail", "launch-cpu", "us", SIDE_RAIL, POSTS, 1, 0.5, 1},
    {PART_SYNC, "20000 launches, one sync, same host", "launches", "us", SIDE_SAME_HOST, 20000, 1,
     0, 0},
    {PART_SYNC, "launch and sync, same host", "launch-sync", "us", SIDE_SAME_HOST, 1, 200, 0, 0},
    {PART_SYNC, "launch and sync, one rail", "launch-sync", "us", SIDE_RAIL, 1, 200, 0, 0},
    {PART_SYNC, "launch, event and wait, same host", "launch-event", "us", SIDE_SAME_HOST, 1, 200,
     0, 0},
    {PART_SYNC, "launch, event and wait, one rail", "launch-event", "us", SIDE_RAIL, 1, 200, 0, 0},
};
enum { ROW_WORKER = FAB_ARRAY_LEN(asked), ROW_COUNT };
static struct bench_row rows[ROW_COUNT] = {
    [ROW_WORKER] = {.name = "a launch in the worker, CPU, native's + 0.5 us",
                    .unit = "us",
                    .budget = 1},
};

static void measure_row(struct bench_side *side, size_t i)
{
    double ours = bench_side_ask(&side[asked[i].kind], asked[i].ask, asked[i].size, asked[i].times);
    double limit = asked[i].limit_us;

    if (limit == 0)
        limit = bench_side_ask(&side[SIDE_NATIVE], asked[i].ask, asked[i].size, asked[i].times);
    rows[i].name = asked[i].name;
    rows[i].unit = asked[i].unit;
    rows[i].budget = asked[i].budget;
    bench_row_add(&rows[i], ours, limit);
}

/* CPU of the thread that executes commands, beside what the driver's own launch takes of the thread
 * that makes it. */
static void measure_worker(struct bench_side *side)
{
    enum { TIMES = 10 };
    double before_us, ours = 0, limit = 0;

    for (int i = 0; i < TIMES; i++) {
        before_us = bench_side_worker_us(&side[SIDE_SAME_HOST]);
        if (before_us <= 0 ||
            bench_side_ask(&side[SIDE_SAME_HOST], "launches-alone", POSTS, 1) <= 0)
            break;
        ours += bench_side_worker_us(&side[SIDE_SAME_HOST]) - before_us;
        limit += bench_side_ask(&side[SIDE_NATIVE], "launch-cpu", POSTS, 1);
    }
    bench_row_add(&rows[ROW_WORKER], ours / (POSTS * TIMES), limit > 0 ? limit / TIMES + 0.5 : 0);
}

int main(int argc, char **argv)
{
    static const struct bench_usage usage = {.program = "launch-bench",
                                             .takes_driver = true,
                                             .parts = parts,
                                             .part_count = FAB_ARRAY_LEN(parts),
                                             .pairs = PAIRS,
                                             .pairs_quick = PAIRS_QUICK};
    struct bench_side side[SIDE_COUNT] = {0};
    struct bench_options options;

    if (!bench_options_parse(&usage, argc, argv, &options))
        return 2;
    for (int kind = 0; kind <= SIDE_RAIL; kind++) {
        if (!bench_side_open(&side[kind], (enum bench_side_kind)kind, 1, options.driver))
            return 1;
    }
    for (unsigned pair = 0; pair < options.pairs; pair++) {
        for (size_t i = 0; i < FAB_ARRAY_LEN(asked); i++) {
            if (options.parts & 1U << asked[i].part)
                measure_row(side, i);
        }
        if (options.parts & 1U << PART_WORKER)
            measure_worker(side);
    }
    bench_rows_print(rows, ROW_COUNT, options.json);
    for (int kind = 0; kind < SIDE_COUNT; kind++)
        bench_side_close(&side[kind]);
    return 0;
}
