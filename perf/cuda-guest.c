/* SPDX-License-Identifier: Apache-2.0
 * perf/cuda-guest.c - a CUDA program that measures what it is asked to.
 *
 *     cuda-guest LIBCUDA
 *
 * Reads "NAME COUNT" lines from standard input and answers each with one number. It does not know
 * what serves it: softcuda in this process, or workers. Started by cuda-bench-side.c.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cuda.h>

#include "perf/cuda-table.h"

enum { MIB = 1 << 20, COPY_MAX = 256 * MIB, MATRIX = 256 };

/* It never settles on a layout of this. */
/* clang-format off */
#define FUNCTIONS(X) \
    X(cuInit) X(cuDeviceGetCount) X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) \
    X(cuModuleLoadData) X(cuModuleGetFunction) X(cuLaunchKernel) X(cuStreamSynchronize) \
    X(cuStreamCreate) X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) X(cuMemcpyHtoD) \
    X(cuMemcpyDtoH) X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) X(cuMemcpyPeer) X(cuMemsetD8) \
    X(cuCtxSynchronize) X(cuMemsetD32) X(cuStreamQuery) X(cuEventCreate) \
    X(cuEventRecord) X(cuEventSynchronize)
/* clang-format on */

CUDA_TABLE(FUNCTIONS)

static const char code[] =
    ".version 6.3\n.target sm_75\n.address_size 64\n"
    ".visible .entry empty() { ret; }\n"
    /* c[row][column] += a[row][k] * b[k][column], one thread an element. */
    ".visible .entry matmul(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n) {\n"
    "  .reg .b64 %rd<10>; .reg .b32 %r<12>; .reg .f32 %f<4>; .reg .pred %p<2>;\n"
    "  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "  mad.lo.u32 %r4, %r1, %r2, %r3; mov.u32 %r5, %ctaid.y; ld.param.u32 %r6, [n];\n"
    "  ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [c];\n"
    "  mul.lo.u32 %r7, %r5, %r6; mul.wide.u32 %rd4, %r7, 4; add.u64 %rd1, %rd1, %rd4;\n"
    "  mul.wide.u32 %rd5, %r4, 4; add.u64 %rd2, %rd2, %rd5; mul.wide.u32 %rd6, %r6, 4;\n"
    "  mov.f32 %f1, 0f00000000; mov.u32 %r8, 0;\n"
    "more: ld.global.f32 %f2, [%rd1]; ld.global.f32 %f3, [%rd2]; fma.rn.f32 %f1, %f2, %f3, %f1;\n"
    "  add.u64 %rd1, %rd1, 4; add.u64 %rd2, %rd2, %rd6; add.u32 %r8, %r8, 1;\n"
    "  setp.lt.u32 %p1, %r8, %r6; @%p1 bra more;\n"
    "  add.u32 %r9, %r7, %r4; mul.wide.u32 %rd7, %r9, 4; add.u64 %rd3, %rd3, %rd7;\n"
    "  st.global.f32 [%rd3], %f1; ret; }\n";

static struct {
    CUcontext context[2];
    int count; /* contexts: the first and the last device */
    CUfunction empty, matmul;
    CUstream stream;
    CUevent event;
    CUdeviceptr memory, other; /* COPY_MAX bytes on the first, and on the last device */
    uint8_t *pinned, *pageable;
} world;

static void need(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "cuda-guest: %s failed with %d\n", what, (int)result);
    exit(1);
}
#define NEED(name, ...) need(cu.name(__VA_ARGS__), #name)

static void attach(void)
{
    int devices = 0;

    NEED(cuInit, 0);
    NEED(cuDeviceGetCount, &devices);
    world.count = devices > 1 ? 2 : 1;
    NEED(cuDevicePrimaryCtxRetain, &world.context[0], 0);
    NEED(cuCtxSetCurrent, world.context[0]);
}

static void furnish(void)
{
    CUmodule module;
    int devices = 0;
    void *at;

    attach();
    NEED(cuDeviceGetCount, &devices);
    if (world.count == 2) {
        NEED(cuDevicePrimaryCtxRetain, &world.context[1], devices - 1);
        NEED(cuCtxSetCurrent, world.context[1]);
        NEED(cuMemAlloc, &world.other, COPY_MAX);
        NEED(cuMemsetD8, world.other, 1, COPY_MAX);
        NEED(cuCtxSetCurrent, world.context[0]);
    }
    NEED(cuModuleLoadData, &module, code);
    NEED(cuModuleGetFunction, &world.empty, module, "empty");
    NEED(cuModuleGetFunction, &world.matmul, module, "matmul");
    NEED(cuStreamCreate, &world.stream, CU_STREAM_NON_BLOCKING);
    NEED(cuEventCreate, &world.event, CU_EVENT_DISABLE_TIMING);
    NEED(cuMemAlloc, &world.memory, COPY_MAX);
    NEED(cuMemsetD8, world.memory, 1, COPY_MAX);
    NEED(cuMemHostAlloc, &at, COPY_MAX, 0);
    world.pinned = memset(at, 1, COPY_MAX);
    world.pageable = malloc(COPY_MAX);
    if (!world.pageable)
        exit(1);
    memset(world.pageable, 1, COPY_MAX);
    NEED(cuCtxSynchronize);
}

static double now_us(clockid_t clock)
{
    struct timespec at;

    (void)clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static void launch(void)
{
    NEED(cuLaunchKernel, world.empty, 1, 1, 1, 1, 1, 1, 0, world.stream, NULL, NULL);
}

static void finish(void)
{
    NEED(cuStreamSynchronize, world.stream);
}

/* ---- what can be asked: each does its work once ------------------------------------------------
 */

static void launch_and_sync(unsigned size)
{
    (void)size;
    launch();
    finish();
}

static void launch_and_event(unsigned size)
{
    (void)size;
    launch();
    NEED(cuEventRecord, world.event, world.stream);
    NEED(cuEventSynchronize, world.event);
}

static void launches(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        launch();
    finish();
}

/* Without a thread that waits in the driver, and so takes part in the kernels. */
static void launches_alone(unsigned count)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    for (unsigned i = 0; i < count; i++)
        launch();
    while (cu.cuStreamQuery(world.stream) == CUDA_ERROR_NOT_READY)
        (void)nanosleep(&pause, NULL);
}

static void matmul(unsigned times)
{
    CUdeviceptr a = world.memory, b = a + 4 * MATRIX * MATRIX, c = b + 4 * MATRIX * MATRIX;
    unsigned n = MATRIX;
    void *params[] = {&a, &b, &c, &n};

    for (unsigned i = 0; i < times; i++)
        NEED(cuLaunchKernel, world.matmul, MATRIX / 64, MATRIX, 1, 64, 1, 1, 0, world.stream,
             params, NULL);
    finish();
}

static void in_pinned(unsigned bytes)
{
    NEED(cuMemcpyHtoDAsync, world.memory, world.pinned, bytes, world.stream);
    finish();
}

static void out_pinned(unsigned bytes)
{
    NEED(cuMemcpyDtoHAsync, world.pinned, world.memory, bytes, world.stream);
    finish();
}

static void in_pageable(unsigned bytes)
{
    NEED(cuMemcpyHtoD, world.memory, world.pageable, bytes);
}

static void out_pageable(unsigned bytes)
{
    NEED(cuMemcpyDtoH, world.pageable, world.memory, bytes);
}

static void peer(unsigned bytes)
{
    if (world.count < 2)
        return;
    NEED(cuMemcpyPeer, world.other, world.context[1], world.memory, world.context[0], bytes);
    NEED(cuCtxSynchronize);
}

static void memory_copy(unsigned bytes)
{
    memcpy(world.pageable, world.pinned, bytes);
}

static const struct {
    const char *name;
    void (*work)(unsigned size);
} works[] = {
    {"launch-sync", launch_and_sync},
    {"launch-event", launch_and_event},
    {"launches", launches},
    {"launches-alone", launches_alone},
    {"matmul", matmul},
    {"in-pinned", in_pinned},
    {"out-pinned", out_pinned},
    {"in-pageable", in_pageable},
    {"out-pageable", out_pageable},
    {"peer", peer},
    {"memcpy", memory_copy},
};

/* Microseconds of one go, the mean of `times`; CPU time of this thread alone for "cpu". */
static double measure(void (*work)(unsigned), unsigned size, unsigned times)
{
    double start = now_us(CLOCK_MONOTONIC);

    for (unsigned i = 0; i < times; i++)
        work(size);
    return (now_us(CLOCK_MONOTONIC) - start) / times;
}

/* CPU time of this thread for one posted launch, without the wait. */
static double launch_cpu(unsigned count)
{
    double start = now_us(CLOCK_THREAD_CPUTIME_ID), end;

    for (unsigned i = 0; i < count; i++)
        launch();
    end = now_us(CLOCK_THREAD_CPUTIME_ID);
    finish();
    return (end - start) / count;
}

static double answer(const char *name, unsigned size, unsigned times)
{
    if (strcmp(name, "launch-cpu") == 0)
        return launch_cpu(size);
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        if (strcmp(works[i].name, name) == 0)
            return measure(works[i].work, size, times);
    }
    return -1;
}

int main(int argc, char **argv)
{
    unsigned size, times;
    char name[32];

    if (argc < 2)
        return 2;
    load_driver(argv[1]);
    if (argc > 2 && strcmp(argv[2], "attach") == 0) { /* a program's start, and nothing else */
        attach();
        return 0;
    }
    furnish();
    (void)printf("ready\n");
    (void)fflush(stdout);
    while (scanf("%31s %u %u", name, &size, &times) == 3) {
        (void)printf("%.6f\n", answer(name, size, times));
        (void)fflush(stdout);
    }
    return 0;
}
