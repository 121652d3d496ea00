/* SPDX-License-Identifier: Apache-2.0
 * perf/placement-bench.c - how long placement takes, from one rack to 10,000 GPUs.
 *
 *     placement-bench [--quick] [--json]
 *
 * A site of leaf and spine: 20 GPU nodes of 4 GPUs and two HCAs and one host a rack, two leaves a
 * rack, spines above. A third of the GPUs is taken, at random, so that no two machines look alike.
 * Each round asks for 16 GPUs for a host, another one each time. The budget is absolute: 10 ms at
 * 10,000 GPUs. Rounds of a sufficient number, the median is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "fabricd/placement.h"
#include "perf/bench-row.h"

enum {
    NODES_A_RACK = 20,
    GPUS_A_NODE = 4,
    SPINES = 8,
    WANTED = 16,
    ROUNDS = 41,
    ROUNDS_QUICK = 11,
    LANE_MBPS = 1704, /* FDR */
    X16_MBPS = 15754,
    X8_MBPS = 7877,
    BUDGET_MS = 10
};

struct site {
    uint32_t racks;
    struct topo_machine **machines; /* of a rack: the nodes, then its host */
    uint32_t machine_count;
    struct topo_fabric fabric;
    struct topo *topo;
    topo_id *free_gpus;
    size_t free_count;
};

static FAB_NORETURN void die(const char *what)
{
    fprintf(stderr, "placement-bench: %s\n", what);
    exit(EXIT_FAILURE);
}

static void *must(void *memory)
{
    if (!memory)
        die("out of memory");
    return memory;
}

/* ---- machines ---------------------------------------------------------------------------------
 */

static int32_t add_pci(struct topo_machine *machine, enum topo_pci_kind kind, int32_t parent,
                       int32_t numa, uint32_t mbps)
{
    const int32_t index = (int32_t)machine->pci_count++;

    machine->pci[index] = (struct topo_pci){
        .kind = kind,
        .bdf = {.bus = (uint8_t)(index + 1)},
        .parent = parent,
        .numa = numa,
        .link_mbps = mbps,
        .is_switch = kind == TOPO_PCI_BRIDGE && parent != TOPO_NONE &&
                     machine->pci[parent].kind == TOPO_PCI_BRIDGE,
    };
    return index;
}

static void add_hca(struct topo_machine *machine, int32_t above, int32_t numa, uint64_t guid)
{
    struct topo_hca *hca = &machine->hcas[machine->hca_count];

    hca->pci = add_pci(machine, TOPO_PCI_DEVICE, above, numa, X8_MBPS);
    hca->node_guid = guid + machine->hca_count;
    hca->port_count = 1;
    hca->ports[0] = (struct topo_hca_port){
        .number = 1, .state = TOPO_PORT_ACTIVE, .rate_mbps = 4 * LANE_MBPS, .mtu = 4096};
    (void)snprintf(hca->name, sizeof(hca->name), "mlx4_%u", machine->hca_count);
    machine->hca_count++;
}

/* Two sockets, on each a switch with an HCA and, on a GPU node, two GPUs. */
static struct topo_machine *make_machine(const char *name, bool has_gpus, uint64_t guid)
{
    struct topo_machine *machine = must(calloc(1, sizeof(*machine)));

    (void)snprintf(machine->name, sizeof(machine->name), "%s", name);
    (void)snprintf(machine->boot_id, sizeof(machine->boot_id), "boot");
    for (int32_t socket = 0; socket < 2; socket++) {
        int32_t root, above;

        machine->numa[socket].os_index = (uint32_t)socket;
        (void)snprintf(machine->numa[socket].cpus, TOPO_CPUSET_BYTES, "%d", socket);
        machine->numa_count++;
        root = add_pci(machine, TOPO_PCI_ROOT, TOPO_NONE, socket, 0);
        machine->pci[root].bdf.bus = (uint8_t)(128 * socket);
        above = add_pci(machine, TOPO_PCI_BRIDGE, root, socket, X16_MBPS);
        above = add_pci(machine, TOPO_PCI_BRIDGE, above, socket, X16_MBPS);
        add_hca(machine, above, socket, guid);
        for (uint32_t i = 0; has_gpus && i < GPUS_A_NODE / 2; i++) {
            struct topo_gpu *gpu = &machine->gpus[machine->gpu_count];

            gpu->pci = add_pci(machine, TOPO_PCI_DEVICE, above, socket, X16_MBPS);
            gpu->index = machine->gpu_count;
            (void)snprintf(gpu->name, sizeof(gpu->name), "GPU");
            (void)snprintf(gpu->uuid, sizeof(gpu->uuid), "GPU-%.30s-%u", name, machine->gpu_count);
            machine->gpu_count++;
        }
    }
    return machine;
}

/* ---- cables -----------------------------------------------------------------------------------
 */

static uint32_t add_node(struct topo_fabric *fabric, enum topo_fabric_kind kind, uint64_t guid,
                         const char *description, uint32_t ports)
{
    struct topo_fabric_node *node = &fabric->nodes[fabric->node_count];

    *node = (struct topo_fabric_node){.kind = kind,
                                      .guid = guid,
                                      .first_port = fabric->port_count,
                                      .port_count = ports,
                                      .lid = (uint16_t)(1 + fabric->node_count)};
    (void)snprintf(node->description, sizeof(node->description), "%s", description);
    for (uint32_t i = 0; i < ports; i++)
        fabric->ports[fabric->port_count++] = (struct topo_fabric_port){
            .node = fabric->node_count, .number = (uint8_t)(i + 1), .peer = TOPO_NONE};
    return fabric->node_count++;
}

static void plug(struct topo_fabric *fabric, uint32_t port, uint32_t peer)
{
    struct topo_fabric_port *at = &fabric->ports[port];

    at->peer = (int32_t)peer;
    at->state = TOPO_PORT_ACTIVE;
    at->width = 4;
    at->lane_mbps = LANE_MBPS;
}

static void add_cable(struct topo_fabric *fabric, uint32_t a, uint32_t a_port, uint32_t b,
                      uint32_t b_port)
{
    const uint32_t left = fabric->nodes[a].first_port + a_port;
    const uint32_t right = fabric->nodes[b].first_port + b_port;

    plug(fabric, left, right);
    plug(fabric, right, left);
}

static void cable_rack(struct site *site, uint32_t rack, uint32_t first_spine)
{
    struct topo_fabric *fabric = &site->fabric;

    for (uint32_t side = 0; side < 2; side++) {
        char name[TOPO_NAME_BYTES];
        uint32_t leaf;

        (void)snprintf(name, sizeof(name), "leaf%u-%u", rack, side);
        leaf = add_node(fabric, TOPO_FABRIC_SWITCH, UINT64_C(0x200000) + 2 * rack + side, name,
                        NODES_A_RACK + 1 + SPINES);
        for (uint32_t i = 0; i <= NODES_A_RACK; i++) {
            const struct topo_machine *machine = site->machines[rack * (NODES_A_RACK + 1) + i];
            const uint32_t hca =
                add_node(fabric, TOPO_FABRIC_HCA, machine->hcas[side].node_guid, machine->name, 1);

            add_cable(fabric, hca, 0, leaf, i);
        }
        for (uint32_t spine = 0; spine < SPINES; spine++)
            add_cable(fabric, leaf, NODES_A_RACK + 1 + spine, first_spine + spine, 2 * rack + side);
    }
}

static void build(struct site *site, uint32_t racks)
{
    const uint32_t machines = racks * (NODES_A_RACK + 1);
    const uint32_t nodes = 2 * machines + 2 * racks + SPINES;
    struct fab_err err = {0};
    uint32_t first_spine;

    *site = (struct site){.racks = racks, .machine_count = machines};
    site->machines = must(calloc(machines, sizeof(*site->machines)));
    site->fabric.nodes = must(calloc(nodes, sizeof(*site->fabric.nodes)));
    site->fabric.ports = must(calloc(
        (size_t)2 * machines + 2 * racks * (NODES_A_RACK + 1 + SPINES) + (size_t)SPINES * 2 * racks,
        sizeof(*site->fabric.ports)));
    for (uint32_t i = 0; i < machines; i++) {
        char name[TOPO_NAME_BYTES];

        (void)snprintf(name, sizeof(name), "r%u-%u", i / (NODES_A_RACK + 1),
                       i % (NODES_A_RACK + 1));
        site->machines[i] =
            make_machine(name, i % (NODES_A_RACK + 1) != NODES_A_RACK, UINT64_C(0x100000) + 2 * i);
    }
    first_spine = site->fabric.node_count;
    for (uint32_t i = 0; i < SPINES; i++) {
        char name[TOPO_NAME_BYTES];

        (void)snprintf(name, sizeof(name), "spine%u", i);
        (void)add_node(&site->fabric, TOPO_FABRIC_SWITCH, UINT64_C(0x300000) + i, name, 2 * racks);
    }
    for (uint32_t rack = 0; rack < racks; rack++)
        cable_rack(site, rack, first_spine);
    if (topo_join((const struct topo_machine *const *)site->machines, machines, &site->fabric,
                  &site->topo, &err) != FAB_OK)
        die(err.text);
    site->free_gpus = must(calloc((size_t)racks * NODES_A_RACK * GPUS_A_NODE, sizeof(topo_id)));
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(site->topo, TOPO_GPU, TOPO_NO_ID, id)) != TOPO_NO_ID;)
        if (random() % 3 != 0)
            site->free_gpus[site->free_count++] = id;
}

static void clear(struct site *site)
{
    topo_free(site->topo);
    topo_fabric_clear(&site->fabric);
    for (uint32_t i = 0; i < site->machine_count; i++)
        free(site->machines[i]);
    free(site->machines);
    free(site->free_gpus);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static double one_round(const struct site *site, uint32_t round)
{
    const struct fab_clock *clock = fab_clock_real();
    const uint32_t rack = round % site->racks;
    const struct topo_machine *machine = site->machines[rack * (NODES_A_RACK + 1) + NODES_A_RACK];
    const struct placement_host host = {topo_find(site->topo, machine->name), WANTED};
    const struct placement_request request = {.topo = site->topo,
                                              .hosts = &host,
                                              .host_count = 1,
                                              .free_gpus = site->free_gpus,
                                              .free_count = site->free_count};
    struct placement placement;
    struct fab_err err = {0};
    const uint64_t start_ns = fab_clock_now_ns(clock);

    if (placement_choose(&request, &placement, &err) != FAB_OK)
        die(err.text);
    return (double)(fab_clock_now_ns(clock) - start_ns) / 1e6;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {1, 12, 125}; /* racks: 80, 960, 10,000 GPUs */
    unsigned rounds = ROUNDS;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            rounds = ROUNDS_QUICK;
        else if (strcmp(argv[i], "--json") == 0)
            json = true;
        else {
            fprintf(stderr, "usage: placement-bench [--quick] [--json]\n");
            return 2;
        }
    }
    srandom(1);
    if (json)
        (void)puts("[");
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        struct site site;
        char name[64];
        struct bench_row row = {.name = name, .unit = "ms", .budget = 1};

        (void)snprintf(name, sizeof(name), "placement of %d GPUs among %u", WANTED,
                       sizes[i] * NODES_A_RACK * GPUS_A_NODE);
        build(&site, sizes[i]);
        (void)one_round(&site, 0); /* first touches */
        for (unsigned round = 0; round < rounds; round++)
            bench_row_add(&row, one_round(&site, round), BUDGET_MS);
        bench_row_print(&row, json, i + 1 == FAB_ARRAY_LEN(sizes));
        clear(&site);
    }
    if (json)
        (void)puts("]");
    return EXIT_SUCCESS;
}
