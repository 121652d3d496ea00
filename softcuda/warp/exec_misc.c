/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_misc.c - special registers that change, trap, nanosleep; services for
 * handlers.
 */
#include <time.h>

#include "softcuda/ptx/ptx_op.h"
#include "softcuda/warp/exec_ops_int.h"
#include "softcuda/warp/launch_int.h"

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now); /* cannot fail for these clocks */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* %clock counts cycles of the modelled device. */
static uint64_t device_cycles(const struct warp_launch *launch)
{
    uint32_t khz = launch->env->clock_khz ? launch->env->clock_khz : 1000000;

    uint64_t ns = clock_ns(CLOCK_MONOTONIC);

    return ns / 1000000u * khz + ns % 1000000u * khz / 1000000u;
}

static uint64_t sreg_value(const struct warp_exec *x, enum ptx_sreg sreg)
{
    const struct warp_launch *launch = x->w.block->launch;
    uint32_t sm_count = launch->env->sm_count ? launch->env->sm_count : 1;

    switch ((int)sreg) {
    case PTX_SREG_SMID:
        return x->worker->index % sm_count;
    case PTX_SREG_CLOCK:
    case PTX_SREG_CLOCK64:
        return device_cycles(launch);
    case PTX_SREG_CLOCK_HI:
        return device_cycles(launch) >> 32;
    case PTX_SREG_GLOBALTIMER:
    case PTX_SREG_GLOBALTIMER_LO:
        return clock_ns(CLOCK_REALTIME);
    case PTX_SREG_GLOBALTIMER_HI:
        return clock_ns(CLOCK_REALTIME) >> 32;
    default: /* %pm: there are no monitors */
        return 0;
    }
}

const struct warp_insn *warp_op_sreg(struct warp *w, const struct warp_insn *in)
{
    uint64_t value = sreg_value(warp_exec_of(w), (enum ptx_sreg)in->imm);
    void *d = warp_at(w, in->d);

    for (uint32_t rest = w->mask; rest; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest);

        if (in->flags == 8)
            ((uint64_t *)d)[lane] = value;
        else if (in->flags == 4)
            ((uint32_t *)d)[lane] = (uint32_t)value;
        else
            ((uint16_t *)d)[lane] = (uint16_t)value;
    }
    return in + 1;
}

const struct warp_insn *warp_op_trap(struct warp *w, const struct warp_insn *in)
{
    return warp_fault(w, in, WARP_FAULT_TRAP, 0, WARP_LANES);
}

/* The turn ends at the next back edge: a loop that sleeps waits for somebody. */
const struct warp_insn *warp_op_nanosleep(struct warp *w, const struct warp_insn *in)
{
    w->budget = 0;
    return in + 1;
}

/* ---- services ---- */

static void thread_position(const struct warp *w, unsigned lane, uint32_t thread[3])
{
    const struct warp_launch *launch = w->block->launch;
    uint32_t index = w->warp_index * WARP_LANES;

    if (lane < WARP_LANES)
        index += lane;
    else if (w->mask)
        index += (uint32_t)__builtin_ctz(w->mask);
    thread[0] = index % launch->block[0];
    thread[1] = index / launch->block[0] % launch->block[1];
    thread[2] = index / launch->block[0] / launch->block[1];
}

const struct warp_insn *warp_fault(struct warp *w, const struct warp_insn *in,
                                   enum warp_fault_kind kind, uint64_t address, unsigned lane)
{
    struct warp_launch *launch = w->block->launch;
    struct warp_outcome outcome = {.failed = true,
                                   .kind = kind,
                                   .address = address,
                                   .line = in->line,
                                   .kernel = warp_program_name(launch->program)};

    for (unsigned i = 0; i < 3; i++)
        outcome.block[i] = w->block->ctaid[i];
    thread_position(w, lane, outcome.thread);
    warp_launch_fail(launch, &outcome);
    return WARP_STOP_FAULT;
}

static bool holds(const struct warp_range *range, uint64_t address, uint32_t bytes, bool write)
{
    return address >= range->lo && address < range->hi && range->hi - address >= bytes &&
           (range->can_write || !write);
}

/* Parameters and the grid barrier belong to the launch and not to the driver. */
static bool launch_range(const struct warp_launch *launch, uint64_t address,
                         struct warp_range *range_out)
{
    uint64_t params = (uint64_t)(uintptr_t)launch->params;
    uint64_t workspace = (uint64_t)(uintptr_t)launch->workspace;

    if (address - params < launch->program->info.param_bytes) {
        *range_out = (struct warp_range){
            .lo = params, .hi = params + launch->program->info.param_bytes, .can_write = false};
        return true;
    }
    if (launch->cooperative && address - workspace < WARP_WORKSPACE_BYTES) {
        *range_out = (struct warp_range){
            .lo = workspace, .hi = workspace + WARP_WORKSPACE_BYTES, .can_write = true};
        return true;
    }
    return false;
}

bool warp_range_find(struct warp *w, uint64_t address, uint32_t bytes, bool write,
                     struct warp_range *range_out)
{
    const struct warp_launch *launch = w->block->launch;
    struct warp_tlb *tlb = w->tlb;
    struct warp_range range;

    for (unsigned i = 0; i < WARP_TLB_ENTRIES; i++)
        if (holds(&tlb->entry[i], address, bytes, write)) {
            range = tlb->entry[i];
            for (; i > 0; i--)
                tlb->entry[i] = tlb->entry[i - 1];
            tlb->entry[0] = range;
            *range_out = range;
            return true;
        }
    if (!launch_range(launch, address, &range) &&
        !launch->env->find_range(launch->env->arg, address, &range))
        return false;
    if (!holds(&range, address, bytes, write))
        return false;
    for (unsigned i = WARP_TLB_ENTRIES - 1; i > 0; i--)
        tlb->entry[i] = tlb->entry[i - 1];
    tlb->entry[0] = range;
    *range_out = range;
    return true;
}
