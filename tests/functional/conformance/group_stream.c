/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_stream.c - streams: life, properties, attributes, callbacks.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

static void life(void)
{
    CUstream stream = KEPT, second = NULL;
    CUcontext context = NULL;
    unsigned long long id = 0, second_id = 0;
    unsigned flags = 99;
    CUdevice device = -7;
    int priority = 99;

    ROW("unknown flags", cu.cuStreamCreate(&stream, 8), CUDA_ERROR_INVALID_VALUE, stream == KEPT);
    ROW("to nowhere", cu.cuStreamCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE, true);
    ROW("create", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, stream != NULL);
    ROW("its flags", cu.cuStreamGetFlags(stream, &flags), CUDA_SUCCESS,
        flags == CU_STREAM_NON_BLOCKING);
    ROW("its priority", cu.cuStreamGetPriority(stream, &priority), CUDA_SUCCESS, priority == 0);
    ROW("its context", cu.cuStreamGetCtx(stream, &context), CUDA_SUCCESS, context == world.context);
    ROW("its device", cu.cuStreamGetDevice(stream, &device), CUDA_SUCCESS, device == world.device);
    ROW("its id", cu.cuStreamGetId(stream, &id), CUDA_SUCCESS, true);
    ROW("a priority above the greatest",
        cu.cuStreamCreateWithPriority(&second, CU_STREAM_DEFAULT, -1000), CUDA_SUCCESS, true);
    ROW("is the greatest", cu.cuStreamGetPriority(second, &priority), CUDA_SUCCESS,
        priority > -1000 && priority < 0);
    ROW("ids differ", cu.cuStreamGetId(second, &second_id), CUDA_SUCCESS, id != second_id);
    ROW("an idle stream", cu.cuStreamQuery(stream), CUDA_SUCCESS, true);
    ROW("synchronise it", cu.cuStreamSynchronize(stream), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
    ROW_CHECKED("destroy again", cu.cuStreamDestroy(stream), CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED("use after destroy", cu.cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("destroy the default stream", cu.cuStreamDestroy(NULL), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("destroy the other", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
    ROW_CHECKED("no handle at all", cu.cuStreamSynchronize((CUstream)(uintptr_t)0x5550),
                CUDA_ERROR_INVALID_HANDLE, true);
    ROW("flags of the default stream", cu.cuStreamGetFlags(NULL, &flags), CUDA_SUCCESS, flags == 0);
}

static void attributes(void)
{
    CUstreamAttrValue value = {.priority = 99}, got;
    CUstream stream, second;

    ROW("create", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("create", cu.cuStreamCreate(&second, 0), CUDA_SUCCESS, true);
    value.syncPolicy = CU_SYNC_POLICY_SPIN;
    ROW("set the policy",
        cu.cuStreamSetAttribute(stream, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value),
        CUDA_SUCCESS, true);
    ROW("copy attributes", cu.cuStreamCopyAttributes(second, stream), CUDA_SUCCESS, true);
    ROW("they are the same",
        cu.cuStreamGetAttribute(second, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY, &got),
        CUDA_SUCCESS, got.syncPolicy == CU_SYNC_POLICY_SPIN);
    ROW("no attribute of streams",
        cu.cuStreamGetAttribute(stream, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &got),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW_CHECKED("to nowhere",
                cu.cuStreamGetAttribute(stream, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY, NULL),
                CUDA_ERROR_INVALID_VALUE, true);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
}

/* What a host function sees; written on the driver's thread, read after synchronising. */
static struct {
    int order, first, second;
    CUresult call, status;
    CUstream stream;
} seen;

static void CUDA_CB note_first(void *arg)
{
    (void)arg;
    seen.first = ++seen.order;
}

static void CUDA_CB note_second(void *arg)
{
    CUdeviceptr memory;

    (void)arg;
    seen.second = ++seen.order;
    seen.call = cu.cuMemAlloc(&memory, 64);
}

static void CUDA_CB note_callback(CUstream stream, CUresult status, void *arg)
{
    *(int *)arg = 1;
    seen.stream = stream;
    seen.status = status;
}

static void host_functions(void)
{
    CUstreamCaptureStatus capture = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    CUstream stream;
    int called = 0;

    ROW("create", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("no function", cu.cuLaunchHostFunc(stream, NULL, NULL), CUDA_ERROR_INVALID_VALUE, true);
    ROW("no callback", cu.cuStreamAddCallback(stream, NULL, NULL, 0), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("flags of a callback", cu.cuStreamAddCallback(stream, note_callback, &called, 1),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("a host function", cu.cuLaunchHostFunc(stream, note_first, NULL), CUDA_SUCCESS, true);
    ROW("a second one", cu.cuLaunchHostFunc(stream, note_second, NULL), CUDA_SUCCESS, true);
    ROW("a callback", cu.cuStreamAddCallback(stream, note_callback, &called, 0), CUDA_SUCCESS,
        true);
    ROW("they ran in order", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
        seen.first == 1 && seen.second == 2 && called == 1);
    ROW("calls inside are refused", seen.call, CUDA_ERROR_NOT_PERMITTED, true);
    ROW("what the callback got", seen.status, CUDA_SUCCESS, seen.stream == stream);
    ROW("no capture", cu.cuStreamIsCapturing(stream, &capture), CUDA_SUCCESS,
        capture == CU_STREAM_CAPTURE_STATUS_NONE);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
}

void group_stream(void)
{
    conformance_world_open(&world);
    life();
    attributes();
    host_functions();
}
