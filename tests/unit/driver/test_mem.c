/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/mem*.c: blocks and pieces, exact out of memory, determinism, what an
 * access may touch.
 */
#include "tests/unit/driver/driver.h"

#include <sys/mman.h>

#include "base/fault.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/va.h"
#include "softcuda/warp/warp_int.h"

#define MIB DRIVER_MIB

enum { MEMORY_MIB = 256, RESERVE_MIB = 64, PAGE_BYTES = 4096 };

static const char config[] = "devices = ( { count = 2; memory = \"256MiB\"; } );";
static CUcontext contexts[2];
static struct soft_context *context; /* of device 0 */

static void test_sizes(void)
{
    static const struct {
        const char *label;
        uint64_t bytes, taken; /* of the device */
    } cases[] = {
        {"one byte takes a block", 1, 2 * MIB},
        {"just below a block", 2 * MIB - 1, 2 * MIB},
        {"a block", 2 * MIB, 2 * MIB},
        {"one more", 2 * MIB + 1, 4 * MIB},
        {"a piece", 32 * MIB, 32 * MIB},
        {"a piece and a byte", 32 * MIB + 1, 34 * MIB},
        {"three pieces and a tail", 97 * MIB, 98 * MIB},
        {"all there is", (MEMORY_MIB - RESERVE_MIB) * MIB, (MEMORY_MIB - RESERVE_MIB) * MIB},
    };
    uint64_t before = driver_free_bytes();

    CHECK_EQ(before, (MEMORY_MIB - RESERVE_MIB) * MIB);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CUdeviceptr address = 0, base = 0;
        size_t bytes = 0;

        CHECK_CASE("%s", cases[i].label);
        if (!CHECK_EQ(soft_cuMemAlloc_v2(&address, cases[i].bytes), CUDA_SUCCESS))
            continue;
        CHECK_EQ(before - driver_free_bytes(), cases[i].taken);
        CHECK_EQ(address, va_base(VA_SLICE, 0));
        CHECK_EQ(soft_cuMemGetAddressRange_v2(&base, &bytes, address + cases[i].bytes - 1),
                 CUDA_SUCCESS);
        CHECK_EQ(base, address);
        CHECK_EQ(bytes, cases[i].bytes);
        CHECK_EQ(soft_mem_check(context, address, cases[i].taken, true), CUDA_SUCCESS);
        CHECK_EQ(soft_mem_check(context, address, cases[i].taken + 1, false),
                 CUDA_ERROR_INVALID_VALUE);
        memset(driver_pointer(address), 1, cases[i].bytes);
        CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
        CHECK_EQ(driver_free_bytes(), before);
        CHECK_EQ(soft_cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    }
}

static void test_out_of_memory(void)
{
    CUdeviceptr address = 77, small[3];
    uint64_t before = driver_free_bytes();

    CHECK_EQ(soft_cuMemAlloc_v2(&address, before + 1), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, SIZE_MAX - 3 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAlloc_v2(NULL, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(address, 77);
    CHECK_EQ(driver_free_bytes(), before);

    CHECK_CASE("small ones share the last block");
    CHECK_EQ(soft_cuMemAlloc_v2(&address, before - 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&small[0], MIB), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), 0);
    CHECK_EQ(soft_cuMemAlloc_v2(&small[1], MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAlloc_v2(&small[1], MIB - 512), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&small[2], 513), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAlloc_v2(&small[2], 512), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, 1), CUDA_ERROR_OUT_OF_MEMORY);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(soft_cuMemFree_v2(small[i]), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), 2 * MIB);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
}

/* Bytes of the range that are in the machine's memory. */
static size_t resident_bytes(CUdeviceptr address, size_t bytes)
{
    unsigned char there[64 * MIB / PAGE_BYTES];
    size_t count = 0;

    CHECK(bytes <= 64 * MIB);
    CHECK_EQ(mincore(driver_pointer(address), bytes, there), 0);
    for (size_t i = 0; i < bytes / PAGE_BYTES; i++)
        count += there[i] & 1;
    return count * PAGE_BYTES;
}

static CUdeviceptr map_virtual(size_t bytes, CUmemGenericAllocationHandle *memory_out)
{
    const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
    const CUmemAccessDesc access = {.location = properties.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr address = 0;

    CHECK_EQ(soft_cuMemCreate(memory_out, bytes, &properties, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressReserve(&address, bytes, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address, bytes, 0, *memory_out, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemSetAccess(address, bytes, &access, 1), CUDA_SUCCESS);
    return address;
}

static void check_set(CUdeviceptr address, uint8_t value, size_t bytes)
{
    const uint8_t *memory = driver_pointer(address);

    CHECK_EQ(soft_cuMemsetD8_v2(address, value, bytes), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSynchronize(), CUDA_SUCCESS);
    if (value == 0)
        CHECK(resident_bytes(address, bytes) < bytes / 2);
    CHECK_EQ(memory[0], value);
    CHECK_EQ(memcmp(memory, memory + 1, bytes - 1), 0); /* all are as the first */
}

/* Setting what was never written to zero takes no memory of the machine, and whatever was written
 * is zero afterwards: a daemon clears whole devices so. */
static void test_set_sparse(void)
{
    static const size_t bytes = 64 * MIB,
                        written_at[] = {5, 3 * MIB, 17 * MIB + 4096, 64 * MIB - 1};
    CUmemGenericAllocationHandle memory = 0;
    const CUdeviceptr address = map_virtual(bytes, &memory);

    for (size_t i = 0; i < FAB_ARRAY_LEN(written_at); i++)
        memset(driver_pointer(address + written_at[i]), 0xab, 1);
    check_set(address, 0, bytes);
    check_set(address, 1, bytes); /* others are written */
    CHECK_EQ(soft_cuMemUnmap(address, bytes), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(address, bytes), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(memory), CUDA_SUCCESS);
}

/* A history of random calls: the same seed gives the same addresses, nothing overlaps, and nothing
 * is left at the end. */
static uint64_t history(unsigned seed)
{
    enum { LIVE = 40, STEPS = 1500 };
    CUdeviceptr live[LIVE] = {0};
    uint64_t sizes[LIVE] = {0}, sum = 0;

    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rand_r(&seed) % LIVE;
        unsigned kind = (unsigned)rand_r(&seed) % 16;

        CHECK_CASE("seed %u step %d", seed, step);
        if (live[i]) {
            CHECK_EQ(soft_cuMemFree_v2(live[i]), CUDA_SUCCESS);
            live[i] = 0;
            continue;
        }
        sizes[i] = 1 + (uint64_t)rand_r(&seed) % (kind == 0 ? 40 * MIB : kind < 4 ? MIB : 5000);
        if (soft_cuMemAlloc_v2(&live[i], sizes[i]) != CUDA_SUCCESS) {
            live[i] = 0;
            continue;
        }
        CHECK_EQ(live[i] % 512, 0);
        sum = sum * 31 + live[i];
        for (size_t k = 0; k < LIVE; k++) {
            if (k != i && live[k])
                CHECK(live[i] + sizes[i] <= live[k] || live[k] + sizes[k] <= live[i]);
        }
    }
    for (size_t i = 0; i < LIVE; i++) {
        if (live[i])
            CHECK_EQ(soft_cuMemFree_v2(live[i]), CUDA_SUCCESS);
    }
    return sum;
}

static void test_deterministic(void)
{
    uint64_t before = driver_free_bytes();

    for (unsigned seed = 1; seed < 6; seed++) {
        uint64_t first = history(seed);

        CHECK_EQ(history(seed), first);
        CHECK_EQ(driver_free_bytes(), before);
    }
}

static void test_cleared(void)
{
    CUdeviceptr address;
    uint64_t sum = 0;

    CHECK_EQ(soft_cuMemAlloc_v2(&address, 4 * MIB), CUDA_SUCCESS);
    memset(driver_pointer(address), 0xff, 4 * MIB);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, 4 * MIB), CUDA_SUCCESS);
    for (uint64_t i = 0; i < 4 * MIB / 8; i += 64)
        sum |= ((const uint64_t *)driver_pointer(address))[i];
    CHECK_EQ(sum, 0);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void test_pitch(void)
{
    static const struct {
        size_t width, height;
        unsigned element;
        CUresult result;
        size_t pitch;
    } cases[] = {
        {1, 1, 4, CUDA_SUCCESS, 512},
        {512, 3, 16, CUDA_SUCCESS, 512},
        {513, 3, 8, CUDA_SUCCESS, 1024},
        {100, 10, 2, CUDA_ERROR_INVALID_VALUE, 7},
        {0, 10, 4, CUDA_ERROR_INVALID_VALUE, 7},
        {10, 0, 4, CUDA_ERROR_INVALID_VALUE, 7},
        {SIZE_MAX / 2, 4, 4, CUDA_ERROR_OUT_OF_MEMORY, 7},
        {SIZE_MAX, 1, 4, CUDA_ERROR_INVALID_VALUE, 7},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CUdeviceptr address = 0;
        size_t pitch = 7;

        CHECK_CASE("case %zu", i);
        CHECK_EQ(soft_cuMemAllocPitch_v2(&address, &pitch, cases[i].width, cases[i].height,
                                         cases[i].element),
                 cases[i].result);
        CHECK_EQ(pitch, cases[i].pitch);
        if (address)
            CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
    }
}

/* What kernels ask: neighbours are one range; an empty place, the host's heap and NULL are none. */
static void test_ranges(void)
{
    struct warp_range range = {0};
    CUdeviceptr large, small, other;
    int on_stack = 0;

    CHECK_EQ(soft_cuMemAlloc_v2(&large, 70 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&small, 100), CUDA_SUCCESS);
    CHECK_EQ(small, large + 70 * MIB);
    CHECK(soft_mem_find_range(context, large + 33 * MIB, &range));
    CHECK_EQ(range.lo, large);
    CHECK_EQ(range.hi, small + 2 * MIB);
    CHECK(range.can_write);
    CHECK(!soft_mem_find_range(context, range.hi, &range));
    CHECK(!soft_mem_find_range(context, large - 1, &range));
    CHECK(!soft_mem_find_range(context, 0, &range));
    CHECK(!soft_mem_find_range(context, (uintptr_t)&on_stack, &range));
    CHECK_EQ(soft_mem_check(context, UINT64_MAX - 3, 8, false), CUDA_ERROR_INVALID_VALUE);

    CHECK_CASE("another device's memory");
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&other, 100), CUDA_SUCCESS);
    CHECK_EQ(other, va_base(VA_SLICE, 1));
    CHECK(!soft_mem_find_range(context, other, &range));
    CHECK_EQ(soft_mem_check(context, other, 100, false), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_mem_check(NULL, other, 100, true), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);

    CHECK_EQ(soft_cuMemFree_v2(large), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(context, large, &range));
    CHECK(soft_mem_find_range(context, small, &range));
    CHECK_EQ(range.lo, small);
    CHECK_EQ(soft_cuMemFree_v2(small), CUDA_SUCCESS);
}

static void test_peers(void)
{
    struct soft_device *owner = soft_device_at(1);
    struct warp_range range;
    CUdeviceptr other, later;
    int can = 7;

    CHECK_EQ(soft_cuDeviceCanAccessPeer(&can, 0, 1), CUDA_SUCCESS);
    CHECK_EQ(can, 1);
    CHECK_EQ(soft_cuDeviceCanAccessPeer(&can, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(can, 0);
    CHECK_EQ(soft_cuDeviceCanAccessPeer(&can, 0, 2), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&other, 100), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);

    CHECK_EQ(soft_cuCtxEnablePeerAccess(contexts[0], 0), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(soft_cuCtxEnablePeerAccess(NULL, 0), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(soft_cuCtxEnablePeerAccess(contexts[1], 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuCtxDisablePeerAccess(contexts[1]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    CHECK(!soft_context_can_access(context, owner));
    CHECK_EQ(soft_cuCtxEnablePeerAccess(contexts[1], 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxEnablePeerAccess(contexts[1], 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    CHECK(soft_context_can_access(context, owner));
    CHECK(soft_mem_find_range(context, other, &range));
    CHECK_EQ(soft_mem_check(context, other, 100, true), CUDA_SUCCESS);

    CHECK_CASE("memory made later");
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&later, 5 * MIB), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(context, later, &range));
    CHECK_EQ(soft_cuMemFree_v2(later), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);

    CHECK_EQ(soft_cuCtxDisablePeerAccess(contexts[1]), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(context, other, &range));
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS); /* any context of the process may */
}

static void test_fixed(void)
{
    uint64_t before = driver_free_bytes(), one = 0, two = 0, managed = 0;
    struct mem_info info;

    CHECK_EQ(soft_mem_alloc_fixed(context, 100, 256, false, &one), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_alloc_fixed(context, 100, 4096, false, &two), CUDA_SUCCESS);
    CHECK_EQ(one, va_base(VA_FIXED, 0));
    CHECK_EQ(two, one + 4096);
    CHECK_EQ(before - driver_free_bytes(), 2 * MIB);
    CHECK(soft_mem_find(two + 99, &info));
    CHECK_EQ(info.kind, MEM_FIXED);
    CHECK_EQ(soft_cuMemFree_v2(two), CUDA_ERROR_INVALID_VALUE); /* not the program's */
    CHECK_EQ(soft_mem_alloc_fixed(context, 100, 8, true, &managed), CUDA_SUCCESS);
    CHECK(soft_mem_find(managed, &info));
    CHECK_EQ(info.kind, MEM_MANAGED);
    *(int *)driver_pointer(managed) = 1;
    CHECK_CASE("used memory comes back cleared");
    memset(driver_pointer(one), 0xff, 100);
    soft_mem_free_fixed(context, one);
    CHECK_EQ(soft_mem_alloc_fixed(context, 100, 256, false, &one), CUDA_SUCCESS);
    CHECK_EQ(*(const uint64_t *)driver_pointer(one + 88), 0);
    soft_mem_free_fixed(context, one);
    soft_mem_free_fixed(context, two);
    soft_mem_free_fixed(context, managed);
    CHECK_EQ(driver_free_bytes(), before);
    CHECK(!soft_mem_find(managed, &info));
}

/* A context takes its reserve, and gives back everything that was made in it. */
static void test_context_life(void)
{
    uint64_t before = driver_free_bytes(), fixed;
    CUcontext own;
    CUdeviceptr address, managed;
    void *host;
    struct mem_info info;

    CHECK_EQ(soft_cuCtxCreate_v2(&own, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(before - driver_free_bytes(), RESERVE_MIB * MIB);
    CHECK_EQ(soft_cuMemAlloc_v2(&address, 33 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocManaged(&managed, 100, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocHost_v2(&host, 100), CUDA_SUCCESS);
    struct soft_context *inner;

    CHECK_EQ(soft_context_current(&inner), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_alloc_fixed(inner, 100, 8, false, &fixed), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxDestroy_v2(own), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
    CHECK(!soft_mem_find(address, &info));
    CHECK(!soft_mem_find(managed, &info));
    CHECK(!soft_mem_find((uintptr_t)host, &info));
    CHECK(!soft_mem_find(fixed, &info));
}

/* Whatever fails inside, the answer is out of memory and nothing is lost. */
static void test_faults(void)
{
    uint64_t before = driver_free_bytes();
    unsigned failed = 0;

    for (unsigned n = 1; n < 100; n++) {
        struct fab_fault_plan plan = {.fail_at = n};
        CUdeviceptr large = 0, small = 0, managed = 0;
        void *host = NULL;

        CHECK_CASE("fault %u", n);
        fab_fault_arm(&plan);
        CUresult results[] = {soft_cuMemAlloc_v2(&large, 70 * MIB), soft_cuMemAlloc_v2(&small, 1),
                              soft_cuMemAllocManaged(&managed, 1, CU_MEM_ATTACH_GLOBAL),
                              soft_cuMemAllocHost_v2(&host, 1)};

        fab_fault_arm(NULL);
        for (size_t i = 0; i < FAB_ARRAY_LEN(results); i++) {
            CHECK(results[i] == CUDA_SUCCESS || results[i] == CUDA_ERROR_OUT_OF_MEMORY);
            failed += results[i] != CUDA_SUCCESS;
        }
        CHECK_EQ(soft_cuMemFree_v2(large), CUDA_SUCCESS); /* 0 is nothing */
        CHECK_EQ(soft_cuMemFree_v2(small), CUDA_SUCCESS);
        CHECK_EQ(soft_cuMemFree_v2(managed), CUDA_SUCCESS);
        if (host)
            CHECK_EQ(soft_cuMemFreeHost(host), CUDA_SUCCESS);
        CHECK_EQ(driver_free_bytes(), before);
        if (!plan.fired)
            break;
    }
    CHECK(failed > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_sizes),   CHECK_TEST(test_out_of_memory), CHECK_TEST(test_deterministic),
        CHECK_TEST(test_cleared), CHECK_TEST(test_pitch),         CHECK_TEST(test_ranges),
        CHECK_TEST(test_peers),   CHECK_TEST(test_fixed),         CHECK_TEST(test_context_life),
        CHECK_TEST(test_faults),  CHECK_TEST(test_set_sparse),
    };

    contexts[0] = driver_start(config, NULL);
    if (soft_context_current(&context) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&contexts[1], 1) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
