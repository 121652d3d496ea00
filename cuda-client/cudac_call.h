/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/cudac_call.h - what stands around every driver call of a program.
 *
 * The generated exports (cuda-api) call cudac_call_begin(), the hand-written cudac_<name>(), and
 * cudac_call_end(). Our own code calls cudac_<name> directly and never passes through them twice.
 * Thread: any.
 */
#ifndef CUDA_CLIENT_CUDAC_CALL_H
#define CUDA_CLIENT_CUDAC_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

enum cudac_call_flag {
    CUDAC_CALL_NEEDS_INIT = 1u << 0, /* CUDA_ERROR_NOT_INITIALIZED before cuInit */
    CUDAC_CALL_PER_THREAD = 1u << 1, /* stream handle 0 means the per-thread default stream */
};

struct cudac_call {
    uint32_t number; /* enum capi_call */
    bool outer_per_thread;
};

/* Returns CUDA_SUCCESS when the implementation may run. Pairs with cudac_call_end() in any case. */
CUresult cudac_call_begin(struct cudac_call *call, uint32_t number, uint32_t flags);
/* Restores the thread's default-stream mode, traces, and returns `result` unchanged. */
CUresult cudac_call_end(struct cudac_call *call, CUresult result);
/* For rows that are not implemented: CUDA_ERROR_NOT_SUPPORTED; names the call once per process on
 * stderr when FABRIC_LOG is at least warn. */
CUresult cudac_call_refused(uint32_t number);

#endif /* CUDA_CLIENT_CUDAC_CALL_H */
