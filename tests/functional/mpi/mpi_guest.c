/* SPDX-License-Identifier: Apache-2.0
 * An MPI program in whose processes our transport is a guest: Open MPI talks over UCX, and so do
 * we. Each rank has a peer process of its own.
 *
 *   mpi_guest mpi-first|ours-first  ours-closes|mpi-finalizes
 *
 * says who comes first and who goes first. Run by run-mpi.sh under mpirun.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "tests/support/host_state.h"

static const struct ucx_place loopback = {.devices = {"lo"}, .spin_us = 20};

/* Ours while UCX is loaded (xp_ucx_lib.c). They act at no other time, but for the modules. */
static const char *const ours_to_set[] = {"UCX_ERROR_SIGNALS", "UCX_DEBUG_SIGNO", "UCX_VFS_ENABLE",
                                          "UCX_MODULES", NULL};

static struct ucx_peer peer;
static struct ucx_link ucx_link;

/* ---------------------------------------------------------------- what MPI does */

static bool mpi_is_at_work(void)
{
    enum { LONGEST = 1 << 20 /* by rendezvous */ };
    static const int sizes[] = {8, 4000, LONGEST};
    static uint8_t out[LONGEST], in[LONGEST], wanted[LONGEST];
    int rank, ranks, sum = 0;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        int next = (rank + 1) % ranks, last = (rank + ranks - 1) % ranks;

        ucx_fill(out, (uint64_t)sizes[i], (uint64_t)rank + 1);
        ucx_fill(wanted, (uint64_t)sizes[i], (uint64_t)last + 1);
        MPI_Sendrecv(out, sizes[i], MPI_BYTE, next, 1, in, sizes[i], MPI_BYTE, last, 1,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (!CHECK_MEM(in, wanted, (size_t)sizes[i]))
            return false;
    }
    rank++;
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return CHECK_EQ(sum, ranks * (ranks + 1) / 2);
}

/* ---------------------------------------------------------------- what we do */

static bool open_ours(void)
{
    struct fab_err err = {0};

    if (ucx_link_open(&ucx_link, &peer, &loopback, &err))
        return true;
    CHECK_CASE("our connection: %s", err.text);
    return CHECK(false);
}

static void close_ours(void)
{
    ucx_link_close(&ucx_link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

/* Commands, and bulk both ways; `meanwhile` runs while each transfer is under way. */
static bool ours_is_at_work(bool (*meanwhile)(void))
{
    enum { SIZE = (5 << 20) + 3 };
    static uint64_t id, posts;
    static uint8_t bytes[SIZE];
    struct iovec part = {.iov_base = &posts, .iov_len = sizeof(posts)};
    struct xp_reply reply;

    for (int i = 0; i < 1000; i++, posts++)
        CHECK_EQ(xp_post(ucx_link.conn, UCX_OP_NOTHING, &part, 1, NULL), FAB_OK);
    CHECK_EQ(xp_call(ucx_link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
    CHECK_EQ((uint64_t)reply.result, posts);
    for (int to_peer = 0; to_peer < 2; to_peer++) {
        struct ucx_flight flight;

        id++;
        ucx_bulk_start(&flight, &ucx_link, to_peer, bytes,
                       &(struct ucx_bulk_args){.id = id, .size_bytes = SIZE, .seed = id + 7});
        if (meanwhile)
            (void)meanwhile();
        CHECK(ucx_bulk_wait(&flight));
    }
    return check_failures() == 0;
}

/* ---------------------------------------------------------------- the orders */

static void start_mpi(void)
{
    MPI_Init(NULL, NULL);
    (void)mpi_is_at_work();
}

static void mpi_first(void)
{
    static struct host_state before, after;

    CHECK_CASE("MPI first");
    start_mpi();
    host_look(&before);
    CHECK(before.settings[0] != '\0'); /* else its messages do not go over UCX */
    if (!open_ours())
        return;
    (void)ours_is_at_work(mpi_is_at_work);
    host_look(&after);
    CHECK_EQ(host_compare(&before, &after, NULL), 0);
}

static void ours_first(void)
{
    static struct host_state alone, before, after;

    CHECK_CASE("ours first");
    CHECK(host_settings_alone(&alone));
    host_look(&before);
    CHECK(before.settings[0] == '\0'); /* else ours is not the first */
    if (!open_ours())
        return;
    (void)ours_is_at_work(NULL);
    host_look(&after);
    CHECK_EQ(host_compare(&before, &after, NULL), 0);
    CHECK_CASE("what MPI finds");
    memcpy(before.settings, alone.settings, sizeof(before.settings));
    CHECK_EQ(host_compare(&before, &after, ours_to_set), 0);
    CHECK_CASE("MPI beside us");
    start_mpi();
    host_look(&before);
    /* Its UCX watches unmapping for its cache of registrations, as without us. */
    CHECK(memcmp(before.code, after.code, sizeof(after.code)) != 0);
    (void)ours_is_at_work(mpi_is_at_work);
    host_look(&after);
    CHECK_EQ(host_compare(&before, &after, NULL), 0);
}

static void close_ours_then_mpi(void)
{
    static struct host_state before, after;

    CHECK_CASE("ours closes");
    host_look(&before);
    close_ours();
    host_look(&after);
    CHECK_EQ(host_compare(&before, &after, NULL), 0);
    (void)mpi_is_at_work();
    MPI_Finalize();
}

static void finalize_mpi_then_ours(void)
{
    CHECK_CASE("MPI finalizes");
    MPI_Finalize();
    (void)ours_is_at_work(NULL);
    close_ours();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    (void)setenv("UCX_RNDV_THRESH", "77777", 1); /* the user's, for the user's MPI */
    if (!ucx_peer_start(&peer, &loopback))
        return 1;
    if (strcmp(argv[1], "mpi-first") == 0)
        mpi_first();
    else
        ours_first();
    if (check_failures() > 0)
        return 1; /* mpirun ends the others */
    if (strcmp(argv[2], "ours-closes") == 0)
        close_ours_then_mpi();
    else
        finalize_mpi_then_ours();
    return check_failures() == 0 ? 0 : 1;
}
