/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/ptx/fuzz_ptx_lower.c - what the parser lets through can be lowered or is refused.
 *
 * The lowering relies on what ptx.h promises of a decoded body; this is where a gap shows.
 * Nothing is run.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "softcuda/ptx/ptx.h"
#include "softcuda/warp/launch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static uint64_t var_address(void *arg, const struct ptx_var *var)
{
    (void)arg, (void)var;
    return UINT64_C(0x200000000000);
}

static uint64_t function_handle(void *arg, const char *name)
{
    (void)arg, (void)name;
    return UINT64_C(0x1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const struct warp_link link = {.var_address = var_address, .function_handle = function_handle};
    struct ptx_module *module = NULL;
    struct fab_err err;

    if (ptx_module_parse((const char *)data, size_bytes, &module, &err) != FAB_OK)
        return 0;
    for (uint32_t i = 0; i < module->function_count; i++) {
        struct warp_program *program = NULL;

        if (!module->functions[i]->is_entry)
            continue;
        if (warp_program_create(module, module->functions[i], &link, &program, &err) == FAB_OK)
            warp_program_destroy(program);
    }
    ptx_module_destroy(module);
    return 0;
}
