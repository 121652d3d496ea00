/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_box.h - a copy of rows and layers, from and to any kind of memory.
 */
#ifndef CUDA_CLIENT_COPY_BOX_H
#define CUDA_CLIENT_COPY_BOX_H

#include "cuda-client/copy.h"

struct cudac_box {
    struct cuc_box shape;
    struct cudac_context *dst_context, *src_context; /* NULL: any; an address names its device */
};

CUresult cudac_box_copy(CUstream handle, const struct cudac_box *box, bool is_async);

#endif /* CUDA_CLIENT_COPY_BOX_H */
