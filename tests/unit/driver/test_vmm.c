/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/vmm.c: reservations, mappings, access, export to another process.
 */
#include "tests/unit/driver/driver.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/parse.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/va.h"
#include "softcuda/warp/warp_int.h"

#define MIB DRIVER_MIB

static const char config[] = "devices = ( { count = 2; memory = \"256MiB\"; } );";
static CUcontext contexts[2];
static struct soft_context *inner[2];

static const CUmemAllocationProp on_device = {
    .type = CU_MEM_ALLOCATION_TYPE_PINNED,
    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};

static CUmemAccessDesc access_of(int device, CUmemAccess_flags flags)
{
    return (CUmemAccessDesc){.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
                             .flags = flags};
}

static void test_reserve(void)
{
    const uint64_t slice = va_bytes(VA_SLICE), third = va_base(VA_SLICE, 3);
    const uint64_t first = va_base(VA_RESERVE, 0), outside = va_base(VA_SLICE, 0) - 1024 * MIB;
    const struct {
        const char *label;
        uint64_t bytes, align, wanted;
        unsigned long long flags;
        CUresult result;
        uint64_t address;
    } cases[] = {
        {"anywhere", 4 * MIB, 0, 0, 0, CUDA_SUCCESS, first},
        {"aligned", 2 * MIB, 1024 * MIB, 0, 0, CUDA_SUCCESS, 0},
        {"small alignment", 2 * MIB, 4096, 0, 0, CUDA_SUCCESS, first},
        {"wanted, in a device's slice", slice, 0, third, 0, CUDA_SUCCESS, third},
        {"wanted, in no area of ours", 2 * MIB, 0, outside, 0, CUDA_SUCCESS, outside},
        {"wanted, not on a granule", 2 * MIB, 0, outside + 4096, 0, CUDA_SUCCESS, first},
        {"nothing", 0, 0, 0, 0, CUDA_ERROR_INVALID_VALUE, 7},
        {"not a multiple", 4096, 0, 0, 0, CUDA_ERROR_INVALID_VALUE, 7},
        {"not a power of two", 2 * MIB, 3 * MIB, 0, 0, CUDA_ERROR_INVALID_VALUE, 7},
        {"flags", 2 * MIB, 0, 0, 1, CUDA_ERROR_INVALID_VALUE, 7},
        {"more than there is", UINT64_C(1) << 47, 0, 0, 0, CUDA_ERROR_OUT_OF_MEMORY, 7},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CUdeviceptr address = 7;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(soft_cuMemAddressReserve(&address, cases[i].bytes, cases[i].align, cases[i].wanted,
                                          cases[i].flags),
                 cases[i].result);
        if (cases[i].align == 1024 * MIB)
            CHECK_EQ(address % (1024 * MIB), 0);
        else
            CHECK_EQ(address, cases[i].address);
        if (cases[i].result != CUDA_SUCCESS)
            continue;
        CHECK_EQ(soft_cuMemAddressFree(address, cases[i].bytes / 2), CUDA_ERROR_INVALID_VALUE);
        CHECK_EQ(soft_cuMemAddressFree(address + 2 * MIB, cases[i].bytes),
                 CUDA_ERROR_INVALID_VALUE);
        CHECK_EQ(soft_cuMemAddressFree(address, cases[i].bytes), CUDA_SUCCESS);
        CHECK_EQ(soft_cuMemAddressFree(address, cases[i].bytes), CUDA_ERROR_INVALID_VALUE);
    }
}

/* A worker takes whole slices first; what is taken is refused as an address, not as a call. */
static void test_taken_slice(void)
{
    CUdeviceptr slice, again, plain;

    CHECK_EQ(soft_cuMemAddressReserve(&slice, va_bytes(VA_SLICE), 0, va_base(VA_SLICE, 0), 0),
             CUDA_SUCCESS);
    CHECK_EQ(slice, va_base(VA_SLICE, 0));
    CHECK_EQ(soft_cuMemAddressReserve(&again, 2 * MIB, 0, slice + 4 * MIB, 0), CUDA_SUCCESS);
    CHECK_EQ(again, va_base(VA_RESERVE, 0));
    CHECK_CASE("plain memory goes elsewhere");
    CHECK_EQ(soft_cuMemAlloc_v2(&plain, 3 * MIB), CUDA_SUCCESS);
    CHECK_EQ(plain, again + 2 * MIB);
    memset(driver_pointer(plain), 1, 3 * MIB);
    CHECK_EQ(soft_cuMemFree_v2(plain), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(again, 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(slice, va_bytes(VA_SLICE)), CUDA_SUCCESS);
}

static void test_create(void)
{
    CUmemGenericAllocationHandle handle = 7, device_one;
    uint64_t before = driver_free_bytes();
    CUmemAllocationProp prop = on_device;
    size_t granularity = 0;

    CHECK_EQ(
        soft_cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
        CUDA_SUCCESS);
    CHECK_EQ(granularity, 2 * MIB);
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB - 4096, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemCreate(&handle, 0, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemCreate(&handle, before + 2 * MIB, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    prop.location.id = 2;
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_ERROR_INVALID_DEVICE);
    prop = on_device;
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_FABRIC;
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_ERROR_NOT_SUPPORTED);
    prop = on_device;
    prop.type = CU_MEM_ALLOCATION_TYPE_INVALID;
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(handle, 7);
    CHECK_EQ(driver_free_bytes(), before);

    CHECK_CASE("all there is");
    prop = on_device;
    CHECK_EQ(soft_cuMemCreate(&handle, before, &prop, 0), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), 0);
    memset(&prop, 0, sizeof(prop));
    CHECK_EQ(soft_cuMemGetAllocationPropertiesFromHandle(&prop, handle), CUDA_SUCCESS);
    CHECK_MEM(&prop, &on_device, sizeof(prop));
    CHECK_CASE("the other device is not touched");
    prop.location.id = 1;
    CHECK_EQ(soft_cuMemCreate(&device_one, 2 * MIB, &prop, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(device_one), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemGetAllocationPropertiesFromHandle(&prop, handle), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(driver_free_bytes(), before);
}

/* One mapping's life; the handle may go before it. */
static void test_map(void)
{
    CUmemGenericAllocationHandle handle, retained = 0;
    uint64_t before = driver_free_bytes();
    unsigned long long flags = 7;
    CUdeviceptr address, base;
    struct warp_range range;
    size_t bytes;
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);

    CHECK_EQ(soft_cuMemAddressReserve(&address, 8 * MIB, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemCreate(&handle, 4 * MIB, &on_device, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address, 4 * MIB, 2 * MIB, handle, 0), CUDA_ERROR_NOT_SUPPORTED);
    CHECK_EQ(soft_cuMemMap(address, 6 * MIB, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemMap(address + 4096, 4 * MIB, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemMap(address + 6 * MIB, 4 * MIB, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemMap(address, 4 * MIB, 0, handle + 16, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemMap(address + 2 * MIB, 4 * MIB, 0, handle, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address, 4 * MIB, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    address += 2 * MIB;

    CHECK_CASE("no access yet");
    CHECK(!soft_mem_find_range(inner[0], address, &range));
    CHECK_EQ(soft_cuMemGetAccess(&flags, &desc.location, address), CUDA_SUCCESS);
    CHECK_EQ(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    CHECK_EQ(soft_cuMemSetAccess(address, 2 * MIB, &desc, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemSetAccess(address, 6 * MIB, &desc, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemSetAccess(address, 4 * MIB, &desc, 1), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner[0], address + 3 * MIB, &range));
    CHECK_EQ(range.lo, address);
    CHECK_EQ(range.hi, address + 4 * MIB);
    CHECK(range.can_write);
    memset(driver_pointer(address), 5, 4 * MIB);
    CHECK_EQ(soft_cuMemGetAddressRange_v2(&base, &bytes, address + MIB), CUDA_SUCCESS);
    CHECK_EQ(base, address);
    CHECK_EQ(bytes, 4 * MIB);

    CHECK_CASE("the other device");
    desc = access_of(1, CU_MEM_ACCESS_FLAGS_PROT_READ);
    CHECK(!soft_mem_find_range(inner[1], address, &range));
    CHECK_EQ(soft_cuMemSetAccess(address, 4 * MIB, &desc, 1), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner[1], address, &range));
    CHECK(!range.can_write);
    CHECK_EQ(soft_mem_check(inner[1], address, 4, true), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemGetAccess(&flags, &desc.location, address), CUDA_SUCCESS);
    CHECK_EQ(flags, CU_MEM_ACCESS_FLAGS_PROT_READ);

    CHECK_CASE("retain from the mapping, after release");
    CHECK_EQ(soft_cuMemRetainAllocationHandle(&retained, driver_pointer(address + MIB)),
             CUDA_SUCCESS);
    CHECK_EQ(retained, handle);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(before - driver_free_bytes(), 4 * MIB);
    CHECK_EQ(((const uint8_t *)driver_pointer(address))[4 * MIB - 1], 5);
    CHECK_EQ(soft_cuMemAddressFree(address - 2 * MIB, 8 * MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemUnmap(address, 2 * MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemUnmap(address, 4 * MIB), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
    CHECK(!soft_mem_find_range(inner[0], address, &range));
    CHECK_EQ(soft_cuMemAddressFree(address - 2 * MIB, 8 * MIB), CUDA_SUCCESS);
}

/* Several mappings side by side: access and unmapping over all of them; one memory at two places.
 */
static void test_many(void)
{
    CUmemAccessDesc desc[2] = {access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
                               access_of(9, CU_MEM_ACCESS_FLAGS_PROT_READ)};
    uint64_t before = driver_free_bytes();
    CUmemGenericAllocationHandle handle, twice;
    struct warp_range range;
    CUdeviceptr address;

    CHECK_EQ(soft_cuMemAddressReserve(&address, 20 * MIB, 0, 0, 0), CUDA_SUCCESS);
    for (uint64_t i = 0; i < 8; i++) {
        CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &on_device, 0), CUDA_SUCCESS);
        CHECK_EQ(soft_cuMemMap(address + i * 2 * MIB, 2 * MIB, 0, handle, 0), CUDA_SUCCESS);
        CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    }
    CHECK_EQ(soft_cuMemRetainAllocationHandle(&twice, driver_pointer(address)), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address + 16 * MIB, 2 * MIB, 0, twice, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(twice), CUDA_SUCCESS);
    CHECK_CASE("a bad description changes nothing");
    CHECK_EQ(soft_cuMemSetAccess(address, 18 * MIB, desc, 2), CUDA_ERROR_INVALID_DEVICE);
    CHECK(!soft_mem_find_range(inner[0], address, &range));
    CHECK_EQ(soft_cuMemSetAccess(address, 18 * MIB, desc, 1), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner[0], address + 9 * MIB, &range));
    CHECK_EQ(range.hi - range.lo, 18 * MIB);
    *(int *)driver_pointer(address) = 42;
    CHECK_EQ(*(int *)driver_pointer(address + 16 * MIB), 42);
    CHECK_EQ(before - driver_free_bytes(), 16 * MIB);
    CHECK_EQ(soft_cuMemUnmap(address, 20 * MIB), CUDA_ERROR_INVALID_VALUE); /* a hole at the end */
    CHECK_EQ(soft_cuMemUnmap(address, 16 * MIB), CUDA_SUCCESS);
    CHECK_EQ(before - driver_free_bytes(), 2 * MIB);
    CHECK_EQ(*(int *)driver_pointer(address + 16 * MIB), 42);
    CHECK_EQ(soft_cuMemUnmap(address + 16 * MIB, 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(address, 20 * MIB), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
}

static void test_host(void)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {.type = CU_MEM_LOCATION_TYPE_HOST}};
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    uint64_t before = driver_free_bytes();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;

    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_SUCCESS);
    CHECK_EQ(driver_free_bytes(), before);
    CHECK_EQ(soft_cuMemAddressReserve(&address, 2 * MIB, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address, 2 * MIB, 0, handle, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemSetAccess(address, 2 * MIB, &desc, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_check(inner[0], address, 2 * MIB, true), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_check(inner[1], address, 1, true), CUDA_ERROR_INVALID_VALUE);
    desc.location.type = CU_MEM_LOCATION_TYPE_HOST;
    CHECK_EQ(soft_cuMemSetAccess(address, 2 * MIB, &desc, 1), CUDA_SUCCESS);
    *(int *)driver_pointer(address) = 1;
    CHECK_EQ(soft_cuMemUnmap(address, 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(address, 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_ERROR_INVALID_VALUE);
}

/* ---- another process
 * ------------------------------------------------------------------------------ */

/* The importing side: maps what the descriptor names, answers what it read and writes back. */
static int import_side(int fd)
{
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    CUmemGenericAllocationHandle handle;
    CUmemAllocationProp prop;
    CUcontext context;
    CUdeviceptr address;

    if (soft_cuInit(0) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
        soft_cuCtxSetCurrent(context) != CUDA_SUCCESS)
        return 10;
    if (soft_cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
                                            CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) !=
            CUDA_SUCCESS ||
        soft_cuMemGetAllocationPropertiesFromHandle(&prop, handle) != CUDA_SUCCESS)
        return 11;
    if (prop.location.type != CU_MEM_LOCATION_TYPE_DEVICE || prop.location.id != 0)
        return 12;
    if (soft_cuMemAddressReserve(&address, 4 * MIB, 0, 0, 0) != CUDA_SUCCESS ||
        soft_cuMemMap(address, 4 * MIB, 0, handle, 0) != CUDA_SUCCESS ||
        soft_cuMemSetAccess(address, 4 * MIB, &desc, 1) != CUDA_SUCCESS)
        return 13;
    if (*(int *)driver_pointer(address + 3 * MIB) != 1234)
        return 14;
    *(int *)driver_pointer(address) = 4321;
    return 0;
}

static void test_export(void)
{
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    CUmemAllocationProp prop = on_device;
    CUmemGenericAllocationHandle handle, other;
    CUdeviceptr address;
    int fd = -1, status = 0;
    char number[16];

    CHECK_EQ(soft_cuMemCreate(&handle, 2 * MIB, &prop, 0), CUDA_SUCCESS);
    CHECK_CASE("made without a handle type");
    CHECK_EQ(
        soft_cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
    CHECK_CASE("descriptors that are something else");
    CHECK_EQ(soft_cuMemImportFromShareableHandle(&other, (void *)(intptr_t)0,
                                                 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemImportFromShareableHandle(&other, (void *)(intptr_t)-1,
                                                 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
             CUDA_ERROR_INVALID_VALUE);

    CHECK_CASE("to another process");
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    CHECK_EQ(soft_cuMemCreate(&handle, 4 * MIB, &prop, 0), CUDA_SUCCESS);
    CHECK_EQ(
        soft_cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressReserve(&address, 4 * MIB, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemMap(address, 4 * MIB, 0, handle, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemSetAccess(address, 4 * MIB, &desc, 1), CUDA_SUCCESS);
    *(int *)driver_pointer(address + 3 * MIB) = 1234;
    (void)snprintf(number, sizeof(number), "%d", fd);
    pid_t pid = fork();

    if (pid == 0) { /* a fresh image: a forked driver does not work, by design */
        (void)fcntl(fd, F_SETFD, 0);
        (void)execl("/proc/self/exe", "test_vmm", "import", number, (char *)NULL);
        _exit(99);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK_EQ(*(int *)driver_pointer(address), 4321);
    (void)close(fd);
    CHECK_EQ(soft_cuMemUnmap(address, 4 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressFree(address, 4 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
}

static void test_faults(void)
{
    CUmemAccessDesc desc = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    uint64_t before = driver_free_bytes();

    bool fired = true;

    for (unsigned n = 1; n < 60 && fired; n++) {
        struct fab_fault_plan plan = {.fail_at = n};
        CUmemGenericAllocationHandle handle = 0;
        CUdeviceptr address = 0;
        CUresult result;

        CHECK_CASE("fault %u", n);
        fab_fault_arm(&plan);
        result = soft_cuMemAddressReserve(&address, 2 * MIB, 0, 0, 0);
        if (result == CUDA_SUCCESS)
            result = soft_cuMemCreate(&handle, 2 * MIB, &on_device, 0);
        if (result == CUDA_SUCCESS)
            result = soft_cuMemMap(address, 2 * MIB, 0, handle, 0);
        fab_fault_arm(NULL);
        CHECK(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
        if (result == CUDA_SUCCESS) {
            CHECK_EQ(soft_cuMemSetAccess(address, 2 * MIB, &desc, 1), CUDA_SUCCESS);
            *(int *)driver_pointer(address) = 1;
            CHECK_EQ(soft_cuMemUnmap(address, 2 * MIB), CUDA_SUCCESS);
        }
        if (handle)
            CHECK_EQ(soft_cuMemRelease(handle), CUDA_SUCCESS);
        if (address)
            CHECK_EQ(soft_cuMemAddressFree(address, 2 * MIB), CUDA_SUCCESS);
        CHECK_EQ(driver_free_bytes(), before);
        fired = plan.fired != NULL;
    }
    CHECK(!fired); /* the last run met none */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_reserve), CHECK_TEST(test_taken_slice), CHECK_TEST(test_create),
        CHECK_TEST(test_map),     CHECK_TEST(test_many),        CHECK_TEST(test_host),
        CHECK_TEST(test_export),  CHECK_TEST(test_faults),
    };

    int64_t fd;

    if (argc == 3 && strcmp(argv[1], "import") == 0)
        return fab_parse_int(argv[2], &fd) == FAB_OK ? import_side((int)fd) : 9;
    contexts[0] = driver_start(config, NULL);
    if (soft_context_current(&inner[0]) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&contexts[1], 1) != CUDA_SUCCESS ||
        soft_context_of(contexts[1], &inner[1]) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
