/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/plan.h - which functions of an object go where, decided from files alone.
 *
 * Nothing is written here, so that every rule (whose runtime, room for the jump, stripped objects)
 * is tested without a loader. Source: facts measured on toolkit 13.0, ARCHITECTURE.md "Redirect".
 */
#ifndef CUDA_RUNTIME_REDIRECT_PLAN_H
#define CUDA_RUNTIME_REDIRECT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct elf_file;
struct fab_err;
struct patch_entry;

/* The exported functions of our runtime: what can be redirected, and where to. Sorted by name. */
struct plan_targets {
    struct plan_target {
        const char *name; /* in the runtime's mapped file: kept open by the owner */
        uint64_t value;   /* relative to the runtime's load base */
    } * entries;
    size_t count;
};

FAB_NODISCARD enum fab_status plan_targets_init(const struct elf_file *runtime,
                                                struct plan_targets *targets, struct fab_err *err);
void plan_targets_fini(struct plan_targets *targets);

enum plan_kind {
    PLAN_NOTHING,    /* no embedded runtime: leave the object alone */
    PLAN_REDIRECT,   /* entries are filled */
    PLAN_STRIPPED,   /* a runtime of its own, but no symbol table */
    PLAN_WRONG_MAJOR /* an embedded runtime of another major version */
};

/**
 * plan_object - look for an embedded CUDA runtime in an object.
 * @object:       the object's file.
 * @object_base:  where it is loaded (0 for a non-PIE executable); @runtime_base likewise.
 * @entries_out:  given to the caller (free()), NULL unless PLAN_REDIRECT.
 *
 * Returns FAB_OK; FAB_ERR_UNSUPPORTED when the object must not be patched, with the reason in err
 * (text relocations, folded functions, an entry without room for a jump); FAB_ERR_NOMEM.
 */
FAB_NODISCARD enum fab_status plan_object(const struct elf_file *object, uintptr_t object_base,
                                          const struct plan_targets *targets,
                                          uintptr_t runtime_base, enum plan_kind *kind_out,
                                          struct patch_entry **entries_out, size_t *count_out,
                                          struct fab_err *err);

#endif /* CUDA_RUNTIME_REDIRECT_PLAN_H */
