/* SPDX-License-Identifier: Apache-2.0
 * When a leg is held to be dead, by the fake clock: how long silence may last after a slow or a
 * quick dial, idle and with data in flight (design D7). And when a session is: a peer process that
 * lives but has ended the session says so to whoever dials, with the session's key (design D6).
 */
#include "rig.h"
#include "tests/support/check.h"

static struct rig_end one, other;

static bool is_silent(void *user)
{
    return ((struct rig_end *)user)->silents > 0;
}

/* The dial takes `dial_ms`, then all is quick; after `idle_ms` the link says no more. */
static const struct silence_row {
    const char *label;
    uint64_t dial_ms, idle_ms;
    uint32_t posts; /* just before */
    uint64_t limit_ms;
} silence_rows[] = {
    {"quick dial, idle", 0, 5000, 0, 3000},      {"slow dial, idle", 900, 5000, 0, 3000},
    {"slow dial, young", 900, 20, 0, 3000},      {"slow dial, with data", 900, 20, 5, 2000},
    {"quick dial, with data", 0, 5000, 5, 2000},
};

static void test_silence(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(silence_rows); i++) {
        const struct silence_row *row = &silence_rows[i];
        struct rig_end *ends[] = {&one, &other};
        struct rig rig;

        one = other = (struct rig_end){0};
        CHECK_CASE("%s", row->label);
        if (!CHECK(rig_init(&rig, 2, 1, NULL)))
            return;
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
        if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
            return;
        rig_wait(&rig, row->dial_ms * RIG_MS);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
        CHECK(rig_run_up(&rig, &one, &other));
        rig_wait(&rig, row->idle_ms * RIG_MS);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
        for (uint32_t p = 0; p < row->posts; p++) {
            CHECK_EQ(xp_post(one.conn, p, NULL, 0, NULL), FAB_OK);
            CHECK_EQ(xp_post(other.conn, p, NULL, 0, NULL), FAB_OK);
        }
        for (int e = 0; e < 2; e++) {
            CHECK_CASE("%s, end %d", row->label, e);
            CHECK(rig_run(&rig, is_silent, ends[e], row->limit_ms * RIG_MS));
        }
        CHECK_EQ(one.losts + other.losts, 0);
        rig_fini(&rig);
    }
}

static bool is_lost(void *user)
{
    return ((struct rig_end *)user)->losts > 0;
}

/* One end ends the session while the link is silent; the other hears it when the link is back. */
enum ending { CLOSES, IS_CONDEMNED, RUNS_OUT };
static const struct ended_row {
    const char *label;
    enum ending ending;
    bool initiator; /* it is the one that ends */
    bool was_up;
    uint64_t silent_ms; /* from the end on */
    enum fab_status heard;
} ended_rows[] = {
    {"the responder closes", CLOSES, false, true, 4000, FAB_ERR_CANCELLED},
    {"the responder is condemned", IS_CONDEMNED, false, true, 4000, FAB_ERR_DENIED},
    {"the responder is condemned, long ago", IS_CONDEMNED, false, true, 12000, FAB_ERR_DENIED},
    {"the responder's grace is over", RUNS_OUT, false, true, 4000, FAB_ERR_TIMEOUT},
    {"the initiator closes", CLOSES, true, true, 4000, FAB_ERR_CANCELLED},
    {"the initiator is condemned", IS_CONDEMNED, true, true, 4000, FAB_ERR_DENIED},
    {"the responder closes before any dial", CLOSES, false, false, 4000, FAB_ERR_CANCELLED},
    {"the responder is condemned before any dial", IS_CONDEMNED, false, false, 4000,
     FAB_ERR_DENIED},
};

static void end_session(struct rig *rig, const struct ended_row *row, struct rig_end *ends)
{
    switch (row->ending) {
    case CLOSES:
        xp_conn_close(ends->conn);
        break;
    case IS_CONDEMNED:
        xp_conn_condemn(ends->conn, FAB_ERR_DENIED, "the lease was revoked");
        break;
    case RUNS_OUT:
        CHECK(rig_run(rig, is_lost, ends, UINT64_C(20000) * RIG_MS));
        break;
    }
}

static void test_ended_elsewhere(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(ended_rows); i++) {
        const struct ended_row *row = &ended_rows[i];
        struct rig_end *ends = row->initiator ? &one : &other,
                       *hears = row->initiator ? &other : &one;
        struct xp_limits limits = rig_limits(), short_limits = rig_limits();
        struct rig rig;
        uint32_t ups;

        one = other = (struct rig_end){0};
        CHECK_CASE("%s", row->label);
        short_limits.grace_ns = UINT64_C(15000) * RIG_MS;
        if (!CHECK(rig_init(&rig, 2, 1, NULL)))
            return;
        if (!row->was_up)
            xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
        if (!CHECK(rig_connect_limits(&rig, 0, 1, &limits, &short_limits, &one, &other)))
            return;
        if (row->was_up)
            CHECK(rig_run_up(&rig, &one, &other));
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
        rig_wait(&rig, 100 * RIG_MS);
        end_session(&rig, row, ends);
        rig_wait(&rig, row->silent_ms * RIG_MS);
        CHECK_EQ(hears->losts, 0);
        ups = ends->ups;
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
        /* Its next dial; the pause between two is up to 10 s by then. */
        CHECK(rig_run(&rig, is_lost, hears, UINT64_C(10100) * RIG_MS));
        CHECK_EQ(hears->lost_status, row->heard);
        CHECK_EQ(ends->ups, ups); /* nothing comes after LOST */
        rig_wait(&rig, UINT64_C(31000) * RIG_MS);
        CHECK_EQ(hears->losts, 1);
        rig_fini(&rig);
    }
}

/* A process that never had the session says nothing, and silence is no evidence: anybody could say
 * that. The same for an answer without the key. */
static void test_never_known(void)
{
    struct rig rig;
    struct xp_conn_config config = {
        .session_id = 5, .initiator = true, .limits = rig_limits(), .user = &one};

    one = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    config.handlers = rig_handlers();
    config.peer_address = xp_node_address(rig.nodes[1], &config.peer_address_bytes);
    CHECK_EQ(xp_conn_open(rig.nodes[0], &config, &one.conn, NULL), FAB_OK);
    rig_wait(&rig, UINT64_C(29000) * RIG_MS);
    CHECK_EQ(one.losts, 0);
    rig_wait(&rig, UINT64_C(2000) * RIG_MS);
    CHECK_EQ(one.lost_status, FAB_ERR_TIMEOUT);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- the wire of one host */

static bool transfer_is_done(void *user)
{
    struct rig_bulk *bulks = user;

    return bulks[0].done_count && bulks[1].done_count;
}

static void transfer(struct rig *rig, uint64_t id)
{
    static uint8_t source[30000], target[30000];
    struct rig_bulk bulks[2] = {{0}};
    struct xp_bulk bulk = {.id = id, .size_bytes = sizeof(source), .ops = &rig_bulk_ops};

    rig_fill(source, sizeof(source), id);
    bulk.base = target;
    bulk.user = &bulks[1];
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &bulks[1].transfer, NULL), FAB_OK);
    bulk.base = source;
    bulk.user = &bulks[0];
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &bulks[0].transfer, NULL), FAB_OK);
    CHECK(rig_run(rig, transfer_is_done, bulks, UINT64_C(8000) * RIG_MS));
    CHECK_MEM(target, source, sizeof(source));
}

static bool is_up(void *user)
{
    return ((struct rig_end *)user)->ups > 0;
}

static bool host_wire_is_up(void *user)
{
    struct rig_end *end = user;
    struct xp_conn_stats stats;

    xp_conn_stats(end->conn, &stats);
    return stats.rails[0].up && !stats.rails[1].up && !stats.rails[2].up;
}

/* Rail 0 is the wire of one host, rails 1 and 2 stand by. */
static void test_same_host(void)
{
    static const struct {
        const char *label;
        enum xp_loop_fate fate; /* of the host's wire, at first */
        uint64_t up_ms;         /* then the session is up by the rails */
    } rows[] = {
        {"it works", XP_LOOP_UP, 10},
        {"it is refused", XP_LOOP_BROKEN, 10},
        {"it does not answer", XP_LOOP_SILENT, 5100},
    };
    static const struct xp_loop_script script = {.seed = 1, .same_host_mask = 1};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        bool works = rows[i].fate == XP_LOOP_UP;
        struct rig rig;

        one = other = (struct rig_end){0};
        CHECK_CASE("%s", rows[i].label);
        if (!CHECK(rig_init_same_host(&rig, 2, 3, &script)))
            return;
        xp_loop_set(rig.loop, "c0", "a0", rows[i].fate);
        if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
            return;
        CHECK(rig_run(&rig, is_up, &one, rows[i].up_ms * RIG_MS));
        transfer(&rig, 1);
        CHECK_EQ(xp_loop_delivered(rig.loop, "c1", "a1") > 0, !works);
        CHECK_EQ(xp_loop_delivered(rig.loop, "c2", "a2") > 0, !works);
        CHECK_CASE("%s, then it comes back", rows[i].label);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
        CHECK(rig_run(&rig, host_wire_is_up, &one, UINT64_C(10100) * RIG_MS));
        CHECK(rig_run(&rig, host_wire_is_up, &other, UINT64_C(100) * RIG_MS));
        transfer(&rig, 2);
        CHECK_CASE("%s, then it is lost", rows[i].label);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
        transfer(&rig, 3);
        CHECK_EQ(one.losts + other.losts, 0);
        rig_fini(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_silence),
        CHECK_TEST(test_ended_elsewhere),
        CHECK_TEST(test_never_known),
        CHECK_TEST(test_same_host),
    };

    return check_run(tests);
}
