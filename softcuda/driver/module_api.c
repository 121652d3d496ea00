/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/module_api.c - cuModule*.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/module.h"
#include "softcuda/ptx/ptx.h"

static struct soft_module *module_get(CUmodule handle)
{
    return (struct soft_module *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_MODULE);
}

static CUresult module_load(CUmodule *module_out, const char *path, const void *code,
                            struct cuc_jit *jit)
{
    struct soft_context *context;
    struct soft_module *module;
    struct soft_image *image;
    uint32_t capability;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    capability = soft_device_capability(context->device);
    result = path ? soft_image_load_file(path, capability, jit, &image)
                  : soft_image_load(code, /* code_bytes */ 0, capability, jit, &image);
    if (result == CUDA_SUCCESS)
        result = soft_module_new(context, image, /* library */ NULL, &module);
    if (result == CUDA_SUCCESS)
        *module_out = (CUmodule)(uintptr_t)module->object.handle;
    return result;
}

CUresult soft_cuModuleLoad(CUmodule *module, const char *fname)
{
    if (!module || !fname)
        return CUDA_ERROR_INVALID_VALUE;
    return module_load(module, fname, NULL, /* jit */ NULL);
}

CUresult soft_cuModuleLoadData(CUmodule *module, const void *image)
{
    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    return module_load(module, NULL, image, /* jit */ NULL);
}

CUresult soft_cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
    return soft_cuModuleLoadData(module, fatCubin);
}

CUresult soft_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions,
                                 CUjit_option *options, void **optionValues)
{
    struct cuc_jit jit;
    CUresult result;

    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_jit_read(numOptions, options, optionValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = module_load(module, NULL, image, &jit);
    cuc_jit_write_back(numOptions, options, optionValues, &jit);
    return result;
}

CUresult soft_cuModuleUnload(CUmodule hmod)
{
    struct soft_context *context;
    struct soft_module *module;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    if (module->library) {
        result = CUDA_ERROR_NOT_PERMITTED; /* its library unloads it */
    } else {
        result = soft_context_wait(module->context);
        soft_module_unload(module);
    }
    cuc_object_put(&module->object);
    return result;
}

CUresult soft_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

CUresult soft_cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
    struct soft_context *context;
    struct soft_module *module;
    int index;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!hfunc || !name)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    index = soft_image_find(module->image, name);
    if (index >= 0) {
        *hfunc = soft_function_handle(&module->functions[index]);
        soft_function_load(&module->functions[index]);
    }
    cuc_object_put(&module->object);
    return index >= 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult soft_cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
    struct soft_module *module;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(mod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = module->image->entry_count;
    cuc_object_put(&module->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions,
                                         CUmodule mod)
{
    struct soft_module *module;

    if (!functions)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(mod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    for (unsigned i = 0; i < numFunctions && i < module->image->entry_count; i++)
        functions[i] = soft_function_handle(&module->functions[i]);
    cuc_object_put(&module->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod,
                                   const char *name)
{
    struct soft_context *context;
    struct soft_module *module;
    uint64_t address = 0;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    result = soft_module_variable(module, name, /* must_be_managed */ false, &address, bytes);
    if (result == CUDA_SUCCESS && dptr)
        *dptr = address;
    cuc_object_put(&module->object);
    return result;
}
