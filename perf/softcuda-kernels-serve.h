/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels-serve.h - the kernels on softcuda, in a process of its own for each number
 * of cores, driven through a pipe by softcuda-kernels.c.
 */
#ifndef PERF_SOFTCUDA_KERNELS_SERVE_H
#define PERF_SOFTCUDA_KERNELS_SERVE_H

#include <stdint.h>

enum bench {
    BENCH_VECADD,
    BENCH_MATMUL16,
    BENCH_MATMUL32,
    BENCH_REDUCE,
    BENCH_HISTOGRAM,
    BENCH_MANDELBROT,
    BENCH_COLLATZ,
    BENCH_SCAN,
    BENCH_LAUNCH, /* empty launch and synchronise, BENCH_LAUNCHES times */
    BENCH_COUNT,
};

enum {
    BENCH_ELEMENTS = 4 << 20, /* vecadd, reduce, histogram */
    BENCH_MATRIX = 512,
    BENCH_IMAGE = 512,
    BENCH_LIMIT = 256, /* steps of mandelbrot */
    BENCH_NUMBERS = 128 << 10,
    BENCH_SCANNED = 1024 * 256,
    BENCH_LAUNCHES = 1000,
};

/* Inputs, the same in every process. */
void bench_fill_floats(float *values, int n, unsigned seed);
void bench_fill_words(uint32_t *values, int n, unsigned seed);

/* One answer of a server. */
struct bench_time {
    uint64_t wall_ns, cpu_ns; /* cpu: of the whole process */
    uint32_t is_right;        /* results agree with the plain loops (checked the first time) */
};

/* The server: softcuda on `cores` cores; reads enum bench as uint32_t from descriptor 0, writes
 * struct bench_time to descriptor 1, until the pipe ends. The exit status. */
int bench_serve(const char *library, unsigned cores);

/* Process start alone: initialises the driver and makes a context. */
int bench_start(const char *library);

#endif /* PERF_SOFTCUDA_KERNELS_SERVE_H */
