/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/stream.h - streams as ordered queues of commands.
 *
 * A command starts when everything before it in its stream is done and its waits are satisfied.
 * Launches go to the engine, copies and sets run as pieces on its workers, host functions on a
 * thread of their own; no stream owns a thread. Thread: any.
 */
#ifndef SOFTCUDA_DRIVER_STREAM_H
#define SOFTCUDA_DRIVER_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

struct soft_context;
struct soft_stream;

/* Resolves a stream handle of a call in the current context: 0 by the call's default-stream mode,
 * CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, or a stream that cuStreamCreate made. Returns
 * CUDA_ERROR_INVALID_HANDLE for anything else, and what soft_context_current() returns. The
 * reference is the caller's until soft_stream_put(). */
CUresult soft_stream_get(CUstream handle, struct soft_stream **stream_out);
void soft_stream_put(struct soft_stream *stream);
struct soft_context *soft_stream_context(const struct soft_stream *stream);

/* Enqueues fn(arg) as a command: it runs on an engine worker, in stream order, and must not block
 * on other stream work. Its result, when not CUDA_SUCCESS, becomes the context's error. */
CUresult soft_stream_enqueue(struct soft_stream *stream, CUresult (*fn)(void *arg), void *arg);

/* Waits for everything enqueued so far; helps to run it. Returns the context's error. */
CUresult soft_stream_wait(struct soft_stream *stream);

#endif /* SOFTCUDA_DRIVER_STREAM_H */
