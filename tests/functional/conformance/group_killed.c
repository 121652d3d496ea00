/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_killed.c - what a process took is free again when it is
 * killed, also when a child of it lives on.
 */
#include "tests/functional/conformance/memory.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES_MAX = 10000 };

static struct memory_world world;

/* Both live until they are killed, or until the other end of `hold` goes, at the latest with the
 * test. */
static void stay(int hold)
{
    char byte;

    (void)!read(hold, &byte, 1);
    _exit(0);
}

/* Takes memory, forks, says so when its child runs, and waits to be killed. */
static void victim(int said, int hold)
{
    CUdeviceptr at = 0;

    memory_world_open(&world);
    if (cu.cuMemAlloc(&at, 64 * MIB) != CUDA_SUCCESS)
        _exit(1);
    if (fork() == 0) {
        pid_t own = getpid();

        (void)!write(said, &own, sizeof(own));
    }
    stay(hold);
}

/* A remote one's memory goes when its node has seen that it ended: soon, not at once. */
static bool comes_back(size_t wanted_bytes)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (memory_free_bytes() >= wanted_bytes)
            return true;
        (void)poll(NULL, 0, 1);
    }
    return false;
}

void group_killed(void)
{
    int ends[2], hold[2];
    pid_t grandchild = -1;

    if (pipe(ends) != 0 || pipe(hold) != 0)
        exit(1);
    pid_t child = fork(); /* before this process has a driver */

    if (child == 0) {
        (void)close(hold[1]);
        victim(ends[1], hold[0]);
    }
    (void)close(ends[1]);
    ssize_t bytes = read(ends[0], &grandchild, sizeof(grandchild));

    memory_world_open(&world);
    size_t before = memory_free_bytes();

    ROW("a process has memory", CUDA_SUCCESS, CUDA_SUCCESS, bytes == sizeof(grandchild));
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    ROW("killed: it is free again", CUDA_SUCCESS, CUDA_SUCCESS, comes_back(before + 64 * MIB));
    ROW("its child lives", CUDA_SUCCESS, CUDA_SUCCESS, grandchild > 0 && kill(grandchild, 0) == 0);
    (void)close(hold[1]);
}
