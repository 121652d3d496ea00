/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_pool.c - stream-ordered allocation and memory pools.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static uint64_t amount(CUmemoryPool pool, CUmemPool_attribute which)
{
    cuuint64_t value = UINT64_MAX;

    return cu.cuMemPoolGetAttribute(pool, which, &value) == CUDA_SUCCESS ? value : UINT64_MAX;
}

static void streams(CUmemoryPool pool)
{
    CUstream stream = NULL;
    CUdeviceptr a = 0, b = 0;

    ROW("a stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW_CHECKED("nothing", cu.cuMemAllocAsync(&a, 0, stream), CUDA_ERROR_INVALID_VALUE, a == 0);
    ROW("some", cu.cuMemAllocAsync(&a, MIB, stream), CUDA_SUCCESS,
        amount(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) >= MIB);
    ROW("wait", cu.cuStreamSynchronize(stream), CUDA_SUCCESS, true);
    ROW("a kernel writes", memory_poke(&world, 0, a, 3), CUDA_SUCCESS, memory_read(a) == 3);
    ROW("free", cu.cuMemFreeAsync(a, stream), CUDA_SUCCESS, true);
    ROW("the same size on the same stream", cu.cuMemAllocAsync(&b, MIB, stream), CUDA_SUCCESS,
        b == a);
    ROW("free it by the plain call", cu.cuMemFree(b), CUDA_SUCCESS, true);
    ROW("nothing is used", cu.cuStreamSynchronize(stream), CUDA_SUCCESS,
        !conformance_checks || amount(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 0);
}

static void own(void)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemoryPool pool = NULL, current = NULL, standard = NULL;
    cuuint64_t threshold = UINT64_MAX;
    CUdeviceptr a = 0;

    ROW("create", cu.cuMemPoolCreate(&pool, &props), CUDA_SUCCESS, pool != NULL);
    ROW("threshold", cu.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
        CUDA_SUCCESS, amount(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) == UINT64_MAX);
    ROW("make it current", cu.cuDeviceSetMemPool(0, pool), CUDA_SUCCESS,
        cu.cuDeviceGetMemPool(&current, 0) == CUDA_SUCCESS && current == pool);
    ROW("the default is another", cu.cuDeviceGetDefaultMemPool(&standard, 0), CUDA_SUCCESS,
        standard != pool);
    ROW("allocate", cu.cuMemAllocAsync(&a, 3 * MIB, NULL), CUDA_SUCCESS,
        amount(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) >= 3 * MIB);
    ROW("free", cu.cuMemFreeAsync(a, NULL), CUDA_SUCCESS, true);
    ROW("kept", cu.cuCtxSynchronize(), CUDA_SUCCESS,
        amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) >= 3 * MIB);
    ROW("trim", cu.cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS,
        amount(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 0);
    ROW("from a pool by name", cu.cuMemAllocFromPoolAsync(&a, 100, pool, NULL), CUDA_SUCCESS, true);
    ROW("destroy while it is used", cu.cuMemPoolDestroy(pool), CUDA_SUCCESS,
        cu.cuDeviceGetMemPool(&current, 0) == CUDA_SUCCESS && current == standard);
    ROW("a kernel still writes", memory_poke(&world, 0, a, 1), CUDA_SUCCESS, true);
    ROW("free the last", cu.cuMemFreeAsync(a, NULL), CUDA_SUCCESS, true);
    ROW("wait", cu.cuCtxSynchronize(), CUDA_SUCCESS, true);
}

/* What a pool holds for later, or (but to NVIDIA's) a stream has yet to free, is no reason to
 * refuse code. */
static void code(CUmemoryPool pool)
{
    static const char large[] = ".version 6.3\n.target sm_75\n.address_size 64\n"
                                ".visible .global .align 4 .b8 large[67108864];\n";
    cuuint64_t threshold = UINT64_MAX, none = 0;
    CUdeviceptr all = 0, address = 0;
    size_t free_bytes = 0, total, bytes = 0;

    ROW("keep all", cu.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
        CUDA_SUCCESS, true);
    ROW("what is free", cu.cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS, free_bytes > 65 * MIB);
    for (int is_pending = 0; is_pending < (conformance_checks ? 2 : 1); is_pending++) {
        CUmodule module = NULL;

        ROW("nearly all of it", cu.cuMemAllocAsync(&all, free_bytes - 32 * MIB, NULL), CUDA_SUCCESS,
            true);
        ROW("no room for code", cu.cuModuleLoadData(&module, large), CUDA_ERROR_OUT_OF_MEMORY,
            true);
        ROW("free", cu.cuMemFreeAsync(all, NULL), CUDA_SUCCESS,
            is_pending || cu.cuCtxSynchronize() == CUDA_SUCCESS);
        ROW(is_pending ? "a free that is pending makes room" : "what the pool held makes room",
            cu.cuModuleLoadData(&module, large), CUDA_SUCCESS,
            cu.cuModuleGetGlobal(&address, &bytes, module, "large") == CUDA_SUCCESS &&
                bytes == 64 * MIB);
        ROW("unload", cu.cuModuleUnload(module), CUDA_SUCCESS, true);
    }
    ROW("keep nothing", cu.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &none),
        CUDA_SUCCESS, true);
}

void group_pool(void)
{
    CUmemoryPool pool = NULL;

    memory_world_open(&world);
    ROW("default pool", cu.cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS, pool != NULL);
    streams(pool);
    code(pool);
    own();
}
