/* SPDX-License-Identifier: Apache-2.0
 * Who is woken for a timer, and for work, and how often: an engine made by hand, whose thread and
 * helper sleep as the rows say. A ring is a system call of the caller's, and a change of threads.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "ucx-transport/xp_int.h"

enum { EARLY = 500, LATE = 2000, ANOTHER = 7 };

struct row {
    const char *label;
    uint64_t thread_until_ns, helper_until_ns; /* it sleeps past timers until then; 0: not so */
    uint64_t timers[3];                        /* made one after the other; 0: no more */
    uint64_t runner;                           /* somebody is the engine until the timers are set */
    uint32_t helpers;
    bool asleep, has_sleeper, work;
    uint64_t thread_rings, helper_rings;
};

static const struct row rows[] = {
    {.label = "sleeps past it",
     .asleep = true,
     .thread_until_ns = 1000,
     .timers = {EARLY},
     .thread_rings = 1},
    {.label = "wakes before it", .asleep = true, .thread_until_ns = 1000, .timers = {LATE}},
    {.label = "stands by", .asleep = true, .timers = {EARLY}},
    {.label = "is awake", .timers = {EARLY}},
    {.label = "two timers, one ring",
     .asleep = true,
     .thread_until_ns = 1000,
     .timers = {EARLY, EARLY - 1, EARLY - 2},
     .thread_rings = 1},
    {.label = "the runner lets go, who sleeps is told",
     .asleep = true,
     .thread_until_ns = 1000,
     .runner = ANOTHER,
     .timers = {EARLY},
     .thread_rings = 1},
    {.label = "the runner lets go, who stands by is not",
     .asleep = true,
     .runner = ANOTHER,
     .timers = {EARLY}},
    {.label = "a helper sleeps past it",
     .has_sleeper = true,
     .helpers = 1,
     .helper_until_ns = 1000,
     .timers = {EARLY, EARLY - 1},
     .helper_rings = 1},
    {.label = "the helper, not the thread that sleeps, too",
     .asleep = true,
     .has_sleeper = true,
     .helpers = 1,
     .thread_until_ns = 1000,
     .helper_until_ns = 1000,
     .timers = {EARLY},
     .helper_rings = 1},
    {.label = "work wakes who stands by, once", .asleep = true, .work = true, .thread_rings = 1},
    {.label = "work, and a helper sleeps",
     .has_sleeper = true,
     .helpers = 1,
     .work = true,
     .helper_rings = 2},
    {.label = "work, and a helper is awake", .asleep = true, .helpers = 1, .work = true},
};

static uint64_t rings_of(int fd)
{
    uint64_t count = 0;

    (void)!read(fd, &count, sizeof(count)); /* nothing is there: none */
    return count;
}

static void test_rings(void)
{
    static struct xp_node node = {.canary_fd = -1};

    node.clock = fab_clock_real();
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct xp_engine engine = {.node = &node,
                                   .control = true,
                                   .timer_ns = UINT64_MAX,
                                   .runner = row->runner,
                                   .asleep = row->asleep,
                                   .has_sleeper = row->has_sleeper,
                                   .helpers = row->helpers,
                                   .thread_until_ns = row->thread_until_ns,
                                   .helper_until_ns = row->helper_until_ns,
                                   .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                   .help_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

        CHECK_CASE("%s", row->label);
        for (size_t t = 0; t < FAB_ARRAY_LEN(row->timers) && row->timers[t]; t++)
            xp_engine_timer(&engine, row->timers[t]);
        for (int twice = 0; row->work && twice < 2; twice++)
            xp_engine_wake(&engine);
        if (row->runner)
            xp_engine_let_go(&engine);
        CHECK_EQ(rings_of(engine.wake_fd), row->thread_rings);
        CHECK_EQ(rings_of(engine.help_fd), row->helper_rings);
        (void)close(engine.wake_fd);
        (void)close(engine.help_fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_rings)};

    return check_run(tests);
}
