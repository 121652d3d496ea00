/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/fake_remote.h - workers that live in the test, for the files of memory.
 *
 * Stands in for remote.h, context.h, stream.h and transfer.h: calls and posts are executed at once,
 * in a model of a worker's memory whose bytes the test reads and writes as a kernel would.
 */
#ifndef TESTS_UNIT_CUDA_CLIENT_FAKE_REMOTE_H
#define TESTS_UNIT_CUDA_CLIENT_FAKE_REMOTE_H

#include "tests/support/check.h"

#include "cuda-client/context.h"
#include "cuda-client/stream.h"

#define FAKE_MIB (UINT64_C(1) << 20)

enum { FAKE_WORKERS = 2 }; /* each has one virtual GPU, of its own index */

struct fake_worker {
    bool same_host; /* host_map shares the client's bytes */
    bool is_lost;
    uint64_t room_bytes; /* of its GPU */
    uint32_t seen[256];  /* commands, by op */
};
extern struct fake_worker fake_workers[FAKE_WORKERS];
extern bool fake_host_calls;       /* host functions are queued */
extern bool fake_landing;          /* copies into host memory are on their way */
extern uint32_t fake_messages;     /* all commands */
extern uint32_t fake_carries;      /* times that carrying was asked for */
extern void (*fake_on_wait)(void); /* what was waited for is done; may be NULL */

/* Starts over: contexts and streams of before are gone. */
void fake_reset(bool same_host, uint64_t room_bytes);
/* Open contexts: fake_context(k) is worker k's; the first is current. */
struct cudac_context *fake_context(uint32_t worker);
void fake_make_current(struct cudac_context *context);
struct cudac_stream *fake_stream(uint32_t worker, uint32_t index); /* two a context */
CUstream fake_handle(struct cudac_stream *stream);
/* All that was posted in the stream is done. */
void fake_finish(struct cudac_stream *stream);
/* Work of the stream that takes until fake_finish(). */
void fake_work(struct cudac_stream *stream);
struct cudac_worker *fake_worker(uint32_t index);
/* The worker's bytes at the address of a place, or NULL without one. */
unsigned char *fake_place(uint32_t worker, uint64_t address);

/* Memory that the worker's driver placed. */
void fake_place_add(uint32_t worker, uint64_t address, uint64_t bytes);

#endif /* TESTS_UNIT_CUDA_CLIENT_FAKE_REMOTE_H */
