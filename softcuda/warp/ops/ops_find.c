/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_find.c - from a decoded operation to its handler. A variant source: each
 * instruction set has its own table of finders and ends in the general ones.
 */
#include "softcuda/warp/ops/ops_list.h"

/* Finders look at the modifiers that concern them; these two concern few. */
static bool has_stray_modifier(const struct ptx_op *op)
{
    const bool is_float = op->type == PTX_F32 || op->type == PTX_F64;

    if (op->round && !is_float && op->family != PTX_CVT)
        return true;
    return op->sub && is_float && (op->family == PTX_MUL || op->family == PTX_MAD);
}

static warp_fn find(const struct ptx_op *op, const struct warp_form *form)
{
#define ROW(name) OPS_SYM(name),
#define GENERAL_ROW(name) name,
    static ops_finder *const finders[] = {OPS_VARIANT_FINDERS(ROW)
                                              OPS_GENERAL_FINDERS(GENERAL_ROW)};
#undef ROW
#undef GENERAL_ROW

    if (has_stray_modifier(op))
        return NULL;
    for (size_t n = 0; n < FAB_ARRAY_LEN(finders); n++) {
        const warp_fn fn = finders[n](op, form);
        if (fn)
            return fn;
    }
    return NULL;
}

const struct warp_isa OPS_SYM(ops_isa) = {.name = OPS_VARIANT_NAME, .find = find};
