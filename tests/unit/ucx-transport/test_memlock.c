/* SPDX-License-Identifier: Apache-2.0
 * Locked memory: a process that may lock none still has its rails and moves what it cannot
 * register; and what rails of a client lock at all.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "tests/support/memlock.h"
#include "ucx-transport/xp_backend.h"

enum { MIB = 1 << 20, SIZE = 9 * MIB + 5, LOCKED_MAX_KIB = 4096 };

static const struct ucx_place loopback = {.devices = {"lo"}, .spin_us = 20};

/* ---------------------------------------------------------------- a transfer of registered memory
 */

struct wait {
    sem_t done;
    enum fab_status here, carried;
    int32_t there;
};

static void half_done(void *user, enum fab_status status)
{
    struct wait *wait = user;

    wait->here = status;
    (void)sem_post(&wait->done);
}

static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    struct wait *wait = call->user;

    wait->carried = reply->carried;
    wait->there = reply->result;
    (void)sem_post(&wait->done);
}

/* The peer checks what it takes, we what it gives. */
static bool move(struct ucx_link *link, bool to_peer, uint8_t *bytes, const struct xp_mem *mem,
                 uint64_t id)
{
    static const struct xp_bulk_ops ops = {.done = half_done};
    struct ucx_bulk_args args = {.id = id, .size_bytes = SIZE, .seed = 100 + id};
    struct wait wait = {.here = FAB_ERR_STATE};
    struct xp_bulk bulk = {
        .id = id, .size_bytes = SIZE, .ops = &ops, .user = &wait, .base = bytes, .mem = mem};
    struct xp_call call = {.done = call_done, .user = &wait};
    struct iovec part = {.iov_base = &args, .iov_len = sizeof(args)};
    struct xp_transfer *transfer;

    (void)sem_init(&wait.done, 0, 0);
    memset(bytes, 0, SIZE);
    if (to_peer)
        ucx_fill(bytes, SIZE, args.seed);
    if (!CHECK_EQ(to_peer ? xp_bulk_send(link->conn, &bulk, &transfer, NULL)
                          : xp_bulk_receive(link->conn, &bulk, &transfer, NULL),
                  FAB_OK) ||
        !CHECK_EQ(xp_call_start(link->conn, to_peer ? UCX_OP_TAKE : UCX_OP_GIVE, &part, 1, &call),
                  FAB_OK))
        return false;
    for (int halves = 0; halves < 2;)
        halves += sem_wait(&wait.done) == 0;
    (void)sem_destroy(&wait.done);
    return CHECK_EQ(wait.here, FAB_OK) && CHECK_EQ(wait.carried, FAB_OK) &&
           CHECK_EQ(wait.there, 0) && CHECK(to_peer || ucx_is_filled(bytes, SIZE, args.seed));
}

/* Registers memory `memories` times, so many of which shall be refused, and moves it both ways. */
static void use_memory(struct ucx_link *link, unsigned memories, uint64_t *id)
{
    uint8_t *bytes = malloc(SIZE);

    for (unsigned i = 0; bytes && i < memories; i++) {
        struct xp_mem_config config = {.address = bytes, .size_bytes = SIZE, .fd = -1};
        struct xp_mem *mem = NULL;

        CHECK_EQ(xp_mem_register(link->node, &config, &mem, NULL), FAB_OK);
        for (int to_peer = 0; to_peer < 2; to_peer++)
            CHECK(move(link, to_peer, bytes, mem, ++*id));
        CHECK(memlock_held_kib() >= 0 && memlock_held_kib() <= LOCKED_MAX_KIB);
        xp_mem_unregister(mem);
    }
    CHECK(bytes);
    free(bytes);
}

static uint64_t refused(struct ucx_link *link)
{
    struct xp_conn_stats stats;

    xp_conn_stats(link->conn, &stats);
    return stats.rails[0].refused_registrations;
}

static size_t lines_with(int fd, const char *part)
{
    static char text[65536];
    ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);
    size_t count = 0;

    text[bytes > 0 ? bytes : 0] = '\0';
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static void test_staged(void)
{
    enum { EACH = 2 };
    struct ucx_place place = loopback;
    struct fab_log log = {.program = "test", .fd = memfd_create("log", MFD_CLOEXEC)};
    struct fab_fault_plan plan = {.site = "ucp_mem_map"};
    struct ucx_peer peer;
    struct ucx_link link;
    struct fab_err err = {0};
    uint64_t id = 0;

    atomic_store(&log.level, FAB_LOG_DEBUG);
    if (!CHECK(ucx_peer_start(&peer, &loopback)))
        return;
    place.log = &log;
    if (!CHECK(ucx_link_open(&link, &peer, &place, &err)))
        return;
    CHECK_CASE("registered");
    use_memory(&link, EACH, &id);
    CHECK_EQ(refused(&link), 0);
    CHECK_CASE("refused");
    for (unsigned i = 0; i < EACH; i++) {
        /* No thread of the node asks: only mem_register() has this site. */
        plan = (struct fab_fault_plan){.site = "ucp_mem_map", .fail_at = 1};
        fab_fault_arm(&plan);
        use_memory(&link, 1, &id);
        fab_fault_arm(NULL);
        CHECK(atomic_load(&plan.fired) != NULL);
    }
    CHECK_EQ(refused(&link), EACH);
    CHECK_EQ(lines_with(log.fd, "memory is staged"), 1);
    CHECK_CASE("registered again");
    use_memory(&link, 1, &id);
    CHECK_EQ(refused(&link), EACH);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    (void)close(log.fd);
}

/* What a wire to an InfiniBand device does where little may be locked, over tcp: chunks go through
 * UCX's own buffers, both ways. */
static void test_staging_wire(void)
{
    enum { EACH = 2, BULK_WIRE = 2 /* the second that asks */ };
    struct ucx_place place = loopback;
    struct fab_log log = {.program = "test", .fd = memfd_create("log", MFD_CLOEXEC)};
    struct fab_fault_plan plan = {.site = "ucx locks", .fail_at = BULK_WIRE};
    struct ucx_peer peer;
    struct ucx_link link;
    struct fab_err err = {0};
    uint64_t id = 0;

    CHECK_CASE("a staging wire");
    atomic_store(&log.level, FAB_LOG_DEBUG);
    place.log = &log;
    if (!CHECK(ucx_peer_start(&peer, &loopback)))
        return;
    fab_fault_arm(&plan);
    if (CHECK(ucx_link_open(&link, &peer, &place, &err))) {
        CHECK_EQ(lines_with(log.fd, "a ucx wire stages"), 1);
        use_memory(&link, EACH, &id);
        CHECK_EQ(refused(&link), EACH);
        CHECK_EQ(lines_with(log.fd, "memory is staged"), 1);
        CHECK_EQ(link.rail_downs, 0);
    }
    fab_fault_arm(NULL);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    (void)close(log.fd);
}

/* A client's rails of both kinds, all its memory registered, under a limit of nothing. */
static void test_no_locked_memory(void)
{
    char folder[] = "/tmp/memlockXXXXXX";
    struct xp_rail_config shm = {.backend = &xp_backend_shm, .numa_node = -1};
    struct xp_node_config config = {.rails = &shm, .rail_count = 1, .clock = fab_clock_real()};
    struct xp_node *node = NULL;
    struct ucx_peer peer;
    struct ucx_link link;
    struct fab_err err = {0};
    uint64_t id = 0;

    if (!CHECK(ucx_peer_start(&peer, &loopback)) || !CHECK(mkdtemp(folder)))
        return;
    shm.device = folder;
    CHECK(memlock_limit(0));
    if (CHECK(ucx_link_open(&link, &peer, &loopback, &err)) &&
        CHECK_EQ(xp_node_create(&config, &node, &err), FAB_OK)) {
        use_memory(&link, 2, &id);
        CHECK_EQ(refused(&link), 0); /* over tcp nothing is locked */
        CHECK_CASE("locked %ld KiB", memlock_held_kib());
        CHECK(memlock_held_kib() >= 0 && memlock_held_kib() <= LOCKED_MAX_KIB);
    }
    xp_node_destroy(node);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_staged), CHECK_TEST(test_staging_wire),
        CHECK_TEST(test_no_locked_memory), /* last: it gives up a privilege */
    };
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
