/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/ranks.h - the processes of a job, by MPI.
 *
 * Without mpirun (or srun) there is one rank and MPI is not started at all.
 */
#ifndef TRAIN_MPI_RANKS_H
#define TRAIN_MPI_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ranks {
    int rank, count;
    int local_rank, local_count; /* of those on this host */
    bool takes_device_pointers;  /* this MPI says so itself */
};

void ranks_start(struct ranks *ranks_out);
/* None returns before all have called it. */
void ranks_stop(void);
/* The first rank of which `holds` is true, their number if there is none. Every rank asks. */
int ranks_first(const struct ranks *ranks, bool holds);

/* Adds up `count` numbers of all ranks, in place. `values` may be device memory only where the MPI
 * takes that. Whole numbers, so that the sum does not depend on who adds what to what first. */
void ranks_add(int32_t *values, size_t count);
bool ranks_all_equal(uint64_t value);

#ifdef __cplusplus
}
#endif

#endif /* TRAIN_MPI_RANKS_H */
