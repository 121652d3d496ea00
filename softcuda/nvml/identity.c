/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/identity.c - handles, names, places and kinds of devices.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cuda-common/nvml_row.h"
#include "softcuda/nvml/nvml_int.h"

/* ---- handles
 * ------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = nvml_device_count();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
    return nvmlDeviceGetCount_v2(count);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!device || !nvml_device_at(index))
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = nvml_device_at(index);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    char text[DEVICE_UUID_TEXT_BYTES];
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!uuid || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < nvml_device_count(); i++) {
        if (strcasecmp(uuid, device_uuid_format(nvml_device_at(i)->model->uuid, text)) == 0) {
            *device = nvml_device_at(i);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *device)
{
    uint32_t wanted[3], have[3];
    nvmlReturn_t result = nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!id || !device || device_pci_parse(id, &wanted[0], &wanted[1], &wanted[2]) != FAB_OK)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < nvml_device_count(); i++) {
        const char *text = nvml_device_at(i)->model->pci_bus_id;

        if (device_pci_parse(text, &have[0], &have[1], &have[2]) == FAB_OK &&
            memcmp(have, wanted, sizeof(have)) == 0) {
            *device = nvml_device_at(i);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByPciBusId_v2(id, device);
}

/* ---- numbers and names
 * ------------------------------------------------------------------------------ */

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    nvmlReturn_t result = nvml_check(device, index);

    if (result == NVML_SUCCESS)
        *index = device->index;
    return result;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *number)
{
    return nvmlDeviceGetIndex(device, number);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    nvmlReturn_t result = nvml_check(device, name);

    return result == NVML_SUCCESS ? cuc_nvml_put_text(device->model->name, name, length) : result;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    char text[DEVICE_UUID_TEXT_BYTES];
    nvmlReturn_t result = nvml_check(device, uuid);

    if (result != NVML_SUCCESS)
        return result;
    return cuc_nvml_put_text(device_uuid_format(device->model->uuid, text), uuid, length);
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t device, int *brand)
{
    nvmlReturn_t result = nvml_check(device, brand);

    if (result == NVML_SUCCESS)
        *brand = NVML_BRAND_UNKNOWN;
    return result;
}

void nvml_pci_info(const struct nvmlDevice_st *device, nvmlPciInfo_t *pci)
{
    uint32_t domain = 0, bus = 0, slot = 0;

    if (device_pci_parse(device->model->pci_bus_id, &domain, &bus, &slot) != FAB_OK)
        domain = bus = slot = 0; /* the reader of the device file wrote the text itself */
    *pci = (nvmlPciInfo_t){.domain = domain, .bus = bus, .device = slot};
    cuc_nvml_put_bus_id(pci);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    nvmlReturn_t result = nvml_check(device, pci);

    if (result == NVML_SUCCESS)
        nvml_pci_info(device, pci);
    return result;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfoLegacy_t *pci)
{
    nvmlPciInfo_t info;
    nvmlReturn_t result = nvml_check(device, pci);

    if (result != NVML_SUCCESS)
        return result;
    nvml_pci_info(device, &info);
    *pci = (nvmlPciInfoLegacy_t){.domain = info.domain, .bus = info.bus, .device = info.device};
    memcpy(pci->busId, info.busIdLegacy, sizeof(pci->busId));
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfoLegacy_t *pci)
{
    return nvmlDeviceGetPciInfo_v2(device, pci);
}

/* ---- kinds
 * --------------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    nvmlReturn_t result = nvml_check(device, major);

    if (result != NVML_SUCCESS)
        return result;
    if (!major || !minor)
        return NVML_ERROR_INVALID_ARGUMENT;
    *major = (int)device->model->compute_major;
    *minor = (int)device->model->compute_minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned int *arch)
{
    nvmlReturn_t result = nvml_check(device, arch);

    if (result != NVML_SUCCESS)
        return result;
    if (device->model->compute_major == 7)
        *arch = NVML_ARCH_TURING;
    else
        *arch = device->model->compute_minor == 9 ? NVML_ARCH_ADA : NVML_ARCH_AMPERE;
    return NVML_SUCCESS;
}

/* Cores of a multiprocessor: 64, except 128 from 8.6 on. */
nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned int *cores)
{
    nvmlReturn_t result = nvml_check(device, cores);

    if (result != NVML_SUCCESS)
        return result;
    *cores = device->model->sm_count *
             (device->model->compute_major == 8 && device->model->compute_minor >= 6 ? 128 : 64);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t device, unsigned int *bits)
{
    nvmlReturn_t result = nvml_check(device, bits);

    if (result == NVML_SUCCESS)
        *bits = device->model->memory_bus_bits;
    return result;
}

/* ---- modes
 * -----------------------------------------------------------------------------------------------
 */

static nvmlReturn_t put_mode(nvmlDevice_t device, int *mode, int value)
{
    nvmlReturn_t result = nvml_check(device, mode);

    if (result == NVML_SUCCESS)
        *mode = value;
    return result;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, int *mode)
{
    return put_mode(device, mode, NVML_COMPUTEMODE_DEFAULT);
}

nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, int *mode)
{
    return put_mode(device, mode, NVML_FEATURE_ENABLED);
}

nvmlReturn_t nvmlDeviceGetDisplayMode(nvmlDevice_t device, int *mode)
{
    return put_mode(device, mode, NVML_FEATURE_DISABLED);
}

nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t device, int *active)
{
    return put_mode(device, active, NVML_FEATURE_DISABLED);
}

nvmlReturn_t nvmlDeviceGetVirtualizationMode(nvmlDevice_t device, int *mode)
{
    return put_mode(device, mode, NVML_GPU_VIRTUALIZATION_MODE_NONE);
}
