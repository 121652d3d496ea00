/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/attr.c and device_api.c: every attribute, and the calls that describe
 * devices.
 */
#include "tests/unit/driver/driver.h"

static const char config[] =
    "devices = ( { name = \"first\"; compute = \"7.5\"; pci_bus_id = \"0002:3b:1e.0\"; sms = 20;\n"
    "              memory = \"100MiB\"; context_reserve = \"0\"; numa_node = 1;\n"
    "              sm_clock = 1700; l2 = \"6MiB\"; threads_per_sm = 1024; blocks_per_sm = 16;\n"
    "              shared_per_sm = \"64KiB\"; shared_per_block_optin = \"63KiB\"; },\n"
    "            { name = \"second\"; sms = 8; } );\n";

static int attribute(CUdevice_attribute which, CUdevice device)
{
    int value = 77777;

    CHECK_EQ(soft_cuDeviceGetAttribute(&value, which, device), CUDA_SUCCESS);
    return value;
}

static void test_all_known(void)
{
    for (int i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; i++) {
        CHECK_CASE("attribute %d", i);
        (void)attribute((CUdevice_attribute)i, 1);
    }
    CHECK_CASE("no attributes");
    int value = 7;

    CHECK_EQ(soft_cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetAttribute(&value, (CUdevice_attribute)-1, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 2),
             CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(value, 7);
}

static void test_from_the_file(void)
{
    static const struct {
        CUdevice_attribute attribute;
        int first, second;
    } cases[] = {
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 7, 8},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 5, 9},
        {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 2, 0},
        {CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 0x3b, 2},
        {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 0x1e, 0},
        {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 20, 8},
        {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1700000, 1500000},
        {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 6 << 20, 4 << 20},
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 1024, 1536},
        {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 16, 24},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10, 48 << 10},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 63 << 10, 99 << 10},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 64 << 10, 100 << 10},
        {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 0, 1024},
        {CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 1, -1},
        {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 32, 64},
        {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32, 32},
        {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1, 1},
        {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1, 1},
        {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 0, 0},
        {CU_DEVICE_ATTRIBUTE_NUMA_ID, -1, -1},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("attribute %d", (int)cases[i].attribute);
        CHECK_EQ(attribute(cases[i].attribute, 0), cases[i].first);
        CHECK_EQ(attribute(cases[i].attribute, 1), cases[i].second);
    }
}

static void test_identity(void)
{
    char text[32] = "old";
    CUdevice device = 7;
    CUuuid uuid[2];
    size_t bytes = 0;
    int count = 0, major = 0, minor = 0;

    CHECK_EQ(soft_cuDeviceGetCount(&count), CUDA_SUCCESS);
    CHECK_EQ(count, 2);
    CHECK_EQ(soft_cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(device, 7);
    CHECK_EQ(soft_cuDeviceGet(&device, 1), CUDA_SUCCESS);
    CHECK_EQ(device, 1);
    CHECK_EQ(soft_cuDeviceGetName(text, sizeof(text), 1), CUDA_SUCCESS);
    CHECK_STR(text, "second");
    CHECK_EQ(soft_cuDeviceGetName(text, 4, 1), CUDA_SUCCESS);
    CHECK_STR(text, "sec");
    CHECK_EQ(soft_cuDeviceGetName(text, 0, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetPCIBusId(text, sizeof(text), 0), CUDA_SUCCESS);
    CHECK_STR(text, "0002:3b:1e.0");
    CHECK_EQ(soft_cuDeviceGetByPCIBusId(&device, "2:3B:1E"), CUDA_SUCCESS);
    CHECK_EQ(device, 0);
    CHECK_EQ(soft_cuDeviceGetByPCIBusId(&device, "2:3B:1D"), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuDeviceGetByPCIBusId(&device, "bus"), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetUuid_v2(&uuid[0], 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuDeviceGetUuid_v2(&uuid[1], 1), CUDA_SUCCESS);
    CHECK(memcmp(&uuid[0], &uuid[1], sizeof(uuid[0])) != 0);
    CHECK_EQ(soft_cuDeviceTotalMem_v2(&bytes, 0), CUDA_SUCCESS);
    CHECK_EQ(bytes, 100 * DRIVER_MIB);
    CHECK_EQ(soft_cuDeviceComputeCapability(&major, &minor, 0), CUDA_SUCCESS);
    CHECK_EQ(major * 10 + minor, 75);
}

static void test_between_devices(void)
{
    CUatomicOperation operations[2] = {CU_ATOMIC_OPERATION_CAS, CU_ATOMIC_OPERATION_FLOAT_MAX};
    unsigned capabilities[2] = {7, 7};
    int value = 7;

    CHECK_EQ(soft_cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 1),
             CUDA_SUCCESS);
    CHECK_EQ(value, 1);
    CHECK_EQ(soft_cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 1),
             CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuDeviceGetP2PAttribute(&value, (CUdevice_P2PAttribute)9, 0, 1),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceGetHostAtomicCapabilities(capabilities, operations, 2, 0), CUDA_SUCCESS);
    CHECK(capabilities[0] & CU_ATOMIC_CAPABILITY_SCALAR_64);
    CHECK_EQ(capabilities[1], 0);
    operations[1] = (CUatomicOperation)50;
    CHECK_EQ(soft_cuDeviceGetP2PAtomicCapabilities(capabilities, operations, 2, 0, 1),
             CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_all_known),
        CHECK_TEST(test_from_the_file),
        CHECK_TEST(test_identity),
        CHECK_TEST(test_between_devices),
    };

    support_devices(config, NULL);
    (void)setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST", 1);
    if (soft_cuInit(0) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
