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

    ROW("nothing", cu.cuMemHostAlloc(&none, 0, 0), CUDA_SUCCESS, none == NULL);
    ROW("unknown flag", cu.cuMemHostAlloc(&none, 4, 64), CUDA_ERROR_INVALID_VALUE, none == NULL);
    ROW("mapped", cu.cuMemHostAlloc((void **)&words, 8192, CU_MEMHOSTALLOC_DEVICEMAP), CUDA_SUCCESS,
        words != NULL);
    if (!words)
        return;
    ROW("flags of that call", cu.cuMemHostGetDevicePointer(&on_device, words, 1),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("device address", cu.cuMemHostGetDevicePointer(&on_device, words, 0), CUDA_SUCCESS,
        on_device != 0);
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

/* Kernels find the address in memory, not among their parameters; once one of them was given it as
 * a parameter, too. */
static void nested(const char *label, uint32_t *words, CUdeviceptr on_device)
{
    CUdeviceptr holder;
    uint32_t value = 0;

    conformance_need(cu.cuMemAlloc(&holder, sizeof(on_device)), "cuMemAlloc");
    conformance_need(cu.cuMemcpyHtoD(holder, &on_device, sizeof(on_device)), "cuMemcpyHtoD");
    words[3] = 11;
    ROW(label, memory_peek(&world, 0, on_device + 12, &value), CUDA_SUCCESS, value == 11);
    for (uint32_t i = 21; i < 24; i++) {
        words[0] = i;
        ROW("a kernel follows what points there", memory_follow(&world, 0, holder, &value),
            CUDA_SUCCESS, value == i);
    }
    ROW("a kernel writes beside it", memory_poke(&world, 0, on_device, 31), CUDA_SUCCESS,
        words[0] == 31 && words[3] == 11);
    ROW("and one follows", memory_follow(&world, 0, holder, &value), CUDA_SUCCESS, value == 31);
    conformance_need(cu.cuMemFree(holder), "cuMemFree");
}

static void nested_addresses(void)
{
    uint32_t *words = aligned_alloc(4096, 4096), *pinned_words;
    CUdeviceptr on_device;

    memset(words, 0, 4096);
    conformance_need(cu.cuMemHostRegister(words, 4096, 0), "cuMemHostRegister");
    conformance_need(cu.cuMemHostGetDevicePointer(&on_device, words, 0),
                     "cuMemHostGetDevicePointer");
    nested("registered, by parameter", words, on_device);
    conformance_need(cu.cuMemHostUnregister(words), "cuMemHostUnregister");
    free(words);
    conformance_need(cu.cuMemHostAlloc((void **)&pinned_words, 4096, 0), "cuMemHostAlloc");
    nested("pinned, by parameter", pinned_words, (CUdeviceptr)(uintptr_t)pinned_words);
    conformance_need(cu.cuMemFreeHost(pinned_words), "cuMemFreeHost");
}

void group_host(void)
{
    memory_world_open(&world);
    pinned();
    registered();
    nested_addresses();
}
