/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy.h - copies and sets as work of a stream, whatever memory is on either side.
 */
#ifndef CUDA_CLIENT_COPY_H
#define CUDA_CLIENT_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda-client/stream.h"
#include "cuda-client/transfer_int.h"
#include "cuda-common/copy_shape.h"

enum cudac_wait {
    CUDAC_WAIT_NEVER,  /* returns when it is enqueued */
    CUDAC_WAIT_DONE,   /* returns when it is done */
    CUDAC_WAIT_SOURCE, /* returns when the source has been read (pageable memory) */
};

/* Rows of `width` bytes; `height` rows a layer, `depth` layers. */
struct cudac_copy {
    uint64_t dst, src;
    uint64_t width, height, depth;
    uint64_t dst_pitch, dst_layer;
    uint64_t src_pitch, src_layer;
    enum cuc_side dst_side, src_side; /* as what they were checked */
};

/* Does what the copy says, in stream order. Addresses were checked. */
CUresult cudac_copy_submit(struct cudac_stream *stream, const struct cudac_copy *copy,
                           enum cudac_wait wait);

/* Checks `bytes` bytes at the address. CUDA_ERROR_INVALID_VALUE when they are not that. */
CUresult cudac_side_check(struct cudac_context *context, enum cuc_side side, uint64_t address,
                          uint64_t bytes, bool write);
/* Whether it is memory that the driver does not know: read or written before a call returns. */
bool cudac_is_pageable(uint64_t address);
/* How long a copy between two places waits, as CUDA documents it. */
enum cudac_wait cudac_copy_wait(enum cuc_side dst_side, uint64_t dst, enum cuc_side src_side,
                                uint64_t src, bool is_async);

/* ---- one side (copy_end.c) ------------------------------------------------------------------ */

struct cudac_end {
    bool is_device;          /* the bytes are at `worker`, at `address`; else in this process */
    struct cudac_vgpu *vgpu; /* whose memory; may be NULL: the stream's */
    struct cudac_worker *worker;
    uint64_t address;
    bool is_pinned;                    /* host memory that is read and written in stream order */
    bool is_live, has_waited;          /* struct cudac_memory_place */
    uint64_t window_id, window_offset; /* in a registration that a worker on this host can map */
    const void *xp_mem;
};
/* Where the bytes are for a copy in a stream at `worker`. `side`: as what they were checked. */
void cudac_end_find(struct cudac_worker *worker, enum cuc_side side, uint64_t address,
                    struct cudac_end *end_out);
/* Both sides of one. */
void cudac_ends_find(struct cudac_worker *worker, const struct cudac_copy *copy,
                     struct cudac_end *dst_out, struct cudac_end *src_out);

/* ---- how the bytes go (copy_plan.c) --------------------------------------------------------- */

struct cudac_copy_facts {
    bool to_device;
    bool has_window; /* and the worker can map it */
    bool may_change; /* other copies, or host functions, may still write the host memory */
    uint64_t bytes;
    enum cudac_wait wait;
};
struct cudac_copy_plan {
    uint32_t flags;    /* WIRE_COPY_* */
    bool is_call;      /* the _wait form */
    bool waits_source; /* then waits until the source has been read */
};
struct cudac_copy_plan cudac_copy_plan(const struct cudac_copy_facts *facts);

/* ---- inside this process (copy_host.c) ------------------------------------------------------ */

CUresult cudac_copy_host(struct cudac_stream *stream, const struct cudac_rows *dst,
                         const struct cudac_rows *src, enum cudac_wait wait);
CUresult cudac_set_host(struct cudac_stream *stream, const struct cudac_rows *dst, uint32_t value,
                        uint8_t value_bytes, enum cudac_wait wait);

/* ---- with another worker than the stream's (copy_peer.c, copy_link.c, copy_side.c) ---------- */

struct wire_box;

/* Between this process and a device of another worker. */
CUresult cudac_copy_elsewhere(struct cudac_stream *stream, const struct cudac_end *device,
                              const struct wire_box *box, const struct cudac_rows *rows,
                              bool to_device);
/* Between devices, at least one of which is not of the stream's worker. */
CUresult cudac_copy_between(struct cudac_stream *stream, const struct cudac_end *dst,
                            const struct wire_box *dst_box, const struct cudac_end *src,
                            const struct wire_box *src_box, enum cudac_wait wait);
/* A set in another worker's memory. */
CUresult cudac_set_elsewhere(struct cudac_stream *stream, const struct cudac_end *device,
                             const struct wire_box *box, uint32_t value, uint8_t value_bytes);
/* Between two workers through memory of this process; waits. */
CUresult cudac_copy_bounce(struct cudac_context *dst, const struct wire_box *dst_box,
                           struct cudac_context *src, const struct wire_box *src_box);

/* Some context of the device, with one more reference: where memory is, one was made. */
CUresult cudac_context_at(struct cudac_vgpu *vgpu, struct cudac_context **context_out);

/* A non-blocking stream of the context's own, for data that come between others' work: its id on
 * the wire. One for each `key`, so that what different streams have to do elsewhere does not wait
 * for each other. Gone with the context. */
CUresult cudac_side_stream(struct cudac_context *context, uint64_t key, uint64_t *stream_out);
void cudac_side_streams_forget(const struct cudac_context *context);

#endif /* CUDA_CLIENT_COPY_H */
