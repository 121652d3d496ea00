/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/library.c - cuLibrary*: code that belongs to no context; instances on demand.
 *
 * A library is loaded at one worker at once, so that its errors show and its kernels are known, and
 * at each further worker when something there first needs it. Its variables and functions come to
 * life per context as a module.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"
#include "generated/cuda-api/client_impl.h"

/* ---- life ----------------------------------------------------------------------------------- */

static void library_destroy(struct cuc_object *object)
{
    struct cudac_library *library = (struct cudac_library *)object;

    for (uint32_t i = 0; library->kernels && i < library->image->count; i++)
        free(library->kernels[i].set);
    while (library->late) {
        struct cudac_kernel *kernel = library->late;

        library->late = kernel->next_late;
        cudac_late_fini(kernel->late);
        free(kernel->late);
        free(kernel->set);
        free(kernel);
    }
    free(library->kernels);
    free(library->instances);
    cudac_image_put(library->image);
    (void)pthread_mutex_destroy(&library->lock);
    free(library);
}

static void kernel_destroy(struct cuc_object *object)
{
    cuc_object_put(&((struct cudac_kernel *)object)->library->object);
}

static struct cudac_library *library_get(CUlibrary handle)
{
    return (struct cudac_library *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_LIBRARY);
}

struct cudac_kernel *cudac_kernel_get(CUkernel handle)
{
    return (struct cudac_kernel *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_KERNEL);
}

static CUresult kernels_make(struct cudac_library *library)
{
    const struct cudac_image *image = library->image;

    library->kernels = fab_alloc_zeroed(image->count + 1, sizeof(*library->kernels));
    if (!library->kernels)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < image->count; i++) {
        struct cudac_kernel *kernel = &library->kernels[i];
        CUresult result = cuc_object_register(&kernel->object, CUC_KERNEL, kernel_destroy);

        if (result != CUDA_SUCCESS)
            return result;
        cuc_object_ref(&library->object);
        kernel->library = library;
        kernel->index = i;
    }
    return CUDA_SUCCESS;
}

/* True for the one caller that did it. */
static bool library_close(struct cudac_library *library)
{
    if (!cuc_object_retire(&library->object))
        return false;
    for (uint32_t i = 0; library->kernels && i < library->image->count; i++) {
        struct cudac_kernel *kernel = &library->kernels[i];

        if (kernel->library && cuc_object_retire(&kernel->object))
            cuc_object_put(&kernel->object);
    }
    for (struct cudac_kernel *kernel = library->late; kernel; kernel = kernel->next_late)
        if (cuc_object_retire(&kernel->object))
            cuc_object_put(&kernel->object);
    cuc_object_put(&library->object);
    return true;
}

/* ---- loading -------------------------------------------------------------------------------- */

static uint64_t worker_bit(const struct cudac_worker *worker)
{
    return UINT64_C(1) << cudac_worker_index(worker);
}

/* Where a library is loaded first: where the current context is, else where the first device is. */
static struct cudac_worker *first_worker(void)
{
    struct cudac_context *context = cudac_context_peek();

    if (context && cudac_worker_state(cudac_context_worker(context)) == CUDA_SUCCESS)
        return cudac_context_worker(context);
    for (int i = 0; i < cudac_vgpu_count(); i++) {
        struct cudac_worker *worker = cudac_vgpu_worker(cudac_vgpu_at(i));

        if (cudac_worker_state(worker) == CUDA_SUCCESS)
            return worker;
    }
    return NULL;
}

CUresult cudac_library_need(struct cudac_library *library, struct cudac_worker *worker)
{
    const struct cudac_load load = {.id = library->id, .first_function = library->first_function};
    CUresult result = CUDA_SUCCESS;

    if (!(library->loaded_mask & worker_bit(worker)))
        result = cudac_image_load(library->image, worker, &load);
    if (result == CUDA_SUCCESS)
        library->loaded_mask |= worker_bit(worker);
    return result;
}

static CUresult library_make(CUlibrary *library_out, struct cudac_image *image,
                             struct cudac_load *load)
{
    struct cudac_library *library = fab_alloc_zeroed(1, sizeof(*library));
    struct cudac_worker *worker = first_worker();
    CUresult result;

    if (!library || !worker) {
        free(library);
        cudac_image_put(image);
        return worker ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    (void)pthread_mutex_init(&library->lock, NULL);
    library->image = image;
    library->id = load->id = cudac_id_new();
    library->first_function = load->first_function = cudac_function_ids_new();
    result = cudac_image_load(image, worker, load);
    if (result != CUDA_SUCCESS) {
        library_destroy(&library->object);
        return result;
    }
    library->loaded_mask = worker_bit(worker);
    result = cuc_object_register(&library->object, CUC_LIBRARY, library_destroy);
    if (result != CUDA_SUCCESS) {
        cudac_image_unload(worker, library->id);
        library_destroy(&library->object);
        return result;
    }
    result = kernels_make(library);
    if (result != CUDA_SUCCESS) {
        cudac_image_unload(worker, library->id);
        (void)library_close(library);
    } else {
        *library_out = (CUlibrary)(uintptr_t)library->object.handle;
    }
    return result;
}

/* CU_LIBRARY_BINARY_IS_PRESERVED: the program keeps the code where it is. */
static bool is_preserved(const CUlibraryOption *options, void *const *values, unsigned count)
{
    for (unsigned i = 0; i < count && values; i++) {
        if (options[i] == CU_LIBRARY_BINARY_IS_PRESERVED)
            return ((uintptr_t)values[i] & UINT32_MAX) != 0;
    }
    return false;
}

CUresult cudac_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
                                 void **jitOptionsValues, unsigned int numJitOptions,
                                 CUlibraryOption *libraryOptions, void **libraryOptionValues,
                                 unsigned int numLibraryOptions)
{
    struct cuc_jit jit;
    struct cudac_load load = {.option_count = numJitOptions,
                              .options = jitOptions,
                              .values = jitOptionsValues,
                              .jit = &jit};
    struct cudac_image *image;
    CUresult result;

    if (!library || !code)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_library_options_check(libraryOptions, numLibraryOptions);
    if (result == CUDA_SUCCESS)
        result = cuc_jit_read(numJitOptions, jitOptions, jitOptionsValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_image_of_code(
        code, /* code_bytes */ 0,
        is_preserved(libraryOptions, libraryOptionValues, numLibraryOptions), &jit, &image);
    if (result == CUDA_SUCCESS)
        result = library_make(library, image, &load);
    cuc_jit_write_back(numJitOptions, jitOptions, jitOptionsValues, &jit);
    return result;
}

CUresult cudac_cuLibraryLoadFromFile(CUlibrary *library, const char *fileName,
                                     CUjit_option *jitOptions, void **jitOptionsValues,
                                     unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                                     void **libraryOptionValues, unsigned int numLibraryOptions)
{
    struct cuc_jit jit;
    struct cudac_load load = {.option_count = numJitOptions,
                              .options = jitOptions,
                              .values = jitOptionsValues,
                              .jit = &jit};
    struct cudac_image *image;
    CUresult result;

    (void)libraryOptionValues;
    if (!library || !fileName)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_library_options_check(libraryOptions, numLibraryOptions);
    if (result == CUDA_SUCCESS)
        result = cuc_jit_read(numJitOptions, jitOptions, jitOptionsValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_image_of_file(fileName, &jit, &image);
    if (result == CUDA_SUCCESS)
        result = library_make(library, image, &load);
    cuc_jit_write_back(numJitOptions, jitOptions, jitOptionsValues, &jit);
    return result;
}

/* ---- instances ------------------------------------------------------------------------------ */

static struct cudac_module *instance_find_locked(struct cudac_library *library,
                                                 const struct cudac_context *context)
{
    for (uint32_t i = 0; i < library->instance_count; i++)
        if (library->instances[i]->context == context)
            return library->instances[i];
    return NULL;
}

/* The worker says what the functions are in this context: ids are as asked for. */
static CUresult instance_ask(struct cudac_library *library, struct cudac_context *context,
                             uint64_t id, uint64_t first_function,
                             int (*attributes)[CUDAC_FUNCTION_ATTRIBUTES])
{
    struct cudac_worker *worker = cudac_context_worker(context);
    const struct wire_library_module message = {
        .image = library->id, .ctx = context->id, .module = id, .first_function = first_function};
    struct wire_library_module_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_library_module(&message, &parts);
    result = cudac_code_call(context, WIRE_LIBRARY_MODULE, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        !wire_get_library_module_reply(reply.bytes, reply.size_bytes, &answer))
        result = cudac_worker_broken(worker, "its reply to library_module does not decode");
    for (uint32_t i = 0; result == CUDA_SUCCESS && i < library->image->count; i++) {
        if (i < answer.functions_count)
            memcpy(attributes[i], answer.functions[i].attributes, sizeof(attributes[i]));
        else
            memcpy(attributes[i], library->image->symbols[i].attributes, sizeof(attributes[i]));
    }
    cudac_reply_free(&reply);
    return cudac_context_result(context, result);
}

static void instance_describe(struct cudac_library *library, struct cudac_module *module,
                              int (*attributes)[CUDAC_FUNCTION_ATTRIBUTES])
{
    for (uint32_t i = 0; i < library->image->count; i++) {
        struct cudac_function *function = &module->functions[i];

        function->kernel = &library->kernels[i];
        for (uint32_t a = 0; a < CUDAC_FUNCTION_ATTRIBUTES; a++)
            atomic_store_explicit(&function->attributes[a], attributes[i][a], memory_order_relaxed);
    }
}

static CUresult instance_make_locked(struct cudac_library *library, struct cudac_context *context,
                                     struct cudac_module **module_out)
{
    int(*attributes)[CUDAC_FUNCTION_ATTRIBUTES];
    const uint64_t id = cudac_id_new(), first_function = cudac_function_ids_new();
    CUresult result = cudac_library_need(library, cudac_context_worker(context));

    if (result != CUDA_SUCCESS)
        return result;
    attributes = fab_alloc_zeroed(library->image->count + 1, sizeof(*attributes));
    if (!attributes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = instance_ask(library, context, id, first_function, attributes);
    if (result == CUDA_SUCCESS) {
        (void)atomic_fetch_add_explicit(&library->image->refs, 1, memory_order_relaxed);
        result = cudac_module_new(context, library->image, library, id, first_function, module_out);
    }
    if (result == CUDA_SUCCESS)
        instance_describe(library, *module_out, attributes);
    free(attributes);
    return result;
}

static CUresult instance_get_locked(struct cudac_library *library, struct cudac_context *context,
                                    struct cudac_module **module_out)
{
    struct cudac_module **instances;
    struct cudac_module *module = instance_find_locked(library, context);
    CUresult result;

    if (!module) {
        instances = fab_alloc_resize(library->instances, library->instance_count + 1,
                                     sizeof(struct cudac_module *));
        if (!instances)
            return CUDA_ERROR_OUT_OF_MEMORY;
        library->instances = instances;
        result = instance_make_locked(library, context, &module);
        if (result != CUDA_SUCCESS)
            return result;
        library->instances[library->instance_count++] = module;
    }
    *module_out = module;
    return CUDA_SUCCESS;
}

/* The instance in the current context, with one more reference. */
static CUresult instance_get(struct cudac_library *library, struct cudac_module **module_out)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&library->lock);
    result = instance_get_locked(library, context, module_out);
    if (result == CUDA_SUCCESS)
        cuc_object_ref(&(*module_out)->object);
    pthread_mutex_unlock(&library->lock);
    return result;
}

void cudac_library_forget(struct cudac_library *library, struct cudac_module *module)
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

static void unload_at_workers(const struct cudac_library *library)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        struct cudac_worker *worker = cudac_worker_at(i);

        if (library->loaded_mask & worker_bit(worker))
            cudac_image_unload(worker, library->id);
    }
}

CUresult cudac_cuLibraryUnload(CUlibrary handle)
{
    struct cudac_library *library = library_get(handle);

    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    for (;;) {
        struct cudac_module *module = NULL;

        pthread_mutex_lock(&library->lock);
        if (library->instance_count > 0)
            module = library->instances[--library->instance_count];
        pthread_mutex_unlock(&library->lock);
        if (!module)
            break;
        (void)cudac_context_wait(module->context); /* its error stays with the context */
        cudac_module_forget(module);
    }
    if (library_close(library))
        unload_at_workers(library);
    cuc_object_put(&library->object);
    return CUDA_SUCCESS;
}

/* ---- looking up ----------------------------------------------------------------------------- */

const struct cudac_symbol *cudac_kernel_symbol(const struct cudac_kernel *kernel)
{
    return kernel->late ? &kernel->late->symbol : &kernel->library->image->symbols[kernel->index];
}

static struct cudac_worker *worker_that_has(const struct cudac_library *library)
{
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        struct cudac_worker *worker = cudac_worker_at(i);

        if (library->loaded_mask & worker_bit(worker) && cudac_worker_state(worker) == CUDA_SUCCESS)
            return worker;
    }
    return NULL;
}

static CUresult late_kernel_new_locked(struct cudac_library *library, const char *name,
                                       struct cudac_kernel **kernel_out)
{
    struct cudac_worker *worker = worker_that_has(library);
    struct cudac_kernel *kernel = fab_alloc_zeroed(1, sizeof(*kernel));
    struct cudac_late *late = fab_alloc_zeroed(1, sizeof(*late));
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (kernel && late)
        result = worker ? cudac_late_symbol(worker, library->id, cudac_id_new(), name, late)
                        : CUDA_ERROR_DEVICE_UNAVAILABLE;
    if (result == CUDA_SUCCESS)
        result = cuc_object_register(&kernel->object, CUC_KERNEL, kernel_destroy);
    if (result != CUDA_SUCCESS) {
        if (late)
            cudac_late_fini(late);
        free(late);
        free(kernel);
        return result;
    }
    cuc_object_ref(&library->object);
    kernel->library = library;
    kernel->late = late;
    kernel->next_late = library->late;
    *kernel_out = library->late = kernel;
    return CUDA_SUCCESS;
}

static CUresult kernel_find(struct cudac_library *library, const char *name,
                            struct cudac_kernel **kernel_out)
{
    const int index = cudac_image_find(library->image, name);
    struct cudac_kernel *kernel = index >= 0 ? &library->kernels[index] : NULL;
    CUresult result = CUDA_SUCCESS;

    if (!kernel && library->image->is_complete)
        return CUDA_ERROR_NOT_FOUND;
    if (!kernel) {
        pthread_mutex_lock(&library->lock);
        for (kernel = library->late; kernel && strcmp(kernel->late->name, name) != 0;)
            kernel = kernel->next_late;
        if (!kernel)
            result = late_kernel_new_locked(library, name, &kernel);
        pthread_mutex_unlock(&library->lock);
    }
    if (result == CUDA_SUCCESS)
        *kernel_out = kernel;
    return result;
}

CUresult cudac_cuLibraryGetKernel(CUkernel *pKernel, CUlibrary handle, const char *name)
{
    struct cudac_library *library;
    struct cudac_kernel *kernel = NULL;
    CUresult result;

    if (!pKernel || !name)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    result = kernel_find(library, name, &kernel);
    if (result == CUDA_SUCCESS && kernel)
        *pKernel = (CUkernel)(uintptr_t)kernel->object.handle;
    cuc_object_put(&library->object);
    return result;
}

CUresult cudac_cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
    struct cudac_library *library;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(lib);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = library->image->count_in_all;
    cuc_object_put(&library->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels, CUlibrary lib)
{
    struct cudac_library *library;
    bool is_known;

    if (!kernels)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(lib);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    /* Of what the load's reply had no room for the names are not known. */
    is_known = library->image->is_complete || numKernels <= library->image->count;
    for (unsigned i = 0; is_known && i < numKernels && i < library->image->count; i++)
        kernels[i] = (CUkernel)(uintptr_t)library->kernels[i].object.handle;
    cuc_object_put(&library->object);
    return is_known ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cudac_cuLibraryGetModule(CUmodule *pMod, CUlibrary handle)
{
    struct cudac_library *library;
    struct cudac_module *module;
    CUresult result;

    if (!pMod)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    result = instance_get(library, &module);
    if (result == CUDA_SUCCESS) {
        *pMod = cudac_module_handle(module);
        cuc_object_put(&module->object);
    }
    cuc_object_put(&library->object);
    return result;
}

static CUresult library_variable(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle,
                                 const char *name, bool must_be_managed)
{
    struct cudac_library *library;
    struct cudac_module *module;
    CUresult result;

    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    result = instance_get(library, &module);
    if (result == CUDA_SUCCESS) {
        result = cudac_module_variable(module, name, must_be_managed, dptr, bytes);
        cuc_object_put(&module->object);
    }
    cuc_object_put(&library->object);
    return result;
}

CUresult cudac_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                  const char *name)
{
    return library_variable(dptr, bytes, library, name, /* must_be_managed */ false);
}

CUresult cudac_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                   const char *name)
{
    return library_variable(dptr, bytes, library, name, /* must_be_managed */ true);
}

/* Unified function tables exist for host functions called by kernels; none are forwarded. */
CUresult cudac_cuLibraryGetUnifiedFunction(void **fptr, CUlibrary handle, const char *symbol)
{
    struct cudac_library *library;

    if (!fptr || !symbol)
        return CUDA_ERROR_INVALID_VALUE;
    library = library_get(handle);
    if (!library)
        return CUDA_ERROR_INVALID_HANDLE;
    cuc_object_put(&library->object);
    return CUDA_ERROR_NOT_FOUND;
}

/* ---- for kernels ---------------------------------------------------------------------------- */

CUresult cudac_kernel_function(CUkernel handle, struct cudac_context *context,
                               struct cudac_function **function_out)
{
    struct cudac_kernel *kernel = cudac_kernel_get(handle);
    struct cudac_module *module;
    CUresult result = CUDA_SUCCESS;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!context)
        result = cudac_context_current(&context);
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&kernel->library->lock);
        result = instance_get_locked(kernel->library, context, &module);
        if (result == CUDA_SUCCESS) {
            if (kernel->late)
                result = cudac_late_function(module, kernel->late->name, function_out);
            else
                *function_out = &module->functions[kernel->index];
        }
        if (result == CUDA_SUCCESS)
            cuc_object_ref(&(*function_out)->object);
        pthread_mutex_unlock(&kernel->library->lock);
    }
    cuc_object_put(&kernel->object);
    return result;
}
