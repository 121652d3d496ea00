/* SPDX-License-Identifier: Apache-2.0
 * tests/random/steps_copy.c - copies and sets of every kind, and looking at what came of them.
 */
#include "tests/random/world.h"

#include <stdlib.h>
#include <string.h>

static size_t common(const struct buffer *buffer, const struct host *host)
{
    return buffer->bytes < host->bytes ? buffer->bytes : host->bytes;
}

static size_t part(struct rng *rng, size_t bytes)
{
    return rng_chance(rng, 2) ? bytes : 1 + rng_next(rng) % bytes;
}

static void note_memory(struct world *w, CUcontext context, CUdeviceptr at, size_t bytes)
{
    uint8_t *copy = malloc(bytes);

    if (!copy)
        abort();
    (void)CU(w, cuCtxSetCurrent, context);
    if (CU(w, cuMemcpyDtoH_v2, copy, at, bytes) == CUDA_SUCCESS && !world_is_tainted(w, at))
        world_note_hash(w, "contents", copy, bytes);
    free(copy);
}

void world_check_buffer(struct world *w, struct rng *rng, struct buffer *buffer)
{
    world_settle_buffer(w, rng, buffer);
    note_memory(w, buffer->context, buffer->at, buffer->bytes);
}

void world_note_memory(struct world *w, uint32_t lane, CUdeviceptr at, size_t bytes)
{
    (void)CU(w, cuCtxSetCurrent, w->lane[lane].context);
    (void)CU(w, cuStreamSynchronize, w->lane[lane].handle);
    note_memory(w, w->lane[lane].context, at, bytes);
}

static void check(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (buffer)
        world_check_buffer(w, rng, buffer);
}

static void check_host(struct world *w, struct rng *rng)
{
    struct host *host = world_host(w, rng);

    if (!host)
        return;
    world_settle_host(w, rng, host);
    world_note_hash(w, "host memory", host->at, host->bytes);
}

static void write_host(struct world *w, struct rng *rng)
{
    struct host *host = world_host(w, rng);

    if (!host)
        return;
    world_settle_host(w, rng, host);
    for (size_t i = 0; i < host->bytes; i += 64)
        host->at[i] = (uint8_t)rng_next(rng);
}

static void managed_by_host(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer || buffer->kind != BUFFER_MANAGED)
        return;
    world_settle_buffer(w, rng, buffer);
    (void)CU(w, cuCtxSetCurrent, buffer->context);
    (void)CU(w, cuCtxSynchronize); /* the host may touch it only when the device is idle */
    uint8_t *at = (uint8_t *)(uintptr_t)buffer->at;

    world_note_hash(w, "managed", at, buffer->bytes);
    at[rng_next(rng) % buffer->bytes] ^= 0x5a;
}

/* ---- straight copies --------------------------------------------------------------------------
 */

static void h_to_d(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);

    if (!buffer || !host)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    size_t bytes = part(rng, common(buffer, host));

    if (rng_chance(rng, 3)) { /* blocking: behind the default stream, which is not this lane */
        world_settle_buffer(w, rng, buffer);
        world_settle_host(w, rng, host);
        (void)CU(w, cuCtxSetCurrent, buffer->context);
        (void)CU(w, cuMemcpyHtoD_v2, buffer->at, host->at, bytes);
        return;
    }
    world_use_buffer(w, rng, lane, buffer);
    world_use_host(w, rng, lane, host);
    (void)CU(w, cuMemcpyHtoDAsync_v2, buffer->at, host->at, bytes, w->lane[lane].handle);
    if (host->kind == HOST_PAGEABLE) { /* it was read before the call returned */
        host->at[0] ^= 0xff;
    }
}

static void d_to_h(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);

    if (!buffer || !host)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    size_t bytes = part(rng, common(buffer, host));

    if (rng_chance(rng, 3)) {
        world_settle_buffer(w, rng, buffer);
        world_settle_host(w, rng, host);
        (void)CU(w, cuCtxSetCurrent, buffer->context);
        (void)CU(w, cuMemcpyDtoH_v2, host->at, buffer->at, bytes);
        world_note_hash(w, "copied", host->at, bytes);
        return;
    }
    world_use_buffer(w, rng, lane, buffer);
    world_use_host(w, rng, lane, host);
    (void)CU(w, cuMemcpyDtoHAsync_v2, host->at, buffer->at, bytes, w->lane[lane].handle);
}

static void d_to_d(struct world *w, struct rng *rng)
{
    struct buffer *from = world_buffer(w, rng, -1);
    struct buffer *to = world_buffer(w, rng, -1);

    if (!from || !to || from == to)
        return;
    uint32_t lane = world_lane_on(w, rng, rng_chance(rng, 2) ? from->device : to->device);
    size_t bytes = part(rng, from->bytes < to->bytes ? from->bytes : to->bytes);
    CUstream stream = w->lane[lane].handle;
    uint32_t form = rng_below(rng, 6);

    if (form < 2) {
        world_settle_buffer(w, rng, from);
        world_settle_buffer(w, rng, to);
        (void)CU(w, cuCtxSetCurrent, to->context);
        if (form == 0 && from->device == to->device)
            (void)CU(w, cuMemcpyDtoD_v2, to->at, from->at, bytes);
        else if (rng_chance(rng, 2))
            (void)CU(w, cuMemcpyPeer, to->at, to->context, from->at, from->context, bytes);
        else
            (void)CU(w, cuMemcpy, to->at, from->at, bytes);
        /* Not known to be done when the call returns. */
        (void)CU(w, cuCtxSynchronize);
        (void)CU(w, cuCtxSetCurrent, from->context);
        (void)CU(w, cuCtxSynchronize);
        return;
    }
    world_use_buffer(w, rng, lane, from);
    world_use_buffer(w, rng, lane, to);
    if (form == 2 && from->device == to->device)
        (void)CU(w, cuMemcpyDtoDAsync_v2, to->at, from->at, bytes, stream);
    else if (form == 3)
        (void)CU(w, cuMemcpyPeerAsync, to->at, to->context, from->at, from->context, bytes, stream);
    else
        (void)CU(w, cuMemcpyAsync, to->at, from->at, bytes, stream);
}

/* ---- boxes ------------------------------------------------------------------------------------
 */

struct shape {
    size_t width, height, depth, device_pitch, host_pitch;
};

static bool fit(struct rng *rng, const struct buffer *buffer, const struct host *host, bool deep,
                struct shape *shape)
{
    shape->width = 1 + rng_below(rng, 200);
    shape->height = 1 + rng_below(rng, 8);
    shape->depth = deep ? 1 + rng_below(rng, 4) : 1;
    shape->device_pitch = shape->width + rng_below(rng, 3) * 28;
    shape->host_pitch = shape->width + rng_below(rng, 3) * 4;
    return shape->device_pitch * shape->height * shape->depth <= buffer->bytes &&
           shape->host_pitch * shape->height * shape->depth <= host->bytes;
}

static void box_2d(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);
    bool in = rng_chance(rng, 2);
    struct shape shape;

    if (!buffer || !host || !fit(rng, buffer, host, false, &shape))
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUDA_MEMCPY2D copy = {.WidthInBytes = shape.width, .Height = shape.height};

    copy.srcMemoryType = in ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    copy.dstMemoryType = in ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    copy.srcHost = copy.dstHost = host->at;
    copy.srcDevice = copy.dstDevice = buffer->at;
    copy.srcPitch = in ? shape.host_pitch : shape.device_pitch;
    copy.dstPitch = in ? shape.device_pitch : shape.host_pitch;
    if (rng_chance(rng, 2)) {
        world_use_buffer(w, rng, lane, buffer);
        world_use_host(w, rng, lane, host);
        (void)CU(w, cuMemcpy2DAsync_v2, &copy, w->lane[lane].handle);
        return;
    }
    world_settle_buffer(w, rng, buffer);
    world_settle_host(w, rng, host);
    (void)CU(w, cuCtxSetCurrent, buffer->context);
    if (rng_chance(rng, 2))
        (void)CU(w, cuMemcpy2D_v2, &copy);
    else
        (void)CU(w, cuMemcpy2DUnaligned_v2, &copy);
}

static void box_3d(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);
    bool in = rng_chance(rng, 2);
    struct shape shape;

    if (!buffer || !host || !fit(rng, buffer, host, true, &shape))
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUDA_MEMCPY3D copy = {
        .WidthInBytes = shape.width, .Height = shape.height, .Depth = shape.depth};

    copy.srcMemoryType = in ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    copy.dstMemoryType = in ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    copy.srcHost = copy.dstHost = host->at;
    copy.srcDevice = copy.dstDevice = buffer->at;
    copy.srcPitch = in ? shape.host_pitch : shape.device_pitch;
    copy.dstPitch = in ? shape.device_pitch : shape.host_pitch;
    copy.srcHeight = copy.dstHeight = shape.height;
    if (rng_chance(rng, 2)) {
        world_use_buffer(w, rng, lane, buffer);
        world_use_host(w, rng, lane, host);
        (void)CU(w, cuMemcpy3DAsync_v2, &copy, w->lane[lane].handle);
        return;
    }
    world_settle_buffer(w, rng, buffer);
    world_settle_host(w, rng, host);
    (void)CU(w, cuCtxSetCurrent, buffer->context);
    (void)CU(w, cuMemcpy3D_v2, &copy);
}

static void box_peer(struct world *w, struct rng *rng)
{
    struct buffer *from = world_buffer(w, rng, -1);
    struct buffer *to = world_buffer(w, rng, -1);

    if (!from || !to || from == to)
        return;
    size_t least = from->bytes < to->bytes ? from->bytes : to->bytes;
    CUDA_MEMCPY3D_PEER copy = {
        .WidthInBytes = 1 + rng_below(rng, 64), .Height = 1 + rng_below(rng, 4), .Depth = 1};

    if (copy.WidthInBytes * copy.Height > least)
        return;
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = from->at;
    copy.srcContext = from->context;
    copy.dstDevice = to->at;
    copy.dstContext = to->context;
    copy.srcPitch = copy.dstPitch = copy.WidthInBytes;
    copy.srcHeight = copy.dstHeight = copy.Height;
    uint32_t lane = world_lane_on(w, rng, to->device);

    if (rng_chance(rng, 2)) {
        world_use_buffer(w, rng, lane, from);
        world_use_buffer(w, rng, lane, to);
        (void)CU(w, cuMemcpy3DPeerAsync, &copy, w->lane[lane].handle);
        return;
    }
    world_settle_buffer(w, rng, from);
    world_settle_buffer(w, rng, to);
    (void)CU(w, cuMemcpy3DPeer, &copy);
    (void)CU(w, cuCtxSetCurrent, to->context);
    (void)CU(w, cuCtxSynchronize);
    (void)CU(w, cuCtxSetCurrent, from->context);
    (void)CU(w, cuCtxSynchronize);
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static void batch(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    struct host *host = world_host(w, rng);

    if (!buffer || !host || host->kind == HOST_PAGEABLE)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);

    if (!w->lane[lane].handle)
        return; /* the default stream takes no batches */
    size_t half = common(buffer, host) / 2;

    if (half == 0)
        return;
    CUdeviceptr to[] = {buffer->at, buffer->at + half};
    CUdeviceptr from[] = {(CUdeviceptr)(uintptr_t)host->at + half,
                          (CUdeviceptr)(uintptr_t)host->at};
    size_t sizes[] = {half, half}, at[] = {0}, failed = 0;
    CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};

    world_use_buffer(w, rng, lane, buffer);
    world_use_host(w, rng, lane, host);
    if (rng_chance(rng, 2))
        (void)CU(w, cuMemcpyBatchAsync, to, from, sizes, 2, &attributes, at, 1, &failed,
                 w->lane[lane].handle);
    else
        (void)CU(w, cuMemcpyBatchAsync_v2, to, from, sizes, 2, &attributes, at, 1,
                 w->lane[lane].handle);
}

static void batch_3d(struct world *w, struct rng *rng)
{
    struct buffer *from = world_buffer(w, rng, -1);

    if (!from)
        return;
    struct buffer *to = world_buffer(w, rng, (int)from->device);
    uint32_t lane = world_lane_on(w, rng, from->device);

    if (!to || to == from || !w->lane[lane].handle || from->bytes < 64 || to->bytes < 64)
        return;
    CUDA_MEMCPY3D_BATCH_OP op = {.extent = {.width = 16, .height = 2, .depth = 2},
                                 .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    size_t failed = 0;

    op.src.type = op.dst.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
    op.src.op.ptr.ptr = from->at;
    op.dst.op.ptr.ptr = to->at;
    op.src.op.ptr.rowLength = op.dst.op.ptr.rowLength = 16;
    op.src.op.ptr.layerHeight = op.dst.op.ptr.layerHeight = 2;
    world_use_buffer(w, rng, lane, from);
    world_use_buffer(w, rng, lane, to);
    if (rng_chance(rng, 2))
        (void)CU(w, cuMemcpy3DBatchAsync, 1, &op, &failed, 0, w->lane[lane].handle);
    else
        (void)CU(w, cuMemcpy3DBatchAsync_v2, 1, &op, 0, w->lane[lane].handle);
}

/* ---- sets -------------------------------------------------------------------------------------
 */

static void set(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);

    if (!buffer)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device), value = (uint32_t)rng_next(rng);
    CUstream stream = w->lane[lane].handle;
    size_t count = part(rng, buffer->bytes / 4);
    uint32_t form = rng_below(rng, 6);

    if (form < 3) {
        world_use_buffer(w, rng, lane, buffer);
    } else {
        world_settle_buffer(w, rng, buffer);
        (void)CU(w, cuCtxSetCurrent, buffer->context);
    }
    switch (form) {
    case 0:
        (void)CU(w, cuMemsetD8Async, buffer->at, (unsigned char)value, count, stream);
        break;
    case 1:
        (void)CU(w, cuMemsetD16Async, buffer->at, (unsigned short)value, count, stream);
        break;
    case 2:
        (void)CU(w, cuMemsetD32Async, buffer->at, value, count, stream);
        break;
    case 3:
        (void)CU(w, cuMemsetD8_v2, buffer->at, (unsigned char)value, count);
        break;
    case 4:
        (void)CU(w, cuMemsetD16_v2, buffer->at, (unsigned short)value, count);
        break;
    default:
        (void)CU(w, cuMemsetD32_v2, buffer->at, value, count);
        break;
    }
    if (form >= 3)
        (void)CU(w, cuCtxSynchronize); /* may still run when the call returns */
}

static void set_2d(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    uint32_t width = 1 + rng_below(rng, 16), height = 1 + rng_below(rng, 8);
    uint32_t form = rng_below(rng, 6), value = (uint32_t)rng_next(rng);
    size_t pitch = 64 + 32 * rng_below(rng, 3);

    if (!buffer || pitch * height > buffer->bytes)
        return;
    uint32_t lane = world_lane_on(w, rng, buffer->device);
    CUstream stream = w->lane[lane].handle;

    if (form < 3) {
        world_use_buffer(w, rng, lane, buffer);
    } else {
        world_settle_buffer(w, rng, buffer);
        (void)CU(w, cuCtxSetCurrent, buffer->context);
    }
    switch (form) {
    case 0:
        (void)CU(w, cuMemsetD2D8Async, buffer->at, pitch, (unsigned char)value, width, height,
                 stream);
        break;
    case 1:
        (void)CU(w, cuMemsetD2D16Async, buffer->at, pitch, (unsigned short)value, width, height,
                 stream);
        break;
    case 2:
        (void)CU(w, cuMemsetD2D32Async, buffer->at, pitch, value, width, height, stream);
        break;
    case 3:
        (void)CU(w, cuMemsetD2D8_v2, buffer->at, pitch, (unsigned char)value, width, height);
        break;
    case 4:
        (void)CU(w, cuMemsetD2D16_v2, buffer->at, pitch, (unsigned short)value, width, height);
        break;
    default:
        (void)CU(w, cuMemsetD2D32_v2, buffer->at, pitch, value, width, height);
        break;
    }
    if (form >= 3)
        (void)CU(w, cuCtxSynchronize);
}

/* What does not lie inside one allocation's block is refused from the call. */
static void wrong(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    uint64_t word = 0;

    (void)CU(w, cuMemcpyHtoD_v2, 0x1000, &word, 8);
    (void)CU(w, cuMemcpyDtoH_v2, &word, 0x2000, 8);
    (void)CU(w, cuMemcpyDtoDAsync_v2, 0x1000, 0x2000, 8, w->lane[lane].handle);
    (void)CU(w, cuMemsetD32Async, 0x1000, 1, 4, w->lane[lane].handle);
    (void)CU(w, cuMemsetD32_v2, 0x1002, 1, 4);
    (void)CU(w, cuMemcpyHtoDAsync_v2, 0, &word, 0, w->lane[lane].handle);
}

const struct step_kind steps_copy[] = {
    {"check", check, 8, false},
    {"check_host", check_host, 4, false},
    {"write_host", write_host, 4, false},
    {"managed_by_host", managed_by_host, 3, true},
    {"h_to_d", h_to_d, 12, false},
    {"d_to_h", d_to_h, 12, false},
    {"d_to_d", d_to_d, 10, false},
    {"box_2d", box_2d, 6, false},
    {"box_3d", box_3d, 4, false},
    {"box_peer", box_peer, 3, false},
    {"batch", batch, 2, false},
    {"batch_3d", batch_3d, 2, false},
    {"set", set, 6, false},
    {"set_2d", set_2d, 4, false},
    {"wrong", wrong, 1, false},
};
const size_t steps_copy_count = sizeof(steps_copy) / sizeof(steps_copy[0]);
