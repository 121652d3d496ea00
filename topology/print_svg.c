/* SPDX-License-Identifier: Apache-2.0
 * topology/print_svg.c - the model as a picture, laid out here.
 *
 * Machines stand in rows, their NUMA nodes side by side, and in each the devices one below the
 * other. The switches are above them: those without hosts on top, below them those with. In a rack
 * without a second tier, machines without GPUs stand above the switches, so that the way of a copy
 * is from top to bottom. A cable runs beside its column down to its port, in the colour of its
 * rail.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "topology/topo_int.h"

enum {
    MARGIN = 20,
    GAP = 16,
    COLUMN = 176,      /* a NUMA node, without the place beside it for cables */
    EMPTY_COLUMN = 60, /* one that has no devices */
    GUTTER = 20,       /* for the cables of a column */
    LINE = 24,         /* a device */
    TITLE = 26,
    INDENT = 12,
    SWITCH_WIDTH = 190,
    SWITCH_HEIGHT = 34,
    A_ROW = 6,        /* switches */
    ROW_WIDTH = 1760, /* machines */
    CABLE_SPACE = 90, /* beside a tier of switches */
    PORT_SIZE = 14,
    PORT_STEP = PORT_SIZE + 4,
    RAILS = 2, /* that have a colour of their own */
    KEY_WIDTH = 142,
};

struct point {
    int x, y;
};

struct picture {
    const struct topo *topo;
    FILE *stream;
    struct point *at;      /* of each thing: where cables end */
    int *gutter;           /* of each thing that is a port: where its cable runs */
    struct point *machine; /* of each machine: its upper left corner ... */
    struct point *size;    /* ... and how large it is */
    bool has_hosts_above;
    int width, height;
};

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

static void svg_text(FILE *stream, const char *class, int x, int y, const char *text)
{
    (void)fprintf(stream, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
    print_escaped(text, stream);
    (void)fputs("</text>\n", stream);
}

static void svg_box(FILE *stream, int x, int y, int width, int height, const char *class)
{
    (void)fprintf(stream,
                  "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n",
                  class, x, y, width, height);
}

/* ---- a machine ---------------------------------------------------------------------------------
 */

/* Squares at the right of their HCA, whose line is above. */
static void svg_port(struct picture *picture, topo_id id, int x, int y, bool is_drawn)
{
    const struct topo_thing *port = &topo_things(picture->topo)[id];
    int from_right = (int)(port->hca->port_count - port->port->number) + 1;
    int port_x = x + COLUMN - from_right * PORT_STEP;

    picture->at[id] = (struct point){port_x + PORT_SIZE / 2, y - LINE + 3 + PORT_SIZE / 2};
    picture->gutter[id] = x + COLUMN + 5 + (int)((port->port->number - 1) % RAILS) * 6;
    if (is_drawn)
        svg_box(picture->stream, port_x, y - LINE + 3, PORT_SIZE, PORT_SIZE,
                topo_port_is_usable(picture->topo, id) ? "up" : "down");
}

/* Things below `parent`, in the order of the tree: drawn, or only counted. */
static int svg_below(struct picture *picture, const struct place *place, topo_id parent, int x,
                     int y, int indent, bool is_drawn)
{
    const struct topo_thing *things = topo_things(picture->topo);
    int lines = 0;

    for (topo_id id = place->first + 1; id < place->end; id++) {
        enum topo_kind kind = things[id].kind;

        if (things[id].parent != parent || kind == TOPO_NUMA)
            continue;
        if (kind == TOPO_PORT) {
            svg_port(picture, id, x, y, is_drawn);
            continue;
        }
        if (is_drawn) {
            svg_box(picture->stream, x + indent, y + lines * LINE, COLUMN - indent, LINE - 4,
                    topo_kind_name(kind));
            svg_text(picture->stream, "name", x + indent + 6, y + lines * LINE + 14,
                     topo_short_name(&things[id]));
        }
        lines++;
        lines += svg_below(picture, place, id, x, y + lines * LINE, indent + INDENT, is_drawn);
    }
    return lines;
}

/* Its columns: what hangs on it directly, if anything does, then its NUMA nodes. */
static struct point svg_columns(struct picture *picture, uint32_t machine, int x, int y,
                                bool is_drawn)
{
    const struct place *place = &picture->topo->places[machine];
    int left = x, lines = svg_below(picture, place, place->first, x, y, 0, is_drawn), most = lines;

    if (lines > 0)
        x += COLUMN + GUTTER;
    for (uint32_t i = 0; i < place->record->numa_count; i++) {
        topo_id numa = place->first + 1 + i;

        if (is_drawn)
            svg_text(picture->stream, "numa", x, y + 12,
                     topo_short_name(&topo_things(picture->topo)[numa]));
        lines = svg_below(picture, place, numa, x, y + LINE, 0, is_drawn);
        x += lines > 0 ? COLUMN + GUTTER : EMPTY_COLUMN;
        most = lines + 1 > most ? lines + 1 : most;
    }
    return (struct point){x - left, most * LINE};
}

static void svg_machines(struct picture *picture, bool is_inside)
{
    for (uint32_t i = 0; i < picture->topo->machine_count; i++) {
        struct point at = picture->machine[i], size = picture->size[i];

        if (is_inside) {
            svg_text(picture->stream, "title", at.x + GAP, at.y + 18,
                     picture->topo->places[i].record->name);
            (void)svg_columns(picture, i, at.x + GAP, at.y + TITLE, true);
        } else {
            svg_box(picture->stream, at.x, at.y, size.x, size.y, "machine");
        }
    }
}

/* ---- where things stand ------------------------------------------------------------------------
 */

static bool has_gpus(const struct topo *topo, uint32_t machine)
{
    return topo->places[machine].record->gpu_count > 0;
}

static bool is_above(const struct picture *picture, uint32_t machine)
{
    return picture->has_hosts_above && !has_gpus(picture->topo, machine);
}

/* Machines that stand in the row of `first`, and how wide and high it is. */
static uint32_t row_of(const struct picture *picture, uint32_t first, bool above,
                       struct point *size_out)
{
    uint32_t i;

    *size_out = (struct point){0, 0};
    for (i = first; i < picture->topo->machine_count; i++) {
        struct point size = picture->size[i];

        if (is_above(picture, i) != above)
            continue;
        if (size_out->x > 0 && size_out->x + size.x > ROW_WIDTH)
            break;
        size_out->x += size.x + GAP;
        size_out->y = size.y > size_out->y ? size.y : size_out->y;
    }
    return i;
}

/* The rows above or below the switches, each in the middle; returns where the next thing begins. */
static int place_machines(struct picture *picture, bool above, int y)
{
    for (uint32_t first = 0, end; first < picture->topo->machine_count; first = end) {
        struct point row;
        int x;

        end = row_of(picture, first, above, &row);
        x = (picture->width - (row.x - GAP)) / 2;
        for (uint32_t i = first; i < end; i++) {
            if (is_above(picture, i) != above)
                continue;
            picture->machine[i] = (struct point){x, y};
            x += picture->size[i].x + GAP;
            picture->size[i].y = row.y;
        }
        y += row.x > 0 ? row.y + GAP : 0;
    }
    return y;
}

static bool has_machines(const struct topo *topo, const struct topo_fabric_node *node)
{
    for (uint32_t port = node->first_port; port < node->first_port + node->port_count; port++) {
        int32_t peer = topo->fabric.ports[port].peer;

        if (peer != TOPO_NONE && topo->port_thing[peer] != TOPO_NO_ID)
            return true;
    }
    return false;
}

static int tier_count(const struct topo *topo, bool is_leaves)
{
    int count = 0;

    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;)
        count += has_machines(topo, topo_things(topo)[id].fabric_node) == is_leaves;
    return count;
}

/* The switches of a tier, spread over the width; returns where the next thing begins. */
static int place_tier(struct picture *picture, bool is_leaves, int y)
{
    const struct topo *topo = picture->topo;
    int count = tier_count(topo, is_leaves), number = 0, a_row = count < A_ROW ? count : A_ROW;

    if (count == 0)
        return y;
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;) {
        if (has_machines(topo, topo_things(topo)[id].fabric_node) != is_leaves)
            continue;
        picture->at[id] = (struct point){picture->width * (2 * (number % a_row) + 1) / (2 * a_row),
                                         y + number / a_row * (SWITCH_HEIGHT + GAP)};
        number++;
    }
    return y + (count + a_row - 1) / a_row * (SWITCH_HEIGHT + GAP) - GAP + CABLE_SPACE;
}

static void place_all(struct picture *picture)
{
    const struct topo *topo = picture->topo;
    int switches = (int)(topo->switch_count < A_ROW ? topo->switch_count : A_ROW);
    bool any_gpus = false, any_hosts = false;
    int y = MARGIN;

    picture->width = switches * (SWITCH_WIDTH + GAP);
    for (uint32_t i = 0; i < topo->machine_count; i++) {
        struct point inside = svg_columns(picture, i, 0, 0, false);

        picture->size[i] = (struct point){inside.x + 2 * GAP - GUTTER / 2, TITLE + inside.y + GAP};
        any_gpus = any_gpus || has_gpus(topo, i);
        any_hosts = any_hosts || !has_gpus(topo, i);
    }
    picture->has_hosts_above =
        any_gpus && any_hosts && tier_count(topo, true) > 0 && tier_count(topo, false) == 0;
    for (int above = 0; above < 2; above++) {
        struct point row;

        for (uint32_t first = 0; first < topo->machine_count;) {
            first = row_of(picture, first, above != 0, &row);
            picture->width = row.x > picture->width ? row.x : picture->width;
        }
    }
    picture->width += 2 * MARGIN;
    if (picture->has_hosts_above)
        y = place_machines(picture, true, y) - GAP + CABLE_SPACE;
    y = place_tier(picture, false, y);
    y = place_tier(picture, true, y);
    y = place_machines(picture, false, y);
    picture->height = y + LINE + MARGIN; /* the key */
}

/* ---- cables ------------------------------------------------------------------------------------
 */

static bool is_switch(const struct picture *picture, topo_id id)
{
    return topo_things(picture->topo)[id].kind == TOPO_SWITCH;
}

/* Where a cable leaves a switch: beside the others, in the order of where they go. */
static int leaves_at(const struct picture *picture, topo_id id, const struct topo_fabric_port *mine)
{
    const struct topo *topo = picture->topo;
    const struct topo_fabric_node *node = topo_things(topo)[id].fabric_node;
    int count = 0, rank = 0, mine_x = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t port = node->first_port; port < node->first_port + node->port_count; port++) {
            const struct topo_fabric_port *end = &topo->fabric.ports[port];
            topo_id peer =
                end->peer == TOPO_NONE ? TOPO_NO_ID : topo_cable_end(topo, (uint32_t)end->peer);
            int x;

            if (peer == TOPO_NO_ID)
                continue;
            x = is_switch(picture, peer) ? picture->at[peer].x : picture->gutter[peer];
            if (pass == 0) {
                count++;
                mine_x = end == mine ? x : mine_x;
            } else {
                rank += x < mine_x || (x == mine_x && end < mine);
            }
        }
    }
    return picture->at[id].x - SWITCH_WIDTH / 2 + SWITCH_WIDTH * (2 * rank + 1) / (2 * count);
}

/* The class of a cable: its rail's, which is the place of its port among those of the machine. */
static void svg_path_begin(const struct picture *picture, topo_id port, bool is_active)
{
    int rail = 0;

    for (topo_id id = port;
         id > 0 && topo_things(picture->topo)[id - 1].kind == TOPO_PORT &&
         topo_things(picture->topo)[id - 1].machine == topo_things(picture->topo)[port].machine;
         id--)
        rail++;
    (void)fprintf(picture->stream, "<path class=\"cable rail%d%s\" d=\"", rail % RAILS,
                  is_active ? "" : " down");
}

/* From a switch to a machine's port: in a bow to the place beside its column, along it, and in. */
static void svg_drop(const struct picture *picture, topo_id from, int x, topo_id port,
                     bool is_active)
{
    const struct point *begin = &picture->at[from], *end = &picture->at[port];
    bool is_up = end->y < begin->y;
    int y = is_up ? begin->y : begin->y + SWITCH_HEIGHT;
    int wall = is_up ? y - CABLE_SPACE : y + CABLE_SPACE, middle = (y + wall) / 2;

    svg_path_begin(picture, port, is_active);
    (void)fprintf(picture->stream, "M%d,%d C%d,%d %d,%d %d,%d V%d H%d\"/>\n", x, y, x, middle,
                  picture->gutter[port], middle, picture->gutter[port], wall, end->y,
                  end->x + PORT_SIZE / 2);
}

static void svg_trunk(const struct picture *picture, topo_id a, int a_x, topo_id b, int b_x,
                      bool is_active)
{
    int a_y = picture->at[a].y, b_y = picture->at[b].y;

    (void)fprintf(picture->stream, "<path class=\"cable trunk%s\" d=\"M%d,%d L%d,%d\"/>\n",
                  is_active ? "" : " down", a_x, a_y < b_y ? a_y + SWITCH_HEIGHT : a_y, b_x,
                  a_y < b_y ? b_y : b_y + SWITCH_HEIGHT);
}

static void svg_cable(const struct picture *picture, const struct topo_fabric_port *a, topo_id from,
                      const struct topo_fabric_port *b, topo_id to)
{
    bool is_active = a->state == TOPO_PORT_ACTIVE;

    if (is_switch(picture, from) && is_switch(picture, to)) {
        svg_trunk(picture, from, leaves_at(picture, from, a), to, leaves_at(picture, to, b),
                  is_active);
    } else if (is_switch(picture, from)) {
        svg_drop(picture, from, leaves_at(picture, from, a), to, is_active);
    } else if (is_switch(picture, to)) {
        svg_drop(picture, to, leaves_at(picture, to, b), from, is_active);
    } else { /* two HCAs without a switch */
        svg_path_begin(picture, from, is_active);
        (void)fprintf(picture->stream, "M%d,%d L%d,%d\"/>\n", picture->at[from].x,
                      picture->at[from].y, picture->at[to].x, picture->at[to].y);
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
        from = topo_cable_end(topo, port);
        to = topo_cable_end(topo, (uint32_t)end->peer);
        if (from != TOPO_NO_ID && to != TOPO_NO_ID)
            svg_cable(picture, end, from, &topo->fabric.ports[end->peer], to);
    }
}

static void svg_switches(const struct picture *picture)
{
    for (topo_id id = TOPO_NO_ID;
         (id = topo_next(picture->topo, TOPO_SWITCH, TOPO_NO_ID, id)) != TOPO_NO_ID;) {
        int x = picture->at[id].x - SWITCH_WIDTH / 2, y = picture->at[id].y;

        svg_box(picture->stream, x, y, SWITCH_WIDTH, SWITCH_HEIGHT, "switch");
        svg_text(picture->stream, "title middle", picture->at[id].x, y + 22,
                 topo_things(picture->topo)[id].name);
    }
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static const char style[] =
    "<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}"
    ".middle{text-anchor:middle}.numa{fill:#777}rect{fill:#fff;stroke:#8a8f98}"
    ".page{stroke:none}.machine{fill:#f6f7f9;stroke:#b9bec7}.root{fill:#e7e9ed}"
    ".pci-switch{fill:#e3d9f2}.gpu{fill:#b5dfa0}.hca{fill:#a9cdf0}.switch{fill:#f4d58d}"
    ".up{fill:#fff;stroke:#4a6f94}rect.down{fill:#e57373}"
    ".cable{fill:none;stroke-width:2;stroke:#8a8f98}.rail0{stroke:#d08a1d}.rail1{stroke:#2f7f86}"
    "path.down{stroke-dasharray:5 4}</style>\n";

static void svg_key(const struct picture *picture)
{
    static const struct {
        const char *class, *text;
    } boxes[] = {{"root", "PCI root"},
                 {"pci-switch", "PCIe switch"},
                 {"gpu", "GPU"},
                 {"hca", "InfiniBand HCA"},
                 {"down", "port that is down"}};
    static const char *const rails[RAILS] = {"first rail", "second rail"};
    int x = MARGIN, y = picture->height - MARGIN;

    for (size_t i = 0; i < FAB_ARRAY_LEN(boxes); i++, x += KEY_WIDTH) {
        (void)fprintf(picture->stream,
                      "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" "
                      "rx=\"3\"/>\n",
                      boxes[i].class, x, y - 12);
        svg_text(picture->stream, "key", x + 20, y, boxes[i].text);
    }
    for (int i = 0; i < RAILS; i++, x += KEY_WIDTH) {
        (void)fprintf(picture->stream, "<path class=\"cable rail%d\" d=\"M%d,%d h22\"/>\n", i, x,
                      y - 4);
        svg_text(picture->stream, "key", x + 28, y, rails[i]);
    }
}

static void svg_all(struct picture *picture)
{
    place_all(picture);
    (void)fprintf(picture->stream,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\">\n%s",
                  picture->width, picture->height, picture->width, picture->height, style);
    (void)fprintf(picture->stream, "<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n");
    svg_machines(picture, /* is_inside */ false);
    /* Where ports are is known when what is inside was placed; what is inside covers the cables. */
    for (uint32_t i = 0; i < picture->topo->machine_count; i++)
        (void)svg_columns(picture, i, picture->machine[i].x + GAP, picture->machine[i].y + TITLE,
                          false);
    svg_cables(picture);
    svg_machines(picture, /* is_inside */ true);
    svg_switches(picture);
    svg_key(picture);
    (void)fputs("</svg>\n", picture->stream);
}

enum fab_status topo_print_svg(const struct topo *topo, FILE *stream)
{
    struct picture picture = {
        .topo = topo,
        .stream = stream,
        .at = fab_alloc_zeroed(topo->things.count + 1, sizeof(*picture.at)),
        .gutter = fab_alloc_zeroed(topo->things.count + 1, sizeof(*picture.gutter)),
        .machine = fab_alloc_zeroed(topo->machine_count + 1, sizeof(*picture.machine)),
        .size = fab_alloc_zeroed(topo->machine_count + 1, sizeof(*picture.size))};
    bool is_there = picture.at && picture.gutter && picture.machine && picture.size;

    if (is_there)
        svg_all(&picture);
    free(picture.at);
    free(picture.gutter);
    free(picture.machine);
    free(picture.size);
    return is_there ? FAB_OK : FAB_ERR_NOMEM;
}
