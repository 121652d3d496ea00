/* SPDX-License-Identifier: Apache-2.0
 * When a leg is held to be dead, by the fake clock: how long silence may last after a slow or a
 * quick dial, idle and with data in flight (design D7).
 */
#include "rig.h"
#include "tests/support/check.h"

static struct rig_end one, other;

static bool is_silent(void *user)
{
    return ((struct rig_end *)user)->silents > 0;
}

/* The dial takes `dial_ms`, then all is quick; after `idle_ms` the link says no more. */
static const struct silence_row {
    const char *label;
    uint64_t dial_ms, idle_ms;
    uint32_t posts; /* just before */
    uint64_t limit_ms;
} silence_rows[] = {
    {"quick dial, idle", 0, 5000, 0, 3000},      {"slow dial, idle", 900, 5000, 0, 3000},
    {"slow dial, young", 900, 20, 0, 3000},      {"slow dial, with data", 900, 20, 5, 2000},
    {"quick dial, with data", 0, 5000, 5, 2000},
};

static void test_silence(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(silence_rows); i++) {
        const struct silence_row *row = &silence_rows[i];
        struct rig_end *ends[] = {&one, &other};
        struct rig rig;

        one = other = (struct rig_end){0};
        CHECK_CASE("%s", row->label);
        if (!CHECK(rig_init(&rig, 2, 1, NULL)))
            return;
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
        if (!CHECK(rig_connect(&rig, 0, 1, NULL, &one, &other)))
            return;
        rig_wait(&rig, row->dial_ms * RIG_MS);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
        CHECK(rig_run_up(&rig, &one, &other));
        rig_wait(&rig, row->idle_ms * RIG_MS);
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_SILENT);
        for (uint32_t p = 0; p < row->posts; p++) {
            CHECK_EQ(xp_post(one.conn, p, NULL, 0, NULL), FAB_OK);
            CHECK_EQ(xp_post(other.conn, p, NULL, 0, NULL), FAB_OK);
        }
        for (int e = 0; e < 2; e++) {
            CHECK_CASE("%s, end %d", row->label, e);
            CHECK(rig_run(&rig, is_silent, ends[e], row->limit_ms * RIG_MS));
        }
        CHECK_EQ(one.losts + other.losts, 0);
        rig_fini(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_silence),
    };

    return check_run(tests);
}
