/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/ranks.c - see ranks.h.
 */
#include "ranks.h"

#include <mpi.h>
#include <stdlib.h>

#ifdef OPEN_MPI
#include <mpi-ext.h>
#endif

static bool is_started;

/* A process that no launcher started would only wait for a daemon of its own. */
static bool is_launched(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

static bool device_pointers(void)
{
#if defined(MPIX_CUDA_AWARE_SUPPORT)
    return MPIX_Query_cuda_support() == 1;
#else
    return false; /* who does not say so cannot be trusted to */
#endif
}

void ranks_start(struct ranks *ranks_out)
{
    MPI_Comm here;

    *ranks_out = (struct ranks){.count = 1, .local_count = 1};
    if (!is_launched())
        return;
    MPI_Init(NULL, NULL);
    is_started = true;
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks_out->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_out->count);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_rank(here, &ranks_out->local_rank);
    MPI_Comm_size(here, &ranks_out->local_count);
    MPI_Comm_free(&here);
    ranks_out->takes_device_pointers = device_pointers();
}

void ranks_stop(void)
{
    if (is_started) {
        MPI_Barrier(MPI_COMM_WORLD); /* MPI_Finalize need not be one */
        MPI_Finalize();
    }
    is_started = false;
}

int ranks_first(const struct ranks *ranks, bool holds)
{
    int first = holds ? ranks->rank : ranks->count;

    if (is_started)
        MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return first;
}

void ranks_add(int32_t *values, size_t count)
{
    if (is_started)
        MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_INT32_T, MPI_SUM, MPI_COMM_WORLD);
}

bool ranks_all_equal(uint64_t value)
{
    uint64_t ends[2] = {value, ~value}, least[2] = {value, ~value};

    if (is_started)
        MPI_Allreduce(ends, least, 2, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    return least[0] == ~least[1];
}
