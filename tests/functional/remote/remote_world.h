/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/remote_world.h - what tests of a failing world share.
 *
 * A test runs under remote-run and never attaches itself: each case is a child process, one session
 * of the broker, and the test sees from outside how it and its workers end. Nothing sleeps: what
 * must come is waited for, and only a defect reaches the limit.
 */
#ifndef TESTS_FUNCTIONAL_REMOTE_REMOTE_WORLD_H
#define TESTS_FUNCTIONAL_REMOTE_REMOTE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cuda.h>

#include "base/compiler.h"
#include "tests/functional/remote/remote_workers.h"

enum {
    REMOTE_BROKEN = 99,   /* a child's exit status: it could not even begin */
    REMOTE_ERRORS = 4096, /* of a child's stderr */
};

/* ---- in a child: one GPU, ready to work --------------------------------------------------------
 */

struct remote_gpu {
    CUcontext context; /* the primary one */
    CUmodule module;   /* conformance's kernels */
    CUstream stream;
    CUdeviceptr memory; /* REMOTE_GPU_BYTES, zeroed */
};
enum { REMOTE_GPU_BYTES = 64 << 20 };

/* Ends the process when something fails without which there is no case. */
void remote_need(CUresult result, const char *what);
void remote_gpu_open(struct remote_gpu *gpu, int ordinal); /* and makes its context current */
/* A kernel that never ends, in the GPU's stream. */
void remote_gpu_hold(const struct remote_gpu *gpu);
/* A kernel that stores a word, in the GPU's stream. */
CUresult remote_gpu_store(const struct remote_gpu *gpu, CUdeviceptr to, uint32_t word);
/* A kernel's word comes back by a copy. CUDA_ERROR_UNKNOWN: another word did. */
CUresult remote_gpu_try(const struct remote_gpu *gpu);
/* Prints what does not hold, for the child's exit status. */
bool remote_expect(const char *what, CUresult got, CUresult wanted);

/* ---- the run: the broker is the test's parent (remote_workers.h) -------------------------------
 */

/* Free bytes of each device, as a process of its own sees them. False: it could not. */
bool remote_free_bytes(uint64_t *bytes, uint32_t count);

/* ---- a child of the test -----------------------------------------------------------------------
 */

struct remote_child {
    pid_t pid;
    int told; /* what the child tells: remote_heard() */
    int hold; /* closed by the parent: remote_stay() returns */
    int errors;
    char error_text[REMOTE_ERRORS]; /* its stderr, after remote_child_end() */
};

/* Runs fn(arg) in a child and exits with its value. */
void remote_child_start(struct remote_child *child, int (*fn)(void *arg), void *arg);
/* True: the child called remote_tell(). False: it ended before. */
bool remote_heard(const struct remote_child *child);
/* Waits until its stderr has the text. False, with what it said on ours: it ended without. */
bool remote_child_says(const struct remote_child *child, const char *text);
/* Waits for its end: the exit status, or 128 + the signal. */
int remote_child_end(struct remote_child *child);
void remote_tell(void);      /* in the child */
void remote_stay(void);      /* in the child: until the parent is gone or ends it */
bool remote_is_let_go(void); /* in the child: whether remote_stay() would return */

#endif /* TESTS_FUNCTIONAL_REMOTE_REMOTE_WORLD_H */
