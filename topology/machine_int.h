/* SPDX-License-Identifier: Apache-2.0
 * topology/machine_int.h - the three sources of a machine's record, in the order they are read:
 * each adds to what the one before found.
 */
#ifndef TOPOLOGY_MACHINE_INT_H
#define TOPOLOGY_MACHINE_INT_H

#include <stddef.h>

#include "base/status.h"
#include "topology/records.h"

struct fab_err;

/* NUMA nodes, the PCI tree above GPUs and HCAs, HCAs with GUIDs and ports. GPUs get their place
 * only, in the order of bus ids. xml_path NULL: this machine. */
FAB_NODISCARD enum fab_status topo_hwloc_read(const char *xml_path, struct topo_machine *machine,
                                              struct fab_err *err);

/* What NVML knows of the GPUs. A library that is not there changes nothing. */
FAB_NODISCARD enum fab_status topo_nvml_read(const char *library, struct topo_machine *machine,
                                             struct fab_err *err);

/* Everything that is a file. A file that is missing or makes no sense is a fact not known. */
void topo_sysroot_read(const char *sysroot, struct topo_machine *machine);

/* Counters of all ports of HCAs; one that cannot be read is not known. */
void topo_sysroot_read_ports(const char *sysroot, struct topo_gauges *gauges);

/* A function of a library, and where its address goes in `table`. */
struct topo_function {
    const char *name;
    size_t offset;
    bool is_optional; /* its address stays NULL */
};
/* FAB_ERR_NOT_FOUND: there is no such library; FAB_ERR_DEVICE: it is broken. */
FAB_NODISCARD enum fab_status topo_nvml_load(const char *path,
                                             const struct topo_function *functions, size_t count,
                                             void *table, void **library_out, struct fab_err *err);

/* Copies printable ASCII, others become '?'; cut at size_bytes with a NUL. */
void topo_text_copy(char *to, size_t size_bytes, const char *from);

#endif /* TOPOLOGY_MACHINE_INT_H */
