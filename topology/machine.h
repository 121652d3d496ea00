/* SPDX-License-Identifier: Apache-2.0
 * topology/machine.h - discovery of this machine: hwloc, NVML, and files below a prefix.
 *
 * Everything is replayable: hwloc reads an XML file when told so, NVML is whichever library is
 * named, and every other fact is a file below `sysroot`. hwloc's and NVML's types stay inside.
 */
#ifndef TOPOLOGY_MACHINE_H
#define TOPOLOGY_MACHINE_H

#include "base/status.h"
#include "topology/records.h"

struct fab_err;

struct topo_machine_source {
    const char *name;      /* the node's name; required */
    const char *hwloc_xml; /* NULL: the machine itself */
    const char *nvml;      /* path of the libnvidia-ml.so.1 to load; NULL: GPUs from PCI alone */
    const char *sysroot;   /* "" or NULL: "/" */
};

/* Fills the record. Takes tens of milliseconds, and as long as NVML does: not for a thread that
 * must not block. FAB_ERR_LIMIT: more of something than records.h has room for; FAB_ERR_NOT_FOUND,
 * FAB_ERR_FORMAT: the XML; a broken NVML is an error; without one, or without a driver behind
 * it, no GPU has a name. */
FAB_NODISCARD enum fab_status topo_machine_discover(const struct topo_machine_source *source,
                                                    struct topo_machine *machine_out,
                                                    struct fab_err *err);

#endif /* TOPOLOGY_MACHINE_H */
