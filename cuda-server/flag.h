/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/flag.h - what streams wait for that happens outside their driver: a host function of
 * the client, an event or data of another worker.
 *
 * A flag has an id that the client made (tokens of host calls are flags too). It may be set before
 * anybody waits for it; then it is kept for the one wait that comes. Thread: any, locked.
 */
#ifndef CUDA_SERVER_FLAG_H
#define CUDA_SERVER_FLAG_H

#include "cuda-server/context.h"

FAB_NODISCARD enum fab_status cudas_flags_create(struct cudas_flags **flags_out,
                                                 struct fab_err *err);
void cudas_flags_destroy(struct cudas_flags *flags); /* takes NULL; sets all */

/* Lets the stream (context current) wait for the flag. */
CUresult cudas_flag_wait(struct cudas_worker *worker, uint64_t id, struct cudas_context *context,
                         CUstream stream);
/* All that wait for it go on. A `result` other than success becomes an error of their contexts,
 * unless it is a fault of the device that was waited for: its own context says that, as within one
 * driver. */
void cudas_flag_set(struct cudas_worker *worker, uint64_t id, CUresult result);
/* The session is over: nobody will set any of them. */
void cudas_flags_set_all(struct cudas_worker *worker);

#endif /* CUDA_SERVER_FLAG_H */
