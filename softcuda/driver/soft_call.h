/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/soft_call.h - what stands around every driver call.
 *
 * The generated exports (cuda-api) call soft_call_begin(), the hand-written soft_<name>(), and
 * soft_call_end(). So the checks that all calls share (initialised, forked, tracing, the default
 * stream of the _ptsz/_ptds variants) are in one place, and our own code, which calls soft_<name>
 * directly, never passes through them twice. Thread: any.
 */
#ifndef SOFTCUDA_DRIVER_SOFT_CALL_H
#define SOFTCUDA_DRIVER_SOFT_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

enum soft_call_flag {
    SOFT_CALL_NEEDS_INIT = 1u << 0, /* CUDA_ERROR_NOT_INITIALIZED before cuInit */
    SOFT_CALL_PER_THREAD = 1u << 1, /* stream handle 0 means the per-thread default stream */
};

struct soft_call {
    uint32_t number; /* enum capi_call */
    bool outer_per_thread;
};

/* Returns CUDA_SUCCESS when the implementation may run. Pairs with soft_call_end() in any case. */
CUresult soft_call_begin(struct soft_call *call, uint32_t number, uint32_t flags);
/* Restores the thread's default-stream mode, traces, and returns `result` unchanged. */
CUresult soft_call_end(struct soft_call *call, CUresult result);
/* For rows that are not implemented: CUDA_ERROR_NOT_SUPPORTED; names the call once per process on
 * stderr when FABRIC_LOG is at least warn. */
CUresult soft_call_refused(uint32_t number);

/* Whether handle 0 means the per-thread default stream in the call this thread is in. */
bool soft_call_is_per_thread(void);

#endif /* SOFTCUDA_DRIVER_SOFT_CALL_H */
