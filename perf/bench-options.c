/* SPDX-License-Identifier: Apache-2.0
 * perf/bench-options.c - see bench-options.h.
 */
#include "perf/bench-options.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "perf/bench-row.h"

static void tell_usage(const struct bench_usage *usage)
{
    (void)fprintf(stderr, "usage: %s [--quick] [--json]%s%s%s [--pairs 1..%d] [--part NAME]...\n",
                  usage->program, usage->flag ? " " : "", usage->flag ? usage->flag : "",
                  usage->takes_driver ? " [--driver FILE]" : "", BENCH_PAIRS_MAX);
    (void)fprintf(stderr, "parts:");
    for (size_t i = 0; i < usage->part_count; i++)
        (void)fprintf(stderr, " %s", usage->parts[i]);
    (void)fprintf(stderr, "\n");
}

static unsigned part_of(const struct bench_usage *usage, const char *name)
{
    for (size_t i = 0; i < usage->part_count; i++) {
        if (strcmp(usage->parts[i], name) == 0)
            return 1U << i;
    }
    return 0;
}

/* An option with a value, taken; false: it is none, or not a good one. */
static bool take_value(const struct bench_usage *usage, const char *name, const char *value,
                       struct bench_options *options)
{
    int64_t pairs;
    unsigned part;

    if (!value)
        return false;
    if (usage->takes_driver && strcmp(name, "--driver") == 0) {
        options->driver = value;
        return true;
    }
    if (strcmp(name, "--part") == 0) {
        part = part_of(usage, value);
        options->parts |= part;
        return part != 0;
    }
    if (strcmp(name, "--pairs") != 0 || fab_parse_int(value, &pairs) != FAB_OK || pairs < 1 ||
        pairs > BENCH_PAIRS_MAX)
        return false;
    options->pairs = (unsigned)pairs;
    return true;
}

bool bench_options_parse(const struct bench_usage *usage, int count, char **arguments,
                         struct bench_options *options_out)
{
    struct bench_options options = {0};

    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            options.json = true;
        } else if (strcmp(arguments[i], "--quick") == 0) {
            options.quick = true;
        } else if (usage->flag && strcmp(arguments[i], usage->flag) == 0) {
            options.flag = true;
        } else if (take_value(usage, arguments[i], arguments[i + 1], &options)) {
            i++;
        } else {
            tell_usage(usage);
            return false;
        }
    }
    if (!options.pairs)
        options.pairs = options.quick ? usage->pairs_quick : usage->pairs;
    if (!options.parts)
        options.parts = UINT_MAX;
    *options_out = options;
    return true;
}
