/* SPDX-License-Identifier: Apache-2.0
 * topology/findings_fabric.c - findings of ports, cables and switches.
 *
 * What a link could do is judged by what its devices are, not by what they say is enabled:
 * simulators and some firmware enable widths and speeds that the part does not have.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "topology/findings_int.h"

enum { LANES = 4 }; /* every cable has four; HDR and later may be split into two halves */

/* Payload of a lane, MB/s. */
enum { QDR = 1000, FDR = 1704, EDR = 3125, HDR = 6250, NDR = 12500 };

static const char *const state_names[] = {"unknown", "down", "init", "armed", "active"};

/* The fastest lane of a part. Source: PCI device ids of the vendor. */
static const struct {
    uint32_t device, lane_mbps;
} parts[] = {
    {0x1003, FDR}, /* ConnectX-3 */
    {0x1007, FDR}, /* ConnectX-3 Pro */
    {0x1011, FDR}, /* Connect-IB */
    {0x1013, EDR}, /* ConnectX-4 */
    {0x1017, EDR}, /* ConnectX-5 */
    {0x101b, HDR}, /* ConnectX-6 */
    {0x1021, NDR}, /* ConnectX-7 */
    {26428, QDR},  /* ConnectX-2 */
    {48438, QDR},  /* InfiniScale IV */
    {51000, FDR},  /* SwitchX: SX6036 */
    {52000, EDR},  /* Switch-IB */
    {53000, EDR},  /* Switch-IB 2 */
    {54000, HDR},  /* Quantum */
    {54002, NDR},  /* Quantum-2 */
};

/* 0: a part that is not in the table. */
static uint32_t lane_of(const struct topo_fabric_node *node)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++) {
        if (parts[i].device == node->device)
            return parts[i].lane_mbps;
    }
    return 0;
}

static const struct topo_fabric_node *node_of(const struct topo *topo, uint32_t port)
{
    return &topo->fabric.nodes[topo->fabric.ports[port].node];
}

/* The port's own thing, or the switch it belongs to. */
static topo_id thing_of(const struct topo *topo, uint32_t port)
{
    topo_id id = topo->port_thing[port];

    return id != TOPO_NO_ID ? id : topo->node_thing[topo->fabric.ports[port].node];
}

enum { END_BYTES = 2 * TOPO_NAME_BYTES + 48 };

/* "leaf1[3]" or "c4130-1/mlx4_0:2", or what a stranger says of itself. */
static const char *end_text(const struct topo *topo, uint32_t port, char text[END_BYTES])
{
    const struct topo_fabric_node *node = node_of(topo, port);
    topo_id id = thing_of(topo, port);

    if (id != TOPO_NO_ID && topo_things(topo)[id].kind == TOPO_PORT)
        (void)snprintf(text, END_BYTES, "%s", topo_things(topo)[id].name);
    else
        (void)snprintf(text, END_BYTES, "%s[%u]",
                       id != TOPO_NO_ID ? topo_things(topo)[id].name : node->description,
                       topo->fabric.ports[port].number);
    return text;
}

/* ---- HCAs and the fabric ----------------------------------------------------------------------
 */

static void judge_hcas(struct judge *judge)
{
    topo_id id = TOPO_NO_ID;

    while ((id = topo_next(judge->topo, TOPO_HCA, TOPO_NO_ID, id)) != TOPO_NO_ID) {
        const struct topo_thing *hca = &topo_things(judge->topo)[id];

        if (!fab_map_find(&judge->nodes, hca->hca->node_guid))
            judge_add(
                judge, TOPO_WARNING, "hca-not-in-fabric", id,
                "the fabric has no HCA with the NodeGUID 0x%016llx of %s: its cables are out, "
                "the other end is off, or its GUID stands twice",
                (unsigned long long)hca->hca->node_guid, hca->name);
    }
}

/* The machine that a description names first ("r730-1 mlx4_0"), or TOPO_NO_ID. */
static topo_id named_machine(const struct topo *topo, const struct topo_fabric_node *node)
{
    char name[sizeof(node->description)];
    topo_id id;

    (void)snprintf(name, sizeof(name), "%s", node->description);
    name[strcspn(name, " ")] = '\0';
    id = topo_find(topo, name);
    return id != TOPO_NO_ID && topo_things(topo)[id].kind == TOPO_MACHINE ? id : TOPO_NO_ID;
}

static void judge_node(struct judge *judge, uint32_t index)
{
    const struct topo *topo = judge->topo;
    const struct topo_fabric_node *node = &topo->fabric.nodes[index];
    topo_id thing = topo->node_thing[index], named = named_machine(topo, node);

    if (thing == TOPO_NO_ID && fab_map_find(&judge->hcas, node->guid))
        return; /* told as a duplicate */
    if (thing == TOPO_NO_ID && node->kind == TOPO_FABRIC_HCA)
        judge_add(judge, TOPO_NOTICE, "stranger-in-fabric", TOPO_NO_ID,
                  "the fabric has an HCA \"%s\" (0x%016llx) that no known machine has: a host "
                  "without an agent?",
                  node->description, (unsigned long long)node->guid);
    else if (thing == TOPO_NO_ID)
        judge_add(judge, TOPO_CRITICAL, "duplicate-guid", TOPO_NO_ID,
                  "two switches have the NodeGUID 0x%016llx; the second, \"%s\", is left out",
                  (unsigned long long)node->guid, node->description);
    else if (named != TOPO_NO_ID && topo_things(topo)[thing].machine != TOPO_NO_ID &&
             topo_things(topo)[thing].machine != named)
        judge_add(
            judge, TOPO_WARNING, "wrong-description", thing,
            "%s calls itself \"%s\" in the fabric: the card was moved, or the description was "
            "not set again",
            judge_name(judge, thing), node->description);
}

/* Two of one GUID, as records from elsewhere may have; a sweep sees them as one. */
static enum fab_status judge_node_guids(struct judge *judge)
{
    const struct topo_fabric *fabric = &judge->topo->fabric;
    enum fab_status status = FAB_OK;

    for (uint32_t i = 0; i < fabric->node_count && status == FAB_OK; i++) {
        if (fabric->nodes[i].kind != TOPO_FABRIC_HCA)
            continue;
        if (fab_map_find(&judge->nodes, fabric->nodes[i].guid))
            judge_add(judge, TOPO_CRITICAL, "duplicate-guid", TOPO_NO_ID,
                      "two HCAs of the fabric have the NodeGUID 0x%016llx (\"%s\"): neither is "
                      "joined to a machine",
                      (unsigned long long)fabric->nodes[i].guid, fabric->nodes[i].description);
        status = fab_map_put(&judge->nodes, fabric->nodes[i].guid, &fabric->nodes[i]);
    }
    return status;
}

/* ---- ports and cables -------------------------------------------------------------------------
 */

static bool has_active_port(const struct topo *topo, topo_id hca)
{
    const struct place *place = &topo->places[topo_spots(topo)[hca].machine];

    for (topo_id id = place->first_port; id < place->end; id++) {
        if (topo_things(topo)[id].parent == hca && topo_port_is_usable(topo, id))
            return true;
    }
    return false;
}

/* A port that carries nothing. One of several is a rail less, the only one is the HCA. */
static void judge_port(struct judge *judge, topo_id id)
{
    const struct topo *topo = judge->topo;
    const struct topo_thing *port = &topo_things(topo)[id];
    enum topo_severity severity =
        has_active_port(topo, port->parent) ? TOPO_WARNING : TOPO_CRITICAL;

    if (topo_port_is_usable(topo, id))
        return;
    if (!topo->has_fabric)
        judge_add(judge, severity, "port-not-active", id, "%s is %s; see ibstat", port->name,
                  state_names[port->port->state]);
    else if (port->fabric_port && port->fabric_port->peer == TOPO_NONE)
        judge_add(judge, severity, "link-down", id,
                  "%s sees no other end: check its cable and the switch port", port->name);
    else if (port->fabric_port)
        judge_add(judge, severity, "port-not-active", id,
                  "%s has a cable and is in state %s: does a subnet manager run, and do both ends "
                  "answer?",
                  port->name,
                  port->fabric_port->state == TOPO_PORT_ACTIVE
                      ? state_names[topo->fabric.ports[port->fabric_port->peer].state]
                      : state_names[port->fabric_port->state]);
}

/* A cable between switches; those of HCAs are their ports'. */
static void judge_switch_cable(struct judge *judge, uint32_t port)
{
    const struct topo_fabric_port *end = &judge->topo->fabric.ports[port];
    char here[END_BYTES], there[END_BYTES];

    if (end->state == TOPO_PORT_ACTIVE ||
        node_of(judge->topo, (uint32_t)end->peer)->kind == TOPO_FABRIC_HCA)
        return;
    judge_add(judge, TOPO_WARNING, "port-not-active", thing_of(judge->topo, port),
              "%s, cabled to %s, is in state %s: does a subnet manager run?",
              end_text(judge->topo, port, here), end_text(judge->topo, (uint32_t)end->peer, there),
              state_names[end->state]);
}

/* Once a cable, from its first end. */
static void judge_link(struct judge *judge, uint32_t port)
{
    const struct topo *topo = judge->topo;
    const struct topo_fabric_port *end = &topo->fabric.ports[port];
    uint32_t here_lane = lane_of(node_of(topo, port));
    uint32_t there_lane = lane_of(node_of(topo, (uint32_t)end->peer));
    uint32_t lane = here_lane < there_lane ? here_lane : there_lane;
    uint32_t lanes = lane >= HDR || end->lane_mbps >= HDR ? LANES / 2 : LANES;
    char here[END_BYTES], there[END_BYTES], is[TOPO_SPEED_BYTES], could[TOPO_SPEED_BYTES];

    (void)end_text(topo, port, here);
    (void)end_text(topo, (uint32_t)end->peer, there);
    if (end->peer > (int32_t)port && end->state == TOPO_PORT_ACTIVE && end->width > 0) {
        (void)topo_speed_text(end->width, end->lane_mbps, is);
        (void)topo_speed_text(end->width, lane, could);
        if (end->width < lanes)
            judge_add(
                judge, TOPO_WARNING, "width-degraded", thing_of(topo, port),
                "the link of %s and %s runs at %s on %u of 4 lanes: clean or replace the cable",
                here, there, is, end->width);
        if (end->lane_mbps > 0 && end->lane_mbps < lane)
            judge_add(judge, TOPO_WARNING, "speed-degraded", thing_of(topo, port),
                      "the link of %s and %s runs at %s, both could do %s: check cable and port "
                      "settings",
                      here, there, is, could);
    }
    if (end->node == topo->fabric.ports[end->peer].node && end->peer > (int32_t)port)
        judge_add(judge, TOPO_WARNING, "miscabled", thing_of(topo, port),
                  "a cable joins %s to %s, the same device", here, there);
}

/* A switch's port that is trained, so something is at the other end, and the sweep met nobody. */
static void judge_silence(struct judge *judge, uint32_t port)
{
    const struct topo_fabric_port *end = &judge->topo->fabric.ports[port];
    char here[END_BYTES];

    if (end->peer == TOPO_NONE && end->state >= TOPO_PORT_INIT &&
        node_of(judge->topo, port)->kind == TOPO_FABRIC_SWITCH)
        judge_add(
            judge, TOPO_WARNING, "no-answer", thing_of(judge->topo, port),
            "the other end of %s is on and does not answer: it hangs, or its GUID stands twice",
            end_text(judge->topo, port, here));
}

/* Counters of the standard performance manager that do not stay at 0 on a sound link. */
static const struct {
    const char *code, *what;
    size_t offset;
    uint64_t least; /* from here on it is told */
    enum topo_severity severity;
} counters[] = {
    {"symbol-errors", "symbol errors", offsetof(struct topo_fabric_port, symbol_errors), 10,
     TOPO_WARNING},
    {"receive-errors", "receive errors", offsetof(struct topo_fabric_port, receive_errors), 10,
     TOPO_WARNING},
    {"link-recoveries", "link recoveries", offsetof(struct topo_fabric_port, link_recoveries), 10,
     TOPO_WARNING},
    {"link-downed", "losses of the link", offsetof(struct topo_fabric_port, link_downed), 1,
     TOPO_NOTICE},
    {"discards", "discarded packets", offsetof(struct topo_fabric_port, transmit_discards), 100,
     TOPO_NOTICE},
};

static void judge_counters(struct judge *judge, uint32_t port)
{
    const struct topo_fabric_port *end = &judge->topo->fabric.ports[port];
    char here[END_BYTES];

    for (size_t i = 0; i < FAB_ARRAY_LEN(counters) && end->has_counters; i++) {
        uint64_t value;

        memcpy(&value, (const char *)end + counters[i].offset, sizeof(value));
        if (value >= counters[i].least)
            judge_add(
                judge, counters[i].severity, counters[i].code, thing_of(judge->topo, port),
                "%s has counted %llu %s: if that grows, clean or replace its cable (reset with "
                "perfquery -R)",
                end_text(judge->topo, port, here), (unsigned long long)value, counters[i].what);
    }
}

static void judge_ports(struct judge *judge)
{
    const struct topo *topo = judge->topo;
    topo_id id = TOPO_NO_ID;

    while ((id = topo_next(topo, TOPO_PORT, TOPO_NO_ID, id)) != TOPO_NO_ID)
        judge_port(judge, id);
    for (uint32_t port = 0; port < topo->fabric.port_count; port++) {
        if (topo->fabric.ports[port].peer != TOPO_NONE) {
            if (node_of(topo, port)->kind != TOPO_FABRIC_HCA)
                judge_switch_cable(judge, port);
            judge_link(judge, port);
        }
        judge_silence(judge, port);
        judge_counters(judge, port);
    }
}

/* ---- LIDs -------------------------------------------------------------------------------------
 */

static uint16_t lid_of(const struct topo *topo, uint32_t port, uint32_t *count_out)
{
    const struct topo_fabric_port *end = &topo->fabric.ports[port];
    const struct topo_fabric_node *node = &topo->fabric.nodes[end->node];

    *count_out = 1u << end->lmc;
    if (node->kind == TOPO_FABRIC_HCA)
        return end->peer != TOPO_NONE ? end->lid : 0;
    *count_out = 1; /* a switch has one for all ports: told at the first */
    return port == node->first_port ? node->lid : 0;
}

static enum fab_status judge_lids(struct judge *judge)
{
    const struct topo *topo = judge->topo;
    uint32_t *owner = fab_alloc_zeroed(UINT16_MAX + 1, sizeof(*owner)); /* port + 1 */
    char here[END_BYTES], there[END_BYTES];

    if (!owner)
        return FAB_ERR_NOMEM;
    for (uint32_t port = 0; port < topo->fabric.port_count; port++) {
        const struct topo_fabric_port *end = &topo->fabric.ports[port];
        uint32_t count, lid = lid_of(topo, port, &count);

        if (lid == 0 && end->state == TOPO_PORT_ACTIVE && end->peer != TOPO_NONE &&
            node_of(topo, port)->kind == TOPO_FABRIC_HCA)
            judge_add(judge, TOPO_WARNING, "no-lid", thing_of(topo, port),
                      "%s is active and has no LID: does it answer the subnet manager?",
                      end_text(topo, port, here));
        for (uint32_t i = 0; lid != 0 && i < count && lid + i <= UINT16_MAX; i++) {
            if (owner[lid + i] == 0) {
                owner[lid + i] = port + 1;
                continue;
            }
            judge_add(
                judge, TOPO_CRITICAL, "duplicate-lid", thing_of(topo, port),
                "%s and %s both have the LID %u: two subnet managers? Start one of them again",
                end_text(topo, owner[lid + i] - 1, here), end_text(topo, port, there), lid + i);
            break;
        }
    }
    free(owner);
    return FAB_OK;
}

/* ---- cabling ----------------------------------------------------------------------------------
 */

enum { RAILS_MAX = 16, MAJORITY_LEAST = 3, MAJORITY_PERCENT = 75 };

/* The rail a port is meant for: its number on a card with several, else the card's place. */
static uint32_t rail_of(const struct topo *topo, topo_id port)
{
    const struct topo_thing *thing = &topo_things(topo)[port];
    uint32_t rail = thing->hca->port_count > 1
                        ? thing->port->number - 1u
                        : (uint32_t)(thing->hca - thing->machine_record->hcas);

    return rail < RAILS_MAX ? rail : RAILS_MAX - 1;
}

/* A switch nearly all of whose hosts are on it with the same port is that rail's; one on it with
 * another port was plugged wrongly. Switches that serve several rails say nothing. */
static void judge_rails(struct judge *judge, uint32_t node)
{
    const struct topo *topo = judge->topo;
    const struct topo_fabric_node *at = &topo->fabric.nodes[node];
    uint32_t count[RAILS_MAX] = {0}, all = 0, rail = 0;
    char here[END_BYTES];

    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t port = at->first_port; port < at->first_port + at->port_count; port++) {
            int32_t peer = topo->fabric.ports[port].peer;
            topo_id id = peer == TOPO_NONE ? TOPO_NO_ID : topo->port_thing[peer];

            if (id == TOPO_NO_ID)
                continue;
            if (pass == 0) {
                count[rail_of(topo, id)]++;
                all++;
            } else if (rail_of(topo, id) != rail) {
                judge_add(judge, TOPO_WARNING, "miscabled", id,
                          "%s is plugged into %s, where the other hosts have their port number %u: "
                          "are its cables exchanged?",
                          judge_name(judge, id), end_text(topo, port, here), rail + 1);
            }
        }
        for (uint32_t i = 1; i < RAILS_MAX; i++)
            rail = count[i] > count[rail] ? i : rail;
        if (count[rail] < MAJORITY_LEAST || count[rail] * 100 < all * MAJORITY_PERCENT)
            return;
    }
}

/* What judge_trunks() counts. `most` has two figures a switch: to neighbours that hosts hang on,
 * and to others. */
struct trunks {
    uint32_t *cables; /* to each node, from the switch in hand */
    uint32_t (*most)[2];
    bool *has_hosts;
};

static void count_cables(const struct topo *topo, uint32_t node, struct trunks *trunks)
{
    const struct topo_fabric_node *at = &topo->fabric.nodes[node];

    memset(trunks->cables, 0, topo->fabric.node_count * sizeof(trunks->cables[0]));
    for (uint32_t port = at->first_port; port < at->first_port + at->port_count; port++) {
        int32_t peer = topo->fabric.ports[port].peer;
        uint32_t other = peer == TOPO_NONE ? node : topo->fabric.ports[peer].node;

        if (topo->switch_of[other] == TOPO_NONE)
            trunks->has_hosts[node] = true;
        else if (other != node)
            trunks->cables[other]++;
    }
}

/* Switches of one sort have as many cables to each other everywhere; a pair with fewer has lost
 * one, or never had it. */
static void judge_trunks(struct judge *judge, uint32_t node, struct trunks *trunks)
{
    const struct topo *topo = judge->topo;

    count_cables(topo, node, trunks);
    for (uint32_t other = node + 1; other < topo->fabric.node_count; other++) {
        uint32_t here = trunks->most[node][trunks->has_hosts[other]];
        uint32_t there = trunks->most[other][trunks->has_hosts[node]];
        uint32_t most = here > there ? here : there;

        if (trunks->cables[other] > 0 && trunks->cables[other] < most)
            judge_add(judge, TOPO_NOTICE, "uneven-trunk", topo->node_thing[node],
                      "%u cables join %s and %s, other switches of their sort %u: is one out?",
                      trunks->cables[other], judge_name(judge, topo->node_thing[node]),
                      judge_name(judge, topo->node_thing[other]), most);
    }
}

static void count_trunks(const struct topo *topo, struct trunks *trunks)
{
    for (uint32_t i = 0; i < topo->fabric.node_count; i++) {
        if (topo->switch_of[i] != TOPO_NONE)
            count_cables(topo, i, trunks); /* for has_hosts, which the next loop needs whole */
    }
    for (uint32_t i = 0; i < topo->fabric.node_count; i++) {
        if (topo->switch_of[i] == TOPO_NONE)
            continue;
        count_cables(topo, i, trunks);
        for (uint32_t other = 0; other < topo->fabric.node_count; other++) {
            uint32_t *most = &trunks->most[i][trunks->has_hosts[other]];

            if (trunks->cables[other] > *most)
                *most = trunks->cables[other];
        }
    }
}

static enum fab_status judge_cabling(struct judge *judge)
{
    const struct topo *topo = judge->topo;
    size_t nodes = topo->fabric.node_count + 1;
    struct trunks trunks = {.cables = fab_alloc_zeroed(nodes, sizeof(*trunks.cables)),
                            .most = fab_alloc_zeroed(nodes, sizeof(*trunks.most)),
                            .has_hosts = fab_alloc_zeroed(nodes, sizeof(*trunks.has_hosts))};
    bool is_ready = trunks.cables && trunks.most && trunks.has_hosts;

    if (is_ready)
        count_trunks(topo, &trunks);
    for (uint32_t i = 0; is_ready && i < topo->fabric.node_count; i++) {
        if (topo->switch_of[i] == TOPO_NONE)
            continue;
        judge_rails(judge, i);
        judge_trunks(judge, i, &trunks);
    }
    free(trunks.cables);
    free(trunks.most);
    free(trunks.has_hosts);
    return is_ready ? FAB_OK : FAB_ERR_NOMEM;
}

enum fab_status judge_fabric(struct judge *judge)
{
    enum fab_status status = FAB_OK;

    if (judge->topo->has_fabric) {
        status = judge_node_guids(judge);
        judge_hcas(judge);
        for (uint32_t i = 0; i < judge->topo->fabric.node_count; i++)
            judge_node(judge, i);
    }
    judge_ports(judge);
    if (status == FAB_OK)
        status = judge_lids(judge);
    return status == FAB_OK ? judge_cabling(judge) : status;
}
