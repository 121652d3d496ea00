/* SPDX-License-Identifier: Apache-2.0
 * topology/nvml_meter.c - what changes all the time (machine.h): load, memory, clocks and power of
 * GPUs by NVML, and the counters of HCA ports that sysroot.c reads.
 *
 * NVML measures load between two looks, so it stays loaded. What a GPU or an older driver does not
 * tell is not known, which is no error; only a driver that is gone is one.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "cuda-common/nvml.h"
#include "topology/machine.h"
#include "topology/machine_int.h"

struct library {
    nvmlReturn_t (*init)(void);
    nvmlReturn_t (*shutdown)(void);
    const char *(*error_text)(nvmlReturn_t result);
    nvmlReturn_t (*count)(unsigned *count);
    nvmlReturn_t (*handle)(unsigned index, nvmlDevice_t *device);
    nvmlReturn_t (*uuid)(nvmlDevice_t device, char *uuid, unsigned size_bytes);
    nvmlReturn_t (*memory)(nvmlDevice_t device, nvmlMemory_t *memory);
    nvmlReturn_t (*load)(nvmlDevice_t device, nvmlUtilization_t *load);
    nvmlReturn_t (*clock)(nvmlDevice_t device, int type, unsigned *mhz);
    nvmlReturn_t (*slowed_by)(nvmlDevice_t device, unsigned long long *reasons);
    nvmlReturn_t (*temperature)(nvmlDevice_t device, int sensor, unsigned *celsius);
    nvmlReturn_t (*power)(nvmlDevice_t device, unsigned *milliwatts);
    nvmlReturn_t (*energy)(nvmlDevice_t device, unsigned long long *millijoules);
};

static const struct topo_function functions[] = {
    {"nvmlInit_v2", offsetof(struct library, init), false},
    {"nvmlShutdown", offsetof(struct library, shutdown), false},
    {"nvmlErrorString", offsetof(struct library, error_text), false},
    {"nvmlDeviceGetCount_v2", offsetof(struct library, count), false},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct library, handle), false},
    {"nvmlDeviceGetUUID", offsetof(struct library, uuid), false},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct library, memory), false},
    {"nvmlDeviceGetUtilizationRates", offsetof(struct library, load), true},
    {"nvmlDeviceGetClockInfo", offsetof(struct library, clock), true},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", offsetof(struct library, slowed_by), true},
    {"nvmlDeviceGetTemperature", offsetof(struct library, temperature), true},
    {"nvmlDeviceGetPowerUsage", offsetof(struct library, power), true},
    {"nvmlDeviceGetTotalEnergyConsumption", offsetof(struct library, energy), true},
};

struct topo_meter {
    char *sysroot;
    void *library; /* NULL: none, or without a driver */
    struct library nvml;
};

static enum fab_status open_nvml(struct topo_meter *meter, const char *path, struct fab_err *err)
{
    enum fab_status status = topo_nvml_load(path, functions, FAB_ARRAY_LEN(functions), &meter->nvml,
                                            &meter->library, err);
    nvmlReturn_t result;

    if (status == FAB_ERR_NOT_FOUND)
        return FAB_OK;
    if (status != FAB_OK)
        return status;
    result = meter->nvml.init();
    if (result == NVML_SUCCESS)
        return FAB_OK;
    if (result != NVML_ERROR_DRIVER_NOT_LOADED)
        status = fab_err_foreign(err, FAB_ERR_DEVICE, "nvml", (int)result, "NVML: %s",
                                 meter->nvml.error_text(result));
    (void)dlclose(meter->library);
    meter->library = NULL;
    return status;
}

enum fab_status topo_meter_open(const char *nvml, const char *sysroot,
                                struct topo_meter **meter_out, struct fab_err *err)
{
    struct topo_meter *meter = fab_alloc_zeroed(1, sizeof(*meter));
    enum fab_status status = FAB_OK;

    if (meter)
        meter->sysroot = fab_alloc_text(sysroot ? sysroot : "");
    if (!meter || !meter->sysroot)
        status = fab_err_set(err, FAB_ERR_NOMEM, "a meter");
    else if (nvml)
        status = open_nvml(meter, nvml, err);
    if (status != FAB_OK) {
        topo_meter_close(meter);
        return status;
    }
    *meter_out = meter;
    return FAB_OK;
}

void topo_meter_close(struct topo_meter *meter)
{
    if (!meter)
        return;
    if (meter->library) {
        (void)meter->nvml.shutdown();
        (void)dlclose(meter->library);
    }
    free(meter->sysroot);
    free(meter);
}

/* Each one by itself: a GPU need not have all of them. */
static void read_gpu(const struct library *nvml, nvmlDevice_t device, struct topo_gpu_gauge *gauge)
{
    nvmlUtilization_t load = {0};
    nvmlMemory_t memory = {0};
    unsigned long long wide = 0;
    unsigned value = 0;

    if (nvml->memory(device, &memory) == NVML_SUCCESS)
        gauge->used_bytes = memory.used;
    if (nvml->load && nvml->load(device, &load) == NVML_SUCCESS)
        gauge->load = load.gpu;
    if (nvml->clock && nvml->clock(device, NVML_CLOCK_SM, &value) == NVML_SUCCESS)
        gauge->sm_mhz = value;
    if (nvml->temperature &&
        nvml->temperature(device, NVML_TEMPERATURE_GPU, &value) == NVML_SUCCESS)
        gauge->celsius = value;
    if (nvml->power && nvml->power(device, &value) == NVML_SUCCESS)
        gauge->power_mw = value;
    if (nvml->energy && nvml->energy(device, &wide) == NVML_SUCCESS)
        gauge->energy_mj = wide;
    if (nvml->slowed_by && nvml->slowed_by(device, &wide) == NVML_SUCCESS)
        gauge->slowed_by = wide;
}

static enum fab_status read_gpus(const struct library *nvml, struct topo_gauges *gauges,
                                 struct fab_err *err)
{
    unsigned count = 0;
    const nvmlReturn_t result = nvml->count(&count);

    if (result != NVML_SUCCESS)
        return fab_err_foreign(err, FAB_ERR_DEVICE, "nvml", (int)result, "counting GPUs: %s",
                               nvml->error_text(result));
    for (unsigned i = 0; i < count && gauges->gpu_count < TOPO_GPU_MAX; i++) {
        struct topo_gpu_gauge *gauge = &gauges->gpus[gauges->gpu_count];
        char uuid[96] = "";
        nvmlDevice_t device;

        if (nvml->handle(i, &device) != NVML_SUCCESS ||
            nvml->uuid(device, uuid, sizeof(uuid)) != NVML_SUCCESS)
            continue; /* it is lost, which the discovery says */
        *gauge = (struct topo_gpu_gauge){.load = UINT32_MAX,
                                         .sm_mhz = UINT32_MAX,
                                         .celsius = UINT32_MAX,
                                         .power_mw = UINT32_MAX,
                                         .used_bytes = UINT64_MAX,
                                         .energy_mj = UINT64_MAX,
                                         .slowed_by = UINT64_MAX};
        topo_text_copy(gauge->uuid, sizeof(gauge->uuid), uuid);
        read_gpu(nvml, device, gauge);
        gauges->gpu_count++;
    }
    return FAB_OK;
}

enum fab_status topo_meter_read(const struct topo_meter *meter, struct topo_gauges *gauges_out,
                                struct fab_err *err)
{
    struct topo_gauges *gauges = fab_alloc_zeroed(1, sizeof(*gauges));
    enum fab_status status = FAB_OK;

    if (!gauges)
        return fab_err_set(err, FAB_ERR_NOMEM, "gauges");
    if (meter->library)
        status = read_gpus(&meter->nvml, gauges, err);
    topo_sysroot_read_ports(meter->sysroot, gauges);
    if (status == FAB_OK)
        *gauges_out = *gauges;
    free(gauges);
    return status;
}
