/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/harness.h - run kernels of a PTX text without a driver.
 *
 *     struct harness *h = harness_create(NULL);
 *     harness_load(h, ptx_text);
 *     float *a = harness_alloc(h, 4096);
 *     struct warp_outcome o = harness_run(h, "vecadd", HARNESS_GRID(.grid = {4}, .block = {256}),
 *                                         HARNESS_PTR(a), HARNESS_I32(1024), HARNESS_END);
 *     harness_destroy(h);
 *
 * Memory from harness_alloc() is the only valid device memory, beside the module's variables.
 * Failures are reported through check.h. Thread: one at a time a harness.
 */
#ifndef TESTS_UNIT_WARP_HARNESS_H
#define TESTS_UNIT_WARP_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "softcuda/warp/launch.h"

struct harness;

struct harness_grid {
    uint32_t grid[3], block[3]; /* 0 means 1 */
    uint32_t shared_bytes;
    bool cooperative;
};

struct harness_param {
    uint64_t bits;
    uint8_t bytes;        /* 0: the end of the list */
    const void *by_value; /* a struct of by_value_bytes; NULL: bits */
    uint32_t by_value_bytes;
};

/* HARNESS_GRID(.grid = {4}, .block = {16, 16}, .shared_bytes = 1024) */
#define HARNESS_GRID(...) (&(struct harness_grid){__VA_ARGS__})
#define HARNESS_PTR(p) ((struct harness_param){.bits = (uint64_t)(uintptr_t)(p), .bytes = 8})
#define HARNESS_I32(v) ((struct harness_param){.bits = (uint32_t)(v), .bytes = 4})
#define HARNESS_I64(v) ((struct harness_param){.bits = (uint64_t)(v), .bytes = 8})
#define HARNESS_F32(v) harness_f32(v)
#define HARNESS_STRUCT(s)                                                                          \
    ((struct harness_param){.bytes = 1, .by_value = &(s), .by_value_bytes = sizeof(s)})
#define HARNESS_END ((struct harness_param){.bytes = 0})
struct harness_param harness_f32(float value);

/* NULL: default policy. The policy also decides how modules are lowered. */
struct harness *harness_create(const struct warp_policy *policy);
void harness_destroy(struct harness *h);
struct warp_pool *harness_pool(struct harness *h);

/* The text of a module; replaces an earlier one. False (and a failed check) if it does not parse.
 */
bool harness_load(struct harness *h, const char *ptx);
/* The same from a file. */
bool harness_load_file(struct harness *h, const char *path);
/* A kernel lowered; NULL with err filled if that fails (no check fails). */
struct warp_program *harness_program(struct harness *h, const char *kernel, struct fab_err *err);
void *harness_variable(struct harness *h, const char *name); /* NULL: no such variable */

void *harness_alloc(struct harness *h, size_t bytes); /* zeroed, valid for kernels, 256-aligned */
void harness_read_only(struct harness *h, const void *memory);

/* Launches and waits, this thread helping. A kernel that cannot be lowered is a failed check. */
struct warp_outcome harness_run(struct harness *h, const char *kernel,
                                const struct harness_grid *grid, ...);
/* Launches only: done() counts; wait with harness_wait. */
struct warp_launch *harness_start(struct harness *h, const char *kernel,
                                  const struct harness_grid *grid, ...);
struct warp_outcome harness_wait(struct harness *h, struct warp_launch *launch);

const char *harness_text(struct harness *h); /* what kernels printed, so far */
const char *harness_fault_name(enum warp_fault_kind kind);

#endif /* TESTS_UNIT_WARP_HARNESS_H */
