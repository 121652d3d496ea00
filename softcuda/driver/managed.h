/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed.h - advice about managed memory, kept for each stretch of it.
 *
 * managed.c keeps it, managed_api.c is the driver's calls. Thread: mem_lock.
 */
#ifndef SOFTCUDA_DRIVER_MANAGED_H
#define SOFTCUDA_DRIVER_MANAGED_H

#include "softcuda/driver/mem_int.h"

struct managed_advice {
    bool read_mostly;
    bool by_host;             /* accessed by the host */
    uint64_t by_devices;      /* accessed by device ordinals */
    CUmemLocation preferred;  /* type INVALID: none */
    CUmemLocation prefetched; /* where it was last asked to be */
};

static inline bool mem_location_same(CUmemLocation a, CUmemLocation b)
{
    return a.type == b.type && a.id == b.id;
}

/* Whether all of a range, not empty, is managed memory. */
bool mem_managed_covers(uint64_t address, uint64_t bytes);
/* Changes the advice of all pages that a covered range touches. */
CUresult mem_managed_change(uint64_t address, uint64_t bytes,
                            void (*change)(struct managed_advice *advice, const void *arg),
                            const void *arg);
/* Shows the advice of every stretch that a covered range touches. */
void mem_managed_each(uint64_t address, uint64_t bytes,
                      void (*see)(const struct managed_advice *advice, void *arg), void *arg);
void mem_managed_attach(struct mem_alloc *alloc, uint32_t flags);

#endif /* SOFTCUDA_DRIVER_MANAGED_H */
