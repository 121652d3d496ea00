/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_managed.c - managed memory: both sides, advice, prefetch.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static int attribute(CUdeviceptr at, size_t bytes, CUmem_range_attribute which)
{
    int value = 77;

    return cu.cuMemRangeGetAttribute(&value, sizeof(value), which, at, bytes) == CUDA_SUCCESS
               ? value
               : 78;
}

/* With concurrent access only: else the driver refuses advice. */
static void advice(CUdeviceptr at, const uint32_t *words)
{
    const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
    const CUmemLocation host = {.type = CU_MEM_LOCATION_TYPE_HOST};

    ROW("read mostly", cu.cuMemAdvise(at, MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, host), CUDA_SUCCESS,
        attribute(at, MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY) == 1);
    ROW("not all of it", CUDA_SUCCESS, CUDA_SUCCESS,
        attribute(at, 2 * MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY) == 0);
    ROW("preferred location",
        cu.cuMemAdvise(at, 4 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, device), CUDA_SUCCESS,
        attribute(at, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION) == 0);
    ROW("none", cu.cuMemAdvise(at, 4 * MIB, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, device),
        CUDA_SUCCESS,
        attribute(at, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION) == CU_DEVICE_INVALID);
    ROW("prefetch to the device", cu.cuMemPrefetchAsync(at, 4 * MIB, device, 0, NULL), CUDA_SUCCESS,
        attribute(at, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION) == 0);
    ROW("prefetch to the host", cu.cuMemPrefetchAsync(at, 4 * MIB, host, 0, NULL), CUDA_SUCCESS,
        attribute(at, 4 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION) == CU_DEVICE_CPU);
    ROW("prefetch flags", cu.cuMemPrefetchAsync(at, 4 * MIB, device, 1, NULL),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("wait", cu.cuCtxSynchronize(), CUDA_SUCCESS, words[3] == 33 && words[MIB / 4] == 44);
}

void group_managed(void)
{
    const CUmemLocation host = {.type = CU_MEM_LOCATION_TYPE_HOST};
    CUdeviceptr at = 0;
    int concurrent = 0;

    memory_world_open(&world);
    (void)cu.cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 0);
    ROW("nothing", cu.cuMemAllocManaged(&at, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE,
        at == 0);
    ROW("attached to one stream", cu.cuMemAllocManaged(&at, 4, CU_MEM_ATTACH_SINGLE),
        CUDA_ERROR_INVALID_VALUE, at == 0);
    ROW("some", cu.cuMemAllocManaged(&at, 4 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS, at != 0);
    if (at == 0)
        return;
    uint32_t *words = (uint32_t *)(uintptr_t)at;
    uint32_t word = 0;

    words[3] = 33;
    ROW("a kernel reads what the host wrote", memory_peek(&world, 0, at + 12, &word), CUDA_SUCCESS,
        word == 33);
    ROW("the host reads what a kernel wrote", memory_poke(&world, 0, at + MIB, 44), CUDA_SUCCESS,
        words[MIB / 4] == 44);
    if (concurrent)
        advice(at, words);
    ROW("attach to no stream", cu.cuStreamAttachMemAsync(NULL, at, 0, CU_MEM_ATTACH_SINGLE),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("free", cu.cuMemFree(at), CUDA_SUCCESS, true);
    ROW("advice for the freed", cu.cuMemAdvise(at, MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, host),
        CUDA_ERROR_INVALID_VALUE, true);
}
