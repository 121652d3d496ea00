/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels-serve.c - see softcuda-kernels-serve.h. Uses the public driver API of the
 * library that is named; any libcuda.so.1 would do.
 */
#include "perf/softcuda-kernels-serve.h"

#include <cuda.h>
#include <dlfcn.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "perf/softcuda-kernels-plain.h"

/* The PTX that the build made, with a NUL behind it. */
__asm__(".section .rodata\n"
        ".global bench_ptx\n"
        ".hidden bench_ptx\n"
        "bench_ptx:\n"
        ".incbin \"" BENCH_PTX "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char bench_ptx[];

#define DRIVER_LIST(X)                                                                             \
    X(cuInit)                                                                                      \
    X(cuDeviceGet)                                                                                 \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuCtxSetCurrent)                                                                             \
    X(cuModuleLoadData)                                                                            \
    X(cuModuleGetFunction)                                                                         \
    X(cuMemAlloc_v2)                                                                               \
    X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemsetD8_v2) X(cuLaunchKernel) X(cuCtxSynchronize)

static struct {
#define DRIVER_FIELD(name) __typeof__(&name) name;
    DRIVER_LIST(DRIVER_FIELD)
#undef DRIVER_FIELD
} driver;

/* A failed call ends the process: a benchmark has nothing to fall back to. */
static void check(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    (void)fprintf(stderr, "softcuda-kernels: %s: CUDA error %d\n", call, (int)result);
    exit(1);
}
#define CALL(name, ...) check(driver.name(__VA_ARGS__), #name)

static CUmodule module;

/* The function of that name, or the end. */
static void *driver_symbol(void *handle, const char *name)
{
    void *symbol = dlsym(handle, name);

    if (!symbol) {
        (void)fprintf(stderr, "softcuda-kernels: %s\n", dlerror());
        exit(1);
    }
    return symbol;
}

static void load_driver(void *handle)
{
    void *symbol;

#define DRIVER_LOAD(name)                                                                          \
    symbol = driver_symbol(handle, #name);                                                         \
    memcpy(&driver.name, &symbol, sizeof(symbol));
    DRIVER_LIST(DRIVER_LOAD)
#undef DRIVER_LOAD
}

static void open_driver(const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    CUcontext context;
    CUdevice device;

    if (!handle) {
        (void)fprintf(stderr, "softcuda-kernels: %s\n", dlerror());
        exit(1);
    }
    load_driver(handle);
    CALL(cuInit, 0);
    CALL(cuDeviceGet, &device, 0);
    CALL(cuDevicePrimaryCtxRetain, &context, device);
    CALL(cuCtxSetCurrent, context);
}

/* ---- data ------------------------------------------------------------------------------------ */

static uint32_t next_word(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void bench_fill_words(uint32_t *values, int n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;

    for (int i = 0; i < n; i++)
        values[i] = next_word(&state);
}

void bench_fill_floats(float *values, int n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;

    for (int i = 0; i < n; i++)
        values[i] = (float)(next_word(&state) >> 8) * 0x1p-24f;
}

/* Host copies of the inputs, the device's buffers, and room for results. */
static struct {
    float *a, *b;
    uint32_t *words;
    void *wanted, *got;
    CUdeviceptr device_a, device_b, device_words, device_out;
} data;

static void *host_bytes(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (!memory) {
        (void)fprintf(stderr, "softcuda-kernels: out of memory\n");
        exit(1);
    }
    return memory;
}

static void make_data(void)
{
    const size_t bytes = BENCH_ELEMENTS * sizeof(float);

    data.a = host_bytes(bytes);
    data.b = host_bytes(bytes);
    data.words = host_bytes(bytes);
    data.wanted = host_bytes(bytes);
    data.got = host_bytes(bytes);
    bench_fill_floats(data.a, BENCH_ELEMENTS, 1);
    bench_fill_floats(data.b, BENCH_ELEMENTS, 2);
    bench_fill_words(data.words, BENCH_ELEMENTS, 3);
    CALL(cuMemAlloc_v2, &data.device_a, bytes);
    CALL(cuMemAlloc_v2, &data.device_b, bytes);
    CALL(cuMemAlloc_v2, &data.device_words, bytes);
    CALL(cuMemAlloc_v2, &data.device_out, bytes);
    CALL(cuMemcpyHtoD_v2, data.device_a, data.a, bytes);
    CALL(cuMemcpyHtoD_v2, data.device_b, data.b, bytes);
    CALL(cuMemcpyHtoD_v2, data.device_words, data.words, bytes);
}

/* ---- the kernels ----------------------------------------------------------------------------- */

static int elements = BENCH_ELEMENTS, matrix = BENCH_MATRIX, image = BENCH_IMAGE;
static int limit = BENCH_LIMIT, numbers = BENCH_NUMBERS;

struct kernel {
    const char *name;
    unsigned grid[2], block[2];
    void *params[4];
    size_t result_bytes;
    float tolerance;   /* relative, for float results; 0: words are compared */
    float wrong_share; /* of words that may differ (contraction moves points near an edge) */
    CUfunction function;
};

static struct kernel kernels[] = {
    [BENCH_VECADD] = {"vecadd",
                      {BENCH_ELEMENTS / 256, 1},
                      {256, 1},
                      {&data.device_a, &data.device_b, &data.device_out, &elements},
                      BENCH_ELEMENTS * sizeof(float),
                      0,
                      0,
                      NULL},
    [BENCH_MATMUL16] = {"matmul16",
                        {BENCH_MATRIX / 16, BENCH_MATRIX / 16},
                        {16, 16},
                        {&data.device_a, &data.device_b, &data.device_out, &matrix},
                        (size_t)BENCH_MATRIX *BENCH_MATRIX * sizeof(float),
                        1e-4f,
                        0,
                        NULL},
    [BENCH_MATMUL32] = {"matmul32",
                        {BENCH_MATRIX / 32, BENCH_MATRIX / 32},
                        {32, 32},
                        {&data.device_a, &data.device_b, &data.device_out, &matrix},
                        (size_t)BENCH_MATRIX *BENCH_MATRIX * sizeof(float),
                        1e-4f,
                        0,
                        NULL},
    [BENCH_REDUCE] = {"reduce",
                      {256, 1},
                      {256, 1},
                      {&data.device_a, &data.device_out, &elements, NULL},
                      sizeof(float),
                      1e-2f,
                      0,
                      NULL},
    [BENCH_HISTOGRAM] = {"histogram",
                         {256, 1},
                         {256, 1},
                         {&data.device_words, &data.device_out, &elements, NULL},
                         256 * sizeof(uint32_t),
                         0,
                         0,
                         NULL},
    [BENCH_MANDELBROT] = {"mandelbrot",
                          {BENCH_IMAGE / 16, BENCH_IMAGE / 16},
                          {16, 16},
                          {&data.device_out, &image, &limit, NULL},
                          (size_t)BENCH_IMAGE *BENCH_IMAGE * sizeof(int),
                          0,
                          0.02f,
                          NULL},
    [BENCH_COLLATZ] = {"collatz",
                       {BENCH_NUMBERS / 256, 1},
                       {256, 1},
                       {&data.device_out, &numbers, NULL, NULL},
                       BENCH_NUMBERS * sizeof(int),
                       0,
                       0,
                       NULL},
    [BENCH_SCAN] = {"scan",
                    {BENCH_SCANNED / 256, 1},
                    {256, 1},
                    {&data.device_words, &data.device_out, NULL, NULL},
                    BENCH_SCANNED * sizeof(int),
                    0,
                    0,
                    NULL},
    [BENCH_LAUNCH] = {"empty", {1, 1}, {32, 1}, {NULL, NULL, NULL, NULL}, 0, 0, 0, NULL},
};

static void launch(const struct kernel *k)
{
    void *params[4];

    memcpy(params, k->params, sizeof(params));
    CALL(cuLaunchKernel, k->function, k->grid[0], k->grid[1], 1, k->block[0], k->block[1], 1, 0,
         NULL, params, NULL);
}

static void plain(enum bench bench)
{
    switch (bench) {
    case BENCH_VECADD:
        plain_vecadd(data.a, data.b, data.wanted, BENCH_ELEMENTS);
        break;
    case BENCH_MATMUL16:
    case BENCH_MATMUL32:
        plain_matmul(data.a, data.b, data.wanted, BENCH_MATRIX);
        break;
    case BENCH_REDUCE:
        *(float *)data.wanted = plain_reduce(data.a, BENCH_ELEMENTS);
        break;
    case BENCH_HISTOGRAM:
        plain_histogram(data.words, data.wanted, BENCH_ELEMENTS);
        break;
    case BENCH_MANDELBROT:
        plain_mandelbrot(data.wanted, BENCH_IMAGE, BENCH_LIMIT);
        break;
    case BENCH_COLLATZ:
        plain_collatz(data.wanted, BENCH_NUMBERS);
        break;
    case BENCH_SCAN:
        plain_scan((const int *)data.words, data.wanted, BENCH_SCANNED);
        break;
    case BENCH_LAUNCH:
    case BENCH_COUNT:
        break;
    }
}

/* Does what the kernel left in device_out agree with the plain loop? */
static bool is_right(enum bench bench)
{
    const struct kernel *k = &kernels[bench];
    const size_t count = k->result_bytes / sizeof(uint32_t);
    size_t wrong = 0;

    if (bench == BENCH_LAUNCH)
        return true;
    plain(bench);
    CALL(cuMemcpyDtoH_v2, data.got, data.device_out, k->result_bytes);
    for (size_t i = 0; i < count; i++) {
        const float got = ((const float *)data.got)[i], wanted = ((const float *)data.wanted)[i];

        if (k->tolerance > 0)
            wrong += fabsf(got - wanted) > k->tolerance * fabsf(wanted);
        else
            wrong += ((const uint32_t *)data.got)[i] != ((const uint32_t *)data.wanted)[i];
    }
    return (float)wrong <= k->wrong_share * (float)count;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec time;

    (void)clock_gettime(clock, &time); /* these clocks always exist */
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct bench_time measure(enum bench bench)
{
    const struct kernel *k = &kernels[bench];
    const int launches = bench == BENCH_LAUNCH ? BENCH_LAUNCHES : 1;
    struct bench_time time;

    CALL(cuMemsetD8_v2, data.device_out, 0, BENCH_ELEMENTS * sizeof(float));
    CALL(cuCtxSynchronize);
    time = (struct bench_time){now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_PROCESS_CPUTIME_ID), 1};
    for (int i = 0; i < launches; i++) {
        launch(k);
        CALL(cuCtxSynchronize);
    }
    time.wall_ns = now_ns(CLOCK_MONOTONIC) - time.wall_ns;
    time.cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - time.cpu_ns;
    return time;
}

/* ---- the processes --------------------------------------------------------------------------- */

static void use_cores(unsigned cores)
{
    char count[16];
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < cores; i++)
        CPU_SET(i, &set);
    (void)sched_setaffinity(0, sizeof(set), &set); /* not allowed: any cores, then */
    (void)snprintf(count, sizeof(count), "%u", cores);
    (void)setenv("SOFTCUDA_WORKERS", count, 1);
}

int bench_serve(const char *library, unsigned cores)
{
    bool was_checked[BENCH_COUNT] = {false}, right[BENCH_COUNT] = {false};
    uint32_t bench;

    use_cores(cores);
    open_driver(library);
    CALL(cuModuleLoadData, &module, bench_ptx);
    for (size_t i = 0; i < FAB_ARRAY_LEN(kernels); i++)
        CALL(cuModuleGetFunction, &kernels[i].function, module, kernels[i].name);
    make_data();
    while (read(STDIN_FILENO, &bench, sizeof(bench)) == (ssize_t)sizeof(bench)) {
        struct bench_time time;

        if (bench >= BENCH_COUNT)
            return 1;
        if (!was_checked[bench]) {
            (void)measure((enum bench)bench);
            right[bench] = is_right((enum bench)bench);
            was_checked[bench] = true;
        }
        time = measure((enum bench)bench);
        time.is_right = right[bench];
        if (write(STDOUT_FILENO, &time, sizeof(time)) != (ssize_t)sizeof(time))
            return 1;
    }
    return 0;
}

int bench_start(const char *library)
{
    open_driver(library);
    return 0;
}
