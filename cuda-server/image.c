/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/image.c - loading code and finding things in it.
 *
 * The reply of a load says all that is known of its functions, so that the client can answer for
 * itself from then on. Options that are pointers never come by the wire; logs go with the reply.
 */
#include "cuda-server/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/image_store.h"
#include "cuda-server/limit.h"
#include "cuda-server/outbox.h"

enum { OPTIONS_MAX = 64 + 5, LOG_MAX_BYTES = 64 << 10 };

/* ---- options --------------------------------------------------------------------------------- */

struct jit {
    CUjit_option options[OPTIONS_MAX];
    void *values[OPTIONS_MAX];
    unsigned count;
    char *info_log, *error_log;
    uint32_t log_bytes;
    bool wants_time;
    unsigned time_at;
};

static void *as_value(uint64_t number)
{
    return (void *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr): the API wants it so */
}

static void jit_add(struct jit *jit, CUjit_option option, void *value)
{
    jit->options[jit->count] = option;
    jit->values[jit->count++] = value;
}

/* Options whose value is an address in the caller's memory. */
static bool is_pointer(uint32_t option)
{
    switch ((int)option) {
    case CU_JIT_INFO_LOG_BUFFER:
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
    case CU_JIT_ERROR_LOG_BUFFER:
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
    case CU_JIT_GLOBAL_SYMBOL_NAMES:
    case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
    case CU_JIT_REFERENCED_KERNEL_NAMES:
    case CU_JIT_REFERENCED_VARIABLE_NAMES:
        return true;
    default:
        return false;
    }
}

static CUresult jit_read(const struct wire_image_load *m, struct jit *jit)
{
    *jit = (struct jit){.log_bytes = m->log_bytes < LOG_MAX_BYTES ? m->log_bytes : LOG_MAX_BYTES};
    for (uint32_t i = 0; i < m->options_count; i++) {
        if (is_pointer(m->options[i]))
            return CUDA_ERROR_NOT_SUPPORTED;
        if (m->options[i] == CU_JIT_WALL_TIME) {
            jit->wants_time = true;
            jit->time_at = jit->count;
        }
        jit_add(jit, (CUjit_option)m->options[i], as_value(m->values[i]));
    }
    if (jit->log_bytes == 0)
        return CUDA_SUCCESS;
    jit->info_log = fab_alloc_zeroed(1, jit->log_bytes);
    jit->error_log = fab_alloc_zeroed(1, jit->log_bytes);
    if (!jit->info_log || !jit->error_log)
        return CUDA_ERROR_OUT_OF_MEMORY;
    jit_add(jit, CU_JIT_INFO_LOG_BUFFER, jit->info_log);
    jit_add(jit, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, as_value(jit->log_bytes));
    jit_add(jit, CU_JIT_ERROR_LOG_BUFFER, jit->error_log);
    jit_add(jit, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, as_value(jit->log_bytes));
    return CUDA_SUCCESS;
}

static void jit_fini(struct jit *jit)
{
    free(jit->info_log);
    free(jit->error_log);
}

static void jit_answer(const struct jit *jit, struct wire_image_load_reply *reply)
{
    float milliseconds = 0;

    if (jit->info_log) {
        reply->info_log = jit->info_log;
        reply->info_log_count = (uint32_t)strnlen(jit->info_log, jit->log_bytes);
    }
    if (jit->error_log) {
        reply->error_log = jit->error_log;
        reply->error_log_count = (uint32_t)strnlen(jit->error_log, jit->log_bytes);
    }
    if (!jit->wants_time)
        return;
    memcpy(&milliseconds, &jit->values[jit->time_at], sizeof(milliseconds));
    if (milliseconds > 0 && milliseconds < (float)(UINT32_MAX / 1000))
        reply->wall_time_us = (uint32_t)(milliseconds * 1000);
}

/* ---- images ---------------------------------------------------------------------------------- */

static void image_destroy(struct cudas_object *object)
{
    free(object);
}

static struct cudas_image *image_new(struct cudas_worker *worker, uint64_t id, enum cudas_kind kind,
                                     struct cudas_context *context, struct cudas_object *parent)
{
    struct cudas_image *image = fab_alloc_zeroed(1, sizeof(*image));

    if (!image)
        return NULL;
    image->object = (struct cudas_object){
        .id = id, .kind = kind, .context = context, .parent = parent, .destroy = image_destroy};
    image->worker = worker;
    return image;
}

static struct cudas_image *image_get(struct cudas_worker *worker, uint64_t id)
{
    struct cudas_object *object = cudas_object_get(worker, id, CUDAS_MODULE);

    if (!object)
        object = cudas_object_get(worker, id, CUDAS_LIBRARY);
    return (struct cudas_image *)object;
}

static void image_put(struct cudas_image *image)
{
    if (image)
        cudas_object_put(&image->object);
}

static CUresult driver_load(struct cudas_image *image, const void *code, struct jit *jit)
{
    const struct cudas_driver *cu = &image->worker->cu;
    CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *yes = as_value(1); /* the store keeps the code in its place */

    if (image->object.kind == CUDAS_MODULE)
        return cu->cuModuleLoadDataEx(&image->handle.module, code, jit->count, jit->options,
                                      jit->values);
    if (!cu->cuLibraryLoadData)
        return CUDA_ERROR_NOT_SUPPORTED;
    return cu->cuLibraryLoadData(&image->handle.library, code, jit->options, jit->values,
                                 jit->count, &preserved, &yes, 1);
}

static void driver_unload(const struct cudas_image *image)
{
    const struct cudas_driver *cu = &image->worker->cu;

    if (image->object.kind == CUDAS_MODULE)
        (void)cu->cuModuleUnload(image->handle.module);
    else
        (void)cu->cuLibraryUnload(image->handle.library);
}

/* All functions of the image in the driver's order; an array to be freed. */
static CUresult list_functions(const struct cudas_image *image, void ***handles_out,
                               unsigned *count_out)
{
    const struct cudas_driver *cu = &image->worker->cu;
    const bool is_module = image->object.kind == CUDAS_MODULE;
    unsigned count = 0;
    void **handles;
    CUresult result;

    if (is_module ? !cu->cuModuleGetFunctionCount || !cu->cuModuleEnumerateFunctions
                  : !cu->cuLibraryGetKernelCount || !cu->cuLibraryEnumerateKernels) {
        *handles_out = NULL;
        *count_out = 0;
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    result = is_module ? cu->cuModuleGetFunctionCount(&count, image->handle.module)
                       : cu->cuLibraryGetKernelCount(&count, image->handle.library);
    if (result != CUDA_SUCCESS)
        return result;
    handles = fab_alloc_zeroed(count + (size_t)1, sizeof(*handles));
    if (!handles)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (count > 0)
        result = is_module ? cu->cuModuleEnumerateFunctions((CUfunction *)(void *)handles, count,
                                                            image->handle.module)
                           : cu->cuLibraryEnumerateKernels((CUkernel *)(void *)handles, count,
                                                           image->handle.library);
    if (result != CUDA_SUCCESS) {
        free(handles);
        return result;
    }
    *handles_out = handles;
    *count_out = count;
    return CUDA_SUCCESS;
}

/* Objects for all functions, ids from `first` on, and what is to be said of them. */
static CUresult add_functions(struct cudas_image *image, uint64_t first,
                              struct cudas_catalogue *catalogue, uint32_t *count_out)
{
    const enum cudas_kind kind = image->object.kind == CUDAS_MODULE ? CUDAS_FUNCTION : CUDAS_KERNEL;
    struct cudas_function *function;
    void **handles = NULL;
    unsigned count = 0;
    CUresult result = list_functions(image, &handles, &count);

    if (result == CUDA_ERROR_NOT_SUPPORTED) { /* an older driver: by name, one by one */
        catalogue->is_full = true;
        *count_out = 0;
        return CUDA_SUCCESS;
    }
    for (unsigned i = 0; result == CUDA_SUCCESS && i < count; i++) {
        result = cudas_function_add(image->worker, first + i, kind, &image->object,
                                    image->object.context, handles[i], &function);
        if (result == CUDA_SUCCESS)
            (void)cudas_catalogue_add(catalogue, function, /* with_name */ true,
                                      /* with_params */ true);
    }
    free(handles);
    *count_out = count;
    return result;
}

static CUresult image_load(struct cudas_worker *worker, const struct cudas_command *command,
                           const struct wire_image_load *m, struct cudas_context *context,
                           struct jit *jit, struct cudas_catalogue *catalogue,
                           struct wire_image_load_reply *reply)
{
    const void *code = cudas_code_find(worker->images, m->hash, m->bytes);
    struct cudas_image *image;
    CUresult result;

    if (!code)
        return CUDA_ERROR_NOT_FOUND;
    reply->known = 1;
    image = image_new(worker, m->image, m->ctx ? CUDAS_MODULE : CUDAS_LIBRARY, context, NULL);
    if (!image)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = driver_load(image, code, jit);
    if (result != CUDA_SUCCESS) {
        free(image);
        return result;
    }
    if (context && !cudas_limit_settle(worker, context->vgpu)) /* its variables */
        result = CUDA_ERROR_OUT_OF_MEMORY;
    else
        result = cudas_object_add(worker, &image->object, command);
    if (result != CUDA_SUCCESS) {
        driver_unload(image);
        free(image);
        return result;
    }
    result = add_functions(image, m->first_function, catalogue, &reply->function_count);
    if (result != CUDA_SUCCESS) {
        (void)cudas_object_remove(worker, m->image, image->object.kind);
        cudas_objects_drop(worker, NULL, &image->object);
        driver_unload(image);
        image_put(image);
    }
    return result;
}

static void fill(struct wire_image_load_reply *reply, const struct cudas_catalogue *catalogue)
{
    reply->complete = !catalogue->is_full;
    reply->functions = catalogue->functions.items;
    reply->functions_count = (uint32_t)catalogue->functions.count;
    reply->params = catalogue->params.items;
    reply->params_count = (uint32_t)catalogue->params.count;
    reply->names = catalogue->names.items;
    reply->names_count = (uint32_t)catalogue->names.count;
}

void cudas_on_image_load(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct cudas_catalogue catalogue;
    struct wire_image_load_reply reply;
    struct wire_image_load m;
    struct wire_parts parts;
    struct jit jit;
    CUresult result;

    if (!wire_get_image_load(command->bytes, command->size_bytes, &m) ||
        m.options_count != m.values_count) {
        cudas_malformed(worker, command);
        return;
    }
    memset(&reply, 0, sizeof(reply));
    cudas_catalogue_init(&catalogue);
    result = jit_read(&m, &jit);
    if (result == CUDA_SUCCESS && m.ctx)
        result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = image_load(worker, command, &m, context, &jit, &catalogue, &reply);
    if (result == CUDA_SUCCESS)
        fill(&reply, &catalogue);
    else if (result != CUDA_ERROR_NOT_FOUND)
        reply.known = 1; /* there is nothing to send again */
    jit_answer(&jit, &reply);
    wire_put_image_load_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_catalogue_fini(&catalogue);
    jit_fini(&jit);
    cudas_context_put(context);
}

void cudas_on_image_bytes(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_image_bytes m;
    enum fab_status status;

    if (!wire_get_image_bytes(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    status = cudas_code_add(worker->images, m.hash, m.bytes, m.offset, m.data, m.data_count);
    if (status == FAB_ERR_PROTOCOL)
        cudas_malformed(worker, command);
    else if (status != FAB_OK) /* the load that follows does not find it and says so */
        cudas_posted(worker, NULL, CUDA_ERROR_OUT_OF_MEMORY);
}

void cudas_on_image_unload(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_image *image;
    struct wire_image_unload m;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_image_unload(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    image = image_get(worker, m.image);
    if (image && !image->object.parent) { /* a library's module goes with the library */
        result = image->object.context ? cudas_enter(image->object.context) : CUDA_SUCCESS;
        if (result == CUDA_SUCCESS)
            result = image->object.kind == CUDAS_MODULE
                         ? worker->cu.cuModuleUnload(image->handle.module)
                         : worker->cu.cuLibraryUnload(image->handle.library);
        cudas_objects_drop(worker, NULL, &image->object);
        cudas_object_put(cudas_object_remove(worker, m.image, image->object.kind));
    }
    image_put(image);
    cudas_reply(worker, command, result, NULL);
}

/* ---- a library in a context ------------------------------------------------------------------ */

/* Functions of the library's module, in the order of its kernels. */
static CUresult add_instances(struct cudas_image *library, struct cudas_context *context,
                              uint64_t first, struct cudas_catalogue *catalogue,
                              uint32_t *count_out)
{
    const struct cudas_driver *cu = &library->worker->cu;
    void **kernels = NULL;
    unsigned count = 0;
    CUresult result = list_functions(library, &kernels, &count);

    for (unsigned i = 0; result == CUDA_SUCCESS && i < count; i++) {
        struct cudas_function *function;
        CUfunction handle;

        result = cu->cuKernelGetFunction ? cu->cuKernelGetFunction(&handle, kernels[i])
                                         : CUDA_ERROR_NOT_SUPPORTED;
        if (result == CUDA_SUCCESS)
            result = cudas_function_add(library->worker, first + i, CUDAS_FUNCTION,
                                        &library->object, context, handle, &function);
        if (result == CUDA_SUCCESS)
            (void)cudas_catalogue_add(catalogue, function, /* with_name */ false,
                                      /* with_params */ false);
    }
    free(kernels);
    *count_out = count;
    return result;
}

static CUresult library_module(struct cudas_worker *worker, const struct cudas_command *command,
                               const struct wire_library_module *m, struct cudas_context *context,
                               struct cudas_catalogue *catalogue, uint32_t *count_out)
{
    struct cudas_image *library =
        (struct cudas_image *)cudas_object_get(worker, m->image, CUDAS_LIBRARY);
    struct cudas_image *module = NULL;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (library)
        module = image_new(worker, m->module, CUDAS_MODULE, context, &library->object);
    if (module) {
        result =
            worker->cu.cuLibraryGetModule
                ? worker->cu.cuLibraryGetModule(&module->handle.module, library->handle.library)
                : CUDA_ERROR_NOT_SUPPORTED;
        if (result == CUDA_SUCCESS)
            result = cudas_object_add(worker, &module->object, command);
        if (result != CUDA_SUCCESS)
            free(module);
        else
            result = add_instances(library, context, m->first_function, catalogue, count_out);
    }
    image_put(library);
    return result;
}

void cudas_on_library_module(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct cudas_catalogue catalogue;
    struct wire_library_module_reply reply;
    struct wire_library_module m;
    struct wire_parts parts;
    CUresult result;

    if (!wire_get_library_module(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    memset(&reply, 0, sizeof(reply));
    cudas_catalogue_init(&catalogue);
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = library_module(worker, command, &m, context, &catalogue, &reply.function_count);
    if (result == CUDA_SUCCESS) {
        reply.functions = catalogue.functions.items;
        reply.functions_count = (uint32_t)catalogue.functions.count;
    }
    wire_put_library_module_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_catalogue_fini(&catalogue);
    cudas_context_put(context);
}

/* ---- finding by name ------------------------------------------------------------------------- */

static CUresult function_find(struct cudas_image *image, const char *name,
                              const struct wire_function_find *m, struct cudas_catalogue *catalogue)
{
    const struct cudas_driver *cu = &image->worker->cu;
    const bool is_module = image->object.kind == CUDAS_MODULE;
    struct cudas_function *function;
    CUfunction handle = NULL;
    CUkernel kernel = NULL;
    CUresult result;

    if (is_module)
        result = cu->cuModuleGetFunction(&handle, image->handle.module, name);
    else
        result = cu->cuLibraryGetKernel
                     ? cu->cuLibraryGetKernel(&kernel, image->handle.library, name)
                     : CUDA_ERROR_NOT_SUPPORTED;
    if (result == CUDA_SUCCESS)
        result = cudas_function_add(
            image->worker, m->function, is_module ? CUDAS_FUNCTION : CUDAS_KERNEL, &image->object,
            image->object.context, is_module ? (void *)handle : (void *)kernel, &function);
    if (result == CUDA_SUCCESS && !cudas_catalogue_add(catalogue, function, /* with_name */ false,
                                                       /* with_params */ true))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    return result;
}

/* The name as a text; NULL: no memory, or a NUL inside. */
static char *text_of(const void *bytes, uint32_t count)
{
    char *text;

    if (count > 0 && memchr(bytes, '\0', count))
        return NULL;
    text = fab_alloc_zeroed(1, (size_t)count + 1);
    if (text && count > 0)
        memcpy(text, bytes, count);
    return text;
}

void cudas_on_function_find(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_function_find_reply reply = {.functions = NULL};
    struct cudas_catalogue catalogue;
    struct cudas_image *image;
    struct wire_function_find m;
    struct wire_parts parts;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;
    char *name;

    if (!wire_get_function_find(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    cudas_catalogue_init(&catalogue);
    name = text_of(m.name, m.name_count);
    image = image_get(worker, m.image);
    if (image && name) {
        result = image->object.context ? cudas_enter(image->object.context) : CUDA_SUCCESS;
        if (result == CUDA_SUCCESS)
            result = function_find(image, name, &m, &catalogue);
    }
    if (result == CUDA_SUCCESS) {
        reply.functions = catalogue.functions.items;
        reply.functions_count = (uint32_t)catalogue.functions.count;
        reply.params = catalogue.params.items;
        reply.params_count = (uint32_t)catalogue.params.count;
    }
    wire_put_function_find_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    image_put(image);
    free(name);
    cudas_catalogue_fini(&catalogue);
}

static CUresult global_find(struct cudas_image *image, const char *name, bool managed,
                            struct wire_global_find_reply *reply)
{
    const struct cudas_driver *cu = &image->worker->cu;
    CUdeviceptr address = 0;
    size_t bytes = 0;
    unsigned is_managed = 0;
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;

    if (image->object.kind == CUDAS_MODULE)
        result = cu->cuModuleGetGlobal_v2(&address, &bytes, image->handle.module, name);
    else if (managed && cu->cuLibraryGetManaged)
        result = cu->cuLibraryGetManaged(&address, &bytes, image->handle.library, name);
    else if (!managed && cu->cuLibraryGetGlobal)
        result = cu->cuLibraryGetGlobal(&address, &bytes, image->handle.library, name);
    if (result != CUDA_SUCCESS)
        return result;
    if (cu->cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address) !=
        CUDA_SUCCESS)
        is_managed = managed;
    reply->address = address;
    reply->bytes = bytes;
    reply->managed = is_managed != 0;
    return CUDA_SUCCESS;
}

void cudas_on_global_find(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_global_find_reply reply = {.address = 0};
    struct cudas_context *context = NULL;
    struct cudas_image *image;
    struct wire_global_find m;
    struct wire_parts parts;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;
    char *name;

    if (!wire_get_global_find(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    name = text_of(m.name, m.name_count);
    image = image_get(worker, m.image);
    if (image && name) {
        if (image->object.context)
            result = cudas_enter(image->object.context);
        else
            result = cudas_context_enter(worker, m.ctx, &context);
        if (result == CUDA_SUCCESS)
            result = global_find(image, name, m.managed != 0, &reply);
    }
    wire_put_global_find_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    image_put(image);
    cudas_context_put(context);
    free(name);
}
