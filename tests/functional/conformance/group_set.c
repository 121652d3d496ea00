/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_set.c - sets: 8, 16 and 32 bits, lines and rectangles.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

static bool holds(const void *expected, size_t bytes)
{
    unsigned char got[256];

    return cu.cuMemcpyDtoH(got, world.memory, sizeof(got)) == CUDA_SUCCESS &&
           memcmp(got, expected, bytes) == 0;
}

static void lines(void)
{
    static const uint8_t bytes[] = {7, 7, 7, 0};
    static const uint16_t halves[] = {0x1234, 0x1234, 0x1234, 0};
    static const uint32_t words[] = {0x89abcdef, 0x89abcdef, 0x89abcdef, 0};

    ROW("clear", cu.cuMemsetD8(world.memory, 0, 256), CUDA_SUCCESS, true);
    ROW("bytes", cu.cuMemsetD8(world.memory, 7, 3), CUDA_SUCCESS, holds(bytes, sizeof(bytes)));
    ROW("clear", cu.cuMemsetD8Async(world.memory, 0, 256, NULL), CUDA_SUCCESS, true);
    ROW("halves", cu.cuMemsetD16(world.memory, 0x1234, 3), CUDA_SUCCESS,
        holds(halves, sizeof(halves)));
    ROW("clear", cu.cuMemsetD32Async(world.memory, 0, 64, NULL), CUDA_SUCCESS, true);
    ROW("words", cu.cuMemsetD32(world.memory, 0x89abcdef, 3), CUDA_SUCCESS,
        holds(words, sizeof(words)));
    ROW("nothing", cu.cuMemsetD8(world.memory, 1, 0), CUDA_SUCCESS, holds(words, sizeof(words)));
    ROW("halves at an odd address", cu.cuMemsetD16(world.memory + 1, 0, 1),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("words at an odd address", cu.cuMemsetD32(world.memory + 2, 0, 1), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("no device memory", cu.cuMemsetD8(64, 0, 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("pinned memory", cu.cuMemsetD8((CUdeviceptr)(uintptr_t)world.pinned, 0x11, 8), CUDA_SUCCESS,
        world.pinned[1] == 0x11111111);
}

static void rectangles(void)
{
    static const uint8_t bytes[] = {1, 1, 0, 0, 1, 1, 0, 0, 0};
    static const uint16_t halves[] = {2, 0, 2, 0, 0};
    static const uint32_t words[] = {3, 3, 0, 0, 3, 3, 0, 0, 0};

    ROW("clear", cu.cuMemsetD8(world.memory, 0, 256), CUDA_SUCCESS, true);
    ROW("bytes", cu.cuMemsetD2D8(world.memory, 4, 1, 2, 2), CUDA_SUCCESS,
        holds(bytes, sizeof(bytes)));
    ROW("clear", cu.cuMemsetD8(world.memory, 0, 256), CUDA_SUCCESS, true);
    ROW("halves", cu.cuMemsetD2D16(world.memory, 4, 2, 1, 2), CUDA_SUCCESS,
        holds(halves, sizeof(halves)));
    ROW("clear", cu.cuMemsetD8(world.memory, 0, 256), CUDA_SUCCESS, true);
    ROW("words", cu.cuMemsetD2D32(world.memory, 16, 3, 2, 2), CUDA_SUCCESS,
        holds(words, sizeof(words)));
    ROW("wider than its rows", cu.cuMemsetD2D8(world.memory, 4, 0, 5, 2), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("no rows", cu.cuMemsetD2D8(world.memory, 4, 0, 2, 0), CUDA_SUCCESS,
        holds(words, sizeof(words)));
}

void group_set(void)
{
    conformance_world_open(&world);
    lines();
    rectangles();
}
