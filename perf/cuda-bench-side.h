/* SPDX-License-Identifier: Apache-2.0
 * perf/cuda-bench-side.h - the same guest program, served in different ways, asked in turn.
 */
#ifndef PERF_CUDA_BENCH_SIDE_H
#define PERF_CUDA_BENCH_SIDE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum bench_side_kind { SIDE_NATIVE, SIDE_SAME_HOST, SIDE_RAIL, SIDE_RAILS, SIDE_COUNT };

struct bench_side {
    const char *name;
    pid_t pid;
    FILE *in, *out; /* of the guest */
};

/* Starts a guest (of `nodes` workers where it is remote) and waits until it is ready. The GPUs are
 * those of `driver`, a libcuda.so.1; NULL: softcuda's. False: it did not start; a sentence is on
 * stderr. */
bool bench_side_open(struct bench_side *side, enum bench_side_kind kind, unsigned nodes,
                     const char *driver);
/* Microseconds, or 0 when the guest is gone. */
double bench_side_ask(struct bench_side *side, const char *name, unsigned size, unsigned times);
/* CPU time, in us, that the threads which execute commands have used in the side's workers; 0: it
 * is not to be had. */
double bench_side_worker_us(const struct bench_side *side);
void bench_side_close(struct bench_side *side);

/* Milliseconds from the start of a process until it has a context and has ended; 0: it failed. */
double bench_side_attach_ms(enum bench_side_kind kind, unsigned nodes, unsigned devices,
                            const char *driver);

#endif /* PERF_CUDA_BENCH_SIDE_H */
