/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/test_order.c - bytes that travel by themselves keep the order of streams.
 *
 * A copy's bytes and the news of its end go different ways. Each case makes one overtake the other
 * if nothing keeps them apart. Run as `remote-run --workers 2 test_remote_order`, by shared memory
 * and by rails.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

#ifdef SANITIZED /* which look at each byte of what is compared */
enum { ROUNDS = 6, LARGE = 256 << 10 };
#else
enum { ROUNDS = 40, LARGE = 4 << 20 };
#endif
enum { MANY_ROUNDS = 1000, SMALL = 1024, STEP = 512 };

static struct remote_gpu here, there;
static uint8_t *pinned;
static int wrong; /* rounds that saw other bytes */

struct look {
    const uint8_t *at;
    size_t bytes;
    uint8_t value;
};

static bool is_all(const struct look *look)
{
    for (size_t i = 0; i < look->bytes; i += STEP)
        if (look->at[i] != look->value)
            return false;
    return true;
}

static void look_now(void *arg)
{
    wrong += !is_all(arg);
}

static void open_both(void)
{
    remote_gpu_open(&here, 0);
    remote_gpu_open(&there, 1);
    remote_need(cuMemHostAlloc((void **)&pinned, 2 * (size_t)LARGE, 0), "pinned memory");
}

static void go_to(const struct remote_gpu *gpu)
{
    remote_need(cuCtxSetCurrent(gpu->context), "context");
}

/* A stream of `here` waits for an event of `there`, ahead of which bytes go to the host: a host
 * function, and a copy from there, find them. */
static int event_elsewhere(void *arg)
{
    struct look look = {.bytes = LARGE};
    CUevent event;

    (void)arg;
    open_both();
    look.at = pinned;
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (unsigned round = 1; round <= ROUNDS; round++) {
        look.value = (uint8_t)round;
        go_to(&there);
        remote_need(cuMemsetD8Async(there.memory, look.value, LARGE, there.stream), "set");
        remote_need(cuMemcpyDtoHAsync(pinned, there.memory, LARGE, there.stream), "to the host");
        remote_need(cuEventRecord(event, there.stream), "record");
        go_to(&here);
        remote_need(cuStreamWaitEvent(here.stream, event, 0), "wait");
        remote_need(cuLaunchHostFunc(here.stream, look_now, &look), "host function");
        remote_need(cuMemcpyHtoDAsync(here.memory, pinned, LARGE, here.stream), "from the host");
        remote_need(cuStreamSynchronize(here.stream), "synchronise");
        remote_need(cuMemcpyDtoH(pinned + LARGE, here.memory, LARGE), "look");
        wrong += !is_all(&(struct look){pinned + LARGE, LARGE, look.value});
    }
    return wrong == 0 ? 0 : 1;
}

/* Copies that go ahead in the stream are sent at once; the one behind the event must not be. */
static int copies_elsewhere(void *arg)
{
    static const size_t sizes[] = {SMALL, LARGE};
    CUevent event;

    (void)arg;
    open_both();
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (unsigned round = 1; round <= 2 * ROUNDS; round++) {
        const size_t bytes = sizes[round % 2];

        memset(pinned, 0, 2 * (size_t)LARGE);
        go_to(&there);
        remote_need(cuMemsetD8Async(there.memory, (uint8_t)round, bytes, there.stream), "set");
        remote_need(cuMemcpyDtoHAsync(pinned, there.memory, bytes, there.stream), "to the host");
        remote_need(cuEventRecord(event, there.stream), "record");
        go_to(&here);
        for (int i = 0; i < 3; i++)
            remote_need(cuMemcpyHtoDAsync(here.memory, pinned + LARGE, bytes, here.stream),
                        "ahead");
        remote_need(cuStreamWaitEvent(here.stream, event, 0), "wait");
        remote_need(cuMemcpyHtoDAsync(here.memory, pinned, bytes, here.stream), "from the host");
        remote_need(cuStreamSynchronize(here.stream), "synchronise");
        remote_need(cuMemcpyDtoH(pinned + LARGE, here.memory, bytes), "look");
        wrong += !is_all(&(struct look){pinned + LARGE, bytes, (uint8_t)round});
    }
    return wrong == 0 ? 0 : 1;
}

/* The same for few bytes, which come as a message, and workers that are connected to each other:
 * the news of the event must not overtake it. Registered memory has no window in any worker. */
static int small_elsewhere(void *arg)
{
    static uint8_t memory[SMALL];
    struct look look = {.at = memory, .bytes = SMALL};
    CUevent event;

    (void)arg;
    open_both();
    remote_need(cuMemHostRegister(memory, SMALL, 0), "register");
    remote_need(cuMemcpyPeer(here.memory, here.context, there.memory, there.context, SMALL),
                "a copy that connects them");
    go_to(&there);
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (unsigned round = 1; round <= MANY_ROUNDS; round++) {
        look.value = (uint8_t)round;
        go_to(&there);
        remote_need(cuMemsetD8Async(there.memory, look.value, SMALL, there.stream), "set");
        remote_need(cuMemcpyDtoHAsync(memory, there.memory, SMALL, there.stream), "to the host");
        remote_need(cuEventRecord(event, there.stream), "record");
        go_to(&here);
        remote_need(cuStreamWaitEvent(here.stream, event, 0), "wait");
        remote_need(cuLaunchHostFunc(here.stream, look_now, &look), "host function");
        remote_need(cuStreamSynchronize(here.stream), "synchronise");
        wrong += !is_all(&look);
    }
    return wrong == 0 ? 0 : 1;
}

/* The same into mapped memory, which may lie at the worker. */
static int mapped_elsewhere(void *arg)
{
    struct look look = {.bytes = SMALL};
    uint8_t *mapped;
    CUevent event;

    (void)arg;
    open_both();
    remote_need(cuMemHostAlloc((void **)&mapped, SMALL, CU_MEMHOSTALLOC_DEVICEMAP), "mapped");
    look.at = mapped;
    go_to(&there);
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (unsigned round = 1; round <= ROUNDS; round++) {
        look.value = (uint8_t)round;
        go_to(&there);
        remote_need(cuMemsetD8Async(there.memory, look.value, SMALL, there.stream), "set");
        remote_need(cuMemcpyDtoHAsync(mapped, there.memory, SMALL, there.stream), "to the host");
        remote_need(cuEventRecord(event, there.stream), "record");
        go_to(&here);
        remote_need(cuStreamWaitEvent(here.stream, event, 0), "wait");
        if (round % 2)
            remote_need(cuLaunchHostFunc(here.stream, look_now, &look), "host function");
        remote_need(cuStreamSynchronize(here.stream), "synchronise");
        wrong += !is_all(&look);
    }
    return wrong == 0 ? 0 : 1;
}

/* What a launch brings to the worker must not come behind a copy in another stream. */
static int mapped_by_two_streams(void *arg)
{
    struct look look = {.bytes = SMALL};
    CUdeviceptr on_device;
    CUstream other;
    uint8_t *mapped;

    (void)arg;
    open_both();
    go_to(&there);
    remote_need(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), "stream");
    remote_need(cuMemHostAlloc((void **)&mapped, LARGE, CU_MEMHOSTALLOC_DEVICEMAP), "mapped");
    remote_need(cuMemHostGetDevicePointer(&on_device, mapped, 0), "its address");
    look.at = mapped + LARGE - SMALL;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        look.value = (uint8_t)round;
        remote_need(cuMemsetD8(there.memory, look.value, SMALL), "set");
        remote_need(cuCtxSynchronize(), "synchronise");
        memset(mapped, (int)(round + ROUNDS), LARGE);
        remote_need(remote_gpu_store(&there, there.memory + LARGE, round), "launch");
        remote_need(cuMemcpyDtoHAsync(mapped + LARGE - SMALL, there.memory, SMALL, other),
                    "to the host");
        remote_need(cuStreamSynchronize(other), "synchronise");
        remote_need(cuStreamSynchronize(there.stream), "synchronise");
        wrong += !is_all(&look);
    }
    return wrong == 0 ? 0 : 1;
}

/* The host sees a value that a stream wrote, and then what the stream did before. */
static int mapped_before_a_value(void *arg)
{
    struct look look = {.bytes = SMALL};
    uint32_t *word = NULL;
    uint8_t *mapped;

    (void)arg;
    open_both();
    go_to(&there);
    remote_need(cuMemHostAlloc((void **)&mapped, SMALL, CU_MEMHOSTALLOC_DEVICEMAP), "mapped");
    look.at = mapped;
    word = (uint32_t *)(void *)pinned;
    *word = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        look.value = (uint8_t)round;
        remote_need(cuMemsetD8Async(there.memory, look.value, SMALL, there.stream), "set");
        remote_need(cuMemcpyDtoHAsync(mapped, there.memory, SMALL, there.stream), "to the host");
        remote_need(cuStreamWriteValue32(there.stream, (CUdeviceptr)(uintptr_t)pinned, round, 0),
                    "value");
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != round)
            ;
        wrong += !is_all(&look);
    }
    remote_need(cuStreamSynchronize(there.stream), "synchronise");
    return wrong == 0 ? 0 : 1;
}

/* A small copy and a large one into the same memory: the later one counts. */
static int same_memory(void *arg)
{
    (void)arg;
    open_both();
    go_to(&here);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        const uint8_t first = (uint8_t)round, last = (uint8_t)(round + ROUNDS);
        const bool large_last = round % 2 == 0;
        const size_t bytes[2] = {large_last ? SMALL : LARGE, large_last ? LARGE : SMALL};

        remote_need(cuMemsetD8Async(here.memory, first, LARGE, here.stream), "set");
        remote_need(cuMemcpyDtoHAsync(pinned, here.memory, bytes[0], here.stream), "first");
        remote_need(cuMemsetD8Async(here.memory, last, LARGE, here.stream), "set");
        remote_need(cuMemcpyDtoHAsync(pinned, here.memory, bytes[1], here.stream), "last");
        remote_need(cuStreamSynchronize(here.stream), "synchronise");
        wrong += !is_all(&(struct look){pinned, bytes[1], last});
        wrong += !large_last && pinned[LARGE - 1] != first;
    }
    return wrong == 0 ? 0 : 1;
}

/* Bytes for a stream that is not there yet must not keep those away for which it waits. */
static int one_behind_the_other(void *arg)
{
    CUstream behind;
    CUevent event;

    (void)arg;
    open_both();
    go_to(&here);
    remote_need(cuStreamCreate(&behind, CU_STREAM_NON_BLOCKING), "stream");
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (unsigned round = 1; round <= ROUNDS; round++) {
        memset(pinned, (int)round, LARGE);
        memset(pinned + LARGE, (int)(round + ROUNDS), LARGE);
        remote_need(cuMemcpyHtoDAsync(here.memory, pinned, LARGE, here.stream), "ahead");
        remote_need(cuEventRecord(event, here.stream), "record");
        remote_need(cuStreamWaitEvent(behind, event, 0), "wait");
        remote_need(cuMemcpyHtoDAsync(here.memory, pinned + LARGE, LARGE, behind), "behind");
        remote_need(cuStreamSynchronize(behind), "synchronise");
        remote_need(cuMemcpyDtoH(pinned, here.memory, LARGE), "look");
        wrong += !is_all(&(struct look){pinned, LARGE, (uint8_t)(round + ROUNDS)});
    }
    return wrong == 0 ? 0 : 1;
}

/* A wait is for the record of its time, also when the event is recorded again, where nothing is to
 * be done, and that is known to be over. */
static int event_again(void *arg)
{
    const uint32_t go_on = 1;
    CUstream idle;
    CUevent event;
    bool waits = true;

    (void)arg;
    open_both();
    go_to(&there);
    remote_need(cuStreamCreate(&idle, CU_STREAM_NON_BLOCKING), "stream");
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    remote_gpu_hold(&there);
    remote_need(cuEventRecord(event, there.stream), "record");
    go_to(&here);
    remote_need(cuStreamWaitEvent(here.stream, event, 0), "wait");
    remote_need(cuMemsetD8Async(here.memory, 1, SMALL, here.stream), "work behind it");
    go_to(&there);
    remote_need(cuEventRecord(event, idle), "record again");
    remote_need(cuEventSynchronize(event), "synchronise");
    go_to(&here);
    for (int i = 0; i < MANY_ROUNDS && waits; i++) {
        waits = cuStreamQuery(here.stream) == CUDA_ERROR_NOT_READY;
        remote_need(cuMemcpyDtoH(pinned, here.memory + LARGE, SMALL), "other work");
    }
    go_to(&there);
    remote_need(cuMemcpyHtoDAsync(there.memory, &go_on, sizeof(go_on), idle), "let go");
    go_to(&here);
    remote_need(cuStreamSynchronize(here.stream), "synchronise");
    return waits ? 0 : 1;
}

/* A launch may have to wait until another worker gives memory back; what lets that worker go on may
 * come behind launches of another thread. */
struct beside {
    _Atomic unsigned begun, may_go;
    CUdeviceptr shared;
};

static void wait_to_go(void *arg)
{
    struct beside *beside = arg;

    while (atomic_load(&beside->may_go) == 0)
        ;
}

static void *launch_and_wait(void *arg)
{
    struct beside *beside = arg;

    go_to(&here);
    atomic_store(&beside->begun, 1);
    remote_need(remote_gpu_store(&here, beside->shared, 2), "launch that waits");
    remote_need(cuStreamSynchronize(here.stream), "synchronise");
    return NULL;
}

static int beside_a_launch_that_waits(void *arg)
{
    static struct beside beside;
    struct remote_gpu other;
    uint32_t *mapped[2];
    CUdeviceptr own;
    pthread_t thread;

    (void)arg;
    open_both();
    go_to(&here);
    for (int i = 0; i < 2; i++)
        remote_need(cuMemHostAlloc((void **)&mapped[i], SMALL, CU_MEMHOSTALLOC_PORTABLE), "pinned");
    beside.shared = (CUdeviceptr)(uintptr_t)mapped[0];
    own = (CUdeviceptr)(uintptr_t)mapped[1];
    other = here;
    remote_need(cuStreamCreate(&other.stream, CU_STREAM_NON_BLOCKING), "stream");
    go_to(&there);
    remote_need(cuLaunchHostFunc(there.stream, wait_to_go, &beside), "host function");
    remote_need(remote_gpu_store(&there, beside.shared, 1), "launch behind it");
    if (pthread_create(&thread, NULL, launch_and_wait, &beside) != 0)
        return 1;
    while (atomic_load(&beside.begun) == 0)
        ;
    go_to(&here);
    for (uint32_t i = 0; i < MANY_ROUNDS; i++)
        remote_need(remote_gpu_store(&other, own, i), "launch beside it");
    atomic_store(&beside.may_go, 1);
    (void)pthread_join(thread, NULL);
    remote_need(cuStreamSynchronize(other.stream), "synchronise");
    go_to(&there);
    remote_need(cuStreamSynchronize(there.stream), "synchronise");
    return *mapped[0] != 0 && *mapped[1] == MANY_ROUNDS - 1 ? 0 : 1;
}

static void test_order(void)
{
    static const struct {
        const char *label;
        int (*run)(void *arg);
    } cases[] = {{"an event elsewhere", event_elsewhere},
                 {"copies ahead, and an event elsewhere", copies_elsewhere},
                 {"few bytes and an event elsewhere", small_elsewhere},
                 {"mapped memory and an event elsewhere", mapped_elsewhere},
                 {"mapped memory in two streams", mapped_by_two_streams},
                 {"mapped memory before a value", mapped_before_a_value},
                 {"an event that is recorded again", event_again},
                 {"beside a launch that waits", beside_a_launch_that_waits},
                 {"the same memory", same_memory},
                 {"one behind the other", one_behind_the_other}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct remote_child child;

        CHECK_CASE("%s", cases[i].label);
        remote_child_start(&child, cases[i].run, NULL);
        CHECK_EQ(remote_child_end(&child), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_order)};

    return check_run(tests);
}
