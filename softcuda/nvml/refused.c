/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/refused.c - questions that these devices have no answer to.
 *
 * They exist because monitoring tools call them and handle the refusal; a wrong handle is still
 * told apart.
 */
#include "softcuda/nvml/nvml_int.h"

static nvmlReturn_t refuse(nvmlDevice_t device)
{
    nvmlReturn_t result = nvml_check(device, device);

    return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned int length)
{
    (void)serial, (void)length;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetBoardPartNumber(nvmlDevice_t device, char *number, unsigned int length)
{
    (void)number, (void)length;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char *version, unsigned int length)
{
    (void)version, (void)length;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *percent)
{
    (void)percent;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *percent)
{
    (void)fan, (void)percent;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned int *count)
{
    nvmlReturn_t result = nvml_check(device, count);

    if (result == NVML_SUCCESS)
        *count = 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, int *current, int *pending)
{
    (void)current, (void)pending;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, int type, int counter,
                                         unsigned long long *count)
{
    (void)type, (void)counter, (void)count;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    (void)current, (void)pending;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
    nvmlReturn_t result = nvml_check(device, count);

    if (result == NVML_SUCCESS)
        *count = 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, void *info)
{
    (void)info;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, void *info)
{
    (void)info;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetPlatformInfo(nvmlDevice_t device, void *info)
{
    (void)info;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetPcieReplayCounter(nvmlDevice_t device, unsigned int *count)
{
    (void)count;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t device, int type, unsigned int *mhz)
{
    (void)type, (void)mhz;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t device, int mode)
{
    (void)mode;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t device, unsigned int milliwatts)
{
    (void)milliwatts;
    return refuse(device);
}

nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t device, int mode)
{
    (void)mode;
    return refuse(device);
}

nvmlReturn_t nvmlEventSetCreate(void **set)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    return set ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}
