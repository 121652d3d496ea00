/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy.h - moving and setting memory as stream commands.
 *
 * Every address is a host address (design D4), so a copy of any kind is rows of bytes. Large ones
 * are cut into pieces that several workers take. The callers (copy_api.c, set.c, batch.c) say what
 * memory each side must be.
 */
#ifndef SOFTCUDA_DRIVER_COPY_H
#define SOFTCUDA_DRIVER_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-common/copy_shape.h"

struct soft_context;
struct soft_stream;

/* Rows of `width` bytes; `height` rows a layer, `depth` layers. */
struct soft_transfer {
    uint64_t dst, src;
    size_t width, height, depth;
    size_t dst_pitch, dst_layer; /* bytes from row to row, from layer to layer */
    size_t src_pitch, src_layer;
    uint32_t value;      /* for sets: the pattern, */
    uint8_t value_bytes; /* of 1, 2 or 4 bytes; 0 for copies */
    bool is_sparse;      /* a set of memory that lies in a file: cuMemCreate's */
    bool is_vast; /* of so much that most of it was never written, as when a device is cleared */
};

enum soft_wait {
    SOFT_WAIT_NEVER,  /* returns when it is enqueued */
    SOFT_WAIT_DONE,   /* returns when it is done */
    SOFT_WAIT_SOURCE, /* returns when the source has been read (pageable memory) */
};

/* Does what the transfer says, in stream order. Addresses were checked. */
CUresult soft_transfer_submit(struct soft_stream *stream, const struct soft_transfer *transfer,
                              enum soft_wait wait);

/* Checks `bytes` bytes at the address. CUDA_ERROR_INVALID_VALUE when they are not that. */
CUresult soft_side_check(struct soft_context *context, enum cuc_side side, uint64_t address,
                         uint64_t bytes, bool write);
/* Whether it is memory that the driver does not know: read or written before a call returns. */
bool soft_is_pageable(uint64_t address);

/* A straight copy; the sides are checked in the contexts that they belong to. */
struct soft_line {
    uint64_t dst, src;
    size_t bytes;
    enum cuc_side dst_side, src_side;
    struct soft_context *dst_context, *src_context; /* NULL: any; an address names its device */
};
CUresult soft_line_copy(CUstream handle, const struct soft_line *line, bool is_async);

#endif /* SOFTCUDA_DRIVER_COPY_H */
