/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/queue.h - commands on their way from the transport's handler to whoever executes
 * them.
 *
 * One thread *leads*: it takes commands in order. At a call that may wait in the driver it gives
 * the lead up, executes the call, and takes the lead again if nobody has it meanwhile; so a program
 * with one thread is served by one thread here, without a change of threads, and still no command
 * waits behind a call that blocks. Followers are started as they are needed.
 */
#ifndef CUDA_SERVER_QUEUE_H
#define CUDA_SERVER_QUEUE_H

#include "cuda-server/worker.h"

FAB_NODISCARD enum fab_status cudas_queue_create(struct cudas_worker *worker,
                                                 struct cudas_queue **queue_out,
                                                 struct fab_err *err);
/* The command is copied. False: no room, which a client within its credit cannot bring about.
 * Thread: the control engine. */
bool cudas_queue_push(struct cudas_queue *queue, const struct xp_message *message);

/* When all commands below `number` are executed, cudas_gate_close() comes in their order. Thread:
 * the control engine. */
void cudas_queue_hold(struct cudas_queue *queue, uint64_t number);
/* Ends a hold wherever it is: not due yet, behind commands, or at the gate. Thread: as above. */
void cudas_queue_release(struct cudas_queue *queue);

/* Ends the threads; calls that wait in the driver must come to an end. What is pushed from now on
 * is dropped. Takes NULL. */
void cudas_queue_stop(struct cudas_queue *queue);
void cudas_queue_destroy(struct cudas_queue *queue); /* stopped before; takes NULL */

#endif /* CUDA_SERVER_QUEUE_H */
