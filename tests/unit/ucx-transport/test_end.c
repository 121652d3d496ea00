/* SPDX-License-Identifier: Apache-2.0
 * The end of a session is certain at both ends: whoever ends it, and after whichever frame of the
 * end the wire is lost, nothing of the session is left soon after the wire is back. Once whole, to
 * count the frames, then again for each of them and each kind of loss.
 */
#include "rig.h"
#include "tests/support/check.h"

enum { LOST_MS = 1000, FRAMES_MAX = 40 };

#define SOON_NS (UINT64_C(15000) * RIG_MS)

static struct rig rig;
static struct rig_end ends[2];
static uint64_t session;

static const struct end_row {
    const char *label;
    int by;         /* 0: the end that dials */
    bool condemned; /* or closed */
} end_rows[] = {
    {"closed by the initiator", 0, false},
    {"closed by the responder", 1, false},
    {"condemned by the initiator", 0, true},
    {"condemned by the responder", 1, true},
};

/* The id is free at both ends, and they serve as before. */
static void check_free(void)
{
    static struct rig_end again[2];

    again[0] = again[1] = (struct rig_end){0};
    rig_wait(&rig, SOON_NS);
    rig.next_session = session;
    CHECK(rig_connect(&rig, 0, 1, NULL, &again[0], &again[1]) &&
          rig_run_up(&rig, &again[0], &again[1]));
}

static bool set_up(void)
{
    ends[0] = ends[1] = (struct rig_end){0};
    if (!CHECK(rig_init(&rig, 2, 1, NULL)))
        return false;
    session = rig.next_session;
    if (!CHECK(rig_connect(&rig, 0, 1, NULL, &ends[0], &ends[1])) ||
        !CHECK(rig_run_up(&rig, &ends[0], &ends[1])))
        return false;
    rig_wait(&rig, 100 * RIG_MS); /* what came with the opening is through */
    return true;
}

/* The user at the other end closes what he hears is lost. */
static void end_it(const struct end_row *row, bool lost_meanwhile)
{
    if (row->condemned)
        xp_conn_condemn(ends[row->by].conn, FAB_ERR_DENIED, "the lease was revoked");
    else
        xp_conn_close(ends[row->by].conn);
    rig_wait(&rig, LOST_MS * RIG_MS);
    if (lost_meanwhile)
        xp_loop_set(rig.loop, "c0", "a0", XP_LOOP_UP);
    for (int e = 0; e < 2; e++) {
        if (e != row->by || row->condemned)
            xp_conn_close(ends[e].conn);
    }
}

static void check_ends(const struct end_row *row, bool heard)
{
    for (int e = 0; e < 2; e++)
        CHECK_EQ(ends[e].closeds, 1);
    if (heard) {
        CHECK_EQ(ends[1 - row->by].losts, 1);
        CHECK_EQ(ends[1 - row->by].lost_status,
                 row->condemned ? FAB_ERR_DENIED : FAB_ERR_CANCELLED);
    }
}

/* How many frames the end takes. */
static uint64_t count_frames(const struct end_row *row)
{
    uint64_t before, frames;

    CHECK_CASE("%s", row->label);
    if (!set_up())
        return 0;
    before = xp_loop_delivered(rig.loop, "c0", "a0");
    end_it(row, /* lost_meanwhile */ false);
    frames = xp_loop_delivered(rig.loop, "c0", "a0") - before;
    check_free();
    check_ends(row, /* heard */ true);
    rig_fini(&rig);
    return frames;
}

static void cut(const struct end_row *row, uint64_t after, enum xp_loop_fate fate)
{
    CHECK_CASE("%s, %s after %u frames", row->label, fate == XP_LOOP_BROKEN ? "broken" : "silent",
               (unsigned)after);
    if (!set_up())
        return;
    if (after == 0)
        xp_loop_set(rig.loop, "c0", "a0", fate);
    else
        xp_loop_set_after(rig.loop, "c0", "a0", after, fate);
    end_it(row, /* lost_meanwhile */ true);
    check_free();
    check_ends(row, /* heard: or closed before it could be */ false);
    rig_fini(&rig);
}

static void test_end(void)
{
    for (size_t r = 0; r < FAB_ARRAY_LEN(end_rows); r++) {
        uint64_t frames = count_frames(&end_rows[r]);

        CHECK(frames > 1 && frames < FRAMES_MAX);
        for (uint64_t after = 0; after <= frames; after++) {
            cut(&end_rows[r], after, XP_LOOP_SILENT);
            cut(&end_rows[r], after, XP_LOOP_BROKEN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_end)};

    return check_run(tests);
}
