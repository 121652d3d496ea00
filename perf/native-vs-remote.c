/* SPDX-License-Identifier: Apache-2.0
 * perf/native-vs-remote.c - copies, programs and attach: native, same host, one rail, two rails.
 *
 *     native-vs-remote [--quick] [--json] [--rack] [--driver FILE] [--pairs N] [--part NAME]...
 *
 * Every remote row stands beside the native figure of the same pair. Copies are rates (higher is
 * better), programs and attach are times. Rails are the loopback device here; --rack measures
 * copies alone, over rails of a limited rate and between nodes, on hosts that tests/rack/rack.sh
 * makes. --driver: on GPUs of that libcuda.so.1 instead of softcuda, without what only softcuda or
 * more GPUs than its first give. --part: those rows alone (fast, limited, rails, peer: of the
 * rack). Exit status: 0 measured, 1 failed, 2 misused, 77 where the machine forbids namespaces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/compiler.h"
#include "perf/bench-options.h"
#include "perf/bench-row.h"
#include "perf/cuda-bench-side.h"
#include "perf/native-vs-remote-rack.h"
#include "perf/xp-bench-rack.h"

enum { MIB = 1 << 20, PAIRS = 31, PAIRS_QUICK = 5, ROWS_MAX = 96, RACK_HOSTS = 3 };

enum part { PART_COPIES, PART_PROGRAMS, PART_ATTACH, PARTS_HERE };
static const char *const parts[] = {
    [PART_COPIES] = "copies",
    [PART_PROGRAMS] = "programs",
    [PART_ATTACH] = "attach",
    [PARTS_HERE + BENCH_RACK_FAST] = "fast",
    [PARTS_HERE + BENCH_RACK_LIMITED] = "limited",
    [PARTS_HERE + BENCH_RACK_RAILS] = "rails",
    [PARTS_HERE + BENCH_RACK_PEER] = "peer",
};

/* softcuda's devices that compute, those that only take time, a driver's GPUs. */
enum devices { COMPUTING = 1, TIMED = 2, GPUS = 4 };

static const struct {
    enum part part;
    const char *name, *ask;
    unsigned size, times;
    bool is_rate;
    unsigned devices;          /* on which it is measured */
    double budget[SIDE_COUNT]; /* of the ratio to native (rates: to memcpy); 0: reported */
} asked[] = {
    {PART_COPIES, "copy 8 B in, pageable", "in-pageable", 8, 200, false, COMPUTING | GPUS, {0}},
    {PART_COPIES, "copy 64 KiB in, pinned", "in-pinned", 65536, 50, true, COMPUTING | GPUS, {0}},
    {PART_COPIES, "copy 1 MiB in, pinned", "in-pinned", MIB, 10, true, COMPUTING | GPUS, {0}},
    {PART_COPIES,
     "copy 64 MiB in, pinned",
     "in-pinned",
     64 * MIB,
     1,
     true,
     COMPUTING | GPUS,
     {0, 0.85, 0, 0}},
    {PART_COPIES,
     "copy 64 MiB out, pinned",
     "out-pinned",
     64 * MIB,
     1,
     true,
     COMPUTING | GPUS,
     {0, 0.85, 0, 0}},
    {PART_COPIES,
     "copy 64 MiB in, pageable",
     "in-pageable",
     64 * MIB,
     1,
     true,
     COMPUTING | GPUS,
     {0}},
    {PART_COPIES,
     "copy 64 MiB out, pageable",
     "out-pageable",
     64 * MIB,
     1,
     true,
     COMPUTING | GPUS,
     {0}},
    {PART_COPIES,
     "copy 256 MiB in, pinned",
     "in-pinned",
     256 * MIB,
     1,
     true,
     COMPUTING | GPUS,
     {0}},
    {PART_PROGRAMS, "20 matrix products", "matmul", 20, 1, false, COMPUTING, {0, 1.1, 1.1, 1.1}},
    {PART_PROGRAMS,
     "100 launches and a sync, 20 times",
     "launches",
     100,
     20,
     false,
     COMPUTING | GPUS,
     {0, 1.5, 1.5, 1.5}},
    {PART_PROGRAMS,
     "100 launches of 3 us and a sync, 20 times",
     "launches",
     100,
     20,
     false,
     TIMED,
     {0, 1.5, 1.5, 1.5}},
    {PART_PROGRAMS, "5000 matrix products", "matmul", 5000, 1, false, GPUS, {0, 1.1, 1.1, 1.1}},
};

static struct bench_options options;
static struct bench_row rows[ROWS_MAX];
static char names[ROWS_MAX][96];
static size_t row_count;

static struct bench_row *row_of(size_t index, const char *name, const char *side, const char *unit)
{
    struct bench_row *row = &rows[index];

    if (!row->name) {
        (void)snprintf(names[index], sizeof(names[index]), "%s, %s", name, side);
        row->name = names[index];
        row->unit = unit;
        if (index >= row_count)
            row_count = index + 1;
    }
    return row;
}

/* MB/s for rates. */
static double value(struct bench_side *side, size_t i, const char *ask)
{
    double us = bench_side_ask(side, ask, asked[i].size, asked[i].times);

    return asked[i].is_rate && us > 0 ? asked[i].size / us : us;
}

static void measure_pair(struct bench_side *side, enum devices devices)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(asked); i++) {
        if (!(options.parts & 1U << asked[i].part) || !(asked[i].devices & devices))
            continue;
        /* A copy's limit is the machine's memory; a program's is itself, natively. */
        double limit = value(&side[SIDE_NATIVE], i, asked[i].is_rate ? "memcpy" : asked[i].ask);

        for (size_t kind = 0; kind < SIDE_COUNT; kind++) {
            struct bench_row *row = row_of(i * SIDE_COUNT + kind, asked[i].name, side[kind].name,
                                           asked[i].is_rate ? "MB/s" : "us");

            row->budget = asked[i].budget[kind];
            row->at_least = asked[i].is_rate;
            bench_row_add(row, value(&side[kind], i, asked[i].ask), limit);
        }
    }
}

/* A program's start, until it has a context, and its end: over native. */
static void measure_attach(unsigned nodes, unsigned devices, double budget_ms, size_t index)
{
    double native = bench_side_attach_ms(SIDE_NATIVE, 1, 1, options.driver);
    double remote = bench_side_attach_ms(SIDE_RAIL, nodes, devices, options.driver);
    char name[64];

    (void)snprintf(name, sizeof(name), "attach %u GPUs on %u nodes over native, %g ms",
                   nodes * devices, nodes, budget_ms);
    struct bench_row *row = row_of(index, name, "one rail", "ms");

    row->budget = 1;
    bench_row_add(row, remote > 0 && native > 0 ? remote - native : 0, budget_ms);
}

static bool open_sides(struct bench_side *side)
{
    for (int kind = 0; kind < SIDE_COUNT; kind++) {
        if (!bench_side_open(&side[kind], (enum bench_side_kind)kind, 1, options.driver))
            return false;
    }
    return true;
}

/* The same on devices whose launches last 3 us and take no core: an empty one on a GPU takes about
 * that. */
static bool open_timed_sides(struct bench_side *side)
{
    static const char config[] = "devices = ( { time = \"only\"; launch_overhead = \"3us\"; } );\n";
    char path[] = "/tmp/native-vs-remote-XXXXXX";
    int fd = mkstemp(path);
    bool is_open;

    if (fd < 0)
        return false;
    is_open = write(fd, config, sizeof(config) - 1) == sizeof(config) - 1 &&
              setenv("SOFTCUDA_CONFIG", path, 1) == 0 && open_sides(side);
    (void)unsetenv("SOFTCUDA_CONFIG");
    (void)unlink(path); /* all have read it */
    (void)close(fd);
    return is_open;
}

static bool measure_sides(enum devices devices)
{
    struct bench_side side[SIDE_COUNT] = {0};

    if (!(devices == TIMED ? open_timed_sides(side) : open_sides(side)))
        return false;
    for (unsigned pair = 0; pair < options.pairs; pair++)
        measure_pair(side, devices);
    for (int kind = 0; kind < SIDE_COUNT; kind++)
        bench_side_close(&side[kind]);
    return true;
}

static bool measure_here(void)
{
    const size_t attach = FAB_ARRAY_LEN(asked) * SIDE_COUNT;

    if (options.parts & (1U << PART_COPIES | 1U << PART_PROGRAMS) &&
        !measure_sides(options.driver ? GPUS : COMPUTING))
        return false;
    if (options.parts & 1U << PART_PROGRAMS && !options.driver && !measure_sides(TIMED))
        return false;
    for (unsigned pair = 0; options.parts & 1U << PART_ATTACH && pair < options.pairs; pair++) {
        measure_attach(1, 1, 150, attach);
        if (options.driver)
            continue;
        measure_attach(4, 4, 150, attach + 1);
        measure_attach(16, 4, 300, attach + 2);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_usage usage = {.program = "native-vs-remote",
                                             .takes_driver = true,
                                             .flag = "--rack",
                                             .parts = parts,
                                             .part_count = FAB_ARRAY_LEN(parts),
                                             .pairs = PAIRS,
                                             .pairs_quick = PAIRS_QUICK};
    const unsigned parts_here = (1U << PARTS_HERE) - 1;
    struct bench_row *shown = rows;
    size_t count;

    if (!bench_options_parse(&usage, argc, argv, &options))
        return 2;
    if (!(options.parts & (options.flag ? ~parts_here : parts_here))) {
        fprintf(stderr, "native-vs-remote: these parts are measured %s --rack\n",
                options.flag ? "without" : "with");
        return 2;
    }
    if (options.flag && options.driver) {
        fprintf(stderr, "native-vs-remote: --rack measures on softcuda, not with --driver\n");
        return 2;
    }
    if (options.flag && !getenv("RACK_RUN")) {
        bench_enter_rack(RACK_HOSTS, argc, argv);
        return 1;
    }
    if (options.flag)
        shown = bench_rack_rows(options.parts >> PARTS_HERE, options.pairs, options.quick, &count);
    else if (!measure_here())
        return 1;
    else
        count = row_count;
    if (!shown)
        return 1;
    bench_rows_print(shown, count, options.json);
    return 0;
}
