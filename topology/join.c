/* SPDX-License-Identifier: Apache-2.0
 * topology/join.c - makes a model of records: copies them, names things, joins HCAs to the fabric.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "topology/topo_int.h"

enum { NAME_BYTES = 2 * TOPO_NAME_BYTES + 32 };

static enum fab_status no_memory(struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOMEM, "a model of the rack");
}

/* ---- things -----------------------------------------------------------------------------------
 */

/* FAB_ERR_EXISTS: the name is taken. */
static enum fab_status add(struct topo *topo, struct topo_thing thing, struct spot spot,
                           topo_id *id_out)
{
    topo_id id = (topo_id)topo->things.count;
    char *name;

    if (fab_map_find_text(&topo->names, thing.name))
        return FAB_ERR_EXISTS;
    name = fab_arena_text(&topo->arena, thing.name, strlen(thing.name));
    thing.name = name;
    if (!name || fab_vec_push(&topo->things, &thing) != FAB_OK ||
        fab_vec_push(&topo->spots, &spot) != FAB_OK ||
        fab_map_put_text(&topo->names, name, (void *)((uintptr_t)id + 1)) != FAB_OK)
        return FAB_ERR_NOMEM;
    *id_out = id;
    return FAB_OK;
}

/* A thing of a machine; its name is the machine's, a slash and the text. */
static enum fab_status add_inside(struct topo *topo, uint32_t machine, struct topo_thing thing,
                                  int32_t pci, topo_id *id_out, const char *format, ...)
    FAB_PRINTF(6, 7);

static enum fab_status add_inside(struct topo *topo, uint32_t machine, struct topo_thing thing,
                                  int32_t pci, topo_id *id_out, const char *format, ...)
{
    struct place *place = &topo->places[machine];
    char name[NAME_BYTES];
    int start = snprintf(name, sizeof(name), "%s/", place->record->name);
    struct spot spot = {.kind = SPOT_PCI, .machine = machine, .index = pci};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(name + start, sizeof(name) - (size_t)start, format, arguments);
    va_end(arguments);
    thing.name = name;
    thing.machine = place->first;
    thing.machine_record = place->record;
    if (thing.kind == TOPO_NUMA)
        spot.kind = SPOT_NUMA;
    return add(topo, thing, spot, id_out);
}

static enum fab_status add_numa(struct topo *topo, uint32_t machine)
{
    struct place *place = &topo->places[machine];
    enum fab_status status = FAB_OK;

    for (uint32_t i = 0; i < place->record->numa_count && status == FAB_OK; i++) {
        struct topo_thing thing = {.kind = TOPO_NUMA, .parent = place->first};
        topo_id id;

        status = add_inside(topo, machine, thing, (int32_t)i, &id, "numa%u",
                            place->record->numa[i].os_index);
    }
    return status;
}

static topo_id numa_thing(const struct place *place, int32_t numa)
{
    return numa == TOPO_NONE ? place->first : place->first + 1 + (topo_id)numa;
}

/* The nearest thing above a PCI entry. */
static topo_id pci_parent(const struct place *place, int32_t pci)
{
    int32_t parent = place->record->pci[pci].parent;

    while (parent != TOPO_NONE && place->pci_thing[parent] == TOPO_NO_ID)
        parent = place->record->pci[parent].parent;
    return parent == TOPO_NONE ? numa_thing(place, place->record->pci[pci].numa)
                               : place->pci_thing[parent];
}

/* The port of a switch that points to the root: its parent is no port of the same switch. */
static int32_t switch_of(const struct place *place, int32_t pci)
{
    const struct topo_pci *entry = &place->record->pci[pci];
    int32_t above = entry->parent;

    if (entry->kind != TOPO_PCI_BRIDGE || !entry->is_switch)
        return TOPO_NONE;
    if (above != TOPO_NONE && place->pci_switch[above] == above)
        return above;
    return pci;
}

static enum fab_status add_pci(struct topo *topo, uint32_t machine)
{
    struct place *place = &topo->places[machine];
    enum fab_status status = FAB_OK;
    char bdf[TOPO_BDF_BYTES];

    for (int32_t i = 0; i < (int32_t)place->record->pci_count && status == FAB_OK; i++) {
        const struct topo_pci *pci = &place->record->pci[i];
        struct topo_thing thing = {.parent = pci_parent(place, i)};

        place->pci_thing[i] = TOPO_NO_ID;
        place->pci_switch[i] = switch_of(place, i);
        if (pci->kind == TOPO_PCI_ROOT) {
            thing.kind = TOPO_ROOT;
            status = add_inside(topo, machine, thing, i, &place->pci_thing[i], "pci%04x:%02x",
                                pci->bdf.domain, pci->bdf.bus);
        } else if (place->pci_switch[i] == i) {
            thing.kind = TOPO_PCI_SWITCH;
            status = add_inside(topo, machine, thing, i, &place->pci_thing[i], "switch-%s",
                                topo_bdf_format(&pci->bdf, bdf));
        }
    }
    return status;
}

static enum fab_status add_gpus(struct topo *topo, uint32_t machine)
{
    struct place *place = &topo->places[machine];
    enum fab_status status = FAB_OK;

    for (uint32_t i = 0; i < place->record->gpu_count && status == FAB_OK; i++) {
        const struct topo_gpu *gpu = &place->record->gpus[i];
        bool is_placed = gpu->pci != TOPO_NONE;
        struct topo_thing thing = {.kind = TOPO_GPU,
                                   .gpu = gpu,
                                   .parent =
                                       is_placed ? pci_parent(place, gpu->pci) : place->first};
        topo_id id;

        status = add_inside(topo, machine, thing, gpu->pci, &id, "gpu%u", gpu->index);
        if (status == FAB_OK && is_placed)
            place->pci_thing[gpu->pci] = id;
    }
    return status;
}

static enum fab_status add_hcas(struct topo *topo, uint32_t machine)
{
    struct place *place = &topo->places[machine];
    enum fab_status status = FAB_OK;
    topo_id ids[TOPO_HCA_MAX];

    for (uint32_t i = 0; i < place->record->hca_count && status == FAB_OK; i++) {
        const struct topo_hca *hca = &place->record->hcas[i];
        struct topo_thing thing = {
            .kind = TOPO_HCA, .hca = hca, .parent = pci_parent(place, hca->pci)};

        status = add_inside(topo, machine, thing, hca->pci, &ids[i], "%s", hca->name);
        if (status == FAB_OK && place->pci_thing[hca->pci] == TOPO_NO_ID)
            place->pci_thing[hca->pci] = ids[i];
    }
    place->first_port = (topo_id)topo->things.count;
    for (uint32_t i = 0; i < place->record->hca_count; i++) {
        const struct topo_hca *hca = &place->record->hcas[i];

        for (uint32_t port = 0; port < hca->port_count && status == FAB_OK; port++) {
            struct topo_thing thing = {
                .kind = TOPO_PORT, .hca = hca, .port = &hca->ports[port], .parent = ids[i]};
            topo_id id;

            status = add_inside(topo, machine, thing, hca->pci, &id, "%s:%u", hca->name, port + 1);
        }
    }
    return status;
}

/* ---- machines ---------------------------------------------------------------------------------
 */

/* What the counts say is used: the rest stays memory that was never touched. */
static void copy_machine(struct topo_machine *to, const struct topo_machine *from)
{
    memcpy(to->name, from->name, sizeof(to->name));
    memcpy(to->boot_id, from->boot_id, sizeof(to->boot_id));
    to->numa_count = from->numa_count;
    to->pci_count = from->pci_count;
    to->gpu_count = from->gpu_count;
    to->nvlink_count = from->nvlink_count;
    to->hca_count = from->hca_count;
    memcpy(to->numa, from->numa, from->numa_count * sizeof(from->numa[0]));
    memcpy(to->pci, from->pci, from->pci_count * sizeof(from->pci[0]));
    memcpy(to->gpus, from->gpus, from->gpu_count * sizeof(from->gpus[0]));
    memcpy(to->nvlinks, from->nvlinks, from->nvlink_count * sizeof(from->nvlinks[0]));
    memcpy(to->hcas, from->hcas, from->hca_count * sizeof(from->hcas[0]));
    to->software = from->software;
    to->gpudirect = from->gpudirect;
}

/* A link that one end does not know is told by the other: a device's by the port above it, a port's
 * by what is below it. */
static void measure_pci(struct place *place)
{
    const struct topo_machine *record = place->record;

    for (uint32_t i = 0; i < record->pci_count; i++)
        place->pci_mbps[i] = record->pci[i].link_mbps;
    for (uint32_t i = record->pci_count; i-- > 0;) {
        int32_t parent = record->pci[i].parent;

        if (parent != TOPO_NONE && record->pci[parent].link_mbps == 0 &&
            place->pci_mbps[parent] < place->pci_mbps[i])
            place->pci_mbps[parent] = place->pci_mbps[i];
    }
    for (uint32_t i = 0; i < record->pci_count; i++) {
        int32_t parent = record->pci[i].parent;

        if (place->pci_mbps[i] == 0 && parent != TOPO_NONE)
            place->pci_mbps[i] = place->pci_mbps[parent];
        if (place->pci_mbps[i] == 0)
            place->pci_mbps[i] = TOPO_PCI_MBPS;
    }
}

static enum fab_status add_machine(struct topo *topo, uint32_t machine, struct fab_err *err)
{
    struct place *place = &topo->places[machine];
    const struct topo_machine *record = place->record;
    struct topo_thing thing = {.kind = TOPO_MACHINE,
                               .name = record->name,
                               .parent = TOPO_NO_ID,
                               .machine = (topo_id)topo->things.count,
                               .machine_record = record};
    enum fab_status status =
        add(topo, thing, (struct spot){.kind = SPOT_MACHINE, .machine = machine}, &place->first);

    if (status == FAB_ERR_EXISTS)
        return fab_err_set(err, FAB_ERR_EXISTS, "two machines are named %s", record->name);
    if (status == FAB_OK)
        status = add_numa(topo, machine);
    if (status == FAB_OK)
        status = add_pci(topo, machine);
    if (status == FAB_OK)
        status = add_gpus(topo, machine);
    if (status == FAB_OK)
        status = add_hcas(topo, machine);
    if (status == FAB_ERR_EXISTS)
        return fab_err_set(err, FAB_ERR_INVALID, "%s: two PCI entries have one address",
                           record->name);
    if (status != FAB_OK)
        return no_memory(err);
    place->end = (topo_id)topo->things.count;
    measure_pci(place);
    return FAB_OK;
}

static bool make_place(struct topo *topo, uint32_t machine)
{
    struct place *place = &topo->places[machine];
    size_t count = topo->machines[machine].pci_count;

    place->record = &topo->machines[machine];
    place->pci_thing = fab_arena_alloc_array(&topo->arena, count, sizeof(topo_id));
    place->pci_switch = fab_arena_alloc_array(&topo->arena, count, sizeof(int32_t));
    place->pci_mbps = fab_arena_alloc_array(&topo->arena, count, sizeof(uint32_t));
    return place->pci_thing && place->pci_switch && place->pci_mbps;
}

static int by_name(const void *left, const void *right)
{
    const struct topo_machine *a = *(const struct topo_machine *const *)left;
    const struct topo_machine *b = *(const struct topo_machine *const *)right;

    return strverscmp(a->name, b->name);
}

/* node-2 before node-10, whoever reported first: one rack is one model. */
static enum fab_status sort_machines(const struct topo_machine *const *machines, size_t count,
                                     const struct topo_machine **sorted, struct fab_err *err)
{
    for (size_t i = 0; i < count; i++) {
        enum fab_status status = topo_machine_check(machines[i], err);

        if (status != FAB_OK)
            return status;
        sorted[i] = machines[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    return FAB_OK;
}

static enum fab_status add_machines(struct topo *topo, const struct topo_machine *const *machines,
                                    size_t count, struct fab_err *err)
{
    const struct topo_machine **sorted =
        fab_arena_alloc_array(&topo->arena, count + 1, sizeof(*sorted));
    enum fab_status status;

    topo->machines = fab_alloc_zeroed(count + 1, sizeof(topo->machines[0]));
    topo->places = fab_arena_alloc_array(&topo->arena, count + 1, sizeof(topo->places[0]));
    if (!sorted || !topo->machines || !topo->places)
        return no_memory(err);
    status = sort_machines(machines, count, sorted, err);
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        copy_machine(&topo->machines[i], sorted[i]);
        topo->machine_count = (uint32_t)i + 1;
        if (!make_place(topo, (uint32_t)i))
            return no_memory(err);
        status = add_machine(topo, (uint32_t)i, err);
    }
    return status;
}

/* ---- fabric -----------------------------------------------------------------------------------
 */

static enum fab_status copy_fabric(struct topo *topo, const struct topo_fabric *fabric,
                                   struct fab_err *err)
{
    enum fab_status status = topo_fabric_check(fabric, err);
    struct topo_fabric *copy = &topo->fabric;

    if (status != FAB_OK)
        return status;
    copy->nodes = fab_alloc_zeroed(fabric->node_count + 1, sizeof(copy->nodes[0]));
    copy->ports = fab_alloc_zeroed(fabric->port_count + 1, sizeof(copy->ports[0]));
    topo->node_thing = fab_arena_alloc_array(&topo->arena, fabric->node_count + 1, sizeof(topo_id));
    topo->port_thing = fab_arena_alloc_array(&topo->arena, fabric->port_count + 1, sizeof(topo_id));
    if (!copy->nodes || !copy->ports || !topo->node_thing || !topo->port_thing)
        return no_memory(err);
    copy->node_count = fabric->node_count;
    copy->port_count = fabric->port_count;
    if (fabric->node_count > 0)
        memcpy(copy->nodes, fabric->nodes, fabric->node_count * sizeof(copy->nodes[0]));
    if (fabric->port_count > 0)
        memcpy(copy->ports, fabric->ports, fabric->port_count * sizeof(copy->ports[0]));
    topo->has_fabric = true;
    return FAB_OK;
}

/* A switch is called what its description says: "leaf1", or "MF0;leaf1:SX6036/U1"; by its GUID if
 * that is no name. */
static void switch_name(const struct topo_fabric_node *node, char name[NAME_BYTES])
{
    const char *text = strchr(node->description, ';');
    size_t length;

    text = text ? text + 1 : node->description;
    length = strcspn(text, ":");
    if (length == 0 || strcspn(text, " /\"\\<>&") < length)
        (void)snprintf(name, NAME_BYTES, "switch-%016" PRIx64, node->guid);
    else
        (void)snprintf(name, NAME_BYTES, "%.*s", (int)length, text);
}

static enum fab_status add_switch(struct topo *topo, uint32_t index)
{
    const struct topo_fabric_node *node = &topo->fabric.nodes[index];
    struct spot spot = {.kind = SPOT_FABRIC, .index = (int32_t)index};
    struct topo_thing thing = {
        .kind = TOPO_SWITCH, .parent = TOPO_NO_ID, .machine = TOPO_NO_ID, .fabric_node = node};
    char name[NAME_BYTES];
    enum fab_status status;

    switch_name(node, name);
    thing.name = name;
    status = add(topo, thing, spot, &topo->node_thing[index]);
    if (status != FAB_ERR_EXISTS)
        return status;
    (void)snprintf(name, sizeof(name), "switch-%016" PRIx64, node->guid);
    status = add(topo, thing, spot, &topo->node_thing[index]);
    /* The same GUID again: a finding, and no thing. */
    return status == FAB_ERR_EXISTS ? FAB_OK : status;
}

static void join_ports(struct topo *topo, topo_id hca, uint32_t node)
{
    struct topo_thing *things = topo_things(topo);
    const struct topo_fabric_node *record = &topo->fabric.nodes[node];
    const struct place *place = &topo->places[topo_spots(topo)[hca].machine];

    things[hca].fabric_node = record;
    topo->node_thing[node] = hca;
    for (topo_id id = place->first_port; id < place->end; id++) {
        if (things[id].parent != hca)
            continue;
        things[id].fabric_node = record;
        for (uint32_t i = 0; i < record->port_count; i++) {
            const struct topo_fabric_port *port = &topo->fabric.ports[record->first_port + i];

            if (port->number != things[id].port->number || things[id].fabric_port)
                continue;
            things[id].fabric_port = port;
            topo->port_thing[record->first_port + i] = id;
        }
    }
}

/* GUIDs that stand twice join nothing: either could be meant. */
static enum fab_status join_hcas(struct topo *topo)
{
    static char is_double;
    struct fab_map hcas, nodes;
    enum fab_status status = FAB_OK;

    fab_map_init(&hcas);
    fab_map_init(&nodes);
    for (topo_id id = 0; id < topo->things.count && status == FAB_OK; id++) {
        const struct topo_thing *thing = &topo_things(topo)[id];

        if (thing->kind == TOPO_HCA)
            status = fab_map_put(&hcas, thing->hca->node_guid,
                                 fab_map_find(&hcas, thing->hca->node_guid)
                                     ? &is_double
                                     : (void *)(uintptr_t)(id + 1));
    }
    for (uint32_t i = 0; i < topo->fabric.node_count && status == FAB_OK; i++) {
        uint64_t guid = topo->fabric.nodes[i].guid;

        status = fab_map_put(&nodes, guid, fab_map_find(&nodes, guid) ? &is_double : (void *)topo);
    }
    for (uint32_t i = 0; i < topo->fabric.node_count && status == FAB_OK; i++) {
        uint64_t guid = topo->fabric.nodes[i].guid;
        void *hca = fab_map_find(&hcas, guid);

        if (topo->fabric.nodes[i].kind == TOPO_FABRIC_HCA && hca && hca != &is_double &&
            fab_map_find(&nodes, guid) != &is_double)
            join_ports(topo, (topo_id)((uintptr_t)hca - 1), i);
    }
    fab_map_fini(&hcas);
    fab_map_fini(&nodes);
    return status;
}

static enum fab_status add_fabric(struct topo *topo, const struct topo_fabric *fabric,
                                  struct fab_err *err)
{
    enum fab_status status = copy_fabric(topo, fabric, err);

    if (status != FAB_OK)
        return status;
    for (uint32_t i = 0; i < fabric->node_count; i++)
        topo->node_thing[i] = TOPO_NO_ID;
    for (uint32_t i = 0; i < fabric->port_count; i++)
        topo->port_thing[i] = TOPO_NO_ID;
    for (uint32_t i = 0; i < fabric->node_count && status == FAB_OK; i++) {
        if (topo->fabric.nodes[i].kind != TOPO_FABRIC_HCA)
            status = add_switch(topo, i);
    }
    if (status == FAB_OK)
        status = join_hcas(topo);
    return status == FAB_OK ? FAB_OK : no_memory(err);
}

/* ---- lanes ------------------------------------------------------------------------------------
 */

static uint32_t cable_mbps(const struct topo *topo, uint32_t port)
{
    const struct topo_fabric_port *end = &topo->fabric.ports[port];
    const struct topo_fabric_port *other =
        end->peer == TOPO_NONE ? end : &topo->fabric.ports[end->peer];
    topo_id thing = topo->port_thing[port];

    if (end->width * end->lane_mbps > 0)
        return end->width * end->lane_mbps;
    if (other->width * other->lane_mbps > 0)
        return other->width * other->lane_mbps;
    if (thing != TOPO_NO_ID && topo_things(topo)[thing].port->rate_mbps > 0)
        return topo_things(topo)[thing].port->rate_mbps;
    return TOPO_IB_MBPS;
}

/* Each lane of a machine. */
static void measure_lanes(const struct topo *topo, const struct place *place)
{
    const struct topo_machine *record = place->record;

    for (uint32_t i = 0; i < 2 * record->pci_count; i++)
        topo->lane_mbps[place->lane_first + i] = place->pci_mbps[i / 2];
    for (uint32_t i = 0; i < record->numa_count * record->numa_count; i++)
        topo->lane_mbps[place->lane_numa_first + i] = TOPO_SOCKET_MBPS;
    for (uint32_t i = 0; i < 2 * record->nvlink_count; i++) {
        const struct topo_nvlink *link = &record->nvlinks[i / 2];

        topo->lane_mbps[place->lane_nvlink_first + i] = link->mbps ? link->mbps : TOPO_NVLINK_MBPS;
    }
}

static enum fab_status number_lanes(struct topo *topo, struct fab_err *err)
{
    for (uint32_t i = 0; i < topo->machine_count; i++) {
        struct place *place = &topo->places[i];
        const struct topo_machine *record = place->record;

        place->lane_first = topo->lane_count;
        place->lane_numa_first = place->lane_first + 2 * record->pci_count;
        place->lane_nvlink_first = place->lane_numa_first + record->numa_count * record->numa_count;
        topo->lane_count = place->lane_nvlink_first + 2 * record->nvlink_count;
    }
    topo->lane_fabric_first = topo->lane_count;
    topo->lane_count += topo->fabric.port_count;
    topo->lane_mbps = fab_alloc(sizeof(uint32_t) * (topo->lane_count + 1));
    if (!topo->lane_mbps)
        return no_memory(err);
    for (uint32_t i = 0; i < topo->machine_count; i++)
        measure_lanes(topo, &topo->places[i]);
    for (uint32_t i = 0; i < topo->fabric.port_count; i++)
        topo->lane_mbps[topo->lane_fabric_first + i] = cable_mbps(topo, i);
    return FAB_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

enum fab_status topo_join(const struct topo_machine *const *machines, size_t machine_count,
                          const struct topo_fabric *fabric, struct topo **topo_out,
                          struct fab_err *err)
{
    struct topo *topo = fab_alloc_zeroed(1, sizeof(*topo));
    enum fab_status status;

    if (!topo)
        return no_memory(err);
    fab_vec_init(&topo->things, sizeof(struct topo_thing));
    fab_vec_init(&topo->spots, sizeof(struct spot));
    fab_vec_init(&topo->findings, sizeof(struct topo_finding));
    fab_map_init(&topo->names);
    status = add_machines(topo, machines, machine_count, err);
    if (status == FAB_OK && fabric)
        status = add_fabric(topo, fabric, err);
    if (status == FAB_OK)
        status = number_lanes(topo, err);
    if (status == FAB_OK)
        status = topo_fabric_measure(topo, err);
    if (status == FAB_OK)
        status = topo_judge(topo, err);
    if (status != FAB_OK) {
        topo_free(topo);
        return status;
    }
    *topo_out = topo;
    return FAB_OK;
}

void topo_free(struct topo *topo)
{
    if (!topo)
        return;
    fab_map_fini(&topo->names);
    fab_vec_fini(&topo->findings);
    fab_vec_fini(&topo->spots);
    fab_vec_fini(&topo->things);
    fab_arena_fini(&topo->arena);
    topo_fabric_clear(&topo->fabric);
    free(topo->lane_mbps);
    free(topo->hops);
    free(topo->machines);
    free(topo);
}

size_t topo_count(const struct topo *topo)
{
    return topo->things.count;
}

const struct topo_thing *topo_thing(const struct topo *topo, topo_id id)
{
    return id < topo->things.count ? &topo_things(topo)[id] : NULL;
}

topo_id topo_find(const struct topo *topo, const char *name)
{
    void *found = fab_map_find_text(&topo->names, name);

    return found ? (topo_id)((uintptr_t)found - 1) : TOPO_NO_ID;
}

topo_id topo_next(const struct topo *topo, enum topo_kind kind, topo_id machine, topo_id after)
{
    topo_id id = after == TOPO_NO_ID ? 0 : after + 1, end = (topo_id)topo->things.count;

    if (machine != TOPO_NO_ID) {
        const struct topo_thing *holder = topo_thing(topo, machine);
        const struct place *place;

        if (!holder || holder->kind != TOPO_MACHINE)
            return TOPO_NO_ID;
        place = &topo->places[topo_spots(topo)[machine].machine];
        id = after == TOPO_NO_ID ? place->first : id;
        end = place->end;
    }
    for (; id < end; id++) {
        if (topo_things(topo)[id].kind == kind)
            return id;
    }
    return TOPO_NO_ID;
}
