/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_order.c - what waits for what: default stream, streams,
 * events, asynchrony.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;
static CUfunction store;

static CUresult put(CUstream stream, uint32_t index, uint32_t value)
{
    CUdeviceptr to = world.memory + index * sizeof(uint32_t);
    void *params[] = {&to, &value};

    return cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

static void default_stream(void)
{
    CUstream blocking, free_stream;

    ROW("blocking stream", cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS, true);
    ROW("other stream", cu.cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS,
        true);
    ROW("hold the blocking one", conformance_hold(&world, blocking), CUDA_SUCCESS, true);
    ROW("launches return at once", cu.cuStreamQuery(blocking), CUDA_ERROR_NOT_READY, true);
    ROW("work in the default stream", put(NULL, 0, 1), CUDA_SUCCESS, true);
    ROW("waits for it", cu.cuStreamQuery(NULL), CUDA_ERROR_NOT_READY, true);
    ROW("work in the other stream", put(free_stream, 1, 2), CUDA_SUCCESS, true);
    ROW("does not", cu.cuStreamSynchronize(free_stream), CUDA_SUCCESS, true);
    ROW("work behind the default stream", put(blocking, 2, 3), CUDA_SUCCESS,
        cu.cuStreamQuery(blocking) == CUDA_ERROR_NOT_READY);
    conformance_let_go(&world);
    ROW("then all is done", cu.cuCtxSynchronize(), CUDA_SUCCESS,
        cu.cuStreamQuery(NULL) == CUDA_SUCCESS && cu.cuStreamQuery(blocking) == CUDA_SUCCESS);

    ROW("hold the default stream", conformance_hold(&world, NULL), CUDA_SUCCESS, true);
    ROW("a blocking stream waits", put(blocking, 0, 4), CUDA_SUCCESS,
        cu.cuStreamQuery(blocking) == CUDA_ERROR_NOT_READY);
    ROW("the other does not", put(free_stream, 1, 5), CUDA_SUCCESS,
        cu.cuStreamSynchronize(free_stream) == CUDA_SUCCESS);
    ROW("a null stream by its name", cu.cuStreamQuery(CU_STREAM_LEGACY), CUDA_ERROR_NOT_READY,
        true);
    conformance_let_go(&world);
    ROW("synchronise by a blocking stream", cu.cuStreamSynchronize(blocking), CUDA_SUCCESS,
        cu.cuStreamQuery(NULL) == CUDA_SUCCESS);
    ROW("destroy", cu.cuStreamDestroy(blocking), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(free_stream), CUDA_SUCCESS, true);
}

/* A blocking stream that only waits for an event that is over says nothing of the default stream:
 * memory whose free is behind its work is not free. */
static void wait_that_is_over(void)
{
    CUdeviceptr first = 0, second = 0;
    CUstream blocking, free_stream;
    CUevent event;

    ROW("blocking stream", cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS, true);
    ROW("other stream", cu.cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS,
        true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("that is over", cu.cuEventRecord(event, free_stream), CUDA_SUCCESS,
        cu.cuStreamSynchronize(free_stream) == CUDA_SUCCESS);
    ROW("memory", cu.cuMemAllocAsync(&first, CONFORMANCE_BYTES, NULL), CUDA_SUCCESS, true);
    ROW("hold the default stream", conformance_hold(&world, NULL), CUDA_SUCCESS, true);
    ROW("free it behind", cu.cuMemFreeAsync(first, NULL), CUDA_SUCCESS, true);
    ROW("wait", cu.cuStreamWaitEvent(blocking, event, 0), CUDA_SUCCESS,
        cu.cuStreamQuery(blocking) != CUDA_ERROR_INVALID_VALUE); /* may be done, or not */
    ROW("the default stream is not done", cu.cuStreamQuery(NULL), CUDA_ERROR_NOT_READY, true);
    ROW("other memory", cu.cuMemAllocAsync(&second, CONFORMANCE_BYTES, free_stream), CUDA_SUCCESS,
        second != first);
    conformance_let_go(&world);
    ROW("free", cu.cuMemFreeAsync(second, free_stream), CUDA_SUCCESS, true);
    ROW("done", cu.cuCtxSynchronize(), CUDA_SUCCESS, cu.cuStreamQuery(NULL) == CUDA_SUCCESS);
    ROW("destroy", cu.cuStreamDestroy(blocking), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(free_stream), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
}

/* A large copy in a blocking stream that had nothing to do waits for the default stream, too. The
 * copies of the other stream give it the time to come early. */
static void large_copies(void)
{
    enum { BYTES = 256 << 10, ROUNDS = 8 };
    CUstream blocking, free_stream;
    unsigned char *bytes = NULL;
    CUdeviceptr elsewhere = 0;

    ROW("blocking stream", cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS, true);
    ROW("other stream", cu.cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS,
        true);
    ROW("pinned memory", cu.cuMemHostAlloc((void **)&bytes, BYTES, 0), CUDA_SUCCESS, true);
    ROW("memory", cu.cuMemAlloc(&elsewhere, BYTES), CUDA_SUCCESS, true);
    memset(bytes, 2, BYTES);
    ROW("hold the default stream", conformance_hold(&world, NULL), CUDA_SUCCESS, true);
    ROW("set behind it", cu.cuMemsetD8Async(world.memory, 1, BYTES, NULL), CUDA_SUCCESS, true);
    ROW("copy behind that", cu.cuMemcpyHtoDAsync(world.memory, bytes, BYTES, blocking),
        CUDA_SUCCESS, cu.cuStreamQuery(blocking) == CUDA_ERROR_NOT_READY);
    for (int i = 0; i < ROUNDS; i++)
        ROW("the other stream goes on", cu.cuMemcpyHtoDAsync(elsewhere, bytes, BYTES, free_stream),
            CUDA_SUCCESS, cu.cuStreamSynchronize(free_stream) == CUDA_SUCCESS);
    conformance_let_go(&world);
    ROW("done", cu.cuStreamSynchronize(blocking), CUDA_SUCCESS,
        conformance_read(world.memory) == 0x02020202 &&
            conformance_read(world.memory + BYTES - sizeof(uint32_t)) == 0x02020202);
    ROW("free", cu.cuMemFree(elsewhere), CUDA_SUCCESS, true);
    ROW("free", cu.cuMemFreeHost(bytes), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(blocking), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(free_stream), CUDA_SUCCESS, true);
}

static void per_thread(void)
{
    ROW("hold the thread's stream", conformance_hold(&world, CU_STREAM_PER_THREAD), CUDA_SUCCESS,
        true);
    ROW("it is a stream of its own", cu.cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY,
        true);
    ROW("the default stream waits for it", put(NULL, 0, 1), CUDA_SUCCESS,
        cu.cuStreamQuery(NULL) == CUDA_ERROR_NOT_READY);
    conformance_let_go(&world);
    ROW("done", cu.cuStreamSynchronize(NULL), CUDA_SUCCESS,
        cu.cuStreamQuery(CU_STREAM_PER_THREAD) == CUDA_SUCCESS);
}

static void events(void)
{
    CUstream first, second;
    CUevent event, early;

    ROW("stream", cu.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&second, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&early, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS, true);
    ROW("waiting for what was never recorded", cu.cuStreamWaitEvent(second, event, 0), CUDA_SUCCESS,
        cu.cuStreamQuery(second) == CUDA_SUCCESS);
    ROW("hold", conformance_hold(&world, first), CUDA_SUCCESS, true);
    ROW("record behind it", cu.cuEventRecord(event, first), CUDA_SUCCESS,
        cu.cuEventQuery(event) == CUDA_ERROR_NOT_READY);
    ROW("wait in the second stream", cu.cuStreamWaitEvent(second, event, 0), CUDA_SUCCESS, true);
    ROW("work behind the wait", put(second, 3, 77), CUDA_SUCCESS,
        cu.cuStreamQuery(second) == CUDA_ERROR_NOT_READY);
    ROW("recording anew in an idle place", cu.cuEventRecord(event, CU_STREAM_PER_THREAD),
        CUDA_SUCCESS, cu.cuEventSynchronize(event) == CUDA_SUCCESS);
    ROW("changes nothing for who waits", cu.cuStreamQuery(second), CUDA_ERROR_NOT_READY, true);
    ROW("unknown flags of a wait", cu.cuStreamWaitEvent(second, event, 8), CUDA_ERROR_INVALID_VALUE,
        true);
    conformance_let_go(&world);
    ROW("then it goes on", cu.cuStreamSynchronize(second), CUDA_SUCCESS,
        conformance_read(world.memory + 3 * sizeof(uint32_t)) == 77);
    ROW("destroying a stream with work", conformance_hold(&world, first), CUDA_SUCCESS,
        put(first, 4, 88) == CUDA_SUCCESS && cu.cuEventRecord(early, first) == CUDA_SUCCESS &&
            cu.cuStreamDestroy(first) == CUDA_SUCCESS);
    conformance_let_go(&world);
    ROW("the work is still done", cu.cuEventSynchronize(early), CUDA_SUCCESS,
        conformance_read(world.memory + 4 * sizeof(uint32_t)) == 88);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuEventDestroy(early), CUDA_SUCCESS, true);
}

static void copies(void)
{
    uint32_t *pinned = world.pinned + 16, pageable[4] = {1, 2, 3, 4};
    CUstream stream;

    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("hold", conformance_hold(&world, stream), CUDA_SUCCESS, true);
    ROW("from pageable memory",
        cu.cuMemcpyHtoDAsync(world.memory, pageable, sizeof(pageable), stream), CUDA_SUCCESS, true);
    memset(pageable, 0, sizeof(pageable)); /* it was read before the call returned */
    pinned[0] = 5;
    ROW("from pinned memory", cu.cuMemcpyHtoDAsync(world.memory + 16, pinned, 4, stream),
        CUDA_SUCCESS, cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
    pinned[0] = 6; /* that is read when its turn comes */
    conformance_let_go(&world);
    ROW("done", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
        conformance_read(world.memory + 8) == 3 && conformance_read(world.memory + 16) == 6);
    ROW("to pageable memory", cu.cuMemcpyDtoHAsync(pageable, world.memory, 16, stream),
        CUDA_SUCCESS, pageable[3] == 4);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
}

void group_order(void)
{
    conformance_world_open(&world);
    store = conformance_kernel(&world, "store");
    default_stream();
    wait_that_is_over();
    large_copies();
    per_thread();
    events();
    copies();
}
