/* SPDX-License-Identifier: Apache-2.0
 * The transport over two real rails (rack.sh): both carry, one is cut, the peer is killed, a link
 * falls silent, a rail comes back. Run as `rack.sh run 2 test_rack_transport`.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/rack/rack_link.h"
#include "tests/support/check.h"

enum { MIB = 1 << 20, NS_PER_S = 1000000000, LIMIT_S = 40 };

static char netns[64];
static const struct ucx_place here = {.devices = {"rail0", "rail1"}, .spin_us = 20};

static bool open_at(const struct ucx_place *place, struct ucx_peer *peer, struct ucx_link *link)
{
    struct ucx_place there = *place;
    struct fab_err err = {0};

    there.netns = netns;
    CHECK_CASE("opening");
    if (!CHECK(ucx_peer_start(peer, &there)))
        return false;
    if (ucx_link_open(link, peer, place, &err))
        return true;
    CHECK_CASE("%s", err.text);
    CHECK(false);
    return false;
}

static bool open_pair(struct ucx_peer *peer, struct ucx_link *link)
{
    return open_at(&here, peer, link);
}

/* Waits for an event with a limit that only a defect reaches. */
static bool wait_for(bool (*holds)(struct ucx_link *link), struct ucx_link *link)
{
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + (uint64_t)LIMIT_S * NS_PER_S;

    while (!holds(link)) {
        if (fab_clock_now_ns(clock) > limit_ns)
            return false;
        (void)sched_yield();
    }
    return true;
}

static struct xp_conn_stats stats_of(struct ucx_link *link)
{
    struct xp_conn_stats stats;

    xp_conn_stats(link->conn, &stats);
    return stats;
}

static unsigned victim;         /* the rail that is cut */
static uint64_t victim_carried; /* chunks, before this transfer */

static uint64_t carried(struct ucx_link *link)
{
    struct xp_conn_stats stats = stats_of(link);

    return stats.rails[victim].sent_chunks + stats.rails[victim].received_chunks;
}

static bool victim_has_carried(struct ucx_link *link)
{
    return carried(link) >= victim_carried + 2;
}

static bool victim_is_down(struct ucx_link *link)
{
    return !stats_of(link).rails[victim].up;
}

static bool both_are_up(struct ucx_link *link)
{
    struct xp_conn_stats stats = stats_of(link);

    return stats.rails[0].up && stats.rails[1].up;
}

static bool is_silent(struct ucx_link *link)
{
    return link->silents > 0;
}

static bool is_lost(struct ucx_link *link)
{
    return link->losts > 0;
}

static bool control_is_up(struct ucx_link *link)
{
    return stats_of(link).up;
}

static void say_ms(const char *what, uint64_t since_ns)
{
    uint64_t took_ns = fab_clock_now_ns(fab_clock_real()) - since_ns;

    (void)printf("%s: %llu ms\n", what, (unsigned long long)(took_ns / 1000000));
}

/* ---------------------------------------------------------------- the tests */

static void test_both_rails_carry(void)
{
    enum { SIZE = 64 * MIB };
    uint8_t *bytes = malloc(SIZE);
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_conn_stats stats;

    if (!CHECK(bytes) || !open_pair(&peer, &link))
        return;
    CHECK_CASE("out");
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){1, SIZE, 11}));
    CHECK_CASE("in");
    CHECK(ucx_bulk(&link, false, bytes, &(struct ucx_bulk_args){2, SIZE, 12}));
    stats = stats_of(&link);
    for (int rail = 0; rail < 2; rail++) {
        CHECK_CASE("rail %d: sent %llu received %llu", rail,
                   (unsigned long long)stats.rails[rail].sent_bytes,
                   (unsigned long long)stats.rails[rail].received_bytes);
        CHECK(stats.rails[rail].sent_bytes > SIZE / 5);
        CHECK(stats.rails[rail].received_bytes > SIZE / 5);
    }
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    free(bytes);
}

/* A transfer with a rail cut in the middle, then the rail comes back; XP_RACK_ROUNDS times (2), on
 * each rail in turn. */
static void cut_in_the_middle(bool to_peer)
{
    enum { SIZE = 96 * MIB };
    const char *wish = getenv("XP_RACK_ROUNDS");
    unsigned long rounds = wish ? strtoul(wish, NULL, 10) : 2;
    uint8_t *bytes = malloc(SIZE);
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_reply reply;

    if (!CHECK(bytes) || !open_pair(&peer, &link))
        return;
    for (unsigned round = 0; round < rounds; round++) {
        struct ucx_flight flight;
        uint64_t cut_ns;

        CHECK_CASE("round %u %s", round, to_peer ? "out" : "in");
        victim = round % 2;
        victim_carried = carried(&link);
        ucx_bulk_start(&flight, &link, to_peer, bytes,
                       &(struct ucx_bulk_args){10 + round, SIZE, 21 + round});
        CHECK(wait_for(victim_has_carried, &link));
        CHECK(rack_set_link(victim, 2, false));
        cut_ns = fab_clock_now_ns(fab_clock_real());
        CHECK(ucx_bulk_wait(&flight));
        say_ms("cut to end of transfer", cut_ns);
        CHECK(wait_for(victim_is_down, &link));
        CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
        say_ms("cut to a call", cut_ns);
        CHECK(rack_set_link(victim, 2, true));
        cut_ns = fab_clock_now_ns(fab_clock_real());
        CHECK(wait_for(both_are_up, &link));
        say_ms("link to rail", cut_ns);
    }
    CHECK_EQ(link.losts, 0);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    free(bytes);
}

static void test_cut_while_sending(void)
{
    cut_in_the_middle(true);
}

static void test_cut_while_receiving(void)
{
    cut_in_the_middle(false);
}

static void test_silent_and_back(void)
{
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_reply reply;
    uint64_t cut_ns;

    if (!open_pair(&peer, &link))
        return;
    CHECK_CASE("both links fall silent while idle");
    CHECK(rack_set_link(0, 2, false));
    CHECK(rack_set_link(1, 2, false));
    cut_ns = fab_clock_now_ns(fab_clock_real());
    CHECK(wait_for(is_silent, &link));
    say_ms("silent noticed", cut_ns);
    CHECK_CASE("a call waits and is answered when a link is back");
    CHECK(rack_set_link(1, 2, true));
    cut_ns = fab_clock_now_ns(fab_clock_real());
    CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
    say_ms("link to answer", cut_ns);
    CHECK(wait_for(control_is_up, &link));
    CHECK_EQ(link.losts, 0);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    CHECK(rack_set_link(0, 2, true));
}

/* Both ends say that they are on one host, but sockets do not reach from one namespace to the
 * other: the rails stand by. */
static void test_host_wire_fails(void)
{
    enum { SIZE = 8 * MIB };
    const struct ucx_place place = {
        .devices = {"rail0", "rail1"}, .same_host = true, .spin_us = 20};
    uint8_t *bytes = malloc(SIZE);
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_conn_stats stats;

    if (!CHECK(bytes) || !open_at(&place, &peer, &link))
        return;
    CHECK_CASE("a transfer");
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){1, SIZE, 11}));
    stats = stats_of(&link);
    CHECK_EQ(stats.rail_count, 3);
    CHECK_EQ(stats.rails[0].up, false);
    CHECK(stats.rails[1].sent_bytes + stats.rails[2].sent_bytes == SIZE);
    CHECK_EQ(link.losts, 0);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
    free(bytes);
}

static void test_killed_peer(void)
{
    enum { SIZE = 256 * MIB };
    uint8_t *bytes = calloc(1, SIZE);
    struct ucx_peer peer;
    struct ucx_link link;
    struct ucx_flight flight;
    uint64_t kill_ns;

    if (!CHECK(bytes) || !open_pair(&peer, &link))
        return;
    CHECK_CASE("killed in the middle of a transfer");
    victim = 0;
    victim_carried = 0;
    ucx_bulk_start(&flight, &link, true, bytes, &(struct ucx_bulk_args){1, SIZE, 0});
    CHECK(wait_for(victim_has_carried, &link));
    kill_ns = fab_clock_now_ns(fab_clock_real());
    ucx_peer_kill(&peer);
    CHECK(wait_for(is_silent, &link));
    say_ms("killed noticed", kill_ns);
    CHECK_EQ(link.losts, 0); /* silence is no evidence (design D6) */
    xp_conn_condemn(link.conn, FAB_ERR_PEER_LOST, "the agent saw it end");
    for (int halves = 0; halves < 2;)
        halves += sem_wait(&flight.done) == 0;
    CHECK(wait_for(is_lost, &link));
    CHECK_EQ(flight.called, FAB_ERR_PEER_LOST);
    CHECK_EQ(flight.here, FAB_ERR_PEER_LOST);
    CHECK_EQ(link.lost_status, FAB_ERR_PEER_LOST);
    ucx_link_close(&link);
    free(bytes);
}

/* With "cut": the tests that cut a rail in mid-transfer. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_both_rails_carry),
        CHECK_TEST(test_silent_and_back),
        CHECK_TEST(test_host_wire_fails),
        CHECK_TEST(test_killed_peer),
    };
    const struct CMUnitTest cuts[] = {
        CHECK_TEST(test_cut_while_sending),
        CHECK_TEST(test_cut_while_receiving),
    };
    bool is_cut = argc > 1 && strcmp(argv[1], "cut") == 0;
    const char *run = getenv("RACK_RUN"), *reason = ucx_why_not();

    if (!run)
        check_skip("start me by tests/rack/rack.sh run 2");
    if (reason)
        check_skip("%s", reason);
    (void)snprintf(netns, sizeof(netns), "%s/2.net", run);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    return is_cut ? check_run(cuts) : check_run(tests);
}
