/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/function.c - cuFunc*: kernels in a context, their attributes and parameters.
 */
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/module.h"
#include "softcuda/ptx/ptx.h"

CUresult soft_function_get(CUfunction handle, struct soft_context *context,
                           struct soft_function **function_out)
{
    uint64_t value = (uint64_t)(uintptr_t)handle;
    struct soft_function *function;

    if (cuc_handle_kind(value) == CUC_KERNEL)
        return soft_kernel_function((CUkernel)handle, context, function_out);
    function = (struct soft_function *)cuc_object_get(value, CUC_FUNCTION);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    *function_out = function;
    return CUDA_SUCCESS;
}

void soft_function_put(struct soft_function *function)
{
    cuc_object_put(&function->object);
}

CUfunction soft_function_handle(const struct soft_function *function)
{
    return (CUfunction)(uintptr_t)function->object.handle;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static int dynamic_shared_max(const struct soft_function_settings *settings,
                              const struct soft_function *function,
                              const struct warp_program_info *info)
{
    const struct device_model *model = soft_device_model(function->module->context->device);

    if (settings->max_dynamic_shared_bytes >= 0)
        return settings->max_dynamic_shared_bytes;
    if (info->static_shared_bytes > model->shared_per_block_bytes)
        return 0;
    return (int)(model->shared_per_block_bytes - info->static_shared_bytes);
}

CUresult soft_settings_get(const struct soft_function_settings *settings,
                           struct soft_function *function, CUfunction_attribute attribute,
                           int *value_out)
{
    const struct warp_program_info *info;
    struct warp_program *program;
    CUresult result = soft_function_program(function, &program);

    if (result != CUDA_SUCCESS)
        return result;
    info = warp_program_info(program);
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value_out = (int)info->max_threads_per_block;
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value_out = (int)info->static_shared_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
        *value_out = (int)info->const_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value_out = (int)info->local_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value_out = (int)info->regs_per_thread;
        break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
        *value_out = (int)function->module->image->ptx->target;
        break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value_out = (int)soft_device_capability(function->module->context->device);
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value_out = dynamic_shared_max(settings, function, info);
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *value_out = settings->carveout_pct;
        break;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: /* and what only devices with clusters have: 0 */
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        *value_out = 0;
        break;
    case CU_FUNC_ATTRIBUTE_MAX:
    default: /* a number from the program */
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult soft_settings_set(struct soft_function_settings *settings,
                           const struct soft_device *device, uint32_t static_shared_bytes,
                           CUfunction_attribute attribute, int value)
{
    const struct device_model *model = soft_device_model(device);
    enum { PERCENT_MAX = 100 };

    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        if (value < 0 ||
            (uint64_t)value + static_shared_bytes > model->shared_per_block_optin_bytes)
            return CUDA_ERROR_INVALID_VALUE;
        settings->max_dynamic_shared_bytes = value;
        return CUDA_SUCCESS;
    }
    if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
        if (value < CU_SHAREDMEM_CARVEOUT_DEFAULT || value > PERCENT_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        settings->carveout_pct = value;
        return CUDA_SUCCESS;
    }
    /* The others are properties of the code or belong to devices with clusters. */
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult soft_param_info(const struct ptx_function *ptx, size_t index, size_t *offset_out,
                         size_t *size_out)
{
    if (!offset_out || index >= ptx->proto.param_count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset_out = ptx->param_offset[index];
    if (size_out)
        *size_out = ptx->proto.params[index]->bytes;
    return CUDA_SUCCESS;
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* What cuda.h says that only a loaded function can tell (cuFuncGetAttribute). */
static bool needs_load(CUfunction_attribute attribute)
{
    return attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ||
           attribute == CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES ||
           attribute == CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES;
}

CUresult soft_cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
    struct soft_function *function;
    CUresult result;

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = needs_load(attrib) && !soft_function_was_loaded(function)
                 ? CUDA_ERROR_FUNCTION_NOT_LOADED
                 : soft_settings_get(&function->settings, function, attrib, pi);
    soft_function_put(function);
    return result;
}

CUresult soft_cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
    struct soft_function *function;
    struct warp_program *program;
    CUresult result = soft_function_get(hfunc, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_function_program(function, &program);
    if (result == CUDA_SUCCESS)
        result = soft_settings_set(&function->settings, function->module->context->device,
                                   warp_program_info(program)->static_shared_bytes, attrib, value);
    soft_function_put(function);
    return result;
}

CUresult soft_cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
    struct soft_function *function;
    CUresult result;

    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    function->settings.cache_config = config;
    soft_function_put(function);
    return CUDA_SUCCESS;
}

CUresult soft_cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
    struct soft_function *function;
    CUresult result;

    if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result == CUDA_SUCCESS)
        soft_function_put(function);
    return result;
}

CUresult soft_cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
    struct soft_function *function;
    CUresult result;

    if (!hmod)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *hmod = (CUmodule)(uintptr_t)function->module->object.handle;
    soft_function_put(function);
    return CUDA_SUCCESS;
}

CUresult soft_cuFuncGetName(const char **name, CUfunction hfunc)
{
    struct soft_function *function;
    CUresult result;

    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *name = function->ptx->name;
    soft_function_put(function);
    return CUDA_SUCCESS;
}

CUresult soft_cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset,
                                 size_t *paramSize)
{
    struct soft_function *function;
    CUresult result = soft_function_get(func, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_param_info(function->ptx, paramIndex, paramOffset, paramSize);
    soft_function_put(function);
    return result;
}

CUresult soft_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction hfunc)
{
    struct soft_function *function;
    CUresult result;

    if (!state)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *state = atomic_load_explicit(&function->program, memory_order_acquire)
                 ? CU_FUNCTION_LOADING_STATE_LOADED
                 : CU_FUNCTION_LOADING_STATE_UNLOADED;
    soft_function_put(function);
    return CUDA_SUCCESS;
}

CUresult soft_cuFuncLoad(CUfunction hfunc)
{
    struct soft_function *function;
    struct warp_program *program;
    CUresult result = soft_function_get(hfunc, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_function_program(function, &program);
    soft_function_put(function);
    return result;
}
