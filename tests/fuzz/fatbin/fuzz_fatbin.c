/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fatbin/fuzz_fatbin.c - fat binaries from anywhere: found, refused, never more read
 * than there is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "softcuda/driver/fatbin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t capabilities[] = {75, 89};

    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct soft_code code;
        enum fab_status status = soft_fatbin_find(data, size, capabilities[i], &code, &err);

        /* Found: a text with its length. Not found: no text and a reason. */
        if (status == FAB_OK && (strlen(code.text) != code.text_bytes || code.target > 89))
            abort();
        if (status != FAB_OK && (code.text || err.text[0] == '\0'))
            abort();
        free(code.text);
    }
    return 0;
}
