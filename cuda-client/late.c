/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/late.c - functions that a load's reply had no room for: found by name, one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/code_int.h"

enum { NAME_BYTES_MAX = 65535, PARAM_BYTES_MAX = 32768 };

void cudac_late_fini(struct cudac_late *late)
{
    free(late->name);
    free(late->params);
}

static CUresult take(struct cudac_worker *worker, const struct wire_function_find_reply *reply,
                     const char *name, struct cudac_late *late)
{
    const struct wire_function *function = reply->functions;
    uint32_t count;

    if (reply->functions_count != 1 || function->param_at != 0 ||
        function->param_count > reply->params_count || function->param_bytes > PARAM_BYTES_MAX)
        return cudac_worker_broken(worker, "it described a function out of bounds");
    count = function->param_count;
    late->name = fab_alloc_text(name);
    late->params = fab_alloc_zeroed(2 * (size_t)count + 1, sizeof(*late->params));
    if (!late->name || !late->params)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_param *param = &reply->params[i];

        if (param->offset > function->param_bytes ||
            param->bytes > function->param_bytes - param->offset)
            return cudac_worker_broken(worker, "it described a parameter out of bounds");
        late->params[i] = param->offset;
        late->params[count + i] = param->bytes;
    }
    late->symbol = (struct cudac_symbol){.name = late->name,
                                         .params = {.count = count,
                                                    .bytes = function->param_bytes,
                                                    .offset = late->params,
                                                    .size = late->params + count},
                                         .flags = function->flags};
    memcpy(late->symbol.attributes, function->attributes, sizeof(late->symbol.attributes));
    return CUDA_SUCCESS;
}

CUresult cudac_late_symbol(struct cudac_worker *worker, uint64_t image, uint64_t function,
                           const char *name, struct cudac_late *late_out)
{
    const size_t name_bytes = strnlen(name, NAME_BYTES_MAX + 1);
    const struct wire_function_find message = {
        .image = image, .function = function, .name = name, .name_count = (uint32_t)name_bytes};
    struct wire_function_find_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    if (name_bytes > NAME_BYTES_MAX)
        return CUDA_ERROR_NOT_FOUND;
    wire_put_function_find(&message, &parts);
    result = cudac_call(worker, WIRE_FUNCTION_FIND, &parts, &reply);
    if (result == CUDA_SUCCESS) {
        if (wire_get_function_find_reply(reply.bytes, reply.size_bytes, &answer))
            result = take(worker, &answer, name, late_out);
        else
            result = cudac_worker_broken(worker, "its reply to function_find does not decode");
    }
    cudac_reply_free(&reply);
    return result;
}

static CUresult late_new_locked(struct cudac_module *module, const char *name,
                                struct cudac_late **late_out)
{
    const uint64_t id = cudac_id_new();
    struct cudac_late *late = fab_alloc_zeroed(1, sizeof(*late));
    CUresult result;

    if (!late)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = cudac_late_symbol(cudac_context_worker(module->context), module->id, id, name, late);
    if (result == CUDA_SUCCESS)
        result = cudac_function_init(module, &late->function, id, &late->symbol);
    if (result != CUDA_SUCCESS) {
        cudac_late_fini(late);
        free(late);
        return result;
    }
    late->next = module->late;
    *late_out = module->late = late;
    return CUDA_SUCCESS;
}

CUresult cudac_late_function(struct cudac_module *module, const char *name,
                             struct cudac_function **function_out)
{
    struct cudac_late *late;
    CUresult result = CUDA_SUCCESS;

    if (module->image->is_complete)
        return CUDA_ERROR_NOT_FOUND;
    pthread_mutex_lock(&module->lock);
    for (late = module->late; late && strcmp(late->name, name) != 0;)
        late = late->next;
    if (!late)
        result = late_new_locked(module, name, &late);
    if (result == CUDA_SUCCESS)
        *function_out = &late->function;
    pthread_mutex_unlock(&module->lock);
    return result;
}

/* The memory stays until the module goes. */
void cudac_late_clear(struct cudac_module *module)
{
    for (struct cudac_late *late = module->late; late; late = late->next)
        if (cuc_object_retire(&late->function.object))
            cuc_object_put(&late->function.object);
}
