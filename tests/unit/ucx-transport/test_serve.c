/* SPDX-License-Identifier: Apache-2.0
 * How those wait who call and serve on one host, told by counts of looks, not by time: two nodes
 * with threads in this process. Spinning is set to take so long that a look in vain is never one of
 * few. A machine that is busy otherwise changes nothing in what is counted.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/support/check.h"
#include "ucx-transport/xp_int.h"

enum { CALLS = 40, SPIN_US = 10000, LOOKS_FEW = 1000 };

struct end {
    struct xp_node *node;
    struct xp_conn *conn;
    atomic_uint closeds;
};

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)message->args,
                         .iov_len = message->args_bytes};

    (void)user;
    if (message->kind == XP_CALL)
        (void)!xp_reply(conn, message->number, 0, &part, 1, NULL);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct end *end = user;

    (void)conn;
    if (event->kind == XP_EVENT_CLOSED)
        atomic_store(&end->closeds, 1);
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

static bool open_ends(struct end ends[2])
{
    struct xp_rail_config rail = {.backend = &xp_backend_shm, .numa_node = -1};
    struct xp_node_config config = {.node_id = {1},
                                    .rails = &rail,
                                    .rail_count = 1,
                                    .clock = fab_clock_real(),
                                    .spin_us = SPIN_US};

    for (int e = 0; e < 2; e++) {
        if (!CHECK_EQ(xp_node_create(&config, &ends[e].node, NULL), FAB_OK))
            return false;
    }
    for (int e = 0; e < 2; e++) {
        struct xp_conn_config conn = {
            .session_id = 1, .initiator = e == 0, .handlers = &handlers, .user = &ends[e]};

        conn.peer_address = xp_node_address(ends[1 - e].node, &conn.peer_address_bytes);
        if (!CHECK_EQ(xp_conn_open(ends[e].node, &conn, &ends[e].conn, NULL), FAB_OK))
            return false;
    }
    return CHECK_EQ(xp_conn_wait_up(ends[0].conn, UINT64_MAX, NULL), FAB_OK);
}

static void close_ends(struct end ends[2])
{
    for (int e = 0; e < 2; e++) {
        if (ends[e].conn)
            xp_conn_close(ends[e].conn);
        while (ends[e].conn && !atomic_load(&ends[e].closeds))
            (void)sched_yield();
    }
    for (int e = 0; e < 2; e++)
        xp_node_destroy(ends[e].node);
}

/* So far; whoever is the engine counts them, so this thread becomes it. */
static uint32_t looks_of(struct end *end)
{
    struct xp_engine *control = &end->node->engines[0];
    uint32_t looks;

    while (!xp_engine_try(control))
        (void)sched_yield();
    looks = control->looks;
    xp_engine_let_go(control);
    return looks;
}

static bool call(struct end *end, uint64_t value)
{
    struct iovec part = {.iov_base = &value, .iov_len = sizeof(value)};
    struct xp_reply reply;
    uint64_t back = 0;

    return CHECK_EQ(xp_call(end->conn, /* op */ 1, &part, 1, &back, sizeof(back), &reply),
                    FAB_OK) &&
           CHECK_EQ(back, value);
}

/* ---------------------------------------------------------------- rows */

/* The process on one of the cores that it may use; false: it is told so. */
static bool stay_on_one_core(void)
{
    cpu_set_t allowed, one;
    size_t core = 0;

    if (!CHECK_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0))
        return false;
    while (!CPU_ISSET(core, &allowed))
        core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    return CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* Both ends on one core: who looks for an answer keeps it from being given. Each end slept only
 * when its time to spin was over, and so did every call, for good. */
static void test_one_core(void)
{
    struct end ends[2] = {0};
    uint32_t before[2];

    if (!stay_on_one_core())
        return;
    if (open_ends(ends) && call(&ends[0], 0)) { /* each has told where it runs */
        for (int e = 0; e < 2; e++)
            before[e] = looks_of(&ends[e]);
        for (uint64_t i = 1; i <= CALLS; i++)
            (void)call(&ends[0], i);
        for (int e = 0; e < 2; e++) {
            uint32_t each = (looks_of(&ends[e]) - before[e]) / CALLS;

            CHECK_CASE("%s: %" PRIu32 " looks a call", e ? "serving" : "calling", each);
            CHECK(each < LOOKS_FEW);
            printf("%d: %u\n", e, each);
        }
    }
    close_ends(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_one_core)};

    return check_run(tests);
}
