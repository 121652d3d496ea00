/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/function.c - cuFunc*: kernels in a context, their attributes and parameters.
 */
#include <string.h>

#include "cuda-client/code_int.h"
#include "generated/cuda-api/client_impl.h"

CUresult cudac_function_get(CUfunction handle, struct cudac_context *context,
                            struct cudac_function **function_out)
{
    uint64_t value = (uint64_t)(uintptr_t)handle;
    struct cudac_function *function;

    if (cuc_handle_kind(value) == CUC_KERNEL)
        return cudac_kernel_function((CUkernel)handle, context, function_out);
    function = (struct cudac_function *)cuc_object_get(value, CUC_FUNCTION);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    *function_out = function;
    return CUDA_SUCCESS;
}

void cudac_function_put(struct cudac_function *function)
{
    cuc_object_put(&function->object);
}

CUfunction cudac_function_handle(const struct cudac_function *function)
{
    return (CUfunction)(uintptr_t)function->object.handle;
}

/* ---- what the worker knows ------------------------------------------------------------------ */

static int attribute_at(const struct cudac_function *function, CUfunction_attribute attribute)
{
    return atomic_load_explicit(&function->attributes[attribute], memory_order_relaxed);
}

static void attributes_keep(struct cudac_function *function,
                            const int attributes[CUDAC_FUNCTION_ATTRIBUTES])
{
    for (uint32_t i = 0; i < CUDAC_FUNCTION_ATTRIBUTES; i++)
        atomic_store_explicit(&function->attributes[i], attributes[i], memory_order_relaxed);
}

/* Attributes that the module's load could not tell: only a loaded function has them. Or the code
 * does not work: the driver says why. */
static CUresult ask_to_load(struct cudac_function *function)
{
    const struct wire_function_load message = {.function = function->id};
    struct cudac_context *context = function->module->context;
    struct cudac_worker *worker = cudac_context_worker(context);
    struct wire_function_load_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_function_load(&message, &parts);
    result = cudac_call(worker, WIRE_FUNCTION_LOAD, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        (!wire_get_function_load_reply(reply.bytes, reply.size_bytes, &answer) ||
         answer.attributes_count != CUDAC_FUNCTION_ATTRIBUTES))
        result = cudac_worker_broken(worker, "its reply to function_load does not decode");
    if (result == CUDA_SUCCESS)
        attributes_keep(function, answer.attributes);
    cudac_reply_free(&reply);
    return cudac_context_result(context, result);
}

CUresult cudac_function_need(struct cudac_function *function)
{
    CUresult result = CUDA_SUCCESS;

    if (FAB_LIKELY(atomic_load_explicit(&function->is_loaded, memory_order_acquire)))
        return CUDA_SUCCESS;
    if (attribute_at(function, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) == INT32_MIN)
        result = ask_to_load(function);
    if (result == CUDA_SUCCESS)
        atomic_store_explicit(&function->is_loaded, true, memory_order_release);
    return result;
}

CUresult cudac_function_set(struct cudac_worker *worker, uint64_t id, uint32_t what,
                            CUfunction_attribute attribute, int value, uint32_t vgpu,
                            int *attributes_out)
{
    const struct wire_function_set message = {.function = id,
                                              .what = what,
                                              .attribute = (uint32_t)attribute,
                                              .value = value,
                                              .vgpu = vgpu};
    struct wire_function_set_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_function_set(&message, &parts);
    result = cudac_call(worker, WIRE_FUNCTION_SET, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        (!wire_get_function_set_reply(reply.bytes, reply.size_bytes, &answer) ||
         (attributes_out && answer.attributes_count != CUDAC_FUNCTION_ATTRIBUTES)))
        result = cudac_worker_broken(worker, "its reply to function_set does not decode");
    if (result == CUDA_SUCCESS && attributes_out)
        memcpy(attributes_out, answer.attributes, CUDAC_FUNCTION_ATTRIBUTES * sizeof(int));
    cudac_reply_free(&reply);
    return result;
}

static CUresult function_set(struct cudac_function *function, uint32_t what,
                             CUfunction_attribute attribute, int value)
{
    struct cudac_context *context = function->module->context;
    int attributes[CUDAC_FUNCTION_ATTRIBUTES];
    const bool has_attributes = what == WIRE_FUNCTION_SET_ATTRIBUTE;
    CUresult result =
        cudac_function_set(cudac_context_worker(context), function->id, what, attribute, value,
                           cudac_vgpu_index(context->vgpu), has_attributes ? attributes : NULL);

    if (result == CUDA_SUCCESS && has_attributes)
        attributes_keep(function, attributes);
    return cudac_context_result(context, result);
}

/* What the checks of cuda-common go by. Unknown attributes set no limit: the driver will. */
struct cuc_kernel_limits cudac_function_limits(const struct cudac_function *function)
{
    const int threads = attribute_at(function, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    const int regs = attribute_at(function, CU_FUNC_ATTRIBUTE_NUM_REGS);
    const int shared = attribute_at(function, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
    enum { THREADS_MAX = 1024 };

    return (struct cuc_kernel_limits){
        .regs_per_thread = regs > 0 ? (uint32_t)regs : 0,
        .static_shared_bytes = shared > 0 ? (uint32_t)shared : 0,
        .max_threads_per_block = threads > 0 ? (uint32_t)threads : THREADS_MAX,
        .max_dynamic_shared_bytes =
            attribute_at(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES),
    };
}

CUresult cudac_params_info(const struct cuc_params *params, size_t index, size_t *offset_out,
                           size_t *size_out)
{
    if (!offset_out || index >= params->count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset_out = params->offset[index];
    if (size_out)
        *size_out = params->size[index];
    return CUDA_SUCCESS;
}

/* ---- calls ---------------------------------------------------------------------------------- */

CUresult cudac_cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
    struct cudac_function *function;
    int value = INT32_MIN;
    CUresult result;

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(function);
    if (result == CUDA_SUCCESS && (unsigned)attrib < CUDAC_FUNCTION_ATTRIBUTES)
        value = attribute_at(function, attrib);
    if (result == CUDA_SUCCESS && value == INT32_MIN)
        result = CUDA_ERROR_INVALID_VALUE; /* not an attribute that the worker's driver knows */
    if (result == CUDA_SUCCESS)
        *pi = value;
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
    struct cudac_function *function;
    CUresult result = cudac_function_get(hfunc, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(function);
    if (result == CUDA_SUCCESS)
        result = function_set(function, WIRE_FUNCTION_SET_ATTRIBUTE, attrib, value);
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
    struct cudac_function *function;
    CUresult result;

    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = function_set(function, WIRE_FUNCTION_SET_CACHE_CONFIG, 0, (int)config);
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
    struct cudac_function *function;
    CUresult result;

    if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = function_set(function, WIRE_FUNCTION_SET_SHARED_CONFIG, 0, (int)config);
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
    struct cudac_function *function;
    CUresult result;

    if (!hmod)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *hmod = cudac_module_handle(function->module);
    cudac_function_put(function);
    return CUDA_SUCCESS;
}

CUresult cudac_cuFuncGetName(const char **name, CUfunction hfunc)
{
    struct cudac_function *function;
    CUresult result;

    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *name = function->name;
    cudac_function_put(function);
    return CUDA_SUCCESS;
}

CUresult cudac_cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset,
                                  size_t *paramSize)
{
    struct cudac_function *function;
    CUresult result = cudac_function_get(func, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_params_info(&function->params, paramIndex, paramOffset, paramSize);
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction hfunc)
{
    struct cudac_function *function;
    CUresult result;

    if (!state)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_function_get(hfunc, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *state = atomic_load_explicit(&function->is_loaded, memory_order_acquire)
                 ? CU_FUNCTION_LOADING_STATE_LOADED
                 : CU_FUNCTION_LOADING_STATE_UNLOADED;
    cudac_function_put(function);
    return CUDA_SUCCESS;
}

CUresult cudac_cuFuncLoad(CUfunction hfunc)
{
    struct cudac_function *function;
    CUresult result = cudac_function_get(hfunc, /* context */ NULL, &function);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(function);
    cudac_function_put(function);
    return result;
}
