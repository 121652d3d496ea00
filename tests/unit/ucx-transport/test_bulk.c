/* SPDX-License-Identifier: Apache-2.0
 * Bulk transfers in detail: staging at both ends, digests, refusals, cancelling, memory types, the
 * balance of unequal rails, and data that land late.
 */
#include <string.h>

#include "rig.h"
#include "tests/support/check.h"

enum { BYTES = 50000, SLOTS = 8, FEW_SLOTS = 3 };

static struct rig_end one, other;
static uint8_t source[BYTES], target[BYTES];

static bool set_up(struct rig *rig, uint32_t rails, const struct xp_loop_script *script,
                   const struct xp_limits *limits)
{
    one = other = (struct rig_end){0};
    rig_fill(source, sizeof(source), 5);
    memset(target, 0, sizeof(target));
    return CHECK(rig_init(rig, 2, rails, script)) &&
           CHECK(rig_connect(rig, 0, 1, limits, &one, &other)) &&
           CHECK(rig_run_up(rig, &one, &other));
}

/* ---------------------------------------------------------------- staging */

/* One end that has few places; the test frees them by hand. */
struct staged {
    struct rig_bulk plain; /* first: rig_bulk's done() fits */
    uint8_t slots[SLOTS][4096];
    bool used[SLOTS];
    uint32_t slot_count;
    uint32_t slot_of_chunk[256];          /* slot + 1; 0: none */
    uint32_t waiting[256], waiting_count; /* landed chunks */
    uint32_t places, refusals;
    enum fab_status fail_with; /* place() says this at fail_at */
    uint32_t fail_at;
    bool sends;
    uint32_t digest_failures; /* so many chunks are asked for again */
};

static void staged_done(void *user, enum fab_status status)
{
    struct staged *staged = user;

    staged->plain.done_count++;
    staged->plain.status = status;
}

static enum fab_status staged_place(void *user, struct xp_chunk *chunk)
{
    struct staged *staged = user;

    if (staged->fail_with != FAB_OK && chunk->index == staged->fail_at)
        return staged->fail_with;
    if (staged->slot_of_chunk[chunk->index]) {
        chunk->address = staged->slots[staged->slot_of_chunk[chunk->index] - 1];
        memset(chunk->digest, (int)chunk->index, XP_DIGEST_BYTES);
        return FAB_OK;
    }
    for (uint32_t i = 0; i < staged->slot_count; i++) {
        if (staged->used[i])
            continue;
        staged->used[i] = true;
        staged->slot_of_chunk[chunk->index] = i + 1;
        staged->places++;
        chunk->address = staged->slots[i];
        if (staged->sends) {
            memcpy(staged->slots[i], source + chunk->offset, chunk->size_bytes);
            memset(chunk->digest, (int)chunk->index, XP_DIGEST_BYTES);
        }
        return FAB_OK;
    }
    staged->refusals++;
    return FAB_ERR_AGAIN;
}

static void staged_moved(void *user, const struct xp_chunk *chunk)
{
    struct staged *staged = user;
    uint32_t slot = staged->slot_of_chunk[chunk->index] - 1;

    staged->plain.moved_count++;
    if (staged->sends) {
        staged->used[slot] = false;
        xp_bulk_resume(staged->plain.transfer);
        return;
    }
    CHECK_EQ(chunk->digest[0], chunk->index);
    memcpy(target + chunk->offset, staged->slots[slot], chunk->size_bytes);
    staged->waiting[staged->waiting_count++] = chunk->index;
}

static const struct xp_bulk_ops staged_ops = {
    .place = staged_place, .moved = staged_moved, .done = staged_done};

/* What a device's copy engine would do some time later. */
static void consume_all(struct staged *staged)
{
    while (staged->waiting_count > 0) {
        uint32_t index = staged->waiting[--staged->waiting_count];
        bool again = staged->digest_failures > 0;

        staged->used[staged->slot_of_chunk[index] - 1] = false;
        staged->slot_of_chunk[index] = 0;
        if (again)
            staged->digest_failures--;
        xp_bulk_consumed(staged->plain.transfer, index, again ? FAB_ERR_AGAIN : FAB_OK);
        if (!staged->plain.done_count)
            xp_bulk_resume(staged->plain.transfer);
    }
}

static void run_staged(uint32_t digest_failures)
{
    static struct staged from, to;
    struct rig rig;
    struct xp_bulk bulk = {.id = 1, .size_bytes = BYTES, .ops = &staged_ops};
    struct xp_conn_stats stats;

    from = (struct staged){.sends = true, .slot_count = SLOTS};
    to = (struct staged){.digest_failures = digest_failures, .slot_count = FEW_SLOTS};
    if (!set_up(&rig, 2, NULL, NULL))
        return;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.plain.transfer, NULL), FAB_OK);
    bulk.user = &from;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.plain.transfer, NULL), FAB_OK);
    for (int turns = 0; turns < 1000 && !(from.plain.done_count && to.plain.done_count); turns++) {
        rig_wait(&rig, RIG_MS);
        consume_all(&to);
    }
    CHECK_EQ(from.plain.status, FAB_OK);
    CHECK_EQ(to.plain.status, FAB_OK);
    CHECK_EQ(from.plain.done_count, 1);
    CHECK_EQ(to.plain.done_count, 1);
    CHECK_MEM(target, source, BYTES);
    CHECK(to.refusals > 0);
    xp_conn_stats(one.conn, &stats);
    CHECK(stats.held_chunks > 0);
    CHECK_EQ(to.plain.moved_count, from.plain.moved_count + digest_failures);
    rig_fini(&rig);
}

static void test_staged(void)
{
    CHECK_CASE("plain");
    run_staged(0);
    CHECK_CASE("three digests wrong");
    run_staged(3);
}

/* ---------------------------------------------------------------- failures */

static void test_place_fails(void)
{
    for (int at_sender = 0; at_sender < 2; at_sender++) {
        static struct staged from, to;
        struct rig rig;
        struct xp_bulk bulk = {.id = 1, .size_bytes = 6000, .ops = &staged_ops};

        CHECK_CASE("at the %s", at_sender ? "sender" : "receiver");
        from = (struct staged){.sends = true, .fail_at = 2, .slot_count = SLOTS};
        to = (struct staged){.fail_at = 2, .slot_count = SLOTS};
        (at_sender ? &from : &to)->fail_with = FAB_ERR_DEVICE;
        if (!set_up(&rig, 2, NULL, NULL))
            return;
        bulk.user = &to;
        CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.plain.transfer, NULL), FAB_OK);
        bulk.user = &from;
        CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.plain.transfer, NULL), FAB_OK);
        for (int turns = 0; turns < 20; turns++) {
            rig_wait(&rig, RIG_MS);
            consume_all(&to); /* what had landed is still the user's */
        }
        CHECK_EQ(from.plain.done_count, 1);
        CHECK_EQ(to.plain.done_count, 1);
        CHECK_EQ(from.plain.status, FAB_ERR_DEVICE);
        CHECK_EQ(to.plain.status, FAB_ERR_DEVICE);
        CHECK_EQ(one.losts, 0);
        rig_fini(&rig);
    }
}

static void test_cancel(void)
{
    /* Who cancels, and whether the receiver comes only afterwards. */
    static const struct {
        const char *label;
        bool sender, late;
    } cases[] = {
        {"sender cancels", true, false},
        {"receiver cancels", false, false},
        {"sender cancels before the receiver is there", true, true},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct rig rig;
        struct rig_bulk from = {0}, to = {0};
        struct xp_bulk bulk = {.id = 1, .size_bytes = BYTES, .ops = &rig_bulk_ops};

        CHECK_CASE("%s", cases[i].label);
        if (!set_up(&rig, 1, NULL, NULL))
            return;
        bulk.base = source;
        bulk.user = &from;
        CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
        bulk.base = target;
        bulk.user = &to;
        if (!cases[i].late)
            CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
        if (cases[i].late)
            rig_wait(&rig, RIG_MS);
        xp_bulk_cancel(cases[i].sender ? from.transfer : to.transfer, FAB_ERR_DEVICE);
        rig_wait(&rig, 10 * RIG_MS);
        if (cases[i].late)
            CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
        rig_wait(&rig, 10 * RIG_MS);
        CHECK_EQ(from.done_count, 1);
        CHECK_EQ(to.done_count, 1);
        CHECK_EQ(from.status, FAB_ERR_DEVICE);
        CHECK_EQ(to.status, FAB_ERR_DEVICE);
        rig_fini(&rig);
    }
}

static void test_refusals(void)
{
    struct rig rig;
    struct rig_bulk from = {0}, to = {0};
    struct xp_transfer *kept = NULL;
    struct xp_bulk bulk = {
        .id = 1, .size_bytes = BYTES, .ops = &rig_bulk_ops, .base = source, .user = &from};
    struct xp_bulk empty = bulk, placeless = bulk;

    if (!set_up(&rig, 1, NULL, NULL))
        return;
    empty.size_bytes = 0;
    CHECK_EQ(xp_bulk_send(one.conn, &empty, &kept, NULL), FAB_ERR_INVALID);
    placeless.base = NULL;
    CHECK_EQ(xp_bulk_send(one.conn, &placeless, &kept, NULL), FAB_ERR_INVALID);
    CHECK(kept == NULL);
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &kept, NULL), FAB_ERR_EXISTS);
    CHECK(kept == NULL);

    CHECK_CASE("the ends disagree about the size");
    bulk.size_bytes = BYTES - 1;
    bulk.base = target;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
    rig_wait(&rig, 10 * RIG_MS);
    CHECK_EQ(from.status, FAB_ERR_PROTOCOL);
    CHECK_EQ(to.status, FAB_ERR_PROTOCOL);
    rig_fini(&rig);
}

static void test_session_ends(void)
{
    struct rig rig;
    struct rig_bulk from = {0}, to = {0};
    struct xp_bulk bulk = {
        .id = 1, .size_bytes = BYTES, .ops = &rig_bulk_ops, .base = source, .user = &from};

    if (!set_up(&rig, 2, NULL, NULL))
        return;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
    bulk.id = 2;
    bulk.base = target;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_BROKEN);
    xp_loop_set(rig.loop, "c1", "a1", XP_LOOP_BROKEN);
    rig_wait(&rig, UINT64_C(29000) * RIG_MS);
    CHECK_EQ(from.done_count + to.done_count, 0);
    CHECK_EQ(one.silents, 1);
    rig_wait(&rig, UINT64_C(2000) * RIG_MS);
    CHECK_EQ(from.done_count, 1);
    CHECK_EQ(to.done_count, 1);
    CHECK_EQ(from.status, FAB_ERR_TIMEOUT);
    CHECK_EQ(to.status, FAB_ERR_TIMEOUT);
    CHECK_EQ(one.lost_status, FAB_ERR_TIMEOUT);
    CHECK_EQ(one.losts + other.losts, 2);
    rig_fini(&rig);
}

/* ---------------------------------------------------------------- memory types */

static void test_memory_types(void)
{
    static const struct xp_loop_script direct = {.device_memory_mask = 1u << XP_MEMORY_DEVICE};

    for (int can = 0; can < 2; can++) {
        struct rig rig;
        struct rig_bulk from = {0}, to = {0};
        struct xp_bulk bulk = {.id = 1, .size_bytes = BYTES, .ops = &rig_bulk_ops};

        CHECK_CASE("rails %s device memory", can ? "take" : "do not take");
        if (!set_up(&rig, 2, can ? &direct : NULL, NULL))
            return;
        bulk.base = source;
        bulk.user = &from;
        CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
        bulk.base = target;
        bulk.user = &to;
        bulk.memory = XP_MEMORY_DEVICE;
        CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
        rig_wait(&rig, 10 * RIG_MS);
        CHECK_EQ(to.status, can ? FAB_OK : FAB_ERR_UNSUPPORTED);
        CHECK_EQ(from.status, can ? FAB_OK : FAB_ERR_UNSUPPORTED);
        CHECK_EQ(from.done_count + to.done_count, 2);
        if (can)
            CHECK_MEM(target, source, BYTES);
        rig_fini(&rig);
    }
}

/* ---------------------------------------------------------------- balance */

static bool bulk_is_done(void *user)
{
    return ((struct rig_bulk *)user)->done_count > 0;
}

/* Bytes a second over rails of these rates. */
static double measured_rate(const uint64_t *rates, uint32_t rails, size_t size_bytes,
                            uint32_t chunk_bytes)
{
    static uint8_t big[16 << 20], landed[16 << 20];
    struct rig rig;
    struct rig_bulk from = {0}, to = {0};
    struct xp_bulk bulk = {.id = 1, .size_bytes = size_bytes, .ops = &rig_bulk_ops};
    struct xp_limits limits = rig_limits();
    uint64_t start_ns, took_ns = 1;

    limits.chunk_bytes = chunk_bytes;
    if (!set_up(&rig, rails, NULL, &limits))
        return 0;
    for (uint32_t r = 0; r < rails; r++) {
        char here[] = {'c', (char)('0' + r), '\0'}, there[] = {'a', (char)('0' + r), '\0'};

        xp_loop_set_rate(rig.loop, here, there, rates[r]);
    }
    rig_fill(big, size_bytes, rails);
    bulk.base = big;
    bulk.user = &from;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
    bulk.base = landed;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
    start_ns = fab_clock_now_ns(&rig.clock.clock);
    if (CHECK(rig_run(&rig, bulk_is_done, &to, UINT64_C(10000) * RIG_MS)))
        took_ns = fab_clock_now_ns(&rig.clock.clock) - start_ns;
    CHECK_MEM(landed, big, size_bytes);
    rig_fini(&rig);
    return (double)size_bytes * 1e9 / (double)took_ns;
}

static void test_balance(void)
{
    static const uint64_t equal[] = {100000000, 100000000}, unequal[] = {100000000, 30000000};
    enum { SIZE = 4 << 20, CHUNK = 64 << 10 };
    double single = measured_rate(equal, 1, SIZE, CHUNK),
           both = measured_rate(equal, 2, SIZE, CHUNK);
    double mixed = measured_rate(unequal, 2, SIZE, CHUNK);

    CHECK_CASE("one %.1f, two %.1f, unequal %.1f MB/s", single / 1e6, both / 1e6, mixed / 1e6);
    CHECK(single > 0.98 * 100e6);
    CHECK(both > 1.9 * single);
    CHECK(mixed > 0.9 * 130e6);
}

/* ---------------------------------------------------------------- late data */

/* The sender gives a silent rail up long before the receiver does, and sends the chunk elsewhere
 * while its first landing is still open. */
static void late_landing(uint64_t cut_after)
{
    static const struct xp_loop_script slow = {
        .seed = 9, .delay_min_ns = 5000, .delay_max_ns = 60000};
    static uint8_t kept[BYTES];
    struct rig rig;
    struct rig_bulk from = {0}, to = {0};
    struct xp_bulk bulk = {.id = 1, .size_bytes = BYTES, .ops = &rig_bulk_ops};
    struct xp_limits limits = rig_limits();

    CHECK_CASE("silent after %u", (unsigned)cut_after);
    limits.stall_ns = limits.stall_first_ns = UINT64_C(400) * RIG_MS;
    one = other = (struct rig_end){0};
    memset(target, 0, sizeof(target));
    if (!CHECK(rig_init(&rig, 2, 2, &slow)) ||
        !CHECK(rig_connect_limits(&rig, 0, 1, &limits, /* other end */ NULL, &one, &other)) ||
        !CHECK(rig_run_up(&rig, &one, &other)))
        return;
    xp_loop_set_after(rig.loop, "c0", "a0", cut_after, XP_LOOP_SILENT);
    bulk.base = target;
    bulk.user = &to;
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &to.transfer, NULL), FAB_OK);
    bulk.base = source;
    bulk.user = &from;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &from.transfer, NULL), FAB_OK);
    CHECK(rig_run(&rig, bulk_is_done, &to, UINT64_C(4000) * RIG_MS));
    CHECK_EQ(to.status, FAB_OK);
    CHECK_MEM(target, source, BYTES);
    /* The memory is somebody else's now. */
    memset(target, 0xee, sizeof(target));
    memset(kept, 0xee, sizeof(kept));
    xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
    CHECK(rig_run(&rig, bulk_is_done, &from, UINT64_C(4000) * RIG_MS));
    rig_wait(&rig, UINT64_C(2000) * RIG_MS);
    CHECK_MEM(target, kept, BYTES);
    CHECK_EQ(from.done_count, 1);
    CHECK_EQ(to.done_count, 1);
    rig_fini(&rig);
}

static void test_late_landing(void)
{
    rig_fill(source, sizeof(source), 5);
    for (uint64_t n = 1; n <= 30; n++)
        late_landing(n);
}

/* Transfers of few chunks are cut finer, so that both rails have something. */
static void test_small_on_two(void)
{
    static const uint64_t equal[] = {100000000, 100000000};
    static const size_t sizes[] = {1 << 20, 3 << 20, 16 << 20};

    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        double single = measured_rate(equal, 1, sizes[i], 4 << 20);
        double both = measured_rate(equal, 2, sizes[i], 4 << 20);

        CHECK_CASE("%zu KiB: one %.1f, two %.1f MB/s", sizes[i] >> 10, single / 1e6, both / 1e6);
        CHECK(both > 1.7 * single);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_staged),   CHECK_TEST(test_place_fails),  CHECK_TEST(test_cancel),
        CHECK_TEST(test_refusals), CHECK_TEST(test_session_ends), CHECK_TEST(test_memory_types),
        CHECK_TEST(test_balance),  CHECK_TEST(test_small_on_two), CHECK_TEST(test_late_landing),
    };

    return check_run(tests);
}
