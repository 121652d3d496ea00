/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_barrier.c - barriers of a block and of a warp.
 *
 * Arrival counts lanes, not warps: lanes of one warp may come from different places and at
 * different times. Source: PTX ISA 9.0, "bar", "barrier", "bar.warp.sync".
 */
#include "softcuda/warp/exec_int.h"

#include "softcuda/ptx/ptx_op.h"
#include "softcuda/warp/exec_ops_int.h"

/* ---- block ---- */

static void write_result(struct warp_frame *frame, const struct warp_fragment *fragment,
                         const struct warp_barrier *barrier)
{
    const struct warp_insn *in = fragment->pc;
    uint32_t *d;

    if (in->d == WARP_NO_OPERAND)
        return;
    d = (uint32_t *)(void *)(frame->regs + (in->d >> 2));
    if (in->imm == PTX_SUB_POPC) {
        for (uint32_t rest = fragment->mask; rest; rest &= rest - 1)
            d[__builtin_ctz(rest)] = barrier->count;
    } else {
        bool result =
            in->imm == PTX_SUB_AND ? barrier->count == barrier->votes : barrier->count > 0;

        *d = (*d & ~fragment->mask) | (result ? fragment->mask : 0);
    }
}

static void release_warp(struct warp_exec *x, uint32_t id, const struct warp_barrier *barrier)
{
    for (struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++) {
            struct warp_fragment *fragment = &frame->fragment[i];

            if (fragment->state != WARP_FRAGMENT_BARRIER || fragment->barrier != id)
                continue;
            write_result(frame, fragment, barrier);
            fragment->state = WARP_FRAGMENT_RUN;
            fragment->pc++;
            if (x->state == WARP_STATE_WAIT)
                x->state = WARP_STATE_READY;
        }
}

static void release_if_complete(struct warp_run *run, uint32_t id)
{
    struct warp_barrier *barrier = &run->barrier[id];
    uint32_t expected = barrier->expected ? barrier->expected : run->live_threads;

    if (barrier->arrived == 0 || barrier->arrived < expected)
        return;
    for (uint32_t i = 0; i < run->warp_count; i++)
        if (run->warps[i].state == WARP_STATE_READY || run->warps[i].state == WARP_STATE_WAIT)
            release_warp(&run->warps[i], id, barrier);
    *barrier = (struct warp_barrier){.arrived = 0};
    run->barriers_used &= ~(UINT32_C(1) << id);
}

void warp_barrier_retest(struct warp_run *run)
{
    for (uint32_t rest = run->barriers_used; rest; rest &= rest - 1) {
        uint32_t id = (uint32_t)__builtin_ctz(rest);

        if (run->barrier[id].expected == 0)
            release_if_complete(run, id);
    }
}

const struct warp_insn *warp_op_barrier(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    struct warp_run *run = warp_run_of(w);
    uint32_t id = warp_first_lane_value(w, in->a);
    uint32_t threads = in->b == WARP_NO_OPERAND ? 0 : warp_first_lane_value(w, in->b);
    struct warp_barrier *barrier;

    if (id >= WARP_BARRIERS)
        return warp_fault(w, in, WARP_FAULT_ILLEGAL_INSTRUCTION, id, WARP_LANES);
    barrier = &run->barrier[id];
    barrier->arrived += (uint32_t)__builtin_popcount(w->mask);
    barrier->expected = threads;
    run->barriers_used |= UINT32_C(1) << id;
    if (in->c != WARP_NO_OPERAND) {
        uint32_t votes = w->mask & *(const uint32_t *)warp_at(w, in->c);

        barrier->votes += (uint32_t)__builtin_popcount(w->mask);
        barrier->count += (uint32_t)__builtin_popcount(votes);
    }
    if (in->imm == PTX_SUB_ARRIVE)
        warp_push(x, x->frame, (struct warp_fragment){.pc = in + 1, .mask = w->mask});
    else
        warp_push(
            x, x->frame,
            (struct warp_fragment){
                .pc = in, .mask = w->mask, .state = WARP_FRAGMENT_BARRIER, .barrier = (uint8_t)id});
    release_if_complete(run, id);
    return WARP_STOP_EXIT;
}

/* ---- warp ---- */

/* Lanes that wait in bar.warp.sync with this member mask, wherever they stand. */
static uint32_t sync_lanes(const struct warp_exec *x, uint32_t wanted)
{
    uint32_t lanes = 0;

    for (const struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++)
            if (frame->fragment[i].state == WARP_FRAGMENT_SYNC &&
                frame->fragment[i].wanted == wanted)
                lanes |= frame->fragment[i].mask;
    return lanes;
}

static void sync_release(struct warp_exec *x, uint32_t wanted)
{
    for (struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++)
            if (frame->fragment[i].state == WARP_FRAGMENT_SYNC &&
                frame->fragment[i].wanted == wanted) {
                frame->fragment[i].state = WARP_FRAGMENT_RUN;
                frame->fragment[i].wanted = 0;
                frame->fragment[i].pc++;
            }
}

void warp_sync_retest(struct warp_exec *x)
{
    for (struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++) {
            struct warp_fragment *fragment = &frame->fragment[i];
            uint32_t wanted = fragment->wanted;

            if (fragment->state == WARP_FRAGMENT_PARKED && !(wanted & x->w.live & ~fragment->mask))
                fragment->state = WARP_FRAGMENT_RUN;
            else if (fragment->state == WARP_FRAGMENT_SYNC &&
                     !(wanted & x->w.live & ~sync_lanes(x, wanted)))
                sync_release(x, wanted);
        }
}

const struct warp_insn *warp_op_warp_sync(struct warp *w, const struct warp_insn *in)
{
    struct warp_exec *x = warp_exec_of(w);
    uint32_t wanted = warp_first_lane_value(w, in->a);

    if (!(wanted & w->live & ~w->mask))
        return in + 1;
    warp_push(x, x->frame,
              (struct warp_fragment){
                  .pc = in, .mask = w->mask, .wanted = wanted, .state = WARP_FRAGMENT_SYNC});
    warp_sync_retest(x);
    return WARP_STOP_EXIT;
}
