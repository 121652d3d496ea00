/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/module.c - code in a context: its functions and variables; cuModule*.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"
#include "cuda-client/copy.h"
#include "cuda-client/memory.h"
#include "generated/cuda-api/client_impl.h"

/* ---- life ----------------------------------------------------------------------------------- */

static void module_destroy(struct cuc_object *object)
{
    struct cudac_module *module = (struct cudac_module *)object;
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    while (module->late) {
        struct cudac_late *late = module->late;

        module->late = late->next;
        cudac_late_fini(late);
        free(late);
    }
    while ((entry = fab_map_next(&module->globals, &cursor)) != NULL)
        free(entry->value);
    fab_map_fini(&module->globals);
    (void)pthread_mutex_destroy(&module->lock);
    free(module->functions);
    cudac_image_put(module->image);
    cuc_object_put(&module->context->object);
    free(module);
}

/* A function lives in its module's array: the last look-up in progress lets go of the module. */
static void function_destroy(struct cuc_object *object)
{
    cuc_object_put(&((struct cudac_function *)object)->module->object);
}

CUresult cudac_function_init(struct cudac_module *module, struct cudac_function *function,
                             uint64_t id, const struct cudac_symbol *symbol)
{
    CUresult result = cuc_object_register(&function->object, CUC_FUNCTION, function_destroy);

    if (result != CUDA_SUCCESS)
        return result;
    cuc_object_ref(&module->object);
    function->module = module;
    function->id = id;
    function->name = symbol->name;
    function->params = symbol->params;
    for (uint32_t i = 0; i < CUDAC_FUNCTION_ATTRIBUTES; i++)
        atomic_init(&function->attributes[i], symbol->attributes[i]);
    atomic_init(&function->is_loaded, (symbol->flags & WIRE_FUNCTION_LOADED) != 0);
    return CUDA_SUCCESS;
}

static CUresult functions_make(struct cudac_module *module, uint64_t first_function)
{
    struct cudac_image *image = module->image;
    CUresult result = CUDA_SUCCESS;

    module->functions = fab_alloc_zeroed(image->count + 1, sizeof(*module->functions));
    if (!module->functions)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < image->count && result == CUDA_SUCCESS; i++)
        result = cudac_function_init(module, &module->functions[i], first_function + i,
                                     &image->symbols[i]);
    return result;
}

static void functions_clear(struct cudac_module *module)
{
    for (uint32_t i = 0; module->functions && i < module->image->count; i++) {
        struct cudac_function *function = &module->functions[i];

        if (function->module && cuc_object_retire(&function->object))
            cuc_object_put(&function->object);
    }
    cudac_late_clear(module);
}

static uint32_t attribute_of(const struct cudac_context *context, CUdevice_attribute attribute)
{
    const int value = cudac_vgpu_attribute(context->vgpu, attribute, /* missing */ 0);

    return value > 0 ? (uint32_t)value : 0;
}

static struct cuc_device_limits limits_of(const struct cudac_context *context)
{
    return (struct cuc_device_limits){
        .sm_count = attribute_of(context, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        .blocks_per_sm = attribute_of(context, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR),
        .threads_per_sm = attribute_of(context, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR),
        .regs_per_sm = attribute_of(context, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR),
        .shared_per_sm_bytes =
            attribute_of(context, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR),
        .shared_per_block_bytes =
            attribute_of(context, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
        .shared_reserved_bytes =
            attribute_of(context, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK),
    };
}

CUresult cudac_module_new(struct cudac_context *context, struct cudac_image *image,
                          struct cudac_library *library, uint64_t id, uint64_t first_function,
                          struct cudac_module **module_out)
{
    struct cudac_module *module = fab_alloc_zeroed(1, sizeof(*module));
    CUresult result;

    if (!module) {
        cudac_image_put(image);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module->context = context;
    module->image = image;
    module->library = library;
    module->id = id;
    module->limits = limits_of(context);
    (void)pthread_mutex_init(&module->lock, NULL);
    fab_map_init(&module->globals);
    cuc_object_ref(&context->object);
    result = cuc_object_register(&module->object, CUC_MODULE, module_destroy);
    if (result != CUDA_SUCCESS) {
        module_destroy(&module->object);
        return result;
    }
    result = functions_make(module, first_function);
    if (result != CUDA_SUCCESS) {
        functions_clear(module);
        (void)cuc_object_retire(&module->object);
        cuc_object_put(&module->object);
        return result;
    }
    pthread_mutex_lock(&context->lock);
    module->next = context->modules;
    context->modules = module;
    pthread_mutex_unlock(&context->lock);
    *module_out = module;
    return CUDA_SUCCESS;
}

void cudac_module_forget(struct cudac_module *module)
{
    struct cudac_context *context = module->context;
    struct cudac_module **at;

    if (!cuc_object_retire(&module->object))
        return;
    pthread_mutex_lock(&context->lock);
    for (at = &context->modules; *at && *at != module;)
        at = &(*at)->next;
    if (*at)
        *at = module->next;
    pthread_mutex_unlock(&context->lock);
    cudac_memory_remove_fixed(module);
    functions_clear(module);
    cuc_object_put(&module->object);
}

/* The worker drops a context together with its modules and streams. */
void cudac_code_context_close(struct cudac_context *context)
{
    cudac_side_streams_forget(context);
    cudac_transfers_context_close(context);
    for (;;) {
        struct cudac_module *module;

        pthread_mutex_lock(&context->lock);
        module = context->modules;
        pthread_mutex_unlock(&context->lock);
        if (!module)
            return;
        if (module->library)
            cudac_library_forget(module->library, module);
        cudac_module_forget(module);
    }
}

CUmodule cudac_module_handle(const struct cudac_module *module)
{
    return (CUmodule)(uintptr_t)module->object.handle;
}

static struct cudac_module *module_get(CUmodule handle)
{
    return (struct cudac_module *)cuc_object_get((uint64_t)(uintptr_t)handle, CUC_MODULE);
}

/* Variables of what is loaded need device memory. */
CUresult cudac_code_call(struct cudac_context *context, uint32_t op, const struct wire_parts *parts,
                         struct cudac_reply *reply)
{
    CUresult result = cudac_call(cudac_context_worker(context), op, parts, reply);

    if (result != CUDA_ERROR_OUT_OF_MEMORY || !cudac_memory_reclaim(context->vgpu))
        return result;
    cudac_reply_free(reply);
    return cudac_call(cudac_context_worker(context), op, parts, reply);
}

/* ---- variables ------------------------------------------------------------------------------ */

static CUresult global_ask(struct cudac_module *module, const char *name,
                           struct cudac_global *global)
{
    struct cudac_worker *worker = cudac_context_worker(module->context);
    const struct wire_global_find message = {.image = module->id,
                                             .ctx = module->context->id,
                                             .name = name,
                                             .name_count = (uint32_t)strlen(name)};
    struct wire_global_find_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_global_find(&message, &parts);
    result = cudac_code_call(module->context, WIRE_GLOBAL_FIND, &parts, &reply);
    if (result == CUDA_SUCCESS &&
        !wire_get_global_find_reply(reply.bytes, reply.size_bytes, &answer))
        result = cudac_worker_broken(worker, "its reply to global_find does not decode");
    if (result == CUDA_SUCCESS)
        *global = (struct cudac_global){.address = answer.address,
                                        .bytes = answer.bytes,
                                        .is_there = true,
                                        .is_managed = answer.managed != 0};
    cudac_reply_free(&reply);
    if (result == CUDA_SUCCESS)
        result = cudac_memory_add_fixed(module->context, global->address, global->bytes,
                                        global->is_managed, module);
    return result == CUDA_ERROR_NOT_FOUND ? CUDA_SUCCESS : result; /* also that is an answer */
}

static CUresult global_find_locked(struct cudac_module *module, const char *name,
                                   struct cudac_global *global_out)
{
    struct cudac_global *global = fab_map_find_text(&module->globals, name);
    CUresult result;

    if (global) {
        *global_out = *global;
        return CUDA_SUCCESS;
    }
    *global_out = (struct cudac_global){.is_there = false};
    result = global_ask(module, name, global_out);
    if (result != CUDA_SUCCESS)
        return result;
    global = fab_alloc(sizeof(*global));
    if (!global)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *global = *global_out;
    if (fab_map_put_text(&module->globals, name, global) != FAB_OK) {
        free(global);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_module_variable(struct cudac_module *module, const char *name, bool must_be_managed,
                               CUdeviceptr *address_out, size_t *bytes_out)
{
    enum { NAME_BYTES_MAX = 65535 };
    struct cudac_global global;
    CUresult result;

    if (strnlen(name, NAME_BYTES_MAX + 1) > NAME_BYTES_MAX)
        return CUDA_ERROR_NOT_FOUND;
    pthread_mutex_lock(&module->lock);
    result = global_find_locked(module, name, &global);
    pthread_mutex_unlock(&module->lock);
    if (result != CUDA_SUCCESS)
        return result;
    if (!global.is_there || (must_be_managed && !global.is_managed))
        return CUDA_ERROR_NOT_FOUND;
    if (address_out)
        *address_out = global.address;
    if (bytes_out)
        *bytes_out = global.bytes;
    return CUDA_SUCCESS;
}

/* ---- loading -------------------------------------------------------------------------------- */

static CUresult module_load(CUmodule *module_out, const char *path, const void *code,
                            struct cudac_load *load)
{
    struct cudac_context *context;
    struct cudac_module *module;
    struct cudac_image *image;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    result = path ? cudac_image_of_file(path, load->jit, &image)
                  : cudac_image_of_code(code, /* code_bytes */ 0, /* is_preserved */ false,
                                        load->jit, &image);
    if (result != CUDA_SUCCESS)
        return result;
    load->id = cudac_id_new();
    load->ctx = context->id;
    load->first_function = cudac_function_ids_new();
    result = cudac_image_load(image, cudac_context_worker(context), load);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && cudac_memory_reclaim(context->vgpu))
        result = cudac_image_load(image, cudac_context_worker(context), load);
    if (result != CUDA_SUCCESS) {
        cudac_image_put(image);
        return cudac_context_result(context, result);
    }
    result = cudac_module_new(context, image, /* library */ NULL, load->id, load->first_function,
                              &module);
    if (result == CUDA_SUCCESS)
        *module_out = cudac_module_handle(module);
    else
        cudac_image_unload(cudac_context_worker(context), load->id);
    return result;
}

CUresult cudac_cuModuleLoad(CUmodule *module, const char *fname)
{
    struct cudac_load load = {.jit = NULL};

    if (!module || !fname)
        return CUDA_ERROR_INVALID_VALUE;
    return module_load(module, fname, NULL, &load);
}

CUresult cudac_cuModuleLoadData(CUmodule *module, const void *image)
{
    struct cudac_load load = {.jit = NULL};

    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    return module_load(module, NULL, image, &load);
}

CUresult cudac_cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
    return cudac_cuModuleLoadData(module, fatCubin);
}

CUresult cudac_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions,
                                  CUjit_option *options, void **optionValues)
{
    struct cuc_jit jit;
    struct cudac_load load = {
        .option_count = numOptions, .options = options, .values = optionValues, .jit = &jit};
    CUresult result;

    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    result = cuc_jit_read(numOptions, options, optionValues, &jit);
    if (result != CUDA_SUCCESS)
        return result;
    result = module_load(module, NULL, image, &load);
    cuc_jit_write_back(numOptions, options, optionValues, &jit);
    return result;
}

CUresult cudac_cuModuleUnload(CUmodule hmod)
{
    struct cudac_context *context;
    struct cudac_module *module;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    if (module->library) {
        result = CUDA_ERROR_NOT_PERMITTED; /* its library unloads it */
    } else {
        result = cudac_context_wait(module->context);
        cudac_module_forget(module); /* first: another module may be there at once */
        cudac_image_unload(cudac_context_worker(module->context), module->id);
    }
    cuc_object_put(&module->object);
    return result;
}

/* ---- looking up ----------------------------------------------------------------------------- */

CUresult cudac_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

CUresult cudac_module_function(struct cudac_module *module, const char *name,
                               struct cudac_function **function_out)
{
    const int index = cudac_image_find(module->image, name);

    if (index < 0)
        return cudac_late_function(module, name, function_out);
    *function_out = &module->functions[index];
    return CUDA_SUCCESS;
}

CUresult cudac_cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
    struct cudac_function *function;
    struct cudac_context *context;
    struct cudac_module *module;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!hfunc || !name)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    result = cudac_module_function(module, name, &function);
    if (result == CUDA_SUCCESS) {
        /* Loaded here, as NVIDIA's driver does: a load may wait for running kernels, which a
         * program that launches one beside another does not expect. A failure is told by the first
         * use. */
        (void)cudac_function_need(function);
        *hfunc = cudac_function_handle(function);
    }
    cuc_object_put(&module->object);
    return result;
}

CUresult cudac_cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
    struct cudac_module *module;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(mod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    *count = module->image->count_in_all;
    cuc_object_put(&module->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions,
                                          CUmodule mod)
{
    struct cudac_module *module;
    bool is_known;

    if (!functions)
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(mod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    /* Of what the load's reply had no room for the names are not known. */
    is_known = module->image->is_complete || numFunctions <= module->image->count;
    for (unsigned i = 0; is_known && i < numFunctions && i < module->image->count; i++)
        functions[i] = cudac_function_handle(&module->functions[i]);
    cuc_object_put(&module->object);
    return is_known ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cudac_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod,
                                    const char *name)
{
    struct cudac_context *context;
    struct cudac_module *module;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    module = module_get(hmod);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    result = cudac_module_variable(module, name, /* must_be_managed */ false, dptr, bytes);
    cuc_object_put(&module->object);
    return result;
}
