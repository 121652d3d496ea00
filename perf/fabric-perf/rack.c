/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/rack.c - bin/fabric-perf-rack: the copy suite in all its ways, beside foreign
 * limits.
 *
 *     fabric-perf-rack FOLDER [OPTION of fabric-perf...]
 *
 * On hosts that tests/rack/rack.sh makes it runs ucx_perftest and iperf3, then fabric-perf
 * natively, on workers of the same host, over one rail and over two, one after the other in the
 * same minutes. FOLDER gets a result of each, report.html and copy-suite.svg. Exit status: 0 done,
 * 1 failed, 2 misused, 77 where the machine forbids namespaces.
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "perf/bench-row.h"
#include "perf/fabric-perf/fp.h"
#include "perf/xp-bench-rack.h"

enum { HOSTS = 3, TIMES = 3, WORDS_MAX = 64 };

extern char **environ;

static char folder[PATH_MAX], build[PATH_MAX];

/* ---- limits ------------------------------------------------------------------------------------
 */

static double latency_us(size_t size)
{
    return 2 * bench_perftest_latency_us(size, 2000); /* it prints half a round trip */
}

static double bandwidth(size_t size)
{
    const size_t many = (128 << 20) / size;

    return bench_perftest_bandwidth(size, many > 20000 ? 20000
                                          : many < 16  ? 16
                                                       : (unsigned)many) /
           1e6;
}

static double stream(size_t size)
{
    (void)size;
    return bench_iperf3(0, 1) / 1e6;
}

/* A row with the median, or with the reason why there is none. */
static bool add_limit(struct fp_result *limits, const char *name, double (*measure)(size_t size),
                      size_t size, bool is_time)
{
    struct fp_row *row = fp_result_add(limits);
    double values[TIMES], median;

    if (!row)
        return false;
    row->key.test = FP_LIMIT;
    row->key.gpus = row->key.streams = 1;
    row->key.size = size;
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    row->iterations = 1;
    row->repeats = TIMES;
    for (int i = 0; i < TIMES; i++) {
        values[i] = measure(size);
        if (values[i] <= 0) {
            (void)snprintf(row->reason, sizeof(row->reason), "it did not run");
            return true;
        }
    }
    median = bench_median(values, TIMES);
    if (is_time) {
        row->us = median;
        row->us_low = values[0];
        row->us_high = values[TIMES - 1];
    } else {
        row->mb_s = median;
    }
    return true;
}

static bool measure_limits(const char *path, int argc, char **argv, struct fab_err *err)
{
    static const size_t short_sizes[] = {8, 4096}, long_sizes[] = {65536, 1 << 20, 4 << 20};
    struct fp_result limits;
    bool done = true;

    fp_result_init(&limits, "limits", argc, argv);
    for (size_t i = 0; i < FAB_ARRAY_LEN(short_sizes); i++)
        done =
            done && add_limit(&limits, "ucp_am_lat, both ways", latency_us, short_sizes[i], true);
    for (size_t i = 0; i < FAB_ARRAY_LEN(long_sizes); i++)
        done = done && add_limit(&limits, "ucp_am_bw, one rail", bandwidth, long_sizes[i], false);
    done = done && add_limit(&limits, "iperf3, one rail", stream, 0, false);
    done = done && fp_result_write(&limits, path, err) == FAB_OK;
    fp_result_fini(&limits);
    return done;
}

/* ---- the suite ---------------------------------------------------------------------------------
 */

static const struct {
    const char *label, *file, *runner[6];
} ways[] = {
    {"native", "native.json", {"softcuda-run", "--devices=2"}},
    {"same host", "same-host.json", {"remote-run", "--workers=2", "--devices=1"}},
    {"one rail", "one-rail.json", {"remote-run", "--workers=2", "--devices=1", "--rails=1"}},
    {"two rails", "two-rails.json", {"remote-run", "--workers=2", "--devices=1", "--rails=2"}},
};

struct command {
    char *word[WORDS_MAX + 1];
    size_t count;
};

static void add(struct command *command, const char *first, const char *second)
{
    char *word = NULL;

    if (command->count == WORDS_MAX || asprintf(&word, "%s%s", first, second) < 0)
        abort();
    command->word[command->count++] = word;
    command->word[command->count] = NULL;
}

static void add_file(struct command *command, const char *before, const char *name)
{
    char path[PATH_MAX + 64];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    add(command, before, path);
}

/* Runs it, and forgets its words. */
static bool run(struct command *command)
{
    int status = 1;
    pid_t pid;
    const int error = posix_spawn(&pid, command->word[0], NULL, NULL, command->word, environ);

    while (error == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (error != 0 || status != 0)
        (void)fprintf(stderr, "fabric-perf-rack: %s failed\n", command->word[0]);
    for (size_t i = 0; i < command->count; i++)
        free(command->word[i]);
    *command = (struct command){.count = 0};
    return error == 0 && status == 0;
}

static bool measure_way(size_t way, int argc, char **argv)
{
    struct command command = {.count = 0};

    (void)fprintf(stderr, "fabric-perf-rack: %s\n", ways[way].label);
    add(&command, build, ways[way].runner[0]);
    for (size_t i = 1; ways[way].runner[i]; i++)
        add(&command, ways[way].runner[i], "");
    add(&command, build, "fabric-perf");
    add(&command, "--label=", ways[way].label);
    add_file(&command, "--json=", ways[way].file);
    for (int i = 2; i < argc; i++)
        add(&command, argv[i], "");
    return run(&command);
}

static bool report(void)
{
    struct command command = {.count = 0};

    add(&command, build, "fabric-perf");
    add(&command, "report", "");
    for (size_t way = 0; way < FAB_ARRAY_LEN(ways); way++)
        add_file(&command, "", ways[way].file);
    add_file(&command, "", "limits.json");
    add_file(&command, "--html=", "report.html");
    add_file(&command, "--svg=", "copy-suite.svg");
    return run(&command);
}

/* The folder of this program, with a slash. */
static bool find_build(void)
{
    ssize_t length = readlink("/proc/self/exe", build, sizeof(build) - 1);

    if (length < 0)
        return false;
    build[length] = '\0';
    strrchr(build, '/')[1] = '\0';
    return true;
}

int main(int argc, char **argv)
{
    struct fab_err err = {0};
    char path[PATH_MAX + 64];
    bool done = true;

    if (argc < 2 || argv[1][0] == '-') {
        (void)fprintf(stderr, "usage: fabric-perf-rack FOLDER [OPTION of fabric-perf...]\n");
        return 2;
    }
    if ((mkdir(argv[1], 0777) != 0 && errno != EEXIST) || !realpath(argv[1], folder) ||
        !find_build()) {
        (void)fprintf(stderr, "fabric-perf-rack: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    if (!getenv("RACK_RUN")) {
        bench_enter_rack(HOSTS, argc, argv);
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/limits.json", folder);
    if (!measure_limits(path, argc, argv, &err)) {
        (void)fprintf(stderr, "fabric-perf-rack: %s\n", err.text);
        return 1;
    }
    for (size_t way = 0; way < FAB_ARRAY_LEN(ways) && done; way++)
        done = measure_way(way, argc, argv);
    return done && report() ? 0 : 1;
}
