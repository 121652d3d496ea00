/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/flags.h - waits for what happens at another worker.
 *
 * A stream that waits for an event of another worker waits for a flag there. The recorder's worker
 * sets it by the connection between the two where there is one; else it tells the client, which
 * passes it on.
 */
#ifndef CUDA_CLIENT_FLAGS_H
#define CUDA_CLIENT_FLAGS_H

#include <stdint.h>

#include <cuda.h>

#include "cuda-client/remote.h"

struct cudac_stream;

/* From now on a `flag` message with that number from `from` goes on to `to`. If `from` is lost
 * first, `to` gets it with the result `lost`: an error becomes the error of the context that waits,
 * as it should where the program made it wait. */
CUresult cudac_flag_route(uint64_t flag, struct cudac_worker *from, struct cudac_worker *to,
                          CUresult lost);
/* The stream's last command waits for the flag, which may be set without a word to the client: when
 * the stream is known to have gone on it is forgotten. */
void cudac_flag_waits(uint64_t flag, struct cudac_stream *stream);
/* The flag was never announced. */
void cudac_flag_forget(uint64_t flag);

cudac_lost_fn cudac_flags_lost;

#endif /* CUDA_CLIENT_FLAGS_H */
