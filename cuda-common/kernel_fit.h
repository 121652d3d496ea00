/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/kernel_fit.h - what of a kernel fits a device: launch checks, occupancy, parameters.
 *
 * The occupancy model: a multiprocessor holds as many blocks as its block slots, threads (whole
 * warps), registers (per warp, in units of 256) and shared memory (units of 128 bytes, with what
 * the system reserves per block) allow. Thread: any; pure functions.
 */
#ifndef CUDA_COMMON_KERNEL_FIT_H
#define CUDA_COMMON_KERNEL_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

/* As the device's attributes say. */
struct cuc_device_limits {
    uint32_t sm_count, blocks_per_sm, threads_per_sm, regs_per_sm;
    uint64_t shared_per_sm_bytes, shared_per_block_bytes;
    uint64_t shared_reserved_bytes; /* per block, for the system */
};

/* As the function's attributes say. */
struct cuc_kernel_limits {
    uint32_t regs_per_thread, static_shared_bytes, max_threads_per_block;
    int max_dynamic_shared_bytes; /* what was opted into; negative: nothing was */
    uint32_t required_block[3];   /* .reqntid; zeros: none, or not known */
};

struct cuc_launch {
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared_bytes;
    bool cooperative;
    void **kernel_params, **extra;
};

/* What CUDA reports from the call itself: CUDA_ERROR_INVALID_VALUE,
 * CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE. */
CUresult cuc_launch_check(const struct cuc_launch *launch, const struct cuc_kernel_limits *kernel,
                          const struct cuc_device_limits *device);

/* Where a kernel's parameters lie in the buffer that it gets. */
struct cuc_params {
    uint32_t count, bytes; /* bytes: of all, with gaps */
    const uint32_t *offset, *size;
};
/* Fills params->bytes bytes from the program's pointers or its `extra` list (if that is given).
 * CUDA_ERROR_INVALID_VALUE. */
CUresult cuc_params_pack(const struct cuc_params *params, void **kernel_params, void **extra,
                         uint8_t *packed);

/* Blocks that a multiprocessor holds; 0 when one does not fit at all. */
uint32_t cuc_occupancy_blocks(const struct cuc_device_limits *device,
                              const struct cuc_kernel_limits *kernel, uint32_t block_threads,
                              uint64_t dynamic_shared_bytes);
/* The same, and 0 for more shared memory than the kernel may use. */
uint32_t cuc_occupancy_allowed(const struct cuc_device_limits *device,
                               const struct cuc_kernel_limits *kernel, uint32_t block_threads,
                               uint64_t dynamic_shared_bytes);
/* The block with the highest occupancy, among equals the largest, of at most `limit_threads`. */
void cuc_occupancy_best(const struct cuc_device_limits *device,
                        const struct cuc_kernel_limits *kernel, CUoccupancyB2DSize shared_of,
                        size_t dynamic_shared_bytes, uint32_t limit_threads, int *grid_out,
                        int *block_out);
/* Dynamic shared memory that each of so many blocks can have. CUDA_ERROR_INVALID_VALUE when they
 * do not fit even without. */
CUresult cuc_occupancy_available(const struct cuc_device_limits *device,
                                 const struct cuc_kernel_limits *kernel, uint32_t blocks,
                                 uint32_t block_threads, size_t *shared_out);

#endif /* CUDA_COMMON_KERNEL_FIT_H */
