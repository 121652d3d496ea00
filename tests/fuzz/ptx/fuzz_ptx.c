/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/ptx/fuzz_ptx.c - any text is parsed or refused; what is parsed can be walked.
 *
 * The dump reads every operand, label and initialiser, so it finds what points nowhere.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "softcuda/ptx/ptx.h"
#include "softcuda/ptx/ptx_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static FILE *nowhere;
    struct ptx_module *module = NULL;
    struct fab_err err;

    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    if (!nowhere)
        abort();
    if (ptx_module_parse((const char *)data, size_bytes, &module, &err) != FAB_OK)
        return 0;
    for (uint32_t i = 0; i < module->function_count; i++) {
        if (ptx_function_parse(module, module->functions[i], &err) != FAB_OK)
            continue; /* refused: the dump shows its head only */
    }
    ptx_module_dump(module, nowhere);
    ptx_module_destroy(module);
    return 0;
}
