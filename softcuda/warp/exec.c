/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec.c - one warp: which fragment runs, until when, and what becomes of it.
 *
 * Normally the fragment with the lowest pc runs and stops where the next one waits, so lanes that
 * split meet again. A back edge costs budget; a fragment that has used it lets the others go
 * first, and a warp whose fragments all have lets other warps go. So no lane starves, whatever
 * the others wait for.
 */
#include "softcuda/warp/exec_int.h"

#include <stdlib.h>
#include <string.h>

#include "softcuda/warp/launch_int.h"

/* ---- masks ---- */

#define NIBBLE(n)                                                                                  \
    {                                                                                              \
        (n) & 1 ? WARP_FULL : 0, (n)&2 ? WARP_FULL : 0, (n)&4 ? WARP_FULL : 0,                     \
            (n)&8 ? WARP_FULL : 0                                                                  \
    }

/* Four lanes at a time. */
static const uint32_t nibble_lanes[16][4] FAB_ALIGNED(64) = {
    NIBBLE(0), NIBBLE(1), NIBBLE(2),  NIBBLE(3),  NIBBLE(4),  NIBBLE(5),  NIBBLE(6),  NIBBLE(7),
    NIBBLE(8), NIBBLE(9), NIBBLE(10), NIBBLE(11), NIBBLE(12), NIBBLE(13), NIBBLE(14), NIBBLE(15),
};

void warp_set_mask(struct warp *w, uint32_t mask)
{
    w->mask = mask;
    if (FAB_LIKELY(mask == WARP_FULL)) {
        memset(w->lanes, 0xff, sizeof(w->lanes));
        return;
    }
    for (unsigned i = 0; i < WARP_LANES / 4; i++)
        memcpy(&w->lanes[(size_t)4 * i], nibble_lanes[mask >> (4 * i) & 15u],
               sizeof(nibble_lanes[0]));
}

uint32_t warp_first_lane_value(const struct warp *w, uint32_t operand)
{
    const uint32_t *lanes = warp_at(w, operand);

    return lanes[__builtin_ctz(w->mask)];
}

/* ---- fragments ---- */

static bool is_together(const struct warp_exec *x, const struct warp_fragment *fragment)
{
    return !(fragment->wanted & x->w.live & ~fragment->mask);
}

/* Lanes at the same place are one fragment, but those that wait there for certain lanes take in
 * none that they do not wait for: parts of a warp may use the same instruction each for itself. */
static bool can_merge(const struct warp_fragment *a, const struct warp_fragment *b)
{
    bool a_parked = a->state == WARP_FRAGMENT_PARKED, b_parked = b->state == WARP_FRAGMENT_PARKED;

    if (a->pc != b->pc || (a->state != WARP_FRAGMENT_RUN && !a_parked) ||
        (b->state != WARP_FRAGMENT_RUN && !b_parked))
        return false;
    return (!a_parked && !b_parked) || (a->wanted & b->mask) || (b->wanted & a->mask);
}

static void merge(const struct warp_exec *x, struct warp_fragment *into,
                  const struct warp_fragment *from)
{
    bool parked = into->state == WARP_FRAGMENT_PARKED && from->state == WARP_FRAGMENT_PARKED;

    into->mask |= from->mask;
    into->wanted |= from->wanted;
    into->yielded = into->yielded && from->yielded;
    into->forced = into->forced || from->forced;
    into->state = parked && !is_together(x, into) ? WARP_FRAGMENT_PARKED : WARP_FRAGMENT_RUN;
}

/* Puts a fragment into the frame's list; one that stands at the same place takes it in. */
void warp_push(struct warp_exec *x, struct warp_frame *frame, struct warp_fragment fragment)
{
    for (uint32_t i = 0; i < frame->count; i++)
        if (can_merge(&frame->fragment[i], &fragment)) {
            merge(x, &frame->fragment[i], &fragment);
            return;
        }
    frame->fragment[frame->count++] = fragment;
    x->waiting++;
}

static struct warp_fragment take(struct warp_exec *x, struct warp_frame *frame, uint32_t index)
{
    struct warp_fragment fragment = frame->fragment[index];

    frame->fragment[index] = frame->fragment[--frame->count];
    x->waiting--;
    return fragment;
}

static uint64_t next_random(struct warp_exec *x)
{
    x->random ^= x->random << 13;
    x->random ^= x->random >> 7;
    x->random ^= x->random << 17;
    return x->random;
}

static bool is_eligible(const struct warp_fragment *fragment)
{
    return fragment->state == WARP_FRAGMENT_RUN && !fragment->yielded;
}

/* By the policy's order; frame->count if none can run. */
static uint32_t choose(struct warp_exec *x, const struct warp_frame *frame)
{
    enum warp_order order = x->w.block->launch->pool->policy.order;
    uint32_t best = frame->count, seen = 0;

    for (uint32_t i = 0; i < frame->count; i++) {
        const struct warp_fragment *fragment = &frame->fragment[i];

        if (!is_eligible(fragment))
            continue;
        seen++;
        if (best == frame->count ||
            (order == WARP_ORDER_MIN_PC && fragment->pc < frame->fragment[best].pc) ||
            (order == WARP_ORDER_MAX_PC && fragment->pc > frame->fragment[best].pc) ||
            (order == WARP_ORDER_RANDOM && next_random(x) % seen == 0))
            best = i;
    }
    return best;
}

/* The nearest place ahead where another fragment of the frame waits to be met. */
static const struct warp_insn *stop_after(const struct warp_frame *frame,
                                          const struct warp_insn *pc)
{
    const struct warp_insn *stop = WARP_NO_STOP;

    for (uint32_t i = 0; i < frame->count; i++) {
        const struct warp_fragment *fragment = &frame->fragment[i];

        if ((fragment->state == WARP_FRAGMENT_RUN || fragment->state == WARP_FRAGMENT_PARKED) &&
            fragment->pc > pc && fragment->pc < stop)
            stop = fragment->pc;
    }
    return stop;
}

static void enter(struct warp_exec *x, struct warp_frame *frame, const struct warp_insn *pc,
                  uint32_t mask)
{
    x->frame = frame;
    x->w.base[WARP_BASE_FRAME] = frame->regs;
    x->pc = pc;
    if (x->w.mask != mask)
        warp_set_mask(&x->w, mask);
}

/* A warp in one piece, the common case. Reads the fields one by one: a copy of the whole record
 * would wait for the stores that have just made it. */
static void start_only_fragment(struct warp_exec *x)
{
    const struct warp_fragment *fragment = &x->root.fragment[0];

    x->root.count = 0;
    x->waiting = 0;
    x->forced = fragment->forced ? fragment->pc : NULL;
    x->stop = WARP_NO_STOP;
    enter(x, &x->root, fragment->pc, fragment->mask);
}

static void start_fragment(struct warp_exec *x, struct warp_frame *frame, uint32_t index)
{
    struct warp_fragment fragment = take(x, frame, index);

    for (uint32_t i = 0; i < frame->count;) {
        if (can_merge(&fragment, &frame->fragment[i])) {
            struct warp_fragment other = take(x, frame, i);

            merge(x, &fragment, &other);
        } else {
            i++;
        }
    }
    x->forced = fragment.forced ? fragment.pc : NULL;
    x->stop = stop_after(frame, fragment.pc);
    enter(x, frame, fragment.pc, fragment.mask);
}

enum select_result { SELECT_RUN, SELECT_YIELD, SELECT_NONE };

static enum select_result select_fragment(struct warp_exec *x)
{
    bool any = false;

    if (x->waiting == 0)
        return SELECT_NONE;
    if (x->waiting == 1 && x->root.count == 1 && is_eligible(&x->root.fragment[0])) {
        start_only_fragment(x);
        return SELECT_RUN;
    }
    for (struct warp_frame *frame = x->frames; frame; frame = frame->next) {
        uint32_t index = choose(x, frame);

        if (index < frame->count) {
            start_fragment(x, frame, index);
            return SELECT_RUN;
        }
    }
    for (struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++) {
            any = any || frame->fragment[i].yielded;
            frame->fragment[i].yielded = false;
        }
    return any ? SELECT_YIELD : SELECT_NONE;
}

/* ---- the loop ---- */

static void refill(struct warp_exec *x)
{
    const struct warp_pool *pool = x->w.block->launch->pool;

    if (x->w.budget <= 0)
        x->w.budget = pool->budget_full - 1;
    if (x->split_budget < 0)
        x->split_budget = pool->budget_split - 1;
}

static bool must_stop(const struct warp_exec *x)
{
    return atomic_load_explicit(&x->w.block->launch->stop, memory_order_relaxed);
}

enum warp_run_result warp_exec_run(struct warp_exec *x)
{
    for (;;) {
        enum select_result selected = select_fragment(x);
        const struct warp_insn *in;

        if (selected == SELECT_YIELD) {
            refill(x);
            return must_stop(x) ? WARP_RUN_STOPPED : WARP_RUN_YIELDED;
        }
        if (selected == SELECT_NONE)
            return x->w.live ? WARP_RUN_BLOCKED : WARP_RUN_DONE;
        in = x->pc;
        do {
            x->pc = in;
            in = in->fn(&x->w, in);
        } while (in < x->stop);
        if (in == WARP_STOP_FAULT)
            return WARP_RUN_STOPPED;
        if (in == WARP_STOP_YIELD) {
            warp_push(x, x->frame,
                      (struct warp_fragment){.pc = x->resume, .mask = x->w.mask, .yielded = true});
            refill(x);
            if (must_stop(x))
                return WARP_RUN_STOPPED;
        } else if (in < WARP_NO_STOP) {
            warp_push(x, x->frame, (struct warp_fragment){.pc = in, .mask = x->w.mask});
        } /* else PARK, EXIT: the handler has put the lanes where they belong */
    }
}

/* ---- lanes that must be together ---- */

/* The members go on alone; the other lanes here have masks of their own and come next. */
static void narrow(struct warp_exec *x, const struct warp_insn *in, uint32_t members)
{
    uint32_t here = x->w.mask & members, rest = x->w.mask & ~members;

    if (here == 0 || rest == 0)
        return; /* lanes outside of their own mask: undefined, they may go on */
    warp_set_mask(&x->w, here);
    warp_push(x, x->frame, (struct warp_fragment){.pc = in, .mask = rest});
    if (in + 1 < x->stop)
        x->stop = in + 1;
}

bool warp_collect(struct warp *w, const struct warp_insn *in, uint32_t members)
{
    struct warp_exec *x = warp_exec_of(w);

    if (FAB_LIKELY(members == w->mask))
        return true;
    if (!(members & w->live & ~w->mask) || !(members & w->mask)) {
        narrow(x, in, members);
        return true;
    }
    if (x->forced == in) {
        x->forced = NULL;
        narrow(x, in, members);
        return true;
    }
    narrow(x, in, members);
    warp_push(x, x->frame,
              (struct warp_fragment){
                  .pc = in, .mask = w->mask, .wanted = members, .state = WARP_FRAGMENT_PARKED});
    return false;
}

/* Nothing else can run: the parked fragment with the lowest pc goes on without the missing lanes.
 * False if no fragment is parked. */
bool warp_force_progress(struct warp_exec *x)
{
    struct warp_fragment *best = NULL;

    for (struct warp_frame *frame = x->frames; frame; frame = frame->next)
        for (uint32_t i = 0; i < frame->count; i++) {
            struct warp_fragment *fragment = &frame->fragment[i];

            if ((fragment->state == WARP_FRAGMENT_PARKED ||
                 fragment->state == WARP_FRAGMENT_SYNC) &&
                (!best || fragment->pc < best->pc))
                best = fragment;
        }
    if (!best)
        return false;
    if (best->state == WARP_FRAGMENT_SYNC)
        best->pc++;
    else
        best->forced = true;
    best->state = WARP_FRAGMENT_RUN;
    best->wanted = 0;
    return true;
}

/* ---- frames ---- */

void warp_frame_leave(struct warp_exec *x, struct warp_frame *frame)
{
    while (frame->parent && frame->count == 0 && frame->children == 0) {
        struct warp_frame **link = &x->frames, *parent = frame->parent;

        while (*link != frame)
            link = &(*link)->next;
        *link = frame->next;
        parent->children--;
        free(frame);
        frame = parent;
    }
}

static uint32_t first_mask(const struct warp_launch *launch, uint32_t warp_index)
{
    uint32_t left = launch->threads - warp_index * WARP_LANES;

    return left >= WARP_LANES ? WARP_FULL : (UINT32_C(1) << left) - 1;
}

void warp_exec_init(struct warp_exec *x, struct warp_run *run, uint32_t warp_index)
{
    struct warp_launch *launch = run->b.launch;
    const struct warp_program *program = launch->program;
    const struct warp_policy *policy = &launch->pool->policy;
    uint32_t mask = first_mask(launch, warp_index);

    x->w.base[WARP_BASE_FRAME] = x->buffer->data;
    x->w.base[WARP_BASE_CONST] = (uint8_t *)(uintptr_t)program->consts;
    x->w.base[WARP_BASE_SHAPE] = launch->shapes + (size_t)warp_index * program->shape_bytes;
    x->w.base[WARP_BASE_BLOCK] = run->page;
    x->w.live = mask; /* mask and lanes stay as they are, together, until a fragment starts */
    x->w.budget = launch->pool->budget_full - 1;
    x->w.warp_index = warp_index;
    x->w.block = &run->b;
    x->w.local = x->buffer->data + program->code->frame_bytes;
    x->w.local_stride = launch->local_stride;
    x->w.carry = 0;
    x->split_budget = launch->pool->budget_split - 1;
    x->random = policy->seed * 2 + 1 + ((uint64_t)warp_index << 32);
    x->forced = NULL;
    x->frames = &x->root;
    x->waiting = 1;
    x->root.next = x->root.parent = NULL;
    x->root.code = program->code;
    x->root.regs = x->buffer->data;
    x->root.local_base = 0;
    x->root.depth = x->root.children = 0;
    x->root.count = 1;
    x->root.fragment[0] = (struct warp_fragment){.pc = program->code->insns, .mask = mask};
    x->state = WARP_STATE_READY;
}

void warp_exec_fini(struct warp_exec *x)
{
    while (x->frames && x->frames != &x->root) {
        struct warp_frame *next = x->frames->next;

        free(x->frames);
        x->frames = next;
    }
}
