/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx.h - a parsed PTX module: what the text says, nothing of how it runs.
 *
 * ptx_module_parse() indexes a whole module (directives, variables, function names and text
 * ranges); ptx_function_parse() decodes one body on its first use, so that an instruction we do
 * not know fails that function only. Everything is plain data in an arena owned by the module:
 * softcuda/warp turns it into programs. Thread: any, one at a time per module.
 * Source: PTX ISA 9.0 (syntax, state spaces, instruction set).
 */
#ifndef SOFTCUDA_PTX_PTX_H
#define SOFTCUDA_PTX_PTX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "softcuda/ptx/ptx_op.h"

struct fab_err;

enum { PTX_NONE_INDEX = -1 };

/* ---- variables -------------------------------------------------------------------------- */

/* A place in an initialiser that holds an address: the final 8 bytes at `offset` become
 * address(symbol) + addend. `generic` when the text says generic(symbol). */
struct ptx_reloc {
    uint64_t offset;
    int64_t addend;
    const char *symbol; /* a variable or a function of this module */
    bool generic;
    uint8_t bytes; /* 8, or fewer with mask operators: bits (address >> shift) */
    uint8_t shift;
};

struct ptx_var {
    const char *name;
    enum ptx_space space; /* GLOBAL, CONST, SHARED, LOCAL, PARAM */
    enum ptx_type type;   /* element type */
    uint32_t align;       /* bytes, a power of two */
    uint64_t bytes;       /* 0 for extern [] (dynamic shared memory) */
    bool is_extern, is_visible, is_weak, is_managed, is_pointer;
    const uint8_t *init; /* `bytes` bytes, or NULL: zero */
    const struct ptx_reloc *relocs;
    uint32_t reloc_count;
    uint32_t line;
};

/* ---- functions -------------------------------------------------------------------------- */

/* What a decoded body promises, so that nobody checks it again: operand counts and kinds are those
 * of the operation; registers have the width it wants (of ld, st and cvt: that or a wider one);
 * a variable in [] lies in the operation's space (or in .global or .const, for generic); address
 * registers have 64 bits, or 32 outside global, const and generic; negate is on predicates only. */

struct ptx_reg {
    enum ptx_type type; /* PRED, B16/U16..., B32..., B64..., B128 */
};

enum ptx_operand_kind {
    PTX_OPERAND_NONE,   /* '_': a result nobody wants */
    PTX_OPERAND_REG,    /* reg, negated when `negate` (predicates) */
    PTX_OPERAND_IMM,    /* imm, of imm_type: F32 or F64 if the operation wants that; else S64:
                           bits, negative ones extended to 64 (also for 0f... used as .b32) */
    PTX_OPERAND_SREG,   /* sreg (+ component in its number); may stand for any value */
    PTX_OPERAND_SYMBOL, /* the address of a variable: var + offset (function: func) */
    PTX_OPERAND_ADDR,   /* [reg + offset], [var + offset] or [offset] */
    PTX_OPERAND_VEC,    /* {a, b, ..}: elems[0..elem_count-1], each REG, IMM or NONE */
    PTX_OPERAND_LABEL,  /* label: index into ptx_function.labels */
    PTX_OPERAND_FUNC,   /* the address of a function: symbol names it */
};

struct ptx_operand {
    enum ptx_operand_kind kind;
    bool negate;
    enum ptx_type imm_type; /* S64 for integers, F32 for 0f..., F64 for 0d... and decimals */
    uint8_t sreg;           /* enum ptx_sreg */
    uint8_t elem_count;
    int32_t reg;   /* index into regs, or PTX_NONE_INDEX */
    int32_t label; /* index into labels, or PTX_NONE_INDEX */
    int64_t offset;
    uint64_t imm;
    const struct ptx_var *var; /* module or function variable, or a parameter; NULL if none */
    const char *symbol;        /* function name for FUNC */
    const struct ptx_operand *elems;
};

/* call (ret), callee, (args), targets: callee is a FUNC or REG operand; args and rets are
 * REG, IMM or SYMBOL (a .param variable of this function), rets also NONE. Their numbers are those
 * of the prototype (at least, if its last parameter has 0 bytes: variadic); sizes are not compared.
 */
struct ptx_call {
    struct ptx_operand callee;
    const struct ptx_operand *rets, *args;
    uint32_t ret_count, arg_count;
    const struct ptx_prototype *prototype; /* for indirect calls; NULL otherwise */
};

struct ptx_prototype {
    const struct ptx_var *const *rets, *const *params;
    uint32_t ret_count, param_count;
    bool noreturn;
};

struct ptx_insn {
    struct ptx_op op;  /* decoded family, types and modifiers */
    int32_t guard_reg; /* @p: predicate register, or PTX_NONE_INDEX */
    bool guard_negate; /* @!p */
    uint8_t dst_count; /* operands[0..dst_count-1] are written (0, 1, or 2 for d|p and p|q) */
    uint8_t operand_count;
    const struct ptx_operand *operands; /* destinations first, then sources, in textual order */
    const struct ptx_call *call;        /* PTX_CALL only */
    const int32_t *targets;             /* PTX_BRX: label indices */
    uint32_t target_count;
    uint32_t line; /* in the PTX text, from 1 */
};

struct ptx_label {
    const char *name;
    uint32_t insn; /* index of the instruction it stands before (may be insn_count) */
};

struct ptx_function {
    const char *name;
    bool is_entry, is_extern, is_visible, is_weak, is_noreturn;
    struct ptx_prototype proto;      /* parameters in order; offsets below */
    const uint32_t *param_offset;    /* entry: byte offset of each parameter in the launch buffer */
    uint32_t param_bytes;            /* entry: bytes of the launch buffer */
    uint32_t reqntid[3], maxntid[3]; /* 0 when absent */
    uint32_t min_blocks_per_sm, max_regs, reqnctapercluster[3];
    uint32_t line;

    /* Filled by ptx_function_parse(). Parameters declared .reg (results first, then arguments) are
     * the first registers, in order. */
    bool is_parsed;
    const struct ptx_reg *regs;
    uint32_t reg_count;
    const struct ptx_insn *insns;
    uint32_t insn_count;
    const struct ptx_label *labels;
    uint32_t label_count;
    const struct ptx_var *const *locals; /* .local, .param (call sequences) and static .shared, */
    uint32_t local_count;                /* .global, .const declared in the body */

    /* Text of the body, inside the module's text. */
    const char *body;
    size_t body_bytes;
    uint32_t body_line;
};

struct ptx_module {
    uint32_t version_major, version_minor; /* .version */
    uint32_t target;                       /* .target sm_NN: NN */
    char target_suffix;                    /* 'a', 'f' or 0 */
    uint32_t address_bits;                 /* .address_size: 64 */
    const struct ptx_var *const *vars;     /* module scope, in textual order */
    uint32_t var_count;
    struct ptx_function *const *functions; /* in textual order; declarations without a body that a
                                              later definition completes appear once */
    uint32_t function_count;
};

/**
 * ptx_module_parse - index the text of a module.
 * @text:       borrowed until ptx_module_destroy(); needs no terminator.
 * @bytes:      length; a NUL ends the text early.
 * @module_out: given to the caller; set on success only.
 * @err:        the line and what was found there.
 *
 * Unknown directives are skipped. An .alias is another name of its function. Returns FAB_OK,
 * FAB_ERR_FORMAT, FAB_ERR_LIMIT, FAB_ERR_NOMEM, FAB_ERR_UNSUPPORTED (32-bit addresses).
 */
FAB_NODISCARD enum fab_status ptx_module_parse(const char *text, size_t bytes,
                                               struct ptx_module **module_out, struct fab_err *err);

/** ptx_function_parse - decode one body. err names line and instruction. A second call answers as
 * the first did, but tries again after FAB_ERR_NOMEM. Returns FAB_OK, FAB_ERR_FORMAT,
 * FAB_ERR_LIMIT, FAB_ERR_NOMEM, FAB_ERR_UNSUPPORTED (an instruction or modifier we do not know; a
 * function without a body). */
FAB_NODISCARD enum fab_status
ptx_function_parse(struct ptx_module *module, struct ptx_function *function, struct fab_err *err);

struct ptx_function *ptx_function_find(const struct ptx_module *module, const char *name);
const struct ptx_var *ptx_var_find(const struct ptx_module *module, const char *name);

void ptx_module_destroy(struct ptx_module *module); /* takes NULL */

#endif /* SOFTCUDA_PTX_PTX_H */
