/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/init.c - initialisation, the list of devices, the system's versions, error texts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cuda-common/nvml_row.h"
#include "softcuda/devices/state.h"
#include "softcuda/nvml/nvml_int.h"

enum { CUDA_VERSION_REPORTED = 13000, INIT_FLAGS = 3 /* NO_GPUS, NO_ATTACH: both are met */ };

static const char driver_version[] = "580.0-softcuda";
static const char nvml_version[] = "13.580.0-softcuda";

pthread_mutex_t nvml_lock = PTHREAD_MUTEX_INITIALIZER;

static uint32_t users; /* nvmlInit calls that were not undone */
static struct device_models models;
static struct nvmlDevice_st devices[DEVICE_COUNT_MAX];

static void close_devices(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        state_account_close(devices[i].account);
}

/* Places of the file in the order of bus ids. */
static void sort_places(uint32_t *places)
{
    for (uint32_t i = 0; i < models.count; i++) {
        uint32_t at = i;

        for (; at > 0 &&
               strcmp(models.device[places[at - 1]].pci_bus_id, models.device[i].pci_bus_id) > 0;
             at--)
            places[at] = places[at - 1];
        places[at] = i;
    }
}

static nvmlReturn_t open_devices(void)
{
    const char *path = getenv("SOFTCUDA_CONFIG");
    uint32_t places[DEVICE_COUNT_MAX] = {0};

    if (device_models_read(path && *path ? path : NULL, &models, NULL) != FAB_OK)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    sort_places(places);
    for (uint32_t i = 0; i < models.count; i++) {
        struct nvmlDevice_st *device = &devices[i];

        *device = (struct nvmlDevice_st){
            .model = &models.device[places[i]], .place = places[i], .index = i};
        if (state_account_open(models.state_dir, device->model, &device->account, NULL) != FAB_OK) {
            close_devices(i);
            return NVML_ERROR_NO_PERMISSION;
        }
        (void)nvml_busy_percent(device); /* the first look */
    }
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    nvmlReturn_t result = NVML_SUCCESS;

    if (flags & ~(unsigned)INIT_FLAGS)
        return NVML_ERROR_INVALID_ARGUMENT;
    (void)pthread_mutex_lock(&nvml_lock);
    if (users == 0)
        result = open_devices();
    if (result == NVML_SUCCESS)
        users++;
    (void)pthread_mutex_unlock(&nvml_lock);
    return result;
}

nvmlReturn_t nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlShutdown(void)
{
    nvmlReturn_t result = NVML_ERROR_UNINITIALIZED;

    (void)pthread_mutex_lock(&nvml_lock);
    if (users > 0) {
        result = NVML_SUCCESS;
        if (--users == 0)
            close_devices(models.count);
    }
    (void)pthread_mutex_unlock(&nvml_lock);
    return result;
}

/* ---- for the other files -----------------------------------------------------------------------
 */

nvmlReturn_t nvml_ready(void)
{
    (void)pthread_mutex_lock(&nvml_lock);
    bool ready = users > 0;

    (void)pthread_mutex_unlock(&nvml_lock);
    return ready ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvml_check(nvmlDevice_t device, const void *out)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    for (uint32_t i = 0; i < models.count; i++) {
        if (device == &devices[i])
            return out ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

uint32_t nvml_device_count(void)
{
    return models.count;
}

struct nvmlDevice_st *nvml_device_at(uint32_t index)
{
    return index < models.count ? &devices[index] : NULL;
}

struct nvmlDevice_st *nvml_device_of_place(uint32_t place)
{
    for (uint32_t i = 0; i < models.count; i++) {
        if (devices[i].place == place)
            return &devices[i];
    }
    return NULL;
}

/* ---- the system
 * ----------------------------------------------------------------------------------- */

static nvmlReturn_t put_version(const char *from, char *version, unsigned int length)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    return version ? cuc_nvml_put_text(from, version, length) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    return put_version(driver_version, version, length);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    return version ? cuc_nvml_put_text(nvml_version, version, length) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    if (!version)
        return NVML_ERROR_INVALID_ARGUMENT;
    *version = CUDA_VERSION_REPORTED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    return nvmlSystemGetCudaDriverVersion(version);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
    nvmlReturn_t result = nvml_ready();

    return result == NVML_SUCCESS ? cuc_nvml_process_name(pid, name, length) : result;
}

nvmlReturn_t nvmlUnitGetCount(unsigned int *count)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
    return cuc_nvml_error_text(result);
}
