/* SPDX-License-Identifier: Apache-2.0
 * Which rows a command line asks for, on machines that need not exist.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "perf/fabric-perf/options.h"
#include "perf/fabric-perf/print.h"
#include "tests/support/check.h"

enum { WORDS_MAX = 10 };

/* GPUs in nodes of `each`: peers of one node reach each other. */
static struct fp_facts *make_facts(uint32_t gpus, uint32_t each, bool can)
{
    struct fp_facts *facts = calloc(1, sizeof(*facts));

    if (!facts)
        abort();
    facts->gpu_count = gpus;
    for (uint32_t i = 0; i < gpus; i++) {
        facts->can_map[i] = facts->can_manage[i] = can;
        for (uint32_t peer = 0; peer < gpus; peer++)
            facts->can_peer[i][peer] = i != peer && i / each == peer / each;
    }
    return facts;
}

static enum fab_status plan(const char *const *words, const struct fp_facts *facts,
                            struct fp_result *result, struct fab_err *err)
{
    static char storage[WORDS_MAX + 1][64];
    char *argv[WORDS_MAX + 2];
    struct fp_options options;
    int argc = 1;

    (void)snprintf(storage[0], sizeof(storage[0]), "fabric-perf");
    argv[0] = storage[0];
    for (; words[argc - 1]; argc++) {
        (void)snprintf(storage[argc], sizeof(storage[argc]), "%s", words[argc - 1]);
        argv[argc] = storage[argc];
    }
    argv[argc] = NULL;
    *result = (struct fp_result){0};
    if (!CHECK_EQ(fp_options_parse(argc, argv, &options, err), FAB_OK))
        return FAB_ERR_INVALID;
    return fp_plan(&options, facts, result, err);
}

static void test_rows(void)
{
    static const struct {
        const char *words[WORDS_MAX];
        uint32_t gpus, each;
        bool can;
        uint32_t rows;
        const char *first, *last; /* titles */
    } rows[] = {
        {{"-t", "h2d", "-m", "pinned", "-s", "8"},
         1,
         1,
         true,
         2,
         "Host to device, cudaMemcpy, pinned, GPU 0",
         "Host to device, cudaMemcpyAsync, pinned, GPU 0"},
        {{"-t", "h2d", "-m", "pinned", "-s", "8,16", "-c", "sync"},
         1,
         1,
         true,
         2,
         "Host to device, cudaMemcpy, pinned, GPU 0",
         "Host to device, cudaMemcpy, pinned, GPU 0"},
        {{"-t", "d2h", "-s", "8"},
         1,
         1,
         true,
         6,
         "Device to host, cudaMemcpy, pageable, GPU 0",
         "Device to host, copied by a kernel, managed, GPU 0"},
        {{"-t", "d2h", "-s", "8"},
         1,
         1,
         false,
         4,
         "Device to host, cudaMemcpy, pageable, GPU 0",
         "Device to host, cudaMemcpyAsync, pinned, GPU 0"},
        {{"-t", "h2d", "-s", "8", "-m", "managed"},
         1,
         1,
         false,
         1,
         "Host to device, copied by a kernel, managed, GPU 0",
         "Host to device, copied by a kernel, managed, GPU 0"},
        {{"-t", "d2d", "-s", "8", "--streams", "1,4", "-g", "1"},
         2,
         2,
         true,
         3,
         "Device to device, one GPU, cudaMemcpy, GPU 1",
         "Device to device, one GPU, cudaMemcpyAsync, GPU 1, 4 streams"},
        {{"-t", "launch,sync"},
         1,
         1,
         true,
         2,
         "Kernel launch, posted, GPU 0",
         "cudaDeviceSynchronize, idle, GPU 0"},
        {{"-t", "memcpy", "-s", "8"},
         1,
         1,
         true,
         1,
         "memcpy in host memory, one thread",
         "memcpy in host memory, one thread"},
        /* Each kind of way between GPUs once. */
        {{"-t", "p2p", "-s", "8", "-c", "sync"},
         4,
         2,
         true,
         2,
         "GPU to GPU, cudaMemcpy, GPU 0 to 1, peer access",
         "GPU to GPU, cudaMemcpy, GPU 0 to 2, no peer access"},
        {{"-t", "p2p", "-s", "8", "-c", "sync"},
         4,
         4,
         true,
         1,
         "GPU to GPU, cudaMemcpy, GPU 0 to 1, peer access",
         "GPU to GPU, cudaMemcpy, GPU 0 to 1, peer access"},
        {{"-t", "both,p2p-both", "-s", "8"},
         2,
         2,
         true,
         2,
         "Host to device and back at once, sum of both, cudaMemcpyAsync, pinned, GPU 0",
         "GPU to GPU both ways at once, sum of both, cudaMemcpyAsync, GPU 0 to 1, peer access"},
        {{"-t", "h2d", "-s", "8", "-m", "pinned", "-c", "async", "--together"},
         16,
         4,
         true,
         2,
         "Host to device, cudaMemcpyAsync, pinned, GPU 0",
         "Host to device, cudaMemcpyAsync, pinned, sum of 16 GPUs at once"},
        {{"-t", "h2d", "-s", "8", "-m", "pinned", "-c", "async", "--together", NULL},
         1,
         1,
         true,
         1,
         "Host to device, cudaMemcpyAsync, pinned, GPU 0",
         "Host to device, cudaMemcpyAsync, pinned, GPU 0"},
        {{"-t", "sync", "--matrix", "-c", "sync", "-s", "8"},
         4,
         2,
         true,
         13,
         "cudaDeviceSynchronize, idle, GPU 0",
         "GPU to GPU, cudaMemcpy, GPU 3 to 2, peer access"},
        {{"-t", "sync", "--matrix", "-c", "sync", "--quick", "-s", "8"},
         2,
         2,
         true,
         3,
         "cudaDeviceSynchronize, idle, GPU 0",
         "GPU to GPU, cudaMemcpy, GPU 1 to 0, peer access"},
        {{"-t", "sync", "--matrix", "-c", "sync", "--quick"}, /* a matrix has two sizes then */
         2,
         2,
         true,
         5,
         "cudaDeviceSynchronize, idle, GPU 0",
         "GPU to GPU, cudaMemcpy, GPU 1 to 0, peer access"},
        {{"-t", "sync", "--matrix", "-c", "sync", "-s", "8", "-g", "0,3"},
         4,
         2,
         true,
         3,
         "cudaDeviceSynchronize, idle, GPU 0",
         "GPU to GPU, cudaMemcpy, GPU 3 to 0, no peer access"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_facts *facts = make_facts(rows[i].gpus, rows[i].each, rows[i].can);
        char title[FP_TITLE_BYTES];
        struct fp_result result;

        CHECK_CASE("row %zu, %s", i, rows[i].words[1]);
        if (CHECK_EQ(plan(rows[i].words, facts, &result, NULL), FAB_OK) &&
            CHECK_EQ(result.row_count, rows[i].rows)) {
            CHECK_STR(fp_title(&result.rows[0].key, title), rows[i].first);
            CHECK_STR(fp_title(&result.rows[result.row_count - 1].key, title), rows[i].last);
        }
        fp_result_fini(&result);
        free(facts);
    }
}

/* A kind of memory that was asked for and that the GPU has not is a row with the reason. */
static void test_lacking(void)
{
    struct fp_facts *facts = make_facts(1, 1, false);
    struct fp_result result;

    CHECK_EQ(plan((const char *[WORDS_MAX]){"-t", "h2d", "-m", "mapped"}, facts, &result, NULL),
             FAB_OK);
    CHECK_EQ(result.row_count, 1);
    CHECK_STR(result.rows[0].reason, "the GPU has no mapped memory");
    fp_result_fini(&result);
    free(facts);
}

/* What is on its way at once stays below the limit: larger sizes have a reason and no number. */
static void test_limit(void)
{
    static const struct {
        const char *words[WORDS_MAX];
        uint64_t largest;
        const char *reason; /* of the last row */
    } rows[] = {
        {{"-t", "h2d", "-m", "pinned", "-c", "async", "-a"}, 256 << 20, ""},
        {{"-t", "h2d", "-m", "pinned", "-c", "async", "-a", "--limit", "1M"},
         1 << 20,
         "left out: more than --limit 1 MiB"},
        {{"-t", "h2d", "-m", "pinned", "-c", "async", "-a", "--streams", "4"},
         64 << 20,
         "left out: more than --limit 256 MiB"},
        {{"-t", "both", "-a"}, 128 << 20, "left out: more than --limit 256 MiB"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_facts *facts = make_facts(1, 1, true);
        struct fp_result result;

        CHECK_CASE("row %zu", i);
        if (CHECK_EQ(plan(rows[i].words, facts, &result, NULL), FAB_OK))
            for (uint32_t k = 0; k < result.row_count; k++)
                CHECK_EQ(result.rows[k].reason[0] != '\0',
                         result.rows[k].key.size > rows[i].largest);
        CHECK_EQ(result.rows[result.row_count - 1].key.size, 256 << 20);
        CHECK_STR(result.rows[result.row_count - 1].reason, rows[i].reason);
        fp_result_fini(&result);
        free(facts);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *words[WORDS_MAX];
        uint32_t gpus;
        enum fab_status status;
        const char *message;
    } rows[] = {
        {{NULL}, 0, FAB_ERR_NOT_FOUND, "there is no GPU"},
        {{"-g", "2"}, 2, FAB_ERR_INVALID, "there is no GPU 2: they are 0 to 1"},
        {{"-t", "p2p"}, 1, FAB_ERR_INVALID, "nothing to measure"},
        {{"-a", "--matrix"}, 64, FAB_ERR_LIMIT, "more than 16384 rows"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_facts *facts = make_facts(rows[i].gpus, 4, true);
        struct fp_result result;
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].message);
        CHECK_EQ(plan(rows[i].words, facts, &result, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].message);
        fp_result_fini(&result);
        free(facts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_rows), CHECK_TEST(test_lacking),
                                       CHECK_TEST(test_limit), CHECK_TEST(test_refused)};
    return check_run(tests);
}
