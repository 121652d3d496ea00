/* SPDX-License-Identifier: Apache-2.0
 * perf/launch-bench.c - calls: what a launch costs the program, natively and remotely.
 *
 *     launch-bench [--quick] [--json]
 *
 * Rows of one run, native and remote in turn. Exit status: 0 measured, 1 failed, 2 misused; a
 * missed budget is only reported.
 */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "perf/bench-row.h"
#include "perf/cuda-bench-side.h"

enum { PAIRS = 31, PAIRS_QUICK = 9 };

static const struct {
    const char *name, *ask, *unit;
    enum bench_side_kind kind;
    unsigned size, times;
    double limit_us; /* 0: native's, in the same pair */
    double budget;
} asked[] = {
    {"posted cuLaunchKernel, client CPU, 0.5 us", "launch-cpu", "us", SIDE_SAME_HOST, 2000, 1, 0.5,
     1},
    {"the same over a rail", "launch-cpu", "us", SIDE_RAIL, 2000, 1, 0.5, 1},
    {"20000 launches, one sync, same host", "launches", "us", SIDE_SAME_HOST, 20000, 1, 0, 0},
    {"100 launches, one sync, same host", "launches", "us", SIDE_SAME_HOST, 100, 20, 0, 1.5},
    {"100 launches, one sync, one rail", "launches", "us", SIDE_RAIL, 100, 20, 0, 1.5},
    {"launch and sync, same host", "launch-sync", "us", SIDE_SAME_HOST, 1, 200, 0, 0},
    {"launch and sync, one rail", "launch-sync", "us", SIDE_RAIL, 1, 200, 0, 0},
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
 * that makes it. Few enough that no launch waits for room in the driver. */
static void measure_worker(struct bench_side *side)
{
    enum { LAUNCHES = 500, TIMES = 10 };
    double before_us, ours = 0, limit = 0;

    for (int i = 0; i < TIMES; i++) {
        before_us = bench_side_worker_us(&side[SIDE_SAME_HOST]);
        if (before_us <= 0 ||
            bench_side_ask(&side[SIDE_SAME_HOST], "launches-alone", LAUNCHES, 1) <= 0)
            break;
        ours += bench_side_worker_us(&side[SIDE_SAME_HOST]) - before_us;
        limit += bench_side_ask(&side[SIDE_NATIVE], "launch-cpu", LAUNCHES, 1);
    }
    bench_row_add(&rows[ROW_WORKER], ours / (LAUNCHES * TIMES),
                  limit > 0 ? limit / TIMES + 0.5 : 0);
}

int main(int argc, char **argv)
{
    struct bench_side side[SIDE_COUNT] = {0};
    bool json = false, quick = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            quick = true;
        } else {
            fprintf(stderr, "usage: launch-bench [--quick] [--json]\n");
            return 2;
        }
    }
    for (int kind = 0; kind <= SIDE_RAIL; kind++) {
        if (!bench_side_open(&side[kind], (enum bench_side_kind)kind, 1))
            return 1;
    }
    for (unsigned pair = 0; pair < (quick ? PAIRS_QUICK : PAIRS); pair++) {
        for (size_t i = 0; i < FAB_ARRAY_LEN(asked); i++)
            measure_row(side, i);
        measure_worker(side);
    }
    if (json)
        (void)printf("[\n");
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++)
        bench_row_print(&rows[i], json, i + 1 == FAB_ARRAY_LEN(rows));
    if (json)
        (void)printf("]\n");
    for (int kind = 0; kind < SIDE_COUNT; kind++)
        bench_side_close(&side[kind]);
    return 0;
}
