/* SPDX-License-Identifier: Apache-2.0
 * Programs that make life hard for a library inside them: signals at every moment, limits, and
 * descriptors that are closed by others.
 * Run as `remote-run --workers 2 test_odd`, by shared memory and by rails.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { ROUNDS = 100, TIMER_US = 500, DESCRIPTORS = 4096, STATUS = 7 };

static struct remote_gpu gpu, other;

static bool work(unsigned rounds)
{
    remote_gpu_open(&other, 1);
    remote_gpu_open(&gpu, 0);
    for (unsigned i = 0; i < rounds; i++)
        if (!remote_expect("work", remote_gpu_try(&gpu), CUDA_SUCCESS) ||
            !remote_expect("peer copy",
                           cuMemcpyPeer(other.memory, other.context, gpu.memory, gpu.context, 4096),
                           CUDA_SUCCESS) ||
            !remote_expect("the other", remote_gpu_try(&other), CUDA_SUCCESS))
            return false;
    return true;
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

/* Every blocking system call of this thread is interrupted, also while it attaches. */
static int with_a_timer(void *arg)
{
    const struct itimerval often = {{0, TIMER_US}, {0, TIMER_US}};
    const struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */

    (void)arg;
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0)
        return REMOTE_BROKEN;
    return work(ROUNDS) ? 0 : 1;
}

#ifndef SANITIZED /* the shadow of a sanitizer is larger */
static int with_little_space(void *arg)
{
    const struct rlimit limit = {UINT64_C(4) << 30, UINT64_C(4) << 30};

    (void)arg;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return REMOTE_BROKEN;
    return work(1) ? 0 : 1;
}
#endif

static int without_stdio(void *arg)
{
    (void)arg;
    (void)close(STDIN_FILENO);
    (void)close(STDOUT_FILENO);
    (void)close(STDERR_FILENO);
    return work(ROUNDS) ? 0 : 1;
}

/* As daemons do. The devices are lost then; what must not be is a hang, a crash, or a word of ours
 * in the file that has the number now. */
static int closes_everything(void *arg)
{
    enum { OWN_FILES = 200 };
    CUresult last = CUDA_SUCCESS;
    struct stat now;
    int own[OWN_FILES];

    (void)arg;
    remote_gpu_open(&gpu, 0);
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
        (void)close(fd);
    for (unsigned i = 0; i < OWN_FILES; i++)
        own[i] = memfd_create("own", MFD_CLOEXEC);
    for (unsigned i = 0; i < ROUNDS; i++)
        last = remote_gpu_try(&gpu);
    for (unsigned i = 0; i < OWN_FILES; i++) {
        if (fstat(own[i], &now) != 0 || now.st_size != 0)
            return REMOTE_BROKEN;
    }
    return remote_expect("work without descriptors", last, CUDA_ERROR_DEVICE_UNAVAILABLE) ? STATUS
                                                                                          : 1;
}

static int with_few_descriptors(void *arg)
{
    const struct rlimit limit = {64, 64};

    (void)arg;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return REMOTE_BROKEN;
    return work(ROUNDS) ? 0 : 1;
}

static const struct odd {
    const char *name;
    int (*run)(void *arg);
    int status;
} odds[] = {
    {"a timer", with_a_timer, 0},
#ifndef SANITIZED
    {"4 GiB of address space", with_little_space, 0},
#endif
    {"no stdin, stdout, stderr", without_stdio, 0},
    {"64 descriptors", with_few_descriptors, 0},
    {"closes everything", closes_everything, STATUS},
};

/* Over rails UCX itself may end a process whose sockets somebody else closed. */
static bool is_end_by_ucx(int status, const char *text)
{
    return status == 128 + SIGABRT && (strstr(text, "unable to modify event set") ||
                                       strstr(text, "ucs_event_set_wait() failed"));
}

static void test_odd_programs(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(odds); i++) {
        struct remote_child child;
        int status;

        CHECK_CASE("%s", odds[i].name);
        remote_child_start(&child, odds[i].run, NULL);
        status = remote_child_end(&child);
        if (odds[i].run != closes_everything || !is_end_by_ucx(status, child.error_text))
            CHECK_EQ(status, odds[i].status);
        if (odds[i].run != closes_everything)
            CHECK_STR(child.error_text, "");
        CHECK(remote_workers_wait(0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_odd_programs)};

    if (!getenv("FABRIC_SOCKET"))
        check_skip("it runs under remote-run");
    return check_run(tests);
}
