/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed.c - managed memory: plain memory of the process that all devices see.
 *
 * Nothing moves here, so advice and prefetches change no data; they are kept for each stretch of
 * an allocation, and queries report them truthfully. Distributed unified memory (unimem/) will
 * stand behind the same calls. Source: CUDA Driver API, Unified Addressing.
 */
#include "softcuda/driver/managed.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "softcuda/driver/device.h"

enum {
    MANAGED_UNIT = 64 * 1024,    /* no two allocations share one */
    MANAGED_LARGE = 1024 * 1024, /* from here on aligned to MEM_GRANULE */
};

/* Advice of [previous end, end) of an allocation. */
struct stretch {
    uint64_t end;
    struct managed_advice advice;
};

struct mem_managed {
    uint32_t attach_flags; /* CU_MEM_ATTACH_* */
    size_t count;
    struct stretch *at; /* ascending; the last ends with the allocation */
};

static const struct managed_advice no_advice = {
    .preferred = {.type = CU_MEM_LOCATION_TYPE_INVALID, .id = CU_DEVICE_INVALID},
    .prefetched = {.type = CU_MEM_LOCATION_TYPE_INVALID, .id = CU_DEVICE_INVALID},
};

static struct mem_managed *record_new(uint64_t base, uint64_t bytes, uint32_t flags)
{
    struct mem_managed *managed = fab_alloc(sizeof(*managed));

    if (!managed)
        return NULL;
    *managed = (struct mem_managed){
        .attach_flags = flags, .count = 1, .at = fab_alloc(sizeof(struct stretch))};
    if (!managed->at) {
        free(managed);
        return NULL;
    }
    managed->at[0] = (struct stretch){.end = base + bytes, .advice = no_advice};
    return managed;
}

void mem_managed_record_free(struct mem_managed *managed)
{
    if (!managed)
        return;
    free(managed->at);
    free(managed);
}

CUresult mem_managed_alloc(struct soft_context *context, uint64_t bytes, uint32_t flags,
                           struct mem_alloc **alloc_out)
{
    struct mem_extent extent = {
        .kind = MEM_MANAGED, .read_mask = MEM_ALL_DEVICES, .write_mask = MEM_ALL_DEVICES};
    struct mem_alloc values = {.bytes = bytes, .kind = MEM_MANAGED, .context = context};
    uint64_t step = bytes >= MANAGED_LARGE ? MEM_GRANULE : MANAGED_UNIT;

    if (!mem_host_fits(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    /* Whole steps leave no gaps: neighbours are one range for the kernels' look-ups. */
    values.span_bytes = mem_round_up(bytes, step);
    if (!va_reserve(VA_MANAGED, 0, values.span_bytes, step, &values.base))
        return CUDA_ERROR_OUT_OF_MEMORY;
    values.managed = record_new(values.base, values.span_bytes, flags);
    if (!values.managed || !va_open(values.base, values.span_bytes, bytes >= MANAGED_LARGE) ||
        mem_extent_add(values.base, values.base + values.span_bytes, &extent) != CUDA_SUCCESS)
        goto fail;
    if (mem_alloc_add(&values, alloc_out) == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    mem_extent_remove(values.base);
fail:
    mem_managed_record_free(values.managed);
    va_release(values.base, values.span_bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void mem_managed_free(struct mem_alloc *alloc)
{
    uint64_t base = alloc->base, bytes = alloc->span_bytes;

    mem_extent_remove(base);
    mem_alloc_remove(alloc);
    va_release(base, bytes);
}

void mem_managed_attach(struct mem_alloc *alloc, uint32_t flags)
{
    alloc->managed->attach_flags = flags;
}

/* ---- advice ------------------------------------------------------------------------------------
 */

/* Makes `address` a boundary between two stretches. False: out of memory. */
static bool split(struct mem_alloc *alloc, uint64_t address)
{
    struct mem_managed *managed = alloc->managed;
    uint64_t start = alloc->base;
    size_t i = 0;

    while (i < managed->count && managed->at[i].end < address)
        start = managed->at[i++].end;
    if (i == managed->count || address <= start || address == managed->at[i].end)
        return true;
    struct stretch *at = fab_alloc_resize(managed->at, managed->count + 1, sizeof(*at));

    if (!at)
        return false;
    managed->at = at;
    memmove(&at[i + 1], &at[i], (managed->count - i) * sizeof(*at));
    at[i].end = address;
    managed->count++;
    return true;
}

static bool same_advice(const struct managed_advice *a, const struct managed_advice *b)
{
    return a->read_mostly == b->read_mostly && a->by_host == b->by_host &&
           a->by_devices == b->by_devices && mem_location_same(a->preferred, b->preferred) &&
           mem_location_same(a->prefetched, b->prefetched);
}

static void merge(struct mem_managed *managed)
{
    size_t kept = 0;

    for (size_t i = 1; i < managed->count; i++) {
        if (same_advice(&managed->at[kept].advice, &managed->at[i].advice))
            managed->at[kept].end = managed->at[i].end;
        else
            managed->at[++kept] = managed->at[i];
    }
    managed->count = kept + 1;
}

bool mem_managed_covers(uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;

    if (bytes == 0 || end < address)
        return false;
    while (address < end) {
        const struct mem_alloc *alloc = mem_alloc_find(address);

        if (!alloc || alloc->kind != MEM_MANAGED)
            return false;
        uint64_t asked_end = alloc->base + mem_round_up(alloc->bytes, MEM_PAGE);

        address = alloc->base + alloc->span_bytes;
        if (asked_end < end && asked_end < address)
            return false; /* what was rounded up is nobody's */
    }
    return true;
}

CUresult mem_managed_change(uint64_t address, uint64_t bytes,
                            void (*change)(struct managed_advice *advice, const void *arg),
                            const void *arg)
{
    uint64_t lo = address & ~(MEM_PAGE - 1), end = mem_round_up(address + bytes, MEM_PAGE);
    struct mem_alloc *alloc;

    for (; lo < end && (alloc = mem_alloc_find(lo)) != NULL; lo = alloc->base + alloc->span_bytes) {
        if (!split(alloc, lo) || !split(alloc, end))
            return CUDA_ERROR_OUT_OF_MEMORY;
        uint64_t start = alloc->base;

        for (size_t i = 0; i < alloc->managed->count; i++) {
            if (start >= lo && start < end)
                change(&alloc->managed->at[i].advice, arg);
            start = alloc->managed->at[i].end;
        }
        merge(alloc->managed);
    }
    return CUDA_SUCCESS;
}

void mem_managed_each(uint64_t address, uint64_t bytes,
                      void (*see)(const struct managed_advice *advice, void *arg), void *arg)
{
    uint64_t end = address + bytes;
    const struct mem_alloc *alloc;

    for (; address < end && (alloc = mem_alloc_find(address)) != NULL;
         address = alloc->base + alloc->span_bytes) {
        for (size_t i = 0; i < alloc->managed->count; i++) {
            uint64_t start = i ? alloc->managed->at[i - 1].end : alloc->base;

            if (start < end && alloc->managed->at[i].end > address)
                see(&alloc->managed->at[i].advice, arg);
        }
    }
}
