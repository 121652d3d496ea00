/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/stream.c - the commands about streams.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/gate.h"
#include "cuda-server/sync.h"
#include "cuda-server/window.h"

static void stream_destroy(struct cudas_object *object)
{
    free(object);
}

static CUresult stream_create(struct cudas_worker *worker, const struct cudas_command *command,
                              const struct wire_stream_create *m, struct cudas_context *context)
{
    struct cudas_stream *stream = fab_alloc_zeroed(1, sizeof(*stream));
    CUresult result;

    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *stream = (struct cudas_stream){.object = {.id = m->stream,
                                               .kind = CUDAS_STREAM,
                                               .context = context,
                                               .destroy = stream_destroy},
                                    .worker = worker,
                                    .waits_for_legacy = !(m->flags & CU_STREAM_NON_BLOCKING),
                                    .is_own = m->is_own != 0};
    result = worker->cu.cuStreamCreateWithPriority(&stream->handle, m->flags, m->priority);
    if (result == CUDA_SUCCESS) {
        result = cudas_object_add(worker, &stream->object, command);
        if (result == CUDA_SUCCESS)
            return result;
        (void)worker->cu.cuStreamDestroy_v2(stream->handle);
    }
    free(stream);
    return result;
}

void cudas_on_stream_create(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_stream_create m;
    CUresult result;

    if (!wire_get_stream_create(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = stream_create(worker, command, &m, context);
    cudas_posted(worker, context, result);
    cudas_context_put(context);
}

void cudas_on_stream_destroy(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_stream *stream;
    struct wire_stream_destroy m;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_stream_destroy(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    stream = (struct cudas_stream *)cudas_object_remove(worker, m.stream, CUDAS_STREAM);
    if (stream) {
        result = cudas_enter(stream->object.context);
        if (result == CUDA_SUCCESS)
            result = worker->cu.cuStreamDestroy_v2(stream->handle);
        cudas_posted(worker, stream->object.context, result);
        cudas_object_put(&stream->object);
        return;
    }
    cudas_posted(worker, NULL, result);
}

void cudas_on_stream_set(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    CUstreamAttrValue value;
    struct wire_stream_set m;
    CUresult result;

    if (!wire_get_stream_set(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    memset(&value, 0, sizeof(value));
    memcpy(&value, m.value, sizeof(m.value) < sizeof(value) ? sizeof(m.value) : sizeof(value));
    result = cudas_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamSetAttribute
                     ? worker->cu.cuStreamSetAttribute(place.stream->handle,
                                                       (CUstreamAttrID)m.attribute, &value)
                     : CUDA_ERROR_NOT_SUPPORTED;
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}

void cudas_on_stream_sync(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_stream_sync m;
    CUresult result;

    if (!wire_get_stream_sync(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamSynchronize(place.stream->handle);
    cudas_reply_landed(worker, command, place.context, result);
    if (place.context)
        cudas_windows_reap(worker);
    cudas_place_put(&place);
}

/* ---- memory operations ----------------------------------------------------------------------- */

static CUresult memop_of(const struct wire_memop *m, CUstreamBatchMemOpParams *op_out)
{
    CUstreamBatchMemOpParams op;

    memset(&op, 0, sizeof(op));
    op.operation = (CUstreamBatchMemOpType)m->kind;
    switch ((int)m->kind) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        op.waitValue.address = m->address;
        op.waitValue.value64 = m->value;
        op.waitValue.flags = m->flags;
        break;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        op.writeValue.address = m->address;
        op.writeValue.value64 = m->value;
        op.writeValue.flags = m->flags;
        break;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        op.flushRemoteWrites.flags = m->flags;
        break;
    case CU_STREAM_MEM_OP_BARRIER:
        op.memoryBarrier.flags = m->flags;
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    *op_out = op;
    return CUDA_SUCCESS;
}

static CUresult memops(struct cudas_worker *worker, const struct wire_stream_memops *m,
                       CUstream stream)
{
    CUstreamBatchMemOpParams *ops = fab_alloc_zeroed(m->ops_count + 1, sizeof(*ops));
    CUresult result = ops ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    for (uint32_t i = 0; result == CUDA_SUCCESS && i < m->ops_count; i++)
        result = memop_of(&m->ops[i], &ops[i]);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamBatchMemOp_v2(stream, m->ops_count, ops, m->flags);
    free(ops);
    return result;
}

void cudas_on_stream_memops(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_stream_memops m;
    CUresult result;

    if (!wire_get_stream_memops(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        result = memops(worker, &m, place.stream->handle);
    }
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}
