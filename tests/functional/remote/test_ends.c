/* SPDX-License-Identifier: Apache-2.0
 * A program ends in the middle of anything: its workers go, what they had is free again, and
 * nothing is said. And what forked children see.
 * Run as `remote-run --workers 2 --devices 2 test_ends`, by shared memory and by rails.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { DEVICES = 4, STATUS = 7, COPIES = 8 };

static uint64_t free_before[DEVICES];

/* ---- moments ---------------------------------------------------------------------------------
 * Each ends the process, and never returns success. */

static struct remote_gpu gpu, other;

static void open_both(void)
{
    remote_gpu_open(&other, DEVICES - 1);
    remote_gpu_open(&gpu, 0);
}

static FAB_NORETURN void stay_for_ever(void)
{
    for (;;)
        (void)pause();
}

static int at_a_launch(void *arg)
{
    (void)arg;
    open_both();
    remote_gpu_hold(&gpu);
    remote_gpu_hold(&other);
    return STATUS;
}

static void start_copies(void)
{
    void *pinned;

    open_both();
    remote_need(cuMemHostAlloc(&pinned, REMOTE_GPU_BYTES, 0), "cuMemHostAlloc");
    for (int i = 0; i < COPIES; i++) {
        remote_need(cuMemcpyHtoDAsync(gpu.memory, pinned, REMOTE_GPU_BYTES, gpu.stream), "in");
        remote_need(cuMemcpyDtoHAsync(pinned, gpu.memory, REMOTE_GPU_BYTES, gpu.stream), "out");
        remote_need(cuMemcpyPeerAsync(other.memory, other.context, gpu.memory, gpu.context,
                                      REMOTE_GPU_BYTES, gpu.stream),
                    "peer");
    }
}

static int at_copies(void *arg)
{
    (void)arg;
    start_copies();
    return STATUS;
}

static int at_copies_at_once(void *arg)
{
    (void)arg;
    start_copies();
    _exit(STATUS);
}

static void CUDA_CB tell_and_stay(void *arg)
{
    (void)arg;
    remote_tell();
    stay_for_ever();
}

static int at_a_callback(void *arg)
{
    (void)arg;
    open_both();
    remote_need(cuLaunchHostFunc(gpu.stream, tell_and_stay, NULL), "cuLaunchHostFunc");
    remote_stay(); /* the parent has heard it */
    return STATUS;
}

static void CUDA_CB end_here(void *arg)
{
    (void)arg;
    exit(STATUS);
}

static int in_a_callback(void *arg)
{
    (void)arg;
    open_both();
    remote_gpu_hold(&other);
    remote_need(cuLaunchHostFunc(gpu.stream, end_here, NULL), "cuLaunchHostFunc");
    (void)cuStreamSynchronize(gpu.stream);
    stay_for_ever();
}

static void *work_for_ever(void *arg)
{
    char bytes[4096] = "";

    (void)arg;
    (void)cuCtxSetCurrent(gpu.context);
    while (cuMemcpyHtoD(gpu.memory + 8192, bytes, sizeof(bytes)) == CUDA_SUCCESS &&
           remote_gpu_try(&gpu) == CUDA_SUCCESS)
        ;
    stay_for_ever();
}

static void *wait_for_ever(void *arg)
{
    (void)arg;
    (void)cuCtxSetCurrent(other.context);
    (void)cuStreamSynchronize(other.stream);
    stay_for_ever();
}

static void start_threads(void)
{
    pthread_t thread;

    open_both();
    remote_gpu_hold(&other);
    if (pthread_create(&thread, NULL, work_for_ever, NULL) != 0 ||
        pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        _exit(REMOTE_BROKEN);
    remote_need(cuCtxSetCurrent(gpu.context), "cuCtxSetCurrent");
    for (int i = 0; i < COPIES; i++)
        remote_need(cuMemsetD8(gpu.memory + 16384, 1, 4096), "cuMemsetD8");
}

static int beside_threads(void *arg)
{
    (void)arg;
    start_threads();
    return STATUS;
}

static int by_abort(void *arg)
{
    (void)arg;
    start_threads();
    abort();
}

static int by_exec(void *arg)
{
    (void)arg;
    start_threads();
    (void)execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
    return REMOTE_BROKEN;
}

static void *attach(void *arg)
{
    (void)arg;
    (void)cuInit(0);
    return NULL;
}

static int in_attach(void *arg)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    pthread_t thread;

    (void)arg;
    if (pthread_create(&thread, NULL, attach, NULL) != 0 || pthread_detach(thread) != 0)
        return REMOTE_BROKEN;
    while (remote_workers(workers) == 0)
        ;
    return STATUS;
}

static void last_calls(void)
{
    bool holds = remote_expect("in atexit: work", remote_gpu_try(&gpu), CUDA_SUCCESS);

    holds &= remote_expect("in atexit: cuMemFree", cuMemFree(gpu.memory), CUDA_SUCCESS);
    holds &= remote_expect("in atexit: cuModuleUnload", cuModuleUnload(gpu.module), CUDA_SUCCESS);
    holds &= remote_expect("in atexit: cuCtxSynchronize", cuCtxSynchronize(), CUDA_SUCCESS);
    if (!holds)
        _exit(1);
}

static int before_atexit(void *arg)
{
    (void)arg;
    if (atexit(last_calls) != 0)
        return REMOTE_BROKEN;
    open_both();
    remote_gpu_hold(&other);
    return STATUS;
}

static int after_atexit(void *arg)
{
    (void)arg;
    open_both();
    if (atexit(last_calls) != 0)
        return REMOTE_BROKEN;
    return STATUS;
}

static void last_attach(void)
{
    open_both();
    if (!remote_expect("the first call in atexit", remote_gpu_try(&gpu), CUDA_SUCCESS))
        _exit(1);
}

static int attach_in_atexit(void *arg)
{
    (void)arg;
    return atexit(last_attach) == 0 ? STATUS : REMOTE_BROKEN;
}

static const struct moment {
    const char *name;
    int (*run)(void *arg);
    int status;
    bool tells;
} moments[] = {
    {"a launch", at_a_launch, STATUS, false},
    {"copies", at_copies, STATUS, false},
    {"copies, _exit", at_copies_at_once, STATUS, false},
    {"a callback runs", at_a_callback, STATUS, true},
    {"exit in a callback", in_a_callback, STATUS, false},
    {"threads in calls", beside_threads, STATUS, false},
    {"abort", by_abort, 128 + SIGABRT, false},
    {"exec", by_exec, STATUS, false},
    {"attaching", in_attach, STATUS, false},
    {"atexit before cuInit", before_atexit, STATUS, false},
    {"atexit after cuInit", after_atexit, STATUS, false},
    {"cuInit in atexit", attach_in_atexit, STATUS, false},
};

static void test_exit(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(moments); i++) {
        struct remote_child child;

        CHECK_CASE("%s", moments[i].name);
        remote_child_start(&child, moments[i].run, NULL);
        if (moments[i].tells)
            CHECK(remote_heard(&child));
        CHECK_EQ(remote_child_end(&child), moments[i].status);
        CHECK_STR(child.error_text, "");
        CHECK(remote_workers_wait(0));
    }
}

/* ---- killed -----------------------------------------------------------------------------------
 */

static pid_t *orphan; /* shared with children */

/* Its child lives on and holds what descriptors it got. */
static int leave_a_child(void *arg)
{
    int (*run)(void *arg) = *(int (**)(void *))arg;

    (void)run(NULL);
    if (fork() == 0) {
        *orphan = getpid();
        remote_tell();
    }
    stay_for_ever();
}

static void test_killed(void)
{
    static int (*const runs[])(void *) = {at_a_launch, at_copies, beside_threads};

    for (size_t i = 0; i < FAB_ARRAY_LEN(runs); i++) {
        int (*run)(void *arg) = runs[i];
        struct remote_child child;

        CHECK_CASE("killed: %s", moments[i].name);
        remote_child_start(&child, leave_a_child, &run);
        CHECK(remote_heard(&child));
        (void)kill(child.pid, SIGKILL);
        CHECK_EQ(remote_child_end(&child), 128 + SIGKILL);
        CHECK_STR(child.error_text, "");
        CHECK(remote_workers_wait(0));
        CHECK_EQ(kill(*orphan, SIGKILL), 0); /* it did live */
        CHECK_EQ(waitpid(*orphan, NULL, 0), *orphan);
    }
}

/* ---- fork -------------------------------------------------------------------------------------
 */

static int see_nothing(void)
{
    CUdeviceptr at;
    CUcontext context;
    int count;
    bool holds = true;

    holds &= remote_expect("cuInit", cuInit(0), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("count", cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("current", cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("memory", cuMemAlloc(&at, 1 << 20), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("synchronise", cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("free", cuMemFree(gpu.memory), CUDA_ERROR_NOT_INITIALIZED);
    holds &= remote_expect("stream", cuStreamSynchronize(gpu.stream), CUDA_ERROR_NOT_INITIALIZED);
    return holds ? 0 : 1;
}

static bool child_sees_nothing(void)
{
    int status = 1;
    pid_t child = fork();

    if (child == 0)
        exit(see_nothing()); /* destructors run, too */
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int fork_while_it_works(void *arg)
{
    (void)arg;
    start_threads();
    for (int i = 0; i < COPIES; i++)
        if (!child_sees_nothing() ||
            !remote_expect("the parent", cuMemsetD8(gpu.memory, 1, 4096), CUDA_SUCCESS))
            return 1;
    return 0;
}

/* Both have GPUs of their own. */
static int fork_before(void *arg)
{
    int status = 1;
    pid_t child = fork();

    (void)arg;
    open_both();
    if (!remote_expect("work", remote_gpu_try(&gpu), CUDA_SUCCESS))
        return 1;
    if (child == 0)
        return 0;
    return child > 0 && waitpid(child, &status, 0) == child ? status : 1;
}

static void test_fork(void)
{
    static int (*const runs[])(void *) = {fork_while_it_works, fork_before};

    for (size_t i = 0; i < FAB_ARRAY_LEN(runs); i++) {
        struct remote_child child;

        CHECK_CASE("fork %zu", i);
        remote_child_start(&child, runs[i], NULL);
        CHECK_EQ(remote_child_end(&child), 0);
        CHECK_STR(child.error_text, "");
        CHECK(remote_workers_wait(0));
    }
}

static void test_accounts(void)
{
    uint64_t now[DEVICES];

    CHECK_CASE("after all of it");
    CHECK(remote_free_bytes(now, DEVICES));
    CHECK_MEM(now, free_before, sizeof(now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_exit), CHECK_TEST(test_killed),
                                       CHECK_TEST(test_fork), CHECK_TEST(test_accounts)};

    if (!getenv("FABRIC_SOCKET"))
        check_skip("it runs under remote-run");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans are ours */
    orphan = mmap(NULL, sizeof(*orphan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (orphan == MAP_FAILED)
        return 1;
    if (!remote_free_bytes(free_before, DEVICES))
        check_skip("remote GPUs do not work here");
    return check_run(tests);
}
