/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_lower.c - what compilers rarely write: hand-made PTX through the lowering.
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/warp/harness.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
/* A kernel k(u32 *out) with %tid.x in %t; `body` leaves its result in %r. */
#define KERNEL(body)                                                                               \
    HEAD                                                                                           \
        ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %t, %r, %x, %y, %z;\n"                   \
        ".reg .b64 %o, %d, %e;\n.reg .b16 %h, %i;\n.reg .pred %p, %q;\n"                           \
        "mov.u32 %t, %tid.x;\n" body                                                               \
        "ld.param.u64 %o, [out];\nmad.wide.u32 %o, %t, 4, %o;\nst.global.u32 [%o], %r;\nret;\n}\n"

static const struct {
    const char *label, *ptx;
    uint32_t expected[4]; /* of threads 0, 1, 2, 33 */
} results[] = {
    {"brx.idx",
     KERNEL("and.b32 %x, %t, 3;\nts: .branchtargets A, B, A, C;\nbrx.idx %x, ts;\n"
            "A: mov.u32 %r, 10; bra E;\nB: mov.u32 %r, 20; bra E;\nC: mov.u32 %r, 30;\nE:\n"),
     {10, 20, 10, 20}},
    {"pack and unpack",
     KERNEL("mov.b64 %d, {%t, 7};\nmov.b64 {%x, %y}, %d;\nmov.b32 {%h, %i}, %x;\n"
            "mov.b32 %z, {%i, %h};\nadd.u32 %r, %z, %y;\n"),
     {7, 65543, 131079, 33 * 65536 + 7}},
    {"unpack with a sink", KERNEL("mov.b64 %d, {%t, 9};\nmov.b64 {_, %r}, %d;\n"), {9, 9, 9, 9}},
    {"a guarded definition keeps the old value",
     KERNEL(
         "mov.u32 %r, 5;\nsetp.eq.u32 %p, %t, 1;\n@%p mov.u32 %r, 6;\n@!%p add.u32 %r, %r, 1;\n"),
     {6, 6, 6, 6}},
    {"both results of setp",
     KERNEL("setp.lt.and.u32 %p|%q, %t, 2, 1;\nselp.u32 %x, 1, 0, %p;\n"
            "selp.u32 %y, 2, 0, %q;\nadd.u32 %r, %x, %y;\n"),
     {1, 1, 2, 2}},
    {"a narrow load into a wide register",
     HEAD
     ".global .align 4 .b8 bytes[4] = {1, 250, 3, 4};\n"
     ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %t, %r, %x;\n.reg .b64 %o, %d;\n"
     "mov.u32 %t, %tid.x;\nmov.u64 %d, bytes;\nld.global.s8 %x, [%d+1];\n"
     "ld.global.u8 %r, [bytes+1];\nadd.u32 %r, %r, %x;\n"
     "ld.param.u64 %o, [out];\nmad.wide.u32 %o, %t, 4, %o;\nst.global.u32 [%o], %r;\nret;\n}\n",
     {244, 244, 244, 244}},
    {"a loop before its entry in the text",
     KERNEL("mov.u32 %r, 0;\nmov.u32 %x, %t;\nbra L;\nB: add.u32 %r, %r, 3;\nsub.u32 %x, %x, 1;\n"
            "L: setp.ne.u32 %p, %x, 0;\n@%p bra B;\n"),
     {0, 3, 6, 99}},
    {"exit of some lanes by guard",
     KERNEL("mov.u32 %r, 1;\nsetp.eq.u32 %p, %t, 1;\n@%p exit;\nbar.sync 0;\n"),
     {1, 0, 1, 1}},
    {"votes on a negated predicate",
     KERNEL("setp.lt.u32 %p, %t, 3;\nactivemask.b32 %x;\n"
            "vote.sync.ballot.b32 %r, !%p, %x;\nand.b32 %r, %r, 15;\n"),
     {8, 8, 8, 15}},
    {"bar.red",
     KERNEL("setp.lt.u32 %p, %t, 3;\nbar.red.popc.u32 %r, 0, %p;\n"
            "bar.red.and.pred %q, 0, !%p;\nselp.u32 %x, 100, 200, %q;\n"
            "add.u32 %r, %r, %x;\n"),
     {203, 203, 203, 203}},
    {"uniform values used in a branch",
     KERNEL("mov.u32 %x, %ntid.x;\nsetp.gt.u32 %p, %x, 32;\n@%p bra A;\nmov.u32 %r, 1;\nbra B;\n"
            "A: mov.u32 %r, %x;\nB:\n"),
     {40, 40, 40, 40}},
    {"arguments in registers",
     HEAD
     ".func (.param .b32 r) twice(.param .b32 a, .param .b64 b)\n{\n.reg .b32 %v;\n"
     ".reg .b64 %w;\nld.param.b32 %v, [a];\nld.param.b64 %w, [b];\ncvt.u32.u64 %v, %w;\n"
     "add.u32 %v, %v, %v;\nst.param.b32 [r], %v;\nret;\n}\n"
     ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %t, %r;\n.reg .b64 %o, %d;\n"
     "mov.u32 %t, %tid.x;\ncvt.u64.u32 %d, %t;\ncall (%r), twice, (%t, %d);\n"
     "ld.param.u64 %o, [out];\nmad.wide.u32 %o, %t, 4, %o;\nst.global.u32 [%o], %r;\nret;\n}\n",
     {0, 2, 4, 66}},
    {"lane masks and identifiers",
     KERNEL("mov.u32 %x, %laneid;\nmov.u32 %y, %lanemask_lt;\npopc.b32 %y, %y;\n"
            "mov.u32 %z, %warpid;\nsub.u32 %x, %x, %y;\nadd.u32 %r, %x, %z;\n"),
     {0, 0, 0, 1}},
    {"the body may end without ret",
     HEAD ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %t;\n.reg .b64 %o;\n"
          "mov.u32 %t, %tid.x;\nld.param.u64 %o, [out];\nmad.wide.u32 %o, %t, 4, %o;\n"
          "st.global.u32 [%o], 4;\n}\n",
     {4, 4, 4, 4}},
};

static void test_results(void)
{
    static const unsigned threads[4] = {0, 1, 2, 33};
    static const struct warp_policy policies[] = {
        {.worker_count = 1}, {.worker_count = 1, .no_hoisting = true, .poison = true}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(results); i++)
        for (size_t k = 0; k < FAB_ARRAY_LEN(policies); k++) {
            struct harness *h = harness_create(&policies[k]);
            uint32_t *out = harness_alloc(h, 40 * sizeof(*out));
            struct warp_outcome outcome;

            CHECK_CASE("%s, policy %zu", results[i].label, k);
            if (!harness_load(h, results[i].ptx))
                continue;
            outcome =
                harness_run(h, "k", HARNESS_GRID(.block = {40}), HARNESS_PTR(out), HARNESS_END);
            CHECK(!outcome.failed);
            for (unsigned t = 0; t < 4; t++)
                CHECK_EQ(out[threads[t]], results[i].expected[t]);
            harness_destroy(h);
        }
}

static const struct {
    const char *label, *ptx, *text;
} refusals[] = {
    {"malloc",
     HEAD ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.visible .entry k()\n{\n"
          "{\n.param .b64 n;\n.param .b64 r;\ncall (r), malloc, (n);\n}\nret;\n}\n",
     "malloc in device code"},
    {"a function of another module",
     HEAD ".extern .func other();\n.visible .entry k()\n{\ncall other;\nret;\n}\n",
     "call of other, which this module does not define"},
    {"an indirect call",
     HEAD ".visible .entry k(.param .u64 f)\n{\n.reg .b64 %f;\nld.param.u64 %f, [f];\n"
          "P: .callprototype _ ();\ncall %f, (), P;\nret;\n}\n",
     "an indirect call"},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(refusals); i++) {
        struct harness *h = harness_create(NULL);
        struct fab_err err = {.status = FAB_OK};

        CHECK_CASE("%s", refusals[i].label);
        if (harness_load(h, refusals[i].ptx)) {
            CHECK(!harness_program(h, "k", &err));
            CHECK_EQ(err.status, FAB_ERR_UNSUPPORTED);
            CHECK_HAS(err.text, "line ");
            CHECK_HAS(err.text, refusals[i].text);
        }
        harness_destroy(h);
    }
}

/* What the driver reports as function attributes. */
static void test_info(void)
{
    static const char ptx[] =
        HEAD ".const .align 4 .b8 fixed[48];\n.shared .align 4 .b8 one[100];\n.extern .shared "
             ".align 16 .b8 more[];\n"
             ".visible .entry k(.param .u32 a, .param .u64 b, .param .align 4 .b8 c[12])\n"
             ".maxntid 128, 2, 1\n{\n.local .align 8 .b8 box[24];\n.reg .b32 %r;\n"
             "ld.shared.u32 %r, [one+4];\nst.shared.u32 [more], %r;\nst.local.u32 [box], %r;\n"
             "ret;\n}\n";
    struct harness *h = harness_create(NULL);
    struct fab_err err = {.status = FAB_OK};

    if (harness_load(h, ptx)) {
        const struct warp_program *program = harness_program(h, "k", &err);

        if (CHECK(program)) {
            const struct warp_program_info *info = warp_program_info(program);

            CHECK_EQ(info->static_shared_bytes, 100);
            CHECK_EQ(info->local_bytes, 32);
            CHECK_EQ(info->const_bytes, 48);
            CHECK_EQ(info->max_threads_per_block, 256);
            CHECK_EQ(info->param_count, 3);
            CHECK_EQ(info->param_bytes, 28);
            CHECK_EQ(info->param_offset[1], 8);
            CHECK_EQ(info->param_size[2], 12);
            CHECK(!info->uses_grid_sync);
        }
    }
    harness_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_results),
        CHECK_TEST(test_refusals),
        CHECK_TEST(test_info),
    };

    return check_run(tests);
}
