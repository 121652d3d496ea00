/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_int.h - the lowering's working state, from PTX to a program.
 *
 * Passes, in order, per function: select (PTX instruction to intermediate instruction, operands
 * resolved, guards turned into branches), uniform (values that do not differ between lanes leave
 * the warp's code), flow (blocks, order), slots (liveness, register slots), emit. The first
 * failure is kept in `status` and `err`; later steps do nothing once it is set.
 *
 * Operands have the final form of warp_int.h with one exception: base FRAME holds the number of a
 * virtual register until emit replaces it by the slot.
 */
#ifndef SOFTCUDA_WARP_LOWER_INT_H
#define SOFTCUDA_WARP_LOWER_INT_H

#include "base/err.h"
#include "softcuda/ptx/ptx.h"
#include "softcuda/warp/ops/ops.h"
#include "softcuda/warp/program_int.h"

enum lower_kind {
    LOWER_PLAIN,  /* goes on to the next */
    LOWER_BRANCH, /* to `label`; if a is an operand only where it is true (false: negate) */
    LOWER_SWITCH, /* to targets[a] */
    LOWER_END,    /* ret, exit, trap: goes nowhere */
};

struct lower_insn {
    struct ptx_op op;
    warp_fn fn; /* a handler of exec*.c; NULL: the instruction set's, by op */
    uint8_t kind;
    bool negate;
    bool is_chain;    /* of fma instructions: ext holds the factors */
    uint8_t ext_defs; /* the first so many of ext are destinations, the others sources */
    uint8_t dst_bytes, src_bytes; /* these five: struct warp_form */
    uint8_t dst_elems, src_elems;
    uint8_t source_count;
    uint16_t ext_count;
    uint32_t d, e, a, b, c;
    uint32_t *ext;
    uint32_t flags, line;
    int64_t imm;
    int32_t label;
    uint32_t target_count;
    const int32_t *targets;
    const void *aux;
    struct lower_insn *parts; /* of a group of loads: one for each of ext */
};

struct lower_reg {
    uint8_t width; /* bytes a lane; 0: predicate */
    uint32_t defs;
    uint32_t alias;       /* what to read instead; WARP_NO_OPERAND: nothing */
    uint32_t first, last; /* live from .. to, instruction numbers; first > last: never */
    uint32_t slot;        /* byte offset in the frame */
};

struct lower_const {
    uint64_t value;
    uint8_t width;
    bool varies; /* differs from lane to lane (%laneid and kin) */
    uint8_t sreg;
    uint32_t offset; /* in the pool */
    int32_t next;    /* in its hash chain */
};

struct lower_block {
    uint32_t first, end; /* instructions */
    uint32_t succ_count, loop_count;
    uint32_t *succ;
    int32_t order; /* place in the final layout; -1: not reachable */
};

struct lower_var {
    const struct ptx_var *var;
    uint32_t offset;
};

/* Variables of one window (shared, or a function's local frame) and their offsets. */
struct lower_window {
    struct lower_var *vars;
    uint32_t count, room;
    uint32_t bytes;
};

enum { LOWER_CONST_CHAINS = 256 };

struct lower {
    struct warp_program *program;
    struct ptx_module *module;
    const struct warp_link *link;
    const struct warp_isa *isa;
    bool no_slot_sharing, no_hoisting;
    enum fab_status status;
    struct fab_err *err;

    /* Of the program. */
    struct lower_const *consts;
    uint32_t const_count, const_room, const_bytes;
    int32_t const_chain[LOWER_CONST_CHAINS];
    struct warp_init *inits;
    uint32_t init_count, init_room;
    uint8_t *page_level; /* per 64 bytes of the block page */
    uint32_t page_level_room;
    struct lower_insn *hoisted[WARP_HOIST_LEVELS];
    uint32_t hoisted_count[WARP_HOIST_LEVELS], hoisted_room[WARP_HOIST_LEVELS];
    struct lower_window shared;

    /* Of the function being lowered. */
    struct warp_code *code;
    struct ptx_function *function;
    struct lower_window local;
    uint32_t frame_reg; /* the register that holds the local frame's base; WARP_NO_OPERAND */
    struct lower_reg *regs;
    uint32_t reg_count, reg_room;
    struct lower_insn *insns;
    uint32_t insn_count, insn_room;
    uint32_t *label_at; /* per label (with our own): instruction */
    uint32_t label_count, label_room;
    struct lower_block *blocks;
    uint32_t block_count;
    uint32_t *order; /* block numbers in layout order */
    uint32_t order_count;
    uint32_t *position; /* per block: number of its first instruction in the layout */
    uint32_t line;
};

/* lower.c: failure and memory. All return what a failing function may return. */
FAB_PRINTF(3, 4)
void lower_fail(struct lower *l, enum fab_status status, const char *format, ...);
void *lower_alloc(struct lower *l, size_t count, size_t item_bytes); /* program's; NULL: failed */
/* Grows a malloc'd array to hold one more; false: failed. */
bool lower_room(struct lower *l, void *array, uint32_t count, uint32_t *room, size_t item_bytes);

/* lower_scan.c: the functions that can be called, shared variables, local frames. */
void lower_scan(struct lower *l);
void lower_frame_layout(struct lower *l); /* l->local for l->function */
struct warp_code *lower_code_find(struct lower *l, const char *name);
bool lower_window_find(const struct lower_window *window, const struct ptx_var *var,
                       uint32_t *offset_out);

/* lower_pool.c: constants and pages. */
uint32_t lower_const(struct lower *l, uint8_t width, uint64_t value);
const struct lower_const *lower_const_of(const struct lower *l, uint32_t operand);
uint32_t lower_sreg(struct lower *l, enum ptx_sreg sreg, uint8_t width);
bool lower_sreg_is_dynamic(enum ptx_sreg sreg);
uint32_t lower_param(struct lower *l, uint32_t offset, enum ptx_type type, uint8_t width);
uint32_t lower_param_address(struct lower *l, uint32_t offset);
uint32_t lower_page_slot(struct lower *l, enum warp_level level, uint8_t width);
enum warp_level lower_operand_level(const struct lower *l, uint32_t operand); /* LANE: a register */
bool lower_operand_is_uniform(const struct lower *l, uint32_t operand);
void lower_pool_finish(struct lower *l);

/* lower_operand.c */
uint8_t lower_type_width(enum ptx_type type); /* register bytes: 0 predicate, 2, 4, 8, 16 */
uint32_t lower_reg_new(struct lower *l, uint8_t width);
uint8_t lower_operand_width(const struct lower *l, uint32_t operand, uint8_t otherwise);
uint32_t lower_source(struct lower *l, const struct ptx_operand *operand, enum ptx_type type);
uint32_t lower_destination(struct lower *l, const struct ptx_operand *operand);
enum ptx_type lower_source_type(const struct ptx_op *op, uint32_t index);
struct lower_address {
    uint32_t base;
    int64_t offset;
    uint32_t flags;
    enum ptx_space space; /* PARAM was replaced by what it is here */
};
struct lower_address lower_address(struct lower *l, const struct ptx_operand *operand,
                                   enum ptx_space space);
/* Entry parameters at a constant place are values, not memory. */
bool lower_address_is_param(const struct lower *l, const struct ptx_operand *operand,
                            enum ptx_space space, uint32_t *offset_out);

/* lower_select.c, lower_select_mem.c, lower_call.c */
void lower_select(struct lower *l);
struct lower_insn *lower_add(struct lower *l, const struct ptx_op *op); /* NULL: failed */
void lower_add_move(struct lower *l, uint32_t d, uint32_t a, uint8_t width);
int32_t lower_label_new(struct lower *l);
void lower_memory(struct lower *l, const struct ptx_insn *in);
void lower_call(struct lower *l, const struct ptx_insn *in);

void lower_uniform(struct lower *l);           /* lower_uniform.c */
bool lower_is_pure(const struct ptx_op *op);   /* reads and writes registers only */
void lower_flow(struct lower *l);              /* lower_flow.c */
void lower_group(struct lower *l);             /* lower_group.c */
void lower_chain(struct lower *l);             /* lower_chain.c */
void lower_slots(struct lower *l);             /* lower_slots.c */
void lower_emit(struct lower *l);              /* lower_emit.c */
void lower_emit_hoisted(struct lower *l);      /* after all functions */
void lower_each_operand(struct lower_insn *in, /* destinations first */
                        void (*fn)(void *arg, uint32_t *operand, bool is_def), void *arg);

#endif /* SOFTCUDA_WARP_LOWER_INT_H */
