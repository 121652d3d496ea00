/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_occupancy.c - the occupancy model, one limit at a time.
 */
#include "tests/support/check.h"

#include "softcuda/devices/device_model.h"
#include "softcuda/driver/occupancy.h"
#include "softcuda/warp/launch.h"

/* A device of compute capability 8.9 and one of 7.5, as their data sheets say. */
static const struct device_model ada = {.compute_major = 8,
                                        .compute_minor = 9,
                                        .blocks_per_sm = 24,
                                        .threads_per_sm = 1536,
                                        .regs_per_sm = 65536,
                                        .shared_per_sm_bytes = 100 << 10};
static const struct device_model turing = {.compute_major = 7,
                                           .compute_minor = 5,
                                           .blocks_per_sm = 16,
                                           .threads_per_sm = 1024,
                                           .regs_per_sm = 65536,
                                           .shared_per_sm_bytes = 64 << 10};

static void test_blocks(void)
{
    static const struct {
        const char *label;
        const struct device_model *model;
        uint32_t regs, static_shared, max_threads, threads;
        uint64_t dynamic_shared;
        uint32_t blocks;
    } cases[] = {
        {"block slots", &ada, 16, 0, 1024, 32, 0, 24},
        {"threads", &ada, 16, 0, 1024, 256, 0, 6},
        {"threads, not a whole warp", &ada, 16, 0, 1024, 250, 0, 6},
        {"threads of the largest block", &ada, 16, 0, 1024, 1024, 0, 1},
        {"registers", &ada, 64, 0, 1024, 256, 0, 4},
        {"registers in units of 256 a warp", &ada, 41, 0, 1024, 128, 0, 10},
        {"registers for less than one block", &ada, 255, 0, 1024, 1024, 0, 0},
        {"static shared memory", &ada, 16, 49 << 10, 1024, 64, 0, 2},
        {"dynamic shared memory", &ada, 16, 0, 1024, 64, 19 << 10, 5},
        {"both kinds", &ada, 16, 1024, 1024, 64, 18 << 10, 5},
        {"more than there is", &ada, 16, 0, 1024, 64, 100 << 10, 0},
        {"no system share before 8.0", &turing, 16, 0, 1024, 64, 16 << 10, 4},
        {"units of 128 bytes", &turing, 16, 0, 1024, 32, (4 << 10) + 1, 15},
        {"no threads", &ada, 16, 0, 1024, 0, 0, 0},
        {"more threads than the kernel allows", &ada, 16, 0, 128, 256, 0, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct warp_program_info info = {.regs_per_thread = cases[i].regs,
                                               .static_shared_bytes = cases[i].static_shared,
                                               .max_threads_per_block = cases[i].max_threads};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(
            soft_occupancy_blocks(cases[i].model, &info, cases[i].threads, cases[i].dynamic_shared),
            cases[i].blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_blocks)};

    return check_run(tests);
}
