/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/trace.h - what the devices did and when, for the client's timeline.
 *
 * From the client's first `trace` on, meter.c adds each batch of kernels that is finished; the
 * client fetches them from time to time. Thread: any.
 */
#ifndef CUDA_SERVER_TRACE_H
#define CUDA_SERVER_TRACE_H

#include "cuda-server/worker.h"

static inline bool cudas_trace_is_on(struct cudas_worker *worker)
{
    return atomic_load_explicit(&worker->trace, memory_order_acquire) != NULL;
}

/* Without room it is counted as dropped. */
void cudas_trace_add(struct cudas_worker *worker, const struct wire_span *span);

void cudas_trace_destroy(struct cudas_worker *worker); /* with the worker */

#endif /* CUDA_SERVER_TRACE_H */
