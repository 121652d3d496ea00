/* SPDX-License-Identifier: Apache-2.0
 * UCX inside somebody else's process: nothing of that process changes, whoever brought UCX there;
 * and what 64 peers cost it.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "tests/support/host_state.h"
#include "ucx-transport/xp_backend.h"

/* ---------------------------------------------------------------- what a host program sees */

static bool use_ucx(void)
{
    struct xp_rail_config rail = {.backend = &xp_backend_ucx, .device = "lo", .numa_node = -1};
    struct xp_node_config config = {.rails = &rail, .rail_count = 1, .clock = fab_clock_real()};
    struct xp_node *node;
    struct fab_err err = {0};

    if (xp_node_create(&config, &node, &err) != FAB_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return false;
    }
    xp_node_destroy(node);
    return true;
}

/* In a child: exit status 0, or a bit of enum host_difference (32: it did not work, 64: it is not
 * whose UCX it should be). */
static int guest(int host_flags)
{
    static struct host_state before, after;
    struct xp_ucx_info info;

    (void)setenv("UCX_RNDV_THRESH", "77", 1); /* the user's, for the user's MPI */
    if (host_flags && !dlopen("libucp.so.0", host_flags))
        return 32;
    host_look(&before);
    if (!use_ucx())
        return 32;
    host_look(&after);
    if (xp_ucx_load(&info, NULL) != FAB_OK || info.was_there != (host_flags != 0))
        return 64;
    return host_compare(&before, &after, NULL);
}

static void test_guest(void)
{
    static const struct {
        const char *label;
        int host_flags; /* of its dlopen(); 0: it has no UCX */
    } cases[] = {
        {"we brought UCX", 0},
        {"the host program brought its UCX for all", RTLD_GLOBAL | RTLD_LAZY},
        {"the host program brought its UCX for itself", RTLD_LAZY},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        int status = -1;
        pid_t pid = fork();

        CHECK_CASE("%s", cases[i].label);
        if (pid == 0)
            _exit(guest(cases[i].host_flags));
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *label, *device;
    } cases[] = {
        {"no device", NULL},
        {"an empty name", ""},
        {"two devices", "lo,eth0"},
        {"an interface that is not there", "nosuch0"},
        {"a port that is not there", "nosuch_0:1"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct xp_rail_config rail = {.backend = &xp_backend_ucx, .device = cases[i].device};
        struct xp_node_config config = {.rails = &rail, .rail_count = 1, .clock = fab_clock_real()};
        struct xp_node *node = NULL;
        struct fab_err err = {0};

        CHECK_CASE("%s", cases[i].label);
        CHECK(xp_node_create(&config, &node, &err) != FAB_OK);
        CHECK(node == NULL);
        CHECK(err.text[0] != '\0');
    }
}

/* ---------------------------------------------------------------- 64 peers */

enum { PEERS = 64, SOCKETS_A_PEER = 8 /* control and bulk, both ends are here, UCX may use two */ };

static size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        (void)closedir(folder);
    return count;
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    (void)user;
    if (message->kind == XP_CALL)
        (void)!xp_reply(conn, message->number, (int32_t)message->op, NULL, 0, NULL);
}

static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    if (reply->carried == FAB_OK && reply->result == 5)
        ++*(uint32_t *)call->user;
}

static struct xp_node *make_node(uint8_t id)
{
    struct xp_rail_config rail = {.backend = &xp_backend_ucx, .device = "lo", .numa_node = -1};
    struct xp_node_config config = {
        .rails = &rail, .rail_count = 1, .clock = fab_clock_real(), .polled = true};
    struct xp_node *node = NULL;

    config.node_id[0] = id;
    (void)!xp_node_create(&config, &node, NULL);
    return node;
}

static struct xp_conn *connect(struct xp_node *node, const struct xp_node *peer, uint64_t session,
                               bool initiator)
{
    static const struct xp_handlers handlers = {.message = on_message};
    struct xp_conn_config config = {
        .session_id = session, .initiator = initiator, .handlers = &handlers};
    struct xp_conn *conn = NULL;

    config.peer_address = xp_node_address(peer, &config.peer_address_bytes);
    (void)!xp_conn_open(node, &config, &conn, NULL);
    return conn;
}

static uint32_t bulk_rails_up(struct xp_conn *const *conns)
{
    struct xp_conn_stats stats;
    uint32_t up = 0;

    for (int i = 0; i < PEERS; i++) {
        xp_conn_stats(conns[i], &stats);
        up += stats.rails[0].up;
    }
    return up;
}

static void test_many_peers(void)
{
    static struct xp_node *hub, *peers[PEERS];
    static struct xp_conn *conns[PEERS];
    static struct xp_call calls[PEERS];
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + UINT64_C(50000000000);
    uint32_t answered = 0;
    size_t threads, descriptors;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    hub = make_node(1);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = make_node((uint8_t)(i + 2));
        if (!CHECK(hub && peers[i]))
            return;
    }
    threads = count_entries("/proc/self/task");
    descriptors = count_entries("/proc/self/fd");
    for (int i = 0; i < PEERS; i++) {
        calls[i] = (struct xp_call){.done = call_done, .user = &answered};
        conns[i] = connect(hub, peers[i], (uint64_t)i + 1, true);
        if (!CHECK(connect(peers[i], hub, (uint64_t)i + 1, false) && conns[i]))
            return;
        CHECK_EQ(xp_call_start(conns[i], 5, NULL, 0, &calls[i]), FAB_OK);
    }
    while ((answered < PEERS || bulk_rails_up(conns) < PEERS) &&
           fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_node_poll(hub);
        for (int i = 0; i < PEERS; i++)
            (void)xp_node_poll(peers[i]);
    }
    CHECK_EQ(answered, PEERS);
    CHECK_EQ(bulk_rails_up(conns), PEERS);
    CHECK_EQ(count_entries("/proc/self/task"), threads);
    CHECK_CASE("%zu descriptors, then %zu", descriptors, count_entries("/proc/self/fd"));
    CHECK(count_entries("/proc/self/fd") <= descriptors + (size_t)PEERS * SOCKETS_A_PEER);
    xp_node_destroy(hub);
    for (int i = 0; i < PEERS; i++)
        xp_node_destroy(peers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_guest),
        CHECK_TEST(test_refused),
        CHECK_TEST(test_many_peers),
    };
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
