/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/occupancy.c - cuOccupancy*: computed here from attributes; clusters are asked for.
 */
#include "cuda-client/code_int.h"
#include "cuda-client/launch.h"
#include "cuda-client/stream.h"
#include "generated/cuda-api/client_impl.h"

/* What all calls need: the function and its device, as the model sees them. */
struct query {
    struct cudac_function *function;
    struct cuc_kernel_limits kernel;
    struct cuc_device_limits device;
};

static CUresult query_open(CUfunction handle, struct query *query_out)
{
    CUresult result = cudac_function_get(handle, /* context */ NULL, &query_out->function);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(query_out->function);
    if (result != CUDA_SUCCESS) {
        cudac_function_put(query_out->function);
        return result;
    }
    query_out->kernel = cudac_function_limits(query_out->function);
    query_out->device = query_out->function->module->limits;
    return CUDA_SUCCESS;
}

static void query_close(struct query *query)
{
    cudac_function_put(query->function);
}

CUresult cudac_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func,
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

CUresult cudac_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func,
                                                           int blockSize, size_t dynamicSMemSize)
{
    return cudac_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks, func, blockSize, dynamicSMemSize, CU_OCCUPANCY_DEFAULT);
}

CUresult cudac_cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize,
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

CUresult cudac_cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                                CUoccupancyB2DSize shared_of,
                                                size_t dynamicSMemSize, int blockSizeLimit)
{
    return cudac_cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize, blockSize, func, shared_of,
                                                           dynamicSMemSize, blockSizeLimit,
                                                           CU_OCCUPANCY_DEFAULT);
}

CUresult cudac_cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func,
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

/* ---- clusters ------------------------------------------------------------------------------- */

static CUresult cluster_ask(const struct cudac_function *function, const CUlaunchConfig *config,
                            uint32_t what, int *value_out)
{
    struct cudac_context *context = function->module->context;
    struct wire_attribute attributes[CUDAC_LAUNCH_ATTRIBUTES_MAX];
    struct wire_occupancy message = {
        .ctx = context->id,
        .function = function->id,
        .what = what,
        .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
        .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
        .shared_bytes = config->sharedMemBytes,
        .attributes = attributes,
    };
    struct wire_occupancy_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    message.attributes_count = cudac_launch_attributes(config, attributes);
    wire_put_occupancy(&message, &parts);
    result = cudac_call(cudac_context_worker(context), WIRE_OCCUPANCY, &parts, &reply);
    if (result == CUDA_SUCCESS && !wire_get_occupancy_reply(reply.bytes, reply.size_bytes, &answer))
        result = cudac_worker_broken(cudac_context_worker(context),
                                     "its reply to occupancy does not decode");
    if (result == CUDA_SUCCESS)
        *value_out = (int)answer.value;
    cudac_reply_free(&reply);
    return cudac_context_result(context, result);
}

static CUresult cluster_query(int *value_out, CUfunction func, const CUlaunchConfig *config,
                              uint32_t what)
{
    struct query query;
    CUresult result;

    if (!value_out || !config)
        return CUDA_ERROR_INVALID_VALUE;
    result = query_open(func, &query);
    if (result != CUDA_SUCCESS)
        return result;
    if (cudac_vgpu_attribute(query.function->module->context->vgpu,
                             CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, /* missing */ 0) <= 0)
        result = CUDA_ERROR_NOT_SUPPORTED; /* a cluster of one block is all there is */
    else
        result = cluster_ask(query.function, config, what, value_out);
    query_close(&query);
    return result;
}

CUresult cudac_cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func,
                                                  const CUlaunchConfig *config)
{
    return cluster_query(clusterSize, func, config, WIRE_OCCUPANCY_MAX_CLUSTER_SIZE);
}

CUresult cudac_cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func,
                                            const CUlaunchConfig *config)
{
    return cluster_query(numClusters, func, config, WIRE_OCCUPANCY_MAX_CLUSTERS);
}
