/* SPDX-License-Identifier: Apache-2.0
 * Programs that close every descriptor they find while a node is open, as daemons do, and go on to
 * use the numbers for files of their own: the session is lost and says why, every call is refused,
 * the program's own files are neither written, read nor closed, and it ends as it likes.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf/xp-peer.h"
#include "tests/support/check.h"

enum { BYTES = 8 << 20, FIRST = STDERR_FILENO + 1, LAST = 255, STATUS = 7, WORDS_BYTES = 9 };

static const struct ucx_place places[] = {
    {.same_host = true, .spin_us = 20},
    {.same_host = true},
};

static uint8_t bytes[BYTES];

static void sweep(bool upwards_one_by_one)
{
    if (!upwards_one_by_one) {
        closefrom(FIRST);
        return;
    }
    for (int fd = FIRST; fd <= LAST; fd++)
        (void)close(fd);
}

/* The program's own on all numbers that were ours: files, and pairs of sockets with 9 bytes each.
 */
static void take_numbers(void)
{
    int pair[2] = {FIRST, FIRST};

    while (pair[0] < LAST && pair[1] < LAST) {
        CHECK(memfd_create("own", MFD_CLOEXEC) >= FIRST);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        for (int end = 0; end < 2; end++)
            CHECK_EQ(write(pair[end], "own words", WORDS_BYTES), WORDS_BYTES);
    }
}

static bool is_untouched(int fd)
{
    struct stat now;
    int waiting = 0;

    if (fstat(fd, &now) != 0)
        return false;
    if (!S_ISSOCK(now.st_mode))
        return now.st_size == 0;
    return ioctl(fd, FIONREAD, &waiting) == 0 && waiting == WORDS_BYTES;
}

/* What a child does; its exit status says how it went. */
static void run(const struct ucx_place *place, bool one_by_one, bool in_flight)
{
    struct ucx_peer peer;
    struct ucx_link link;
    struct ucx_flight flight;
    struct xp_reply reply;
    struct xp_mem *mem;
    struct xp_mem_config config = {.address = bytes, .size_bytes = BYTES, .fd = -1};
    struct fab_err err = {0};

    if (!CHECK(ucx_peer_start(&peer, place)) || !CHECK(ucx_link_open(&link, &peer, place, &err)))
        return;
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){1, BYTES, 5}));
    if (in_flight)
        ucx_bulk_start(&flight, &link, true, bytes, &(struct ucx_bulk_args){2, BYTES, 6});
    sweep(one_by_one);
    take_numbers();
    CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_ERR_STALE);
    if (in_flight) /* it ends; it may have been through before */
        (void)ucx_bulk_wait(&flight);
    CHECK_EQ(xp_post(link.conn, UCX_OP_NOTHING, NULL, 0, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_mem_register(link.node, &config, &mem, NULL), FAB_ERR_STALE);
    while (link.losts == 0) /* the event follows the status */
        (void)sched_yield();
    CHECK_EQ(link.lost_status, FAB_ERR_STALE);
    ucx_link_close(&link);
    for (int fd = FIRST; fd <= LAST; fd++) {
        CHECK_CASE("its descriptor %d", fd);
        CHECK(is_untouched(fd));
    }
}

static void test_gone(void)
{
    for (unsigned i = 0; i < FAB_ARRAY_LEN(places) * 4; i++) {
        int status = -1;
        pid_t child;

        CHECK_CASE("%s, %s, %s", places[i / 4].spin_us ? "spinning" : "sleeping",
                   i & 1 ? "one by one" : "at once", i & 2 ? "in a transfer" : "idle");
        (void)fflush(NULL);
        child = fork();
        if (child == 0) {
            run(&places[i / 4], i & 1, i & 2);
            exit(check_failures() ? 1 : STATUS); /* with all destructors */
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), STATUS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_gone)};
    return check_run(tests);
}
