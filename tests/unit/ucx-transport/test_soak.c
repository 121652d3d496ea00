/* SPDX-License-Identifier: Apache-2.0
 * Random life on two rails: posts, calls, signals and transfers of random sizes in both directions
 * while links go silent, break and come back and frames are lost, repeated and overtaken. Nothing
 * may be lost, repeated, out of order or corrupted. Memory of a finished transfer is freed at once,
 * so the address sanitizer sees what lands late. Time is fake.
 *
 * XP_SOAK_SEED: the first seed (default 1); XP_SOAK_SEEDS: how many (default 30). A failure names
 * its seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "tests/support/check.h"

enum { STEPS = 400, TRANSFERS = 8, RAILS = 2, ARGS_MAX = 3000, BULK_MAX = 200000, CALLS = 64 };

struct transfer {
    bool busy, late; /* late: the receiver is not started yet */
    uint64_t id;
    uint32_t from; /* end that sends */
    size_t size_bytes;
    uint8_t *source, *target;
    struct rig_bulk ends[2]; /* sender, receiver */
};

struct side {
    struct rig_end end;
    uint64_t posted, signalled;      /* by this side */
    uint64_t got_posts, got_signals; /* from the other */
};

static struct world {
    struct rig rig;
    struct side sides[2];
    struct transfer transfers[TRANSFERS];
    struct rig_call calls[CALLS];
    bool call_used[CALLS];
    uint64_t random, next_id, copied, calls_done;
} world;

static uint64_t pick(uint64_t below)
{
    world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (world.random >> 33) % below;
}

/* Arguments follow from the message's count, so the receiver knows them. */
static size_t args_of(uint64_t count, uint8_t args[ARGS_MAX])
{
    size_t size_bytes = count * 7919 % 5 == 0 ? count * 31 % ARGS_MAX : count % 100;

    rig_fill(args, size_bytes, count);
    return size_bytes;
}

static void on_message(struct rig_end *end, const struct xp_message *message)
{
    struct side *side = end->user;
    uint8_t args[ARGS_MAX];
    uint64_t *count = message->kind == XP_SIGNAL ? &side->got_signals : &side->got_posts;
    size_t size_bytes;

    ++*count;
    CHECK_EQ(message->op, *count % XP_OP_MAX);
    CHECK_EQ(message->number >= *count, true);
    size_bytes = args_of(*count, args);
    if (CHECK_EQ(message->args_bytes, size_bytes))
        CHECK_MEM(message->args, args, size_bytes);
}

static void send_something(struct side *side, enum xp_message_kind kind)
{
    uint64_t *count = kind == XP_SIGNAL ? &side->signalled : &side->posted;
    uint8_t args[ARGS_MAX];
    struct iovec part = {.iov_base = args, .iov_len = args_of(*count + 1, args)};
    uint32_t op = (uint32_t)((*count + 1) % XP_OP_MAX);
    enum fab_status status = FAB_ERR_AGAIN;

    if (kind == XP_SIGNAL) {
        status = xp_signal(side->end.conn, op, &part, 1);
    } else if (kind == XP_POST) {
        status = xp_post(side->end.conn, op, &part, 1, NULL);
    } else {
        for (size_t i = 0; i < CALLS; i++) {
            if (world.call_used[i])
                continue;
            rig_call_init(&world.calls[i]);
            status = xp_call_start(side->end.conn, op, &part, 1, &world.calls[i].call);
            world.call_used[i] = status == FAB_OK;
            break;
        }
    }
    CHECK(status == FAB_OK || status == FAB_ERR_AGAIN);
    *count += status == FAB_OK;
}

/* ---------------------------------------------------------------- transfers */

static void start_end(struct transfer *t, bool sender)
{
    struct xp_bulk bulk = {.id = t->id,
                           .size_bytes = t->size_bytes,
                           .ops = &rig_bulk_ops,
                           .user = &t->ends[sender ? 0 : 1],
                           .base = sender ? t->source : t->target};
    struct xp_conn *conn = world.sides[sender ? t->from : 1 - t->from].end.conn;

    CHECK_EQ(sender ? xp_bulk_send(conn, &bulk, &t->ends[0].transfer, NULL)
                    : xp_bulk_receive(conn, &bulk, &t->ends[1].transfer, NULL),
             FAB_OK);
}

static void start_transfer(void)
{
    for (size_t i = 0; i < TRANSFERS; i++) {
        struct transfer *t = &world.transfers[i];

        if (t->busy)
            continue;
        *t = (struct transfer){.busy = true,
                               .late = pick(2) == 0,
                               .id = ++world.next_id,
                               .from = (uint32_t)pick(2),
                               .size_bytes = 1 + pick(pick(2) ? BULK_MAX : 3000)};
        t->source = malloc(t->size_bytes);
        t->target = malloc(t->size_bytes);
        if (!CHECK(t->source && t->target))
            return;
        rig_fill(t->source, t->size_bytes, t->id);
        start_end(t, true);
        if (!t->late)
            start_end(t, false);
        return;
    }
}

static void tend_transfers(bool start_late)
{
    for (size_t i = 0; i < TRANSFERS; i++) {
        struct transfer *t = &world.transfers[i];

        if (!t->busy)
            continue;
        if (t->late && (start_late || pick(4) == 0)) {
            t->late = false;
            start_end(t, false);
        }
        if (t->target && t->ends[1].done_count) {
            CHECK_EQ(t->ends[1].status, FAB_OK);
            CHECK_MEM(t->target, t->source, t->size_bytes);
            free(t->target);
            t->target = NULL;
        }
        if (!t->target && t->ends[0].done_count) {
            CHECK_EQ(t->ends[0].status, FAB_OK);
            free(t->source);
            world.copied += t->size_bytes;
            t->busy = false;
        }
    }
}

static void tend_calls(void)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (!world.call_used[i] || !world.calls[i].done_count)
            continue;
        CHECK_EQ(world.calls[i].done_count, 1);
        CHECK_EQ(world.calls[i].carried, FAB_OK);
        world.call_used[i] = false;
        world.calls_done++;
    }
}

/* ---------------------------------------------------------------- the run */

static void change_link(enum xp_loop_fate fate)
{
    static const char *const names[RAILS][2] = {{"c0", "a0"}, {"c1", "a1"}};
    uint64_t rail = pick(RAILS);

    xp_loop_set(world.rig.loop, names[rail][0], names[rail][1], fate);
}

static void heal(void)
{
    xp_loop_set(world.rig.loop, "c0", "a0", XP_LOOP_UP);
    xp_loop_set(world.rig.loop, "c1", "a1", XP_LOOP_UP);
}

static void one_step(void)
{
    struct side *side = &world.sides[pick(2)];

    switch (pick(12)) {
    case 0:
    case 1:
        for (uint64_t i = pick(40); i > 0; i--)
            send_something(side, XP_POST);
        break;
    case 2:
        send_something(&world.sides[0], XP_CALL);
        break;
    case 3:
        send_something(side, XP_SIGNAL);
        break;
    case 4:
    case 5:
    case 6:
        start_transfer();
        break;
    case 7:
        change_link(pick(2) ? XP_LOOP_SILENT : XP_LOOP_BROKEN);
        break;
    case 8:
        heal();
        break;
    case 9:
        xp_loop_set_after(world.rig.loop, "c0", "a0", 1 + pick(50),
                          pick(2) ? XP_LOOP_SILENT : XP_LOOP_BROKEN);
        break;
    default:
        rig_wait(&world.rig, pick(pick(10) ? 2 : 900) * RIG_MS);
        break;
    }
    rig_settle(&world.rig);
    tend_transfers(false);
    tend_calls();
}

static bool is_over(void *user)
{
    const struct side *sides = world.sides;
    bool over = sides[0].got_posts == sides[1].posted && sides[1].got_posts == sides[0].posted &&
                sides[0].got_signals == sides[1].signalled &&
                sides[1].got_signals == sides[0].signalled;

    (void)user;
    tend_transfers(true);
    tend_calls();
    for (size_t i = 0; i < TRANSFERS; i++)
        over = over && !world.transfers[i].busy;
    for (size_t i = 0; i < CALLS; i++)
        over = over && !world.call_used[i];
    return over;
}

static void live(uint64_t seed)
{
    struct xp_loop_script script = {.seed = seed,
                                    .delay_min_ns = 1000,
                                    .delay_max_ns = seed % 3 ? 100000 : 3000000,
                                    .drop_permille = seed % 2 ? 0 : 20,
                                    .duplicate_permille = seed % 2 ? 0 : 20,
                                    .reorder_permille = seed % 4 ? 0 : 50};
    struct xp_limits limits = rig_limits();

    CHECK_CASE("seed %llu", (unsigned long long)seed);
    memset(&world, 0, sizeof(world));
    world.random = seed;
    limits.window_calls = 128;
    limits.grace_ns = UINT64_C(100000000) * RIG_MS; /* outages are as long as the dice say */
    if (!CHECK(rig_init(&world.rig, 2, RAILS, &script)) ||
        !CHECK(rig_connect(&world.rig, 0, 1, &limits, &world.sides[0].end, &world.sides[1].end)))
        return;
    for (int s = 0; s < 2; s++) {
        world.sides[s].end.user = &world.sides[s];
        world.sides[s].end.on_message = on_message;
        world.sides[s].end.reply_at_once = true;
    }
    for (int i = 0; i < STEPS; i++)
        one_step();
    heal();
    xp_loop_set_after(world.rig.loop, "c0", "a0", 0, XP_LOOP_UP);
    CHECK(rig_run(&world.rig, is_over, NULL, UINT64_C(200000) * RIG_MS));
    CHECK_EQ(world.sides[0].end.losts + world.sides[1].end.losts, 0);
    CHECK(world.copied > 0);
    rig_fini(&world.rig);
    for (size_t i = 0; i < TRANSFERS; i++) {
        if (!world.transfers[i].busy)
            continue;
        free(world.transfers[i].source);
        free(world.transfers[i].target);
    }
}

static uint64_t setting(const char *name, uint64_t standard)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : standard;
}

static void test_soak(void)
{
    uint64_t first = setting("XP_SOAK_SEED", 1), count = setting("XP_SOAK_SEEDS", 30);
    uint64_t copied = 0, calls = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        live(seed);
        copied += world.copied;
        calls += world.calls_done;
    }
    (void)printf("seeds %llu to %llu: %llu MB copied, %llu calls\n", (unsigned long long)first,
                 (unsigned long long)(first + count - 1), (unsigned long long)(copied / 1000000),
                 (unsigned long long)calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_soak)};

    return check_run(tests);
}
