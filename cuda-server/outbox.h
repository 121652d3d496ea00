/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/outbox.h - signals to the client, in order, whether the transport has room or not.
 *
 * A signal that finds no room waits here, and so do all after it; a thread sends them as there is
 * room. Thread: any; nothing blocks.
 */
#ifndef CUDA_SERVER_OUTBOX_H
#define CUDA_SERVER_OUTBOX_H

#include "cuda-server/worker.h"

FAB_NODISCARD enum fab_status cudas_outbox_create(struct cudas_worker *worker,
                                                  struct cudas_outbox **outbox_out,
                                                  struct fab_err *err);
void cudas_outbox_stop(struct cudas_outbox *outbox);    /* ends its thread; takes NULL */
void cudas_outbox_destroy(struct cudas_outbox *outbox); /* stopped before; takes NULL */

/* Sends, or keeps a copy for later. After the session's end it is dropped. */
void cudas_signal(struct cudas_worker *worker, uint32_t op, const struct wire_parts *parts);
/* The same, and calls `sent` (may be before this returns) when the transport has it, so that what
 * is sent after it comes after it. */
void cudas_signal_then(struct cudas_worker *worker, uint32_t op, const struct wire_parts *parts,
                       void (*sent)(void *arg), void *arg);

#endif /* CUDA_SERVER_OUTBOX_H */
