/* SPDX-License-Identifier: Apache-2.0
 * Instructions across lanes (shfl, vote, match, redux, elect), the carry flag, cp.async and
 * mbarrier: in every variant, on whole and on partial warps.
 */
#include "tests/unit/ops/ops_rig.h"

#include <string.h>

static const uint32_t masks[] = {WARP_FULL, 0x0000ffff, 0xfffffffe, 0x00000010, 0xa5a5a5a5};

/* Calls `test` in every variant. */
static void in_variants(void (*test)(const struct warp_isa *isa))
{
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (unsigned n = 0; n < count; n++)
        test(isas[n]);
}

static warp_fn find(const struct warp_isa *isa, const struct ptx_op *op)
{
    const struct warp_form form = {0};
    const warp_fn fn = isa->find(op, &form);

    CHECK(fn != NULL);
    return fn;
}

static void fill(enum rig_slot slot, unsigned bytes, uint64_t (*value)(unsigned lane))
{
    rig_use(slot);
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        rig_put(slot, bytes, lane, value(lane));
}

static void fill_same(enum rig_slot slot, uint32_t value)
{
    rig_use(slot);
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        rig_put(slot, 4, lane, value);
}

/* ---- shfl ------------------------------------------------------------------------------------ */

static uint64_t hundreds(unsigned lane)
{
    return 100 + lane;
}

/* PTX ISA, shfl, as its pseudo-code has it. */
static bool shfl_lane(uint8_t mode, int lane, int b, int c, int *source)
{
    const int bval = b & 31, cval = c & 31, mask = c >> 8 & 31;
    const int max_lane = (lane & mask) | (cval & ~mask), min_lane = lane & mask;
    int j;
    bool p;

    switch (mode) {
    case PTX_SUB_UP:
        j = lane - bval;
        p = j >= max_lane;
        break;
    case PTX_SUB_DOWN:
        j = lane + bval;
        p = j <= max_lane;
        break;
    case PTX_SUB_BFLY:
        j = lane ^ bval;
        p = j <= max_lane;
        break;
    default:
        j = min_lane | (bval & ~mask);
        p = j <= max_lane;
    }
    *source = p ? j : lane;
    return p;
}

static void check_shfl(const struct warp_isa *isa, uint8_t mode, uint32_t b, uint32_t c,
                       uint32_t mask, bool sync)
{
    const struct ptx_op op = {
        .family = PTX_SHFL, .type = PTX_B32, .sub = mode, .flags = sync ? PTX_F_SYNC : 0};

    check_case("shfl mode %u b %u c %#x mask %#x sync %d in %s", mode, b, c, mask, sync, isa->name);
    rig_reset();
    rig_mask(mask);
    rig_use(SLOT_D);
    rig_use(SLOT_E);
    fill(SLOT_A, 4, hundreds);
    fill_same(SLOT_B, b);
    fill_same(SLOT_C, c);
    if (sync)
        fill_same(SLOT_X0, mask);
    *rig_predicate(SLOT_E) = 0x12345678;
    CHECK(rig_went_on(rig_run(find(isa, &op))));
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        int source;
        const bool inside = shfl_lane(mode, (int)lane, (int)b, (int)c, &source);
        const bool is_on = mask >> lane & 1;
        const unsigned from = mask >> source & 1 ? (unsigned)source : lane;

        CHECK_EQ(rig_get(SLOT_D, 4, lane), is_on ? 100 + from : 0);
        CHECK_EQ(rig_get(SLOT_E, 1, lane), is_on ? inside : 0x12345678 >> lane & 1);
    }
}

static void shuffles(const struct warp_isa *isa)
{
    static const uint32_t clamps[] = {31, 0, 0x1f | 16 << 8, 0 | 24 << 8, 7 | 24 << 8};

    for (uint8_t mode = PTX_SUB_UP; mode <= (uint8_t)PTX_SUB_IDX; mode++)
        for (uint32_t b = 0; b < 34; b++)
            for (size_t c = 0; c < FAB_ARRAY_LEN(clamps); c++)
                for (size_t m = 0; m < FAB_ARRAY_LEN(masks); m++)
                    check_shfl(isa, mode, b, clamps[c], masks[m], b & 1);
}

static void test_shuffles(void)
{
    in_variants(shuffles);
}

/* In place, without a predicate, with a distance a lane. */
static void reversal(const struct warp_isa *isa)
{
    const struct ptx_op op = {
        .family = PTX_SHFL, .type = PTX_B32, .sub = PTX_SUB_IDX, .flags = PTX_F_SYNC};

    check_case("shfl.idx in place in %s", isa->name);
    rig_reset();
    fill(SLOT_A, 4, hundreds);
    rig.insn[0].d = rig.insn[0].a;
    rig_use(SLOT_B);
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        rig_put(SLOT_B, 4, lane, 31 - lane);
    fill_same(SLOT_C, 31);
    fill_same(SLOT_X0, WARP_FULL);
    CHECK(rig_went_on(rig_run(find(isa, &op))));
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        CHECK_EQ(rig_get(SLOT_A, 4, lane), 131 - lane);

    rig.collects = false; /* somebody is missing: nothing may happen */
    check_case("shfl.sync waits in %s", isa->name);
    CHECK(rig_run(find(isa, &op)) == WARP_STOP_PARK);
    CHECK_EQ(rig_get(SLOT_A, 4, 0), 131);
}

static void test_reversal(void)
{
    in_variants(reversal);
}

/* ---- vote, match, redux, elect --------------------------------------------------------------- */

static void check_vote(const struct warp_isa *isa, uint32_t p, uint32_t mask, bool sync)
{
    static const uint8_t subs[] = {PTX_SUB_ALL, PTX_SUB_ANY, PTX_SUB_UNI, PTX_SUB_BALLOT};
    const uint32_t yes = p & mask;
    const bool wanted[] = {yes == mask, yes != 0, yes == mask || yes == 0};

    for (size_t s = 0; s < FAB_ARRAY_LEN(subs); s++) {
        const bool ballot = subs[s] == PTX_SUB_BALLOT;
        const struct ptx_op op = {.family = PTX_VOTE,
                                  .type = ballot ? PTX_B32 : PTX_PRED,
                                  .sub = subs[s],
                                  .flags = sync ? PTX_F_SYNC : 0};
        check_case("vote %u of %#x among %#x sync %d in %s", subs[s], p, mask, sync, isa->name);
        rig_reset();
        rig_mask(mask);
        rig_use(SLOT_D);
        rig_use(SLOT_A);
        *rig_predicate(SLOT_A) = p;
        if (sync)
            fill_same(SLOT_B, mask);
        CHECK(rig_went_on(rig_run(find(isa, &op))));
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            CHECK_EQ(rig_get(SLOT_D, ballot ? 4 : 1, lane),
                     mask >> lane & 1 ? (ballot ? yes : wanted[s]) : 0);
    }
}

static void votes(const struct warp_isa *isa)
{
    for (size_t m = 0; m < FAB_ARRAY_LEN(masks); m++)
        for (int sync = 0; sync < 2; sync++) {
            check_vote(isa, 0, masks[m], sync);
            check_vote(isa, WARP_FULL, masks[m], sync);
            check_vote(isa, 0x10, masks[m], sync);
            check_vote(isa, ~masks[m], masks[m], sync);
            check_vote(isa, (uint32_t)rig_random(), masks[m], sync);
        }
}

static void test_votes(void)
{
    in_variants(votes);
}

static void check_match(const struct warp_isa *isa, unsigned bytes, uint32_t mask, unsigned kinds)
{
    uint64_t values[WARP_LANES];
    uint32_t same;

    for (int all = 0; all < 2; all++) {
        const struct ptx_op op = {.family = PTX_MATCH,
                                  .type = bytes == 4 ? PTX_B32 : PTX_B64,
                                  .sub = all ? PTX_SUB_ALL : PTX_SUB_ANY,
                                  .flags = PTX_F_SYNC};
        check_case("match all %d, %u bytes, %u kinds among %#x in %s", all, bytes, kinds, mask,
                   isa->name);
        rig_reset();
        rig_mask(mask);
        rig_use(SLOT_D);
        if (all)
            rig_use(SLOT_E);
        rig_use(SLOT_A);
        fill_same(SLOT_B, mask);
        for (unsigned lane = 0; lane < WARP_LANES; lane++) {
            /* Equal in the low half: 64-bit values must be compared whole. */
            values[lane] = bytes == 8 ? (rig_random() % kinds) << 40 : rig_random() % kinds;
            rig_put(SLOT_A, bytes, lane, values[lane]);
        }
        CHECK(rig_went_on(rig_run(find(isa, &op))));
        for (unsigned lane = 0; lane < WARP_LANES; lane++) {
            same = 0;
            for (unsigned other = 0; other < WARP_LANES; other++)
                if (mask >> other & 1 && values[other] == values[lane])
                    same |= 1u << other;
            if (!(mask >> lane & 1)) {
                CHECK_EQ(rig_get(SLOT_D, 4, lane), 0);
            } else if (all) {
                CHECK_EQ(rig_get(SLOT_D, 4, lane), same == mask ? mask : 0);
                CHECK_EQ(rig_get(SLOT_E, 1, lane), same == mask);
            } else {
                CHECK_EQ(rig_get(SLOT_D, 4, lane), same);
            }
        }
    }
}

static void check_redux(const struct warp_isa *isa, uint8_t sub, uint8_t type, uint32_t mask)
{
    const struct ptx_op op = {.family = PTX_REDUX, .type = type, .sub = sub, .flags = PTX_F_SYNC};
    uint32_t wanted = 0;
    bool is_first = true;

    check_case("redux %u.%s among %#x in %s", sub, rig_type(type), mask, isa->name);
    rig_reset();
    rig_mask(mask);
    rig_use(SLOT_D);
    rig_use(SLOT_A);
    fill_same(SLOT_B, mask);
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        const uint32_t x = (uint32_t)rig_operand(4);
        const bool less = type == PTX_S32 ? (int32_t)x < (int32_t)wanted : x < wanted;
        rig_put(SLOT_A, 4, lane, x);
        if (!(mask >> lane & 1))
            continue;
        wanted = is_first                       ? x
                 : sub == PTX_SUB_ADD           ? wanted + x
                 : sub == PTX_SUB_AND           ? wanted & x
                 : sub == PTX_SUB_OR            ? wanted | x
                 : sub == PTX_SUB_XOR           ? wanted ^ x
                 : less == (sub == PTX_SUB_MIN) ? x
                                                : wanted;
        is_first = false;
    }
    CHECK(rig_went_on(rig_run(find(isa, &op))));
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        CHECK_EQ(rig_get(SLOT_D, 4, lane), mask >> lane & 1 ? wanted : 0);
}

static void matches_and_reductions(const struct warp_isa *isa)
{
    static const uint8_t numbers[] = {PTX_SUB_ADD, PTX_SUB_MIN, PTX_SUB_MAX};
    static const uint8_t bits[] = {PTX_SUB_AND, PTX_SUB_OR, PTX_SUB_XOR};

    for (size_t m = 0; m < FAB_ARRAY_LEN(masks); m++)
        for (unsigned s = 0; s < 3; s++) {
            check_match(isa, 4, masks[m], 1 + 2 * s);
            check_match(isa, 8, masks[m], 1 + 2 * s);
            check_redux(isa, numbers[s], PTX_U32, masks[m]);
            check_redux(isa, numbers[s], PTX_S32, masks[m]);
            check_redux(isa, bits[s], PTX_B32, masks[m]);
        }
}

static void test_matches_and_reductions(void)
{
    in_variants(matches_and_reductions);
}

static void elections(const struct warp_isa *isa)
{
    const struct ptx_op elect = {.family = PTX_ELECT, .flags = PTX_F_SYNC};
    const struct ptx_op active = {.family = PTX_ACTIVEMASK, .type = PTX_B32};

    check_case("elect.sync, activemask in %s", isa->name);
    rig_reset();
    rig_mask(0xff00);
    rig_use(SLOT_D);
    rig_use(SLOT_E);
    fill_same(SLOT_A, 0xf000);
    CHECK(rig_went_on(rig_run(find(isa, &elect))));
    CHECK_EQ(rig_get(SLOT_D, 4, 8), 12);
    CHECK_EQ(rig_get(SLOT_D, 4, 0), 0);
    CHECK_EQ(*rig_predicate(SLOT_E), 1u << 12);
    CHECK(rig_went_on(rig_run(find(isa, &active))));
    CHECK_EQ(rig_get(SLOT_D, 4, 15), 0xff00);
    CHECK_EQ(rig_get(SLOT_D, 4, 16), 0);
}

static void test_elections(void)
{
    in_variants(elections);
}

/* ---- carry ----------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide;
__extension__ typedef __int128 signed_wide;

static wide product(const struct ptx_op *op, uint64_t a, uint64_t b, unsigned bits)
{
    if (op->sub == PTX_SUB_LO)
        return (wide)a * b;
    if (op->type == PTX_S32)
        return (wide)((int64_t)(int32_t)a * (int32_t)b >> 32);
    if (op->type == PTX_S64)
        return (wide)((signed_wide)(int64_t)a * (int64_t)b >> 64);
    return (wide)a * b >> bits;
}

static void check_carry(const struct warp_isa *isa, uint8_t family, uint8_t sub, uint8_t type,
                        bool sets)
{
    const bool is_mad = family == PTX_MAD || family == PTX_MADC;
    const bool is_sub = family == PTX_SUB || family == PTX_SUBC;
    const bool uses = family == PTX_ADDC || family == PTX_SUBC || family == PTX_MADC;
    const unsigned bits = type == PTX_U32 || type == PTX_S32 ? 32 : 64, bytes = bits / 8;
    const uint64_t all = bits == 32 ? UINT32_MAX : UINT64_MAX;
    const struct ptx_op op = {
        .family = family, .type = type, .sub = sub, .flags = sets ? PTX_F_CC : 0};
    const uint32_t mask = 0x7ffffffe, carry_in = (uint32_t)rig_random();

    check_case("%s.%s sub %u sets %d in %s", rig_family(&op), rig_type(type), sub, sets, isa->name);
    rig_reset();
    rig_mask(mask);
    rig_use(SLOT_D);
    rig_use(SLOT_A);
    rig_use(SLOT_B);
    if (is_mad)
        rig_use(SLOT_C);
    rig.warp.carry = carry_in;
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        rig_put(SLOT_A, bytes, lane, rig_operand(bytes));
        rig_put(SLOT_B, bytes, lane, rig_operand(bytes));
        rig_put(SLOT_C, bytes, lane, rig_operand(bytes));
    }
    if (!CHECK(rig_went_on(rig_run(find(isa, &op)))))
        return;
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        const uint64_t a = rig_get(SLOT_A, bytes, lane), b = rig_get(SLOT_B, bytes, lane);
        const wide x = (is_mad ? product(&op, a, b, bits) : (wide)a) & all;
        const wide y = is_mad ? rig_get(SLOT_C, bytes, lane) : b;
        const wide c = uses ? carry_in >> lane & 1 : is_sub; /* clear: something was borrowed */
        const wide value = is_sub ? x + (~y & all) + c : x + y + c;
        const bool is_on = mask >> lane & 1;

        CHECK_EQ(rig_get(SLOT_D, bytes, lane), is_on ? (uint64_t)value & all : 0);
        CHECK_EQ(rig.warp.carry >> lane & 1,
                 is_on && sets ? (uint32_t)(value >> bits) & 1 : carry_in >> lane & 1);
    }
}

static void carries(const struct warp_isa *isa)
{
    static const uint8_t types[] = {PTX_U32, PTX_S32, PTX_U64, PTX_S64};
    static const struct {
        uint8_t family, sub;
        bool always_sets;
    } rows[] = {{PTX_ADD, 0, true},
                {PTX_ADDC, 0, false},
                {PTX_SUB, 0, true},
                {PTX_SUBC, 0, false},
                {PTX_MAD, PTX_SUB_LO, true},
                {PTX_MAD, PTX_SUB_HI, true},
                {PTX_MADC, PTX_SUB_LO, false},
                {PTX_MADC, PTX_SUB_HI, false}};

    for (size_t r = 0; r < FAB_ARRAY_LEN(rows); r++)
        for (size_t t = 0; t < FAB_ARRAY_LEN(types); t++)
            for (int again = 0; again < 10; again++)
                for (int sets = rows[r].always_sets; sets < 2; sets++)
                    check_carry(isa, rows[r].family, rows[r].sub, types[t], sets);
}

static void test_carries(void)
{
    in_variants(carries);
}

/* ---- cp.async -------------------------------------------------------------------------------- */

static void copies(const struct warp_isa *isa)
{
    const struct ptx_op op = {.family = PTX_CP_ASYNC, .space = PTX_SPACE_SHARED};
    const struct warp_form part = {.source_count = 4}, whole = {.source_count = 3};

    for (uint32_t bytes = 4; bytes <= 16; bytes *= 2)
        for (int is_part = 0; is_part < 2; is_part++) {
            check_case("cp.async of %u, part %d in %s", bytes, is_part, isa->name);
            rig_reset();
            rig_mask(0x0fffffff);
            rig_use(SLOT_A);
            rig_use(SLOT_B);
            fill_same(SLOT_C, bytes);
            if (is_part)
                rig_use(SLOT_X0);
            for (size_t i = 0; i < RIG_DEVICE_BYTES; i++)
                rig.device[i] = (uint8_t)(1 + i % 251);
            memset(rig.shared, 0xee, sizeof(rig.shared));
            for (unsigned lane = 0; lane < WARP_LANES; lane++) {
                const bool reads = lane % 5 != 0;
                rig_put(SLOT_A, 8, lane, (size_t)lane * bytes);
                rig_put(SLOT_B, 8, lane,
                        is_part && !reads ? 16
                                          : (uint64_t)(uintptr_t)rig.device + (size_t)64 * lane);
                rig_put(SLOT_X0, 4, lane, reads ? lane % (bytes + 1) : 0);
            }
            rig.insn[0].imm = 256; /* belongs to the destination only */
            CHECK(rig_went_on(rig_run(isa->find(&op, is_part ? &part : &whole))));
            for (unsigned lane = 0; lane < WARP_LANES; lane++) {
                uint8_t wanted[16] = {0};
                const uint32_t taken = is_part ? (uint32_t)rig_get(SLOT_X0, 4, lane) : bytes;

                memcpy(wanted, rig.device + (size_t)64 * lane, taken);
                if (lane >= 28)
                    memset(wanted, 0xee, sizeof(wanted));
                CHECK_MEM(rig.shared + 256 + (size_t)lane * bytes, wanted, bytes);
            }
        }
}

static void test_copies(void)
{
    in_variants(copies);
}

/* ---- mbarrier -------------------------------------------------------------------------------- */

static uint64_t barrier_operation(uint8_t sub, uint32_t flags, uint32_t lanes, int64_t b)
{
    const struct ptx_op op = {.family = PTX_MBARRIER,
                              .type = PTX_B64,
                              .sub = sub,
                              .flags = flags,
                              .space = PTX_SPACE_SHARED};
    const struct warp_form form = {0};
    const bool tests = sub == PTX_SUB_TEST_WAIT || sub == PTX_SUB_TRY_WAIT;
    const bool has_state = sub == PTX_SUB_ARRIVE || sub == PTX_SUB_ARRIVE_DROP;

    rig_mask(lanes);
    fill_same(SLOT_A, 64);
    rig.insn[0].flags = WARP_I_ADDR32;
    rig.insn[0].b = rig.insn[0].d = WARP_NO_OPERAND;
    if (tests || has_state)
        rig_use(SLOT_D);
    if (b >= 0) {
        rig_use(SLOT_B);
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            rig_put(SLOT_B, tests && !flags ? 8 : 4, lane, (uint64_t)b);
    } else if (tests) { /* the state that an arrival put into d */
        rig_use(SLOT_B);
        memcpy(rig_lanes(SLOT_B), rig_lanes(SLOT_E), RIG_SLOT_BYTES);
    }
    CHECK(rig_went_on(rig_run(warp_isa_select(NULL)->find(&op, &form))));
    if (has_state)
        memcpy(rig_lanes(SLOT_E), rig_lanes(SLOT_D), RIG_SLOT_BYTES);
    return tests ? *rig_predicate(SLOT_D) & lanes : 0;
}

static void test_mbarrier(void)
{
    check_case("a phase of 40 arrivals");
    rig_reset();
    barrier_operation(PTX_SUB_INIT, 0, 1, 40);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 0); /* phase 0 goes on */
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 1), 1); /* the one before */
    barrier_operation(PTX_SUB_ARRIVE, 0, WARP_FULL, -1);
    rig.warp.budget = 1000;
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, 0, WARP_FULL, -1), 0);
    CHECK_EQ(rig.warp.budget, 0); /* waiting gives way to others */
    barrier_operation(PTX_SUB_ARRIVE, 0, 1, 8);
    CHECK_EQ(barrier_operation(PTX_SUB_TRY_WAIT, 0, WARP_FULL, -1), WARP_FULL);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 1);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 1), 0);

    check_case("a dropped arrival counts no more in the next phase");
    rig_reset();
    barrier_operation(PTX_SUB_INIT, 0, 1, 2);
    barrier_operation(PTX_SUB_ARRIVE_DROP, 0, 1, -1);
    barrier_operation(PTX_SUB_ARRIVE, 0, 1, -1);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 1);
    barrier_operation(PTX_SUB_ARRIVE, 0, 1, -1);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 1), 1);

    check_case("bytes hold a phase open");
    rig_reset();
    barrier_operation(PTX_SUB_INIT, 0, 1, 1);
    barrier_operation(PTX_SUB_ARRIVE, PTX_F_EXPECT_TX, 1, 4096);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 0);
    barrier_operation(PTX_SUB_COMPLETE_TX, 0, 1, 4000);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 0);
    barrier_operation(PTX_SUB_COMPLETE_TX, 0, 1, 96);
    CHECK_EQ(barrier_operation(PTX_SUB_TEST_WAIT, PTX_F_PARITY, 1, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_shuffles),  CHECK_TEST(test_reversal),
        CHECK_TEST(test_votes),     CHECK_TEST(test_matches_and_reductions),
        CHECK_TEST(test_elections), CHECK_TEST(test_carries),
        CHECK_TEST(test_copies),    CHECK_TEST(test_mbarrier)};

    return check_run(tests);
}
