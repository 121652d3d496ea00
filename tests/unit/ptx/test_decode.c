/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_decode.c - spellings to fields, and the table of rules itself.
 *
 * The expected text is the dump's spelling: fields in a fixed order, hints gone, defaults shown.
 */
#include "softcuda/ptx/ptx_dump.h"
#include "softcuda/ptx/ptx_int.h"
#include "tests/support/check.h"

#include <string.h>

static enum fab_status decode(const char *spelling, struct ptx_opcode *opcode, char *reason)
{
    *opcode = (struct ptx_opcode){.has_policy = false};
    return ptx_opcode_decode((struct ptx_span){spelling, strlen(spelling)}, opcode, reason);
}

static const struct {
    const char *spelling, *text; /* NULL: the same */
} good[] = {
    {"add.s32", NULL},
    {"add.sat.s32", NULL},
    {"add.cc.u32", NULL},
    {"add.f32", "add.rn.f32"},
    {"add.rz.ftz.f32", NULL},
    {"add.ftz.sat.f32", "add.rn.ftz.sat.f32"},
    {"add.f16x2", "add.rn.f16x2"},
    {"mul.lo.s32", NULL},
    {"mul.wide.u16", NULL},
    {"mul.hi.u64", NULL},
    {"mul.rn.f64", NULL},
    {"mad.lo.cc.u32", NULL},
    {"madc.hi.cc.u32", NULL},
    {"mad24.lo.s32", NULL},
    {"fma.rn.ftz.f32", NULL},
    {"fma.rn.relu.bf16x2", NULL},
    {"div.full.ftz.f32", "div.ftz.full.f32"},
    {"div.rn.f64", NULL},
    {"div.s32", NULL},
    {"min.ftz.NaN.xorsign.abs.f32", "min.ftz.NaN.xorsign.abs.f32"},
    {"abs.ftz.f32", NULL},
    {"rcp.approx.ftz.f64", "rcp.ftz.approx.f64"},
    {"rcp.rn.f32", NULL},
    {"sqrt.approx.f32", NULL},
    {"ex2.approx.ftz.bf16x2", "ex2.ftz.approx.bf16x2"},
    {"dp4a.u32.s32", "dp4a.u32.s32"},
    {"dp2a.lo.s32.u32", NULL},
    {"bfind.shiftamt.u64", NULL},
    {"shf.l.wrap.b32", NULL},
    {"shf.r.clamp.b32", "shf.r.b32"},
    {"prmt.b32", NULL},
    {"prmt.b32.f4e", "prmt.f4e.b32"},
    {"lop3.b32", NULL},
    {"lop3.or.b32", NULL},
    {"testp.finite.f32", NULL},
    {"set.lt.u32.f32", NULL},
    {"set.eq.and.ftz.f32.f32", "set.eq.and.ftz.f32.f32"},
    {"setp.lo.u32", NULL},
    {"setp.lo.and.u32", NULL},
    {"setp.nan.ftz.f32", NULL},
    {"slct.ftz.u64.f32", NULL},
    {"mov.b128", NULL},
    {"ld.global.nc.L1::no_allocate.L2::128B.v4.f32", "ld.global.v4.f32"},
    {"ld.u8", NULL},
    {"ld.volatile.shared.u32", NULL},
    {"ld.acquire.gpu.global.u32", NULL},
    {"ld.relaxed.cta.shared::cta.b64", "ld.relaxed.cta.shared.b64"},
    {"ld.mmio.relaxed.sys.global.u32", "ld.relaxed.sys.global.u32"},
    {"ld.param::func.b32", "ld.param.b32"},
    {"ld.weak.global.cg.u32", "ld.global.u32"},
    {"ld.global.lu.u32", "ld.global.u32"},
    {"ldu.global.v2.u64", NULL},
    {"st.release.sys.u32", NULL},
    {"st.global.wt.v2.b16", "st.global.v2.b16"},
    {"prefetch.global.L2::evict_last", "prefetch.global"},
    {"isspacep.shared::cluster", "isspacep.shared"},
    {"cvta.to.global.u64", "cvta.global.to.u64"},
    {"cvt.rn.f32.s32", NULL},
    {"cvt.rzi.s32.f32", NULL},
    {"cvt.rni.f32.f32", NULL},
    {"cvt.sat.u8.s32", "cvt.sat.u8.s32"},
    {"cvt.sat.f32.f32", NULL},
    {"cvt.f64.f32", NULL},
    {"cvt.f32.f16", NULL},
    {"cvt.rn.relu.f16x2.f32", NULL},
    {"cvt.rna.tf32.f32", NULL},
    {"cvt.rn.satfinite.e4m3x2.f32", NULL},
    {"cvt.rn.f16x2.e5m2x2", NULL},
    {"cp.async.ca.shared.global", "cp.async.shared"},
    {"cp.async.cg.shared::cta.global.L2::128B", "cp.async.shared"},
    {"cp.async.commit_group", NULL},
    {"cp.async.wait_group", NULL},
    {"cp.async.wait_all", NULL},
    {"cp.async.mbarrier.arrive.noinc.shared.b64", "cp.async.mbarrier.arrive.shared.noinc.b64"},
    {"bra.uni", NULL},
    {"brx.idx", "brx"},
    {"bar.sync", NULL},
    {"barrier.sync.aligned", "barrier.sync"},
    {"barrier.cta.arrive", "barrier.arrive.cta"},
    {"bar.red.popc.u32", "bar.popc.u32"},
    {"bar.red.and.pred", "bar.and.pred"},
    {"bar.warp.sync", "bar.warp.sync"},
    {"barrier.cluster.arrive.release.aligned", "barrier.arrive.release.cluster"},
    {"barrier.cluster.wait", "barrier.wait.cluster"},
    {"membar.gl", "membar.sc.gpu"},
    {"membar.cta", "membar.sc.cta"},
    {"membar.sys", "membar.sc.sys"},
    {"fence.acq_rel.gpu", NULL},
    {"fence.sc.sys", NULL},
    {"fence.proxy.alias", "fence.sc.sys"},
    {"fence.mbarrier_init.release.cluster", "fence.sc.cluster"},
    {"atom.add.u32", "atom.add.relaxed.gpu.u32"},
    {"atom.global.cas.b64", "atom.cas.relaxed.gpu.global.b64"},
    {"atom.add.acq_rel.cta.u64", "atom.add.acq_rel.cta.u64"},
    {"atom.global.add.noftz.f16x2", "atom.add.relaxed.gpu.global.f16x2"},
    {"red.shared.inc.u32", "red.inc.relaxed.gpu.shared.u32"},
    {"red.release.sys.global.or.b64", "red.or.release.sys.global.b64"},
    {"shfl.sync.down.b32", "shfl.down.sync.b32"},
    {"shfl.idx.b32", "shfl.idx.b32"},
    {"vote.sync.ballot.b32", "vote.ballot.sync.b32"},
    {"vote.sync.uni.pred", "vote.uni.sync.pred"},
    {"match.all.sync.b64", "match.all.sync.b64"},
    {"activemask.b32", NULL},
    {"redux.sync.add.s32", "redux.add.sync.s32"},
    {"elect.sync", NULL},
    {"mbarrier.init.shared.b64", "mbarrier.init.release.cta.shared.b64"},
    {"mbarrier.arrive.noComplete.shared.b64", "mbarrier.arrive.release.cta.shared.noComplete.b64"},
    {"mbarrier.arrive.expect_tx.shared::cta.b64",
     "mbarrier.arrive.release.cta.shared.expect_tx.b64"},
    {"mbarrier.test_wait.parity.shared.b64", "mbarrier.test_wait.acquire.cta.shared.parity.b64"},
    {"mbarrier.try_wait.acquire.cluster.b64", "mbarrier.try_wait.acquire.cluster.b64"},
    {"createpolicy.fractional.L2::evict_last.b64", "createpolicy.b64"},
    {"griddepcontrol.wait", "griddepcontrol"},
    {"nanosleep.u32", NULL},
    {"ret.uni", NULL},
    {"exit", NULL},
};

static void test_good(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(good); i++) {
        struct ptx_opcode opcode;
        char reason[PTX_REASON_BYTES], text[128] = "";
        enum fab_status status = decode(good[i].spelling, &opcode, reason);

        CHECK_CASE("%s", good[i].spelling);
        if (!CHECK_EQ(status, FAB_OK)) {
            CHECK_STR(reason, "");
            continue;
        }
        ptx_op_format(&opcode.op, text, sizeof(text));
        CHECK_STR(text, good[i].text ? good[i].text : good[i].spelling);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *spelling, *reason;
    } cases[] = {
        {"", "unknown instruction"},
        {"frobnicate.s32", "unknown instruction"},
        {"addx.s32", "unknown instruction"},
        {"tex.2d.v4.f32.s32", "instruction is not supported"},
        {"wmma.load.a.sync.row.m16n16k16.f16", "instruction is not supported"},
        {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "instruction is not supported"},
        {"vabsdiff4.u32.u32.u32.add", "instruction is not supported"},
        {"cp.async.bulk.commit_group", "'.bulk' is not supported here"},
        {"add", "a type is missing"},
        {"add.q32", "'.q32' is not supported here"},
        {"add.b32", "'.b32' is not supported here"},
        {"add.s32.s32", "'.s32' is not supported here"},
        {"add.ftz.s32", "'.s32' is not supported here"},
        {"add.rn.rn.f32", "'.rn' is not supported here"},
        {"add.sat.sat.s32", "'.sat' is not supported here"},
        {"mul.s32", "a modifier is missing"},
        {"mul.wide.s64", "'.s64' is not supported here"},
        {"fma.f32", "a modifier is missing"},
        {"div.f32", "a modifier is missing"},
        {"min.ftz.abs.f32", "'.abs' is not supported here"},
        {"ld.relaxed.global.u32", "needs a scope (.cta, .cluster, .gpu, .sys)"},
        {"ld.release.gpu.global.u32", "a memory order that this access cannot have"},
        {"st.acquire.gpu.global.u32", "a memory order that this access cannot have"},
        {"st.const.u32", "constant memory is not written"},
        {"ld.v3.u32", "'.v3' is not supported here"},
        {"cvt.f32.s32", "integer to floating point wants .rn, .rz, .rm or .rp"},
        {"cvt.s32.f32", "floating point to integer wants .rni, .rzi, .rmi or .rpi"},
        {"cvt.rn.s32.f32", "floating point to integer wants .rni, .rzi, .rmi or .rpi"},
        {"cvt.rn.s32.s16", "a rounding between integers"},
        {"cvt.f32.f64", "to fewer bits wants a rounding"},
        {"setp.u32", "a modifier is missing"},
        {"atom.inc.s32", "'.s32' is not supported here"},
        {"atom.local.add.u32", "'.local' is not supported here"},
        {"bar.red.u32", "a modifier is missing"},
        {"shfl.sync.b32", "a modifier is missing"},
        {"fence.gpu", "a modifier is missing"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "unknown instruction"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct ptx_opcode opcode;
        char reason[PTX_REASON_BYTES];

        CHECK_CASE("%s", cases[i].spelling);
        CHECK_EQ(decode(cases[i].spelling, &opcode, reason), FAB_ERR_UNSUPPORTED);
        CHECK_STR(reason, cases[i].reason);
    }
}

static void test_fields(void)
{
    struct ptx_opcode opcode;
    char reason[PTX_REASON_BYTES];

    CHECK_CASE("L2::cache_hint brings an operand");
    CHECK_EQ(decode("ld.global.L2::cache_hint.f32", &opcode, reason), FAB_OK);
    CHECK(opcode.has_policy);
    CHECK_EQ(opcode.op.vec, 1);

    CHECK_CASE("dp4a with a signed second operand");
    CHECK_EQ(decode("dp4a.u32.s32", &opcode, reason), FAB_OK);
    CHECK_EQ(opcode.op.flags, PTX_F_SIGNED2);
    CHECK_EQ(opcode.op.type2, PTX_S32);

    CHECK_CASE("only memory accesses have vec");
    CHECK_EQ(decode("add.s32", &opcode, reason), FAB_OK);
    CHECK_EQ(opcode.op.vec, 0);
}

/* Every signature uses known letters, few enough operands, and every rule's needs can be met. */
static void test_rules(void)
{
    for (size_t i = 0; i < ptx_rule_count; i++) {
        const struct ptx_rule *r = &ptx_rules[i];
        unsigned letters = 0;

        CHECK_CASE("rule %zu, %s", i, ptx_family_name((enum ptx_family)r->family));
        for (const char *c = r->operands; *c; c++) {
            CHECK(strchr("TUWDSvXRQPFILAG*=| ", *c) != NULL);
            letters = *c == ' ' ? 0 : letters + 1;
            CHECK(letters <= PTX_OPERANDS_MAX);
            CHECK(*c != 'U' || r->types2);
            CHECK((*c != 'T' && *c != 'D' && *c != 'v') || r->types);
        }
        CHECK((r->need_flags & ~r->flags) == 0);
    }
}

static void test_names(void)
{
    CHECK_CASE("all lists have texts");
    for (int i = 0; i < PTX_FAMILY_COUNT; i++)
        CHECK(ptx_family_name((enum ptx_family)i)[0] != '\0');
    for (int i = 1; i < PTX_TYPE_COUNT; i++)
        CHECK(ptx_type_name((enum ptx_type)i)[0] != '\0');
    for (int i = 0; i < PTX_SREG_COUNT; i++)
        CHECK_EQ(ptx_sreg_name((enum ptx_sreg)i)[0], '%');
    CHECK_STR(ptx_family_name(PTX_FAMILY_COUNT), "?");
    CHECK(ptx_family_is_known(PTX_CP_ASYNC) && !ptx_family_is_known(PTX_TEX));
    CHECK_STR(ptx_type_name(PTX_TYPE_COUNT), "?");
    CHECK_EQ(ptx_type_bytes(PTX_TYPE_COUNT), 0);
    CHECK_EQ(ptx_type_bytes(PTX_B128), 16);
    CHECK(ptx_type_is_float(PTX_BF16X2) && !ptx_type_is_float(PTX_B32));
    CHECK(ptx_type_is_signed(PTX_S16X2) && !ptx_type_is_signed(PTX_F32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_good),  CHECK_TEST(test_bad),   CHECK_TEST(test_fields),
        CHECK_TEST(test_rules), CHECK_TEST(test_names),
    };

    return check_run(tests);
}
