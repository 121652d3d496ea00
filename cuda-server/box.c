/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/box.c - see box.h.
 */
#include "cuda-server/box.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/window.h"

#define BYTES_MAX (UINT64_C(1) << 47) /* more than a process can address */

bool cudas_box_bytes(const struct wire_box *box, uint64_t *bytes_out)
{
    uint64_t rows, bytes;

    if (__builtin_mul_overflow(box->height, box->depth, &rows) ||
        __builtin_mul_overflow(rows, box->width, &bytes) || bytes > BYTES_MAX)
        return false;
    if (bytes > 0 && box->height > 1 && box->pitch < box->width)
        return false;
    *bytes_out = bytes;
    return true;
}

bool cudas_rows_span(const struct wire_box *box, uint64_t pitch, uint64_t layer, uint64_t *span_out)
{
    uint64_t layers, rows, span;

    if (box->height == 0 || box->depth == 0 ||
        __builtin_mul_overflow(box->depth - 1, layer, &layers) ||
        __builtin_mul_overflow(box->height - 1, pitch, &rows) ||
        __builtin_add_overflow(layers, rows, &span) ||
        __builtin_add_overflow(span, box->width, &span) || span > BYTES_MAX)
        return false;
    *span_out = span;
    return true;
}

static bool is_dense(const struct wire_box *box, uint64_t pitch, uint64_t layer)
{
    return (box->height == 1 || pitch == box->width) &&
           (box->depth == 1 || layer == box->width * box->height);
}

bool cudas_box_is_dense(const struct wire_box *box)
{
    return is_dense(box, box->pitch, box->layer);
}

static uint64_t row_address(const struct wire_box *box, uint64_t row)
{
    return box->address + row / box->height * box->layer + row % box->height * box->pitch;
}

/* ---- between host memory and host memory -----------------------------------------------------
 *
 * A driver may do such a copy in the call that submits it, after it has waited. So we do it.
 * Source: CUDA Driver API, "API synchronization behavior".
 */

struct host_copy {
    enum cudas_direction direction;
    char *place; /* where the box lies */
    struct wire_box box;
    struct cudas_rows rows; /* of what was passing: in `kept` */
    char kept[];
};

static void copy_rows(const struct host_copy *copy)
{
    const struct wire_box *box = &copy->box;

    for (uint64_t row = 0; row < box->height * box->depth; row++) {
        char *here = copy->place + (row_address(box, row) - box->address);
        char *there = (char *)copy->rows.bytes + row / box->height * copy->rows.layer +
                      row % box->height * copy->rows.pitch;

        memcpy(copy->direction == CUDAS_IN ? here : there,
               copy->direction == CUDAS_IN ? there : here, box->width);
    }
}

static void copy_rows_now(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    if (status == CUDA_SUCCESS)
        copy_rows(arg);
    free(arg);
}

/* Reads the source when it is reached, but for what is gone by then. */
static CUresult copy_host_later(struct cudas_worker *worker, CUstream stream,
                                const struct host_copy *wanted)
{
    const bool keeps = wanted->rows.is_passing && wanted->direction == CUDAS_IN;
    struct host_copy *copy;
    uint64_t bytes = 0;
    CUresult result;

    if (keeps && !cudas_rows_span(&wanted->box, wanted->rows.pitch, wanted->rows.layer, &bytes))
        return CUDA_ERROR_INVALID_VALUE;
    copy = fab_alloc(sizeof(*copy) + bytes);
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *copy = *wanted;
    if (keeps)
        copy->rows.bytes = memcpy(copy->kept, wanted->rows.bytes, bytes);
    result = worker->cu.cuStreamAddCallback(stream, copy_rows_now, copy, 0);
    if (result != CUDA_SUCCESS)
        free(copy);
    return result;
}

/* Now, where the stream is at its end and waits for no other one: on a GPU what another stream
 * waits for may be ahead in its queue. */
static CUresult copy_host(struct cudas_worker *worker, CUstream stream,
                          const struct host_copy *copy)
{
    unsigned flags = 0;

    if (worker->cu.cuStreamGetFlags(stream, &flags) != CUDA_SUCCESS ||
        !(flags & CU_STREAM_NON_BLOCKING) || worker->cu.cuStreamQuery(stream) != CUDA_SUCCESS)
        return copy_host_later(worker, stream, copy);
    copy_rows(copy);
    return CUDA_SUCCESS;
}

/* ---- by the driver --------------------------------------------------------------------------- */

static CUresult copy_line(const struct cudas_driver *cu, CUstream stream,
                          enum cudas_direction direction, uint64_t device, void *host,
                          uint64_t bytes)
{
    return direction == CUDAS_IN ? cu->cuMemcpyHtoDAsync_v2(device, host, bytes, stream)
                                 : cu->cuMemcpyDtoHAsync_v2(host, device, bytes, stream);
}

/* Rows of one layer, or of several whose distance is a whole number of rows on both sides. */
static CUresult copy_layers(const struct cudas_driver *cu, CUstream stream,
                            enum cudas_direction direction, const struct wire_box *box,
                            const struct cudas_rows *host)
{
    const uint64_t device_height = box->depth > 1 ? box->layer / box->pitch : box->height;
    const uint64_t host_height = box->depth > 1 ? host->layer / host->pitch : box->height;
    CUDA_MEMCPY3D copy;

    memset(&copy, 0, sizeof(copy));
    copy.WidthInBytes = box->width;
    copy.Height = box->height;
    copy.Depth = box->depth;
    if (direction == CUDAS_IN) {
        copy.srcMemoryType = CU_MEMORYTYPE_HOST;
        copy.srcHost = host->bytes;
        copy.srcPitch = host->pitch;
        copy.srcHeight = host_height;
        copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
        copy.dstDevice = box->address;
        copy.dstPitch = box->pitch;
        copy.dstHeight = device_height;
    } else {
        copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
        copy.srcDevice = box->address;
        copy.srcPitch = box->pitch;
        copy.srcHeight = device_height;
        copy.dstMemoryType = CU_MEMORYTYPE_HOST;
        copy.dstHost = host->bytes;
        copy.dstPitch = host->pitch;
        copy.dstHeight = host_height;
    }
    return cu->cuMemcpy3DAsync_v2(&copy, stream);
}

static CUresult copy_box(const struct cudas_driver *cu, CUstream stream,
                         enum cudas_direction direction, const struct wire_box *box,
                         const struct cudas_rows *host)
{
    CUresult result = CUDA_SUCCESS;
    struct wire_box one = *box;

    if (is_dense(box, box->pitch, box->layer) && is_dense(box, host->pitch, host->layer))
        return copy_line(cu, stream, direction, box->address, host->bytes,
                         box->width * box->height * box->depth);
    if (one.height == 1)
        one.pitch = one.width;
    if (box->depth == 1 ||
        (one.layer % one.pitch == 0 && host->pitch > 0 && host->layer % host->pitch == 0)) {
        const struct cudas_rows rows = {.bytes = host->bytes,
                                        .pitch = one.height == 1 ? one.width : host->pitch,
                                        .layer = host->layer};

        if (box->depth == 1 || one.height > 1)
            return copy_layers(cu, stream, direction, &one, &rows);
    }
    one.depth = 1;
    for (uint64_t z = 0; result == CUDA_SUCCESS && z < box->depth; z++) {
        const struct cudas_rows rows = {.bytes = (char *)host->bytes + z * host->layer,
                                        .pitch = one.height == 1 ? one.width : host->pitch};

        one.address = box->address + z * box->layer;
        result = copy_layers(cu, stream, direction, &one, &rows);
    }
    return result;
}

/* ---- both -------------------------------------------------------------------------------------
 */

CUresult cudas_box_copy(struct cudas_worker *worker, CUstream stream,
                        enum cudas_direction direction, const struct wire_box *box,
                        const struct cudas_rows *host)
{
    struct host_copy copy = {.direction = direction, .box = *box, .rows = *host};
    uint64_t span;

    if (box->width == 0 || box->height == 0 || box->depth == 0)
        return CUDA_SUCCESS;
    if (!cudas_rows_span(box, box->pitch, box->layer, &span))
        return CUDA_ERROR_INVALID_VALUE;
    copy.place = cudas_window_place(worker, box->address, span);
    return copy.place ? copy_host(worker, stream, &copy)
                      : copy_box(&worker->cu, stream, direction, box, host);
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

/* As many whole rows of one layer as there are at the offset, or a part of one row. */
static struct wire_box next_part(const struct wire_box *box, uint64_t offset, uint64_t size_bytes)
{
    const uint64_t row = offset / box->width, column = offset % box->width;
    const uint64_t rows = size_bytes / box->width, left = box->height - row % box->height;
    const uint64_t rest = box->width - column;
    struct wire_box part = *box;

    if (cudas_box_is_dense(box))
        return line_box(box->address + offset, size_bytes);
    if (column > 0 || rows == 0)
        return line_box(row_address(box, row) + column, rest < size_bytes ? rest : size_bytes);
    part.address = row_address(box, row);
    part.height = rows < left ? rows : left;
    part.depth = 1;
    return part;
}

CUresult cudas_box_copy_part(struct cudas_worker *worker, CUstream stream,
                             enum cudas_direction direction, const struct wire_box *box,
                             uint64_t offset, uint64_t size_bytes, void *host)
{
    CUresult result = CUDA_SUCCESS;

    for (uint64_t at = 0; result == CUDA_SUCCESS && at < size_bytes;) {
        const struct wire_box part = next_part(box, offset + at, size_bytes - at);
        const struct cudas_rows rows = {.bytes = (char *)host + at, .pitch = part.width};

        result = cudas_box_copy(worker, stream, direction, &part, &rows);
        at += part.width * part.height;
    }
    return result;
}
