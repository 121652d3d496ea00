/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/dispatch.h - from an op number to the function that executes it, and how it answers.
 *
 * A post has no answer: what goes wrong is an asynchronous CUDA error, which the client hears once
 * a context, or a late error, which must not happen (design D5) and fails the context there, too:
 * the program counts on what was not done. A call is answered exactly once.
 */
#ifndef CUDA_SERVER_DISPATCH_H
#define CUDA_SERVER_DISPATCH_H

#include <stddef.h>

#include "cuda-server/worker.h"

/* Borrowed for the execution. */
struct cudas_command {
    uint64_t number;
    uint32_t op;
    bool is_call;
    bool is_parked;    /* counted until it is answered, in stats.parked */
    const void *bytes; /* 8-aligned */
    size_t size_bytes;
};

typedef void cudas_execute_fn(struct cudas_worker *worker, const struct cudas_command *command);

/* Whether the command is executed beside the leader, since it may wait in the driver or take long.
 * Only calls are: their client waits for the answer before it relies on them. */
bool cudas_is_parked(uint32_t op);

/* Executes one command. Malformed or unknown ones end the session. */
void cudas_dispatch(struct cudas_worker *worker, const struct cudas_command *command);

/* Answers a call; `parts` may be NULL: result only. */
void cudas_reply(struct cudas_worker *worker, const struct cudas_command *command, CUresult result,
                 const struct wire_parts *parts);

/* How a post ended, in `context` (NULL: none that is known). */
void cudas_posted(struct cudas_worker *worker, struct cudas_context *context, CUresult result);

/* The command does not decode: ends the session. */
void cudas_malformed(struct cudas_worker *worker, const struct cudas_command *command);

/* `finish` for commands that exist as a post and as a call: answers, or takes the post's result. */
void cudas_finish(struct cudas_worker *worker, const struct cudas_command *command,
                  struct cudas_context *context, CUresult result);

/* One function an op, in the file that it belongs to. */
cudas_execute_fn cudas_on_hello, cudas_on_stats; /* session.c */
cudas_execute_fn cudas_on_trace;                 /* trace.c */
cudas_execute_fn cudas_on_ctx_create, cudas_on_ctx_destroy, cudas_on_ctx_set, cudas_on_ctx_sync,
    cudas_on_ctx_peer; /* context_ops.c */
cudas_execute_fn cudas_on_stream_create, cudas_on_stream_destroy, cudas_on_stream_set,
    cudas_on_stream_sync, cudas_on_stream_memops; /* stream.c */
cudas_execute_fn cudas_on_event_create, cudas_on_event_destroy, cudas_on_event_record,
    cudas_on_event_wait, cudas_on_event_sync, cudas_on_event_elapsed;                /* event.c */
cudas_execute_fn cudas_on_stream_watch, cudas_on_event_watch, cudas_on_event_notify; /* watch.c */
cudas_execute_fn cudas_on_host_call, cudas_on_flag_wait;                             /* flag.c */
cudas_execute_fn cudas_on_image_load, cudas_on_image_bytes, cudas_on_image_unload,
    cudas_on_library_module, cudas_on_function_find, cudas_on_global_find; /* image.c */
cudas_execute_fn cudas_on_function_set, cudas_on_function_load, cudas_on_launch,
    cudas_on_occupancy; /* launch.c */
cudas_execute_fn cudas_on_mem_map, cudas_on_mem_free, cudas_on_mem_info,
    cudas_on_mem_access; /* memory.c */
cudas_execute_fn cudas_on_phys_create, cudas_on_phys_release, cudas_on_phys_map,
    cudas_on_phys_unmap;                                 /* phys.c */
cudas_execute_fn cudas_on_host_map, cudas_on_host_unmap; /* window.c */
cudas_execute_fn cudas_on_copy_in, cudas_on_copy_out, cudas_on_copy_device,
    cudas_on_set; /* copy.c */
cudas_execute_fn cudas_on_peer_invite, cudas_on_peer_join, cudas_on_peer_send,
    cudas_on_peer_receive, cudas_on_peer_leave; /* peer.c */
cudas_execute_fn cudas_on_nvml;                 /* nvml.c */

#endif /* CUDA_SERVER_DISPATCH_H */
