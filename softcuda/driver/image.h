/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/image.h - a loaded piece of code, the same for all contexts: its PTX, parsed.
 */
#ifndef SOFTCUDA_DRIVER_IMAGE_H
#define SOFTCUDA_DRIVER_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-common/jit.h"

struct ptx_function;
struct ptx_module;

struct soft_image {
    _Atomic uint32_t refs;
    char *text;
    struct ptx_module *ptx;
    pthread_mutex_t lock; /* the parser takes one thread at a time per module */
    uint32_t entry_count;
    struct ptx_function **entries; /* the kernels, in textual order */
};

/* Finds PTX that a device of `capability` (89) can run and parses it. code_bytes 0: only the code
 * itself says how long it is. CUDA_ERROR_NO_BINARY_FOR_GPU for machine code only
 * (with one line on stderr), CUDA_ERROR_INVALID_IMAGE, CUDA_ERROR_INVALID_PTX,
 * CUDA_ERROR_UNSUPPORTED_PTX_VERSION, CUDA_ERROR_OUT_OF_MEMORY. `jit` may be NULL. */
CUresult soft_image_load(const void *code, size_t code_bytes, uint32_t capability,
                         struct cuc_jit *jit, struct soft_image **image_out);
/* The same from a file. CUDA_ERROR_FILE_NOT_FOUND, CUDA_ERROR_OPERATING_SYSTEM. */
CUresult soft_image_load_file(const char *path, uint32_t capability, struct cuc_jit *jit,
                              struct soft_image **image_out);

void soft_image_ref(struct soft_image *image);
void soft_image_put(struct soft_image *image); /* takes NULL */

/* Index in entries, or -1. */
int soft_image_find(const struct soft_image *image, const char *name);

#endif /* SOFTCUDA_DRIVER_IMAGE_H */
