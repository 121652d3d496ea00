/* SPDX-License-Identifier: Apache-2.0
 * A worker is killed while something is in flight: its devices say so, and go on saying it; the
 * other worker's devices go on; the user reads one line.
 * Run as `remote-run --workers 2 --devices 2 test_lost`, by shared memory and by rails.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { LOST = 0, BESIDE = 1, OTHER = 2, APART = 3, DEVICES = 4, COPIES = 8 };

/* What a child has: two devices of the worker that it loses, and two of another one. `other` may
 * have to do with the lost one. */
struct world {
    struct remote_gpu lost, beside, other, apart;
    CUevent event;
    sem_t in_callback, callback_goes;
    void *pinned;
    pthread_t copier;
    bool has_copier;
};

static uint64_t free_before[DEVICES];

/* ---- what is in flight ------------------------------------------------------------------------
 */

static void *pinned(struct world *world)
{
    if (!world->pinned)
        remote_need(cuMemHostAlloc(&world->pinned, REMOTE_GPU_BYTES, 0), "cuMemHostAlloc");
    return world->pinned;
}

static void fly_nothing(struct world *world)
{
    (void)world;
}

static void fly_launch(struct world *world)
{
    remote_gpu_hold(&world->lost);
}

static void fly_copies_in(struct world *world)
{
    for (int i = 0; i < COPIES; i++)
        remote_need(cuMemcpyHtoDAsync(world->lost.memory, pinned(world), REMOTE_GPU_BYTES,
                                      world->lost.stream),
                    "cuMemcpyHtoDAsync");
}

static void fly_copies_out(struct world *world)
{
    for (int i = 0; i < COPIES; i++)
        remote_need(cuMemcpyDtoHAsync(pinned(world), world->lost.memory, REMOTE_GPU_BYTES,
                                      world->lost.stream),
                    "cuMemcpyDtoHAsync");
}

/* A call that waits for its stream, as copies from memory that is not pinned may. */
static void *copy_pageable(void *arg)
{
    struct world *world = arg;
    void *bytes = calloc(1, REMOTE_GPU_BYTES);
    CUresult result;

    remote_need(cuCtxSetCurrent(world->lost.context), "cuCtxSetCurrent");
    do
        result = bytes ? cuMemcpyHtoDAsync(world->lost.memory, bytes, REMOTE_GPU_BYTES,
                                           world->lost.stream)
                       : CUDA_ERROR_OUT_OF_MEMORY;
    while (result == CUDA_SUCCESS);
    if (!remote_expect("a pageable copy", result, CUDA_ERROR_DEVICE_UNAVAILABLE))
        _exit(1);
    free(bytes);
    return NULL;
}

static void fly_pageable(struct world *world)
{
    remote_gpu_hold(&world->lost);
    if (pthread_create(&world->copier, NULL, copy_pageable, world) != 0)
        abort();
    world->has_copier = true;
}

static void CUDA_CB callback(void *arg)
{
    struct world *world = arg;

    (void)sem_post(&world->in_callback);
    while (sem_wait(&world->callback_goes) != 0)
        ;
}

static void fly_callback(struct world *world)
{
    remote_need(cuLaunchHostFunc(world->lost.stream, callback, world), "cuLaunchHostFunc");
    while (sem_wait(&world->in_callback) != 0)
        ;
}

/* The other worker waits for what will never come. */
static void fly_event(struct world *world)
{
    remote_need(cuEventCreate(&world->event, 0), "cuEventCreate");
    remote_gpu_hold(&world->lost);
    remote_need(cuEventRecord(world->event, world->lost.stream), "cuEventRecord");
    remote_need(cuCtxSetCurrent(world->other.context), "cuCtxSetCurrent");
    remote_need(cuStreamWaitEvent(world->other.stream, world->event, 0), "cuStreamWaitEvent");
}

static void fly_peer_out(struct world *world)
{
    for (int i = 0; i < COPIES; i++)
        remote_need(cuMemcpyPeerAsync(world->other.memory, world->other.context, world->lost.memory,
                                      world->lost.context, REMOTE_GPU_BYTES, world->lost.stream),
                    "cuMemcpyPeerAsync");
}

static void fly_peer_in(struct world *world)
{
    remote_gpu_hold(&world->lost);
    for (int i = 0; i < 2; i++)
        remote_need(cuMemcpyPeerAsync(world->lost.memory, world->lost.context, world->other.memory,
                                      world->other.context, REMOTE_GPU_BYTES, world->lost.stream),
                    "cuMemcpyPeerAsync");
}

struct flight {
    const char *name;
    void (*start)(struct world *world);
    bool may_end;      /* before the worker is killed */
    CUresult of_other; /* what the other device says */
};

static const struct flight flights[] = {
    {.name = "nothing", .start = fly_nothing, .may_end = true},
    {.name = "a launch", .start = fly_launch},
    {.name = "copies in", .start = fly_copies_in, .may_end = true},
    {.name = "copies out", .start = fly_copies_out, .may_end = true},
    {.name = "copies of pageable memory", .start = fly_pageable},
    {.name = "a callback", .start = fly_callback},
    {.name = "an event", .start = fly_event, .of_other = CUDA_ERROR_DEVICE_UNAVAILABLE},
    {.name = "peer copies out", .start = fly_peer_out, .may_end = true},
    {.name = "peer copies in", .start = fly_peer_in},
};

/* ---- the child --------------------------------------------------------------------------------
 */

static void *wait_in_call(void *arg)
{
    struct world *world = arg;

    remote_need(cuCtxSetCurrent(world->lost.context), "cuCtxSetCurrent");
    if (!remote_expect("a call that waits", cuStreamSynchronize(world->lost.stream),
                       CUDA_ERROR_DEVICE_UNAVAILABLE))
        _exit(1);
    return NULL;
}

/* Until the loss is known: with nothing in flight no call must know it at once. */
static CUresult lost_at_last(const struct remote_gpu *gpu)
{
    CUresult result;

    do
        result = remote_gpu_try(gpu);
    while (result == CUDA_SUCCESS);
    return result;
}

static bool sticks(struct world *world)
{
    CUdeviceptr at;
    bool holds = true;

    holds &= remote_expect("again", remote_gpu_try(&world->lost), CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= remote_expect("memory", cuMemAlloc(&at, 1 << 20), CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= remote_expect("the device beside", remote_gpu_try(&world->beside),
                           CUDA_ERROR_DEVICE_UNAVAILABLE);
    return holds;
}

/* Only who waits for what the lost device was to do hears of it. */
static bool goes_on(struct world *world, CUresult of_other)
{
    bool holds = true;
    CUdeviceptr at;

    holds &= remote_expect("the other device", remote_gpu_try(&world->other), of_other);
    holds &= remote_expect("the other's memory", cuMemAlloc(&at, 64 << 20), of_other);
    holds &= remote_expect("the device apart", remote_gpu_try(&world->apart), CUDA_SUCCESS);
    holds &= remote_expect("its memory", cuMemAlloc(&at, 64 << 20), CUDA_SUCCESS);
    return holds;
}

static int lose(void *arg)
{
    const struct flight *flight = arg;
    pid_t workers[REMOTE_WORKERS_MAX];
    static struct world world;
    pthread_t thread;
    bool is_waited = false, holds;

    (void)sem_init(&world.in_callback, 0, 0);
    (void)sem_init(&world.callback_goes, 0, 0);
    remote_gpu_open(&world.apart, APART);
    remote_gpu_open(&world.other, OTHER);
    remote_gpu_open(&world.beside, BESIDE);
    remote_gpu_open(&world.lost, LOST);
    if (remote_workers(workers) != 2)
        return REMOTE_BROKEN;
    flight->start(&world);
    if (!flight->may_end)
        is_waited = pthread_create(&thread, NULL, wait_in_call, &world) == 0;
    (void)kill(workers[0], SIGKILL);
    if (is_waited)
        (void)pthread_join(thread, NULL);
    if (world.has_copier)
        (void)pthread_join(world.copier, NULL);
    holds =
        remote_expect("the lost device", lost_at_last(&world.lost), CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= sticks(&world);
    holds &= goes_on(&world, flight->of_other);
    (void)sem_post(&world.callback_goes);
    return holds ? 0 : 1;
}

/* ---- the tests --------------------------------------------------------------------------------
 */

static unsigned lines(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void test_killed_worker(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(flights); i++) {
        struct flight flight = flights[i];
        struct remote_child child;

        CHECK_CASE("%s", flight.name);
        remote_child_start(&child, lose, &flight);
        CHECK_EQ(remote_child_end(&child), 0);
        CHECK_HAS(child.error_text, "node1");
        CHECK_EQ(lines(child.error_text), 1);
        if (lines(child.error_text) != 1)
            (void)printf("%s", child.error_text);
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

/* ---- while it attaches ------------------------------------------------------------------------
 */

static void *attach(void *arg)
{
    *(CUresult *)arg = cuInit(0);
    return NULL;
}

enum { TOO_LATE = 2, LOOKS_MAX = 1 << 16 };

/* The worker is killed some looks after it was seen: the attach fails, and the next one works. */
static int lose_in_attach(void *arg)
{
    const unsigned *looks = arg;
    pid_t workers[REMOTE_WORKERS_MAX];
    CUresult first = CUDA_SUCCESS;
    struct remote_gpu gpu;
    pthread_t thread;

    if (pthread_create(&thread, NULL, attach, &first) != 0)
        return REMOTE_BROKEN;
    while (remote_workers(workers) == 0)
        ;
    for (unsigned i = 0; i < *looks; i++)
        (void)remote_workers(workers);
    (void)kill(workers[0], SIGKILL);
    (void)pthread_join(thread, NULL);
    if (first == CUDA_SUCCESS)
        return TOO_LATE;
    if (!remote_expect("cuInit", first, CUDA_ERROR_SYSTEM_NOT_READY))
        return 1;
    remote_gpu_open(&gpu, LOST);
    return remote_expect("the second attach", remote_gpu_try(&gpu), CUDA_SUCCESS) ? 0 : 1;
}

/* At one moment after the other, until the program has its GPUs before. The words show that it was
 * the broker's news that ended the attach, and not a limit of time. */
static void test_attach(void)
{
    int status = 0;

    for (unsigned looks = 0; status != TOO_LATE && looks < LOOKS_MAX; looks += looks / 2 + 1) {
        struct remote_child child;

        CHECK_CASE("killed while the program attaches, after %u looks", looks);
        remote_child_start(&child, lose_in_attach, &looks);
        status = remote_child_end(&child);
        if (status != TOO_LATE) {
            CHECK_EQ(status, 0);
            CHECK_HAS(child.error_text, "worker on node");
            CHECK_EQ(lines(child.error_text), 1);
        }
        CHECK(remote_workers_wait(0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_killed_worker), CHECK_TEST(test_attach),
                                       CHECK_TEST(test_accounts)};

    if (!getenv("FABRIC_SOCKET"))
        check_skip("it runs under remote-run");
    if (!remote_free_bytes(free_before, DEVICES))
        check_skip("remote GPUs do not work here");
    return check_run(tests);
}
