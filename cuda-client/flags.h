/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/flags.h - waits for what happens at another worker.
 *
 * A stream that waits for an event of another worker waits for a flag there; the recorder's worker
 * tells the client when the event is reached, and the client passes it on.
 */
#ifndef CUDA_CLIENT_FLAGS_H
#define CUDA_CLIENT_FLAGS_H

#include <stdint.h>

#include <cuda.h>

#include "cuda-client/remote.h"

/* From now on a `flag` message with that number from `from` goes on to `to`. If `from` is lost
 * first, `to` gets it with the error. */
CUresult cudac_flag_route(uint64_t flag, struct cudac_worker *from, struct cudac_worker *to);
/* The flag was never announced. */
void cudac_flag_forget(uint64_t flag);

cudac_lost_fn cudac_flags_lost;

#endif /* CUDA_CLIENT_FLAGS_H */
