/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuda-client/pool.c: when memory that was freed in stream order is used again.
 */
#include "tests/unit/cuda-client/fake_remote.h"

#include "generated/cuda-api/client_impl.h"

static CUmemoryPool pool_of_device(void)
{
    CUmemoryPool pool = NULL;

    CHECK_EQ(cudac_cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
    return pool;
}

static uint64_t attribute(CUmemPool_attribute what)
{
    cuuint64_t value = 0;

    CHECK_EQ(cudac_cuMemPoolGetAttribute(pool_of_device(), what, &value), CUDA_SUCCESS);
    return value;
}

static void threshold(cuuint64_t bytes)
{
    CHECK_EQ(
        cudac_cuMemPoolSetAttribute(pool_of_device(), CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &bytes),
        CUDA_SUCCESS);
}

static CUdeviceptr alloc(struct cudac_stream *stream, size_t bytes)
{
    CUdeviceptr address = 0;

    CHECK_EQ(cudac_cuMemAllocAsync(&address, bytes, fake_handle(stream)), CUDA_SUCCESS);
    return address;
}

static void test_same_stream(void)
{
    struct cudac_stream *stream = fake_stream(0, 0);

    fake_reset(true, 64 * FAKE_MIB);
    threshold(0);
    stream = fake_stream(0, 0);
    CUdeviceptr a = alloc(stream, 4 * FAKE_MIB);

    fake_work(stream);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(stream)), CUDA_SUCCESS);
    CHECK_CASE("freed twice");
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(stream)), CUDA_ERROR_INVALID_VALUE);
    CHECK_CASE("its own work is in order: at once");
    CHECK_EQ(alloc(stream, 4 * FAKE_MIB), a);
    CHECK_EQ(fake_workers[0].seen[WIRE_MEM_MAP], 1);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(stream)), CUDA_SUCCESS);
    fake_finish(stream);
    CHECK_EQ(attribute(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    CHECK_EQ(attribute(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    CHECK_EQ(fake_workers[0].room_bytes, 64 * FAKE_MIB);
}

static void test_other_stream(void)
{
    struct cudac_stream *one, *two;

    fake_reset(true, 64 * FAKE_MIB);
    threshold(UINT64_MAX);
    one = fake_stream(0, 0);
    two = fake_stream(0, 1);
    CUdeviceptr a = alloc(one, 4 * FAKE_MIB);

    fake_work(one);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(one)), CUDA_SUCCESS);
    CHECK_CASE("not before it is done");
    CUdeviceptr b = alloc(two, 4 * FAKE_MIB);

    CHECK(b != a);
    fake_finish(one);
    CHECK_CASE("then it is the pool's");
    CHECK_EQ(alloc(two, 4 * FAKE_MIB), a);
    CHECK_EQ(fake_workers[0].seen[WIRE_MEM_MAP], 2);
}

static void test_short_of_memory(void)
{
    struct cudac_stream *one, *two;
    CUdeviceptr plain;

    fake_reset(true, 8 * FAKE_MIB);
    threshold(UINT64_MAX);
    one = fake_stream(0, 0);
    two = fake_stream(0, 1);
    CUdeviceptr a = alloc(one, 6 * FAKE_MIB);

    fake_work(one);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(one)), CUDA_SUCCESS);
    CHECK_CASE("pending frees are waited for");
    CHECK_EQ(alloc(two, 6 * FAKE_MIB), a);
    CHECK_EQ(cudac_cuMemFree_v2(a), CUDA_SUCCESS);
    CHECK_CASE("and what a pool keeps is given to others");
    CHECK_EQ(cudac_cuMemAlloc_v2(&plain, 8 * FAKE_MIB), CUDA_SUCCESS);
}

static void test_limit_and_destroy(void)
{
    const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                  .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                                  .maxSize = 4 * FAKE_MIB};
    struct cudac_stream *stream;
    CUmemoryPool pool;
    CUdeviceptr a, b;

    fake_reset(true, 64 * FAKE_MIB);
    stream = fake_stream(0, 0);
    CHECK_EQ(cudac_cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAllocFromPoolAsync(&a, 3 * FAKE_MIB, pool, fake_handle(stream)),
             CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAllocFromPoolAsync(&b, 2 * FAKE_MIB, pool, fake_handle(stream)),
             CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_CASE("a destroyed pool lives as long as its memory");
    CHECK_EQ(cudac_cuMemPoolDestroy(pool), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(stream)), CUDA_SUCCESS);
    CHECK(fake_workers[0].room_bytes < 64 * FAKE_MIB);
    fake_finish(stream);
    (void)attribute(CU_MEMPOOL_ATTR_USED_MEM_CURRENT); /* any call notices */
    CHECK_EQ(fake_workers[0].room_bytes, 64 * FAKE_MIB);
}

static void test_context_ends(void)
{
    struct cudac_stream *stream;

    fake_reset(true, 64 * FAKE_MIB);
    threshold(0);
    stream = fake_stream(0, 0);
    CUdeviceptr a = alloc(stream, FAKE_MIB);

    (void)alloc(stream, FAKE_MIB);
    CHECK_EQ(cudac_cuMemFreeAsync(a, fake_handle(stream)), CUDA_SUCCESS);
    cudac_memory_context_close(fake_context(0));
    CHECK_EQ(fake_workers[0].room_bytes, 64 * FAKE_MIB);
}

int main(void)
{
    fake_reset(true, FAKE_MIB);
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_same_stream),     CHECK_TEST(test_other_stream),
        CHECK_TEST(test_short_of_memory), CHECK_TEST(test_limit_and_destroy),
        CHECK_TEST(test_context_ends),
    };

    return check_run(tests);
}
