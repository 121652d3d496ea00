/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/jit.c - options of cuModuleLoadDataEx and cuLibraryLoadData, and their log buffers.
 */
#include "cuda-common/jit.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

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

CUresult cuc_jit_read(unsigned count, const CUjit_option *options, void *const *values,
                      struct cuc_jit *jit_out)
{
    *jit_out = (struct cuc_jit){.info_text = NULL};
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

void cuc_jit_log(char *buffer, size_t buffer_bytes, const void *text, size_t bytes,
                 size_t *used_out)
{
    const size_t length = bytes > 0 ? strnlen(text, bytes) : 0;

    if (buffer_bytes == 0 || length == 0)
        return;
    *used_out = length < buffer_bytes ? length + 1 : buffer_bytes;
    memcpy(buffer, text, *used_out - 1);
    buffer[*used_out - 1] = '\0';
}

void cuc_jit_error(struct cuc_jit *jit, const char *text)
{
    char line[FAB_ERR_TEXT_BYTES + 16];
    int written = snprintf(line, sizeof(line), "ptx error   : %s\n", text);

    if (jit && written > 0)
        cuc_jit_log(jit->error_text, jit->error_bytes, line, (size_t)written, &jit->error_used);
}

void cuc_jit_write_back(unsigned count, const CUjit_option *options, void **values,
                        const struct cuc_jit *jit)
{
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
            values[i] = (void *)(uintptr_t)jit->info_used; // NOLINT(performance-no-int-to-ptr)
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            values[i] = (void *)(uintptr_t)jit->error_used; // NOLINT(performance-no-int-to-ptr)
        if (options[i] == CU_JIT_WALL_TIME) {
            memcpy(&values[i], &jit->wall_time_ms, sizeof(jit->wall_time_ms));
        }
    }
}

CUresult cuc_library_options_check(const CUlibraryOption *options, unsigned count)
{
    if (count > 0 && !options)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        if ((unsigned)options[i] >= CU_LIBRARY_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}
