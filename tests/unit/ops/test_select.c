/* SPDX-License-Identifier: Apache-2.0
 * Choosing a variant, and asking it for operations that no decoder would make: it must refuse them
 * or know them, and never read outside its tables.
 */
#include "tests/unit/ops/ops_rig.h"

#include <stdlib.h>

static void test_select(void)
{
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    check_case("at least one variant, the best first");
    CHECK(count >= 1);
    CHECK(unsetenv("SOFTCUDA_ISA") == 0);
    CHECK(warp_isa_select(NULL) == isas[0]);
    for (unsigned n = 0; n < count; n++) {
        check_case("by name: %s", isas[n]->name);
        CHECK(warp_isa_select(isas[n]->name) == isas[n]);
        CHECK(setenv("SOFTCUDA_ISA", isas[n]->name, 1) == 0);
        CHECK(warp_isa_select(NULL) == isas[n]);
        CHECK(warp_isa_select(isas[0]->name) == isas[0]); /* the argument is stronger */
    }
    check_case("unknown names");
    CHECK(warp_isa_select("mmx") == NULL);
    CHECK(setenv("SOFTCUDA_ISA", "sse9", 1) == 0);
    CHECK(warp_isa_select(NULL) == NULL);
    CHECK(setenv("SOFTCUDA_ISA", "", 1) == 0);
    CHECK(warp_isa_select(NULL) == isas[0]);
    CHECK(unsetenv("SOFTCUDA_ISA") == 0);
}

/* A byte that is mostly a value of its enum, and sometimes far outside. */
static uint8_t any_byte(unsigned count)
{
    const uint64_t random = rig_random();
    return random % 16 == 0 ? (uint8_t)(random >> 8) : (uint8_t)((random >> 8) % count);
}

static uint32_t few_bits(void)
{
    const uint64_t a = rig_random(), b = rig_random(), c = rig_random();
    return (uint32_t)(a & b & c);
}

enum { OPERATIONS = 400000 };

static void test_any_operation(void)
{
    const struct warp_isa *isa = warp_isa_select(NULL);
    unsigned found = 0;

    check_case("operations at random");
    for (unsigned i = 0; i < OPERATIONS; i++) {
        const struct ptx_op op = {.family = rig_random() % 16
                                                ? (uint16_t)(rig_random() % PTX_FAMILY_COUNT)
                                                : (uint16_t)rig_random(),
                                  .type = any_byte(PTX_TYPE_COUNT),
                                  .type2 = any_byte(PTX_TYPE_COUNT),
                                  .sub = any_byte(PTX_SUB_COMPLETE_TX + 1),
                                  .cmp = any_byte(PTX_CMP_NAN + 1),
                                  .boolop = any_byte(4),
                                  .round = rig_random() % 2 ? 0 : any_byte(PTX_ROUND_RPI + 1),
                                  .space = any_byte(PTX_SPACE_PARAM + 1),
                                  .vec = any_byte(9),
                                  .sem = any_byte(PTX_SEM_SC + 1),
                                  .scope = any_byte(PTX_SCOPE_SYS + 1),
                                  .flags = rig_random() % 2 ? 0 : few_bits()};
        const struct warp_form form = {.addr32 = rig_random() & 1,
                                       .addr_constant = rig_random() & 1,
                                       .dst_bytes = any_byte(17),
                                       .src_bytes = any_byte(17),
                                       .dst_elems = any_byte(5),
                                       .src_elems = any_byte(5)};
        found += isa->find(&op, rig_random() & 1 ? &form : NULL) != NULL;
    }
    CHECK(found > OPERATIONS / 100); /* or the test asks for nothing that exists */
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_select), CHECK_TEST(test_any_operation)};

    return check_run(tests);
}
