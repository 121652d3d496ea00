/* SPDX-License-Identifier: Apache-2.0
 * Forks of processes with rails, ucx and shm: the child has no transport, does its parent no harm
 * and does not hide its parent's death; a program that it starts inherits no descriptor.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_backend.h"

enum { BYTES = 3 << 20, LIMIT_S = 40, GRACE_S = 3, DESCRIPTORS_MAX = 4096 };

#define NS_PER_S UINT64_C(1000000000)

static const struct ucx_place loopback = {
    .devices = {"lo"}, .spin_us = 20, .limits = {.grace_ns = GRACE_S * NS_PER_S}};

static struct ucx_peer peer;
static struct ucx_link ucx_link;
static uint8_t bytes[BYTES];

static bool open_pair(void)
{
    struct fab_err err = {0};

    if (!CHECK(ucx_peer_start(&peer, &loopback)))
        return false;
    if (ucx_link_open(&ucx_link, &peer, &loopback, &err))
        return true;
    CHECK_CASE("a connection: %s", err.text);
    return CHECK(false);
}

static void use(uint64_t id)
{
    struct xp_reply reply;

    CHECK_EQ(xp_call(ucx_link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
    CHECK(ucx_bulk(&ucx_link, id % 2 == 0, bytes, &(struct ucx_bulk_args){id, BYTES, id + 5}));
}

/* ---------------------------------------------------------------- the child */

static bool is_child;

/* The leak sanitizer asks: in a forked child what only threads knew looks lost, as they are gone.
 */
FAB_EXPORT int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return is_child;
}

static void never_done(void *user, enum fab_status status)
{
    (void)user;
    CHECK_CASE("a transfer in a forked child ends");
    CHECK_EQ(status, FAB_ERR_STALE);
    CHECK(false);
}

static void child_has_none(struct xp_transfer *open_one)
{
    static const struct xp_bulk_ops ops = {.done = never_done};
    static const struct xp_handlers handlers = {0};
    struct xp_bulk bulk = {.id = 99, .size_bytes = BYTES, .base = bytes, .ops = &ops};
    struct xp_mem_config memory = {.address = bytes, .size_bytes = BYTES, .fd = -1};
    struct xp_conn_config config = {.session_id = 9, .handlers = &handlers};
    struct xp_conn *conn = ucx_link.conn, *other;
    struct xp_transfer *transfer;
    struct xp_conn_stats stats;
    struct xp_watermarks marks;
    struct xp_call call = {0};
    struct xp_reply reply;
    struct xp_mem *mem;

    CHECK_EQ(xp_post(conn, 1, NULL, 0, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_call(conn, 1, NULL, 0, NULL, 0, &reply), FAB_ERR_STALE);
    CHECK_EQ(xp_call_start(conn, 1, NULL, 0, &call), FAB_ERR_STALE);
    CHECK_EQ(xp_signal(conn, 1, NULL, 0), FAB_ERR_STALE);
    CHECK_EQ(xp_reply(conn, 1, 0, NULL, 0, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_wait_room(conn, 1, UINT64_MAX), FAB_ERR_STALE);
    CHECK_EQ(xp_conn_wait_up(conn, UINT64_MAX, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_bulk_send(conn, &bulk, &transfer, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_bulk_receive(conn, &bulk, &transfer, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_mem_register(ucx_link.node, &memory, &mem, NULL), FAB_ERR_STALE);
    CHECK_EQ(xp_conn_open(ucx_link.node, &config, &other, NULL), FAB_ERR_STALE);
    xp_conn_stats(conn, &stats);
    CHECK_EQ(stats.calls, 0);
    xp_watermarks(conn, &marks);
    CHECK_EQ(marks.posted, 0);
    xp_bulk_resume(open_one);
    xp_bulk_consumed(open_one, 0, FAB_OK);
    xp_bulk_cancel(open_one, FAB_ERR_CANCELLED);
    xp_flush(conn);
    xp_executed(conn, 1);
    xp_keep_from(conn, 1);
    xp_conn_condemn(conn, FAB_ERR_PEER_LOST, "a child says so");
    xp_conn_close(conn);
    xp_node_destroy(ucx_link.node);
}

static void cancelled(void *user, enum fab_status status)
{
    *(enum fab_status *)user = status;
}

/* The child ends as programs do, with all destructors, UCX's too. */
static void test_child(void)
{
    static const struct xp_bulk_ops ops = {.done = cancelled};
    enum fab_status ended = FAB_OK;
    struct xp_bulk bulk = {
        .id = 77, .size_bytes = BYTES, .base = bytes, .ops = &ops, .user = &ended};
    struct xp_transfer *open_one;
    int status = -1;
    pid_t child;

    if (!open_pair())
        return;
    use(1);
    /* The peer never sends it. */
    CHECK_EQ(xp_bulk_receive(ucx_link.conn, &bulk, &open_one, NULL), FAB_OK);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        CHECK_CASE("in the child");
        is_child = true;
        child_has_none(open_one);
        exit(check_failures() > 0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK_CASE("the parent after it");
    use(2);
    use(3);
    CHECK_EQ(ended, FAB_OK);
    CHECK_EQ(ucx_link.losts, 0);
    CHECK_EQ(ucx_link.rail_downs, 0);
    ucx_link_close(&ucx_link);
    CHECK_EQ(ended, FAB_ERR_CANCELLED);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

/* ---------------------------------------------------------------- the parent's death */

static bool wait_for(_Atomic uint32_t *counter)
{
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + LIMIT_S * NS_PER_S;

    while (*counter == 0) {
        if (fab_clock_now_ns(clock) > limit_ns)
            return false;
        (void)sched_yield();
    }
    return true;
}

/* Its sockets stay open in the child, and the kernel answers for them. (shm: test_shm.c) */
static void test_death_behind_a_child(void)
{
    struct xp_reply reply = {0};
    siginfo_t death;
    pid_t lingerer;

    if (!open_pair())
        return;
    use(1);
    CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    CHECK_EQ(xp_call(ucx_link.conn, UCX_OP_LINGER, NULL, 0, NULL, 0, &reply), FAB_OK);
    lingerer = (pid_t)reply.result;
    if (!CHECK(lingerer > 0))
        return;
    use(2);
    CHECK_EQ(kill(peer.pid, SIGKILL), 0);
    CHECK_EQ(waitid(P_PID, (id_t)peer.pid, &death, WEXITED | WNOWAIT), 0);
    CHECK_CASE("silence");
    CHECK(wait_for(&ucx_link.silents));
    CHECK_CASE("the end of the grace period");
    CHECK(wait_for(&ucx_link.losts));
    CHECK_EQ(ucx_link.lost_status, FAB_ERR_TIMEOUT);
    CHECK_EQ(xp_call(ucx_link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_ERR_TIMEOUT);
    CHECK_CASE("all the time the child lived");
    CHECK_EQ(waitid(P_PID, (id_t)lingerer, &death, WEXITED | WNOHANG | WNOWAIT), 0);
    CHECK_EQ(kill(lingerer, 0), 0);
    ucx_link_close(&ucx_link);
    ucx_peer_kill(&peer); /* closes the control socket, which ends the child */
    CHECK_EQ(waitpid(lingerer, NULL, 0), lingerer);
}

/* ---------------------------------------------------------------- descriptors */

/* What a program started now would get. */
static void inheritable(bool there[DESCRIPTORS_MAX])
{
    memset(there, 0, DESCRIPTORS_MAX * sizeof(*there));
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);

        there[fd] = flags >= 0 && !(flags & FD_CLOEXEC);
    }
}

/* UCX's are marked a moment after they are opened. */
static bool is_any_new(const bool before[DESCRIPTORS_MAX], bool say)
{
    static bool now[DESCRIPTORS_MAX];
    char path[64], name[256];
    bool any = false;

    inheritable(now);
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        ssize_t got;

        if (!now[fd] || before[fd])
            continue;
        any = true;
        if (!say)
            break;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        got = readlink(path, name, sizeof(name) - 1);
        name[got > 0 ? got : 0] = '\0';
        (void)fprintf(stderr, "inherited: %d is %s\n", fd, name);
    }
    return any;
}

static void check_none_is_new(const bool before[DESCRIPTORS_MAX])
{
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + 10 * NS_PER_S;

    while (is_any_new(before, false) && fab_clock_now_ns(clock) < limit_ns)
        (void)sched_yield();
    CHECK(!is_any_new(before, true));
}

static void test_descriptors(void)
{
    static bool before[DESCRIPTORS_MAX];
    char folder[] = "/tmp/forkXXXXXX";
    struct xp_rail_config shm = {.backend = &xp_backend_shm, .numa_node = -1};
    struct xp_node_config config = {.rails = &shm, .rail_count = 1, .clock = fab_clock_real()};
    struct xp_node *node = NULL;

    inheritable(before);
    CHECK_CASE("shm");
    if (CHECK(mkdtemp(folder))) {
        shm.device = folder;
        CHECK_EQ(xp_node_create(&config, &node, NULL), FAB_OK);
        check_none_is_new(before);
        xp_node_destroy(node);
        (void)rmdir(folder);
    }
    CHECK_CASE("ucx");
    if (!open_pair())
        return;
    use(1);
    check_none_is_new(before);
    ucx_link_close(&ucx_link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_child),
        CHECK_TEST(test_death_behind_a_child),
        CHECK_TEST(test_descriptors),
    };
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
