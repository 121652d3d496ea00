/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/options.h - the command line, in perftest's manner.
 */
#ifndef PERF_FABRIC_PERF_OPTIONS_H
#define PERF_FABRIC_PERF_OPTIONS_H

#include "perf/fabric-perf/fp.h"

enum { FP_SIZES_MAX = 64, FP_STREAMS_LIST_MAX = 8, FP_FILES_MAX = 16 };

struct fp_options {
    bool is_report; /* "fabric-perf report FILE...": show results, measure nothing */
    bool is_help, is_matrix, is_together, is_bidirectional;
    uint32_t tests, memories, calls; /* bits 1 << enum */
    bool is_memory_named;            /* then a kind that the device lacks is said, not left out */
    uint64_t sizes[FP_SIZES_MAX];
    uint32_t size_count;  /* 0: a short list */
    bool are_sizes_named; /* then a matrix has them, too */
    uint32_t streams[FP_STREAMS_LIST_MAX], stream_count;
    int32_t gpus[FP_GPUS_MAX];
    uint32_t gpu_count;  /* 0: what the tests want */
    uint32_t iterations; /* of a repeat; 0: as many as the duration wants */
    uint32_t warmup, repeats;
    double duration_s; /* of a row */
    double spread_max;
    uint64_t limit_bytes; /* on their way at once */
    const char *label, *json, *csv, *html, *svg;
    const char *files[FP_FILES_MAX]; /* of a report */
    uint32_t file_count;
};

/* Options keep pointers into argv. FAB_ERR_INVALID: a sentence for the user. */
FAB_NODISCARD enum fab_status fp_options_parse(int argc, char **argv,
                                               struct fp_options *options_out, struct fab_err *err);
extern const char fp_help[];

/* What plan.c asks about the machine. */
struct fp_facts {
    uint32_t gpu_count;
    bool can_map[FP_GPUS_MAX], can_manage[FP_GPUS_MAX];
    bool can_peer[FP_GPUS_MAX][FP_GPUS_MAX];
};

/* Appends a row for everything that shall be measured (plan.c). FAB_ERR_INVALID: a GPU that is not
 * there; FAB_ERR_LIMIT: too many rows. */
FAB_NODISCARD enum fab_status fp_plan(const struct fp_options *options,
                                      const struct fp_facts *facts, struct fp_result *result,
                                      struct fab_err *err);

#endif /* PERF_FABRIC_PERF_OPTIONS_H */
