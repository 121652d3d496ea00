/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/copy_shape.h - the geometry of copies: what all forms of the calls come down to.
 *
 * A copy is rows: `width` bytes, `height` rows a layer, `depth` layers, with a pitch and a layer
 * distance on each side. CUDA arrays are refused (CUDA_ERROR_NOT_SUPPORTED): none can be made here.
 * Thread: any; pure functions.
 */
#ifndef CUDA_COMMON_COPY_SHAPE_H
#define CUDA_COMMON_COPY_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

/* What an address must be. */
enum cuc_side {
    CUC_SIDE_DEVICE, /* mapped memory that the context, or without one any device, may access */
    CUC_SIDE_HOST,   /* taken as it is: the program's own */
    CUC_SIDE_ANY,    /* unified: device memory if it is known, else the program's own */
};

struct cuc_box_side {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    size_t x_bytes, y, z; /* where the box starts */
    size_t pitch_bytes;   /* from row to row */
    size_t height;        /* rows from layer to layer */
};

struct cuc_box {
    struct cuc_box_side dst, src;
    size_t width_bytes, height, depth;
};

struct cuc_box cuc_box_of_2d(const CUDA_MEMCPY2D *copy);
struct cuc_box cuc_box_of_3d(const CUDA_MEMCPY3D *copy);
struct cuc_box cuc_box_of_peer(const CUDA_MEMCPY3D_PEER *copy); /* its contexts aside */

/* Where the box starts on one side and how far its rows and layers lie apart. */
struct cuc_place {
    uint64_t start, span_bytes;
    size_t pitch, layer;
    enum cuc_side side;
};

bool cuc_box_is_empty(const struct cuc_box *box);
/* Of a box that is not empty. CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_SUPPORTED. */
CUresult cuc_box_places(const struct cuc_box *box, struct cuc_place *dst_out,
                        struct cuc_place *src_out);

/* ---- batches -------------------------------------------------------------------------------- */

bool cuc_copy_order_is_valid(CUmemcpySrcAccessOrder order);
/* The attributes of cuMemcpyBatchAsync. CUDA_ERROR_INVALID_VALUE. */
CUresult cuc_batch_attributes_check(const CUmemcpyAttributes *attrs, const size_t *indices,
                                    size_t attr_count, size_t count);
/* An operation of cuMemcpy3DBatchAsync, checked. */
CUresult cuc_box_of_batch(const CUDA_MEMCPY3D_BATCH_OP *op, struct cuc_box *box_out);

/* ---- sets ----------------------------------------------------------------------------------- */

/* `width` counts elements of `value_bytes`. */
struct cuc_set {
    CUdeviceptr dst;
    size_t pitch_bytes, width, height;
    uint32_t value;
    uint8_t value_bytes; /* 1, 2 or 4 */
};

/* CUDA_ERROR_INVALID_VALUE; *width_out 0: nothing to do. */
CUresult cuc_set_check(const struct cuc_set *set, size_t *width_bytes_out, uint64_t *span_out);
/* One row, in memory of this process. */
void cuc_set_row(void *row, size_t width_bytes, uint32_t value, uint8_t value_bytes);

#endif /* CUDA_COMMON_COPY_SHAPE_H */
