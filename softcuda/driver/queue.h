/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/queue.h - commands and what they wait for: one graph for all streams.
 *
 * A command waits for the one before it in its stream and for any number of others (events, the
 * default stream's rules, a whole context). When nothing is left to wait for it starts; when it
 * finishes it releases those that wait for it. One lock guards the graph of the whole process and
 * is held for a few list operations only; nothing runs under it. Thread: any.
 */
#ifndef SOFTCUDA_DRIVER_QUEUE_H
#define SOFTCUDA_DRIVER_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

struct soft_command;
struct soft_context;
struct soft_event;
struct soft_stream;
struct warp_launch;

enum {
    SOFT_COMMAND_DATA_BYTES = 640, /* a launch with some 400 bytes of parameters fits */
};

/* What a kind of command does. `start` is called once, without locks, when nothing is left to wait
 * for, and leads to one soft_command_finish(), at once or later. */
struct soft_command_ops {
    const char *name;
    void (*start)(struct soft_command *command);
    void (*clear)(struct soft_command *command); /* frees what the data own; may be NULL */
    /* With the lock held, in the moment in which the command is done; may be NULL. */
    void (*passed)(struct soft_command *command);
    bool on_worker;   /* takes time: start is called on an engine worker or a waiting thread */
    bool even_failed; /* starts also after the context's first error */
};

/* "`to` waits for the command that has this in its list." */
struct soft_edge {
    struct soft_edge *next;
    struct soft_command *to; /* NULL: not in use */
    bool on_heap;
};

/* A thread that waits for a command; lives on its stack. */
struct soft_waiter {
    struct soft_waiter *next;
    _Atomic uint32_t state; /* enum in queue.c; also a futex word */
};

struct soft_command {
    const struct soft_command_ops *ops;
    struct soft_context *context;
    struct soft_stream *stream; /* NULL: a marker outside all streams */
    struct soft_command *next;  /* in a list of ready or of free ones */
    struct soft_edge *successors, *last_successor;
    struct soft_waiter *waiters;
    uint32_t blockers;     /* commands it still waits for, and one while being submitted */
    _Atomic uint32_t refs; /* the graph's, and one a helping thread */
    bool is_cancelled;
    uint64_t ready_ns; /* when the last of what it waited for ended */
    uint64_t end_ns;   /* its own end: real or modelled (device file) */
    int32_t priority;
    /* Own room for the common edges, so that ordering never needs memory: behind the stream's last
     * command, behind the default stream's, behind the context's gate, behind one more; and, in the
     * predecessor, in front of the default stream's next one (further ones follow from that). */
    struct soft_edge after_stream, after_legacy, after_gate, after_other, before_legacy;
    _Atomic(struct warp_launch *) launch; /* while a grid of it runs: waiting threads help */
    _Alignas(16) unsigned char data[SOFT_COMMAND_DATA_BYTES];
};

/* The part of a context that the graph's lock guards. */
struct soft_context_queue {
    struct soft_stream *streams; /* all of them, by soft_stream.next */
    struct soft_stream *legacy;  /* the default stream; also in `streams` */
    struct soft_command *gate;   /* cuCtxWaitEvent: later work of all streams is behind it */
    _Atomic uint64_t pending;    /* commands not finished */
};

/* soft_command_ops.start for commands that only mark a place: done at once. */
void soft_command_marker(struct soft_command *command);

/* NULL: out of memory. `stream` NULL makes a marker of the context. */
struct soft_command *soft_command_new(struct soft_context *context, struct soft_stream *stream,
                                      const struct soft_command_ops *ops);
/* A command that was never submitted. */
void soft_command_drop(struct soft_command *command);

/* Appends the command to its stream; it may start, and even finish, before this returns. When very
 * many commands of the stream are waiting already, some must end first, as on a GPU. */
void soft_command_submit(struct soft_command *command);
/* The same, and waits for its end; runs it on this thread when nothing is in its way. Returns the
 * context's error. */
CUresult soft_command_submit_and_wait(struct soft_command *command);

/* The command is done. A result other than CUDA_SUCCESS becomes the context's error. */
void soft_command_finish(struct soft_command *command, CUresult result);
void soft_command_ref(struct soft_command *command);
void soft_command_unref(struct soft_command *command);

/* ---- pieces for callers that must combine steps under the lock ------------------------------ */

void soft_queue_lock(void);
void soft_queue_unlock(void); /* starts what became ready under the lock */
/* `command` also waits for `other` (NULL: nothing). False: out of memory. */
bool soft_command_after_locked(struct soft_command *command, struct soft_command *other);
/* After all present work of the context. */
bool soft_command_after_context_locked(struct soft_command *command, struct soft_context *context);
void soft_command_submit_locked(struct soft_command *command);
/* Submits a marker of the context; what is submitted later, in any stream, is behind it. */
void soft_command_gate_locked(struct soft_command *command);

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* With the lock held on entry, which it gives back: waits until `command` is done (NULL: returns at
 * once), running ready work of its context meanwhile. */
void soft_command_wait_unlock(struct soft_command *command);

/* Runs one ready command of any context; false if there was none. */
bool soft_queue_help(void);

/* Ends the grids that run in the context. Its error is set, so no further one starts. */
void soft_queue_cancel(struct soft_context *context);

/* CLOCK_MONOTONIC. */
uint64_t soft_now_ns(void);

#endif /* SOFTCUDA_DRIVER_QUEUE_H */
