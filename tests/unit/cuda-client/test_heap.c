/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuda-client/heap.c, alloc.c, memory.c and memory_fixed.c: which allocations talk to the
 * worker, what is out of memory, what an address is known to be.
 */
#include "tests/unit/cuda-client/fake_remote.h"

#include "cuda-client/memory_int.h"
#include "generated/cuda-api/client_impl.h"

static uint32_t seen(uint32_t op)
{
    return fake_workers[0].seen[op];
}

static void test_round_trips(void)
{
    static const struct {
        const char *label;
        size_t bytes;
        uint32_t maps; /* calls that were needed so far */
    } cases[] = {
        {"the first takes a block", 1, 1},
        {"the next finds room in it", 512, 1},
        {"and so does a large part of it", FAKE_MIB, 1},
        {"what does not fit takes another", 3 * FAKE_MIB / 2, 2},
        {"small ones go on in the first", 4096, 2},
        {"64 MiB are one call too", 64 * FAKE_MIB, 3},
    };
    CUdeviceptr at[FAB_ARRAY_LEN(cases)];
    uint64_t room;

    fake_reset(true, 512 * FAKE_MIB);
    room = fake_workers[0].room_bytes;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cudac_cuMemAlloc_v2(&at[i], cases[i].bytes), CUDA_SUCCESS);
        CHECK_EQ(seen(WIRE_MEM_MAP), cases[i].maps);
    }
    CHECK_CASE("every free waits for the device");
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++)
        CHECK_EQ(cudac_cuMemFree_v2(at[i]), CUDA_SUCCESS);
    CHECK_EQ(seen(WIRE_MEM_FREE), FAB_ARRAY_LEN(cases) + 3); /* and three blocks went back */
    CHECK_EQ(fake_workers[0].room_bytes, room);
    CHECK_CASE("the same calls, the same addresses");
    CUdeviceptr again;

    CHECK_EQ(cudac_cuMemAlloc_v2(&again, 1), CUDA_SUCCESS);
    CHECK_EQ(again, at[0]);
}

static void test_out_of_memory(void)
{
    CUdeviceptr a, b;

    fake_reset(true, 6 * FAKE_MIB);
    CHECK_EQ(cudac_cuMemAlloc_v2(&a, 4 * FAKE_MIB), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 2 * FAKE_MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 2 * FAKE_MIB), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 1), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 4 * FAKE_MIB), CUDA_SUCCESS);
    CHECK_EQ(b, a);
}

static void test_wrong_frees(void)
{
    CUdeviceptr a;

    fake_reset(true, 64 * FAKE_MIB);
    CHECK_EQ(cudac_cuMemAlloc_v2(&a, 4096), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFree_v2(a + 512), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cudac_cuMemFree_v2(64), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cudac_cuMemFree_v2(0), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE);
}

/* Validity is checked a mapping, not an allocation. */
static void test_checks(void)
{
    struct cudac_memory_info info;
    CUdeviceptr a, b;

    fake_reset(true, 256 * FAKE_MIB);
    CHECK_EQ(cudac_cuMemAlloc_v2(&a, 4096), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 40 * FAKE_MIB), CUDA_SUCCESS);
    CHECK_CASE("within its block and the next");
    CHECK_EQ(cudac_memory_check(fake_context(0), a, 42 * FAKE_MIB, true), CUDA_SUCCESS);
    CHECK_EQ(cudac_memory_check(fake_context(0), a, 42 * FAKE_MIB + 1, true),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_CASE("another device");
    CHECK_EQ(cudac_memory_check(fake_context(1), a, 1, false), CUDA_ERROR_INVALID_VALUE);
    fake_context(1)->peer_mask = 1;
    CHECK_EQ(cudac_memory_check(fake_context(1), a, 1, true), CUDA_SUCCESS);
    CHECK_EQ(cudac_memory_check(NULL, a, 1, true), CUDA_SUCCESS);
    CHECK_CASE("what is known");
    CHECK(cudac_memory_find(b + 5, &info));
    CHECK_EQ(info.kind, CUDAC_MEMORY_DEVICE);
    CHECK_EQ(info.base, b);
    CHECK_EQ(info.bytes, 40 * FAKE_MIB);
    CHECK_EQ(info.extent_end, b + 40 * FAKE_MIB);
    CHECK(info.vgpu == fake_context(0)->vgpu);
    CHECK_CASE("freed, in a block that is there");
    CUdeviceptr keep;

    CHECK_EQ(cudac_cuMemAlloc_v2(&keep, 512), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_SUCCESS);
    CHECK(cudac_memory_find(a, &info));
    CHECK_EQ(cudac_memory_check(fake_context(0), a, 4096, true), CUDA_SUCCESS);
    CHECK_CASE("nobody's");
    CHECK(!cudac_memory_find((uintptr_t)&info, &info));
    CHECK(!cudac_memory_is_ours((uintptr_t)&info));
    CHECK(cudac_memory_is_ours(b + 512 * FAKE_MIB));
}

static void test_variables(void)
{
    static const char first, second;
    const uint64_t address = cuc_layout_row(0)->fixed.base + 4096;
    struct cudac_memory_info info;

    fake_reset(true, 64 * FAKE_MIB);
    CHECK_EQ(cudac_memory_add_fixed(fake_context(1), address, 100, false, &first), CUDA_SUCCESS);
    CHECK_CASE("one owner, whichever context is current");
    CHECK(cudac_memory_find(address + 99, &info));
    CHECK_EQ(info.kind, CUDAC_MEMORY_FIXED);
    CHECK(info.vgpu == fake_context(1)->vgpu);
    CHECK(!cudac_memory_find(address + 100, &info));
    CHECK_CASE("a driver maps whole granules");
    CHECK_EQ(cudac_memory_check(fake_context(1), address, 4096, true), CUDA_SUCCESS);
    CHECK_EQ(cudac_memory_check(fake_context(1), address, CUC_GRANULE, true),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cudac_memory_check(fake_context(0), address, 1, true), CUDA_ERROR_INVALID_VALUE);
    CHECK_CASE("two owners: the current context's");
    CHECK_EQ(cudac_memory_add_fixed(fake_context(0), address, 50, false, &second), CUDA_SUCCESS);
    CHECK(cudac_memory_find(address, &info));
    CHECK(info.vgpu == fake_context(0)->vgpu);
    fake_make_current(fake_context(1));
    CHECK(cudac_memory_find(address, &info));
    CHECK(info.vgpu == fake_context(1)->vgpu);
    CHECK_CASE("gone with their owner");
    cudac_memory_remove_fixed(&first);
    CHECK(cudac_memory_find(address, &info));
    CHECK(info.vgpu == fake_context(0)->vgpu);
    cudac_memory_remove_fixed(&second);
    CHECK(!cudac_memory_find(address, &info));
}

static void test_lost_worker(void)
{
    CUdeviceptr a, b;

    fake_reset(true, 64 * FAKE_MIB);
    CHECK_EQ(cudac_cuMemAlloc_v2(&a, 4 * FAKE_MIB), CUDA_SUCCESS);
    fake_workers[0].is_lost = true;
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 512), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_CASE("its memory is freed from another device's context, with the error");
    fake_make_current(fake_context(1));
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cudac_cuMemAlloc_v2(&b, 512), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_round_trips), CHECK_TEST(test_out_of_memory), CHECK_TEST(test_wrong_frees),
        CHECK_TEST(test_checks),      CHECK_TEST(test_variables),     CHECK_TEST(test_lost_worker),
    };

    return check_run(tests);
}
