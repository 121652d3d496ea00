/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/peer.h - which virtual GPU reaches another's memory.
 */
#ifndef CUDA_CLIENT_PEER_H
#define CUDA_CLIENT_PEER_H

#include <stdbool.h>

#include "cuda-client/remote.h"

/* Takes what a worker says of two of its virtual GPUs; false: they are not its own. */
bool cudac_peer_describe(const struct cudac_worker *worker, const struct wire_peer *peer);
/* Whether kernels of `from` can use memory of `to` (another one). */
bool cudac_vgpu_can_peer(const struct cudac_vgpu *from, const struct cudac_vgpu *to);

#endif /* CUDA_CLIENT_PEER_H */
