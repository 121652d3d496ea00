/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/occupancy.c - the occupancy model and cuOccupancy*.
 *
 * The model: a multiprocessor holds as many blocks as its block slots, threads (whole warps),
 * registers (per warp, in units of 256) and shared memory (units of 128 bytes, 1 KiB of it per
 * block for the system from compute capability 8.0 on) allow. All sizes come from the device file.
 */
#include "softcuda/driver/occupancy.h"

#include <stdbool.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/module.h"

enum {
    THREADS_PER_WARP = 32,
    REG_UNIT = 256,
    SHARED_UNIT = 128,
    SHARED_SYSTEM_BYTES = 1024,
    SYSTEM_SHARED_SINCE = 8, /* compute capability major */
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t system_shared_bytes(const struct device_model *model)
{
    return model->compute_major >= SYSTEM_SHARED_SINCE ? SHARED_SYSTEM_BYTES : 0;
}

uint32_t soft_occupancy_blocks(const struct device_model *model,
                               const struct warp_program_info *info, uint32_t block_threads,
                               uint64_t dynamic_shared_bytes)
{
    uint64_t warps = (block_threads + THREADS_PER_WARP - 1) / THREADS_PER_WARP;
    uint64_t regs_per_warp = round_up((uint64_t)info->regs_per_thread * THREADS_PER_WARP, REG_UNIT);
    uint64_t shared = round_up(
        info->static_shared_bytes + dynamic_shared_bytes + system_shared_bytes(model), SHARED_UNIT);
    uint64_t blocks = model->blocks_per_sm;

    if (block_threads == 0 || block_threads > info->max_threads_per_block)
        return 0;
    blocks = lower(blocks, model->threads_per_sm / THREADS_PER_WARP / warps);
    if (regs_per_warp > 0)
        blocks = lower(blocks, model->regs_per_sm / regs_per_warp / warps);
    if (shared > 0)
        blocks = lower(blocks, model->shared_per_sm_bytes / shared);
    return (uint32_t)blocks;
}

/* What all calls need: the function, its program's figures and its device. */
struct query {
    struct soft_function *function;
    const struct warp_program_info *info;
    const struct device_model *model;
};

static CUresult query_open(CUfunction handle, struct query *query_out)
{
    struct warp_program *program;
    CUresult result = soft_function_get(handle, /* context */ NULL, &query_out->function);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_function_program(query_out->function, &program);
    if (result != CUDA_SUCCESS) {
        soft_function_put(query_out->function);
        return result;
    }
    query_out->info = warp_program_info(program);
    query_out->model = soft_device_model(query_out->function->module->context->device);
    return CUDA_SUCCESS;
}

static void query_close(struct query *query)
{
    soft_function_put(query->function);
}

/* The most shared memory a block of this function may use, with what was opted into. */
static uint64_t shared_limit(const struct query *query)
{
    int set = query->function->settings.max_dynamic_shared_bytes;
    uint64_t opted = set < 0 ? 0 : (uint64_t)set + query->info->static_shared_bytes;

    return opted > query->model->shared_per_block_bytes ? opted
                                                        : query->model->shared_per_block_bytes;
}

static uint32_t blocks_of(const struct query *query, uint32_t block_threads, uint64_t dynamic)
{
    if (dynamic + query->info->static_shared_bytes > shared_limit(query))
        return 0;
    return soft_occupancy_blocks(query->model, query->info, block_threads, dynamic);
}

CUresult soft_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func,
                                                                   int blockSize,
                                                                   size_t dynamicSMemSize,
                                                                   unsigned int flags)
{
    struct query query;
    CUresult result;

    if (!numBlocks || blockSize <= 0 || flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    *numBlocks = (int)blocks_of(&query, (uint32_t)blockSize, dynamicSMemSize);
    query_close(&query);
    return CUDA_SUCCESS;
}

CUresult soft_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func,
                                                          int blockSize, size_t dynamicSMemSize)
{
    return soft_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
}

/* The largest occupancy wins; among equals the largest block. */
static void best_block(const struct query *query, CUoccupancyB2DSize shared_of, size_t shared,
                       uint32_t limit, int *grid_out, int *block_out)
{
    uint64_t best_threads = 0;
    uint32_t best_size = 0, best_blocks = 0;

    for (uint32_t size = limit; size > 0;) {
        uint64_t dynamic = shared_of ? shared_of((int)size) : shared;
        uint32_t blocks = blocks_of(query, size, dynamic);
        uint64_t threads = (uint64_t)blocks * size;

        if (threads > best_threads) {
            best_threads = threads;
            best_size = size;
            best_blocks = blocks;
        }
        size = size <= THREADS_PER_WARP ? 0 : (size - 1) / THREADS_PER_WARP * THREADS_PER_WARP;
    }
    *block_out = (int)best_size;
    *grid_out = (int)(best_blocks * query->model->sm_count);
}

CUresult soft_cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize,
                                                        CUfunction func,
                                                        CUoccupancyB2DSize shared_of,
                                                        size_t dynamicSMemSize, int blockSizeLimit,
                                                        unsigned int flags)
{
    struct query query;
    uint32_t limit;
    CUresult result;

    if (!minGridSize || !blockSize || blockSizeLimit < 0 ||
        flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    limit = query.info->max_threads_per_block;
    if (blockSizeLimit > 0 && (uint32_t)blockSizeLimit < limit)
        limit = (uint32_t)blockSizeLimit;
    best_block(&query, shared_of, dynamicSMemSize, limit, minGridSize, blockSize);
    query_close(&query);
    return CUDA_SUCCESS;
}

CUresult soft_cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                               CUoccupancyB2DSize shared_of, size_t dynamicSMemSize,
                                               int blockSizeLimit)
{
    return soft_cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize, blockSize, func, shared_of,
                                                          dynamicSMemSize, blockSizeLimit,
                                                          CU_OCCUPANCY_DEFAULT);
}

CUresult soft_cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func,
                                                      int numBlocks, int blockSize)
{
    struct query query;
    uint64_t share, used;
    CUresult result;

    if (!dynamicSmemSize || numBlocks <= 0 || blockSize <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    if (soft_occupancy_blocks(query.model, query.info, (uint32_t)blockSize, 0) <
        (uint32_t)numBlocks) {
        result = CUDA_ERROR_INVALID_VALUE;
    } else {
        share = query.model->shared_per_sm_bytes / (uint32_t)numBlocks;
        share -= share % SHARED_UNIT;
        used = query.info->static_shared_bytes;
        share = share > system_shared_bytes(query.model)
                    ? lower(share - system_shared_bytes(query.model), shared_limit(&query))
                    : 0;
        *dynamicSmemSize = share > used ? (size_t)(share - used) : 0;
    }
    query_close(&query);
    return result;
}

/* A cluster of one block is all there is before compute capability 9.0. */
CUresult soft_cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func,
                                                 const CUlaunchConfig *config)
{
    struct query query;
    CUresult result;

    if (!clusterSize || !config)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    query_close(&query);
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult soft_cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func,
                                           const CUlaunchConfig *config)
{
    return soft_cuOccupancyMaxPotentialClusterSize(numClusters, func, config);
}
