/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/launch.h - a launch as all forms of the call describe it; faults as CUDA codes.
 */
#ifndef SOFTCUDA_DRIVER_LAUNCH_H
#define SOFTCUDA_DRIVER_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-common/kernel_fit.h"
#include "softcuda/warp/launch.h"

struct soft_launch {
    struct cuc_launch shape;
    CUstream stream;
    bool has_priority;
    int priority;
};

CUresult soft_launch(CUfunction handle, const struct soft_launch *request);

CUresult soft_fault_result(enum warp_fault_kind kind);
/* Where a kernel failed, on stderr, when SOFTCUDA_REPORT asks for it. */
void soft_fault_report(const struct warp_outcome *outcome);

#endif /* SOFTCUDA_DRIVER_LAUNCH_H */
