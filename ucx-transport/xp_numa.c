/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_numa.c - see xp_numa.h. By system calls: a library in other people's processes
 * brings no libnuma.
 */
#include "ucx-transport/xp_numa.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIST_BYTES = 4096 };

/* One number; *at moves behind it. */
static bool parse_number(const char **at, unsigned long *number_out)
{
    char *end;

    if (!isdigit((unsigned char)**at))
        return false;
    *number_out = strtoul(*at, &end, 10);
    *at = end;
    return *number_out < CPU_SETSIZE;
}

bool xp_numa_parse(const char *text, cpu_set_t *set_out)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (const char *at = text;; at++) {
        unsigned long first, last;

        if (!parse_number(&at, &first))
            return false;
        last = first;
        if (*at == '-') {
            at++;
            if (!parse_number(&at, &last) || last < first)
                return false;
        }
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, &set);
        if (*at == '\0' || *at == '\n')
            break;
        if (*at != ',')
            return false;
    }
    *set_out = set;
    return true;
}

enum fab_status xp_numa_cpus(const char *sysroot, int numa_node, cpu_set_t *set_out,
                             struct fab_err *err)
{
    char path[PATH_MAX], text[LIST_BYTES];
    bool known;
    FILE *file;

    if (numa_node < 0 || numa_node >= XP_NUMA_NODES_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "NUMA node %d", numa_node);
    (void)snprintf(path, sizeof(path), "%s/sys/devices/system/node/node%d/cpulist", sysroot,
                   numa_node);
    file = fopen(path, "re");
    if (!file)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no NUMA node %d", numa_node);
    known = fgets(text, sizeof(text), file) && xp_numa_parse(text, set_out);
    (void)fclose(file);
    if (!known)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "NUMA node %d has no processors", numa_node);
    return FAB_OK;
}

enum fab_status xp_numa_bind_thread(int numa_node, struct fab_err *err)
{
    enum { WORD_BITS = 8 * sizeof(unsigned long) };
    unsigned long nodes[XP_NUMA_NODES_MAX / WORD_BITS] = {0}, before[XP_NUMA_NODES_MAX / WORD_BITS];
    enum fab_status status;
    int policy;
    cpu_set_t set;

    if (numa_node == -1)
        return FAB_OK;
    status = xp_numa_cpus("", numa_node, &set, err);
    if (status != FAB_OK)
        return status;
    nodes[numa_node / WORD_BITS] = 1UL << (numa_node % WORD_BITS);
    /* Preferred and not bound: a full node must not kill the program. The kernel takes one bit less
     * than it is told. */
    if (syscall(SYS_get_mempolicy, &policy, before, XP_NUMA_NODES_MAX + 1UL, NULL, 0UL) != 0 ||
        syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, XP_NUMA_NODES_MAX + 1UL) != 0)
        return fab_err_errno(err, errno, "memory on NUMA node %d", numa_node);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        status = fab_err_errno(err, errno, "the processors of NUMA node %d", numa_node);
        (void)syscall(SYS_set_mempolicy, policy, before, XP_NUMA_NODES_MAX + 1UL);
        return status;
    }
    return FAB_OK;
}
