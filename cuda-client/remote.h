/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/remote.h - the workers that serve this process, and how a command reaches one.
 *
 * A virtual GPU is not a place: cudac_vgpu_worker() is the only way from one to a worker (design
 * 7b, F1). Commands go by op and parts as generated/cuda-api/wire.h makes them. Results are
 * CUresults: the worker's own, or CUDA_ERROR_DEVICE_UNAVAILABLE when it is lost. Thread: any.
 */
#ifndef CUDA_CLIENT_REMOTE_H
#define CUDA_CLIENT_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"
#include "generated/cuda-api/wire.h"

struct cudac_vgpu;
struct cudac_worker;
struct xp_conn;
struct xp_node;

/* ---- attach (attach.c) ----------------------------------------------------------------------- */

/* Attaches this process to its system, once: session, address row, transport, a connection and a
 * hello to every worker. CUDA_ERROR_NO_DEVICE without a system (one line on stderr says why),
 * CUDA_ERROR_SYSTEM_NOT_READY, CUDA_ERROR_OUT_OF_MEMORY. Called by cuInit. */
CUresult cudac_attach(void);
bool cudac_is_attached(void);
bool cudac_is_forked(void);      /* in a child that forked after cuInit nothing of ours works */
bool cudac_remote_is_sync(void); /* FABRIC_SYNC=1: every post waits until it is executed */
struct xp_node *cudac_node(void);
/* The row of cuda-common/layout.h that client and workers agreed on. Its ranges are reserved here
 * (no access), so memory goes there with MAP_FIXED; where an address-space limit forbids that they
 * are not, and it goes there with MAP_FIXED_NOREPLACE. */
uint32_t cudac_layout_row(void);
bool cudac_layout_is_reserved(void);

/* ---- virtual GPUs (vgpu.c) ------------------------------------------------------------------- */

int cudac_vgpu_count(void);
/* By the ordinal that programs use (after CUDA_VISIBLE_DEVICES); NULL: no such device. */
struct cudac_vgpu *cudac_vgpu_at(CUdevice ordinal);
CUdevice cudac_vgpu_ordinal(const struct cudac_vgpu *vgpu);
/* Its index in the system: on the wire, and which slice of addresses it has. */
uint32_t cudac_vgpu_index(const struct cudac_vgpu *vgpu);
struct cudac_vgpu *cudac_vgpu_of_index(uint32_t index); /* also one that is not visible; NULL */
struct cudac_worker *cudac_vgpu_worker(const struct cudac_vgpu *vgpu);
const struct wire_device *cudac_vgpu_facts(const struct cudac_vgpu *vgpu);
/* An attribute; `missing` where the worker's driver does not know it. */
int cudac_vgpu_attribute(const struct cudac_vgpu *vgpu, CUdevice_attribute attribute, int missing);

/* ---- workers --------------------------------------------------------------------------------- */

uint32_t cudac_worker_count(void);
struct cudac_worker *cudac_worker_at(uint32_t index);
uint32_t cudac_worker_index(const struct cudac_worker *worker);
struct xp_conn *cudac_worker_conn(const struct cudac_worker *worker);
bool cudac_worker_is_same_host(const struct cudac_worker *worker);
/* For connections between workers: its transport address, and whether two are on one host. */
const uint8_t *cudac_worker_address(const struct cudac_worker *worker, size_t *size_bytes_out);
bool cudac_workers_share_host(const struct cudac_worker *one, const struct cudac_worker *other);
/* CUDA_SUCCESS, or CUDA_ERROR_DEVICE_UNAVAILABLE for ever. */
CUresult cudac_worker_state(const struct cudac_worker *worker);

/* ---- commands -------------------------------------------------------------------------------- */

/* One way, in order. Waits for room where the window is full. `number_out` may be NULL. With
 * FABRIC_SYNC=1 it also waits until the worker has executed it. */
CUresult cudac_post(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                    uint64_t *number_out);

/* A reply; bytes are the caller's until cudac_reply_free(). */
struct cudac_reply {
    CUresult result; /* what the worker's driver (or the worker) answered */
    const void *bytes;
    size_t size_bytes;
    void *owned;
};

/* With a reply; blocks. Returns the worker's result (also in reply->result), or what became of the
 * worker. A reply that does not decode is the caller's to find (wire_get_..): CUDA_ERROR_UNKNOWN
 * through cudac_worker_broken(). `reply` may be NULL. Flush, spin and epoll are inside. */
CUresult cudac_call(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                    struct cudac_reply *reply);
void cudac_reply_free(struct cudac_reply *reply); /* takes an empty one */

/* The same without waiting: several workers at once. `done` may be called before this returns. */
struct cudac_pending {
    void *internal;
};
CUresult cudac_call_start(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts,
                          struct cudac_pending *pending);
CUresult cudac_call_finish(struct cudac_pending *pending, struct cudac_reply *reply);

/* On the urgent lane. */
CUresult cudac_signal(struct cudac_worker *worker, uint32_t op, const struct wire_parts *parts);

/* The worker broke the protocol: its session ends, what it serves is lost. CUDA_ERROR_UNKNOWN. */
CUresult cudac_worker_broken(struct cudac_worker *worker, const char *what);

/* Handlers of messages from workers, one a `down` op: set by the file that understands them, before
 * the attach (a constructor-free table in remote.c lists them). Run on the transport's control
 * engine: they must not block, nor call anything here that waits. */
typedef void cudac_down_fn(struct cudac_worker *worker, const void *bytes, size_t size_bytes);
cudac_down_fn cudac_on_text, cudac_on_context_error, cudac_on_reached, cudac_on_host_run,
    cudac_on_out_data, cudac_on_pull, cudac_on_held, cudac_on_flag;

/* Everything of a lost worker fails: called once by remote.c, on the control engine
 * (cudac_contexts_lost: on any thread, earlier). Each file that keeps something per worker has such
 * a function, listed in remote.c. */
typedef void cudac_lost_fn(struct cudac_worker *worker);
cudac_lost_fn cudac_contexts_lost, cudac_transfers_lost, cudac_host_calls_lost;

/* A number that this process never gave before: ids of objects, transfers, tokens, flags. */
uint64_t cudac_id_new(void);
uint64_t cudac_ids_new(uint32_t count); /* the first of `count` in a row */

#endif /* CUDA_CLIENT_REMOTE_H */
