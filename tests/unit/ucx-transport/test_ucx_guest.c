/* SPDX-License-Identifier: Apache-2.0
 * UCX inside somebody else's process: nothing of that process changes, whoever brought UCX there;
 * what 64 peers cost it; and who knocks at its listeners without being a peer.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "tests/support/host_state.h"
#include "ucx-transport/xp_address.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_ucx_lib.h"

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

static uint64_t features; /* asked of UCX for all wires together */
static __typeof__(&ucp_init_version) init_version;

static ucs_status_t note_features(unsigned major, unsigned minor, const ucp_params_t *params,
                                  const ucp_config_t *config, ucp_context_h *context)
{
    features |= params->field_mask & UCP_PARAM_FIELD_FEATURES ? params->features : UINT64_MAX;
    return init_version(major, minor, params, config, context);
}

/* No peer may read, write or change our memory by itself: UCX is not asked for RMA and atomics. */
static int look_at_features(void)
{
    const struct xp_ucx_lib *lib;
    struct xp_ucx_lib *table;

    if (xp_ucx_lib_get(&lib, NULL) != FAB_OK)
        return 32;
    memcpy(&table, &lib, sizeof(table));
    init_version = table->ucp_init_version;
    table->ucp_init_version = note_features;
    if (!use_ucx())
        return 32;
    return features == (UCP_FEATURE_AM | UCP_FEATURE_WAKEUP) ? 0 : 1;
}

static void test_features(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(look_at_features());
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
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

/* UCX's two for a connection: that of its manager and the one that carries. Control and bulk, and
 * both ends are here. */
enum { PEERS = 64, SOCKETS_A_PEER = 2 * 2 * 2 };

/* Descriptors of this process that are sockets, or are none. */
static size_t count_descriptors(bool sockets)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    size_t count = 0;

    while (folder && (entry = readdir(folder)) != NULL) {
        struct stat what;

        if (fstatat(dirfd(folder), entry->d_name, &what, /* flags */ 0) == 0)
            count += S_ISSOCK(what.st_mode) == sockets;
    }
    if (folder)
        (void)closedir(folder);
    return count;
}

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

static _Atomic uint32_t replies; /* to many */

static void one_of_many_done(struct xp_call *call, const struct xp_reply *reply)
{
    (void)call;
    replies += reply->carried == FAB_OK && reply->result == 5;
}

static struct xp_node *make_node(uint8_t id, bool polled)
{
    struct xp_rail_config rail = {.backend = &xp_backend_ucx, .device = "lo", .numa_node = -1};
    struct xp_node_config config = {
        .rails = &rail, .rail_count = 1, .clock = fab_clock_real(), .polled = polled};
    struct xp_node *node = NULL;

    config.node_id[0] = id;
    (void)!xp_node_create(&config, &node, NULL);
    return node;
}

static struct xp_conn *link_nodes(struct xp_node *node, const struct xp_node *peer,
                                  uint64_t session, bool initiator)
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

static void meet_many_peers(void)
{
    static struct xp_node *hub, *peers[PEERS];
    static struct xp_conn *conns[PEERS];
    static struct xp_call calls[PEERS];
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + UINT64_C(50000000000);
    size_t threads, sockets, others;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    hub = make_node(1, /* polled */ false); /* its threads are those that count */
    for (int i = 0; i < PEERS; i++) {
        peers[i] = make_node((uint8_t)(i + 2), /* polled */ true);
        if (!CHECK(hub && peers[i]))
            return;
    }
    threads = count_entries("/proc/self/task");
    sockets = count_descriptors(/* sockets */ true);
    others = count_descriptors(/* sockets */ false);
    for (int i = 0; i < PEERS; i++) {
        calls[i] = (struct xp_call){.done = one_of_many_done};
        conns[i] = link_nodes(hub, peers[i], (uint64_t)i + 1, true);
        if (!CHECK(link_nodes(peers[i], hub, (uint64_t)i + 1, false) && conns[i]))
            return;
        CHECK_EQ(xp_call_start(conns[i], 5, NULL, 0, &calls[i]), FAB_OK);
    }
    while ((replies < PEERS || bulk_rails_up(conns) < PEERS) &&
           fab_clock_now_ns(clock) < limit_ns) {
        for (int i = 0; i < PEERS; i++)
            (void)xp_node_poll(peers[i]);
    }
    CHECK_EQ(replies, PEERS);
    CHECK_EQ(bulk_rails_up(conns), PEERS);
    CHECK_EQ(count_entries("/proc/self/task"), threads);
    CHECK_EQ(count_descriptors(/* sockets */ false), others);
    CHECK(count_descriptors(/* sockets */ true) <= sockets + (size_t)PEERS * SOCKETS_A_PEER);
    xp_node_destroy(hub);
    for (int i = 0; i < PEERS; i++)
        xp_node_destroy(peers[i]);
}

/* In a child: the leak sanitizer's own end crashes in a process that had these threads. */
static void test_many_peers(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        meet_many_peers();
        _exit(check_failures() ? 1 : 0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

/* ---------------------------------------------------------------- strangers */

/* The address of a node's wire, in the node's memory. */
static struct xp_wire_address wire_of(const struct xp_node *node, bool bulk)
{
    struct xp_address address = {0};
    size_t address_bytes;
    const uint8_t *packed = xp_node_address(node, &address_bytes);

    CHECK_EQ(xp_address_decode(packed, address_bytes, &address), FAB_OK);
    return bulk ? address.rails[0].bulk : address.rails[0].control;
}

/* Somebody of another address than any peer connects to a wire of the node and says what it likes,
 * if it gets through. */
static int intrude(const struct xp_node *node, bool bulk, const uint8_t *bytes, size_t size_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
    struct xp_wire_address wire = wire_of(node, bulk);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || wire.size_bytes < sizeof(to.sin_addr) + sizeof(to.sin_port))
        return fd;
    memcpy(&to.sin_addr, wire.bytes, sizeof(to.sin_addr));
    memcpy(&to.sin_port, wire.bytes + sizeof(to.sin_addr), sizeof(to.sin_port));
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0 &&
        (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS) &&
        size_bytes)
        (void)!send(fd, bytes, size_bytes, MSG_NOSIGNAL);
    return fd;
}

static void test_intruders(void)
{
    enum { INTRUDERS = 200, BYTES_MAX = 256 };
    static int fds[INTRUDERS];
    struct xp_node *one = make_node(1, true), *other = make_node(2, true);
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + UINT64_C(20000000000), seed = 1;
    uint32_t answered = 0;
    struct xp_call call = {.done = call_done, .user = &answered};
    struct xp_conn *conn;

    if (!CHECK(one && other))
        return;
    for (int i = 0; i < INTRUDERS; i++) {
        uint8_t bytes[BYTES_MAX];

        for (size_t b = 0; b < sizeof(bytes); b++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[b] = i % 3 == 2 ? 0 : (uint8_t)(seed >> 56);
        }
        fds[i] = intrude(other, i % 2, bytes, i % 4 ? (size_t)i % sizeof(bytes) : 0);
        for (int turn = 0; turn < 20; turn++)
            (void)xp_node_poll(other);
        if (i % 5 == 0)
            (void)close(fds[i]);
    }
    conn = link_nodes(one, other, 1, true);
    CHECK(link_nodes(other, one, 1, false) != NULL);
    CHECK_EQ(xp_call_start(conn, 5, NULL, 0, &call), FAB_OK);
    while (answered == 0 && fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_node_poll(one);
        (void)xp_node_poll(other);
    }
    CHECK_EQ(answered, 1);
    for (int i = 0; i < INTRUDERS; i++) {
        if (i % 5 != 0)
            (void)close(fds[i]);
    }
    xp_node_destroy(one);
    xp_node_destroy(other);
}

/* ---------------------------------------------------------------- the door */

/* Connections of this process that took more than one try. */
static uint32_t count_second_tries(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    uint32_t count = 0;

    while (folder && (entry = readdir(folder)) != NULL) {
        struct tcp_info info = {0};
        socklen_t bytes = sizeof(info);

        if (entry->d_name[0] != '.' && getsockopt((int)strtol(entry->d_name, NULL, 10), IPPROTO_TCP,
                                                  TCP_INFO, &info, &bytes) == 0)
            count += info.tcpi_total_retrans > 0 && info.tcpi_bytes_retrans == 0; /* no data */
    }
    if (folder)
        (void)closedir(folder);
    return count;
}

/* A peer may dial as soon as xp_conn_open() has returned at the other end, before any thread there
 * had a turn: a dial that finds the door shut is made again by the kernel after a second. */
static bool dial_at_once(const struct fab_clock *clock)
{
    enum { EARLY_TURNS = 20 };
    struct xp_node *one = make_node(1, true), *other = make_node(2, true);
    uint64_t limit_ns = fab_clock_now_ns(clock) + UINT64_C(20000000000);
    uint32_t answered = 0;
    struct xp_call call = {.done = call_done, .user = &answered};
    struct xp_conn *conn;
    bool holds;

    if (!CHECK(one && other) || !CHECK(link_nodes(other, one, 1, false) != NULL))
        return false;
    conn = link_nodes(one, other, 1, true);
    if (!CHECK(conn) || !CHECK_EQ(xp_call_start(conn, 5, NULL, 0, &call), FAB_OK))
        return false;
    for (int turn = 0; turn < EARLY_TURNS; turn++)
        (void)xp_node_poll(one);
    while (answered == 0 && fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_node_poll(one);
        (void)xp_node_poll(other);
    }
    holds = CHECK_EQ(answered, 1) && CHECK_EQ(count_second_tries(), 0);
    xp_node_destroy(one);
    xp_node_destroy(other);
    return holds;
}

static void test_door(void)
{
    enum { OPENS = 200 };

    for (int i = 0; i < OPENS; i++) {
        CHECK_CASE("open %d", i);
        if (!dial_at_once(fab_clock_real()))
            return;
    }
}

/* ---------------------------------------------------------------- the end of a process */

/* In a child: exit status 0, or what is wrong. */
static int end_quietly(void)
{
    struct xp_node *one = make_node(1, true), *other = make_node(2, true);
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + UINT64_C(20000000000);
    uint32_t answered = 0;
    size_t threads;
    struct xp_call call = {.done = call_done, .user = &answered}, open_call = call;
    struct xp_conn *conn;

    if (!one || !other || !link_nodes(other, one, 1, false))
        return 2;
    conn = link_nodes(one, other, 1, true);
    if (!conn || xp_call_start(conn, 5, NULL, 0, &call) != FAB_OK)
        return 3;
    while (answered == 0 && fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_node_poll(one);
        (void)xp_node_poll(other);
    }
    threads = count_entries("/proc/self/task");
    if (answered == 0 || threads < 4)
        return 4; /* ".", "..", us and UCX's helper; a sanitizer may have one, too */
    if (xp_call_start(conn, 5, NULL, 0, &open_call) != FAB_OK || !xp_node_quiet(one) ||
        !xp_node_quiet(other))
        return 5;
    /* The kernel lists a thread that was joined for a moment more. */
    while (count_entries("/proc/self/task") != threads - 1) {
        if (fab_clock_now_ns(clock) >= limit_ns)
            return 6;
    }
    /* As another thread may. */
    return xp_post(conn, 5, NULL, 0, NULL) == FAB_OK && answered == 1 ? 0 : 7;
}

/* UCX's destructors are for a process in which its helper thread has ended. */
static void test_quiet(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
#ifdef __SANITIZE_ADDRESS__
        __lsan_disable(); /* what is in flight when the process ends goes with it */
#endif
        exit(end_quietly());
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

static void no_frame(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                     const uint8_t *body, size_t body_bytes)
{
    (void)core, (void)ep, (void)header, (void)header_bytes, (void)body, (void)body_bytes;
}

static void no_offer(void *core, struct xp_ep *ep, const uint8_t *header, size_t header_bytes,
                     size_t body_bytes, struct xp_offer *offer)
{
    (void)core, (void)ep, (void)header, (void)header_bytes, (void)body_bytes;
    xp_backend_ucx.refuse(offer);
}

static void count_failed(void *owner, enum fab_status status, const char *text)
{
    (void)status, (void)text;
    ++*(uint32_t *)owner;
}

static void no_closed(void *owner)
{
    (void)owner;
}

/* A peer's host has others who speak UCX: they connect and never say hello. The last 64 are kept,
 * and each for a second: one that UCX has only just answered, and whose descriptor goes to the
 * next, makes it end the process. A peer comes through all the same. */
static void test_silent_strangers(void)
{
    enum { STRANGERS = 200, KEPT = 64, SHORTEST_NS = 1000000000 };
    static const struct xp_wire_events events = {
        .frame = no_frame, .offer = no_offer, .ep_failed = count_failed, .ep_closed = no_closed};
    const struct xp_wire_config config = {.device = "lo", .numa_node = -1, .events = &events};
    struct xp_node *one = make_node(1, true), *other = make_node(2, true);
    const struct fab_clock *clock = fab_clock_real();
    uint64_t began_ns = fab_clock_now_ns(clock), limit_ns = began_ns + UINT64_C(50000000000);
    uint32_t answered = 0, failed = 0;
    struct xp_call call = {.done = call_done, .user = &answered};
    struct xp_wire_address address;
    struct xp_conn *conn;
    struct xp_wire *wire;
    struct xp_ep *ep;

    if (!CHECK(one && other) || !CHECK_EQ(xp_backend_ucx.wire_open(&config, &wire, NULL), FAB_OK))
        return;
    CHECK(link_nodes(other, one, 1, false) != NULL); /* so its host may connect */
    (void)xp_node_poll(other);
    address = wire_of(other, false);
    for (int i = 0; i < STRANGERS; i++)
        CHECK_EQ(
            xp_backend_ucx.ep_open(wire, address.bytes, address.size_bytes, &failed, &ep, NULL),
            FAB_OK);
    while (failed < STRANGERS - KEPT && fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_backend_ucx.progress(wire);
        (void)xp_node_poll(other);
        CHECK(failed == 0 || fab_clock_now_ns(clock) - began_ns >= SHORTEST_NS);
    }
    CHECK(failed >= STRANGERS - KEPT);
    conn = link_nodes(one, other, 1, true);
    CHECK_EQ(xp_call_start(conn, 5, NULL, 0, &call), FAB_OK);
    while (answered == 0 && fab_clock_now_ns(clock) < limit_ns) {
        (void)xp_backend_ucx.progress(wire);
        (void)xp_node_poll(one);
        (void)xp_node_poll(other);
    }
    CHECK_EQ(answered, 1);
    CHECK(failed < STRANGERS);
    xp_backend_ucx.wire_close(wire);
    xp_node_destroy(one);
    xp_node_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_guest),      CHECK_TEST(test_features),  CHECK_TEST(test_quiet),
        CHECK_TEST(test_many_peers), /* UCX is in this process from the next one on */
        CHECK_TEST(test_refused),    CHECK_TEST(test_intruders), CHECK_TEST(test_silent_strangers),
        CHECK_TEST(test_door),
    };
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
