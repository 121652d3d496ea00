/* SPDX-License-Identifier: Apache-2.0
 * topology/records.c - what holds for every record, and freeing one.
 */
#include "topology/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { ASCII_FIRST = 0x20, ASCII_LAST = 0x7e };

static bool is_text(const char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        if (text[i] == '\0')
            return true;
        if (text[i] < ASCII_FIRST || text[i] > ASCII_LAST)
            return false;
    }
    return false;
}

#define IS_TEXT(array) is_text((array), sizeof(array))

static enum fab_status bad(struct fab_err *err, const char *what, uint32_t index)
{
    return fab_err_set(err, FAB_ERR_INVALID, "%s %u is not valid", what, index);
}

/* A name becomes a part of path-like names. */
static bool is_name(const char *name)
{
    return name[0] != '\0' && !strpbrk(name, "/ :\"\\<>&");
}

static bool is_index(int32_t index, uint32_t count)
{
    return index >= 0 && (uint32_t)index < count;
}

static bool is_index_or_none(int32_t index, uint32_t count)
{
    return index == TOPO_NONE || is_index(index, count);
}

static enum fab_status check_pci(const struct topo_machine *machine, struct fab_err *err)
{
    uint8_t depth[TOPO_PCI_MAX];

    for (uint32_t i = 0; i < machine->pci_count; i++) {
        const struct topo_pci *pci = &machine->pci[i];
        bool is_root = pci->kind == TOPO_PCI_ROOT;

        if (pci->kind > TOPO_PCI_DEVICE || !is_index_or_none(pci->numa, machine->numa_count) ||
            is_root != (pci->parent == TOPO_NONE) || (!is_root && !is_index(pci->parent, i)) ||
            (!is_root && machine->pci[pci->parent].kind == TOPO_PCI_DEVICE) ||
            pci->bdf.device > 31 || pci->bdf.function > 7)
            return bad(err, "pci", i);
        depth[i] = is_root ? 0 : (uint8_t)(depth[pci->parent] + 1);
        if (depth[i] > TOPO_PCI_DEPTH_MAX)
            return fab_err_set(err, FAB_ERR_LIMIT, "pci %u is nested more than %d deep", i,
                               TOPO_PCI_DEPTH_MAX);
    }
    return FAB_OK;
}

static bool is_device(const struct topo_machine *machine, int32_t pci)
{
    return is_index(pci, machine->pci_count) && machine->pci[pci].kind == TOPO_PCI_DEVICE;
}

static enum fab_status check_gpus(const struct topo_machine *machine, struct fab_err *err)
{
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        const struct topo_gpu *gpu = &machine->gpus[i];

        if ((gpu->pci != TOPO_NONE && !is_device(machine, gpu->pci)) || !IS_TEXT(gpu->name) ||
            !IS_TEXT(gpu->uuid))
            return bad(err, "GPU", i);
        for (uint32_t other = 0; other < i; other++) {
            if (machine->gpus[other].index == gpu->index ||
                (gpu->pci != TOPO_NONE && machine->gpus[other].pci == gpu->pci))
                return fab_err_set(err, FAB_ERR_INVALID, "GPU %u and %u are the same", other, i);
        }
    }
    return FAB_OK;
}

static enum fab_status check_nvlinks(const struct topo_machine *machine, struct fab_err *err)
{
    for (uint32_t i = 0; i < machine->nvlink_count; i++) {
        const struct topo_nvlink *link = &machine->nvlinks[i];

        if (!is_index(link->a, machine->gpu_count) || !is_index(link->b, machine->gpu_count) ||
            link->a >= link->b || link->links == 0)
            return bad(err, "NVLink", i);
        for (uint32_t other = 0; other < i; other++) {
            if (machine->nvlinks[other].a == link->a && machine->nvlinks[other].b == link->b)
                return fab_err_set(err, FAB_ERR_INVALID, "NVLink %u and %u are the same", other, i);
        }
    }
    return FAB_OK;
}

static bool is_port(const struct topo_hca_port *port, uint32_t place)
{
    return port->number == place + 1 && port->state <= TOPO_PORT_ACTIVE && IS_TEXT(port->netdev);
}

static enum fab_status check_hcas(const struct topo_machine *machine, struct fab_err *err)
{
    for (uint32_t i = 0; i < machine->hca_count; i++) {
        const struct topo_hca *hca = &machine->hcas[i];

        if (!is_device(machine, hca->pci) || !IS_TEXT(hca->name) || !is_name(hca->name) ||
            hca->port_count > TOPO_HCA_PORT_MAX)
            return bad(err, "HCA", i);
        for (uint32_t port = 0; port < hca->port_count; port++) {
            if (!is_port(&hca->ports[port], port))
                return fab_err_set(err, FAB_ERR_INVALID, "port %u of %s is not valid", port + 1,
                                   hca->name);
        }
        for (uint32_t other = 0; other < i; other++) {
            if (!strcmp(machine->hcas[other].name, hca->name))
                return fab_err_set(err, FAB_ERR_INVALID, "two HCAs are named %s", hca->name);
        }
    }
    return FAB_OK;
}

static enum fab_status check_numa(const struct topo_machine *machine, struct fab_err *err)
{
    for (uint32_t i = 0; i < machine->numa_count; i++) {
        if (!IS_TEXT(machine->numa[i].cpus))
            return bad(err, "NUMA node", i);
        for (uint32_t other = 0; other < i; other++) {
            if (machine->numa[other].os_index == machine->numa[i].os_index)
                return fab_err_set(err, FAB_ERR_INVALID, "two NUMA nodes are number %u",
                                   machine->numa[i].os_index);
        }
    }
    return FAB_OK;
}

enum fab_status topo_machine_check(const struct topo_machine *machine, struct fab_err *err)
{
    enum fab_status status;

    if (!IS_TEXT(machine->name) || !is_name(machine->name) || !IS_TEXT(machine->boot_id) ||
        !IS_TEXT(machine->software.driver) || !IS_TEXT(machine->software.ofed))
        return fab_err_set(err, FAB_ERR_INVALID,
                           "the machine's name, boot id or software is not valid");
    if (machine->numa_count > TOPO_NUMA_MAX || machine->pci_count > TOPO_PCI_MAX ||
        machine->gpu_count > TOPO_GPU_MAX || machine->nvlink_count > TOPO_NVLINK_MAX ||
        machine->hca_count > TOPO_HCA_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: more of something than a record holds",
                           machine->name);
    status = check_numa(machine, err);
    if (status == FAB_OK)
        status = check_pci(machine, err);
    if (status == FAB_OK)
        status = check_gpus(machine, err);
    if (status == FAB_OK)
        status = check_nvlinks(machine, err);
    if (status == FAB_OK)
        status = check_hcas(machine, err);
    if (status != FAB_OK)
        fab_err_context(err, "%s", machine->name);
    return status;
}

/* Ports of a node stand together and in the order of nodes, so that none is in two. */
static enum fab_status check_nodes(const struct topo_fabric *fabric, struct fab_err *err)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < fabric->node_count; i++) {
        const struct topo_fabric_node *node = &fabric->nodes[i];

        if (node->kind > TOPO_FABRIC_ROUTER || !IS_TEXT(node->description) ||
            node->first_port != next || node->port_count > UINT8_MAX)
            return bad(err, "fabric node", i);
        next += node->port_count;
    }
    if (next != fabric->port_count)
        return fab_err_set(err, FAB_ERR_INVALID, "%u fabric ports, the nodes have %llu",
                           fabric->port_count, (unsigned long long)next);
    return FAB_OK;
}

static enum fab_status check_ports(const struct topo_fabric *fabric, struct fab_err *err)
{
    for (uint32_t i = 0; i < fabric->port_count; i++) {
        const struct topo_fabric_port *port = &fabric->ports[i];
        const struct topo_fabric_node *node;

        if (port->node >= fabric->node_count || port->state > TOPO_PORT_ACTIVE ||
            !is_index_or_none(port->peer, fabric->port_count) || port->lmc > 7)
            return bad(err, "fabric port", i);
        node = &fabric->nodes[port->node];
        if (i < node->first_port || i - node->first_port >= node->port_count)
            return bad(err, "fabric port", i);
        if (port->peer != TOPO_NONE &&
            (fabric->ports[port->peer].peer != (int32_t)i || port->peer == (int32_t)i))
            return fab_err_set(err, FAB_ERR_INVALID, "the cable of fabric port %u has one end", i);
    }
    return FAB_OK;
}

enum fab_status topo_fabric_check(const struct topo_fabric *fabric, struct fab_err *err)
{
    enum fab_status status;

    if (fabric->node_count > TOPO_FABRIC_NODE_MAX || fabric->port_count > TOPO_FABRIC_PORT_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "a fabric of %u nodes and %u ports is too large",
                           fabric->node_count, fabric->port_count);
    status = check_nodes(fabric, err);
    return status == FAB_OK ? check_ports(fabric, err) : status;
}

/* Up to `most` hexadecimal digits, at least one, then `end`; NULL otherwise. */
static const char *hex_field(const char *text, size_t most, char end, uint32_t *value_out)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");

    if (digits == 0 || digits > most || text[digits] != end)
        return NULL;
    *value_out = (uint32_t)strtoul(text, NULL, 16);
    return text + digits + (end != '\0');
}

bool topo_bdf_parse(const char *text, struct topo_bdf *bdf_out)
{
    uint32_t domain, bus, device, function;
    const char *rest = hex_field(text, 8, ':', &domain);

    rest = rest ? hex_field(rest, 2, ':', &bus) : NULL;
    rest = rest ? hex_field(rest, 2, '.', &device) : NULL;
    rest = rest ? hex_field(rest, 1, '\0', &function) : NULL;
    if (!rest || device > 31 || function > 7)
        return false;
    *bdf_out = (struct topo_bdf){.domain = domain,
                                 .bus = (uint8_t)bus,
                                 .device = (uint8_t)device,
                                 .function = (uint8_t)function};
    return true;
}

bool topo_bdf_is_equal(const struct topo_bdf *a, const struct topo_bdf *b)
{
    return a->domain == b->domain && a->bus == b->bus && a->device == b->device &&
           a->function == b->function;
}

const char *topo_bdf_format(const struct topo_bdf *bdf, char text[TOPO_BDF_BYTES])
{
    (void)snprintf(text, TOPO_BDF_BYTES, "%04x:%02x:%02x.%x", bdf->domain, bdf->bus, bdf->device,
                   bdf->function);
    return text;
}

void topo_fabric_clear(struct topo_fabric *fabric)
{
    free(fabric->nodes);
    free(fabric->ports);
    *fabric = (struct topo_fabric){0};
}
