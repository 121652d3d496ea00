/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/memop.h - memory operations of streams: what is allowed, what it means.
 *
 * Source: CUDA Driver API, Stream Memory Operations.
 */
#ifndef CUDA_COMMON_MEMOP_H
#define CUDA_COMMON_MEMOP_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

enum { CUC_MEMOP_BATCH_MAX = 256 }; /* operations of one call, as CUDA documents */

struct cuc_memop {
    uint32_t kind; /* CUstreamBatchMemOpType */
    uint32_t flags;
    uint64_t address, value;
};

bool cuc_memop_is_64(uint32_t kind);
bool cuc_memop_is_wait(uint32_t kind);
bool cuc_memop_is_write(uint32_t kind);

struct cuc_memop cuc_memop_of_params(const CUstreamBatchMemOpParams *params);
/* All but the memory itself: CUDA_ERROR_INVALID_VALUE. */
CUresult cuc_memop_check(const struct cuc_memop *op);

/* On memory of this process. */
bool cuc_memop_is_satisfied(const struct cuc_memop *op);
void cuc_memop_store(const struct cuc_memop *op);

#endif /* CUDA_COMMON_MEMOP_H */
