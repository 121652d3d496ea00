/* SPDX-License-Identifier: Apache-2.0
 * Bounds: credit by the executed watermark, kept commands, the urgent lane's limit, a peer that
 * exceeds what it was granted, and every allocation failing once.
 */
#include <string.h>

#include "base/fault.h"
#include "rig.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_frame.h"

static struct rig_end one, other;

static bool set_up(struct rig *rig, const struct xp_limits *limits)
{
    one = other = (struct rig_end){0};
    return CHECK(rig_init(rig, 2, 1, NULL)) &&
           CHECK(rig_connect(rig, 0, 1, limits, &one, &other)) &&
           CHECK(rig_run_up(rig, &one, &other));
}

static uint32_t post_all(void)
{
    uint32_t posted = 0;

    while (xp_post(one.conn, 0, NULL, 0, NULL) == FAB_OK)
        posted++;
    return posted;
}

static void test_executed(void)
{
    struct rig rig;
    struct xp_limits limits = rig_limits();
    struct xp_watermarks marks;

    limits.window_calls = 64;
    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    rig.manual_executed = true;
    if (!CHECK(rig_connect(&rig, 0, 1, &limits, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    CHECK_EQ(post_all(), 64);
    rig_wait(&rig, 20 * RIG_MS);
    CHECK_EQ(other.message_count, 64);
    CHECK_EQ(post_all(), 0);
    xp_watermarks(one.conn, &marks);
    CHECK_EQ(marks.acknowledged, 64);
    CHECK_EQ(marks.executed, 0);
    /* Credit comes back by whole batches of 8. */
    xp_executed(other.conn, 20);
    rig_wait(&rig, 20 * RIG_MS);
    CHECK_EQ(post_all(), 16);
    xp_executed(other.conn, 64);
    xp_executed(other.conn, 3); /* older: no news */
    rig_wait(&rig, 20 * RIG_MS);
    xp_watermarks(one.conn, &marks);
    CHECK_EQ(marks.executed, 64);
    CHECK_EQ(post_all(), 48);
    /* The watermark always lags, and the credit goes on all the same. */
    for (uint64_t executed = 65; executed < 5000; executed++) {
        xp_executed(other.conn, executed);
        rig_wait(&rig, 2 * RIG_MS);
        (void)post_all();
    }
    rig_wait(&rig, 20 * RIG_MS);
    xp_watermarks(one.conn, &marks);
    CHECK(marks.executed <= 4999 && marks.executed + 8 > 4999);
    CHECK_EQ(marks.posted, marks.executed + 64);
    rig_fini(&rig);
}

static void test_kept(void)
{
    static uint8_t args[XP_MESSAGE_MAX_BYTES];
    struct iovec part = {.iov_base = args, .iov_len = sizeof(args)};
    struct rig rig;
    uint32_t posted = 0;

    if (!set_up(&rig, NULL))
        return;
    xp_keep_from(one.conn, 1);
    for (; xp_post(one.conn, 0, &part, 1, NULL) == FAB_OK; posted++)
        rig_wait(&rig, 5 * RIG_MS);
    CHECK_EQ(posted, 3); /* of 4 MiB; executed, but kept */
    xp_keep_from(one.conn, 3);
    CHECK_EQ(xp_post(one.conn, 0, &part, 1, NULL), FAB_OK);
    CHECK_EQ(xp_post(one.conn, 0, &part, 1, NULL), FAB_OK);
    CHECK_EQ(xp_post(one.conn, 0, &part, 1, NULL), FAB_ERR_AGAIN);
    xp_keep_from(one.conn, UINT64_MAX);
    rig_wait(&rig, 5 * RIG_MS);
    CHECK_EQ(xp_post(one.conn, 0, &part, 1, NULL), FAB_OK);
    rig_fini(&rig);
}

static void test_urgent_limit(void)
{
    static uint8_t args[65536];
    struct iovec part = {.iov_base = args, .iov_len = sizeof(args)};
    struct rig rig;
    struct xp_limits limits = rig_limits();
    uint32_t sent = 0;

    limits.urgent_bytes = 1 << 20;
    if (!set_up(&rig, &limits))
        return;
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
    while (xp_signal(one.conn, 1, &part, 1) == FAB_OK)
        sent++;
    CHECK_EQ(sent, 16);
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
    rig_wait(&rig, 20 * RIG_MS);
    CHECK_EQ(other.message_count, 16);
    CHECK_EQ(xp_signal(one.conn, 1, &part, 1), FAB_OK);
    rig_fini(&rig);
}

/* The active control leg dies: what was on its way comes over the other at once, not by a timer. */
static void test_replay_is_prompt(void)
{
    struct rig rig;
    struct xp_conn_stats stats;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 2, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
    for (uint32_t i = 0; i < 20; i++)
        CHECK_EQ(xp_post(one.conn, i, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, RIG_MS);
    CHECK_EQ(other.message_count, 0);
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
    rig_wait(&rig, RIG_MS);
    CHECK_EQ(other.message_count, 20);
    xp_conn_stats(one.conn, &stats);
    CHECK(stats.replayed_batches > 0);
    CHECK_EQ(stats.reconnects, 1);
    CHECK_EQ(one.silents, 0);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- a peer that takes too much */

static uint64_t data_token, chunk_token;

static void note_tokens(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                        size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    struct xp_frame_prefix prefix;

    (void)user, (void)body, (void)body_bytes;
    if (to_device[0] != 'a' || xp_frame_decode_prefix(header, header_bytes, &prefix) != FAB_OK)
        return;
    if (prefix.kind == XP_FRAME_DATA)
        data_token = prefix.token;
    if (bulk_wire && (prefix.kind == XP_FRAME_PROBE || prefix.kind == XP_FRAME_CHUNK))
        chunk_token = prefix.token;
}

static void test_too_many_commands(void)
{
    uint8_t header[XP_DATA_HEADER_BYTES], body[8 * XP_MESSAGE_HEADER_BYTES];
    struct xp_limits limits = rig_limits();
    struct rig rig;

    limits.window_calls = 64;
    one = other = (struct rig_end){0};
    data_token = 0;
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    rig.manual_executed = true;
    xp_loop_set_tap(rig.loop, note_tokens, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, &limits, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    CHECK_EQ(xp_signal(one.conn, 1, NULL, 0), FAB_OK);
    rig_wait(&rig, 5 * RIG_MS);
    CHECK(data_token != 0);
    for (int i = 0; i < 8; i++)
        (void)xp_message_encode(body + i * XP_MESSAGE_HEADER_BYTES, XP_WIRE_POST, 1, 0, 0);
    for (uint64_t first = 1; first <= 65; first += 8) {
        struct xp_data_header data = {.token = data_token,
                                      .lane = XP_LANE_ORDERED,
                                      .count = 8,
                                      .body_bytes = sizeof(body),
                                      .first = first};

        CHECK_EQ(other.losts, 0);
        xp_frame_encode_data(&data, header);
        xp_loop_inject(rig.loop, "a0", false, false, header, sizeof(header), body, sizeof(body));
        rig_settle(&rig);
    }
    CHECK_EQ(other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_PROTOCOL);
    CHECK_EQ(other.message_count, 1 + 64);
    rig_fini(&rig);
}

static void test_too_many_transfers(void)
{
    uint8_t header[XP_CHUNK_HEADER_BYTES], body[100] = {0};
    struct xp_limits limits = rig_limits();
    struct rig rig;

    limits.transfers = 16;
    one = other = (struct rig_end){0};
    chunk_token = 0;
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    xp_loop_set_tap(rig.loop, note_tokens, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, &limits, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    rig_wait(&rig, UINT64_C(3000) * RIG_MS); /* a probe tells the bulk leg's token */
    CHECK(chunk_token != 0);
    for (uint64_t id = 1; id <= 17; id++) {
        struct xp_chunk_header chunk = {.token = chunk_token,
                                        .transfer_id = id,
                                        .total_bytes = sizeof(body),
                                        .attempt = 1,
                                        .body_bytes = sizeof(body),
                                        .unit_bytes = 4096};

        CHECK_EQ(other.losts, 0);
        xp_frame_encode_chunk(&chunk, header);
        xp_loop_inject(rig.loop, "a0", true, true, header, sizeof(header), body, sizeof(body));
        rig_settle(&rig);
    }
    CHECK_EQ(other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_PROTOCOL);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- no memory */

static bool transfers_ended(void *user)
{
    struct rig_bulk *bulks = user;

    return bulks[0].done_count && bulks[1].done_count;
}

/* With one allocation failing, everything either works or ends with an error; nothing hangs. */
static bool survive(void)
{
    static uint8_t source[9000], target[9000];
    struct rig rig;
    struct rig_bulk bulks[2] = {{0}};
    struct rig_call call;
    struct xp_bulk bulk = {.id = 1, .size_bytes = sizeof(source), .ops = &rig_bulk_ops};
    bool started[2] = {false, false}, called = false, whole = false;

    one = other = (struct rig_end){.reply_at_once = true};
    rig_call_init(&call);
    memset(target, 0, sizeof(target));
    rig_fill(source, sizeof(source), 3);
    if (rig_init(&rig, 2, 2, NULL) && rig_connect(&rig, 0, 1, NULL, &one, &other)) {
        called = xp_call_start(one.conn, 3, NULL, 0, &call.call) == FAB_OK;
        bulk.base = target;
        bulk.user = &bulks[1];
        started[1] = xp_bulk_receive(other.conn, &bulk, &bulks[1].transfer, NULL) == FAB_OK;
        bulk.base = source;
        bulk.user = &bulks[0];
        started[0] = xp_bulk_send(one.conn, &bulk, &bulks[0].transfer, NULL) == FAB_OK;
        bulks[0].done_count = started[0] ? bulks[0].done_count : 1;
        bulks[1].done_count = started[1] ? bulks[1].done_count : 1;
        rig_settle(&rig);
        for (uint32_t i = 0; i < other.parked_count; i++) /* no memory for the reply: once more */
            CHECK_EQ(xp_reply(other.conn, other.parked[i], 3, NULL, 0, NULL), FAB_OK);
        (void)rig_run(&rig, transfers_ended, bulks, UINT64_C(40000) * RIG_MS);
        rig_wait(&rig, 100 * RIG_MS);
        if (called)
            CHECK_EQ(call.done_count, 1);
        if (started[0] && started[1])
            CHECK(bulks[0].done_count == 1 && bulks[1].done_count == 1);
        whole = called && call.carried == FAB_OK && started[0] && started[1] &&
                bulks[1].status == FAB_OK;
        if (whole)
            CHECK_MEM(target, source, sizeof(source));
    }
    rig_fini(&rig);
    return whole;
}

static void test_allocations_fail(void)
{
    unsigned failed = 0, whole = 0;

    for (unsigned n = 1;; n++) {
        struct fab_fault_plan plan = {.fail_at = n};
        bool ended_well;

        CHECK_CASE("failing question %u", n);
        fab_fault_arm(&plan);
        ended_well = survive();
        fab_fault_arm(NULL);
        if (!atomic_load(&plan.fired)) {
            CHECK(ended_well);
            break;
        }
        failed++;
        whole += ended_well;
    }
    CHECK(failed > 30);
    CHECK(whole > 5); /* dials again, sends again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_executed),          CHECK_TEST(test_kept),
        CHECK_TEST(test_urgent_limit),      CHECK_TEST(test_replay_is_prompt),
        CHECK_TEST(test_too_many_commands), CHECK_TEST(test_too_many_transfers),
        CHECK_TEST(test_allocations_fail),
    };

    return check_run(tests);
}
