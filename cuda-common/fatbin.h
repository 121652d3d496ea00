/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/fatbin.h - the outer form of code: wrappers, fat binaries and their entries.
 *
 * A program hands code to a driver as an address alone; only the code itself says how long it is.
 * This file reads headers and measures; what is inside an entry is its user's business.
 * Source: formats observed in what nvcc 13.0 writes.
 */
#ifndef CUDA_COMMON_FATBIN_H
#define CUDA_COMMON_FATBIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

#define CUC_WRAPPER_MAGIC 0x466243b1u
#define CUC_FATBIN_MAGIC 0xba55ed50u
#define CUC_ELF_MAGIC 0x464c457fu

enum {
    CUC_FATBIN_HEADER_BYTES = 16,
    CUC_FATBIN_ENTRY_BYTES = 64, /* of an entry's header that are read; real ones are longer */
    CUC_FATBIN_PTX = 1,
    CUC_FATBIN_ELF = 2,
    CUC_RELOCATABLE_PARTS_MAX = 1024, /* of a wrapper of version 2 */
};

/* Flags of an entry. */
#define CUC_ENTRY_LZ4 UINT64_C(0x2000)
#define CUC_ENTRY_ZSTD UINT64_C(0x8000)
#define CUC_ENTRY_SPECIFIC UINT64_C(0x100000) /* for one architecture only (sm_90a) */

struct cuc_wrapper {
    uint32_t magic, version;
    const void *image;
    const void *const *parts; /* version 2: relocatable fat binaries, NULL at the end */
};

struct cuc_fatbin_entry {
    uint32_t kind, header_bytes, compressed_bytes, target;
    uint64_t payload_bytes, flags, text_bytes;
    const uint8_t *payload;
};

/* The first four bytes, or what there is of a text that ends before. */
uint32_t cuc_code_magic(const void *code);

/* Whether a wrapper can be one: FAB_ERR_FORMAT. */
FAB_NODISCARD enum fab_status cuc_wrapper_check(const struct cuc_wrapper *wrapper,
                                                struct fab_err *err);

/* Whether 16 bytes are a header that we know: FAB_ERR_FORMAT. */
FAB_NODISCARD enum fab_status cuc_fatbin_check(const uint8_t *bytes, struct fab_err *err);
uint32_t cuc_fatbin_header_bytes(const uint8_t *bytes);
uint64_t cuc_fatbin_body_bytes(const uint8_t *bytes);

/* The entry at the start of `left` bytes of a body. FAB_ERR_TRUNCATED, FAB_ERR_FORMAT. */
FAB_NODISCARD enum fab_status cuc_fatbin_entry_read(const uint8_t *at, size_t left,
                                                    struct cuc_fatbin_entry *entry_out,
                                                    struct fab_err *err);

/* Code as bytes that can be sent: `bytes` at `start`; a text's NUL is one of them. */
struct cuc_code {
    const uint8_t *start;
    size_t bytes;
    uint8_t *made; /* NULL, or what `start` points to: the caller's to free() */
};

/**
 * cuc_code_measure - how much code there is, and where.
 * @code:       a wrapper, a fat binary, an ELF image, or text with a NUL at its end.
 * @code_bytes: how much there is (a file; then zeros follow it); 0 when only the code says it.
 *
 * Of a wrapper the fat binary counts. Where that has no PTX but exactly one relocatable part of a
 * wrapper of version 2 has, nothing needed a linker, and the part's PTX is added to it.
 * Returns FAB_OK; FAB_ERR_FORMAT and FAB_ERR_TRUNCATED for broken code; FAB_ERR_NOMEM.
 */
FAB_NODISCARD enum fab_status cuc_code_measure(const void *code, size_t code_bytes,
                                               struct cuc_code *code_out, struct fab_err *err);

#endif /* CUDA_COMMON_FATBIN_H */
