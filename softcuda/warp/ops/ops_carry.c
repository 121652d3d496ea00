/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_carry.c - arithmetic that reads or writes the carry flag CC.CF: add.cc,
 * addc, sub.cc, subc, mad.cc and madc. A general source.
 *
 * The flag is a lane mask of the warp, since each thread has its own. There is one flag for both
 * directions, and a subtraction is the sum of a and ~b with a carry: after it the flag is set where
 * nothing was borrowed. The compiler's 128-bit division counts on that, when it asks with addc for
 * what subc.cc left.
 */
#include "softcuda/warp/ops/ops_list.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

/* One lane: the result, and the carry in bit 0 of *carry both ways. `term` is what x gains. */
#define SUM(T, x, term, carry)                                                                     \
    T result;                                                                                      \
    bool over = __builtin_add_overflow((T)(x), (T)(term), &result);                                \
    over |= __builtin_add_overflow(result, (T)(carry), &result);                                   \
    (carry) = over
/* The sum of `first` and `second`, expressions in the lane l, and of `start` or the flag. */
#define CARRY(name, T, first, second, start, uses, sets)                                           \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        T *d = OPS_VECTOR(T, w, in->d);                                                            \
        const T *a = OPS_VECTOR(const T, w, in->a), *b = OPS_VECTOR(const T, w, in->b);            \
        const T *c = in->c == WARP_NO_OPERAND ? NULL : OPS_VECTOR(const T, w, in->c);              \
        (void)c;                                                                                   \
        for (u32 m = w->mask; m; m &= m - 1) {                                                     \
            const unsigned l = (unsigned)__builtin_ctz(m);                                         \
            u32 carry = (uses) ? w->carry >> l & 1 : (start);                                      \
            SUM(T, first, second, carry);                                                          \
            d[l] = result;                                                                         \
            if (sets)                                                                              \
                w->carry = (w->carry & ~(1u << l)) | carry << l;                                   \
        }                                                                                          \
        return in + 1;                                                                             \
    }

/* plain: the flag neither read nor written does not occur here. */
#define CARRY_FORMS(name, T, first, second, start)                                                 \
    CARRY(name##_sets, T, first, second, start, false, true)                                       \
    CARRY(name##_uses, T, first, second, start, true, false)                                       \
    CARRY(name##_both, T, first, second, start, true, true)                                        \
    static const warp_fn name##_forms[] = {NULL, name##_sets, name##_uses, name##_both};

CARRY_FORMS(add32, u32, a[l], b[l], 0)
CARRY_FORMS(add64, u64, a[l], b[l], 0)
CARRY_FORMS(sub32, u32, a[l], ~b[l], 1)
CARRY_FORMS(sub64, u64, a[l], ~b[l], 1)
CARRY_FORMS(mad_lo32, u32, a[l] * b[l], c[l], 0)
CARRY_FORMS(mad_lo64, u64, a[l] * b[l], c[l], 0)
CARRY_FORMS(mad_hi_u32, u32, (u64)a[l] * b[l] >> 32, c[l], 0)
CARRY_FORMS(mad_hi_s32, u32, ((s64)(s32)a[l] * (s32)b[l]) >> 32, c[l], 0)
CARRY_FORMS(mad_hi_u64, u64, (u128)a[l] * b[l] >> 64, c[l], 0)
CARRY_FORMS(mad_hi_s64, u64, ((s128)(s64)a[l] * (s64)b[l]) >> 64, c[l], 0)

warp_fn ops_find_carry(const struct ptx_op *op, const struct warp_form *form)
{
    const bool is_wide = op->type == PTX_U64 || op->type == PTX_S64;
    const bool is_signed = op->type == PTX_S32 || op->type == PTX_S64;
    const bool uses = op->family == PTX_ADDC || op->family == PTX_SUBC || op->family == PTX_MADC;
    const unsigned use = (op->flags & PTX_F_CC ? 1u : 0u) | (uses ? 2u : 0u);

    (void)form;
    if (!use || (op->flags & ~(u32)PTX_F_CC) || (!is_wide && op->type != PTX_U32 && !is_signed))
        return NULL;
    switch (op->family) {
    case PTX_ADD:
    case PTX_ADDC:
        return (is_wide ? add64_forms : add32_forms)[use];
    case PTX_SUB:
    case PTX_SUBC:
        return (is_wide ? sub64_forms : sub32_forms)[use];
    case PTX_MAD:
    case PTX_MADC:
        if (op->sub == PTX_SUB_LO)
            return (is_wide ? mad_lo64_forms : mad_lo32_forms)[use];
        if (op->sub != PTX_SUB_HI)
            return NULL;
        if (is_wide)
            return (is_signed ? mad_hi_s64_forms : mad_hi_u64_forms)[use];
        return (is_signed ? mad_hi_s32_forms : mad_hi_u32_forms)[use];
    default:
        return NULL;
    }
}
