/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/launch_api.c - the forms of the launch call and their attributes.
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/launch.h"
#include "softcuda/driver/stream_int.h"

CUresult soft_cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                             unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                             unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                             void **kernelParams, void **extra)
{
    const struct soft_launch request = {.shape = {.grid = {gridDimX, gridDimY, gridDimZ},
                                                  .block = {blockDimX, blockDimY, blockDimZ},
                                                  .dynamic_shared_bytes = sharedMemBytes,
                                                  .kernel_params = kernelParams,
                                                  .extra = extra},
                                        .stream = hStream};

    return soft_launch(f, &request);
}

CUresult soft_cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                        unsigned int gridDimZ, unsigned int blockDimX,
                                        unsigned int blockDimY, unsigned int blockDimZ,
                                        unsigned int sharedMemBytes, CUstream hStream,
                                        void **kernelParams)
{
    const struct soft_launch request = {.shape = {.grid = {gridDimX, gridDimY, gridDimZ},
                                                  .block = {blockDimX, blockDimY, blockDimZ},
                                                  .dynamic_shared_bytes = sharedMemBytes,
                                                  .cooperative = true,
                                                  .kernel_params = kernelParams},
                                        .stream = hStream};

    return soft_launch(f, &request);
}

static CUresult cluster_check(uint32_t x, uint32_t y, uint32_t z)
{
    /* Clusters came with compute capability 9.0; one block is what every launch is. */
    return x <= 1 && y <= 1 && z <= 1 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult attribute_apply(const CUlaunchAttribute *attribute, struct soft_launch *request)
{
    const CUlaunchAttributeValue *value = &attribute->value;

    switch (attribute->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        request->shape.cooperative = value->cooperative != 0;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        return cluster_check(value->clusterDim.x, value->clusterDim.y, value->clusterDim.z);
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
        return cluster_check(value->preferredClusterDim.x, value->preferredClusterDim.y,
                             value->preferredClusterDim.z);
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        if (value->priority > SOFT_PRIORITY_LEAST || value->priority < SOFT_PRIORITY_GREATEST)
            return CUDA_ERROR_INVALID_VALUE;
        request->priority = value->priority;
        request->has_priority = true;
        return CUDA_SUCCESS;
    /* Hints without effect on results. Programmatic serialization only allows an earlier start. */
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
    case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        return CUDA_ERROR_NOT_SUPPORTED;
    default: /* a number from the program */
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult soft_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                               void **extra)
{
    struct soft_launch request;

    if (!config || (config->numAttrs > 0 && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    request = (struct soft_launch){
        .shape = {.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                  .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
                  .dynamic_shared_bytes = config->sharedMemBytes,
                  .kernel_params = kernelParams,
                  .extra = extra},
        .stream = config->hStream,
    };
    for (unsigned i = 0; i < config->numAttrs; i++) {
        CUresult result = attribute_apply(&config->attrs[i], &request);

        if (result != CUDA_SUCCESS)
            return result;
    }
    return soft_launch(f, &request);
}
