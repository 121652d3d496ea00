/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/trace.c - what the driver says on stderr of calls.
 */
#include "softcuda/driver/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda-common/object.h"
#include "generated/cuda-api/capi_names.h"
#include "generated/cuda-api/softcuda_impl.h"

bool soft_trace_calls;
static bool warn_wanted, report_wanted;
static _Atomic bool was_named[CAPI_CALL_LIMIT];

static bool is_one_of(const char *text, const char *const *words)
{
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

void soft_trace_init(void)
{
    static const char *const warn_or_more[] = {"warn", "info", "debug", "trace", NULL};
    const char *level = getenv("FABRIC_LOG"), *report = getenv("SOFTCUDA_REPORT");

    warn_wanted = is_one_of(level, warn_or_more);
    soft_trace_calls = level && strcmp(level, "trace") == 0;
    report_wanted = report && strcmp(report, "0") != 0;
}

bool soft_report_wanted(void)
{
    return report_wanted;
}

void soft_trace_begin(uint32_t number)
{
    (void)fprintf(stderr, "softcuda: call %s\n", capi_call_name(number));
}

void soft_trace_end(uint32_t number, CUresult result)
{
    (void)fprintf(stderr, "softcuda: result %s %d\n", capi_call_name(number), (int)result);
}

void soft_trace_refused(uint32_t number)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, soft_trace_init); /* may come before cuInit */
    if (!warn_wanted || number >= CAPI_CALL_LIMIT ||
        atomic_exchange_explicit(&was_named[number], true, memory_order_relaxed))
        return;
    (void)fprintf(stderr, "softcuda: %s is not supported\n", capi_call_name(number));
}
