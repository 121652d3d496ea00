/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/nvml: the exported functions on devices of a device file.
 */
#include "tests/support/check.h"

#include <time.h>

#include "cuda-common/nvml.h"
#include "softcuda/devices/device_model.h"
#include "softcuda/devices/state.h"
#include "tests/unit/driver/support.h"

/* In the order of bus ids: "second" (place 1), "first" (place 0), "third" (place 2). */
static const char config[] =
    "peers = \"links\";\n"
    "links = ( { a = 0; b = 1; nvlinks = 2; }, { a = 0; b = 2; } );\n"
    "devices = ( { name = \"first\"; pci_bus_id = \"0000:3b:00.0\"; numa_node = 0; },\n"
    "            { name = \"second\"; pci_bus_id = \"0000:1a:00.0\"; numa_node = 0;\n"
    "              memory = \"100MiB\"; power_idle = 20; power_max = 120;\n"
    "              uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\"; },\n"
    "            { name = \"third\"; pci_bus_id = \"0000:86:00.0\"; numa_node = 1;\n"
    "              compute = \"7.5\"; } );\n";

static nvmlDevice_t device[3];
static struct device_models models;

static struct state_account *open_account(uint32_t place)
{
    struct state_account *account = NULL;

    CHECK_EQ(state_account_open(support_dir, &models.device[place], &account, NULL), FAB_OK);
    return account;
}

static void test_initialisation(void)
{
    unsigned count = 7;

    CHECK_EQ(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    CHECK_EQ(count, 3);
    CHECK_EQ(nvmlInit_v2(), NVML_SUCCESS);
    CHECK_EQ(nvmlShutdown(), NVML_SUCCESS);
    CHECK_EQ(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS); /* one user is left */
    CHECK_EQ(nvmlShutdown(), NVML_SUCCESS);
    CHECK_EQ(nvmlDeviceGetCount_v2(&count), NVML_ERROR_UNINITIALIZED);
    CHECK_EQ(nvmlDeviceGetIndex(device[0], &count), NVML_ERROR_UNINITIALIZED);
    CHECK_EQ(nvmlShutdown(), NVML_ERROR_UNINITIALIZED);
    CHECK_EQ(nvmlInitWithFlags(4), NVML_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(nvmlInitWithFlags(1), NVML_SUCCESS);
    CHECK_STR(nvmlErrorString((nvmlReturn_t)12345), "Unknown error");
    CHECK(strcmp(nvmlErrorString(NVML_ERROR_NOT_FOUND), "Unknown error") != 0);
}

static void test_identity(void)
{
    static const char *const names[] = {"second", "first", "third"};
    char text[96] = "";
    nvmlPciInfo_t pci;
    nvmlPciInfoLegacy_t legacy;
    nvmlDevice_t found;
    unsigned index = 7;
    int major = 0, minor = 0;

    for (unsigned i = 0; i < 3; i++) {
        CHECK_CASE("device %u", i);
        CHECK_EQ(nvmlDeviceGetName(device[i], text, sizeof(text)), NVML_SUCCESS);
        CHECK_STR(text, names[i]);
        CHECK_EQ(nvmlDeviceGetIndex(device[i], &index), NVML_SUCCESS);
        CHECK_EQ(index, i);
    }
    CHECK_EQ(nvmlDeviceGetName(device[0], text, 6), NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK_EQ(nvmlDeviceGetName(device[0], NULL, 6), NVML_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(nvmlDeviceGetName((nvmlDevice_t)&found, text, 6), NVML_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(nvmlDeviceGetHandleByIndex_v2(3, &found), NVML_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(nvmlDeviceGetUUID(device[0], text, sizeof(text)), NVML_SUCCESS);
    CHECK_STR(text, "GPU-00112233-4455-6677-8899-aabbccddeeff");
    CHECK_EQ(nvmlDeviceGetHandleByUUID(text, &found), NVML_SUCCESS);
    CHECK_EQ(found, device[0]);
    CHECK_EQ(nvmlDeviceGetHandleByUUID("GPU-00112233", &found), NVML_ERROR_NOT_FOUND);
    CHECK_EQ(nvmlDeviceGetPciInfo_v3(device[1], &pci), NVML_SUCCESS);
    CHECK_STR(pci.busId, "00000000:3B:00.0");
    CHECK_STR(pci.busIdLegacy, "0000:3B:00.0");
    CHECK_EQ(pci.bus, 0x3b);
    CHECK_EQ(nvmlDeviceGetPciInfo(device[1], &legacy), NVML_SUCCESS);
    CHECK_STR(legacy.busId, "0000:3B:00.0");
    CHECK_EQ(nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &found), NVML_SUCCESS);
    CHECK_EQ(found, device[1]);
    CHECK_EQ(nvmlDeviceGetHandleByPciBusId_v2("0000:3c:00.0", &found), NVML_ERROR_NOT_FOUND);
    CHECK_EQ(nvmlDeviceGetCudaComputeCapability(device[2], &major, &minor), NVML_SUCCESS);
    CHECK_EQ(major * 10 + minor, 75);
    CHECK_EQ(nvmlDeviceGetArchitecture(device[2], &index), NVML_SUCCESS);
    CHECK_EQ(index, NVML_ARCH_TURING);
    CHECK_EQ(nvmlDeviceGetSerial(device[0], text, sizeof(text)), NVML_ERROR_NOT_SUPPORTED);
    CHECK_EQ(nvmlDeviceGetSerial(NULL, text, sizeof(text)), NVML_ERROR_INVALID_ARGUMENT);
}

static void test_memory(void)
{
    const unsigned long long total = 100ull << 20;
    struct state_account *account = open_account(1);
    nvmlMemory_t memory;
    nvmlMemory_v2_t memory_v2 = {.version = nvmlMemory_v2};

    CHECK_EQ(nvmlMemory_v2, 0x02000028);
    CHECK_EQ(nvmlDeviceGetMemoryInfo(device[0], &memory), NVML_SUCCESS);
    CHECK_EQ(memory.total, total);
    CHECK_EQ(memory.used, 0);
    CHECK(state_account_charge(account, 1 << 20));
    CHECK_EQ(nvmlDeviceGetMemoryInfo(device[0], &memory), NVML_SUCCESS);
    CHECK_EQ(memory.used, 1 << 20);
    CHECK_EQ(memory.free, total - (1 << 20));
    CHECK_EQ(nvmlDeviceGetMemoryInfo_v2(device[0], &memory_v2), NVML_SUCCESS);
    CHECK_EQ(memory_v2.used, 1 << 20);
    memory_v2.version = 1;
    CHECK_EQ(nvmlDeviceGetMemoryInfo_v2(device[0], &memory_v2),
             NVML_ERROR_ARGUMENT_VERSION_MISMATCH);

    CHECK_CASE("processes");
    nvmlProcessInfo_t infos[4];
    unsigned count = 4;

    CHECK_EQ(nvmlDeviceGetComputeRunningProcesses_v3(device[0], &count, infos), NVML_SUCCESS);
    CHECK_EQ(count, 1);
    CHECK_EQ(infos[0].pid, getpid());
    CHECK_EQ(infos[0].usedGpuMemory, 1 << 20);
    count = 0;
    CHECK_EQ(nvmlDeviceGetComputeRunningProcesses_v3(device[0], &count, NULL),
             NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK_EQ(count, 1);
    count = 4;
    CHECK_EQ(nvmlDeviceGetComputeRunningProcesses_v3(device[1], &count, infos), NVML_SUCCESS);
    CHECK_EQ(count, 0);
    state_account_close(account);
    count = 4;
    CHECK_EQ(nvmlDeviceGetComputeRunningProcesses_v3(device[0], &count, infos), NVML_SUCCESS);
    CHECK_EQ(count, 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The library measures over 100 ms at least: asks until it has measured anew. */
static void test_busy(void)
{
    const uint64_t deadline_ns = now_ns() + 10000000000u;
    struct state_account *account = open_account(1);
    nvmlUtilization_t utilization = {0, 0};
    unsigned idle_mw = 0, busy_mw = 0, celsius = 0;
    unsigned long long before = 0, after = 0;

    CHECK_EQ(nvmlDeviceGetPowerUsage(device[0], &idle_mw), NVML_SUCCESS);
    CHECK_EQ(idle_mw, 20000);
    CHECK_EQ(nvmlDeviceGetTotalEnergyConsumption(device[0], &before), NVML_SUCCESS);
    while (utilization.gpu == 0 && now_ns() < deadline_ns) {
        state_account_busy(account, 1000000000); /* more than the time that passes */
        CHECK_EQ(nvmlDeviceGetUtilizationRates(device[0], &utilization), NVML_SUCCESS);
    }
    CHECK_EQ(utilization.gpu, 100);
    CHECK_EQ(nvmlDeviceGetPowerUsage(device[0], &busy_mw), NVML_SUCCESS);
    CHECK_EQ(busy_mw, 120000);
    CHECK_EQ(nvmlDeviceGetTotalEnergyConsumption(device[0], &after), NVML_SUCCESS);
    CHECK(after >= before + 100000); /* a second at 100 W above idle */
    CHECK_EQ(nvmlDeviceGetTemperature(device[0], NVML_TEMPERATURE_GPU, &celsius), NVML_SUCCESS);
    CHECK(celsius > 70);
    CHECK_EQ(nvmlDeviceGetTemperature(device[1], NVML_TEMPERATURE_GPU, &celsius), NVML_SUCCESS);
    CHECK(celsius < 40);
    state_account_close(account);
}

static void test_fields(void)
{
    nvmlFieldValue_t values[4] = {{.fieldId = NVML_FI_DEV_NVLINK_LINK_COUNT},
                                  {.fieldId = NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION},
                                  {.fieldId = NVML_FI_DEV_POWER_INSTANT},
                                  {.fieldId = 1}};

    CHECK_EQ(nvmlDeviceGetFieldValues(device[1], 4, values), NVML_SUCCESS);
    CHECK_EQ(values[0].nvmlReturn, NVML_SUCCESS);
    CHECK_EQ(values[0].value.uiVal, 2);
    CHECK_EQ(values[1].nvmlReturn, NVML_SUCCESS);
    CHECK(values[1].value.ullVal > 0);
    CHECK_EQ(values[2].value.uiVal, 15000);
    CHECK_EQ(values[3].nvmlReturn, NVML_ERROR_NOT_SUPPORTED);
    CHECK_EQ(nvmlDeviceGetFieldValues(device[1], -1, values), NVML_ERROR_INVALID_ARGUMENT);
}

static void test_links(void)
{
    static const struct {
        unsigned one, two;
        int level, read, nvlink;
    } cases[] = {
        {0, 0, NVML_TOPOLOGY_INTERNAL, NVML_P2P_STATUS_NOT_SUPPORTED,
         NVML_P2P_STATUS_NOT_SUPPORTED},
        {0, 1, NVML_TOPOLOGY_HOSTBRIDGE, NVML_P2P_STATUS_OK, NVML_P2P_STATUS_OK},
        {1, 2, NVML_TOPOLOGY_SYSTEM, NVML_P2P_STATUS_OK, NVML_P2P_STATUS_NOT_SUPPORTED},
        {0, 2, NVML_TOPOLOGY_SYSTEM, NVML_P2P_STATUS_NOT_SUPPORTED, NVML_P2P_STATUS_NOT_SUPPORTED},
    };
    nvmlDevice_t near[3];
    nvmlPciInfo_t pci;
    nvmlPciInfoLegacy_t legacy;
    unsigned long cpus[16];
    unsigned count = 3, answer = 7;
    int active = 7;

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        int level = 7, status = 7;

        CHECK_CASE("devices %u and %u", cases[i].one, cases[i].two);
        CHECK_EQ(
            nvmlDeviceGetTopologyCommonAncestor(device[cases[i].one], device[cases[i].two], &level),
            NVML_SUCCESS);
        CHECK_EQ(level, cases[i].level);
        CHECK_EQ(nvmlDeviceGetP2PStatus(device[cases[i].one], device[cases[i].two],
                                        NVML_P2P_CAPS_INDEX_READ, &status),
                 NVML_SUCCESS);
        CHECK_EQ(status, cases[i].read);
        CHECK_EQ(nvmlDeviceGetP2PStatus(device[cases[i].two], device[cases[i].one],
                                        NVML_P2P_CAPS_INDEX_NVLINK, &status),
                 NVML_SUCCESS);
        CHECK_EQ(status, cases[i].nvlink);
    }
    CHECK_CASE("links");
    CHECK_EQ(nvmlDeviceGetNvLinkState(device[1], 1, &active), NVML_SUCCESS);
    CHECK_EQ(active, NVML_FEATURE_ENABLED);
    CHECK_EQ(nvmlDeviceGetNvLinkState(device[1], 2, &active), NVML_SUCCESS);
    CHECK_EQ(active, NVML_FEATURE_DISABLED);
    CHECK_EQ(nvmlDeviceGetNvLinkState(device[1], 18, &active), NVML_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(nvmlDeviceGetNvLinkState(device[2], 0, &active), NVML_ERROR_NOT_SUPPORTED);
    CHECK_EQ(nvmlDeviceGetNvLinkRemotePciInfo_v2(device[1], 0, &pci), NVML_SUCCESS);
    CHECK_STR(pci.busId, "00000000:1A:00.0");
    CHECK_EQ(nvmlDeviceGetNvLinkRemotePciInfo(device[1], 1, &legacy), NVML_SUCCESS);
    CHECK_STR(legacy.busId, "0000:1A:00.0");
    CHECK_EQ(nvmlDeviceGetNvLinkRemotePciInfo(device[1], 2, &legacy), NVML_ERROR_NOT_SUPPORTED);
    CHECK_EQ(nvmlDeviceGetNvLinkCapability(device[1], 0, NVML_NVLINK_CAP_P2P_SUPPORTED, &answer),
             NVML_SUCCESS);
    CHECK_EQ(answer, 1);
    CHECK_EQ(nvmlDeviceGetTopologyNearestGpus(device[0], NVML_TOPOLOGY_SYSTEM, &count, near),
             NVML_SUCCESS);
    CHECK_EQ(count, 1);
    CHECK_EQ(near[0], device[2]);
    CHECK_EQ(nvmlDeviceGetCpuAffinity(device[0], FAB_ARRAY_LEN(cpus), cpus), NVML_SUCCESS);
    CHECK(cpus[0] != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_identity), CHECK_TEST(test_memory), CHECK_TEST(test_busy),
        CHECK_TEST(test_fields),   CHECK_TEST(test_links),  CHECK_TEST(test_initialisation),
    };

    support_devices(config, NULL);
    (void)setenv("CUDA_VISIBLE_DEVICES", "0", 1); /* of no interest to NVML */
    if (device_models_read(getenv("SOFTCUDA_CONFIG"), &models, NULL) != FAB_OK ||
        nvmlInit_v2() != NVML_SUCCESS)
        return 1;
    for (unsigned i = 0; i < 3; i++) {
        if (nvmlDeviceGetHandleByIndex_v2(i, &device[i]) != NVML_SUCCESS)
            return 1;
    }
    return check_run(tests);
}
