/* SPDX-License-Identifier: Apache-2.0
 * Tests of the switch pageable_access: kernels reach mapped host memory, and nothing else more.
 */
#include "tests/unit/driver/driver.h"

#include <sys/mman.h>

#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/warp/warp_int.h"

static CUcontext contexts[2];
static struct soft_context *context;

static void test_pages(void)
{
    struct warp_range range = {0};
    char *pages = mmap(NULL, 0x20000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t address = (uintptr_t)pages;
    CUdeviceptr other;
    int value = 0;

    if (!CHECK(pages != MAP_FAILED))
        return;
    CHECK_EQ(soft_cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0),
             CUDA_SUCCESS);
    CHECK_EQ(value, 1);
    CHECK(soft_mem_find_range(context, address, &range) && range.can_write);
    CHECK(range.lo <= address && range.hi > address);
    CHECK(soft_mem_find_range(context, (uintptr_t)&value, &range));
    CHECK(range.lo <= (uintptr_t)&value && range.hi > (uintptr_t)&value);
    CHECK(!soft_mem_find_range(context, 0, &range));
    CHECK(!soft_mem_find_range(context, 8, &range));
    CHECK(munmap(pages, 0x20000) == 0);
    CHECK(!soft_mem_find_range(context, address, &range));

    CHECK_CASE("another device's memory needs peer access all the same");
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&other, 100), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(context, other, &range));
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_pages)};

    contexts[0] = driver_start("pageable_access = true; device_count = 2;", NULL);
    if (soft_context_current(&context) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&contexts[1], 1) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
