/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/lanes.h - what a row copies: lanes, each from a place to a place on a stream.
 *
 * One copy to a GPU is one lane; copies both ways are two, copies to 16 GPUs are 16. Every buffer
 * is made for its row, holds bytes that no other buffer holds, and is looked at in the end. Thread:
 * one.
 */
#ifndef PERF_FABRIC_PERF_LANES_H
#define PERF_FABRIC_PERF_LANES_H

#include <cuda_runtime_api.h>

#include "perf/fabric-perf/fp.h"

struct fp_place {
    enum fp_memory memory; /* FP_MEMORY_NONE: device memory, of `gpu` */
    int32_t gpu;
    void *at;        /* for the processor, or for copies */
    void *at_device; /* for kernels */
};

struct fp_lane {
    struct fp_place from, to;
    int32_t gpu; /* of the stream */
    cudaStream_t stream;
    uint64_t seed;
};

struct fp_lanes {
    struct fp_key key;
    uint32_t count;
    struct fp_lane *lane;
    void *scratch;                /* one copy's bytes */
    char failed[FP_REASON_BYTES]; /* the first call that failed; empty: none */
};

/* False: `failed` says why; fini is due in any case. */
bool fp_lanes_init(struct fp_lanes *lanes, const struct fp_key *key, const int32_t *gpus);
void fp_lanes_fini(struct fp_lanes *lanes);

/* Remembers the first failure. True: there was none. */
bool fp_lanes_ok(struct fp_lanes *lanes, cudaError_t error, const char *what);

/* New bytes at the sources, others where they shall arrive. */
bool fp_lanes_fill(struct fp_lanes *lanes);
/* The processor uses the buffers that it shares with the GPU (managed memory moves to it). */
void fp_lanes_touch(struct fp_lanes *lanes);
/* Every lane's bytes have arrived, and no others; false with `failed` empty: they differ. */
bool fp_lanes_verify(struct fp_lanes *lanes);

/* Each lane's work once, posted or, for FP_CALL_SYNC, done. */
bool fp_lanes_post(struct fp_lanes *lanes);
bool fp_lanes_wait(struct fp_lanes *lanes);

/* Tables of bytes; `seed` names one (pattern.c). */
void fp_pattern_fill(void *at, uint64_t bytes, uint64_t seed, bool is_inverted);
bool fp_pattern_is(const void *at, uint64_t bytes, uint64_t seed);

/* A limit that belongs to nobody: a loop of memcpy (limit-memcpy.c), us of one. */
double fp_memcpy_us(void *to, const void *from, uint64_t bytes, uint32_t times);

#endif /* PERF_FABRIC_PERF_LANES_H */
