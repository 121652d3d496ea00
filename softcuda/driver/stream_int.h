/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/stream_int.h - the stream object, for the files that order commands.
 */
#ifndef SOFTCUDA_DRIVER_STREAM_INT_H
#define SOFTCUDA_DRIVER_STREAM_INT_H

#include "cuda-common/object.h"
#include "softcuda/driver/queue.h"
#include "softcuda/driver/stream.h"

enum {
    SOFT_PRIORITY_LEAST = 0, /* CUDA: lower numbers go first */
    SOFT_PRIORITY_GREATEST = -5,
};

struct soft_stream {
    struct cuc_object object;
    struct soft_context *context; /* holds a reference */
    unsigned flags;               /* CU_STREAM_NON_BLOCKING */
    int priority;
    uint64_t id;
    CUaccessPolicyWindow window;
    CUsynchronizationPolicy sync_policy;
    CUlaunchMemSyncDomainMap domain_map;
    CUlaunchMemSyncDomain domain;
    /* Guarded by the queue lock. */
    struct soft_stream *next;            /* in its context */
    struct soft_command *head;           /* the one that is ready or runs, or NULL */
    _Atomic(struct soft_command *) tail; /* NULL: idle; read without the lock by queries */
    uint64_t end_ns;                     /* of the last command that finished */
    _Atomic uint32_t pending;            /* commands not finished; read without the lock */
    _Atomic bool is_retired;             /* destroyed by the program: goes when idle */
};

/* Creates a stream of a context; the handle's reference is the context's or the program's. */
CUresult soft_stream_new(struct soft_context *context, unsigned flags, int priority,
                         struct soft_stream **stream_out);
/* The handle goes stale; pending work still runs. */
void soft_stream_retire(struct soft_stream *stream);

/* Takes an idle, retired stream out of its context; the reference of the list is the caller's. */
struct soft_stream *soft_stream_unlink_locked(struct soft_stream *stream);

/* Whether the stream takes part in the default stream's order. */
static inline bool soft_stream_is_blocking(const struct soft_stream *stream)
{
    return !(stream->flags & CU_STREAM_NON_BLOCKING);
}

#endif /* SOFTCUDA_DRIVER_STREAM_INT_H */
