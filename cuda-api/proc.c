/* SPDX-License-Identifier: Apache-2.0
 * cuda-api/proc.c - the version rules of cuGetProcAddress over a sorted table.
 */
#include "cuda-api/proc.h"

#include <string.h>

/* The first row of `name`, or `count`. */
static size_t first_row(const struct capi_proc *table, size_t count, const char *name)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(table[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < count && strcmp(table[low].name, name) == 0)
        return low;
    return count;
}

const struct capi_proc *capi_proc_find(const struct capi_proc *table, size_t count,
                                       const char *name, int version, uint64_t flags,
                                       enum capi_proc_status *status_out)
{
    bool wants_per_thread = (flags & CAPI_PROC_PER_THREAD_STREAM) != 0;
    size_t first = name ? first_row(table, count, name) : count;
    const struct capi_proc *best = NULL;

    if (first == count) {
        *status_out = CAPI_PROC_NOT_FOUND;
        return NULL;
    }
    /* Rows rise in version, and per-thread rows stand last: the last that fits is the best. */
    for (size_t i = first; i < count && strcmp(table[i].name, name) == 0; i++) {
        if (table[i].version <= version && (wants_per_thread || !table[i].is_per_thread))
            best = &table[i];
    }
    if (!best) {
        *status_out = CAPI_PROC_VERSION_NOT_SUFFICIENT;
        return NULL;
    }
    if (!best->is_implemented) {
        *status_out = CAPI_PROC_NOT_FOUND;
        return NULL;
    }
    *status_out = CAPI_PROC_FOUND;
    return best;
}
