/* SPDX-License-Identifier: Apache-2.0
 * topology/path.c - best paths, and the rails of a thing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "topology/topo_int.h"

enum { PORTS_MAX = TOPO_HCA_MAX * TOPO_HCA_PORT_MAX };

static const char *const class_names[] = {
    [TOPO_SELF] = "X",  [TOPO_NV] = "NV",   [TOPO_PIX] = "PIX",
    [TOPO_PXB] = "PXB", [TOPO_PHB] = "PHB", [TOPO_NODE] = "NODE",
    [TOPO_SYS] = "SYS", [TOPO_IB] = "IB",   [TOPO_APART] = "-",
};

const char *topo_class_name(enum topo_class class)
{
    return class_names[class];
}

/* One end of a flow: the ports it may use, or none because it is a switch. */
struct end {
    topo_id thing;
    uint32_t count;
    topo_id ports[PORTS_MAX];
    struct way ways[PORTS_MAX]; /* from thing to port, or back */
};

static bool may_use(const struct topo *topo, topo_id thing, topo_id port)
{
    const struct topo_thing *things = topo_things(topo);

    if (!topo_port_is_usable(topo, port))
        return false;
    if (things[thing].kind == TOPO_PORT)
        return thing == port;
    return things[thing].kind != TOPO_HCA || things[port].parent == thing;
}

static void find_end(const struct topo *topo, topo_id thing, topo_id only, bool is_outwards,
                     struct end *end)
{
    const struct place *place = &topo->places[topo_spots(topo)[thing].machine];

    end->thing = thing;
    end->count = 0;
    if (topo_things(topo)[thing].kind == TOPO_SWITCH) {
        end->ports[0] = thing;
        topo_way_start(&end->ways[0]);
        end->count = 1;
        return;
    }
    for (topo_id port = place->first_port; port < place->end && end->count < PORTS_MAX; port++) {
        if ((only == TOPO_NO_ID || only == port) && may_use(topo, thing, port) &&
            topo_way_to_port(topo, thing, port, is_outwards, &end->ways[end->count]))
            end->ports[end->count++] = port;
    }
}

static void append(struct way *way, const struct way *more)
{
    for (uint32_t i = 0; i < more->lane_count && way->lane_count < TOPO_WAY_MAX; i++)
        way->lanes[way->lane_count++] = more->lanes[i];
    way->latency_ns += more->latency_ns;
    if (more->most_mbps < way->most_mbps)
        way->most_mbps = more->most_mbps;
}

static bool over(const struct topo *topo, const struct end *from, uint32_t from_index,
                 const struct end *to, uint32_t to_index, struct way *way)
{
    struct way cables;

    topo_way_start(&cables);
    if (!topo_way_over_fabric(topo, from->ports[from_index], to->ports[to_index], &cables))
        return false;
    topo_way_start(way);
    append(way, &from->ways[from_index]);
    append(way, &cables);
    append(way, &to->ways[to_index]);
    way->class = TOPO_IB;
    way->ib_hops = cables.ib_hops;
    way->is_direct = from->ways[from_index].is_direct && to->ways[to_index].is_direct;
    return true;
}

/* Most bandwidth, then least latency. 0: equal. */
static int compare(const struct topo *topo, const struct way *a, const struct way *b)
{
    uint32_t mbps_a = topo_way_mbps(topo, a), mbps_b = topo_way_mbps(topo, b);

    if (mbps_a != mbps_b)
        return mbps_a > mbps_b ? -1 : 1;
    return a->latency_ns < b->latency_ns ? -1 : a->latency_ns > b->latency_ns;
}

/* Which of equal ways a flow takes: neighbours take different ones, so that both rails of a host
 * are used, and the same flow always the same. */
static uint32_t turn_of(const struct topo *topo, topo_id thing)
{
    const struct topo_thing *at = &topo_things(topo)[thing];

    return at->gpu ? at->gpu->index : 0;
}

static bool find_over(const struct topo *topo, const struct topo_flow *flow, struct way *way_out,
                      topo_id *local_out, topo_id *remote_out)
{
    static _Thread_local struct end from, to; /* 100 KiB and more */
    uint16_t equal[PORTS_MAX * PORTS_MAX];
    uint32_t equal_count = 0, chosen;
    struct way way;

    find_end(topo, flow->from, flow->local_port, true, &from);
    find_end(topo, flow->to, flow->remote_port, false, &to);
    for (uint32_t i = 0; i < from.count; i++) {
        for (uint32_t j = 0; j < to.count; j++) {
            int order;

            if (!over(topo, &from, i, &to, j, &way))
                continue;
            order = equal_count == 0 ? -1 : compare(topo, &way, way_out);
            if (order < 0) {
                equal_count = 0;
                *way_out = way;
            }
            if (order <= 0)
                equal[equal_count++] = (uint16_t)(i * PORTS_MAX + j);
        }
    }
    if (equal_count == 0)
        return false;
    chosen = equal[(turn_of(topo, flow->from) + turn_of(topo, flow->to)) % equal_count];
    *local_out = from.ports[chosen / PORTS_MAX];
    *remote_out = to.ports[chosen % PORTS_MAX];
    return over(topo, &from, chosen / PORTS_MAX, &to, chosen % PORTS_MAX, way_out);
}

static bool is_gpu_and_hca(const struct topo *topo, topo_id thing, topo_id hca)
{
    enum topo_kind kind = topo_things(topo)[hca].kind;

    return topo_things(topo)[thing].kind == TOPO_GPU && (kind == TOPO_PORT || kind == TOPO_HCA);
}

bool topo_way_find(const struct topo *topo, const struct topo_flow *flow, struct way *way_out,
                   topo_id *local_out, topo_id *remote_out)
{
    const struct topo_thing *from = &topo_things(topo)[flow->from];
    const struct topo_thing *to = &topo_things(topo)[flow->to];

    *local_out = *remote_out = TOPO_NO_ID;
    topo_way_start(way_out);
    if (flow->from == flow->to)
        return true;
    if (from->machine != to->machine || from->machine == TOPO_NO_ID)
        return find_over(topo, flow, way_out, local_out, remote_out);
    if (is_gpu_and_hca(topo, flow->from, flow->to))
        return topo_way_to_port(topo, flow->from, flow->to, true, way_out);
    if (is_gpu_and_hca(topo, flow->to, flow->from))
        return topo_way_to_port(topo, flow->to, flow->from, false, way_out);
    return topo_way_inside(topo, &topo_spots(topo)[flow->from], &topo_spots(topo)[flow->to],
                           way_out);
}

static void path_of(const struct topo *topo, const struct way *way, topo_id local, topo_id remote,
                    struct topo_path *path_out)
{
    *path_out = (struct topo_path){.class = way->class,
                                   .ib_hops = way->ib_hops,
                                   .nvlinks = way->nvlinks,
                                   .mbps = topo_way_mbps(topo, way),
                                   .latency_ns = way->latency_ns,
                                   .local_port = local,
                                   .remote_port = remote};
}

enum fab_status topo_path(const struct topo *topo, topo_id from, topo_id to,
                          struct topo_path *path_out, struct fab_err *err)
{
    struct topo_flow flow = {from, to, TOPO_NO_ID, TOPO_NO_ID};
    const struct topo_thing *first = topo_thing(topo, from), *last = topo_thing(topo, to);
    topo_id local, remote;
    struct way way;

    if (!first || !last)
        return fab_err_set(err, FAB_ERR_INVALID, "no thing has the id %u", first ? to : from);
    if (!topo_way_find(topo, &flow, &way, &local, &remote))
        return fab_err_set(err, FAB_ERR_UNREACHABLE, "no way from %s to %s", first->name,
                           last->name);
    path_of(topo, &way, local, remote, path_out);
    return FAB_OK;
}

/* ---- rails ------------------------------------------------------------------------------------
 */

static int compare_rails(const void *left, const void *right, void *context)
{
    const struct topo_rail *a = left, *b = right;
    const struct topo *topo = context;

    if (a->path.class != b->path.class)
        return a->path.class < b->path.class ? -1 : 1;
    if (a->path.mbps != b->path.mbps)
        return a->path.mbps > b->path.mbps ? -1 : 1;
    return strcmp(topo_things(topo)[a->port].name, topo_things(topo)[b->port].name);
}

/* The cable counts, too: a rail is as wide as its narrowest part. */
static void add_cable(const struct topo *topo, topo_id port, struct way *way)
{
    const struct topo_thing *thing = &topo_things(topo)[port];
    uint32_t mbps = thing->port->rate_mbps;

    if (thing->fabric_port)
        mbps = topo->lane_mbps[topo->lane_fabric_first +
                               (uint32_t)(thing->fabric_port - topo->fabric.ports)];
    if (mbps > 0 && mbps < way->most_mbps)
        way->most_mbps = mbps;
}

size_t topo_rails(const struct topo *topo, topo_id thing, struct topo_rail *rails_out, size_t most)
{
    struct topo_rail rails[PORTS_MAX];
    const struct topo_thing *at = topo_thing(topo, thing);
    const struct place *place;
    uint32_t count = 0;

    if (!at || at->machine == TOPO_NO_ID)
        return 0;
    place = &topo->places[topo_spots(topo)[thing].machine];
    for (topo_id port = place->first_port; port < place->end; port++) {
        struct way way;
        int32_t numa;

        if (!may_use(topo, thing, port) || !topo_way_to_port(topo, thing, port, true, &way))
            continue;
        add_cable(topo, port, &way);
        numa = topo_spot_numa(topo, &topo_spots(topo)[port]);
        path_of(topo, &way, TOPO_NO_ID, TOPO_NO_ID, &rails[count].path);
        rails[count].port = port;
        rails[count].is_direct = way.is_direct;
        rails[count].numa = numa == TOPO_NONE ? TOPO_NO_ID : place->first + 1 + (topo_id)numa;
        count++;
    }
    qsort_r(rails, count, sizeof(rails[0]), compare_rails, (void *)(uintptr_t)topo);
    memcpy(rails_out, rails, (count < most ? count : most) * sizeof(rails[0]));
    return count;
}
