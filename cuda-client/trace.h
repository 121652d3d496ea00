/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/trace.h - what the client says and records of calls, on request.
 *
 * FABRIC_LOG=trace names every call with its result on stderr; warn and above names refused calls
 * once each; debug and above also shows the transport's lines. FABRIC_TRACE=file writes a timeline
 * (timeline.h). Nothing is printed unasked.
 */
#ifndef CUDA_CLIENT_TRACE_H
#define CUDA_CLIENT_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"

struct fab_log;

void cudac_trace_init(void); /* reads the environment; idempotent */

extern _Atomic bool cudac_trace_calls __attribute__((visibility("hidden")));
static inline bool cudac_trace_on(void)
{
    return FAB_UNLIKELY(atomic_load_explicit(&cudac_trace_calls, memory_order_relaxed));
}

void cudac_trace_begin(uint32_t number);
void cudac_trace_end(uint32_t number, CUresult result);
void cudac_trace_refused(uint32_t number);

/* Something of ours that took from start_ns until now: `name` is static, `worker` the index. */
void cudac_trace_span(const char *name, uint32_t worker, uint64_t start_ns);

const struct fab_log *cudac_log(void); /* debug and trace; NULL: silent */
uint64_t cudac_now_ns(void);           /* CLOCK_MONOTONIC */

#endif /* CUDA_CLIENT_TRACE_H */
