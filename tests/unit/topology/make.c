/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/topology/make.c - see make.h.
 */
#include "tests/unit/topology/make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

enum { X16 = 15754, X8 = 7877, NODES = 64, PORTS = 36 };

static int32_t add(struct topo_machine *machine, struct topo_pci pci)
{
    if (pci.parent != TOPO_NONE)
        pci.numa = machine->pci[pci.parent].numa;
    machine->pci[machine->pci_count] = pci;
    return (int32_t)machine->pci_count++;
}

static int32_t root(struct topo_machine *machine, uint8_t bus, int32_t numa)
{
    return add(machine,
               (struct topo_pci){
                   .kind = TOPO_PCI_ROOT, .bdf.bus = bus, .parent = TOPO_NONE, .numa = numa});
}

static int32_t below(struct topo_machine *machine, enum topo_pci_kind kind, int32_t parent,
                     uint32_t mbps, bool is_switch)
{
    return add(machine, (struct topo_pci){.kind = kind,
                                          .bdf = {.bus = (uint8_t)(machine->pci_count + 1)},
                                          .parent = parent,
                                          .link_mbps = mbps,
                                          .is_switch = is_switch});
}

/* Behind a port of its own, of a root or of a switch. */
static int32_t device(struct topo_machine *machine, int32_t above, uint32_t mbps)
{
    bool is_in_switch = machine->pci[above].kind == TOPO_PCI_BRIDGE;
    int32_t port = below(machine, TOPO_PCI_BRIDGE, above, mbps, is_in_switch);

    return below(machine, TOPO_PCI_DEVICE, port, mbps, false);
}

/* The upper port of a switch on a port of `above`. */
static int32_t pci_switch(struct topo_machine *machine, int32_t above)
{
    bool is_in_switch = machine->pci[above].kind == TOPO_PCI_BRIDGE;
    int32_t port = below(machine, TOPO_PCI_BRIDGE, above, X16, is_in_switch);

    return below(machine, TOPO_PCI_BRIDGE, port, X16, true);
}

static void gpu(struct topo_machine *machine, int32_t above)
{
    struct topo_gpu *gpu = &machine->gpus[machine->gpu_count];

    gpu->pci = device(machine, above, X16);
    gpu->index = machine->gpu_count;
    gpu->memory_bytes = (uint64_t)16 << 30;
    gpu->bar1_bytes = (uint64_t)16 << 30;
    gpu->cc_major = 6;
    (void)snprintf(gpu->name, sizeof(gpu->name), "Tesla P100-PCIE-16GB");
    (void)snprintf(gpu->uuid, sizeof(gpu->uuid), "GPU-%u", machine->gpu_count);
    machine->gpu_count++;
}

static void hca(struct topo_machine *machine, int32_t above, uint64_t guid, uint32_t ports)
{
    struct topo_hca *hca = &machine->hcas[machine->hca_count];

    hca->pci = device(machine, above, X8);
    (void)snprintf(hca->name, sizeof(hca->name), "mlx4_%u", machine->hca_count);
    hca->node_guid = guid + UINT64_C(0x10) * machine->hca_count;
    hca->system_guid = hca->node_guid + 3;
    hca->port_count = ports;
    for (uint32_t i = 0; i < ports; i++) {
        hca->ports[i] = (struct topo_hca_port){
            .number = (uint8_t)(i + 1), .state = TOPO_PORT_ACTIVE, .rate_mbps = 6816, .mtu = 2044};
        (void)snprintf(hca->ports[i].netdev, sizeof(hca->ports[i].netdev), "ib%u",
                       2 * machine->hca_count + i);
    }
    machine->hca_count++;
}

static void k80(struct topo_machine *machine, int32_t above)
{
    int32_t card = pci_switch(machine, above);

    gpu(machine, card);
    gpu(machine, card);
}

static void k80_cards(struct topo_machine *machine, int32_t above)
{
    int32_t card = pci_switch(machine, above);

    k80(machine, card);
    k80(machine, card);
}

/* A, B, K: one switch on one socket, the HCA on a root port of it. */
static void one_switch(struct topo_machine *machine, int32_t first, uint64_t guid, bool has_nvlinks)
{
    int32_t card;

    hca(machine, first, guid, 2);
    card = pci_switch(machine, first);
    for (unsigned i = 0; i < 4; i++)
        gpu(machine, card);
    for (int32_t pair = 0; pair < 16 && has_nvlinks; pair++) {
        if (pair / 4 < pair % 4)
            machine->nvlinks[machine->nvlink_count++] =
                (struct topo_nvlink){pair / 4, pair % 4, 2, 50000};
    }
}

/* C, D: GPUs on root ports of both sockets. */
static void no_switch(struct topo_machine *machine, int32_t first, uint64_t guid, unsigned gpus)
{
    int32_t second;

    hca(machine, first, guid, 2);
    for (unsigned i = 0; i < gpus; i++)
        gpu(machine, first);
    second = root(machine, 0x80, 1);
    for (unsigned i = 0; i < gpus; i++)
        gpu(machine, second);
}

/* G: on each socket a switch with two GPUs and an HCA. */
static void two_switches(struct topo_machine *machine, int32_t above, uint64_t guid)
{
    int32_t card = pci_switch(machine, above);

    gpu(machine, card);
    gpu(machine, card);
    hca(machine, card, guid, 2);
}

static void fill_host(struct topo_machine *machine, const char *name, uint32_t nodes)
{
    (void)snprintf(machine->name, sizeof(machine->name), "%s", name);
    (void)snprintf(machine->boot_id, sizeof(machine->boot_id), "boot-%.20s", name);
    machine->numa_count = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        machine->numa[i].os_index = i;
        machine->numa[i].memory_bytes = (uint64_t)64 << 30;
        (void)snprintf(machine->numa[i].cpus, sizeof(machine->numa[i].cpus), "%u-%u", 24 * i,
                       24 * i + 23);
    }
    machine->gpudirect =
        (struct topo_gpudirect){.has_nvidia_peermem = true, .memlock_bytes = UINT64_MAX};
}

struct topo_machine *make_machine(const char *profile, const char *name, uint64_t guid)
{
    struct topo_machine *machine = calloc(1, sizeof(*machine));
    int32_t first;

    assert_non_null(machine);
    fill_host(machine, name, strcmp(profile, "A") ? 2 : 1);
    first = root(machine, 0, 0);
    if (!strcmp(profile, "r730")) {
        hca(machine, first, guid, 2);
    } else if (!strcmp(profile, "C") || !strcmp(profile, "D")) {
        no_switch(machine, first, guid, strcmp(profile, "C") ? 1 : 2);
    } else if (!strcmp(profile, "G")) {
        two_switches(machine, first, guid);
        two_switches(machine, root(machine, 0x80, 1), guid);
    } else if (!strcmp(profile, "k80")) {
        k80_cards(machine, first);
        hca(machine, 2, guid, 2); /* below the outer switch */
    } else if (!strcmp(profile, "k80 far")) {
        hca(machine, first, guid, 2);
        k80_cards(machine, first);
    } else {
        one_switch(machine, first, guid, !strcmp(profile, "K"));
    }
    return machine;
}

/* ---- fabric -----------------------------------------------------------------------------------
 */

uint32_t make_node(struct topo_fabric *fabric, enum topo_fabric_kind kind, uint64_t guid,
                   const char *description, uint32_t ports)
{
    struct topo_fabric_node *node;

    if (!fabric->nodes) {
        fabric->nodes = calloc(NODES, sizeof(fabric->nodes[0]));
        fabric->ports = calloc((size_t)NODES * PORTS, sizeof(fabric->ports[0]));
    }
    assert_non_null(fabric->nodes);
    assert_non_null(fabric->ports);
    assert_true(fabric->node_count < NODES && ports <= PORTS);
    node = &fabric->nodes[fabric->node_count];
    *node = (struct topo_fabric_node){.kind = kind,
                                      .guid = guid,
                                      .system_guid = guid,
                                      .vendor = 0x2c9,
                                      .device = kind == TOPO_FABRIC_HCA ? 4099 : 51000,
                                      .first_port = fabric->port_count,
                                      .port_count = ports};
    (void)snprintf(node->description, sizeof(node->description), "%s", description);
    if (kind != TOPO_FABRIC_HCA)
        node->lid = (uint16_t)(fabric->node_count + 1000);
    for (uint32_t i = 0; i < ports; i++)
        fabric->ports[fabric->port_count++] = (struct topo_fabric_port){.node = fabric->node_count,
                                                                        .number = (uint8_t)(i + 1),
                                                                        .peer = TOPO_NONE,
                                                                        .guid = guid + 1 + i,
                                                                        .state = TOPO_PORT_DOWN,
                                                                        .is_polling = true};
    return fabric->node_count++;
}

struct topo_fabric_port *make_port(struct topo_fabric *fabric, uint32_t node, unsigned port)
{
    assert_true(port >= 1 && port <= fabric->nodes[node].port_count);
    return &fabric->ports[fabric->nodes[node].first_port + port - 1];
}

static void plug(struct topo_fabric *fabric, struct topo_fabric_port *port,
                 const struct topo_fabric_port *peer)
{
    port->peer = (int32_t)(peer - fabric->ports);
    port->state = TOPO_PORT_ACTIVE;
    port->is_polling = false;
    port->width = 4;
    port->lane_mbps = 1704;
    if (fabric->nodes[port->node].kind == TOPO_FABRIC_HCA)
        port->lid = (uint16_t)(port - fabric->ports + 1);
}

void make_cable(struct topo_fabric *fabric, uint32_t a, unsigned a_port, uint32_t b,
                unsigned b_port)
{
    struct topo_fabric_port *one = make_port(fabric, a, a_port);
    struct topo_fabric_port *other = make_port(fabric, b, b_port);

    plug(fabric, one, other);
    plug(fabric, other, one);
}

static void unplug(struct topo_fabric_port *port)
{
    port->peer = TOPO_NONE;
    port->state = TOPO_PORT_DOWN;
    port->is_polling = true;
}

void make_uncable(struct topo_fabric *fabric, uint32_t node, unsigned port)
{
    struct topo_fabric_port *one = make_port(fabric, node, port);

    if (one->peer != TOPO_NONE)
        unplug(&fabric->ports[one->peer]);
    unplug(one);
}

/* ---- two racks --------------------------------------------------------------------------------
 */

static void rack(struct make_racks *racks, unsigned rack)
{
    char name[TOPO_NAME_BYTES];

    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof(name), "rack%u-leaf%u", rack + 1, i + 1);
        racks->leaves[rack][i] =
            make_node(&racks->fabric, TOPO_FABRIC_SWITCH,
                      UINT64_C(0x2000) + UINT64_C(0x100) * rack + i, name, PORTS);
        for (unsigned cable = 0; cable < 4; cable++)
            make_cable(&racks->fabric, racks->leaves[rack][i], 20 + cable, racks->spines[cable / 2],
                       4 * rack + 2 * i + cable % 2 + 1);
    }
    for (unsigned i = 0; i < RACK_MACHINES; i++) {
        unsigned machine = rack * RACK_MACHINES + i;
        bool is_host = i >= 4;
        uint64_t guid = 0x10000 + UINT64_C(0x100) * machine;
        char description[TOPO_NAME_BYTES + 16];

        (void)snprintf(name, sizeof(name), "rack%u-%s-%u", rack + 1, is_host ? "r730" : "c4130",
                       is_host ? i - 3 : i + 1);
        racks->machines[machine] = make_machine(is_host ? "r730" : "G", name, guid);
        racks->hcas[machine][1] = UINT32_MAX;
        for (unsigned card = 0; card < (is_host ? 1u : 2u); card++) {
            (void)snprintf(description, sizeof(description), "%s mlx4_%u", name, card);
            racks->hcas[machine][card] = make_node(&racks->fabric, TOPO_FABRIC_HCA,
                                                   guid + UINT64_C(0x10) * card, description, 2);
            for (unsigned port = 1; port <= 2; port++)
                make_cable(&racks->fabric, racks->hcas[machine][card], port,
                           racks->leaves[rack][port - 1], 2 * i + card + 1);
        }
    }
}

void make_racks(struct make_racks *racks)
{
    *racks = (struct make_racks){.fabric = {0}};
    racks->spines[0] = make_node(&racks->fabric, TOPO_FABRIC_SWITCH, 0x1000, "spine1", PORTS);
    racks->spines[1] = make_node(&racks->fabric, TOPO_FABRIC_SWITCH, 0x1001, "spine2", PORTS);
    for (unsigned i = 0; i < RACKS; i++)
        rack(racks, i);
}

void make_racks_free(struct make_racks *racks)
{
    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++)
        free(racks->machines[i]);
    topo_fabric_clear(&racks->fabric);
}

struct topo *make_join(const struct make_racks *racks)
{
    const struct topo_machine *machines[RACK_MACHINES_ALL];
    struct topo *topo = NULL;

    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++)
        machines[i] = racks->machines[i];
    assert_int_equal(topo_join(machines, RACK_MACHINES_ALL, &racks->fabric, &topo, NULL), FAB_OK);
    return topo;
}
