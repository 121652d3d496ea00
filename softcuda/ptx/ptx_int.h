/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_int.h - what the parser's files share: memory, names, tokens, decoded opcodes.
 *
 * A parser that failed reads nothing but END tokens. So a step needs no test after it: loops end
 * at END, and the status is looked at once, at the end of a module or a function. Allocations
 * are tested, because NULL is written to. The first failure is the one that is reported.
 */
#ifndef SOFTCUDA_PTX_PTX_INT_H
#define SOFTCUDA_PTX_PTX_INT_H

#include "base/arena.h"
#include "base/err.h"
#include "softcuda/ptx/ptx.h"

/* Bounds of what we accept; all are far above what compilers write. */
enum {
    PTX_NEST_MAX = 64, /* scopes, expressions and initialisers inside each other */
    PTX_SPELLING_BYTES_MAX = 256,
    PTX_OPERANDS_MAX = 16,
    PTX_VEC_MAX = 8,
    PTX_DIMENSIONS_MAX = 8,
    PTX_PARAMS_MAX = 4096,
    PTX_REGS_MAX = 1 << 18, /* of one function */
    PTX_INSNS_MAX = 1 << 22,
    PTX_ALIGN_MAX = 1 << 16,
    PTX_LAUNCH_BYTES_MAX = 1 << 20,     /* parameters of an entry */
    PTX_INIT_BYTES_MAX = 64 << 20,      /* initialised variables of a module, together */
    PTX_OPEN_INIT_BYTES_MAX = 16 << 20, /* one with an open dimension */
};
#define PTX_VAR_BYTES_MAX (UINT64_C(1) << 40)

/* ---- ptx_list.c: growing lists that live in an arena -------------------------------------- */

struct ptx_list {
    void *items;
    size_t count, room;
};

/* A zeroed item behind the last one, or NULL. Items move when the list grows. */
void *ptx_list_add(struct ptx_list *list, struct fab_arena *arena, size_t item_bytes);

/* ---- ptx_names.c: scoped names ------------------------------------------------------------ */

struct ptx_span {
    const char *text;
    size_t bytes;
};

enum ptx_name_kind {
    PTX_NAME_REG,     /* index: register */
    PTX_NAME_REGS,    /* %r<count>: index is that of %r0 */
    PTX_NAME_REG_VEC, /* .reg .v4: count registers from index on */
    PTX_NAME_VAR,     /* object: struct ptx_var */
    PTX_NAME_FUNC,    /* object: struct ptx_function */
    PTX_NAME_LABEL,   /* index */
    PTX_NAME_TARGETS, /* .branchtargets: object: struct ptx_targets */
    PTX_NAME_PROTO,   /* .callprototype: object: struct ptx_prototype */
    PTX_NAME_OPCODE,  /* object: struct ptx_opcode */
};

struct ptx_name {
    struct ptx_name *next; /* in the bucket, innermost scope first */
    struct ptx_span span;
    uint32_t hash;
    uint32_t depth;
    enum ptx_name_kind kind;
    uint32_t index, count;
    void *object;
};

struct ptx_names {
    struct fab_arena *arena;
    struct ptx_name **buckets;
    uint32_t bucket_count; /* a power of two */
    struct ptx_list order; /* struct ptx_name *, as added: what a scope's end undoes */
    uint32_t depth;
};

struct ptx_name *ptx_names_find(const struct ptx_names *names, struct ptx_span span);
/* A new entry of the present scope, or NULL: out of memory. The text is borrowed. */
struct ptx_name *ptx_names_add(struct ptx_names *names, struct ptx_span span,
                               enum ptx_name_kind kind);
void ptx_names_enter(struct ptx_names *names);
void ptx_names_leave(struct ptx_names *names);

/* ---- ptx_lex.c: tokens -------------------------------------------------------------------- */

enum ptx_token_kind {
    PTX_TOKEN_END,
    PTX_TOKEN_NAME,   /* identifiers, %registers, first words of opcodes */
    PTX_TOKEN_DOT,    /* .word or .word::word; the span is without the dot */
    PTX_TOKEN_NUMBER, /* not yet evaluated */
    PTX_TOKEN_STRING, /* the span is without the quotes */
    PTX_TOKEN_PUNCT,  /* punct: one character, or two as PTX_PUNCT('<', '<') */
};

#define PTX_PUNCT(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

struct ptx_token {
    enum ptx_token_kind kind;
    unsigned punct;
    struct ptx_span span;
    uint32_t line;
};

struct ptx_module_rec;

struct ptx_parser {
    struct ptx_token token; /* the present one */
    const char *at, *end;   /* behind it */
    uint32_t line;
    uint32_t depth; /* recursion, at most PTX_NEST_MAX */
    struct ptx_module_rec *module;
    struct fab_arena scratch; /* gone when the parse ends */
    enum fab_status status;
    struct fab_err *err;
};

void ptx_parser_init(struct ptx_parser *p, struct ptx_module_rec *module, struct ptx_span text,
                     uint32_t line, struct fab_err *err);
void ptx_parser_fini(struct ptx_parser *p);

/* Sets the status and "line N: ..." unless there was a failure before. */
void ptx_fail(struct ptx_parser *p, enum fab_status status, const char *format, ...)
    FAB_PRINTF(3, 4);
void ptx_fail_at(struct ptx_parser *p, uint32_t line, enum fab_status status, const char *format,
                 ...) FAB_PRINTF(4, 5);
void ptx_fail_expected(struct ptx_parser *p, const char *what); /* ..., found `token' */

void ptx_next(struct ptx_parser *p);
bool ptx_is(const struct ptx_parser *p, unsigned punct);
bool ptx_is_dot(const struct ptx_parser *p, const char *word);
bool ptx_accept(struct ptx_parser *p, unsigned punct); /* steps over it if it is there */
void ptx_expect(struct ptx_parser *p, unsigned punct);
struct ptx_span ptx_expect_name(struct ptx_parser *p);
void ptx_skip_line(struct ptx_parser *p);
void ptx_skip_statement(struct ptx_parser *p);        /* to behind its ';' or '{...}' */
struct ptx_span ptx_skip_block(struct ptx_parser *p); /* at '{': returns what is inside */
bool ptx_enter(struct ptx_parser *p);                 /* one level deeper; false: too deep */
void ptx_leave(struct ptx_parser *p);

bool ptx_span_is(struct ptx_span span, const char *text);
int ptx_span_precision(struct ptx_span span); /* for "%.*s", cut to something readable */

/* Zeroed memory that lives as long as the module; NULL: failed. */
void *ptx_new(struct ptx_parser *p, size_t count, size_t item_bytes);
void *ptx_push(struct ptx_parser *p, struct ptx_list *list, size_t item_bytes);
/* The list's items, moved to where they live as long as the module. NULL if there are none. */
void *ptx_keep(struct ptx_parser *p, const struct ptx_list *list, size_t item_bytes);
const char *ptx_keep_text(struct ptx_parser *p, struct ptx_span span); /* NUL-terminated */

/* ---- ptx_expr.c: constants ---------------------------------------------------------------- */

struct ptx_value {
    enum ptx_type type; /* S64, U64, F32 (0f...) or F64 */
    uint64_t bits;
};

/* A constant expression; with `binary` false only a unary one. */
struct ptx_value ptx_expr(struct ptx_parser *p);
uint64_t ptx_expr_uint(struct ptx_parser *p, uint64_t max, const char *what);
bool ptx_at_expr(const struct ptx_parser *p); /* does an expression start here? */
/* PTX has no constants of the 16-bit and packed floating-point types but their bits. */
bool ptx_value_fits(struct ptx_value value, enum ptx_type type);
/* The value in another type: F32 and F64 as bits, integers cut to their size. */
uint64_t ptx_value_as(struct ptx_value value, enum ptx_type type);

/* ---- ptx_decl.c, ptx_init.c: variables and parameters ------------------------------------- */

struct ptx_shape {
    uint64_t sizes[PTX_DIMENSIONS_MAX];   /* outermost first; a vector is one more dimension */
    uint64_t strides[PTX_DIMENSIONS_MAX]; /* elements below one index of it */
    uint32_t count;
    bool is_open; /* x[]: as large as its initialiser, or dynamic */
};

void ptx_parse_init(struct ptx_parser *p, struct ptx_var *var, const struct ptx_shape *shape);

struct ptx_linkage {
    bool is_extern, is_visible, is_weak;
};

/* At what follows the state space. Calls `add` for each variable declared. */
void ptx_parse_vars(struct ptx_parser *p, enum ptx_space space, struct ptx_linkage linkage,
                    void (*add)(struct ptx_parser *p, void *arg, struct ptx_var *var), void *arg);
/* "(.param ..., ...)"; at the '('. */
void ptx_parse_params(struct ptx_parser *p, const struct ptx_var *const **params_out,
                      uint32_t *count_out);
/* "(.managed)", "(.unified(1, 2))"; at the '('. Tells whether .managed was among them. */
bool ptx_parse_attributes(struct ptx_parser *p);
bool ptx_space_from(struct ptx_span word, enum ptx_space *space_out); /* .global, .shared, ... */
void ptx_parse_prototype(struct ptx_parser *p,
                         struct ptx_prototype *proto); /* behind the dot-word */

/* ---- ptx_decode.c, ptx_rules.c: opcodes --------------------------------------------------- */

/* Kinds of modifiers; a rule says which it takes. Each at most once, hints as often as you like. */
enum ptx_mod_kind {
    PTX_MOD_TYPE = 1u << 0, /* the first type; a second one is TYPE2 */
    PTX_MOD_TYPE2 = 1u << 1,
    PTX_MOD_ROUND = 1u << 2,
    PTX_MOD_CMP = 1u << 3,
    PTX_MOD_BOOL = 1u << 4,
    PTX_MOD_SUB = 1u << 5,
    PTX_MOD_SPACE = 1u << 6,
    PTX_MOD_SEM = 1u << 7,
    PTX_MOD_SCOPE = 1u << 8,
    PTX_MOD_VEC = 1u << 9,
    PTX_MOD_FLAG = 1u << 10,
    PTX_MOD_HINT = 1u << 11,   /* changes speed, not results */
    PTX_MOD_POLICY = 1u << 12, /* L2::cache_hint: brings an operand */
    /* Words that belong to the family's spelling. */
    PTX_MOD_RED = 1u << 13,    /* bar.red */
    PTX_MOD_IDX = 1u << 14,    /* brx.idx */
    PTX_MOD_SOURCE = 1u << 15, /* cp.async.ca.shared.global */
    PTX_MOD_PROXY = 1u << 16,  /* fence.proxy.*, membar.proxy.*, fence.mbarrier_init */
    PTX_MOD_CLAMP = 1u << 17,  /* the default of what .wrap changes */
    PTX_MOD_MMIO = 1u << 18,
};

/* One legal form of a family: what may stand behind its name, what must, and its operands.
 *
 * operands: alternatives with blanks between them, each "destinations=sources", a letter each;
 * "T|P=.." takes a pair d|p. The operand matches
 *   T  the type          U  the second type     W  twice as wide as the type
 *   D  the type or wider S  second type or wider v  as D, or a vector of .vec of them
 *   X  the type, or a vector that packs it      R  32 bits       Q  64 bits
 *   P  a predicate       F  R or P              I  a constant    L  a label
 *   A  [address] in the space of the operation  G  [address] in .global    *  anything
 */
struct ptx_rule {
    uint64_t types, types2, subs; /* bit per enum value */
    uint32_t mods, need;          /* enum ptx_mod_kind, those beyond what the masks say */
    uint32_t flags, need_flags;   /* enum ptx_flag; need_flags: at least one of them */
    uint16_t rounds;              /* bit per enum value */
    uint8_t spaces;               /* bit per enum value */
    uint8_t family;
    const char *operands;
};

extern const struct ptx_rule ptx_rules[]; /* forms of a family stand together */
extern const size_t ptx_rule_count;

struct ptx_opcode {
    struct ptx_op op;
    const char *operands; /* ptx_rules.h */
    bool has_policy;      /* .L2::cache_hint: one more source operand, which is dropped */
};

/* "ld.global.v4.f32" to fields. On failure `reason` says why, without line and spelling. */
enum { PTX_REASON_BYTES = 128 };
FAB_NODISCARD enum fab_status ptx_opcode_decode(struct ptx_span spelling,
                                                struct ptx_opcode *opcode_out,
                                                char reason[PTX_REASON_BYTES]);
/* The same through the module's table of spellings seen; NULL: failed. */
const struct ptx_opcode *ptx_opcode_get(struct ptx_parser *p, struct ptx_span spelling);
const char *ptx_modifier_text(enum ptx_mod_kind kind, uint32_t value); /* NULL: none */
bool ptx_type_from(struct ptx_span word, enum ptx_type *type_out);
bool ptx_sreg_from(struct ptx_span name, struct ptx_span component, uint8_t *sreg_out);

/* ---- ptx_body.c, ptx_operand.c, ptx_check.c: function bodies ------------------------------ */

struct ptx_targets {
    int32_t *labels;
    uint32_t count;
};

struct ptx_label_ref {
    struct ptx_span name;
    int32_t *index;
    uint32_t line;
};

struct ptx_body {
    struct ptx_parser p;
    struct ptx_names names;
    struct ptx_function *function;
    struct ptx_list regs;   /* struct ptx_reg */
    struct ptx_list insns;  /* struct ptx_insn */
    struct ptx_list labels; /* struct ptx_label */
    struct ptx_list locals; /* struct ptx_var * */
    struct ptx_list refs;   /* struct ptx_label_ref of all open scopes, outermost first */
    uint32_t refs_before[PTX_NEST_MAX + 1]; /* refs.count when the scope was entered */
};

/* `index` lives as long as the module and is filled when the label's scope ends. */
void ptx_body_label_ref(struct ptx_body *b, struct ptx_span name, int32_t *index);
enum ptx_type ptx_body_reg_type(const struct ptx_body *b, int32_t reg);
/* A name of the body; %r12 of %r<100> is found as PTX_NAME_REG. */
bool ptx_body_find(const struct ptx_body *b, struct ptx_span span, struct ptx_name *name_out);

/* At the first operand; up to the ';'. */
void ptx_parse_operands(struct ptx_body *b, const struct ptx_opcode *opcode, struct ptx_insn *insn);
void ptx_parse_branch(struct ptx_body *b, struct ptx_insn *insn);
void ptx_parse_call(struct ptx_body *b, struct ptx_insn *insn);
void ptx_parse_operand(struct ptx_body *b, struct ptx_operand *o);
/* Checks operands against the rule's signature and brings constants to the type they are used as.
 * `is_pair`: the first two were written d|p. */
void ptx_check_operands(struct ptx_body *b, const struct ptx_opcode *opcode,
                        struct ptx_operand *operands, uint32_t count, bool is_pair,
                        struct ptx_insn *insn);

/* ---- ptx_module.c ------------------------------------------------------------------------- */

struct ptx_function_rec {
    struct ptx_function pub; /* first: the public pointer is ours */
    struct fab_err failure;  /* of the parse of the body; FAB_OK: not tried or fine */
};

struct ptx_module_rec {
    struct ptx_module pub; /* first: the public pointer is ours */
    struct fab_arena arena;
    struct ptx_names names, opcodes;
    uint64_t init_bytes;
};

#endif /* SOFTCUDA_PTX_PTX_INT_H */
