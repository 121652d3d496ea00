/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_event.c - events: life, flags, recording, times.
 */
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
    ROW("record in no stream", cu.cuEventRecord(event, (CUstream)(uintptr_t)0x5550),
        CUDA_ERROR_INVALID_HANDLE, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
    ROW("destroy again", cu.cuEventDestroy(event), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("record after destroy", cu.cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE, true);
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
    ROW("to nowhere", cu.cuEventElapsedTime(NULL, start, end), CUDA_ERROR_INVALID_VALUE, true);
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
    ROW("its stream went with it", cu.cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("destroy", cu.cuEventDestroy(event), CUDA_SUCCESS, true);
}

void group_event(void)
{
    conformance_world_open(&world);
    life();
    times();
    contexts();
}
