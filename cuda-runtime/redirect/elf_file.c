/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/elf_file.c - see elf_file.h. Every offset is checked against the mapping
 * before it is used; a table that does not fit counts as absent.
 */
#include "cuda-runtime/redirect/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/* The bytes [offset, offset + size) of the file, or NULL if they are not all there. */
static const void *range_at(const struct elf_file *file, uint64_t offset, uint64_t size)
{
    if (offset > file->size_bytes || size > file->size_bytes - offset)
        return NULL;
    return file->bytes + offset;
}

/* A NUL-terminated string at `offset` of a table, or NULL. */
static const char *string_at(const char *table, size_t table_bytes, uint64_t offset)
{
    if (!table || offset >= table_bytes ||
        !memchr(table + offset, '\0', table_bytes - (size_t)offset))
        return NULL;
    return table + offset;
}

static void find_sections(struct elf_file *file)
{
    const Elf64_Ehdr *header = file->header;
    const Elf64_Shdr *names;

    if (header->e_shoff == 0 || header->e_shoff % _Alignof(Elf64_Shdr) != 0 ||
        header->e_shentsize != sizeof(Elf64_Shdr))
        return;
    file->sections =
        range_at(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
    if (!file->sections || header->e_shstrndx >= header->e_shnum) {
        file->sections = NULL;
        return;
    }
    file->section_count = header->e_shnum;
    names = &file->sections[header->e_shstrndx];
    file->section_names = range_at(file, names->sh_offset, names->sh_size);
    file->section_names_bytes = file->section_names ? names->sh_size : 0;
}

enum fab_status elf_file_parse(const uint8_t *bytes, size_t size_bytes, const char *name,
                               struct elf_file *file_out, struct fab_err *err)
{
    struct elf_file file = {.bytes = bytes, .size_bytes = size_bytes};
    const Elf64_Ehdr *header = range_at(&file, 0, sizeof(*header));

    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not an ELF file", name);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not a 64-bit x86-64 file", name);
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not an executable or shared object", name);
    file.header = header;
    find_sections(&file);
    *file_out = file;
    return FAB_OK;
}

enum fab_status elf_file_open(const char *path, struct elf_file *file_out, struct fab_err *err)
{
    struct stat about;
    enum fab_status status;
    size_t size_bytes;
    void *bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fab_err_errno(err, errno, "opening %s", path);
    if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size <= 0) {
        (void)close(fd);
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not a regular file with content", path);
    }
    size_bytes = (size_t)about.st_size;
    bytes = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    status = bytes == MAP_FAILED ? fab_err_errno(err, errno, "mapping %s", path) : FAB_OK;
    (void)close(fd); /* the mapping stays */
    if (status != FAB_OK)
        return status;
    status = elf_file_parse(bytes, size_bytes, path, file_out, err);
    if (status == FAB_OK)
        file_out->is_mapped = true;
    else
        (void)munmap(bytes, size_bytes);
    return status;
}

void elf_file_close(struct elf_file *file)
{
    union {
        const uint8_t *as_read;
        void *as_mapped;
    } bytes = {.as_read = file->bytes};

    if (file->is_mapped)
        (void)munmap(bytes.as_mapped, file->size_bytes);
    *file = (struct elf_file){0};
}

const Elf64_Shdr *elf_section_find(const struct elf_file *file, const char *name)
{
    for (size_t i = 0; i < file->section_count; i++) {
        const char *found =
            string_at(file->section_names, file->section_names_bytes, file->sections[i].sh_name);
        if (found && strcmp(found, name) == 0)
            return &file->sections[i];
    }
    return NULL;
}

static const Elf64_Phdr *program_headers(const struct elf_file *file, size_t *count_out)
{
    const Elf64_Ehdr *header = file->header;

    *count_out = 0;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff % _Alignof(Elf64_Phdr) != 0)
        return NULL;
    const Elf64_Phdr *table =
        range_at(file, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr));
    *count_out = table ? header->e_phnum : 0;
    return table;
}

bool elf_has_interpreter(const struct elf_file *file)
{
    size_t count;
    const Elf64_Phdr *table = program_headers(file, &count);

    for (size_t i = 0; i < count; i++)
        if (table[i].p_type == PT_INTERP)
            return true;
    return false;
}

static const Elf64_Dyn *dynamic_table(const struct elf_file *file, size_t *count_out)
{
    size_t count;
    const Elf64_Phdr *table = program_headers(file, &count);

    *count_out = 0;
    for (size_t i = 0; i < count; i++) {
        if (table[i].p_type != PT_DYNAMIC || table[i].p_offset % _Alignof(Elf64_Dyn) != 0)
            continue;
        const Elf64_Dyn *dynamic = range_at(file, table[i].p_offset, table[i].p_filesz);
        *count_out = dynamic ? table[i].p_filesz / sizeof(Elf64_Dyn) : 0;
        return dynamic;
    }
    return NULL;
}

bool elf_has_text_relocations(const struct elf_file *file)
{
    size_t count;
    const Elf64_Dyn *dynamic = dynamic_table(file, &count);

    for (size_t i = 0; i < count && dynamic[i].d_tag != DT_NULL; i++)
        if (dynamic[i].d_tag == DT_TEXTREL ||
            (dynamic[i].d_tag == DT_FLAGS && (dynamic[i].d_un.d_val & DF_TEXTREL)))
            return true;
    return false;
}

/* A symbol table section and its strings. */
struct symbol_table {
    const Elf64_Sym *symbols;
    size_t count;
    const char *names;
    size_t names_bytes;
};

static struct symbol_table symbol_table(const struct elf_file *file, bool dynamic)
{
    struct symbol_table table = {0};
    uint32_t wanted = dynamic ? SHT_DYNSYM : SHT_SYMTAB;

    for (size_t i = 0; i < file->section_count; i++) {
        const Elf64_Shdr *section = &file->sections[i], *strings;
        if (section->sh_type != wanted || section->sh_entsize != sizeof(Elf64_Sym) ||
            section->sh_offset % _Alignof(Elf64_Sym) != 0 ||
            section->sh_link >= file->section_count)
            continue;
        strings = &file->sections[section->sh_link];
        table.symbols = range_at(file, section->sh_offset, section->sh_size);
        table.names = range_at(file, strings->sh_offset, strings->sh_size);
        if (!table.symbols || !table.names)
            return (struct symbol_table){0};
        table.count = section->sh_size / sizeof(Elf64_Sym);
        table.names_bytes = strings->sh_size;
        return table;
    }
    return table;
}

bool elf_imports(const struct elf_file *file, const char *name)
{
    struct symbol_table table = symbol_table(file, /* dynamic */ true);

    for (size_t i = 0; i < table.count; i++) {
        const char *found = string_at(table.names, table.names_bytes, table.symbols[i].st_name);
        if (table.symbols[i].st_shndx == SHN_UNDEF && found && strcmp(found, name) == 0)
            return true;
    }
    return false;
}

const char *elf_needed(const struct elf_file *file, unsigned n)
{
    size_t count;
    const Elf64_Dyn *dynamic = dynamic_table(file, &count);
    const Elf64_Shdr *strings = elf_section_find(file, ".dynstr");
    const char *names = strings ? range_at(file, strings->sh_offset, strings->sh_size) : NULL;

    for (size_t i = 0; i < count && dynamic[i].d_tag != DT_NULL; i++)
        if (dynamic[i].d_tag == DT_NEEDED && n-- == 0)
            return names ? string_at(names, strings->sh_size, dynamic[i].d_un.d_val) : NULL;
    return NULL;
}

void elf_functions(const struct elf_file *file, bool dynamic,
                   bool (*visit)(void *arg, const struct elf_symbol *symbol), void *arg)
{
    struct symbol_table table = symbol_table(file, dynamic);

    for (size_t i = 0; i < table.count; i++) {
        const Elf64_Sym *symbol = &table.symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
            symbol->st_shndx >= SHN_LORESERVE)
            continue;
        struct elf_symbol found = {
            .name = string_at(table.names, table.names_bytes, symbol->st_name),
            .value = symbol->st_value,
            .size_bytes = symbol->st_size,
        };
        if (found.name && found.name[0] && !visit(arg, &found))
            return;
    }
}
