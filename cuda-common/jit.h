/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/jit.h - options of cuModuleLoadDataEx and cuLibraryLoadData, and their log buffers.
 *
 * Log buffers are filled; what tunes a compiler is checked here and is otherwise the driver's
 * business. Source: CUDA Driver API, CUjit_option.
 */
#ifndef CUDA_COMMON_JIT_H
#define CUDA_COMMON_JIT_H

#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

/* What the options ask for; all zero without options. */
struct cuc_jit {
    char *info_text, *error_text;
    size_t info_bytes, error_bytes;
    size_t info_used, error_used; /* with the NUL */
    float wall_time_ms;           /* what compiling took */
};

/* CUDA_ERROR_INVALID_VALUE. The buffers become empty texts. */
CUresult cuc_jit_read(unsigned count, const CUjit_option *options, void *const *values,
                      struct cuc_jit *jit_out);
/* Writes one sentence to the error log, if one is asked for. `jit` may be NULL. */
void cuc_jit_error(struct cuc_jit *jit, const char *text);
/* Copies what a driver logged, `bytes` with or without a NUL, to a buffer. */
void cuc_jit_log(char *buffer, size_t buffer_bytes, const void *text, size_t bytes,
                 size_t *used_out);
/* The driver answers in the values: how much of the buffers was used, how long it took. */
void cuc_jit_write_back(unsigned count, const CUjit_option *options, void **values,
                        const struct cuc_jit *jit);

/* The options of a library, whose values need no look. CUDA_ERROR_INVALID_VALUE. */
CUresult cuc_library_options_check(const CUlibraryOption *options, unsigned count);

#endif /* CUDA_COMMON_JIT_H */
