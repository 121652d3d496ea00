/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/harness.c - a stand-in for the driver: memory, module variables, text.
 */
#include "tests/unit/warp/harness.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softcuda/ptx/ptx.h"
#include "tests/support/check.h"

enum { RANGES_MAX = 256, PROGRAMS_MAX = 64, PARAMS_MAX = 4096, TEXT_MAX = 1 << 20 };

struct harness_waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct warp_outcome outcome;
};

struct harness {
    struct warp_pool *pool;
    struct warp_policy policy;
    struct ptx_module *module;
    char *text;
    struct warp_range ranges[RANGES_MAX];
    unsigned range_count;
    struct {
        const struct ptx_var *var;
        uint64_t address;
    } vars[RANGES_MAX];
    unsigned var_count;
    struct warp_program *programs[PROGRAMS_MAX];
    unsigned program_count;
    struct warp_env env;
    pthread_mutex_t lock; /* printed */
    char *printed;
    size_t printed_bytes;
};

struct harness_param harness_f32(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return HARNESS_I32(bits);
}

/* ---- what the engine asks ---- */

static bool find_range(void *arg, uint64_t address, struct warp_range *range_out)
{
    struct harness *h = arg;

    for (unsigned i = 0; i < h->range_count; i++)
        if (address >= h->ranges[i].lo && address < h->ranges[i].hi) {
            *range_out = h->ranges[i];
            return true;
        }
    return false;
}

static void take_text(void *arg, bool is_error, const char *bytes, size_t length)
{
    struct harness *h = arg;

    (void)is_error;
    (void)pthread_mutex_lock(&h->lock);
    if (length > TEXT_MAX - 1 - h->printed_bytes)
        length = TEXT_MAX - 1 - h->printed_bytes;
    memcpy(h->printed + h->printed_bytes, bytes, length);
    h->printed_bytes += length;
    h->printed[h->printed_bytes] = '\0';
    (void)pthread_mutex_unlock(&h->lock);
}

static uint64_t var_address(void *arg, const struct ptx_var *var)
{
    struct harness *h = arg;

    for (unsigned i = 0; i < h->var_count; i++)
        if (h->vars[i].var == var)
            return h->vars[i].address;
    return 0;
}

/* ---- life ---- */

struct harness *harness_create(const struct warp_policy *policy)
{
    struct harness *h = calloc(1, sizeof(*h));
    struct fab_err err = {.status = FAB_OK};

    if (!h)
        abort();
    if (policy)
        h->policy = *policy;
    h->printed = calloc(1, TEXT_MAX);
    if (!h->printed)
        abort();
    (void)pthread_mutex_init(&h->lock, NULL);
    h->env = (struct warp_env){
        .arg = h, .find_range = find_range, .text = take_text, .sm_count = 2, .clock_khz = 1000000};
    if (!CHECK_EQ(warp_pool_create(&h->policy, &h->pool, &err), FAB_OK))
        abort();
    return h;
}

static void unload(struct harness *h)
{
    for (unsigned i = 0; i < h->program_count; i++)
        warp_program_destroy(h->programs[i]);
    h->program_count = 0;
    ptx_module_destroy(h->module);
    h->module = NULL;
    free(h->text);
    h->text = NULL;
    h->var_count = 0;
}

void harness_destroy(struct harness *h)
{
    if (!h)
        return;
    warp_pool_destroy(h->pool);
    unload(h);
    for (unsigned i = 0; i < h->range_count; i++)
        free((void *)(uintptr_t)h->ranges[i].lo);
    (void)pthread_mutex_destroy(&h->lock);
    free(h->printed);
    free(h);
}

struct warp_pool *harness_pool(struct harness *h)
{
    return h->pool;
}

void *harness_alloc(struct harness *h, size_t bytes)
{
    size_t whole = (bytes + 255) & ~(size_t)255;
    void *memory = aligned_alloc(256, whole ? whole : 256);

    if (!memory || h->range_count == RANGES_MAX)
        abort();
    memset(memory, 0, whole);
    h->ranges[h->range_count++] = (struct warp_range){
        .lo = (uintptr_t)memory, .hi = (uintptr_t)memory + bytes, .can_write = true};
    return memory;
}

void harness_read_only(struct harness *h, const void *memory)
{
    for (unsigned i = 0; i < h->range_count; i++)
        if (h->ranges[i].lo == (uintptr_t)memory)
            h->ranges[i].can_write = false;
}

/* ---- modules ---- */

static void make_variables(struct harness *h)
{
    for (uint32_t i = 0; i < h->module->var_count; i++) {
        const struct ptx_var *var = h->module->vars[i];
        void *memory;

        if ((var->space != PTX_SPACE_GLOBAL && var->space != PTX_SPACE_CONST) || var->bytes == 0)
            continue;
        memory = harness_alloc(h, var->bytes);
        if (var->init)
            memcpy(memory, var->init, var->bytes);
        h->vars[h->var_count].var = var;
        h->vars[h->var_count++].address = (uintptr_t)memory;
    }
    for (unsigned i = 0; i < h->var_count; i++)
        for (uint32_t k = 0; k < h->vars[i].var->reloc_count; k++) {
            const struct ptx_reloc *reloc = &h->vars[i].var->relocs[k];
            const struct ptx_var *to = ptx_var_find(h->module, reloc->symbol);
            uint64_t address = to ? var_address(h, to) + (uint64_t)reloc->addend : 0;

            address >>= reloc->shift;
            memcpy((void *)(uintptr_t)(h->vars[i].address + reloc->offset), &address, reloc->bytes);
        }
}

bool harness_load(struct harness *h, const char *ptx)
{
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status;

    unload(h);
    h->text = strdup(ptx);
    if (!h->text)
        abort();
    status = ptx_module_parse(h->text, strlen(h->text), &h->module, &err);
    if (!CHECK_EQ(status, FAB_OK)) {
        print_message("%s\n", err.text);
        return false;
    }
    make_variables(h);
    return true;
}

bool harness_load_file(struct harness *h, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 8u << 20);
    bool loaded = false;

    if (!text)
        abort();
    if (CHECK(file)) {
        size_t length = fread(text, 1, (8u << 20) - 1, file);

        (void)fclose(file);
        text[length] = '\0';
        loaded = harness_load(h, text);
    }
    free(text);
    return loaded;
}

struct warp_program *harness_program(struct harness *h, const char *kernel, struct fab_err *err)
{
    const struct warp_link link = {.arg = h, .var_address = var_address, .policy = &h->policy};
    struct ptx_function *function = ptx_function_find(h->module, kernel);

    for (unsigned i = 0; i < h->program_count; i++)
        if (strcmp(warp_program_name(h->programs[i]), kernel) == 0)
            return h->programs[i];
    if (!function) {
        (void)fab_err_set(err, FAB_ERR_NOT_FOUND, "no kernel %s", kernel);
        return NULL;
    }
    if (h->program_count == PROGRAMS_MAX ||
        warp_program_create(h->module, function, &link, &h->programs[h->program_count], err) !=
            FAB_OK)
        return NULL;
    return h->programs[h->program_count++];
}

void *harness_variable(struct harness *h, const char *name)
{
    const struct ptx_var *var = ptx_var_find(h->module, name);

    return var ? (void *)(uintptr_t)var_address(h, var) : NULL;
}

/* ---- launches ---- */

static void done(void *arg, const struct warp_outcome *outcome)
{
    struct harness_waiter *waiter = arg;

    (void)pthread_mutex_lock(&waiter->lock);
    waiter->outcome = *outcome;
    waiter->done = true;
    (void)pthread_cond_signal(&waiter->changed);
    (void)pthread_mutex_unlock(&waiter->lock);
}

static void pack_params(const struct warp_program_info *info, va_list list, uint8_t *params)
{
    uint32_t index = 0;

    for (;;) {
        struct harness_param param = va_arg(list, struct harness_param);

        if (param.bytes == 0)
            break;
        if (!CHECK(index < info->param_count))
            return;
        if (param.by_value)
            memcpy(params + info->param_offset[index], param.by_value, param.by_value_bytes);
        else
            memcpy(params + info->param_offset[index], &param.bits, param.bytes);
        index++;
    }
    (void)CHECK_EQ(index, info->param_count);
}

static struct warp_launch *start(struct harness *h, const char *kernel,
                                 const struct harness_grid *grid, va_list list)
{
    struct fab_err err = {.status = FAB_OK};
    struct warp_program *program = harness_program(h, kernel, &err);
    struct warp_launch *launch = NULL;
    struct harness_waiter *waiter;
    uint8_t params[PARAMS_MAX] = {0};
    struct warp_launch_request request = {.program = program};

    if (!CHECK(program)) {
        print_message("%s: %s\n", kernel, err.text);
        return NULL;
    }
    waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        abort();
    (void)pthread_mutex_init(&waiter->lock, NULL);
    (void)pthread_cond_init(&waiter->changed, NULL);
    pack_params(warp_program_info(program), list, params);
    for (unsigned i = 0; i < 3; i++) {
        request.grid[i] = grid->grid[i] ? grid->grid[i] : 1;
        request.block[i] = grid->block[i] ? grid->block[i] : 1;
    }
    request.dynamic_shared_bytes = grid->shared_bytes;
    request.params = params;
    request.params_bytes = sizeof(params);
    request.cooperative = grid->cooperative;
    request.env = &h->env;
    request.done = done;
    request.done_arg = waiter;
    if (!CHECK_EQ(warp_launch_start(h->pool, &request, &launch, &err), FAB_OK)) {
        print_message("%s: %s\n", kernel, err.text);
        free(waiter);
        return NULL;
    }
    return launch;
}

static bool is_done(void *arg)
{
    struct harness_waiter *waiter = arg;
    bool value;

    (void)pthread_mutex_lock(&waiter->lock);
    value = waiter->done;
    (void)pthread_mutex_unlock(&waiter->lock);
    return value;
}

struct warp_outcome harness_wait(struct harness *h, struct warp_launch *launch)
{
    struct harness_waiter *waiter = warp_launch_done_arg(launch);
    struct warp_outcome outcome;

    (void)h;
    warp_launch_help(launch, is_done, waiter);
    (void)pthread_mutex_lock(&waiter->lock);
    while (!waiter->done)
        (void)pthread_cond_wait(&waiter->changed, &waiter->lock);
    outcome = waiter->outcome;
    (void)pthread_mutex_unlock(&waiter->lock);
    (void)pthread_mutex_destroy(&waiter->lock);
    (void)pthread_cond_destroy(&waiter->changed);
    free(waiter);
    warp_launch_put(launch);
    return outcome;
}

struct warp_launch *harness_start(struct harness *h, const char *kernel,
                                  const struct harness_grid *grid, ...)
{
    struct warp_launch *launch;
    va_list list;

    va_start(list, grid);
    launch = start(h, kernel, grid, list);
    va_end(list);
    return launch;
}

struct warp_outcome harness_run(struct harness *h, const char *kernel,
                                const struct harness_grid *grid, ...)
{
    struct warp_launch *launch;
    va_list list;

    va_start(list, grid);
    launch = start(h, kernel, grid, list);
    va_end(list);
    if (!launch)
        return (struct warp_outcome){.failed = true, .kernel = kernel};
    return harness_wait(h, launch);
}

const char *harness_text(struct harness *h)
{
    return h->printed;
}

const char *harness_fault_name(enum warp_fault_kind kind)
{
    switch (kind) {
    case WARP_FAULT_ILLEGAL_ADDRESS:
        return "illegal address";
    case WARP_FAULT_MISALIGNED:
        return "misaligned";
    case WARP_FAULT_TRAP:
        return "trap";
    case WARP_FAULT_ASSERT:
        return "assert";
    case WARP_FAULT_TIMEOUT:
        return "timeout";
    case WARP_FAULT_STACK:
        return "stack";
    case WARP_FAULT_ILLEGAL_INSTRUCTION:
        return "illegal instruction";
    case WARP_FAULT_SHARED_RANGE:
        return "shared range";
    }
    return "?";
}
