/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/kernel.c - cuKernel*: kernels of libraries, with settings per device.
 */
#include "base/alloc.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/library.h"
#include "softcuda/ptx/ptx.h"

static struct soft_kernel *kernel_get(CUkernel handle)
{
    return (struct soft_kernel *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_KERNEL);
}

static struct ptx_function *kernel_ptx(const struct soft_kernel *kernel)
{
    return kernel->library->image->entries[kernel->index];
}

CUresult soft_cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
    struct soft_function *function;
    CUresult result;

    if (!pFunc)
        return CUDA_ERROR_INVALID_VALUE;
    result = soft_kernel_function(kernel, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    *pFunc = soft_function_handle(function);
    soft_function_load(function);
    soft_function_put(function);
    return CUDA_SUCCESS;
}

CUresult soft_cuKernelGetLibrary(CUlibrary *pLib, CUkernel handle)
{
    struct soft_kernel *kernel;

    if (!pLib)
        return CUDA_ERROR_INVALID_VALUE;
    kernel = kernel_get(handle);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    *pLib = (CUlibrary)(uintptr_t)kernel->library->object.handle;
    cuc_object_put(&kernel->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuKernelGetName(const char **name, CUkernel hfunc)
{
    struct soft_kernel *kernel;

    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    kernel = kernel_get(hfunc);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    *name = kernel_ptx(kernel)->name;
    cuc_object_put(&kernel->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuKernelGetParamInfo(CUkernel handle, size_t paramIndex, size_t *paramOffset,
                                   size_t *paramSize)
{
    struct soft_kernel *kernel = kernel_get(handle);
    CUresult result;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    result = soft_param_info(kernel_ptx(kernel), paramIndex, paramOffset, paramSize);
    cuc_object_put(&kernel->object);
    return result;
}

/* Attributes come from a lowered function; without one in the current context, from the settings
 * and the PTX alone could not: so the current context's instance is used, as cuFuncGetAttribute. */
CUresult soft_cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel handle,
                                   CUdevice dev)
{
    struct soft_function_settings settings = SOFT_FUNCTION_SETTINGS;
    struct soft_function *function;
    struct soft_kernel *kernel;
    CUresult result;

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    result = soft_kernel_function(handle, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    kernel = kernel_get(handle);
    if (kernel) {
        pthread_mutex_lock(&kernel->library->lock);
        if (kernel->settings)
            settings = kernel->settings[dev];
        pthread_mutex_unlock(&kernel->library->lock);
        cuc_object_put(&kernel->object);
    }
    result = soft_settings_get(&settings, function, attrib, pi);
    soft_function_put(function);
    return result;
}

static CUresult settings_need_locked(struct soft_kernel *kernel)
{
    const struct soft_function_settings initial = SOFT_FUNCTION_SETTINGS;
    size_t count = (size_t)soft_device_count();

    if (kernel->settings)
        return CUDA_SUCCESS;
    kernel->settings = fab_alloc_zeroed(count, sizeof(*kernel->settings));
    if (!kernel->settings)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        kernel->settings[i] = initial;
    return CUDA_SUCCESS;
}

/* Instances on that device follow. */
static void settings_spread_locked(struct soft_kernel *kernel, CUdevice dev)
{
    struct soft_library *library = kernel->library;

    for (uint32_t i = 0; i < library->instance_count; i++)
        if (soft_device_ordinal(library->instances[i]->context->device) == dev)
            library->instances[i]->functions[kernel->index].settings = kernel->settings[dev];
}

CUresult soft_cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel handle,
                                   CUdevice dev)
{
    struct soft_device *device = soft_device_at(dev);
    struct soft_function *function;
    struct warp_program *program;
    struct soft_kernel *kernel;
    CUresult result;

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    result = soft_kernel_function(handle, /* context */ NULL, &function);
    if (result != CUDA_SUCCESS)
        return result;
    result = soft_function_program(function, &program);
    kernel = result == CUDA_SUCCESS ? kernel_get(handle) : NULL;
    if (kernel) {
        pthread_mutex_lock(&kernel->library->lock);
        result = settings_need_locked(kernel);
        if (result == CUDA_SUCCESS)
            result =
                soft_settings_set(&kernel->settings[dev], device,
                                  warp_program_info(program)->static_shared_bytes, attrib, val);
        if (result == CUDA_SUCCESS)
            settings_spread_locked(kernel, dev);
        pthread_mutex_unlock(&kernel->library->lock);
        cuc_object_put(&kernel->object);
    }
    soft_function_put(function);
    return result;
}

CUresult soft_cuKernelSetCacheConfig(CUkernel handle, CUfunc_cache config, CUdevice dev)
{
    struct soft_kernel *kernel;
    CUresult result;

    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    kernel = kernel_get(handle);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    pthread_mutex_lock(&kernel->library->lock);
    result = settings_need_locked(kernel);
    if (result == CUDA_SUCCESS) {
        kernel->settings[dev].cache_config = config;
        settings_spread_locked(kernel, dev);
    }
    pthread_mutex_unlock(&kernel->library->lock);
    cuc_object_put(&kernel->object);
    return result;
}
