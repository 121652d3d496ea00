/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/plan.c - which rows a command line asks for, on these GPUs. Measures nothing.
 */
#include "perf/fabric-perf/options.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "perf/fabric-perf/print.h"

struct plan {
    const struct fp_options *options;
    const struct fp_facts *facts;
    struct fp_result *result;
    int32_t gpus[FP_GPUS_MAX]; /* of --gpus, that are there */
    uint32_t gpu_count;
    const uint64_t *sizes;
    uint32_t size_count;
    bool is_full;
};

static const uint64_t usual_sizes[] = {8,         64,      512,     4096,     32 << 10,
                                       256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20};
static const uint64_t matrix_sizes[] = {8, 4 << 20};

static bool has_test(const struct plan *plan, enum fp_test test)
{
    return (plan->options->tests >> test & 1) != 0;
}

static bool has_call(const struct plan *plan, enum fp_call call)
{
    return (plan->options->calls >> call & 1) != 0;
}

static bool has_memory(const struct plan *plan, enum fp_memory memory)
{
    return (plan->options->memories >> memory & 1) != 0;
}

static struct fp_row *add_row(struct plan *plan, const struct fp_key *key, uint64_t size)
{
    struct fp_row *row = fp_result_add(plan->result);

    if (!row) {
        plan->is_full = true;
        return NULL;
    }
    row->key = *key;
    row->key.size = size;
    return row;
}

/* One row a size. A size of which too much would be on its way at once has the reason instead of a
 * number. */
static void add_sizes(struct plan *plan, const struct fp_key *key)
{
    const bool is_both = key->test == FP_BOTH || key->test == FP_P2P_BOTH;
    const uint64_t lanes = (uint64_t)key->gpus * key->streams * (is_both ? 2 : 1);
    char limit[FP_NUMBER_BYTES];

    for (uint32_t i = 0; i < plan->size_count; i++) {
        struct fp_row *row = add_row(plan, key, plan->sizes[i]);

        if (row && plan->sizes[i] * lanes > plan->options->limit_bytes)
            (void)snprintf(row->reason, sizeof(row->reason), "left out: more than --limit %s",
                           fp_size_text(plan->options->limit_bytes, limit));
    }
}

/* The calls of one test: with a synchronisation each, and many at once on each number of streams.
 */
static void add_calls(struct plan *plan, struct fp_key key)
{
    const bool is_single = key.gpus == 1 && key.test != FP_BOTH && key.test != FP_P2P_BOTH;

    if (has_call(plan, FP_CALL_SYNC) && is_single) {
        key.call = FP_CALL_SYNC;
        add_sizes(plan, &key);
    }
    for (uint32_t i = 0; i < plan->options->stream_count && has_call(plan, FP_CALL_ASYNC); i++) {
        key.call = FP_CALL_ASYNC;
        key.streams = plan->options->streams[i];
        add_sizes(plan, &key);
    }
}

static void add_kernel(struct plan *plan, struct fp_key key, bool can)
{
    struct fp_row *row;

    if (!has_call(plan, FP_CALL_KERNEL))
        return;
    key.call = FP_CALL_KERNEL;
    if (can) {
        add_sizes(plan, &key);
    } else if (plan->options->is_memory_named && (row = add_row(plan, &key, 0)) != NULL) {
        (void)snprintf(row->reason, sizeof(row->reason), "the GPU has no %s memory",
                       fp_memory_names[key.memory]);
    }
}

static void add_host_tests(struct plan *plan)
{
    static const enum fp_test tests[] = {FP_H2D, FP_D2H, FP_BOTH};
    const int32_t gpu = plan->gpus[0];

    for (size_t i = 0; i < FAB_ARRAY_LEN(tests); i++) {
        struct fp_key key = {.test = tests[i], .gpu = gpu, .peer = -1, .gpus = 1, .streams = 1};

        if (!has_test(plan, tests[i]))
            continue;
        for (key.memory = FP_PAGEABLE; key.memory < FP_MEMORY_COUNT; key.memory++) {
            if (!has_memory(plan, key.memory) || (tests[i] == FP_BOTH && key.memory != FP_PINNED))
                continue;
            if (key.memory == FP_MAPPED)
                add_kernel(plan, key, plan->facts->can_map[gpu]);
            else if (key.memory == FP_MANAGED)
                add_kernel(plan, key, plan->facts->can_manage[gpu]);
            else
                add_calls(plan, key);
        }
    }
}

static void add_pair(struct plan *plan, enum fp_test test, int32_t gpu, int32_t peer)
{
    add_calls(plan,
              (struct fp_key){.test = test,
                              .link = plan->facts->can_peer[gpu][peer] ? FP_DIRECT : FP_STAGED,
                              .gpu = gpu,
                              .peer = peer,
                              .gpus = 1,
                              .streams = 1});
}

/* From the first GPU to the next one that it reaches directly, and to the next that it does not. */
static void add_pairs(struct plan *plan, enum fp_test test)
{
    const int32_t gpu = plan->gpus[0];
    bool is_done[2] = {false, false};

    for (int32_t peer = 0; peer < (int32_t)plan->facts->gpu_count; peer++) {
        const bool is_direct = plan->facts->can_peer[gpu][peer];

        if (peer == gpu || is_done[is_direct])
            continue;
        is_done[is_direct] = true;
        add_pair(plan, test, gpu, peer);
    }
}

static void add_gpu_tests(struct plan *plan)
{
    static const enum fp_test no_copies[] = {FP_LAUNCH, FP_LAUNCH_SYNC, FP_SYNC};
    struct fp_key key = {.test = FP_D2D, .gpu = plan->gpus[0], .peer = -1, .gpus = 1, .streams = 1};

    if (has_test(plan, FP_D2D))
        add_calls(plan, key);
    if (has_test(plan, FP_P2P))
        add_pairs(plan, FP_P2P);
    if (has_test(plan, FP_P2P_BOTH))
        add_pairs(plan, FP_P2P_BOTH);
    for (size_t i = 0; i < FAB_ARRAY_LEN(no_copies); i++) {
        key.test = no_copies[i];
        if (has_test(plan, key.test))
            (void)add_row(plan, &key, 0);
    }
}

/* All GPUs at once: rows without a number of a GPU. Between them as a ring. */
static void add_together(struct plan *plan)
{
    static const enum fp_test tests[] = {FP_H2D, FP_D2H, FP_BOTH, FP_D2D, FP_P2P};

    for (size_t i = 0; i < FAB_ARRAY_LEN(tests) && plan->gpu_count > 1; i++) {
        const bool is_host = tests[i] == FP_H2D || tests[i] == FP_D2H || tests[i] == FP_BOTH;

        if (has_test(plan, tests[i]))
            add_calls(plan, (struct fp_key){.test = tests[i],
                                            .memory = is_host ? FP_PINNED : FP_MEMORY_NONE,
                                            .gpu = -1,
                                            .peer = -1,
                                            .gpus = plan->gpu_count,
                                            .streams = 1});
    }
}

static void add_matrix(struct plan *plan)
{
    if (!plan->options->are_sizes_named) {
        plan->sizes = matrix_sizes;
        plan->size_count = FAB_ARRAY_LEN(matrix_sizes);
    }
    for (uint32_t from = 0; from < plan->gpu_count; from++)
        for (uint32_t to = 0; to < plan->gpu_count; to++)
            if (from != to)
                add_pair(plan, FP_P2P, plan->gpus[from], plan->gpus[to]);
}

/* Without --gpus: the first; but all of them where many are asked for. */
static enum fab_status choose_gpus(struct plan *plan, struct fab_err *err)
{
    const struct fp_options *options = plan->options;
    const uint32_t there = plan->facts->gpu_count;
    const bool is_all = options->gpu_count == FP_GPUS_MAX ||
                        (options->gpu_count == 0 && (options->is_together || options->is_matrix));

    if (there == 0)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no GPU");
    plan->gpu_count = is_all ? there : options->gpu_count ? options->gpu_count : 1;
    for (uint32_t i = 0; i < plan->gpu_count; i++) {
        plan->gpus[i] = is_all || options->gpu_count == 0 ? (int32_t)i : options->gpus[i];
        if ((uint32_t)plan->gpus[i] >= there)
            return fab_err_set(err, FAB_ERR_INVALID, "there is no GPU %d: they are 0 to %u",
                               plan->gpus[i], there - 1);
    }
    return FAB_OK;
}

enum fab_status fp_plan(const struct fp_options *options, const struct fp_facts *facts,
                        struct fp_result *result, struct fab_err *err)
{
    struct plan plan = {.options = options,
                        .facts = facts,
                        .result = result,
                        .sizes = options->size_count ? options->sizes : usual_sizes,
                        .size_count =
                            options->size_count ? options->size_count : FAB_ARRAY_LEN(usual_sizes)};
    enum fab_status status = choose_gpus(&plan, err);

    if (status != FAB_OK)
        return status;
    if (has_test(&plan, FP_MEMCPY))
        add_sizes(&plan, &(struct fp_key){
                             .test = FP_MEMCPY, .gpu = -1, .peer = -1, .gpus = 1, .streams = 1});
    add_host_tests(&plan);
    add_gpu_tests(&plan);
    if (options->is_together)
        add_together(&plan);
    if (options->is_matrix)
        add_matrix(&plan);
    if (plan.is_full)
        return fab_err_set(err, FAB_ERR_LIMIT, "more than %d rows", FP_ROWS_MAX);
    if (result->row_count == 0)
        return fab_err_set(err, FAB_ERR_INVALID, "nothing to measure: no test fits these options");
    return FAB_OK;
}
