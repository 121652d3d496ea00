/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memop.c - cuStreamWaitValue, cuStreamWriteValue, cuStreamBatchMemOp.
 */
#include "cuda-common/memop.h"
#include "cuda-client/memop_host.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream.h"
#include "generated/cuda-api/client_impl.h"

static CUresult memop_check(struct cudac_context *context, const struct cuc_memop *op)
{
    uint64_t bytes = cuc_memop_is_64(op->kind) ? sizeof(uint64_t) : sizeof(uint32_t);
    CUresult result = cuc_memop_check(op);

    if (result != CUDA_SUCCESS || (!cuc_memop_is_wait(op->kind) && !cuc_memop_is_write(op->kind)))
        return result;
    return cudac_memory_check(context, op->address, bytes, cuc_memop_is_write(op->kind));
}

/* Where the host has the word, or 0: it is device memory, or no memory is used. */
static uint64_t host_address_of(const struct cuc_memop *op)
{
    struct cudac_memory_info info;

    if ((!cuc_memop_is_wait(op->kind) && !cuc_memop_is_write(op->kind)) ||
        !cudac_memory_find(op->address, &info))
        return 0;
    return info.kind == CUDAC_MEMORY_HOST || info.kind == CUDAC_MEMORY_REGISTERED ||
                   info.kind == CUDAC_MEMORY_MANAGED
               ? info.host_address
               : 0;
}

static CUresult device_post(struct cudac_stream *stream, const struct wire_memop *ops,
                            uint32_t count)
{
    const struct wire_stream_memops message = {
        .ctx = stream->context->id, .stream = stream->id, .ops = ops, .ops_count = count};
    struct wire_parts parts;

    if (count == 0)
        return CUDA_SUCCESS;
    wire_put_stream_memops(&message, &parts);
    return cudac_stream_post(stream, WIRE_STREAM_MEMOPS, &parts, NULL);
}

/* Those on device memory go together, as far as none on host memory is between them. */
static CUresult memops_post(struct cudac_stream *stream, const struct cuc_memop *ops,
                            uint32_t count)
{
    struct wire_memop device[CUC_MEMOP_BATCH_MAX];
    uint32_t device_count = 0;
    CUresult result = CUDA_SUCCESS;

    for (uint32_t i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct wire_memop op = {ops[i].kind, ops[i].flags, ops[i].address, ops[i].value};
        uint64_t host_address = host_address_of(&ops[i]);

        if (host_address == 0) {
            device[device_count++] = op;
            continue;
        }
        result = device_post(stream, device, device_count);
        device_count = 0;
        if (result == CUDA_SUCCESS)
            result = cudac_memop_host(stream, &op, host_address);
    }
    return result == CUDA_SUCCESS ? device_post(stream, device, device_count) : result;
}

/* All are checked before the first is sent. */
static CUresult memops_call(CUstream handle, const struct cuc_memop *ops, uint32_t count)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    for (uint32_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = memop_check(stream->context, &ops[i]);
    cudac_stream_make_room(stream);
    if (result == CUDA_SUCCESS)
        result = memops_post(stream, ops, count);
    cudac_stream_put(stream);
    return result;
}

static CUresult memop_call(CUstream handle, uint32_t kind, CUdeviceptr address, uint64_t value,
                           unsigned flags)
{
    const struct cuc_memop op = {.kind = kind, .flags = flags, .address = address, .value = value};

    return memops_call(handle, &op, 1);
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

CUresult cudac_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count,
                                     CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
    struct cuc_memop ops[CUC_MEMOP_BATCH_MAX];
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_put(stream);
    if (flags != 0 || count > CUC_MEMOP_BATCH_MAX || (count > 0 && !paramArray))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        ops[i] = cuc_memop_of_params(&paramArray[i]);
    return memops_call(handle, ops, count);
}
