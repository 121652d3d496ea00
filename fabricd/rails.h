/* SPDX-License-Identifier: Apache-2.0
 * fabricd/rails.h - which rails of a host go with which rails of the nodes that serve it.
 *
 * A node's rails are numbered: as its setting `rails` lists them, else by the ports of its HCAs.
 * Two rails can be a pair if both are interfaces of one IP network, or ports that the fabric joins;
 * where nothing is known of a rail's place, it goes with the other node's rail of the same number.
 * A choice is made once, when a system gets its GPUs, and stays with it. Thread: any; nothing is
 * kept.
 */
#ifndef FABRICD_RAILS_H
#define FABRICD_RAILS_H

#include <stdint.h>

#include "topology/topo.h"

enum {
    RAILS_MAX = 7, /* of a node: a process has 8, and one is the shared memory */
    RAILS_DEVICE_BYTES = 64,
    RAILS_PORT_BYTES = 72,
    RAILS_NET_BYTES = 48
};

struct rails_rail {
    char device[RAILS_DEVICE_BYTES]; /* what UCX opens */
    char port[RAILS_PORT_BYTES];     /* in the model of its machine: "mlx5_0:1"; "": in none */
    char net[RAILS_NET_BYTES];       /* of an IP interface: "10.77.0.0/24"; "": it is none */
};

struct rails_end {
    const char *node;
    const struct rails_rail *rails; /* by number */
    uint32_t count;                 /* at most RAILS_MAX */
};

struct rails_pair {
    uint32_t local, remote; /* numbers, of the host and of the node */
};

/* The pairs between a host and one node, in the same order of the host's rails for all its nodes.
 */
struct rails_choice {
    uint32_t count;
    struct rails_pair pairs[RAILS_MAX];
};

struct rails_target {
    struct rails_end end;
    const topo_id *gpus; /* that it gives; the nearest rails come first */
    uint32_t gpu_count;
};

/* Fills a choice for each target. `wanted` 0: all rails that either are of use now or may be later,
 * in the host's own order; else so many that are of use now, the same ones of the host for all
 * targets. Returns how many rails of the host are used: below `wanted` if there are no more.
 * `topo` NULL: nothing is known of ports. */
uint32_t rails_choose(const struct topo *topo, const struct rails_end *host,
                      const struct rails_target *targets, uint32_t target_count, uint32_t wanted,
                      struct rails_choice *choices_out);

#endif /* FABRICD_RAILS_H */
