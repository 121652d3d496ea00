/* SPDX-License-Identifier: Apache-2.0
 * Results that were never measured, for tests of what shows them.
 */
#ifndef TESTS_UNIT_PERF_SAMPLE_H
#define TESTS_UNIT_PERF_SAMPLE_H

#include <stdio.h>

#include "perf/fabric-perf/fp.h"

/* h2d pinned, both calls, 8 B to 8 MiB; one row without a number; a launch. Times are `factor`
 * microseconds and more. */
struct fp_result sample_make(const char *label, double factor);
/* A limit of another program, at each size or (size 0) at all. */
struct fp_result sample_limits(void);
/* What a function printed; given (free). */
char *sample_text(void (*print)(FILE *file, const struct fp_result *results, uint32_t count),
                  const struct fp_result *results, uint32_t count);

#endif /* TESTS_UNIT_PERF_SAMPLE_H */
