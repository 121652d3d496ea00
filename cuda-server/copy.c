/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/copy.c - the commands that move and set memory.
 *
 * The host's side is inline bytes, a window (both copied in the program's own stream), or a
 * transfer (transfer.h). The forms that wait are executed beside the leader: they submit like the
 * others, and then synchronise the stream, so that text and errors come as the driver brings them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/gate.h"
#include "cuda-server/memory.h"
#include "cuda-server/outbox.h"
#include "cuda-server/sync.h"
#include "cuda-server/transfer.h"
#include "cuda-server/window.h"

static void count(_Atomic uint64_t *counter, uint64_t bytes)
{
    atomic_fetch_add_explicit(counter, bytes, memory_order_relaxed);
}

/* The client need not wait for a transfer whose copy failed; who calls cancels by himself. */
static void give_up(struct cudas_worker *worker, uint64_t transfer)
{
    const struct wire_out_data m = {.transfer = transfer};
    struct wire_parts parts;

    wire_put_out_data(&m, &parts);
    cudas_signal(worker, WIRE_OUT_DATA, &parts);
}

static void posted(struct cudas_worker *worker, const struct cudas_place *place, uint64_t transfer,
                   CUresult result)
{
    cudas_posted(worker, place->context, result);
    if (result != CUDA_SUCCESS && transfer != 0)
        give_up(worker, transfer);
}

/* The last step of a command: a call waits for its stream. */
static void finish(struct cudas_worker *worker, const struct cudas_command *command,
                   struct cudas_place *place, uint64_t transfer, CUresult result)
{
    if (command->is_call) {
        if (result == CUDA_SUCCESS)
            result = worker->cu.cuStreamSynchronize(place->stream->handle);
        cudas_reply_landed(worker, command, place->context, result);
    } else {
        posted(worker, place, transfer, result);
    }
    cudas_place_put(place);
}

/* Where the host's side is: exactly one of the three. */
static bool host_side(uint32_t flags, uint32_t *side_out)
{
    const uint32_t side = flags & (WIRE_COPY_INLINE | WIRE_COPY_WINDOW | WIRE_COPY_TRANSFER);

    if ((flags &
         ~(uint32_t)(WIRE_COPY_INLINE | WIRE_COPY_WINDOW | WIRE_COPY_TRANSFER | WIRE_COPY_PULL)) ||
        side == 0 || (side & (side - 1)) ||
        ((flags & WIRE_COPY_PULL) && side != WIRE_COPY_TRANSFER))
        return false;
    *side_out = side;
    return true;
}

/* ---- windows --------------------------------------------------------------------------------- */

static CUresult copy_window(struct cudas_worker *worker, const struct cudas_place *place,
                            enum cudas_direction direction, const struct wire_box *box,
                            const struct wire_window *window, uint64_t pitch, uint64_t layer)
{
    struct cudas_rows rows = {.pitch = pitch, .layer = layer};
    uint64_t span;

    if (!cudas_rows_span(box, pitch, layer, &span))
        return CUDA_ERROR_INVALID_VALUE;
    rows.bytes = cudas_window_at(worker, place->context, window, span, direction == CUDAS_OUT);
    if (!rows.bytes)
        return CUDA_ERROR_INVALID_VALUE;
    count(&worker->stats.bytes_window, box->width * box->height * box->depth);
    return cudas_box_copy(worker, place->stream->handle, direction, box, &rows);
}

/* ---- to the device --------------------------------------------------------------------------- */

static CUresult copy_in(struct cudas_worker *worker, const struct cudas_command *command,
                        const struct wire_copy_in *m, uint32_t side, uint64_t bytes,
                        const struct cudas_place *place)
{
    const struct cudas_transfer_config transfer = {
        .conn = atomic_load(&worker->conn),
        .id = m->transfer,
        .command = command->number,
        .direction = CUDAS_IN,
        .box = m->to,
        .pull = (m->flags & WIRE_COPY_PULL) != 0,
        .is_client = true,
    };

    if (side == WIRE_COPY_WINDOW)
        return copy_window(worker, place, CUDAS_IN, &m->to, &m->window, m->window_pitch,
                           m->window_layer);
    if (side == WIRE_COPY_TRANSFER)
        return cudas_transfer_start(worker, place, &transfer);
    count(&worker->stats.bytes_in, bytes);
    /* Up to this size a driver takes a copy of ordinary memory before it returns. Source: CUDA C++
     * Programming Guide, "Concurrent Execution between Host and Device". */
    return cudas_box_copy(worker, place->stream->handle, CUDAS_IN, &m->to,
                          &(struct cudas_rows){.bytes = (void *)(uintptr_t)m->data,
                                               .pitch = m->to.width,
                                               .layer = m->to.width * m->to.height,
                                               .is_passing = true});
}

void cudas_on_copy_in(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_copy_in m;
    uint64_t bytes;
    uint32_t side;
    CUresult result;

    if (!wire_get_copy_in(command->bytes, command->size_bytes, &m) || !host_side(m.flags, &side) ||
        !cudas_box_bytes(&m.to, &bytes) ||
        (side == WIRE_COPY_INLINE && (m.data_count != bytes || bytes > CUDAS_SMALL_SLOT_BYTES)) ||
        (side == WIRE_COPY_TRANSFER && (bytes == 0 || m.transfer == 0))) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        if (bytes > 0)
            result = copy_in(worker, command, &m, side, bytes, &place);
    }
    finish(worker, command, &place, m.transfer, result);
}

/* ---- from the device, in messages ------------------------------------------------------------ */

/* A copy whose bytes go in one message when the stream has captured them. */
struct small_out {
    struct cudas_worker *worker;
    struct cudas_context *context; /* holds a reference */
    struct cudas_slot *slot;
    uint64_t bytes;
    struct cudas_capture capture;
};

static void small_sent(void *arg)
{
    struct small_out *out = arg;

    cudas_capture_remove(out->worker, &out->capture);
    cudas_context_put(out->context);
    free(out);
}

static void small_captured(CUstream stream, CUresult status, void *arg)
{
    struct small_out *out = arg;
    const struct wire_out_data m = {
        .transfer = out->capture.id, .data = out->slot->bytes, .data_count = (uint32_t)out->bytes};
    struct cudas_slot *slot = out->slot;
    struct cudas_context *context = out->context;
    struct wire_parts parts;

    (void)stream;
    if (status != CUDA_SUCCESS) {
        cudas_context_failed(context, status);
        give_up(out->worker, out->capture.id);
        cudas_slot_give(context, slot);
        cudas_context_put(context);
        free(out);
        return;
    }
    count(&out->worker->stats.bytes_out, out->bytes);
    cudas_object_ref(&context->object);
    cudas_capture_add(out->worker, &out->capture);
    wire_put_out_data(&m, &parts);
    cudas_signal_then(out->worker, WIRE_OUT_DATA, &parts, small_sent, out);
    cudas_slot_give(context, slot); /* the message has its own copy */
    cudas_context_put(context);
}

static CUresult small_out(struct cudas_worker *worker, const struct wire_copy_out *m,
                          uint64_t bytes, const struct cudas_place *place)
{
    struct small_out *out = fab_alloc_zeroed(1, sizeof(*out));
    CUstream stream = place->stream->handle;
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (!out)
        return result;
    out->slot = cudas_slot_take(place->context, CUDAS_SMALL_SLOT_BYTES, /* may_grow */ true);
    if (!out->slot) { /* very many are under way: wait for those of this stream */
        result = worker->cu.cuStreamSynchronize(stream);
        if (result == CUDA_SUCCESS)
            out->slot =
                cudas_slot_take(place->context, CUDAS_SMALL_SLOT_BYTES, /* may_grow */ true);
    }
    if (!out->slot) {
        free(out);
        return result == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : result;
    }
    out->worker = worker;
    out->context = place->context;
    out->bytes = bytes;
    out->capture.id = m->transfer;
    fab_list_init(&out->capture.link);
    cudas_object_ref(&place->context->object);
    result = cudas_box_copy(worker, stream, CUDAS_OUT, &m->from,
                            &(struct cudas_rows){.bytes = out->slot->bytes,
                                                 .pitch = m->from.width,
                                                 .layer = m->from.width * m->from.height});
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamAddCallback(stream, small_captured, out, 0);
    if (result != CUDA_SUCCESS) {
        cudas_slot_give(place->context, out->slot);
        cudas_context_put(place->context);
        free(out);
    }
    return result;
}

/* The same for a call: the bytes go with the answer. */
static void small_out_wait(struct cudas_worker *worker, const struct cudas_command *command,
                           const struct wire_copy_out *m, uint64_t bytes, struct cudas_place *place)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_copy_out_wait_reply reply = {.landed = landed};
    struct wire_parts parts;
    struct cudas_slot *slot =
        cudas_slot_take(place->context, CUDAS_SMALL_SLOT_BYTES, /* may_grow */ true);
    void *spare = slot ? NULL : fab_alloc(CUDAS_SMALL_SLOT_BYTES);
    void *to = slot ? slot->bytes : spare;
    CUresult result = to ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    if (to)
        result = cudas_box_copy(worker, place->stream->handle, CUDAS_OUT, &m->from,
                                &(struct cudas_rows){.bytes = to,
                                                     .pitch = m->from.width,
                                                     .layer = m->from.width * m->from.height});
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamSynchronize(place->stream->handle);
    cudas_before_news(worker, place->context, result);
    reply.landed_count = cudas_landed(worker, landed);
    if (result == CUDA_SUCCESS) {
        reply.data = to;
        reply.data_count = (uint32_t)bytes;
        count(&worker->stats.bytes_out, bytes);
    }
    wire_put_copy_out_wait_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_slot_give(place->context, slot);
    free(spare);
    cudas_place_put(place);
}

/* ---- from the device ------------------------------------------------------------------------- */

static CUresult copy_out(struct cudas_worker *worker, const struct cudas_command *command,
                         const struct wire_copy_out *m, uint32_t side, uint64_t bytes,
                         const struct cudas_place *place)
{
    const struct cudas_transfer_config transfer = {
        .conn = atomic_load(&worker->conn),
        .id = m->transfer,
        .command = command->number,
        .direction = CUDAS_OUT,
        .box = m->from,
        .is_client = true,
    };

    if (side == WIRE_COPY_WINDOW)
        return copy_window(worker, place, CUDAS_OUT, &m->from, &m->window, m->window_pitch,
                           m->window_layer);
    if (side == WIRE_COPY_TRANSFER)
        return cudas_transfer_start(worker, place, &transfer);
    return small_out(worker, m, bytes, place);
}

/* Errors and transfers have no data. */
static void reply_without_data(struct cudas_worker *worker, const struct cudas_command *command,
                               struct cudas_place *place, CUresult result)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_copy_out_wait_reply reply = {.landed = landed};
    struct wire_parts parts;

    if (result == CUDA_SUCCESS)
        result = worker->cu.cuStreamSynchronize(place->stream->handle);
    cudas_before_news(worker, place->context, result);
    reply.landed_count = cudas_landed(worker, landed);
    wire_put_copy_out_wait_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_place_put(place);
}

void cudas_on_copy_out(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_copy_out m;
    uint64_t bytes;
    uint32_t side;
    CUresult result;

    if (!wire_get_copy_out(command->bytes, command->size_bytes, &m) || !host_side(m.flags, &side) ||
        (m.flags & WIRE_COPY_PULL) || !cudas_box_bytes(&m.from, &bytes) ||
        (side == WIRE_COPY_INLINE && bytes > CUDAS_SMALL_SLOT_BYTES) ||
        (side == WIRE_COPY_TRANSFER && bytes == 0) ||
        (side != WIRE_COPY_WINDOW && !command->is_call && m.transfer == 0)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        if (side == WIRE_COPY_INLINE && command->is_call) {
            small_out_wait(worker, command, &m, bytes, &place);
            return;
        }
        if (bytes > 0)
            result = copy_out(worker, command, &m, side, bytes, &place);
    }
    if (command->is_call) {
        reply_without_data(worker, command, &place, result);
        return;
    }
    posted(worker, &place, m.transfer, result);
    cudas_place_put(&place);
}

/* ---- inside the worker ----------------------------------------------------------------------- */

/* Rows between two devices: through their contexts, with or without peer access. */
static CUresult copy_between(struct cudas_worker *worker, CUstream stream,
                             const struct wire_box *to, const struct wire_box *from,
                             CUcontext to_context, CUcontext from_context)
{
    CUDA_MEMCPY3D_PEER copy;

    if (cudas_box_is_dense(to) && cudas_box_is_dense(from))
        return worker->cu.cuMemcpyPeerAsync(to->address, to_context, from->address, from_context,
                                            to->width * to->height * to->depth, stream);
    memset(&copy, 0, sizeof(copy));
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = from->address;
    copy.srcContext = from_context;
    copy.srcPitch = from->pitch;
    copy.srcHeight = from->depth > 1 ? from->layer / from->pitch : from->height;
    copy.dstDevice = to->address;
    copy.dstContext = to_context;
    copy.dstPitch = to->pitch;
    copy.dstHeight = to->depth > 1 ? to->layer / to->pitch : to->height;
    copy.WidthInBytes = to->width;
    copy.Height = to->height;
    copy.Depth = to->depth;
    return worker->cu.cuMemcpy3DPeerAsync(&copy, stream);
}

static CUresult copy_on_device(struct cudas_worker *worker, CUstream stream,
                               const struct wire_box *to, const struct wire_box *from)
{
    CUDA_MEMCPY3D copy;

    if (cudas_box_is_dense(to) && cudas_box_is_dense(from))
        return worker->cu.cuMemcpyDtoDAsync_v2(to->address, from->address,
                                               to->width * to->height * to->depth, stream);
    memset(&copy, 0, sizeof(copy));
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = from->address;
    copy.srcPitch = from->pitch;
    copy.srcHeight = from->depth > 1 ? from->layer / from->pitch : from->height;
    copy.dstDevice = to->address;
    copy.dstPitch = to->pitch;
    copy.dstHeight = to->depth > 1 ? to->layer / to->pitch : to->height;
    copy.WidthInBytes = to->width;
    copy.Height = to->height;
    copy.Depth = to->depth;
    return worker->cu.cuMemcpy3DAsync_v2(&copy, stream);
}

static CUresult copy_device(struct cudas_worker *worker, const struct cudas_place *place,
                            const struct wire_box *to, const struct wire_box *from)
{
    const struct cudas_vgpu *to_vgpu = cudas_memory_vgpu(worker, to->address);
    const struct cudas_vgpu *from_vgpu = cudas_memory_vgpu(worker, from->address);
    const uint32_t here = place->context->vgpu;
    struct cudas_context *to_context, *from_context;
    CUresult result = CUDA_ERROR_INVALID_CONTEXT;

    if ((!to_vgpu || to_vgpu->index == here) && (!from_vgpu || from_vgpu->index == here))
        return copy_on_device(worker, place->stream->handle, to, from);
    to_context = cudas_context_of_vgpu(worker, to_vgpu ? to_vgpu->index : here);
    from_context = cudas_context_of_vgpu(worker, from_vgpu ? from_vgpu->index : here);
    if (to_context && from_context)
        result = copy_between(worker, place->stream->handle, to, from, to_context->handle,
                              from_context->handle);
    cudas_context_put(to_context);
    cudas_context_put(from_context);
    return result;
}

/* One layer after the other where a layer is no whole number of rows. */
static CUresult copy_device_layers(struct cudas_worker *worker, const struct cudas_place *place,
                                   const struct wire_copy_device *m)
{
    struct wire_box to = m->to, from = m->from;
    CUresult result = CUDA_SUCCESS;

    if (to.height == 1)
        to.pitch = from.pitch = to.width;
    if (to.depth == 1 || (cudas_box_is_dense(&to) && cudas_box_is_dense(&from)) ||
        (to.height > 1 && to.layer % to.pitch == 0 && from.layer % from.pitch == 0))
        return copy_device(worker, place, &to, &from);
    to.depth = from.depth = 1;
    for (uint64_t z = 0; result == CUDA_SUCCESS && z < m->to.depth; z++) {
        to.address = m->to.address + z * m->to.layer;
        from.address = m->from.address + z * m->from.layer;
        result = copy_device(worker, place, &to, &from);
    }
    return result;
}

void cudas_on_copy_device(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_copy_device m;
    uint64_t bytes, from_bytes;
    CUresult result;

    if (!wire_get_copy_device(command->bytes, command->size_bytes, &m) ||
        !cudas_box_bytes(&m.to, &bytes) || !cudas_box_bytes(&m.from, &from_bytes) ||
        m.to.width != m.from.width || m.to.height != m.from.height || m.to.depth != m.from.depth) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        if (bytes > 0)
            result = copy_device_layers(worker, &place, &m);
    }
    finish(worker, command, &place, /* transfer */ 0, result);
}

/* ---- setting --------------------------------------------------------------------------------- */

static CUresult set_line(const struct cudas_driver *cu, CUstream stream, const struct wire_set *m,
                         uint64_t bytes)
{
    switch (m->value_bytes) {
    case sizeof(uint8_t):
        return cu->cuMemsetD8Async(m->to.address, (unsigned char)m->value, bytes, stream);
    case sizeof(uint16_t):
        return cu->cuMemsetD16Async(m->to.address, (unsigned short)m->value,
                                    bytes / sizeof(uint16_t), stream);
    default:
        return cu->cuMemsetD32Async(m->to.address, m->value, bytes / sizeof(uint32_t), stream);
    }
}

static CUresult set_layer(const struct cudas_driver *cu, CUstream stream, const struct wire_set *m,
                          uint64_t address)
{
    const uint64_t pitch = m->to.height > 1 ? m->to.pitch : m->to.width;

    switch (m->value_bytes) {
    case sizeof(uint8_t):
        return cu->cuMemsetD2D8Async(address, pitch, (unsigned char)m->value, m->to.width,
                                     m->to.height, stream);
    case sizeof(uint16_t):
        return cu->cuMemsetD2D16Async(address, pitch, (unsigned short)m->value,
                                      m->to.width / sizeof(uint16_t), m->to.height, stream);
    default:
        return cu->cuMemsetD2D32Async(address, pitch, m->value, m->to.width / sizeof(uint32_t),
                                      m->to.height, stream);
    }
}

static CUresult set(struct cudas_worker *worker, const struct wire_set *m, uint64_t bytes,
                    CUstream stream)
{
    CUresult result = CUDA_SUCCESS;

    if (cudas_box_is_dense(&m->to))
        return set_line(&worker->cu, stream, m, bytes);
    for (uint64_t z = 0; result == CUDA_SUCCESS && z < m->to.depth; z++)
        result = set_layer(&worker->cu, stream, m, m->to.address + z * m->to.layer);
    return result;
}

void cudas_on_set(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_set m;
    uint64_t bytes;
    CUresult result;

    if (!wire_get_set(command->bytes, command->size_bytes, &m) || !cudas_box_bytes(&m.to, &bytes) ||
        (m.value_bytes != 1 && m.value_bytes != 2 && m.value_bytes != 4) ||
        m.to.width % m.value_bytes != 0) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        cudas_gate(worker, place.context->vgpu);
        if (bytes > 0)
            result = set(worker, &m, bytes, place.stream->handle);
    }
    finish(worker, command, &place, /* transfer */ 0, result);
}
