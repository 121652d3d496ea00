/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/context_int.h - the life of contexts, for the files that implement them.
 */
#ifndef CUDA_CLIENT_CONTEXT_INT_H
#define CUDA_CLIENT_CONTEXT_INT_H

#include "cuda-client/context.h"

/* A new, open context; the reference is the handle's. `flags` were checked. */
CUresult cudac_context_new(struct cudac_vgpu *vgpu, unsigned flags, uint32_t sm_count,
                           bool is_primary, struct cudac_context **context_out);
/* Opens it in the worker; close waits for the work and gives back everything in it. */
CUresult cudac_context_open(struct cudac_context *context, uint32_t sm_count);
void cudac_context_close(struct cudac_context *context, bool reset);

/* Replaces the top of this thread's stack; pushes; pops, which gives the stack's reference to the
 * caller (NULL entry: none) and returns false on an empty stack. */
void cudac_context_set_top(struct cudac_context *context);
bool cudac_context_push(struct cudac_context *context);
bool cudac_context_pop(struct cudac_context **context_out);

/* The context behind a handle with one more reference, also a closed primary one; NULL. */
struct cudac_context *cudac_context_from_handle(CUcontext handle);

bool cudac_context_flags_are_valid(unsigned flags);

/* WIRE_CTX_SET; the value that the worker's driver made of it (value_out may be NULL). */
CUresult cudac_context_set(struct cudac_context *context, uint32_t what, uint32_t index,
                           uint64_t value, uint64_t *value_out);

/* The per-thread default stream of this thread in the context, made on first use. */
CUresult cudac_thread_stream_get(struct cudac_context *context, struct cudac_stream **stream_out);

/* Handles of its events go stale (event.c). */
void cudac_events_close(struct cudac_context *context);

#endif /* CUDA_CLIENT_CONTEXT_INT_H */
