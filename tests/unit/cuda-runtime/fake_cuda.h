/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-runtime/fake_cuda.h - what the logging driver offers to a test beside CUDA.
 *
 * The fake is a libcuda.so.1 that runs no kernel: it notes each call in a line of text. Memory is
 * host memory, so copies and sets really happen. A test in the same process finds these functions
 * by fake_find(); a program as another process uses the variables FAKE_CUDA_LOG (a file for the
 * lines) and FAKE_CUDA_DEVICES; FAKE_CUDA_LACKS lists functions that this driver does not have.
 */
#ifndef TESTS_FAKE_CUDA_H
#define TESTS_FAKE_CUDA_H

enum {
    FAKE_MAX_THREADS = 1024, /* per block, and of a block's x and y */
    FAKE_MAX_GRID_YZ = 65535,
    FAKE_VARIABLE_BYTES = 64, /* of every __device__ variable */
};

struct fake_cuda {
    /* The lines since the last call, each ended by a newline. Valid until the next call. */
    const char *(*take_log)(void);
    /* From now on `name` ("cuMemAlloc") answers `result`, 0 for its usual answer. */
    void (*answer)(const char *name, int result);
};

/* What the fake exports as `fake_cuda`. NULL when the loaded libcuda.so.1 is another one. */
const struct fake_cuda *fake_find(void);

#endif /* TESTS_FAKE_CUDA_H */
