/* SPDX-License-Identifier: Apache-2.0
 * Programs that close every descriptor they find while a node is open, as daemons do, and go on to
 * use the numbers for files of their own: the session is lost and says why, every call is refused,
 * the program's own files are neither written, read nor closed, and it ends as it likes. A thread
 * of ours that has looked just before and uses a descriptor just after cannot be helped
 * (xp_gone.c), so the files are looked at where our threads slept; where they did not, the rest
 * must hold.
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
#include "ucx-transport/xp_int.h"

enum { BYTES = 8 << 20, FIRST = STDERR_FILENO + 1, LAST = 255, STATUS = 7, WORDS_BYTES = 9 };

static const struct ucx_place places[] = {
    {.same_host = true, .spin_us = 20},
    {.same_host = true},
};

/* What our threads are at when it happens. */
enum work {
    WORK_NONE,
    WORK_HELD, /* the transfer waits for a place at the peer */
    WORK_BUSY, /* it runs, and they do */
    WORKS
};

static const char *const work_names[WORKS] = {"idle", "a held transfer", "a running transfer"};

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

/* Until they are inside ppoll(2), and no timer is near: milliseconds. False: they never are. */
static bool wait_asleep(struct xp_node *node)
{
    const uint64_t far_ns = 100000000, end_ns = UINT64_C(20000000000);
    uint64_t start_ns = fab_clock_now_ns(node->clock), now_ns = start_ns;

    for (uint32_t i = 0; i < node->engine_count && now_ns - start_ns < end_ns;) {
        const struct xp_engine *engine = &node->engines[i];

        if (atomic_load(&engine->thread_until_ns) != 0 &&
            xp_engine_deadline_ns(engine) > fab_deadline_ns(now_ns, far_ns)) {
            i++;
            continue;
        }
        i = 0;
        (void)sched_yield();
        now_ns = fab_clock_now_ns(node->clock);
    }
    return now_ns - start_ns < end_ns;
}

static _Atomic int held; /* how it ended */

static void held_done(void *user, enum fab_status status)
{
    (void)user;
    atomic_store(&held, (int)status);
}

/* Nobody at the peer has asked for it. */
static void start_held(struct ucx_link *link)
{
    static const struct xp_bulk_ops ops = {.done = held_done};
    const struct xp_bulk bulk = {.id = 2, .size_bytes = BYTES, .ops = &ops, .base = bytes};
    struct xp_transfer *transfer;

    CHECK_EQ(xp_bulk_send(link->conn, &bulk, &transfer, NULL), FAB_OK);
}

/* What a child does; its exit status says how it went. */
static void run(const struct ucx_place *place, bool one_by_one, enum work work)
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
    if (work == WORK_BUSY)
        ucx_bulk_start(&flight, &link, true, bytes, &(struct ucx_bulk_args){2, BYTES, 6});
    if (work == WORK_HELD)
        start_held(&link);
    if (work != WORK_BUSY && !wait_asleep(link.node)) {
        CHECK_CASE("an engine with nothing to do did not sleep for 20 s");
        CHECK(false);
    }
    sweep(one_by_one);
    if (work != WORK_BUSY)
        take_numbers();
    CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_ERR_STALE);
    if (work == WORK_BUSY) /* it ends; it may have been through before */
        (void)ucx_bulk_wait(&flight);
    CHECK_EQ(xp_post(link.conn, UCX_OP_NOTHING, NULL, 0, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_mem_register(link.node, &config, &mem, NULL), FAB_ERR_STALE);
    while (link.losts == 0) /* the event follows the status */
        (void)sched_yield();
    CHECK_EQ(link.lost_status, FAB_ERR_STALE);
    ucx_link_close(&link);
    CHECK_EQ(atomic_load(&held), work == WORK_HELD ? FAB_ERR_STALE : FAB_OK);
    for (int fd = FIRST; fd <= LAST && work != WORK_BUSY; fd++) {
        CHECK_CASE("its descriptor %d", fd);
        CHECK(is_untouched(fd));
    }
}

static void test_gone(void)
{
    for (unsigned i = 0; i < FAB_ARRAY_LEN(places) * 2 * WORKS; i++) {
        const struct ucx_place *place = &places[i / (2 * WORKS)];
        enum work work = i / 2 % WORKS;
        bool one_by_one = i % 2;
        int status = -1;
        pid_t child;

        CHECK_CASE("%s, %s, %s", place->spin_us ? "spinning" : "sleeping",
                   one_by_one ? "one by one" : "at once", work_names[work]);
        (void)fflush(NULL);
        child = fork();
        if (child == 0) {
            run(place, one_by_one, work);
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
