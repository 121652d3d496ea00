/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/team.h - the GPUs of this process as one, and with those of the other ranks.
 *
 * After team_reduce() every GPU of the job has the sum of all gradients: inside a process by copies
 * from GPU to GPU along a tree, between processes by MPI. MPI gets device memory only if it says
 * that it takes it; else the sum goes through pinned host memory.
 */
#ifndef TRAIN_MPI_TEAM_H
#define TRAIN_MPI_TEAM_H

#include <vector>

#include "net.h"
#include "ranks.h"

struct team {
    struct ranks ranks;
    std::vector<struct net> nets;
    bool is_staged;  /* between processes */
    int32_t *staged; /* pinned */
    /* Gradients handed on, by this process: from GPU to GPU, and into MPI. */
    uint64_t peer_bytes, mpi_bytes;
};

void team_create(struct team *team, const struct ranks *ranks, int first_device, int gpus,
                 const struct sizes *sizes, const float *weights, bool is_staged);
void team_destroy(struct team *team);

/* Returns before the GPUs are done, but where there are other ranks. */
void team_reduce(struct team *team);
/* The sums that stand behind the gradients; waits for them. */
void team_sums(struct team *team, int32_t *sums_out);
/* Waits until all GPUs of this process are done. */
void team_wait(struct team *team);
/* Of the weights, equal on all GPUs of the job; false: they are not equal. */
bool team_hash(struct team *team, uint64_t *hash_out);

#endif /* TRAIN_MPI_TEAM_H */
