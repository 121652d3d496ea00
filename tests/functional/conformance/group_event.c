/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_event.c - events: life, flags, recording, times.
 */
#include <unistd.h>

#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

static void life(void)
{
    CUevent event = KEPT, shared = KEPT;

    ROW("unknown flags", cu.cuEventCreate(&event, 0x80), CUDA_ERROR_INVALID_VALUE, event == KEPT);
    ROW("to nowhere", cu.cuEventCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE, true);
    ROW("between processes, with timing", cu.cuEventCreate(&shared, CU_EVENT_INTERPROCESS),
        CUDA_ERROR_INVALID_VALUE, shared == KEPT);
    ROW("create", cu.cuEventCreate(&event, CU_EVENT_BLOCKING_SYNC), CUDA_SUCCESS, event != NULL);
    ROW("never recorded: it is done", cu.cuEventQuery(event), CUDA_SUCCESS, true);
    ROW("nothing to wait for", cu.cuEventSynchronize(event), CUDA_SUCCESS, true);
    ROW("unknown flags of recording", cu.cuEventRecordWithFlags(event, NULL, 8),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("record", cu.cuEventRecord(event, NULL), CUDA_SUCCESS,
        cu.cuEventSynchronize(event) == CUDA_SUCCESS);
    ROW_CHECKED("record in no stream", cu.cuEventRecord(event, (CUstream)(uintptr_t)0x5550),
                CUDA_ERROR_INVALID_HANDLE, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
    ROW_CHECKED("destroy again", cu.cuEventDestroy(event), CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED("record after destroy", cu.cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE,
                true);
    ROW("query no event", cu.cuEventQuery(NULL), CUDA_ERROR_INVALID_HANDLE, true);
}

static void times(void)
{
    CUevent start, end, untimed;
    float ms = -1.0f;

    ROW("create", cu.cuEventCreate(&start, 0), CUDA_SUCCESS, true);
    ROW("create", cu.cuEventCreate(&end, 0), CUDA_SUCCESS, true);
    ROW("create", cu.cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("neither was recorded", cu.cuEventElapsedTime(&ms, start, end), CUDA_ERROR_INVALID_HANDLE,
        ms < 0.0f);
    ROW("record", cu.cuEventRecord(start, NULL), CUDA_SUCCESS, true);
    ROW("one was recorded", cu.cuEventElapsedTime(&ms, start, end), CUDA_ERROR_INVALID_HANDLE,
        ms < 0.0f);
    ROW("hold", conformance_hold(&world, NULL), CUDA_SUCCESS, true);
    ROW("record behind it", cu.cuEventRecord(end, NULL), CUDA_SUCCESS, true);
    ROW("not finished", cu.cuEventElapsedTime(&ms, start, end), CUDA_ERROR_NOT_READY, ms < 0.0f);
    conformance_let_go(&world);
    ROW("finished", cu.cuEventSynchronize(end), CUDA_SUCCESS, true);
    ROW("time between", cu.cuEventElapsedTime(&ms, start, end), CUDA_SUCCESS, ms >= 0.0f);
    ROW("time back", cu.cuEventElapsedTime(&ms, end, start), CUDA_SUCCESS, ms <= 0.0f);
    ROW("record", cu.cuEventRecord(untimed, NULL), CUDA_SUCCESS,
        cu.cuEventSynchronize(untimed) == CUDA_SUCCESS);
    ROW("an event without timing", cu.cuEventElapsedTime(&ms, start, untimed),
        CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED("to nowhere", cu.cuEventElapsedTime(NULL, start, end), CUDA_ERROR_INVALID_VALUE,
                true);
    ROW("destroy", cu.cuEventDestroy(start), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(end), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(untimed), CUDA_SUCCESS, true);
}

/* An event belongs to its context. */
static void contexts(void)
{
    CUcontext other = NULL;
    CUevent event;
    CUstream stream;

    ROW("create", cu.cuEventCreate(&event, 0), CUDA_SUCCESS, true);
    ROW("another context", cu.cuCtxCreate(&other, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("its stream", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("recording there", cu.cuEventRecord(event, stream), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("waiting there", cu.cuStreamWaitEvent(stream, event, 0), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuCtxDestroy(other), CUDA_SUCCESS, true);
    ROW_CHECKED("its stream went with it", cu.cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE,
                true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
}

/* A driver may tell of the next record of an event that was waited for late. The event goes, is
 * recorded anew, or its context goes with it, before that. */
static void given_up(void)
{
    CUevent event;
    CUstream stream;

    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("record", cu.cuEventRecord(event, stream), CUDA_SUCCESS,
        conformance_wait_late(event) == CUDA_SUCCESS);
    ROW("hold", conformance_hold(&world, stream), CUDA_SUCCESS, true);
    ROW("record behind it", cu.cuEventRecord(event, stream), CUDA_SUCCESS,
        cu.cuEventQuery(event) == CUDA_ERROR_NOT_READY);
    ROW("and elsewhere", cu.cuEventRecord(event, CU_STREAM_PER_THREAD), CUDA_SUCCESS,
        conformance_wait_late(event) == CUDA_SUCCESS);
    ROW("that says nothing of the first", cu.cuStreamQuery(stream), CUDA_ERROR_NOT_READY, true);
    ROW("and behind it again", cu.cuEventRecord(event, stream), CUDA_SUCCESS,
        cu.cuEventQuery(event) == CUDA_ERROR_NOT_READY);
    conformance_let_go(&world);
    ROW("then it is done", conformance_wait_late(event), CUDA_SUCCESS,
        cu.cuStreamQuery(stream) == CUDA_SUCCESS);
    ROW("hold", conformance_hold(&world, stream), CUDA_SUCCESS, true);
    ROW("record behind it", cu.cuEventRecord(event, stream), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS,
        !conformance_checks || cu.cuEventSynchronize(event) == CUDA_ERROR_INVALID_HANDLE);
    conformance_let_go(&world);
    ROW("the stream goes on", cu.cuStreamSynchronize(stream), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
}

/* How far the work is when the context goes is the machine's choice, so there are several. */
static void given_up_with_context(void)
{
    enum { ROUNDS = 8, BYTES = 32 << 20 };

    for (int round = 0; round < ROUNDS; round++) {
        CUcontext own = NULL;
        CUdeviceptr memory = 0;
        CUevent event;

        ROW("context", cu.cuCtxCreate(&own, NULL, 0, world.device), CUDA_SUCCESS, true);
        ROW("memory", cu.cuMemAlloc(&memory, BYTES), CUDA_SUCCESS, true);
        ROW("event", cu.cuEventCreate(&event, 0), CUDA_SUCCESS, true);
        ROW("record", cu.cuEventRecord(event, NULL), CUDA_SUCCESS,
            conformance_wait_late(event) == CUDA_SUCCESS);
        for (int i = 0; i < round; i++)
            ROW("work", cu.cuMemsetD8Async(memory, 1, BYTES, NULL), CUDA_SUCCESS, true);
        ROW("record behind it", cu.cuEventRecord(event, NULL), CUDA_SUCCESS, true);
        ROW("destroy the context", cu.cuCtxDestroy(own), CUDA_SUCCESS,
            !conformance_checks || cu.cuEventQuery(event) == CUDA_ERROR_INVALID_HANDLE);
        ROW("the other is well", cu.cuCtxSetCurrent(world.context), CUDA_SUCCESS,
            cu.cuCtxSynchronize() == CUDA_SUCCESS);
    }
}

/* How the host waits: for the event; for one that may be told of; after it has asked until it is
 * done; the same for the stream. */
enum wait { WAIT, WAIT_LATE, ASK_AND_WAIT, ASK_AND_WAIT_STREAM, WAITS };
enum { SAY_ROUNDS = 10 * WAITS };

static CUresult wait_for(enum wait wait, CUstream stream, CUevent event)
{
    CUresult result = CUDA_ERROR_NOT_READY;

    if (wait == WAIT_LATE)
        return conformance_wait_late(event);
    while (wait != WAIT && result == CUDA_ERROR_NOT_READY)
        result = wait == ASK_AND_WAIT ? cu.cuEventQuery(event) : cu.cuStreamQuery(stream);
    if (wait != WAIT && result != CUDA_SUCCESS)
        return result;
    return wait == ASK_AND_WAIT_STREAM ? cu.cuStreamSynchronize(stream)
                                       : cu.cuEventSynchronize(event);
}

/* One line of a kernel in `first` and one of ours behind the wait for an event of `second`, which
 * waits for `first`. */
static CUresult say(CUfunction kernel, unsigned round, CUstream first, CUstream second,
                    CUevent between, CUevent event)
{
    void *params[] = {&round};
    CUresult result = cu.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, first, params, NULL);

    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(between, first);
    if (result == CUDA_SUCCESS)
        result = cu.cuStreamWaitEvent(second, between, 0);
    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(event, second);
    if (result == CUDA_SUCCESS)
        result = wait_for((enum wait)(round / (SAY_ROUNDS / WAITS)), second, event);
    (void)printf("waited for %u\n", round);
    (void)fflush(stdout);
    return result;
}

/* A wait prints what kernels before have left, in whichever stream, each time: the first half of
 * the rounds waits for an event only. */
static void text(void)
{
    enum { LINES_BYTES = 2048 };
    static char got[LINES_BYTES], wanted[LINES_BYTES];
    CUfunction kernel = conformance_kernel(&world, "say");
    int pipe_fd[2] = {-1, -1}, saved;
    CUresult result = CUDA_SUCCESS;
    CUstream first, second;
    CUevent between, event;
    size_t bytes = 0;

    ROW("stream", cu.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&second, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&between, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    (void)fflush(stdout);
    saved = dup(STDOUT_FILENO);
    conformance_need(pipe(pipe_fd) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM, "a pipe");
    (void)dup2(pipe_fd[1], STDOUT_FILENO);
    for (unsigned round = 0; round < SAY_ROUNDS && result == CUDA_SUCCESS; round++) {
        result = say(kernel, round, first, second, between, event);
        bytes += (size_t)snprintf(wanted + bytes, sizeof(wanted) - bytes,
                                  "round %u\nwaited for %u\n", round, round);
    }
    (void)dup2(saved, STDOUT_FILENO);
    (void)close(saved);
    (void)close(pipe_fd[1]);
    ROW("rounds", result, CUDA_SUCCESS, read(pipe_fd[0], got, sizeof(got) - 1) == (ssize_t)bytes);
    (void)close(pipe_fd[0]);
    ROW("each line before the wait's end", CUDA_SUCCESS, CUDA_SUCCESS, strcmp(got, wanted) == 0);
    ROW("destroy", cu.cuStreamDestroy(first), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(between), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
}

/* ---- what a whole context waits for ---------------------------------------------------------- */

static _Atomic int may_go;
static _Atomic uint32_t seen;

/* What holds all streams: nothing in the context could let them go. */
static void wait_to_go(void *arg)
{
    (void)arg;
    while (may_go == 0)
        (void)usleep(100);
}

static void see(void *arg)
{
    (void)arg;
    seen = world.pinned[0];
}

/* Behind that: a kernel that writes pinned memory, and a host function that reads it. */
static CUresult write_and_see(CUstream stream, uint32_t value)
{
    CUdeviceptr to = (CUdeviceptr)(uintptr_t)world.pinned;
    void *params[] = {&to, &value};
    CUresult result = cu.cuLaunchKernel(conformance_kernel(&world, "store"), 1, 1, 1, 1, 1, 1, 0,
                                        stream, params, NULL);

    return result == CUDA_SUCCESS ? cu.cuLaunchHostFunc(stream, see, NULL) : result;
}

/* The awaited work needs memory of the host, so whatever brings that cannot wait for it. */
static void whole_context(void)
{
    enum { BYTES = 8 << 20 };
    CUstream first, second, blocking;
    CUdeviceptr memory;
    CUevent event, all;
    uint32_t *bulk;

    ROW("stream", cu.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&second, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&all, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("memory", cu.cuMemAlloc(&memory, BYTES), CUDA_SUCCESS, true);
    ROW("pinned memory", cu.cuMemHostAlloc((void **)&bulk, BYTES, 0), CUDA_SUCCESS, true);
    bulk[BYTES / sizeof(*bulk) - 1] = 5;
    may_go = 0;
    seen = 0;
    ROW("hold", cu.cuLaunchHostFunc(first, wait_to_go, NULL), CUDA_SUCCESS, true);
    ROW("pinned memory behind it", write_and_see(first, 7), CUDA_SUCCESS, true);
    ROW("a large copy", cu.cuMemcpyHtoDAsync(memory, bulk, BYTES, first), CUDA_SUCCESS, true);
    ROW("record", cu.cuEventRecord(event, first), CUDA_SUCCESS, true);
    ROW_CHECKED("no context", cu.cuCtxWaitEvent((CUcontext)KEPT, event), CUDA_ERROR_INVALID_CONTEXT,
                true);
    ROW("no event", cu.cuCtxWaitEvent(world.context, NULL), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("all wait", cu.cuCtxWaitEvent(world.context, event), CUDA_SUCCESS,
        cu.cuStreamQuery(second) == CUDA_SUCCESS && cu.cuStreamQuery(NULL) == CUDA_SUCCESS);
    ROW("work in another stream", cu.cuMemsetD32Async(memory, 1, 1, second), CUDA_SUCCESS,
        cu.cuStreamQuery(second) == CUDA_ERROR_NOT_READY);
    ROW("a record in a blocking one", cu.cuEventRecord(all, blocking), CUDA_SUCCESS,
        cu.cuEventQuery(all) == CUDA_ERROR_NOT_READY);
    ROW("pinned memory in another", write_and_see(second, 8), CUDA_SUCCESS, seen == 0);
    may_go = 1;
    ROW("it goes on", cu.cuEventSynchronize(event), CUDA_SUCCESS, seen >= 7);
    ROW("so do the others", cu.cuStreamSynchronize(second), CUDA_SUCCESS,
        seen == 8 && cu.cuEventSynchronize(all) == CUDA_SUCCESS);
    ROW("in order", cu.cuCtxSynchronize(), CUDA_SUCCESS,
        conformance_read(memory) == 1 && conformance_read(memory + BYTES - sizeof(*bulk)) == 5);
    ROW("free", cu.cuMemFreeHost(bulk), CUDA_SUCCESS, true);
    ROW("free", cu.cuMemFree(memory), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(first), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(blocking), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(all), CUDA_SUCCESS, true);
}

/* Many of them at a time, each for other work, with records behind each of them. */
static void whole_context_often(void)
{
    enum { TIMES = 700 };
    CUstream first, second;
    CUevent event;

    ROW("stream", cu.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&second, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    may_go = 0;
    ROW("hold", cu.cuLaunchHostFunc(first, wait_to_go, NULL), CUDA_SUCCESS, true);
    for (int i = 0; i < TIMES; i++) {
        ROW("record", cu.cuEventRecord(event, i % 2 == 0 ? first : second), CUDA_SUCCESS, true);
        ROW("all wait", cu.cuCtxWaitEvent(world.context, event), CUDA_SUCCESS, true);
    }
    ROW("work", cu.cuMemsetD32Async(world.memory, TIMES, 1, NULL), CUDA_SUCCESS,
        cu.cuStreamQuery(NULL) == CUDA_ERROR_NOT_READY);
    may_go = 1;
    ROW("it goes on", cu.cuCtxSynchronize(), CUDA_SUCCESS, conformance_read(world.memory) == TIMES);
    ROW("destroy", cu.cuStreamDestroy(first), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
}

void group_event(void)
{
    conformance_world_open(&world);
    life();
    times();
    contexts();
    given_up();
    given_up_with_context();
    text();
    whole_context();
    whole_context_often();
}
