/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/thread.h - what the driver keeps per calling thread.
 */
#ifndef SOFTCUDA_DRIVER_THREAD_H
#define SOFTCUDA_DRIVER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct soft_context;
struct soft_stream;

enum { SOFT_CONTEXT_STACK_MAX = 64 };

/* A per-thread default stream of one context. */
struct soft_thread_stream {
    struct soft_thread_stream *next;
    struct soft_context *context;
    struct soft_stream *stream;
};

/* The context stack: entries hold a reference. The current context is the top one; a NULL entry is
 * what cuCtxPushCurrent and cuCtxSetCurrent(NULL) may leave. */
struct soft_thread_stack {
    uint32_t depth;
    struct soft_context *entry[SOFT_CONTEXT_STACK_MAX];
};

struct soft_thread {
    struct soft_context *current; /* top of the stack, or NULL */
    struct soft_thread_stack *stack;
    struct soft_thread_stream *streams;
    bool per_thread;       /* stream handle 0 means the per-thread default stream */
    bool in_host_function; /* a stream callback runs here: CUDA calls are refused */
    int capture_mode;      /* cuThreadExchangeStreamCaptureMode */
    bool has_exit_hook;
};

/* Initial-exec: one load, and few bytes of the loader's reserve for libraries opened late. */
extern _Thread_local struct soft_thread soft_thread
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Lets go of everything the thread holds when it ends. Call before keeping a reference here. */
void soft_thread_watch(void);

/* True in a child that forked after cuInit: nothing of ours works there. */
bool soft_is_forked(void);
bool soft_is_initialized(void);

#endif /* SOFTCUDA_DRIVER_THREAD_H */
