/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_log.c - what a line holds, which lines are written, the rate limit.
 */
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

struct pipe_log {
    struct fab_log log;
    int ends[2];
    char text[4096];
};

static void open_log(struct pipe_log *pipe_log)
{
    CHECK_EQ(pipe2(pipe_log->ends, O_NONBLOCK), 0);
    CHECK_EQ(fab_log_init(&pipe_log->log, "demo", pipe_log->ends[1], NULL), FAB_OK);
}

/* What was written since the last call. */
static const char *taken(struct pipe_log *pipe_log)
{
    ssize_t got = read(pipe_log->ends[0], pipe_log->text, sizeof(pipe_log->text) - 1);

    pipe_log->text[got > 0 ? got : 0] = '\0';
    return pipe_log->text;
}

static void close_log(struct pipe_log *pipe_log)
{
    (void)close(pipe_log->ends[0]);
    (void)close(pipe_log->ends[1]);
}

static void test_lines(void)
{
    struct pipe_log out;
    char longer[3000];

    (void)unsetenv("FABRIC_LOG");
    open_log(&out);
    CHECK_CASE("text, then pairs");
    errno = 4711;
    fab_log_info(&out.log, "lease expired", "lease %d gpu %d", 42, 3);
    CHECK_EQ(errno, 4711);
    CHECK_HAS(taken(&out), "]: lease expired lease 42 gpu 3\n");
    CHECK_HAS(out.text, "Z info demo[");
    CHECK_CASE("text alone");
    fab_log_error(&out.log, "no room", "%s", "");
    CHECK_HAS(taken(&out), " error demo[");

    CHECK_CASE("a value cannot forge a line");
    fab_log_warn(&out.log, "odd name", "name %s", "a\n2026 error \x1b[31m");
    CHECK_HAS(taken(&out), "name a?2026 error ?[31m\n");
    CHECK_CASE("cut");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    fab_log_info(&out.log, "long", "value %s", longer);
    CHECK_EQ(strlen(taken(&out)), FAB_LOG_LINE_MAX_BYTES);
    CHECK_HAS(out.text, "xxx...\n");

    CHECK_CASE("no log");
    fab_log_error((struct fab_log *)NULL, "silent", "%d", 1);
    close_log(&out);
}

static int evaluated;

static int count_evaluation(void)
{
    return ++evaluated;
}

static void test_levels(void)
{
    static const struct {
        const char *word;
        bool error, info, debug, trace;
    } cases[] = {
        {"off", false, false, false, false}, {"error", true, false, false, false},
        {"warn", true, false, false, false}, {"info", true, true, false, false},
        {"debug", true, true, true, false},  {"trace", true, true, true, true},
        {"", true, true, false, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct pipe_log out;

        CHECK_CASE("FABRIC_LOG=%s", cases[i].word);
        (void)setenv("FABRIC_LOG", cases[i].word, 1);
        open_log(&out);
        evaluated = 0;
        fab_log_error(&out.log, "e", "n %d", count_evaluation());
        CHECK_EQ(*taken(&out) != '\0', cases[i].error);
        fab_log_info(&out.log, "i", "n %d", count_evaluation());
        CHECK_EQ(*taken(&out) != '\0', cases[i].info);
        fab_log_debug(&out.log, "d", "n %d", count_evaluation());
        CHECK_EQ(*taken(&out) != '\0', cases[i].debug);
        CHECK_EQ(evaluated, cases[i].error + cases[i].info + cases[i].debug);
        fab_log_trace(&out.log, "t", "n %d", count_evaluation());
#ifdef NDEBUG
        CHECK_EQ(*taken(&out), '\0'); /* compiled out */
#else
        CHECK_EQ(*taken(&out) != '\0', cases[i].trace);
#endif
        close_log(&out);
    }
}

static void test_unknown_level(void)
{
    struct fab_err err = {.status = FAB_OK};
    struct fab_log log;

    CHECK_CASE("unknown level");
    (void)setenv("FABRIC_LOG", "loud", 1);
    CHECK_EQ(fab_log_init(&log, "demo", 2, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "FABRIC_LOG: \"loud\" is not one of off, error");
    CHECK(fab_log_is_on(&log, FAB_LOG_INFO));
    (void)unsetenv("FABRIC_LOG");
}

static void test_limit(void)
{
    struct fab_log_limit limit = FAB_LOG_LIMIT(100);
    unsigned suppressed = 99;

    CHECK_CASE("rate limit");
    CHECK(fab_log_limit_pass(&limit, 1000, &suppressed));
    CHECK_EQ(suppressed, 0);
    CHECK(!fab_log_limit_pass(&limit, 1001, &suppressed));
    CHECK(!fab_log_limit_pass(&limit, 1099, &suppressed));
    CHECK(fab_log_limit_pass(&limit, 1100, &suppressed));
    CHECK_EQ(suppressed, 2);
    CHECK(fab_log_limit_pass(&limit, 5000, &suppressed));
    CHECK_EQ(suppressed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_lines),
        CHECK_TEST(test_levels),
        CHECK_TEST(test_unknown_level),
        CHECK_TEST(test_limit),
    };

    return check_run(tests);
}
