/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/jit.c - options of cuModuleLoadDataEx and cuLibraryLoadData.
 *
 * Log buffers are filled; what tunes a compiler is checked and has no effect here.
 * Source: CUDA Driver API, CUjit_option.
 */
#include <stdio.h>
#include <string.h>

#include "softcuda/driver/module.h"

/* An option's value is a number in the pointer's own bits, or a pointer. */
static size_t as_number(const void *value)
{
    return (size_t)(uintptr_t)value & UINT32_MAX;
}

static CUresult option_check(CUjit_option option, const void *value)
{
    enum { LEVEL_MAX = 4 };

    if ((unsigned)option >= CU_JIT_NUM_OPTIONS)
        return CUDA_ERROR_INVALID_VALUE;
    if (option == CU_JIT_OPTIMIZATION_LEVEL && as_number(value) > LEVEL_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (option == CU_JIT_FALLBACK_STRATEGY && as_number(value) > CU_PREFER_BINARY)
        return CUDA_ERROR_INVALID_VALUE;
    if (option == CU_JIT_CACHE_MODE && as_number(value) > CU_JIT_CACHE_OPTION_CA)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult soft_jit_read(unsigned count, const CUjit_option *options, void *const *values,
                       struct soft_jit *jit_out)
{
    *jit_out = (struct soft_jit){.info_text = NULL};
    if (count > 0 && (!options || !values))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++) {
        CUresult result = option_check(options[i], values[i]);

        if (result != CUDA_SUCCESS)
            return result;
        if (options[i] == CU_JIT_INFO_LOG_BUFFER)
            jit_out->info_text = values[i];
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
            jit_out->info_bytes = as_number(values[i]);
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
            jit_out->error_text = values[i];
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            jit_out->error_bytes = as_number(values[i]);
    }
    if (!jit_out->info_text)
        jit_out->info_bytes = 0;
    if (!jit_out->error_text)
        jit_out->error_bytes = 0;
    if (jit_out->info_bytes > 0)
        jit_out->info_text[0] = '\0';
    if (jit_out->error_bytes > 0)
        jit_out->error_text[0] = '\0';
    return CUDA_SUCCESS;
}

/* The driver answers in the values: how much of the buffers was used, how long it took. */
void soft_jit_write_back(unsigned count, const CUjit_option *options, void **values,
                         const struct soft_jit *jit)
{
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
            values[i] = (void *)(uintptr_t)jit->info_used; // NOLINT(performance-no-int-to-ptr)
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            values[i] = (void *)(uintptr_t)jit->error_used; // NOLINT(performance-no-int-to-ptr)
        if (options[i] == CU_JIT_WALL_TIME) {
            const float none_ms = 0.0f; /* nothing is compiled before its first use */

            memcpy(&values[i], &none_ms, sizeof(none_ms));
        }
    }
}
