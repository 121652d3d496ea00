/* SPDX-License-Identifier: Apache-2.0
 * topology/graph.c - ways through the graph: the lanes they use, their class and latency.
 *
 * Inside a machine a way goes up the PCI tree and down again. Over the fabric it takes the fewest
 * cables; of equal ones each destination port has its own, as a subnet manager spreads them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "topology/topo_int.h"

static void add_lane(struct way *way, uint32_t lane)
{
    if (way->lane_count < TOPO_WAY_MAX)
        way->lanes[way->lane_count++] = lane;
}

void topo_way_start(struct way *way)
{
    way->class = TOPO_SELF;
    way->latency_ns = 0;
    way->most_mbps = UINT32_MAX;
    way->steps = 0;
    way->ib_hops = 0;
    way->nvlinks = 0;
    way->is_direct = false;
    way->lane_count = 0;
}

uint32_t topo_way_mbps(const struct topo *topo, const struct way *way)
{
    uint32_t mbps = way->most_mbps;

    for (uint32_t i = 0; i < way->lane_count; i++) {
        if (topo->lane_mbps[way->lanes[i]] < mbps)
            mbps = topo->lane_mbps[way->lanes[i]];
    }
    return mbps;
}

/* ---- inside a machine -------------------------------------------------------------------------
 */

/* Walks from an entry up to (not including) `end`, TOPO_NONE: to above the root. Counts the entries
 * and the switches other than `shared`. */
static void climb(const struct place *place, int32_t from, int32_t end, bool is_up, int32_t shared,
                  struct way *way, uint32_t *steps, uint32_t *switches)
{
    int32_t last = TOPO_NONE;

    for (int32_t at = from; at != end; at = place->record->pci[at].parent) {
        int32_t its_switch = place->pci_switch[at];

        if (its_switch != TOPO_NONE && its_switch != last && its_switch != shared)
            (*switches)++;
        if (its_switch != TOPO_NONE)
            last = its_switch;
        if (place->record->pci[at].kind == TOPO_PCI_ROOT)
            continue;
        (*steps)++;
        add_lane(way, place->lane_first + 2 * (uint32_t)at + (is_up ? 0 : 1));
    }
}

static uint32_t depth_of(const struct topo_machine *record, int32_t pci)
{
    uint32_t depth = 0;

    for (; pci != TOPO_NONE; pci = record->pci[pci].parent)
        depth++;
    return depth;
}

static int32_t common(const struct topo_machine *record, int32_t a, int32_t b)
{
    uint32_t depth_a = depth_of(record, a), depth_b = depth_of(record, b);

    for (; depth_a > depth_b; depth_a--)
        a = record->pci[a].parent;
    for (; depth_b > depth_a; depth_b--)
        b = record->pci[b].parent;
    while (a != b) {
        a = record->pci[a].parent;
        b = record->pci[b].parent;
    }
    return a;
}

static int32_t root_numa(const struct topo_machine *record, int32_t pci)
{
    while (record->pci[pci].parent != TOPO_NONE)
        pci = record->pci[pci].parent;
    return record->pci[pci].numa;
}

int32_t topo_spot_numa(const struct topo *topo, const struct spot *spot)
{
    const struct topo_machine *record;

    if (spot->kind == SPOT_FABRIC)
        return TOPO_NONE;
    record = topo->places[spot->machine].record;
    if (spot->kind == SPOT_NUMA)
        return spot->index;
    if (spot->kind == SPOT_PCI && spot->index != TOPO_NONE) {
        int32_t numa = root_numa(record, spot->index);

        if (numa != TOPO_NONE)
            return numa;
    }
    return record->numa_count == 1 ? 0 : TOPO_NONE;
}

/* From NUMA node to NUMA node. What the firmware did not say counts as far, if there is a far. */
static enum topo_class cross(const struct place *place, int32_t from, int32_t to, struct way *way)
{
    uint32_t count = place->record->numa_count;

    if (from == to && (from != TOPO_NONE || count <= 1))
        return TOPO_NODE;
    if (from != TOPO_NONE && to != TOPO_NONE)
        add_lane(way, place->lane_numa_first + (uint32_t)from * count + (uint32_t)to);
    return TOPO_SYS;
}

static void price(struct way *way, enum topo_class class, uint32_t switches)
{
    if (class > way->class)
        way->class = class;
    way->latency_ns += switches * TOPO_PCI_SWITCH_NS;
    if (class == TOPO_PHB || class == TOPO_NODE)
        way->latency_ns += TOPO_ROOT_NS;
    else if (class == TOPO_SYS)
        way->latency_ns += TOPO_SYS_NS;
}

static void between_devices(const struct topo *topo, const struct spot *from, const struct spot *to,
                            struct way *way)
{
    const struct place *place = &topo->places[from->machine];
    int32_t meet = common(place->record, from->index, to->index);
    int32_t shared = meet == TOPO_NONE ? TOPO_NONE : place->pci_switch[meet];
    uint32_t up = 0, down = 0, switches = 0;
    enum topo_class class = TOPO_PIX;

    climb(place, from->index, meet, true, shared, way, &up, &switches);
    if (meet == TOPO_NONE)
        class = cross(place, topo_spot_numa(topo, from), topo_spot_numa(topo, to), way);
    else if (place->record->pci[meet].kind == TOPO_PCI_ROOT)
        class = TOPO_PHB;
    climb(place, to->index, meet, false, shared, way, &down, &switches);
    if (shared != TOPO_NONE && shared == meet)
        switches++;
    if (class == TOPO_PIX && switches > 1)
        class = TOPO_PXB;
    way->steps = up > down ? up : down;
    price(way, class, switches);
}

/* Memory is beside its root complexes; a machine's is beside whatever asks. */
static void device_and_memory(const struct topo *topo, const struct spot *device,
                              const struct spot *memory, bool is_up, struct way *way)
{
    const struct place *place = &topo->places[device->machine];
    int32_t home = topo_spot_numa(topo, device);
    int32_t numa = memory->kind == SPOT_MACHINE ? home : memory->index;
    uint32_t steps = 0, switches = 0;
    enum topo_class class;

    climb(place, device->index, TOPO_NONE, is_up, TOPO_NONE, way, &steps, &switches);
    class = is_up ? cross(place, home, numa, way) : cross(place, numa, home, way);
    if (class == TOPO_NODE || memory->kind == SPOT_MACHINE)
        class = TOPO_PHB;
    price(way, class, switches);
}

static int32_t pci_of_gpu(const struct topo_machine *record, int32_t gpu)
{
    return record->gpus[gpu].pci;
}

static bool by_nvlink(const struct topo *topo, const struct spot *from, const struct spot *to,
                      struct way *way)
{
    const struct place *place = &topo->places[from->machine];

    for (uint32_t i = 0; i < place->record->nvlink_count; i++) {
        const struct topo_nvlink *link = &place->record->nvlinks[i];
        int32_t a = pci_of_gpu(place->record, link->a), b = pci_of_gpu(place->record, link->b);

        if ((a != from->index || b != to->index) && (a != to->index || b != from->index))
            continue;
        add_lane(way, place->lane_nvlink_first + 2 * i + (a == from->index ? 0 : 1));
        way->nvlinks = link->links;
        price(way, TOPO_NV, 0);
        return true;
    }
    return false;
}

static bool is_same(const struct spot *a, const struct spot *b)
{
    return a->kind == b->kind && (a->kind == SPOT_MACHINE || a->index == b->index);
}

bool topo_way_inside(const struct topo *topo, const struct spot *from, const struct spot *to,
                     struct way *way)
{
    bool is_device_from = from->kind == SPOT_PCI, is_device_to = to->kind == SPOT_PCI;

    if ((is_device_from && from->index == TOPO_NONE) || (is_device_to && to->index == TOPO_NONE))
        return false;
    if (is_same(from, to))
        return true;
    if (is_device_from && is_device_to && !by_nvlink(topo, from, to, way))
        between_devices(topo, from, to, way);
    else if (is_device_from && is_device_to)
        return true;
    else if (is_device_from)
        device_and_memory(topo, from, to, true, way);
    else if (is_device_to)
        device_and_memory(topo, to, from, false, way);
    else if (from->kind == SPOT_NUMA && to->kind == SPOT_NUMA)
        price(way, cross(&topo->places[from->machine], from->index, to->index, way), 0);
    return true;
}

/* ---- GPU and HCA ------------------------------------------------------------------------------
 */

static bool has_acs(const struct topo_machine *record, int32_t from, int32_t end)
{
    for (int32_t at = from; at != end; at = record->pci[at].parent) {
        if (record->pci[at].acs)
            return true;
    }
    return false;
}

/* GPUDirect: a driver for it, addresses that are not translated, at worst one root complex, and no
 * switch that sends peers' traffic upwards. */
static bool can_be_direct(const struct topo_thing *gpu, const struct topo_thing *port,
                          enum topo_class class)
{
    const struct topo_machine *record = gpu->machine_record;
    const struct topo_gpudirect *host = &record->gpudirect;
    bool has_driver = host->has_nvidia_peermem || host->has_nv_peer_mem ||
                      (gpu->gpu->has_dma_buf && port->hca->has_dma_buf);
    int32_t meet;

    if (!has_driver || host->iommu_translates || class > TOPO_PHB)
        return false;
    if (class == TOPO_PHB)
        return true;
    meet = common(record, gpu->gpu->pci, port->hca->pci);
    return !has_acs(record, gpu->gpu->pci, meet) && !has_acs(record, port->hca->pci, meet);
}

/* Source: UCX's distances between a GPU and an HCA. */
static void price_direct(struct way *way)
{
    uint32_t by_steps = TOPO_ROOT_STEPS / (way->steps ? way->steps : 1);

    way->is_direct = true;
    if (way->class == TOPO_PHB)
        way->most_mbps = by_steps < TOPO_ROOT_MBPS ? by_steps : TOPO_ROOT_MBPS;
}

/* Into memory beside the HCA and out of it: the class stays the one of GPU and HCA. */
static void stage(const struct topo *topo, const struct spot *from, const struct spot *to,
                  const struct spot *hca, struct way *way)
{
    enum topo_class class = way->class;
    int32_t numa = topo_spot_numa(topo, hca);
    struct spot memory = {.kind = numa == TOPO_NONE ? SPOT_MACHINE : SPOT_NUMA,
                          .machine = hca->machine,
                          .index = numa};

    topo_way_start(way);
    (void)topo_way_inside(topo, from, &memory, way);
    (void)topo_way_inside(topo, &memory, to, way);
    way->class = class;
    way->most_mbps = TOPO_STAGED_MBPS;
    way->latency_ns += TOPO_STAGED_NS;
}

bool topo_way_to_port(const struct topo *topo, topo_id thing, topo_id port, bool is_outwards,
                      struct way *way)
{
    const struct spot *at = &topo_spots(topo)[thing], *hca = &topo_spots(topo)[port];
    const struct spot *from = is_outwards ? at : hca, *to = is_outwards ? hca : at;
    const struct topo_thing *things = topo_things(topo);

    topo_way_start(way);
    if (!topo_way_inside(topo, from, to, way))
        return false;
    if (things[thing].kind != TOPO_GPU)
        return true;
    if (can_be_direct(&things[thing], &things[port], way->class))
        price_direct(way);
    else
        stage(topo, from, to, hca, way);
    return true;
}

/* ---- the fabric -------------------------------------------------------------------------------
 */

bool topo_cable_is_up(const struct topo *topo, uint32_t port)
{
    const struct topo_fabric_port *end = &topo->fabric.ports[port];

    return end->peer != TOPO_NONE && end->state == TOPO_PORT_ACTIVE &&
           topo->fabric.ports[end->peer].state == TOPO_PORT_ACTIVE;
}

static uint32_t fabric_port(const struct topo *topo, const struct topo_thing *port)
{
    return (uint32_t)(port->fabric_port - topo->fabric.ports);
}

bool topo_port_is_usable(const struct topo *topo, topo_id port)
{
    const struct topo_thing *thing = &topo_things(topo)[port];

    if (!topo->has_fabric)
        return thing->port->state == TOPO_PORT_ACTIVE;
    return thing->fabric_port && topo_cable_is_up(topo, fabric_port(topo, thing));
}

static int32_t switch_at(const struct topo *topo, uint32_t port)
{
    int32_t peer = topo->fabric.ports[port].peer;

    return topo->switch_of[topo->fabric.ports[peer].node];
}

/* How many cables each switch is away from `to`. */
static void measure_from(struct topo *topo, uint32_t to, uint32_t *queue)
{
    uint8_t *hops = topo->hops + (size_t)to * topo->switch_count;
    uint32_t head = 0, tail = 0;

    memset(hops, TOPO_HOPS_NONE, topo->switch_count);
    hops[to] = 0;
    queue[tail++] = to;
    while (head < tail) {
        uint32_t at = queue[head++];

        if (hops[at] == TOPO_HOPS_MAX)
            continue;
        for (uint32_t i = topo->cable_first[at]; i < topo->cable_first[at + 1]; i++) {
            uint32_t next = topo->cables[i].next;

            if (hops[next] != TOPO_HOPS_NONE)
                continue;
            hops[next] = (uint8_t)(hops[at] + 1);
            queue[tail++] = next;
        }
    }
}

static int by_next(const void *a, const void *b)
{
    const struct cable *left = a, *right = b;

    if (left->next != right->next)
        return left->next < right->next ? -1 : 1;
    return left->port < right->port ? -1 : left->port > right->port;
}

static enum fab_status list_cables(struct topo *topo, struct fab_err *err)
{
    uint32_t count = 0;

    topo->cable_first =
        fab_arena_alloc_array(&topo->arena, (size_t)topo->switch_count + 1, sizeof(uint32_t));
    topo->cables = fab_arena_alloc_array(&topo->arena, (size_t)topo->fabric.port_count + 1,
                                         sizeof(struct cable));
    if (!topo->cable_first || !topo->cables)
        return fab_err_set(err, FAB_ERR_NOMEM, "the cables of %u switches", topo->switch_count);
    for (uint32_t at = 0; at < topo->switch_count; at++) {
        const struct topo_fabric_node *node = &topo->fabric.nodes[topo->switch_node[at]];

        topo->cable_first[at] = count;
        for (uint32_t port = node->first_port; port < node->first_port + node->port_count; port++) {
            int32_t next = topo_cable_is_up(topo, port) ? switch_at(topo, port) : TOPO_NONE;

            if (next != TOPO_NONE && (uint32_t)next != at)
                topo->cables[count++] = (struct cable){(uint32_t)next, port};
        }
        qsort(&topo->cables[topo->cable_first[at]], count - topo->cable_first[at],
              sizeof(struct cable), by_next);
    }
    topo->cable_first[topo->switch_count] = count;
    return FAB_OK;
}

enum fab_status topo_fabric_measure(struct topo *topo, struct fab_err *err)
{
    uint32_t nodes = topo->fabric.node_count, *queue;

    topo->switch_of = fab_arena_alloc_array(&topo->arena, nodes + 1, sizeof(int32_t));
    topo->switch_node = fab_arena_alloc_array(&topo->arena, nodes + 1, sizeof(uint32_t));
    queue = fab_arena_alloc_array(&topo->arena, nodes + 1, sizeof(uint32_t));
    if (!topo->switch_of || !topo->switch_node || !queue)
        return fab_err_set(err, FAB_ERR_NOMEM, "the distances of %u fabric nodes", nodes);
    for (uint32_t i = 0; i < nodes; i++) {
        topo->switch_of[i] = TOPO_NONE;
        if (topo->node_thing[i] == TOPO_NO_ID || topo->fabric.nodes[i].kind == TOPO_FABRIC_HCA)
            continue;
        if (topo->switch_count == TOPO_SWITCHES_MAX)
            return fab_err_set(err, FAB_ERR_LIMIT, "more than %d switches", TOPO_SWITCHES_MAX);
        topo->switch_of[i] = (int32_t)topo->switch_count;
        topo->switch_node[topo->switch_count++] = i;
    }
    topo->hops = fab_alloc((size_t)topo->switch_count * topo->switch_count + 1);
    if (!topo->hops)
        return fab_err_set(err, FAB_ERR_NOMEM, "the distances of %u switches", topo->switch_count);
    if (list_cables(topo, err) != FAB_OK)
        return FAB_ERR_NOMEM;
    for (uint32_t i = 0; i < topo->switch_count; i++)
        measure_from(topo, i, queue);
    return FAB_OK;
}

/* The first cable from `at` that leads to switch `next` or a later one. */
static uint32_t cable_from(const struct topo *topo, uint32_t at, uint32_t next)
{
    uint32_t low = topo->cable_first[at], high = topo->cable_first[at + 1];

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (topo->cables[middle].next < next)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The cable out of a switch that is a step nearer to `to`; of several the one of the destination.
 */
static bool next_cable(const struct topo *topo, uint32_t at, uint32_t to, uint32_t destination,
                       uint32_t *port_out)
{
    const uint8_t *hops = topo->hops + (size_t)to * topo->switch_count;
    uint32_t first = topo->cable_first[at], end = topo->cable_first[at + 1], count = 0, chosen;

    if (hops[at] == 1) { /* a spine has hundreds, this one is found */
        first = cable_from(topo, at, to);
        end = cable_from(topo, at, to + 1);
    }
    for (uint32_t i = first; i < end; i++)
        count += hops[topo->cables[i].next] + 1 == hops[at];
    chosen = count ? destination % count : 0;
    for (uint32_t i = first; i < end; i++) {
        if (hops[topo->cables[i].next] + 1 == hops[at] && chosen-- == 0) {
            *port_out = topo->cables[i].port;
            return true;
        }
    }
    return false;
}

static bool between_switches(const struct topo *topo, uint32_t from, uint32_t to,
                             uint32_t destination, struct way *way)
{
    while (from != to) {
        uint32_t port = 0;

        if (topo->hops[(size_t)to * topo->switch_count + from] == TOPO_HOPS_NONE ||
            !next_cable(topo, from, to, destination, &port))
            return false;
        add_lane(way, topo->lane_fabric_first + port);
        way->ib_hops++;
        from = (uint32_t)switch_at(topo, port);
    }
    return true;
}

/* The switch that an end hangs on (or is); the port's own index if it is one, and what it adds. */
static bool fabric_end(const struct topo *topo, topo_id id, int32_t *switch_out, uint32_t *port_out)
{
    const struct topo_thing *thing = &topo_things(topo)[id];

    if (thing->kind == TOPO_SWITCH) {
        *switch_out = topo->switch_of[topo_spots(topo)[id].index];
        return *switch_out != TOPO_NONE;
    }
    if (!topo->has_fabric || !topo_port_is_usable(topo, id))
        return false;
    *port_out = fabric_port(topo, thing);
    *switch_out = switch_at(topo, *port_out);
    return true;
}

bool topo_way_over_fabric(const struct topo *topo, topo_id from, topo_id to, struct way *way)
{
    uint32_t from_port = UINT32_MAX, to_port = UINT32_MAX, destination = 0;
    int32_t from_switch, to_switch;

    if (!fabric_end(topo, from, &from_switch, &from_port) ||
        !fabric_end(topo, to, &to_switch, &to_port))
        return false;
    way->class = TOPO_IB;
    if (from_port != UINT32_MAX) {
        add_lane(way, topo->lane_fabric_first + from_port);
        way->latency_ns += TOPO_HCA_NS;
    }
    if (to_port != UINT32_MAX)
        way->latency_ns += TOPO_HCA_NS;
    if (from_switch == TOPO_NONE || to_switch == TOPO_NONE) /* a cable without a switch */
        return from_port != UINT32_MAX && to_port != UINT32_MAX &&
               topo->fabric.ports[from_port].peer == (int32_t)to_port;
    if (from_port != UINT32_MAX)
        way->ib_hops++;
    if (to_port != UINT32_MAX) /* consecutive on a leaf, so its hosts spread evenly */
        destination = topo->fabric.ports[topo->fabric.ports[to_port].peer].number;
    if (!between_switches(topo, (uint32_t)from_switch, (uint32_t)to_switch, destination, way))
        return false;
    if (to_port != UINT32_MAX)
        add_lane(way, topo->lane_fabric_first + (uint32_t)topo->fabric.ports[to_port].peer);
    way->latency_ns += way->ib_hops * TOPO_IB_SWITCH_NS;
    return true;
}
