/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/set.c - cuMemset*: 8, 16 and 32 bits, lines and rectangles.
 *
 * The plain calls return before they are done, except on host memory, as CUDA documents.
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/copy.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/stream_int.h"

enum { SPARSE_BYTES = 1 << 20, VAST_BYTES = 1 << 30 };

static bool is_host_memory(CUdeviceptr address)
{
    struct mem_info info;

    return soft_mem_find(address, &info) &&
           (info.kind == MEM_HOST || info.kind == MEM_REGISTERED || info.kind == MEM_MANAGED);
}

/* Large sets to zero only: others gain nothing by it. */
static bool is_sparse_memory(const struct cuc_set *set, uint64_t span_bytes)
{
    struct mem_info info;

    return set->value == 0 && span_bytes >= SPARSE_BYTES && soft_mem_find(set->dst, &info) &&
           info.kind == MEM_VIRTUAL;
}

static CUresult set_checked(struct soft_stream *stream, const struct cuc_set *set, bool is_async)
{
    struct soft_transfer what = {.dst = set->dst,
                                 .height = set->height,
                                 .depth = 1,
                                 .dst_pitch = set->pitch_bytes,
                                 .value = set->value,
                                 .value_bytes = set->value_bytes};
    uint64_t span_bytes = 0;
    CUresult result;

    result = cuc_set_check(set, &what.width, &span_bytes);
    if (result != CUDA_SUCCESS || what.width == 0)
        return result;
    result = soft_mem_check(/* context */ NULL, set->dst, span_bytes, /* write */ true);
    if (result != CUDA_SUCCESS)
        return result;
    what.is_sparse = is_sparse_memory(set, span_bytes);
    what.is_vast = span_bytes >= VAST_BYTES;
    return soft_transfer_submit(
        stream, &what, !is_async && is_host_memory(set->dst) ? SOFT_WAIT_DONE : SOFT_WAIT_NEVER);
}

static CUresult set_submit(CUstream handle, const struct cuc_set *set, bool is_async)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = set_checked(stream, set, is_async);
    soft_stream_put(stream);
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

CUresult soft_cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, uc, 1);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, us, 2);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
    const struct cuc_set set = LINE(dstDevice, N, ui, 4);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                              size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, uc, 1);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                               size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, us, 2);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                               size_t Width, size_t Height)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, ui, 4);

    return set_submit(NULL, &set, /* is_async */ false);
}

CUresult soft_cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, uc, 1);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult soft_cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, us, 2);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult soft_cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
    const struct cuc_set set = LINE(dstDevice, N, ui, 4);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult soft_cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                                size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, uc, 1);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult soft_cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                                 size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, us, 2);

    return set_submit(hStream, &set, /* is_async */ true);
}

CUresult soft_cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                                 size_t Width, size_t Height, CUstream hStream)
{
    const struct cuc_set set = RECTANGLE(dstDevice, dstPitch, Width, Height, ui, 4);

    return set_submit(hStream, &set, /* is_async */ true);
}
