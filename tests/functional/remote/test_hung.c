/* SPDX-License-Identifier: Apache-2.0
 * A process is stopped, not ended: a worker for less and for longer than the grace period, and the
 * program itself, as a debugger or a terminal does.
 * Run as `remote-run --workers 2 --grace 3s test_hung` and, with the usual grace period, which a
 * busy machine does not use up, `remote-run --workers 2 test_hung paused`; by shared memory and by
 * rails.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { WORKERS = 2, GRACE_S = 3, AFTER = 3 };

static struct remote_gpu gpu, other;

static void open_both(void)
{
    remote_gpu_open(&other, 1);
    remote_gpu_open(&gpu, 0);
}

/* Until the parent has done what it does, and a little longer. */
static int work_on(void *arg)
{
    int rounds = AFTER;

    (void)arg;
    open_both();
    remote_tell();
    while (rounds > 0) {
        if (!remote_expect("work", remote_gpu_try(&gpu), CUDA_SUCCESS))
            return 1;
        if (remote_is_let_go())
            rounds--;
    }
    return 0;
}

static int work_till_lost(void *arg)
{
    CUresult result;
    bool holds;

    (void)arg;
    open_both();
    remote_tell();
    do
        result = remote_gpu_try(&gpu);
    while (result == CUDA_SUCCESS);
    holds = remote_expect("the hung worker's", result, CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= remote_expect("the other", remote_gpu_try(&other), CUDA_SUCCESS);
    return holds ? 0 : 1;
}

static bool start(struct remote_child *child, int (*fn)(void *arg), pid_t *workers)
{
    remote_child_start(child, fn, NULL);
    return CHECK(remote_heard(child)) && CHECK_EQ(remote_workers(workers), WORKERS);
}

static void finish(struct remote_child *child)
{
    CHECK_EQ(remote_child_end(child), 0);
    CHECK(remote_workers_wait(0));
}

static void test_for_a_while(void)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    struct remote_child child;

    CHECK_CASE("a worker is stopped for less than the grace period");
    if (!start(&child, work_on, workers))
        return;
    (void)kill(workers[0], SIGSTOP);
    CHECK(remote_child_says(&child, "node1 does not answer"));
    (void)kill(workers[0], SIGCONT);
    CHECK(remote_child_says(&child, "node1 answers again"));
    finish(&child);
}

static void test_for_good(void)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    struct remote_child child;

    CHECK_CASE("a worker is stopped for good");
    if (!start(&child, work_till_lost, workers))
        return;
    (void)kill(workers[0], SIGSTOP);
    finish(&child); /* the broker kills it */
    CHECK_HAS(child.error_text, "the GPUs of node1 are lost");
}

/* Two grace periods pass; nothing else tells that. */
static void let_time_pass(void)
{
    struct timespec now, end;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)2 * GRACE_S;
    do {
        (void)poll(NULL, 0, 10);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
}

static void test_program(void)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    struct remote_child child;

    CHECK_CASE("the program is stopped for longer than the grace period");
    if (!start(&child, work_on, workers))
        return;
    (void)kill(child.pid, SIGSTOP);
    let_time_pass();
    CHECK_EQ(remote_workers(workers), WORKERS);
    (void)kill(child.pid, SIGCONT);
    finish(&child);
    CHECK_STR(child.error_text, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest paused[] = {CHECK_TEST(test_for_a_while)};
    const struct CMUnitTest hung[] = {CHECK_TEST(test_for_good), CHECK_TEST(test_program)};

    if (!getenv("FABRIC_SOCKET"))
        check_skip("it runs under remote-run");
    return argc > 1 && strcmp(argv[1], "paused") == 0 ? check_run(paused) : check_run(hung);
}
