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

struct wrapper {
    uint32_t magic, version;
    const void *image;
    const void *const *parts;
};

/* Found: a text with its length. Not found: no text and a reason. */
static void check(enum fab_status status, const struct soft_code *code, const struct fab_err *err)
{
    if (status == FAB_OK && strlen(code->text) != code->text_bytes)
        abort();
    if (status != FAB_OK && (code->text || err->text[0] == '\0'))
        abort();
    free(code->text);
}

/* What stands in a program around a complete fat binary. */
static void find_wrapped(const uint8_t *fatbin, uint32_t capability)
{
    const void *const one[] = {fatbin, NULL}, *const two[] = {fatbin, fatbin, NULL};
    const struct wrapper wrappers[] = {
        {0x466243b1, 1, fatbin, NULL},
        {0x466243b1, 2, fatbin, one},
        {0x466243b1, 2, fatbin, two},
        {0x466243b1, 3, fatbin, NULL},
    };

    for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct soft_code code;
        enum fab_status status =
            soft_code_find(&wrappers[i], /* code_bytes */ 0, capability, &code, &err);

        check(status, &code, &err);
    }
}

/* As from a file: zeros behind it end a text. */
static void find_in_file(const uint8_t *data, size_t size, uint32_t capability)
{
    struct fab_err err = {.status = FAB_OK};
    uint8_t *copy = calloc(size + sizeof(uint64_t), 1);
    struct soft_code code;

    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    check(soft_code_find(copy, size + 1, capability, &code, &err), &code, &err);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t capabilities[] = {75, 89};

    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct soft_code code;
        enum fab_status status = soft_fatbin_find(data, size, capabilities[i], &code, &err);

        check(status, &code, &err);
        if (status == FAB_OK || status == FAB_ERR_NOT_FOUND)
            find_wrapped(data, capabilities[i]);
        find_in_file(data, size, capabilities[i]);
    }
    return 0;
}
