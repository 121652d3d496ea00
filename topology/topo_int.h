/* SPDX-License-Identifier: Apache-2.0
 * topology/topo_int.h - the model as it lies in memory, for the files of this folder.
 *
 * Inside a machine the graph is a tree a PCI root, and the NUMA nodes that roots belong to; between
 * machines it is the switches and cables of the fabric record. What can be full is a "lane": one
 * direction of a PCI link, of a pair of NUMA nodes, or of a cable; lanes are numbered through the
 * model. Nothing changes after topo_join(), so nothing is locked.
 */
#ifndef TOPOLOGY_TOPO_INT_H
#define TOPOLOGY_TOPO_INT_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "topology/topo.h"

/* Figures of edges that no record tells. MB/s and ns. */
enum {
    TOPO_PCI_MBPS = 15754,    /* a link of unknown speed: x16 of generation 3 */
    TOPO_NVLINK_MBPS = 20000, /* a link of unknown speed: the first generation */
    TOPO_SOCKET_MBPS = 19200, /* between NUMA nodes: one QPI link of 9.6 GT/s */
    TOPO_IB_MBPS = 6816,      /* a cable of unknown speed: FDR 4x */
    TOPO_ROOT_MBPS = 3500,    /* GPU to HCA through a root complex (UCX's model) ... */
    TOPO_ROOT_STEPS = 19200,  /* ... and this over the steps of the way, if that is less */
    TOPO_STAGED_MBPS = 3500,  /* through host memory: twice through the root complex, see README */
    TOPO_ROOT_NS = 300,       /* UCX's model */
    TOPO_SYS_NS = 500,        /* likewise */
    TOPO_PCI_SWITCH_NS = 100, /* a PCIe switch on the way */
    TOPO_STAGED_NS = 5000,    /* a copy into host memory and its completion */
    TOPO_HCA_NS = 600,        /* through an HCA, each end */
    TOPO_IB_SWITCH_NS = 200,  /* through an InfiniBand switch */
    TOPO_SWITCHES_MAX = 4096, /* distances are a byte for each pair */
    TOPO_HOPS_NONE = 255,
    TOPO_HOPS_MAX = 64,
};

/* Where a thing is in the graph. */
enum spot_kind { SPOT_MACHINE, SPOT_NUMA, SPOT_PCI, SPOT_FABRIC };

struct spot {
    enum spot_kind kind;
    uint32_t machine; /* index; not for SPOT_FABRIC */
    int32_t index;    /* of numa[], pci[] or the fabric's nodes[]; TOPO_NONE: nowhere (lost GPU) */
};

/* What join adds to one machine's record. Arrays run beside those of the record. */
struct place {
    const struct topo_machine *record;
    topo_id first, end;         /* its things, itself first, ports last */
    topo_id first_port;         /* ports from here to `end` */
    topo_id *pci_thing;         /* TOPO_NO_ID: a bridge inside something */
    int32_t *pci_switch;        /* the upstream port of the switch it belongs to; TOPO_NONE */
    uint32_t *pci_mbps;         /* of the link that the record's link_mbps means, never 0 */
    uint32_t lane_first;        /* of pci 0 upwards; downwards is the next one */
    uint32_t lane_numa_first;   /* of NUMA i to j: + i * count + j */
    uint32_t lane_nvlink_first; /* of nvlinks[0] from a to b; back is the next one */
};

/* An active cable to another switch. */
struct cable {
    uint32_t next; /* switch */
    uint32_t port; /* of the fabric record, this end */
};

struct topo {
    struct fab_arena arena;
    struct topo_machine *machines;
    struct topo_fabric fabric;
    struct place *places;
    uint32_t machine_count;
    bool has_fabric;
    struct fab_vec things; /* struct topo_thing */
    struct fab_vec spots;  /* struct spot, beside things */
    struct fab_map names;  /* name to id + 1 */
    struct fab_vec findings;
    topo_id *node_thing; /* of each fabric node; TOPO_NO_ID: a stranger or a double */
    topo_id *port_thing; /* of each fabric port of an HCA */
    /* Switches, by number: nodes[switch_node[s]]; switch_of is the reverse, TOPO_NONE for others.
     */
    uint32_t switch_count;
    uint32_t *switch_node;
    int32_t *switch_of;
    uint8_t *hops; /* [to * switch_count + from], cables on the way */
    /* The cables from switch s to other switches, by the other's number: cables[cable_first[s]] up
     * to cables[cable_first[s + 1]]. */
    uint32_t *cable_first;
    struct cable *cables;
    uint32_t lane_count, lane_fabric_first;
    uint32_t *lane_mbps;
};

#define topo_things(topo) fab_vec_items(&(topo)->things, struct topo_thing)
#define topo_spots(topo) fab_vec_items(&(topo)->spots, struct spot)

/* ---- graph.c: ways through the graph ----------------------------------------------------------
 */

enum { TOPO_WAY_MAX = 6 * TOPO_PCI_DEPTH_MAX + TOPO_HOPS_MAX };

struct way {
    enum topo_class class;
    uint32_t latency_ns;
    uint32_t most_mbps; /* of this flow alone, whatever the lanes have */
    uint32_t steps;     /* PCI bridges and devices on the longer side */
    uint32_t ib_hops, nvlinks;
    bool is_direct;
    uint32_t lane_count;
    uint32_t lanes[TOPO_WAY_MAX];
};

void topo_way_start(struct way *way);
/* The narrowest of all. UINT32_MAX: no lane at all. */
uint32_t topo_way_mbps(const struct topo *topo, const struct way *way);

/* Adds the way between two spots of one machine. False: one of them is nowhere. */
bool topo_way_inside(const struct topo *topo, const struct spot *from, const struct spot *to,
                     struct way *way);
/* The same from a thing to a port of its machine (or back), as data are moved: a GPU's directly or
 * through host memory. */
bool topo_way_to_port(const struct topo *topo, topo_id thing, topo_id port, bool is_outwards,
                      struct way *way);
/* Adds the way from port to port, or to and from a switch. False: none. */
bool topo_way_over_fabric(const struct topo *topo, topo_id from, topo_id to, struct way *way);

/* There is a cable at this port of the fabric's record, and both its ends are active: a subnet
 * manager makes one after the other so. */
bool topo_cable_is_up(const struct topo *topo, uint32_t port);
bool topo_port_is_usable(const struct topo *topo, topo_id port);
/* The NUMA node (index in the record) of a spot; TOPO_NONE: not known. */
int32_t topo_spot_numa(const struct topo *topo, const struct spot *spot);

/* Best way of a flow; ports TOPO_NO_ID: any. */
bool topo_way_find(const struct topo *topo, const struct topo_flow *flow, struct way *way_out,
                   topo_id *local_out, topo_id *remote_out);

/* Distances between all switches. */
FAB_NODISCARD enum fab_status topo_fabric_measure(struct topo *topo, struct fab_err *err);

/* ---- findings.c -------------------------------------------------------------------------------
 */

FAB_NODISCARD enum fab_status topo_judge(struct topo *topo, struct fab_err *err);

/* ---- print*.c ---------------------------------------------------------------------------------
 */

void topo_print_tree(const struct topo *topo, FILE *stream);
void topo_print_matrix(const struct topo *topo, FILE *stream);
void topo_print_dot(const struct topo *topo, FILE *stream);
FAB_NODISCARD enum fab_status topo_print_svg(const struct topo *topo, FILE *stream);
FAB_NODISCARD enum fab_status topo_print_json(const struct topo *topo, FILE *stream,
                                              struct fab_err *err);

const char *topo_kind_name(enum topo_kind kind); /* "machine" ... */
const char *topo_severity_name(enum topo_severity severity);
/* "56 Gb/s" as people say it: "4x FDR"; "?" if the speed is none of the known ones. */
enum { TOPO_SPEED_BYTES = 24 };
const char *topo_speed_text(uint32_t width, uint32_t lane_mbps, char text[TOPO_SPEED_BYTES]);

/* The name without the machine's. */
const char *topo_short_name(const struct topo_thing *thing);
/* What a cable ends at: an HCA's port, a switch, or nothing known. */
topo_id topo_cable_end(const struct topo *topo, uint32_t port);

#endif /* TOPOLOGY_TOPO_INT_H */
