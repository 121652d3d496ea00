/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/managed.c - stretches of advice, the checks of the calls that change them, and what
 * queries answer.
 */
#include "cuda-common/managed.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-common/ranges.h"

#define PAGE UINT64_C(4096)

struct stretch_advice {
    bool read_mostly;
    bool by_host;             /* accessed by the host */
    uint64_t by_devices;      /* accessed by device ordinals */
    CUmemLocation preferred;  /* type INVALID: none */
    CUmemLocation prefetched; /* where it was last asked to be */
};

/* Advice of [previous end, end) of an allocation. */
struct stretch {
    uint64_t end;
    struct stretch_advice advice;
};

struct cuc_advice {
    size_t count;
    struct stretch *at; /* ascending; the last ends with the allocation */
};

static const struct stretch_advice no_advice = {
    .preferred = {.type = CU_MEM_LOCATION_TYPE_INVALID, .id = CU_DEVICE_INVALID},
    .prefetched = {.type = CU_MEM_LOCATION_TYPE_INVALID, .id = CU_DEVICE_INVALID},
};

struct cuc_advice *cuc_advice_new(uint64_t base, uint64_t bytes)
{
    struct cuc_advice *advice = fab_alloc(sizeof(*advice));

    if (!advice)
        return NULL;
    *advice = (struct cuc_advice){.count = 1, .at = fab_alloc(sizeof(struct stretch))};
    if (!advice->at) {
        free(advice);
        return NULL;
    }
    advice->at[0] = (struct stretch){.end = base + bytes, .advice = no_advice};
    return advice;
}

void cuc_advice_free(struct cuc_advice *advice)
{
    if (!advice)
        return;
    free(advice->at);
    free(advice);
}

/* ---- stretches --------------------------------------------------------------------------------
 */

static bool same_location(CUmemLocation a, CUmemLocation b)
{
    return a.type == b.type && a.id == b.id;
}

/* Makes `address` a boundary between two stretches. False: out of memory. */
static bool split(const struct cuc_managed *managed, uint64_t address)
{
    struct cuc_advice *advice = managed->advice;
    uint64_t start = managed->base;
    size_t i = 0;

    while (i < advice->count && advice->at[i].end < address)
        start = advice->at[i++].end;
    if (i == advice->count || address <= start || address == advice->at[i].end)
        return true;
    struct stretch *at = fab_alloc_resize(advice->at, advice->count + 1, sizeof(*at));

    if (!at)
        return false;
    advice->at = at;
    memmove(&at[i + 1], &at[i], (advice->count - i) * sizeof(*at));
    at[i].end = address;
    advice->count++;
    return true;
}

static bool same_advice(const struct stretch_advice *a, const struct stretch_advice *b)
{
    return a->read_mostly == b->read_mostly && a->by_host == b->by_host &&
           a->by_devices == b->by_devices && same_location(a->preferred, b->preferred) &&
           same_location(a->prefetched, b->prefetched);
}

static void merge(struct cuc_advice *advice)
{
    size_t kept = 0;

    for (size_t i = 1; i < advice->count; i++) {
        if (same_advice(&advice->at[kept].advice, &advice->at[i].advice))
            advice->at[kept].end = advice->at[i].end;
        else
            advice->at[++kept] = advice->at[i];
    }
    advice->count = kept + 1;
}

/* Whether all of a range, not empty, is managed memory. */
static bool covers(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;

    if (bytes == 0 || end < address)
        return false;
    while (address < end) {
        struct cuc_managed managed;

        if (!set->find(address, &managed))
            return false;
        uint64_t asked_end = managed.base + mem_round_up(managed.bytes, PAGE);

        address = managed.base + managed.span_bytes;
        if (asked_end < end && asked_end < address)
            return false; /* what was rounded up is nobody's */
    }
    return true;
}

/* Changes the advice of all pages that a covered range touches. */
static CUresult change_all(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                           void (*change)(struct stretch_advice *advice, const void *arg),
                           const void *arg)
{
    uint64_t lo = address & ~(PAGE - 1), end = mem_round_up(address + bytes, PAGE);
    struct cuc_managed managed;

    for (; lo < end && set->find(lo, &managed); lo = managed.base + managed.span_bytes) {
        if (!split(&managed, lo) || !split(&managed, end))
            return CUDA_ERROR_OUT_OF_MEMORY;
        uint64_t start = managed.base;

        for (size_t i = 0; i < managed.advice->count; i++) {
            if (start >= lo && start < end)
                change(&managed.advice->at[i].advice, arg);
            start = managed.advice->at[i].end;
        }
        merge(managed.advice);
    }
    return CUDA_SUCCESS;
}

/* Shows the advice of every stretch that a covered range touches. */
static void see_all(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                    void (*see)(const struct stretch_advice *advice, void *arg), void *arg)
{
    uint64_t end = address + bytes;
    struct cuc_managed managed;

    for (; address < end && set->find(address, &managed);
         address = managed.base + managed.span_bytes) {
        const struct cuc_advice *advice = managed.advice;

        for (size_t i = 0; i < advice->count; i++) {
            uint64_t start = i ? advice->at[i - 1].end : managed.base;

            if (start < end && advice->at[i].end > address)
                see(&advice->at[i].advice, arg);
        }
    }
}

/* ---- locations ----------------------------------------------------------------------------- */

/* The 12 forms name a device or the CPU by a number. */
CUmemLocation cuc_managed_location(CUdevice device)
{
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};

    if (device == CU_DEVICE_CPU)
        location = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST, .id = 0};
    return location;
}

/* What a query of the 12 form answers for a location. */
static int device_of_location(CUmemLocation location)
{
    switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        return location.id;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
        return CU_DEVICE_CPU;
    case CU_MEM_LOCATION_TYPE_INVALID:
    case CU_MEM_LOCATION_TYPE_MAX:
    default:
        return CU_DEVICE_INVALID;
    }
}

static CUresult check_location(const struct cuc_managed_set *set, CUmemLocation location)
{
    switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        return location.id >= 0 && location.id < set->device_count ? CUDA_SUCCESS
                                                                   : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
        return CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
        return location.id >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_MEM_LOCATION_TYPE_INVALID:
    case CU_MEM_LOCATION_TYPE_MAX:
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- advice -------------------------------------------------------------------------------- */

struct advice_change {
    CUmem_advise advise;
    CUmemLocation location;
};

static void change_accessed_by(struct stretch_advice *advice, CUmemLocation location, bool set)
{
    uint64_t bit;

    if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
        advice->by_host = set;
        return;
    }
    bit = UINT64_C(1) << (unsigned)location.id;
    advice->by_devices = set ? advice->by_devices | bit : advice->by_devices & ~bit;
}

static void change_advice(struct stretch_advice *advice, const void *arg)
{
    const struct advice_change *change = arg;

    switch (change->advise) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        advice->read_mostly = change->advise == CU_MEM_ADVISE_SET_READ_MOSTLY;
        break;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        advice->preferred = change->location;
        break;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        advice->preferred = (CUmemLocation){CU_MEM_LOCATION_TYPE_INVALID, CU_DEVICE_INVALID};
        break;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        change_accessed_by(advice, change->location,
                           change->advise == CU_MEM_ADVISE_SET_ACCESSED_BY);
        break;
    default:
        break; /* check_advice let nothing else through */
    }
}

static CUresult check_advice(const struct cuc_managed_set *set, CUmem_advise advice,
                             CUmemLocation location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        return CUDA_SUCCESS; /* the location is not looked at */
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        return check_location(set, location);
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        if (location.type != CU_MEM_LOCATION_TYPE_DEVICE &&
            location.type != CU_MEM_LOCATION_TYPE_HOST)
            return CUDA_ERROR_INVALID_VALUE;
        return check_location(set, location);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuc_managed_advise(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                            CUmem_advise advice, CUmemLocation location)
{
    const struct advice_change change = {advice, location};
    CUresult result = check_advice(set, advice, location);

    if (result != CUDA_SUCCESS)
        return result;
    if (!covers(set, address, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return change_all(set, address, bytes, change_advice, &change);
}

/* ---- prefetch and discard ------------------------------------------------------------------ */

static void change_prefetched(struct stretch_advice *advice, const void *arg)
{
    advice->prefetched = *(const CUmemLocation *)arg;
}

static void change_discarded(struct stretch_advice *advice, const void *arg)
{
    (void)arg;
    advice->prefetched = (CUmemLocation){CU_MEM_LOCATION_TYPE_INVALID, CU_DEVICE_INVALID};
}

CUresult cuc_managed_prefetch(const struct cuc_managed_set *set, uint64_t address, uint64_t bytes,
                              CUmemLocation location, unsigned flags)
{
    CUresult result = flags != 0 ? CUDA_ERROR_INVALID_VALUE : check_location(set, location);

    if (result != CUDA_SUCCESS)
        return result;
    if (!covers(set, address, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return change_all(set, address, bytes, change_prefetched, &location);
}

/* Everything is checked before anything changes. */
static CUresult check_batch(const struct cuc_managed_set *set,
                            const struct cuc_managed_batch *batch)
{
    if (!batch->dptrs || !batch->sizes || batch->count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < batch->count; i++) {
        if (!covers(set, batch->dptrs[i], batch->sizes[i]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (batch->loc_count == 0)
        return batch->discard ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (!batch->locs || !batch->idxs || batch->idxs[0] != 0 || batch->loc_count > batch->count)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t k = 0; k < batch->loc_count; k++) {
        CUresult result = check_location(set, batch->locs[k]);

        if (result != CUDA_SUCCESS)
            return result;
        if (batch->idxs[k] >= batch->count || (k > 0 && batch->idxs[k] <= batch->idxs[k - 1]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult run_batch(const struct cuc_managed_set *set, const struct cuc_managed_batch *batch)
{
    CUresult result = CUDA_SUCCESS;
    size_t k = 0;

    for (size_t i = 0; result == CUDA_SUCCESS && i < batch->count; i++) {
        while (k + 1 < batch->loc_count && batch->idxs[k + 1] <= i)
            k++;
        if (batch->discard)
            result = change_all(set, batch->dptrs[i], batch->sizes[i], change_discarded, NULL);
        if (result == CUDA_SUCCESS && batch->loc_count > 0)
            result = change_all(set, batch->dptrs[i], batch->sizes[i], change_prefetched,
                                &batch->locs[k]);
    }
    return result;
}

CUresult cuc_managed_batch(const struct cuc_managed_set *set, const struct cuc_managed_batch *batch,
                           unsigned long long flags)
{
    CUresult result = flags != 0 ? CUDA_ERROR_INVALID_VALUE : check_batch(set, batch);

    return result == CUDA_SUCCESS ? run_batch(set, batch) : result;
}

/* ---- range attributes ---------------------------------------------------------------------- */

/* What all stretches of a range have in common. */
struct common {
    bool any;
    struct stretch_advice advice;
};

static void see_common(const struct stretch_advice *advice, void *arg)
{
    static const CUmemLocation none = {CU_MEM_LOCATION_TYPE_INVALID, CU_DEVICE_INVALID};
    struct common *common = arg;

    if (!common->any) {
        common->any = true;
        common->advice = *advice;
        return;
    }
    common->advice.read_mostly = common->advice.read_mostly && advice->read_mostly;
    common->advice.by_host = common->advice.by_host && advice->by_host;
    common->advice.by_devices &= advice->by_devices;
    if (!same_location(common->advice.preferred, advice->preferred))
        common->advice.preferred = none;
    if (!same_location(common->advice.prefetched, advice->prefetched))
        common->advice.prefetched = none;
}

static void list_accessed_by(const struct stretch_advice *advice, int device_count, int32_t *list,
                             size_t room)
{
    size_t used = 0;

    for (int i = 0; i < device_count && used < room; i++) {
        if (advice->by_devices & UINT64_C(1) << (unsigned)i)
            list[used++] = i;
    }
    if (advice->by_host && used < room)
        list[used++] = CU_DEVICE_CPU;
    while (used < room)
        list[used++] = CU_DEVICE_INVALID;
}

static CUresult answer(const struct stretch_advice *advice, int device_count,
                       CUmem_range_attribute attribute, void *data, size_t data_bytes)
{
    int32_t value = 0;

    if (!data || data_bytes == 0 || data_bytes % sizeof(value) != 0 ||
        (attribute != CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY && data_bytes != sizeof(value)))
        return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
        value = advice->read_mostly;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
        value = device_of_location(advice->preferred);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
        list_accessed_by(advice, device_count, data, data_bytes / sizeof(value));
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
        value = device_of_location(advice->prefetched);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
        value = (int32_t)advice->preferred.type;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
        value = advice->preferred.id;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
        value = (int32_t)advice->prefetched.type;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
        value = advice->prefetched.id;
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    memcpy(data, &value, sizeof(value));
    return CUDA_SUCCESS;
}

CUresult cuc_managed_attributes(const struct cuc_managed_set *set, void **data,
                                const size_t *data_sizes, const CUmem_range_attribute *attributes,
                                size_t attribute_count, uint64_t address, uint64_t bytes)
{
    struct common common = {0};
    CUresult result = CUDA_SUCCESS;

    if (covers(set, address, bytes))
        see_all(set, address, bytes, see_common, &common);
    if (!common.any)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < attribute_count; i++)
        result = answer(&common.advice, set->device_count, attributes[i], data[i], data_sizes[i]);
    return result;
}
