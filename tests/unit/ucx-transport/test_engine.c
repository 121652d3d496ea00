/* SPDX-License-Identifier: Apache-2.0
 * Who is woken for a timer, for work and for a sleeper that leaves, and how often: an engine made
 * by hand, whose thread and helper sleep as the rows say. A ring is a system call of the caller's,
 * and a change of threads.
 */
#include <sys/eventfd.h>
#include <sys/timerfd.h>
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

static bool says(void *user)
{
    return *(const bool *)user;
}

static bool is_set(int timer_fd)
{
    struct itimerspec left = {.it_value.tv_nsec = 0};

    (void)timerfd_gettime(timer_fd, &left);
    return left.it_value.tv_sec > 0 || left.it_value.tv_nsec > 0;
}

/* Who has slept on the wires leaves; the thread that has retired for it is called back by a timer,
 * unless somebody sleeps there again before. */
static void test_return(void)
{
    static struct xp_node node = {.canary_fd = -1};
    const uint64_t one = 1;
    bool is_done = true;
    struct xp_engine engine = {.node = &node,
                               .control = true,
                               .timer_ns = UINT64_MAX,
                               .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                               .help_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                               .return_fd =
                                   timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};

    node.clock = fab_clock_real();
    CHECK_CASE("the thread was at work all the time");
    CHECK(xp_engine_help_sleep(&engine, says, &is_done));
    CHECK(!is_set(engine.return_fd));
    CHECK_CASE("it had retired");
    engine.retired = true;
    CHECK(xp_engine_help_sleep(&engine, says, &is_done));
    CHECK(is_set(engine.return_fd) || atomic_load(&engine.is_returning)); /* it may be over */
    CHECK_EQ(rings_of(engine.wake_fd), 0);
    CHECK_CASE("somebody sleeps again");
    engine.retired = false;
    is_done = false;
    CHECK_EQ(write(engine.help_fd, &one, sizeof(one)), sizeof(one));
    CHECK(xp_engine_help_sleep(&engine, says, &is_done));
    CHECK(!is_set(engine.return_fd) && !atomic_load(&engine.is_returning));
    (void)close(engine.wake_fd);
    (void)close(engine.help_fd);
    (void)close(engine.return_fd);
}

/* The helper has gone, and work comes before the timer is due (here it is never set). */
static void test_work_for_the_retired(void)
{
    static struct xp_node node = {.canary_fd = -1};
    struct xp_engine engine = {.node = &node,
                               .control = true,
                               .timer_ns = UINT64_MAX,
                               .has_sleeper = true,
                               .wake_fd = -1,
                               .help_fd = -1,
                               .return_fd = -1,
                               .numa_node = -1};
    struct fab_err err = {0};

    node.clock = fab_clock_real();
    fab_mutex_init(&node.lock);
    fab_list_init(&node.conns);
    CHECK_EQ(xp_engine_start(&engine, &err), FAB_OK);
    while (!atomic_load(&engine.retired))
        (void)usleep(100);
    atomic_store(&engine.has_sleeper, false);
    CHECK(atomic_load(&engine.asleep)); /* else nobody would ring */
    atomic_store(&engine.work, true);
    xp_engine_wake(&engine);
    while (atomic_load(&engine.work))
        (void)usleep(100);
    xp_engine_stop(&engine);
    xp_engine_fini(&engine);
    fab_mutex_fini(&node.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_rings), CHECK_TEST(test_return),
                                       CHECK_TEST(test_work_for_the_retired)};

    return check_run(tests);
}
