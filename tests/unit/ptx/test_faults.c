/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_faults.c - out of memory at any place: an error, nothing half-built or lost.
 */
#include "base/err.h"
#include "softcuda/ptx/ptx.h"
#include "tests/support/check.h"
#include "tests/support/faults.h"

#include <string.h>

/* Something of everything that allocates; long enough for several blocks and grown lists. */
static const char *const text =
    ".version 8.5 .target sm_80 .global .u8 a[] = {1, 2, 3, 0xff(f)}; .global .u64 p = "
    "generic(a);\n"
    ".extern .func (.param .b32 r) f(.param .b64 x);\n"
    ".entry k(.param .u64 q) .maxntid 32 {\n"
    " .reg .b32 %r<9000>; .reg .pred %p<2>; .reg .b64 %d<2>; .reg .v2 .f32 v;\n"
    " { .param .b64 x; .param .b32 y; call (y), f, (x); }\n"
    " t: .branchtargets A, B; c: .callprototype (.param .b32 _) _ (.param .b64 _);\n"
    " { .param .b64 x; .param .b32 y; call (y), %d1, (x), c; }\n"
    "A: brx.idx %r1, t; mov.b64 {%r1, %r2}, %d1; ld.global.v2.f32 v, [%d1]; add .s32 %r1, 1, 2;\n"
    "B: @%p1 bra A; ret;\n}\n";

static enum fab_status scenario(void)
{
    struct ptx_module *module = NULL;
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status = ptx_module_parse(text, strlen(text), &module, &err);

    if (status == FAB_OK) {
        struct ptx_function *f = ptx_function_find(module, "k");

        status = ptx_function_parse(module, f, &err);
        CHECK_EQ(f->is_parsed, status == FAB_OK);
    } else {
        CHECK(!module);
    }
    CHECK(status == FAB_OK || status == FAB_ERR_NOMEM);
    CHECK_EQ(err.status, status);
    ptx_module_destroy(module);
    return status;
}

static void test_out_of_memory(void)
{
    CHECK(faults_run("PTX", scenario) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_out_of_memory)};

    return check_run(tests);
}
