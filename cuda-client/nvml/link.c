/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/nvml/link.c - what a device is connected to: CPUs and other devices.
 *
 * Devices of one worker are connected as its NVML says. Those of two workers are not: no link, no
 * peer access, and what they have in common is the whole system. A device on another host is near
 * to no CPU of this one.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "cuda-client/nvml/nvml_int.h"
#include "generated/cuda-api/nvml_rows.h"

enum { LONG_BITS = 8 * sizeof(unsigned long) };

/* ---- CPUs -------------------------------------------------------------------------------------
 */

/* Every CPU that is there, if the set has room for it. */
static void put_all_cpus(unsigned int words, unsigned long *set)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);

    memset(set, 0, words * sizeof(*set));
    for (long cpu = 0; cpu < count && (unsigned long)cpu / LONG_BITS < words; cpu++)
        set[cpu / LONG_BITS] |= 1ul << (cpu % LONG_BITS);
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int words, unsigned long *set)
{
    const unsigned int most = CUC_NVML_ARRAY_MAX_BYTES / sizeof(*set);
    const union cuc_nvml_arg args[] = {
        {.pointer = device}, {.value = words < most ? words : most}, {.pointer = set}};
    nvmlReturn_t result = cudac_nvml_check(device, words > 0 ? set : NULL);

    if (result != NVML_SUCCESS)
        return result;
    put_all_cpus(words, set);
    if (!cudac_nvml_face()->vgpu_is_here(device->vgpu))
        return NVML_SUCCESS;
    return cudac_nvml_forward(CUC_NVML_nvmlDeviceGetCpuAffinity, args);
}

nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t device, unsigned int *node)
{
    const union cuc_nvml_arg args[] = {{.pointer = device}, {.pointer = node}};
    nvmlReturn_t result = cudac_nvml_check(device, node);

    if (result != NVML_SUCCESS)
        return result;
    if (!cudac_nvml_face()->vgpu_is_here(device->vgpu))
        return NVML_ERROR_NOT_SUPPORTED;
    return cudac_nvml_forward(CUC_NVML_nvmlDeviceGetNumaNodeId, args);
}

/* ---- two devices ------------------------------------------------------------------------------
 */

static nvmlReturn_t check_two(nvmlDevice_t one, nvmlDevice_t two, const void *out)
{
    nvmlReturn_t result = cudac_nvml_check(one, out);

    return result == NVML_SUCCESS ? cudac_nvml_check(two, out) : result;
}

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t one, nvmlDevice_t two, int *same)
{
    const union cuc_nvml_arg args[] = {{.pointer = one}, {.pointer = two}, {.pointer = same}};
    nvmlReturn_t result = check_two(one, two, same);

    if (result != NVML_SUCCESS)
        return result;
    if (cudac_nvml_share_worker(one, two))
        return cudac_nvml_forward(CUC_NVML_nvmlDeviceOnSameBoard, args);
    *same = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t two, int *level)
{
    const union cuc_nvml_arg args[] = {{.pointer = one}, {.pointer = two}, {.pointer = level}};
    nvmlReturn_t result = check_two(one, two, level);

    if (result != NVML_SUCCESS)
        return result;
    if (cudac_nvml_share_worker(one, two))
        return cudac_nvml_forward(CUC_NVML_nvmlDeviceGetTopologyCommonAncestor, args);
    *level = NVML_TOPOLOGY_SYSTEM;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, int level, unsigned int *count,
                                              nvmlDevice_t *devices)
{
    unsigned int found = 0;
    nvmlReturn_t result = cudac_nvml_check(device, count);

    for (uint32_t i = 0; result == NVML_SUCCESS && i < cudac_nvml_device_count(); i++) {
        nvmlDevice_t other = cudac_nvml_device_at(i);
        int have;

        if (other == device)
            continue;
        result = nvmlDeviceGetTopologyCommonAncestor(device, other, &have);
        if (result != NVML_SUCCESS || have != level)
            continue;
        if (devices && found < *count)
            devices[found] = other;
        found++;
    }
    if (result == NVML_SUCCESS)
        *count = found;
    return result;
}

nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t one, nvmlDevice_t two, int index, int *status)
{
    const union cuc_nvml_arg args[] = {
        {.pointer = one}, {.pointer = two}, {.value = (uint64_t)index}, {.pointer = status}};
    nvmlReturn_t result = check_two(one, two, status);

    if (result != NVML_SUCCESS)
        return result;
    if (cudac_nvml_share_worker(one, two))
        return cudac_nvml_forward(CUC_NVML_nvmlDeviceGetP2PStatus, args);
    if (index < NVML_P2P_CAPS_INDEX_READ || index > NVML_P2P_CAPS_INDEX_PROP)
        return NVML_ERROR_INVALID_ARGUMENT;
    *status = NVML_P2P_STATUS_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

/* ---- NVLinks ----------------------------------------------------------------------------------
 */

/* The device of the same worker that its node knows by this place; NULL: not of this system. */
static nvmlDevice_t device_at_place(nvmlDevice_t near, const nvmlPciInfo_t *place)
{
    for (uint32_t i = 0; i < cudac_nvml_device_count(); i++) {
        nvmlDevice_t device = cudac_nvml_device_at(i);
        nvmlPciInfo_t pci;
        const union cuc_nvml_arg args[] = {{.pointer = device}, {.pointer = &pci}};

        if (cudac_nvml_share_worker(near, device) && device->bus == place->bus &&
            cudac_nvml_forward(CUC_NVML_nvmlDeviceGetPciInfo_v3, args) == NVML_SUCCESS &&
            pci.domain == place->domain && pci.device == place->device)
            return device;
    }
    return NULL;
}

/* The device at the other end of a link, as this system knows it. */
static nvmlReturn_t link_end(nvmlDevice_t device, unsigned int link, nvmlDevice_t *end_out)
{
    nvmlPciInfo_t place;
    const union cuc_nvml_arg args[] = {{.pointer = device}, {.value = link}, {.pointer = &place}};
    nvmlReturn_t result = cudac_nvml_forward(CUC_NVML_nvmlDeviceGetNvLinkRemotePciInfo_v2, args);

    if (result != NVML_SUCCESS)
        return result;
    *end_out = device_at_place(device, &place);
    return *end_out ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link,
                                                 nvmlPciInfo_t *pci)
{
    nvmlDevice_t end;
    nvmlReturn_t result = cudac_nvml_check(device, pci);

    if (result == NVML_SUCCESS)
        result = link_end(device, link, &end);
    return result == NVML_SUCCESS ? nvmlDeviceGetPciInfo_v3(end, pci) : result;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo(nvmlDevice_t device, unsigned int link,
                                              nvmlPciInfoLegacy_t *pci)
{
    nvmlDevice_t end;
    nvmlReturn_t result = cudac_nvml_check(device, pci);

    if (result == NVML_SUCCESS)
        result = link_end(device, link, &end);
    return result == NVML_SUCCESS ? nvmlDeviceGetPciInfo_v2(end, pci) : result;
}
