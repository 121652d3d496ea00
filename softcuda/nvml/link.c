/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/link.c - what a device is connected to: CPUs, other devices, PCIe.
 *
 * The device file says NUMA nodes, peers and NVLinks. How two devices meet is derived from that:
 * peers on one NUMA node share a host bridge, others on one node the node, the rest the system.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "softcuda/nvml/nvml_int.h"

enum {
    PCIE_GENERATION = 3,
    PCIE_LANES = 16,
    NVLINK_VERSION = 2,
    LONG_BITS = 8 * sizeof(unsigned long),
};

/* ---- CPUs
 * -------------------------------------------------------------------------------------------- */

static void set_range(unsigned long *set, unsigned int words, unsigned int first, unsigned int last)
{
    for (unsigned int cpu = first; cpu <= last && cpu / LONG_BITS < words; cpu++)
        set[cpu / LONG_BITS] |= 1ul << (cpu % LONG_BITS);
}

/* "0-3,8-11" into bits. False: nothing readable. */
static bool read_cpus(const char *path, unsigned long *set, unsigned int words)
{
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    bool any = false;

    if (fd >= 0)
        (void)close(fd);
    if (bytes <= 0)
        return false;
    text[bytes] = '\0';
    for (const char *at = text; *at >= '0' && *at <= '9';) {
        unsigned int number[2] = {0, 0};

        for (int i = 0; i < 2; i++) {
            while (*at >= '0' && *at <= '9' && number[i] < 100000)
                number[i] = number[i] * 10 + (unsigned int)(*at++ - '0');
            if (i == 0 && *at != '-') {
                number[1] = number[0];
                break;
            }
            if (i == 0)
                at++;
        }
        set_range(set, words, number[0], number[1]);
        any = true;
        if (*at == ',')
            at++;
    }
    return any;
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int words, unsigned long *set)
{
    char path[80];
    nvmlReturn_t result = nvml_check(device, words > 0 ? set : NULL);

    if (result != NVML_SUCCESS)
        return result;
    memset(set, 0, words * sizeof(*set));
    (void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
                   (int)device->model->numa_node);
    if (device->model->numa_node >= 0 && read_cpus(path, set, words))
        return NVML_SUCCESS;
    return read_cpus("/sys/devices/system/cpu/online", set, words) ? NVML_SUCCESS
                                                                   : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t device, unsigned int *node)
{
    nvmlReturn_t result = nvml_check(device, node);

    if (result != NVML_SUCCESS)
        return result;
    if (device->model->numa_node < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *node = (unsigned int)device->model->numa_node;
    return NVML_SUCCESS;
}

/* ---- two devices
 * ---------------------------------------------------------------------------------------- */

static bool are_peers(const struct nvmlDevice_st *one, const struct nvmlDevice_st *two)
{
    return (one->model->peer_mask >> two->place & 1) != 0;
}

static int level_of(const struct nvmlDevice_st *one, const struct nvmlDevice_st *two)
{
    if (one == two)
        return NVML_TOPOLOGY_INTERNAL;
    if (one->model->numa_node != two->model->numa_node || one->model->numa_node < 0)
        return NVML_TOPOLOGY_SYSTEM;
    return are_peers(one, two) ? NVML_TOPOLOGY_HOSTBRIDGE : NVML_TOPOLOGY_NODE;
}

static nvmlReturn_t check_two(nvmlDevice_t one, nvmlDevice_t two, const void *out)
{
    nvmlReturn_t result = nvml_check(one, out);

    return result == NVML_SUCCESS ? nvml_check(two, out) : result;
}

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t one, nvmlDevice_t two, int *same)
{
    nvmlReturn_t result = check_two(one, two, same);

    if (result == NVML_SUCCESS)
        *same = one == two;
    return result;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t two, int *level)
{
    nvmlReturn_t result = check_two(one, two, level);

    if (result == NVML_SUCCESS)
        *level = level_of(one, two);
    return result;
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, int level, unsigned int *count,
                                              nvmlDevice_t *devices)
{
    unsigned int found = 0;
    nvmlReturn_t result = nvml_check(device, count);

    if (result != NVML_SUCCESS)
        return result;
    for (uint32_t i = 0; i < nvml_device_count(); i++) {
        nvmlDevice_t other = nvml_device_at(i);

        if (other == device || level_of(device, other) != level)
            continue;
        if (devices && found < *count)
            devices[found] = other;
        found++;
    }
    *count = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t one, nvmlDevice_t two, int index, int *status)
{
    nvmlReturn_t result = check_two(one, two, status);
    bool can;

    if (result != NVML_SUCCESS)
        return result;
    switch (index) {
    case NVML_P2P_CAPS_INDEX_READ:
    case NVML_P2P_CAPS_INDEX_WRITE:
    case NVML_P2P_CAPS_INDEX_ATOMICS:
    case NVML_P2P_CAPS_INDEX_PROP:
        can = are_peers(one, two);
        break;
    case NVML_P2P_CAPS_INDEX_NVLINK:
        can = one->model->peer_links[two->place] > 0;
        break;
    default:
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *status = can ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

/* ---- NVLinks
 * ---------------------------------------------------------------------------------------------- */

/* The device at the other end: links are numbered in the order of the devices they lead to. */
static struct nvmlDevice_st *link_end(const struct nvmlDevice_st *device, unsigned int link)
{
    for (uint32_t place = 0; place < DEVICE_COUNT_MAX; place++) {
        if (link < device->model->peer_links[place])
            return nvml_device_of_place(place);
        link -= device->model->peer_links[place];
    }
    return NULL;
}

/* Checks a link number and finds its end; NULL for a link that is not there. */
static nvmlReturn_t check_link(nvmlDevice_t device, unsigned int link, const void *out,
                               struct nvmlDevice_st **end_out)
{
    nvmlReturn_t result = nvml_check(device, out);

    if (result != NVML_SUCCESS)
        return result;
    if (link >= NVML_NVLINK_MAX_LINKS)
        return NVML_ERROR_INVALID_ARGUMENT;
    *end_out = link_end(device, link);
    return *end_out || link_end(device, 0) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, int *active)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, active, &end);

    if (result == NVML_SUCCESS)
        *active = end ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return result;
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link,
                                        unsigned int *version)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, version, &end);

    if (result == NVML_SUCCESS)
        *version = NVLINK_VERSION;
    return result;
}

nvmlReturn_t nvmlDeviceGetNvLinkCapability(nvmlDevice_t device, unsigned int link, int capability,
                                           unsigned int *answer)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, answer, &end);

    if (result != NVML_SUCCESS)
        return result;
    if (capability < NVML_NVLINK_CAP_P2P_SUPPORTED || capability > NVML_NVLINK_CAP_VALID)
        return NVML_ERROR_INVALID_ARGUMENT;
    *answer =
        end && (capability == NVML_NVLINK_CAP_P2P_SUPPORTED ||
                capability == NVML_NVLINK_CAP_P2P_ATOMICS || capability == NVML_NVLINK_CAP_VALID);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link,
                                                 nvmlPciInfo_t *pci)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, pci, &end);

    if (result != NVML_SUCCESS)
        return result;
    if (!end)
        return NVML_ERROR_NOT_SUPPORTED;
    nvml_pci_info(end, pci);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo(nvmlDevice_t device, unsigned int link,
                                              nvmlPciInfoLegacy_t *pci)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, pci, &end);

    if (result != NVML_SUCCESS)
        return result;
    return end ? nvmlDeviceGetPciInfo_v2(end, pci) : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned int link, int *type)
{
    struct nvmlDevice_st *end;
    nvmlReturn_t result = check_link(device, link, type, &end);

    if (result != NVML_SUCCESS)
        return result;
    if (!end)
        return NVML_ERROR_NOT_SUPPORTED;
    *type = NVML_NVLINK_DEVICE_TYPE_GPU;
    return NVML_SUCCESS;
}

/* ---- PCIe
 * ---------------------------------------------------------------------------------------------------
 */

static nvmlReturn_t put(nvmlDevice_t device, unsigned int *out, unsigned int value)
{
    nvmlReturn_t result = nvml_check(device, out);

    if (result == NVML_SUCCESS)
        *out = value;
    return result;
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned int *gen)
{
    return put(device, gen, PCIE_GENERATION);
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned int *gen)
{
    return put(device, gen, PCIE_GENERATION);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned int *lanes)
{
    return put(device, lanes, PCIE_LANES);
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned int *lanes)
{
    return put(device, lanes, PCIE_LANES);
}

/* Copies cross no bus here. */
nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, int counter, unsigned int *kib_per_s)
{
    if (counter != NVML_PCIE_UTIL_TX_BYTES && counter != NVML_PCIE_UTIL_RX_BYTES)
        return NVML_ERROR_INVALID_ARGUMENT;
    return put(device, kib_per_s, 0);
}
