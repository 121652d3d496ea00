/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/thread.h - what the client keeps for each calling thread.
 */
#ifndef CUDA_CLIENT_THREAD_H
#define CUDA_CLIENT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct cudac_context;
struct cudac_stream;

enum { CUDAC_CONTEXT_STACK_MAX = 64 };

/* A per-thread default stream of one context. */
struct cudac_thread_stream {
    struct cudac_thread_stream *next;
    struct cudac_context *context; /* compared only */
    struct cudac_stream *stream;
};

/* The context stack: entries hold a reference. The current context is the top one; a NULL entry is
 * what cuCtxPushCurrent and cuCtxSetCurrent(NULL) may leave. */
struct cudac_thread_stack {
    uint32_t depth;
    struct cudac_context *entry[CUDAC_CONTEXT_STACK_MAX];
};

struct cudac_thread {
    struct cudac_context *current; /* top of the stack, or NULL */
    struct cudac_thread_stack *stack;
    struct cudac_thread_stream *streams;
    void *reply;           /* room for one reply, made at the first call */
    uint64_t call_ns;      /* when the call began; for the timeline */
    int capture_mode;      /* cuThreadExchangeStreamCaptureMode */
    bool is_reply_taken;   /* and not given back yet: a further call makes its own room */
    bool per_thread;       /* stream handle 0 means the per-thread default stream */
    bool in_host_function; /* a host function runs here: CUDA calls are refused */
    bool has_exit_hook;
    uint32_t turns; /* cudac_memory_turn_begin() */
    bool has_given; /* this call gives memory to work that it may not have posted yet */
};

/* Initial-exec: one load, and few bytes of the loader's reserve for libraries opened late. */
extern _Thread_local struct cudac_thread cudac_thread
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Lets go of everything the thread holds when it ends. Call before keeping something here. */
void cudac_thread_watch(void);
/* The part of that which is the contexts' (context.c). */
void cudac_context_thread_exit(void);

#endif /* CUDA_CLIENT_THREAD_H */
