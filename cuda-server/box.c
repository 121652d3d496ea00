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

/* A copy between host memory and host memory, which a driver may do in the call that submits it,
 * after it has waited. Source: CUDA Driver API, "API synchronization behavior". */
struct host_copy {
    void *to;
    const void *from; /* NULL: `kept` */
    uint64_t bytes;
    char kept[];
};

static void host_copy_run(CUstream stream, CUresult status, void *arg)
{
    struct host_copy *copy = arg;

    (void)stream;
    if (status == CUDA_SUCCESS)
        memcpy(copy->to, copy->from ? copy->from : copy->kept, copy->bytes);
    free(copy);
}

/* Reads the source when it is reached, but for what is gone by then. */
static CUresult copy_host_later(struct cudas_worker *worker, CUstream stream,
                                enum cudas_direction direction, void *place,
                                const struct cudas_rows *rows, uint64_t bytes)
{
    const bool keeps = direction == CUDAS_IN && rows->is_passing;
    void *host = rows->bytes;
    struct host_copy *copy = fab_alloc(sizeof(*copy) + (keeps ? bytes : 0));
    CUresult result;

    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *copy = (struct host_copy){.to = direction == CUDAS_IN ? place : host,
                               .from = direction == CUDAS_IN ? host : place,
                               .bytes = bytes};
    if (keeps) {
        memcpy(copy->kept, host, bytes);
        copy->from = NULL;
    }
    result = worker->cu.cuStreamAddCallback(stream, host_copy_run, copy, 0);
    if (result != CUDA_SUCCESS)
        free(copy);
    return result;
}

/* Now, where the stream is at its end and waits for no other one: on a GPU what another stream
 * waits for may be ahead in its queue. */
static CUresult copy_host(struct cudas_worker *worker, CUstream stream,
                          enum cudas_direction direction, void *place,
                          const struct cudas_rows *rows, uint64_t bytes)
{
    void *host = rows->bytes;
    unsigned flags = 0;

    if (worker->cu.cuStreamGetFlags(stream, &flags) != CUDA_SUCCESS ||
        !(flags & CU_STREAM_NON_BLOCKING) || worker->cu.cuStreamQuery(stream) != CUDA_SUCCESS)
        return copy_host_later(worker, stream, direction, place, rows, bytes);
    memcpy(direction == CUDAS_IN ? place : host, direction == CUDAS_IN ? host : place, bytes);
    return CUDA_SUCCESS;
}

static CUresult copy_line(struct cudas_worker *worker, CUstream stream,
                          enum cudas_direction direction, uint64_t device,
                          const struct cudas_rows *rows, uint64_t bytes)
{
    const struct cudas_driver *cu = &worker->cu;
    void *place = cudas_window_place(worker, device, bytes);

    if (place)
        return copy_host(worker, stream, direction, place, rows, bytes);
    return direction == CUDAS_IN ? cu->cuMemcpyHtoDAsync_v2(device, rows->bytes, bytes, stream)
                                 : cu->cuMemcpyDtoHAsync_v2(rows->bytes, device, bytes, stream);
}

/* Rows of one layer, or of several whose distance is a whole number of rows on both sides. */
static CUresult copy_layers(struct cudas_worker *worker, CUstream stream,
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
    return worker->cu.cuMemcpy3DAsync_v2(&copy, stream);
}

CUresult cudas_box_copy(struct cudas_worker *worker, CUstream stream,
                        enum cudas_direction direction, const struct wire_box *box,
                        const struct cudas_rows *host)
{
    CUresult result = CUDA_SUCCESS;
    struct wire_box one = *box;

    if (box->width == 0 || box->height == 0 || box->depth == 0)
        return CUDA_SUCCESS;
    if (is_dense(box, box->pitch, box->layer) && is_dense(box, host->pitch, host->layer))
        return copy_line(worker, stream, direction, box->address, host,
                         box->width * box->height * box->depth);
    if (one.height == 1)
        one.pitch = one.width;
    if (box->depth == 1 ||
        (one.layer % one.pitch == 0 && host->pitch > 0 && host->layer % host->pitch == 0)) {
        const struct cudas_rows rows = {.bytes = host->bytes,
                                        .pitch = one.height == 1 ? one.width : host->pitch,
                                        .layer = host->layer};

        if (box->depth == 1 || one.height > 1)
            return copy_layers(worker, stream, direction, &one, &rows);
    }
    one.depth = 1;
    for (uint64_t z = 0; result == CUDA_SUCCESS && z < box->depth; z++) {
        const struct cudas_rows rows = {.bytes = (char *)host->bytes + z * host->layer,
                                        .pitch = one.height == 1 ? one.width : host->pitch};

        one.address = box->address + z * box->layer;
        result = copy_layers(worker, stream, direction, &one, &rows);
    }
    return result;
}

static uint64_t row_address(const struct wire_box *box, uint64_t row)
{
    return box->address + row / box->height * box->layer + row % box->height * box->pitch;
}

CUresult cudas_box_copy_part(struct cudas_worker *worker, CUstream stream,
                             enum cudas_direction direction, const struct wire_box *box,
                             uint64_t offset, uint64_t size_bytes, void *host)
{
    char *at = host;
    CUresult result = CUDA_SUCCESS;

    if (cudas_box_is_dense(box))
        return copy_line(worker, stream, direction, box->address + offset,
                         &(struct cudas_rows){.bytes = host}, size_bytes);
    while (result == CUDA_SUCCESS && size_bytes > 0) {
        const uint64_t row = offset / box->width, column = offset % box->width;
        uint64_t bytes = box->width - column;

        if (column == 0 && size_bytes >= box->width) {
            /* As many whole rows of this layer as there are. */
            uint64_t rows = size_bytes / box->width, left = box->height - row % box->height;
            struct wire_box part = *box;

            part.address = row_address(box, row);
            part.height = rows < left ? rows : left;
            part.depth = 1;
            bytes = part.height * box->width;
            result = cudas_box_copy(worker, stream, direction, &part,
                                    &(struct cudas_rows){.bytes = at, .pitch = box->width});
        } else {
            if (bytes > size_bytes)
                bytes = size_bytes;
            result = copy_line(worker, stream, direction, row_address(box, row) + column,
                               &(struct cudas_rows){.bytes = at}, bytes);
        }
        at += bytes;
        offset += bytes;
        size_bytes -= bytes;
    }
    return result;
}
