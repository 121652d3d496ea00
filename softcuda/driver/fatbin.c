/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/fatbin.c - finds PTX text in what programs hand to a driver as code.
 *
 * Every length is checked against what is left before it is used; decompressed sizes have a limit.
 */
#include "softcuda/driver/fatbin.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "cuda-common/fatbin.h"

enum { TEXT_BYTES_MAX = 1 << 30 /* of one PTX text */ };

/* ---- text of an entry ----------------------------------------------------------------------- */

static enum fab_status decompress(const struct cuc_fatbin_entry *entry, char *text,
                                  struct fab_err *err)
{
    size_t done;

    if (entry->flags & CUC_ENTRY_ZSTD) {
        done = ZSTD_decompress(text, (size_t)entry->text_bytes, entry->payload,
                               entry->compressed_bytes);
        if (ZSTD_isError(done))
            return fab_err_set(err, FAB_ERR_FORMAT, "fat binary: zstd: %s",
                               ZSTD_getErrorName(done));
    } else {
        int size = LZ4_decompress_safe((const char *)entry->payload, text,
                                       (int)entry->compressed_bytes, (int)entry->text_bytes);

        if (size < 0)
            return fab_err_set(err, FAB_ERR_FORMAT, "fat binary: broken LZ4 data");
        done = (size_t)size;
    }
    if (done != entry->text_bytes)
        return fab_err_set(err, FAB_ERR_FORMAT, "fat binary: %zu bytes of text instead of %llu",
                           done, (unsigned long long)entry->text_bytes);
    return FAB_OK;
}

static enum fab_status entry_text(const struct cuc_fatbin_entry *entry, struct soft_code *code,
                                  struct fab_err *err)
{
    bool is_compressed = (entry->flags & (CUC_ENTRY_ZSTD | CUC_ENTRY_LZ4)) != 0;
    uint64_t text_bytes = is_compressed ? entry->text_bytes : entry->payload_bytes;
    enum fab_status status = FAB_OK;
    char *text;

    if (text_bytes == 0 || text_bytes > TEXT_BYTES_MAX)
        return fab_err_set(err, FAB_ERR_FORMAT, "fat binary: a text of %llu bytes",
                           (unsigned long long)text_bytes);
    if (is_compressed && (entry->compressed_bytes > entry->payload_bytes ||
                          entry->compressed_bytes > TEXT_BYTES_MAX))
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: compressed text cut off");
    text = fab_alloc((size_t)text_bytes + 1);
    if (!text)
        return fab_err_set(err, FAB_ERR_NOMEM, "a text of %llu bytes",
                           (unsigned long long)text_bytes);
    if (is_compressed)
        status = decompress(entry, text, err);
    else
        memcpy(text, entry->payload, (size_t)text_bytes);
    if (status != FAB_OK) {
        free(text);
        return status;
    }
    text[text_bytes] = '\0';
    code->text = text;
    code->text_bytes = strlen(text);
    code->target = entry->target;
    return FAB_OK;
}

/* ---- walking -------------------------------------------------------------------------------- */

/* Keeps the best PTX entry so far in *best (payload NULL: none). */
static enum fab_status walk(const uint8_t *at, size_t left, uint32_t capability,
                            struct soft_code *code, struct cuc_fatbin_entry *best,
                            struct fab_err *err)
{
    while (left > 0) {
        struct cuc_fatbin_entry entry = {0};
        enum fab_status status = cuc_fatbin_entry_read(at, left, &entry, err);

        if (status != FAB_OK)
            return status;
        if (entry.kind == CUC_FATBIN_ELF)
            code->has_machine_code = true;
        if (entry.kind == CUC_FATBIN_PTX) {
            bool fits = entry.target <= capability && !(entry.flags & CUC_ENTRY_SPECIFIC);

            if (!fits)
                code->has_newer_ptx = true;
            else if (!best->payload || entry.target > best->target)
                *best = entry;
        }
        at += entry.header_bytes + entry.payload_bytes;
        left -= entry.header_bytes + (size_t)entry.payload_bytes;
    }
    return FAB_OK;
}

static enum fab_status body_find(const uint8_t *bytes, uint32_t capability, struct soft_code *code,
                                 struct fab_err *err)
{
    struct cuc_fatbin_entry best = {.payload = NULL};
    uint32_t header_bytes = cuc_fatbin_header_bytes(bytes);
    uint64_t body_bytes = cuc_fatbin_body_bytes(bytes);
    enum fab_status status =
        walk(bytes + header_bytes, (size_t)body_bytes, capability, code, &best, err);

    if (status != FAB_OK)
        return status;
    if (!best.payload)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "no PTX for compute capability %u.%u",
                           capability / 10, capability % 10);
    return entry_text(&best, code, err);
}

enum fab_status soft_fatbin_find(const uint8_t *bytes, size_t byte_count, uint32_t capability,
                                 struct soft_code *code_out, struct fab_err *err)
{
    enum fab_status status;

    *code_out = (struct soft_code){.text = NULL};
    if (byte_count < CUC_FATBIN_HEADER_BYTES)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: header cut off");
    status = cuc_fatbin_check(bytes, err);
    if (status != FAB_OK)
        return status;
    if (cuc_fatbin_header_bytes(bytes) > byte_count ||
        cuc_fatbin_body_bytes(bytes) > byte_count - cuc_fatbin_header_bytes(bytes))
        return fab_err_set(err, FAB_ERR_TRUNCATED, "fat binary: body cut off");
    return body_find(bytes, capability, code_out, err);
}

/* Relocatable parts were never linked. When only one of them holds PTX there is nothing to link. */
static enum fab_status parts_find(const void *const *parts, uint32_t capability,
                                  struct soft_code *code, struct fab_err *err)
{
    struct soft_code only = {.text = NULL};
    uint32_t found = 0;

    for (uint32_t i = 0; parts[i] && i < CUC_RELOCATABLE_PARTS_MAX; i++) {
        struct soft_code part = {.text = NULL};

        if (cuc_fatbin_check(parts[i], /* err */ NULL) != FAB_OK ||
            body_find(parts[i], capability, &part, /* err */ NULL) != FAB_OK)
            continue;
        if (found++ == 0)
            only = part;
        else
            free(part.text);
    }
    code->is_relocatable = true;
    if (found == 1) {
        code->text = only.text;
        code->text_bytes = only.text_bytes;
        code->target = only.target;
        return FAB_OK;
    }
    free(only.text);
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "relocatable code of %u files, not linked", found);
}

static enum fab_status wrapper_find(const void *code, uint32_t capability,
                                    struct soft_code *code_out, struct fab_err *err)
{
    struct cuc_wrapper wrapper;
    enum fab_status status;

    memcpy(&wrapper, code, sizeof(wrapper));
    status = cuc_wrapper_check(&wrapper, err);
    if (status == FAB_OK)
        status = cuc_fatbin_check(wrapper.image, err);
    if (status == FAB_OK)
        status = body_find(wrapper.image, capability, code_out, err);
    if (status == FAB_ERR_NOT_FOUND && wrapper.version == 2 && wrapper.parts)
        status = parts_find(wrapper.parts, capability, code_out, err);
    return status;
}

/* ---- text ----------------------------------------------------------------------------------- */

static const char *skip_comment(const char *at)
{
    const char *end = at[1] == '/' ? strchr(at, '\n') : strstr(at + 2, "*/");

    if (!end)
        return at + strlen(at);
    return at[1] == '/' ? end + 1 : end + 2;
}

bool soft_code_is_ptx(const char *text)
{
    static const char first[] = ".version";

    for (;;) {
        while (isspace((unsigned char)*text))
            text++;
        if (text[0] != '/' || (text[1] != '/' && text[1] != '*'))
            break;
        text = skip_comment(text);
    }
    return strncmp(text, first, sizeof(first) - 1) == 0;
}

static enum fab_status text_find(const char *text, struct soft_code *code, struct fab_err *err)
{
    if (!soft_code_is_ptx(text))
        return fab_err_set(err, FAB_ERR_FORMAT, "neither PTX nor a fat binary nor machine code");
    code->text = fab_alloc_text(text);
    if (!code->text)
        return fab_err_set(err, FAB_ERR_NOMEM, "a copy of the PTX text");
    code->text_bytes = strlen(text);
    return FAB_OK;
}

enum fab_status soft_code_find(const void *code, size_t code_bytes, uint32_t capability,
                               struct soft_code *code_out, struct fab_err *err)
{
    const uint8_t *bytes = code;
    enum fab_status status;

    *code_out = (struct soft_code){.text = NULL};
    switch (cuc_code_magic(code)) {
    case CUC_WRAPPER_MAGIC:
        if (code_bytes > 0) /* it holds addresses of this process: not from a file */
            return fab_err_set(err, FAB_ERR_FORMAT, "a fat binary wrapper in a file");
        return wrapper_find(code, capability, code_out, err);
    case CUC_FATBIN_MAGIC:
        if (code_bytes > 0)
            return soft_fatbin_find(bytes, code_bytes, capability, code_out, err);
        status = cuc_fatbin_check(bytes, err);
        return status == FAB_OK ? body_find(bytes, capability, code_out, err) : status;
    case CUC_ELF_MAGIC:
        code_out->has_machine_code = true;
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "machine code only");
    default:
        return text_find(code, code_out, err);
    }
}
