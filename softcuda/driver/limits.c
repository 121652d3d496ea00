/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/limits.c - cuCtxGetLimit, cuCtxSetLimit; cache and shared memory preferences.
 *
 * The size of the printf buffer has an effect, and the stack on kernels that recurse (the engine
 * knows what the others need). The rest is kept and answered: it means nothing to the engine.
 * Source: CUDA Driver API, Context Management, cuCtxSetLimit.
 */
#include "softcuda/driver/limits.h"

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/module.h"

enum {
    STACK_DEFAULT_BYTES = 1024,
    STACK_MAX_BYTES = 512 * 1024 - 16, /* the local memory that a thread can have */
    HEAP_DEFAULT_BYTES = 8 << 20,
    SYNC_DEPTH_DEFAULT = 2,
    SYNC_DEPTH_MAX = 24,
    PENDING_LAUNCH_DEFAULT = 2048,
    L2_FETCH_DEFAULT_BYTES = 64,
    L2_FETCH_MAX_BYTES = 128,
    ROUND_BYTES = 16,
};
#define FIFO_MAX_BYTES (UINT64_C(1) << 30)

struct limit_row {
    bool is_supported;
    size_t first, min, max;
};

static const struct limit_row rows[SOFT_LIMIT_COUNT] = {
    [CU_LIMIT_STACK_SIZE] = {true, STACK_DEFAULT_BYTES, 0, STACK_MAX_BYTES},
    [CU_LIMIT_PRINTF_FIFO_SIZE] = {true, SOFT_TEXT_DEFAULT_BYTES, 0, FIFO_MAX_BYTES},
    [CU_LIMIT_MALLOC_HEAP_SIZE] = {true, HEAP_DEFAULT_BYTES, 0, SIZE_MAX},
    [CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = {true, SYNC_DEPTH_DEFAULT, 1, SYNC_DEPTH_MAX},
    [CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = {true, PENDING_LAUNCH_DEFAULT, 1, INT32_MAX},
    [CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = {true, L2_FETCH_DEFAULT_BYTES, 0, L2_FETCH_MAX_BYTES},
    [CU_LIMIT_PERSISTING_L2_CACHE_SIZE] = {true, 0, 0, SIZE_MAX},
};

void soft_limits_init(struct soft_context *context)
{
    for (size_t i = 0; i < SOFT_LIMIT_COUNT; i++)
        context->limit[i] = rows[i].first;
    context->cache_config = CU_FUNC_CACHE_PREFER_NONE;
    context->shared_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    soft_text_set_limit(&context->text, SOFT_TEXT_DEFAULT_BYTES);
}

size_t soft_limits_stack_bytes(struct soft_context *context)
{
    return __atomic_load_n(&context->limit[CU_LIMIT_STACK_SIZE], __ATOMIC_RELAXED);
}

CUresult soft_cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pvalue || (unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if ((unsigned)limit >= SOFT_LIMIT_COUNT || !rows[limit].is_supported)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    pthread_mutex_lock(&context->lock);
    *pvalue = context->limit[limit];
    pthread_mutex_unlock(&context->lock);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxSetLimit(CUlimit limit, size_t value)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if ((unsigned)limit >= SOFT_LIMIT_COUNT || !rows[limit].is_supported)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    if (value < rows[limit].min || value > rows[limit].max)
        return CUDA_ERROR_INVALID_VALUE;
    if (limit == CU_LIMIT_STACK_SIZE)
        value = (value + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
    if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE &&
        value > soft_device_model(context->device)->l2_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&context->lock);
    __atomic_store_n(&context->limit[limit], value, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&context->lock);
    if (limit == CU_LIMIT_PRINTF_FIFO_SIZE)
        soft_text_set_limit(&context->text, value);
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxResetPersistingL2Cache(void)
{
    struct soft_context *context;

    return soft_context_current(&context);
}

CUresult soft_cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pconfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pconfig = context->cache_config;
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxSetCacheConfig(CUfunc_cache config)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    context->cache_config = config;
    return CUDA_SUCCESS;
}

CUresult soft_cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pConfig)
        return CUDA_ERROR_INVALID_VALUE;
    *pConfig = context->shared_config;
    return CUDA_SUCCESS;
}

/* The bank size has been fixed since compute capability 5.0: accepted, without effect. */
CUresult soft_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}
