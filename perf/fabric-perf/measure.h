/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/measure.h - a row of the plan becomes a number.
 */
#ifndef PERF_FABRIC_PERF_MEASURE_H
#define PERF_FABRIC_PERF_MEASURE_H

#include "perf/fabric-perf/options.h"

/* The devices of this process, for the plan and for the report. FAB_ERR_DEVICE. */
FAB_NODISCARD enum fab_status fp_measure_devices(struct fp_facts *facts, struct fp_result *result,
                                                 struct fab_err *err);

enum fp_outcome {
    FP_MEASURED,
    FP_UNCLEAN, /* no number, for the reason that the row has */
    FP_WRONG,   /* a call failed or other bytes arrived: the row says which */
    FP_LOST     /* no call works any more */
};

/* `gpus`: what rows of many GPUs use. */
enum fp_outcome fp_measure_row(const struct fp_options *options, const int32_t *gpus,
                               double tick_us, struct fp_row *row);

#endif /* PERF_FABRIC_PERF_MEASURE_H */
