/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/patch.h - send calls of functions in a loaded object somewhere else.
 *
 * Each entry's first 14 bytes become an absolute jump. The pages are never writable and executable:
 * a patched copy in a memfd replaces them in one step, which also works where a process may not
 * make memory executable. Thread: the one that loads objects; nobody runs the code yet.
 * Source: Intel SDM, JMP r/m64 (FF /4), RIP-relative.
 */
#ifndef CUDA_RUNTIME_REDIRECT_PATCH_H
#define CUDA_RUNTIME_REDIRECT_PATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

enum { PATCH_JUMP_BYTES = 14 };

struct patch_entry {
    uintptr_t address; /* the function's first byte, mapped and executable */
    uintptr_t target;
};

/**
 * patch_apply - make every entry jump to its target.
 * @entries: sorted here by address; each has PATCH_JUMP_BYTES of its own (the caller has checked).
 *
 * Nothing is done when all entries hold their jump already. Returns FAB_OK; FAB_ERR_INVALID when
 * two entries overlap (nothing was changed); FAB_ERR_DENIED, FAB_ERR_IO when the system lets us
 * neither replace nor change executable pages (entries of earlier pages may jump already).
 */
FAB_NODISCARD enum fab_status patch_apply(struct patch_entry *entries, size_t count,
                                          struct fab_err *err);

#endif /* CUDA_RUNTIME_REDIRECT_PATCH_H */
