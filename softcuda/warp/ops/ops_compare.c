/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_compare.c - setp, set and testp. A variant source.
 *
 * A comparison makes one bit a lane; what setp and set do with these bits (and, or, xor with a
 * predicate, a second destination, numbers instead of bits) is common to all of them.
 */
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_pack.h"

/* ---- what becomes of the bits ---------------------------------------------------------------- */

enum combine { COMBINE_NONE, COMBINE_AND, COMBINE_OR, COMBINE_XOR };

/* The source predicate c of setp.cmp.bool and set.cmp.bool. */
OPS_INLINE u32 combined(const struct warp *w, const struct warp_insn *in, u32 bits,
                        enum combine combine)
{
    u32 c;

    if (combine == COMBINE_NONE)
        return bits;
    c = *OPS_AT(const u32, w, in->c);
    if (in->flags & WARP_I_NEGATE_LAST)
        c = ~c;
    return combine == COMBINE_AND ? bits & c : combine == COMBINE_OR ? bits | c : bits ^ c;
}

static inline void put_predicate(const struct warp *w, u32 operand, u32 bits)
{
    u32 *p = OPS_AT(u32, w, operand);
    *p = (*p & ~w->mask) | (bits & w->mask);
}

OPS_INLINE const struct warp_insn *finish_setp(struct warp *w, const struct warp_insn *in, u32 bits,
                                               enum combine combine)
{
    /* Read c before d is written: they may be the same predicate. */
    const u32 p = combined(w, in, bits, combine);
    const u32 q = combined(w, in, ~bits, combine);

    if (FAB_LIKELY(in->d != WARP_NO_OPERAND))
        put_predicate(w, in->d, p);
    if (FAB_UNLIKELY(in->e != WARP_NO_OPERAND))
        put_predicate(w, in->e, q);
    return in + 1;
}

static const struct warp_insn *finish_set(struct warp *w, const struct warp_insn *in, u32 bits,
                                          enum combine combine, u32 one)
{
    const u32 p = combined(w, in, bits, combine);
    u32 *d = OPS_VECTOR(u32, w, in->d);

    OPS_WRITE(u32, w, d, p & ops_lane_bit[i] ? one : 0);
    return in + 1;
}

/* ---- comparisons ----------------------------------------------------------------------------- */

#define SET_ONE_F32 UINT32_C(0x3f800000) /* set.f32 delivers 1.0 */
#define SET_ONE_INT UINT32_MAX           /* set.u32 and set.s32 all ones */

#define SETP_AND_SET(name, combine)                                                                \
    OPS_HANDLER(name##_setp_##combine)                                                             \
    {                                                                                              \
        return finish_setp(w, in, name##_bits(w, in), COMBINE_##combine);                          \
    }                                                                                              \
    OPS_HANDLER(name##_int_##combine)                                                              \
    {                                                                                              \
        return finish_set(w, in, name##_bits(w, in), COMBINE_##combine, SET_ONE_INT);              \
    }                                                                                              \
    OPS_HANDLER(name##_f32_##combine)                                                              \
    {                                                                                              \
        return finish_set(w, in, name##_bits(w, in), COMBINE_##combine, SET_ONE_F32);              \
    }

/* All handlers of one comparison of x and y, of lane type T. The plain setp has the loop inside. */
#define COMPARE(name, T, expr)                                                                     \
    OPS_INLINE u32 name##_inline(const struct warp *w, const struct warp_insn *in)                 \
    {                                                                                              \
        const T *a = OPS_VECTOR(const T, w, in->a), *b = OPS_VECTOR(const T, w, in->b);            \
        if (sizeof(T) == 8) {                                                                      \
            u64 lanes[WARP_LANES];                                                                 \
            OPS_LANES                                                                              \
            {                                                                                      \
                const T x = a[i], y = b[i];                                                        \
                lanes[i] = (expr) ? UINT64_MAX : 0;                                                \
            }                                                                                      \
            return ops_pack64(lanes);                                                              \
        } else {                                                                                   \
            u32 lanes[WARP_LANES];                                                                 \
            OPS_LANES                                                                              \
            {                                                                                      \
                const T x = a[i], y = b[i];                                                        \
                lanes[i] = (expr) ? UINT32_MAX : 0;                                                \
            }                                                                                      \
            return ops_pack32(lanes);                                                              \
        }                                                                                          \
    }                                                                                              \
    static __attribute__((noinline))                                                               \
    u32 name##_bits(const struct warp *w, const struct warp_insn *in)                              \
    {                                                                                              \
        return name##_inline(w, in);                                                               \
    }                                                                                              \
    OPS_HANDLER(name##_setp_NONE)                                                                  \
    {                                                                                              \
        return finish_setp(w, in, name##_inline(w, in), COMBINE_NONE);                             \
    }                                                                                              \
    OPS_HANDLER(name##_int_NONE)                                                                   \
    {                                                                                              \
        return finish_set(w, in, name##_bits(w, in), COMBINE_NONE, SET_ONE_INT);                   \
    }                                                                                              \
    OPS_HANDLER(name##_f32_NONE)                                                                   \
    {                                                                                              \
        return finish_set(w, in, name##_bits(w, in), COMBINE_NONE, SET_ONE_F32);                   \
    }                                                                                              \
    SETP_AND_SET(name, AND) SETP_AND_SET(name, OR) SETP_AND_SET(name, XOR)

#define COMPARE_EQUALITY(T)                                                                        \
    COMPARE(eq_##T, T, x == y)                                                                     \
    COMPARE(ne_##T, T, x != y)
#define COMPARE_ORDER(T)                                                                           \
    COMPARE(lt_##T, T, x < y)                                                                      \
    COMPARE(le_##T, T, x <= y)                                                                     \
    COMPARE(gt_##T, T, x > y)                                                                      \
    COMPARE(ge_##T, T, x >= y)
/* Of floats: the plain ones are false when a source is not a number, those in ...u true. */
/* Both sides are looked at: a branch would keep the loop scalar. */
#define EITHER(p, q) ((int)(p) | (int)(q))
#define BOTH(p, q) ((int)(p) & (int)(q))
#define COMPARE_FLOAT(T, F)                                                                        \
    COMPARE(eq_##T, F, LOAD_##T(x) == LOAD_##T(y))                                                 \
    COMPARE(ne_##T, F, EITHER(LOAD_##T(x) < LOAD_##T(y), LOAD_##T(x) > LOAD_##T(y)))               \
    COMPARE(lt_##T, F, LOAD_##T(x) < LOAD_##T(y))                                                  \
    COMPARE(le_##T, F, LOAD_##T(x) <= LOAD_##T(y))                                                 \
    COMPARE(gt_##T, F, LOAD_##T(x) > LOAD_##T(y))                                                  \
    COMPARE(ge_##T, F, LOAD_##T(x) >= LOAD_##T(y))                                                 \
    COMPARE(equ_##T, F, !EITHER(LOAD_##T(x) < LOAD_##T(y), LOAD_##T(x) > LOAD_##T(y)))             \
    COMPARE(neu_##T, F, !(LOAD_##T(x) == LOAD_##T(y)))                                             \
    COMPARE(ltu_##T, F, !(LOAD_##T(x) >= LOAD_##T(y)))                                             \
    COMPARE(leu_##T, F, !(LOAD_##T(x) > LOAD_##T(y)))                                              \
    COMPARE(gtu_##T, F, !(LOAD_##T(x) <= LOAD_##T(y)))                                             \
    COMPARE(geu_##T, F, !(LOAD_##T(x) < LOAD_##T(y)))                                              \
    COMPARE(num_##T, F, BOTH(x == x, y == y))                                                      \
    COMPARE(nan_##T, F, EITHER(x != x, y != y))
#define LOAD_f32(x) (x)
#define LOAD_f64(x) (x)
#define LOAD_ftz(x) ops_flush(x)

COMPARE_EQUALITY(u16)
COMPARE_EQUALITY(u32)
COMPARE_EQUALITY(u64)
COMPARE_ORDER(u16)
COMPARE_ORDER(u32)
COMPARE_ORDER(u64)
COMPARE_ORDER(s16)
COMPARE_ORDER(s32)
COMPARE_ORDER(s64)
COMPARE_FLOAT(f32, f32)
COMPARE_FLOAT(f64, f64)
COMPARE_FLOAT(ftz, f32)

/* ---- testp ----------------------------------------------------------------------------------- */

/* `m` are the bits without the sign; inf and low the encodings of infinity and of the smallest
 * normal number. */
#define TESTP_ONE(name, T, inf, low, expr)                                                         \
    OPS_HANDLER(testp_##name##_##T)                                                                \
    {                                                                                              \
        const T *a = OPS_VECTOR(const T, w, in->a);                                                \
        u32 bits = 0;                                                                              \
        for (unsigned i = 0; i < WARP_LANES; i++) {                                                \
            const T m = a[i] & ((T) ~(T)0 >> 1);                                                   \
            bits |= (expr) ? ops_lane_bit[i] : 0;                                                  \
        }                                                                                          \
        return finish_setp(w, in, bits, COMBINE_NONE);                                             \
    }
#define TESTP(T, inf, low)                                                                         \
    TESTP_ONE(finite, T, inf, low, m < (inf))                                                      \
    TESTP_ONE(infinite, T, inf, low, m == (inf))                                                   \
    TESTP_ONE(number, T, inf, low, m <= (inf))                                                     \
    TESTP_ONE(notanumber, T, inf, low, m > (inf))                                                  \
    TESTP_ONE(normal, T, inf, low, m >= (low) && m < (inf))                                        \
    TESTP_ONE(subnormal, T, inf, low, m < (low) && m != 0)
TESTP(u32, UINT32_C(0x7f800000), UINT32_C(0x00800000))
TESTP(u64, UINT64_C(0x7ff0000000000000), UINT64_C(0x0010000000000000))

static warp_fn find_testp(const struct ptx_op *op)
{
#define TESTP_ROW(T)                                                                               \
    {                                                                                              \
        testp_finite_##T, testp_infinite_##T, testp_number_##T, testp_notanumber_##T,              \
            testp_normal_##T, testp_subnormal_##T                                                  \
    }
    static const warp_fn rows[2][6] = {TESTP_ROW(u32), TESTP_ROW(u64)};
#undef TESTP_ROW

    if (op->sub < PTX_SUB_FINITE || op->sub > PTX_SUB_SUBNORMAL || op->flags)
        return NULL;
    if (op->type != PTX_F32 && op->type != PTX_F64)
        return NULL;
    return rows[op->type == PTX_F64][op->sub - PTX_SUB_FINITE];
}

/* ---- finder ---------------------------------------------------------------------------------- */

enum outcome { OUTCOME_SETP, OUTCOME_INT, OUTCOME_F32, OUTCOME_COUNT };
typedef warp_fn by_outcome[OUTCOME_COUNT][4]; /* [outcome][enum combine] */
typedef by_outcome by_compare[PTX_CMP_NAN + 1];

#define COMBINES(prefix)                                                                           \
    {                                                                                              \
        prefix##_NONE, prefix##_AND, prefix##_OR, prefix##_XOR                                     \
    }
#define OUTCOMES(name)                                                                             \
    {                                                                                              \
        COMBINES(name##_setp), COMBINES(name##_int), COMBINES(name##_f32)                          \
    }
#define EQUALITY_ROWS(T) [PTX_CMP_EQ] = OUTCOMES(eq_##T), [PTX_CMP_NE] = OUTCOMES(ne_##T)
#define ORDER_ROWS(T)                                                                              \
    [PTX_CMP_LT] = OUTCOMES(lt_##T), [PTX_CMP_LE] = OUTCOMES(le_##T),                              \
    [PTX_CMP_GT] = OUTCOMES(gt_##T), [PTX_CMP_GE] = OUTCOMES(ge_##T)
#define UNSIGNED_ROWS(T)                                                                           \
    EQUALITY_ROWS(T),                                                                              \
        ORDER_ROWS(T), [PTX_CMP_LO] = OUTCOMES(lt_##T), [PTX_CMP_LS] = OUTCOMES(le_##T),           \
                       [PTX_CMP_HI] = OUTCOMES(gt_##T), [PTX_CMP_HS] = OUTCOMES(ge_##T)
#define FLOAT_ROWS(T)                                                                              \
    EQUALITY_ROWS(T),                                                                              \
        ORDER_ROWS(T), [PTX_CMP_EQU] = OUTCOMES(equ_##T), [PTX_CMP_NEU] = OUTCOMES(neu_##T),       \
                       [PTX_CMP_LTU] = OUTCOMES(ltu_##T), [PTX_CMP_LEU] = OUTCOMES(leu_##T),       \
                       [PTX_CMP_GTU] = OUTCOMES(gtu_##T), [PTX_CMP_GEU] = OUTCOMES(geu_##T),       \
                       [PTX_CMP_NUM] = OUTCOMES(num_##T), [PTX_CMP_NAN] = OUTCOMES(nan_##T)

static const by_compare rows_b16 = {EQUALITY_ROWS(u16)};
static const by_compare rows_b32 = {EQUALITY_ROWS(u32)};
static const by_compare rows_b64 = {EQUALITY_ROWS(u64)};
static const by_compare rows_u16 = {UNSIGNED_ROWS(u16)};
static const by_compare rows_u32 = {UNSIGNED_ROWS(u32)};
static const by_compare rows_u64 = {UNSIGNED_ROWS(u64)};
static const by_compare rows_s16 = {EQUALITY_ROWS(u16), ORDER_ROWS(s16)};
static const by_compare rows_s32 = {EQUALITY_ROWS(u32), ORDER_ROWS(s32)};
static const by_compare rows_s64 = {EQUALITY_ROWS(u64), ORDER_ROWS(s64)};
static const by_compare rows_f32 = {FLOAT_ROWS(f32)};
static const by_compare rows_ftz = {FLOAT_ROWS(ftz)};
static const by_compare rows_f64 = {FLOAT_ROWS(f64)};

static warp_fn find_compare(const struct ptx_op *op, uint8_t compared, enum outcome outcome)
{
    static const by_compare *const rows[PTX_TYPE_COUNT] = {
        [PTX_B16] = &rows_b16, [PTX_B32] = &rows_b32, [PTX_B64] = &rows_b64, [PTX_U16] = &rows_u16,
        [PTX_U32] = &rows_u32, [PTX_U64] = &rows_u64, [PTX_S16] = &rows_s16, [PTX_S32] = &rows_s32,
        [PTX_S64] = &rows_s64, [PTX_F32] = &rows_f32, [PTX_F64] = &rows_f64};
    static const enum combine combines[] = {
        [PTX_BOOL_NONE] = COMBINE_NONE,
        [PTX_BOOL_AND] = COMBINE_AND,
        [PTX_BOOL_OR] = COMBINE_OR,
        [PTX_BOOL_XOR] = COMBINE_XOR,
    };
    const bool ftz = op->flags == PTX_F_FTZ && compared == PTX_F32;

    if (compared >= PTX_TYPE_COUNT || !rows[compared] || op->cmp > PTX_CMP_NAN ||
        op->boolop > PTX_BOOL_XOR || (op->flags && !ftz))
        return NULL;
    return (*(ftz ? &rows_ftz : rows[compared]))[op->cmp][outcome][combines[op->boolop]];
}

warp_fn OPS_SYM(ops_find_compare)(const struct ptx_op *op, const struct warp_form *form)
{
    (void)form;
    switch (op->family) {
    case PTX_SETP:
        return find_compare(op, op->type, OUTCOME_SETP);
    case PTX_SET:
        if (op->type == PTX_F32)
            return find_compare(op, op->type2, OUTCOME_F32);
        return op->type == PTX_U32 || op->type == PTX_S32 ? find_compare(op, op->type2, OUTCOME_INT)
                                                          : NULL;
    case PTX_TESTP:
        return find_testp(op);
    default:
        return NULL;
    }
}
