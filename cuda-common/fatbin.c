/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/fatbin.c - the outer form of code: wrappers, fat binaries and their entries.
 *
 * Every length is checked against what is left before it is used.
 */
#include "cuda-common/fatbin.h"

#include <elf.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define CODE_BYTES_MAX (UINT64_C(1) << 32) /* limit image_bytes of cuda-api/driver/api.toml */

static uint16_t read_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t read_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t read_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* PTX text may be shorter than a magic number: read up to its NUL only. */
uint32_t cuc_code_magic(const void *code)
{
    const uint8_t *bytes = code;
    uint8_t start[sizeof(uint32_t)] = {0};

    for (size_t i = 0; i < sizeof(start); i++) {
        start[i] = bytes[i];
        if (start[i] == 0)
            break;
    }
    return read_u32(start);
}

enum fab_status cuc_wrapper_check(const struct cuc_wrapper *wrapper, struct fab_err *err)
{
    if ((wrapper->version != 1 && wrapper->version != 2) || !wrapper->image)
        return fab_err_set(err, FAB_ERR_FORMAT, "a fat binary wrapper of version %u",
                           wrapper->version);
    return FAB_OK;
}

enum fab_status cuc_fatbin_check(const uint8_t *bytes, struct fab_err *err)
{
    if (read_u32(bytes) != CUC_FATBIN_MAGIC)
        return fab_err_set(err, FAB_ERR_FORMAT, "not a fat binary");
    if (read_u16(bytes + 4) != 1 || read_u16(bytes + 6) < CUC_FATBIN_HEADER_BYTES)
        return fab_err_set(err, FAB_ERR_FORMAT, "a fat binary of an unknown version");
    return FAB_OK;
}

uint32_t cuc_fatbin_header_bytes(const uint8_t *bytes)
{
    return read_u16(bytes + 6);
}

uint64_t cuc_fatbin_body_bytes(const uint8_t *bytes)
{
    return read_u64(bytes + 8);
}

enum fab_status cuc_fatbin_entry_read(const uint8_t *at, size_t left,
                                      struct cuc_fatbin_entry *entry_out, struct fab_err *err)
{
    struct cuc_fatbin_entry entry;

    if (left < CUC_FATBIN_ENTRY_BYTES)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: entry header cut off");
    entry = (struct cuc_fatbin_entry){
        .kind = read_u16(at),
        .header_bytes = read_u32(at + 4),
        .payload_bytes = read_u64(at + 8),
        .compressed_bytes = read_u32(at + 16),
        .target = read_u32(at + 28),
        .flags = read_u64(at + 40),
        .text_bytes = read_u64(at + 56),
    };
    if (entry.header_bytes < CUC_FATBIN_ENTRY_BYTES || entry.header_bytes > left)
        return fab_err_set(err, FAB_ERR_FORMAT, "fat binary: entry header of %u bytes",
                           entry.header_bytes);
    if (entry.payload_bytes > left - entry.header_bytes)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: entry of %llu bytes cut off",
                           (unsigned long long)entry.payload_bytes);
    entry.payload = at + entry.header_bytes;
    *entry_out = entry;
    return FAB_OK;
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* `left`: bytes that are there for sure, or SIZE_MAX. */
static enum fab_status fatbin_measure(const uint8_t *bytes, size_t left, struct cuc_code *code,
                                      uint32_t *ptx_count_out, struct fab_err *err)
{
    enum fab_status status;
    size_t header_bytes, body_bytes, at = 0;

    if (left < CUC_FATBIN_HEADER_BYTES)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: header cut off");
    status = cuc_fatbin_check(bytes, err);
    if (status != FAB_OK)
        return status;
    header_bytes = cuc_fatbin_header_bytes(bytes);
    body_bytes = cuc_fatbin_body_bytes(bytes);
    if (body_bytes > CODE_BYTES_MAX || header_bytes > left || body_bytes > left - header_bytes)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: body cut off");
    *ptx_count_out = 0;
    while (at < body_bytes) {
        struct cuc_fatbin_entry entry = {0};

        status = cuc_fatbin_entry_read(bytes + header_bytes + at, body_bytes - at, &entry, err);
        if (status != FAB_OK)
            return status;
        *ptx_count_out += entry.kind == CUC_FATBIN_PTX;
        at += entry.header_bytes + (size_t)entry.payload_bytes;
    }
    *code = (struct cuc_code){.start = bytes, .bytes = header_bytes + body_bytes};
    return FAB_OK;
}

/* The image with the entries of the part behind its own. */
static enum fab_status join(const struct cuc_code *image, const struct cuc_code *part,
                            struct cuc_code *code_out, struct fab_err *err)
{
    const size_t skip = cuc_fatbin_header_bytes(part->start);
    const size_t body_bytes = image->bytes - cuc_fatbin_header_bytes(image->start);
    const uint64_t joined_bytes = body_bytes + part->bytes - skip;
    const size_t bytes = image->bytes + part->bytes - skip;
    uint8_t *made = fab_alloc(bytes);

    if (!made)
        return fab_err_set(err, FAB_ERR_NOMEM, "a fat binary of %zu bytes", bytes);
    memcpy(made, image->start, image->bytes);
    memcpy(made + image->bytes, part->start + skip, part->bytes - skip);
    memcpy(made + sizeof(uint64_t), &joined_bytes, sizeof(joined_bytes));
    *code_out = (struct cuc_code){.start = made, .bytes = bytes, .made = made};
    return FAB_OK;
}

static enum fab_status wrapper_measure(const void *code, struct cuc_code *code_out,
                                       struct fab_err *err)
{
    struct cuc_wrapper wrapper;
    struct cuc_code image = {0}, part = {0}, only = {0};
    uint32_t ptx_count = 0, found = 0;
    enum fab_status status;

    memcpy(&wrapper, code, sizeof(wrapper));
    status = cuc_wrapper_check(&wrapper, err);
    if (status == FAB_OK)
        status = fatbin_measure(wrapper.image, SIZE_MAX, &image, &ptx_count, err);
    if (status != FAB_OK)
        return status;
    *code_out = image;
    if (ptx_count > 0 || wrapper.version != 2 || !wrapper.parts)
        return FAB_OK;
    for (uint32_t i = 0; wrapper.parts[i] && i < CUC_RELOCATABLE_PARTS_MAX; i++) {
        status = fatbin_measure(wrapper.parts[i], SIZE_MAX, &part, &ptx_count, /* err */ NULL);
        if (status != FAB_OK || ptx_count == 0)
            continue;
        only = part;
        found++;
    }
    return found == 1 && image.start && only.start ? join(&image, &only, code_out, err) : FAB_OK;
}

static size_t larger(size_t a, uint64_t b)
{
    return b > a ? (size_t)b : a;
}

/* The end of the last section, segment or header table. */
static enum fab_status elf_measure(const uint8_t *bytes, size_t left, struct cuc_code *code_out,
                                   struct fab_err *err)
{
    Elf64_Ehdr head;
    size_t end = sizeof(head);

    if (left < sizeof(head))
        return fab_err_set(err, FAB_ERR_TRUNCATED, "machine code: header cut off");
    memcpy(&head, bytes, sizeof(head));
    if (head.e_ident[EI_CLASS] != ELFCLASS64 ||
        (head.e_shnum > 0 && head.e_shentsize != sizeof(Elf64_Shdr)) ||
        (head.e_phnum > 0 && head.e_phentsize != sizeof(Elf64_Phdr)) ||
        head.e_shoff > CODE_BYTES_MAX || head.e_phoff > CODE_BYTES_MAX)
        return fab_err_set(err, FAB_ERR_FORMAT, "machine code: not an ELF image that we know");
    end = larger(end, head.e_shoff + (uint64_t)head.e_shnum * sizeof(Elf64_Shdr));
    end = larger(end, head.e_phoff + (uint64_t)head.e_phnum * sizeof(Elf64_Phdr));
    if (end > left)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "machine code: header tables cut off");
    for (uint32_t i = 0; i < head.e_shnum; i++) {
        Elf64_Shdr section;

        memcpy(&section, bytes + head.e_shoff + i * sizeof(section), sizeof(section));
        if (section.sh_type == SHT_NOBITS)
            continue;
        if (section.sh_offset > CODE_BYTES_MAX || section.sh_size > CODE_BYTES_MAX)
            return fab_err_set(err, FAB_ERR_FORMAT, "machine code: a section beyond all bounds");
        end = larger(end, section.sh_offset + section.sh_size);
    }
    for (uint32_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr segment;

        memcpy(&segment, bytes + head.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_offset > CODE_BYTES_MAX || segment.p_filesz > CODE_BYTES_MAX)
            return fab_err_set(err, FAB_ERR_FORMAT, "machine code: a segment beyond all bounds");
        end = larger(end, segment.p_offset + segment.p_filesz);
    }
    if (end > left)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "machine code: contents cut off");
    *code_out = (struct cuc_code){.start = bytes, .bytes = end};
    return FAB_OK;
}

enum fab_status cuc_code_measure(const void *code, size_t code_bytes, struct cuc_code *code_out,
                                 struct fab_err *err)
{
    const size_t left = code_bytes > 0 ? code_bytes : SIZE_MAX;
    uint32_t ptx_count;

    switch (cuc_code_magic(code)) {
    case CUC_WRAPPER_MAGIC:
        if (code_bytes > 0) /* it holds addresses of this process: not from a file */
            return fab_err_set(err, FAB_ERR_FORMAT, "a fat binary wrapper in a file");
        return wrapper_measure(code, code_out, err);
    case CUC_FATBIN_MAGIC:
        return fatbin_measure(code, left, code_out, &ptx_count, err);
    case CUC_ELF_MAGIC:
        return elf_measure(code, left, code_out, err);
    default:
        *code_out = (struct cuc_code){.start = code, .bytes = strlen(code) + 1};
        return FAB_OK;
    }
}
