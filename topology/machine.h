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

/* What changes all the time, for a process that looks again and again: NVML stays loaded, and shows
 * the GPUs that were there when it was opened. Reading takes as long as NVML and HCAs do. */
struct topo_meter;
/* As in a source: no library, or no driver behind it, is no error and no GPUs. */
FAB_NODISCARD enum fab_status topo_meter_open(const char *nvml, const char *sysroot,
                                              struct topo_meter **meter_out, struct fab_err *err);
void topo_meter_close(struct topo_meter *meter); /* takes NULL */
/* FAB_ERR_DEVICE: NVML has lost its driver. */
FAB_NODISCARD enum fab_status topo_meter_read(const struct topo_meter *meter,
                                              struct topo_gauges *gauges_out, struct fab_err *err);

#endif /* TOPOLOGY_MACHINE_H */
