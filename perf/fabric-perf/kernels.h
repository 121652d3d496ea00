/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/kernels.h - the suite's kernels (kernels.cu), as functions of C.
 */
#ifndef PERF_FABRIC_PERF_KERNELS_H
#define PERF_FABRIC_PERF_KERNELS_H

#include <stddef.h>

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One thread that does nothing. */
cudaError_t fp_kernel_empty(cudaStream_t stream);
/* Copies by a kernel; the pointers are aligned to 16 bytes. */
cudaError_t fp_kernel_copy(void *to, const void *from, size_t bytes, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif /* PERF_FABRIC_PERF_KERNELS_H */
