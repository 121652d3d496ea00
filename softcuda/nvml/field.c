/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/field.c - values asked for by number.
 */
#include <time.h>

#include "softcuda/nvml/nvml_int.h"

enum { NVLINK_MBPS = 25000 /* one link, one direction */ };

static uint32_t link_count(const struct nvmlDevice_st *device)
{
    uint32_t count = 0;

    for (size_t i = 0; i < DEVICE_COUNT_MAX; i++)
        count += device->model->peer_links[i];
    return count < NVML_NVLINK_MAX_LINKS ? count : NVML_NVLINK_MAX_LINKS;
}

static void put_number(nvmlFieldValue_t *value, unsigned int number)
{
    value->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    value->value.uiVal = number;
    value->nvmlReturn = NVML_SUCCESS;
}

static void answer(struct nvmlDevice_st *device, nvmlFieldValue_t *value)
{
    switch (value->fieldId) {
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
        value->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        value->value.ullVal = nvml_energy_mj(device);
        value->nvmlReturn = NVML_SUCCESS;
        break;
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT:
        put_number(value, nvml_power_mw(device));
        break;
    case NVML_FI_DEV_NVLINK_LINK_COUNT:
        put_number(value, link_count(device));
        break;
    case NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON:
        if (link_count(device) > 0)
            put_number(value, NVLINK_MBPS);
        else
            value->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        break;
    default:
        value->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        break;
    }
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    struct timespec now;
    nvmlReturn_t result = nvml_check(device, values);

    if (result != NVML_SUCCESS)
        return result;
    if (count < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++) {
        values[i].timestamp = (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        values[i].latencyUsec = 0;
        answer(device, &values[i]);
    }
    return NVML_SUCCESS;
}
