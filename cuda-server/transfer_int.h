/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/transfer_int.h - a transfer from inside: transfer.c (life and rails) and mover.c (the
 * device's side).
 */
#ifndef CUDA_SERVER_TRANSFER_INT_H
#define CUDA_SERVER_TRANSFER_INT_H

#include <pthread.h>

#include "cuda-server/transfer.h"
#include "ucx-transport/xp_plan.h"

enum cudas_chunk_state {
    CUDAS_CHUNK_NONE,
    CUDAS_CHUNK_PLACED,  /* in: the rail fills the slot */
    CUDAS_CHUNK_LANDED,  /* in: the slot is full */
    CUDAS_CHUNK_COPYING, /* the device reads or writes the slot */
    CUDAS_CHUNK_READY,   /* out: the slot is full, the rail may read it */
    CUDAS_CHUNK_DIRECT,  /* the rail reads or writes device memory */
    CUDAS_CHUNK_DONE,
};

struct cudas_chunk {
    enum cudas_chunk_state state;
    struct cudas_slot *slot;
    uint64_t offset;
    uint32_t size_bytes;
};

/* Guarded by the mover's lock but for what never changes. */
struct cudas_transfer {
    struct cudas_worker *worker;
    struct cudas_context *context; /* holds a reference */
    struct cudas_transfer_config config;
    uint64_t total_bytes;
    bool is_dense;
    struct cudas_lane *lane;
    uint32_t refs;            /* the rails', the stream's callback's, the mover's chunks' */
    struct xp_transfer *bulk; /* NULL: not started, or done */
    struct cudas_wait wait;   /* of the program's stream */
    bool is_reached;          /* the stream is there */
    bool is_starved;          /* asked for a place in vain: resume when there may be one */
    bool has_failed, has_ended;
    bool is_dirty; /* in the mover's list */
    bool had_direct;
    uint64_t moved_bytes;         /* in: written; out: captured */
    struct fab_vec chunks;        /* struct cudas_chunk, by index */
    struct xp_plan plan;          /* out: chunk_count 0: unknown */
    uint32_t next_capture, asked; /* out: chunks below are captured or being so; wanted up to */
    struct fab_list link;         /* of the mover's dirty list */
    struct fab_list all_link;
    struct cudas_capture capture; /* out: id while it is in the list */
    bool is_captured;
};

struct cudas_copying {
    struct cudas_transfer *transfer; /* holds a reference */
    uint32_t index;
    CUresult result; /* of submitting */
};

struct cudas_mover {
    struct cudas_worker *worker;
    struct fab_mutex
        lock; /* guards what follows, and the transfers; before the transport's locks */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, is_ending;
    struct fab_list dirty, all;
    struct fab_list jobs;   /* struct cudas_job */
    struct fab_vec copying; /* struct cudas_copying, oldest first */
    size_t copying_from;

    struct fab_mutex captured_lock; /* guards what follows; taken last */
    struct fab_list captured;       /* struct cudas_capture */
};

void *cudas_mover_main(void *arg);
void cudas_transfer_dirty_locked(struct cudas_transfer *transfer);
void cudas_transfer_put_locked(struct cudas_transfer *transfer);
/* It cannot go on; both ends hear it, the stream goes on. */
void cudas_transfer_fail_locked(struct cudas_transfer *transfer, enum fab_status status);
/* More of it is written or captured; at the end the stream goes on. */
void cudas_transfer_moved_locked(struct cudas_transfer *transfer, uint64_t bytes);
/* A slot of the context is free again. */
void cudas_transfers_feed_locked(struct cudas_mover *mover, const struct cudas_context *context);
/* The record of a chunk, made if need be; NULL: no memory. */
struct cudas_chunk *cudas_chunk_at_locked(struct cudas_transfer *transfer, uint32_t index);

#endif /* CUDA_SERVER_TRANSFER_INT_H */
