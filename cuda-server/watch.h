/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/watch.h - who is to be told when a stream or an event is there (watch.c).
 */
#ifndef CUDA_SERVER_WATCH_H
#define CUDA_SERVER_WATCH_H

#include "cuda-server/context.h"

FAB_NODISCARD enum fab_status cudas_watches_create(struct cudas_watches **watches_out,
                                                   struct fab_err *err);
void cudas_watches_destroy(struct cudas_watches *watches); /* takes NULL */

/* The client expects to wait for the event's present record: it hears `reached` of `position` when
 * that is done, and a synchronisation has made the driver print. Its context is current. `event`
 * NULL, no room, or the context is closed before: it hears that nothing will be told. */
void cudas_watch_tell(struct cudas_worker *worker, struct cudas_event *event, uint64_t id,
                      uint64_t position);

/* Tells of what is reached by now. Thread: any that may call the driver. */
void cudas_watches_look(struct cudas_worker *worker);
/* The event is about to be destroyed in the driver: nobody asks for its state any more. */
void cudas_watches_forget(struct cudas_worker *worker, struct cudas_event *event);
/* A context is about to be, too: takes is_open back once the mover is not in it. */
void cudas_watches_close(struct cudas_context *context);

#endif /* CUDA_SERVER_WATCH_H */
