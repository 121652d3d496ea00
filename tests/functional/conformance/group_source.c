/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_source.c - what a copy reads in pinned memory: what is there
 * when its turn comes.
 *
 * Each way to hold a stream is one in which the program may fill the memory after it has submitted
 * the copy; each way to write is one whose bytes a copy behind it finds. NVIDIA's driver may read a
 * few bytes earlier: when the copy is submitted.
 */
#include "tests/functional/conformance/conformance.h"

enum { SMALL = 4096, LARGE = 256 << 10, AHEAD = 3 };

static struct conformance_world world;
static CUfunction store;
static CUstream stream, blocking, other;
static CUevent event;
static uint32_t *source; /* LARGE for each copy */
static _Atomic int may_go;

static void fill(uint32_t value)
{
    for (size_t i = 0; i < 2 * LARGE / sizeof(*source); i++)
        source[i] = value;
}

static void wait_to_go(void *arg)
{
    (void)arg;
    while (may_go == 0)
        ;
}

/* ---- the program fills the memory of a copy that has to wait --------------------------------- */

static CUresult behind_kernel(CUstream held)
{
    return conformance_hold(&world, held);
}

static CUresult behind_value(CUstream held)
{
    CUresult result = cu.cuMemsetD32Async(world.memory, 0, 1, held);

    return result == CUDA_SUCCESS ? cu.cuStreamWaitValue32(held, world.memory, 1, 0) : result;
}

static CUresult behind_host_value(CUstream held)
{
    world.pinned[0] = 0;
    return cu.cuStreamWaitValue32(held, (CUdeviceptr)(uintptr_t)world.pinned, 1, 0);
}

static CUresult behind_host_function(CUstream held)
{
    return cu.cuLaunchHostFunc(held, wait_to_go, NULL);
}

static CUresult behind_event(CUstream held)
{
    CUresult result = conformance_hold(&world, other);

    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(event, other);
    return result == CUDA_SUCCESS ? cu.cuStreamWaitEvent(held, event, 0) : result;
}

/* All streams wait, so only the program can let them go. */
static CUresult behind_event_of_all(CUstream held)
{
    CUresult result = cu.cuLaunchHostFunc(other, wait_to_go, NULL);

    (void)held;
    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(event, other);
    return result == CUDA_SUCCESS ? cu.cuCtxWaitEvent(world.context, event) : result;
}

static CUresult behind_default(CUstream held)
{
    (void)held;
    return conformance_hold(&world, NULL);
}

static void let_kernel_go(void)
{
    conformance_let_go(&world);
}

static void let_value_go(void)
{
    conformance_need(cu.cuStreamWriteValue32(other, world.memory, 1, 0), "write a value");
}

static void let_host_value_go(void)
{
    __atomic_store_n(world.pinned, 1, __ATOMIC_RELEASE);
}

static void let_function_go(void)
{
    may_go = 1;
}

static bool holds(CUdeviceptr at, uint32_t bytes, uint32_t value)
{
    return conformance_read(at) == value && conformance_read(at + bytes - sizeof(value)) == value;
}

static void filled_late(uint32_t bytes)
{
    static const struct {
        const char *label;
        CUresult (*hold)(CUstream held);
        void (*let_go)(void);
        bool blocking;
    } ways[] = {
        {"behind a kernel", behind_kernel, let_kernel_go, false},
        {"behind a value on the device", behind_value, let_value_go, false},
        {"behind a value of the host", behind_host_value, let_host_value_go, false},
        {"behind a host function", behind_host_function, let_function_go, false},
        {"behind an event", behind_event, let_kernel_go, false},
        {"behind the default stream", behind_default, let_kernel_go, true},
        {"behind an event for which all wait", behind_event_of_all, let_function_go, false},
    };
    const bool may_be_early = conformance_nvidia && bytes == SMALL;

    for (size_t i = 0; i < FAB_ARRAY_LEN(ways); i++) {
        const CUstream held = ways[i].blocking ? blocking : stream;
        const CUdeviceptr to = world.memory + LARGE;

        may_go = 0;
        fill(1);
        ROW(ways[i].label, ways[i].hold(held), CUDA_SUCCESS, true);
        ROW("a copy", cu.cuMemcpyHtoDAsync(to, source, bytes, held), CUDA_SUCCESS, true);
        ROW("another",
            cu.cuMemcpyHtoDAsync(to + LARGE, source + LARGE / sizeof(*source), bytes, held),
            CUDA_SUCCESS, cu.cuStreamQuery(held) == CUDA_ERROR_NOT_READY);
        fill(2);
        ways[i].let_go();
        ROW(ways[i].label, cu.cuStreamSynchronize(held), CUDA_SUCCESS,
            holds(to, bytes, 2) || (may_be_early && holds(to, bytes, 1)));
        ROW(ways[i].label, cu.cuCtxSynchronize(), CUDA_SUCCESS,
            holds(to + LARGE, bytes, 2) || (may_be_early && holds(to + LARGE, bytes, 1)));
    }
}

/* ---- what writes the memory in the order of streams ------------------------------------------ */

static CUresult write_by_copy(uint32_t bytes)
{
    CUresult result = cu.cuMemsetD32Async(world.memory, 2, bytes / sizeof(uint32_t), stream);

    return result == CUDA_SUCCESS ? cu.cuMemcpyDtoHAsync(source, world.memory, bytes, stream)
                                  : result;
}

static CUresult write_by_copy_elsewhere(uint32_t bytes)
{
    CUresult result = cu.cuMemsetD32Async(world.memory, 2, bytes / sizeof(uint32_t), other);

    if (result == CUDA_SUCCESS)
        result = cu.cuMemcpyDtoHAsync(source, world.memory, bytes, other);
    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(event, other);
    return result == CUDA_SUCCESS ? cu.cuStreamWaitEvent(stream, event, 0) : result;
}

static CUresult store_into(CUstream by, void *at)
{
    CUdeviceptr to = (CUdeviceptr)(uintptr_t)at;
    uint32_t value = 2;
    void *params[] = {&to, &value};

    return cu.cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, by, params, NULL);
}

static CUresult write_by_kernel(uint32_t bytes)
{
    CUresult result = store_into(stream, source);

    return result == CUDA_SUCCESS ? store_into(stream, source + bytes / sizeof(*source) - 1)
                                  : result;
}

static CUresult write_by_kernel_elsewhere(uint32_t bytes)
{
    CUresult result = store_into(other, source);

    if (result == CUDA_SUCCESS)
        result = store_into(other, source + bytes / sizeof(*source) - 1);
    if (result == CUDA_SUCCESS)
        result = cu.cuEventRecord(event, other);
    return result == CUDA_SUCCESS ? cu.cuStreamWaitEvent(stream, event, 0) : result;
}

static void fill_now(void *arg)
{
    (void)arg;
    fill(2);
}

static CUresult write_by_host_function(uint32_t bytes)
{
    (void)bytes;
    return cu.cuLaunchHostFunc(stream, fill_now, NULL);
}

static CUresult write_by_set(uint32_t bytes)
{
    return cu.cuMemsetD32Async((CUdeviceptr)(uintptr_t)source, 2, bytes / sizeof(uint32_t), stream);
}

/* NVIDIA's takes no managed memory there. */
static CUresult write_by_values(uint32_t bytes)
{
    const CUdeviceptr at = (CUdeviceptr)(uintptr_t)source;
    CUresult result = cu.cuStreamWriteValue32(stream, at, 2, 0);

    return result == CUDA_SUCCESS
               ? cu.cuStreamWriteValue32(stream, at + bytes - sizeof(uint32_t), 2, 0)
               : result;
}

/* Copies go ahead of all this. */
static void written_in_order(uint32_t bytes, bool is_managed)
{
    static const struct {
        const char *label;
        CUresult (*write)(uint32_t bytes);
    } ways[] = {
        {"a copy from the device", write_by_copy},
        {"one in another stream", write_by_copy_elsewhere},
        {"a kernel", write_by_kernel},
        {"a kernel in another stream", write_by_kernel_elsewhere},
        {"a host function", write_by_host_function},
        {"a set", write_by_set},
        {"values", write_by_values},
    };

    const bool takes_values = conformance_checks || !is_managed;

    for (size_t i = 0; i < FAB_ARRAY_LEN(ways) - (takes_values ? 0 : 1); i++) {
        const CUdeviceptr to = world.memory + LARGE;

        fill(1);
        for (int j = 0; j < AHEAD; j++)
            ROW("a copy ahead",
                cu.cuMemcpyHtoDAsync(to + LARGE, source + LARGE / sizeof(*source), bytes, stream),
                CUDA_SUCCESS, true);
        ROW(ways[i].label, ways[i].write(bytes), CUDA_SUCCESS, true);
        ROW("a copy behind it", cu.cuMemcpyHtoDAsync(to, source, bytes, stream), CUDA_SUCCESS,
            true);
        ROW(ways[i].label, cu.cuStreamSynchronize(stream), CUDA_SUCCESS, holds(to, bytes, 2));
        ROW("the one ahead did not", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
            conformance_read(to + LARGE) == 1);
    }
}

/* Memory that the host fills again as soon as it is known to be read. */
static void filled_again(uint32_t bytes)
{
    enum { ROUNDS = 8 };

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        fill(i);
        ROW("a copy", cu.cuMemcpyHtoDAsync(world.memory, source, bytes, stream), CUDA_SUCCESS,
            true);
        ROW("record", cu.cuEventRecord(event, stream), CUDA_SUCCESS, true);
        ROW("it was read", cu.cuEventSynchronize(event), CUDA_SUCCESS, true);
        fill(0);
        ROW("before the host filled it again", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
            holds(world.memory, bytes, i));
    }
}

/* To managed memory behind a kernel that uses it: it may be the host's, and is the device's. */
static void filled_late_for_managed(uint32_t bytes, uint32_t *target)
{
    const CUdeviceptr to = (CUdeviceptr)(uintptr_t)target;

    fill(1);
    ROW("behind a kernel", conformance_hold(&world, stream), CUDA_SUCCESS, true);
    ROW("another uses it", store_into(stream, target), CUDA_SUCCESS, true);
    ROW("a copy to managed memory", cu.cuMemcpyHtoDAsync(to, source, bytes, stream), CUDA_SUCCESS,
        cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
    fill(2);
    conformance_let_go(&world);
    ROW("read when its turn came", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
        holds(to, bytes, 2) || (conformance_nvidia && bytes == SMALL && holds(to, bytes, 1)));
}

void group_source(void)
{
    static const uint32_t sizes[] = {SMALL, LARGE};
    uint32_t *late, *pinned, *managed;

    conformance_world_open(&world);
    store = conformance_kernel(&world, "store");
    conformance_need(cu.cuMemHostAlloc((void **)&late, 2 * (size_t)LARGE, 0), "cuMemHostAlloc");
    conformance_need(cu.cuMemHostAlloc((void **)&pinned, 2 * (size_t)LARGE, 0), "cuMemHostAlloc");
    conformance_need(
        cu.cuMemAllocManaged((CUdeviceptr *)&managed, 2 * (size_t)LARGE, CU_MEM_ATTACH_GLOBAL),
        "cuMemAllocManaged");
    conformance_need(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    conformance_need(cu.cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    conformance_need(cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), "cuStreamCreate");
    conformance_need(cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        source = late;
        filled_late(sizes[i]);
        filled_late_for_managed(sizes[i], managed);
        source = pinned;
        filled_again(sizes[i]);
        written_in_order(sizes[i], false);
        source = managed;
        written_in_order(sizes[i], true);
    }
}
