/* SPDX-License-Identifier: Apache-2.0
 * A client that means harm, or has lost its mind: the worker answers, counts or ends the session,
 * and lives.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "tests/unit/driver/support.h"

enum { MESSAGE_MAX = 4096, STORMS = 60, MESSAGES = 250 };

static struct rig rig;
static uint64_t message[MESSAGE_MAX / 8];

static bool is_from_client(const struct wire_row *row)
{
    return row->way != WIRE_WAY_DOWN;
}

/* Nobody waits for the answers. */
static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    (void)reply;
    free(call);
}

static void send_raw(const struct wire_row *row, size_t size_bytes)
{
    const struct iovec part = {message, size_bytes};
    struct xp_call *call;

    switch (row->way) {
    case WIRE_WAY_POST:
        (void)!xp_post(rig.conn, row->op, &part, 1, NULL);
        break;
    case WIRE_WAY_CALL:
        call = calloc(1, sizeof(*call));
        if (!call)
            abort();
        call->done = call_done;
        if (xp_call_start(rig.conn, row->op, &part, 1, call) != FAB_OK)
            free(call);
        break;
    case WIRE_WAY_UP:
    case WIRE_WAY_DOWN:
        (void)!xp_signal(rig.conn, row->op, &part, 1);
        break;
    }
}

/* What does not decode ends the session, whatever it is. */
static void test_malformed_messages(void)
{
    for (size_t i = 0; i < wire_row_count; i++) {
        const struct wire_row *row = &wire_rows[i];

        if (!is_from_client(row))
            continue;
        CHECK_CASE("%s", row->name);
        rig_open(&rig, false);
        rig_world(&rig);
        memset(message, 0xff, sizeof(message));
        send_raw(row, row->fixed_bytes + 8); /* too long, and its tails are too many */
        xp_flush(rig.conn);
        rig_wait_ended(&rig);
        rig_close(&rig);
    }
}

static void test_wrong_kinds(void)
{
    static const struct {
        const char *label;
        struct wire_row row;
        bool before_hello;
    } cases[] = {
        {"before hello", {.op = WIRE_STATS, .way = WIRE_WAY_CALL}, true},
        {"unknown post", {.op = 9999, .way = WIRE_WAY_POST}, false},
        {"unknown call", {.op = 159, .way = WIRE_WAY_CALL}, false},
        {"unknown signal", {.op = 9999, .way = WIRE_WAY_UP}, false},
        {"a call as a post", {.op = WIRE_STATS, .way = WIRE_WAY_POST}, false},
        {"a post as a call",
         {.op = WIRE_STREAM_DESTROY, .way = WIRE_WAY_CALL, .fixed_bytes = 8},
         false},
        {"a signal as a post", {.op = WIRE_HOLD, .way = WIRE_WAY_POST, .fixed_bytes = 8}, false},
        {"the worker's own", {.op = WIRE_TEXT, .way = WIRE_WAY_POST, .fixed_bytes = 8}, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        rig_open(&rig, false);
        if (!cases[i].before_hello)
            rig_world(&rig);
        memset(message, 0, sizeof(message));
        send_raw(&cases[i].row, cases[i].row.fixed_bytes);
        xp_flush(rig.conn);
        rig_wait_ended(&rig);
        rig_close(&rig);
    }
}

/* Numbers that mean something more often than chance would have it. */
static uint32_t pick(uint32_t *seed)
{
    static const uint32_t liked[] = {0,        0,          1,          2,     4,       RIG_CTX,
                                     RIG_CTX,  RIG_STREAM, RIG_STREAM, 300,   400,     512,
                                     2u << 20, 0x2000,     0x1800,     65536, 1000000, UINT32_MAX};

    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 31 ? (*seed >> 4) & 0xffff : liked[(*seed >> 8) % FAB_ARRAY_LEN(liked)];
}

/* A well-formed message of random content; false: that took too many tries. */
static bool make_message(const struct wire_row *row, uint32_t *seed)
{
    for (int tries = 0; tries < 20; tries++) {
        for (size_t at = 0; at + 4 <= row->fixed_bytes; at += 4) {
            const uint32_t word = pick(seed);

            memcpy((uint8_t *)message + at, &word, sizeof(word));
        }
        if (row->check(message, row->fixed_bytes))
            return true;
    }
    return false;
}

/* Where the session ends for what is asked of it, a new one begins. */
static void test_storms(void)
{
    uint32_t seed = 20;

    for (int storm = 0; storm < STORMS; storm++) {
        CHECK_CASE("storm %d", storm);
        rig_open(&rig, false);
        rig_world(&rig);
        CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
        for (int i = 0; i < MESSAGES && !rig_has_ended(&rig); i++) {
            const struct wire_row *row = &wire_rows[pick(&seed) * 7 % wire_row_count];

            if (is_from_client(row) && make_message(row, &seed))
                send_raw(row, row->fixed_bytes);
        }
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_malformed_messages),
                                       CHECK_TEST(test_wrong_kinds), CHECK_TEST(test_storms)};

    support_devices(NULL, "2");
    return check_run(tests);
}
