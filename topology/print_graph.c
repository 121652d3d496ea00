/* SPDX-License-Identifier: Apache-2.0
 * topology/print_graph.c - the model as a picture: Graphviz's language, and SVG laid out here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
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

static void print_escaped(const char *text, FILE *stream)
{
    for (; *text; text++) {
        if (*text == '<')
            (void)fputs("&lt;", stream);
        else if (*text == '>')
            (void)fputs("&gt;", stream);
        else if (*text == '&')
            (void)fputs("&amp;", stream);
        else if (*text == '"')
            (void)fputs("&quot;", stream);
        else
            (void)fputc(*text, stream);
    }
}

/* The name without the machine's. */
static const char *short_name(const struct topo_thing *thing)
{
    const char *slash = strchr(thing->name, '/');

    return slash ? slash + 1 : thing->name;
}

/* What a cable ends at: an HCA's port, a switch, or nothing known. */
static topo_id cable_end(const struct topo *topo, uint32_t port)
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
    print_quoted(short_name(thing), stream);
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
        from = cable_end(topo, port);
        to = cable_end(topo, (uint32_t)end->peer);
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

/* ---- SVG --------------------------------------------------------------------------------------
 * On top stand the switches without hosts, below them those with, then the machines in rows, their
 * NUMA nodes side by side, and in each the devices one below the other.
 */

enum {
    MARGIN = 20,
    GAP = 16,
    COLUMN = 190, /* a NUMA node */
    LINE = 24,    /* a device */
    TITLE = 26,
    INDENT = 12,
    SWITCH_WIDTH = 150,
    SWITCH_HEIGHT = 34,
    A_ROW = 6,         /* machines or switches */
    TRUNK_SPACE = 100, /* for cables below a tier of switches */
    PORT_SIZE = 14,
};

struct picture {
    const struct topo *topo;
    FILE *stream;
    struct point {
        int x, y;
    } * at; /* of each thing: where cables end */
    int width, machine_width, machine_height, machines_top;
};

static void svg_text(FILE *stream, int x, int y, const char *text)
{
    (void)fprintf(stream, "<text x=\"%d\" y=\"%d\">", x, y);
    print_escaped(text, stream);
    (void)fputs("</text>\n", stream);
}

static void svg_box(FILE *stream, int x, int y, int width, int height, const char *class)
{
    (void)fprintf(stream,
                  "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n",
                  class, x, y, width, height);
}

/* Things below `parent`, in the order of the tree: drawn, or (stream NULL) only counted. */
static int svg_below(struct picture *picture, const struct place *place, topo_id parent, int x,
                     int y, int indent, bool is_drawn)
{
    const struct topo_thing *things = topo_things(picture->topo);
    int lines = 0;

    for (topo_id id = place->first + 1; id < place->end; id++) {
        enum topo_kind kind = things[id].kind;

        if (things[id].parent != parent || kind == TOPO_NUMA)
            continue;
        if (kind == TOPO_PORT) { /* squares at the right of their HCA, which is the line above */
            int from_right = (int)(things[id].hca->port_count - things[id].port->number) + 1;
            int port_x = x + COLUMN - GAP - from_right * (PORT_SIZE + 4);

            picture->at[id] = (struct point){port_x + PORT_SIZE / 2, y - LINE + 5};
            if (is_drawn)
                svg_box(picture->stream, port_x, y - LINE + 3, PORT_SIZE, PORT_SIZE,
                        topo_port_is_usable(picture->topo, id) ? "up" : "down");
            continue;
        }
        if (is_drawn) {
            svg_box(picture->stream, x + indent, y + lines * LINE, COLUMN - GAP - indent, LINE - 4,
                    topo_kind_name(kind));
            svg_text(picture->stream, x + indent + 5, y + lines * LINE + 14,
                     short_name(&things[id]));
        }
        lines++;
        lines += svg_below(picture, place, id, x, y + lines * LINE, indent + INDENT, is_drawn);
    }
    return lines;
}

/* Columns of a machine: what hangs on it directly, if anything does, then its NUMA nodes. */
static int svg_columns(struct picture *picture, uint32_t machine, int x, int y, bool is_drawn,
                       int *lines_out)
{
    const struct place *place = &picture->topo->places[machine];
    int columns = 0, lines = svg_below(picture, place, place->first, x, y, 0, is_drawn);

    *lines_out = lines;
    if (lines > 0)
        columns = 1;
    for (uint32_t i = 0; i < place->record->numa_count; i++) {
        topo_id numa = place->first + 1 + i;

        if (is_drawn)
            svg_text(picture->stream, x + columns * COLUMN, y + 12,
                     short_name(&topo_things(picture->topo)[numa]));
        lines = 1 + svg_below(picture, place, numa, x + columns * COLUMN, y + LINE, 0, is_drawn);
        *lines_out = lines > *lines_out ? lines : *lines_out;
        columns++;
    }
    return columns;
}

static void svg_measure(struct picture *picture)
{
    int columns_most = 1, lines_most = 1;

    for (uint32_t i = 0; i < picture->topo->machine_count; i++) {
        int lines, columns = svg_columns(picture, i, 0, 0, false, &lines);

        columns_most = columns > columns_most ? columns : columns_most;
        lines_most = lines > lines_most ? lines : lines_most;
    }
    picture->machine_width = columns_most * COLUMN + GAP;
    picture->machine_height = TITLE + lines_most * LINE + GAP;
}

static bool has_hosts(const struct topo *topo, const struct topo_fabric_node *node)
{
    for (uint32_t port = node->first_port; port < node->first_port + node->port_count; port++) {
        int32_t peer = topo->fabric.ports[port].peer;

        if (peer != TOPO_NONE && topo->port_thing[peer] != TOPO_NO_ID)
            return true;
    }
    return false;
}

/* The switches of a tier, spread over the width; returns where the next thing begins. */
static int svg_place_tier(struct picture *picture, bool is_leaves, int y)
{
    const struct topo *topo = picture->topo;
    int count = 0, number = 0, a_row;

    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;)
        count += has_hosts(topo, topo_things(topo)[id].fabric_node) == is_leaves;
    if (count == 0)
        return y;
    a_row = count < A_ROW ? count : A_ROW;
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;) {
        if (has_hosts(topo, topo_things(topo)[id].fabric_node) != is_leaves)
            continue;
        picture->at[id] =
            (struct point){picture->width * (2 * (number % a_row) + 1) / (2 * a_row),
                           y + number / a_row * (SWITCH_HEIGHT + GAP) + SWITCH_HEIGHT};
        number++;
    }
    return y + (count + a_row - 1) / a_row * (SWITCH_HEIGHT + GAP) + TRUNK_SPACE;
}

static void svg_switches(const struct picture *picture)
{
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(picture->topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;) {
        int x = picture->at[id].x - SWITCH_WIDTH / 2, y = picture->at[id].y - SWITCH_HEIGHT;

        svg_box(picture->stream, x, y, SWITCH_WIDTH, SWITCH_HEIGHT, "switch");
        svg_text(picture->stream, x + 8, y + 21, topo_things(picture->topo)[id].name);
    }
}

static void svg_machines(struct picture *picture)
{
    for (uint32_t i = 0; i < picture->topo->machine_count; i++) {
        int x = MARGIN + (int)(i % A_ROW) * (picture->machine_width + GAP);
        int y = picture->machines_top + (int)(i / A_ROW) * (picture->machine_height + GAP);
        int lines;

        svg_box(picture->stream, x, y, picture->machine_width, picture->machine_height, "machine");
        svg_text(picture->stream, x + 8, y + 17, picture->topo->places[i].record->name);
        (void)svg_columns(picture, i, x + GAP, y + TITLE, true, &lines);
    }
}

static void svg_cables(const struct picture *picture)
{
    const struct topo *topo = picture->topo;

    for (uint32_t port = 0; port < topo->fabric.port_count; port++) {
        const struct topo_fabric_port *end = &topo->fabric.ports[port];
        topo_id from, to;

        if (end->peer <= (int32_t)port)
            continue;
        from = cable_end(topo, port);
        to = cable_end(topo, (uint32_t)end->peer);
        if (from != TOPO_NO_ID && to != TOPO_NO_ID)
            (void)fprintf(
                picture->stream, "<line class=\"%s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n",
                end->state == TOPO_PORT_ACTIVE ? "cable" : "cable down", picture->at[from].x,
                picture->at[from].y, picture->at[to].x, picture->at[to].y);
    }
}

static const char style[] =
    "<style>text{font:12px sans-serif}rect{fill:#fff;stroke:#666}line.cable{stroke:#c08a1e;"
    "stroke-opacity:.6}line.down{stroke-dasharray:4 4}.machine{fill:#f7f7f7}.gpu{fill:#b7e1a1}"
    ".hca{fill:#a9cdf0}.pci-switch{fill:#e3d9f2}.root{fill:#eee}.switch{fill:#f4d58d}"
    ".up{fill:#fff}.down{fill:#e57373}</style>\n";

enum fab_status topo_print_svg(const struct topo *topo, FILE *stream)
{
    struct picture picture = {.topo = topo,
                              .stream = stream,
                              .at = fab_alloc_zeroed(topo->things.count + 1, sizeof(*picture.at))};
    int rows = (int)((topo->machine_count + A_ROW - 1) / A_ROW);
    int a_row = (int)(topo->machine_count < A_ROW ? topo->machine_count : A_ROW);
    int switches = (int)(topo->switch_count < A_ROW ? topo->switch_count : A_ROW);
    int height, switches_width = switches * (SWITCH_WIDTH + 3 * GAP);

    if (!picture.at)
        return FAB_ERR_NOMEM;
    svg_measure(&picture);
    picture.width = a_row * (picture.machine_width + GAP);
    picture.width = 2 * MARGIN + (picture.width > switches_width ? picture.width : switches_width);
    picture.machines_top = svg_place_tier(&picture, false, MARGIN);
    picture.machines_top = svg_place_tier(&picture, true, picture.machines_top);
    height = picture.machines_top + rows * (picture.machine_height + GAP) + MARGIN;
    (void)fprintf(stream,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\">\n%s",
                  picture.width, height, picture.width, height, style);
    svg_machines(&picture);
    svg_cables(&picture);
    svg_switches(&picture);
    (void)fputs("</svg>\n", stream);
    free(picture.at);
    return FAB_OK;
}
