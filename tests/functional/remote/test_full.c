/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/test_full.c - more work than the queues of a driver take.
 *
 * Run as `remote-run --workers 2 test_remote_full` with SOFTCUDA_QUEUE_DEPTH and FABRIC_QUEUE_DEPTH
 * as small as they can be: whoever relied on a queue with room for all would wait for ever. And
 * more functions than a reply takes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { ROUNDS = 20, BURST = 100, MANY = 3000, WORDS = 64, LAST = 1000 };
enum { FUNCTIONS = 4100, LINE_BYTES = 64 };

static struct remote_gpu gpu;
static _Atomic unsigned launched;

/* What the stream behind it launches is on its way while the host function's bytes go out. */
struct writer {
    uint32_t *to;
    uint32_t value;
};

static void write_later(void *arg)
{
    const struct writer *writer = arg;

    while (atomic_load(&launched) == 0)
        ;
    for (int i = 1; i < WORDS; i++)
        writer->to[i] = writer->value;
}

static int bytes_of_host_functions(void *arg)
{
    uint32_t back[WORDS], *mapped;
    CUdeviceptr on_device;
    int wrong = 0;

    (void)arg;
    remote_gpu_open(&gpu, 1);
    remote_need(cuMemHostAlloc((void **)&mapped, sizeof(back), CU_MEMHOSTALLOC_DEVICEMAP),
                "mapped");
    remote_need(cuMemHostGetDevicePointer(&on_device, mapped, 0), "its address");
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct writer writer = {.to = mapped, .value = round};

        atomic_store(&launched, 0);
        remote_need(remote_gpu_store(&gpu, on_device, round), "launch");
        remote_need(cuLaunchHostFunc(gpu.stream, write_later, &writer), "host function");
        for (uint32_t i = 0; i < BURST; i++) {
            remote_need(remote_gpu_store(&gpu, gpu.memory + i * sizeof(i), i), "launch");
            atomic_fetch_add(&launched, 1);
        }
        remote_need(cuMemcpyDtoDAsync(gpu.memory + LAST, on_device, sizeof(back), gpu.stream),
                    "copy");
        remote_need(cuStreamSynchronize(gpu.stream), "synchronise");
        remote_need(cuMemcpyDtoH(back, gpu.memory + LAST, sizeof(back)), "look");
        for (int i = 0; i < WORDS; i++)
            wrong += back[i] != round || mapped[i] != round;
    }
    return wrong == 0 ? 0 : 1;
}

/* Nobody waits: all are executed, in two streams and with other commands between them. */
static int no_end(void *arg)
{
    CUfunction function;
    CUstream streams[2];
    uint32_t counted = 0;

    (void)arg;
    remote_gpu_open(&gpu, 0);
    streams[0] = gpu.stream;
    remote_need(cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING), "stream");
    remote_need(cuModuleGetFunction(&function, gpu.module, "count"), "function");
    for (int i = 0; i < MANY; i++) {
        void *params[] = {&gpu.memory};

        remote_need(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, streams[i / 7 % 2], params, NULL),
                    "launch");
        if (i % 5 == 0)
            remote_need(cuMemsetD32Async(gpu.memory + LAST, 1, 1, streams[i % 2]), "set");
    }
    remote_need(cuCtxSynchronize(), "synchronise");
    remote_need(cuMemcpyDtoH(&counted, gpu.memory, sizeof(counted)), "look");
    return counted == MANY ? 0 : 1;
}

/* They are counted, found by name and launched; what cannot be listed in whole is refused. */
static int many_functions(void *arg)
{
    static CUfunction functions[FUNCTIONS];
    char name_of_last[16];
    CUfunction last;
    CUmodule module;
    unsigned count = 0;
    size_t bytes = 0, room = FUNCTIONS * LINE_BYTES;
    char *code = malloc(room);
    bool holds;

    (void)arg;
    if (!code)
        return REMOTE_BROKEN;
    remote_gpu_open(&gpu, 0);
    bytes += (size_t)snprintf(code, room, ".version 6.3\n.target sm_75\n.address_size 64\n");
    for (int i = 0; i < FUNCTIONS; i++)
        bytes +=
            (size_t)snprintf(code + bytes, room - bytes, ".visible .entry f%d() { ret; }\n", i);
    remote_need(cuModuleLoadData(&module, code), "load");
    free(code);
    remote_need(cuModuleGetFunctionCount(&count, module), "count");
    holds = count == FUNCTIONS;
    holds &= remote_expect("all", cuModuleEnumerateFunctions(functions, FUNCTIONS, module),
                           CUDA_ERROR_NOT_SUPPORTED);
    for (int i = 0; i < FUNCTIONS; i++)
        holds &= !functions[i];
    holds &= remote_expect("some", cuModuleEnumerateFunctions(functions, 2, module), CUDA_SUCCESS);
    holds &= functions[0] && functions[1] && !functions[2];
    (void)snprintf(name_of_last, sizeof(name_of_last), "f%d", FUNCTIONS - 1);
    remote_need(cuModuleGetFunction(&last, module, name_of_last), "the last one by its name");
    remote_need(cuLaunchKernel(last, 1, 1, 1, 1, 1, 1, 0, gpu.stream, NULL, NULL), "launch");
    remote_need(cuCtxSynchronize(), "synchronise");
    return holds ? 0 : 1;
}

static void test_full(void)
{
    static const struct {
        const char *label;
        int (*run)(void *arg);
    } cases[] = {{"bytes of host functions", bytes_of_host_functions},
                 {"no end", no_end},
                 {"many functions", many_functions}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct remote_child child;

        CHECK_CASE("%s", cases[i].label);
        remote_child_start(&child, cases[i].run, NULL);
        CHECK_EQ(remote_child_end(&child), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_full)};

    return check_run(tests);
}
