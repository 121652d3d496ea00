/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/link_ends.c - see link_ends.h.
 */
#include "tests/unit/fabricd/link_ends.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/check.h"

#define STEP_NS UINT64_C(500000000)

struct loop *end_loop;
uint64_t end_now_ns = 1000;

static unsigned rounds_left;
static bool (*is_done)(void);

/* ---- what an end is told ----------------------------------------------------------------------
 */

static void up(void *user, struct link *link, const char *peer)
{
    struct end *end = user;

    end->is_wrong |= end->link != link || end->ups > 0 || end->downs > 0;
    end->ups++;
    (void)snprintf(end->peer, sizeof(end->peer), "%s", peer);
}

static void message(void *user, struct link *link, const struct message *message)
{
    struct end *end = user;

    end->is_wrong |= end->link != link || end->ups == 0 || end->downs > 0;
    end->messages++;
    end->kind = message->kind;
    end->number = message->kind == MESSAGE_REQUEST_GONE ? message->gone_id : 0;
    if (end->then)
        end->then(end);
}

static void packet(void *user, struct link *link, uint32_t channel, const void *bytes, size_t count)
{
    struct end *end = user;

    end->is_wrong |= end->link != link || end->ups == 0 || end->downs > 0;
    end->packets++;
    end->channel = channel;
    end->packet_bytes = count;
    end->packet_first = *(const unsigned char *)bytes;
}

static void down(void *user, struct link *link, const struct fab_err *why)
{
    struct end *end = user;

    end->is_wrong |= end->link != link || end->downs > 0;
    end->downs++;
    end->why = *why;
    if (!end->keeps)
        end_close(end);
}

const struct link_ops end_ops = {.up = up, .message = message, .packet = packet, .down = down};

static void taking_up(void *user, struct link *link, const char *peer)
{
    struct end *end = user;

    end->link = link;
    link_set_ops(link, &end_ops, end);
    up(user, link, peer);
}

static void taking_down(void *user, struct link *link, const struct fab_err *why)
{
    struct end *end = user;

    end->link = link;
    down(end, link, why);
}

const struct link_ops end_taking_ops = {.up = taking_up, .down = taking_down};

/* ---- time -------------------------------------------------------------------------------------
 */

static uint64_t turn(void *user, uint64_t now_ns)
{
    (void)user;
    (void)link_turn(end_loop, end_now_ns);
    if (is_done) {
        if (is_done())
            loop_stop(end_loop);
        return UINT64_MAX;
    }
    if (rounds_left == 0)
        loop_stop(end_loop);
    else
        rounds_left--;
    return now_ns;
}

void ends_rounds(unsigned count)
{
    is_done = NULL;
    rounds_left = count;
    CHECK_EQ(loop_run(end_loop, NULL), FAB_OK);
}

void ends_until(bool (*done)(void))
{
    is_done = done;
    CHECK_EQ(loop_run(end_loop, NULL), FAB_OK);
}

static const struct end *asked_end;
static uint64_t wanted_number;

static bool has_number(void)
{
    return asked_end->number == wanted_number || asked_end->downs > 0;
}

void ends_until_number(struct end *end, uint64_t number)
{
    asked_end = end;
    wanted_number = number;
    ends_until(has_number);
    CHECK_EQ(end->number, number);
}

void ends_pass(uint64_t ns)
{
    while (ns > 0) {
        const uint64_t step_ns = ns < STEP_NS ? ns : STEP_NS;

        end_now_ns += step_ns;
        ns -= step_ns;
        ends_rounds(3);
    }
}

void ends_init(void)
{
    assert_int_equal(loop_create(&end_loop, NULL), FAB_OK);
    loop_set_turn(end_loop, turn, NULL);
}

void ends_fini(void)
{
    loop_destroy(end_loop);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void adopt(struct end *end, int fd, const char *name)
{
    *end = (struct end){0};
    assert_int_equal(link_adopt(end_loop, fd, name, &end_ops, end, &end->link, NULL), FAB_OK);
}

int end_raw(struct end *a)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    adopt(a, fds[0], "other");
    return fds[1];
}

void end_pair(struct end *a, struct end *b)
{
    adopt(b, end_raw(a), "one");
    ends_rounds(3);
    CHECK_EQ(a->ups, 1);
    CHECK_EQ(b->ups, 1);
}

void end_close(struct end *end)
{
    link_close(end->link);
    end->link = NULL;
}

void end_send_number(struct end *end, uint64_t number)
{
    const struct message message = {.kind = MESSAGE_REQUEST_GONE, .gone_id = number};

    CHECK(link_send(end->link, &message));
}
