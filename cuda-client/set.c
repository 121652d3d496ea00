/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/set.c - cuMemset*: 8, 16 and 32 bits, lines and rectangles.
 *
 * The plain calls return before they are done, except on host memory, as CUDA documents.
 */
#include "cuda-client/copy.h"
#include "cuda-client/memory.h"
#include "cuda-client/stream_int.h"
#include "cuda-client/text.h"
#include "generated/cuda-api/client_impl.h"

static bool is_host_memory(CUdeviceptr address)
{
    struct cudac_memory_info info;

    return cudac_memory_find(address, &info) &&
           (info.kind == CUDAC_MEMORY_HOST || info.kind == CUDAC_MEMORY_REGISTERED ||
            info.kind == CUDAC_MEMORY_MANAGED);
}

static CUresult set_at_worker(struct cudac_stream *stream, const struct wire_box *to,
                              const struct cuc_set *set, bool waits)
{
    const struct wire_set message = {.ctx = stream->context->id,
                                     .stream = stream->id,
                                     .to = *to,
                                     .value = set->value,
                                     .value_bytes = set->value_bytes};
    struct wire_parts parts;
    CUresult result, moved;

    wire_put_set(&message, &parts);
    if (!waits)
        return cudac_stream_post(stream, WIRE_SET, &parts, /* number */ NULL);
    result = cudac_stream_call(stream, WIRE_SET_WAIT, &parts, /* reply */ NULL);
    cudac_memory_call_end();
    cudac_text_flush();
    moved = cudac_memory_after_wait(cudac_context_worker(stream->context));
    return result == CUDA_SUCCESS ? moved : result;
}

/* In memory that was checked. */
static CUresult set_rows(struct cudac_stream *stream, const struct cuc_set *set, size_t width_bytes,
                         bool waits)
{
    struct cudac_rows rows = {
        .width = width_bytes, .height = set->height, .depth = 1, .pitch = set->pitch_bytes};
    struct cudac_end end;
    struct wire_box to;
    CUresult result = CUDA_SUCCESS;

    if (rows.height == 1 || rows.pitch == rows.width) { /* one row */
        rows.pitch = rows.width *= rows.height;
        rows.height = 1;
    }
    rows.layer = rows.pitch * rows.height;
    cudac_end_find(cudac_context_worker(stream->context), CUC_SIDE_DEVICE, set->dst, &end);
    rows.address = end.address;
    if (!end.is_device)
        return cudac_set_host(stream, &rows, set->value, set->value_bytes,
                              waits ? CUDAC_WAIT_DONE : CUDAC_WAIT_NEVER);
    to = (struct wire_box){end.address, rows.width, rows.height, 1, rows.pitch, rows.layer};
    if (end.worker != cudac_context_worker(stream->context))
        return cudac_set_elsewhere(stream, &end, &to, set->value, set->value_bytes);
    if (end.is_live && !cudac_stream_starts_now(stream))
        result = cudac_memory_catch_up(stream);
    return result != CUDA_SUCCESS ? result : set_at_worker(stream, &to, set, waits);
}

static CUresult set_checked(struct cudac_stream *stream, const struct cuc_set *set, bool is_async)
{
    uint64_t span_bytes = 0;
    size_t width_bytes;
    CUresult result = cuc_set_check(set, &width_bytes, &span_bytes);

    if (result != CUDA_SUCCESS || width_bytes == 0)
        return result;
    result = cudac_memory_check(/* context */ NULL, set->dst, span_bytes, /* write */ true);
    if (result != CUDA_SUCCESS)
        return result;
    cudac_stream_make_room(stream);
    return set_rows(stream, set, width_bytes, !is_async && is_host_memory(set->dst));
}

static CUresult set_submit(CUstream handle, const struct cuc_set *set, bool is_async)
{
    struct cudac_stream *stream;
    CUresult result = cudac_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = set_checked(stream, set, is_async);
    cudac_stream_put(stream);
    return result;
}

#define LINE(address, count, what, bytes)                                                          \
    {                                                                                              \
        .dst = (address), .width = (count), .height = 1, .value = (what), .value_bytes = (bytes)   \
    }
#define RECTANGLE(address, pitch, across, down, what, bytes)                                       \
    {                                                                                              \
        .dst = (address), .pitch_bytes = (pitch), .width = (across), .height = (down),             \
        .value = (what), .value_bytes = (bytes)                                                    \
    }

CUresult cudac_cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, uc, 1);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, us, 2);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, ui, 4);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                               size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, uc, 1);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                                size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, us, 2);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                                size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, ui, 4);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult cudac_cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, uc, 1);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult cudac_cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N,
                                CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, us, 2);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult cudac_cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, ui, 4);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult cudac_cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                                 size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, uc, 1);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult cudac_cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                                  size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, us, 2);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult cudac_cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                                  size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, ui, 4);

    return set_submit(hStream, &set, /* is_async */ true);
}
