/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/kernel_fit.c - what of a kernel fits a device: launch checks, occupancy, parameters.
 */
#include "cuda-common/kernel_fit.h"

#include <string.h>

enum {
    THREADS_PER_WARP = 32,
    REG_UNIT = 256,
    SHARED_UNIT = 128,
    GRID_X_MAX = INT32_MAX,
    GRID_YZ_MAX = 65535,
    BLOCK_XY_MAX = 1024,
    BLOCK_Z_MAX = 64,
    BLOCK_THREADS_MAX = 1024,
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The most shared memory a block of this kernel may use, with what was opted into. */
static uint64_t shared_limit(const struct cuc_device_limits *device,
                             const struct cuc_kernel_limits *kernel)
{
    const int set = kernel->max_dynamic_shared_bytes;
    const uint64_t opted = set < 0 ? 0 : (uint64_t)set + kernel->static_shared_bytes;

    return opted > device->shared_per_block_bytes ? opted : device->shared_per_block_bytes;
}

/* ---- occupancy ------------------------------------------------------------------------------ */

uint32_t cuc_occupancy_blocks(const struct cuc_device_limits *device,
                              const struct cuc_kernel_limits *kernel, uint32_t block_threads,
                              uint64_t dynamic_shared_bytes)
{
    uint64_t warps = (block_threads + THREADS_PER_WARP - 1) / THREADS_PER_WARP;
    uint64_t regs_per_warp =
        round_up((uint64_t)kernel->regs_per_thread * THREADS_PER_WARP, REG_UNIT);
    uint64_t shared =
        round_up(kernel->static_shared_bytes + dynamic_shared_bytes + device->shared_reserved_bytes,
                 SHARED_UNIT);
    uint64_t blocks = device->blocks_per_sm;

    if (block_threads == 0 || block_threads > kernel->max_threads_per_block)
        return 0;
    blocks = lower(blocks, device->threads_per_sm / THREADS_PER_WARP / warps);
    if (regs_per_warp > 0)
        blocks = lower(blocks, device->regs_per_sm / regs_per_warp / warps);
    if (shared > 0)
        blocks = lower(blocks, device->shared_per_sm_bytes / shared);
    return (uint32_t)blocks;
}

uint32_t cuc_occupancy_allowed(const struct cuc_device_limits *device,
                               const struct cuc_kernel_limits *kernel, uint32_t block_threads,
                               uint64_t dynamic_shared_bytes)
{
    if (dynamic_shared_bytes + kernel->static_shared_bytes > shared_limit(device, kernel))
        return 0;
    return cuc_occupancy_blocks(device, kernel, block_threads, dynamic_shared_bytes);
}

void cuc_occupancy_best(const struct cuc_device_limits *device,
                        const struct cuc_kernel_limits *kernel, CUoccupancyB2DSize shared_of,
                        size_t dynamic_shared_bytes, uint32_t limit_threads, int *grid_out,
                        int *block_out)
{
    uint64_t best_threads = 0;
    uint32_t best_size = 0, best_blocks = 0;

    for (uint32_t size = limit_threads; size > 0;) {
        uint64_t dynamic = shared_of ? shared_of((int)size) : dynamic_shared_bytes;
        uint32_t blocks = cuc_occupancy_allowed(device, kernel, size, dynamic);
        uint64_t threads = (uint64_t)blocks * size;

        if (threads > best_threads) {
            best_threads = threads;
            best_size = size;
            best_blocks = blocks;
        }
        size = size <= THREADS_PER_WARP ? 0 : (size - 1) / THREADS_PER_WARP * THREADS_PER_WARP;
    }
    *block_out = (int)best_size;
    *grid_out = (int)(best_blocks * device->sm_count);
}

CUresult cuc_occupancy_available(const struct cuc_device_limits *device,
                                 const struct cuc_kernel_limits *kernel, uint32_t blocks,
                                 uint32_t block_threads, size_t *shared_out)
{
    const uint64_t reserved = device->shared_reserved_bytes, used = kernel->static_shared_bytes;
    uint64_t share;

    if (blocks == 0 || cuc_occupancy_blocks(device, kernel, block_threads, 0) < blocks)
        return CUDA_ERROR_INVALID_VALUE;
    share = device->shared_per_sm_bytes / blocks;
    share -= share % SHARED_UNIT;
    share = share > reserved ? lower(share - reserved, shared_limit(device, kernel)) : 0;
    *shared_out = share > used ? (size_t)(share - used) : 0;
    return CUDA_SUCCESS;
}

/* ---- launches ------------------------------------------------------------------------------- */

static CUresult dimensions_check(const struct cuc_launch *launch,
                                 const struct cuc_kernel_limits *kernel)
{
    const uint32_t *grid = launch->grid, *block = launch->block;
    uint64_t threads = (uint64_t)block[0] * block[1] * block[2];

    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || threads == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (grid[0] > GRID_X_MAX || grid[1] > GRID_YZ_MAX || grid[2] > GRID_YZ_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (block[0] > BLOCK_XY_MAX || block[1] > BLOCK_XY_MAX || block[2] > BLOCK_Z_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (threads > BLOCK_THREADS_MAX || threads > kernel->max_threads_per_block)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < 3; i++)
        if (kernel->required_block[0] != 0 && block[i] != kernel->required_block[i])
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult cooperative_check(const struct cuc_launch *launch,
                                  const struct cuc_kernel_limits *kernel,
                                  const struct cuc_device_limits *device)
{
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    uint32_t threads = launch->block[0] * launch->block[1] * launch->block[2];
    uint64_t fit = cuc_occupancy_blocks(device, kernel, threads, launch->dynamic_shared_bytes);

    return blocks > fit * device->sm_count ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

CUresult cuc_launch_check(const struct cuc_launch *launch, const struct cuc_kernel_limits *kernel,
                          const struct cuc_device_limits *device)
{
    CUresult result = dimensions_check(launch, kernel);

    if (result == CUDA_SUCCESS &&
        (uint64_t)launch->dynamic_shared_bytes + kernel->static_shared_bytes >
            shared_limit(device, kernel))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && launch->cooperative)
        result = cooperative_check(launch, kernel, device);
    if (result == CUDA_SUCCESS && launch->kernel_params && launch->extra)
        result = CUDA_ERROR_INVALID_VALUE;
    return result;
}

/* ---- parameters ----------------------------------------------------------------------------- */

static CUresult pack_pointers(const struct cuc_params *params, void **pointers, uint8_t *packed)
{
    if (!pointers)
        return params->count == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < params->count; i++) {
        if (!pointers[i])
            return CUDA_ERROR_INVALID_VALUE;
        memcpy(packed + params->offset[i], pointers[i], params->size[i]);
    }
    return CUDA_SUCCESS;
}

/* {CU_LAUNCH_PARAM_BUFFER_POINTER, p, CU_LAUNCH_PARAM_BUFFER_SIZE, &n, CU_LAUNCH_PARAM_END} */
static CUresult pack_buffer(const struct cuc_params *params, void **extra, uint8_t *packed)
{
    const void *buffer = NULL;
    const size_t *bytes = NULL;

    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = extra[1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (!buffer || !bytes || *bytes < params->bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (*bytes > params->bytes) /* "too many arguments", cuda.h at that error */
        return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    memcpy(packed, buffer, params->bytes);
    return CUDA_SUCCESS;
}

CUresult cuc_params_pack(const struct cuc_params *params, void **kernel_params, void **extra,
                         uint8_t *packed)
{
    return extra ? pack_buffer(params, extra, packed)
                 : pack_pointers(params, kernel_params, packed);
}
