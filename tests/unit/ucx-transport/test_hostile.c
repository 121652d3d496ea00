/* SPDX-License-Identifier: Apache-2.0
 * Strangers and a peer that lies: frames without a hello, with a wrong key, recorded and replayed;
 * and every frame of a live session changed in every field. No crash, no access, no memory beyond
 * the bounds; a stranger changes nothing, a lying peer loses its own session and no other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rig.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_auth.h"
#include "ucx-transport/xp_frame.h"

static struct rig_end one, other, third, fourth;

/* ---------------------------------------------------------------- strangers */

enum { RECORDS = 256 };

static struct {
    uint8_t header[XP_HEADER_MAX_BYTES], body[2048];
    size_t header_bytes, body_bytes;
    bool bulk_wire;
    char device[16];
} records[RECORDS];
static uint32_t record_count;

static void record(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                   size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    (void)user;
    if (record_count == RECORDS || body_bytes > sizeof(records[0].body))
        return;
    memcpy(records[record_count].header, header, header_bytes);
    if (body_bytes)
        memcpy(records[record_count].body, body, body_bytes);
    records[record_count].header_bytes = header_bytes;
    records[record_count].body_bytes = body_bytes;
    records[record_count].bulk_wire = bulk_wire;
    (void)snprintf(records[record_count].device, sizeof(records[0].device), "%s", to_device);
    record_count++;
}

static void test_random_frames(void)
{
    struct rig rig;
    uint8_t header[XP_HEADER_MAX_BYTES], body[512];

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    for (uint64_t i = 0; i < 20000; i++) {
        size_t header_bytes = 1 + i * 7919 % XP_HEADER_MAX_BYTES;

        rig_fill(header, sizeof(header), i);
        rig_fill(body, sizeof(body), i + 1);
        if (i % 2)
            header[0] = XP_FRAME_VERSION; /* so that it comes past the first look */
        if (i % 4 > 1)
            header[1] = (uint8_t)(1 + i % XP_FRAME_CHUNK);
        xp_loop_inject(rig.loop, i % 3 ? "a0" : "c0", i % 5 > 2, i % 7 > 4, header, header_bytes,
                       body, i % sizeof(body));
        if (i % 64 == 0)
            rig_settle(&rig);
    }
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(one.losts + other.losts + one.message_count + other.message_count, 0);
    CHECK_EQ(xp_post(one.conn, 1, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(other.message_count, 1);
    rig_fini(&rig);
}

static void test_wrong_key(void)
{
    struct rig rig;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    if (!CHECK(rig_connect_keys(&rig, 0, 1, 1, 2, &one, &other)))
        return;
    rig_wait(&rig, UINT64_C(31000) * RIG_MS);
    CHECK_EQ(one.ups + other.ups, 0);
    CHECK_EQ(one.lost_status, FAB_ERR_TIMEOUT);
    CHECK_EQ(other.lost_status, FAB_ERR_TIMEOUT);
    rig_fini(&rig);
}

/* Everything that ever crossed is sent once more by a stranger, in the session and after it. */
static void test_replay(void)
{
    static uint8_t source[10000], target[10000];
    struct rig rig;
    struct rig_bulk from = {0}, to = {0};
    struct xp_bulk bulk = {.id = 1, .size_bytes = sizeof(source), .ops = &rig_bulk_ops};
    struct xp_conn_stats stats;

    one = other = (struct rig_end){0};
    record_count = 0;
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    xp_loop_set_tap(rig.loop, record, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQ(xp_post(one.conn, i, NULL, 0, NULL), FAB_OK);
    bulk.base = target;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
    bulk.base = source;
    bulk.user = &from;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
    rig_wait(&rig, 20 * RIG_MS);
    CHECK_EQ(to.done_count, 1);
    CHECK(record_count > 8);
    xp_loop_set_tap(rig.loop, NULL, NULL);
    memset(target, 0xee, sizeof(target));
    for (uint32_t i = 0; i < record_count; i++)
        xp_loop_inject(rig.loop, records[i].device, records[i].bulk_wire,
                       records[i].header[1] == XP_FRAME_CHUNK, records[i].header,
                       records[i].header_bytes, records[i].body, records[i].body_bytes);
    rig_wait(&rig, 20 * RIG_MS);
    CHECK_EQ(other.message_count, 10);
    CHECK_EQ(target[0], 0xee);
    CHECK_EQ(one.losts + other.losts + one.rail_downs + other.rail_downs, 0);
    xp_conn_stats(other.conn, &stats);
    CHECK(stats.refused_frames > 0); /* the old hellos */
    CHECK(stats.duplicate_batches > 0);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- a peer that mixes sessions */

static uint64_t tokens[2]; /* of the two bulk legs at the worker */

/* Learns the tokens from the first probes; then each chunk carries the other session's. */
static void swap_tokens(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                        size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    struct xp_frame_prefix prefix;
    struct xp_chunk_header chunk;

    (void)user, (void)body, (void)body_bytes;
    if (to_device[0] != 'a' || !bulk_wire ||
        xp_frame_decode_prefix(header, header_bytes, &prefix) != FAB_OK)
        return;
    if (prefix.kind == XP_FRAME_PROBE) {
        if (tokens[0] == 0 || tokens[0] == prefix.token)
            tokens[0] = prefix.token;
        else
            tokens[1] = prefix.token;
    } else if (xp_frame_decode_chunk(header, header_bytes, &chunk) == FAB_OK) {
        chunk.token = tokens[chunk.token == tokens[0]];
        xp_frame_encode_chunk(&chunk, header);
    }
}

/* The chunk is for a transfer of the second session but comes by the first one's endpoint. It would
 * land there after the second session's leg is gone. */
static void test_mixed_sessions(void)
{
    static uint8_t source[9000], target[9000];
    struct rig rig;
    struct rig_bulk bulks[2] = {{0}};
    struct xp_bulk bulk = {.id = 1, .size_bytes = sizeof(source), .ops = &rig_bulk_ops};

    one = other = third = fourth = (struct rig_end){0};
    tokens[0] = tokens[1] = 0;
    memset(source, 1, sizeof(source));
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    xp_loop_set_tap(rig.loop, swap_tokens, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_connect(&rig, 0, 1, NULL, &third, &fourth)) ||
        !CHECK(rig_run_up(&rig, &one, &other)) || !CHECK(rig_run_up(&rig, &third, &fourth)))
        return;
    CHECK(tokens[0] && tokens[1]);
    xp_loop_set_rate(rig.loop, "c0", "a0", 1000);
    bulk.base = target;
    bulk.user = &bulks[1];
    CHECK_EQ(xp_bulk_receive(fourth.conn, &bulk, &bulks[1].transfer, NULL), FAB_OK);
    bulk.base = source;
    bulk.user = &bulks[0];
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &bulks[0].transfer, NULL), FAB_OK);
    rig_wait(&rig, 10 * RIG_MS);
    xp_conn_close(fourth.conn);
    rig_wait(&rig, UINT64_C(20000) * RIG_MS);
    CHECK_EQ(bulks[1].done_count, 1);
    CHECK_EQ(bulks[1].status, FAB_ERR_CANCELLED);
    CHECK_EQ(target[0], 0);
    CHECK_EQ(third.losts, 1);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- a peer that dials twice */

static struct xp_auth dialler;
static uint32_t hellos;

/* Signs as node 0 of the rig does to node 1. */
static void dialler_init(const struct rig *rig)
{
    size_t one_bytes, other_bytes;
    const uint8_t *one_address = xp_node_address(rig->nodes[0], &one_bytes);
    const uint8_t *other_address = xp_node_address(rig->nodes[1], &other_bytes);
    uint8_t key[XP_KEY_BYTES];

    memset(key, 7, sizeof(key));
    xp_auth_init(&dialler, key, one_address, one_bytes, other_address, other_bytes);
}

/* Each hello comes twice, by one endpoint; the second is of a later epoch, and signed. */
static void dial_again(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                       size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    struct xp_hello hello;

    (void)user, (void)to_device, (void)bulk_wire, (void)body, (void)body_bytes;
    if (xp_frame_decode_hello(header, header_bytes, &hello) != FAB_OK ||
        hello.kind != XP_FRAME_HELLO || hellos++ % 2 == 0)
        return;
    hello.epoch += 1000;
    xp_frame_encode_hello(&hello, header);
    xp_auth_sign(&dialler, header, XP_HELLO_BYTES);
}

/* An endpoint has one life of one leg; a second would close it under the first. */
static void test_two_hellos(void)
{
    static const struct xp_loop_script script = {
        .seed = 1, .delay_min_ns = 1000, .delay_max_ns = 1001, .duplicate_permille = 1000};
    struct xp_conn_stats stats;
    struct rig rig;

    one = other = (struct rig_end){0};
    hellos = 0;
    if (!CHECK(rig_init(&rig, 2, 1, &script)))
        return;
    dialler_init(&rig);
    xp_loop_set_tap(rig.loop, dial_again, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
        return;
    CHECK(rig_run_up(&rig, &one, &other));
    CHECK_EQ(xp_post(one.conn, 1, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, UINT64_C(3000) * RIG_MS);
    CHECK_EQ(other.message_count, 1);
    CHECK_EQ(one.losts + other.losts + one.rail_downs + other.rail_downs, 0);
    xp_conn_stats(other.conn, &stats);
    CHECK_EQ(hellos, 4);
    CHECK_EQ(stats.refused_frames, 2); /* the second hello of either leg */
    xp_auth_fini(&dialler);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- a hello of another time */

static uint8_t last_hello[XP_HELLO_BYTES];

/* Keeps the hello of the later leg: its epoch has one below it. */
static void keep_hello(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                       size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    struct xp_hello hello;

    (void)user, (void)to_device, (void)bulk_wire, (void)body, (void)body_bytes;
    if (xp_frame_decode_hello(header, header_bytes, &hello) == FAB_OK &&
        hello.kind == XP_FRAME_HELLO && hello.epoch > 1)
        memcpy(last_hello, header, sizeof(last_hello));
}

/* Signed by the session's key and of an epoch that was: no new life, the old one goes on. */
static void test_old_epochs(void)
{
    static const uint64_t back[] = {0, 1};
    struct xp_conn_stats before, after;
    struct rig rig;

    one = other = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return;
    dialler_init(&rig);
    xp_loop_set_tap(rig.loop, keep_hello, NULL);
    if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    xp_loop_set_tap(rig.loop, NULL, NULL);
    for (size_t i = 0; i < FAB_ARRAY_LEN(back); i++) {
        struct xp_hello hello;
        uint8_t header[XP_HELLO_BYTES];

        CHECK_CASE("%" PRIu64 " epochs back", back[i]);
        if (!CHECK_EQ(xp_frame_decode_hello(last_hello, sizeof(last_hello), &hello), FAB_OK))
            break;
        hello.epoch -= back[i];
        hello.nonce[0] ^= 1;
        xp_frame_encode_hello(&hello, header);
        xp_auth_sign(&dialler, header, sizeof(header));
        xp_conn_stats(other.conn, &before);
        xp_loop_inject(rig.loop, "a0", hello.leg % 2 == 1, false, header, sizeof(header), NULL, 0);
        rig_wait(&rig, 20 * RIG_MS);
        xp_conn_stats(other.conn, &after);
        CHECK_EQ(after.refused_frames, before.refused_frames + 1);
        CHECK_EQ(xp_post(one.conn, 1, NULL, 0, NULL), FAB_OK);
        rig_wait(&rig, 20 * RIG_MS);
        CHECK_EQ(other.message_count, i + 1);
    }
    CHECK_EQ(one.losts + other.losts + one.rail_downs + other.rail_downs, 0);
    xp_auth_fini(&dialler);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- a peer that lies */

struct lie {
    uint8_t kind;       /* of the frames that are changed */
    size_t at;          /* byte of the header; beyond it of the body */
    uint8_t change;     /* xor */
    uint32_t countdown; /* frames of that kind until the lie */
    bool told;
};

static void tell_lie(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                     size_t header_bytes, uint8_t *body, size_t body_bytes)
{
    struct lie *lie = user;

    (void)bulk_wire;
    if (lie->told || header[1] != lie->kind || to_device[0] != 'a')
        return;
    if (lie->countdown > 0) {
        lie->countdown--;
        return;
    }
    if (lie->at < header_bytes)
        header[lie->at] ^= lie->change;
    else if (lie->at - header_bytes < body_bytes)
        body[lie->at - header_bytes] ^= lie->change;
    else
        return;
    lie->told = true;
}

static bool is_settled(void *user)
{
    struct rig_bulk *bulks = user;

    return bulks[0].done_count && bulks[1].done_count;
}

/* A session in which one byte of one frame to the worker is changed; beside it an honest one. */
static void live_with(struct lie *lie)
{
    static uint8_t source[9000], target[9000 + 64];
    struct rig rig;
    struct rig_bulk bulks[2] = {{0}};
    struct xp_bulk bulk = {.id = 1, .size_bytes = sizeof(source), .ops = &rig_bulk_ops};
    bool honest_before_only;

    one = other = third = fourth = (struct rig_end){0};
    memset(target, 0, sizeof(target));
    if (!CHECK(rig_init(&rig, 3, 1, NULL)) || !CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)) ||
        !CHECK(rig_connect(&rig, 2, 0, NULL, &third, &fourth)))
        return;
    xp_loop_set_tap(rig.loop, tell_lie, lie);
    other.reply_at_once = true;
    for (uint32_t i = 0; i < 20; i++)
        CHECK_EQ(xp_post(one.conn, i, NULL, 0, NULL), FAB_OK);
    CHECK_EQ(xp_signal(one.conn, 5, NULL, 0), FAB_OK);
    bulk.base = target;
    bulk.user = &bulks[1];
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &bulks[1].transfer, NULL), FAB_OK);
    bulk.base = source;
    bulk.user = &bulks[0];
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &bulks[0].transfer, NULL), FAB_OK);
    (void)rig_run(&rig, is_settled, bulks, UINT64_C(40000) * RIG_MS);
    if (lie->kind == XP_FRAME_PROBE)
        rig_wait(&rig, UINT64_C(3000) * RIG_MS); /* idle: probes go */
    CHECK_EQ(xp_post(third.conn, 1, NULL, 0, NULL), FAB_OK);
    rig_wait(&rig, 20 * RIG_MS);
    /* It may have ended well (the byte meant nothing, or was sent again) or in a lost session. */
    honest_before_only = other.losts > 0 && other.lost_status == FAB_ERR_PROTOCOL;
    CHECK(bulks[1].done_count == 1 || other.losts == 0);
    CHECK(honest_before_only || other.message_count <= 21);
    CHECK_EQ(target[sizeof(source)], 0);
    CHECK_EQ(third.losts + fourth.losts, 0);
    CHECK_EQ(fourth.message_count, 1);
    CHECK(lie->told);
    rig_fini(&rig);
}

static void test_lies(void)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    static const struct {
        uint8_t kind;
        size_t bytes;
    } kinds[] = {
        {XP_FRAME_HELLO, XP_HELLO_BYTES},
        {XP_FRAME_DATA, XP_DATA_HEADER_BYTES + 64},
        {XP_FRAME_PROBE, XP_PROBE_BYTES},
        {XP_FRAME_CHUNK, XP_CHUNK_HEADER_BYTES},
    };

    for (size_t k = 0; k < FAB_ARRAY_LEN(kinds); k++) {
        for (size_t at = 0; at < kinds[k].bytes; at++) {
            for (size_t c = 0; c < FAB_ARRAY_LEN(changes); c++) {
                struct lie lie = {.kind = kinds[k].kind,
                                  .at = at,
                                  .change = changes[c],
                                  .countdown = (uint32_t)(at % 2)};

                CHECK_CASE("kind %u byte %zu xor %02x", kinds[k].kind, at, changes[c]);
                live_with(&lie);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_random_frames),  CHECK_TEST(test_wrong_key),  CHECK_TEST(test_replay),
        CHECK_TEST(test_mixed_sessions), CHECK_TEST(test_two_hellos), CHECK_TEST(test_old_epochs),
        CHECK_TEST(test_lies),
    };

    return check_run(tests);
}
