/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_host.c - pinned and registered host memory, as kernels see it.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static void pinned(void)
{
    CUdeviceptr on_device = 0;
    unsigned flags = 77;
    uint32_t *words = NULL;
    void *none = NULL;

    ROW("nothing", cu.cuMemHostAlloc(&none, 0, 0), CUDA_ERROR_INVALID_VALUE, none == NULL);
    ROW("unknown flag", cu.cuMemHostAlloc(&none, 4, 64), CUDA_ERROR_INVALID_VALUE, none == NULL);
    ROW("mapped", cu.cuMemHostAlloc((void **)&words, 8192, CU_MEMHOSTALLOC_DEVICEMAP), CUDA_SUCCESS,
        words != NULL);
    if (!words)
        return;
    ROW("device address", cu.cuMemHostGetDevicePointer(&on_device, words, 0), CUDA_SUCCESS,
        on_device != 0);
    ROW("flags of that call", cu.cuMemHostGetDevicePointer(&on_device, words, 1),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("flags", cu.cuMemHostGetFlags(&flags, words), CUDA_SUCCESS,
        flags & CU_MEMHOSTALLOC_DEVICEMAP);
    ROW("a kernel writes", memory_poke(&world, 0, on_device + 4, 5), CUDA_SUCCESS, words[1] == 5);
    ROW("free in the middle", cu.cuMemFreeHost(words + 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("free by the other call", cu.cuMemFree((CUdeviceptr)(uintptr_t)words),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("free", cu.cuMemFreeHost(words), CUDA_SUCCESS, true);
    ROW("device address of the freed", cu.cuMemHostGetDevicePointer(&on_device, words, 0),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("by the short call", cu.cuMemAllocHost(&none, 4), CUDA_SUCCESS, none != NULL);
    ROW("free it", cu.cuMemFreeHost(none), CUDA_SUCCESS, true);
}

static void registered(void)
{
    CUdeviceptr on_device = 0;
    uint32_t *words = aligned_alloc(4096, 8192);

    memset(words, 0, 8192);
    ROW("not registered", cu.cuMemHostUnregister(words), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
        true);
    ROW("nothing", cu.cuMemHostRegister(words, 0, 0), CUDA_ERROR_INVALID_VALUE, true);
    ROW("register", cu.cuMemHostRegister(words, 8192, CU_MEMHOSTREGISTER_DEVICEMAP), CUDA_SUCCESS,
        true);
    ROW("again", cu.cuMemHostRegister(words, 8192, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
        true);
    ROW("device address", cu.cuMemHostGetDevicePointer(&on_device, words, 0), CUDA_SUCCESS,
        on_device != 0);
    ROW("a kernel writes", memory_poke(&world, 0, on_device + 8188, 6), CUDA_SUCCESS,
        words[2047] == 6);
    ROW("unregister", cu.cuMemHostUnregister(words), CUDA_SUCCESS, words[2047] == 6);
    ROW("twice", cu.cuMemHostUnregister(words), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, true);
    free(words);
}

void group_host(void)
{
    memory_world_open(&world);
    pinned();
    registered();
}
