/* SPDX-License-Identifier: Apache-2.0
 * Tests of the switch check_allocations: kernels reach live allocations only.
 */
#include "tests/unit/driver/driver.h"

#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/warp/warp_int.h"

static struct soft_context *context;

static void test_narrow(void)
{
    struct warp_range range = {0};
    CUdeviceptr one, two, large;

    CHECK_EQ(soft_cuMemAlloc_v2(&one, 100), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&two, 1000), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&large, 40 * DRIVER_MIB - 8), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(context, one + 99, &range));
    CHECK_EQ(range.lo, one);
    CHECK_EQ(range.hi, one + 100);
    CHECK(!soft_mem_find_range(context, one + 100, &range));
    CHECK(soft_mem_find_range(context, two, &range));
    CHECK_EQ(range.hi, two + 1000);
    CHECK(soft_mem_find_range(context, large + 39 * DRIVER_MIB, &range));
    CHECK_EQ(range.lo, large);
    CHECK_EQ(range.hi, large + 40 * DRIVER_MIB - 8);
    CHECK(!soft_mem_find_range(context, range.hi, &range));
    CHECK_EQ(soft_cuMemFree_v2(one), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(context, one, &range)); /* its block is still there for `two` */
    CHECK(soft_mem_find_range(context, two, &range));
    CHECK_EQ(soft_cuMemFree_v2(two), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(large), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_narrow)};

    (void)driver_start("check_allocations = true;", NULL);
    if (soft_context_current(&context) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
