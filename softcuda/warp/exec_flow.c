/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_flow.c - branches, calls, returns and exits.
 */
#include "softcuda/warp/exec_int.h"

#include <stdlib.h>
#include <string.h>

#include "softcuda/warp/exec_ops_int.h"
#include "softcuda/warp/launch_int.h"

enum {
    CALL_DEPTH_MAX = 1 << 14,
    LOCAL_ALIGN = 16,
    POISON = 0xcb,
};

/* ---- branches ---- */

/* The running fragment goes to `target`; a back edge may end its turn. */
static inline const struct warp_insn *jump(struct warp_exec *x, const struct warp_insn *in,
                                           const struct warp_insn *target)
{
    if (in->spare == 0)
        return target;
    x->w.budget -= (int32_t)(in->spare & 0xffffu);
    if (x->waiting)
        x->split_budget -= (int32_t)(in->spare >> 16 & 0x7fffu);
    if (FAB_LIKELY((x->w.budget | x->split_budget) >= 0))
        return target;
    if (in->spare & WARP_MAY_WAIT)
        warp_run_of(&x->w)->may_wait = true;
    x->resume = target;
    return WARP_STOP_YIELD;
}

const struct warp_insn *warp_op_bra(struct warp *w, const struct warp_insn *in)
{
    (void)w;
    return in->target;
}

const struct warp_insn *warp_op_bra_back(struct warp *w, const struct warp_insn *in)
{
    return jump(warp_exec_of(w), in, in->target);
}

/* Some lanes jump, some do not. The lower pc goes on, the other waits in the list. */
static const struct warp_insn *split(struct warp_exec *x, const struct warp_insn *in,
                                     uint32_t taken)
{
    uint32_t rest = x->w.mask & ~taken;
    bool back = in->target <= in;
    struct warp_fragment jumps = {.pc = in->target, .mask = taken};
    struct warp_fragment falls = {.pc = in + 1, .mask = rest};

    if (x->w.block->launch->pool->policy.order != WARP_ORDER_MIN_PC) {
        x->w.budget -= (int32_t)(in->spare & 0xffffu);
        jumps.yielded = back && x->w.budget < 0;
        if (jumps.yielded && (in->spare & WARP_MAY_WAIT))
            warp_run_of(&x->w)->may_wait = true;
        warp_push(x, x->frame, jumps);
        warp_push(x, x->frame, falls);
        return WARP_STOP_EXIT;
    }
    if (back) {
        warp_push(x, x->frame, falls);
        warp_set_mask(&x->w, taken);
        if (falls.pc < x->stop)
            x->stop = falls.pc;
        return jump(x, in, in->target);
    }
    warp_push(x, x->frame, jumps);
    warp_set_mask(&x->w, rest);
    if (jumps.pc < x->stop)
        x->stop = jumps.pc;
    return in + 1;
}

static inline const struct warp_insn *branch(struct warp *w, const struct warp_insn *in,
                                             uint32_t taken)
{
    if (taken == 0)
        return in + 1;
    if (taken == w->mask)
        return jump(warp_exec_of(w), in, in->target);
    return split(warp_exec_of(w), in, taken);
}

const struct warp_insn *warp_op_bra_if(struct warp *w, const struct warp_insn *in)
{
    return branch(w, in, w->mask & *(const uint32_t *)warp_at(w, in->a));
}

const struct warp_insn *warp_op_bra_unless(struct warp *w, const struct warp_insn *in)
{
    return branch(w, in, w->mask & ~*(const uint32_t *)warp_at(w, in->a));
}

const struct warp_insn *warp_op_switch(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    const struct warp_switch *to = in->aux;
    const uint32_t *index = warp_at(w, in->a);
    uint32_t rest = w->mask;
    bool yields;

    w->budget -= (int32_t)(in->spare & 0xffffu);
    yields = w->budget < 0;
    if (yields)
        warp_run_of(w)->may_wait = true;
    while (rest) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest), same = 0;

        if (index[lane] >= to->target_count)
            return warp_fault(w, in, WARP_FAULT_ILLEGAL_INSTRUCTION, index[lane], lane);
        for (uint32_t i = lane; i < WARP_LANES; i++)
            if (rest >> i & 1u && index[i] == index[lane])
                same |= UINT32_C(1) << i;
        if (same == w->mask)
            return jump(x, in, to->targets[index[lane]]);
        warp_push(x, x->frame,
                  (struct warp_fragment){
                      .pc = to->targets[index[lane]], .mask = same, .yielded = yields});
        rest &= ~same;
    }
    return WARP_STOP_EXIT;
}

/* ---- the end of lanes ---- */

const struct warp_insn *warp_op_exit(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    struct warp_run *run = warp_run_of(w);

    (void)in;
    w->live &= ~w->mask;
    run->live_threads -= (uint32_t)__builtin_popcount(w->mask);
    warp_frame_leave(x, x->frame);
    if (x->waiting)
        warp_sync_retest(x);
    if (run->barriers_used)
        warp_barrier_retest(run);
    return WARP_STOP_EXIT;
}

/* ---- calls ---- */

/* The local memory of one lane at an offset of a frame. */
static uint8_t *local_at(const struct warp *w, uint64_t base, uint32_t offset, uint32_t lane)
{
    return w->local + lane * w->local_stride + base + offset;
}

static void copy_lanes(struct warp *w, const struct warp_copy *copy,
                       const struct warp_frame *caller, const struct warp_frame *callee,
                       bool to_callee)
{
    /* Registers of the caller; constants and pages are reached by their own base. */
    uint8_t *saved = w->base[WARP_BASE_FRAME];
    uint8_t *slot = NULL;

    w->base[WARP_BASE_FRAME] = caller->regs;
    if (copy->operand != WARP_NO_OPERAND)
        slot = warp_at(w, copy->operand);
    w->base[WARP_BASE_FRAME] = saved;
    for (uint32_t rest = w->mask; rest; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest);
        uint8_t *there = local_at(w, callee->local_base, copy->callee_offset, lane);
        uint8_t *here = slot ? slot + (size_t)lane * copy->width
                             : local_at(w, caller->local_base, copy->caller_offset, lane);

        if (to_callee)
            memcpy(there, here, copy->bytes);
        else
            memcpy(here, there, copy->bytes);
    }
}

static struct warp_frame *frame_create(struct warp_exec *x, const struct warp_code *code,
                                       const struct warp_insn *call)
{
    struct warp_frame *caller = x->frame, *frame;
    size_t header = (sizeof(*frame) + 63) & ~(size_t)63;

    frame = aligned_alloc(64, header + code->frame_bytes);
    if (!frame)
        return NULL;
    frame->parent = caller;
    frame->code = code;
    frame->call = call;
    frame->regs = (uint8_t *)frame + header;
    frame->local_base = (caller->local_base + caller->code->local_bytes + LOCAL_ALIGN - 1) &
                        ~(uint64_t)(LOCAL_ALIGN - 1);
    frame->depth = caller->depth + 1;
    frame->children = frame->count = 0;
    if (x->w.block->launch->pool->policy.poison)
        memset(frame->regs, POISON, code->frame_bytes);
    frame->next = x->frames;
    x->frames = frame;
    caller->children++;
    return frame;
}

const struct warp_insn *warp_op_call(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    const struct warp_call *call = in->aux;
    struct warp_frame *caller = x->frame, *frame = NULL;
    uint64_t *base;

    if (caller->depth < CALL_DEPTH_MAX)
        frame = frame_create(x, call->callee, in);
    if (!frame || frame->local_base + call->callee->local_bytes > w->local_stride)
        return warp_fault(w, in, WARP_FAULT_STACK, 0, WARP_LANES);
    base = (uint64_t *)(void *)(frame->regs + call->callee->frame_offset);
    for (uint32_t lane = 0; lane < WARP_LANES; lane++)
        base[lane] = frame->local_base;
    for (uint32_t i = 0; i < call->arg_count; i++)
        copy_lanes(w, &call->args[i], caller, frame, /* to_callee */ true);
    warp_push(x, frame, (struct warp_fragment){.pc = call->callee->insns, .mask = w->mask});
    return WARP_STOP_EXIT;
}

const struct warp_insn *warp_op_ret(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    struct warp_frame *frame = x->frame;
    const struct warp_call *call = frame->call->aux;

    (void)in;
    for (uint32_t i = 0; i < call->ret_count; i++)
        copy_lanes(w, &call->rets[i], frame->parent, frame, /* to_callee */ false);
    warp_push(x, frame->parent, (struct warp_fragment){.pc = frame->call + 1, .mask = w->mask});
    warp_frame_leave(x, frame);
    return WARP_STOP_EXIT;
}
