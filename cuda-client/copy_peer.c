/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_peer.c - copies and sets with a device that is not of the stream's worker, for
 * which this thread waits.
 *
 * A stream knows only its own worker's devices. What is elsewhere is done behind the stream, by a
 * stream of its own at the other worker, and this thread waits: the order is the stream's, and the
 * other device's own streams are not disturbed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"
#include "cuda-client/copy.h"

/* ---- whose context -------------------------------------------------------------------------- */

struct search {
    struct cudac_context *found;
    CUresult error; /* of one that failed */
};

static void take_context(struct cudac_context *context, void *arg)
{
    struct search *search = arg;
    const CUresult error = cudac_context_error(context);

    if (error != CUDA_SUCCESS) {
        search->error = error;
    } else if (!search->found) {
        cuc_object_ref(&context->object);
        search->found = context;
    }
}

CUresult cudac_context_at(struct cudac_vgpu *vgpu, struct cudac_context **context_out)
{
    struct search search = {.error = CUDA_ERROR_INVALID_CONTEXT};

    *context_out = NULL;
    if (vgpu)
        cudac_context_each(vgpu, take_context, &search);
    *context_out = search.found;
    if (search.found)
        return CUDA_SUCCESS;
    return vgpu && cudac_worker_state(cudac_vgpu_worker(vgpu)) != CUDA_SUCCESS
               ? CUDA_ERROR_DEVICE_UNAVAILABLE
               : search.error;
}

/* ---- one direction, waiting ----------------------------------------------------------------- */

enum { INLINE_BYTES_MAX = 64 << 10 };

static bool goes_inline(const struct cudac_rows *rows)
{
    return cudac_rows_are_dense(rows) && cudac_rows_bytes(rows) <= INLINE_BYTES_MAX;
}

static void *rows_memory(const struct cudac_rows *rows)
{
    return (void *)(uintptr_t)rows->address; // NOLINT(performance-no-int-to-ptr)
}

/* The end of a copy with a transfer, whose call answered `result`. */
static CUresult transfer_end(struct cudac_context *context, uint64_t transfer, CUresult result)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    CUresult moved = CUDA_SUCCESS;

    if (result != CUDA_SUCCESS && transfer)
        cudac_transfer_cancel(worker, transfer);
    if (transfer)
        moved = cudac_transfers_wait(worker, &transfer, 1);
    return cudac_context_result(context, result == CUDA_SUCCESS ? moved : result);
}

static CUresult in_now(struct cudac_context *context, const struct wire_box *box,
                       const struct cudac_rows *rows)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    const struct cudac_transfer_request request = {
        .kind = CUDAC_TRANSFER_SEND, .worker = worker, .ctx = context->id, .rows = *rows};
    struct wire_copy_in_wait message = {
        .ctx = context->id, .to = *box, .flags = WIRE_COPY_TRANSFER};
    struct wire_parts parts;
    CUresult result = cudac_side_stream(context, /* key */ 0, &message.stream);

    if (result == CUDA_SUCCESS && goes_inline(rows)) {
        message.flags = WIRE_COPY_INLINE;
        message.data = rows_memory(rows);
        message.data_count = (uint32_t)cudac_rows_bytes(rows);
    } else if (result == CUDA_SUCCESS) {
        result = cudac_transfer_start(&request, &message.transfer);
    }
    if (result != CUDA_SUCCESS)
        return result;
    wire_put_copy_in_wait(&message, &parts);
    result = cudac_call(worker, WIRE_COPY_IN_WAIT, &parts, /* reply */ NULL);
    return transfer_end(context, message.transfer, result);
}

static CUresult out_now(struct cudac_context *context, const struct wire_box *box,
                        const struct cudac_rows *rows)
{
    struct cudac_worker *worker = cudac_context_worker(context);
    const struct cudac_transfer_request request = {
        .kind = CUDAC_TRANSFER_RECEIVE, .worker = worker, .ctx = context->id, .rows = *rows};
    struct wire_copy_out_wait message = {
        .ctx = context->id, .from = *box, .flags = WIRE_COPY_TRANSFER};
    struct wire_copy_out_wait_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result = cudac_side_stream(context, /* key */ 0, &message.stream);

    if (result == CUDA_SUCCESS && goes_inline(rows))
        message.flags = WIRE_COPY_INLINE;
    else if (result == CUDA_SUCCESS)
        result = cudac_transfer_start(&request, &message.transfer);
    if (result != CUDA_SUCCESS)
        return result;
    wire_put_copy_out_wait(&message, &parts);
    result = cudac_call(worker, WIRE_COPY_OUT_WAIT, &parts, &reply);
    if (result == CUDA_SUCCESS && message.flags == WIRE_COPY_INLINE) {
        if (wire_get_copy_out_wait_reply(reply.bytes, reply.size_bytes, &answer) &&
            answer.data_count == cudac_rows_bytes(rows))
            memcpy(rows_memory(rows), answer.data, answer.data_count);
        else
            result = cudac_worker_broken(worker, "a copy's reply lacks its bytes");
    }
    cudac_reply_free(&reply);
    return transfer_end(context, message.transfer, result);
}

static struct wire_box line_box(uint64_t address, uint64_t bytes)
{
    return (struct wire_box){.address = address,
                             .width = bytes,
                             .height = 1,
                             .depth = 1,
                             .pitch = bytes,
                             .layer = bytes};
}

static struct cudac_rows line_rows(const void *memory, uint64_t bytes)
{
    return (struct cudac_rows){.address = (uint64_t)(uintptr_t)memory,
                               .width = bytes,
                               .height = 1,
                               .depth = 1,
                               .pitch = bytes,
                               .layer = bytes};
}

CUresult cudac_transfer_in_now(struct cudac_context *context, uint64_t address, const void *from,
                               uint64_t bytes)
{
    const struct wire_box box = line_box(address, bytes);
    const struct cudac_rows rows = line_rows(from, bytes);

    return bytes == 0 ? CUDA_SUCCESS : in_now(context, &box, &rows);
}

CUresult cudac_transfer_out_now(struct cudac_context *context, uint64_t address, void *to,
                                uint64_t bytes)
{
    const struct wire_box box = line_box(address, bytes);
    const struct cudac_rows rows = line_rows(to, bytes);

    return bytes == 0 ? CUDA_SUCCESS : out_now(context, &box, &rows);
}

/* ---- behind a stream ------------------------------------------------------------------------ */

CUresult cudac_copy_elsewhere(struct cudac_stream *stream, const struct cudac_end *device,
                              const struct wire_box *box, const struct cudac_rows *rows,
                              bool to_device)
{
    struct cudac_context *context;
    CUresult result = cudac_stream_wait(stream);

    if (result == CUDA_SUCCESS)
        result = cudac_context_at(device->vgpu, &context);
    if (result != CUDA_SUCCESS)
        return result;
    result = to_device ? in_now(context, box, rows) : out_now(context, box, rows);
    cuc_object_put(&context->object);
    return result;
}

/* Through memory of this process: for workers that cannot reach each other. */
CUresult cudac_copy_bounce(struct cudac_context *dst, const struct wire_box *dst_box,
                           struct cudac_context *src, const struct wire_box *src_box)
{
    const uint64_t row_bytes = dst_box->width, rows = dst_box->height * dst_box->depth;
    void *memory = fab_alloc_zeroed(rows, row_bytes);
    struct cudac_rows packed;
    CUresult result;

    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    packed = line_rows(memory, row_bytes * rows);
    result = out_now(src, src_box, &packed);
    if (result == CUDA_SUCCESS)
        result = in_now(dst, dst_box, &packed);
    free(memory);
    return result;
}

CUresult cudac_set_elsewhere(struct cudac_stream *stream, const struct cudac_end *device,
                             const struct wire_box *box, uint32_t value, uint8_t value_bytes)
{
    struct wire_set_wait message = {.to = *box, .value = value, .value_bytes = value_bytes};
    struct cudac_context *context;
    struct wire_parts parts;
    CUresult result = cudac_stream_wait(stream);

    if (result == CUDA_SUCCESS)
        result = cudac_context_at(device->vgpu, &context);
    if (result != CUDA_SUCCESS)
        return result;
    message.ctx = context->id;
    result = cudac_side_stream(context, /* key */ 0, &message.stream);
    if (result == CUDA_SUCCESS) {
        wire_put_set_wait(&message, &parts);
        result = cudac_context_result(context, cudac_call(cudac_context_worker(context),
                                                          WIRE_SET_WAIT, &parts, /* reply */ NULL));
    }
    cuc_object_put(&context->object);
    return result;
}
