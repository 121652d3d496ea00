/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/context.h - contexts and the streams in them.
 *
 * The driver's current context belongs to the thread: cudas_enter() makes one current, quickly when
 * it is already. A context owns the page-locked memory that the worker uses in it (pinned.h), and
 * streams of the worker's own for copies and for watching, taken and given back.
 */
#ifndef CUDA_SERVER_CONTEXT_H
#define CUDA_SERVER_CONTEXT_H

#include "cuda-server/hold.h"
#include "cuda-server/object.h"
#include "cuda-server/pinned.h"

struct cudas_stream {
    struct cudas_object object;
    struct cudas_worker *worker;
    CUstream handle;
    bool waits_for_legacy; /* a stream of the program's that is not CU_STREAM_NON_BLOCKING */
    bool is_own;           /* the client's own */
    _Atomic uint64_t held; /* up to which of the context's holds it waits */
};

struct cudas_event {
    struct cudas_object object;
    struct cudas_worker *worker;
    CUevent handle;
    _Atomic uint64_t records;
};

/* A stream of the worker's own, with an event of its own. */
struct cudas_lane {
    struct fab_list link;
    struct cudas_context *context; /* holds a reference while it is taken */
    CUstream stream;               /* CU_STREAM_NON_BLOCKING */
    CUevent event;
};

struct cudas_context {
    struct cudas_object object;
    struct cudas_worker *worker;
    CUcontext handle;
    uint64_t serial; /* never used twice in a process, as driver handles may be */
    uint32_t vgpu;   /* index in the system */
    CUdevice device;
    bool is_primary;
    _Atomic bool is_open;
    _Atomic int told;           /* the asynchronous error that the client was told of */
    struct cudas_stream legacy; /* id 0; without a reference of its own */
    struct cudas_hold hold;

    struct fab_mutex lock;                         /* guards what follows */
    struct fab_list lanes;                         /* that are free */
    struct fab_list free_batches, pending_batches; /* meter.c */
    uint32_t batch_count;
    struct cudas_pinned pinned;
};

/* Makes the context current in this thread. */
CUresult cudas_enter(struct cudas_context *context);
/* No context is current in this thread any more. */
void cudas_leave(struct cudas_worker *worker);

/* The context of that id, entered, with a reference; the result says why not. */
CUresult cudas_context_enter(struct cudas_worker *worker, uint64_t id,
                             struct cudas_context **context_out);
void cudas_context_put(struct cudas_context *context); /* takes NULL */
/* An open context of that vgpu, not entered, with a reference; `wanted` (may be NULL) if it is of
 * that vgpu. NULL: none. */
struct cudas_context *cudas_context_of_vgpu(struct cudas_worker *worker, uint32_t vgpu);
/* Calls fn for each open context. */
void cudas_context_each(struct cudas_worker *worker,
                        void (*fn)(struct cudas_context *context, void *arg), void *arg);

/* The context entered and its stream (0: the legacy default stream), each with a reference. */
struct cudas_place {
    struct cudas_context *context;
    struct cudas_stream *stream;
};
CUresult cudas_place_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                         struct cudas_place *place_out);
/* The same for work of the program, which waits for what the whole context waits for. */
CUresult cudas_work_place_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                              struct cudas_place *place_out);
/* The same where all the context may be meant instead: then nothing waits yet. */
CUresult cudas_scope_get(struct cudas_worker *worker, uint64_t context, uint64_t stream,
                         bool whole_context, struct cudas_place *place_out);
void cudas_place_put(struct cudas_place *place); /* takes an empty one */

/* A free lane of the context, which is current, or a new one. CUDA_ERROR_OUT_OF_MEMORY ... */
CUresult cudas_lane_take(struct cudas_context *context, struct cudas_lane **lane_out);
void cudas_lane_give(struct cudas_lane *lane); /* takes NULL */

/* An asynchronous error was seen in the context: the client hears it, once. */
void cudas_context_failed(struct cudas_context *context, CUresult result);

#endif /* CUDA_SERVER_CONTEXT_H */
