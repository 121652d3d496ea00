/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/context_int.h - the context object, for the files that implement contexts.
 */
#ifndef SOFTCUDA_DRIVER_CONTEXT_INT_H
#define SOFTCUDA_DRIVER_CONTEXT_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "cuda-common/object.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/hostfn.h"
#include "softcuda/driver/queue.h"
#include "softcuda/driver/text.h"
#include "softcuda/warp/launch.h"

struct soft_event;
struct soft_module;

enum { SOFT_LIMIT_COUNT = CU_LIMIT_MAX };

struct soft_context {
    struct cuc_object object;
    struct soft_device *device;
    uint64_t id;
    unsigned api_version;
    bool is_primary;
    _Atomic unsigned flags;    /* CU_CTX_* */
    _Atomic int error;         /* CUresult: the first asynchronous one */
    _Atomic bool is_open;      /* false: destroyed, or a primary one that nobody retains */
    struct soft_context *next; /* in the list of open contexts, guarded by its lock */

    struct soft_context_queue queue; /* guarded by the queue lock */
    struct warp_env env;
    struct soft_text text;       /* device printf */
    struct soft_host_queue host; /* host functions */

    pthread_mutex_t lock; /* guards what follows */
    struct soft_module *modules;
    struct soft_event *events;
    size_t limit[SOFT_LIMIT_COUNT];
    CUfunc_cache cache_config;
    CUsharedconfig shared_config;
};

/* A new, open context; the reference is the handle's. `flags` were checked. */
CUresult soft_context_new(struct soft_device *device, unsigned flags, unsigned api_version,
                          bool is_primary, struct soft_context **context_out);
/* Takes the device's reserve and opens; close waits for the work and frees everything in it. */
CUresult soft_context_open(struct soft_context *context);
void soft_context_close(struct soft_context *context);

/* The current context whatever its state; NULL for none. */
struct soft_context *soft_context_peek(void);
/* Replaces the top of this thread's stack; pushes; pops, which gives the stack's reference to the
 * caller (NULL entry: none) and returns false on an empty stack. */
void soft_context_set_top(struct soft_context *context);
bool soft_context_push(struct soft_context *context);
bool soft_context_pop(struct soft_context **context_out);
void soft_context_thread_exit(void);

/* The context behind a handle with one more reference, also a closed primary one; NULL. */
struct soft_context *soft_context_from_handle(CUcontext handle);

/* Calls fn for every open context (of the device, or of all for NULL). */
void soft_context_each(struct soft_device *device,
                       void (*fn)(struct soft_context *context, void *arg), void *arg);

/* struct warp_env.text: into the context's printf buffer. */
void soft_context_text(void *arg, bool is_error, const char *bytes, size_t length);

/* The per-thread default stream of this thread in the context, made on first use. */
CUresult soft_thread_stream_get(struct soft_context *context, struct soft_stream **stream_out);

#endif /* SOFTCUDA_DRIVER_CONTEXT_INT_H */
