/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/host.c, managed*.c and pointer.c: memory that the host sees, advice,
 * pointer attributes.
 */
#include "tests/unit/driver/driver.h"

#include <sys/mman.h>

#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/va.h"
#include "softcuda/warp/warp_int.h"

#define MIB DRIVER_MIB

static CUcontext contexts[2];
static struct soft_context *inner;

static void test_pinned(void)
{
    CUdeviceptr on_device = 0;
    unsigned flags = 7;
    void *first = NULL, *second = NULL, *none = &flags;
    struct warp_range range;

    CHECK_EQ(soft_cuMemHostAlloc(&first, 5000, CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS);
    CHECK_EQ((uintptr_t)first, va_base(VA_PINNED, 0));
    CHECK_EQ(soft_cuMemAllocHost_v2(&second, 1), CUDA_SUCCESS);
    CHECK_EQ((uintptr_t)second, va_base(VA_PINNED, 0) + 8192);
    memset(first, 1, 5000);
    CHECK_EQ(soft_cuMemHostGetFlags(&flags, (char *)first + 100), CUDA_SUCCESS);
    CHECK_EQ(flags, CU_MEMHOSTALLOC_PORTABLE);
    CHECK_EQ(soft_cuMemHostGetDevicePointer_v2(&on_device, (char *)first + 100, 0), CUDA_SUCCESS);
    CHECK_EQ(on_device, (uintptr_t)first + 100);
    CHECK_EQ(soft_cuMemHostGetDevicePointer_v2(&on_device, first, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(soft_mem_find_range(inner, on_device, &range) && range.can_write);
    CHECK_CASE("wrong calls");
    CHECK_EQ(soft_cuMemHostAlloc(&none, 0, 0), CUDA_SUCCESS);
    CHECK(none == NULL);
    CHECK_EQ(soft_cuMemHostAlloc(&first, 1, 8), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostAlloc(NULL, 1, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostAlloc(&first, SIZE_MAX, 0), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemHostAlloc(&first, (size_t)1 << 46, 0), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(soft_cuMemFreeHost((char *)first + 8), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemFreeHost(&flags), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostUnregister(first), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    CHECK_EQ(soft_cuMemFreeHost(first), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeHost(first), CUDA_ERROR_INVALID_VALUE);
    CHECK(!soft_mem_find_range(inner, on_device, &range));
    CHECK_EQ(soft_cuMemFreeHost(second), CUDA_SUCCESS);
}

enum { HOLE_BYTES = 3 * 4096 };

static void test_registered(void)
{
    static char text[10000];
    CUdeviceptr on_device = 0;
    struct warp_range range;
    char *hole = mmap(NULL, HOLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(!soft_mem_find_range(inner, (uintptr_t)text, &range));
    CHECK_EQ(soft_cuMemHostRegister_v2(text, 5000, CU_MEMHOSTREGISTER_DEVICEMAP), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner, (uintptr_t)text + 4999, &range) && range.can_write);
    CHECK_EQ(range.hi, (uintptr_t)text + 5000);
    CHECK_EQ(soft_cuMemHostGetDevicePointer_v2(&on_device, text + 5, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_check(inner, on_device, 4995, true), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemHostRegister_v2(text + 4999, 10, 0),
             CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    CHECK_CASE("read only");
    CHECK_EQ(soft_cuMemHostRegister_v2(text + 5000, 10, CU_MEMHOSTREGISTER_READ_ONLY),
             CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner, (uintptr_t)text + 5000, &range) && !range.can_write);
    CHECK_EQ(range.lo, (uintptr_t)text + 5000);
    CHECK_EQ(soft_mem_check(inner, (uintptr_t)text, 5010, false), CUDA_SUCCESS);
    CHECK_EQ(soft_mem_check(inner, (uintptr_t)text, 5010, true), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostUnregister(text + 5000), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemHostUnregister(text + 1), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    CHECK_EQ(soft_cuMemFreeHost(text), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostUnregister(text), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemHostUnregister(text), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    CHECK_CASE("wrong calls");
    CHECK_EQ(soft_cuMemHostRegister_v2(NULL, 5, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostRegister_v2(text, 0, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostRegister_v2(text, 5, 64), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemHostRegister_v2(text, 5, CU_MEMHOSTREGISTER_IOMEMORY),
             CUDA_ERROR_NOT_SUPPORTED);
    CHECK(hole != MAP_FAILED && munmap(hole + 4096, 4096) == 0);
    CHECK_EQ(soft_cuMemHostRegister_v2(hole, HOLE_BYTES, 0), CUDA_ERROR_INVALID_VALUE);
    (void)munmap(hole, HOLE_BYTES);
}

/* ---- managed memory
 * --------------------------------------------------------------------------------- */

static int32_t range_attribute(CUdeviceptr address, size_t bytes, CUmem_range_attribute attribute)
{
    int32_t value = 77;

    CHECK_EQ(soft_cuMemRangeGetAttribute(&value, sizeof(value), attribute, address, bytes),
             CUDA_SUCCESS);
    return value;
}

static void test_advice(void)
{
    CUmemLocation device_1 = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1};
    CUmemLocation numa = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 3};
    CUdeviceptr address, next;
    struct warp_range range;
    int32_t list[4];

    CHECK_EQ(soft_cuMemAllocManaged(&address, 3 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK_EQ(address, va_base(VA_MANAGED, 0));
    memset(driver_pointer(address), 1, 3 * MIB);
    CHECK_CASE("neighbours are one range for kernels");
    CHECK_EQ(soft_cuMemAllocManaged(&next, 2 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK(soft_mem_find_range(inner, address, &range));
    CHECK_EQ(range.hi, next + 2 * MIB);
    CHECK_EQ(soft_cuMemFree_v2(next), CUDA_SUCCESS);
    CHECK_CASE("nothing is known at first");
    CHECK_EQ(range_attribute(address, 3 * MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 0);
    CHECK_EQ(range_attribute(address, 3 * MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION),
             CU_DEVICE_INVALID);
    CHECK_EQ(range_attribute(address, 3 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION),
             CU_DEVICE_INVALID);
    CHECK_EQ(range_attribute(address, 1, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE),
             CU_MEM_LOCATION_TYPE_INVALID);

    CHECK_CASE("advice for the middle");
    CHECK_EQ(soft_cuMemAdvise(address + MIB, MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, CU_DEVICE_CPU),
             CUDA_SUCCESS);
    CHECK_EQ(
        soft_cuMemAdvise_v2(address + MIB, MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, device_1),
        CUDA_SUCCESS);
    CHECK_EQ(range_attribute(address + MIB, MIB, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 1);
    CHECK_EQ(range_attribute(address + MIB - 1, 2, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY), 0);
    CHECK_EQ(range_attribute(address + MIB, MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION), 1);
    CHECK_EQ(range_attribute(address, 3 * MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION),
             CU_DEVICE_INVALID);
    CHECK_EQ(soft_cuMemAdvise_v2(address, MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, numa),
             CUDA_SUCCESS);
    CHECK_EQ(range_attribute(address, MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION),
             CU_DEVICE_CPU);
    CHECK_EQ(range_attribute(address, MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE),
             CU_MEM_LOCATION_TYPE_HOST_NUMA);
    CHECK_EQ(range_attribute(address, MIB, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID), 3);

    CHECK_CASE("accessed by");
    CHECK_EQ(soft_cuMemAdvise(address, 3 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAdvise(address, MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, CU_DEVICE_CPU),
             CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemRangeGetAttribute(list, sizeof(list), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY,
                                         address, MIB),
             CUDA_SUCCESS);
    CHECK_MEM(list, ((int32_t[]){1, CU_DEVICE_CPU, CU_DEVICE_INVALID, CU_DEVICE_INVALID}),
              sizeof(list));
    CHECK_EQ(soft_cuMemRangeGetAttribute(list, sizeof(list), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY,
                                         address, 2 * MIB),
             CUDA_SUCCESS);
    CHECK_EQ(list[1], CU_DEVICE_INVALID);
    CHECK_EQ(soft_cuMemAdvise(address, 3 * MIB, CU_MEM_ADVISE_UNSET_ACCESSED_BY, 1), CUDA_SUCCESS);

    CHECK_CASE("prefetch");
    CHECK_EQ(soft_cuMemPrefetchAsync(address, 3 * MIB, 0, NULL), CUDA_SUCCESS);
    CHECK_EQ(range_attribute(address, 3 * MIB, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 0);
    CHECK_EQ(soft_cuMemPrefetchAsync_v2(address, 1, numa, 0, NULL), CUDA_SUCCESS);
    CHECK_EQ(range_attribute(address, 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID), 3);
    CHECK_EQ(range_attribute(address + 4096, 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 0);

    CHECK_CASE("wrong calls");
    CHECK_EQ(soft_cuMemAdvise(address, 3 * MIB + 70000, CU_MEM_ADVISE_SET_READ_MOSTLY, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAdvise(address, 0, CU_MEM_ADVISE_SET_READ_MOSTLY, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAdvise(address, 1, CU_MEM_ADVISE_SET_ACCESSED_BY, 2),
             CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuMemAdvise_v2(address, 1, CU_MEM_ADVISE_SET_ACCESSED_BY, numa),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemPrefetchAsync_v2(address, 1, numa, 1, NULL), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemPrefetchAsync(address, 1, 5, NULL), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuMemRangeGetAttribute(list, 8, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 1),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAdvise(address, 1, CU_MEM_ADVISE_SET_READ_MOSTLY, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAllocManaged(&address, 1, CU_MEM_ATTACH_SINGLE), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemAllocManaged(&address, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
}

static void test_batches(void)
{
    CUmemLocation places[2] = {{.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
                               {.type = CU_MEM_LOCATION_TYPE_HOST}};
    CUdeviceptr address, ranges[3];
    size_t sizes[3] = {4096, 4096, 4096}, starts[2] = {0, 2};

    CHECK_EQ(soft_cuMemAllocManaged(&address, MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    for (uint64_t i = 0; i < 3; i++)
        ranges[i] = address + i * 8192;
    CHECK_EQ(soft_cuMemPrefetchBatchAsync(ranges, sizes, 3, places, starts, 2, 0, NULL),
             CUDA_SUCCESS);
    for (int i = 0; i < 3; i++) {
        CHECK_CASE("range %d", i);
        CHECK_EQ(range_attribute(ranges[i], 4096, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION),
                 i < 2 ? 1 : CU_DEVICE_CPU);
    }
    CHECK_EQ(range_attribute(address + 4096, 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION),
             CU_DEVICE_INVALID);
    CHECK_EQ(soft_cuMemDiscardBatchAsync(ranges, sizes, 1, 0, NULL), CUDA_SUCCESS);
    CHECK_EQ(range_attribute(address, 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION),
             CU_DEVICE_INVALID);
    CHECK_EQ(soft_cuMemDiscardAndPrefetchBatchAsync(ranges, sizes, 3, places, starts, 1, 0, NULL),
             CUDA_SUCCESS);
    CHECK_EQ(range_attribute(ranges[2], 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 1);
    CHECK_CASE("wrong batches change nothing");
    starts[0] = 1;
    CHECK_EQ(soft_cuMemPrefetchBatchAsync(ranges, sizes, 3, places, starts, 2, 0, NULL),
             CUDA_ERROR_INVALID_VALUE);
    starts[0] = 0;
    starts[1] = 3;
    CHECK_EQ(soft_cuMemPrefetchBatchAsync(ranges, sizes, 3, places, starts, 2, 0, NULL),
             CUDA_ERROR_INVALID_VALUE);
    starts[1] = 1;
    ranges[2] = address + 2 * MIB;
    CHECK_EQ(soft_cuMemPrefetchBatchAsync(ranges, sizes, 3, places, starts, 2, 0, NULL),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(range_attribute(ranges[1], 1, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION), 1);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void test_attach(void)
{
    CUdeviceptr address;
    CUstream stream;

    CHECK_EQ(soft_cuStreamCreate(&stream, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocManaged(&address, 100, CU_MEM_ATTACH_HOST), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamAttachMemAsync(stream, address, 0, CU_MEM_ATTACH_SINGLE), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamAttachMemAsync(stream, address, 100, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamAttachMemAsync(stream, address, 50, CU_MEM_ATTACH_GLOBAL),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuStreamAttachMemAsync(NULL, address, 0, CU_MEM_ATTACH_SINGLE),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuStreamAttachMemAsync(stream, address + 8, 0, CU_MEM_ATTACH_SINGLE),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuStreamAttachMemAsync(stream, address, 0, 8), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuStreamDestroy_v2(stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(address), CUDA_SUCCESS);
}

/* ---- pointer attributes
 * -------------------------------------------------------------------------------- */

enum { NONE = -99 }; /* CUDA_ERROR_INVALID_VALUE is expected */

static int64_t ask(CUpointer_attribute attribute, CUdeviceptr address)
{
    uint64_t value = 0;

    if (soft_cuPointerGetAttribute(&value, attribute, address) != CUDA_SUCCESS)
        return NONE;
    return (int64_t)value;
}

static void inside(CUdeviceptr device, CUdeviceptr managed, CUdeviceptr pooled,
                   CUdeviceptr reserved, CUdeviceptr other)
{
    CHECK_CASE("inside");
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, device + 999), device);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, device + 999), device + 999);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_CONTEXT, device), (uintptr_t)contexts[0]);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_CONTEXT, other), (uintptr_t)contexts[1]);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_MAPPED, reserved), 0);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_MAPPED, device), 1);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_MAPPING_SIZE, device), 2 * MIB);
    CHECK(ask(CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, pooled) != 0);
    CHECK(ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, device) !=
          ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, managed));
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device), 0);
    CHECK_EQ(soft_cuPointerSetAttribute(&(unsigned){1}, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device),
             CUDA_SUCCESS);
    CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device), 1);
    CHECK_EQ(soft_cuPointerSetAttribute(&(unsigned){1}, CU_POINTER_ATTRIBUTE_MAPPED, device),
             CUDA_ERROR_INVALID_VALUE);
}

static void several(CUdeviceptr device)
{
    CHECK_CASE("several at once, of nothing");
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                        CU_POINTER_ATTRIBUTE_CONTEXT};
    unsigned type = 7;
    int ordinal = 7;
    CUcontext context = contexts[0];
    void *data[] = {&type, &ordinal, &context};

    CHECK_EQ(soft_cuPointerGetAttributes(3, attributes, data, (uintptr_t)&type), CUDA_SUCCESS);
    CHECK_EQ(type, 0);
    CHECK_EQ(ordinal, CU_DEVICE_INVALID);
    CHECK_EQ(context, NULL);
    CHECK_EQ(soft_cuPointerGetAttributes(3, attributes, data, device), CUDA_SUCCESS);
    CHECK_EQ(type, CU_MEMORYTYPE_DEVICE);
    CHECK_EQ(ordinal, 0);
    CHECK_EQ(context, contexts[0]);
    CHECK_EQ(soft_cuPointerGetAttributes(0, attributes, data, device), CUDA_ERROR_INVALID_VALUE);
}

static void test_pointers(void)
{
    static char text[64];
    CUdeviceptr device, managed, pooled, reserved, other;
    void *pinned;

    CHECK_EQ(soft_cuMemAlloc_v2(&device, 1000), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocManaged(&managed, 1000, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocHost_v2(&pinned, 1000), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemHostRegister_v2(text, sizeof(text), 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAllocAsync(&pooled, 1000, NULL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAddressReserve(&reserved, 2 * MIB, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[1]), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&other, 1000), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(contexts[0]), CUDA_SUCCESS);

    const struct {
        const char *label;
        CUdeviceptr address;
        int64_t type, host, is_managed, ordinal, size, access;
    } cases[] = {
        {"device", device, CU_MEMORYTYPE_DEVICE, NONE, 0, 0, 1000, 3},
        {"managed", managed, CU_MEMORYTYPE_DEVICE, (int64_t)managed, 1, 0, 1000, 3},
        {"pinned", (uintptr_t)pinned, CU_MEMORYTYPE_HOST, (int64_t)(uintptr_t)pinned, 0, 0, 1000,
         3},
        {"registered", (uintptr_t)text, CU_MEMORYTYPE_HOST, (int64_t)(uintptr_t)text, 0, 0, 64, 3},
        {"from a pool", pooled, CU_MEMORYTYPE_DEVICE, NONE, 0, 0, 1000, 3},
        {"of the other device", other, CU_MEMORYTYPE_DEVICE, NONE, 0, 1, 1000, 0},
        {"reserved only", reserved, NONE, NONE, NONE, NONE, 2 * DRIVER_MIB, NONE},
        {"nothing", 4096, NONE, NONE, NONE, NONE, NONE, NONE},
        {"the stack", (uintptr_t)&device, NONE, NONE, NONE, NONE, NONE, NONE},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CUdeviceptr address = cases[i].address;
        int64_t base = cases[i].size == NONE ? NONE : (int64_t)address;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address), cases[i].type);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_HOST_POINTER, address), cases[i].host);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_IS_MANAGED, address), cases[i].is_managed);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address), cases[i].ordinal);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_RANGE_SIZE, address), cases[i].size);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address), base);
        CHECK_EQ(ask(CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, address), cases[i].access);
        CHECK_EQ(ask((CUpointer_attribute)99, address), NONE);
    }

    inside(device, managed, pooled, reserved, other);
    several(device);
    CHECK_EQ(soft_cuMemAddressFree(reserved, 2 * MIB), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(device), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(managed), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(pooled), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFreeHost(pinned), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemHostUnregister(text), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_pinned),  CHECK_TEST(test_registered), CHECK_TEST(test_advice),
        CHECK_TEST(test_batches), CHECK_TEST(test_attach),     CHECK_TEST(test_pointers),
    };

    contexts[0] = driver_start(NULL, "2");
    if (soft_context_current(&inner) != CUDA_SUCCESS ||
        soft_cuDevicePrimaryCtxRetain(&contexts[1], 1) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
