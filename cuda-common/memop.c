/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/memop.c - memory operations of streams: what is allowed, what it means.
 */
#include "cuda-common/memop.h"

bool cuc_memop_is_64(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WAIT_VALUE_64 || kind == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

bool cuc_memop_is_wait(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WAIT_VALUE_64 || kind == CU_STREAM_MEM_OP_WAIT_VALUE_32;
}

bool cuc_memop_is_write(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WRITE_VALUE_64 || kind == CU_STREAM_MEM_OP_WRITE_VALUE_32;
}

struct cuc_memop cuc_memop_of_params(const CUstreamBatchMemOpParams *params)
{
    struct cuc_memop op = {.kind = (uint32_t)params->operation};

    if (cuc_memop_is_wait(op.kind)) {
        op.address = params->waitValue.address;
        op.value = cuc_memop_is_64(op.kind) ? params->waitValue.value64 : params->waitValue.value;
        op.flags = params->waitValue.flags;
    } else if (cuc_memop_is_write(op.kind)) {
        op.address = params->writeValue.address;
        op.value = cuc_memop_is_64(op.kind) ? params->writeValue.value64 : params->writeValue.value;
        op.flags = params->writeValue.flags;
    } else if (op.kind == CU_STREAM_MEM_OP_BARRIER) {
        op.flags = params->memoryBarrier.flags;
    } else {
        op.flags = params->flushRemoteWrites.flags;
    }
    return op;
}

CUresult cuc_memop_check(const struct cuc_memop *op)
{
    uint64_t bytes = cuc_memop_is_64(op->kind) ? sizeof(uint64_t) : sizeof(uint32_t);
    unsigned known = 0;

    if (cuc_memop_is_wait(op->kind))
        known = CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH;
    else if (cuc_memop_is_write(op->kind))
        known = CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER;
    else if (op->kind == CU_STREAM_MEM_OP_BARRIER)
        known = CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
    else if (op->kind != CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES)
        return CUDA_ERROR_INVALID_VALUE;
    if (op->flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (!cuc_memop_is_wait(op->kind) && !cuc_memop_is_write(op->kind))
        return CUDA_SUCCESS;
    return op->address % bytes == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static uint64_t load(const struct cuc_memop *op)
{
    // NOLINTBEGIN(performance-no-int-to-ptr)
    if (cuc_memop_is_64(op->kind))
        return __atomic_load_n((const uint64_t *)(uintptr_t)op->address, __ATOMIC_ACQUIRE);
    return __atomic_load_n((const uint32_t *)(uintptr_t)op->address, __ATOMIC_ACQUIRE);
    // NOLINTEND(performance-no-int-to-ptr)
}

bool cuc_memop_is_satisfied(const struct cuc_memop *op)
{
    bool is_64 = cuc_memop_is_64(op->kind);
    uint64_t now = load(op), mask = is_64 ? UINT64_MAX : UINT32_MAX;
    uint64_t top = is_64 ? UINT64_C(1) << 63 : UINT64_C(1) << 31;

    switch (op->flags & (CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_AND)) {
    case CU_STREAM_WAIT_VALUE_GEQ: /* cyclic: the difference as a signed number */
        return ((now - op->value) & top) == 0;
    case CU_STREAM_WAIT_VALUE_EQ:
        return now == op->value;
    case CU_STREAM_WAIT_VALUE_AND:
        return (now & op->value) != 0;
    default: /* CU_STREAM_WAIT_VALUE_NOR */
        return (~(now | op->value) & mask) != 0;
    }
}

void cuc_memop_store(const struct cuc_memop *op)
{
    // NOLINTBEGIN(performance-no-int-to-ptr)
    if (cuc_memop_is_64(op->kind))
        __atomic_store_n((uint64_t *)(uintptr_t)op->address, op->value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint32_t *)(uintptr_t)op->address, (uint32_t)op->value, __ATOMIC_RELEASE);
    // NOLINTEND(performance-no-int-to-ptr)
}
