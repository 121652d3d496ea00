/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy_box.h - a copy of rows and layers, from and to any kind of memory.
 */
#ifndef SOFTCUDA_DRIVER_COPY_BOX_H
#define SOFTCUDA_DRIVER_COPY_BOX_H

#include "softcuda/driver/copy.h"

struct soft_box {
    struct cuc_box shape;
    struct soft_context *dst_context, *src_context; /* NULL: any; an address names its device */
};

CUresult soft_box_copy(CUstream handle, const struct soft_box *box, bool is_async);

#endif /* SOFTCUDA_DRIVER_COPY_BOX_H */
