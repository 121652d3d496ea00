/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/elf_file.h - what a 64-bit ELF file says of itself, read with bounds.
 *
 * Used by the audit library (to find an embedded CUDA runtime) and by the launcher (to tell before
 * the start what cannot work). The file is mapped read-only and nothing in it is trusted.
 * Source: System V ABI, "Object Files"; ld.so(8).
 */
#ifndef CUDA_RUNTIME_REDIRECT_ELF_FILE_H
#define CUDA_RUNTIME_REDIRECT_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

struct elf_file {
    const uint8_t *bytes; /* the mapping, or the caller's memory; NULL when closed */
    bool is_mapped;
    size_t size_bytes;
    const Elf64_Ehdr *header;
    const Elf64_Shdr *sections; /* NULL when the file has none */
    size_t section_count;
    const char *section_names; /* bounded by section_names_bytes */
    size_t section_names_bytes;
};

struct elf_symbol {
    const char *name;
    uint64_t value; /* address relative to the load base */
    uint64_t size_bytes;
};

/* Maps and checks the file. Returns FAB_OK, FAB_ERR_FORMAT (not a 64-bit x86-64 ELF executable or
 * shared object), FAB_ERR_NOT_FOUND, FAB_ERR_IO. Thread: any. */
FAB_NODISCARD enum fab_status elf_file_open(const char *path, struct elf_file *file_out,
                                            struct fab_err *err);
/* The same for a file in memory: borrowed until closed, 8-byte aligned. `name` is for messages. */
FAB_NODISCARD enum fab_status elf_file_parse(const uint8_t *bytes, size_t size_bytes,
                                             const char *name, struct elf_file *file_out,
                                             struct fab_err *err);
void elf_file_close(struct elf_file *file); /* takes a closed one */

/* The section of that name, or NULL. */
const Elf64_Shdr *elf_section_find(const struct elf_file *file, const char *name);
bool elf_has_interpreter(const struct elf_file *file);           /* PT_INTERP: dynamically linked */
bool elf_has_text_relocations(const struct elf_file *file);      /* DT_TEXTREL or DF_TEXTREL */
bool elf_imports(const struct elf_file *file, const char *name); /* undefined in .dynsym */
/* The n-th DT_NEEDED name, or NULL past the end. */
const char *elf_needed(const struct elf_file *file, unsigned n);

/**
 * elf_functions - call `visit` for each defined function in .symtab (or .dynsym).
 * @dynamic: true for .dynsym. A file without the table has no functions.
 * `visit` returns false to stop early.
 */
void elf_functions(const struct elf_file *file, bool dynamic,
                   bool (*visit)(void *arg, const struct elf_symbol *symbol), void *arg);

#endif /* CUDA_RUNTIME_REDIRECT_ELF_FILE_H */
