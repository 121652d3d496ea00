/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memop_host.h - values in host memory that a stream waits for or writes.
 */
#ifndef CUDA_CLIENT_MEMOP_HOST_H
#define CUDA_CLIENT_MEMOP_HOST_H

#include <cuda.h>

#include "cuda-client/stream.h"

/* The operation of a checked message on the word at `host_address`, in the order of the stream. */
CUresult cudac_memop_host(struct cudac_stream *stream, const struct wire_memop *op,
                          uint64_t host_address);

#endif /* CUDA_CLIENT_MEMOP_HOST_H */
