/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_async.c - cp.async and mbarrier. A general source.
 *
 * Copies are done when they are issued, so groups and waits have nothing to do. An mbarrier is a
 * 64-bit word in shared memory whose layout is ours (PTX leaves it open):
 *   bits 0-19 arrivals still pending, 20-39 arrivals expected a phase, 40-61 transaction bytes
 *   still pending (two's complement), 62 nothing, 63 the phase's parity.
 * A block is on one thread at a time: plain loads and stores, in lane order.
 */
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_memory.h"

/* ---- cp.async -------------------------------------------------------------------------------- */

enum { COPY_BYTES_MAX = 16 };

/* a: shared destination, b: global source, c: bytes to write, ext[0]: bytes to read. A lane that
 * reads nothing may have any source address. */
static const struct warp_insn *copy_async(struct warp *w, const struct warp_insn *in,
                                          const u32 *read_bytes)
{
    const u32 bytes = OPS_VECTOR(const u32, w, in->c)[__builtin_ctz(w->mask)];
    struct ops_access access = {OPS_SHARED, bytes, bytes, true};
    u64 to[WARP_LANES], from[WARP_LANES];
    u32 wanted[WARP_LANES], readers = 0;

    if (bytes != 4 && bytes != 8 && bytes != COPY_BYTES_MAX)
        return warp_fault(w, in, WARP_FAULT_ILLEGAL_INSTRUCTION, bytes, WARP_LANES);
    for (unsigned l = 0; l < WARP_LANES; l++) {
        wanted[l] = read_bytes && read_bytes[l] < bytes ? read_bytes[l] : bytes;
        readers |= wanted[l] ? ops_lane_bit[l] : 0;
    }
    ops_addresses(w, in, in->a, to);
    memcpy(from, warp_at(w, in->b), sizeof(from));
    if (!ops_check(w, in, w->mask, &access, to))
        return WARP_STOP_FAULT;
    access = (struct ops_access){OPS_DEVICE, read_bytes ? 1 : bytes, bytes, false};
    if (!ops_check(w, in, w->mask & readers, &access, from))
        return WARP_STOP_FAULT;
    for (u32 m = w->mask; m; m &= m - 1) {
        const unsigned l = (unsigned)__builtin_ctz(m);
        u8 data[COPY_BYTES_MAX] = {0};

        if (wanted[l])
            memcpy(data, ops_host(from[l]), wanted[l]);
        memcpy(ops_host(to[l]), data, bytes);
    }
    return in + 1;
}

OPS_HANDLER(copy_all)
{
    return copy_async(w, in, NULL);
}

OPS_HANDLER(copy_part)
{
    return copy_async(w, in, OPS_VECTOR(const u32, w, in->ext[0]));
}

OPS_HANDLER(nothing)
{
    (void)w;
    return in + 1;
}

/* ---- mbarrier -------------------------------------------------------------------------------- */

enum { COUNT_BITS = 20, TX_SHIFT = 40, TX_BITS = 22 };
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define TX_MASK ((UINT64_C(1) << TX_BITS) - 1)
#define PHASE_BIT (UINT64_C(1) << 63)

static u64 pending_of(u64 word)
{
    return word & COUNT_MASK;
}
static u64 expected_of(u64 word)
{
    return word >> COUNT_BITS & COUNT_MASK;
}

/* Changes the counts; a phase that has neither arrivals nor bytes left ends, and the next starts.
 */
static u64 advance(u64 word, u64 arrivals, u64 dropped, s64 bytes, bool may_complete)
{
    const u64 pending = (pending_of(word) - arrivals) & COUNT_MASK;
    const u64 expected = (expected_of(word) - dropped) & COUNT_MASK;
    const u64 tx = ((word >> TX_SHIFT) + (u64)bytes) & TX_MASK;
    const u64 phase = word & PHASE_BIT;

    if (may_complete && pending == 0 && tx == 0)
        return (phase ^ PHASE_BIT) | expected << COUNT_BITS | expected;
    return phase | tx << TX_SHIFT | expected << COUNT_BITS | pending;
}

/* The barrier words of the active lanes. */
static bool barriers(struct warp *w, const struct warp_insn *in, u64 at[WARP_LANES],
                     enum ops_window window)
{
    return ops_resolve(w, in, in->a, window, sizeof(u64), true, at);
}

static u32 count_operand(const struct warp *w, u32 operand, unsigned lane)
{
    return operand == WARP_NO_OPERAND ? 1 : OPS_VECTOR(const u32, w, operand)[lane];
}

enum change {
    CHANGE_INIT,
    CHANGE_INVAL,
    CHANGE_ARRIVE,
    CHANGE_DROP,
    CHANGE_EXPECT,
    CHANGE_COMPLETE,
    CHANGE_ARRIVE_EXPECT,
    CHANGE_DROP_EXPECT,
    CHANGE_NO_COMPLETE,
    CHANGE_DROP_NO_COMPLETE,
    CHANGES
};

static u64 changed(u64 word, enum change change, u32 count)
{
    switch (change) {
    case CHANGE_INIT:
        return (u64)count << COUNT_BITS | count;
    case CHANGE_ARRIVE:
        return advance(word, count, 0, 0, true);
    case CHANGE_NO_COMPLETE:
        return advance(word, count, 0, 0, false);
    case CHANGE_DROP:
        return advance(word, count, count, 0, true);
    case CHANGE_DROP_NO_COMPLETE:
        return advance(word, count, count, 0, false);
    case CHANGE_EXPECT:
        return advance(word, 0, 0, count, false);
    case CHANGE_ARRIVE_EXPECT:
        return advance(word, 1, 0, count, true);
    case CHANGE_DROP_EXPECT:
        return advance(word, 1, 1, count, true);
    case CHANGE_COMPLETE:
        return advance(word, 0, 0, -(s64)count, true);
    case CHANGE_INVAL:
    case CHANGES:
        break;
    }
    return 0;
}

/* d: the state before the change, for test_wait; b: count or bytes, 1 if absent. */
static const struct warp_insn *change_barrier(struct warp *w, const struct warp_insn *in,
                                              enum change change, enum ops_window window)
{
    u64 *d = in->d == WARP_NO_OPERAND ? NULL : OPS_VECTOR(u64, w, in->d);
    u64 at[WARP_LANES];

    if (!barriers(w, in, at, window))
        return WARP_STOP_FAULT;
    for (u32 m = w->mask; m; m &= m - 1) {
        const unsigned l = (unsigned)__builtin_ctz(m);
        u64 *word = ops_host(at[l]);
        const u64 before = *word;

        *word = changed(before, change, count_operand(w, in->b, l));
        if (d)
            d[l] = before;
    }
    return in + 1;
}

/* d: has the phase ended that b names, by a state or by its parity? A false answer also ends the
 * warp's turn at the next back edge: somebody else must arrive. */
static const struct warp_insn *test_barrier(struct warp *w, const struct warp_insn *in,
                                            bool by_parity, enum ops_window window)
{
    u32 *d = OPS_AT(u32, w, in->d), bits = 0;
    u64 at[WARP_LANES];

    if (!barriers(w, in, at, window))
        return WARP_STOP_FAULT;
    for (u32 m = w->mask; m; m &= m - 1) {
        const unsigned l = (unsigned)__builtin_ctz(m);
        const u64 now = *(const u64 *)ops_host(at[l]) >> 63;
        const u64 then = by_parity ? OPS_VECTOR(const u32, w, in->b)[l] & 1
                                   : OPS_VECTOR(const u64, w, in->b)[l] >> 63;
        bits |= now != then ? ops_lane_bit[l] : 0;
    }
    *d = (*d & ~w->mask) | bits;
    if (bits != w->mask)
        w->budget = 0;
    return in + 1;
}

OPS_HANDLER(pending_count)
{
    u32 *d = OPS_VECTOR(u32, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);

    OPS_WRITE(u32, w, d, a[i] & COUNT_MASK);
    return in + 1;
}

#define BARRIER_FORM(name, call)                                                                   \
    OPS_HANDLER(name##_shared)                                                                     \
    {                                                                                              \
        const enum ops_window window = OPS_SHARED;                                                 \
        return call;                                                                               \
    }                                                                                              \
    OPS_HANDLER(name##_generic)                                                                    \
    {                                                                                              \
        const enum ops_window window = OPS_GENERIC;                                                \
        return call;                                                                               \
    }                                                                                              \
    static const warp_fn name##_forms[2] = {name##_shared, name##_generic};
BARRIER_FORM(init, change_barrier(w, in, CHANGE_INIT, window))
BARRIER_FORM(inval, change_barrier(w, in, CHANGE_INVAL, window))
BARRIER_FORM(arrive, change_barrier(w, in, CHANGE_ARRIVE, window))
BARRIER_FORM(drop, change_barrier(w, in, CHANGE_DROP, window))
BARRIER_FORM(expect, change_barrier(w, in, CHANGE_EXPECT, window))
BARRIER_FORM(complete, change_barrier(w, in, CHANGE_COMPLETE, window))
BARRIER_FORM(arrive_expect, change_barrier(w, in, CHANGE_ARRIVE_EXPECT, window))
BARRIER_FORM(drop_expect, change_barrier(w, in, CHANGE_DROP_EXPECT, window))
BARRIER_FORM(no_complete, change_barrier(w, in, CHANGE_NO_COMPLETE, window))
BARRIER_FORM(drop_no_complete, change_barrier(w, in, CHANGE_DROP_NO_COMPLETE, window))
BARRIER_FORM(test_state, test_barrier(w, in, false, window))
BARRIER_FORM(test_parity, test_barrier(w, in, true, window))

static warp_fn find_arrive(const struct ptx_op *op, unsigned generic)
{
    const bool drop = op->sub == PTX_SUB_ARRIVE_DROP;

    switch (op->flags) {
    case 0:
        return (drop ? drop_forms : arrive_forms)[generic];
    case PTX_F_EXPECT_TX:
        return (drop ? drop_expect_forms : arrive_expect_forms)[generic];
    case PTX_F_NOCOMPLETE:
        return (drop ? drop_no_complete_forms : no_complete_forms)[generic];
    default:
        return NULL;
    }
}

static warp_fn find_mbarrier(const struct ptx_op *op)
{
    const unsigned generic = op->space == PTX_SPACE_GENERIC;

    if (op->type != PTX_B64)
        return NULL;
    if (op->sub == PTX_SUB_ARRIVE || op->sub == PTX_SUB_ARRIVE_DROP)
        return find_arrive(op, generic);
    if (op->sub == PTX_SUB_TEST_WAIT || op->sub == PTX_SUB_TRY_WAIT)
        return op->flags == PTX_F_PARITY ? test_parity_forms[generic]
               : op->flags == 0          ? test_state_forms[generic]
                                         : NULL;
    if (op->flags)
        return NULL;
    switch (op->sub) {
    case PTX_SUB_INIT:
        return init_forms[generic];
    case PTX_SUB_INVAL:
        return inval_forms[generic];
    case PTX_SUB_EXPECT_TX:
        return expect_forms[generic];
    case PTX_SUB_COMPLETE_TX:
        return complete_forms[generic];
    case PTX_SUB_PENDING_COUNT:
        return pending_count;
    default:
        return NULL;
    }
}

warp_fn ops_find_async(const struct ptx_op *op, const struct warp_form *form)
{
    switch (op->family) {
    case PTX_CP_ASYNC:
        if (op->flags || !form)
            return NULL;
        return form->source_count == 4 ? copy_part : copy_all;
    case PTX_CP_ASYNC_COMMIT:
    case PTX_CP_ASYNC_WAIT:
    case PTX_CP_ASYNC_WAIT_ALL:
        return op->flags ? NULL : nothing;
    case PTX_CP_ASYNC_MBARRIER_ARRIVE:
        /* Without .noinc the arrival was first added to what is pending: nothing changes. */
        if (op->flags == PTX_F_NOINC)
            return arrive_forms[op->space == PTX_SPACE_GENERIC];
        return op->flags ? NULL : nothing;
    case PTX_MBARRIER:
        return find_mbarrier(op);
    default:
        return NULL;
    }
}
