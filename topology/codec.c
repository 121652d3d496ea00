/* SPDX-License-Identifier: Apache-2.0
 * topology/codec.c - see codec.h. Each struct is a table of members (base/json_struct.h), which
 * proves types and ranges; topo_*_check() proves what members say of each other.
 */
#include "topology/codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/json_struct.h"

static enum fab_status encode_bdf(const void *from, json_t **json_out, struct fab_err *err)
{
    char text[TOPO_BDF_BYTES];

    (void)err;
    *json_out = json_string(topo_bdf_format(from, text));
    return FAB_OK;
}

static enum fab_status decode_bdf(const json_t *json, void *to, struct fab_err *err)
{
    const char *text = json_string_value(json);
    char again[TOPO_BDF_BYTES];
    struct topo_bdf bdf;

    if (!text || !topo_bdf_parse(text, &bdf) || strcmp(topo_bdf_format(&bdf, again), text) != 0)
        return fab_err_set(err, FAB_ERR_INVALID, "bdf is not a PCI address \"dddd:bb:dd.f\"");
    memcpy(to, &bdf, sizeof(bdf));
    return FAB_OK;
}

static const struct fab_json_own bdf_own = {.encode = encode_bdf, .decode = decode_bdf};

static const char *const pci_kinds[] = {"root", "bridge", "device", NULL};
static const char *const port_states[] = {"unknown", "down", "init", "armed", "active", NULL};
static const char *const fabric_kinds[] = {"hca", "switch", "router", NULL};

static const struct fab_json_member numa_rows[] = {
    FAB_JSON_MEMBER(topo_numa, os_index, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_numa, memory_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_numa, cpus, FAB_JSON_TEXT),
};
static const struct fab_json_struct numa_members = FAB_JSON_TABLE(numa_rows, topo_numa);

static const struct fab_json_member pci_rows[] = {
    FAB_JSON_NAMED(topo_pci, kind, pci_kinds),
    FAB_JSON_BY_OWNER(topo_pci, bdf, bdf_own),
    FAB_JSON_MEMBER(topo_pci, parent, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_pci, numa, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_pci, link_mbps, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_pci, is_switch, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_pci, acs, FAB_JSON_BOOL),
};
static const struct fab_json_struct pci_members = FAB_JSON_TABLE(pci_rows, topo_pci);

static const struct fab_json_member gpu_rows[] = {
    FAB_JSON_MEMBER(topo_gpu, pci, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_gpu, index, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu, name, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_gpu, uuid, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_gpu, memory_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_gpu, bar1_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_gpu, cc_major, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu, cc_minor, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu, has_dma_buf, FAB_JSON_BOOL),
};
static const struct fab_json_struct gpu_members = FAB_JSON_TABLE(gpu_rows, topo_gpu);

static const struct fab_json_member nvlink_rows[] = {
    FAB_JSON_MEMBER(topo_nvlink, a, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_nvlink, b, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_nvlink, links, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_nvlink, mbps, FAB_JSON_UINT),
};
static const struct fab_json_struct nvlink_members = FAB_JSON_TABLE(nvlink_rows, topo_nvlink);

static const struct fab_json_member hca_port_rows[] = {
    FAB_JSON_MEMBER(topo_hca_port, number, FAB_JSON_UINT),
    FAB_JSON_NAMED(topo_hca_port, state, port_states),
    FAB_JSON_MEMBER(topo_hca_port, lid, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_hca_port, rate_mbps, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_hca_port, manager_lid, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_hca_port, subnet, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_hca_port, netdev, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_hca_port, mtu, FAB_JSON_UINT),
};
static const struct fab_json_struct hca_port_members = FAB_JSON_TABLE(hca_port_rows, topo_hca_port);

static const struct fab_json_member hca_rows[] = {
    FAB_JSON_MEMBER(topo_hca, pci, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_hca, name, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_hca, node_guid, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_hca, system_guid, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_hca, has_dma_buf, FAB_JSON_BOOL),
    FAB_JSON_MANY(topo_hca, ports, FAB_JSON_ARRAY, port_count, TOPO_HCA_PORT_MAX,
                  &hca_port_members),
};
static const struct fab_json_struct hca_members = FAB_JSON_TABLE(hca_rows, topo_hca);

static const struct fab_json_member gpudirect_rows[] = {
    FAB_JSON_MEMBER(topo_gpudirect, has_nvidia_peermem, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_gpudirect, has_nv_peer_mem, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_gpudirect, has_gdrdrv, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_gpudirect, iommu_translates, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_gpudirect, memlock_bytes, FAB_JSON_U64),
};
static const struct fab_json_struct gpudirect_members =
    FAB_JSON_TABLE(gpudirect_rows, topo_gpudirect);

static const struct fab_json_member software_rows[] = {
    FAB_JSON_MEMBER(topo_software, driver, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_software, cuda, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_software, ofed, FAB_JSON_TEXT),
};
static const struct fab_json_struct software_members = FAB_JSON_TABLE(software_rows, topo_software);

static const struct fab_json_member machine_rows[] = {
    FAB_JSON_MEMBER(topo_machine, name, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_machine, boot_id, FAB_JSON_TEXT),
    FAB_JSON_INSIDE(topo_machine, software, software_members),
    FAB_JSON_MANY(topo_machine, numa, FAB_JSON_ARRAY, numa_count, TOPO_NUMA_MAX, &numa_members),
    FAB_JSON_MANY(topo_machine, pci, FAB_JSON_ARRAY, pci_count, TOPO_PCI_MAX, &pci_members),
    FAB_JSON_MANY(topo_machine, gpus, FAB_JSON_ARRAY, gpu_count, TOPO_GPU_MAX, &gpu_members),
    FAB_JSON_MANY(topo_machine, nvlinks, FAB_JSON_ARRAY, nvlink_count, TOPO_NVLINK_MAX,
                  &nvlink_members),
    FAB_JSON_MANY(topo_machine, hcas, FAB_JSON_ARRAY, hca_count, TOPO_HCA_MAX, &hca_members),
    FAB_JSON_INSIDE(topo_machine, gpudirect, gpudirect_members),
};
static const struct fab_json_struct machine_members = FAB_JSON_TABLE(machine_rows, topo_machine);

static const struct fab_json_member node_rows[] = {
    FAB_JSON_NAMED(topo_fabric_node, kind, fabric_kinds),
    FAB_JSON_MEMBER(topo_fabric_node, guid, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_fabric_node, system_guid, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_fabric_node, vendor, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_node, device, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_node, lid, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_node, first_port, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_node, port_count, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_node, description, FAB_JSON_TEXT),
};
static const struct fab_json_struct node_members = FAB_JSON_TABLE(node_rows, topo_fabric_node);

static const struct fab_json_member port_rows[] = {
    FAB_JSON_MEMBER(topo_fabric_port, node, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, number, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, peer, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(topo_fabric_port, guid, FAB_JSON_GUID),
    FAB_JSON_MEMBER(topo_fabric_port, lid, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, lmc, FAB_JSON_UINT),
    FAB_JSON_NAMED(topo_fabric_port, state, port_states),
    FAB_JSON_MEMBER(topo_fabric_port, is_polling, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_fabric_port, width, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, lane_mbps, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, enabled_mbps, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_fabric_port, has_counters, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(topo_fabric_port, symbol_errors, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, link_downed, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, link_recoveries, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, receive_errors, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, transmit_discards, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, transmit_wait, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, transmit_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_fabric_port, receive_bytes, FAB_JSON_U64),
};
static const struct fab_json_struct port_members = FAB_JSON_TABLE(port_rows, topo_fabric_port);

static const struct fab_json_member fabric_rows[] = {
    FAB_JSON_MANY(topo_fabric, nodes, FAB_JSON_LIST, node_count, TOPO_FABRIC_NODE_MAX,
                  &node_members),
    FAB_JSON_MANY(topo_fabric, ports, FAB_JSON_LIST, port_count, TOPO_FABRIC_PORT_MAX,
                  &port_members),
};
static const struct fab_json_struct fabric_members = FAB_JSON_TABLE(fabric_rows, topo_fabric);

static const struct fab_json_member gpu_gauge_rows[] = {
    FAB_JSON_MEMBER(topo_gpu_gauge, uuid, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_gpu_gauge, load, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu_gauge, sm_mhz, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu_gauge, celsius, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu_gauge, power_mw, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_gpu_gauge, used_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_gpu_gauge, energy_mj, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_gpu_gauge, slowed_by, FAB_JSON_U64),
};
static const struct fab_json_struct gpu_gauge_members =
    FAB_JSON_TABLE(gpu_gauge_rows, topo_gpu_gauge);

static const struct fab_json_member port_gauge_rows[] = {
    FAB_JSON_MEMBER(topo_port_gauge, hca, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(topo_port_gauge, number, FAB_JSON_UINT),
    FAB_JSON_MEMBER(topo_port_gauge, retransmissions, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_port_gauge, errors, FAB_JSON_U64),
    FAB_JSON_MEMBER(topo_port_gauge, link_downed, FAB_JSON_U64),
};
static const struct fab_json_struct port_gauge_members =
    FAB_JSON_TABLE(port_gauge_rows, topo_port_gauge);

static const struct fab_json_member gauges_rows[] = {
    FAB_JSON_MANY(topo_gauges, gpus, FAB_JSON_ARRAY, gpu_count, TOPO_GPU_MAX, &gpu_gauge_members),
    FAB_JSON_MANY(topo_gauges, ports, FAB_JSON_ARRAY, port_count, TOPO_GAUGE_PORT_MAX,
                  &port_gauge_members),
};
static const struct fab_json_struct gauges_members = FAB_JSON_TABLE(gauges_rows, topo_gauges);

static enum fab_status encode(const struct fab_json_struct *table, const void *from,
                              const char *name, json_t **json_out, struct fab_err *err)
{
    json_t *json = json_object();
    enum fab_status status;

    if (!json)
        return fab_err_set(err, FAB_ERR_NOMEM, "the record of %s as JSON", name);
    status = fab_json_encode(table, from, json, err);
    if (status == FAB_OK)
        *json_out = json;
    else
        json_decref(json);
    return status;
}

enum fab_status topo_machine_to_json(const struct topo_machine *machine, json_t **json_out,
                                     struct fab_err *err)
{
    enum fab_status status = topo_machine_check(machine, err);

    return status == FAB_OK ? encode(&machine_members, machine, machine->name, json_out, err)
                            : status;
}

enum fab_status topo_fabric_to_json(const struct topo_fabric *fabric, json_t **json_out,
                                    struct fab_err *err)
{
    enum fab_status status = topo_fabric_check(fabric, err);

    return status == FAB_OK ? encode(&fabric_members, fabric, "the fabric", json_out, err) : status;
}

enum fab_status topo_machine_from_json(const json_t *json, struct topo_machine *machine_out,
                                       struct fab_err *err)
{
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    enum fab_status status;

    if (!machine)
        return fab_err_set(err, FAB_ERR_NOMEM, "a machine's record");
    status = fab_json_decode(&machine_members, json, "the record", machine, err);
    if (status == FAB_OK)
        status = topo_machine_check(machine, err);
    if (status == FAB_OK)
        *machine_out = *machine;
    free(machine);
    return status;
}

enum fab_status topo_fabric_from_json(const json_t *json, struct topo_fabric *fabric_out,
                                      struct fab_err *err)
{
    struct topo_fabric fabric = {0};
    enum fab_status status;

    if (!json_is_object(json) || json_object_size(json) != 2)
        return fab_err_set(err, FAB_ERR_INVALID, "a fabric is an object of nodes and ports");
    status = fab_json_decode(&fabric_members, json, "the record", &fabric, err);
    if (status == FAB_OK)
        status = topo_fabric_check(&fabric, err);
    if (status != FAB_OK) {
        topo_fabric_clear(&fabric);
        return status;
    }
    *fabric_out = fabric;
    return FAB_OK;
}

enum fab_status topo_gauges_to_json(const struct topo_gauges *gauges, json_t **json_out,
                                    struct fab_err *err)
{
    return encode(&gauges_members, gauges, "gauges", json_out, err);
}

enum fab_status topo_gauges_from_json(const json_t *json, struct topo_gauges *gauges_out,
                                      struct fab_err *err)
{
    struct topo_gauges *gauges = fab_alloc_zeroed(1, sizeof(*gauges));
    enum fab_status status;

    if (!gauges)
        return fab_err_set(err, FAB_ERR_NOMEM, "gauges");
    status = fab_json_decode(&gauges_members, json, "gauges", gauges, err);
    if (status == FAB_OK)
        *gauges_out = *gauges;
    free(gauges);
    return status;
}
