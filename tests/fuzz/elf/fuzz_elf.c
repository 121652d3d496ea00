/* SPDX-License-Identifier: Apache-2.0
 * The ELF reader of redirect and launcher: any file may stand in front of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cuda-runtime/redirect/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static bool touch(void *arg, const struct elf_symbol *symbol)
{
    size_t *total = arg;

    *total += strlen(symbol->name);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct elf_file file;
    size_t total = 0;
    uint8_t *copy = malloc(size_bytes + 1); /* aligned, and exactly as long as the file */

    if (!copy)
        return 0;
    memcpy(copy, data, size_bytes);
    if (elf_file_parse(copy, size_bytes, "input", &file, /* err */ NULL) == FAB_OK) {
        elf_functions(&file, /* dynamic */ false, touch, &total);
        elf_functions(&file, /* dynamic */ true, touch, &total);
        for (unsigned n = 0; elf_needed(&file, n); n++)
            total++;
        total += elf_has_interpreter(&file);
        total += elf_has_text_relocations(&file);
        total += elf_imports(&file, "malloc");
        total += elf_section_find(&file, ".nv_fatbin") != NULL;
        elf_file_close(&file);
    }
    free(copy);
    return 0;
}
