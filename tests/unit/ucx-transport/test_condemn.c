/* SPDX-License-Identifier: Apache-2.0
 * A condemned session is heard of at the other end, whatever either end is doing, with real
 * threads on a loop network and on the wire of one host. No timer of the transport comes to help:
 * they all stand at an hour, so what is not heard at once hangs this test.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_loop.h"

enum { ROUNDS = 5, POST_BYTES = 1000, OP_POST = 1, OP_PARK, OP_CONDEMN, OP_BLOCK };

#define HOUR_NS (UINT64_C(3600) * 1000000000)

/* What goes on while a session is condemned. */
enum scene {
    BOTH_IDLE,
    PEER_CALLS,     /* and nobody answers */
    PEER_FLOODS,    /* until the window is used up, and waits for room */
    RING_IS_FULL,   /* the condemned end's handler does not come back before */
    HANDLER_DOES,   /* condemned inside the handler of a call */
    OWN_CALL_WAITS, /* the condemned end is blocked in a call */
    BULK_FLIES,
    NODE_GOES, /* right after it */
    AT_ONCE,   /* as soon as it is up */
    SCENES
};

static const char *const scene_labels[SCENES] = {
    [BOTH_IDLE] = "both ends are idle",
    [PEER_CALLS] = "the peer waits for a reply",
    [PEER_FLOODS] = "the peer waits for room",
    [RING_IS_FULL] = "the ring is full",
    [HANDLER_DOES] = "inside a handler",
    [OWN_CALL_WAITS] = "the end itself waits for a reply",
    [BULK_FLIES] = "with chunks in flight",
    [NODE_GOES] = "and its node goes at once",
    [AT_ONCE] = "as soon as it is up",
};

/* The wire and the two ends' time to spin. */
static const struct world_row {
    const char *label;
    const struct xp_backend *backend;
    uint32_t spin_us[2];
} world_rows[] = {
    {"loop, no spinning", &xp_backend_loop, {0, 0}},
    {"loop, one end spins", &xp_backend_loop, {20, 0}},
    {"shm, no spinning", &xp_backend_shm, {0, 0}},
    {"shm, both ends spin", &xp_backend_shm, {20, 20}},
};

struct end {
    struct xp_node *node;
    struct xp_conn *conn;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t ups, losts, closeds, messages;
    enum fab_status lost_status;
    sem_t goes_on;
    uint32_t transfers_done;
};

static struct end ends[2]; /* the second is condemned */
static struct xp_loop *loop;
static char folder[] = "/tmp/test-condemn-XXXXXX";

static void note(struct end *end, uint32_t *counter)
{
    (void)pthread_mutex_lock(&end->lock);
    (*counter)++;
    (void)pthread_cond_broadcast(&end->changed);
    (void)pthread_mutex_unlock(&end->lock);
}

static void wait_for(struct end *end, const uint32_t *counter, uint32_t wanted)
{
    (void)pthread_mutex_lock(&end->lock);
    while (*counter < wanted)
        (void)pthread_cond_wait(&end->changed, &end->lock);
    (void)pthread_mutex_unlock(&end->lock);
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct end *end = user;

    note(end, &end->messages);
    if (message->op == OP_CONDEMN)
        xp_conn_condemn(conn, FAB_ERR_DENIED, "its handler says so");
    while (message->op == OP_BLOCK && sem_wait(&end->goes_on) != 0) {
    }
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct end *end = user;

    (void)conn;
    if (event->kind == XP_EVENT_LOST) {
        end->lost_status = event->status;
        note(end, &end->losts);
    } else if (event->kind == XP_EVENT_UP) {
        note(end, &end->ups);
    } else if (event->kind == XP_EVENT_CLOSED) {
        note(end, &end->closeds);
    }
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

/* ---------------------------------------------------------------- the two ends */

static bool open_node(const struct world_row *row, int e)
{
    struct xp_rail_config rail = {.backend = row->backend, .numa_node = -1};
    struct xp_node_config config = {.node_id = {1},
                                    .rails = &rail,
                                    .rail_count = 1,
                                    .clock = fab_clock_real(),
                                    .spin_us = row->spin_us[e]};

    rail.device = row->backend == &xp_backend_shm ? folder : e ? "a0" : "c0";
    rail.context = loop;
    ends[e] = (struct end){0};
    (void)pthread_mutex_init(&ends[e].lock, NULL);
    (void)pthread_cond_init(&ends[e].changed, NULL);
    (void)sem_init(&ends[e].goes_on, 0, 0);
    return CHECK_EQ(xp_node_create(&config, &ends[e].node, NULL), FAB_OK);
}

static bool open_conn(int e)
{
    struct xp_conn_config config = {
        .session_id = 9,
        .key = {5},
        .initiator = e == 0,
        .manual_executed = true,
        .limits = {.window_bytes = 8 << 20, /* above what a ring holds */
                   .grace_ns = HOUR_NS,
                   .stall_ns = HOUR_NS,
                   .stall_first_ns = HOUR_NS,
                   .idle_probe_ns = HOUR_NS},
        .handlers = &handlers,
        .user = &ends[e],
    };

    config.peer_address = xp_node_address(ends[1 - e].node, &config.peer_address_bytes);
    return CHECK_EQ(xp_conn_open(ends[e].node, &config, &ends[e].conn, NULL), FAB_OK);
}

static bool set_up(const struct world_row *row)
{
    static const struct xp_loop_script script = {.seed = 1};

    return CHECK_EQ(xp_loop_create(fab_clock_real(), &script, &loop), FAB_OK) &&
           open_node(row, 0) && open_node(row, 1) && open_conn(1) && open_conn(0) &&
           CHECK_EQ(xp_conn_wait_up(ends[0].conn, UINT64_MAX, NULL), FAB_OK) &&
           CHECK_EQ(xp_conn_wait_up(ends[1].conn, UINT64_MAX, NULL), FAB_OK);
}

static void tear_down(void)
{
    for (int e = 0; e < 2; e++) {
        if (ends[e].node)
            xp_conn_close(ends[e].conn);
    }
    for (int e = 0; e < 2; e++)
        xp_node_destroy(ends[e].node);
    for (int e = 0; e < 2; e++) {
        (void)pthread_cond_destroy(&ends[e].changed);
        (void)pthread_mutex_destroy(&ends[e].lock);
        (void)sem_destroy(&ends[e].goes_on);
    }
    xp_loop_destroy(loop);
}

/* ---------------------------------------------------------------- what goes on */

struct caller {
    struct end *end;
    uint32_t op;
    pthread_t thread;
    enum fab_status status;
};

static void *call(void *argument)
{
    struct caller *caller = argument;
    struct xp_reply reply;

    caller->status = xp_call(caller->end->conn, caller->op, NULL, 0, NULL, 0, &reply);
    return NULL;
}

/* Posts and waits for room until the session is over. */
static void *flood(void *argument)
{
    static uint8_t bytes[POST_BYTES];
    struct caller *caller = argument;
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    enum fab_status status;

    do {
        status = xp_post(caller->end->conn, OP_POST, &part, 1, NULL);
        if (status == FAB_ERR_AGAIN)
            status = xp_wait_room(caller->end->conn, sizeof(bytes), UINT64_MAX);
    } while (status == FAB_OK);
    caller->status = status;
    return NULL;
}

static void transfer_done(void *user, enum fab_status status)
{
    struct end *end = user;

    (void)status;
    note(end, &end->transfers_done);
}

static void start_bulk(void)
{
    enum { BULK_BYTES = 32 << 20 };
    static const struct xp_bulk_ops ops = {.done = transfer_done};
    static uint8_t from[BULK_BYTES], to[BULK_BYTES];
    struct xp_transfer *transfer;

    for (int e = 0; e < 2; e++) {
        struct xp_bulk bulk = {.id = 1, .size_bytes = BULK_BYTES, .ops = &ops, .user = &ends[e]};

        bulk.base = e ? to : from;
        CHECK_EQ((e ? xp_bulk_receive : xp_bulk_send)(ends[e].conn, &bulk, &transfer, NULL),
                 FAB_OK);
    }
}

static uint64_t posted(void)
{
    struct xp_watermarks marks;

    xp_watermarks(ends[0].conn, &marks);
    return marks.posted;
}

/* Until the flood stands still: the window is used up. */
static void wait_for_full(void)
{
    while (posted() * (POST_BYTES + 24) < 8u << 20)
        (void)usleep(100); /* a look at a counter, not a wait for its effect */
}

static void run(enum scene scene)
{
    struct caller caller = {.end = &ends[scene == OWN_CALL_WAITS], .op = OP_PARK};
    bool floods = scene == PEER_FLOODS || scene == RING_IS_FULL;
    bool calls = scene == PEER_CALLS || scene == HANDLER_DOES || scene == OWN_CALL_WAITS;

    if (scene == RING_IS_FULL) {
        CHECK_EQ(xp_post(ends[0].conn, OP_BLOCK, NULL, 0, NULL), FAB_OK);
        xp_flush(ends[0].conn);
        wait_for(&ends[1], &ends[1].messages, 1);
    }
    if (scene == HANDLER_DOES)
        caller.op = OP_CONDEMN;
    if (calls || floods)
        CHECK_EQ(pthread_create(&caller.thread, NULL, floods ? flood : call, &caller), 0);
    if (scene == PEER_CALLS)
        wait_for(&ends[1], &ends[1].messages, 1);
    if (scene == OWN_CALL_WAITS)
        wait_for(&ends[0], &ends[0].messages, 1);
    if (floods)
        wait_for_full();
    if (scene == BULK_FLIES)
        start_bulk();
    if (scene != HANDLER_DOES)
        xp_conn_condemn(ends[1].conn, FAB_ERR_DENIED, "the lease was revoked");
    if (scene == RING_IS_FULL)
        (void)sem_post(&ends[1].goes_on);
    if (scene == NODE_GOES) {
        xp_node_destroy(ends[1].node);
        ends[1].node = NULL;
    } else {
        wait_for(&ends[1], &ends[1].losts, 1);
        CHECK_EQ(ends[1].lost_status, FAB_ERR_DENIED);
    }
    wait_for(&ends[0], &ends[0].losts, 1);
    CHECK_EQ(ends[0].lost_status, FAB_ERR_DENIED);
    if (calls || floods) {
        CHECK_EQ(pthread_join(caller.thread, NULL), 0);
        CHECK_EQ(caller.status, FAB_ERR_DENIED);
    }
    for (int e = 0; e < 2 && scene == BULK_FLIES; e++)
        wait_for(&ends[e], &ends[e].transfers_done, 1);
}

static void test_condemned(void)
{
    for (size_t w = 0; w < FAB_ARRAY_LEN(world_rows); w++) {
        for (int scene = 0; scene < SCENES; scene++) {
            for (int round = 0; round < ROUNDS; round++) {
                CHECK_CASE("%s, %s, round %d", world_rows[w].label, scene_labels[scene], round);
                if (!set_up(&world_rows[w]))
                    return;
                run((enum scene)scene);
                tear_down();
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_condemned)};
    int result;

    if (!mkdtemp(folder))
        return 1;
    result = check_run(tests);
    (void)rmdir(folder);
    return result;
}
