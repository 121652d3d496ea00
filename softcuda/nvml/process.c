/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/process.c - the processes that have device memory or ran kernels.
 *
 * From the slots of the account. A count that is too small is answered with the one that is needed.
 */
#include <stdlib.h>
#include <time.h>

#include "softcuda/devices/state.h"
#include "softcuda/nvml/nvml_int.h"

enum { NO_INSTANCE = -1 };

/* Looks at the account; the list has STATE_SLOTS entries. */
static nvmlReturn_t look(nvmlDevice_t device, const unsigned int *count, struct state_usage **list,
                         uint32_t *found)
{
    nvmlReturn_t result = nvml_check(device, count);

    if (result != NVML_SUCCESS)
        return result;
    *list = calloc(STATE_SLOTS, sizeof(**list));
    if (!*list)
        return NVML_ERROR_MEMORY;
    *found = state_account_list(device->account, *list, STATE_SLOTS);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     nvmlProcessInfo_t *infos)
{
    struct state_usage *list;
    uint32_t found;
    nvmlReturn_t result = look(device, count, &list, &found);

    if (result != NVML_SUCCESS)
        return result;
    if (*count < found)
        result = NVML_ERROR_INSUFFICIENT_SIZE;
    else if (found > 0 && !infos)
        result = NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; result == NVML_SUCCESS && i < found; i++)
        infos[i] = (nvmlProcessInfo_t){.pid = (unsigned int)list[i].pid,
                                       .usedGpuMemory = list[i].bytes,
                                       .gpuInstanceId = (unsigned int)NO_INSTANCE,
                                       .computeInstanceId = (unsigned int)NO_INSTANCE};
    *count = found;
    free(list);
    return result;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int *count,
                                                     nvmlProcessInfo_t *infos)
{
    return nvmlDeviceGetComputeRunningProcesses_v3(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *count,
                                                  nvmlProcessInfo_v1_t *infos)
{
    struct state_usage *list;
    uint32_t found;
    nvmlReturn_t result = look(device, count, &list, &found);

    if (result != NVML_SUCCESS)
        return result;
    if (*count < found)
        result = NVML_ERROR_INSUFFICIENT_SIZE;
    else if (found > 0 && !infos)
        result = NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; result == NVML_SUCCESS && i < found; i++)
        infos[i] = (nvmlProcessInfo_v1_t){.pid = (unsigned int)list[i].pid,
                                          .usedGpuMemory = list[i].bytes};
    *count = found;
    free(list);
    return result;
}

/* No process draws, and no process shares a device by MPS. */
static nvmlReturn_t none(nvmlDevice_t device, unsigned int *count)
{
    nvmlReturn_t result = nvml_check(device, count);

    if (result == NVML_SUCCESS)
        *count = 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned int *count,
                                                   nvmlProcessInfo_v1_t *infos)
{
    (void)infos;
    return none(device, count);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned int *count,
                                                      nvmlProcessInfo_t *infos)
{
    (void)infos;
    return none(device, count);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                      nvmlProcessInfo_t *infos)
{
    (void)infos;
    return none(device, count);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                        nvmlProcessInfo_t *infos)
{
    (void)infos;
    return none(device, count);
}

/* The device's present utilisation, shared out by the processes' kernel time. */
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                             nvmlProcessUtilizationSample_t *samples,
                                             unsigned int *count, unsigned long long last_seen)
{
    struct state_usage *list;
    struct timespec now;
    uint64_t busy_ns = 0;
    uint32_t found;
    nvmlReturn_t result = look(device, count, &list, &found);

    if (result != NVML_SUCCESS)
        return result;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long now_us =
        (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000u;

    for (uint32_t i = 0; i < found; i++)
        busy_ns += list[i].busy_ns;
    if (found == 0 || last_seen > now_us)
        result = NVML_ERROR_NOT_FOUND; /* no samples */
    else if (!samples || *count < found)
        result = NVML_ERROR_INSUFFICIENT_SIZE;
    for (uint32_t i = 0; result == NVML_SUCCESS && i < found; i++) {
        uint64_t share = busy_ns ? list[i].busy_ns * 100 / busy_ns : 0;

        samples[i] = (nvmlProcessUtilizationSample_t){
            .pid = (unsigned int)list[i].pid,
            .timeStamp = now_us,
            .smUtil = (unsigned int)(nvml_busy_percent(device) * share / 100)};
    }
    *count = found;
    free(list);
    return result;
}
