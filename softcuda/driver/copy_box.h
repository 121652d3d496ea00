/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy_box.h - a copy of rows and layers, from and to any kind of memory.
 */
#ifndef SOFTCUDA_DRIVER_COPY_BOX_H
#define SOFTCUDA_DRIVER_COPY_BOX_H

#include "softcuda/driver/copy.h"

struct soft_box_side {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    size_t x_bytes, y, z; /* where the box starts */
    size_t pitch_bytes;   /* from row to row */
    size_t height;        /* rows from layer to layer */
};

struct soft_box {
    struct soft_box_side dst, src;
    size_t width_bytes, height, depth;
    struct soft_context *dst_context, *src_context; /* NULL: any; an address names its device */
};

/* What soft_box_copy() would say of the shape, without doing it. */
CUresult soft_box_check(const struct soft_box *box);
CUresult soft_box_copy(CUstream handle, const struct soft_box *box, bool is_async);

#endif /* SOFTCUDA_DRIVER_COPY_BOX_H */
