/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_context.c - primary and own contexts, the stack, threads,
 * limits.
 */
#include "tests/functional/conformance/conformance.h"

#include <pthread.h>

static CUdevice device;

static void without_context(void)
{
    CUdevice got = -7;
    CUdeviceptr memory = 7;
    CUstream stream = KEPT;

    ROW("device of no context", cu.cuCtxGetDevice(&got), CUDA_ERROR_INVALID_CONTEXT, got == -7);
    ROW("synchronise no context", cu.cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT, true);
    ROW("allocate without context", cu.cuMemAlloc(&memory, 64), CUDA_ERROR_INVALID_CONTEXT,
        IS_KEPT(memory == 7));
    ROW("stream without context", cu.cuStreamCreate(&stream, 0), CUDA_ERROR_INVALID_CONTEXT,
        IS_KEPT(stream == KEPT));
    ROW("pop without context", cu.cuCtxPopCurrent(NULL), CUDA_ERROR_INVALID_CONTEXT, true);
    ROW("push nothing", cu.cuCtxPushCurrent(NULL), CUDA_ERROR_INVALID_VALUE, true);
    ROW_CHECKED("a handle that is none", cu.cuCtxSetCurrent((CUcontext)(uintptr_t)0x1230),
                CUDA_ERROR_INVALID_CONTEXT, true);
}

static void primary(void)
{
    CUcontext first = NULL, second = NULL, current = KEPT;
    unsigned flags = 99;
    int active = 99;

    ROW("state before the first retain", cu.cuDevicePrimaryCtxGetState(device, &flags, &active),
        CUDA_SUCCESS, flags == 0 && active == 0);
    ROW("release what nobody retained", cu.cuDevicePrimaryCtxRelease(device),
        CUDA_ERROR_INVALID_CONTEXT, true);
    ROW("unknown flags", cu.cuDevicePrimaryCtxSetFlags(device, 0x1000), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("flags of the inactive", cu.cuDevicePrimaryCtxSetFlags(device, CU_CTX_SCHED_BLOCKING_SYNC),
        CUDA_SUCCESS, true);
    ROW("retain", cu.cuDevicePrimaryCtxRetain(&first, device), CUDA_SUCCESS, first != NULL);
    ROW("retaining makes nothing current", cu.cuCtxGetCurrent(&current), CUDA_SUCCESS,
        current == NULL);
    ROW("retain again", cu.cuDevicePrimaryCtxRetain(&second, device), CUDA_SUCCESS,
        first == second);
    ROW("state of the active", cu.cuDevicePrimaryCtxGetState(device, &flags, &active), CUDA_SUCCESS,
        flags == CU_CTX_SCHED_BLOCKING_SYNC && active == 1);
    ROW("retain of no device", cu.cuDevicePrimaryCtxRetain(&second, 999), CUDA_ERROR_INVALID_DEVICE,
        first == second);
    ROW("an own context's end does not end it", cu.cuCtxDestroy(first), CUDA_ERROR_INVALID_CONTEXT,
        true);
    ROW("make it current", cu.cuCtxSetCurrent(first), CUDA_SUCCESS,
        cu.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == first);
    ROW("one release of two", cu.cuDevicePrimaryCtxRelease(device), CUDA_SUCCESS,
        cu.cuCtxSynchronize() == CUDA_SUCCESS);
    ROW("the last release", cu.cuDevicePrimaryCtxRelease(device), CUDA_SUCCESS,
        cu.cuCtxSynchronize() == CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ROW("it is inactive again", cu.cuDevicePrimaryCtxGetState(device, &flags, &active),
        CUDA_SUCCESS, active == 0);
    ROW("the handle is stable", cu.cuDevicePrimaryCtxRetain(&second, device), CUDA_SUCCESS,
        second == first && cu.cuCtxSynchronize() == CUDA_SUCCESS);
}

static void reset(void)
{
    CUdeviceptr memory = 0;
    CUevent event;
    CUstream stream;
    CUcontext context;

    ROW("memory to lose", cu.cuMemAlloc(&memory, 4096), CUDA_SUCCESS, memory != 0);
    ROW("stream to lose", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("event to lose", cu.cuEventCreate(&event, 0), CUDA_SUCCESS, true);
    ROW("reset", cu.cuDevicePrimaryCtxReset(device), CUDA_SUCCESS, true);
    ROW("work after it", cu.cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED, true);
    ROW("retain after it", cu.cuDevicePrimaryCtxRetain(&context, device), CUDA_SUCCESS, true);
    ROW_CHECKED("its stream is gone", cu.cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE,
                true);
    ROW_CHECKED("its event is gone", cu.cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE, true);
    ROW("its memory is gone", cu.cuMemFree(memory), CUDA_ERROR_INVALID_VALUE, true);
}

static void own(void)
{
    CUcontext context = KEPT, second = NULL, current = NULL;
    unsigned long long id = 0, second_id = 0;
    unsigned flags = 0, version = 0;
    CUdevice got = -7;

    ROW("create with unknown flags", cu.cuCtxCreate(&context, NULL, 0x1000, device),
        CUDA_ERROR_INVALID_VALUE, context == KEPT);
    ROW("create with two ways to wait",
        cu.cuCtxCreate(&context, NULL, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, device),
        CUDA_ERROR_INVALID_VALUE, context == KEPT);
    ROW("create on no device", cu.cuCtxCreate(&context, NULL, 0, 999), CUDA_ERROR_INVALID_DEVICE,
        context == KEPT);
    ROW("create", cu.cuCtxCreate(&context, NULL, CU_CTX_SCHED_YIELD, device), CUDA_SUCCESS,
        cu.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == context);
    ROW("its flags", cu.cuCtxGetFlags(&flags), CUDA_SUCCESS, flags == CU_CTX_SCHED_YIELD);
    ROW("its device", cu.cuCtxGetDevice(&got), CUDA_SUCCESS, got == device);
    ROW("its version", cu.cuCtxGetApiVersion(context, &version), CUDA_SUCCESS, version >= 3020);
    ROW("its id", cu.cuCtxGetId(context, &id), CUDA_SUCCESS, id != 0);
    ROW("create another", cu.cuCtxCreate(&second, NULL, 0, device), CUDA_SUCCESS,
        second != context);
    ROW("ids differ", cu.cuCtxGetId(NULL, &second_id), CUDA_SUCCESS, id != second_id);
    ROW("push the first", cu.cuCtxPushCurrent(context), CUDA_SUCCESS, true);
    ROW("pop it", cu.cuCtxPopCurrent(&current), CUDA_SUCCESS, current == context);
    ROW("the second is current", cu.cuCtxGetCurrent(&current), CUDA_SUCCESS, current == second);
    ROW("destroy the current one", cu.cuCtxDestroy(second), CUDA_SUCCESS,
        cu.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == context);
    ROW_CHECKED("destroy it again", cu.cuCtxDestroy(second), CUDA_ERROR_INVALID_CONTEXT, true);
    ROW_CHECKED("make it current", cu.cuCtxSetCurrent(second), CUDA_ERROR_INVALID_CONTEXT, true);
    ROW("none is current", cu.cuCtxSetCurrent(NULL), CUDA_SUCCESS, true);
    ROW("destroy the other", cu.cuCtxDestroy(context), CUDA_SUCCESS, true);
}

static void *in_thread(void *arg)
{
    CUcontext current = KEPT;

    ROW("a new thread has none", cu.cuCtxGetCurrent(&current), CUDA_SUCCESS, current == NULL);
    ROW("the same context here", cu.cuCtxSetCurrent(arg), CUDA_SUCCESS,
        cu.cuCtxSynchronize() == CUDA_SUCCESS);
    return NULL;
}

static void *destroyed_elsewhere(void *arg)
{
    ROW("destroy from another thread", cu.cuCtxDestroy(arg), CUDA_SUCCESS, true);
    return NULL;
}

static void threads(void)
{
    CUcontext context = NULL, current = NULL;
    pthread_t thread;

    ROW("create", cu.cuCtxCreate(&context, NULL, 0, device), CUDA_SUCCESS, true);
    if (pthread_create(&thread, NULL, in_thread, context) == 0)
        (void)pthread_join(thread, NULL);
    if (pthread_create(&thread, NULL, destroyed_elsewhere, context) == 0)
        (void)pthread_join(thread, NULL);
    ROW("it is current still", cu.cuCtxGetCurrent(&current), CUDA_SUCCESS, current == context);
    ROW("but gone", cu.cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED, true);
    ROW("pop what is gone", cu.cuCtxPopCurrent(&current), CUDA_SUCCESS, true);
}

static void limits(CUcontext context)
{
    CUfunc_cache cache = (CUfunc_cache)99;
    int least = 99, greatest = 99;
    size_t value = 0;

    ROW("current", cu.cuCtxSetCurrent(context), CUDA_SUCCESS, true);
    ROW("stack size", cu.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS, value == 1024);
    ROW("set it", cu.cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096), CUDA_SUCCESS,
        cu.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE) == CUDA_SUCCESS && value == 4096);
    ROW("too large", cu.cuCtxSetLimit(CU_LIMIT_STACK_SIZE, (size_t)1 << 40),
        CUDA_ERROR_INVALID_VALUE,
        cu.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE) == CUDA_SUCCESS && value == 4096);
    ROW("no such limit", cu.cuCtxSetLimit((CUlimit)77, 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("ask for no such limit", cu.cuCtxGetLimit(&value, (CUlimit)77), CUDA_ERROR_INVALID_VALUE,
        value == 4096);
    ROW("printf buffer", cu.cuCtxGetLimit(&value, CU_LIMIT_PRINTF_FIFO_SIZE), CUDA_SUCCESS,
        value >= 1 << 20);
    ROW("cache preference", cu.cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1), CUDA_SUCCESS,
        cu.cuCtxGetCacheConfig(&cache) == CUDA_SUCCESS && cache == CU_FUNC_CACHE_PREFER_L1);
    ROW("no such preference", cu.cuCtxSetCacheConfig((CUfunc_cache)9), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("priorities", cu.cuCtxGetStreamPriorityRange(&least, &greatest), CUDA_SUCCESS,
        least == 0 && greatest < least);
}

void group_context(void)
{
    CUcontext context = NULL;

    ROW("cuInit", cu.cuInit(0), CUDA_SUCCESS, true);
    ROW("device", cu.cuDeviceGet(&device, 0), CUDA_SUCCESS, true);
    without_context();
    primary();
    reset();
    ROW("none is current", cu.cuCtxSetCurrent(NULL), CUDA_SUCCESS, true);
    own();
    threads();
    ROW("the primary one", cu.cuDevicePrimaryCtxRetain(&context, device), CUDA_SUCCESS, true);
    limits(context);
}
