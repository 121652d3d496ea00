/* SPDX-License-Identifier: Apache-2.0
 * topology/print.c - the model as text: a tree of holders, and the matrix of paths.
 */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "topology/topo_int.h"

static const char *const kind_names[] = {
    [TOPO_MACHINE] = "machine", [TOPO_NUMA] = "numa",
    [TOPO_ROOT] = "root",       [TOPO_PCI_SWITCH] = "pci-switch",
    [TOPO_GPU] = "gpu",         [TOPO_HCA] = "hca",
    [TOPO_PORT] = "port",       [TOPO_SWITCH] = "switch",
};

const char *topo_kind_name(enum topo_kind kind)
{
    return kind_names[kind];
}

static const char *const severity_names[] = {
    [TOPO_NOTICE] = "notice", [TOPO_WARNING] = "warning", [TOPO_CRITICAL] = "critical"};

const char *topo_severity_name(enum topo_severity severity)
{
    return severity_names[severity];
}

const char *topo_speed_text(uint32_t width, uint32_t lane_mbps, char text[TOPO_SPEED_BYTES])
{
    static const struct {
        const char *name;
        uint32_t lane_mbps;
    } speeds[] = {{"SDR", 250},  {"DDR", 500},  {"QDR", 1000}, {"FDR10", 1250},
                  {"FDR", 1704}, {"EDR", 3125}, {"HDR", 6250}, {"NDR", 12500}};
    const char *name = "?";

    for (size_t i = 0; i < FAB_ARRAY_LEN(speeds); i++) {
        if (lane_mbps * 100 >= speeds[i].lane_mbps * 99 &&
            lane_mbps * 100 <= speeds[i].lane_mbps * 101)
            name = speeds[i].name;
    }
    (void)snprintf(text, TOPO_SPEED_BYTES, "%ux %s", width, name);
    return text;
}

/* ---- tree -------------------------------------------------------------------------------------
 */

static void print_gpu(const struct topo_thing *thing, FILE *stream)
{
    const struct topo_gpu *gpu = thing->gpu;
    char bytes[FAB_NUMBER_TEXT_BYTES], bdf[TOPO_BDF_BYTES];

    (void)fprintf(stream, "  %s", gpu->name[0] ? gpu->name : "(no driver)");
    if (gpu->memory_bytes > 0)
        (void)fprintf(stream, "  %s", fab_format_size(gpu->memory_bytes, bytes));
    if (gpu->cc_major > 0)
        (void)fprintf(stream, "  compute %u.%u", gpu->cc_major, gpu->cc_minor);
    if (gpu->pci != TOPO_NONE)
        (void)fprintf(stream, "  %s",
                      topo_bdf_format(&thing->machine_record->pci[gpu->pci].bdf, bdf));
}

/* What is at the other end of a cable: "leaf1[3]", "c4130-1/mlx4_0:1". */
static void print_peer(const struct topo *topo, const struct topo_fabric_port *port, FILE *stream)
{
    const struct topo_fabric_port *peer = &topo->fabric.ports[port->peer];
    topo_id id = topo->port_thing[port->peer];

    if (id == TOPO_NO_ID)
        id = topo->node_thing[peer->node];
    if (id == TOPO_NO_ID)
        (void)fprintf(stream, "\"%s\"[%u]", topo->fabric.nodes[peer->node].description,
                      peer->number);
    else if (topo_things(topo)[id].kind == TOPO_PORT)
        (void)fprintf(stream, "%s", topo_things(topo)[id].name);
    else
        (void)fprintf(stream, "%s[%u]", topo_things(topo)[id].name, peer->number);
}

static const char *state_text(enum topo_port_state state)
{
    static const char *const names[] = {"unknown", "down", "init", "armed", "active"};

    return names[state];
}

static void print_port(const struct topo *topo, const struct topo_thing *thing, FILE *stream)
{
    const struct topo_fabric_port *end = thing->fabric_port;
    char speed[TOPO_SPEED_BYTES];

    (void)fprintf(stream, "  %s", state_text(end ? end->state : thing->port->state));
    if (end && end->peer != TOPO_NONE) {
        (void)fprintf(stream, "  %s  lid %u  -> ",
                      topo_speed_text(end->width, end->lane_mbps, speed), end->lid);
        print_peer(topo, end, stream);
    }
    if (thing->port->netdev[0])
        (void)fprintf(stream, "  %s mtu %u", thing->port->netdev, thing->port->mtu);
}

static void print_switch(const struct topo *topo, const struct topo_thing *thing, FILE *stream)
{
    const struct topo_fabric_node *node = thing->fabric_node;

    (void)fprintf(stream, "%s  switch  0x%016" PRIx64 "  lid %u  %u ports\n", thing->name,
                  node->guid, node->lid, node->port_count);
    for (uint32_t i = 0; i < node->port_count; i++) {
        const struct topo_fabric_port *port = &topo->fabric.ports[node->first_port + i];
        char speed[TOPO_SPEED_BYTES];

        if (port->peer == TOPO_NONE)
            continue;
        (void)fprintf(stream, "  [%u]  %s  %s  -> ", port->number, state_text(port->state),
                      topo_speed_text(port->width, port->lane_mbps, speed));
        print_peer(topo, port, stream);
        (void)fputc('\n', stream);
    }
}

static void print_facts(const struct topo *topo, topo_id id, FILE *stream)
{
    const struct topo_thing *thing = &topo_things(topo)[id];
    const struct spot *spot = &topo_spots(topo)[id];
    char bytes[FAB_NUMBER_TEXT_BYTES];

    switch (thing->kind) {
    case TOPO_NUMA:
        (void)fprintf(stream, "  %s  cpus %s",
                      fab_format_size(thing->machine_record->numa[spot->index].memory_bytes, bytes),
                      thing->machine_record->numa[spot->index].cpus);
        break;
    case TOPO_GPU:
        print_gpu(thing, stream);
        break;
    case TOPO_HCA:
        (void)fprintf(stream, "  0x%016" PRIx64, thing->hca->node_guid);
        break;
    case TOPO_PORT:
        print_port(topo, thing, stream);
        break;
    case TOPO_MACHINE:
    case TOPO_ROOT:
    case TOPO_PCI_SWITCH:
    case TOPO_SWITCH:
        break;
    }
}

/* Things of a machine are at most PCI's depth and three more deep. */
static void print_below(const struct topo *topo, const struct place *place, topo_id parent,
                        int indent, FILE *stream)
{
    size_t prefix = strlen(place->record->name) + 1;

    for (topo_id id = place->first + 1; id < place->end; id++) {
        if (topo_things(topo)[id].parent != parent)
            continue;
        (void)fprintf(stream, "%*s%s", indent, "", topo_things(topo)[id].name + prefix);
        print_facts(topo, id, stream);
        (void)fputc('\n', stream);
        print_below(topo, place, id, indent + 2, stream);
    }
}

static void print_findings(const struct topo *topo, FILE *stream)
{
    for (size_t i = 0; i < topo_finding_count(topo); i++) {
        const struct topo_finding *finding = topo_finding(topo, i);

        (void)fprintf(stream, "%s  %s  %s\n", severity_names[finding->severity], finding->code,
                      finding->text);
    }
}

void topo_print_tree(const struct topo *topo, FILE *stream)
{
    for (uint32_t i = 0; i < topo->machine_count; i++) {
        (void)fprintf(stream, "%s\n", topo->places[i].record->name);
        print_below(topo, &topo->places[i], topo->places[i].first, 2, stream);
    }
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;)
        print_switch(topo, &topo_things(topo)[id], stream);
    print_findings(topo, stream);
}

/* ---- matrix -----------------------------------------------------------------------------------
 */

enum { CELL_BYTES = 8, NAME_WIDTH_MAX = 2 * TOPO_NAME_BYTES };

static bool is_in_matrix(const struct topo_thing *thing)
{
    return thing->kind == TOPO_GPU || thing->kind == TOPO_HCA;
}

static const char *cell(const struct topo *topo, topo_id from, topo_id to, char text[CELL_BYTES])
{
    struct topo_path path = {.class = TOPO_APART};

    if (topo_path(topo, from, to, &path, NULL) != FAB_OK)
        path.class = TOPO_APART;
    if (path.class == TOPO_IB)
        (void)snprintf(text, CELL_BYTES, "IB%u", path.ib_hops);
    else if (path.class == TOPO_NV)
        (void)snprintf(text, CELL_BYTES, "NV%u", path.nvlinks);
    else
        (void)snprintf(text, CELL_BYTES, "%s", topo_class_name(path.class));
    return text;
}

static void print_home(const struct topo *topo, topo_id id, FILE *stream)
{
    const struct topo_machine *record = topo_things(topo)[id].machine_record;
    int32_t numa = topo_spot_numa(topo, &topo_spots(topo)[id]);

    if (numa == TOPO_NONE)
        (void)fprintf(stream, "  -");
    else
        (void)fprintf(stream, "  %u  %s", record->numa[numa].os_index, record->numa[numa].cpus);
}

static void print_row(const struct topo *topo, topo_id from, unsigned number, int width,
                      FILE *stream)
{
    char text[CELL_BYTES];

    (void)fprintf(stream, "%4u  %-*s", number, width, topo_things(topo)[from].name);
    for (topo_id to = 0; to < topo->things.count; to++) {
        if (is_in_matrix(&topo_things(topo)[to]))
            (void)fprintf(stream, " %-4s", cell(topo, from, to, text));
    }
    print_home(topo, from, stream);
    (void)fputc('\n', stream);
}

void topo_print_matrix(const struct topo *topo, FILE *stream)
{
    int width = 0;
    unsigned count = 0;

    for (topo_id id = 0; id < topo->things.count; id++) {
        int length = (int)strnlen(topo_things(topo)[id].name, NAME_WIDTH_MAX);

        if (!is_in_matrix(&topo_things(topo)[id]))
            continue;
        width = length > width ? length : width;
        count++;
    }
    (void)fprintf(stream, "%4s  %-*s", "", width, "");
    for (unsigned i = 0; i < count; i++)
        (void)fprintf(stream, " %-4u", i);
    (void)fprintf(stream, "  NUMA  CPUs\n");
    count = 0;
    for (topo_id id = 0; id < topo->things.count; id++) {
        if (is_in_matrix(&topo_things(topo)[id]))
            print_row(topo, id, count++, width, stream);
    }
    (void)fprintf(stream, "\n"
                          "X    itself\n"
                          "NVn  n NVLinks\n"
                          "PIX  at most one PCIe switch between them\n"
                          "PXB  several PCIe switches, not the CPU\n"
                          "PHB  through the CPU's root complex\n"
                          "NODE through two root complexes of one NUMA node\n"
                          "SYS  across NUMA nodes\n"
                          "IBn  over the fabric, through n InfiniBand switches\n"
                          "-    no way\n");
}

/* ---- all formats ------------------------------------------------------------------------------
 */

enum fab_status topo_print(const struct topo *topo, enum topo_format format, FILE *stream,
                           struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    switch (format) {
    case TOPO_FORMAT_TREE:
        topo_print_tree(topo, stream);
        break;
    case TOPO_FORMAT_MATRIX:
        topo_print_matrix(topo, stream);
        break;
    case TOPO_FORMAT_DOT:
        topo_print_dot(topo, stream);
        break;
    case TOPO_FORMAT_SVG:
        status = topo_print_svg(topo, stream);
        if (status != FAB_OK)
            return fab_err_set(err, status, "a picture of the rack");
        break;
    case TOPO_FORMAT_JSON:
        status = topo_print_json(topo, stream, err);
        break;
    }
    if (status == FAB_OK && (fflush(stream) != 0 || ferror(stream)))
        return fab_err_set(err, FAB_ERR_IO, "the topology could not be written");
    return status;
}
