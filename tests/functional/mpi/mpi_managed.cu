/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/mpi/mpi_managed.cu - managed memory between a file, kernels and MPI, which are
 * told nothing of it: two ranks, each with GPUs of its own.
 *
 * Rank 0 reads a file into it, its kernel adds, MPI sends it from there into managed memory of rank
 * 1, which a kernel there had last; that one's kernel adds, and it comes back. Short and long
 * messages, so that MPI's own copies and its reads of the memory in place both happen.
 */
#include <cstdlib>
#include <mpi.h>
#include <unistd.h>
#include <vector>

#include "examples/check.h"

static const int count_max = 1 << 18;

__global__ void add(int *values, int count, int value)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        values[i] += value;
}

static void add_all(int *values, int count, int value)
{
    add<<<(count + 255) / 256, 256>>>(values, count, value);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaDeviceSynchronize());
}

static void expect(bool holds, const char *what, int count)
{
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s, %d numbers\n", what, count);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static bool all_are(const int *values, int count, int first)
{
    for (int i = 0; i < count; i++) {
        if (values[i] != first + i)
            return false;
    }
    return true;
}

static void from_a_file(int *managed, int count)
{
    char name[] = "/tmp/mpi-managed-XXXXXX";
    const ssize_t bytes = count * (ssize_t)sizeof(int);
    std::vector<int> numbers(count);
    int file = mkstemp(name);

    unlink(name);
    for (int i = 0; i < count; i++)
        numbers[i] = i;
    expect(write(file, numbers.data(), bytes) == bytes, "a file is written", count);
    expect(pread(file, managed, bytes, 0) == bytes, "and read into managed memory", count);
    close(file);
}

static void first_rank(int *managed, int count)
{
    from_a_file(managed, count);
    add_all(managed, count, 7);
    MPI_Send(managed, count, MPI_INT, 1, 0, MPI_COMM_WORLD);
    add_all(managed, count, 1000); /* what comes back counts */
    MPI_Recv(managed, count, MPI_INT, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    expect(all_are(managed, count, 12), "both ranks' kernels have added", count);
    add_all(managed, count, 1);
    expect(all_are(managed, count, 13), "a kernel adds to what was received", count);
}

static void second_rank(int *managed, int count)
{
    add_all(managed, count, -3); /* now a GPU has it */
    MPI_Recv(managed, count, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    add_all(managed, count, 5);
    MPI_Send(managed, count, MPI_INT, 0, 0, MPI_COMM_WORLD);
    expect(all_are(managed, count, 12), "what was sent is still there", count);
}

int main(int argc, char **argv)
{
    static const int counts[] = {3, 5000, count_max};
    int rank, ranks, *managed;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    expect(ranks == 2, "two ranks", ranks);
    CUDA_CHECK(cudaMallocManaged(&managed, count_max * sizeof(int)));
    for (int count : counts) {
        if (rank == 0)
            first_rank(managed, count);
        else
            second_rank(managed, count);
    }
    CUDA_CHECK(cudaFree(managed));
    if (rank == 0)
        printf("managed memory went from a file over MPI through two kernels\n");
    MPI_Finalize();
    return 0;
}
