/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/func.c - attributes and occupancy of kernels.
 *
 * A CUkernel stands wherever the driver takes a CUfunction for a launch or for occupancy.
 */
#include "cuda-runtime/registry.h"
#include "generated/cuda-runtime/crt_impl.h"

/* The kernel of a host function and the device it is asked for. */
static cudaError_t kernel_here(const void *func, CUkernel *kernel_out, CUdevice *device_out)
{
    cudaError_t status = crt_kernel_find(func, kernel_out);

    return status == cudaSuccess ? CRT_DRV(CtxGetDevice, device_out) : status;
}

cudaError_t crt_cudaFuncGetAttributes(struct cudaFuncAttributes *attr, const void *func)
{
    enum { COUNT = CU_FUNC_ATTRIBUTE_MAX };
    int values[COUNT] = {0};
    CUkernel kernel;
    CUdevice device;
    cudaError_t status;

    if (!attr)
        return cudaErrorInvalidValue;
    status = kernel_here(func, &kernel, &device);
    for (int i = 0; i < COUNT && status == cudaSuccess; i++)
        status = CRT_DRV(KernelGetAttribute, &values[i], (CUfunction_attribute)i, kernel, device);
    if (status != cudaSuccess)
        return status;
    *attr = (struct cudaFuncAttributes){
        .sharedSizeBytes = (size_t)values[CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES],
        .constSizeBytes = (size_t)values[CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES],
        .localSizeBytes = (size_t)values[CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES],
        .maxThreadsPerBlock = values[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK],
        .numRegs = values[CU_FUNC_ATTRIBUTE_NUM_REGS],
        .ptxVersion = values[CU_FUNC_ATTRIBUTE_PTX_VERSION],
        .binaryVersion = values[CU_FUNC_ATTRIBUTE_BINARY_VERSION],
        .cacheModeCA = values[CU_FUNC_ATTRIBUTE_CACHE_MODE_CA],
        .maxDynamicSharedSizeBytes = values[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES],
        .preferredShmemCarveout = values[CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT],
        .clusterDimMustBeSet = values[CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET],
        .requiredClusterWidth = values[CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH],
        .requiredClusterHeight = values[CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT],
        .requiredClusterDepth = values[CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH],
        .clusterSchedulingPolicyPreference =
            values[CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE],
        .nonPortableClusterSizeAllowed =
            values[CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED],
    };
    return cudaSuccess;
}

cudaError_t crt_cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attr, int value)
{
    CUkernel kernel;
    CUdevice device;
    cudaError_t status = kernel_here(func, &kernel, &device);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(KernelSetAttribute, (CUfunction_attribute)attr, value, kernel, device);
}

cudaError_t crt_cudaFuncSetCacheConfig(const void *func, enum cudaFuncCache cacheConfig)
{
    CUkernel kernel;
    CUdevice device;
    cudaError_t status = kernel_here(func, &kernel, &device);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(KernelSetCacheConfig, kernel, (CUfunc_cache)cacheConfig, device);
}

/* Shared memory banks have had one size since compute capability 5; the calls remain. */
cudaError_t crt_cudaFuncSetSharedMemConfig(const void *func, enum cudaSharedMemConfig config)
{
    CUkernel kernel;

    (void)config;
    return crt_kernel_find(func, &kernel);
}

cudaError_t crt_cudaFuncGetName(const char **name, const void *func)
{
    CUkernel kernel;
    cudaError_t status = name ? crt_kernel_find(func, &kernel) : cudaErrorInvalidValue;

    return status == cudaSuccess ? CRT_DRV(KernelGetName, name, kernel) : status;
}

cudaError_t crt_cudaFuncGetParamInfo(const void *func, size_t paramIndex, size_t *paramOffset,
                                     size_t *paramSize)
{
    CUkernel kernel;
    cudaError_t status = crt_kernel_find(func, &kernel);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(KernelGetParamInfo, kernel, paramIndex, paramOffset, paramSize);
}

cudaError_t crt_cudaGetFuncBySymbol(cudaFunction_t *functionPtr, const void *symbolPtr)
{
    CUkernel kernel;
    cudaError_t status = functionPtr ? crt_kernel_find(symbolPtr, &kernel) : cudaErrorInvalidValue;

    return status == cudaSuccess ? CRT_DRV(KernelGetFunction, functionPtr, kernel) : status;
}

cudaError_t crt_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *numBlocks, const void *func, int blockSize, size_t dynamicSMemSize, unsigned int flags)
{
    CUkernel kernel;
    cudaError_t status = crt_kernel_find(func, &kernel);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(OccupancyMaxActiveBlocksPerMultiprocessorWithFlags, numBlocks,
                   (CUfunction)kernel, blockSize, dynamicSMemSize, flags);
}

cudaError_t crt_cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, const void *func,
                                                              int blockSize, size_t dynamicSMemSize)
{
    return crt_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks, func, blockSize, dynamicSMemSize, cudaOccupancyDefault);
}

cudaError_t crt_cudaOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, const void *func,
                                                          int numBlocks, int blockSize)
{
    CUkernel kernel;
    cudaError_t status = crt_kernel_find(func, &kernel);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(OccupancyAvailableDynamicSMemPerBlock, dynamicSmemSize, (CUfunction)kernel,
                   numBlocks, blockSize);
}

/* The kernel and the driver's form of a configuration, for the two cluster questions. */
static cudaError_t cluster_question(const void *func, const cudaLaunchConfig_t *config,
                                    CUkernel *kernel_out, CUlaunchConfig *config_out)
{
    if (!config || config->dynamicSmemBytes > UINT32_MAX)
        return cudaErrorInvalidValue;
    crt_launch_config(/* per_thread */ false, config, config_out);
    return crt_kernel_find(func, kernel_out);
}

cudaError_t crt_cudaOccupancyMaxActiveClusters(int *numClusters, const void *func,
                                               const cudaLaunchConfig_t *launchConfig)
{
    CUlaunchConfig config;
    CUkernel kernel;
    cudaError_t status = cluster_question(func, launchConfig, &kernel, &config);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(OccupancyMaxActiveClusters, numClusters, (CUfunction)kernel, &config);
}

cudaError_t crt_cudaOccupancyMaxPotentialClusterSize(int *clusterSize, const void *func,
                                                     const cudaLaunchConfig_t *launchConfig)
{
    CUlaunchConfig config;
    CUkernel kernel;
    cudaError_t status = cluster_question(func, launchConfig, &kernel, &config);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(OccupancyMaxPotentialClusterSize, clusterSize, (CUfunction)kernel, &config);
}
