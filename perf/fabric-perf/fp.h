/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/fp.h - what one row of the copy suite is, and a file of them.
 *
 * Made by a measurement (measure.c) or read from a file (result.c); shown by print.c and report.c.
 */
#ifndef PERF_FABRIC_PERF_FP_H
#define PERF_FABRIC_PERF_FP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct fab_err;

enum fp_test {
    FP_H2D,
    FP_D2H,
    FP_BOTH, /* in and out at once */
    FP_D2D,
    FP_P2P,
    FP_P2P_BOTH, /* each to the other at once */
    FP_LAUNCH,
    FP_LAUNCH_SYNC,
    FP_SYNC,
    FP_MEMCPY, /* by one thread, in host memory */
    FP_LIMIT,  /* of a foreign program, which `name` says */
    FP_TEST_COUNT
};

enum fp_call {
    FP_CALL_NONE,
    FP_CALL_SYNC,  /* cudaMemcpy, and a synchronisation where it does not wait by itself */
    FP_CALL_ASYNC, /* cudaMemcpyAsync, up to FP_WINDOW of them before a synchronisation */
    FP_CALL_KERNEL /* a kernel reads or writes host memory */
};

enum fp_memory { FP_MEMORY_NONE, FP_PAGEABLE, FP_PINNED, FP_MAPPED, FP_MANAGED, FP_MEMORY_COUNT };

/* How two GPUs see each other: directly (cudaDeviceCanAccessPeer), or the driver carries the bytes,
 * as between nodes. */
enum fp_link { FP_LINK_NONE, FP_DIRECT, FP_STAGED };

enum {
    FP_WINDOW = 64,
    FP_REASON_BYTES = 96,
    FP_NAME_BYTES = 64,
    FP_ROWS_MAX = 16384,
    FP_SIZE_MAX = 256 << 20, /* of one copy */
    FP_GPUS_MAX = 64,
    FP_STREAMS_MAX = 64,
    FP_LANES_MAX = FP_GPUS_MAX * FP_STREAMS_MAX * 2
};

/* Ends with NULL, as the JSON tables want it. */
extern const char *const fp_test_names[], *const fp_call_names[], *const fp_memory_names[],
                                                                      *const fp_link_names[];

struct fp_key {
    enum fp_test test;
    enum fp_call call;
    enum fp_memory memory;
    enum fp_link link;
    int32_t gpu, peer; /* -1: none */
    uint32_t gpus;     /* at once */
    uint32_t streams;  /* of each */
    uint64_t size;     /* bytes of each copy; 0: it has none */
};

struct fp_row {
    struct fp_key key;
    char name[FP_NAME_BYTES]; /* of a foreign program; else empty */
    uint32_t iterations, repeats;
    double us, us_low, us_high;   /* median of the repeats and its 90 % interval; 0: not clean */
    double mb_s;                  /* 10^6 bytes a second of all copies together; 0: none */
    bool is_verified;             /* what arrived was compared with what was sent */
    char reason[FP_REASON_BYTES]; /* why there is no number; else empty */
};

struct fp_device {
    char name[FP_NAME_BYTES], pci[32];
    uint64_t memory_bytes;
    bool can_map, can_manage;
};

/* One run, or the limits that foreign programs reached. */
struct fp_result {
    char format[24]; /* FP_FORMAT */
    char label[FP_NAME_BYTES], date[32], host[FP_NAME_BYTES], cpu[FP_NAME_BYTES],
        system[FP_NAME_BYTES], command[256];
    uint32_t cores, driver_version, runtime_version;
    uint32_t device_count, row_count;
    struct fp_device *devices;
    struct fp_row *rows;
};

#define FP_FORMAT "fabric-perf 1"

/* ---- result.c ----------------------------------------------------------------------------------
 */

/* Date, host, processor, and how it was called. */
void fp_result_init(struct fp_result *result, const char *label, int argc, char **argv);
void fp_result_fini(struct fp_result *result);
/* NULL where there is no room for one more. */
struct fp_row *fp_result_add(struct fp_result *result);
/* "-" is standard output. */
FAB_NODISCARD enum fab_status fp_result_write(const struct fp_result *result, const char *path,
                                              struct fab_err *err);
/* Trusts nothing in it. */
FAB_NODISCARD enum fab_status fp_result_read(struct fp_result *result_out, const char *path,
                                             struct fab_err *err);

/* The same measurement, wherever its bytes went: all but the size. */
bool fp_key_is_alike(const struct fp_key *one, const struct fp_key *other);

#endif /* PERF_FABRIC_PERF_FP_H */
