/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_ops_int.h - the handlers that the scheduler itself provides.
 *
 * Control flow, barriers, calls and special registers that change. The lowering puts them into
 * instructions by name; all others come from the instruction set's table (ops/ops.h).
 */
#ifndef SOFTCUDA_WARP_EXEC_OPS_INT_H
#define SOFTCUDA_WARP_EXEC_OPS_INT_H

#include "softcuda/warp/warp_int.h"

/* exec_flow.c. Branches: target; a: predicate; spare: what a back edge costs (warp_branch_cost). */
const struct warp_insn *warp_op_bra(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_bra_back(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_bra_if(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_bra_unless(struct warp *w, const struct warp_insn *in);
/* a: index; aux: struct warp_switch; spare: cost as if all targets were back edges. */
const struct warp_insn *warp_op_switch(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_exit(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_call(struct warp *w, const struct warp_insn *in); /* aux: call */
const struct warp_insn *warp_op_ret(struct warp *w, const struct warp_insn *in);

/* A back edge takes `cost` from the warp's budget and `split` from that of a split warp: 0 for
 * loops that touch no memory (nobody can wait for them), more for loops that look like spinning.
 * WARP_MAY_WAIT: the loop may wait for another block. */
#define WARP_MAY_WAIT (UINT32_C(1) << 31)
static inline uint32_t warp_branch_cost(uint32_t cost, uint32_t split)
{
    return cost | split << 16;
}

/* exec_barrier.c. barrier: d: result of red; a: id; b: threads; c: predicate; imm: enum ptx_sub
 * (SYNC, ARRIVE; AND, OR, POPC for red). warp_sync: a: members. */
const struct warp_insn *warp_op_barrier(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_warp_sync(struct warp *w, const struct warp_insn *in);

/* exec_misc.c. sreg: imm: enum ptx_sreg, flags: width of d in bytes. */
const struct warp_insn *warp_op_sreg(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_trap(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_nanosleep(struct warp *w, const struct warp_insn *in);

/* exec_group.c: loads of .shared from the address in a; aux: struct warp_group. */
const struct warp_insn *warp_op_load_group(struct warp *w, const struct warp_insn *in);
warp_fn warp_load_group_for(const char *isa); /* the same, for an instruction set */

/* exec_chain.c: fma after fma; c: first addend; d: last result; aux: struct warp_chain. NULL when
 * the instruction set has no fused multiply-add. */
warp_fn warp_fma_chain_for(const char *isa);

/* devrt.c: built-in functions; aux: struct warp_call. */
const struct warp_insn *warp_op_vprintf(struct warp *w, const struct warp_insn *in);
const struct warp_insn *warp_op_assertfail(struct warp *w, const struct warp_insn *in);

#endif /* SOFTCUDA_WARP_EXEC_OPS_INT_H */
