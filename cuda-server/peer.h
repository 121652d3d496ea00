/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/peer.h - other workers of the same program: their connections, copies between them,
 * and flags that they set.
 */
#ifndef CUDA_SERVER_PEER_H
#define CUDA_SERVER_PEER_H

#include "cuda-server/worker.h"

FAB_NODISCARD enum fab_status cudas_peers_create(struct cudas_worker *worker,
                                                 struct cudas_peers **peers_out,
                                                 struct fab_err *err);
/* Ends all connections. */
void cudas_peers_close(struct cudas_peers *peers);
/* After the node is gone, and with it the connections. Takes NULL. */
void cudas_peers_destroy(struct cudas_peers *peers);

/* Sets a flag at that peer; 0: at the client. Thread: any. */
void cudas_peer_flag(struct cudas_worker *worker, uint64_t peer, uint64_t flag, CUresult result);

#endif /* CUDA_SERVER_PEER_H */
