/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy.c - copies as work of a stream: the commands for each pair of sides.
 */
#include "cuda-client/copy.h"

#include <string.h>

#include "base/alloc.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/text.h"

/* ---- shapes --------------------------------------------------------------------------------- */

static struct wire_box box_of(uint64_t address, const struct cudac_rows *shape)
{
    return (struct wire_box){.address = address,
                             .width = shape->width,
                             .height = shape->height,
                             .depth = shape->depth,
                             .pitch = shape->pitch,
                             .layer = shape->layer};
}

/* Rows that lie end to end on both sides are one row; distances that nothing uses are the dense
 * ones, so that no driver has to doubt them. */
static void shape_sides(const struct cudac_copy *copy, struct cudac_rows *dst,
                        struct cudac_rows *src)
{
    *dst = (struct cudac_rows){copy->dst,   copy->dst_pitch, copy->dst_layer,
                               copy->width, copy->height,    copy->depth};
    *src = (struct cudac_rows){copy->src,   copy->src_pitch, copy->src_layer,
                               copy->width, copy->height,    copy->depth};
    if (cudac_rows_are_dense(dst) && cudac_rows_are_dense(src)) {
        dst->width = src->width = cudac_rows_bytes(dst);
        dst->height = src->height = dst->depth = src->depth = 1;
    }
    if (copy->depth == 1) {
        if (dst->height == 1)
            dst->pitch = src->pitch = dst->width;
        dst->layer = dst->pitch * dst->height;
        src->layer = src->pitch * src->height;
    }
}

static uint64_t span_of(const struct cudac_rows *rows)
{
    return (rows->depth - 1) * rows->layer + (rows->height - 1) * rows->pitch + rows->width;
}

/* ---- after a call that waited --------------------------------------------------------------- */

static CUresult waited(struct cudac_stream *stream, CUresult result)
{
    struct cudac_context *context = stream->context;
    CUresult moved;

    cudac_memory_call_end();
    cudac_text_flush();
    moved = cudac_memory_after_wait(cudac_context_worker(context));
    if (result == CUDA_SUCCESS)
        result = moved;
    return result == CUDA_SUCCESS ? cudac_context_error(context) : result;
}

/* ---- to and from devices of the stream's worker --------------------------------------------- */

/* One copy between this process and the stream's worker. */
struct move {
    struct cudac_stream *stream;
    struct cudac_worker *worker;
    const struct cudac_end *host;
    const struct cudac_rows *rows; /* in this process */
    struct wire_box box;           /* at the worker */
    struct cudac_copy_plan plan;
    uint64_t transfer;
};

static bool any_worker_is_same_host(void)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++)
        if (cudac_worker_is_same_host(cudac_worker_at(i)))
            return true;
    return false;
}

/* Whether somebody may still write these bytes before the stream gets to read them.
 *
 * - A copy from a device that has not landed: it is in the table of transfers until then, whichever
 *   stream it is in.
 * - What the stream waits for, and who can only write because the stream waits: the program itself
 *   (it fills the memory and then sets the flag, or lets the host function go), a host function, a
 *   kernel or a window copy of another stream, whose event the stream waits for. All of these put a
 *   command into the stream that is not sure to end by itself (cudac_stream_reads_now); without
 *   one, whoever writes now does so in no order with this copy.
 *
 * A copy for which the program waits reads at once behind such commands, too. Nobody but host
 * functions and workers that write into windows without our knowing is believed to use that time.
 *
 * So many transfers may be read ahead, and no more: what is before them in their streams must find
 * room in the transport. */
static bool may_change(const struct move *move, bool is_pending, enum cudac_wait wait)
{
    if (is_pending)
        return true;
    if (wait == CUDAC_WAIT_NEVER)
        return !cudac_stream_reads_now(move->stream) || !cudac_transfers_are_few();
    return cudac_host_calls_pending() ||
           (move->host->window_id != 0 && !cudac_worker_is_same_host(move->worker) &&
            any_worker_is_same_host());
}

static void move_plan(struct move *move, bool to_device, enum cudac_wait wait)
{
    const bool is_pending = cudac_transfers_pending_into(move->rows->address, span_of(move->rows));
    const struct cudac_copy_facts facts = {
        .to_device = to_device,
        /* A worker that copies by itself does not wait for what comes from another. */
        .has_window =
            move->host->window_id != 0 && !is_pending && cudac_worker_is_same_host(move->worker),
        .may_change = to_device ? may_change(move, is_pending, wait) : is_pending,
        .bytes = cudac_rows_bytes(move->rows),
        .wait = wait,
    };

    move->plan = cudac_copy_plan(&facts);
}

static CUresult move_start(struct move *move, enum cudac_transfer_kind kind)
{
    const struct cudac_transfer_request request = {.kind = kind,
                                                   .worker = move->worker,
                                                   .ctx = move->stream->context->id,
                                                   .rows = *move->rows,
                                                   .xp_mem = move->host->xp_mem};

    return cudac_transfer_start(&request, &move->transfer);
}

static CUresult in_send(struct move *move, struct wire_copy_in *message)
{
    struct wire_parts parts;
    CUresult result;

    wire_put_copy_in(message, &parts);
    if (move->plan.is_call)
        result = cudac_stream_call(move->stream, WIRE_COPY_IN_WAIT, &parts, /* reply */ NULL);
    else
        result = cudac_stream_post(move->stream, WIRE_COPY_IN, &parts, /* number */ NULL);
    if (result != CUDA_SUCCESS && move->transfer)
        cudac_transfer_cancel(move->worker, move->transfer);
    return result;
}

/* Dense rows go as they lie; others are packed first. */
static CUresult in_inline(struct move *move, struct wire_copy_in *message)
{
    const uint64_t bytes = cudac_rows_bytes(move->rows);
    uint8_t *packed = NULL;
    CUresult result;

    if (cudac_rows_are_dense(move->rows)) {
        message->data = (const void *)(uintptr_t)move->rows->address; // NOLINT
    } else {
        packed = fab_alloc(bytes);
        if (!packed)
            return CUDA_ERROR_OUT_OF_MEMORY;
        cudac_rows_gather(move->rows, 0, bytes, packed);
        message->data = packed;
    }
    message->data_count = (uint32_t)bytes;
    result = in_send(move, message);
    free(packed);
    return result;
}

static CUresult in_transfer(struct move *move, struct wire_copy_in *message)
{
    const bool is_pull = (move->plan.flags & WIRE_COPY_PULL) != 0;
    CUresult result = move_start(move, is_pull ? CUDAC_TRANSFER_PULL : CUDAC_TRANSFER_SEND);

    if (result != CUDA_SUCCESS)
        return result;
    message->transfer = move->transfer;
    result = in_send(move, message);
    /* A failed call has cancelled it; the source is free when the transport lets go of it. */
    if (move->plan.is_call || move->plan.waits_source) {
        CUresult moved = cudac_transfers_wait(move->worker, &move->transfer, 1);

        if (result == CUDA_SUCCESS && moved != CUDA_SUCCESS)
            result = cudac_stream_wait(move->stream); /* the error is the stream's to tell */
    }
    return result;
}

static CUresult move_in(struct move *move, enum cudac_wait wait)
{
    struct wire_copy_in message = {
        .ctx = move->stream->context->id, .stream = move->stream->id, .to = move->box};
    CUresult result;

    move_plan(move, /* to_device */ true, wait);
    message.flags = move->plan.flags;
    if (move->plan.flags & WIRE_COPY_WINDOW) {
        message.window = (struct wire_window){move->host->window_id, move->host->window_offset};
        message.window_pitch = move->rows->pitch;
        message.window_layer = move->rows->layer;
        result = in_send(move, &message);
    } else if (move->plan.flags & WIRE_COPY_INLINE) {
        result = in_inline(move, &message);
    } else {
        result = in_transfer(move, &message);
    }
    return move->plan.is_call ? waited(move->stream, result) : result;
}

static CUresult out_call(struct move *move, const struct wire_copy_out *message)
{
    struct wire_copy_out_wait_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_copy_out(message, &parts);
    result = cudac_stream_call(move->stream, WIRE_COPY_OUT_WAIT, &parts, &reply);
    if (result == CUDA_SUCCESS && message->flags & WIRE_COPY_INLINE) {
        if (wire_get_copy_out_wait_reply(reply.bytes, reply.size_bytes, &answer) &&
            answer.data_count == cudac_rows_bytes(move->rows))
            cudac_rows_scatter(move->rows, 0, answer.data_count, answer.data);
        else
            result = cudac_worker_broken(move->worker, "a copy's reply lacks its bytes");
    }
    cudac_reply_free(&reply);
    if (move->transfer) {
        CUresult moved;

        if (result != CUDA_SUCCESS)
            cudac_transfer_cancel(move->worker, move->transfer);
        moved = cudac_transfers_wait(move->worker, &move->transfer, 1);
        if (result == CUDA_SUCCESS && moved != CUDA_SUCCESS)
            result = cudac_stream_wait(move->stream);
        if (result == CUDA_SUCCESS)
            result = moved;
    }
    return waited(move->stream, result);
}

static CUresult out_post(struct move *move, const struct wire_copy_out *message)
{
    struct wire_parts parts;
    CUresult result;

    wire_put_copy_out(message, &parts);
    result = cudac_stream_post(move->stream, WIRE_COPY_OUT, &parts, /* number */ NULL);
    if (result != CUDA_SUCCESS && move->transfer)
        cudac_transfer_cancel(move->worker, move->transfer);
    return result;
}

static CUresult move_out(struct move *move, enum cudac_wait wait)
{
    struct wire_copy_out message = {
        .ctx = move->stream->context->id, .stream = move->stream->id, .from = move->box};
    CUresult result = CUDA_SUCCESS;

    move_plan(move, /* to_device */ false, wait);
    message.flags = move->plan.flags;
    if (move->plan.flags & WIRE_COPY_WINDOW) {
        message.window = (struct wire_window){move->host->window_id, move->host->window_offset};
        message.window_pitch = move->rows->pitch;
        message.window_layer = move->rows->layer;
    } else if (move->plan.flags & WIRE_COPY_TRANSFER) {
        result = move_start(move, CUDAC_TRANSFER_RECEIVE);
    } else if (!move->plan.is_call) {
        result = move_start(move, CUDAC_TRANSFER_SMALL);
    }
    if (result != CUDA_SUCCESS)
        return result;
    message.transfer = move->transfer;
    return move->plan.is_call ? out_call(move, &message) : out_post(move, &message);
}

/* ---- inside the stream's worker ------------------------------------------------------------- */

static CUresult copy_inside(struct cudac_stream *stream, const struct wire_box *to,
                            const struct wire_box *from, enum cudac_wait wait)
{
    const struct wire_copy_device message = {
        .ctx = stream->context->id, .stream = stream->id, .to = *to, .from = *from};
    struct wire_parts parts;

    wire_put_copy_device(&message, &parts);
    if (wait == CUDAC_WAIT_NEVER)
        return cudac_stream_post(stream, WIRE_COPY_DEVICE, &parts, /* number */ NULL);
    return waited(stream,
                  cudac_stream_call(stream, WIRE_COPY_DEVICE_WAIT, &parts, /* reply */ NULL));
}

/* ---- choosing ------------------------------------------------------------------------------- */

static CUresult submit_between(struct cudac_stream *stream, const struct cudac_end *dst,
                               const struct cudac_rows *dst_rows, const struct cudac_end *src,
                               const struct cudac_rows *src_rows, enum cudac_wait wait)
{
    const struct wire_box to = box_of(dst->address, dst_rows),
                          from = box_of(src->address, src_rows);
    struct cudac_worker *worker = cudac_context_worker(stream->context);

    if (dst->worker == worker && src->worker == worker)
        return copy_inside(stream, &to, &from, wait);
    return cudac_copy_between(stream, dst, &to, src, &from, wait);
}

/* `host` is in this process, `device` is not. */
static CUresult submit_move(struct cudac_stream *stream, const struct cudac_end *device,
                            const struct cudac_rows *device_rows, const struct cudac_end *host,
                            const struct cudac_rows *host_rows, bool to_device,
                            enum cudac_wait wait)
{
    struct move move = {.stream = stream,
                        .worker = cudac_context_worker(stream->context),
                        .host = host,
                        .rows = host_rows,
                        .box = box_of(device->address, device_rows)};

    if (device->worker != move.worker)
        return cudac_copy_elsewhere(stream, device, &move.box, host_rows, to_device);
    return to_device ? move_in(&move, wait) : move_out(&move, wait);
}

static CUresult submit_ends(struct cudac_stream *stream, const struct cudac_end *dst,
                            const struct cudac_rows *dst_rows, const struct cudac_end *src,
                            const struct cudac_rows *src_rows, enum cudac_wait wait)
{
    if (dst->is_device && src->is_device)
        return submit_between(stream, dst, dst_rows, src, src_rows, wait);
    if (dst->is_device)
        return submit_move(stream, dst, dst_rows, src, src_rows, /* to_device */ true, wait);
    if (src->is_device)
        return submit_move(stream, src, src_rows, dst, dst_rows, /* to_device */ false, wait);
    return cudac_copy_host(stream, dst_rows, src_rows, dst->is_pinned ? wait : CUDAC_WAIT_DONE);
}

CUresult cudac_copy_submit(struct cudac_stream *stream, const struct cudac_copy *copy,
                           enum cudac_wait wait)
{
    struct cudac_worker *worker = cudac_context_worker(stream->context);
    struct cudac_rows dst_rows, src_rows;
    struct cudac_end dst, src;
    CUresult result = CUDA_SUCCESS;

    if (copy->width == 0 || copy->height == 0 || copy->depth == 0)
        return wait == CUDAC_WAIT_NEVER ? CUDA_SUCCESS : cudac_stream_wait(stream);
    cudac_stream_make_room(stream);
    shape_sides(copy, &dst_rows, &src_rows);
    cudac_ends_find(worker, copy, &dst, &src);
    dst_rows.address = dst.address;
    src_rows.address = src.address;
    if ((dst.is_live || src.is_live) && !cudac_stream_starts_now(stream))
        result = cudac_memory_catch_up(stream);
    if (result == CUDA_SUCCESS)
        result = submit_ends(stream, &dst, &dst_rows, &src, &src_rows, wait);
    cudac_memory_call_end(); /* it is posted */
    return result;
}
