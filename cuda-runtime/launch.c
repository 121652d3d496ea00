/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/launch.c - from `kernel<<<...>>>(...)` to the driver's launch.
 *
 * A launch site pushes its configuration, calls the kernel's stub, and the stub pops it again.
 * Argument sizes are not known here: the driver has them from the image.
 */
#include "cuda-runtime/registry.h"
#include "generated/cuda-runtime/crt_impl.h"

unsigned crt___cudaPushCallConfiguration(dim3 grid_dim, dim3 block_dim, size_t shared_mem,
                                         struct CUstream_st *stream)
{
    if (crt_self.call_depth == CRT_MAX_CALL_DEPTH) {
        (void)crt_end(cudaErrorLaunchMaxDepthExceeded);
        return 1; /* the launch site then skips the call */
    }
    crt_self.calls[crt_self.call_depth++] = (struct crt_call){
        .grid = grid_dim, .block = block_dim, .shared_bytes = shared_mem, .stream = stream};
    return 0;
}

cudaError_t crt___cudaPopCallConfiguration(dim3 *grid_dim, dim3 *block_dim, size_t *shared_mem,
                                           void *stream)
{
    const struct crt_call *call;

    if (crt_self.call_depth == 0)
        return cudaErrorMissingConfiguration;
    call = &crt_self.calls[--crt_self.call_depth];
    *grid_dim = call->grid;
    *block_dim = call->block;
    *shared_mem = call->shared_bytes;
    *(cudaStream_t *)stream = call->stream;
    return cudaSuccess;
}

cudaError_t crt_cudaLaunchKernel(const void *func, dim3 gridDim, dim3 blockDim, void **args,
                                 size_t sharedMem, cudaStream_t stream)
{
    CUkernel kernel;
    cudaError_t status = crt_kernel_find(func, &kernel);

    if (status == cudaSuccess && sharedMem > UINT32_MAX)
        status = cudaErrorInvalidValue;
    if (status != cudaSuccess)
        return status;
    return CRT_DRV(LaunchKernel, (CUfunction)kernel, gridDim.x, gridDim.y, gridDim.z, blockDim.x,
                   blockDim.y, blockDim.z, (unsigned)sharedMem, stream, args, NULL);
}

cudaError_t crt___cudaLaunchKernel(cudaKernel_t kernel, dim3 gridDim, dim3 blockDim, void **args,
                                   size_t sharedMem, cudaStream_t stream)
{
    return crt_cudaLaunchKernel(kernel, gridDim, blockDim, args, sharedMem, stream);
}

cudaError_t crt_cudaLaunchCooperativeKernel(const void *func, dim3 gridDim, dim3 blockDim,
                                            void **args, size_t sharedMem, cudaStream_t stream)
{
    CUkernel kernel;
    cudaError_t status = crt_kernel_find(func, &kernel);

    if (status == cudaSuccess && sharedMem > UINT32_MAX)
        status = cudaErrorInvalidValue;
    if (status != cudaSuccess)
        return status;
    return CRT_DRV(LaunchCooperativeKernel, (CUfunction)kernel, gridDim.x, gridDim.y, gridDim.z,
                   blockDim.x, blockDim.y, blockDim.z, (unsigned)sharedMem, stream, args);
}

void crt_launch_config(bool per_thread, const cudaLaunchConfig_t *config,
                       CUlaunchConfig *config_out)
{
    *config_out = (CUlaunchConfig){
        .gridDimX = config->gridDim.x,
        .gridDimY = config->gridDim.y,
        .gridDimZ = config->gridDim.z,
        .blockDimX = config->blockDim.x,
        .blockDimY = config->blockDim.y,
        .blockDimZ = config->blockDim.z,
        .sharedMemBytes = (unsigned)config->dynamicSmemBytes,
        .hStream = per_thread ? crt_per_thread_stream(config->stream) : config->stream,
        .attrs = (CUlaunchAttribute *)config->attrs,
        .numAttrs = config->numAttrs,
    };
}

cudaError_t crt_cudaLaunchKernelExC(bool per_thread, const cudaLaunchConfig_t *config,
                                    const void *func, void **args)
{
    CUlaunchConfig driver_config;
    CUkernel kernel;
    cudaError_t status;

    if (!config || config->dynamicSmemBytes > UINT32_MAX)
        return cudaErrorInvalidValue;
    status = crt_kernel_find(func, &kernel);
    if (status != cudaSuccess)
        return status;
    crt_launch_config(per_thread, config, &driver_config);
    return CRT_DRV(LaunchKernelEx, &driver_config, (CUfunction)kernel, args, NULL);
}

cudaError_t crt_cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData)
{
    return CRT_DRV(LaunchHostFunc, stream, fn, userData);
}
