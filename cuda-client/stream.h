/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stream.h - streams as the client knows them; waiting; what has landed.
 */
#ifndef CUDA_CLIENT_STREAM_H
#define CUDA_CLIENT_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-client/context.h"

struct cudac_stream_attributes;

/* Questions about a stream or an event that are open in its worker: it tells when they are done. */
struct cudac_asked {
    _Atomic uint32_t open;
    _Atomic uint64_t news; /* of the worker, at the last question */
};

/* Commands of the stream, as its driver counts them: posted; at the last question; known to be done
 * (room.c). */
struct cudac_room {
    _Atomic uint64_t posted, asked_at, done;
    _Atomic uint64_t gate; /* the context's that was counted */
    struct cudac_asked asked;
};

struct cudac_stream {
    struct cuc_object object;
    struct cudac_context *context; /* holds a reference */
    struct cudac_stream *next;     /* in its context */
    uint64_t id;                   /* on the wire; 0: the legacy default stream */
    unsigned flags;                /* CU_STREAM_NON_BLOCKING */
    int priority;
    /* Positions, in the count of the context: of the last work posted, and up to where all is known
     * to be done. done >= posted: idle. */
    _Atomic uint64_t posted, done;
    /* Of the last work that surely waits for what the default stream had been given by then. */
    _Atomic uint64_t behind;
    /* Of the last work that may wait for what the program does later (cudac_stream_reads_now). */
    _Atomic uint64_t gate;
    /* Of the last launch, and up to where a synchronisation has made the driver print: a stream
     * that is idle can still have text to come. */
    _Atomic uint64_t launched, synced;
    struct cudac_asked asked;
    struct cudac_room room;
    _Atomic bool is_retired; /* destroyed by the program, or its context was closed */
    struct cudac_stream_attributes *attributes; /* stream_attr.c; NULL: as created */
};

/* The stream behind a handle: NULL, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD (each in the current
 * context) or one of cuStreamCreate. Takes a reference: cudac_stream_put(). Checks the context
 * like cudac_context_current(). CUDA_ERROR_INVALID_HANDLE. */
CUresult cudac_stream_get(CUstream handle, struct cudac_stream **stream_out);
/* The default stream that handle 0 means in this call, of a given context. */
CUresult cudac_stream_default(struct cudac_context *context, struct cudac_stream **stream_out);
void cudac_stream_put(struct cudac_stream *stream); /* takes NULL */

/* Before work is posted, without locks: waits until the worker's driver takes it at once, so that
 * nothing of this client waits behind a full queue there, as the program would. */
void cudac_stream_make_room(struct cudac_stream *stream);

/* Posts a command that is work of the stream (launch, copy, set, host call, record, wait): counts
 * it and sends it as one step, so that positions follow the order on the wire. */
CUresult cudac_stream_post(struct cudac_stream *stream, uint32_t op, const struct wire_parts *parts,
                           uint64_t *number_out);
/* Work that was posted otherwise: counted, by the op it was sent as. Returns its position. */
uint64_t cudac_stream_count(struct cudac_stream *stream, uint32_t op);
/* Work of the stream that is a call: counted, and done when the reply is there (the stream then is
 * idle up to it). Waits for what the reply says has landed. */
CUresult cudac_stream_call(struct cudac_stream *stream, uint32_t op, const struct wire_parts *parts,
                           struct cudac_reply *reply);

/* Waits as cuStreamSynchronize does; prints pending device text first. */
CUresult cudac_stream_wait(struct cudac_stream *stream);

/* Whether host code may be changing or about to read host memory behind our back: host functions
 * that have not finished. Copies from pinned memory then wait for their turn (WIRE_COPY_PULL). */
bool cudac_host_calls_pending(void);

/* Runs `fn(arg)` on a thread of the client's own, one after the other: for what handlers of the
 * control engine must not do themselves. It never runs code of the program, so it waits for nothing
 * that a host function holds up. CUDA_ERROR_OUT_OF_MEMORY. */
CUresult cudac_host_thread_run(void (*fn)(void *arg), void *arg);

#endif /* CUDA_CLIENT_STREAM_H */
