/* SPDX-License-Identifier: Apache-2.0
 * Codec: every kind goes there and back, cut at every byte, with every byte changed; plans,
 * addresses, keys.
 */
#include <string.h>

#include "tests/support/check.h"
#include "ucx-transport/xp_address.h"
#include "ucx-transport/xp_auth.h"
#include "ucx-transport/xp_numa.h"
#include "ucx-transport/xp_plan.h"

enum { LARGEST = 512 };

typedef enum fab_status decode_function(const uint8_t *bytes, size_t size_bytes, void *out);

/* Each prefix is refused without reading past it, outputs stay, and one byte more is refused. */
static void cut(const uint8_t *bytes, size_t size_bytes, decode_function *decode, void *out,
                size_t out_bytes)
{
    uint8_t before[LARGEST * 8], longer[LARGEST + 1];

    memset(out, 0x5a, out_bytes);
    memset(before, 0x5a, out_bytes);
    for (size_t n = 0; n < size_bytes; n++) {
        uint8_t exact[LARGEST];

        memcpy(exact, bytes, n);
        CHECK(decode(exact, n, out) != FAB_OK);
        CHECK_MEM(out, before, out_bytes);
    }
    memcpy(longer, bytes, size_bytes);
    longer[size_bytes] = 0;
    CHECK(decode(longer, size_bytes + 1, out) != FAB_OK);
    CHECK_MEM(out, before, out_bytes);
    CHECK_EQ(decode(bytes, size_bytes, out), FAB_OK);
    /* Other versions are told apart from garbage. */
    longer[0] ^= 0xff;
    CHECK_EQ(decode(longer, size_bytes, out), FAB_ERR_VERSION);
}

#define DECODER(kind)                                                                              \
    static enum fab_status decode_##kind(const uint8_t *bytes, size_t size_bytes, void *out)       \
    {                                                                                              \
        return xp_frame_decode_##kind(bytes, size_bytes, out);                                     \
    }
DECODER(data)
DECODER(chunk)
DECODER(probe)
DECODER(hello)

static enum fab_status decode_address(const uint8_t *bytes, size_t size_bytes, void *out)
{
    return xp_address_decode(bytes, size_bytes, out);
}

static void test_data(void)
{
    struct xp_data_header in = {.flags = XP_FRAME_RESEND,
                                .token = 0x1122334455667788,
                                .lane = XP_LANE_URGENT,
                                .count = 3,
                                .body_bytes = 48,
                                .first = 1000,
                                .received = {7, 8},
                                .executed = 6,
                                .executed_bytes = 96},
                          out;
    static const struct {
        const char *label;
        size_t at;
        uint8_t value;
    } bad[] = {
        {"unknown kind", 1, 99},       {"kind 0", 1, 0},
        {"unknown flag", 2, 0x82},     {"unknown lane", 16, 2},
        {"count 0 with first", 20, 0},
    };
    uint8_t bytes[XP_DATA_HEADER_BYTES];

    xp_frame_encode_data(&in, bytes);
    cut(bytes, sizeof(bytes), decode_data, &out, sizeof(out));
    CHECK_EQ(out.flags, in.flags);
    CHECK_EQ(out.token, in.token);
    CHECK_EQ(out.lane, in.lane);
    CHECK_EQ(out.count, in.count);
    CHECK_EQ(out.body_bytes, in.body_bytes);
    CHECK_EQ(out.first, in.first);
    CHECK_EQ(out.received[0], 7);
    CHECK_EQ(out.received[1], 8);
    CHECK_EQ(out.executed, 6);
    CHECK_EQ(out.executed_bytes, 96);
    for (size_t i = 0; i < FAB_ARRAY_LEN(bad); i++) {
        uint8_t changed[sizeof(bytes)];

        CHECK_CASE("%s", bad[i].label);
        memcpy(changed, bytes, sizeof(bytes));
        changed[bad[i].at] = bad[i].value;
        CHECK_EQ(xp_frame_decode_data(changed, sizeof(changed), &out), FAB_ERR_FORMAT);
    }
    CHECK_CASE("numbers that wrap");
    in.first = UINT64_MAX - 1;
    xp_frame_encode_data(&in, bytes);
    CHECK_EQ(xp_frame_decode_data(bytes, sizeof(bytes), &out), FAB_ERR_FORMAT);
}

static void test_chunk(void)
{
    struct xp_chunk_header in = {.token = 5,
                                 .transfer_id = 6,
                                 .command = 7,
                                 .offset = 4096,
                                 .total_bytes = 8192,
                                 .index = 4,
                                 .attempt = 2,
                                 .body_bytes = 4096,
                                 .unit_bytes = 4096,
                                 .digest = {1, 2, 3}},
                           out;
    uint8_t bytes[XP_CHUNK_HEADER_BYTES];

    xp_frame_encode_chunk(&in, bytes);
    cut(bytes, sizeof(bytes), decode_chunk, &out, sizeof(out));
    CHECK_EQ(out.token, 5);
    CHECK_EQ(out.transfer_id, 6);
    CHECK_EQ(out.command, 7);
    CHECK_EQ(out.offset, 4096);
    CHECK_EQ(out.total_bytes, 8192);
    CHECK_EQ(out.index, 4);
    CHECK_EQ(out.attempt, 2);
    CHECK_EQ(out.body_bytes, 4096);
    CHECK_EQ(out.unit_bytes, 4096);
    CHECK_MEM(out.digest, in.digest, XP_DIGEST_BYTES);
    CHECK_CASE("beyond the transfer");
    in.body_bytes = 4097;
    xp_frame_encode_chunk(&in, bytes);
    CHECK_EQ(xp_frame_decode_chunk(bytes, sizeof(bytes), &out), FAB_ERR_FORMAT);
    CHECK_CASE("an offset that wraps");
    in.offset = UINT64_MAX;
    xp_frame_encode_chunk(&in, bytes);
    CHECK_EQ(xp_frame_decode_chunk(bytes, sizeof(bytes), &out), FAB_ERR_FORMAT);
    CHECK_CASE("no bytes");
    in.offset = in.body_bytes = 0;
    xp_frame_encode_chunk(&in, bytes);
    CHECK_EQ(xp_frame_decode_chunk(bytes, sizeof(bytes), &out), FAB_ERR_FORMAT);
}

static void test_probe(void)
{
    uint8_t bytes[XP_PROBE_BYTES];
    uint64_t cookie;

    xp_frame_encode_probe(XP_FRAME_PROBE_REPLY, 3, 77, bytes);
    cut(bytes, sizeof(bytes), decode_probe, &cookie, sizeof(cookie));
    CHECK_EQ(cookie, 77);
}

static struct xp_hello some_hello(void)
{
    return (struct xp_hello){.kind = XP_FRAME_WELCOME,
                             .session_id = 1,
                             .epoch = 2,
                             .your_token = 3,
                             .leg = 5,
                             .window_calls = 6,
                             .window_bytes = 7,
                             .chunk_bytes = 8,
                             .chunks_in_flight = 9,
                             .received = {10, 11},
                             .executed = 12,
                             .executed_bytes = 13,
                             .nonce = {14},
                             .peer_nonce = {15}};
}

static void test_hello(void)
{
    struct xp_hello in = some_hello(), out;
    uint8_t bytes[XP_HELLO_BYTES];
    static const uint8_t key[XP_KEY_BYTES] = {1}, other_key[XP_KEY_BYTES] = {2};
    static const uint8_t here[] = "here", there[] = "there";
    struct xp_auth auth, swapped, stranger;

    xp_frame_encode_hello(&in, bytes);
    cut(bytes, sizeof(bytes), decode_hello, &out, sizeof(out));
    CHECK_EQ(out.kind, in.kind);
    CHECK_EQ(out.session_id, 1);
    CHECK_EQ(out.epoch, 2);
    CHECK_EQ(out.your_token, 3);
    CHECK_EQ(out.leg, 5);
    CHECK_EQ(out.window_calls, 6);
    CHECK_EQ(out.window_bytes, 7);
    CHECK_EQ(out.chunk_bytes, 8);
    CHECK_EQ(out.chunks_in_flight, 9);
    CHECK_EQ(out.received[1], 11);
    CHECK_EQ(out.executed, 12);
    CHECK_EQ(out.executed_bytes, 13);
    CHECK_EQ(out.nonce[0], 14);
    CHECK_EQ(out.peer_nonce[0], 15);

    xp_auth_init(&auth, key, here, sizeof(here), there, sizeof(there));
    xp_auth_init(&swapped, key, there, sizeof(there), here, sizeof(here));
    xp_auth_init(&stranger, other_key, here, sizeof(here), there, sizeof(there));
    CHECK(!xp_auth_check(&auth, bytes, sizeof(bytes)));
    xp_auth_sign(&auth, bytes, sizeof(bytes));
    CHECK(xp_auth_check(&auth, bytes, sizeof(bytes)));
    CHECK(!xp_auth_check(&swapped, bytes, sizeof(bytes)));
    CHECK(!xp_auth_check(&stranger, bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        CHECK_CASE("byte %zu changed", i);
        bytes[i] ^= 1;
        CHECK(!xp_auth_check(&auth, bytes, sizeof(bytes)));
        bytes[i] ^= 1;
    }
    xp_auth_fini(&auth);
    CHECK(!xp_auth_check(&auth, bytes, sizeof(bytes)));
}

static void test_messages(void)
{
    uint8_t body[256], *args;
    struct xp_message_view view;
    size_t cursor = 0, size_bytes = xp_message_bytes(5) + xp_message_bytes(0);

    args = xp_message_encode(body, XP_WIRE_POST, 77, 0, 5);
    memcpy(args, "hello", 5);
    (void)xp_message_encode(body + xp_message_bytes(5), XP_WIRE_CALL, 78, -3, 0);
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_ORDERED, &cursor, &view), FAB_OK);
    CHECK_EQ(view.op, 77);
    CHECK_EQ(view.args_bytes, 5);
    CHECK_MEM(view.args, "hello", 5);
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_ORDERED, &cursor, &view), FAB_OK);
    CHECK_EQ(view.op, 78);
    CHECK_EQ(view.result, -3);
    CHECK_EQ(cursor, size_bytes);
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_ORDERED, &cursor, &view),
             FAB_ERR_TRUNCATED);
    for (size_t n = 0; n < xp_message_bytes(5); n++) {
        CHECK_CASE("cut at %zu", n);
        cursor = 0;
        CHECK_EQ(xp_message_decode(body, n, XP_LANE_ORDERED, &cursor, &view), FAB_ERR_TRUNCATED);
        CHECK_EQ(cursor, 0);
    }
    CHECK_CASE("the wrong lane");
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_URGENT, &cursor, &view), FAB_ERR_FORMAT);
    CHECK_CASE("padding that says something");
    body[XP_MESSAGE_HEADER_BYTES + 6] = 1;
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_ORDERED, &cursor, &view), FAB_ERR_FORMAT);
    CHECK_CASE("a length beyond the frame");
    (void)xp_message_encode(body, XP_WIRE_POST, 1, 0, 0);
    body[11] = 0xff;
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_ORDERED, &cursor, &view), FAB_ERR_FORMAT);
    CHECK_CASE("a reply too short for its number");
    (void)xp_message_encode(body, XP_WIRE_REPLY, 0, 0, XP_REPLY_PREFIX_BYTES - 1);
    CHECK_EQ(xp_message_decode(body, size_bytes, XP_LANE_URGENT, &cursor, &view), FAB_ERR_FORMAT);
}

/* Chunks of a plan lie side by side and fill the transfer. */
static void test_plan(void)
{
    static const struct {
        uint64_t total;
        uint32_t unit, chunks;
    } cases[] = {
        {1, 64, 1},
        {64 << 10, 4 << 20, 1},
        {1 << 20, 4 << 20, 1},
        {(1 << 20) + 1, 4 << 20, 2},
        {4 << 20, 4 << 20, 4},
        {8 << 20, 4 << 20, 8},
        {(8 << 20) + 1, 4 << 20, 4 + 2},
        {256 << 20, 4 << 20, 4 + 63},
    };
    struct xp_plan plan;

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t at = 0, offset;
        uint32_t size_bytes;

        CHECK_CASE("%llu in %u", (unsigned long long)cases[i].total, cases[i].unit);
        if (!CHECK_EQ(xp_plan_make(cases[i].total, cases[i].unit, &plan), FAB_OK))
            continue;
        CHECK_EQ(plan.chunk_count, cases[i].chunks);
        for (uint32_t c = 0; c < plan.chunk_count; c++) {
            xp_plan_chunk(&plan, c, &offset, &size_bytes);
            CHECK_EQ(offset, at);
            CHECK(size_bytes > 0 && size_bytes <= cases[i].unit);
            at += size_bytes;
        }
        CHECK_EQ(at, cases[i].total);
    }
    CHECK_CASE("refused");
    CHECK_EQ(xp_plan_make(0, 4096, &plan), FAB_ERR_RANGE);
    CHECK_EQ(xp_plan_make(1, 63, &plan), FAB_ERR_RANGE);
    CHECK_EQ(xp_plan_make(UINT64_MAX, 64, &plan), FAB_ERR_RANGE);
}

static void test_address(void)
{
    static const uint8_t wires[4][3] = {{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}};
    struct xp_address in = {.node_id = {9}, .rail_count = 2}, out;
    uint8_t bytes[XP_ADDRESS_MAX_BYTES];
    size_t size_bytes;

    for (uint32_t r = 0; r < 2; r++) {
        memcpy(in.rails[r].backend, "loop", 5);
        in.rails[r].control = (struct xp_wire_address){wires[2 * r], 3};
        in.rails[r].bulk = (struct xp_wire_address){wires[2 * r + 1], 2};
    }
    if (!CHECK_EQ(xp_address_encode(&in, bytes, sizeof(bytes), &size_bytes), FAB_OK))
        return;
    cut(bytes, size_bytes, decode_address, &out, sizeof(out));
    CHECK_EQ(out.rail_count, 2);
    CHECK_EQ(out.node_id[0], 9);
    CHECK_STR(out.rails[1].backend, "loop");
    CHECK_EQ(out.rails[1].bulk.size_bytes, 2);
    CHECK_EQ(out.rails[1].bulk.bytes[0], 4);
    CHECK_EQ(xp_address_encode(&in, bytes, size_bytes - 1, &size_bytes), FAB_ERR_RANGE);
    in.rail_count = XP_RAILS_MAX + 1;
    CHECK_EQ(xp_address_encode(&in, bytes, sizeof(bytes), &size_bytes), FAB_ERR_RANGE);
}

static void test_cpu_lists(void)
{
    static const struct {
        const char *text;
        bool ok;
        int count, has;
    } cases[] = {
        {"0", true, 1, 0},   {"0-3\n", true, 4, 3}, {"0-1,8,10-11\n", true, 5, 10},
        {"", false, 0, 0},   {"\n", false, 0, 0},   {"3-1", false, 0, 0},
        {"1,", false, 0, 0}, {"1;2", false, 0, 0},  {"99999", false, 0, 0},
        {"-1", false, 0, 0}, {"0-", false, 0, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        cpu_set_t set;

        CHECK_CASE("'%s'", cases[i].text);
        CHECK_EQ(xp_numa_parse(cases[i].text, &set), cases[i].ok);
        if (!cases[i].ok)
            continue;
        CHECK_EQ(CPU_COUNT(&set), cases[i].count);
        CHECK(CPU_ISSET((size_t)cases[i].has, &set));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_data),    CHECK_TEST(test_chunk),     CHECK_TEST(test_probe),
        CHECK_TEST(test_hello),   CHECK_TEST(test_messages),  CHECK_TEST(test_plan),
        CHECK_TEST(test_address), CHECK_TEST(test_cpu_lists),
    };

    return check_run(tests);
}
