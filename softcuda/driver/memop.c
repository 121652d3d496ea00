/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/memop.c - cuStreamWaitValue, cuStreamWriteValue, cuStreamBatchMemOp.
 *
 * A wait that is not satisfied yet is watched by tick.c; it holds no thread. It ends, too, when its
 * context fails or is being closed.
 */
#include <string.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/tick.h"

enum { BATCH_MAX = 256 }; /* operations of one call, as CUDA documents */

/* In a command's data. */
struct memop {
    CUstreamBatchMemOpType operation;
    uint64_t address, value;
    unsigned flags;
    struct soft_tick tick;
};

static struct memop *memop_of(struct soft_command *command)
{
    return (struct memop *)(void *)command->data;
}

static bool is_64(CUstreamBatchMemOpType operation)
{
    return operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
           operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static bool is_wait(CUstreamBatchMemOpType operation)
{
    return operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
           operation == CU_STREAM_MEM_OP_WAIT_VALUE_32;
}

static bool is_write(CUstreamBatchMemOpType operation)
{
    return operation == CU_STREAM_MEM_OP_WRITE_VALUE_64 ||
           operation == CU_STREAM_MEM_OP_WRITE_VALUE_32;
}

/* ---- doing it ------------------------------------------------------------------------------- */

static uint64_t load(const struct memop *op)
{
    // NOLINTBEGIN(performance-no-int-to-ptr)
    if (is_64(op->operation))
        return __atomic_load_n((const uint64_t *)(uintptr_t)op->address, __ATOMIC_ACQUIRE);
    return __atomic_load_n((const uint32_t *)(uintptr_t)op->address, __ATOMIC_ACQUIRE);
    // NOLINTEND(performance-no-int-to-ptr)
}

static bool is_satisfied(const struct memop *op)
{
    uint64_t now = load(op), mask = is_64(op->operation) ? UINT64_MAX : UINT32_MAX;
    uint64_t top = is_64(op->operation) ? UINT64_C(1) << 63 : UINT64_C(1) << 31;

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

static bool wait_is_due(void *arg)
{
    struct soft_command *command = arg;
    struct soft_context *context = command->context;

    return is_satisfied(memop_of(command)) || soft_context_error(context) != CUDA_SUCCESS ||
           !atomic_load_explicit(&context->is_open, memory_order_acquire);
}

static void wait_fire(void *arg)
{
    soft_command_finish(arg, CUDA_SUCCESS);
}

static void store(const struct memop *op)
{
    // NOLINTBEGIN(performance-no-int-to-ptr)
    if (is_64(op->operation))
        __atomic_store_n((uint64_t *)(uintptr_t)op->address, op->value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint32_t *)(uintptr_t)op->address, (uint32_t)op->value, __ATOMIC_RELEASE);
    // NOLINTEND(performance-no-int-to-ptr)
}

static void memop_start(struct soft_command *command)
{
    struct memop *op = memop_of(command);

    if (is_wait(op->operation) && !wait_is_due(command)) {
        op->tick = (struct soft_tick){.is_due = wait_is_due, .fire = wait_fire, .arg = command};
        soft_tick_when(&op->tick);
        return;
    }
    if (is_write(op->operation))
        store(op);
    else
        atomic_thread_fence(memory_order_seq_cst); /* barriers and flushes */
    soft_command_finish(command, CUDA_SUCCESS);
}

static const struct soft_command_ops memop_ops = {.name = "memory operation", .start = memop_start};

/* ---- checks and submitting ------------------------------------------------------------------ */

static CUresult memop_check(struct soft_context *context, const struct memop *op)
{
    const unsigned modes = CU_STREAM_WAIT_VALUE_NOR;
    uint64_t bytes = is_64(op->operation) ? sizeof(uint64_t) : sizeof(uint32_t);
    unsigned known = 0;

    if (is_wait(op->operation))
        known = modes | CU_STREAM_WAIT_VALUE_FLUSH;
    else if (is_write(op->operation))
        known = CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER;
    else if (op->operation == CU_STREAM_MEM_OP_BARRIER)
        known = CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
    else if (op->operation != CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES)
        return CUDA_ERROR_INVALID_VALUE;
    if (op->flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_wait(op->operation) && !is_write(op->operation))
        return CUDA_SUCCESS;
    if (op->address % bytes != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return soft_mem_check(context, op->address, bytes, is_write(op->operation));
}

static CUresult memop_submit(struct soft_stream *stream, const struct memop *op)
{
    struct soft_command *command = soft_command_new(stream->context, stream, &memop_ops);

    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *memop_of(command) = *op;
    soft_command_submit(command);
    return CUDA_SUCCESS;
}

static CUresult memop_call(CUstream handle, const struct memop *op)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = memop_check(stream->context, op);
    if (result == CUDA_SUCCESS)
        result = memop_submit(stream, op);
    soft_stream_put(stream);
    return result;
}

/* ---- calls ---------------------------------------------------------------------------------- */

CUresult soft_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
                                     unsigned int flags)
{
    const struct memop op = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
                             .address = addr,
                             .value = value,
                             .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                     unsigned int flags)
{
    const struct memop op = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64,
                             .address = addr,
                             .value = value,
                             .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
                                      unsigned int flags)
{
    const struct memop op = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
                             .address = addr,
                             .value = value,
                             .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                      unsigned int flags)
{
    const struct memop op = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64,
                             .address = addr,
                             .value = value,
                             .flags = flags};

    return memop_call(stream, &op);
}

static struct memop memop_of_params(const CUstreamBatchMemOpParams *params)
{
    struct memop op = {.operation = params->operation};

    if (is_wait(op.operation)) {
        op.address = params->waitValue.address;
        op.value = is_64(op.operation) ? params->waitValue.value64 : params->waitValue.value;
        op.flags = params->waitValue.flags;
    } else if (is_write(op.operation)) {
        op.address = params->writeValue.address;
        op.value = is_64(op.operation) ? params->writeValue.value64 : params->writeValue.value;
        op.flags = params->writeValue.flags;
    } else if (op.operation == CU_STREAM_MEM_OP_BARRIER) {
        op.flags = params->memoryBarrier.flags;
    } else {
        op.flags = params->flushRemoteWrites.flags;
    }
    return op;
}

/* All are checked before the first is enqueued. */
CUresult soft_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count,
                                    CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (flags != 0 || count > BATCH_MAX || (count > 0 && !paramArray))
        result = CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct memop op = memop_of_params(&paramArray[i]);

        result = memop_check(stream->context, &op);
    }
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct memop op = memop_of_params(&paramArray[i]);

        result = memop_submit(stream, &op);
    }
    soft_stream_put(stream);
    return result;
}
