/* SPDX-License-Identifier: Apache-2.0
 * topology/hwloc.c - the only file that knows hwloc: NUMA nodes, PCI tree, HCAs.
 *
 * Parents are walked by hand: hwloc_get_common_ancestor_obj() of two I/O objects of different
 * nesting crashes in hwloc 2.9.
 */
#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "topology/machine_int.h"

enum { VENDOR_NVIDIA = 0x10de, CLASS_DISPLAY = 0x03, MB_PER_GB = 1000, HEXADECIMAL = 16 };

static enum fab_status too_many(struct fab_err *err, const char *what, unsigned most)
{
    return fab_err_set(err, FAB_ERR_LIMIT, "more than %u %s", most, what);
}

static enum fab_status read_numa(hwloc_topology_t topology, struct topo_machine *machine,
                                 struct fab_err *err)
{
    hwloc_obj_t object = NULL;

    while ((object = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, object))) {
        struct topo_numa *numa = &machine->numa[machine->numa_count];
        int length;

        if (machine->numa_count == TOPO_NUMA_MAX)
            return too_many(err, "NUMA nodes", TOPO_NUMA_MAX);
        numa->os_index = object->os_index;
        numa->memory_bytes = object->attr->numanode.local_memory;
        length = hwloc_bitmap_list_snprintf(numa->cpus, sizeof(numa->cpus), object->cpuset);
        if (length < 0 || (size_t)length >= sizeof(numa->cpus))
            return fab_err_set(err, FAB_ERR_LIMIT, "the CPUs of NUMA node %u as text",
                               numa->os_index);
        machine->numa_count++;
    }
    return FAB_OK;
}

static int32_t numa_of(hwloc_topology_t topology, hwloc_obj_t object,
                       const struct topo_machine *machine)
{
    hwloc_obj_t home = hwloc_get_non_io_ancestor_obj(topology, object);

    if (!home || hwloc_bitmap_weight(home->nodeset) != 1)
        return TOPO_NONE;
    for (uint32_t i = 0; i < machine->numa_count; i++) {
        if (hwloc_bitmap_isset(home->nodeset, machine->numa[i].os_index))
            return (int32_t)i;
    }
    return TOPO_NONE;
}

static bool is_pci(hwloc_obj_t object)
{
    return object && (object->type == HWLOC_OBJ_PCI_DEVICE || object->type == HWLOC_OBJ_BRIDGE);
}

static bool is_host_bridge(hwloc_obj_t object)
{
    return object->type == HWLOC_OBJ_BRIDGE &&
           object->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST;
}

static struct topo_pci *add(struct topo_machine *machine, struct topo_pci pci)
{
    if (machine->pci_count == TOPO_PCI_MAX)
        return NULL;
    machine->pci[machine->pci_count] = pci;
    return &machine->pci[machine->pci_count++];
}

static struct topo_pci root_of(hwloc_obj_t object, int32_t numa)
{
    struct topo_pci root = {.kind = TOPO_PCI_ROOT, .parent = TOPO_NONE, .numa = numa};

    if (is_host_bridge(object)) {
        root.bdf.domain = object->attr->bridge.downstream.pci.domain;
        root.bdf.bus = object->attr->bridge.downstream.pci.secondary_bus;
    } else { /* a description that leaves host bridges out */
        root.bdf.domain = object->attr->pcidev.domain;
        root.bdf.bus = object->attr->pcidev.bus;
    }
    return root;
}

/* A bridge's own PCI facts stand in front of the others, as in a device. */
static struct topo_pci below(hwloc_obj_t object, int32_t parent, const struct topo_machine *machine)
{
    const struct hwloc_pcidev_attr_s *pci = object->type == HWLOC_OBJ_BRIDGE
                                                ? &object->attr->bridge.upstream.pci
                                                : &object->attr->pcidev;
    bool is_bridge = object->type == HWLOC_OBJ_BRIDGE;

    return (struct topo_pci){
        .kind = is_bridge ? TOPO_PCI_BRIDGE : TOPO_PCI_DEVICE,
        .bdf = {.domain = pci->domain, .bus = pci->bus, .device = pci->dev, .function = pci->func},
        .parent = parent,
        .numa = machine->pci[parent].numa,
        .link_mbps = pci->linkspeed > 0 && pci->linkspeed < 1e6f
                         ? (uint32_t)((double)pci->linkspeed * MB_PER_GB + 0.5)
                         : 0,
        .is_switch = is_bridge && machine->pci[parent].kind == TOPO_PCI_BRIDGE,
    };
}

/* Adds what leads to `object` and it itself; userdata of what is there already is its index + 1. */
static enum fab_status add_branch(hwloc_topology_t topology, hwloc_obj_t object,
                                  struct topo_machine *machine, int32_t *index_out,
                                  struct fab_err *err)
{
    hwloc_obj_t branch[TOPO_PCI_DEPTH_MAX + 1];
    unsigned length = 0;
    int32_t parent = TOPO_NONE;

    for (; is_pci(object) && !object->userdata; object = object->parent) {
        if (length == FAB_ARRAY_LEN(branch))
            return fab_err_set(err, FAB_ERR_LIMIT, "PCI bridges nested more than %d deep",
                               TOPO_PCI_DEPTH_MAX);
        branch[length++] = object;
    }
    if (is_pci(object))
        parent = (int32_t)((uintptr_t)object->userdata - 1);
    while (length > 0) {
        struct topo_pci *added = NULL;

        object = branch[--length];
        if (parent == TOPO_NONE) {
            added = add(machine, root_of(object, numa_of(topology, object, machine)));
            parent = (int32_t)machine->pci_count - 1;
        }
        if (!is_host_bridge(object)) {
            added = add(machine, below(object, parent, machine));
            parent = (int32_t)machine->pci_count - 1;
        }
        if (!added)
            return too_many(err, "PCI bridges and devices", TOPO_PCI_MAX);
        object->userdata = (void *)((uintptr_t)parent + 1);
    }
    *index_out = parent;
    return FAB_OK;
}

/* ---- HCAs -------------------------------------------------------------------------------------
 */

/* "e41d:2d03:00b0:00d0" */
static uint64_t guid_of(hwloc_obj_t object, const char *name)
{
    const char *text = hwloc_obj_get_info_by_name(object, name);
    uint64_t guid = 0;

    for (; text && *text; text++) {
        if (*text != ':')
            guid = guid << 4 | (strtoull((char[]){*text, '\0'}, NULL, HEXADECIMAL) & 0xf);
    }
    return guid;
}

static unsigned long port_info(hwloc_obj_t object, unsigned port, const char *what, bool *found)
{
    char name[32];
    const char *text;

    (void)snprintf(name, sizeof(name), "Port%u%s", port, what);
    text = hwloc_obj_get_info_by_name(object, name);
    *found = text != NULL;
    return text ? strtoul(text, NULL, 0) : 0;
}

static enum fab_status add_hca(hwloc_obj_t object, int32_t pci, struct topo_machine *machine,
                               struct fab_err *err)
{
    struct topo_hca *hca = &machine->hcas[machine->hca_count];
    bool found;

    if (machine->hca_count == TOPO_HCA_MAX)
        return too_many(err, "HCAs", TOPO_HCA_MAX);
    hca->pci = pci;
    topo_text_copy(hca->name, sizeof(hca->name), object->name ? object->name : "");
    hca->node_guid = guid_of(object, "NodeGUID");
    hca->system_guid = guid_of(object, "SysImageGUID");
    for (unsigned number = 1;; number++) {
        unsigned long state = port_info(object, number, "State", &found);
        unsigned long lid;

        if (!found)
            break;
        if (number > TOPO_HCA_PORT_MAX)
            return too_many(err, "ports of an HCA", TOPO_HCA_PORT_MAX);
        lid = port_info(object, number, "LID", &found);
        hca->ports[number - 1] = (struct topo_hca_port){
            .number = (uint8_t)number,
            .state = state <= TOPO_PORT_ACTIVE ? (enum topo_port_state)state : TOPO_PORT_UNKNOWN,
            .lid = lid <= UINT16_MAX ? (uint16_t)lid : 0};
        hca->port_count = number;
    }
    machine->hca_count++;
    return FAB_OK;
}

static enum fab_status add_gpu(int32_t pci, struct topo_machine *machine, struct fab_err *err)
{
    if (machine->gpu_count == TOPO_GPU_MAX)
        return too_many(err, "GPUs", TOPO_GPU_MAX);
    machine->gpus[machine->gpu_count++].pci = pci;
    return FAB_OK;
}

static bool is_gpu(hwloc_obj_t device)
{
    return device->attr->pcidev.vendor_id == VENDOR_NVIDIA &&
           device->attr->pcidev.class_id >> 8 == CLASS_DISPLAY;
}

/* A GPU, or every HCA that a driver made of the device. Other devices are left out. */
static enum fab_status read_device(hwloc_topology_t topology, hwloc_obj_t device,
                                   struct topo_machine *machine, struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    int32_t pci;

    if (is_gpu(device)) {
        status = add_branch(topology, device, machine, &pci, err);
        if (status == FAB_OK)
            status = add_gpu(pci, machine, err);
    }
    for (hwloc_obj_t child = device->io_first_child; child && status == FAB_OK;
         child = child->next_sibling) {
        if (child->type != HWLOC_OBJ_OS_DEVICE ||
            child->attr->osdev.type != HWLOC_OBJ_OSDEV_OPENFABRICS)
            continue;
        status = add_branch(topology, device, machine, &pci, err);
        if (status == FAB_OK)
            status = add_hca(child, pci, machine, err);
    }
    return status;
}

static int by_bus_id(const void *left, const void *right, void *context)
{
    const struct topo_machine *machine = context;
    const struct topo_bdf *a = &machine->pci[((const struct topo_gpu *)left)->pci].bdf;
    const struct topo_bdf *b = &machine->pci[((const struct topo_gpu *)right)->pci].bdf;

    if (a->domain != b->domain)
        return a->domain < b->domain ? -1 : 1;
    return (a->bus << 8 | a->device << 3 | a->function) -
           (b->bus << 8 | b->device << 3 | b->function);
}

static enum fab_status read_all(hwloc_topology_t topology, struct topo_machine *machine,
                                struct fab_err *err)
{
    enum fab_status status = read_numa(topology, machine, err);

    for (hwloc_obj_t device = NULL;
         status == FAB_OK && (device = hwloc_get_next_pcidev(topology, device));)
        status = read_device(topology, device, machine, err);
    if (status != FAB_OK)
        return status;
    qsort_r(machine->gpus, machine->gpu_count, sizeof(machine->gpus[0]), by_bus_id, machine);
    for (uint32_t i = 0; i < machine->gpu_count; i++)
        machine->gpus[i].index = i;
    return FAB_OK;
}

/* Parts of hwloc that would start drivers of GPUs or ask an X server, inside the daemon: the GPUs'
 * facts come from NVML. "pci" is libpciaccess, which loses memory each time; without it hwloc reads
 * the same from /sys. */
static void leave_out_components(hwloc_topology_t topology)
{
    static const char *const components[] = {"cuda", "nvml", "opencl",   "gl",
                                             "rsmi", "pci",  "levelzero"};

    /* hwloc refuses to leave out what it was built without. */
    for (size_t i = 0; i < FAB_ARRAY_LEN(components); i++)
        (void)hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                            components[i]);
}

enum fab_status topo_hwloc_read(const char *xml_path, struct topo_machine *machine,
                                struct fab_err *err)
{
    hwloc_topology_t topology;
    enum fab_status status;

    if (hwloc_topology_init(&topology) != 0)
        return fab_err_set(err, FAB_ERR_NOMEM, "hwloc");
    leave_out_components(topology);
    errno = 0;
    /* Without the filter hwloc drops I/O. */
    if (hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL) != 0)
        status = fab_err_set(err, FAB_ERR_NOMEM, "settings of hwloc");
    else if (xml_path && hwloc_topology_set_xml(topology, xml_path) != 0)
        status = fab_err_set(err, errno == ENOENT ? FAB_ERR_NOT_FOUND : FAB_ERR_FORMAT,
                             "%s: hwloc cannot read it", xml_path);
    else if (hwloc_topology_load(topology) != 0)
        status = fab_err_set(err, FAB_ERR_FORMAT, "%s: hwloc cannot load it",
                             xml_path ? xml_path : "this machine");
    else
        status = read_all(topology, machine, err);
    hwloc_topology_destroy(topology);
    return status;
}
