/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_numa.h - keeps the calling thread, and what it allocates, on one NUMA node.
 *
 * Which node is the caller's choice (xp_rail_config); a node that this machine has not, or that a
 * container hides, is told of and the thread goes on where it is. Thread: any; changes the calling
 * thread only.
 */
#ifndef UCX_TRANSPORT_XP_NUMA_H
#define UCX_TRANSPORT_XP_NUMA_H

#include <sched.h>
#include <stdbool.h>

#include "base/err.h"

enum { XP_NUMA_NODES_MAX = 1024 }; /* the kernel's own limit */

/* Processors and preferred memory of that node; -1 does nothing. Nothing is changed unless both
 * can be had: FAB_ERR_RANGE for a number that no machine has, FAB_ERR_NOT_FOUND if this one has no
 * such node with processors, or what the kernel said. */
FAB_NODISCARD enum fab_status xp_numa_bind_thread(int numa_node, struct fab_err *err);

/* The processors of a node, as files under `sysroot` ("" for this machine) say. As above. */
FAB_NODISCARD enum fab_status xp_numa_cpus(const char *sysroot, int numa_node, cpu_set_t *set_out,
                                           struct fab_err *err);

/* The kernel's list format, "0-3,8,10-11", as in /sys/devices/system/node/nodeN/cpulist; false if
 * it is malformed or names a processor beyond CPU_SETSIZE. */
bool xp_numa_parse(const char *text, cpu_set_t *set_out);

#endif /* UCX_TRANSPORT_XP_NUMA_H */
