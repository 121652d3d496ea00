/* SPDX-License-Identifier: Apache-2.0
 * topology/fabric.h - discovery of the InfiniBand fabric by libibnetdisc, libibmad and libibumad.
 *
 * Works with subnet management packets only (no SA tables), so it needs no subnet manager to see
 * cables; LIDs are there once one has swept. The foreign types stay inside.
 *
 * A long-lived process starts fabric-sweep instead of calling this: libibnetdisc of rdma-core 44
 * loses 64 bytes a switch port a sweep.
 */
#ifndef TOPOLOGY_FABRIC_H
#define TOPOLOGY_FABRIC_H

#include "base/status.h"
#include "topology/records.h"

struct fab_err;

struct topo_fabric_source {
    const char *hca;     /* local HCA to look from; NULL: the first that has an active port */
    uint8_t port;        /* 0: the first active one */
    bool counters;       /* also read the error counters of every connected port (a MAD each) */
    uint32_t timeout_ms; /* of one MAD; 0: 1000 */
};

/* Fills the record (topo_fabric_clear frees it). Blocks for tens of milliseconds a rack. A node
 * that does not answer in the middle of a sweep is left out, its cable stays as a port without a
 * peer. FAB_ERR_NOT_FOUND: no HCA or no active port here; FAB_ERR_IO: umad refused. */
FAB_NODISCARD enum fab_status topo_fabric_discover(const struct topo_fabric_source *source,
                                                   struct topo_fabric *fabric_out,
                                                   struct fab_err *err);

#endif /* TOPOLOGY_FABRIC_H */
