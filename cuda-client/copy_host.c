/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_host.c - copies and sets whose bytes are all in this process.
 *
 * What may wait is done at once, behind the stream; the rest is a callback of the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/copy.h"
#include "generated/cuda-api/client_impl.h"

struct host_work {
    struct cudac_rows dst, src; /* src: not of a set */
    uint32_t value;
    uint8_t value_bytes; /* 0: a copy */
};

static uint8_t *row_of(const struct cudac_rows *rows, uint64_t layer, uint64_t row)
{
    const uint64_t address = rows->address + layer * rows->layer + row * rows->pitch;

    return (uint8_t *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
}

static void work_do(const struct host_work *work)
{
    const struct cudac_rows *dst = &work->dst;

    for (uint64_t layer = 0; layer < dst->depth; layer++)
        for (uint64_t row = 0; row < dst->height; row++) {
            if (work->value_bytes)
                cuc_set_row(row_of(dst, layer, row), dst->width, work->value, work->value_bytes);
            else
                memmove(row_of(dst, layer, row), row_of(&work->src, layer, row), dst->width);
        }
}

static void CUDA_CB work_run(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    if (status == CUDA_SUCCESS)
        work_do(arg);
    free(arg);
}

static CUresult work_submit(struct cudac_stream *stream, const struct host_work *work,
                            enum cudac_wait wait)
{
    CUstream handle = (CUstream)(uintptr_t)stream->object.handle;
    struct host_work *kept;
    CUresult result;

    if (wait != CUDAC_WAIT_NEVER) {
        result = cudac_stream_wait(stream);
        if (result == CUDA_SUCCESS)
            work_do(work);
        return result;
    }
    kept = fab_alloc(sizeof(*kept));
    if (!kept)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *kept = *work;
    result = cudac_cuStreamAddCallback(handle, work_run, kept, 0);
    if (result != CUDA_SUCCESS)
        free(kept);
    return result;
}

CUresult cudac_copy_host(struct cudac_stream *stream, const struct cudac_rows *dst,
                         const struct cudac_rows *src, enum cudac_wait wait)
{
    const struct host_work work = {.dst = *dst, .src = *src};

    return work_submit(stream, &work, wait);
}

CUresult cudac_set_host(struct cudac_stream *stream, const struct cudac_rows *dst, uint32_t value,
                        uint8_t value_bytes, enum cudac_wait wait)
{
    const struct host_work work = {.dst = *dst, .value = value, .value_bytes = value_bytes};

    return work_submit(stream, &work, wait);
}
