/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_decode.c - an opcode's spelling to fields, by the rules of ptx_rules.c.
 *
 * Each modifier is looked up once in one table of all modifiers; a word with several meanings
 * (".lo" of mul and of setp) has a row for each, and the rule decides which it takes. The order of
 * modifiers is not checked.
 */
#include "softcuda/ptx/ptx_int.h"

#include <stdio.h>
#include <string.h>

enum { MODIFIERS_MAX = 16 };

static const struct modifier {
    const char *text;
    enum ptx_mod_kind kind;
    uint32_t value;
} modifiers[] = {
#define MOD(kind, text, value)                                                                     \
    {                                                                                              \
        text, PTX_MOD_##kind, PTX_##value                                                          \
    }
    MOD(ROUND, "rn", ROUND_RN),
    MOD(ROUND, "rz", ROUND_RZ),
    MOD(ROUND, "rm", ROUND_RM),
    MOD(ROUND, "rp", ROUND_RP),
    MOD(ROUND, "rna", ROUND_RNA),
    MOD(ROUND, "rni", ROUND_RNI),
    MOD(ROUND, "rzi", ROUND_RZI),
    MOD(ROUND, "rmi", ROUND_RMI),
    MOD(ROUND, "rpi", ROUND_RPI),
    MOD(CMP, "eq", CMP_EQ),
    MOD(CMP, "ne", CMP_NE),
    MOD(CMP, "lt", CMP_LT),
    MOD(CMP, "le", CMP_LE),
    MOD(CMP, "gt", CMP_GT),
    MOD(CMP, "ge", CMP_GE),
    MOD(CMP, "lo", CMP_LO),
    MOD(CMP, "ls", CMP_LS),
    MOD(CMP, "hi", CMP_HI),
    MOD(CMP, "hs", CMP_HS),
    MOD(CMP, "equ", CMP_EQU),
    MOD(CMP, "neu", CMP_NEU),
    MOD(CMP, "ltu", CMP_LTU),
    MOD(CMP, "leu", CMP_LEU),
    MOD(CMP, "gtu", CMP_GTU),
    MOD(CMP, "geu", CMP_GEU),
    MOD(CMP, "num", CMP_NUM),
    MOD(CMP, "nan", CMP_NAN),
    MOD(BOOL, "and", BOOL_AND),
    MOD(BOOL, "or", BOOL_OR),
    MOD(BOOL, "xor", BOOL_XOR),
    MOD(SUB, "lo", SUB_LO),
    MOD(SUB, "hi", SUB_HI),
    MOD(SUB, "wide", SUB_WIDE),
    MOD(SUB, "add", SUB_ADD),
    MOD(SUB, "and", SUB_AND),
    MOD(SUB, "or", SUB_OR),
    MOD(SUB, "xor", SUB_XOR),
    MOD(SUB, "min", SUB_MIN),
    MOD(SUB, "max", SUB_MAX),
    MOD(SUB, "inc", SUB_INC),
    MOD(SUB, "dec", SUB_DEC),
    MOD(SUB, "exch", SUB_EXCH),
    MOD(SUB, "cas", SUB_CAS),
    MOD(SUB, "popc", SUB_POPC),
    MOD(SUB, "up", SUB_UP),
    MOD(SUB, "down", SUB_DOWN),
    MOD(SUB, "bfly", SUB_BFLY),
    MOD(SUB, "idx", SUB_IDX),
    MOD(SUB, "all", SUB_ALL),
    MOD(SUB, "any", SUB_ANY),
    MOD(SUB, "uni", SUB_UNI),
    MOD(SUB, "ballot", SUB_BALLOT),
    MOD(SUB, "sync", SUB_SYNC),
    MOD(SUB, "arrive", SUB_ARRIVE),
    MOD(SUB, "warp", SUB_WARP_SYNC),
    MOD(SUB, "arrive", SUB_CLUSTER_ARRIVE),
    MOD(SUB, "wait", SUB_CLUSTER_WAIT),
    MOD(SUB, "l", SUB_L),
    MOD(SUB, "r", SUB_R),
    MOD(SUB, "f4e", SUB_F4E),
    MOD(SUB, "b4e", SUB_B4E),
    MOD(SUB, "rc8", SUB_RC8),
    MOD(SUB, "ecl", SUB_ECL),
    MOD(SUB, "ecr", SUB_ECR),
    MOD(SUB, "rc16", SUB_RC16),
    MOD(SUB, "finite", SUB_FINITE),
    MOD(SUB, "infinite", SUB_INFINITE),
    MOD(SUB, "number", SUB_NUMBER),
    MOD(SUB, "notanumber", SUB_NOTANUMBER),
    MOD(SUB, "normal", SUB_NORMAL),
    MOD(SUB, "subnormal", SUB_SUBNORMAL),
    MOD(SUB, "init", SUB_INIT),
    MOD(SUB, "inval", SUB_INVAL),
    MOD(SUB, "arrive_drop", SUB_ARRIVE_DROP),
    MOD(SUB, "test_wait", SUB_TEST_WAIT),
    MOD(SUB, "try_wait", SUB_TRY_WAIT),
    MOD(SUB, "pending_count", SUB_PENDING_COUNT),
    MOD(SUB, "expect_tx", SUB_EXPECT_TX),
    MOD(SUB, "complete_tx", SUB_COMPLETE_TX),
    MOD(SPACE, "global", SPACE_GLOBAL),
    MOD(SPACE, "const", SPACE_CONST),
    MOD(SPACE, "shared", SPACE_SHARED),
    MOD(SPACE, "shared::cta", SPACE_SHARED),
    MOD(SPACE, "shared::cluster", SPACE_SHARED),
    MOD(SPACE, "local", SPACE_LOCAL),
    MOD(SPACE, "param", SPACE_PARAM),
    MOD(SPACE, "param::entry", SPACE_PARAM),
    MOD(SPACE, "param::func", SPACE_PARAM),
    MOD(SEM, "weak", SEM_WEAK),
    MOD(SEM, "volatile", SEM_VOLATILE),
    MOD(SEM, "relaxed", SEM_RELAXED),
    MOD(SEM, "acquire", SEM_ACQUIRE),
    MOD(SEM, "release", SEM_RELEASE),
    MOD(SEM, "acq_rel", SEM_ACQ_REL),
    MOD(SEM, "sc", SEM_SC),
    MOD(SCOPE, "cta", SCOPE_CTA),
    MOD(SCOPE, "cluster", SCOPE_CLUSTER),
    MOD(SCOPE, "gpu", SCOPE_GPU),
    MOD(SCOPE, "gl", SCOPE_GPU), /* membar */
    MOD(SCOPE, "sys", SCOPE_SYS),
    MOD(FLAG, "ftz", F_FTZ),
    MOD(FLAG, "sat", F_SAT),
    MOD(FLAG, "approx", F_APPROX),
    MOD(FLAG, "full", F_FULL),
    MOD(FLAG, "cc", F_CC),
    MOD(FLAG, "wrap", F_WRAP),
    MOD(FLAG, "NaN", F_NAN),
    MOD(FLAG, "xorsign", F_XORSIGN),
    MOD(FLAG, "satfinite", F_SATFINITE),
    MOD(FLAG, "relu", F_RELU),
    MOD(FLAG, "shiftamt", F_SHIFTAMT),
    MOD(FLAG, "to", F_TO),
    MOD(FLAG, "noinc", F_NOINC),
    MOD(FLAG, "parity", F_PARITY),
    MOD(FLAG, "noComplete", F_NOCOMPLETE),
    MOD(FLAG, "expect_tx", F_EXPECT_TX),
    MOD(FLAG, "uni", F_UNI),
    MOD(FLAG, "sync", F_SYNC),
    MOD(FLAG, "oob", F_OOB),
#undef MOD
    {"v2", PTX_MOD_VEC, 2},
    {"v4", PTX_MOD_VEC, 4},
    {"v8", PTX_MOD_VEC, 8},
    {"L2::cache_hint", PTX_MOD_POLICY, 0},
    {"red", PTX_MOD_RED, 0},
    {"idx", PTX_MOD_IDX, 0},
    {"global", PTX_MOD_SOURCE, 0},
    {"proxy", PTX_MOD_PROXY, 0},
    {"mbarrier_init", PTX_MOD_PROXY, 0},
    {"clamp", PTX_MOD_CLAMP, 0},
    {"mmio", PTX_MOD_MMIO, 0},
#define HINT(text)                                                                                 \
    {                                                                                              \
        text, PTX_MOD_HINT, 0                                                                      \
    }
    HINT("ca"),
    HINT("cg"),
    HINT("cs"),
    HINT("lu"),
    HINT("cv"),
    HINT("wb"),
    HINT("wt"),
    HINT("nc"),
    HINT("unified"),
    HINT("L1"),
    HINT("L2"),
    HINT("L1::evict_normal"),
    HINT("L1::evict_unchanged"),
    HINT("L1::evict_first"),
    HINT("L1::evict_last"),
    HINT("L1::no_allocate"),
    HINT("L2::evict_normal"),
    HINT("L2::evict_unchanged"),
    HINT("L2::evict_first"),
    HINT("L2::evict_last"),
    HINT("L2::64B"),
    HINT("L2::128B"),
    HINT("L2::256B"),
    HINT("aligned"),           /* bar */
    HINT("noftz"),             /* atom.add.noftz.f16x2: atomics never flush */
    HINT("alias"),             /* fence.proxy: all proxies are one here */
    HINT("async"),             /* fence.proxy */
    HINT("launch_dependents"), /* griddepcontrol: grids run one after the other */
    HINT("wait"),              /* griddepcontrol */
    HINT("mask"),              /* pmevent */
    HINT("fractional"),        /* createpolicy */
    HINT("range"),             /* createpolicy */
    HINT("cvt"),               /* createpolicy */
#undef HINT
};

const char *ptx_modifier_text(enum ptx_mod_kind kind, uint32_t value)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(modifiers); i++) {
        if (modifiers[i].kind == kind && modifiers[i].value == value)
            return modifiers[i].text;
    }
    return NULL;
}

/* What of a rule takes which modifier, as far as its masks say so. */
static uint32_t kinds_of(const struct ptx_rule *rule)
{
    return rule->mods | (rule->types ? PTX_MOD_TYPE : 0) | (rule->types2 ? PTX_MOD_TYPE2 : 0) |
           (rule->subs ? PTX_MOD_SUB : 0) | (rule->rounds ? PTX_MOD_ROUND : 0) |
           (rule->spaces ? PTX_MOD_SPACE : 0) | (rule->flags ? PTX_MOD_FLAG : 0);
}

static bool takes(const struct ptx_rule *rule, const struct modifier *m)
{
    if (!(kinds_of(rule) & m->kind))
        return false;
    switch (m->kind) {
    case PTX_MOD_SUB:
        return rule->subs >> m->value & 1;
    case PTX_MOD_ROUND:
        return rule->rounds >> m->value & 1;
    case PTX_MOD_SPACE:
        return rule->spaces >> m->value & 1;
    case PTX_MOD_FLAG:
        return rule->flags & m->value;
    case PTX_MOD_TYPE:
    case PTX_MOD_TYPE2:
    case PTX_MOD_CMP:
    case PTX_MOD_BOOL:
    case PTX_MOD_SEM:
    case PTX_MOD_SCOPE:
    case PTX_MOD_VEC:
    case PTX_MOD_HINT:
    case PTX_MOD_POLICY:
    case PTX_MOD_RED:
    case PTX_MOD_IDX:
    case PTX_MOD_SOURCE:
    case PTX_MOD_PROXY:
    case PTX_MOD_CLAMP:
    case PTX_MOD_MMIO:
        return true;
    }
    return false;
}

/* One try of one rule. */
struct attempt {
    const struct ptx_rule *rule;
    struct ptx_opcode opcode;
    uint32_t seen; /* enum ptx_mod_kind */
};

static void store(struct attempt *a, const struct modifier *m)
{
    struct ptx_op *op = &a->opcode.op;

    if (m->kind == PTX_MOD_SUB)
        op->sub = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_CMP)
        op->cmp = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_BOOL)
        op->boolop = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_ROUND)
        op->round = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_SPACE)
        op->space = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_SEM)
        op->sem = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_SCOPE)
        op->scope = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_VEC)
        op->vec = (uint8_t)m->value;
    else if (m->kind == PTX_MOD_FLAG)
        op->flags |= m->value;
    else if (m->kind == PTX_MOD_POLICY)
        a->opcode.has_policy = true;
}

static bool take_type(struct attempt *a, struct ptx_span word)
{
    enum ptx_type type;

    if (!ptx_type_from(word, &type))
        return false;
    if (!(a->seen & PTX_MOD_TYPE) && a->rule->types >> type & 1) {
        a->opcode.op.type = (uint8_t)type;
        a->seen |= PTX_MOD_TYPE;
        return true;
    }
    if ((a->seen & PTX_MOD_TYPE) && !(a->seen & PTX_MOD_TYPE2) && a->rule->types2 >> type & 1) {
        a->opcode.op.type2 = (uint8_t)type;
        a->seen |= PTX_MOD_TYPE2;
        return true;
    }
    return false;
}

static bool take_modifier(struct attempt *a, struct ptx_span word)
{
    const uint32_t repeatable = PTX_MOD_HINT | PTX_MOD_FLAG;

    /* min.xorsign.abs: one thing in two words. */
    if (ptx_span_is(word, "abs"))
        return (a->opcode.op.flags & PTX_F_XORSIGN) != 0;
    for (size_t i = 0; i < FAB_ARRAY_LEN(modifiers); i++) {
        const struct modifier *m = &modifiers[i];

        if (!ptx_span_is(word, m->text) || !takes(a->rule, m))
            continue;
        if ((a->seen & m->kind & ~repeatable) ||
            (m->kind == PTX_MOD_FLAG && (a->opcode.op.flags & m->value)))
            continue; /* said before; perhaps the word's other meaning is free */
        a->seen |= m->kind;
        store(a, m);
        return true;
    }
    return false;
}

/* ---- what the ISA says beyond the table --------------------------------------------------- */

static bool has_float(const struct ptx_op *op)
{
    return ptx_type_is_float((enum ptx_type)op->type) ||
           ptx_type_is_float((enum ptx_type)op->type2);
}

/* cvt wants .rni and the like to an integer value, .rn and the like to fewer bits. */
static const char *check_cvt(const struct ptx_op *op)
{
    bool to_float = ptx_type_is_float((enum ptx_type)op->type);
    bool from_float = ptx_type_is_float((enum ptx_type)op->type2);
    bool is_int_round = op->round >= PTX_ROUND_RNI;

    if (!from_float && to_float && (op->round == PTX_ROUND_NONE || is_int_round))
        return "integer to floating point wants .rn, .rz, .rm or .rp";
    if (from_float && !to_float && !is_int_round)
        return "floating point to integer wants .rni, .rzi, .rmi or .rpi";
    if (!from_float && !to_float && op->round != PTX_ROUND_NONE)
        return "a rounding between integers";
    if (from_float && to_float && op->round == PTX_ROUND_NONE && op->type != op->type2 &&
        ptx_type_bytes((enum ptx_type)op->type) <= ptx_type_bytes((enum ptx_type)op->type2))
        return "to fewer bits wants a rounding";
    return NULL;
}

/* Returns what is wrong, or NULL. */
static const char *check_op(const struct ptx_op *op)
{
    const uint8_t strong = 1u << PTX_SEM_RELAXED | 1u << PTX_SEM_ACQUIRE | 1u << PTX_SEM_RELEASE;
    bool is_ld = op->family == PTX_LD, is_st = op->family == PTX_ST;

    if ((op->flags & PTX_F_FTZ) && !has_float(op))
        return ".ftz between integers";
    if (op->family == PTX_CVT)
        return check_cvt(op);
    if (is_ld || is_st) {
        if (op->sem == PTX_SEM_ACQ_REL || op->sem == PTX_SEM_SC ||
            op->sem == (is_ld ? PTX_SEM_RELEASE : PTX_SEM_ACQUIRE))
            return "a memory order that this access cannot have";
        if ((strong >> op->sem & 1) && op->scope == PTX_SCOPE_NONE)
            return "needs a scope (.cta, .cluster, .gpu, .sys)";
    }
    if (is_st && op->space == PTX_SPACE_CONST)
        return "constant memory is not written";
    return NULL;
}

static void set_defaults(struct ptx_op *op, uint32_t seen)
{
    bool is_float = ptx_type_is_float((enum ptx_type)op->type);

    switch (op->family) {
    case PTX_ADD:
    case PTX_SUB:
    case PTX_MUL:
    case PTX_MAD:
        if (is_float && op->round == PTX_ROUND_NONE)
            op->round = PTX_ROUND_RN;
        break;
    case PTX_LD:
    case PTX_LDU:
    case PTX_ST:
        if (!op->vec)
            op->vec = 1;
        break;
    case PTX_ATOM:
    case PTX_RED:
        if (!(seen & PTX_MOD_SEM))
            op->sem = PTX_SEM_RELAXED;
        if (!(seen & PTX_MOD_SCOPE))
            op->scope = PTX_SCOPE_GPU;
        break;
    case PTX_MEMBAR:
    case PTX_FENCE:
        if (!(seen & PTX_MOD_SEM) || (seen & PTX_MOD_PROXY))
            op->sem = PTX_SEM_SC;
        if (!(seen & PTX_MOD_SCOPE))
            op->scope = PTX_SCOPE_SYS;
        break;
    case PTX_MBARRIER:
        if (!(seen & PTX_MOD_SEM))
            op->sem = op->sub == PTX_SUB_TEST_WAIT || op->sub == PTX_SUB_TRY_WAIT ? PTX_SEM_ACQUIRE
                                                                                  : PTX_SEM_RELEASE;
        if (!(seen & PTX_MOD_SCOPE))
            op->scope = PTX_SCOPE_CTA;
        break;
    case PTX_DP4A:
    case PTX_DP2A:
        if (ptx_type_is_signed((enum ptx_type)op->type2))
            op->flags |= PTX_F_SIGNED2;
        break;
    default:
        break;
    }
}

bool ptx_family_is_known(enum ptx_family family)
{
    for (size_t i = 0; i < ptx_rule_count; i++) {
        if (ptx_rules[i].family == family)
            return true;
    }
    return false;
}

/* ---- one spelling ------------------------------------------------------------------------- */

/* "add.s32" to its words. */
static size_t split(struct ptx_span spelling, struct ptx_span words[MODIFIERS_MAX])
{
    size_t count = 0, start = 0;

    for (size_t i = 0; i <= spelling.bytes; i++) {
        if (i < spelling.bytes && spelling.text[i] != '.')
            continue;
        if (count == MODIFIERS_MAX)
            return 0;
        words[count++] = (struct ptx_span){spelling.text + start, i - start};
        start = i + 1;
    }
    return count;
}

/* The family with the longest name at the front ("cp.async.wait_all" before "cp.async"), and how
 * many words the name has. */
static bool find_family(struct ptx_span spelling, enum ptx_family *family_out, size_t *words_out)
{
    size_t best = 0;

    for (int family = 0; family < PTX_FAMILY_COUNT; family++) {
        const char *name = ptx_family_name((enum ptx_family)family);
        size_t bytes = strlen(name);

        if (bytes <= best || bytes > spelling.bytes || memcmp(name, spelling.text, bytes) != 0 ||
            (bytes < spelling.bytes && spelling.text[bytes] != '.'))
            continue;
        best = bytes;
        *family_out = (enum ptx_family)family;
        *words_out = 1;
        for (size_t i = 0; i < bytes; i++)
            *words_out += name[i] == '.';
    }
    return best > 0;
}

/* Says why the rule does not fit (and how far it got), or returns SIZE_MAX when it does. */
static size_t try_rule(struct attempt *a, const struct ptx_span *words, size_t first, size_t count,
                       char reason[PTX_REASON_BYTES])
{
    const char *wrong = NULL;

    for (size_t i = first; i < count; i++) {
        if (take_type(a, words[i]) || take_modifier(a, words[i]))
            continue;
        (void)snprintf(reason, PTX_REASON_BYTES, "'.%.*s' is not supported here",
                       ptx_span_precision(words[i]), words[i].text);
        return i;
    }
    if ((a->rule->types && !(a->seen & PTX_MOD_TYPE)) ||
        (a->rule->types2 && !(a->seen & PTX_MOD_TYPE2)))
        wrong = "a type is missing";
    else if ((a->rule->need & ~a->seen) ||
             (a->rule->need_flags && !(a->rule->need_flags & a->opcode.op.flags)))
        wrong = "a modifier is missing";
    else
        wrong = check_op(&a->opcode.op);
    if (!wrong)
        return SIZE_MAX;
    (void)snprintf(reason, PTX_REASON_BYTES, "%s", wrong);
    return count;
}

enum fab_status ptx_opcode_decode(struct ptx_span spelling, struct ptx_opcode *opcode_out,
                                  char reason[PTX_REASON_BYTES])
{
    struct ptx_span words[MODIFIERS_MAX];
    size_t count = split(spelling, words), first = 0, furthest = 0;
    enum ptx_family family = PTX_ADD;

    (void)snprintf(reason, PTX_REASON_BYTES, "unknown instruction");
    if (!count || !find_family(spelling, &family, &first))
        return FAB_ERR_UNSUPPORTED;
    (void)snprintf(reason, PTX_REASON_BYTES, "instruction is not supported");
    for (size_t i = 0; i < ptx_rule_count; i++) {
        struct attempt a = {.rule = &ptx_rules[i]};
        char why[PTX_REASON_BYTES];
        size_t reached;

        if (ptx_rules[i].family != family)
            continue;
        a.opcode.op.family = (uint16_t)family;
        a.opcode.operands = ptx_rules[i].operands;
        reached = try_rule(&a, words, first, count, why);
        if (reached == SIZE_MAX) {
            set_defaults(&a.opcode.op, a.seen);
            *opcode_out = a.opcode;
            return FAB_OK;
        }
        if (reached >= furthest) {
            furthest = reached;
            memcpy(reason, why, sizeof(why));
        }
    }
    return FAB_ERR_UNSUPPORTED;
}

const struct ptx_opcode *ptx_opcode_get(struct ptx_parser *p, struct ptx_span spelling)
{
    struct ptx_name *name = ptx_names_find(&p->module->opcodes, spelling);
    char reason[PTX_REASON_BYTES];
    struct ptx_opcode *opcode;
    enum fab_status status;

    if (name)
        return name->object;
    opcode = ptx_new(p, 1, sizeof(*opcode));
    if (!opcode)
        return NULL;
    status = ptx_opcode_decode(spelling, opcode, reason);
    if (status != FAB_OK) {
        ptx_fail(p, status, "%.*s: %s", ptx_span_precision(spelling), spelling.text, reason);
        return NULL;
    }
    /* The spelling lies in the module's text or in its arena: both live as long as the table. */
    name = ptx_names_add(&p->module->opcodes, spelling, PTX_NAME_OPCODE);
    if (!name) {
        ptx_fail(p, FAB_ERR_NOMEM, "out of memory");
        return NULL;
    }
    name->object = opcode;
    return opcode;
}
