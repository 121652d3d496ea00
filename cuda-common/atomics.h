/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/atomics.h - which atomic operations work on memory of somebody else.
 */
#ifndef CUDA_COMMON_ATOMICS_H
#define CUDA_COMMON_ATOMICS_H

#include <stdbool.h>

#include <cuda.h>

/* Fills capabilities[i] for operations[i]: everything where native atomics work, else nothing.
 * CUDA_ERROR_INVALID_VALUE for NULL, no operation, or an unknown one; nothing is written then. */
CUresult cuc_atomic_capabilities(bool is_native, unsigned int *capabilities,
                                 const CUatomicOperation *operations, unsigned int count);

#endif /* CUDA_COMMON_ATOMICS_H */
