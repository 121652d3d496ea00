/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/module.c - modules: placing and initialising variables, lowering on first use.
 */
#include "softcuda/driver/module.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/model.h"
#include "softcuda/driver/trace.h"
#include "softcuda/ptx/ptx.h"

enum { VARIABLE_ALIGN = 256 }; /* of a module's block of variables, as on GPUs */

/* Numbers that stand for functions whose address is taken: no memory is ever there. */
#define FUNCTION_HANDLE_BASE UINT64_C(0x0f0000000000)
#define FUNCTION_HANDLE_STEP 16
static _Atomic uint64_t last_function_handle = FUNCTION_HANDLE_BASE;

uint32_t soft_device_capability(const struct soft_device *device)
{
    const struct device_model *model = soft_device_model(device);

    return model->compute_major * 10 + model->compute_minor;
}

/* ---- variables ------------------------------------------------------------------------------ */

static bool is_placed(const struct ptx_var *var)
{
    return (var->space == PTX_SPACE_GLOBAL || var->space == PTX_SPACE_CONST) && !var->is_extern;
}

/* Gives each variable an offset in its block (managed or not); returns the block's size. */
static uint64_t layout(struct soft_module *module, bool managed)
{
    const struct ptx_module *ptx = module->image->ptx;
    uint64_t end = 0;

    for (uint32_t i = 0; i < ptx->var_count; i++) {
        const struct ptx_var *var = ptx->vars[i];
        uint64_t align = var->align ? var->align : 1;

        if (!is_placed(var) || var->is_managed != managed)
            continue;
        end = (end + align - 1) / align * align;
        module->var_address[i] = end;
        end += var->bytes;
    }
    return end;
}

static CUresult place(struct soft_module *module, bool managed, uint64_t *block_out)
{
    const struct ptx_module *ptx = module->image->ptx;
    uint64_t bytes = layout(module, managed);
    CUresult result;

    if (bytes == 0)
        return CUDA_SUCCESS;
    result = soft_mem_alloc_fixed(module->context, bytes, VARIABLE_ALIGN, managed, block_out);
    if (result == CUDA_ERROR_OUT_OF_MEMORY &&
        soft_mem_reclaim(soft_context_device(module->context)))
        result = soft_mem_alloc_fixed(module->context, bytes, VARIABLE_ALIGN, managed, block_out);
    if (result != CUDA_SUCCESS)
        return result;
    for (uint32_t i = 0; i < ptx->var_count; i++)
        if (is_placed(ptx->vars[i]) && ptx->vars[i]->is_managed == managed)
            module->var_address[i] += *block_out;
    return CUDA_SUCCESS;
}

static uint64_t function_handle(void *arg, const char *name)
{
    struct soft_module *module = arg;
    const struct ptx_module *ptx = module->image->ptx;

    for (uint32_t i = 0; i < ptx->function_count; i++) {
        if (strcmp(ptx->functions[i]->name, name) != 0)
            continue;
        if (!module->function_handle[i])
            module->function_handle[i] =
                atomic_fetch_add_explicit(&last_function_handle, FUNCTION_HANDLE_STEP,
                                          memory_order_relaxed) +
                FUNCTION_HANDLE_STEP;
        return module->function_handle[i];
    }
    return 0;
}

static uint64_t symbol_address(struct soft_module *module, const char *symbol)
{
    const struct ptx_module *ptx = module->image->ptx;

    for (uint32_t i = 0; i < ptx->var_count; i++)
        if (strcmp(ptx->vars[i]->name, symbol) == 0)
            return module->var_address[i];
    return function_handle(module, symbol);
}

/* A device address is a host address: the initial value is simply written. */
static void initialise(struct soft_module *module, const struct ptx_var *var, uint64_t address)
{
    uint8_t *memory = (uint8_t *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)

    if (var->init)
        memcpy(memory, var->init, var->bytes);
    for (uint32_t i = 0; i < var->reloc_count; i++) {
        const struct ptx_reloc *reloc = &var->relocs[i];
        uint64_t value = symbol_address(module, reloc->symbol) + (uint64_t)reloc->addend;

        value >>= reloc->shift;
        memcpy(memory + reloc->offset, &value, reloc->bytes);
    }
}

static CUresult variables_make(struct soft_module *module)
{
    const struct ptx_module *ptx = module->image->ptx;
    CUresult result;

    module->var_address = fab_alloc_zeroed(ptx->var_count + 1, sizeof(*module->var_address));
    module->function_handle =
        fab_alloc_zeroed(ptx->function_count + 1, sizeof(*module->function_handle));
    if (!module->var_address || !module->function_handle)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = place(module, /* managed */ false, &module->block);
    if (result == CUDA_SUCCESS)
        result = place(module, /* managed */ true, &module->managed_block);
    for (uint32_t i = 0; result == CUDA_SUCCESS && i < ptx->var_count; i++)
        if (is_placed(ptx->vars[i]))
            initialise(module, ptx->vars[i], module->var_address[i]);
    return result;
}

CUresult soft_module_variable(const struct soft_module *module, const char *name,
                              bool must_be_managed, uint64_t *address_out, size_t *bytes_out)
{
    const struct ptx_module *ptx = module->image->ptx;

    for (uint32_t i = 0; i < ptx->var_count; i++) {
        const struct ptx_var *var = ptx->vars[i];

        if (!is_placed(var) || strcmp(var->name, name) != 0)
            continue;
        if (must_be_managed && !var->is_managed)
            return CUDA_ERROR_NOT_FOUND;
        if (address_out)
            *address_out = module->var_address[i];
        if (bytes_out)
            *bytes_out = var->bytes;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}

/* ---- what a program links to ---------------------------------------------------------------- */

/* Called while a function is lowered, with image->lock held. */
static uint64_t local_var_address(struct soft_module *module, const struct ptx_var *var)
{
    struct soft_local_var *local;

    for (local = module->local_vars; local; local = local->next)
        if (local->var == var)
            return local->address;
    local = fab_alloc_zeroed(1, sizeof(*local));
    if (!local)
        return 0;
    if (soft_mem_alloc_fixed(module->context, var->bytes ? var->bytes : 1,
                             var->align ? var->align : 1, /* managed */ false,
                             &local->address) != CUDA_SUCCESS) {
        free(local);
        return 0;
    }
    local->var = var;
    initialise(module, var, local->address);
    local->next = module->local_vars;
    module->local_vars = local;
    return local->address;
}

static uint64_t link_var_address(void *arg, const struct ptx_var *var)
{
    struct soft_module *module = arg;
    const struct ptx_module *ptx = module->image->ptx;

    for (uint32_t i = 0; i < ptx->var_count; i++)
        if (ptx->vars[i] == var)
            return module->var_address[i];
    return is_placed(var) ? local_var_address(module, var) : 0;
}

/* Indirect calls are refused by the engine; direct ones it resolves inside the module. */
static struct warp_program *link_function_of_handle(void *arg, uint64_t handle)
{
    (void)arg, (void)handle;
    return NULL;
}

static struct warp_program *link_callee(void *arg, const char *name, struct fab_err *err)
{
    (void)arg;
    (void)fab_err_set(err, FAB_ERR_UNSUPPORTED, "function %s is outside this module", name);
    return NULL;
}

CUresult soft_function_program(struct soft_function *function, struct warp_program **program_out)
{
    struct warp_program *program = atomic_load_explicit(&function->program, memory_order_acquire);
    struct soft_module *module = function->module;
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status;

    if (FAB_LIKELY(program != NULL)) {
        *program_out = program;
        return CUDA_SUCCESS;
    }
    pthread_mutex_lock(&module->image->lock);
    program = atomic_load_explicit(&function->program, memory_order_acquire);
    if (!program && atomic_load_explicit(&function->failure, memory_order_relaxed) == 0) {
        status =
            warp_program_create(module->image->ptx, function->ptx, &module->link, &program, &err);
        if (status == FAB_OK) {
            soft_model_estimate(function);
            atomic_store_explicit(&function->program, program, memory_order_release);
        } else {
            program = NULL;
            atomic_store_explicit(&function->failure,
                                  status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY
                                                          : CUDA_ERROR_INVALID_PTX,
                                  memory_order_relaxed);
            cuc_say(CU_LOG_LEVEL_ERROR, "softcuda: kernel %s can not run: %s", function->ptx->name,
                    err.text);
        }
    }
    pthread_mutex_unlock(&module->image->lock);
    *program_out = program;
    return program ? CUDA_SUCCESS
                   : (CUresult)atomic_load_explicit(&function->failure, memory_order_relaxed);
}

void soft_function_load(struct soft_function *function)
{
    struct warp_program *program;

    (void)soft_function_program(function, &program);
}

bool soft_function_was_loaded(const struct soft_function *function)
{
    return atomic_load_explicit(&function->program, memory_order_acquire) ||
           atomic_load_explicit(&function->failure, memory_order_relaxed) != 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void module_destroy(struct cuc_object *object)
{
    struct soft_module *module = (struct soft_module *)object;

    for (uint32_t i = 0; module->functions && i < module->image->entry_count; i++)
        warp_program_destroy(
            atomic_load_explicit(&module->functions[i].program, memory_order_relaxed));
    while (module->local_vars) {
        struct soft_local_var *next = module->local_vars->next;

        free(module->local_vars);
        module->local_vars = next;
    }
    free(module->functions);
    free(module->function_handle);
    free(module->var_address);
    soft_image_put(module->image);
    cuc_object_put(&module->context->object);
    free(module);
}

/* A function lives in its module's array: the last look-up in progress lets go of the module. */
static void function_destroy(struct cuc_object *object)
{
    cuc_object_put(&((struct soft_function *)object)->module->object);
}

static CUresult functions_make(struct soft_module *module)
{
    struct soft_image *image = module->image;

    module->functions = fab_alloc_zeroed(image->entry_count + 1, sizeof(*module->functions));
    if (!module->functions)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < image->entry_count; i++) {
        struct soft_function *function = &module->functions[i];
        CUresult result = cuc_object_register(&function->object, CUC_FUNCTION, function_destroy);

        if (result != CUDA_SUCCESS)
            return result;
        cuc_object_ref(&module->object);
        function->module = module;
        function->ptx = image->entries[i];
        function->settings = (struct soft_function_settings)SOFT_FUNCTION_SETTINGS;
    }
    return CUDA_SUCCESS;
}

/* Everything but the module's handle, which is the caller's to put. */
static void module_clear(struct soft_module *module)
{
    for (uint32_t i = 0; module->functions && i < module->image->entry_count; i++) {
        struct soft_function *function = &module->functions[i];

        if (function->module && cuc_object_retire(&function->object))
            cuc_object_put(&function->object);
    }
    for (struct soft_local_var *local = module->local_vars; local; local = local->next)
        soft_mem_free_fixed(module->context, local->address);
    if (module->block)
        soft_mem_free_fixed(module->context, module->block);
    if (module->managed_block)
        soft_mem_free_fixed(module->context, module->managed_block);
    module->block = module->managed_block = 0;
}

CUresult soft_module_new(struct soft_context *context, struct soft_image *image,
                         struct soft_library *library, struct soft_module **module_out)
{
    struct soft_module *module = fab_alloc_zeroed(1, sizeof(*module));
    CUresult result;

    if (!module) {
        soft_image_put(image);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module->context = context;
    module->image = image;
    module->library = library;
    module->link = (struct warp_link){.arg = module,
                                      .var_address = link_var_address,
                                      .function_handle = function_handle,
                                      .function_of_handle = link_function_of_handle,
                                      .callee = link_callee};
    cuc_object_ref(&context->object);
    result = cuc_object_register(&module->object, CUC_MODULE, module_destroy);
    if (result != CUDA_SUCCESS) {
        module_destroy(&module->object);
        return result;
    }
    result = variables_make(module);
    if (result == CUDA_SUCCESS)
        result = functions_make(module);
    if (result != CUDA_SUCCESS) {
        module_clear(module);
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

void soft_module_unload(struct soft_module *module)
{
    struct soft_context *context = module->context;
    struct soft_module **at;

    if (!cuc_object_retire(&module->object))
        return;
    pthread_mutex_lock(&context->lock);
    for (at = &context->modules; *at && *at != module;)
        at = &(*at)->next;
    if (*at)
        *at = module->next;
    pthread_mutex_unlock(&context->lock);
    module_clear(module);
    cuc_object_put(&module->object);
}

void soft_modules_close(struct soft_context *context)
{
    for (;;) {
        struct soft_module *module;

        pthread_mutex_lock(&context->lock);
        module = context->modules;
        pthread_mutex_unlock(&context->lock);
        if (!module)
            return;
        if (module->library)
            soft_library_forget(module->library, module);
        soft_module_unload(module);
    }
}
