/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_queue.c - the graph of commands, by random programs with known order.
 *
 * Several threads enqueue calls, event records and waits on several streams. Each call notes a
 * global ticket when it runs; afterwards every order that CUDA promises is checked: within a
 * stream, behind a waited-for event, and around the default stream.
 */
#include "tests/unit/driver/driver.h"

#include <pthread.h>
#include <stdatomic.h>

#include "softcuda/driver/stream.h"

enum { STREAMS = 6, STEPS = 400, THREADS = 3 };

static _Atomic uint64_t next_ticket;

/* One call: its ticket, and an earlier call that must have a lower one. */
struct step {
    _Atomic uint64_t ticket;
    const struct step *after[3];
};

static CUresult note(void *arg)
{
    struct step *step = arg;

    atomic_store(&step->ticket, atomic_fetch_add(&next_ticket, 1) + 1);
    return CUDA_SUCCESS;
}

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void enqueue(CUstream handle, struct step *step)
{
    struct soft_stream *stream;

    if (!CHECK_EQ(soft_stream_get(handle, &stream), CUDA_SUCCESS))
        return;
    CHECK_EQ(soft_stream_enqueue(stream, note, step), CUDA_SUCCESS);
    soft_stream_put(stream);
}

static void check_steps(const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_CASE("step %zu", i);
        CHECK(steps[i].ticket != 0);
        for (size_t k = 0; k < FAB_ARRAY_LEN(steps[i].after); k++)
            if (steps[i].after[k] && !CHECK(steps[i].after[k]->ticket < steps[i].ticket))
                return;
    }
}

/* A thread's own streams and events, so that the expected order needs no lock. */
static void *random_program(void *arg)
{
    uint32_t state = (uint32_t)(uintptr_t)arg;
    struct step *steps = calloc(STEPS, sizeof(*steps));
    const struct step *last[STREAMS] = {NULL}, *recorded = NULL, *waited[STREAMS] = {NULL};
    CUstream streams[STREAMS];
    CUcontext context;
    CUevent event;

    CHECK_EQ(soft_cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(context), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    for (int i = 0; i < STREAMS; i++)
        CHECK_EQ(soft_cuStreamCreateWithPriority(&streams[i], CU_STREAM_NON_BLOCKING, -i),
                 CUDA_SUCCESS);
    for (int i = 0; i < STEPS; i++) {
        uint32_t at = random_next(&state) % STREAMS;

        steps[i].after[0] = last[at];
        steps[i].after[1] = waited[at];
        enqueue(streams[at], &steps[i]);
        last[at] = &steps[i];
        if (random_next(&state) % 4 == 0) {
            CHECK_EQ(soft_cuEventRecord(event, streams[at]), CUDA_SUCCESS);
            recorded = last[at];
        }
        if (random_next(&state) % 4 == 0) {
            at = random_next(&state) % STREAMS;
            CHECK_EQ(soft_cuStreamWaitEvent(streams[at], event, 0), CUDA_SUCCESS);
            waited[at] = recorded;
        }
        if (random_next(&state) % 64 == 0)
            CHECK_EQ(soft_cuStreamSynchronize(streams[at]), CUDA_SUCCESS);
    }
    for (int i = 0; i < STREAMS; i++) {
        CHECK_EQ(soft_cuStreamSynchronize(streams[i]), CUDA_SUCCESS);
        CHECK_EQ(soft_cuStreamDestroy_v2(streams[i]), CUDA_SUCCESS);
    }
    check_steps(steps, STEPS);
    CHECK_EQ(soft_cuEventDestroy_v2(event), CUDA_SUCCESS);
    CHECK_EQ(soft_cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    free(steps);
    return NULL;
}

static void test_streams_and_events(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        if (!CHECK_EQ(pthread_create(&threads[i], NULL, random_program, (void *)(i + 7)), 0))
            return;
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

/* Blocking streams and the default stream: each default-stream call is behind everything before it
 * and in front of everything after it. */
static void test_default_stream(void)
{
    struct step *steps = calloc(STEPS, sizeof(*steps));
    const struct step *last[STREAMS] = {NULL}, *barrier = NULL;
    uint32_t state = 99;
    CUstream streams[STREAMS];
    struct step *joins = calloc((size_t)STEPS * STREAMS, sizeof(*joins));
    size_t join_count = 0;

    for (int i = 0; i < STREAMS; i++)
        CHECK_EQ(soft_cuStreamCreate(&streams[i], CU_STREAM_DEFAULT), CUDA_SUCCESS);
    for (int i = 0; i < STEPS; i++) {
        uint32_t at = random_next(&state) % (STREAMS + 1);
        bool is_default = at == STREAMS;

        steps[i].after[0] = barrier;
        if (!is_default)
            steps[i].after[1] = last[at];
        enqueue(is_default ? NULL : streams[at], &steps[i]);
        if (!is_default) {
            last[at] = &steps[i];
            continue;
        }
        barrier = &steps[i];
        /* A step has three predecessors at most: note the others as pairs. */
        for (int k = 0; k < STREAMS; k++)
            joins[join_count++] = (struct step){.after = {last[k], barrier}};
    }
    CHECK_EQ(soft_cuStreamSynchronize(NULL), CUDA_SUCCESS);
    check_steps(steps, STEPS);
    for (size_t i = 0; i < join_count; i++)
        if (joins[i].after[0] && !CHECK(joins[i].after[0]->ticket < joins[i].after[1]->ticket))
            break;
    for (int i = 0; i < STREAMS; i++) {
        CHECK_EQ(soft_cuStreamQuery(streams[i]), CUDA_SUCCESS);
        CHECK_EQ(soft_cuStreamDestroy_v2(streams[i]), CUDA_SUCCESS);
    }
    free(joins);
    free(steps);
}

/* A context-wide event is behind all streams; a context-wide wait is in front of later work, also
 * of streams made later. */
static _Atomic bool gate_open;

static void CUDA_CB hold(void *arg)
{
    (void)arg;
    while (!atomic_load(&gate_open))
        ;
}

static void test_context_events(void)
{
    CUstream held, other, late;
    CUevent all, gate;
    struct step before = {0}, behind = {0}, later = {0};

    CHECK_EQ(soft_cuStreamCreate(&held, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&all, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&gate, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLaunchHostFunc(held, hold, NULL), CUDA_SUCCESS);
    enqueue(held, &before);
    CHECK_EQ(soft_cuEventRecord(gate, held), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxRecordEvent(NULL, all), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventQuery(all), CUDA_ERROR_NOT_READY);
    CHECK_EQ(soft_cuCtxWaitEvent(NULL, gate), CUDA_SUCCESS);
    enqueue(other, &behind);
    CHECK_EQ(soft_cuStreamCreate(&late, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    enqueue(late, &later);
    CHECK_EQ(soft_cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    CHECK_EQ(soft_cuStreamQuery(late), CUDA_ERROR_NOT_READY);
    atomic_store(&gate_open, true);
    CHECK_EQ(soft_cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventQuery(all), CUDA_SUCCESS);
    CHECK(before.ticket < behind.ticket && before.ticket < later.ticket);
    CHECK_EQ(soft_cuStreamDestroy_v2(held), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamDestroy_v2(other), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamDestroy_v2(late), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventDestroy_v2(all), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventDestroy_v2(gate), CUDA_SUCCESS);
}

static CUresult refuse(void *arg)
{
    (void)arg;
    return CUDA_ERROR_ILLEGAL_STATE;
}

/* Last: it ends the context. */
static void test_failure(void)
{
    struct soft_stream *stream;
    struct step behind = {0};

    CHECK_EQ(soft_stream_get(NULL, &stream), CUDA_SUCCESS);
    CHECK_EQ(soft_stream_enqueue(stream, refuse, NULL), CUDA_SUCCESS);
    CHECK_EQ(soft_stream_enqueue(stream, note, &behind), CUDA_SUCCESS);
    CHECK_EQ(soft_stream_wait(stream), CUDA_ERROR_ILLEGAL_STATE);
    CHECK(behind.ticket != 0); /* calls of the driver's own clean up and always run */
    soft_stream_put(stream);
    CHECK_EQ(soft_stream_get(NULL, &stream), CUDA_ERROR_ILLEGAL_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_streams_and_events),
                                       CHECK_TEST(test_default_stream),
                                       CHECK_TEST(test_context_events), CHECK_TEST(test_failure)};

    (void)driver_start(NULL, "1");
    return check_run(tests);
}
