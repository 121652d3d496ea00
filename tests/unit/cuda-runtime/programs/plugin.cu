/* SPDX-License-Identifier: Apache-2.0
 * A shared object with device code, opened and closed again by plugin_host.c.
 */
#include <cuda_runtime.h>

__global__ void from_plugin(int)
{
}

/* Constructors may use the GPU already. */
static cudaError_t at_start = cudaFree(nullptr);

extern "C" int plugin_run(int value)
{
    from_plugin<<<1, 1>>>(value);
    return at_start == cudaSuccess ? cudaGetLastError() : at_start;
}
