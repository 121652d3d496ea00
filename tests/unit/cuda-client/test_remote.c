/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/test_remote.c - the client library on two scripted workers.
 *
 * Runs under remote-run, which starts this program itself as the workers. The order of the tests
 * matters: the last ones lose workers.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda.h>

#include "fake_worker.h"
#include "generated/cuda-api/wire.h"

static CUcontext contexts[4];

/* Makes the context of a device current; the worker of devices 2 d, 2 d + 1 is number d. */
static void on(int device)
{
    if (!contexts[device])
        CHECK_EQ(cuDevicePrimaryCtxRetain(&contexts[device], device), CUDA_SUCCESS);
    CHECK_EQ(cuCtxSetCurrent(contexts[device]), CUDA_SUCCESS);
}

static size_t tell(int device, size_t order)
{
    size_t value = 0;

    on(device);
    CHECK_EQ(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, order), CUDA_SUCCESS);
    CHECK_EQ(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS);
    return value;
}

static size_t count_of(int device, uint32_t op)
{
    return tell(device, FAKE_COUNT_OF + op);
}

/* Messages on the urgent lane come in order behind the reply to the order that caused them. */
static void settle(int device)
{
    (void)count_of(device, 0);
}

static void test_devices(void)
{
    char bus_ids[4][32], text[64];
    CUuuid uuids[4];
    int count = 0, value = 0;

    CHECK_EQ(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
    CHECK_EQ(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    if (!CHECK_EQ(cuInit(0), CUDA_SUCCESS))
        exit(1);
    CHECK_EQ(cuDeviceGetCount(&count), CUDA_SUCCESS);
    CHECK_EQ(count, 4);
    for (int i = 0; i < 4; i++) {
        CHECK_CASE("device %d", i);
        CHECK_EQ(cuDeviceGetName(text, sizeof(text), i), CUDA_SUCCESS);
        CHECK_STR(text, i % 2 ? "Fake GPU 1" : "Fake GPU 0");
        CHECK_EQ(cuDeviceGetPCIBusId(bus_ids[i], sizeof(bus_ids[i]), i), CUDA_SUCCESS);
        CHECK_EQ(cuDeviceGetUuid(&uuids[i], i), CUDA_SUCCESS);
        CHECK_EQ(cuDeviceGetByPCIBusId(&value, bus_ids[i]), CUDA_SUCCESS);
        CHECK_EQ(value, i);
        CHECK_EQ(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID, i),
                 CUDA_SUCCESS);
        CHECK_EQ(value, i);
        CHECK_EQ(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, i),
                 CUDA_SUCCESS);
        CHECK_EQ(value, 0); /* the program's own memory is out of a remote GPU's reach */
        CHECK_EQ(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, i),
                 CUDA_ERROR_INVALID_VALUE); /* the worker's driver did not know it */
    }
    CHECK_CASE("unique");
    CHECK_STR(bus_ids[0], "0000:01:00.0");
    CHECK_STR(bus_ids[2], "0001:01:00.0");
    CHECK(memcmp(&uuids[0], &uuids[2], sizeof(uuids[0])) != 0);
    CHECK(memcmp(&uuids[1], &uuids[3], sizeof(uuids[0])) != 0);
    CHECK_EQ(cuDeviceCanAccessPeer(&value, 0, 2), CUDA_SUCCESS);
    CHECK_EQ(value, 0);
}

static void test_contexts(void)
{
    CUcontext own = NULL, current = NULL;
    int device = -1;

    CHECK_EQ(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(cuCtxCreate(&own, NULL, CU_CTX_SCHED_AUTO, 3), CUDA_SUCCESS);
    CHECK_EQ(cuCtxGetDevice(&device), CUDA_SUCCESS);
    CHECK_EQ(device, 3);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(cuCtxDestroy(own), CUDA_SUCCESS);
    CHECK_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    CHECK(current == NULL);
    CHECK_EQ(cuCtxSetCurrent(own), CUDA_ERROR_INVALID_CONTEXT);
    on(3);
    CHECK_EQ(count_of(3, WIRE_CTX_CREATE), 2);
    CHECK_EQ(count_of(3, WIRE_CTX_DESTROY), 1);
    CHECK_EQ(count_of(3, WIRE_CTX_SYNC), 0); /* there was nothing to wait for */
}

/* Asked once a position; then `reached` answers. */
static void test_queries(void)
{
    CUstream stream;
    CUevent event, other;

    on(0);
    CHECK_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK_EQ(cuEventCreate(&event, 0), CUDA_SUCCESS);
    CHECK_EQ(cuEventCreate(&other, 0), CUDA_SUCCESS);
    CHECK_CASE("nothing to do");
    CHECK_EQ(cuStreamQuery(stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
    CHECK_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH) + count_of(0, WIRE_EVENT_WATCH), 0);
    CHECK_CASE("busy");
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
        CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    }
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH), 1);
    CHECK_EQ(count_of(0, WIRE_EVENT_WATCH), 1);
    CHECK_CASE("recorded again: the first generation is not enough");
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    (void)tell(0, FAKE_REACH);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    CHECK_EQ(count_of(0, WIRE_EVENT_WATCH), 2);
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuStreamQuery(stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH), 2);
    CHECK_CASE("an event tells of its stream");
    CHECK_EQ(cuEventRecord(other, stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(other), CUDA_SUCCESS); /* not busy: the call says so */
    CHECK_EQ(cuStreamQuery(stream), CUDA_SUCCESS);
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH), 2);
    CHECK_CASE("the default stream stands for the blocking ones");
    CHECK_EQ(cuEventRecord(other, stream), CUDA_SUCCESS);
    CHECK_EQ(cuStreamQuery(CU_STREAM_LEGACY), CUDA_SUCCESS); /* non-blocking: not one of them */
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH), 2);
    CHECK_EQ(cuEventDestroy(event), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(cuStreamDestroy(stream), CUDA_SUCCESS);
    CHECK_EQ(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
}

/* A record, after which all that is told at once has been heard; then a wait. Whether the worker
 * was asked to tell, and whether the wait was a call. */
static void record_and_wait(CUevent event, CUstream stream, bool asks_to_tell, bool calls)
{
    const size_t asked = tell(0, FAKE_ASKED_TELL), synced = count_of(0, WIRE_EVENT_SYNC);

    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    settle(0);
    settle(0);
    CHECK_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
    CHECK_EQ(tell(0, FAKE_ASKED_TELL) - asked, asks_to_tell);
    CHECK_EQ(count_of(0, WIRE_EVENT_SYNC) - synced, calls);
}

/* The worker tells of an event whose last record it had when the program came to wait; if it does
 * not, a wait is a call. */
static void test_told(void)
{
    CUevent event, unused;
    CUstream stream;
    size_t asked;

    on(0);
    CHECK_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK_EQ(cuEventCreate(&event, 0), CUDA_SUCCESS);
    CHECK_CASE("nobody has waited yet");
    record_and_wait(event, stream, false, true);
    CHECK_CASE("it tells");
    record_and_wait(event, stream, true, false);
    CHECK_CASE("it cannot tell");
    (void)tell(0, FAKE_CANNOT_TELL);
    record_and_wait(event, stream, true, true);
    CHECK_CASE("nothing comes");
    (void)tell(0, FAKE_BUSY);
    record_and_wait(event, stream, true, true);
    CHECK_CASE("it comes later: of another record than the last");
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    (void)tell(0, FAKE_REACH);
    settle(0);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    CHECK_CASE("a record that nobody waited for since");
    asked = tell(0, FAKE_ASKED_TELL);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK_EQ(tell(0, FAKE_ASKED_TELL), asked);
    CHECK_CASE("all work of the context");
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
    CHECK_EQ(cuCtxRecordEvent(contexts[0], event), CUDA_SUCCESS);
    CHECK_EQ(tell(0, FAKE_ASKED_TELL), asked);
    CHECK_CASE("nothing comes and the event goes: it still tells of its stream");
    CHECK_EQ(cuEventCreate(&unused, 0), CUDA_SUCCESS);
    record_and_wait(unused, stream, false, true);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuEventRecord(unused, stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventDestroy(unused), CUDA_SUCCESS);
    CHECK_EQ(tell(0, FAKE_ASKED_TELL), asked + 1);
    asked = count_of(0, WIRE_STREAM_WATCH);
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuStreamQuery(stream), CUDA_SUCCESS);
    CHECK_EQ(count_of(0, WIRE_STREAM_WATCH), asked);
    CHECK_EQ(cuEventDestroy(event), CUDA_SUCCESS);
    CHECK_EQ(cuStreamDestroy(stream), CUDA_SUCCESS);
}

/* An event whose next record the worker is to tell of. */
static CUevent awaited_event(CUstream stream)
{
    CUevent event = NULL;

    CHECK_EQ(cuEventCreate(&event, 0), CUDA_SUCCESS);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    settle(0);
    settle(1);
    CHECK_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
    return event;
}

/* Told of when there is no context any more. */
static void test_told_of_no_context(void)
{
    CUcontext own = NULL;
    CUevent event;

    CHECK_EQ(cuCtxCreate(&own, NULL, 0, 0), CUDA_SUCCESS);
    event = awaited_event(NULL);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuCtxSetCurrent(own), CUDA_SUCCESS);
    CHECK_EQ(cuEventRecord(event, NULL), CUDA_SUCCESS);
    CHECK_EQ(cuCtxDestroy(own), CUDA_SUCCESS);
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuEventSynchronize(event), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* Who asks is answered by the worker, whether or not it tells some day; and what it tells of one
 * record is no answer about another, whatever their numbers. */
static void test_told_and_asked(void)
{
    enum { RECORDS_MAX = 300 };
    size_t asked, records;
    CUstream stream;
    CUevent event;

    on(0);
    CHECK_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    event = awaited_event(stream);
    asked = count_of(0, WIRE_EVENT_WATCH);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    CHECK_EQ(count_of(0, WIRE_EVENT_WATCH), asked + 1);
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
    CHECK_CASE("a record of the number by which an earlier one is told of");
    event = awaited_event(stream);
    (void)tell(0, FAKE_BUSY);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    records = tell(0, FAKE_LAST_TELL);
    CHECK(records != 0);
    if (records > RECORDS_MAX)
        records = RECORDS_MAX;
    for (size_t i = 3; i < records; i++)
        CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS); /* news: it is worth while to ask */
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    (void)tell(0, FAKE_TELL);
    settle(0);
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    (void)tell(0, FAKE_REACH);
    settle(0);
    CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
    CHECK_EQ(cuStreamDestroy(stream), CUDA_SUCCESS);
}

/* A primary context is the same after a reset, but for its errors. */
static void test_told_too_late(void)
{
    CUstream stream;
    CUevent event;

    on(1);
    CHECK_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    event = awaited_event(stream);
    CHECK_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    CHECK(tell(1, FAKE_LAST_TELL) != 0);
    CHECK_EQ(cuDevicePrimaryCtxReset(1), CUDA_SUCCESS);
    CHECK_EQ(cuDevicePrimaryCtxRetain(&contexts[1], 1), CUDA_SUCCESS);
    (void)tell(0, FAKE_TELL_FAULT); /* the same worker */
    settle(0);
    on(1);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

static _Atomic int host_state;
static void host_function(void *arg)
{
    int count;

    *(_Atomic int *)arg = cuDeviceGetCount(&count) == CUDA_ERROR_NOT_PERMITTED ? 1 : 2;
}

static _Atomic int callback_result; /* CUresult */
static void callback(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    callback_result = status;
    *(_Atomic int *)arg = 3;
}

/* host_done comes after the function: the count is waited for. */
static void test_host_functions(void)
{
    on(0);
    CHECK_EQ(cuLaunchHostFunc(NULL, host_function, &host_state), CUDA_SUCCESS);
    settle(0);
    CHECK_EQ(host_state, 0);
    (void)tell(0, FAKE_RUN_HOST);
    while (count_of(0, WIRE_HOST_DONE) < 1)
        ;
    CHECK_EQ(host_state, 1);
    callback_result = CUDA_ERROR_UNKNOWN;
    CHECK_EQ(cuStreamAddCallback(NULL, callback, &host_state, 0), CUDA_SUCCESS);
    (void)tell(0, FAKE_RUN_HOST);
    while (count_of(0, WIRE_HOST_DONE) < 2)
        ;
    CHECK_EQ(host_state, 3);
    CHECK_EQ(callback_result, CUDA_SUCCESS);
}

/* What a kernel printed appears at the next synchronisation, between the program's own lines. */
static void test_text(void)
{
    char got[256] = "";
    int pipe_fd[2], saved = dup(1);
    CUstream stream;
    ssize_t count;

    on(0);
    CHECK_EQ(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
    CHECK(pipe(pipe_fd) == 0);
    (void)fflush(stdout);
    CHECK(dup2(pipe_fd[1], 1) == 1);
    (void)tell(0, FAKE_PRINT);
    settle(0);
    (void)printf("before\n");
    CHECK_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
    (void)printf("after\n");
    (void)fflush(stdout);
    (void)dup2(saved, 1);
    (void)close(saved);
    (void)close(pipe_fd[1]);
    count = read(pipe_fd[0], got, sizeof(got) - 1);
    (void)close(pipe_fd[0]);
    CHECK(count > 0);
    CHECK_STR(got, "before\ndevice text\nafter\n");
    CHECK_EQ(cuStreamDestroy(stream), CUDA_SUCCESS);
}

/* The recorder's worker is asked to tell, the waiter's waits for a flag; the client passes it on.
 */
static void test_event_across_workers(void)
{
    CUevent event;
    size_t flag, waiting;

    on(0);
    CHECK_EQ(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    on(2);
    CHECK_EQ(cuStreamWaitEvent(NULL, event, 0), CUDA_SUCCESS);
    CHECK_EQ(count_of(2, WIRE_FLAG_WAIT), 0); /* never recorded */
    on(0);
    CHECK_EQ(cuEventRecord(event, NULL), CUDA_SUCCESS);
    on(2);
    CHECK_EQ(cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(cuStreamWaitEvent(NULL, event, 0), CUDA_SUCCESS);
    waiting = tell(2, FAKE_LAST_FLAG);
    flag = tell(0, FAKE_LAST_FLAG);
    CHECK(flag != 0);
    CHECK_EQ(flag, waiting);
    CHECK_EQ(count_of(0, WIRE_EVENT_NOTIFY), 1);
    CHECK_EQ(count_of(2, WIRE_FLAG), 0);
    (void)tell(0, FAKE_SET_FLAG);
    while (count_of(2, WIRE_FLAG) < 1)
        ;
    CHECK_EQ(tell(2, FAKE_LAST_FLAG), flag);
    on(0);
    CHECK_EQ(cuEventDestroy(event), CUDA_SUCCESS);
}

/* Two workers that are connected tell each other, but not what is behind bytes for the client:
 * whoever waits would go on before they are there. */
static void test_event_with_bytes(void)
{
    static uint8_t memory[64];
    CUdeviceptr here = 0, there = 0;
    CUevent event;

    on(2);
    CHECK_EQ(cuMemAlloc(&there, sizeof(memory)), CUDA_SUCCESS);
    on(0);
    CHECK_EQ(cuMemAlloc(&here, sizeof(memory)), CUDA_SUCCESS);
    CHECK_EQ(cuMemHostRegister(memory, sizeof(memory), 0), CUDA_SUCCESS);
    CHECK_EQ(cuMemcpyPeerAsync(there, contexts[2], here, contexts[0], sizeof(memory), NULL),
             CUDA_SUCCESS);
    CHECK_EQ(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    for (int is_behind = 0; is_behind < 2; is_behind++) {
        CHECK_CASE(is_behind ? "behind a copy to the host" : "nothing to the host");
        on(0);
        if (is_behind)
            CHECK_EQ(cuMemcpyDtoHAsync(memory, here, sizeof(memory), NULL), CUDA_SUCCESS);
        CHECK_EQ(cuEventRecord(event, NULL), CUDA_SUCCESS);
        on(2);
        CHECK_EQ(cuStreamWaitEvent(NULL, event, 0), CUDA_SUCCESS);
        CHECK_EQ(tell(0, FAKE_LAST_PEER) != 0, !is_behind);
    }
    on(0);
    CHECK_EQ(cuEventDestroy(event), CUDA_SUCCESS);
}

/* In the child nothing works, and nothing hangs; the parent goes on. */
static void test_fork(void)
{
    pid_t child = fork();
    int status = 0, count;

    if (child == 0)
        _exit(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED &&
                      cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                      cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED
                  ? 0
                  : 1);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    on(0);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* Sticky in its context, and only there. */
static void test_fault(void)
{
    static const struct {
        const char *label;
        size_t order;
        CUresult error;
    } rows[] = {
        {"a kernel fails", FAKE_FAULT, CUDA_ERROR_ILLEGAL_ADDRESS},
        {"a driver refuses what was posted", FAKE_LATE, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CUcontext own;
        CUstream stream;

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(cuCtxCreate(&own, NULL, 0, 1), CUDA_SUCCESS);
        CHECK_EQ(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
        CHECK_EQ(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, rows[i].order), CUDA_SUCCESS);
        while (cuCtxSynchronize() == CUDA_SUCCESS)
            ;
        CHECK_EQ(cuCtxSynchronize(), rows[i].error);
        CHECK_EQ(cuStreamQuery(stream), rows[i].error);
        CHECK_EQ(cuCtxDestroy(own), CUDA_SUCCESS);
        on(1);
        CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    }
}

/* No reply ever names these transfers: what became of them is the context's error all the same, and
 * the host memory is free again for others. */
static void test_failed_copies(void)
{
    static uint8_t memory[1 << 20];
    static const struct {
        const char *label;
        size_t order, bytes;
        bool is_out;
        CUresult error;
    } rows[] = {
        {"to the host, small", FAKE_FAIL_COPIES, 64, true, CUDA_ERROR_UNKNOWN},
        {"to the host, in bulk", FAKE_FAIL_COPIES, sizeof(memory), true, CUDA_ERROR_OUT_OF_MEMORY},
        {"to the device, in bulk", FAKE_FAIL_COPIES, sizeof(memory), false,
         CUDA_ERROR_OUT_OF_MEMORY},
        {"refused, small", FAKE_REFUSE_COPIES, 64, true, CUDA_ERROR_OUT_OF_MEMORY},
        {"refused, in bulk", FAKE_REFUSE_COPIES, sizeof(memory), true, CUDA_ERROR_OUT_OF_MEMORY},
    };

    on(0);
    CHECK_EQ(cuMemHostRegister(memory, sizeof(memory), CU_MEMHOSTREGISTER_PORTABLE), CUDA_SUCCESS);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CUresult result = CUDA_SUCCESS;
        CUdeviceptr there = 0;
        CUcontext own;

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(cuCtxCreate(&own, NULL, 0, 0), CUDA_SUCCESS);
        CHECK_EQ(cuMemAlloc(&there, sizeof(memory)), CUDA_SUCCESS);
        CHECK_EQ(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, rows[i].order), CUDA_SUCCESS);
        if (rows[i].is_out)
            CHECK_EQ(cuMemcpyDtoHAsync(memory, there, rows[i].bytes, NULL), CUDA_SUCCESS);
        else
            CHECK_EQ(cuMemcpyHtoDAsync(there, memory, rows[i].bytes, NULL), CUDA_SUCCESS);
        for (int asked = 0; asked < 100000 && result == CUDA_SUCCESS; asked++)
            result = cuCtxSynchronize();
        CHECK_EQ(result, rows[i].error);
        CHECK_EQ(cuCtxDestroy(own), CUDA_SUCCESS);
    }
    on(0);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(cuMemHostUnregister(memory), CUDA_SUCCESS);
}

static void test_lost_worker(void)
{
    CUresult result;

    on(2);
    callback_result = CUDA_SUCCESS;
    host_state = 0;
    CHECK_EQ(cuStreamAddCallback(NULL, callback, &host_state, 0), CUDA_SUCCESS);
    result = cuCtxSetLimit(CU_LIMIT_STACK_SIZE, FAKE_DIE);
    CHECK_EQ(result, CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(cuCtxSetCurrent(contexts[3]), CUDA_SUCCESS);
    CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
    while (host_state != 3)
        ;
    CHECK_EQ(callback_result, CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_CASE("the other worker's");
    on(0);
    CHECK_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(count_of(1, WIRE_HELLO), 1);
}

static void test_broken_worker(void)
{
    on(0);
    CHECK_EQ(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, FAKE_NONSENSE), CUDA_ERROR_UNKNOWN);
    CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

/* What the program's user reads is ctest's to look at. */
static void test_refused(void)
{
    int count = -1;

    CHECK_EQ(cuInit(0), CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    CHECK_EQ(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
}

int main(void)
{
    if (getenv("FABRIC_WORKER_FD"))
        return fake_worker_main();
    const struct CMUnitTest refused[] = {CHECK_TEST(test_refused)};
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_devices),
        CHECK_TEST(test_contexts),
        CHECK_TEST(test_queries),
        CHECK_TEST(test_told),
        CHECK_TEST(test_told_of_no_context),
        CHECK_TEST(test_told_and_asked),
        CHECK_TEST(test_told_too_late),
        CHECK_TEST(test_host_functions),
        CHECK_TEST(test_text),
        CHECK_TEST(test_event_across_workers),
        CHECK_TEST(test_event_with_bytes),
        CHECK_TEST(test_fork),
        CHECK_TEST(test_fault),
        CHECK_TEST(test_failed_copies),
        CHECK_TEST(test_lost_worker),
        CHECK_TEST(test_broken_worker),
    };

    return getenv("FAKE_IS_OF_ANOTHER_VERSION") ? check_run(refused) : check_run(tests);
}
