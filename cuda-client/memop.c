/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memop.c - cuStreamWaitValue, cuStreamWriteValue, cuStreamBatchMemOp.
 */
#include "cuda-client/memory.h"
#include "cuda-client/stream.h"
#include "generated/cuda-api/client_impl.h"

enum { BATCH_MAX = 256 }; /* operations of one call, as CUDA documents */

static bool is_64(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WAIT_VALUE_64 || kind == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static bool is_wait(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WAIT_VALUE_64 || kind == CU_STREAM_MEM_OP_WAIT_VALUE_32;
}

static bool is_write(uint32_t kind)
{
    return kind == CU_STREAM_MEM_OP_WRITE_VALUE_64 || kind == CU_STREAM_MEM_OP_WRITE_VALUE_32;
}

static CUresult memop_check(struct cudac_context *context, const struct wire_memop *op)
{
    uint64_t bytes = is_64(op->kind) ? sizeof(uint64_t) : sizeof(uint32_t);
    unsigned known = 0;

    if (is_wait(op->kind))
        known = CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH;
    else if (is_write(op->kind))
        known = CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER;
    else if (op->kind == CU_STREAM_MEM_OP_BARRIER)
        known = CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
    else if (op->kind != CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES)
        return CUDA_ERROR_INVALID_VALUE;
    if (op->flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_wait(op->kind) && !is_write(op->kind))
        return CUDA_SUCCESS;
    if (op->address % bytes != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return cudac_memory_check(context, op->address, bytes, is_write(op->kind));
}

/* All are checked before the first is sent. */
static CUresult memops_post(struct cudac_stream *stream, const struct wire_memop *ops,
                            uint32_t count)
{
    const struct wire_stream_memops message = {
        .ctx = stream->context->id, .stream = stream->id, .ops = ops, .ops_count = count};
    struct wire_parts parts;
    CUresult result = CUDA_SUCCESS;

    for (uint32_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = memop_check(stream->context, &ops[i]);
    if (result != CUDA_SUCCESS || count == 0)
        return result;
    wire_put_stream_memops(&message, &parts);
    return cudac_stream_post(stream, WIRE_STREAM_MEMOPS, &parts, NULL);
}

static CUresult memop_call(CUstream handle, uint32_t kind, CUdeviceptr address, uint64_t value,
                           unsigned flags)
{
    const struct wire_memop op = {.kind = kind, .flags = flags, .address = address, .value = value};
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = memops_post(stream, &op, 1);
    cudac_stream_put(stream);
    return result;
}

CUresult cudac_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
                                      unsigned int flags)
{
    return memop_call(stream, CU_STREAM_MEM_OP_WAIT_VALUE_32, addr, value, flags);
}

CUresult cudac_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                      unsigned int flags)
{
    return memop_call(stream, CU_STREAM_MEM_OP_WAIT_VALUE_64, addr, value, flags);
}

CUresult cudac_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value,
                                       unsigned int flags)
{
    return memop_call(stream, CU_STREAM_MEM_OP_WRITE_VALUE_32, addr, value, flags);
}

CUresult cudac_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value,
                                       unsigned int flags)
{
    return memop_call(stream, CU_STREAM_MEM_OP_WRITE_VALUE_64, addr, value, flags);
}

static struct wire_memop memop_of_params(const CUstreamBatchMemOpParams *params)
{
    struct wire_memop op = {.kind = (uint32_t)params->operation};

    if (is_wait(op.kind)) {
        op.address = params->waitValue.address;
        op.value = is_64(op.kind) ? params->waitValue.value64 : params->waitValue.value;
        op.flags = params->waitValue.flags;
    } else if (is_write(op.kind)) {
        op.address = params->writeValue.address;
        op.value = is_64(op.kind) ? params->writeValue.value64 : params->writeValue.value;
        op.flags = params->writeValue.flags;
    } else if (op.kind == CU_STREAM_MEM_OP_BARRIER) {
        op.flags = params->memoryBarrier.flags;
    } else {
        op.flags = params->flushRemoteWrites.flags;
    }
    return op;
}

CUresult cudac_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count,
                                     CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
    struct wire_memop ops[BATCH_MAX];
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (flags != 0 || count > BATCH_MAX || (count > 0 && !paramArray))
        result = CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++)
        ops[i] = memop_of_params(&paramArray[i]);
    if (result == CUDA_SUCCESS)
        result = memops_post(stream, ops, count);
    cudac_stream_put(stream);
    return result;
}
