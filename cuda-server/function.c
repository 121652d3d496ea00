/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/function.c - what a reply says of functions, and the commands about one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/image.h"

enum {
    ATTRIBUTES = 16,
    PARAMS_OF_ONE_MAX = 4096,
    /* A reply has 1 MiB; logs and the fixed part want some. */
    FUNCTIONS_MAX = 4096,
    PARAMS_MAX = 32768,
    NAMES_MAX = 256 << 10,
};

/* ---- objects --------------------------------------------------------------------------------- */

static void function_destroy(struct cudas_object *object)
{
    free(object);
}

CUresult cudas_function_add(struct cudas_worker *worker, uint64_t id, enum cudas_kind kind,
                            struct cudas_object *parent, struct cudas_context *context,
                            void *handle, struct cudas_function **function_out)
{
    struct cudas_function *function = fab_alloc_zeroed(1, sizeof(*function));
    CUresult result;

    if (!function)
        return CUDA_ERROR_OUT_OF_MEMORY;
    function->object = (struct cudas_object){
        .id = id, .kind = kind, .parent = parent, .context = context, .destroy = function_destroy};
    function->worker = worker;
    if (kind == CUDAS_KERNEL)
        function->handle.kernel = handle;
    else
        function->handle.function = handle;
    result = cudas_object_add(worker, &function->object, NULL);
    if (result != CUDA_SUCCESS)
        free(function);
    else
        *function_out = function;
    return result;
}

struct cudas_function *cudas_function_get(struct cudas_worker *worker, uint64_t id)
{
    struct cudas_object *object = cudas_object_get(worker, id, CUDAS_FUNCTION);

    if (!object)
        object = cudas_object_get(worker, id, CUDAS_KERNEL);
    return (struct cudas_function *)object;
}

CUdevice cudas_function_device(const struct cudas_function *function, uint32_t vgpu)
{
    const struct cudas_vgpu *found;

    if (function->object.context)
        return function->object.context->device;
    found = cudas_vgpu_find(function->worker, vgpu);
    return found ? found->device : function->worker->vgpus[0].device;
}

void cudas_function_attributes(const struct cudas_function *function, CUdevice device,
                               int32_t attributes_out[ATTRIBUTES])
{
    const struct cudas_driver *cu = &function->worker->cu;
    CUresult first = CUDA_SUCCESS;

    /* Code that does not compile has none, and some only a loaded function has
     * (cuFuncGetAttribute). */
    for (int i = 0; i < ATTRIBUTES; i++) {
        int value = INT32_MIN;
        CUresult result = first;

        attributes_out[i] = INT32_MIN;
        if (i >= CU_FUNC_ATTRIBUTE_MAX)
            continue;
        if (result == CUDA_SUCCESS) {
            if (function->object.kind == CUDAS_FUNCTION)
                result = cu->cuFuncGetAttribute(&value, (CUfunction_attribute)i,
                                                function->handle.function);
            else if (cu->cuKernelGetAttribute)
                result = cu->cuKernelGetAttribute(&value, (CUfunction_attribute)i,
                                                  function->handle.kernel, device);
            else
                result = CUDA_ERROR_NOT_SUPPORTED;
        }
        if (i == 0 && result != CUDA_ERROR_FUNCTION_NOT_LOADED)
            first = result;
        if (result == CUDA_SUCCESS)
            attributes_out[i] = value;
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

void cudas_catalogue_init(struct cudas_catalogue *catalogue)
{
    *catalogue = (struct cudas_catalogue){.is_full = false};
    fab_vec_init(&catalogue->functions, sizeof(struct wire_function));
    fab_vec_init(&catalogue->params, sizeof(struct wire_param));
    fab_vec_init(&catalogue->names, 1);
}

void cudas_catalogue_fini(struct cudas_catalogue *catalogue)
{
    fab_vec_fini(&catalogue->functions);
    fab_vec_fini(&catalogue->params);
    fab_vec_fini(&catalogue->names);
}

static CUresult param_info(const struct cudas_function *function, size_t index, size_t *offset,
                           size_t *bytes)
{
    const struct cudas_driver *cu = &function->worker->cu;

    if (function->object.kind == CUDAS_FUNCTION)
        return cu->cuFuncGetParamInfo
                   ? cu->cuFuncGetParamInfo(function->handle.function, index, offset, bytes)
                   : CUDA_ERROR_NOT_SUPPORTED;
    return cu->cuKernelGetParamInfo
               ? cu->cuKernelGetParamInfo(function->handle.kernel, index, offset, bytes)
               : CUDA_ERROR_NOT_SUPPORTED;
}

static bool add_params(struct cudas_catalogue *catalogue, const struct cudas_function *function,
                       struct wire_function *entry)
{
    size_t offset, bytes;

    entry->param_at = (uint32_t)catalogue->params.count;
    while (entry->param_count < PARAMS_OF_ONE_MAX &&
           param_info(function, entry->param_count, &offset, &bytes) == CUDA_SUCCESS) {
        const struct wire_param param = {.offset = (uint32_t)offset, .bytes = (uint32_t)bytes};

        if (fab_vec_push(&catalogue->params, &param) != FAB_OK)
            return false;
        entry->param_count++;
        if (offset + bytes > entry->param_bytes)
            entry->param_bytes = (uint32_t)(offset + bytes);
    }
    return true;
}

static bool add_name(struct cudas_catalogue *catalogue, const struct cudas_function *function,
                     struct wire_function *entry)
{
    const struct cudas_driver *cu = &function->worker->cu;
    const char *name = NULL;
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;
    size_t bytes;

    if (function->object.kind == CUDAS_FUNCTION && cu->cuFuncGetName)
        result = cu->cuFuncGetName(&name, function->handle.function);
    else if (function->object.kind == CUDAS_KERNEL && cu->cuKernelGetName)
        result = cu->cuKernelGetName(&name, function->handle.kernel);
    if (result != CUDA_SUCCESS || !name)
        return false;
    bytes = strlen(name);
    if (bytes > NAMES_MAX - catalogue->names.count ||
        fab_vec_reserve(&catalogue->names, catalogue->names.count + bytes) != FAB_OK)
        return false;
    entry->name_at = (uint32_t)catalogue->names.count;
    entry->name_bytes = (uint32_t)bytes;
    memcpy((char *)catalogue->names.items + catalogue->names.count, name, bytes);
    catalogue->names.count += bytes;
    return true;
}

static uint32_t flags_of(const struct cudas_function *function)
{
    CUfunctionLoadingState state = CU_FUNCTION_LOADING_STATE_UNLOADED;

    if (function->object.kind == CUDAS_FUNCTION && function->worker->cu.cuFuncIsLoaded)
        (void)function->worker->cu.cuFuncIsLoaded(&state, function->handle.function);
    return state == CU_FUNCTION_LOADING_STATE_LOADED ? WIRE_FUNCTION_LOADED : 0;
}

bool cudas_catalogue_add(struct cudas_catalogue *catalogue, const struct cudas_function *function,
                         bool with_name, bool with_params)
{
    struct wire_function entry = {.id = function->object.id};
    const size_t params = catalogue->params.count, names = catalogue->names.count;

    if (catalogue->is_full)
        return false;
    entry.flags = flags_of(function);
    cudas_function_attributes(function, cudas_function_device(function, UINT32_MAX),
                              entry.attributes);
    if (catalogue->functions.count < FUNCTIONS_MAX && params < PARAMS_MAX &&
        (!with_name || add_name(catalogue, function, &entry)) &&
        (!with_params || add_params(catalogue, function, &entry)) &&
        catalogue->params.count <= PARAMS_MAX &&
        fab_vec_push(&catalogue->functions, &entry) == FAB_OK)
        return true;
    catalogue->params.count = params;
    catalogue->names.count = names;
    catalogue->is_full = true;
    return false;
}

/* ---- commands -------------------------------------------------------------------------------- */

static CUresult kernel_set(const struct cudas_function *function, const struct wire_function_set *m,
                           CUdevice device)
{
    const struct cudas_driver *cu = &function->worker->cu;
    CUkernel kernel = function->handle.kernel;

    switch (m->what) {
    case WIRE_FUNCTION_SET_ATTRIBUTE:
        return cu->cuKernelSetAttribute
                   ? cu->cuKernelSetAttribute((CUfunction_attribute)m->attribute, m->value, kernel,
                                              device)
                   : CUDA_ERROR_NOT_SUPPORTED;
    case WIRE_FUNCTION_SET_CACHE_CONFIG:
        return cu->cuKernelSetCacheConfig
                   ? cu->cuKernelSetCacheConfig(kernel, (CUfunc_cache)m->value, device)
                   : CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult function_set(const struct cudas_function *function,
                             const struct wire_function_set *m)
{
    const struct cudas_driver *cu = &function->worker->cu;
    CUfunction handle = function->handle.function;

    switch (m->what) {
    case WIRE_FUNCTION_SET_ATTRIBUTE:
        return cu->cuFuncSetAttribute(handle, (CUfunction_attribute)m->attribute, m->value);
    case WIRE_FUNCTION_SET_CACHE_CONFIG:
        return cu->cuFuncSetCacheConfig(handle, (CUfunc_cache)m->value);
    case WIRE_FUNCTION_SET_SHARED_CONFIG:
        return cu->cuFuncSetSharedMemConfig
                   ? cu->cuFuncSetSharedMemConfig(handle, (CUsharedconfig)m->value)
                   : CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* Makes the function's context current; for a kernel, which has none, some context: preferably of
 * the device that is meant. */
static CUresult enter(const struct cudas_function *function, uint32_t vgpu)
{
    struct cudas_worker *worker = function->worker;
    struct cudas_context *context;
    CUresult result = CUDA_SUCCESS;

    if (function->object.context)
        return cudas_enter(function->object.context);
    context = cudas_context_of_vgpu(worker, vgpu);
    for (uint32_t i = 0; !context && i < worker->vgpu_count; i++)
        context = cudas_context_of_vgpu(worker, worker->vgpus[i].index);
    if (context)
        result = cudas_enter(context);
    cudas_context_put(context);
    return result;
}

void cudas_on_function_set(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_function *function;
    int32_t attributes[ATTRIBUTES];
    struct wire_function_set_reply reply = {.attributes = attributes};
    struct wire_function_set m;
    struct wire_parts parts;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_function_set(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    function = cudas_function_get(worker, m.function);
    if (function) {
        const CUdevice device = cudas_function_device(function, m.vgpu);

        result = enter(function, m.vgpu);
        if (result == CUDA_SUCCESS)
            result = function->object.kind == CUDAS_KERNEL ? kernel_set(function, &m, device)
                                                           : function_set(function, &m);
        cudas_function_attributes(function, device, attributes);
        reply.attributes_count = ATTRIBUTES;
        cudas_object_put(&function->object);
    }
    wire_put_function_set_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}

void cudas_on_function_load(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_function *function;
    int32_t attributes[ATTRIBUTES];
    struct wire_function_load_reply reply = {.attributes = attributes};
    struct wire_function_load m;
    struct wire_parts parts;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;

    if (!wire_get_function_load(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    function = cudas_function_get(worker, m.function);
    if (function) {
        result = enter(function, 0);
        if (result == CUDA_SUCCESS)
            result = function->object.kind == CUDAS_FUNCTION && worker->cu.cuFuncLoad
                         ? worker->cu.cuFuncLoad(function->handle.function)
                         : CUDA_ERROR_NOT_SUPPORTED;
        cudas_function_attributes(function, cudas_function_device(function, UINT32_MAX),
                                  attributes);
        reply.attributes_count = ATTRIBUTES;
        cudas_object_put(&function->object);
    }
    wire_put_function_load_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}
