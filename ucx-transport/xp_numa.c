/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_numa.c - see xp_numa.h. By system calls: a library in other people's processes
 * brings no libnuma.
 */
#include "ucx-transport/xp_numa.h"

#include <ctype.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIST_BYTES = 4096, NODES_MAX = 64 };

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

void xp_numa_bind_thread(int numa_node)
{
    char path[64], text[LIST_BYTES];
    unsigned long nodes;
    cpu_set_t set;
    FILE *file;
    bool known;

    if (numa_node < 0 || numa_node >= NODES_MAX)
        return;
    (void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", numa_node);
    file = fopen(path, "re");
    if (!file)
        return;
    known = fgets(text, sizeof(text), file) && xp_numa_parse(text, &set);
    (void)fclose(file);
    if (!known || sched_setaffinity(0, sizeof(set), &set) != 0)
        return;
    nodes = 1UL << numa_node;
    /* Preferred and not bound: a full node must not kill the program. */
    (void)syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, (unsigned long)NODES_MAX + 1);
}
