/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_alloc.c - plain and pitched device memory.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static void ranges(CUdeviceptr a, CUdeviceptr b)
{
    CUdeviceptr base = 0;
    size_t bytes = 0;

    ROW("range", cu.cuMemGetAddressRange(&base, &bytes, b + 5), CUDA_SUCCESS,
        base == b && bytes == 40 * MIB);
    ROW("only the base", cu.cuMemGetAddressRange(&base, NULL, a + 5), CUDA_SUCCESS, base == a);
    ROW("range of nothing", cu.cuMemGetAddressRange(&base, &bytes, 64), CUDA_ERROR_NOT_FOUND, true);
}

static void plain(void)
{
    CUdeviceptr a = 0, b = 0;
    size_t before = memory_free_bytes();
    uint32_t word = 0;

    ROW("nothing", cu.cuMemAlloc(&a, 0), CUDA_ERROR_INVALID_VALUE, a == 0);
    ROW("nowhere", cu.cuMemAlloc(NULL, 4), CUDA_ERROR_INVALID_VALUE, true);
    ROW("more than the device has", cu.cuMemAlloc(&a, (size_t)1 << 45), CUDA_ERROR_OUT_OF_MEMORY,
        a == 0);
    ROW("some", cu.cuMemAlloc(&a, 1000), CUDA_SUCCESS, a % 256 == 0);
    ROW("more", cu.cuMemAlloc(&b, 40 * MIB), CUDA_SUCCESS,
        before - memory_free_bytes() >= 40 * MIB);
    ROW("a kernel writes the first word", memory_poke(&world, 0, b, 7), CUDA_SUCCESS,
        memory_read(b) == 7);
    ROW("a kernel writes the last word", memory_poke(&world, 0, b + 40 * MIB - 4, 8), CUDA_SUCCESS,
        memory_read(b + 40 * MIB - 4) == 8);
    ROW("a kernel reads", memory_peek(&world, 0, b, &word), CUDA_SUCCESS, word == 7);
    ranges(a, b);
    ROW("free in the middle", cu.cuMemFree(b + 512), CUDA_ERROR_INVALID_VALUE, true);
    ROW("free", cu.cuMemFree(b), CUDA_SUCCESS, true);
    ROW("twice", cu.cuMemFree(b), CUDA_ERROR_INVALID_VALUE, true);
    ROW("free the other", cu.cuMemFree(a), CUDA_SUCCESS, memory_free_bytes() == before);
    ROW("what was never allocated", cu.cuMemFree(4096), CUDA_ERROR_INVALID_VALUE, true);
}

static void pitched(void)
{
    CUdeviceptr a = 0;
    size_t pitch = 0;

    ROW("elements of two", cu.cuMemAllocPitch(&a, &pitch, 100, 10, 2), CUDA_ERROR_INVALID_VALUE,
        a == 0);
    ROW("no rows", cu.cuMemAllocPitch(&a, &pitch, 100, 0, 4), CUDA_ERROR_INVALID_VALUE, a == 0);
    ROW("rows", cu.cuMemAllocPitch(&a, &pitch, 100, 10, 4), CUDA_SUCCESS,
        pitch >= 100 && pitch % 32 == 0);
    ROW("last row", memory_poke(&world, 0, a + 9 * pitch + 96, 1), CUDA_SUCCESS, true);
    ROW("free", cu.cuMemFree(a), CUDA_SUCCESS, true);
}

/* Last: the error stays. */
static void outside(void)
{
    CUdeviceptr a = 0;

    ROW("a kernel writes nowhere", memory_poke(&world, 0, 0x10000, 1), CUDA_ERROR_ILLEGAL_ADDRESS,
        true);
    ROW("after that nothing goes", cu.cuMemAlloc(&a, 4), CUDA_ERROR_ILLEGAL_ADDRESS, a == 0);
}

void group_alloc(void)
{
    memory_world_open(&world);
    plain();
    pitched();
    outside();
}
