/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/program_int.h - a lowered kernel: what lower*.c makes and exec*.c, launch.c run.
 *
 * A program is one entry function with all functions that it can call. They share one pool of
 * constants (base CONST), one page of launch- and block-uniform values (base BLOCK) and one page
 * per warp index (base SHAPE); each function has its own instructions and register frame. Pages
 * are filled by `inits` (values that come from the launch) and then by straight-line hoisted code
 * that writes into them. Nothing here changes after warp_program_create(). Thread: any.
 */
#ifndef SOFTCUDA_WARP_PROGRAM_INT_H
#define SOFTCUDA_WARP_PROGRAM_INT_H

#include "softcuda/warp/arena_int.h"
#include "softcuda/warp/launch.h"
#include "softcuda/warp/warp_int.h"

struct ptx_function;
struct ptx_module;

/* How often a value changes; each is computed that often. LANE: in every warp, where it stands. */
enum warp_level { WARP_LEVEL_LAUNCH, WARP_LEVEL_SHAPE, WARP_LEVEL_BLOCK, WARP_LEVEL_LANE };
enum { WARP_HOIST_LEVELS = WARP_LEVEL_LANE };

enum warp_init_kind {
    WARP_INIT_PARAM,         /* value: offset in the parameter buffer */
    WARP_INIT_PARAM_ADDRESS, /* the host address of that place */
    WARP_INIT_SREG,          /* value: enum ptx_sreg */
};

/* One value of a page that comes from the launch, the block or the warp index. */
struct warp_init {
    uint8_t kind;  /* enum warp_init_kind */
    uint8_t level; /* enum warp_level: SHAPE lies in the shape page, others in the block page */
    uint8_t width; /* bytes of the register it fills: 2, 4 or 8 */
    uint8_t param_bytes; /* PARAM: bytes to read */
    bool is_signed;      /* PARAM: extend the sign */
    uint32_t value;
    uint32_t offset; /* in its page */
};

/* Straight-line code; ends with fn == NULL. Destinations are FRAME operands in the page. */
struct warp_hoisted {
    struct warp_insn *insns;
    uint32_t count;
    const struct warp_init *inits;
    uint32_t init_count;
};

/* One function's instructions. */
struct warp_code {
    struct warp_code *next; /* of the program; the entry is first */
    struct ptx_function *function;
    const char *name;
    struct warp_insn *insns;
    uint32_t insn_count;
    uint32_t frame_bytes;  /* registers: multiple of 64 */
    uint32_t local_bytes;  /* per thread: parameters, .param and .local variables; multiple of 16 */
    uint32_t frame_offset; /* slot of the hidden 64-bit local frame base; WARP_NO_OPERAND: none */
    uint32_t regs_per_thread;
    /* Parameters of a called function, at the start of its local frame. */
    const uint32_t *ret_offset, *param_offset;
    uint32_t param_area_bytes;
    bool calls; /* some other function of the program */
};

/* A parameter on its way: between a register or the caller's local frame and the callee's. */
struct warp_copy {
    uint32_t operand;       /* register, constant; WARP_NO_OPERAND: memory */
    uint32_t caller_offset; /* in the caller's local frame, when there is no operand */
    uint32_t callee_offset; /* in the callee's local frame */
    uint32_t bytes;
    uint32_t width; /* of the register slot */
};

struct warp_call {
    const struct warp_code *callee; /* NULL for built-in functions */
    struct warp_copy *args, *rets;
    uint32_t arg_count, ret_count;
};

struct warp_switch {
    const struct warp_insn **targets;
    uint32_t target_count;
};

enum { WARP_GROUP_MAX = 16 };

struct warp_group {
    struct warp_insn *insns; /* the loads, as they would stand alone */
    uint32_t count;
    int64_t imm_min, imm_max;
};

struct warp_chain {
    const uint32_t *operands; /* two factors a step */
    uint32_t count;
};

struct warp_program {
    struct ptx_module *module;
    struct ptx_function *function;
    struct warp_arena arena;
    struct warp_program_info info;
    struct warp_code *code; /* the entry's */
    const uint8_t *consts;  /* base CONST */
    struct warp_hoisted hoisted[WARP_HOIST_LEVELS];
    uint32_t page_bytes;            /* base BLOCK, multiple of 64 */
    uint32_t shape_bytes;           /* base SHAPE, per warp index */
    uint32_t reserved_shared_bytes; /* the system area in front of the static variables */
    uint32_t dynamic_shared_offset; /* where the launch's dynamic shared memory begins */
    uint32_t stack_bytes;           /* local bytes per thread of the deepest known call chain */
    bool recursive;                 /* the chain has no known end */
    uint64_t id;                    /* never used twice in a process */
};

#endif /* SOFTCUDA_WARP_PROGRAM_INT_H */
