/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_numa.h - keeps the calling thread, and what it allocates, on one NUMA node.
 *
 * Best effort: a machine without the node, or a container that may not, goes on as before. Thread:
 * any; changes the calling thread only.
 */
#ifndef UCX_TRANSPORT_XP_NUMA_H
#define UCX_TRANSPORT_XP_NUMA_H

#include <sched.h>
#include <stdbool.h>

/* -1 does nothing. */
void xp_numa_bind_thread(int numa_node);

/* The kernel's list format, "0-3,8,10-11", as in /sys/devices/system/node/nodeN/cpulist; false if
 * it is malformed or names a processor beyond CPU_SETSIZE. */
bool xp_numa_parse(const char *text, cpu_set_t *set_out);

#endif /* UCX_TRANSPORT_XP_NUMA_H */
