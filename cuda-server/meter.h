/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/meter.h - how long the device worked for the program (design 7b, F10).
 *
 * Kernels that are launched one after the other in a stream make a batch; the driver's own events
 * before and after it give its time. Anything else in between ends a batch, so that waiting for a
 * flag or for data is not counted. Thread: the leader, but for cudas_meter_read().
 */
#ifndef CUDA_SERVER_METER_H
#define CUDA_SERVER_METER_H

#include "cuda-server/context.h"

/* A kernel is about to be launched there; the context is current. */
void cudas_meter_launch(struct cudas_worker *worker, const struct cudas_place *place);
/* Something else follows, or nothing does for now. */
void cudas_meter_close(struct cudas_worker *worker);
/* Adds what is finished in the context, which is current, to the statistics. Thread: any. */
void cudas_meter_read(struct cudas_context *context);
void cudas_meter_read_all(struct cudas_worker *worker); /* of all contexts, made current in turn */

/* With the context's last reference. */
void cudas_meter_context_fini(struct cudas_context *context);

#endif /* CUDA_SERVER_METER_H */
