/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/kernel.c - cuKernel*: kernels of libraries, with settings per device.
 */
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"
#include "generated/cuda-api/client_impl.h"

enum { VGPUS_MAX = 64 };

CUresult cudac_cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
    struct cudac_function *function;
    CUresult result;

    if (!pFunc)
        return CUDA_ERROR_INVALID_VALUE;
    result = cudac_kernel_function(kernel, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *pFunc = cudac_function_handle(function);
    cudac_function_put(function);
    return CUDA_SUCCESS;
}

CUresult cudac_cuKernelGetLibrary(CUlibrary *pLib, CUkernel handle)
{
    struct cudac_kernel *kernel;

    if (!pLib)
        return CUDA_ERROR_INVALID_VALUE;
    kernel = cudac_kernel_get(handle);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    *pLib = (CUlibrary)(uintptr_t)kernel->library->object.handle;
    cuc_object_put(&kernel->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuKernelGetName(const char **name, CUkernel hfunc)
{
    struct cudac_kernel *kernel;

    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    kernel = cudac_kernel_get(hfunc);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    *name = cudac_kernel_symbol(kernel)->name;
    cuc_object_put(&kernel->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuKernelGetParamInfo(CUkernel handle, size_t paramIndex, size_t *paramOffset,
                                    size_t *paramSize)
{
    struct cudac_kernel *kernel = cudac_kernel_get(handle);
    CUresult result;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    result =
        cudac_params_info(&cudac_kernel_symbol(kernel)->params, paramIndex, paramOffset, paramSize);
    cuc_object_put(&kernel->object);
    return result;
}

/* ---- settings ------------------------------------------------------------------------------- */

/* What cuFuncSetAttribute may have set in the function, as it is by default. */
static int default_of(const struct cudac_function *function, CUfunction_attribute attribute,
                      int value)
{
    const struct cuc_kernel_limits kernel = cudac_function_limits(function);
    const uint64_t shared = function->module->limits.shared_per_block_bytes;

    if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)
        return CU_SHAREDMEM_CARVEOUT_DEFAULT;
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return shared > kernel.static_shared_bytes ? (int)(shared - kernel.static_shared_bytes) : 0;
    return value;
}

/* What was set for the device, else what the function of the current context is by default. */
static int kernel_attribute(CUkernel handle, const struct cudac_function *function, uint32_t vgpu,
                            CUfunction_attribute attribute)
{
    struct cudac_kernel *kernel = cudac_kernel_get(handle);
    int value = atomic_load_explicit(&function->attributes[attribute], memory_order_relaxed);

    if (!kernel || value == INT32_MIN)
        return value;
    pthread_mutex_lock(&kernel->library->lock);
    if (kernel->set && kernel->set_mask & UINT64_C(1) << vgpu)
        value = kernel->set[vgpu][attribute];
    else
        value = default_of(function, attribute, value);
    pthread_mutex_unlock(&kernel->library->lock);
    cuc_object_put(&kernel->object);
    return value;
}

CUresult cudac_cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel handle,
                                    CUdevice dev)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    struct cudac_function *function;
    int value = INT32_MIN;
    CUresult result;

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    result = cudac_kernel_function(handle, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(function);
    if (result == CUDA_SUCCESS && (unsigned)attrib < CUDAC_FUNCTION_ATTRIBUTES)
        value = kernel_attribute(handle, function, cudac_vgpu_index(vgpu), attrib);
    if (result == CUDA_SUCCESS && value == INT32_MIN)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *pi = value;
    cudac_function_put(function);
    return result;
}

/* Instances on that device follow. */
static void settings_spread_locked(struct cudac_kernel *kernel, const struct cudac_vgpu *vgpu)
{
    struct cudac_library *library = kernel->library;
    const int *set = kernel->set[cudac_vgpu_index(vgpu)];

    for (uint32_t i = 0; i < library->instance_count; i++) {
        struct cudac_module *module = library->instances[i];

        struct cudac_function *function = NULL;

        if (module->context->vgpu != vgpu)
            continue;
        if (!kernel->late)
            function = &module->functions[kernel->index];
        else if (cudac_late_function(module, kernel->late->name, &function) != CUDA_SUCCESS)
            continue; /* it will be asked for when it is used */
        for (uint32_t a = 0; a < CUDAC_FUNCTION_ATTRIBUTES; a++)
            atomic_store_explicit(&function->attributes[a], set[a], memory_order_relaxed);
    }
}

/* The number by which that worker knows the kernel. */
static CUresult kernel_id(const struct cudac_kernel *kernel, struct cudac_worker *worker,
                          uint64_t *id_out)
{
    struct cudac_late again = {.name = NULL};
    CUresult result;

    *id_out = kernel->library->first_function + kernel->index;
    if (!kernel->late)
        return CUDA_SUCCESS;
    *id_out = cudac_id_new();
    result = cudac_late_symbol(worker, kernel->library->id, *id_out, kernel->late->name, &again);
    cudac_late_fini(&again);
    return result;
}

static CUresult kernel_set_locked(struct cudac_kernel *kernel, struct cudac_vgpu *vgpu,
                                  uint32_t what, CUfunction_attribute attribute, int value)
{
    struct cudac_library *library = kernel->library;
    struct cudac_worker *worker = cudac_vgpu_worker(vgpu);
    const uint32_t index = cudac_vgpu_index(vgpu);
    const bool has_attributes = what == WIRE_FUNCTION_SET_ATTRIBUTE;
    uint64_t id = 0;
    CUresult result = cudac_library_need(library, worker);

    if (result == CUDA_SUCCESS)
        result = kernel_id(kernel, worker, &id);

    if (result == CUDA_SUCCESS && !kernel->set)
        kernel->set = fab_alloc_zeroed(VGPUS_MAX, sizeof(*kernel->set));
    if (result == CUDA_SUCCESS && !kernel->set)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        result = cudac_function_set(worker, id, what, attribute, value, index,
                                    has_attributes ? kernel->set[index] : NULL);
    if (result == CUDA_SUCCESS && has_attributes) {
        kernel->set_mask |= UINT64_C(1) << index;
        settings_spread_locked(kernel, vgpu);
    }
    return result;
}

static CUresult kernel_set(CUkernel handle, struct cudac_vgpu *vgpu, uint32_t what,
                           CUfunction_attribute attribute, int value)
{
    struct cudac_kernel *kernel = cudac_kernel_get(handle);
    CUresult result;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    pthread_mutex_lock(&kernel->library->lock);
    result = kernel_set_locked(kernel, vgpu, what, attribute, value);
    pthread_mutex_unlock(&kernel->library->lock);
    cuc_object_put(&kernel->object);
    return result;
}

CUresult cudac_cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel handle,
                                    CUdevice dev)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    struct cudac_function *function;
    CUresult result;

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    result = cudac_kernel_function(handle, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_function_need(function);
    if (result == CUDA_SUCCESS)
        result = kernel_set(handle, vgpu, WIRE_FUNCTION_SET_ATTRIBUTE, attrib, val);
    cudac_function_put(function);
    return result;
}

CUresult cudac_cuKernelSetCacheConfig(CUkernel handle, CUfunc_cache config, CUdevice dev)
{
    struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    return kernel_set(handle, vgpu, WIRE_FUNCTION_SET_CACHE_CONFIG, 0, (int)config);
}
