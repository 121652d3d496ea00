/* SPDX-License-Identifier: Apache-2.0
 * Nodes with threads on a loop network in real time: several application threads post, call and
 * copy at once, while a link breaks and heals. For the thread sanitizer above all.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_loop.h"

enum { THREADS = 3, CALLS = 200, POSTS = 2000, COPIES = 10, COPY_BYTES = 300000 };

struct world {
    struct xp_loop *loop;
    struct xp_node *nodes[2];
    struct xp_conn *ends[2];
    atomic_uint posts, closed;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static struct world world;

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)message->args,
                         .iov_len = message->args_bytes};

    (void)user;
    if (message->kind == XP_CALL)
        (void)!xp_reply(conn, message->number, (int32_t)message->op, &part, 1, NULL);
    else
        (void)atomic_fetch_add(&world.posts, 1);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    (void)user, (void)conn;
    if (event->kind != XP_EVENT_CLOSED)
        return;
    (void)pthread_mutex_lock(&world.lock);
    (void)atomic_fetch_add(&world.closed, 1);
    (void)pthread_cond_broadcast(&world.changed);
    (void)pthread_mutex_unlock(&world.lock);
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

static bool set_up(void)
{
    static const struct xp_loop_script script = {.seed = 4, .delay_max_ns = 20000};

    memset(&world, 0, sizeof(world));
    (void)pthread_mutex_init(&world.lock, NULL);
    (void)pthread_cond_init(&world.changed, NULL);
    if (!CHECK_EQ(xp_loop_create(fab_clock_real(), &script, &world.loop), FAB_OK))
        return false;
    for (int n = 0; n < 2; n++) {
        struct xp_rail_config rails[2] = {
            {.backend = &xp_backend_loop, .device = n ? "a0" : "c0", .context = world.loop},
            {.backend = &xp_backend_loop,
             .device = n ? "a1" : "c1",
             .context = world.loop,
             .numa_node = 1},
        };
        struct xp_node_config config = {.node_id = {(uint8_t)(n + 1)},
                                        .rails = rails,
                                        .rail_count = 2,
                                        .clock = fab_clock_real(),
                                        .spin_us = n ? 0 : 20};

        if (!CHECK_EQ(xp_node_create(&config, &world.nodes[n], NULL), FAB_OK))
            return false;
    }
    for (int e = 0; e < 2; e++) {
        struct xp_conn_config config = {.session_id = 1,
                                        .initiator = e == 0,
                                        .limits = {.chunk_bytes = 32 << 10},
                                        .handlers = &handlers};

        config.peer_address = xp_node_address(world.nodes[1 - e], &config.peer_address_bytes);
        if (!CHECK_EQ(xp_conn_open(world.nodes[e], &config, &world.ends[e], NULL), FAB_OK))
            return false;
    }
    return CHECK_EQ(xp_conn_wait_up(world.ends[0], UINT64_MAX, NULL), FAB_OK);
}

static void tear_down(void)
{
    for (int e = 0; e < 2; e++)
        xp_conn_close(world.ends[e]);
    (void)pthread_mutex_lock(&world.lock);
    while (atomic_load(&world.closed) < 2)
        (void)pthread_cond_wait(&world.changed, &world.lock);
    (void)pthread_mutex_unlock(&world.lock);
    for (int n = 0; n < 2; n++)
        xp_node_destroy(world.nodes[n]);
    xp_loop_destroy(world.loop);
    (void)pthread_cond_destroy(&world.changed);
    (void)pthread_mutex_destroy(&world.lock);
}

/* ---------------------------------------------------------------- application threads */

static void *post_and_call(void *argument)
{
    uint32_t id = (uint32_t)(uintptr_t)argument, failures = 0;

    for (uint32_t i = 0; i < CALLS; i++) {
        uint32_t sent = id * CALLS + i, back = 0;
        struct iovec part = {.iov_base = &sent, .iov_len = sizeof(sent)};
        struct xp_reply reply;

        for (uint32_t p = 0; p < POSTS / CALLS; p++) {
            while (xp_post(world.ends[0], 1, &part, 1, NULL) == FAB_ERR_AGAIN)
                (void)!xp_wait_room(world.ends[0], sizeof(sent), UINT64_MAX);
        }
        if (xp_call(world.ends[0], i, &part, 1, &back, sizeof(back), &reply) != FAB_OK ||
            reply.result != (int32_t)i || back != sent)
            failures++;
    }
    return (void *)(uintptr_t)failures;
}

struct copy {
    atomic_int done; /* ends */
    enum fab_status status[2];
    uint8_t source[COPY_BYTES], target[COPY_BYTES];
};

static void copy_done(struct copy *copy, int end, enum fab_status status)
{
    copy->status[end] = status;
    (void)pthread_mutex_lock(&world.lock);
    (void)atomic_fetch_add(&copy->done, 1);
    (void)pthread_cond_broadcast(&world.changed);
    (void)pthread_mutex_unlock(&world.lock);
}

static void sent(void *user, enum fab_status status)
{
    copy_done(user, 0, status);
}

static void received(void *user, enum fab_status status)
{
    copy_done(user, 1, status);
}

static const struct xp_bulk_ops send_ops = {.done = sent}, receive_ops = {.done = received};

static void *copy_both_ways(void *argument)
{
    static struct copy copies[COPIES];
    uintptr_t failures = 0;

    (void)argument;
    memset(copies, 0, sizeof(copies));
    for (int i = 0; i < COPIES; i++) {
        struct xp_bulk bulk = {.id = (uint64_t)i + 1, .size_bytes = COPY_BYTES, .user = &copies[i]};
        struct xp_transfer *transfer;

        memset(copies[i].source, i + 1, COPY_BYTES);
        bulk.ops = &send_ops;
        bulk.base = copies[i].source;
        failures += xp_bulk_send(world.ends[i % 2], &bulk, &transfer, NULL) != FAB_OK;
        bulk.ops = &receive_ops;
        bulk.base = copies[i].target;
        failures += xp_bulk_receive(world.ends[1 - i % 2], &bulk, &transfer, NULL) != FAB_OK;
        if (i == COPIES / 2)
            xp_loop_set(world.loop, "c0", "a0", XP_LOOP_BROKEN);
    }
    for (int i = 0; i < COPIES; i++) {
        (void)pthread_mutex_lock(&world.lock);
        while (atomic_load(&copies[i].done) < 2)
            (void)pthread_cond_wait(&world.changed, &world.lock);
        (void)pthread_mutex_unlock(&world.lock);
        failures += copies[i].status[0] != FAB_OK || copies[i].status[1] != FAB_OK ||
                    memcmp(copies[i].source, copies[i].target, COPY_BYTES) != 0;
    }
    xp_loop_set(world.loop, "c0", "a0", XP_LOOP_UP);
    return (void *)failures;
}

static void test_threads(void)
{
    pthread_t threads[THREADS + 1];
    struct xp_watermarks marks;
    struct xp_conn_stats stats;

    if (!set_up())
        return;
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, post_and_call, (void *)i), 0);
    CHECK_EQ(pthread_create(&threads[THREADS], NULL, copy_both_ways, NULL), 0);
    for (int i = 0; i <= THREADS; i++) {
        void *failures;

        CHECK_EQ(pthread_join(threads[i], &failures), 0);
        CHECK_EQ((uintptr_t)failures, 0);
    }
    CHECK_EQ(atomic_load(&world.posts), THREADS * POSTS);
    xp_watermarks(world.ends[0], &marks);
    CHECK_EQ(marks.posted, THREADS * (POSTS + CALLS));
    xp_conn_stats(world.ends[0], &stats);
    CHECK_EQ(stats.calls, THREADS * CALLS);
    tear_down();
}

/* The child of a fork has no transport and says so; the parent goes on. */
static void test_fork(void)
{
    struct xp_reply reply;
    int status = -1;
    pid_t child;

    if (!set_up())
        return;
    child = fork();
    if (child == 0) {
        struct xp_transfer *transfer;
        uint8_t byte = 0;
        struct xp_bulk bulk = {
            .id = 1, .size_bytes = 1, .base = &byte, .ops = &send_ops, .user = NULL};
        bool ok = xp_post(world.ends[0], 1, NULL, 0, NULL) == FAB_ERR_STALE &&
                  xp_call(world.ends[0], 1, NULL, 0, NULL, 0, &reply) == FAB_ERR_STALE &&
                  xp_signal(world.ends[0], 1, NULL, 0) == FAB_ERR_STALE &&
                  xp_bulk_send(world.ends[0], &bulk, &transfer, NULL) == FAB_ERR_STALE;

        xp_flush(world.ends[0]);
        xp_conn_close(world.ends[0]);
        xp_node_destroy(world.nodes[0]);
        _exit(ok ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(xp_call(world.ends[0], 3, NULL, 0, NULL, 0, &reply), FAB_OK);
    CHECK_EQ(reply.result, 3);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_threads), CHECK_TEST(test_fork)};

    return check_run(tests);
}
