/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/memop.c - cuStreamWaitValue, cuStreamWriteValue, cuStreamBatchMemOp.
 *
 * A wait that is not satisfied yet is watched by tick.c; it holds no thread. It ends, too, when its
 * context fails or is being closed.
 */
#include "cuda-common/memop.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/tick.h"

/* In a command's data. */
struct memop {
    struct cuc_memop op;
    struct soft_tick tick;
};

static struct memop *memop_of(struct soft_command *command)
{
    return (struct memop *)(void *)command->data;
}

/* ---- doing it ------------------------------------------------------------------------------- */

static bool wait_is_due(void *arg)
{
    struct soft_command *command = arg;
    struct soft_context *context = command->context;

    return cuc_memop_is_satisfied(&memop_of(command)->op) ||
           soft_context_error(context) != CUDA_SUCCESS ||
           !atomic_load_explicit(&context->is_open, memory_order_acquire);
}

static void wait_fire(void *arg)
{
    soft_command_finish(arg, CUDA_SUCCESS);
}

static void memop_start(struct soft_command *command)
{
    struct memop *memop = memop_of(command);

    if (cuc_memop_is_wait(memop->op.kind) && !wait_is_due(command)) {
        memop->tick = (struct soft_tick){.is_due = wait_is_due, .fire = wait_fire, .arg = command};
        soft_tick_when(&memop->tick);
        return;
    }
    if (cuc_memop_is_write(memop->op.kind))
        cuc_memop_store(&memop->op);
    else
        atomic_thread_fence(memory_order_seq_cst); /* barriers and flushes */
    soft_command_finish(command, CUDA_SUCCESS);
}

static const struct soft_command_ops memop_ops = {.name = "memory operation", .start = memop_start};

/* ---- checks and submitting ------------------------------------------------------------------ */

static CUresult memop_check(struct soft_context *context, const struct cuc_memop *op)
{
    uint64_t bytes = cuc_memop_is_64(op->kind) ? sizeof(uint64_t) : sizeof(uint32_t);
    CUresult result = cuc_memop_check(op);

    if (result != CUDA_SUCCESS || (!cuc_memop_is_wait(op->kind) && !cuc_memop_is_write(op->kind)))
        return result;
    return soft_mem_check(context, op->address, bytes, cuc_memop_is_write(op->kind));
}

static CUresult memop_submit(struct soft_stream *stream, const struct cuc_memop *op)
{
    struct soft_command *command = soft_command_new(stream->context, stream, &memop_ops);

    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memop_of(command)->op = *op;
    soft_command_submit(command);
    return CUDA_SUCCESS;
}

static CUresult memop_call(CUstream handle, const struct cuc_memop *op)
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
    const struct cuc_memop op = {
        .kind = CU_STREAM_MEM_OP_WAIT_VALUE_32, .address = addr, .value = value, .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                     unsigned int flags)
{
    const struct cuc_memop op = {
        .kind = CU_STREAM_MEM_OP_WAIT_VALUE_64, .address = addr, .value = value, .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
                                      unsigned int flags)
{
    const struct cuc_memop op = {
        .kind = CU_STREAM_MEM_OP_WRITE_VALUE_32, .address = addr, .value = value, .flags = flags};

    return memop_call(stream, &op);
}

CUresult soft_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                      unsigned int flags)
{
    const struct cuc_memop op = {
        .kind = CU_STREAM_MEM_OP_WRITE_VALUE_64, .address = addr, .value = value, .flags = flags};

    return memop_call(stream, &op);
}

/* All are checked before the first is enqueued. */
CUresult soft_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count,
                                    CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (flags != 0 || count > CUC_MEMOP_BATCH_MAX || (count > 0 && !paramArray))
        result = CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct cuc_memop op = cuc_memop_of_params(&paramArray[i]);

        result = memop_check(stream->context, &op);
    }
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct cuc_memop op = cuc_memop_of_params(&paramArray[i]);

        result = memop_submit(stream, &op);
    }
    soft_stream_put(stream);
    return result;
}
