/* SPDX-License-Identifier: Apache-2.0
 * A link over a socket pair: order, bounds, garbage, silence, a peer that does not read, the end in
 * every callback. Rounds and time are the test's.
 */
#include "fabricd/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/link_ends.h"

enum { MANY = 1000, BIG_BYTES = 8 << 20, PIECE_BYTES = 7 };
#define SECOND_NS UINT64_C(1000000000)

static void write_raw(int fd, const void *bytes, size_t count)
{
    CHECK_EQ(send(fd, bytes, count, MSG_NOSIGNAL), count);
}

/* Frames that the link sent, as text; returns how many bytes. */
static size_t read_raw(int fd, char *to, size_t most)
{
    const ssize_t got = recv(fd, to, most - 1, MSG_DONTWAIT);

    to[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

static void put_frame(int fd, uint32_t length, uint32_t channel, const char *content)
{
    const uint32_t head[] = {__builtin_bswap32(length), __builtin_bswap32(channel)};

    write_raw(fd, head, sizeof(head));
    write_raw(fd, content, strlen(content));
}

/* ---- what goes well ---------------------------------------------------------------------------
 */

static uint64_t next_number;

static void expect_number(struct end *end)
{
    end->is_wrong |= end->number != next_number++;
}

static void test_messages(void)
{
    static char packet[LINK_PACKET_BYTES];
    struct end a, b;

    CHECK_CASE("messages and packets");
    end_pair(&a, &b);
    CHECK_STR(a.peer, "other");
    CHECK_STR(b.peer, "one");
    next_number = 0;
    b.then = expect_number;
    for (uint64_t i = 0; i < MANY; i++)
        end_send_number(&a, i);
    packet[0] = 42;
    CHECK(link_send_packet(a.link, 7, packet, sizeof(packet)));
    CHECK(link_send_packet(b.link, UINT32_MAX, packet, 1));
    ends_rounds(4);
    CHECK_EQ(b.messages, MANY);
    CHECK_EQ(b.packets, 1);
    CHECK_EQ(b.channel, 7);
    CHECK_EQ(b.packet_bytes, LINK_PACKET_BYTES);
    CHECK_EQ(b.packet_first, 42);
    CHECK_EQ(a.packets, 1);
    CHECK_EQ(a.channel, UINT32_MAX);
    CHECK_EQ(a.packet_bytes, 1);
    CHECK(!a.is_wrong && !b.is_wrong);
    end_close(&a);
    ends_rounds(2);
    CHECK_EQ(b.downs, 1);
    CHECK_EQ(b.why.status, FAB_ERR_PEER_LOST);
    CHECK_HAS(b.why.text, "one: closed by the peer");
    CHECK_EQ(a.downs, 0);
}

static void test_pieces(void)
{
    static const char frames[] = "\0\0\0\x13\0\0\0\0{\"kind\":\"ping\"}"
                                 "\0\0\0\x26\0\0\0\0{\"kind\":\"worker_stop\",\"channel\":5}"
                                 "\0\0\0\x06\0\0\0\x09xy";
    struct end a;
    const int fd = end_raw(&a);

    CHECK_CASE("frames in pieces");
    for (size_t at = 0; at < sizeof(frames) - 1; at += PIECE_BYTES) {
        const size_t left = sizeof(frames) - 1 - at;

        write_raw(fd, frames + at, left < PIECE_BYTES ? left : PIECE_BYTES);
        ends_rounds(2);
    }
    CHECK_EQ(a.downs, 0);
    CHECK_STR(a.why.text, "");
    CHECK_EQ(a.messages, 1);
    CHECK_EQ(a.kind, MESSAGE_WORKER_STOP);
    CHECK_EQ(a.packets, 1);
    CHECK_EQ(a.channel, 9);
    end_close(&a);
    (void)close(fd);
}

static void send_answer(struct end *end, size_t bytes)
{
    static struct message message = {.kind = MESSAGE_ANSWER};
    char *body = malloc(bytes);

    assert_non_null(body);
    memset(body, 'x', bytes);
    message.answer = (struct message_answer){
        .id = 1, .status = 200, .type = "text/plain", .body = body, .body_bytes = bytes};
    (void)link_send(end->link, &message);
    free(body);
}

static void test_big(void)
{
    struct end a, b;

    CHECK_CASE("a message that no socket takes at once");
    end_pair(&a, &b);
    send_answer(&a, BIG_BYTES);
    end_send_number(&a, 1);
    for (unsigned i = 0; i < MANY && b.messages < 2; i++)
        ends_rounds(1);
    CHECK_EQ(b.messages, 2);
    CHECK_EQ(b.number, 1);
    CHECK(!b.is_wrong && b.downs == 0);
    end_close(&a);
    end_close(&b);
}

static void test_before_up(void)
{
    struct end a;
    const int fd = end_raw(&a);
    char text[256];

    CHECK_CASE("sent before it is up");
    end_send_number(&a, 77);
    CHECK_EQ(read_raw(fd, text, sizeof(text)), 0);
    ends_rounds(2);
    CHECK(read_raw(fd, text, sizeof(text)) > 8);
    CHECK_HAS(text + 8, "77");
    end_close(&a);
    (void)close(fd);
}

/* ---- what breaks a bound ----------------------------------------------------------------------
 */

static void test_garbage(void)
{
    static const struct {
        const char *label;
        uint32_t length, channel;
        const char *content;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"HTTP", 0x47455420, 0x2f204854, "TP/1.1\r\n", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"a length below its own channel", 3, 0, "", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"an empty message", 4, 0, "", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"an empty packet", 4, 1, "", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"a message too long", LINK_MESSAGE_BYTES + 5, 0, "", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"a packet too long", LINK_PACKET_BYTES + 5, 1, "", FAB_ERR_PROTOCOL, "breaks a bound"},
        {"no JSON", 9, 0, "hello", FAB_ERR_PROTOCOL, "message:1"},
        {"an unknown kind", 19, 0, "{\"kind\":\"pong\"}", FAB_ERR_PROTOCOL, "unknown kind"},
        {"another version", 32, 0, "{\"kind\":\"hello\",\"version\":9}", FAB_ERR_VERSION,
         "versions 9 and 2"},
        {"a refusal", 40, 0, "{\"kind\":\"refuse\",\"reason\":\"go away\"}", FAB_ERR_DENIED,
         "other: refused: go away"},
        {"the end inside a frame", 100, 0, "{", FAB_ERR_PEER_LOST, "closed by the peer"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct end a;
        const int fd = end_raw(&a);
        char text[512];

        CHECK_CASE("%s", rows[i].label);
        put_frame(fd, rows[i].length, rows[i].channel, rows[i].content);
        (void)shutdown(fd, SHUT_WR);
        ends_rounds(4);
        CHECK_EQ(a.ups, 1);
        CHECK_EQ(a.messages + a.packets, 0);
        CHECK_EQ(a.downs, 1);
        CHECK_EQ(a.why.status, rows[i].status);
        CHECK_HAS(a.why.text, rows[i].part);
        /* It says why. */
        if (rows[i].status == FAB_ERR_PROTOCOL || rows[i].status == FAB_ERR_VERSION) {
            CHECK(read_raw(fd, text, sizeof(text)) > 8);
            CHECK_HAS(text + 8, "refuse");
            CHECK_HAS(text + 8, rows[i].part);
        }
        (void)close(fd);
    }
}

static void test_refuse(void)
{
    struct end a, b;

    CHECK_CASE("a refusal");
    end_pair(&a, &b);
    link_refuse(a.link, "another r730-1 is here");
    a.link = NULL;
    ends_rounds(2);
    CHECK_EQ(b.downs, 1);
    CHECK_EQ(b.why.status, FAB_ERR_DENIED);
    CHECK_STR(b.why.text, "one: refused: another r730-1 is here");
    CHECK_EQ(a.downs, 0);
}

static void test_not_sent(void)
{
    static struct message message = {.kind = MESSAGE_CHECKED}; /* no uuid */
    static char packet[LINK_PACKET_BYTES + 1];
    struct end a, b;

    CHECK_CASE("a message that cannot be written");
    end_pair(&a, &b);
    CHECK(!link_send(a.link, &message));
    CHECK_EQ(a.downs, 0); /* not in the call */
    CHECK(!link_send_packet(a.link, 1, packet, 1));
    ends_rounds(2);
    CHECK_EQ(a.downs, 1);
    CHECK_HAS(a.why.text, "uuid");
    CHECK_EQ(b.downs, 1);

    for (unsigned i = 0; i < 3; i++) {
        CHECK_CASE("a packet that cannot be, %u", i);
        end_pair(&a, &b);
        CHECK(!link_send_packet(a.link, i == 0 ? 0 : 1, packet,
                                i == 1   ? 0
                                : i == 2 ? sizeof(packet)
                                         : 1));
        ends_rounds(2);
        CHECK_EQ(a.downs, 1);
        CHECK_EQ(a.why.status, FAB_ERR_INVALID);
        CHECK_EQ(b.downs, 1);
        CHECK_EQ(b.packets, 0);
    }
}

static void test_slow_reader(void)
{
    struct end a;
    const int fd = end_raw(&a);

    CHECK_CASE("a peer that does not read");
    ends_rounds(2);
    for (unsigned i = 0; i < LINK_QUEUE_BYTES / BIG_BYTES + 1; i++)
        send_answer(&a, BIG_BYTES);
    CHECK_EQ(a.downs, 0);
    ends_rounds(2);
    CHECK_EQ(a.downs, 1);
    CHECK_EQ(a.why.status, FAB_ERR_LIMIT);
    CHECK_HAS(a.why.text, "does not read");
    (void)close(fd);
}

/* ---- silence ----------------------------------------------------------------------------------
 */

static void test_pings(void)
{
    struct end a, b;
    char text[256];
    int fd;

    CHECK_CASE("pings keep a link");
    end_pair(&a, &b);
    ends_pass(60 * SECOND_NS);
    CHECK_EQ(a.downs + b.downs, 0);
    CHECK_EQ(a.messages + b.messages, 0);
    end_close(&a);
    end_close(&b);

    CHECK_CASE("a ping after a second, and silence");
    fd = end_raw(&a);
    ends_rounds(2);
    ends_pass(SECOND_NS / 2);
    CHECK_EQ(read_raw(fd, text, sizeof(text)), 0);
    ends_pass(SECOND_NS);
    CHECK_EQ(read_raw(fd, text, sizeof(text)), 8 + strlen("{\"kind\":\"ping\"}"));
    CHECK_STR(text + 8, "{\"kind\":\"ping\"}");
    ends_pass(3 * SECOND_NS);
    CHECK_EQ(a.downs, 0);
    ends_pass(SECOND_NS);
    CHECK_EQ(a.downs, 1);
    CHECK_EQ(a.why.status, FAB_ERR_TIMEOUT);
    CHECK_HAS(a.why.text, "other: silent for 5 s");
    (void)close(fd);
}

static void test_stopped(void)
{
    struct end a;
    const int fd = end_raw(&a);

    CHECK_CASE("who was stopped itself reads first");
    ends_pass(SECOND_NS);
    put_frame(fd, 38, 0, "{\"kind\":\"worker_stop\",\"channel\":5}");
    end_now_ns += 100 * SECOND_NS;
    ends_rounds(2);
    CHECK_EQ(a.messages, 1);
    CHECK_EQ(a.downs, 0);

    CHECK_CASE("the time of a stop is one second of the peer's silence");
    end_now_ns += 100 * SECOND_NS;
    ends_rounds(2);
    ends_pass(3 * SECOND_NS);
    CHECK_EQ(a.downs, 0);
    ends_pass(SECOND_NS);
    CHECK_EQ(a.downs, 1);
    CHECK_HAS(a.why.text, "silent for 5 s");
    (void)close(fd);
}

/* A manager and its own agent, whose link is made once: no stop of their process may end it. */
static void test_stopped_together(void)
{
    struct end a, b;

    CHECK_CASE("both ends in a process that comes round every 10 s");
    end_pair(&a, &b);
    for (unsigned i = 0; i < 5; i++) {
        end_now_ns += 10 * SECOND_NS;
        ends_rounds(3);
    }
    CHECK_EQ(a.downs + b.downs, 0);
    end_close(&a);
    end_close(&b);
}

static void test_next_time(void)
{
    struct end a, b;

    CHECK_CASE("when to come again");
    CHECK_EQ(link_turn(end_loop, end_now_ns), UINT64_MAX);
    end_pair(&a, &b);
    CHECK_EQ(link_turn(end_loop, end_now_ns), end_now_ns + LINK_PING_NS);
    a.keeps = true;
    end_close(&b);
    ends_rounds(2);
    CHECK_EQ(a.downs, 1);
    CHECK_EQ(link_turn(end_loop, end_now_ns), UINT64_MAX);
    end_close(&a);
}

/* ---- the end in every callback ----------------------------------------------------------------
 */

static struct end *victim;

static void close_victim(struct end *end)
{
    (void)end;
    if (victim->link)
        end_close(victim);
}

static void test_close_in_call(void)
{
    struct end a, b, c, d;

    CHECK_CASE("it closes itself while more is there");
    end_pair(&a, &b);
    victim = &b;
    b.then = close_victim;
    end_send_number(&a, 1);
    end_send_number(&a, 2);
    ends_rounds(3);
    CHECK_EQ(b.messages, 1);
    CHECK_EQ(b.downs, 0);
    CHECK_EQ(a.downs, 1);

    CHECK_CASE("it closes another that is ready");
    end_pair(&a, &b);
    end_pair(&c, &d);
    victim = &d;
    b.then = close_victim;
    end_send_number(&a, 1);
    end_send_number(&c, 1);
    ends_rounds(3);
    CHECK_EQ(b.messages, 1);
    CHECK(d.messages <= 1);
    CHECK_EQ(d.downs, 0);
    CHECK_EQ(c.downs, 1);
    end_close(&a);
    end_close(&b);
}

static void close_victim_in_down(void *user, struct link *link, const struct fab_err *why)
{
    end_ops.down(user, link, why);
    close_victim(user);
}

static void test_close_in_turn(void)
{
    struct link_ops ops = end_ops;
    struct end a, c, d;
    const int fd = end_raw(&a);

    CHECK_CASE("in a turn, one that ends closes another");
    ops.down = close_victim_in_down;
    ends_rounds(2);
    end_pair(&c, &d);
    link_set_ops(a.link, &ops, &a);
    victim = &c;
    ends_pass(4 * SECOND_NS);
    CHECK_EQ(a.downs, 0);
    end_now_ns += SECOND_NS;
    (void)link_turn(end_loop, end_now_ns);
    CHECK_EQ(a.downs, 1);
    CHECK(!c.link);
    ends_rounds(3);
    CHECK_EQ(d.downs, 1);
    (void)close(fd);
}

static void test_close_with_queue(void)
{
    struct end a, b;

    CHECK_CASE("closed with data on the way");
    end_pair(&a, &b);
    for (uint64_t i = 0; i < 100; i++)
        end_send_number(&a, i);
    end_close(&a);
    ends_rounds(4);
    CHECK_EQ(b.messages, 100);
    CHECK_EQ(b.number, 99);
    CHECK_EQ(b.downs, 1);

    CHECK_CASE("closed with more than the socket takes");
    end_pair(&a, &b);
    end_send_number(&a, 1);
    send_answer(&a, BIG_BYTES);
    end_close(&a);
    ends_rounds(40);
    CHECK_EQ(b.messages, 1);
    CHECK_EQ(b.downs, 1);
    CHECK_HAS(b.why.text, "closed by the peer");

    CHECK_CASE("the peer said something and went");
    end_pair(&a, &b);
    end_send_number(&a, 4);
    end_close(&a);
    end_send_number(&b, 5); /* finds it gone; what it said is still read */
    CHECK_EQ(b.downs, 0);
    ends_rounds(3);
    CHECK_EQ(b.number, 4);
    CHECK_EQ(b.downs, 1);
}

static void test_no_memory(void)
{
    for (unsigned n = 1; n < 12; n++) {
        struct fab_fault_plan plan = {.site = "alloc", .fail_at = n};
        struct end a = {0}, b = {0};
        int fds[2];

        CHECK_CASE("memory fails at %u", n);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        fab_fault_arm(&plan);
        if (link_adopt(end_loop, fds[0], "b", &end_ops, &a, &a.link, NULL) != FAB_OK) {
            CHECK_EQ(plan.asked, n);
            CHECK_EQ(write(fds[0], "x", 1), -1); /* closed */
            a.link = NULL;
        }
        if (link_adopt(end_loop, fds[1], "a", &end_ops, &b, &b.link, NULL) != FAB_OK)
            b.link = NULL;
        ends_rounds(2);
        if (a.link)
            send_answer(&a, 100000);
        ends_rounds(3);
        fab_fault_arm(NULL);
        CHECK(!plan.fired || a.downs + b.downs > 0 || !a.link || !b.link);
        CHECK(plan.fired || b.messages == 1);
        end_close(&a);
        end_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_messages),
                                       CHECK_TEST(test_pieces),
                                       CHECK_TEST(test_big),
                                       CHECK_TEST(test_before_up),
                                       CHECK_TEST(test_garbage),
                                       CHECK_TEST(test_refuse),
                                       CHECK_TEST(test_not_sent),
                                       CHECK_TEST(test_slow_reader),
                                       CHECK_TEST(test_pings),
                                       CHECK_TEST(test_stopped),
                                       CHECK_TEST(test_stopped_together),
                                       CHECK_TEST(test_next_time),
                                       CHECK_TEST(test_close_in_call),
                                       CHECK_TEST(test_close_in_turn),
                                       CHECK_TEST(test_close_with_queue),
                                       CHECK_TEST(test_no_memory)};
    int status;

    ends_init();
    status = check_run(tests);
    ends_fini();
    return status;
}
