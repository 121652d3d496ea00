/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/warp_int.h - what the scheduler (warp/) and the instruction handlers (warp/ops/)
 * share: operands, instructions, and the state of a warp and a block while they run.
 *
 * A warp is 32 lanes. Every register is a vector of 32 lane values in the warp's frame; every
 * handler executes one instruction for all active lanes and writes active lanes only. All state
 * is on the heap and nothing lies on a C stack, so that a block can stop between any two
 * instructions and go on later, on another thread. Thread: the worker that runs the block.
 */
#ifndef SOFTCUDA_WARP_WARP_INT_H
#define SOFTCUDA_WARP_WARP_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "softcuda/ptx/ptx_op.h"

struct warp;
struct warp_block;
struct warp_launch;
struct warp_program;

enum {
    WARP_LANES = 32,
    WARP_BARRIERS = 16,      /* per block, PTX ISA "bar" */
    WARP_FRAGMENTS_MAX = 32, /* per call frame: one a lane */
};
#define WARP_FULL UINT32_C(0xffffffff)

/* ---- operands ---------------------------------------------------------------------------
 *
 * An operand is (byte offset << 2) | base. Its storage, by width:
 *   predicate  one u32 lane mask (bit l = lane l)
 *   8/16-bit   u16[32], 64 bytes (8-bit values live in 16-bit registers)
 *   32-bit     u32[32], 128 bytes
 *   64-bit     u64[32], 256 bytes
 *   128-bit    two consecutive u64[32]: all low halves, then all high halves
 * all aligned to 64 bytes except predicates (4). Constants and uniform values are stored
 * broadcast to 32 lanes, so that a handler need not know where an operand lives. */
enum warp_base {
    WARP_BASE_FRAME, /* the warp's registers; the only one that handlers in a warp write */
    WARP_BASE_CONST, /* the program's constants: uniform, read only */
    WARP_BASE_SHAPE, /* tid and kin of this warp index: built once per launch */
    WARP_BASE_BLOCK, /* launch- and block-uniform values: parameters, ctaid, hoisted results */
    WARP_BASE_COUNT,
};
#define WARP_NO_OPERAND UINT32_C(0xffffffff)

static inline uint32_t warp_operand(enum warp_base base, uint32_t offset)
{
    return (offset << 2) | (uint32_t)base;
}

/* ---- instructions ------------------------------------------------------------------------ */

struct warp_insn;
/* Returns the next instruction (in + 1, or a branch target) or a WARP_STOP_* sentinel. */
typedef const struct warp_insn *(*warp_fn)(struct warp *w, const struct warp_insn *in);

/* How operands are laid out (the lowering in warp/lower*.c obeys, the handlers rely on it):
 *   first destination -> d, second (shfl d|p, setp p|q) -> e, absent or '_' = WARP_NO_OPERAND;
 *   sources in textual order -> a, b, c, then ext[0], ext[1], ...; absent = WARP_NO_OPERAND.
 *   Negated predicate sources (setp's c, selp never): bit 0 of `flags` for the last source.
 *   ld/st/atom/red/cp.async/mbarrier...: the address register is the source at its textual place
 *     (a 64-bit operand; 32-bit when WARP_I_ADDR32 is set; WARP_NO_OPERAND when the address is the
 *     constant in imm alone) and imm is the byte offset to add. Variables are resolved before:
 *     .shared and .local symbols to offsets in their window, .global/.const to host addresses.
 *   ld.vN: d and ext[0..N-2] are the destinations. st.vN: the address is a, the values are b and
 *     ext[0..N-2]. mov.b64 {x,y}, r and kin: destinations d, ext[..]; mov r, {x,y}: sources a, b,
 * c, ext. lop3 table, prmt and bfe/bfi constants: ordinary constant operands; lop3's table also in
 * imm. */
struct warp_insn {
    warp_fn fn;
    uint32_t d, e, a, b, c;
    uint32_t line; /* in the PTX text */
    int64_t imm;
    union {
        const struct warp_insn *target; /* bra: where to */
        const uint32_t *ext;            /* further operands, see above */
        const void *aux;                /* call, brx, bar: their own records */
    };
    uint32_t flags; /* enum warp_insn_flag */
    uint32_t spare;
} FAB_ALIGNED(64); /* one cache line an instruction */

enum warp_insn_flag {
    WARP_I_NEGATE_LAST = 1u << 0, /* the last predicate source is negated */
    WARP_I_ADDR32 = 1u << 1,      /* the address operand is 32 bits wide */
};

/* Sentinels: addresses above every instruction, so that `in < stop` ends the inner loop. */
#define WARP_STOP_YIELD ((const struct warp_insn *)UINTPTR_MAX) /* budget is used up */
#define WARP_STOP_PARK ((const struct warp_insn *)(UINTPTR_MAX - 64))
#define WARP_STOP_EXIT ((const struct warp_insn *)(UINTPTR_MAX - 128)) /* no lane left here */
#define WARP_STOP_FAULT                                                                            \
    ((const struct warp_insn *)(UINTPTR_MAX - 192)) /* warp_fault() was called */

/* ---- what the launching driver gives ------------------------------------------------------ */

struct warp_range {
    uint64_t lo, hi; /* valid bytes [lo, hi): host addresses */
    bool can_write;
};

/* ---- run-time state ------------------------------------------------------------------------ */

enum { WARP_TLB_ENTRIES = 4 };

/* The last ranges a worker hit, most recent first. Emptied when a worker changes its launch. */
struct warp_tlb {
    struct warp_range entry[WARP_TLB_ENTRIES];
};

/* The part of a warp that handlers see. The scheduler's own fields follow in warp/exec_int.h
 * (struct warp is embedded first there). */
struct warp {
    uint8_t *base[WARP_BASE_COUNT];
    uint32_t mask; /* active lanes: never 0 while a handler runs */
    uint32_t live; /* lanes that have not exited */
    /* Back edges left before this warp must yield. A handler that waits for somebody (mbarrier
     * try_wait) sets 0 and goes on: the next back edge then ends the turn. */
    int32_t budget;
    uint32_t warp_index;                        /* in its block */
    FAB_ALIGNED(64) uint32_t lanes[WARP_LANES]; /* `mask` as 0 / ~0 per lane, for blending */
    struct warp_block *block;
    struct warp_tlb *tlb;  /* the running worker's */
    uint8_t *local;        /* lane l's .local window is local + l * local_stride */
    uint64_t local_stride; /* bytes, multiple of 16 */
    uint32_t carry;        /* the condition-code register CC.CF as a lane mask */
};

/* The part of a block that handlers see. */
struct warp_block {
    struct warp_launch *launch;
    uint8_t *shared;       /* host memory of the block's shared window */
    uint32_t shared_bytes; /* statics + dynamic (+ reserved system area at the start, if any) */
    uint32_t ctaid[3];
};

static inline void *warp_at(const struct warp *w, uint32_t operand)
{
    return w->base[operand & 3u] + (operand >> 2);
}

/* ---- services of the scheduler for handlers ------------------------------------------------ */

enum warp_fault_kind {
    WARP_FAULT_ILLEGAL_ADDRESS,
    WARP_FAULT_MISALIGNED,
    WARP_FAULT_TRAP,    /* trap, brkpt */
    WARP_FAULT_ASSERT,  /* __assertfail */
    WARP_FAULT_TIMEOUT, /* every fragment is blocked: the kernel hangs; or it was cancelled */
    WARP_FAULT_STACK,   /* call depth or local memory exceeded */
    WARP_FAULT_ILLEGAL_INSTRUCTION,
    WARP_FAULT_SHARED_RANGE, /* .shared/.local offset outside its window */
};

/* Records the fault for the launch (the first one wins) and returns WARP_STOP_FAULT. `lane` may be
 * WARP_LANES for the whole warp. */
const struct warp_insn *warp_fault(struct warp *w, const struct warp_insn *in,
                                   enum warp_fault_kind kind, uint64_t address, unsigned lane);

/* The valid range around [address, address + bytes), from the tlb or the launching driver; false if
 * there is none (the handler then calls warp_fault). Shared and local windows are not in it. */
bool warp_range_find(struct warp *w, uint64_t address, uint32_t bytes, bool write,
                     struct warp_range *range_out);

/* For shfl/vote/match/redux/elect: true when all lanes of (members & live) stand in this very
 * fragment, so that the handler may run now. Otherwise the fragment must wait: the handler returns
 * WARP_STOP_PARK, and is called again at this instruction once the lanes are together, or, when
 * nothing else can run, with whatever lanes there are (then it returns true, too). */
bool warp_collect(struct warp *w, const struct warp_insn *in, uint32_t members);

/* Sets mask and lanes together. */
void warp_set_mask(struct warp *w, uint32_t mask);

#endif /* SOFTCUDA_WARP_WARP_INT_H */
