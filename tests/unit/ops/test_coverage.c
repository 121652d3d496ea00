/* SPDX-License-Identifier: Apache-2.0
 * docs/coverage.d/ptx.md: which PTX instructions run, asked from the handler tables themselves and
 * compared with the document. UPDATE_EXPECTED=1 writes it.
 *
 * A row of `families` says how to ask: the modifiers that a plain form needs, and which more to
 * try. Every variant must give the same answers.
 */
#include "tests/unit/ops/ops_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 64 * 1024 };

struct text {
    char bytes[TEXT_BYTES];
    size_t length;
};

static void FAB_PRINTF(2, 3) add(struct text *text, const char *format, ...)
{
    va_list list;
    int length;

    va_start(list, format);
    length = vsnprintf(text->bytes + text->length, TEXT_BYTES - text->length, format, list);
    va_end(list);
    if (length > 0 && text->length + (size_t)length < TEXT_BYTES)
        text->length += (size_t)length;
    else
        CHECK_EQ(length, 0); /* the document is longer than its buffer */
}

/* ---- what is asked --------------------------------------------------------------------------- */

static const struct {
    uint8_t sub;
    const char *name;
} subs[] = {
    {PTX_SUB_LO, "lo"},
    {PTX_SUB_HI, "hi"},
    {PTX_SUB_WIDE, "wide"},
    {PTX_SUB_ADD, "add"},
    {PTX_SUB_AND, "and"},
    {PTX_SUB_OR, "or"},
    {PTX_SUB_XOR, "xor"},
    {PTX_SUB_MIN, "min"},
    {PTX_SUB_MAX, "max"},
    {PTX_SUB_INC, "inc"},
    {PTX_SUB_DEC, "dec"},
    {PTX_SUB_EXCH, "exch"},
    {PTX_SUB_CAS, "cas"},
    {PTX_SUB_UP, "up"},
    {PTX_SUB_DOWN, "down"},
    {PTX_SUB_BFLY, "bfly"},
    {PTX_SUB_IDX, "idx"},
    {PTX_SUB_ALL, "all"},
    {PTX_SUB_ANY, "any"},
    {PTX_SUB_UNI, "uni"},
    {PTX_SUB_BALLOT, "ballot"},
    {PTX_SUB_L, "l"},
    {PTX_SUB_R, "r"},
    {PTX_SUB_F4E, "f4e"},
    {PTX_SUB_B4E, "b4e"},
    {PTX_SUB_RC8, "rc8"},
    {PTX_SUB_ECL, "ecl"},
    {PTX_SUB_ECR, "ecr"},
    {PTX_SUB_RC16, "rc16"},
    {PTX_SUB_FINITE, "finite"},
    {PTX_SUB_INFINITE, "infinite"},
    {PTX_SUB_NUMBER, "number"},
    {PTX_SUB_NOTANUMBER, "notanumber"},
    {PTX_SUB_NORMAL, "normal"},
    {PTX_SUB_SUBNORMAL, "subnormal"},
    {PTX_SUB_INIT, "init"},
    {PTX_SUB_INVAL, "inval"},
    {PTX_SUB_ARRIVE, "arrive"},
    {PTX_SUB_ARRIVE_DROP, "arrive_drop"},
    {PTX_SUB_TEST_WAIT, "test_wait"},
    {PTX_SUB_TRY_WAIT, "try_wait"},
    {PTX_SUB_PENDING_COUNT, "pending_count"},
    {PTX_SUB_EXPECT_TX, "expect_tx"},
    {PTX_SUB_COMPLETE_TX, "complete_tx"},
};

static const struct {
    uint32_t flag;
    const char *name;
} flags[] = {{PTX_F_FTZ, "ftz"},
             {PTX_F_SAT, "sat"},
             {PTX_F_APPROX, "approx"},
             {PTX_F_FULL, "full"},
             {PTX_F_CC, "cc"},
             {PTX_F_WRAP, "wrap"},
             {PTX_F_NAN, "NaN"},
             {PTX_F_XORSIGN, "xorsign.abs"},
             {PTX_F_SATFINITE, "satfinite"},
             {PTX_F_RELU, "relu"},
             {PTX_F_SHIFTAMT, "shiftamt"},
             {PTX_F_TO, "to"},
             {PTX_F_NOINC, "noinc"},
             {PTX_F_PARITY, "parity"},
             {PTX_F_NOCOMPLETE, "noComplete"},
             {PTX_F_EXPECT_TX, "expect_tx"},
             {PTX_F_SYNC, "sync"}};

static const struct {
    uint8_t round;
    const char *name;
} rounds[] = {{PTX_ROUND_RN, "rn"},   {PTX_ROUND_RZ, "rz"},   {PTX_ROUND_RM, "rm"},
              {PTX_ROUND_RP, "rp"},   {PTX_ROUND_RNA, "rna"}, {PTX_ROUND_RNI, "rni"},
              {PTX_ROUND_RZI, "rzi"}, {PTX_ROUND_RMI, "rmi"}, {PTX_ROUND_RPI, "rpi"}};

static const struct {
    uint8_t space;
    const char *name;
} spaces[] = {{PTX_SPACE_GENERIC, "generic"}, {PTX_SPACE_GLOBAL, "global"},
              {PTX_SPACE_CONST, "const"},     {PTX_SPACE_SHARED, "shared"},
              {PTX_SPACE_LOCAL, "local"},     {PTX_SPACE_PARAM, "param"}};

/* Bits above the modifiers' own flags: what else distinguishes the forms of a family. */
enum ask {
    ASK_SUBS = 1 << 0,
    ASK_ROUNDS = 1 << 1,
    ASK_SPACES = 1 << 2,
    ASK_COMPARE = 1 << 3, /* needs a comparison */
    ASK_SYNC = 1 << 4,    /* the plain form is .sync */
    ASK_TYPE2 = 1 << 5,   /* by source type */
    ASK_VECTOR = 1 << 6,
};

static const struct {
    uint8_t family;
    unsigned ask;
} families[] = {
    {PTX_ADD, ASK_ROUNDS},
    {PTX_SUB, ASK_ROUNDS},
    {PTX_MUL, ASK_SUBS | ASK_ROUNDS},
    {PTX_MAD, ASK_SUBS | ASK_ROUNDS},
    {PTX_FMA, ASK_ROUNDS},
    {PTX_MUL24, ASK_SUBS},
    {PTX_MAD24, ASK_SUBS},
    {PTX_SAD, 0},
    {PTX_DIV, ASK_ROUNDS},
    {PTX_REM, 0},
    {PTX_ABS, 0},
    {PTX_NEG, 0},
    {PTX_MIN, 0},
    {PTX_MAX, 0},
    {PTX_POPC, 0},
    {PTX_CLZ, 0},
    {PTX_BFIND, 0},
    {PTX_FNS, 0},
    {PTX_BREV, 0},
    {PTX_BFE, 0},
    {PTX_BFI, 0},
    {PTX_SZEXT, 0},
    {PTX_BMSK, 0},
    {PTX_DP4A, ASK_TYPE2},
    {PTX_DP2A, ASK_SUBS | ASK_TYPE2},
    {PTX_ADDC, 0},
    {PTX_SUBC, 0},
    {PTX_MADC, ASK_SUBS},
    {PTX_TESTP, ASK_SUBS},
    {PTX_COPYSIGN, 0},
    {PTX_RCP, ASK_ROUNDS},
    {PTX_SQRT, ASK_ROUNDS},
    {PTX_RSQRT, 0},
    {PTX_SIN, 0},
    {PTX_COS, 0},
    {PTX_LG2, 0},
    {PTX_EX2, 0},
    {PTX_TANH, 0},
    {PTX_SET, ASK_COMPARE | ASK_TYPE2},
    {PTX_SETP, ASK_COMPARE},
    {PTX_SELP, 0},
    {PTX_SLCT, ASK_TYPE2},
    {PTX_AND, 0},
    {PTX_OR, 0},
    {PTX_XOR, 0},
    {PTX_NOT, 0},
    {PTX_CNOT, 0},
    {PTX_LOP3, 0},
    {PTX_SHF, ASK_SUBS},
    {PTX_SHL, 0},
    {PTX_SHR, 0},
    {PTX_MOV, 0},
    {PTX_SHFL, ASK_SUBS | ASK_SYNC},
    {PTX_PRMT, ASK_SUBS},
    {PTX_LD, ASK_SPACES | ASK_VECTOR},
    {PTX_LDU, ASK_SPACES | ASK_VECTOR},
    {PTX_ST, ASK_SPACES | ASK_VECTOR},
    {PTX_PREFETCH, 0},
    {PTX_PREFETCHU, 0},
    {PTX_ISSPACEP, ASK_SPACES},
    {PTX_CVTA, ASK_SPACES},
    {PTX_MAPA, 0},
    {PTX_GETCTARANK, 0},
    {PTX_CP_ASYNC, 0},
    {PTX_CP_ASYNC_COMMIT, 0},
    {PTX_CP_ASYNC_WAIT, 0},
    {PTX_CP_ASYNC_WAIT_ALL, 0},
    {PTX_CP_ASYNC_MBARRIER_ARRIVE, 0},
    {PTX_MEMBAR, 0},
    {PTX_FENCE, 0},
    {PTX_ATOM, ASK_SUBS | ASK_SPACES},
    {PTX_RED, ASK_SUBS | ASK_SPACES},
    {PTX_VOTE, ASK_SUBS | ASK_SYNC},
    {PTX_MATCH, ASK_SUBS | ASK_SYNC},
    {PTX_ACTIVEMASK, 0},
    {PTX_REDUX, ASK_SUBS | ASK_SYNC},
    {PTX_ELECT, ASK_SYNC},
    {PTX_MBARRIER, ASK_SUBS},
    {PTX_PMEVENT, 0},
    {PTX_GRIDDEPCONTROL, 0},
    {PTX_DISCARD, 0},
    {PTX_APPLYPRIORITY, 0},
    {PTX_CREATEPOLICY, 0},
};

/* The scheduler's own (softcuda/warp/exec*.c), and what nobody has yet. */
static const uint8_t scheduled[] = {PTX_BRA, PTX_BRX,     PTX_CALL, PTX_RET,   PTX_EXIT,
                                    PTX_BAR, PTX_BARRIER, PTX_TRAP, PTX_BRKPT, PTX_NANOSLEEP};
static const struct {
    uint8_t family;
    const char *why;
} refused[] = {
    {PTX_TEX, "textures and surfaces"},
    {PTX_SULD, "textures and surfaces"},
    {PTX_SUST, "textures and surfaces"},
    {PTX_WMMA, "matrix instructions"},
    {PTX_MMA, "matrix instructions"},
    {PTX_LDMATRIX, "matrix instructions"},
    {PTX_STMATRIX, "matrix instructions"},
    {PTX_VADD, "video instructions"},
    {PTX_VSUB, "video instructions"},
    {PTX_VABSDIFF, "video instructions"},
    {PTX_VABSDIFF4, "video instructions"},
    {PTX_STACKSAVE, "stack of variable size"},
    {PTX_STACKRESTORE, "stack of variable size"},
    {PTX_ALLOCA, "stack of variable size"},
};

/* ---- asking ---------------------------------------------------------------------------------- */

static const struct warp_isa *asked; /* the variant at hand */

static bool has(const struct ptx_op *op)
{
    const struct warp_form form = {0};
    return asked->find(op, &form) != NULL;
}

/* Tries every value of a field that the family distinguishes; true if one has a handler. */
struct found {
    bool subs[FAB_ARRAY_LEN(subs)], flags[FAB_ARRAY_LEN(flags)], rounds[FAB_ARRAY_LEN(rounds)];
    bool spaces[FAB_ARRAY_LEN(spaces)], types2[PTX_TYPE_COUNT], vector;
};

static void ask_flags(struct ptx_op op, unsigned ask, struct found *found, bool *any)
{
    const uint32_t base = ask & ASK_SYNC ? PTX_F_SYNC : 0;

    /* Some forms exist only with one of these. */
    static const uint32_t with[] = {0, PTX_F_APPROX, PTX_F_APPROX | PTX_F_FTZ, PTX_F_CC};

    for (size_t w = 0; w < FAB_ARRAY_LEN(with); w++) {
        op.flags = base | with[w];
        if (!has(&op))
            continue;
        *any = true;
        for (size_t f = 0; f < FAB_ARRAY_LEN(flags); f++) {
            struct ptx_op more = op;
            more.flags |= flags[f].flag;
            if ((with[w] | base) & flags[f].flag || has(&more))
                found->flags[f] = true;
        }
        for (size_t r = 0; r < FAB_ARRAY_LEN(rounds) && ask & ASK_ROUNDS; r++) {
            struct ptx_op rounded = op;
            rounded.round = rounds[r].round;
            found->rounds[r] = found->rounds[r] || has(&rounded);
        }
        if (ask & ASK_VECTOR) {
            struct ptx_op vector = op;
            vector.vec = 2;
            found->vector = found->vector || has(&vector);
        }
    }
    op.flags = base;
    for (size_t f = 0; f < FAB_ARRAY_LEN(flags) && !(ask & ASK_SYNC); f++) {
        struct ptx_op sync = op;
        sync.flags = flags[f].flag;
        if (op.family == PTX_MATCH || flags[f].flag == PTX_F_SYNC)
            continue;
        if (has(&sync)) {
            *any = true;
            found->flags[f] = true;
        }
    }
}

static bool ask_type(uint8_t family, uint8_t type, unsigned ask, struct found *found)
{
    bool any = false;

    for (size_t s = 0; s < (ask & ASK_SUBS ? FAB_ARRAY_LEN(subs) + 1 : 1); s++)
        for (size_t p = 0; p < (ask & ASK_SPACES ? FAB_ARRAY_LEN(spaces) : 1); p++)
            for (uint8_t t2 = 0; t2 < (uint8_t)(ask & ASK_TYPE2 ? PTX_TYPE_COUNT : 1); t2++) {
                bool here = false;
                const struct ptx_op op = {.family = family,
                                          .type = type,
                                          .type2 = t2,
                                          .sub = s ? subs[s - 1].sub : 0,
                                          .cmp = ask & ASK_COMPARE ? PTX_CMP_EQ : 0,
                                          .space = ask & ASK_SPACES ? spaces[p].space : 0};
                ask_flags(op, ask, found, &here);
                if (!here)
                    continue;
                any = true;
                if (s)
                    found->subs[s - 1] = true;
                found->spaces[p] = ask & ASK_SPACES;
                found->types2[t2] = t2 != 0;
            }
    return any;
}

/* ---- the document ---------------------------------------------------------------------------- */

static void write_found(struct text *text, const struct found *found)
{
    const char *separator = "";

#define WRITE(table, name_of)                                                                      \
    for (size_t i = 0; i < FAB_ARRAY_LEN(found->table); i++)                                       \
        if (found->table[i]) {                                                                     \
            add(text, "%s.%s", separator, name_of);                                                \
            separator = " ";                                                                       \
        }
    WRITE(subs, subs[i].name)
    WRITE(rounds, rounds[i].name)
    WRITE(flags, flags[i].name)
    WRITE(spaces, spaces[i].name)
    if (found->vector)
        add(text, "%s.v2 .v4", separator);
#undef WRITE
}

static void write_family(struct text *text, uint8_t family, unsigned ask)
{
    const struct ptx_op op = {.family = family};
    struct found found = {0};
    bool any = false, has_type2 = false;

    add(text, "| `%s` | ", rig_family(&op));
    for (uint8_t type = 0; type < (uint8_t)PTX_TYPE_COUNT; type++)
        if (ask_type(family, type, ask, &found)) {
            if (type)
                add(text, "%s%s", any ? " " : "", rig_type(type));
            any = any || type;
            if (!type)
                break; /* a family without types */
        }
    for (uint8_t type = 1; type < (uint8_t)PTX_TYPE_COUNT; type++)
        if (found.types2[type]) {
            add(text, "%s%s", has_type2 ? " " : " of ", rig_type(type));
            has_type2 = true;
        }
    add(text, " | ");
    write_found(text, &found);
    add(text, " |\n");
}

static bool ask_convert(uint8_t to, uint8_t from)
{
    for (uint8_t round = 0; round <= (uint8_t)PTX_ROUND_RPI; round++)
        if (has(&(struct ptx_op){.family = PTX_CVT, .type = to, .type2 = from, .round = round}))
            return true;
    return false;
}

static void write_convert(struct text *text)
{
    add(text, "\n`cvt`, in every rounding that the pair has, with .ftz, .sat, .relu and .satfinite "
              "where PTX\nallows them, and registers wider than the type:\n\n"
              "| from | to |\n| --- | --- |\n");
    for (uint8_t from = 1; from < (uint8_t)PTX_TYPE_COUNT; from++) {
        bool any = false;
        for (uint8_t to = 1; to < (uint8_t)PTX_TYPE_COUNT; to++) {
            if (!ask_convert(to, from))
                continue;
            if (!any)
                add(text, "| %s | ", rig_type(from));
            add(text, "%s%s", any ? " " : "", rig_type(to));
            any = true;
        }
        if (any)
            add(text, " |\n");
    }
}

static void write_document(struct text *text)
{
    text->length = 0;
    add(text,
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
        "<!-- Made by tests/unit/ops/test_coverage.c from the handler tables; do not edit. -->\n"
        "## PTX instructions\n\n"
        "What has a handler in softcuda/warp/ops, in every instruction-set variant alike. "
        "Any other form is\nrefused when the function that holds it is first used: "
        "CUDA_ERROR_INVALID_PTX with the line.\n\n"
        "| family | types | modifiers |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < FAB_ARRAY_LEN(families); i++)
        write_family(text, families[i].family, families[i].ask);
    write_convert(text);
    add(text, "\nIn the scheduler (softcuda/warp):");
    for (size_t i = 0; i < FAB_ARRAY_LEN(scheduled); i++)
        add(text, " `%s`", rig_family(&(struct ptx_op){.family = scheduled[i]}));
    add(text, ".\n\n| not yet | group |\n| --- | --- |\n");
    for (size_t i = 0; i < FAB_ARRAY_LEN(refused); i++)
        add(text, "| `%s` | %s |\n", rig_family(&(struct ptx_op){.family = refused[i].family}),
            refused[i].why);
    add(text, "| arithmetic of f16, bf16 and their pairs | 16-bit floats beyond conversion |\n");
}

static struct text wanted, other;

static void test_variants_alike(void)
{
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    asked = isas[0];
    write_document(&wanted);
    for (unsigned n = 1; n < count; n++) {
        check_case("%s has what %s has", isas[n]->name, isas[0]->name);
        asked = isas[n];
        write_document(&other);
        CHECK_STR(other.bytes, wanted.bytes);
    }
}

static void test_document(void)
{
    FILE *file;
    size_t length;

    if (getenv("UPDATE_EXPECTED")) {
        file = fopen(OPS_COVERAGE_MD, "w");
        if (!CHECK(file != NULL))
            return;
        CHECK_EQ(fwrite(wanted.bytes, 1, wanted.length, file), wanted.length);
        CHECK_EQ(fclose(file), 0);
    }
    file = fopen(OPS_COVERAGE_MD, "r");
    check_case("docs/coverage.d/ptx.md (UPDATE_EXPECTED=1 writes it)");
    if (!CHECK(file != NULL))
        return;
    length = fread(other.bytes, 1, TEXT_BYTES - 1, file);
    (void)fclose(file);
    other.bytes[length] = 0;
    CHECK_STR(other.bytes, wanted.bytes);
}

/* Each family of the instruction set stands in exactly one of the tables above. */
static void test_every_family_is_listed(void)
{
    for (unsigned family = 0; family < PTX_FAMILY_COUNT; family++) {
        unsigned listed = family == PTX_CVT;

        for (size_t i = 0; i < FAB_ARRAY_LEN(families); i++)
            listed += families[i].family == family;
        for (size_t i = 0; i < FAB_ARRAY_LEN(scheduled); i++)
            listed += scheduled[i] == family;
        for (size_t i = 0; i < FAB_ARRAY_LEN(refused); i++)
            listed += refused[i].family == family;
        check_case("%s", rig_family(&(struct ptx_op){.family = (uint16_t)family}));
        CHECK_EQ(listed, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_every_family_is_listed),
                                       CHECK_TEST(test_variants_alike), CHECK_TEST(test_document)};

    return check_run(tests);
}
