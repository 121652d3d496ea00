/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/gate.h - the one gate before the driver, and quiescing (design 7b, F6 and F7).
 *
 * Every launch, copy and set passes cudas_gate(); while it is open that is one relaxed load. A
 * `hold` at number N closes it when the commands below N are executed; the driver is then drained,
 * `held` is told, and commands from N on wait for `release`.
 */
#ifndef CUDA_SERVER_GATE_H
#define CUDA_SERVER_GATE_H

#include "cuda-server/worker.h"

struct cudas_gate {
    _Atomic bool is_closed;
    void *internal;
};

FAB_NODISCARD enum fab_status cudas_gate_create(struct cudas_gate **gate_out, struct fab_err *err);
void cudas_gate_destroy(struct cudas_gate *gate); /* takes NULL */

void cudas_gate_wait(struct cudas_worker *worker);

/* Thread: whoever executes; `vgpu` is what the work is for. */
static inline void cudas_gate(struct cudas_worker *worker, uint32_t vgpu)
{
    (void)vgpu; /* shares will look at it */
    if (atomic_load_explicit(&worker->gate->is_closed, memory_order_relaxed))
        cudas_gate_wait(worker);
}

/* A hold is on its way to cudas_gate_close(): the next release is meant for it. Thread: the control
 * engine. */
void cudas_gate_announce(struct cudas_worker *worker);
/* Drains the driver, tells `held` and waits for the release, if that has not come. Thread: the
 * leader. */
void cudas_gate_close(struct cudas_worker *worker, uint64_t number);
/* Opens it, and for each hold that is on its way. Thread: any. */
void cudas_gate_open(struct cudas_worker *worker);

#endif /* CUDA_SERVER_GATE_H */
