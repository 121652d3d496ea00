/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/trace.h - what the driver says on stderr: calls on request, refusals, faults.
 *
 * FABRIC_LOG=trace names every call with its result; warn and above names refused calls once each.
 * SOFTCUDA_REPORT=1 prints where a kernel failed. Nothing is printed unasked but the one line for
 * code that can not run here.
 */
#ifndef SOFTCUDA_DRIVER_TRACE_H
#define SOFTCUDA_DRIVER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"
#include "cuda-common/log.h" /* cuc_say */

void soft_trace_init(void); /* reads the environment; idempotent */

extern bool soft_trace_calls __attribute__((visibility("hidden")));
static inline bool soft_trace_on(void)
{
    return FAB_UNLIKELY(soft_trace_calls);
}

void soft_trace_begin(uint32_t number);
void soft_trace_end(uint32_t number, CUresult result);
void soft_trace_refused(uint32_t number);

bool soft_report_wanted(void);

#endif /* SOFTCUDA_DRIVER_TRACE_H */
