/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/library.c - cuLibrary*: code that belongs to no context; instances on demand.
 *
 * A library is parsed once, for what all visible devices can run. Its variables and kernels come to
 * life per context as a module, at the first use there.
 */
#include "softcuda/driver/library.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/ptx/ptx.h"

/* ---- life ----------------------------------------------------------------------------------- */

static void library_destroy(struct cuc_object *object)
{
    struct soft_library *library = (struct soft_library *)object;

    for (uint32_t i = 0; library->kernels && i < library->image->entry_count; i++)
        free(library->kernels[i].settings);
    free(library->kernels);
    free(library->instances);
    soft_image_put(library->image);
    (void)pthread_mutex_destroy(&library->lock);
    free(library);
}

static void kernel_destroy(struct cuc_object *object)
{
    cuc_object_put(&((struct soft_kernel *)object)->library->object);
}

static struct soft_library *library_get(CUlibrary handle)
{
    return (struct soft_library *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_LIBRARY);
}

static CUresult kernels_make(struct soft_library *library)
{
    struct soft_image *image = library->image;

    library->kernels = fab_alloc_zeroed(image->entry_count + 1, sizeof(*library->kernels));
    if (!library->kernels)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < image->entry_count; i++) {
        struct soft_kernel *kernel = &library->kernels[i];
        CUresult result = cuc_object_register(&kernel->object, CUC_KERNEL, kernel_destroy);

        if (result != CUDA_SUCCESS)
            return result;
        cuc_object_ref(&library->object);
        kernel->library = library;
        kernel->index = i;
    }
    return CUDA_SUCCESS;
}

static void library_close(struct soft_library *library)
{
    if (!cuc_object_retire(&library->object))
        return;
    for (uint32_t i = 0; library->kernels && i < library->image->entry_count; i++) {
        struct soft_kernel *kernel = &library->kernels[i];

        if (kernel->library && cuc_object_retire(&kernel->object))
            cuc_object_put(&kernel->object);
    }
    cuc_object_put(&library->object);
}

/* The lowest capability of the visible devices: what it can run, all can. */
static uint32_t common_capability(void)
{
    uint32_t lowest = UINT32_MAX;

    for (int i = 0; i < soft_device_count(); i++) {
        uint32_t capability = soft_device_capability(soft_device_at(i));

        lowest = capability < lowest ? capability : lowest;
    }
    return lowest;
}

static CUresult library_load(CUlibrary *library_out, const char *path, const void *code,
                             struct cuc_jit *jit)
{
    struct soft_library *library = fab_alloc_zeroed(1, sizeof(*library));
    uint32_t capability = common_capability();
    CUresult result;

    if (!library)
        return CUDA_ERROR_OUT_OF_MEMORY;
    (void)pthread_mutex_init(&library->lock, NULL);
    /* The text is copied out of the code: whether the program keeps it does not matter. */
    result = path ? soft_image_load_file(path, capability, jit, &library->image)
                  : soft_image_load(code, /* code_bytes */ 0, capability, jit, &library->image);
    if (result == CUDA_SUCCESS)
        result = cuc_object_register(&library->object, CUC_LIBRARY, library_destroy);
    if (result != CUDA_SUCCESS) {
        library_destroy(&library->object);
        return result;
    }
    result = kernels_make(library);
    if (result != CUDA_SUCCESS)
        library_close(library);
    else
        *library_out = (CUlibrary)(uintptr_t)library->object.handle;
    return result;
}

CUresult soft_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
                                void **jitOptionsValues, unsigned int numJitOptions,
                                CUlibraryOption *libraryOptions, void **libraryOptionValues,
                                unsigned int numLibraryOptions)
{
    struct cuc_jit jit;
    CUresult result;

    (void)libraryOptionValues;
    if (!library || !code)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_library_options_check(libraryOptions, numLibraryOptions);
    if (result == CUDA_SUCCESS)
        result = cuc_jit_read(numJitOptions, jitOptions, jitOptionsValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = library_load(library, NULL, code, &jit);
    cuc_jit_write_back(numJitOptions, jitOptions, jitOptionsValues, &jit);
    return result;
}

CUresult soft_cuLibraryLoadFromFile(CUlibrary *library, const char *fileName,
                                    CUjit_option *jitOptions, void **jitOptionsValues,
                                    unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                                    void **libraryOptionValues, unsigned int numLibraryOptions)
{
    struct cuc_jit jit;
    CUresult result;

    (void)libraryOptionValues;
    if (!library || !fileName)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_library_options_check(libraryOptions, numLibraryOptions);
    if (result == CUDA_SUCCESS)
        result = cuc_jit_read(numJitOptions, jitOptions, jitOptionsValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = library_load(library, fileName, NULL, &jit);
    cuc_jit_write_back(numJitOptions, jitOptions, jitOptionsValues, &jit);
    return result;
}

/* ---- instances ------------------------------------------------------------------------------ */

static struct soft_module *instance_find_locked(struct soft_library *library,
                                                const struct soft_context *context)
{
    for (uint32_t i = 0; i < library->instance_count; i++)
        if (library->instances[i]->context == context)
            return library->instances[i];
    return NULL;
}

static void settings_apply(struct soft_library *library, struct soft_module *module)
{
    int ordinal = soft_device_ordinal(module->context->device);

    for (uint32_t i = 0; i < library->image->entry_count; i++)
        if (library->kernels[i].settings)
            module->functions[i].settings = library->kernels[i].settings[ordinal];
}

static CUresult instance_get_locked(struct soft_library *library, struct soft_context *context,
                                    struct soft_module **module_out)
{
    struct soft_module **instances;
    struct soft_module *module = instance_find_locked(library, context);
    CUresult result;

    if (!module) {
        instances = fab_alloc_resize(library->instances, library->instance_count + 1,
                                     sizeof(struct soft_module *));
        if (!instances)
            return CUDA_ERROR_OUT_OF_MEMORY;
        library->instances = instances;
        soft_image_ref(library->image);
        result = soft_module_new(context, library->image, library, &module);
        if (result != CUDA_SUCCESS)
            return result;
        settings_apply(library, module);
        library->instances[library->instance_count++] = module;
    }
    *module_out = module;
    return CUDA_SUCCESS;
}

/* The instance in the current context, with one more reference. */
static CUresult instance_get(struct soft_library *library, struct soft_module **module_out)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&library->lock);
    result = instance_get_locked(library, context, module_out);
    if (result == CUDA_SUCCESS)
        cuc_object_ref(&(*module_out)->object);
    pthread_mutex_unlock(&library->lock);
    return result;
}

void soft_library_forget(struct soft_library *library, struct soft_module *module)
{
    pthread_mutex_lock(&library->lock);
    for (uint32_t i = 0; i < library->instance_count; i++) {
        if (library->instances[i] != module)
            continue;
        library->instances[i] = library->instances[--library->instance_count];
        break;
    }
    pthread_mutex_unlock(&library->lock);
}

CUresult soft_cuLibraryUnload(CUlibrary handle)
{
    struct soft_library *library = library_get(handle);

    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    for (;;) {
        struct soft_module *module = NULL;

        pthread_mutex_lock(&library->lock);
        if (library->instance_count > 0)
            module = library->instances[--library->instance_count];
        pthread_mutex_unlock(&library->lock);
        if (!module)
            break;
        (void)soft_context_wait(module->context); /* its error stays with the context */
        soft_module_unload(module);
    }
    library_close(library);
    cuc_object_put(&library->object);
    return CUDA_SUCCESS;
}

/* ---- looking up ----------------------------------------------------------------------------- */

CUresult soft_cuLibraryGetKernel(CUkernel *pKernel, CUlibrary handle, const char *name)
{
    struct soft_library *library;
    int index;

    if (!pKernel || !name)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    index = soft_image_find(library->image, name);
    if (index >= 0)
        *pKernel = (CUkernel)(uintptr_t)library->kernels[index].object.handle;
    cuc_object_put(&library->object);
    return index >= 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult soft_cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
    struct soft_library *library;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(lib);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = library->image->entry_count;
    cuc_object_put(&library->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels, CUlibrary lib)
{
    struct soft_library *library;

    if (!kernels)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(lib);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    for (unsigned i = 0; i < numKernels && i < library->image->entry_count; i++)
        kernels[i] = (CUkernel)(uintptr_t)library->kernels[i].object.handle;
    cuc_object_put(&library->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuLibraryGetModule(CUmodule *pMod, CUlibrary handle)
{
    struct soft_library *library;
    struct soft_module *module;
    CUresult result;

    if (!pMod)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    result = instance_get(library, &module);
    if (result == CUDA_SUCCESS) {
        *pMod = (CUmodule)(uintptr_t)module->object.handle;
        cuc_object_put(&module->object);
    }
    cuc_object_put(&library->object);
    return result;
}

static CUresult library_variable(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle,
                                 const char *name, bool must_be_managed)
{
    struct soft_library *library;
    struct soft_module *module;
    uint64_t address = 0;
    CUresult result;

    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    result = instance_get(library, &module);
    if (result == CUDA_SUCCESS) {
        result = soft_module_variable(module, name, must_be_managed, &address, bytes);
        if (result == CUDA_SUCCESS && dptr)
            *dptr = address;
        cuc_object_put(&module->object);
    }
    cuc_object_put(&library->object);
    return result;
}

CUresult soft_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                 const char *name)
{
    return library_variable(dptr, bytes, library, name, /* must_be_managed */ false);
}

CUresult soft_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                  const char *name)
{
    return library_variable(dptr, bytes, library, name, /* must_be_managed */ true);
}

/* Unified function tables exist for host functions called by kernels, which no PTX here does. */
CUresult soft_cuLibraryGetUnifiedFunction(void **fptr, CUlibrary handle, const char *symbol)
{
    struct soft_library *library;

    if (!fptr || !symbol)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    cuc_object_put(&library->object);
    return CUDA_ERROR_NOT_FOUND;
}

/* ---- for kernels ---------------------------------------------------------------------------- */

CUresult soft_kernel_function(CUkernel handle, struct soft_context *context,
                              struct soft_function **function_out)
{
    struct soft_kernel *kernel =
        (struct soft_kernel *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_KERNEL);
    struct soft_module *module;
    CUresult result = CUDA_SUCCESS;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!context)
        result = soft_context_current(&context);
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&kernel->library->lock);
        result = instance_get_locked(kernel->library, context, &module);
        if (result == CUDA_SUCCESS) {
            *function_out = &module->functions[kernel->index];
            cuc_object_ref(&(*function_out)->object);
        }
        pthread_mutex_unlock(&kernel->library->lock);
    }
    cuc_object_put(&kernel->object);
    return result;
}
