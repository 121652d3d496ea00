/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_end.c - what memory a side of a copy is, and how long the copy waits for it.
 */
#include "cuda-client/copy.h"
#include "cuda-client/memory.h"

void cudac_end_find(struct cudac_worker *worker, enum cuc_side side, uint64_t address,
                    struct cudac_end *end_out)
{
    struct cudac_memory_place place;
    struct cudac_memory_info info;

    *end_out = (struct cudac_end){.address = address};
    if (!cudac_memory_find(address, &info)) {
        /* What passed for device memory and is no allocation lies around module variables. */
        end_out->is_device = side == CUC_SIDE_DEVICE;
        end_out->worker = end_out->is_device ? worker : NULL;
        return;
    }
    switch (info.kind) {
    case CUDAC_MEMORY_DEVICE:
    case CUDAC_MEMORY_VIRTUAL:
    case CUDAC_MEMORY_FIXED:
        end_out->is_device = true;
        end_out->vgpu = info.vgpu;
        end_out->worker = info.vgpu ? cudac_vgpu_worker(info.vgpu) : worker;
        end_out->address = info.device_address;
        return;
    case CUDAC_MEMORY_HOST:
    case CUDAC_MEMORY_REGISTERED:
    case CUDAC_MEMORY_MANAGED:
        place = cudac_memory_place(worker, address);
        end_out->has_waited = place.has_waited;
        if (place.is_away) {
            end_out->is_live = place.is_live;
            end_out->is_device = true;
            end_out->worker = worker;
            end_out->address = info.device_address;
            return;
        }
        end_out->address = info.host_address;
        end_out->is_pinned = true;
        end_out->window_id = info.window_id;
        end_out->window_offset = info.window_offset;
        end_out->xp_mem = info.xp_mem;
        return;
    case CUDAC_MEMORY_NONE:
        return;
    }
}

/* Memory that can be here and at workers. */
static bool has_places(uint64_t address)
{
    struct cudac_memory_info info;

    return cudac_memory_find(address, &info) &&
           (info.kind == CUDAC_MEMORY_HOST || info.kind == CUDAC_MEMORY_REGISTERED ||
            info.kind == CUDAC_MEMORY_MANAGED);
}

void cudac_ends_find(struct cudac_worker *worker, const struct cudac_copy *copy,
                     struct cudac_end *dst_out, struct cudac_end *src_out)
{
    const bool is_between = has_places(copy->dst) && has_places(copy->src);

    if (is_between)
        cudac_memory_turn_begin();
    do {
        cudac_end_find(worker, copy->dst_side, copy->dst, dst_out);
        cudac_end_find(worker, copy->src_side, copy->src, src_out);
    } while (is_between && src_out->has_waited); /* then the first answer may be over */
    if (is_between)
        cudac_memory_turn_end();
}

CUresult cudac_side_check(struct cudac_context *context, enum cuc_side side, uint64_t address,
                          uint64_t bytes, bool write)
{
    struct cudac_memory_info info;

    if (bytes == 0)
        return CUDA_SUCCESS;
    if (side == CUC_SIDE_HOST)
        return address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    /* What nobody allocated is the program's own memory, unless it lies where only we allocate:
     * then it was freed. */
    if (side == CUC_SIDE_ANY && !cudac_memory_find(address, &info))
        return address && !cudac_memory_is_ours(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    return cudac_memory_check(context, address, bytes, write);
}

bool cudac_is_pageable(uint64_t address)
{
    struct cudac_memory_info info;

    return !cudac_memory_find(address, &info);
}

enum cudac_wait cudac_copy_wait(enum cuc_side dst_side, uint64_t dst, enum cuc_side src_side,
                                uint64_t src, bool is_async)
{
    if (dst_side != CUC_SIDE_DEVICE && cudac_is_pageable(dst))
        return CUDAC_WAIT_DONE;
    if (is_async)
        return src_side != CUC_SIDE_DEVICE && cudac_is_pageable(src) ? CUDAC_WAIT_SOURCE
                                                                     : CUDAC_WAIT_NEVER;
    /* Between device memories even the plain call returns before it is done. */
    if (dst_side == CUC_SIDE_DEVICE && src_side == CUC_SIDE_DEVICE)
        return CUDAC_WAIT_NEVER;
    return CUDAC_WAIT_DONE;
}
