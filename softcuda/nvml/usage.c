/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/usage.c - memory from the account, time from the accounts' busy time, clocks,
 * temperature, power and energy by a model.
 *
 * The model: power is the idle figure of the device file plus, for the share of time in which
 * kernels ran, what lies between idle and full. The temperature follows the same share. Time counts
 * when a kernel ends.
 */
#include <string.h>
#include <time.h>

#include "softcuda/devices/state.h"
#include "softcuda/nvml/nvml_int.h"

enum {
    SAMPLE_NS = 100 * 1000 * 1000, /* shortest time that utilisation is measured over */
    SAMPLE_US = SAMPLE_NS / 1000,
    IDLE_CLOCK_MHZ = 210,
    CELSIUS_IDLE = 32,
    CELSIUS_FULL = 74,
    CELSIUS_SLOWDOWN = 93,
    CELSIUS_SHUTDOWN = 98,
    THROTTLE_GPU_IDLE = 1,
    THROTTLE_POWER_CAP = 1 << 2,
    THROTTLE_HARDWARE = 1 << 3,
    THROTTLE_THERMAL = 1 << 5,
    THROTTLE_HARDWARE_THERMAL = 1 << 6,
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- memory
 * ----------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    nvmlReturn_t result = nvml_check(device, memory);

    if (result != NVML_SUCCESS)
        return result;
    memory->total = device->model->memory_bytes;
    memory->used = state_account_used(device->account);
    memory->free = memory->used < memory->total ? memory->total - memory->used : 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    nvmlMemory_t info;
    nvmlReturn_t result = nvml_check(device, memory);

    if (result != NVML_SUCCESS)
        return result;
    if (memory->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    result = nvmlDeviceGetMemoryInfo(device, &info);
    if (result == NVML_SUCCESS)
        *memory = (nvmlMemory_v2_t){
            .version = nvmlMemory_v2, .total = info.total, .free = info.free, .used = info.used};
    return result;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory)
{
    nvmlReturn_t result = nvml_check(device, memory);

    if (result == NVML_SUCCESS)
        *memory = (nvmlBAR1Memory_t){.bar1Total = device->model->bar1_bytes,
                                     .bar1Free = device->model->bar1_bytes};
    return result;
}

/* ---- utilisation
 * ------------------------------------------------------------------------------------- */

uint32_t nvml_busy_percent(struct nvmlDevice_st *device)
{
    static pthread_mutex_t sample_lock = PTHREAD_MUTEX_INITIALIZER;

    (void)pthread_mutex_lock(&sample_lock);
    uint64_t now = now_ns(CLOCK_MONOTONIC);

    if (device->seen_ns == 0 || now - device->seen_ns >= SAMPLE_NS) {
        uint64_t busy = state_account_busy_ns(device->account);
        uint64_t percent = 0;

        if (device->seen_ns != 0)
            percent = (busy - device->seen_busy_ns) * 100 / (now - device->seen_ns);
        device->busy_percent = percent > 100 ? 100 : (uint32_t)percent;
        device->seen_ns = now;
        device->seen_busy_ns = busy;
    }
    uint32_t percent = device->busy_percent;

    (void)pthread_mutex_unlock(&sample_lock);
    return percent;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    nvmlReturn_t result = nvml_check(device, utilization);

    if (result != NVML_SUCCESS)
        return result;
    utilization->gpu = nvml_busy_percent(device);
    utilization->memory = 0; /* memory traffic is not counted */
    return NVML_SUCCESS;
}

/* There are no video engines: they are never busy. */
static nvmlReturn_t video_idle(nvmlDevice_t device, unsigned int *percent, unsigned int *period_us)
{
    nvmlReturn_t result = nvml_check(device, percent);

    if (result != NVML_SUCCESS)
        return result;
    if (!percent || !period_us)
        return NVML_ERROR_INVALID_ARGUMENT;
    *percent = 0;
    *period_us = SAMPLE_US;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int *percent,
                                             unsigned int *period_us)
{
    return video_idle(device, percent, period_us);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int *percent,
                                             unsigned int *period_us)
{
    return video_idle(device, percent, period_us);
}

/* ---- clocks
 * --------------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, int type, unsigned int *mhz)
{
    nvmlReturn_t result = nvml_check(device, mhz);

    if (result != NVML_SUCCESS)
        return result;
    if (type < NVML_CLOCK_GRAPHICS || type > NVML_CLOCK_VIDEO)
        return NVML_ERROR_INVALID_ARGUMENT;
    *mhz =
        (type == NVML_CLOCK_MEM ? device->model->memory_clock_khz : device->model->sm_clock_khz) /
        1000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int *mhz)
{
    nvmlReturn_t result = nvmlDeviceGetMaxClockInfo(device, type, mhz);

    if (result == NVML_SUCCESS && type != NVML_CLOCK_MEM && nvml_busy_percent(device) == 0 &&
        *mhz > IDLE_CLOCK_MHZ)
        *mhz = IDLE_CLOCK_MHZ;
    return result;
}

nvmlReturn_t nvmlDeviceGetClock(nvmlDevice_t device, int type, int id, unsigned int *mhz)
{
    if (id == NVML_CLOCK_ID_CURRENT)
        return nvmlDeviceGetClockInfo(device, type, mhz);
    if (id < NVML_CLOCK_ID_CURRENT || id > NVML_CLOCK_ID_CUSTOMER_BOOST_MAX)
        return NVML_ERROR_INVALID_ARGUMENT;
    return nvmlDeviceGetMaxClockInfo(device, type, mhz);
}

static const unsigned long long slowed_reasons[] = {
    [DEVICE_SLOWED_POWER] = THROTTLE_POWER_CAP,
    [DEVICE_SLOWED_THERMAL] = THROTTLE_THERMAL,
    [DEVICE_SLOWED_HARDWARE] = THROTTLE_HARDWARE | THROTTLE_HARDWARE_THERMAL};

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                       unsigned long long *reasons)
{
    nvmlReturn_t result = nvml_check(device, reasons);

    if (result == NVML_SUCCESS)
        *reasons = (nvml_busy_percent(device) == 0 ? THROTTLE_GPU_IDLE : 0) |
                   slowed_reasons[device->model->slowed];
    return result;
}

nvmlReturn_t nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device,
                                                         unsigned long long *reasons)
{
    nvmlReturn_t result = nvml_check(device, reasons);

    if (result == NVML_SUCCESS)
        *reasons = THROTTLE_GPU_IDLE | THROTTLE_POWER_CAP | THROTTLE_HARDWARE | THROTTLE_THERMAL |
                   THROTTLE_HARDWARE_THERMAL;
    return result;
}

/* The newer names of both. */
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
                                                    unsigned long long *reasons)
{
    return nvmlDeviceGetCurrentClocksThrottleReasons(device, reasons);
}

nvmlReturn_t nvmlDeviceGetSupportedClocksEventReasons(nvmlDevice_t device,
                                                      unsigned long long *reasons)
{
    return nvmlDeviceGetSupportedClocksThrottleReasons(device, reasons);
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, int *state)
{
    nvmlReturn_t result = nvml_check(device, state);

    if (result == NVML_SUCCESS)
        *state = nvml_busy_percent(device) == 0 ? NVML_PSTATE_8 : NVML_PSTATE_0;
    return result;
}

nvmlReturn_t nvmlDeviceGetPowerState(nvmlDevice_t device, int *state)
{
    return nvmlDeviceGetPerformanceState(device, state);
}

/* ---- temperature
 * ------------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius)
{
    nvmlReturn_t result = nvml_check(device, celsius);

    if (result != NVML_SUCCESS)
        return result;
    if (sensor != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    *celsius = CELSIUS_IDLE + (CELSIUS_FULL - CELSIUS_IDLE) * nvml_busy_percent(device) / 100;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, int threshold,
                                               unsigned int *celsius)
{
    nvmlReturn_t result = nvml_check(device, celsius);

    if (result != NVML_SUCCESS)
        return result;
    if (threshold == NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)
        *celsius = CELSIUS_SHUTDOWN;
    else if (threshold == NVML_TEMPERATURE_THRESHOLD_SLOWDOWN ||
             threshold == NVML_TEMPERATURE_THRESHOLD_GPU_MAX)
        *celsius = CELSIUS_SLOWDOWN;
    else
        return NVML_ERROR_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

/* ---- power
 * ----------------------------------------------------------------------------------------------------
 */

uint32_t nvml_power_mw(struct nvmlDevice_st *device)
{
    const struct device_model *model = device->model;
    uint64_t range = model->power_max_mw - model->power_idle_mw;

    return model->power_idle_mw + (uint32_t)(range * nvml_busy_percent(device) / 100);
}

uint64_t nvml_energy_mj(struct nvmlDevice_st *device)
{
    const struct device_model *model = device->model;
    uint64_t on_us = now_ns(CLOCK_BOOTTIME) / 1000;
    uint64_t busy_us = state_account_busy_ns(device->account) / 1000;

    return (model->power_idle_mw * on_us + (model->power_max_mw - model->power_idle_mw) * busy_us) /
           1000000;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts)
{
    nvmlReturn_t result = nvml_check(device, milliwatts);

    if (result == NVML_SUCCESS)
        *milliwatts = nvml_power_mw(device);
    return result;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device,
                                                 unsigned long long *millijoules)
{
    nvmlReturn_t result = nvml_check(device, millijoules);

    if (result == NVML_SUCCESS)
        *millijoules = nvml_energy_mj(device);
    return result;
}

nvmlReturn_t nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, int *mode)
{
    nvmlReturn_t result = nvml_check(device, mode);

    if (result == NVML_SUCCESS)
        *mode = NVML_FEATURE_ENABLED;
    return result;
}

/* The limit is what the device takes at most, and cannot be changed. */
static nvmlReturn_t put_limit(nvmlDevice_t device, unsigned int *milliwatts)
{
    nvmlReturn_t result = nvml_check(device, milliwatts);

    if (result == NVML_SUCCESS)
        *milliwatts = device->model->power_max_mw;
    return result;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int *milliwatts)
{
    return put_limit(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned int *milliwatts)
{
    return put_limit(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *milliwatts)
{
    return put_limit(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned int *min_mw,
                                                          unsigned int *max_mw)
{
    nvmlReturn_t result = put_limit(device, min_mw);

    return result == NVML_SUCCESS ? put_limit(device, max_mw) : result;
}
