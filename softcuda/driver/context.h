/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/context.h - contexts: current one per thread, the stack, stickiness, engine.
 */
#ifndef SOFTCUDA_DRIVER_CONTEXT_H
#define SOFTCUDA_DRIVER_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

struct soft_context;
struct soft_device;
struct warp_pool;

/* The calling thread's current context, checked: CUDA_ERROR_INVALID_CONTEXT without one,
 * CUDA_ERROR_CONTEXT_IS_DESTROYED, or the context's sticky error. */
CUresult soft_context_current(struct soft_context **context_out);
/* The same for a handle that a program passed (NULL: the current one). */
CUresult soft_context_of(CUcontext handle, struct soft_context **context_out);
CUcontext soft_context_handle(const struct soft_context *context);

struct soft_device *soft_context_device(const struct soft_context *context);
uint64_t soft_context_id(const struct soft_context *context);
/* The primary context of a device, or NULL while it is not active. */
struct soft_context *soft_context_primary(struct soft_device *device);

/* The first asynchronous error; CUDA_SUCCESS if none. Setting keeps the first one. */
CUresult soft_context_error(const struct soft_context *context);
void soft_context_set_error(struct soft_context *context, CUresult error);

/* Waits until all work of the context (or of every context of the device) is done; returns the
 * sticky error. The calling thread helps to run that work. */
CUresult soft_context_wait(struct soft_context *context);
CUresult soft_device_wait(struct soft_device *device);

/* The process's engine (one pool for all devices); NULL before the first context was made. */
struct warp_pool *soft_engine(void);

/* Peer access, kept by the memory side: bit k = this context may access device ordinal k's memory.
 */
bool soft_context_can_access(const struct soft_context *context, const struct soft_device *owner);

#endif /* SOFTCUDA_DRIVER_CONTEXT_H */
