/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/nvml/identity.c - handles, UUIDs and places of devices: one set for the system, the
 * same as cuDeviceGetUuid and cuDeviceGetPCIBusId say.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cuda-client/nvml/nvml_int.h"
#include "cuda-common/pci.h"
#include "generated/cuda-api/nvml_rows.h"

/* ---- handles ----------------------------------------------------------------------------------
 */

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = cudac_nvml_device_count();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
    return nvmlDeviceGetCount_v2(count);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!device || !cudac_nvml_device_at(index))
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = cudac_nvml_device_at(index);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}

static const char *uuid_of(nvmlDevice_t device, char *text)
{
    return cuc_nvml_put_uuid(cudac_nvml_face()->vgpu_facts(device->vgpu)->uuid, text);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    char text[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!uuid || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < cudac_nvml_device_count(); i++)
        if (strcasecmp(uuid, uuid_of(cudac_nvml_device_at(i), text)) == 0) {
            *device = cudac_nvml_device_at(i);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *device)
{
    uint32_t wanted[3];
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!id || !device || !cuc_pci_parse(id, wanted))
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < cudac_nvml_device_count(); i++) {
        const struct nvmlDevice_st *one = cudac_nvml_device_at(i);

        if (one->domain == wanted[0] && one->bus == wanted[1] && one->slot == wanted[2]) {
            *device = cudac_nvml_device_at(i);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByPciBusId_v2(id, device);
}

/* ---- numbers and names ------------------------------------------------------------------------
 */

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    nvmlReturn_t result = cudac_nvml_check(device, index);

    if (result == NVML_SUCCESS)
        *index = device->index;
    return result;
}

/* There is no device file here; the number is at least unique. */
nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *number)
{
    return nvmlDeviceGetIndex(device, number);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    char text[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    nvmlReturn_t result = cudac_nvml_check(device, uuid);

    return result == NVML_SUCCESS ? cuc_nvml_put_text(uuid_of(device, text), uuid, length) : result;
}

/* ---- places -----------------------------------------------------------------------------------
 */

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    const union cuc_nvml_arg args[] = {{.pointer = device}, {.pointer = pci}};
    nvmlReturn_t result = cudac_nvml_forward(CUC_NVML_nvmlDeviceGetPciInfo_v3, args);

    if (result != NVML_SUCCESS)
        return result;
    pci->domain = device->domain;
    cuc_nvml_put_bus_id(pci);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfoLegacy_t *pci)
{
    const union cuc_nvml_arg args[] = {{.pointer = device}, {.pointer = pci}};
    nvmlReturn_t result = cudac_nvml_forward(CUC_NVML_nvmlDeviceGetPciInfo_v2, args);
    nvmlPciInfo_t texts;

    if (result != NVML_SUCCESS)
        return result;
    pci->domain = device->domain;
    texts = (nvmlPciInfo_t){.domain = pci->domain, .bus = pci->bus, .device = pci->device};
    cuc_nvml_put_bus_id(&texts);
    memcpy(pci->busId, texts.busIdLegacy, sizeof(pci->busId));
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfoLegacy_t *pci)
{
    return nvmlDeviceGetPciInfo_v2(device, pci);
}
