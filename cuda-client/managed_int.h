/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/managed_int.h - what managed_move.c, which decides, and managed_wire.c, which
 * carries, share. Thread: memory_lock.
 */
#ifndef CUDA_CLIENT_MANAGED_INT_H
#define CUDA_CLIENT_MANAGED_INT_H

#include "cuda-client/region.h"

struct cudac_stream;

/* The stream that carries the bytes of a worker, in one of its contexts; this one takes over when
 * that is closed or has failed. */
CUresult cudac_mover_open(struct cudac_context *context);
/* The stream goes on when everything sent so far is there, whoever sent it; this thread does. */
CUresult cudac_mover_gate(struct cudac_stream *stream);
CUresult cudac_mover_wait(struct cudac_worker *worker);

/* What goes to a worker in one go. */
struct cudac_sending {
    struct cudac_worker *worker;
    uint64_t started; /* commands */
};
/* Sends what the host changed since the worker's place had the same bytes; all, if it never had.
 * Who uses these bytes comes behind cudac_mover_gate() or cudac_mover_wait(), also where there was
 * nothing left to send. */
CUresult cudac_move_send(struct cudac_region *region, struct cudac_sending *sending);

/* Takes over what the worker changed since; `changed_out` is set if anything was. */
CUresult cudac_move_pull(struct cudac_region *region, struct cudac_worker *worker,
                         bool *changed_out);

/* Makes pinned and registered memory that kernels may be using equal on both sides, now. False: all
 * of it is at home. `changed` is set if anything was different. */
bool cudac_move_carry(bool *changed);
/* managed_carry.c: from now on that is done from time to time. */
void cudac_carry_start(void);

#endif /* CUDA_CLIENT_MANAGED_INT_H */
