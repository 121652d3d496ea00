/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/pool.c: stream-ordered allocation, reuse, thresholds, access.
 */
#include "tests/unit/driver/driver.h"

#include <semaphore.h>

#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/warp/warp_int.h"

#define MIB DRIVER_MIB

static const char config[] = "devices = ( { count = 2; memory = \"256MiB\"; } );";
static CUcontext contexts[2];
static struct soft_context *inner[2];
static CUstream streams[2];

/* Holds a stream until release(). */
static sem_t gate;

static void wait_at_gate(void *arg)
{
    (void)arg;
    while (sem_wait(&gate) != 0)
        continue;
}

static void hold(CUstream stream)
{
    CHECK_EQ(soft_cuLaunchHostFunc(stream, wait_at_gate, NULL), CUDA_SUCCESS);
}

static void release(void)
{
    (void)sem_post(&gate);
}

static CUmemoryPool default_pool(void)
{
    CUmemoryPool pool = NULL;

    CHECK_EQ(soft_cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
    return pool;
}

static uint64_t amount(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    cuuint64_t value = 77;

    CHECK_EQ(soft_cuMemPoolGetAttribute(pool, attribute, &value), CUDA_SUCCESS);
    return value;
}

static void test_life(void)
{
    uint64_t before = driver_free_bytes();
    CUdeviceptr address, other;
    struct mem_info info;

    CHECK_EQ(soft_cuMemAllocAsync(&address, 3 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(before - driver_free_bytes(), 4 * MIB);
    CHECK(soft_mem_find(address, &info));
    CHECK_EQ(info.pool, default_pool());
    CHECK_EQ(info.bytes, 3 * MIB);
    memset(driver_pointer(address), 1, 3 * MIB);
    CHECK_EQ(amount(default_pool(), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 4 * MIB);
    CHECK_EQ(soft_cuMemFreeAsync(address + 512, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(driver_free_bytes(), before);
    CHECK_EQ(amount(default_pool(), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    CHECK_EQ(amount(default_pool(), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);

    CHECK_CASE("wrong calls");
    other = 7;
    CHECK_EQ(soft_cuMemAllocAsync(&other, 0, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAllocAsync(NULL, 1, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAllocAsync(&other, before + 1, streams[0]), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemAllocFromPoolAsync(&other, 1, NULL, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(other, 7);
    CHECK_EQ(soft_cuMemAlloc_v2(&other, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(other, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS);

    CHECK_CASE("freed by the synchronous call");
    CHECK_EQ(soft_cuMemAllocAsync(&address, 100, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
}

/* A pending free serves its own stream at once, and no other. */
static void test_reuse(void)
{
    uint64_t before = driver_free_bytes();
    CUdeviceptr first, same, other;
    struct mem_info old, new;

    hold(streams[0]);
    CHECK_EQ(soft_cuMemAllocAsync(&first, 4 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK(soft_mem_find(first, &old));
    CHECK_EQ(soft_cuMemFreeAsync(first, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(first, streams[0]), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAllocAsync(&other, 4 * MIB, streams[1]), CUDA_SUCCESS);
    CHECK(other != first);
    CHECK_EQ(soft_cuMemAllocAsync(&same, 4 * MIB - 100, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(same, first);
    CHECK(soft_mem_find(same, &new));
    CHECK(new.id != old.id);
    CHECK_EQ(new.bytes, 4 * MIB - 100);
    CHECK_EQ(before - driver_free_bytes(), 8 * MIB);
    CHECK_EQ(soft_cuMemFreeAsync(same, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(other, streams[1]), CUDA_SUCCESS);
    CHECK(soft_mem_find(same, &new)); /* the stream stands still: not freed yet */
    release();
    CHECK_EQ(soft_cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK(!soft_mem_find(same, &new));
    CHECK_EQ(driver_free_bytes(), before);
}

static void test_threshold(void)
{
    uint64_t before = driver_free_bytes(), threshold = UINT64_MAX, zero = 0;
    CUmemoryPool pool = default_pool();
    CUdeviceptr address, again, large;

    CHECK_EQ(soft_cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
             CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD), UINT64_MAX);
    CHECK_EQ(soft_cuMemAllocAsync(&address, 10 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
    CHECK_EQ(before - driver_free_bytes(), 10 * MIB);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 10 * MIB);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    CHECK_EQ(soft_cuMemAllocAsync(&again, 9 * MIB, streams[1]), CUDA_SUCCESS);
    CHECK_EQ(again, address);
    CHECK_EQ(soft_cuMemFreeAsync(again, streams[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[1]), CUDA_SUCCESS);

    CHECK_CASE("what the pool keeps goes back before memory runs out");
    CHECK_EQ(soft_cuMemAlloc_v2(&large, before), CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    CHECK_EQ(soft_cuMemFree_v2(large), CUDA_SUCCESS);

    CHECK_CASE("pending frees are waited for before memory runs out");
    CHECK_EQ(soft_cuMemAllocAsync(&address, before, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocAsync(&address, before, streams[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&large, before), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(large), CUDA_SUCCESS);

    CHECK_CASE("trim");
    CHECK_EQ(soft_cuMemAllocAsync(&address, 100, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocAsync(&again, 6 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(again, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 8 * MIB);
    CHECK_EQ(soft_cuMemPoolTrimTo(pool, 8 * MIB), CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 8 * MIB);
    CHECK_EQ(soft_cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 2 * MIB);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &zero),
             CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);

    CHECK_CASE("high water marks");
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), before);
    CHECK_EQ(soft_cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &threshold),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &zero),
             CUDA_SUCCESS);
    CHECK_EQ(amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 0);
    CHECK_EQ(soft_cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &zero),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(driver_free_bytes(), before);
}

static void test_own_pool(void)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .maxSize = 8 * MIB};
    CUmemLocation place = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
    CUmemoryPool pool = NULL, current = NULL;
    uint64_t before = driver_free_bytes();
    CUdeviceptr address, other;
    int flag = 7;

    CHECK_EQ(soft_cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    CHECK_EQ(
        soft_cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, &flag),
        CUDA_SUCCESS);
    CHECK_EQ(flag, 1);
    CHECK_EQ(soft_cuDeviceSetMemPool(1, pool), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceSetMemPool(0, pool), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemGetMemPool(&current, &place, CU_MEM_ALLOCATION_TYPE_PINNED), CUDA_SUCCESS);
    CHECK_EQ(current, pool);
    CHECK_EQ(soft_cuMemGetDefaultMemPool(&current, &place, CU_MEM_ALLOCATION_TYPE_PINNED),
             CUDA_SUCCESS);
    CHECK(current != pool);
    CHECK_EQ(soft_cuMemGetDefaultMemPool(&current, &place, CU_MEM_ALLOCATION_TYPE_MANAGED),
             CUDA_ERROR_NOT_SUPPORTED);
    CHECK_EQ(soft_cuMemAllocAsync(&address, 6 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK_CASE("no more than its limit");
    CHECK_EQ(soft_cuMemAllocAsync(&other, 4 * MIB, streams[0]), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_CASE("destroyed while memory of it lives");
    CHECK_EQ(soft_cuMemPoolDestroy(current), CUDA_ERROR_INVALID_VALUE); /* a default one */
    CHECK_EQ(soft_cuMemPoolDestroy(pool), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetMemPool(&current, 0), CUDA_SUCCESS);
    CHECK_EQ(current, default_pool());
    memset(driver_pointer(address), 1, 6 * MIB);
    CHECK_EQ(soft_cuMemFreeAsync(address, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);

    CHECK_CASE("pools that cannot be");
    props.location.type = CU_MEM_LOCATION_TYPE_HOST;
    CHECK_EQ(soft_cuMemPoolCreate(&pool, &props), CUDA_ERROR_NOT_SUPPORTED);
    props.location = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 5};
    CHECK_EQ(soft_cuMemPoolCreate(&pool, &props), CUDA_ERROR_INVALID_DEVICE);
    props.location.id = 0;
    props.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    CHECK_EQ(soft_cuMemPoolCreate(&pool, &props), CUDA_ERROR_NOT_SUPPORTED);
    props.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
    props.reserved[3] = 1;
    CHECK_EQ(soft_cuMemPoolCreate(&pool, &props), CUDA_ERROR_INVALID_VALUE);
}

static void test_access(void)
{
    CUmemAccessDesc desc = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemoryPool pool = default_pool();
    CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
    CUdeviceptr before, after;
    struct warp_range range;

    CHECK_EQ(soft_cuMemAllocAsync(&before, 3 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner[0], before, &range));
    CHECK(!soft_mem_find_range(inner[1], before, &range));
    CHECK_CASE("a peer context does not count for pools");
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxEnablePeerAccess(contexts[0], 0), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(inner[1], before, &range));
    CHECK_EQ(soft_cuCtxDisablePeerAccess(contexts[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);

    CHECK_CASE("memory from before and from after");
    CHECK_EQ(soft_cuMemPoolGetAccess(&flags, pool, &desc.location), CUDA_SUCCESS);
    CHECK_EQ(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    CHECK_EQ(soft_cuMemPoolSetAccess(pool, &desc, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemPoolGetAccess(&flags, pool, &desc.location), CUDA_SUCCESS);
    CHECK_EQ(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    CHECK_EQ(soft_cuMemAllocAsync(&after, 5 * MIB, streams[0]), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner[1], before, &range));
    CHECK(soft_mem_find_range(inner[1], after, &range) && range.can_write);
    desc.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    CHECK_EQ(soft_cuMemPoolSetAccess(pool, &desc, 1), CUDA_SUCCESS);
    CHECK(!soft_mem_find_range(inner[1], before, &range));
    CHECK_CASE("what cannot be");
    desc.location.id = 0;
    CHECK_EQ(soft_cuMemPoolSetAccess(pool, &desc, 1), CUDA_ERROR_INVALID_VALUE);
    desc.location.id = 4;
    CHECK_EQ(soft_cuMemPoolSetAccess(pool, &desc, 1), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuMemFreeAsync(before, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeAsync(after, streams[0]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamSynchronize(streams[0]), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_life),     CHECK_TEST(test_reuse),  CHECK_TEST(test_threshold),
        CHECK_TEST(test_own_pool), CHECK_TEST(test_access),
    };

    contexts[0] = driver_start(config, NULL);
    (void)sem_init(&gate, 0, 0);
    if (soft_context_current(&inner[0]) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&contexts[1], 1) != CUDA_SUCCESS ||
        soft_context_of(contexts[1], &inner[1]) != CUDA_SUCCESS ||
        soft_cuStreamCreate(&streams[0], CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
        soft_cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
