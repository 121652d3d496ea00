/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/code.h - modules, libraries and kernels, known to the client by what their loading
 * said of them.
 */
#ifndef CUDA_CLIENT_CODE_H
#define CUDA_CLIENT_CODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-client/context.h"
#include "cuda-common/kernel_fit.h"

enum { CUDAC_FUNCTION_ATTRIBUTES = 16 };

struct cudac_kernel;
struct cudac_module;

/* A kernel in a context (CUfunction). Lives as long as its module. */
struct cudac_function {
    struct cuc_object object;
    struct cudac_module *module;
    struct cudac_kernel *kernel; /* whose instance it is; NULL for a module's own */
    uint64_t id;                 /* on the wire */
    const char *name;
    struct cuc_params params; /* the image's */
    /* By CUfunction_attribute; INT32_MIN: the worker's driver did not say. */
    _Atomic int attributes[CUDAC_FUNCTION_ATTRIBUTES];
    _Atomic bool is_loaded;          /* what a first use does has been done */
    _Atomic uint64_t accepted_block; /* the last block size that the driver took, see launch.c */
};

/* A CUfunction, or a CUkernel where one is accepted (then its function in `context`, NULL: the
 * current one), with one more reference on the function. CUDA_ERROR_INVALID_HANDLE, and what
 * loading can return. */
CUresult cudac_function_get(CUfunction handle, struct cudac_context *context,
                            struct cudac_function **function_out);
void cudac_function_put(struct cudac_function *function);

#endif /* CUDA_CLIENT_CODE_H */
