/* SPDX-License-Identifier: Apache-2.0
 * topology/sysroot.c - what is read from files: ports of HCAs, GPUDirect, IOMMU, ACS, limits.
 *
 * All paths stand below a prefix, so a recorded or made folder replaces the machine. Reading ACS
 * needs the whole configuration space, which the kernel gives to root only.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "topology/machine_int.h"

enum { HEXADECIMAL = 16, FILE_BYTES = 1 << 16, TURING_MAJOR = 7, TURING_MINOR = 5 };

static bool path_of(char path[PATH_MAX], const char *root, const char *format, ...)
    FAB_PRINTF(3, 4);

static bool path_of(char path[PATH_MAX], const char *root, const char *format, ...)
{
    int start = snprintf(path, PATH_MAX, "%s", root), length;
    va_list arguments;

    if (start < 0 || start >= PATH_MAX)
        return false;
    va_start(arguments, format);
    length = vsnprintf(path + start, (size_t)(PATH_MAX - start), format, arguments);
    va_end(arguments);
    return length >= 0 && length < PATH_MAX - start;
}

static const char *root_of(const char *sysroot)
{
    return strcmp(sysroot, "/") != 0 ? sysroot : "";
}

static bool exists(const char *root, const char *name)
{
    char path[PATH_MAX];

    return path_of(path, root, "%s", name) && access(path, F_OK) == 0;
}

/* A whole small file, ended by NUL; NULL if there is none. For the caller to free. */
static char *text_of(const char *path, size_t *size_bytes_out)
{
    char *text = NULL;

    return fab_file_read(path, FILE_BYTES, &text, size_bytes_out, NULL) == FAB_OK ? text : NULL;
}

static bool number_of(const char *path, uint64_t *value_out)
{
    char *text = text_of(path, NULL), *end = NULL;

    if (!text)
        return false;
    *value_out = strtoull(text, &end, 0);
    free(text);
    return true;
}

/* ---- ports of HCAs ----------------------------------------------------------------------------
 */

/* Payload of one lane in MB/s: the signalling rate less its encoding (8/10, from FDR10 on 64/66).
 */
static const struct {
    const char *name;
    uint32_t lane_mbps;
} speeds[] = {{"SDR", 250},  {"DDR", 500},  {"QDR", 1000},  {"FDR10", 1250}, {"FDR", 1704},
              {"EDR", 3125}, {"HDR", 6250}, {"NDR", 12500}, {"XDR", 25000}};

/* "56 Gb/sec (4X FDR)" */
static uint32_t rate_of(const char *text)
{
    const char *at = strchr(text, '(');
    unsigned long lanes;
    char *end;

    if (!at)
        return 0;
    lanes = strtoul(at + 1, &end, 10);
    if (strncmp(end, "X ", 2) != 0 || lanes > 12)
        return 0;
    at = end + 2;
    for (size_t i = 0; i < FAB_ARRAY_LEN(speeds); i++) {
        size_t length = strlen(speeds[i].name);

        if (!strncmp(at, speeds[i].name, length) && at[length] == ')')
            return (uint32_t)lanes * speeds[i].lane_mbps;
    }
    return 0;
}

/* The first half of "fe80:0000:0000:0000:e41d:2d03:00b0:0001". */
static uint64_t subnet_of(const char *gid)
{
    uint64_t subnet = 0;

    for (unsigned i = 0; i < 4; i++) {
        char *end;
        const unsigned long part = strtoul(gid, &end, HEXADECIMAL);

        if (end == gid || *end != ':' || part > UINT16_MAX)
            return 0;
        subnet = subnet << 16 | part;
        gid = end + 1;
    }
    return subnet;
}

static void read_port(const char *folder, struct topo_hca_port *port)
{
    char path[PATH_MAX];
    uint64_t value;
    char *text;

    if (path_of(path, folder, "/ports/%u/state", port->number) && number_of(path, &value) &&
        value <= TOPO_PORT_ACTIVE)
        port->state = (enum topo_port_state)value; /* "4: ACTIVE" */
    if (path_of(path, folder, "/ports/%u/lid", port->number) && number_of(path, &value) &&
        value <= UINT16_MAX)
        port->lid = (uint16_t)value;
    if (path_of(path, folder, "/ports/%u/sm_lid", port->number) && number_of(path, &value) &&
        value <= UINT16_MAX)
        port->manager_lid = (uint16_t)value;
    text = path_of(path, folder, "/ports/%u/rate", port->number) ? text_of(path, NULL) : NULL;
    if (text)
        port->rate_mbps = rate_of(text);
    free(text);
    text = path_of(path, folder, "/ports/%u/gids/0", port->number) ? text_of(path, NULL) : NULL;
    port->subnet = text ? subnet_of(text) : 0;
    free(text);
}

/* The port of an interface: dev_port from 0; older drivers tell by dev_id. */
static uint64_t port_of_netdev(const char *folder, const char *name)
{
    static const char *const files[] = {"dev_port", "dev_id"};
    uint64_t port = 0;

    for (size_t i = 0; i < FAB_ARRAY_LEN(files); i++) {
        char path[PATH_MAX];
        uint64_t value;

        if (path_of(path, folder, "/device/net/%s/%s", name, files[i]) && number_of(path, &value) &&
            value > port)
            port = value;
    }
    return port;
}

/* Of several interfaces on one port (those of partitions) the first by name. */
static void read_netdev(const char *folder, const char *name, struct topo_hca *hca)
{
    uint64_t place = port_of_netdev(folder, name), mtu;
    struct topo_hca_port *port;
    char path[PATH_MAX];

    if (place >= hca->port_count || strlen(name) >= sizeof(port->netdev))
        return;
    port = &hca->ports[place];
    if (port->netdev[0] && strcmp(port->netdev, name) < 0)
        return;
    topo_text_copy(port->netdev, sizeof(port->netdev), name);
    port->mtu = 0;
    if (path_of(path, folder, "/device/net/%s/mtu", name) && number_of(path, &mtu) &&
        mtu <= UINT32_MAX)
        port->mtu = (uint32_t)mtu;
}

static void read_netdevs(const char *folder, struct topo_hca *hca)
{
    char path[PATH_MAX];
    DIR *net = path_of(path, folder, "/device/net") ? opendir(path) : NULL;
    struct dirent *entry;

    while (net && (entry = readdir(net))) {
        if (entry->d_name[0] != '.')
            read_netdev(folder, entry->d_name, hca);
    }
    if (net)
        (void)closedir(net);
}

/* The last part of what the link `device/driver` points to. */
static bool has_driver(const char *folder, const char *driver)
{
    char path[PATH_MAX], target[PATH_MAX];
    ssize_t length =
        path_of(path, folder, "/device/driver") ? readlink(path, target, sizeof(target) - 1) : -1;
    const char *last;

    if (length < 0)
        return false;
    target[length] = '\0';
    last = strrchr(target, '/');
    return !strcmp(last ? last + 1 : target, driver);
}

static void read_hca(const char *root, struct topo_hca *hca)
{
    char folder[PATH_MAX], path[PATH_MAX];

    if (!path_of(folder, root, "/sys/class/infiniband/%s", hca->name))
        return;
    while (hca->port_count < TOPO_HCA_PORT_MAX &&
           path_of(path, folder, "/ports/%u", hca->port_count + 1) && access(path, F_OK) == 0) {
        hca->ports[hca->port_count].number = (uint8_t)(hca->port_count + 1);
        hca->port_count++;
    }
    for (uint32_t i = 0; i < hca->port_count; i++)
        read_port(folder, &hca->ports[i]);
    read_netdevs(folder, hca);
    hca->has_dma_buf = has_driver(folder, "mlx5_core");
}

/* ---- counters of ports ------------------------------------------------------------------------
 */

/* What mlx5, mlx4 and the kernel's rxe call it. */
static const char *const retransmission_files[] = {"hw_counters/local_ack_timeout_err",
                                                   "hw_counters/packet_seq_err",
                                                   "hw_counters/rnr_nak_retry_err",
                                                   "hw_counters/sq_num_to",
                                                   "hw_counters/sq_num_oos",
                                                   "hw_counters/sq_num_rnr",
                                                   "hw_counters/rcvd_seq_err",
                                                   "hw_counters/rcvd_rnr_err",
                                                   "hw_counters/retry_exceeded_err"};
static const char *const error_files[] = {"counters/symbol_error", "counters/port_rcv_errors",
                                          "counters/local_link_integrity_errors",
                                          "counters/link_error_recovery"};
static const char *const downed_files[] = {"counters/link_downed"};

/* UINT64_MAX: none of them is there. */
static uint64_t sum_of(const char *folder, const char *const *files, size_t count)
{
    uint64_t sum = UINT64_MAX, value;
    char path[PATH_MAX];

    for (size_t i = 0; i < count; i++)
        if (path_of(path, folder, "/%s", files[i]) && number_of(path, &value))
            sum = sum == UINT64_MAX ? value : sum + value;
    return sum;
}

static void read_counters(const char *root, const char *hca, struct topo_gauges *gauges)
{
    char folder[PATH_MAX];

    for (unsigned number = 1; number <= TOPO_HCA_PORT_MAX; number++) {
        struct topo_port_gauge *gauge = &gauges->ports[gauges->port_count];

        if (gauges->port_count == TOPO_GAUGE_PORT_MAX ||
            !path_of(folder, root, "/sys/class/infiniband/%s/ports/%u", hca, number) ||
            access(folder, F_OK) != 0)
            return;
        *gauge = (struct topo_port_gauge){
            .number = (uint8_t)number,
            .retransmissions =
                sum_of(folder, retransmission_files, FAB_ARRAY_LEN(retransmission_files)),
            .errors = sum_of(folder, error_files, FAB_ARRAY_LEN(error_files)),
            .link_downed = sum_of(folder, downed_files, FAB_ARRAY_LEN(downed_files))};
        topo_text_copy(gauge->hca, sizeof(gauge->hca), hca);
        gauges->port_count++;
    }
}

void topo_sysroot_read_ports(const char *sysroot, struct topo_gauges *gauges)
{
    const char *root = root_of(sysroot);
    char path[PATH_MAX];
    DIR *hcas = path_of(path, root, "/sys/class/infiniband") ? opendir(path) : NULL;
    struct dirent *entry;

    while (hcas && (entry = readdir(hcas)))
        if (entry->d_name[0] != '.')
            read_counters(root, entry->d_name, gauges);
    if (hcas)
        (void)closedir(hcas);
}

/* ---- PCI: ACS, BAR1 ---------------------------------------------------------------------------
 */

enum {
    CONFIG_EXTENDED = 0x100, /* where extended capabilities begin */
    CONFIG_BYTES = 0x1000,
    CAPABILITY_ACS = 0x000d,
    ACS_CONTROL = 6,                                               /* offset of the control word */
    ACS_REDIRECT = 1 << 2 /* peer-to-peer requests ... */ | 1 << 3 /* and completions */
};

/* Source: PCI Express Base Specification, extended capability list and ACS capability. */
static bool acs_redirects(const uint8_t *config, size_t size_bytes)
{
    size_t at = CONFIG_EXTENDED;

    for (unsigned steps = 0; steps < CONFIG_BYTES / 4; steps++) {
        uint32_t header;

        if (at < CONFIG_EXTENDED || at + 8 > size_bytes)
            return false;
        header = (uint32_t)(config[at] | config[at + 1] << 8 | config[at + 2] << 16) |
                 (uint32_t)config[at + 3] << 24;
        if ((header & 0xffff) == CAPABILITY_ACS)
            return (config[at + ACS_CONTROL] & ACS_REDIRECT) != 0;
        at = header >> 20 & 0xffc;
    }
    return false;
}

static void read_acs(const char *root, struct topo_pci *pci)
{
    char path[PATH_MAX], bdf[TOPO_BDF_BYTES];
    size_t size_bytes = 0;
    char *config;

    if (!path_of(path, root, "/sys/bus/pci/devices/%s/config", topo_bdf_format(&pci->bdf, bdf)))
        return;
    config = text_of(path, &size_bytes);
    pci->acs = config && acs_redirects((const uint8_t *)config, size_bytes);
    free(config);
}

/* The second line of `resource` is BAR 1: "start end flags". NVML's figure is better. */
static void read_bar1(const char *root, const struct topo_bdf *bdf, struct topo_gpu *gpu)
{
    char path[PATH_MAX], text[TOPO_BDF_BYTES];
    unsigned long long first, last;
    char *resource, *line;

    if (gpu->bar1_bytes != 0 ||
        !path_of(path, root, "/sys/bus/pci/devices/%s/resource", topo_bdf_format(bdf, text)))
        return;
    resource = text_of(path, NULL);
    line = resource ? strchr(resource, '\n') : NULL;
    if (line) {
        first = strtoull(line, &line, HEXADECIMAL);
        last = strtoull(line, NULL, HEXADECIMAL);
        gpu->bar1_bytes = last > first ? last - first + 1 : 0;
    }
    free(resource);
}

/* ---- the host ---------------------------------------------------------------------------------
 */

static bool group_has(const char *root, const char *group, const struct topo_machine *machine)
{
    char path[PATH_MAX], bdf[TOPO_BDF_BYTES];

    for (uint32_t i = 0; i < machine->pci_count; i++) {
        const struct topo_pci *pci = &machine->pci[i];

        if (pci->kind == TOPO_PCI_DEVICE &&
            path_of(path, root, "/sys/kernel/iommu_groups/%s/devices/%s", group,
                    topo_bdf_format(&pci->bdf, bdf)) &&
            faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

/* Addresses are translated for a GPU or HCA unless its group is of type "identity". */
static bool iommu_translates(const char *root, const struct topo_machine *machine)
{
    char path[PATH_MAX];
    DIR *groups = path_of(path, root, "/sys/kernel/iommu_groups") ? opendir(path) : NULL;
    struct dirent *entry;
    bool found = false;

    while (groups && !found && (entry = readdir(groups))) {
        char *type;

        if (entry->d_name[0] == '.' ||
            !path_of(path, root, "/sys/kernel/iommu_groups/%s/type", entry->d_name))
            continue;
        type = text_of(path, NULL);
        found = type && strncmp(type, "identity", strlen("identity")) != 0 &&
                group_has(root, entry->d_name, machine);
        free(type);
    }
    if (groups)
        (void)closedir(groups);
    return found;
}

static uint64_t memlock_of(const char *root)
{
    static const char title[] = "Max locked memory";
    char path[PATH_MAX];
    char *text = path_of(path, root, "/proc/self/limits") ? text_of(path, NULL) : NULL;
    const char *line = text ? strstr(text, title) : NULL;
    uint64_t bytes = 0;

    if (line) {
        line += strlen(title);
        line += strspn(line, " ");
        bytes =
            strncmp(line, "unlimited", strlen("unlimited")) ? strtoull(line, NULL, 10) : UINT64_MAX;
    }
    free(text);
    return bytes;
}

/* The open kernel module exports memory of Turing and later. Source: GPUDirect RDMA guide. */
static void read_gpu_dma_buf(const char *root, struct topo_machine *machine)
{
    char path[PATH_MAX];
    char *version = path_of(path, root, "/proc/driver/nvidia/version") ? text_of(path, NULL) : NULL;
    bool is_open = version && strstr(version, "Open Kernel Module");

    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        struct topo_gpu *gpu = &machine->gpus[i];

        gpu->has_dma_buf =
            is_open && (gpu->cc_major > TURING_MAJOR ||
                        (gpu->cc_major == TURING_MAJOR && gpu->cc_minor >= TURING_MINOR));
    }
    free(version);
}

static void read_boot_id(const char *root, struct topo_machine *machine)
{
    char path[PATH_MAX];
    char *text =
        path_of(path, root, "/proc/sys/kernel/random/boot_id") ? text_of(path, NULL) : NULL;

    if (text) {
        text[strcspn(text, "\n")] = '\0';
        topo_text_copy(machine->boot_id, sizeof(machine->boot_id), text);
    }
    free(text);
}

/* The version of an OFED package's core module; the kernel's own has none of these files. */
static void read_ofed(const char *root, struct topo_software *software)
{
    static const char *const modules[] = {"mlx_compat", "compat"};

    for (size_t i = 0; i < FAB_ARRAY_LEN(modules) && !software->ofed[0]; i++) {
        char path[PATH_MAX];
        char *text =
            path_of(path, root, "/sys/module/%s/version", modules[i]) ? text_of(path, NULL) : NULL;

        if (text) {
            text[strcspn(text, "\n")] = '\0';
            topo_text_copy(software->ofed, sizeof(software->ofed), text);
        }
        free(text);
    }
}

void topo_sysroot_read(const char *sysroot, struct topo_machine *machine)
{
    const char *root = root_of(sysroot);
    struct topo_gpudirect *gpudirect = &machine->gpudirect;

    read_boot_id(root, machine);
    read_ofed(root, &machine->software);
    for (uint32_t i = 0; i < machine->hca_count; i++)
        read_hca(root, &machine->hcas[i]);
    for (uint32_t i = 0; i < machine->pci_count; i++) {
        if (machine->pci[i].kind == TOPO_PCI_BRIDGE)
            read_acs(root, &machine->pci[i]);
    }
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        if (machine->gpus[i].pci != TOPO_NONE)
            read_bar1(root, &machine->pci[machine->gpus[i].pci].bdf, &machine->gpus[i]);
    }
    read_gpu_dma_buf(root, machine);
    gpudirect->has_nvidia_peermem = exists(root, "/sys/module/nvidia_peermem");
    gpudirect->has_nv_peer_mem = exists(root, "/sys/module/nv_peer_mem") ||
                                 exists(root, "/sys/kernel/mm/memory_peers/nv_mem");
    gpudirect->has_gdrdrv = exists(root, "/sys/module/gdrdrv");
    gpudirect->iommu_translates = iommu_translates(root, machine);
    gpudirect->memlock_bytes = memlock_of(root);
}
