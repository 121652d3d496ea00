/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/topology/make.h - records for tests: machines by profile, a fabric by its cables.
 *
 * The profiles are those of the Dell C4130 as far as public texts describe them, and a host without
 * GPUs. Memory is the caller's (free, topo_fabric_clear).
 */
#ifndef TESTS_UNIT_TOPOLOGY_MAKE_H
#define TESTS_UNIT_TOPOLOGY_MAKE_H

#include "topology/records.h"
#include "topology/topo.h"

/* `profile`: "A", "B", "C", "D", "G", "K", "r730", "k80" (switches on the cards below a
 * switch, the HCA on the outer one), "k80 far" (the HCA on a root port).
 * NodeGUIDs are `guid`, and `guid` + 0x10 of a second HCA. */
struct topo_machine *make_machine(const char *profile, const char *name, uint64_t guid);

/* Returns the node's index; its ports are there, without cables. Room for 64 nodes. */
uint32_t make_node(struct topo_fabric *fabric, enum topo_fabric_kind kind, uint64_t guid,
                   const char *description, uint32_t ports);
/* A cable of FDR 4x, active, with LIDs. Port numbers from 1. */
void make_cable(struct topo_fabric *fabric, uint32_t a, unsigned a_port, uint32_t b,
                unsigned b_port);
void make_uncable(struct topo_fabric *fabric, uint32_t node, unsigned port);
struct topo_fabric_port *make_port(struct topo_fabric *fabric, uint32_t node, unsigned port);

/* Two racks: 4 C4130 (profile G: two HCAs of two ports) and 2 R730 on two leaves each (port 1 of
 * every card on the first), all leaves joined by two spines with two cables each. Machines are
 * "rackR-c4130-N" and "rackR-r730-N", switches "rackR-leafN" and "spineN". */
enum { RACK_MACHINES = 6, RACKS = 2, RACK_MACHINES_ALL = RACKS * RACK_MACHINES };

struct make_racks {
    struct topo_machine *machines[RACK_MACHINES_ALL];
    struct topo_fabric fabric;
    uint32_t spines[2], leaves[RACKS][2];
    uint32_t hcas[RACK_MACHINES_ALL][2]; /* nodes; UINT32_MAX: none */
};
void make_racks(struct make_racks *racks);
void make_racks_free(struct make_racks *racks);
/* Joins, checking that it works. */
struct topo *make_join(const struct make_racks *racks);

#endif /* TESTS_UNIT_TOPOLOGY_MAKE_H */
