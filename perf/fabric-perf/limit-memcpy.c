/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/limit-memcpy.c - a loop of memcpy: what one thread's copies in this machine's
 * memory reach. A driver that copies by several may be faster.
 */
#include <string.h>

#include "perf/fabric-perf/lanes.h"
#include "perf/fabric-perf/stats.h"

double fp_memcpy_us(void *to, const void *from, uint64_t bytes, uint32_t times)
{
    const double start = fp_stats_now_us();

    for (uint32_t i = 0; i < times; i++) {
        memcpy(to, from, bytes);
        __asm__ volatile("" : : "r"(to), "r"(from) : "memory"); /* each of them happens */
    }
    return (fp_stats_now_us() - start) / times;
}
