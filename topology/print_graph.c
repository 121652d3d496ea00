/* SPDX-License-Identifier: Apache-2.0
 * topology/print_graph.c - the model in Graphviz's language.
 */
#include <string.h>

#include "topology/topo_int.h"

/* Text inside quotes of DOT. */
static void print_quoted(const char *text, FILE *stream)
{
    (void)fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', stream);
        (void)fputc(*text, stream);
    }
    (void)fputc('"', stream);
}

const char *topo_short_name(const struct topo_thing *thing)
{
    const char *slash = strchr(thing->name, '/');

    return slash ? slash + 1 : thing->name;
}

topo_id topo_cable_end(const struct topo *topo, uint32_t port)
{
    topo_id id = topo->port_thing[port];

    return id != TOPO_NO_ID ? id : topo->node_thing[topo->fabric.ports[port].node];
}

/* ---- DOT --------------------------------------------------------------------------------------
 */

static const char *const dot_styles[] = {
    [TOPO_MACHINE] = "shape=box3d",
    [TOPO_NUMA] = "shape=folder",
    [TOPO_ROOT] = "shape=house",
    [TOPO_PCI_SWITCH] = "shape=diamond",
    [TOPO_GPU] = "shape=box, style=filled, fillcolor=\"#b7e1a1\"",
    [TOPO_HCA] = "shape=box, style=filled, fillcolor=\"#a9cdf0\"",
    [TOPO_PORT] = "shape=circle",
    [TOPO_SWITCH] = "shape=box, style=\"filled,rounded\", fillcolor=\"#f4d58d\"",
};

static void dot_thing(const struct topo_thing *thing, FILE *stream)
{
    (void)fputs("    ", stream);
    print_quoted(thing->name, stream);
    (void)fputs(" [label=", stream);
    print_quoted(topo_short_name(thing), stream);
    (void)fprintf(stream, ", %s];\n", dot_styles[thing->kind]);
}

static void dot_machine(const struct topo *topo, uint32_t machine, FILE *stream)
{
    const struct place *place = &topo->places[machine];

    (void)fprintf(stream, "  subgraph cluster_%u {\n    label=", machine);
    print_quoted(place->record->name, stream);
    (void)fputs(";\n", stream);
    for (topo_id id = place->first; id < place->end; id++)
        dot_thing(&topo_things(topo)[id], stream);
    for (topo_id id = place->first + 1; id < place->end; id++) {
        (void)fputs("    ", stream);
        print_quoted(topo_things(topo)[topo_things(topo)[id].parent].name, stream);
        (void)fputs(" -- ", stream);
        print_quoted(topo_things(topo)[id].name, stream);
        (void)fputs(";\n", stream);
    }
    (void)fputs("  }\n", stream);
}

void topo_print_dot(const struct topo *topo, FILE *stream)
{
    (void)fputs("graph rack {\n  rankdir=TB;\n", stream);
    for (uint32_t i = 0; i < topo->machine_count; i++)
        dot_machine(topo, i, stream);
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;)
        dot_thing(&topo_things(topo)[id], stream);
    for (uint32_t port = 0; port < topo->fabric.port_count; port++) {
        const struct topo_fabric_port *end = &topo->fabric.ports[port];
        topo_id from, to;
        char speed[TOPO_SPEED_BYTES];

        if (end->peer <= (int32_t)port)
            continue;
        from = topo_cable_end(topo, port);
        to = topo_cable_end(topo, (uint32_t)end->peer);
        if (from == TOPO_NO_ID || to == TOPO_NO_ID)
            continue;
        (void)fputs("  ", stream);
        print_quoted(topo_things(topo)[from].name, stream);
        (void)fputs(" -- ", stream);
        print_quoted(topo_things(topo)[to].name, stream);
        (void)fprintf(stream, " [label=\"%s\"%s];\n",
                      topo_speed_text(end->width, end->lane_mbps, speed),
                      end->state == TOPO_PORT_ACTIVE ? "" : ", style=dashed");
    }
    (void)fputs("}\n", stream);
}
