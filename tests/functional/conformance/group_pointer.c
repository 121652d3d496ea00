/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_pointer.c - what the driver says about addresses.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static int64_t ask(CUpointer_attribute which, CUdeviceptr at)
{
    uint64_t value = 0;

    return cu.cuPointerGetAttribute(&value, which, at) == CUDA_SUCCESS ? (int64_t)value : -1;
}

static void kinds(CUdeviceptr device, CUdeviceptr pinned, CUdeviceptr managed)
{
    ROW("device memory", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device + 3) == CU_MEMORYTYPE_DEVICE);
    ROW("pinned memory", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, pinned + 3) == CU_MEMORYTYPE_HOST);
    ROW("managed memory", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_IS_MANAGED, managed) == 1);
    ROW("is not managed", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_IS_MANAGED, device) == 0);
    ROW("its context", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_CONTEXT, device) == (int64_t)(intptr_t)world.context[0]);
    ROW("its device", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, device) == 0);
    ROW("its start", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, device + 99) == (int64_t)device);
    ROW("its size", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_RANGE_SIZE, device + 99) == 1000);
    ROW("it is mapped", CUDA_SUCCESS, CUDA_SUCCESS, ask(CU_POINTER_ATTRIBUTE_MAPPED, device) == 1);
    ROW("the host cannot reach it", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_HOST_POINTER, device) == -1);
    ROW("no pool", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, device) == 0);
    ROW("different numbers", CUDA_SUCCESS, CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, device) !=
            ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, managed));
}

static void several(CUdeviceptr device)
{
    CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                   CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    unsigned type = 77;
    size_t bytes = 77;
    void *data[] = {&type, &bytes};

    ROW("several", cu.cuPointerGetAttributes(2, which, data, device), CUDA_SUCCESS,
        type == CU_MEMORYTYPE_DEVICE && bytes == 1000);
    ROW("several of nothing", cu.cuPointerGetAttributes(2, which, data, (uintptr_t)&type),
        CUDA_SUCCESS, !conformance_checks || (type == 0 && bytes == 0));
    ROW("none", cu.cuPointerGetAttributes(0, which, data, device), CUDA_ERROR_INVALID_VALUE, true);
}

void group_pointer(void)
{
    CUdeviceptr device = 0, managed = 0;
    unsigned on = 1, type = 77;
    void *pinned = NULL;

    memory_world_open(&world);
    ROW("device", cu.cuMemAlloc(&device, 1000), CUDA_SUCCESS, true);
    ROW("pinned", cu.cuMemAllocHost(&pinned, 1000), CUDA_SUCCESS, true);
    ROW("managed", cu.cuMemAllocManaged(&managed, 1000, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS, true);
    kinds(device, (CUdeviceptr)(uintptr_t)pinned, managed);
    several(device);
    ROW("the stack",
        cu.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)&type),
        CUDA_ERROR_INVALID_VALUE, type == 77);
    ROW("no such attribute", cu.cuPointerGetAttribute(&type, (CUpointer_attribute)4711, device),
        CUDA_ERROR_INVALID_VALUE, type == 77);
    ROW("synchronous copies",
        cu.cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device), CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device) == 1);
    ROW("free", cu.cuMemFree(device), CUDA_SUCCESS,
        ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device) == -1);
    ROW("free pinned", cu.cuMemFreeHost(pinned), CUDA_SUCCESS, true);
    ROW("free managed", cu.cuMemFree(managed), CUDA_SUCCESS, true);
}
