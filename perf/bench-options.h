/* SPDX-License-Identifier: Apache-2.0
 * perf/bench-options.h - the command line of a benchmark: how many pairs, which parts of it.
 */
#ifndef PERF_BENCH_OPTIONS_H
#define PERF_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct bench_usage {
    const char *program, *flag; /* one option of its own, or NULL */
    bool takes_driver;          /* --driver FILE */
    const char *const *parts;   /* what --part may name, up to 32 */
    size_t part_count;
    unsigned pairs, pairs_quick;
};

struct bench_options {
    bool json, quick, flag;
    const char *driver; /* the libcuda.so.1 to measure on, not owned; NULL: softcuda */
    unsigned pairs;
    unsigned parts; /* a bit a name; all of them where none was named */
};

/* False: misused, which stderr says. */
bool bench_options_parse(const struct bench_usage *usage, int count, char **arguments,
                         struct bench_options *options_out);

#endif /* PERF_BENCH_OPTIONS_H */
