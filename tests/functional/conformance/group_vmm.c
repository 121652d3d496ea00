/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_vmm.c - virtual memory management, with kernels as judges of
 * access.
 */
#include "tests/functional/conformance/memory.h"

#include <unistd.h>

static struct memory_world world;
static size_t step; /* the granularity */

static CUmemAllocationProp properties(CUmemAllocationHandleType type)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .requestedHandleTypes = type,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
}

static CUmemAccessDesc access_of(int device, CUmemAccess_flags flags)
{
    return (CUmemAccessDesc){.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
                             .flags = flags};
}

static void ranges(void)
{
    CUdeviceptr at = 0, again = 0;

    ROW("nothing", cu.cuMemAddressReserve(&at, 0, 0, 0, 0), CUDA_ERROR_INVALID_VALUE, at == 0);
    ROW("not a multiple", cu.cuMemAddressReserve(&at, step + 4096, 0, 0, 0),
        CUDA_ERROR_INVALID_VALUE, at == 0);
    ROW("flags", cu.cuMemAddressReserve(&at, step, 0, 0, 1), CUDA_ERROR_INVALID_VALUE, at == 0);
    ROW("some", cu.cuMemAddressReserve(&at, 4 * step, 0, 0, 0), CUDA_SUCCESS,
        at != 0 && at % step == 0);
    ROW("a wanted address that is taken", cu.cuMemAddressReserve(&again, step, 0, at, 0),
        CUDA_SUCCESS, again != at);
    ROW("free half", cu.cuMemAddressFree(at, 2 * step), CUDA_ERROR_INVALID_VALUE, true);
    ROW("free", cu.cuMemAddressFree(at, 4 * step), CUDA_SUCCESS, true);
    ROW("free the other", cu.cuMemAddressFree(again, step), CUDA_SUCCESS, true);
    ROW("wanted, now free", cu.cuMemAddressReserve(&again, 4 * step, 0, at, 0), CUDA_SUCCESS,
        again == at);
    ROW("free it", cu.cuMemAddressFree(again, 4 * step), CUDA_SUCCESS, true);
}

/* The mapping outlives its handles. */
static void outlive(CUmemGenericAllocationHandle handle, CUdeviceptr at, size_t before)
{
    CUmemGenericAllocationHandle retained = 0;
    uint32_t word = 0;

    ROW("retain", cu.cuMemRetainAllocationHandle(&retained, (void *)(uintptr_t)(at + 8)),
        CUDA_SUCCESS, retained == handle);
    ROW("release", cu.cuMemRelease(handle), CUDA_SUCCESS, true);
    ROW("release the other", cu.cuMemRelease(retained), CUDA_SUCCESS,
        before - memory_free_bytes() >= 2 * step);
    ROW("a kernel still reads", memory_peek(&world, 0, at + 2 * step - 4, &word), CUDA_SUCCESS,
        word == 5);
    ROW("free the range too early", cu.cuMemAddressFree(at, 4 * step), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("unmap half", cu.cuMemUnmap(at, step), CUDA_ERROR_INVALID_VALUE, true);
    ROW("unmap", cu.cuMemUnmap(at, 2 * step), CUDA_SUCCESS, memory_free_bytes() == before);
}

static void mapping(void)
{
    CUmemAllocationProp prop = properties(CU_MEM_HANDLE_TYPE_NONE);
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    CUmemGenericAllocationHandle handle = 0;
    size_t before = memory_free_bytes();
    unsigned long long flags = 0;
    CUdeviceptr at = 0;

    ROW("not a multiple", cu.cuMemCreate(&handle, step + 1, &prop, 0), CUDA_ERROR_INVALID_VALUE,
        handle == 0);
    ROW("create", cu.cuMemCreate(&handle, 2 * step, &prop, 0), CUDA_SUCCESS,
        before - memory_free_bytes() >= 2 * step);
    ROW("reserve", cu.cuMemAddressReserve(&at, 4 * step, 0, 0, 0), CUDA_SUCCESS, true);
    ROW("map with an offset", cu.cuMemMap(at, step, step, handle, 0), CUDA_ERROR_NOT_SUPPORTED,
        true);
    ROW("map", cu.cuMemMap(at, 2 * step, 0, handle, 0), CUDA_SUCCESS, true);
    ROW("over it", cu.cuMemMap(at, 2 * step, 0, handle, 0), CUDA_ERROR_INVALID_VALUE, true);
    ROW("no access yet", cu.cuMemGetAccess(&flags, &desc.location, at), CUDA_SUCCESS,
        flags == CU_MEM_ACCESS_FLAGS_PROT_NONE);
    ROW("access", cu.cuMemSetAccess(at, 2 * step, &desc, 1), CUDA_SUCCESS, true);
    ROW("which", cu.cuMemGetAccess(&flags, &desc.location, at + step), CUDA_SUCCESS,
        flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    ROW("a kernel writes", memory_poke(&world, 0, at + 2 * step - 4, 5), CUDA_SUCCESS,
        memory_read(at + 2 * step - 4) == 5);
    outlive(handle, at, before);
    ROW("free the range", cu.cuMemAddressFree(at, 4 * step), CUDA_SUCCESS, true);
}

/* One memory at two places, by way of a descriptor. */
static void exported(void)
{
    CUmemAllocationProp prop = properties(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    CUmemGenericAllocationHandle handle = 0, imported = 0;
    CUdeviceptr one = 0, two = 0;
    int fd = -1;

    ROW("create", cu.cuMemCreate(&handle, step, &prop, 0), CUDA_SUCCESS, true);
    ROW("export",
        cu.cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_SUCCESS, fd >= 0);
    ROW("import",
        cu.cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        CUDA_SUCCESS, imported != 0);
    (void)close(fd);
    ROW("reserve", cu.cuMemAddressReserve(&one, 2 * step, 0, 0, 0), CUDA_SUCCESS, true);
    two = one + step;
    ROW("map", cu.cuMemMap(one, step, 0, handle, 0), CUDA_SUCCESS, true);
    ROW("map the imported", cu.cuMemMap(two, step, 0, imported, 0), CUDA_SUCCESS, true);
    ROW("access to both", cu.cuMemSetAccess(one, 2 * step, &desc, 1), CUDA_SUCCESS, true);
    ROW("written at one", memory_poke(&world, 0, one + 16, 9), CUDA_SUCCESS,
        memory_read(two + 16) == 9);
    ROW("unmap both", cu.cuMemUnmap(one, 2 * step), CUDA_SUCCESS, true);
    ROW("free", cu.cuMemAddressFree(one, 2 * step), CUDA_SUCCESS, true);
    ROW("release", cu.cuMemRelease(handle), CUDA_SUCCESS, true);
    ROW("release the imported", cu.cuMemRelease(imported), CUDA_SUCCESS, true);
}

/* Last: the error stays. */
static void read_only(void)
{
    CUmemAllocationProp prop = properties(CU_MEM_HANDLE_TYPE_NONE);
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READ);
    CUmemGenericAllocationHandle handle = 0;
    CUdeviceptr at = 0;
    uint32_t word = 7;

    ROW("create", cu.cuMemCreate(&handle, step, &prop, 0), CUDA_SUCCESS, true);
    ROW("reserve", cu.cuMemAddressReserve(&at, step, 0, 0, 0), CUDA_SUCCESS, true);
    ROW("map", cu.cuMemMap(at, step, 0, handle, 0), CUDA_SUCCESS, true);
    ROW("to read", cu.cuMemSetAccess(at, step, &desc, 1), CUDA_SUCCESS, true);
    ROW("a kernel reads", memory_peek(&world, 0, at, &word), CUDA_SUCCESS, true);
    ROW("a kernel writes", memory_poke(&world, 0, at, 1), CUDA_ERROR_ILLEGAL_ADDRESS, true);
}

void group_vmm(void)
{
    CUmemAllocationProp prop = properties(CU_MEM_HANDLE_TYPE_NONE);

    memory_world_open(&world);
    ROW("granularity",
        cu.cuMemGetAllocationGranularity(&step, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
        CUDA_SUCCESS, step == 2 * MIB);
    ranges();
    mapping();
    exported();
    read_only();
}
