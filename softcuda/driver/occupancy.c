/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/occupancy.c - cuOccupancy*; the model is cuda-common/kernel_fit.h.
 */
#include "softcuda/driver/occupancy.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/module.h"

struct cuc_device_limits soft_device_limits(const struct soft_device *device)
{
    const struct device_model *model = soft_device_model(device);

    return (struct cuc_device_limits){
        .sm_count = model->sm_count,
        .blocks_per_sm = model->blocks_per_sm,
        .threads_per_sm = model->threads_per_sm,
        .regs_per_sm = model->regs_per_sm,
        .shared_per_sm_bytes = model->shared_per_sm_bytes,
        .shared_per_block_bytes = model->shared_per_block_bytes,
        .shared_reserved_bytes = model->compute_major >= 8 ? DEVICE_RESERVED_SHARED_BYTES : 0,
    };
}

struct cuc_kernel_limits soft_function_limits(const struct soft_function *function,
                                              const struct warp_program_info *info)
{
    return (struct cuc_kernel_limits){
        .regs_per_thread = info->regs_per_thread,
        .static_shared_bytes = info->static_shared_bytes,
        .max_threads_per_block = info->max_threads_per_block,
        .max_dynamic_shared_bytes = function->settings.max_dynamic_shared_bytes,
        .required_block = {info->reqntid[0], info->reqntid[1], info->reqntid[2]},
    };
}

/* What all calls need: the function, its program's figures and its device. */
struct query {
    struct soft_function *function;
    struct cuc_kernel_limits kernel;
    struct cuc_device_limits device;
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
    query_out->kernel = soft_function_limits(query_out->function, warp_program_info(program));
    query_out->device = soft_device_limits(query_out->function->module->context->device);
    return CUDA_SUCCESS;
}

static void query_close(struct query *query)
{
    soft_function_put(query->function);
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
    *numBlocks = (int)cuc_occupancy_allowed(&query.device, &query.kernel, (uint32_t)blockSize,
                                            dynamicSMemSize);
    query_close(&query);
    return CUDA_SUCCESS;
}

CUresult soft_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func,
                                                          int blockSize, size_t dynamicSMemSize)
{
    return soft_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
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
    limit = query.kernel.max_threads_per_block;
    if (blockSizeLimit > 0 && (uint32_t)blockSizeLimit < limit)
        limit = (uint32_t)blockSizeLimit;
    cuc_occupancy_best(&query.device, &query.kernel, shared_of, dynamicSMemSize, limit, minGridSize,
                       blockSize);
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
    CUresult result;

    if (!dynamicSmemSize || numBlocks <= 0 || blockSize <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    result = cuc_occupancy_available(&query.device, &query.kernel, (uint32_t)numBlocks,
                                     (uint32_t)blockSize, dynamicSmemSize);
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
