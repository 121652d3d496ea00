/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stream_int.h - the life of streams, and what is known of their progress.
 */
#ifndef CUDA_CLIENT_STREAM_INT_H
#define CUDA_CLIENT_STREAM_INT_H

#include "cuda-client/stream.h"

/* `id` 0: the context's legacy default stream, which the worker has already. */
CUresult cudac_stream_new(struct cudac_context *context, uint64_t id, unsigned flags, int priority,
                          struct cudac_stream **stream_out);
/* The handle goes stale; pending work still runs. */
void cudac_stream_retire(struct cudac_stream *stream);
/* The same for all of a context that is gone in the worker. */
void cudac_streams_close(struct cudac_context *context);

static inline bool cudac_stream_is_blocking(const struct cudac_stream *stream)
{
    return !(stream->flags & CU_STREAM_NON_BLOCKING);
}

/* cudac_stream_post() that tells the position. */
CUresult cudac_stream_post_at(struct cudac_stream *stream, uint32_t op,
                              const struct wire_parts *parts, uint64_t *number_out,
                              uint64_t *position_out);

/* ---- progress ------------------------------------------------------------------------------- */

/* Whether all work posted so far is known to be done. The default stream also stands for the
 * blocking streams that its next command would wait for. */
bool cudac_stream_is_idle(struct cudac_stream *stream);
/* Whether work that is posted now has nothing to wait for: a blocking stream and the default stream
 * wait for each other. */
bool cudac_stream_starts_now(struct cudac_stream *stream);
/* Whether work that is posted now waits for nothing that the program may have in its hands, so that
 * what it reads may be read at once: before it there are only copies between host and device, sets
 * and records, which end by themselves. All else may wait for the program: host functions and
 * values that streams wait for; kernels, which may look at memory until somebody writes it; events,
 * behind which are any of these. */
bool cudac_stream_reads_now(struct cudac_stream *stream);
/* Later work of all streams of the context may wait for the program. */
void cudac_streams_gate(struct cudac_context *context);
/* The same, and nothing that was printed before its end is still in the driver, by whichever
 * stream: to wait for it needs no question. */
bool cudac_stream_is_quiet(struct cudac_stream *stream);
bool cudac_streams_have_printed(struct cudac_context *context); /* no kernel's text is there */
bool cudac_streams_are_quiet(struct cudac_context *context);    /* all of them */
/* Everything up to that position is done: in the stream, or in all streams of the context. */
void cudac_stream_reached(struct cudac_stream *stream, uint64_t position);
void cudac_streams_reached(struct cudac_context *context, uint64_t position);
/* The same, learnt by a synchronisation. */
void cudac_stream_synced(struct cudac_stream *stream, uint64_t position);
void cudac_streams_synced(struct cudac_context *context, uint64_t position);

/* room.c: one more command. */
void cudac_room_count(struct cudac_stream *stream, uint32_t op);

/* As cuStreamQuery. */
CUresult cudac_stream_query(struct cudac_stream *stream);

/* A call that waits for work of the context (ctx_sync and its kin). When it returns the data have
 * landed, text is printed, and host memory is the host's again. */
CUresult cudac_sync_call(struct cudac_context *context, uint32_t op,
                         const struct wire_parts *parts);
/* What is left of that when nothing is to be waited for. */
CUresult cudac_sync_locally(struct cudac_context *context);

/* ---- watches (reached.c): what a worker will tell of by `reached` --------------------------- */

struct cudac_watched {
    uint64_t object, position; /* as in the message: an id, and a number that is the object's own */
    uint64_t mark;             /* the asker's own */
    struct cuc_object *ref;    /* kept alive until then */
    /* When it is done and its data have landed; on the control engine or the asking thread. */
    void (*done)(struct cuc_object *ref, uint64_t mark);
    struct cudac_asked *asked; /* in the object: one more question is open until then; NULL: none */
};

/* Whether to ask: nobody has since the worker last told of anything that is done. So a program that
 * polls costs nothing, and one that learnt by other means that work must be done is not told that
 * it is not. */
bool cudac_asked_is_stale(const struct cudac_asked *asked, const struct cudac_worker *worker);
void cudac_worker_has_news(struct cudac_worker *worker);

/* Asks by a call (stream_watch, event_watch): CUDA_SUCCESS when it was done already and done() has
 * been called, CUDA_ERROR_NOT_READY when done() will be called (perhaps it was, too), or the
 * error. */
CUresult cudac_watch_ask(struct cudac_context *context, uint32_t op, const struct wire_parts *parts,
                         const struct cudac_watched *watched);
/* For a posted command that has the worker tell without being asked: done() will be called, unless
 * the worker cannot tell. False: no memory. */
bool cudac_watch_expect(struct cudac_context *context, const struct cudac_watched *watched);
void cudac_watch_unexpect(struct cudac_context *context, const struct cudac_watched *watched);
void cudac_watches_lost(struct cudac_worker *worker);

#endif /* CUDA_CLIENT_STREAM_INT_H */
