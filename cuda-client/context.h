/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/context.h - contexts, and what the client keeps for each calling thread.
 */
#ifndef CUDA_CLIENT_CONTEXT_H
#define CUDA_CLIENT_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-client/remote.h"
#include "cuda-common/object.h"

struct cudac_event;
struct cudac_module;
struct cudac_stream;
struct cudac_tasks;

enum { CUDAC_LIMIT_COUNT = 16 };

struct cudac_context {
    struct cuc_object object;
    struct cudac_vgpu *vgpu;
    uint64_t id; /* on the wire; also CU_CTX id */
    unsigned api_version;
    bool is_primary;
    _Atomic unsigned flags;
    _Atomic int error;          /* CUresult: the first asynchronous one */
    _Atomic bool is_open;       /* false: destroyed, or a primary one that nobody retains */
    struct cudac_context *next; /* in the list of open contexts, guarded by its lock */
    int priority_least, priority_greatest;
    struct cudac_stream *legacy;
    struct cudac_tasks *host; /* host functions; NULL before the first one */
    /* Counts the work of all streams: a position in a stream is the count at its last command. It
     * grows with the lock that is held while a command is posted, so that it follows the order on
     * the wire; what an event or another stream says of a position depends on that. */
    pthread_mutex_t order;
    _Atomic uint64_t sequence;
    _Atomic uint64_t gate; /* as a stream's: of the last wait that all its streams were given */
    _Atomic uint64_t
        launching; /* the id, and one, of the stream that had the last command, a launch */

    pthread_mutex_t lock; /* guards what follows */
    struct cudac_stream *streams;
    struct cudac_event *events;
    struct cudac_module *modules; /* code.c */
    uint64_t peer_mask;           /* bit v: memory of vgpu v is accessible, cuCtxEnablePeerAccess */
    uint64_t limit[CUDAC_LIMIT_COUNT];
    CUfunc_cache cache_config;
    CUsharedconfig shared_config;
};

/* The calling thread's current context, checked: CUDA_ERROR_INVALID_CONTEXT without one,
 * CUDA_ERROR_CONTEXT_IS_DESTROYED, the context's sticky error, or the lost worker's. No reference
 * is taken: it lives while it is current. */
CUresult cudac_context_current(struct cudac_context **context_out);
/* The same for a handle that a program passed (NULL: the current one). */
CUresult cudac_context_of(CUcontext handle, struct cudac_context **context_out);
CUcontext cudac_context_handle(const struct cudac_context *context);
/* The current context whatever its state; NULL for none. */
struct cudac_context *cudac_context_peek(void);
/* The open context with that wire id and one more reference (cuc_object_put), or NULL. */
struct cudac_context *cudac_context_of_id(uint64_t id);
/* The primary context of a device if it is active, else NULL. */
struct cudac_context *cudac_context_primary(struct cudac_vgpu *vgpu);
/* Calls fn for every open context (of the vgpu, or of all for NULL). */
void cudac_context_each(struct cudac_vgpu *vgpu,
                        void (*fn)(struct cudac_context *context, void *arg), void *arg);

CUresult cudac_context_error(const struct cudac_context *context);
void cudac_context_set_error(struct cudac_context *context, CUresult error); /* keeps the first */
/* Takes a reply's result: sticky errors (faults) become the context's. Returns it. */
CUresult cudac_context_result(struct cudac_context *context, CUresult result);

/* Whether memory of that vgpu may be used in the context: its own, or an enabled peer's. */
bool cudac_context_can_access(struct cudac_context *context, const struct cudac_vgpu *vgpu);

/* Waits until all work of the context is done and its data have landed; the sticky error. */
CUresult cudac_context_wait(struct cudac_context *context);

static inline struct cudac_worker *cudac_context_worker(const struct cudac_context *context)
{
    return cudac_vgpu_worker(context->vgpu);
}

/* Closing a context calls these of the files that keep something in it, when the worker's context
 * is gone with its modules: only memory (of the vgpu, not of the context) must still be given back
 * there. */
void cudac_memory_context_close(struct cudac_context *context);
/* Before that: what the worker's driver placed in the context is not the context's any more. */
void cudac_memory_context_closing(struct cudac_context *context);
void cudac_code_context_close(struct cudac_context *context);

/* ---- the calling thread ---------------------------------------------------------------------- */

/* Whether stream handle 0 means the per-thread default stream in the call this thread is in. */
bool cudac_call_is_per_thread(void);
/* A host function runs on this thread: CUDA calls are refused. */
void cudac_thread_set_host_function(bool is_inside);

#endif /* CUDA_CLIENT_CONTEXT_H */
