/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_copy.c - copies: lines, rectangles, boxes, between contexts,
 * batches.
 */
#include "tests/functional/conformance/conformance.h"

enum { WORDS = 4096 };

static struct conformance_world world;
static uint32_t source[WORDS], target[WORDS];
static CUdeviceptr second; /* another allocation */

static bool equal(const uint32_t *a, const uint32_t *b, size_t words)
{
    return memcmp(a, b, words * sizeof(*a)) == 0;
}

static void lines(void)
{
    uint32_t *pinned = world.pinned;

    ROW("to the device", cu.cuMemcpyHtoD(world.memory, source, sizeof(source)), CUDA_SUCCESS, true);
    ROW("on the device", cu.cuMemcpyDtoD(second, world.memory, sizeof(source)), CUDA_SUCCESS, true);
    ROW("back", cu.cuMemcpyDtoH(target, second, sizeof(target)), CUDA_SUCCESS,
        equal(source, target, WORDS));
    ROW("nothing", cu.cuMemcpyHtoD(world.memory, source, 0), CUDA_SUCCESS, true);
    ROW("to no device memory", cu.cuMemcpyHtoD(64, source, 4), CUDA_ERROR_INVALID_VALUE, true);
    ROW("from no device memory", cu.cuMemcpyDtoH(target, 64, 4), CUDA_ERROR_INVALID_VALUE, true);
    ROW("from far behind the end",
        cu.cuMemcpyDtoH(target, world.memory + ((CUdeviceptr)1 << 32), 4), CUDA_ERROR_INVALID_VALUE,
        true);
    memset(target, 0, sizeof(target));
    ROW("by address, to the host",
        cu.cuMemcpy((CUdeviceptr)(uintptr_t)target, world.memory, sizeof(target)), CUDA_SUCCESS,
        equal(source, target, WORDS));
    ROW("by address, to pinned memory",
        cu.cuMemcpyAsync((CUdeviceptr)(uintptr_t)pinned, world.memory, 1024, NULL), CUDA_SUCCESS,
        cu.cuStreamSynchronize(NULL) == CUDA_SUCCESS && equal(source, pinned, 256));
    ROW("asynchronously, all ways", cu.cuMemcpyDtoDAsync(second + 4, world.memory, 400, NULL),
        CUDA_SUCCESS,
        cu.cuMemcpyDtoHAsync(pinned, second + 4, 400, NULL) == CUDA_SUCCESS &&
            cu.cuStreamSynchronize(NULL) == CUDA_SUCCESS && equal(source, pinned, 100));
}

static void large(void)
{
    enum { LARGE_BYTES = 24 << 20 };
    uint8_t *from = malloc(LARGE_BYTES), *to = calloc(LARGE_BYTES, 1);
    CUdeviceptr device = 0, copy = 0;

    for (uint32_t i = 0; from && i < LARGE_BYTES; i++)
        from[i] = (uint8_t)(i * 7 + (i >> 12));
    ROW("room", cu.cuMemAlloc(&device, LARGE_BYTES), CUDA_SUCCESS, from && to);
    ROW("room", cu.cuMemAlloc(&copy, LARGE_BYTES), CUDA_SUCCESS, true);
    ROW("24 MiB there", cu.cuMemcpyHtoD(device, from, LARGE_BYTES), CUDA_SUCCESS, true);
    ROW("across", cu.cuMemcpyDtoD(copy, device, LARGE_BYTES), CUDA_SUCCESS, true);
    ROW("and back", cu.cuMemcpyDtoH(to, copy, LARGE_BYTES), CUDA_SUCCESS,
        from && to && memcmp(from, to, LARGE_BYTES) == 0);
    ROW("free", cu.cuMemFree(device), CUDA_SUCCESS, cu.cuMemFree(copy) == CUDA_SUCCESS);
    free(from);
    free(to);
}

/* 10 x 7 words out of 16-word rows, to 12-word rows. */
static void rectangles(void)
{
    CUDA_MEMCPY2D copy = {.srcXInBytes = 8,
                          .srcY = 2,
                          .srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = source,
                          .srcPitch = 64,
                          .dstXInBytes = 4,
                          .dstY = 1,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = world.memory,
                          .dstPitch = 48,
                          .WidthInBytes = 40,
                          .Height = 7};
    bool right = true;

    ROW("clear", cu.cuMemsetD8(world.memory, 0xff, sizeof(target)), CUDA_SUCCESS, true);
    ROW("a rectangle", cu.cuMemcpy2D(&copy), CUDA_SUCCESS,
        cu.cuMemcpyDtoH(target, world.memory, sizeof(target)) == CUDA_SUCCESS);
    for (uint32_t y = 0; y < 9; y++)
        for (uint32_t x = 0; x < 12; x++) {
            bool inside = y >= 1 && y < 8 && x >= 1 && x < 11;

            right =
                right && target[y * 12 + x] == (inside ? source[(y + 1) * 16 + x + 1] : UINT32_MAX);
        }
    ROW("lies where it should", CUDA_SUCCESS, CUDA_SUCCESS, right);
    copy.dstPitch = 40;
    ROW("wider than its rows", cu.cuMemcpy2D(&copy), CUDA_ERROR_INVALID_VALUE, true);
    copy.dstPitch = 48;
    copy.dstMemoryType = (CUmemorytype)9;
    ROW("no such kind of memory", cu.cuMemcpy2D(&copy), CUDA_ERROR_INVALID_VALUE, true);
    copy.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
    ROW("by address", cu.cuMemcpy2DUnaligned(&copy), CUDA_SUCCESS, true);
    copy.Height = 0;
    ROW("no rows", cu.cuMemcpy2DAsync(&copy, NULL), CUDA_SUCCESS, true);
    ROW("no description", cu.cuMemcpy2D(NULL), CUDA_ERROR_INVALID_VALUE, true);
}

static void boxes(void)
{
    CUDA_MEMCPY3D copy = {.srcXInBytes = 4,
                          .srcY = 1,
                          .srcZ = 1,
                          .srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = source,
                          .srcPitch = 32,
                          .srcHeight = 8,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = world.memory,
                          .dstPitch = 16,
                          .dstHeight = 3,
                          .WidthInBytes = 16,
                          .Height = 3,
                          .Depth = 5};
    bool right = true;

    ROW("a box", cu.cuMemcpy3D(&copy), CUDA_SUCCESS,
        cu.cuMemcpyDtoH(target, world.memory, sizeof(target)) == CUDA_SUCCESS);
    for (uint32_t z = 0; z < 5; z++)
        for (uint32_t y = 0; y < 3; y++)
            for (uint32_t x = 0; x < 4; x++)
                right = right &&
                        target[(z * 3 + y) * 4 + x] == source[((z + 1) * 8 + y + 1) * 8 + x + 1];
    ROW("lies where it should", CUDA_SUCCESS, CUDA_SUCCESS, right);
    copy.srcHeight = 3;
    ROW("higher than its layers", cu.cuMemcpy3D(&copy), CUDA_ERROR_INVALID_VALUE, true);
    copy.srcHeight = 8;
    ROW("asynchronously", cu.cuMemcpy3DAsync(&copy, NULL), CUDA_SUCCESS,
        cu.cuStreamSynchronize(NULL) == CUDA_SUCCESS);
}

static void contexts(void)
{
    CUcontext other = NULL;
    CUdeviceptr there = 0;
    int devices = 0;
    CUdevice device;

    ROW("devices", cu.cuDeviceGetCount(&devices), CUDA_SUCCESS, true);
    ROW("the last device", cu.cuDeviceGet(&device, devices - 1), CUDA_SUCCESS, true);
    ROW("a context there", cu.cuCtxCreate(&other, NULL, 0, device), CUDA_SUCCESS, true);
    ROW("memory there", cu.cuMemAlloc(&there, sizeof(source)), CUDA_SUCCESS, true);
    ROW("back here", cu.cuCtxSetCurrent(world.context), CUDA_SUCCESS, true);
    ROW("fill", cu.cuMemcpyHtoD(world.memory, source, sizeof(source)), CUDA_SUCCESS, true);
    ROW("across", cu.cuMemcpyPeer(there, other, world.memory, world.context, sizeof(source)),
        CUDA_SUCCESS, true);
    memset(target, 0, sizeof(target));
    ROW("and back", cu.cuMemcpyPeerAsync(second, world.context, there, other, sizeof(source), NULL),
        CUDA_SUCCESS,
        cu.cuMemcpyDtoH(target, second, sizeof(target)) == CUDA_SUCCESS &&
            equal(source, target, WORDS));
    ROW_CHECKED("in no context", cu.cuMemcpyPeer(there, NULL, world.memory, world.context, 4),
                CUDA_ERROR_INVALID_VALUE, true);
    memset(target, 0, sizeof(target));
    ROW("memory of another device is reached by its address",
        cu.cuMemcpyDtoH(target, there, sizeof(target)), CUDA_SUCCESS, equal(source, target, WORDS));
    ROW("destroy", cu.cuCtxDestroy(other), CUDA_SUCCESS, true);
}

static void batches(void)
{
    CUdeviceptr dsts[] = {world.memory, world.memory + 4096};
    CUdeviceptr srcs[] = {(CUdeviceptr)(uintptr_t)source, (CUdeviceptr)(uintptr_t)(source + 100)};
    size_t sizes[] = {400, 800}, first = 0;
    CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    CUstream stream;

    if (!cu.cuMemcpyBatchAsync)
        return; /* a driver before 12.8 */
    ROW("stream", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("a batch", cu.cuMemcpyBatchAsync(dsts, srcs, sizes, 2, &attributes, &first, 1, stream),
        CUDA_SUCCESS,
        cu.cuMemcpyDtoH(target, world.memory + 4096, 800) == CUDA_SUCCESS &&
            equal(source + 100, target, 200));
    attributes.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
    ROW("no order", cu.cuMemcpyBatchAsync(dsts, srcs, sizes, 2, &attributes, &first, 1, stream),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
}

void group_copy(void)
{
    conformance_world_open(&world);
    for (uint32_t i = 0; i < WORDS; i++)
        source[i] = i * 2654435761u;
    ROW("more memory", cu.cuMemAlloc(&second, CONFORMANCE_BYTES), CUDA_SUCCESS, true);
    lines();
    large();
    rectangles();
    boxes();
    contexts();
    batches();
}
