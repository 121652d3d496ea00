/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_module.c - what stands outside bodies: directives, variables, function heads.
 */
#include "tests/support/check.h"
#include "tests/unit/ptx/ptx_fixture.h"

#include <string.h>

static void test_variables(void)
{
    static const struct {
        const char *text, *dump;
    } cases[] = {
        {".global .u32 a;", "global a u32 align 4 bytes 4\n"},
        {".visible .global .align 16 .f32 a[3][2];", "global a f32 align 16 bytes 24 visible\n"},
        {".extern .shared .align 16 .b8 dyn[];", "shared dyn b8 align 16 bytes 0 extern\n"},
        {".weak .const .b8 c = 7;", "const c b8 align 1 bytes 1 weak\n    07\n"},
        {".common .global .f64 a;", "global a f64 align 8 bytes 8 weak\n"},
        {".global .attribute(.managed) .align 4 .u32 m = 3;",
         "global m u32 align 4 bytes 4 managed\n    03 00 00 00\n"},
        {".global .attribute(.unified(19,95)) .f32 f;", "global f f32 align 4 bytes 4\n"},
        {".const[2] .s16 x = -2;", "const x s16 align 2 bytes 2\n    fe ff\n"},
        {".global .u32 a, b[2];", "global a u32 align 4 bytes 4\nglobal b u32 align 4 bytes 8\n"},
        {".global .v4 .f32 v;", "global v f32 align 16 bytes 16\n"},
        {".global .v2 .u8 v[2] = {{1, 2}, {3}};", "global v u8 align 2 bytes 4\n    01 02 03 00\n"},
        {".global .u8 a[2][3] = {{1}, {4, 5}};",
         "global a u8 align 1 bytes 6\n    01 00 00 04 05 00\n"},
        {".global .u8 a[2][3] = {1, 2, 3, 4};",
         "global a u8 align 1 bytes 6\n    01 02 03 04 00 00\n"},
        {".global .u16 a[] = {1, 2 + 3, 0x10};",
         "global a u16 align 2 bytes 6\n    01 00 05 00 10 00\n"},
        {".global .u8 a[][2] = {1, 2, 3};", "global a u8 align 1 bytes 4\n    01 02 03 00\n"},
        {".global .u8 a[9] = {1, 02, 0x3,4,  5U, -6, 7 + 1,\n8, 256};",
         "global a u8 align 1 bytes 9\n    01 02 03 04 05 fa 08 08 00\n"},
        {".global .f32 a[2] = {1, 2};",
         "global a f32 align 4 bytes 8\n    00 00 80 3f 00 00 00 40\n"},
        {".global .u8 a[3] = {};", "global a u8 align 1 bytes 3\n    00 00 00\n"},
        {".global .f32 a[2] = {1, 0f40000000};",
         "global a f32 align 4 bytes 8\n    00 00 80 3f 00 00 00 40\n"},
        {".global .f64 a = 0.5;", "global a f64 align 8 bytes 8\n    00 00 00 00 00 00 e0 3f\n"},
        {".global .u64 p = generic(s) + 4; .const .u32 s;",
         "global p u64 align 8 bytes 8\n    00 00 00 00 00 00 00 00\n"
         "    at 0: 8 bytes of (generic s+4) >> 0\nconst s u32 align 4 bytes 4\n"},
        {".global .u32 s[4]; .global .u64 p[2] = {0, s - 8};",
         "global s u32 align 4 bytes 16\nglobal p u64 align 8 bytes 16\n"
         "    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
         "    at 8: 8 bytes of (s-8) >> 0\n"},
        {".global .u32 s; .global .u8 p[3] = {1, 0xff(s), 0xFF00(generic(s + 2))};",
         "global s u32 align 4 bytes 4\nglobal p u8 align 1 bytes 3\n    01 00 00\n"
         "    at 1: 1 bytes of (s+0) >> 0\n    at 2: 1 bytes of (generic s+2) >> 8\n"},
        {".extern .global .u32 x; .global .u32 x = 5;",
         "global x u32 align 4 bytes 4\n    05 00 00 00\n"},
        {".global .u32 x = 5; .extern .global .u32 x;",
         "global x u32 align 4 bytes 4\n    05 00 00 00\n"},
        {".global .texref t; .global .surfref s; .global .u8 a;", "global a u8 align 1 bytes 1\n"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_fixture f;
        const char *variables;

        CHECK_CASE("%s", cases[i].text);
        ptx_fixture_parse(&f, cases[i].text);
        CHECK_EQ(f.status, FAB_OK);
        variables = strchr(f.dump, '\n');
        CHECK_STR(variables ? variables + 1 : f.err.text, cases[i].dump);
        ptx_fixture_fini(&f);
    }
}

static void test_functions(void)
{
    static const struct {
        const char *text, *dump;
    } cases[] = {
        {".visible .entry k() { ret; }", "entry k visible\n      1: ret\n"},
        {".entry k { ret; }", "entry k\n      1: ret\n"},
        {".entry k(.param .u64 .ptr .global .align 16 p, .param .align 8 .b8 s[12], .param .u8 c)\n"
         ".maxntid 256, 2 .minnctapersm 3 .pragma \"x\"; { }",
         "entry k\n  maxntid 256,2,1 reqntid 0,0,0 minblocks 3 maxregs 0\n"
         "  at 0: param p u64 align 8 bytes 8 pointer\n  at 8: param s b8 align 8 bytes 12\n"
         "  at 20: param c u8 align 1 bytes 1\n"},
        {".entry k() .reqntid 32 .maxnreg 64 .explicitcluster .reqnctapercluster 2 { }",
         "entry k\n  maxntid 0,0,0 reqntid 32,1,1 minblocks 0 maxregs 64\n"},
        {".func (.param .b32 r) f(.param .b64 a); .func (.param .b32 r) f(.param .b64 b) { ret; }",
         "func f\n  returns param r b32 align 4 bytes 4\n  takes param b b64 align 8 bytes 8\n"
         "      1: ret\n"},
        {".func .attribute(.unified(19, 95)) (.param .b32 r) f() { ret; }",
         "func f\n  returns param r b32 align 4 bytes 4\n      1: ret\n"},
        {".func f() { ret; } .func f();", "func f\n      1: ret\n"},
        {".extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);",
         "func vprintf extern\n  returns param r b32 align 4 bytes 4\n"
         "  takes param a b64 align 8 bytes 8\n  takes param b b64 align 8 bytes 8\n"},
        {".weak .func f() .noreturn .abi_preserve 4 { exit; }",
         "func f weak noreturn\n      1: exit\n"},
        {".func g(.param .align 4 .b8 va[]) { }", "func g\n  takes param va b8 align 4 bytes 0\n"},
        {".func (.reg .u32 r) f(.reg .u32 a) { add.u32 r, a, 1; ret; }",
         "func f\n  returns reg r u32 align 4 bytes 4\n  takes reg a u32 align 4 bytes 4\n"
         "  r0 u32 r1 u32\n      1: add.u32 r0 = r1, 1\n      1: ret\n"},
        {".func f() { } .func g(); .alias g, f; .entry k() { call g; }",
         "func f\nfunc g\nentry k\n      1: call f ( )\n"},
        {".func f() { } .alias h, f; .entry k() { call h; }",
         "func f\nentry k\n      1: call f ( )\n"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_fixture f;
        const char *functions;

        CHECK_CASE("%s", cases[i].text);
        ptx_fixture_parse(&f, cases[i].text);
        CHECK_EQ(f.status, FAB_OK);
        functions = strchr(f.dump, '\n');
        CHECK_STR(functions ? functions + 1 : f.err.text, cases[i].dump);
        ptx_fixture_fini(&f);
    }
}

static void test_directives(void)
{
    static const struct {
        const char *text, *dump;
    } cases[] = {
        {"", "version 8.5 target 80 address 64\n"},
        {".version 9.0\n.target sm_90a, debug\n.address_size 64\n",
         "version 9.0 target 90a address 64\n"},
        {"// comment { \n/* another\n{ */ # line 5\n", "version 8.5 target 80 address 64\n"},
        {".file 1 \"a.cu\"\n.loc 1 2 3\n.pragma \"nounroll\";",
         "version 8.5 target 80 address 64\n"},
        {".section .debug_info\n{\n.b8 1,2\n.b32 L\n}\n.brandnew 1, 2;",
         "version 8.5 target 80 address 64\n"},
        {"@@DWARF .byte 0x02\n", "version 8.5 target 80 address 64\n"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_fixture f;

        CHECK_CASE("%s", cases[i].text);
        ptx_fixture_parse(&f, cases[i].text);
        CHECK_EQ(f.status, FAB_OK);
        CHECK_STR(f.module ? f.dump : f.err.text, cases[i].dump);
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
        {"\n\nfoo", FAB_ERR_FORMAT, "line 3: a directive expected, found 'foo'"},
        {".address_size 32", FAB_ERR_UNSUPPORTED, "line 1: 32-bit addresses are not supported"},
        {".global a;", FAB_ERR_FORMAT, "line 1: a type expected, found 'a'"},
        {".global .u32 a", FAB_ERR_FORMAT, "line 1: ';' expected, but the text ends"},
        {".global .u32 a[2] = {1, 2, 3};", FAB_ERR_FORMAT, "line 1: too many initialisers for 'a'"},
        {".global .u32 a = {{1}};", FAB_ERR_FORMAT,
         "line 1: '{' deeper than the dimensions of 'a'"},
        {".shared .u32 a = 1;", FAB_ERR_FORMAT,
         "line 1: 'a' cannot be initialised: only .global and .const can"},
        {".global .u32 a; .global .u32 a;", FAB_ERR_FORMAT, "line 1: 'a' is declared twice"},
        {".global .u32 f; .func f();", FAB_ERR_FORMAT, "line 1: 'f' is a variable and a function"},
        {".func f() { } \n.func f() { }", FAB_ERR_FORMAT, "line 2: 'f' is defined twice"},
        {".global .align 3 .u32 a;", FAB_ERR_FORMAT, "line 1: .align 3 is not a power of two"},
        {".global .align 131072 .u32 a;", FAB_ERR_FORMAT, "line 1: .align is not in 0..65536"},
        {".global .u32 a[-1];", FAB_ERR_FORMAT, "line 1: array size is not in 0..1099511627776"},
        {".global .u64 a[0x10000000000][0x10000000000];", FAB_ERR_LIMIT, "line 1: array too large"},
        {".global .u64 a[0x8000000000];", FAB_ERR_LIMIT, "line 1: variable too large"},
        {".global .u64 a[0x8000000] = {1};", FAB_ERR_LIMIT,
         "line 1: initialised variables above 64 MiB"},
        {".global .u32 a[1][1][1][1][1][1][1][1][1];", FAB_ERR_LIMIT,
         "line 1: more than 8 dimensions"},
        {".global .u8 a[2][] = {1};", FAB_ERR_FORMAT, "line 1: a constant expected, found ']'"},
        {".global .v2 .u8 a[1][1][1][1][1][1][1][1];", FAB_ERR_LIMIT,
         "line 1: more than 8 dimensions"},
        {".global .u8 a[][0] = {1};", FAB_ERR_FORMAT, "line 1: 'a' has no size"},
        {".global .f16 a = 1.0;", FAB_ERR_FORMAT,
         "line 1: a constant of type .f16 is written by its bits"},
        {".global .pred a;", FAB_ERR_FORMAT, "line 1: 'a' has no size"},
        {".global .u64 a = b;", FAB_ERR_FORMAT,
         "line 1: 'a' holds the address of 'b', which is not declared"},
        {".global .u8 a = b;", FAB_ERR_FORMAT, "line 1: an address in 1 bytes"},
        {".global .u8 a = 0xF0(b);", FAB_ERR_FORMAT,
         "line 1: mask 0xf0 does not choose an element's bytes"},
        {".entry k( .u32 a ) { }", FAB_ERR_FORMAT, "line 1: .param or .reg expected, found 'u32'"},
        {".entry k( { }", FAB_ERR_FORMAT, "line 1: .param or .reg expected, found '{'"},
        {".entry k() {\n {\n }", FAB_ERR_FORMAT, "line 1: '{' without its '}'"},
        {".entry k() { /* }", FAB_ERR_FORMAT, "line 1: '{' without its '}'"},
        {".entry k(.param .b8 a[0x200000]) { }", FAB_ERR_LIMIT,
         "line 1: parameters above 1048576 bytes"},
        {".alias a, b;", FAB_ERR_FORMAT, "line 1: alias of 'b', which is no function"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_fixture f;

        CHECK_CASE("%s", cases[i].text);
        ptx_fixture_parse(&f, cases[i].text);
        CHECK_EQ(f.status, cases[i].status);
        CHECK_STR(f.err.text, cases[i].message);
        CHECK(!f.module);
        ptx_fixture_fini(&f);
    }
}

static void test_not_ptx(void)
{
    struct ptx_module *kept = (struct ptx_module *)&kept, *module = kept;
    struct fab_err err;

    CHECK_CASE("no .version");
    CHECK_EQ(ptx_module_parse(".entry k() { }", 14, &module, &err), FAB_ERR_FORMAT);
    CHECK_STR(err.text, "line 1: no .version: this is not PTX");
    CHECK_EQ(module, kept);

    CHECK_CASE("a NUL ends the text");
    CHECK_EQ(ptx_module_parse(".version 7.0\n\0garbage", 21, &module, &err), FAB_OK);
    ptx_module_destroy(module);

    CHECK_CASE("destroy takes NULL");
    ptx_module_destroy(NULL);
}

static void test_find(void)
{
    struct ptx_fixture f;

    CHECK_CASE("find");
    ptx_fixture_parse(&f, ".global .u32 v; .func f() { } .alias g, f;");
    CHECK(f.module);
    if (f.module) {
        CHECK(ptx_var_find(f.module, "v") == f.module->vars[0]);
        CHECK(ptx_function_find(f.module, "f") == f.module->functions[0]);
        CHECK(ptx_function_find(f.module, "g") == f.module->functions[0]);
        CHECK(!ptx_function_find(f.module, "v"));
        CHECK(!ptx_var_find(f.module, "f"));
        CHECK(!ptx_var_find(f.module, ""));
    }
    ptx_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_variables), CHECK_TEST(test_functions), CHECK_TEST(test_directives),
        CHECK_TEST(test_failures),  CHECK_TEST(test_not_ptx),   CHECK_TEST(test_find),
    };

    return check_run(tests);
}
