/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/transfer.h - large copies between device memory and a peer's: bulk transfers that a
 * stream waits for.
 *
 * The stream calls back when it gets there and then waits for a word, so the dispatcher never
 * blocks and the driver holds two operations a transfer, however long it is. One thread, the mover,
 * copies between device memory and page-locked slots on a lane of the worker's own; the rails fill
 * and empty the slots. Where a rail takes device memory there is no slot between. A stream does not
 * pass a copy from the device before its bytes are in slots or acknowledged.
 */
#ifndef CUDA_SERVER_TRANSFER_H
#define CUDA_SERVER_TRANSFER_H

#include "cuda-server/box.h"
#include "cuda-server/context.h"

enum { CUDAS_LANDED_MAX = 4096 }; /* ids in one message */

FAB_NODISCARD enum fab_status cudas_mover_create(struct cudas_worker *worker,
                                                 struct cudas_mover **mover_out,
                                                 struct fab_err *err);
/* All connections are closed and their transfers done. Takes NULL. */
void cudas_mover_destroy(struct cudas_mover *mover);

/* Work for the mover's thread, which may call the driver as callbacks may not. */
struct cudas_job {
    struct fab_list link;
    void (*fn)(void *arg); /* `job` may be gone in it */
    void *arg;
};
void cudas_mover_run(struct cudas_worker *worker, struct cudas_job *job); /* any thread */

struct cudas_transfer_config {
    struct xp_conn *conn;
    uint64_t id;      /* the same at both ends */
    uint64_t command; /* its number */
    enum cudas_direction direction;
    struct wire_box box;      /* not empty */
    bool pull;                /* in: ask the client for it when the stream is there */
    bool is_client;           /* the peer is the client: `landed` speaks of it */
    uint64_t peer, peer_flag; /* in: set at that peer when all is written; 0: none */
};

/* Starts it in stream order; the place's context is current. */
CUresult cudas_transfer_start(struct cudas_worker *worker, const struct cudas_place *place,
                              const struct cudas_transfer_config *config);

/* The ids of what is captured and not yet known to be in the client's memory. */
uint32_t cudas_landed(struct cudas_worker *worker, uint64_t ids_out[CUDAS_LANDED_MAX]);

/* An id that is captured and travels by a message: add, then remove when it is sent. */
struct cudas_capture {
    struct fab_list link;
    uint64_t id;
};
void cudas_capture_add(struct cudas_worker *worker, struct cudas_capture *capture);
void cudas_capture_remove(struct cudas_worker *worker, struct cudas_capture *capture);

#endif /* CUDA_SERVER_TRANSFER_H */
