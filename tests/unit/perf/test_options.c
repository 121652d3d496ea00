/* SPDX-License-Identifier: Apache-2.0
 * The command line of fabric-perf: what each option means, and what is refused.
 */
#include "perf/fabric-perf/options.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/check.h"

enum { WORDS_MAX = 12 };

static enum fab_status parse(const char *const *words, struct fp_options *options,
                             struct fab_err *err)
{
    static char storage[WORDS_MAX + 1][64];
    char *argv[WORDS_MAX + 2];
    int argc = 0;

    (void)snprintf(storage[0], sizeof(storage[0]), "fabric-perf");
    argv[argc++] = storage[0];
    for (; words[argc - 1]; argc++) {
        (void)snprintf(storage[argc], sizeof(storage[argc]), "%s", words[argc - 1]);
        argv[argc] = storage[argc];
    }
    argv[argc] = NULL;
    return fp_options_parse(argc, argv, options, err);
}

static void test_refused(void)
{
    static const struct {
        const char *words[WORDS_MAX], *message;
    } rows[] = {
        {{"-x"}, "unknown option '-x'"},
        {{"--sizes", "1"}, "unknown option '--sizes'"},
        {{"-s"}, "option without its value '-s'"},
        {{"-s", "64KB"}, "size '64KB': is none"},
        {{"-s", "0"}, "size '0'"},
        {{"-s", "8,,16"}, "empty"},
        {{"-s", "8,"}, "empty"},
        {{"-s", "16:8"}, "end below their beginning"},
        {{"-s", "512M"}, "up to 256 MiB"},
        {{"-s", "1:"}, "size ''"},
        {{"-t", "h2h"}, "there is no 'h2h': one of h2d d2h both"},
        {{"-t", "limit"}, "of other programs"},
        {{"-m", "none"}, "there is no 'none': one of pageable"},
        {{"-c", "later"}, "one of sync async kernel"},
        {{"--streams", "0"}, "streams '0': a number from 1 to 64"},
        {{"--streams", "1,2,3,4,5,6,7,8,9"}, "one number too many"},
        {{"-g", "64"}, "GPU '64': a number from 0 to 63"},
        {{"-g", "1,1"}, "GPU '1': stands twice"},
        {{"-n", "0"}, "--iters '0'"},
        {{"-n", "1e3"}, "--iters '1e3'"},
        {{"-r", "4"}, "--repeats '4': a number from 5 to 60"},
        {{"-D", "0"}, "--duration '0'"},
        {{"-D", "nan"}, "--duration 'nan'"},
        {{"-D", "1s"}, "--duration '1s'"},
        {{"--max-spread", "0"}, "--max-spread '0'"},
        {{"h2d"}, "argument 'h2d': there are only options"},
        {{"report"}, "report: of which files?"},
        {{"report", "a.json", "--json", "b.json"}, "it reads JSON and writes none"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_options options = {.label = "as before"};
        struct fab_err err = {0};

        CHECK_CASE("%s %s", rows[i].words[0], rows[i].words[1] ? rows[i].words[1] : "");
        CHECK_EQ(parse(rows[i].words, &options, &err), FAB_ERR_INVALID);
        CHECK_HAS(err.text, rows[i].message);
        CHECK_STR(options.label, "as before");
    }
}

static void test_defaults(void)
{
    struct fp_options options;

    CHECK_EQ(parse((const char *[WORDS_MAX]){NULL}, &options, NULL), FAB_OK);
    CHECK_EQ(options.size_count, 0);
    CHECK_EQ(options.repeats, 15);
    CHECK_EQ(options.stream_count, 1);
    CHECK_EQ(options.streams[0], 1);
    CHECK_EQ(options.gpu_count, 0);
    CHECK_EQ(options.tests >> FP_BOTH & 1, 0);
    CHECK_EQ(options.tests >> FP_H2D & 1, 1);
    CHECK_EQ(options.tests >> FP_LIMIT & 1, 0);
    CHECK_EQ(options.memories,
             1u << FP_PAGEABLE | 1u << FP_PINNED | 1u << FP_MAPPED | 1u << FP_MANAGED);
    CHECK(!options.is_report && !options.is_help && !options.is_memory_named);
}

static void test_sizes(void)
{
    static const struct {
        const char *words[WORDS_MAX];
        uint32_t count;
        uint64_t first, last;
    } rows[] = {
        {{"-s", "8"}, 1, 8, 8},
        {{"-s", "64K"}, 1, 65536, 65536},
        {{"-s", "64KiB"}, 1, 65536, 65536},
        {{"--size=4096,16M"}, 2, 4096, 16 << 20},
        {{"-s", "1:256M"}, 29, 1, 256 << 20},
        {{"-s", "3:20"}, 3, 3, 12},
        {{"-s", "8,8"}, 1, 8, 8},
        {{"-a"}, 29, 1, 256 << 20},
        {{"-a", "-s", "8"}, 1, 8, 8}, /* the last one counts */
        {{"--quick"}, 5, 8, 16 << 20},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_options options;

        CHECK_CASE("%s %s", rows[i].words[0], rows[i].words[1] ? rows[i].words[1] : "");
        if (!CHECK_EQ(parse(rows[i].words, &options, NULL), FAB_OK) ||
            !CHECK_EQ(options.size_count, rows[i].count))
            continue;
        CHECK_EQ(options.sizes[0], rows[i].first);
        CHECK_EQ(options.sizes[options.size_count - 1], rows[i].last);
    }
}

static void test_values(void)
{
    struct fp_options options;

    CHECK_EQ(parse((const char *[WORDS_MAX]){"-b", "-w", "0", "-n", "7", "--max-spread=5", "-D",
                                             "1.5", "-l", "two rails"},
                   &options, NULL),
             FAB_OK);
    CHECK_EQ(options.tests >> FP_BOTH & 1, 1); /* -b adds to the others */
    CHECK_EQ(options.tests >> FP_H2D & 1, 1);
    CHECK_EQ(options.warmup, 0);
    CHECK_EQ(options.iterations, 7);
    CHECK_NEAR(options.spread_max, 0.05, 1e-9);
    CHECK_NEAR(options.duration_s, 1.5, 1e-9);
    CHECK_STR(options.label, "two rails");

    CHECK_EQ(parse((const char *[WORDS_MAX]){"-t", "p2p,both", "--together", "--matrix", "-g",
                                             "3,1", "--streams", "1,4"},
                   &options, NULL),
             FAB_OK);
    CHECK_EQ(options.tests, 1u << FP_P2P | 1u << FP_BOTH);
    CHECK(options.is_together && options.is_matrix);
    CHECK_EQ(options.gpu_count, 2);
    CHECK_EQ(options.gpus[0], 3);
    CHECK_EQ(options.streams[1], 4);

    CHECK_EQ(parse((const char *[WORDS_MAX]){"report", "a.json", "-o", "r.html", "b.json"},
                   &options, NULL),
             FAB_OK);
    CHECK(options.is_report);
    CHECK_EQ(options.file_count, 2);
    CHECK_STR(options.files[1], "b.json");
    CHECK_STR(options.html, "r.html");
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_refused), CHECK_TEST(test_defaults),
                                       CHECK_TEST(test_sizes), CHECK_TEST(test_values)};
    return check_run(tests);
}
