/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/box.h - copies between rows in device memory and rows in host memory.
 *
 * The driver checks the device's side; sizes of the host's side are checked here, since that is the
 * worker's own memory. Thread: any with the context current.
 */
#ifndef CUDA_SERVER_BOX_H
#define CUDA_SERVER_BOX_H

#include "cuda-server/worker.h"

/* Rows in host memory. */
struct cudas_rows {
    void *bytes;
    uint64_t pitch, layer;
    bool is_passing; /* gone when the call returns: a message */
};

enum cudas_direction { CUDAS_IN, CUDAS_OUT }; /* to the device, from the device */

/* How many bytes the box holds; false: more than anybody has, or rows that overlap. */
bool cudas_box_bytes(const struct wire_box *box, uint64_t *bytes_out);
/* From the first to the last byte of such rows; the box was found sound. */
bool cudas_rows_span(const struct wire_box *box, uint64_t pitch, uint64_t layer,
                     uint64_t *span_out);
/* Whether rows and layers lie end to end. */
bool cudas_box_is_dense(const struct wire_box *box);

/* The whole box, in stream order; does not wait if `host` is page-locked. */
CUresult cudas_box_copy(struct cudas_worker *worker, CUstream stream,
                        enum cudas_direction direction, const struct wire_box *box,
                        const struct cudas_rows *host);
/* Bytes [offset, offset + size) of the box as if its rows were packed, from or to packed bytes. */
CUresult cudas_box_copy_part(struct cudas_worker *worker, CUstream stream,
                             enum cudas_direction direction, const struct wire_box *box,
                             uint64_t offset, uint64_t size_bytes, void *host);

#endif /* CUDA_SERVER_BOX_H */
