/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/code.h - modules, libraries and kernels, known to the client by what their loading
 * said of them.
 */
#ifndef CUDA_CLIENT_CODE_H
#define CUDA_CLIENT_CODE_H

#include <stdint.h>

#include <cuda.h>

#include "cuda-client/context.h"

struct cudac_param {
    uint32_t offset, bytes;
};

/* A kernel in a context (CUfunction). Lives as long as its module. */
struct cudac_function {
    struct cuc_object object;
    struct cudac_module *module;
    struct cudac_kernel *kernel; /* whose instance it is; NULL for a module's own */
    uint64_t id;                 /* on the wire */
    const char *name;
    const struct cudac_param *params;
    uint32_t param_count, param_bytes;
    int attributes[16]; /* by CUfunction_attribute; guarded by the context's lock */
};

/* A CUfunction, or a CUkernel where one is accepted (then its function in `context`, NULL: the
 * current one), with one more reference on the function. CUDA_ERROR_INVALID_HANDLE, and what
 * loading can return. */
CUresult cudac_function_get(CUfunction handle, struct cudac_context *context,
                            struct cudac_function **function_out);
void cudac_function_put(struct cudac_function *function);

#endif /* CUDA_CLIENT_CODE_H */
