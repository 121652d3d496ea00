/* SPDX-License-Identifier: Apache-2.0
 * Connections on a quiet loop network: commands, replies, signals, bulk, closing.
 */
#include "rig.h"
#include "tests/support/check.h"

static struct iovec byte_part(uint8_t *byte)
{
    return (struct iovec){.iov_base = byte, .iov_len = 1};
}

static void test_posts_in_order(void)
{
    static struct rig_end one, other;
    struct rig rig;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 2, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t byte = (uint8_t)i;
        struct iovec part = byte_part(&byte);
        uint64_t number = 0;

        CHECK_EQ(xp_post(one.conn, i, &part, 1, &number), FAB_OK);
        CHECK_EQ(number, i + 1);
    }
    CHECK(rig_run_up(&rig, &one, &other));
    rig_wait(&rig, RIG_MS);
    CHECK_EQ(other.message_count, 50);
    for (uint32_t i = 0; i < 50; i++)
        CHECK_EQ(other.messages[i], i | (uint64_t)i << 32);
    rig_wait(&rig, 10 * RIG_MS);
    struct xp_watermarks marks;
    xp_watermarks(one.conn, &marks);
    CHECK_EQ(marks.posted, 50);
    CHECK_EQ(marks.acknowledged, 50);
    CHECK_EQ(marks.executed, 50);
    CHECK_EQ(one.ups, 1);
    CHECK_EQ(one.rail_ups, 2);
    rig_fini(&rig);
}

static bool call_is_done(void *user)
{
    return ((struct rig_call *)user)->done_count > 0;
}

static void test_calls(void)
{
    static struct rig_end one, other;
    struct rig rig;
    struct rig_call calls[3];
    uint8_t byte = 42;
    struct iovec part = byte_part(&byte);
    uint8_t digest[XP_DIGEST_BYTES] = {1, 2, 3};

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    other.reply_at_once = true;
    rig_call_init(&calls[0]);
    CHECK_EQ(xp_call_start(one.conn, 5, &part, 1, &calls[0].call), FAB_OK);
    CHECK(rig_run(&rig, call_is_done, &calls[0], RIG_MS));
    CHECK_EQ(calls[0].carried, FAB_OK);
    CHECK_EQ(calls[0].result, 5);
    CHECK_EQ(calls[0].size_bytes, 1);
    CHECK_EQ(calls[0].bytes[0], 42);

    /* Parked calls are answered in any order, once. */
    other.reply_at_once = false;
    for (int i = 1; i < 3; i++) {
        rig_call_init(&calls[i]);
        CHECK_EQ(xp_call_start(one.conn, 5, NULL, 0, &calls[i].call), FAB_OK);
    }
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(other.parked_count, 2);
    CHECK_EQ(xp_reply(other.conn, other.parked[1], -7, NULL, 0, digest), FAB_OK);
    CHECK_EQ(xp_reply(other.conn, other.parked[1], -7, NULL, 0, digest), FAB_ERR_STALE);
    CHECK_EQ(xp_reply(other.conn, 999, 0, NULL, 0, NULL), FAB_ERR_STALE);
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(calls[1].done_count, 0);
    CHECK_EQ(calls[2].done_count, 1);
    CHECK_EQ(calls[2].result, -7);
    CHECK_MEM(calls[2].digest, digest, sizeof(digest));

    /* The session ends: the open one is told. */
    xp_conn_condemn(one.conn, FAB_ERR_PEER_LOST, "the agent says so");
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(calls[1].done_count, 1);
    CHECK_EQ(calls[1].carried, FAB_ERR_PEER_LOST);
    CHECK_EQ(one.losts, 1);
    CHECK_EQ(one.lost_status, FAB_ERR_PEER_LOST);
    CHECK_EQ(other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_PEER_LOST);
    CHECK_EQ(xp_post(one.conn, 1, NULL, 0, NULL), FAB_ERR_PEER_LOST);
    rig_fini(&rig);
}

static void test_window(void)
{
    static struct rig_end one, other;
    struct rig rig;
    struct xp_limits limits = rig_limits();
    uint32_t posted = 0;
    enum fab_status status;

    one = other = (struct rig_end){0};
    limits.window_calls = 100;
    if (!CHECK(rig_init(&rig, 2, 1, NULL)) ||
        !CHECK(rig_connect(&rig, 0, 1, &limits, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
    while ((status = xp_post(one.conn, posted, NULL, 0, NULL)) == FAB_OK)
        posted++;
    CHECK_EQ(status, FAB_ERR_AGAIN);
    CHECK_EQ(posted, 100);
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
    rig_wait(&rig, 50 * RIG_MS);
    CHECK_EQ(xp_post(one.conn, 100, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, 50 * RIG_MS);
    CHECK_EQ(other.message_count, 101);
    CHECK_EQ(xp_post(one.conn, 1,
                     &(struct iovec){.iov_base = &limits, .iov_len = XP_MESSAGE_MAX_BYTES + 1}, 1,
                     NULL),
             FAB_ERR_RANGE);
    rig_fini(&rig);
}

static void test_close(void)
{
    static struct rig_end one, other;
    struct rig rig;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 2, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    CHECK_EQ(xp_post(one.conn, 3, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, 10 * RIG_MS);
    xp_conn_close(one.conn);
    rig_wait(&rig, 100 * RIG_MS);
    CHECK_EQ(one.closeds, 1);
    CHECK_EQ(other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_CANCELLED);
    CHECK_EQ(other.message_count, 1);
    xp_conn_close(other.conn);
    rig_wait(&rig, 100 * RIG_MS);
    CHECK_EQ(other.closeds, 1);
    rig_fini(&rig);
}

static void test_close_while_cut(void)
{
    static struct rig_end one, other;
    struct rig rig;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
    rig_wait(&rig, 100 * RIG_MS);
    xp_conn_close(one.conn);
    rig_wait(&rig, 100 * RIG_MS);
    CHECK_EQ(one.closeds, 1);
    CHECK_EQ(other.silents, 1);
    CHECK_EQ(other.losts, 0);
    /* The peer comes back and learns that the session is over, without its grace period. */
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
    rig_wait(&rig, UINT64_C(12000) * RIG_MS);
    CHECK_EQ(other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_CANCELLED);
    rig_fini(&rig);
}

struct pair {
    struct rig_bulk *one, *other;
};

static bool both_done(void *user)
{
    struct pair *pair = user;

    return pair->one->done_count && pair->other->done_count;
}

static void transfer(size_t size_bytes, bool receiver_first, bool backwards)
{
    static uint8_t source[200000], target[200000];
    static struct rig_end one, other;
    struct rig rig;
    struct rig_bulk sender = {0}, receiver = {0};
    struct pair pair = {&sender, &receiver};
    struct xp_bulk bulk = {.id = 9, .size_bytes = size_bytes, .ops = &rig_bulk_ops};
    struct xp_conn_stats stats;

    CHECK_CASE("%zu bytes, receiver %s, %s", size_bytes, receiver_first ? "first" : "late",
               backwards ? "back" : "forth");
    one = other = (struct rig_end){0};
    rig_fill(source, sizeof(source), size_bytes);
    memset(target, 0, sizeof(target));
    if (!CHECK(rig_init(&rig, 2, 2, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    for (int step = 0; step < 2; step++) {
        if ((step == 0) == receiver_first) {
            bulk.base = target;
            bulk.user = &receiver;
            CHECK_EQ(
                xp_bulk_receive(backwards ? one.conn : other.conn, &bulk, &receiver.transfer, NULL),
                FAB_OK);
        } else {
            bulk.base = source;
            bulk.user = &sender;
            CHECK_EQ(xp_bulk_send(backwards ? other.conn : one.conn, &bulk, &sender.transfer, NULL),
                     FAB_OK);
        }
        rig_wait(&rig, 10 * RIG_MS);
    }
    CHECK(rig_run(&rig, both_done, &pair, UINT64_C(1000) * RIG_MS));
    CHECK_EQ(sender.status, FAB_OK);
    CHECK_EQ(receiver.status, FAB_OK);
    CHECK_EQ(sender.done_count, 1);
    CHECK_EQ(receiver.done_count, 1);
    CHECK_MEM(target, source, size_bytes);
    CHECK_EQ(target[size_bytes], 0);
    xp_conn_stats(backwards ? other.conn : one.conn, &stats);
    CHECK_EQ(stats.rails[0].sent_bytes + stats.rails[1].sent_bytes, size_bytes);
    CHECK_EQ(stats.rails[0].repeated_chunks + stats.rails[1].repeated_chunks > 0, !receiver_first);
    rig_fini(&rig);
}

static void test_transfers(void)
{
    static const size_t sizes[] = {1, 1023, 1024, 1025, 4096, 8192, 8193, 100000, 199999};

    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        for (int way = 0; way < 4; way++)
            transfer(sizes[i], way & 1, way & 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_posts_in_order),  CHECK_TEST(test_calls),
        CHECK_TEST(test_window),          CHECK_TEST(test_close),
        CHECK_TEST(test_close_while_cut), CHECK_TEST(test_transfers),
    };

    return check_run(tests);
}
