/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/limits.c - cuCtxGetLimit, cuCtxSetLimit; cache and shared memory preferences.
 *
 * What a context's creation said of them, and what the worker's driver made of a change.
 */
#include "cuda-client/context_int.h"
#include "generated/cuda-api/client_impl.h"

CUresult cudac_cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pvalue || (unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if ((unsigned)limit >= CUDAC_LIMIT_COUNT || context->limit[limit] == UINT64_MAX)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    pthread_mutex_lock(&context->lock);
    *pvalue = context->limit[limit];
    pthread_mutex_unlock(&context->lock);
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxSetLimit(CUlimit limit, size_t value)
{
    struct cudac_context *context;
    uint64_t now = value;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if ((unsigned)limit >= CUDAC_LIMIT_COUNT || context->limit[limit] == UINT64_MAX)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    result = cudac_context_set(context, WIRE_CTX_LIMIT, (uint32_t)limit, value, &now);
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&context->lock);
        context->limit[limit] = now;
        pthread_mutex_unlock(&context->lock);
    }
    return result;
}

CUresult cudac_cuCtxResetPersistingL2Cache(void)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    return cudac_context_set(context, WIRE_CTX_RESET_L2, 0, 0, NULL);
}

CUresult cudac_cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pconfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pconfig = context->cache_config;
    return CUDA_SUCCESS;
}

CUresult cudac_cuCtxSetCacheConfig(CUfunc_cache config)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_context_set(context, WIRE_CTX_CACHE_CONFIG, 0, (uint64_t)config, NULL);
    if (result == CUDA_SUCCESS)
        context->cache_config = config;
    return result;
}

CUresult cudac_cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pConfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pConfig = context->shared_config;
    return CUDA_SUCCESS;
}

/* The bank size has been fixed since compute capability 5.0: accepted, without effect. */
CUresult cudac_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}
