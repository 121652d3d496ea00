/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_body.c - statements to instructions: registers, scopes, operands, calls.
 *
 * Registers of the dump are numbers in the order of their declaration.
 */
#include "tests/support/check.h"
#include "tests/unit/ptx/ptx_fixture.h"

#include <string.h>

#define REGS                                                                                       \
    ".reg .pred %p<2>; .reg .b16 %h<2>; .reg .b32 %r<4>; .reg .b64 %d<4>;" /* 0, 2, 4, 8           \
                                                                            */

static const struct {
    const char *text, *insns;
} instructions[] = {
    /* Registers. */
    {".reg .b32 %r<3>, x; .reg .b32 %s<2>; add.u32 %r2, x, %s1;", "add.u32 r2 = r3, r5"},
    {".reg .v4 .f32 v; mov.f32 v.x, v.w;", "mov.f32 r0 = r3"},
    {".reg .v2 .f32 v; .reg .b64 d; ld.global.v2.f32 v, [d];", "ld.global.v2.f32 {r0,r1} = [r2]"},
    {REGS "ld.param.u64 %d0, [p];", "ld.param.u64 r8 = [p]"},

    /* Constants. */
    {REGS "mov.u32 %r0, -1;", "mov.u32 r4 = -1"},
    {REGS "mov.u32 %r0, WARP_SZ;", "mov.u32 r4 = 32"},
    {REGS "mov.b32 %r0, 0f3F800000;", "mov.b32 r4 = 1065353216"},
    {REGS "mov.f32 %r0, 1.0;", "mov.f32 r4 = 0f3F800000"},
    {REGS "mov.f64 %d0, 0f3F800000;", "mov.f64 r8 = 0d3FF0000000000000"},
    {REGS "mov.b64 %d0, 0d3FF0000000000000;", "mov.b64 r8 = 4607182418800017408"},
    {REGS "add.f32 %r0, %r1, 0fBF800000;", "add.rn.f32 r4 = r5, 0fBF800000"},
    {REGS "add.f16 %h0, %h1, 0x3C00;", "add.rn.f16 r2 = r3, 15360"},
    {REGS "shl.b64 %d0, %d1, 1+2*3;", "shl.b64 r8 = r9, 7"},

    /* Special registers, variables, functions. */
    {REGS "mov.u32 %r0, %tid.x;", "mov.u32 r4 = %tid.x"},
    {REGS "mov.u32 %r0, %laneid;", "mov.u32 r4 = %laneid"},
    {REGS "mov.u64 %d0, %clock64;", "mov.u64 r8 = %clock64"},
    {REGS "mov.b32 %r0, %envreg2;", "mov.b32 r4 = %envreg2"},
    {REGS "mov.b32 %r0, %envreg31;", "mov.b32 r4 = %envreg"},
    {REGS ".shared .b32 s[4]; mov.u32 %r0, s+4;", "mov.u32 r4 = s+4"},
    {REGS "mov.b64 %d0, p;", "mov.b64 r8 = p"},
    {REGS "mov.u64 %d0, k;", "mov.u64 r8 = k"},

    /* Addresses. */
    {REGS "ld.global.u32 %r0, [%d0+-4];", "ld.global.u32 r4 = [r8-4]"},
    {REGS "ld.global.u32 %r0, [%d0 + 4 * 2];", "ld.global.u32 r4 = [r8+8]"},
    {REGS "ld.global.u32 %r0, [%d0-4];", "ld.global.u32 r4 = [r8-4]"},
    {REGS "ld.shared.u32 %r0, [%r1];", "ld.shared.u32 r4 = [r5]"},
    {REGS "ld.shared.u32 %r0, [16];", "ld.shared.u32 r4 = [0+16]"},
    {REGS ".local .b8 l[8]; st.local.u8 [l+3], %r0;", "st.local.u8 [l+3], r4"},
    {REGS "ld.u8 %h0, [%d0];", "ld.u8 r2 = [r8]"},
    {REGS "ld.global.L2::cache_hint.u32 %r0, [%d0], %d1;", "ld.global.u32 r4 = [r8]"},

    /* Vectors. */
    {REGS "ld.global.v2.u32 {%r0, %r1}, [%d0];", "ld.global.v2.u32 {r4,r5} = [r8]"},
    {REGS "ld.global.v4.u32 {%r0, _, %r1, _}, [%d0];", "ld.global.v4.u32 {r4,_,r5,_} = [r8]"},
    {REGS "st.global.v2.f32 [%d0], {%r0, 0f00000000};", "st.global.v2.f32 [r8], {r4,0f00000000}"},
    {REGS "mov.b64 {%r0, %r1}, %d0;", "mov.b64 {r4,r5} = r8"},
    {REGS "mov.b64 {_, %r1}, %d0;", "mov.b64 {_,r5} = r8"},
    {REGS "mov.b64 %d0, {%r0, 7};", "mov.b64 r8 = {r4,7}"},
    {REGS "mov.b32 %r0, {%h0, %h1};", "mov.b32 r4 = {r2,r3}"},

    /* Predicates. */
    {REGS "@%p0 add.s32 %r0, %r1, %r2;", "@r0 add.s32 r4 = r5, r6"},
    {REGS "@!%p1 exit;", "@!r1 exit"},
    {REGS "setp.eq.s32 %p0|%p1, %r0, 1;", "setp.eq.s32 r0, r1 = r4, 1"},
    {REGS "setp.eq.s32 _|%p1, %r0, 1;", "setp.eq.s32 _, r1 = r4, 1"},
    {REGS "setp.lt.and.f32 %p0, %r0, %r1, !%p1;", "setp.lt.and.f32 r0 = r4, r5, !r1"},
    {REGS "mov.pred %p0, 0;", "mov.pred r0 = 0"},
    {REGS "mov.pred %p0, %is_explicit_cluster;", "mov.pred r0 = %is_explicit_cluster"},
    {REGS "and.pred %p0, %p0, %p1;", "and.pred r0 = r0, r1"},
    {REGS "selp.b32 %r0, 1, 0, %p0;", "selp.b32 r4 = 1, 0, r0"},

    /* Others with operands of their own. */
    {REGS "shfl.sync.down.b32 %r0|%p0, %r1, 1, 31, -1;",
     "shfl.down.sync.b32 r4, r0 = r5, 1, 31, -1"},
    {REGS "vote.sync.ballot.b32 %r0, !%p0, -1;", "vote.ballot.sync.b32 r4 = !r0, -1"},
    {REGS "bar.sync 0;", "bar.sync 0"},
    {REGS "barrier.sync.aligned %r0, 64;", "barrier.sync r4, 64"},
    {REGS "bar.red.popc.u32 %r0, 1, 64, !%p0;", "bar.popc.u32 r4 = 1, 64, !r0"},
    {REGS "bar.red.or.pred %p0, 1, %p1;", "bar.or.pred r0 = 1, r1"},
    {REGS "atom.shared.cas.b32 %r0, [%r1], %r2, 5;",
     "atom.cas.relaxed.gpu.shared.b32 r4 = [r5], r6, 5"},
    {REGS "atom.global.add.u32 _, [%d0], 1;", "atom.add.relaxed.gpu.global.u32 _ = [r8], 1"},
    {REGS "red.global.add.f32 [%d0], %r0;", "red.add.relaxed.gpu.global.f32 [r8], r4"},
    {REGS "cp.async.ca.shared.global [%r0], [%d0], 4, %r1;", "cp.async.shared [r4], [r8], 4, r5"},
    {REGS "cp.async.cg.shared.global [%r0], [%d0], 16;", "cp.async.shared [r4], [r8], 16"},
    {REGS "cp.async.ca.shared.global [%r0], [%d0], 4, %p0;", "cp.async.shared [r4], [r8], 4, r0"},
    {REGS "mbarrier.arrive.shared.b64 %d0, [%r0];",
     "mbarrier.arrive.release.cta.shared.b64 r8 = [r4]"},
    {REGS "mbarrier.try_wait.parity.shared.b64 %p0, [%r0], %r1, 100;",
     "mbarrier.try_wait.acquire.cta.shared.parity.b64 r0 = [r4], r5, 100"},
    {REGS "lop3.b32 %r0, %r1, %r2, %r3, 0x96;", "lop3.b32 r4 = r5, r6, r7, 150"},
    {REGS "mul.wide.s32 %d0, %r0, 4;", "mul.wide.s32 r8 = r4, 4"},
    {REGS "mad.wide.u16 %r0, %h0, %h1, %r1;", "mad.wide.u16 r4 = r2, r3, r5"},
    {REGS "cvt.u8.u32 %h0, %r0;", "cvt.u8.u32 r2 = r4"},
    {".reg .b32 r; .reg .b8 a, b; cvt.u8.u32 a, r; mov.b32 {a, b, _, _}, r;",
     "cvt.u8.u32 r1 = r0\nmov.b32 {r1,r2,_,_} = r0"},
    {REGS "cvt.rn.f16x2.f32 %r0, %r1, %r2;", "cvt.rn.f16x2.f32 r4 = r5, r6"},
    {REGS "popc.b64 %r0, %d0;", "popc.b64 r4 = r8"},
    {REGS "cvta.to.global.u64 %d0, %d1;", "cvta.global.to.u64 r8 = r9"},
    {REGS "createpolicy.fractional.L2::evict_last.b64 %d0, 1.0;",
     "createpolicy.b64 r8 = 0d3FF0000000000000"},
    {REGS "add .s32 %r0, %r1, 1;", "add.s32 r4 = r5, 1"},

    /* Things to step over. */
    {".loc 1 2 3, function_name x, inlined_at 1 2 3\nret;", "ret"},
    {".pragma \"nounroll\";; ret; // done", "ret"},

    /* Branches. */
    {REGS "A: bra B; B: bra.uni A;", "bra L1\nbra.uni L0"},
    {REGS "t: .branchtargets A, B; brx.idx %r0, t; A: B: ret;", "brx r4 L0 L1\nret"},
    {"{ bra A; A: ret; } { A: bra A; }", "bra L0\nret\nbra L1"},
    {"{ { bra A; } } A: ret;", "bra L0\nret"},
    {"A: { bra A; A: ret; } bra A;", "bra L1\nret\nbra L0"},

    /* Scopes hide. */
    {".reg .b32 x; { .reg .b64 x; mov.b64 x, 1; } mov.b32 x, 2;", "mov.b64 r1 = 1\nmov.b32 r0 = 2"},
};

static void test_instructions(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(instructions); i++) {
        struct ptx_fixture f;
        char insns[1024];

        CHECK_CASE("%s", instructions[i].text);
        ptx_fixture_parse_body(&f, instructions[i].text);
        CHECK_EQ(f.status, FAB_OK);
        ptx_fixture_insns(&f, insns, sizeof(insns));
        CHECK_STR(f.status == FAB_OK ? insns : f.err.text, instructions[i].insns);
        ptx_fixture_fini(&f);
    }
}

static void test_failures(void)
{
    static const struct {
        const char *text;
        enum fab_status status;
        const char *message;
    } cases[] = {
        {REGS "\nfoo.s32 %r0;", FAB_ERR_UNSUPPORTED, "line 3: foo.s32: unknown instruction"},
        {REGS "add.q %r0;", FAB_ERR_UNSUPPORTED, "line 2: add.q: '.q' is not supported here"},
        {"tex.2d.v4.f32.f32 {a}, [b];", FAB_ERR_UNSUPPORTED,
         "line 2: tex.2d.v4.f32.f32: instruction is not supported"},
        {".reg .b32 x<300000>;", FAB_ERR_LIMIT, "line 2: more than 262144 registers"},
        {".reg .b32 x; .reg .b32 x;", FAB_ERR_FORMAT, "line 2: 'x' is declared twice"},
        {".reg .b32 %r<3>; mov.b32 %r3, 1;", FAB_ERR_FORMAT, "line 2: unknown name '%r3'"},
        {".reg .b32 %r<3>; mov.b32 %r01, 1;", FAB_ERR_FORMAT, "line 2: unknown name '%r01'"},
        {".reg .b32 %r<3>; mov.b32 %r, 1;", FAB_ERR_FORMAT, "line 2: unknown name '%r'"},
        {REGS "mov.u32 %r0, %tid;", FAB_ERR_FORMAT, "line 2: unknown name '%tid'"},
        {REGS "mov.u32 %r0, nothing;", FAB_ERR_FORMAT, "line 2: unknown name 'nothing'"},
        {REGS "add.s32 %r0, %r1;", FAB_ERR_FORMAT, "line 2: add: wrong number of operands"},
        {REGS "add.s32 %r0|%p0, %r1, %r2;", FAB_ERR_FORMAT,
         "line 2: add: wrong number of operands"},
        {REGS "add.s32 %d0, %r1, %r2;", FAB_ERR_FORMAT,
         "line 2: add: a register has the wrong size"},
        {REGS "add.s64 %d0, %d1, %r2;", FAB_ERR_FORMAT,
         "line 2: add: a register has the wrong size"},
        {REGS "add.s32 %p0, %r1, %r2;", FAB_ERR_FORMAT,
         "line 2: add: a register has the wrong size"},
        {REGS "add.s32 %r0, [%d0], 1;", FAB_ERR_FORMAT,
         "line 2: add: a register or a constant is wanted"},
        {REGS "add.s32 5, %r0, 1;", FAB_ERR_FORMAT, "line 2: add: the result is no register"},
        {REGS "add.s32 _, %r0, 1;", FAB_ERR_FORMAT, "line 2: add: the result is no register"},
        {REGS "add.s32 %r0, !%r1, 1;", FAB_ERR_FORMAT,
         "line 2: add: only predicates can be negated"},
        {REGS "setp.eq.s32 !%p0, %r1, 1;", FAB_ERR_FORMAT,
         "line 2: setp: a result cannot be negated"},
        {REGS "setp.eq.s32 %r0, %r1, 1;", FAB_ERR_FORMAT,
         "line 2: setp: a predicate register is wanted"},
        {REGS "ld.global.u32 %r0, %d0;", FAB_ERR_FORMAT, "line 2: ld: an address in [] is wanted"},
        {REGS "ld.global.u32 %r0, [%r1];", FAB_ERR_FORMAT,
         "line 2: ld: an address register has the wrong size"},
        {REGS "ld.global.u32 %r0, [p];", FAB_ERR_FORMAT,
         "line 2: ld: the variable lies in another state space"},
        {REGS "ld.f32 %d0, [%d0];", FAB_ERR_FORMAT, "line 2: ld: a register has the wrong size"},
        {REGS "ld.global.v2.u32 {%r0}, [%d0];", FAB_ERR_FORMAT,
         "line 2: ld: a vector of another length"},
        {REGS "ld.global.v2.u32 %r0, [%d0];", FAB_ERR_FORMAT, "line 2: ld: a vector is wanted"},
        {REGS "mov.b64 {%r0, %r1}, {%r2, %r3};", FAB_ERR_FORMAT,
         "line 2: mov: from a vector to a vector"},
        {REGS "mov.b64 {%r0, %r1, %r2}, %d0;", FAB_ERR_FORMAT,
         "line 2: mov: a vector that does not fill the type"},
        {REGS "mov.b32 {%r0, %r1}, %r2;", FAB_ERR_FORMAT,
         "line 2: mov: a register has the wrong size"},
        {REGS "mov.b64 %d0, {{%r0}, %r1};", FAB_ERR_FORMAT,
         "line 2: an element expected, found '{'"},
        {REGS "mov.b64 %d0, {%tid.x, %r1};", FAB_ERR_FORMAT,
         "line 2: an element is a register, a constant or '_'"},
        {REGS "add.f16 %h0, %h1, 1.0;", FAB_ERR_FORMAT,
         "line 2: add: a constant of this type is written by its bits"},
        {REGS "lop3.b32 %r0, %r1, %r2, %r3, %r0;", FAB_ERR_FORMAT,
         "line 2: lop3: a constant is wanted"},
        {REGS "@%r0 ret;", FAB_ERR_FORMAT, "line 2: '%r0' is no predicate register"},
        {REGS "add.s32 %r0, %r1, 1", FAB_ERR_FORMAT, "line 3: ';' expected, but the text ends"},
        {"\nbra A;", FAB_ERR_FORMAT, "line 3: no label 'A'"},
        {"{ A: ret; } bra A;", FAB_ERR_FORMAT, "line 2: no label 'A'"},
        {"A: A: ret;", FAB_ERR_FORMAT, "line 2: 'A' is declared twice"},
        {REGS "brx.idx %r0, t;", FAB_ERR_FORMAT, "line 2: no .branchtargets 't'"},
        {REGS "call (p), k;", FAB_ERR_FORMAT,
         "line 2: call with 1 results and 0 arguments, wanted 0 and 1"},
        {REGS "call %d0, (p);", FAB_ERR_FORMAT, "line 2: an indirect call without its prototype"},
        {REGS "call 5, (p);", FAB_ERR_FORMAT,
         "line 2: the callee is a function or a 64-bit register"},
        {"call nobody;", FAB_ERR_FORMAT, "line 2: unknown name 'nobody'"},
        {"5;", FAB_ERR_FORMAT, "line 2: a statement expected, found '5'"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_fixture f;

        CHECK_CASE("%s", cases[i].text);
        ptx_fixture_parse_body(&f, cases[i].text);
        CHECK_EQ(f.status, cases[i].status);
        CHECK_STR(f.err.text, cases[i].message);
        CHECK(f.module);
        if (f.module) {
            struct fab_err again;

            /* A failed body fails again in the same way, and is not half there. */
            CHECK_EQ(ptx_function_parse(f.module, f.module->functions[0], &again), f.status);
            CHECK_STR(again.text, f.err.text);
            CHECK(!f.module->functions[0]->is_parsed && !f.module->functions[0]->insns);
        }
        ptx_fixture_fini(&f);
    }
}

static void test_calls(void)
{
    struct ptx_fixture f;
    char insns[1024];

    CHECK_CASE("direct, with and without results, and through a prototype");
    ptx_fixture_parse(&f,
                      ".func (.param .b32 r) f(.param .b64 a); .func g(.param .b64 a); .func h();\n"
                      ".extern .func (.param .b32 r) pr(.param .b64 f, .param .b8 va[]);\n"
                      ".entry k() { .reg .b32 %r; .reg .b64 %d;\n"
                      "{ .param .b64 param0; st.param.b64 [param0+0], %d; .param .b32 retval0;\n"
                      "call.uni (retval0),\nf,\n(\nparam0\n);\nld.param.b32 %r, [retval0+0]; }\n"
                      "{ .param .b64 param0; call g, (param0); } call h; call (_), pr, (%d);\n"
                      "{ .param .b32 q; .param .b64 a;\n"
                      "t : .callprototype (.param .b32 _) _ (.param .b64 _) .noreturn;\n"
                      "call (q), %d, (a), t; }\n"
                      "u: .calltargets h; call %d, u; }");
    CHECK_EQ(f.status, FAB_OK);
    CHECK_STR(f.err.text, "");
    ptx_fixture_insns(&f, insns, sizeof(insns));
    CHECK_STR(insns, "st.param.b64 [param0], r1\ncall.uni retval0 = f ( param0 )\n"
                     "ld.param.b32 r0 = [retval0]\ncall g ( param0 )\ncall h ( )\n"
                     "call _ = pr ( r1 )\ncall q = r1 ( a )\ncall r1 ( )");
    ptx_fixture_fini(&f);
}

/* Nesting that a recursive parser would pay for with its stack. */
static void test_depth(void)
{
    enum { MANY = 100000 };
    static char text[MANY + 1];
    struct ptx_fixture f;
    static const struct {
        char c;
        enum fab_status status;
    } cases[] = {{'{', FAB_ERR_FORMAT}, {'-', FAB_ERR_FORMAT}, {'[', FAB_ERR_FORMAT}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("many '%c'", cases[i].c);
        memset(text, cases[i].c, MANY);
        ptx_fixture_parse_body(&f, text);
        CHECK_EQ(f.status, cases[i].status);
        ptx_fixture_fini(&f);
    }

    CHECK_CASE("65 scopes");
    (void)memset(text, 0, sizeof(text));
    memset(text, '{', 65);
    memset(text + 65, '}', 65);
    ptx_fixture_parse_body(&f, text);
    CHECK_EQ(f.status, FAB_ERR_LIMIT);
    CHECK_STR(f.err.text, "line 2: nested more than 64 deep");
    ptx_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_instructions),
        CHECK_TEST(test_failures),
        CHECK_TEST(test_calls),
        CHECK_TEST(test_depth),
    };

    return check_run(tests);
}
