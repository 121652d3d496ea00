/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_warp.c - instructions across the lanes of a warp: shfl, vote, match, redux,
 * activemask, elect. A variant source (shuffles are gathers).
 *
 * The .sync forms wait until all named lanes that still live stand here (warp_collect); the old
 * ones take whoever is here. A lane that is read but is not here has no defined value: the reader
 * keeps its own.
 */
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_pack.h"

/* The members as the first active lane names them; all must name the same (PTX ISA). */
OPS_INLINE u32 members_of(const struct warp *w, u32 operand)
{
    return OPS_VECTOR(const u32, w, operand)[__builtin_ctz(w->mask)];
}

static void put_predicate(const struct warp *w, u32 operand, u32 bits)
{
    u32 *p;

    if (operand == WARP_NO_OPERAND)
        return;
    p = OPS_AT(u32, w, operand);
    *p = (*p & ~w->mask) | (bits & w->mask);
}

/* The same word to all active lanes. */
static void put_u32(const struct warp *w, u32 operand, u32 value)
{
    u32 *d;

    if (operand == WARP_NO_OPERAND)
        return;
    d = OPS_VECTOR(u32, w, operand);
    OPS_WRITE(u32, w, d, value);
}

/* ---- shfl ------------------------------------------------------------------------------------ */

enum { SHFL_LANE = 0x1f };

/* PTX ISA, shfl: c holds a clamp value and, above it, the bits of a lane's number that name its
 * segment. `j` is where lane l reads, if `inside` its segment. */
#define SHFL(name, source, test)                                                                   \
    OPS_INLINE void run_##name(struct warp *w, const struct warp_insn *in)                         \
    {                                                                                              \
        const u32 *a = OPS_VECTOR(const u32, w, in->a);                                            \
        const s32 *b = OPS_VECTOR(const s32, w, in->b), *c = OPS_VECTOR(const s32, w, in->c);      \
        const u32 mask = w->mask;                                                                  \
        FAB_ALIGNED(64) u32 result[WARP_LANES], from[WARP_LANES], inside[WARP_LANES];              \
        OPS_LANES                                                                                  \
        {                                                                                          \
            const s32 l = (s32)i, distance = b[i] & SHFL_LANE, segment = c[i] >> 8 & SHFL_LANE;    \
            const s32 first = l & segment, last = first | (c[i] & SHFL_LANE & ~segment);           \
            const s32 j = (source);                                                                \
            (void)first, (void)last;                                                               \
            inside[i] = (test) ? UINT32_MAX : 0;                                                   \
            from[i] = (test) ? (u32)j & SHFL_LANE : i;                                             \
            from[i] = mask >> from[i] & 1 ? from[i] : i;                                           \
        }                                                                                          \
        OPS_LANES                                                                                  \
        result[i] = a[from[i]];                                                                    \
        if (in->d != WARP_NO_OPERAND) {                                                            \
            u32 *d = OPS_VECTOR(u32, w, in->d);                                                    \
            OPS_WRITE(u32, w, d, result[i]);                                                       \
        }                                                                                          \
        put_predicate(w, in->e, ops_pack32(inside));                                               \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        run_##name(w, in);                                                                         \
        return in + 1;                                                                             \
    }                                                                                              \
    OPS_HANDLER(name##_sync)                                                                       \
    {                                                                                              \
        if (FAB_UNLIKELY(!warp_collect(w, in, members_of(w, in->ext[0]))))                         \
            return WARP_STOP_PARK;                                                                 \
        run_##name(w, in);                                                                         \
        return in + 1;                                                                             \
    }
SHFL(shfl_up, l - distance, j >= last)
SHFL(shfl_down, l + distance, j <= last)
SHFL(shfl_bfly, l ^ distance, j <= last)
SHFL(shfl_idx, first | (distance & ~segment), j <= last)

static warp_fn find_shfl(const struct ptx_op *op)
{
    const bool sync = (op->flags & PTX_F_SYNC) != 0;

    if (op->type != PTX_B32 || (op->flags & ~(u32)PTX_F_SYNC))
        return NULL;
    switch (op->sub) {
    case PTX_SUB_UP:
        return sync ? shfl_up_sync : shfl_up;
    case PTX_SUB_DOWN:
        return sync ? shfl_down_sync : shfl_down;
    case PTX_SUB_BFLY:
        return sync ? shfl_bfly_sync : shfl_bfly;
    case PTX_SUB_IDX:
        return sync ? shfl_idx_sync : shfl_idx;
    default:
        return NULL;
    }
}

/* ---- vote ------------------------------------------------------------------------------------ */

/* `here`: the voting lanes; `yes`: those of them for which the predicate holds. */
#define VOTE(name, put, result)                                                                    \
    static const struct warp_insn *run_##name(struct warp *w, const struct warp_insn *in,          \
                                              u32 members)                                         \
    {                                                                                              \
        const u32 here = w->mask & members;                                                        \
        u32 yes = *OPS_AT(const u32, w, in->a);                                                    \
        yes = (in->flags & WARP_I_NEGATE_LAST ? ~yes : yes) & here;                                \
        put(w, in->d, result);                                                                     \
        return in + 1;                                                                             \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        return run_##name(w, in, WARP_FULL);                                                       \
    }                                                                                              \
    OPS_HANDLER(name##_sync)                                                                       \
    {                                                                                              \
        const u32 members = members_of(w, in->b);                                                  \
        if (FAB_UNLIKELY(!warp_collect(w, in, members)))                                           \
            return WARP_STOP_PARK;                                                                 \
        return run_##name(w, in, members);                                                         \
    }
VOTE(vote_all, put_predicate, yes == here ? WARP_FULL : 0)
VOTE(vote_any, put_predicate, yes ? WARP_FULL : 0)
VOTE(vote_uni, put_predicate, yes == here || yes == 0 ? WARP_FULL : 0)
VOTE(vote_ballot, put_u32, yes)

static warp_fn find_vote(const struct ptx_op *op)
{
    const bool sync = (op->flags & PTX_F_SYNC) != 0;

    if ((op->flags & ~(u32)PTX_F_SYNC) ||
        op->type != (op->sub == PTX_SUB_BALLOT ? PTX_B32 : PTX_PRED))
        return NULL;
    switch (op->sub) {
    case PTX_SUB_ALL:
        return sync ? vote_all_sync : vote_all;
    case PTX_SUB_ANY:
        return sync ? vote_any_sync : vote_any;
    case PTX_SUB_UNI:
        return sync ? vote_uni_sync : vote_uni;
    case PTX_SUB_BALLOT:
        return sync ? vote_ballot_sync : vote_ballot;
    default:
        return NULL;
    }
}

/* ---- match ----------------------------------------------------------------------------------- */

#define MATCH(T)                                                                                   \
    static u32 same_##T(const T *a, T value)                                                       \
    {                                                                                              \
        u32 bits = 0;                                                                              \
        for (unsigned i = 0; i < WARP_LANES; i++)                                                  \
            bits |= a[i] == value ? ops_lane_bit[i] : 0;                                           \
        return bits;                                                                               \
    }                                                                                              \
    OPS_HANDLER(match_any_##T)                                                                     \
    {                                                                                              \
        const u32 members = members_of(w, in->b), here = w->mask & members;                        \
        const T *a = OPS_VECTOR(const T, w, in->a);                                                \
        FAB_ALIGNED(64) u32 result[WARP_LANES];                                                    \
        u32 *d = OPS_VECTOR(u32, w, in->d);                                                        \
        if (FAB_UNLIKELY(!warp_collect(w, in, members)))                                           \
            return WARP_STOP_PARK;                                                                 \
        for (unsigned i = 0; i < WARP_LANES; i++)                                                  \
            result[i] = same_##T(a, a[i]) & here;                                                  \
        OPS_WRITE(u32, w, d, result[i]);                                                           \
        return in + 1;                                                                             \
    }                                                                                              \
    OPS_HANDLER(match_all_##T)                                                                     \
    {                                                                                              \
        const u32 members = members_of(w, in->b), here = w->mask & members;                        \
        const T *a = OPS_VECTOR(const T, w, in->a);                                                \
        bool all;                                                                                  \
        if (FAB_UNLIKELY(!warp_collect(w, in, members)))                                           \
            return WARP_STOP_PARK;                                                                 \
        all = (same_##T(a, a[__builtin_ctz(w->mask)]) & here) == here;                             \
        put_u32(w, in->d, all ? here : 0);                                                         \
        put_predicate(w, in->e, all ? WARP_FULL : 0);                                              \
        return in + 1;                                                                             \
    }
MATCH(u32)
MATCH(u64)

static warp_fn find_match(const struct ptx_op *op)
{
    const bool is_any = op->sub == PTX_SUB_ANY;

    if (op->flags != PTX_F_SYNC || (!is_any && op->sub != PTX_SUB_ALL))
        return NULL;
    if (op->type == PTX_B32)
        return is_any ? match_any_u32 : match_all_u32;
    return op->type == PTX_B64 ? (is_any ? match_any_u64 : match_all_u64) : NULL;
}

/* ---- redux ----------------------------------------------------------------------------------- */

/* `x` is what the lanes before gave, `y` the next lane's value. */
#define REDUX(name, T, expr)                                                                       \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        const u32 members = members_of(w, in->b);                                                  \
        const T *a = OPS_VECTOR(const T, w, in->a);                                                \
        u32 m = w->mask & members;                                                                 \
        T x;                                                                                       \
        if (FAB_UNLIKELY(!warp_collect(w, in, members)))                                           \
            return WARP_STOP_PARK;                                                                 \
        if (m == 0)                                                                                \
            return in + 1;                                                                         \
        x = a[__builtin_ctz(m)];                                                                   \
        for (m &= m - 1; m; m &= m - 1) {                                                          \
            const T y = a[__builtin_ctz(m)];                                                       \
            x = (T)(expr);                                                                         \
        }                                                                                          \
        put_u32(w, in->d, (u32)x);                                                                 \
        return in + 1;                                                                             \
    }
REDUX(redux_add, u32, x + y)
REDUX(redux_and, u32, x &y)
REDUX(redux_or, u32, x | y)
REDUX(redux_xor, u32, x ^ y)
REDUX(redux_min_u32, u32, x < y ? x : y)
REDUX(redux_max_u32, u32, x > y ? x : y)
REDUX(redux_min_s32, s32, x < y ? x : y)
REDUX(redux_max_s32, s32, x > y ? x : y)

static warp_fn find_redux(const struct ptx_op *op)
{
    const bool is_signed = op->type == PTX_S32;
    const bool is_number = is_signed || op->type == PTX_U32;

    if (op->flags != PTX_F_SYNC)
        return NULL;
    switch (op->sub) {
    case PTX_SUB_ADD:
        return is_number ? redux_add : NULL;
    case PTX_SUB_MIN:
        return is_number ? (is_signed ? redux_min_s32 : redux_min_u32) : NULL;
    case PTX_SUB_MAX:
        return is_number ? (is_signed ? redux_max_s32 : redux_max_u32) : NULL;
    case PTX_SUB_AND:
        return op->type == PTX_B32 ? redux_and : NULL;
    case PTX_SUB_OR:
        return op->type == PTX_B32 ? redux_or : NULL;
    case PTX_SUB_XOR:
        return op->type == PTX_B32 ? redux_xor : NULL;
    default:
        return NULL;
    }
}

/* ---- activemask, elect ----------------------------------------------------------------------- */

OPS_HANDLER(activemask)
{
    put_u32(w, in->d, w->mask);
    return in + 1;
}

OPS_HANDLER(elect_sync)
{
    const u32 members = members_of(w, in->a);
    u32 leader;

    if (FAB_UNLIKELY(!warp_collect(w, in, members)))
        return WARP_STOP_PARK;
    leader = (u32)__builtin_ctz(w->mask & members ? w->mask & members : w->mask);
    put_u32(w, in->d, leader);
    put_predicate(w, in->e, ops_lane_bit[leader]);
    return in + 1;
}

warp_fn OPS_SYM(ops_find_warp)(const struct ptx_op *op, const struct warp_form *form)
{
    (void)form;
    switch (op->family) {
    case PTX_SHFL:
        return find_shfl(op);
    case PTX_VOTE:
        return find_vote(op);
    case PTX_MATCH:
        return find_match(op);
    case PTX_REDUX:
        return find_redux(op);
    case PTX_ACTIVEMASK:
        return op->flags || op->type != PTX_B32 ? NULL : activemask;
    case PTX_ELECT:
        return op->flags == PTX_F_SYNC ? elect_sync : NULL;
    default:
        return NULL;
    }
}
