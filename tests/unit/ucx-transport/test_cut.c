/* SPDX-License-Identifier: Apache-2.0
 * Every leg is cut at every step: a client and two workers exchange commands, replies, signals and
 * transfers (client to worker, back, and worker to worker on a ticket). The scenario runs once
 * whole to count what crosses each link; then again for each link, each kind of cut and each count.
 * In every run everything happens exactly once and all contents agree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "tests/support/check.h"

/* More than 1 under the thread sanitizer: all happens in one thread, where the others look at each.
 */
#ifndef CUT_STRIDE
#define CUT_STRIDE 1
#endif

enum { C, A, B, LINKS = 3, POSTS = 24, CALLS = 3, SIGNALS = 4, BULKS = 6, BULK_BYTES = 30000 };

static const struct {
    uint32_t from, to; /* nodes */
} bulk_ways[BULKS] = {{C, A}, {A, C}, {C, B}, {B, C}, {A, B}, {B, A}};

/* The connections: who dials. */
static const struct {
    uint32_t one, other;
    const char *names[2];
} conns[LINKS] = {{C, A, {"c", "a"}}, {C, B, {"c", "b"}}, {A, B, {"a", "b"}}};

struct world {
    struct rig rig;
    struct rig_end ends[LINKS][2];
    struct rig_call calls[LINKS][CALLS];
    struct rig_bulk sends[BULKS], receives[BULKS];
    uint8_t source[BULKS][BULK_BYTES], target[BULKS][BULK_BYTES];
};

static struct world world;

static bool open_on_ticket(struct rig *rig, struct rig_end *one, struct rig_end *other);

static struct rig_end *end_of(uint32_t from, uint32_t to)
{
    for (int l = 0; l < LINKS; l++) {
        if (conns[l].one == from && conns[l].other == to)
            return &world.ends[l][0];
        if (conns[l].one == to && conns[l].other == from)
            return &world.ends[l][1];
    }
    return NULL;
}

static bool start_bulk(int i, bool sender)
{
    const uint32_t from = bulk_ways[i].from, to = bulk_ways[i].to;
    struct rig_bulk *end = sender ? &world.sends[i] : &world.receives[i];
    struct xp_bulk bulk = {.id = (uint64_t)i + 1,
                           .size_bytes = BULK_BYTES,
                           .ops = &rig_bulk_ops,
                           .user = end,
                           .base = sender ? world.source[i] : world.target[i]};

    rig_fill(world.source[i], BULK_BYTES, (uint64_t)i + 77);
    return (sender
                ? xp_bulk_send(end_of(from, to)->conn, &bulk, &end->transfer, NULL)
                : xp_bulk_receive(end_of(to, from)->conn, &bulk, &end->transfer, NULL)) == FAB_OK;
}

/* Every other receiver comes when chunks are on their way, so that they are held. */
static bool start_bulks(void)
{
    bool all = true;

    for (int i = 0; i < BULKS; i++)
        all = start_bulk(i, true) && (i % 2 == 1 || start_bulk(i, false)) && all;
    rig_wait(&world.rig, RIG_MS / 2);
    for (int i = 1; i < BULKS; i += 2)
        all = start_bulk(i, false) && all;
    return all;
}

static bool start_commands(void)
{
    bool all = true;

    for (int l = 0; l < LINKS; l++) {
        struct rig_end *one = &world.ends[l][0], *other = &world.ends[l][1];

        other->reply_at_once = true;
        for (uint32_t i = 0; i < POSTS; i++)
            all = xp_post(one->conn, i, NULL, 0, NULL) == FAB_OK && all;
        for (uint32_t i = 0; i < CALLS; i++) {
            uint8_t byte = (uint8_t)(100 + i);
            struct iovec part = {.iov_base = &byte, .iov_len = 1};

            rig_call_init(&world.calls[l][i]);
            all =
                xp_call_start(one->conn, POSTS + i, &part, 1, &world.calls[l][i].call) == FAB_OK &&
                all;
        }
        for (uint32_t i = 0; i < SIGNALS; i++)
            all = xp_signal(other->conn, 1000 + i, NULL, 0) == FAB_OK && all;
    }
    return all;
}

static bool all_done(void *user)
{
    (void)user;
    for (int i = 0; i < BULKS; i++) {
        if (!world.sends[i].done_count || !world.receives[i].done_count)
            return false;
    }
    for (int l = 0; l < LINKS; l++) {
        if (world.ends[l][0].message_count < SIGNALS ||
            world.ends[l][1].message_count < POSTS + CALLS)
            return false;
        for (int i = 0; i < CALLS; i++) {
            if (!world.calls[l][i].done_count)
                return false;
        }
    }
    return true;
}

static void check_end(void)
{
    for (int i = 0; i < BULKS; i++) {
        CHECK_EQ(world.sends[i].done_count, 1);
        CHECK_EQ(world.receives[i].done_count, 1);
        CHECK_EQ(world.sends[i].status, FAB_OK);
        CHECK_EQ(world.receives[i].status, FAB_OK);
        CHECK_MEM(world.target[i], world.source[i], BULK_BYTES);
    }
    for (int l = 0; l < LINKS; l++) {
        const struct rig_end *one = &world.ends[l][0], *other = &world.ends[l][1];

        CHECK_EQ(other->message_count, POSTS + CALLS);
        for (uint32_t i = 0; i < POSTS; i++)
            CHECK_EQ(other->messages[i], i);
        for (uint32_t i = 0; i < CALLS; i++) {
            CHECK_EQ(other->messages[POSTS + i], (POSTS + i) | (uint64_t)(100 + i) << 32);
            CHECK_EQ(world.calls[l][i].done_count, 1);
            CHECK_EQ(world.calls[l][i].carried, FAB_OK);
            CHECK_EQ(world.calls[l][i].result, POSTS + i);
            CHECK_EQ(world.calls[l][i].bytes[0], 100 + i);
        }
        CHECK_EQ(one->message_count, SIGNALS);
        for (uint32_t i = 0; i < SIGNALS; i++)
            CHECK_EQ(one->messages[i], 1000 + i);
        CHECK_EQ(one->losts + other->losts, 0);
    }
}

/* The first memory that a transfer used is given to somebody else the moment it is done: whatever
 * still writes there shows in check_end() of the next use. Here simply: it must stay as it is. */
static void check_nothing_lands_late(void)
{
    static uint8_t kept[BULKS][BULK_BYTES];

    memset(world.target, 0xee, sizeof(world.target));
    memset(kept, 0xee, sizeof(kept));
    rig_wait(&world.rig, UINT64_C(5000) * RIG_MS);
    CHECK_MEM(world.target, kept, sizeof(kept));
}

struct cut {
    uint32_t link, rail;
    enum xp_loop_fate fate;
    uint64_t after;
};

static void link_names(uint32_t link, uint32_t rail, char names[2][16])
{
    for (int i = 0; i < 2; i++)
        (void)snprintf(names[i], 16, "%s%u", conns[link].names[i], rail);
}

/* One run; false: it could not be set up or did not end. */
static bool run(uint32_t rail_count, const struct xp_loop_script *script, const struct cut *cut)
{
    char names[2][16] = {{0}};
    bool ok;

    memset(&world, 0, sizeof(world));
    ok = rig_init(&world.rig, 3, rail_count, script) &&
         rig_connect(&world.rig, C, A, NULL, &world.ends[0][0], &world.ends[0][1]) &&
         rig_connect(&world.rig, C, B, NULL, &world.ends[1][0], &world.ends[1][1]) &&
         open_on_ticket(&world.rig, &world.ends[2][0], &world.ends[2][1]);
    if (ok && cut) {
        link_names(cut->link, cut->rail, names);
        xp_loop_set_after(world.rig.loop, names[0], names[1], cut->after, cut->fate);
    }
    ok = ok && start_commands() && start_bulks();
    if (ok && !rig_run(&world.rig, all_done, NULL, UINT64_C(3000) * RIG_MS)) {
        /* With one rail nothing can go on before the link is healed, which is within the grace. */
        if (cut)
            xp_loop_set(world.rig.loop, names[0], names[1], XP_LOOP_UP);
        ok = rig_run(&world.rig, all_done, NULL, UINT64_C(25000) * RIG_MS);
    }
    return ok;
}

static bool open_on_ticket(struct rig *rig, struct rig_end *one, struct rig_end *other)
{
    static uint8_t ticket[XP_TICKET_MAX_BYTES];
    struct xp_conn_config config = {.limits = rig_limits()};
    size_t ticket_bytes, address_bytes;
    const uint8_t *address = xp_node_address(rig->nodes[A], &address_bytes);

    config.handlers = rig_handlers();
    config.user = other;
    if (xp_ticket_issue(rig->nodes[B], &config, 99, address, address_bytes, ticket, &ticket_bytes,
                        &other->conn, NULL) != FAB_OK)
        return false;
    config.user = one;
    return xp_ticket_redeem(rig->nodes[A], &config, ticket, ticket_bytes, &one->conn, NULL) ==
           FAB_OK;
}

/* Delays make the steps distinct: without them a whole burst is one step. */
static const struct xp_loop_script delays = {
    .seed = 3, .delay_min_ns = 5000, .delay_max_ns = 60000};

static void cut_everywhere(uint32_t rail_count)
{
    uint64_t crossed[LINKS][RIG_RAILS_MAX];
    uint32_t runs = 0;

    CHECK_CASE("%u rails, whole", rail_count);
    CHECK(run(rail_count, &delays, NULL));
    check_end();
    for (uint32_t l = 0; l < LINKS; l++) {
        for (uint32_t r = 0; r < rail_count; r++) {
            char names[2][16];

            link_names(l, r, names);
            crossed[l][r] = xp_loop_delivered(world.rig.loop, names[0], names[1]);
            CHECK(crossed[l][r] > 10);
        }
    }
    rig_fini(&world.rig);
    for (struct cut cut = {0}; cut.link < LINKS; cut.link++) {
        for (cut.rail = 0; cut.rail < rail_count; cut.rail++) {
            for (int fate = XP_LOOP_SILENT; fate <= XP_LOOP_BROKEN; fate++) {
                cut.fate = (enum xp_loop_fate)fate;
                for (cut.after = 1; cut.after <= crossed[cut.link][cut.rail];
                     cut.after += CUT_STRIDE) {
                    CHECK_CASE("%u rails, link %s-%s rail %u %s after %u", rail_count,
                               conns[cut.link].names[0], conns[cut.link].names[1], cut.rail,
                               fate == XP_LOOP_SILENT ? "silent" : "broken", (unsigned)cut.after);
                    if (CHECK(run(rail_count, &delays, &cut))) {
                        check_end();
                        check_nothing_lands_late();
                    }
                    rig_fini(&world.rig);
                    runs++;
                }
            }
        }
    }
    (void)printf("%u rails: %u runs\n", rail_count, runs);
}

static void test_cut_one_of_two(void)
{
    cut_everywhere(2);
}

static void test_cut_all(void)
{
    cut_everywhere(1);
}

/* Lost, repeated and overtaking frames, 200 seeds. */
static void test_bad_wires(void)
{
    for (uint64_t seed = 1; seed <= 200; seed += CUT_STRIDE) {
        struct xp_loop_script script = {.seed = seed,
                                        .delay_min_ns = 5000,
                                        .delay_max_ns = 500000,
                                        .drop_permille = 50,
                                        .duplicate_permille = 100,
                                        .reorder_permille = 100};

        CHECK_CASE("seed %u", (unsigned)seed);
        if (CHECK(run(1 + (uint32_t)seed % 2, &script, NULL)))
            check_end();
        rig_fini(&world.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_cut_one_of_two),
        CHECK_TEST(test_cut_all),
        CHECK_TEST(test_bad_wires),
    };

    return check_run(tests);
}
