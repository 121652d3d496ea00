/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/fatbin.h - finds PTX text in what programs hand to a driver as code.
 *
 * Code is a wrapper around fat binaries, a bare fat binary, machine code (ELF) or PTX text; nothing
 * says how long it is but itself. This file only reads: it knows no device and no module.
 * Source: formats observed in what nvcc 13.0 writes.
 */
#ifndef SOFTCUDA_DRIVER_FATBIN_H
#define SOFTCUDA_DRIVER_FATBIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

/* What was found. `text` is allocated, ends with NUL, and is the caller's to free(). */
struct soft_code {
    char *text;
    size_t text_bytes;     /* without the NUL */
    uint32_t target;       /* compute capability of the chosen PTX: 89 */
    bool has_machine_code; /* some cubin was there */
    bool has_newer_ptx;    /* PTX was there, but only for later devices */
    bool is_relocatable;   /* built with -rdc=true: the PTX parts were never linked */
};

/**
 * soft_code_find - the PTX with the highest target not above `capability` (89 for 8.9).
 * @code:       as the program gave it.
 * @code_bytes: how much there is; 0 when only the code itself says it.
 *
 * Returns FAB_OK; FAB_ERR_NOT_FOUND when there is no such PTX (the flags say what there was);
 * FAB_ERR_FORMAT for something else than code; FAB_ERR_TRUNCATED and FAB_ERR_FORMAT for a broken
 * fat binary; FAB_ERR_NOMEM. code_out's flags are set in any case, its text on FAB_OK only.
 */
FAB_NODISCARD enum fab_status soft_code_find(const void *code, size_t code_bytes,
                                             uint32_t capability, struct soft_code *code_out,
                                             struct fab_err *err);

/* The same for `bytes` bytes that hold one bare fat binary (for files and fuzzers). */
FAB_NODISCARD enum fab_status soft_fatbin_find(const uint8_t *bytes, size_t byte_count,
                                               uint32_t capability, struct soft_code *code_out,
                                               struct fab_err *err);

/* Whether text begins like a PTX module: blanks, comments, then ".version". */
bool soft_code_is_ptx(const char *text);

#endif /* SOFTCUDA_DRIVER_FATBIN_H */
