/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/module.h - code in a context: variables with addresses, kernels with programs.
 */
#ifndef SOFTCUDA_DRIVER_MODULE_H
#define SOFTCUDA_DRIVER_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-common/object.h"
#include "softcuda/driver/image.h"
#include "softcuda/warp/launch.h"

struct soft_context;
struct soft_device;
struct soft_library;
struct soft_module;

/* What cuFuncSetAttribute and cuKernelSetAttribute set. */
struct soft_function_settings {
    int max_dynamic_shared_bytes; /* -1: not set */
    int carveout_pct;             /* CU_SHAREDMEM_CARVEOUT_DEFAULT .. 100 */
    CUfunc_cache cache_config;
};
#define SOFT_FUNCTION_SETTINGS                                                                     \
    {                                                                                              \
        .max_dynamic_shared_bytes = -1, .carveout_pct = CU_SHAREDMEM_CARVEOUT_DEFAULT              \
    }

/* A kernel in a context. Lives as long as its module. */
struct soft_function {
    struct cuc_object object;
    struct soft_module *module;
    struct ptx_function *ptx;
    _Atomic(struct warp_program *) program; /* lowered at the first use */
    _Atomic int failure;                    /* CUresult of a lowering that failed, once */
    struct soft_function_settings settings;
    uint64_t model_flops, model_bytes; /* per thread, for modelled durations */
};

/* A variable that one function declares for itself; placed when that function is lowered. */
struct soft_local_var {
    struct soft_local_var *next;
    const struct ptx_var *var;
    uint64_t address;
};

struct soft_module {
    struct cuc_object object;
    struct soft_context *context; /* holds a reference */
    struct soft_image *image;
    struct soft_library *library; /* whose instance this is, or NULL */
    struct soft_module *next;     /* in the context, guarded by its lock */
    struct warp_link link;
    uint64_t block, managed_block;     /* driver-made memory of the variables; 0: none */
    uint64_t *var_address;             /* by index in image->ptx->vars; 0: declared only */
    struct soft_local_var *local_vars; /* guarded by image->lock */
    uint64_t *function_handle;         /* by index in image->ptx->functions; 0: not asked for yet */
    struct soft_function *functions;   /* by index in image->entries */
};

/* Takes over the caller's reference on the image, also on failure. */
CUresult soft_module_new(struct soft_context *context, struct soft_image *image,
                         struct soft_library *library, struct soft_module **module_out);
/* The work of the context must be done. */
void soft_module_unload(struct soft_module *module);
void soft_modules_close(struct soft_context *context);

/* Address and size of a module-scope variable; CUDA_ERROR_NOT_FOUND. Outputs may be NULL. */
CUresult soft_module_variable(const struct soft_module *module, const char *name,
                              bool must_be_managed, uint64_t *address_out, size_t *bytes_out);

/* A CUfunction, or a CUkernel where one is accepted (then its function in `context`, NULL: the
 * current one), with one more reference on the function. CUDA_ERROR_INVALID_HANDLE, and what
 * loading can return. */
CUresult soft_function_get(CUfunction handle, struct soft_context *context,
                           struct soft_function **function_out);
void soft_function_put(struct soft_function *function);
CUfunction soft_function_handle(const struct soft_function *function);

/* The program, lowered now if this is the first use. CUDA_ERROR_INVALID_PTX (one line on stderr per
 * function), CUDA_ERROR_OUT_OF_MEMORY. */
CUresult soft_function_program(struct soft_function *function, struct warp_program **program_out);
/* The same before the first use, whose return value tells a failure. */
void soft_function_load(struct soft_function *function);
bool soft_function_was_loaded(const struct soft_function *function); /* or could not be */

/* 89 for 8.9. */
uint32_t soft_device_capability(const struct soft_device *device);

/* ---- libraries ------------------------------------------------------------------------------ */

/* A kernel's function in a context (NULL: the current one): loads its library there if needed. */
CUresult soft_kernel_function(CUkernel handle, struct soft_context *context,
                              struct soft_function **function_out);
/* Called while a context closes: the library forgets its instance. */
void soft_library_forget(struct soft_library *library, struct soft_module *module);

/* Shared by cuFunc* and cuKernel*. */
CUresult soft_settings_get(const struct soft_function_settings *settings,
                           struct soft_function *function, CUfunction_attribute attribute,
                           int *value_out);
CUresult soft_settings_set(struct soft_function_settings *settings,
                           const struct soft_device *device, uint32_t static_shared_bytes,
                           CUfunction_attribute attribute, int value);
CUresult soft_param_info(const struct ptx_function *ptx, size_t index, size_t *offset_out,
                         size_t *size_out);

#endif /* SOFTCUDA_DRIVER_MODULE_H */
