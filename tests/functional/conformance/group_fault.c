/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_fault.c - kernels that fail: the code, how long it stays, what
 * still works.
 */
#include "tests/functional/conformance/conformance.h"

#include <sys/wait.h>
#include <unistd.h>

static struct conformance_world world;

static const struct fault {
    const char *label, *kernel;
    CUresult error;
} faults[] = {
    {"illegal address", "fault", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"misaligned address", "misaligned", CUDA_ERROR_MISALIGNED_ADDRESS},
    {"trap", "stop", CUDA_ERROR_LAUNCH_FAILED},
};

/* The error of one kernel, in a context of its own that dies with it. */
static void one_fault(const struct fault *fault)
{
    const char *const label = fault->label;
    const CUresult error = fault->error;
    CUcontext context = NULL, current = NULL;
    CUdeviceptr memory = 0, more = 0;
    CUmodule module;
    CUfunction function = NULL;
    CUevent event = NULL;
    CUdevice device = -7;
    CUresult others;
    void *params[] = {&memory};

    ROW(label, cu.cuCtxCreate(&context, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW(label, cu.cuMemAlloc(&memory, 64), CUDA_SUCCESS, true);
    ROW(label, cu.cuEventCreate(&event, 0), CUDA_SUCCESS, true);
    ROW(label, cu.cuModuleLoadData(&module, kernels_ptx), CUDA_SUCCESS,
        cu.cuModuleGetFunction(&function, module, fault->kernel) == CUDA_SUCCESS);
    ROW(label, cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL), CUDA_SUCCESS,
        true);
    ROW(label, cu.cuCtxSynchronize(), error, true);
    ROW("it stays", cu.cuCtxSynchronize(), error, true);
    ROW("allocation fails", cu.cuMemAlloc(&more, 64), error, more == 0);
    ROW("launch fails", cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL), error,
        true);
    ROW("copy fails", cu.cuMemcpyDtoH(&more, memory, 8), error, true);
    ROW("event fails", cu.cuEventRecord(event, NULL), error, true);
    ROW("the context can be asked", cu.cuCtxGetCurrent(&current), CUDA_SUCCESS, current == context);
    ROW("and its device", cu.cuCtxGetDevice(&device), CUDA_SUCCESS, device == world.device);
    ROW("it can be destroyed", cu.cuCtxDestroy(context), CUDA_SUCCESS, true);
    ROW("another context is there", cu.cuCtxSetCurrent(world.context), CUDA_SUCCESS, true);
    others = cu.cuCtxSynchronize();
    ROW("and well, but to NVIDIA's driver", CUDA_SUCCESS, CUDA_SUCCESS,
        others == CUDA_SUCCESS || (conformance_nvidia && others == error));
}

/* What waits behind or beside the failed kernel ends, too. */
static void beside(const void *unused)
{
    CUcontext context = NULL;
    CUmodule module;
    CUfunction fault = NULL, wait_flag = NULL;
    CUstream stream;
    uint32_t *flag;
    void *params[] = {&flag};

    (void)unused;
    conformance_world_open(&world);
    flag = world.pinned;
    ROW("context", cu.cuCtxCreate(&context, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("module", cu.cuModuleLoadData(&module, kernels_ptx), CUDA_SUCCESS,
        cu.cuModuleGetFunction(&fault, module, "fault") == CUDA_SUCCESS &&
            cu.cuModuleGetFunction(&wait_flag, module, "wait_flag") == CUDA_SUCCESS);
    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("a kernel that never ends",
        cu.cuLaunchKernel(wait_flag, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL), CUDA_SUCCESS,
        true);
    ROW("a wait that never ends",
        cu.cuStreamWaitValue32(stream, (CUdeviceptr)(uintptr_t)flag, 1, CU_STREAM_WAIT_VALUE_EQ),
        CUDA_SUCCESS, true);
    ROW("a kernel that fails", cu.cuLaunchKernel(fault, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
        CUDA_SUCCESS, true);
    ROW("its error", cu.cuStreamSynchronize(NULL), CUDA_ERROR_ILLEGAL_ADDRESS, true);
    ROW("ends the other stream", cu.cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS, true);
    ROW("destroy", cu.cuCtxDestroy(context), CUDA_SUCCESS,
        cu.cuCtxSetCurrent(world.context) == CUDA_SUCCESS);
}

/* The wait for an event says it, also for one that the driver may tell of. */
static void by_event(const void *unused)
{
    CUcontext context = NULL;
    CUmodule module;
    CUfunction fault = NULL;
    CUstream stream;
    CUevent event;
    uint32_t *flag;

    (void)unused;
    conformance_world_open(&world);
    flag = world.pinned;
    ROW("context", cu.cuCtxCreate(&context, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("module", cu.cuModuleLoadData(&module, kernels_ptx), CUDA_SUCCESS,
        cu.cuModuleGetFunction(&fault, module, "fault") == CUDA_SUCCESS);
    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("event", cu.cuEventCreate(&event, 0), CUDA_SUCCESS, true);
    ROW("record", cu.cuEventRecord(event, stream), CUDA_SUCCESS,
        conformance_wait_late(event) == CUDA_SUCCESS);
    ROW("a wait",
        cu.cuStreamWaitValue32(stream, (CUdeviceptr)(uintptr_t)flag, 1, CU_STREAM_WAIT_VALUE_EQ),
        CUDA_SUCCESS, true);
    ROW("a kernel that fails behind it",
        cu.cuLaunchKernel(fault, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL), CUDA_SUCCESS, true);
    ROW("record behind that", cu.cuEventRecord(event, stream), CUDA_SUCCESS, true);
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    ROW("its error", cu.cuEventSynchronize(event), CUDA_ERROR_ILLEGAL_ADDRESS, true);
    ROW("it stays", cu.cuEventSynchronize(event), CUDA_ERROR_ILLEGAL_ADDRESS, true);
    ROW("destroy", cu.cuCtxDestroy(context), CUDA_SUCCESS,
        cu.cuCtxSetCurrent(world.context) == CUDA_SUCCESS);
}

/* A copy to the host that a fault ends does not hold up another context's copy to that place. */
static void behind(const char *label, size_t bytes)
{
    CUcontext context = NULL;
    CUmodule module;
    CUfunction fault = NULL;
    CUdeviceptr memory = 0, others = 0;
    CUstream stream;
    uint32_t *flag = world.pinned + 2;
    uint8_t *host = NULL;

    *flag = 0;
    ROW(label, cu.cuMemAlloc(&others, bytes), CUDA_SUCCESS,
        cu.cuMemsetD8(others, 7, bytes) == CUDA_SUCCESS);
    ROW("pinned", cu.cuMemHostAlloc((void **)&host, bytes, CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS,
        true);
    ROW("context", cu.cuCtxCreate(&context, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("module", cu.cuModuleLoadData(&module, kernels_ptx), CUDA_SUCCESS,
        cu.cuModuleGetFunction(&fault, module, "fault") == CUDA_SUCCESS);
    ROW("memory", cu.cuMemAlloc(&memory, bytes), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("a wait",
        cu.cuStreamWaitValue32(stream, (CUdeviceptr)(uintptr_t)flag, 1, CU_STREAM_WAIT_VALUE_EQ),
        CUDA_SUCCESS, true);
    ROW("a kernel that fails behind it",
        cu.cuLaunchKernel(fault, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL), CUDA_SUCCESS, true);
    ROW("a copy behind that", cu.cuMemcpyDtoHAsync(host, memory, bytes, stream), CUDA_SUCCESS,
        true);
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    ROW("its error", cu.cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS, true);
    ROW("the other context", cu.cuCtxSetCurrent(world.context), CUDA_SUCCESS, true);
    ROW("copies", cu.cuMemcpyDtoHAsync(host, others, bytes, NULL), CUDA_SUCCESS, true);
    ROW("and is not held up", cu.cuCtxSynchronize(), CUDA_SUCCESS,
        host[0] == 7 && host[bytes - 1] == 7);
    ROW("destroy", cu.cuCtxDestroy(context), CUDA_SUCCESS, true);
    ROW("free", cu.cuMemFree(others), CUDA_SUCCESS, cu.cuMemFreeHost(host) == CUDA_SUCCESS);
}

static void after_fork(const void *unused)
{
    int status = -1, count = 0;
    pid_t child;

    (void)unused;
    conformance_world_open(&world);
    child = fork();
    if (child == 0) {
        bool refused = cu.cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED &&
                       cu.cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED &&
                       cu.cuInit(0) == CUDA_ERROR_NOT_INITIALIZED;

        _exit(refused ? 0 : 1);
    }
    ROW("a child that forked after cuInit is refused", CUDA_SUCCESS, CUDA_SUCCESS,
        child > 0 && waitpid(child, &status, 0) == child && status == 0);
    ROW("the parent goes on", cu.cuCtxSynchronize(), CUDA_SUCCESS, true);
}

static void fault_alone(const void *fault)
{
    conformance_world_open(&world);
    one_fault(fault);
}

/* As far as a context outlives another's fault. */
static void one_after_another(const void *unused)
{
    (void)unused;
    conformance_world_open(&world);
    for (size_t i = 0; i < FAB_ARRAY_LEN(faults); i++)
        one_fault(&faults[i]);
    behind("a small copy", 64);
    behind("a large copy", 4 << 20);
}

/* A fault ends what NVIDIA's driver has for the process, so each has one. */
void group_fault(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(faults); i++)
        conformance_apart(fault_alone, &faults[i]);
    conformance_apart(beside, NULL);
    conformance_apart(by_event, NULL);
    if (!conformance_nvidia)
        conformance_apart(one_after_another, NULL);
    conformance_apart(after_fork, NULL);
}
