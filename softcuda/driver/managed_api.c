/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed_api.c - the calls of managed memory: allocation, advice, prefetch and
 * discard, range attributes, attachment.
 *
 * Source: CUDA Driver API, Unified Addressing; both the 12 forms (a device number) and the 13 forms
 * (a location).
 */
#include <stddef.h>
#include <string.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/managed.h"
#include "softcuda/driver/stream.h"

CUresult soft_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    struct soft_context *context;
    struct mem_alloc *alloc;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!dptr || bytesize == 0 || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    result = mem_managed_alloc(context, bytesize, flags, &alloc);
    if (result == CUDA_SUCCESS)
        *dptr = alloc->base;
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length,
                                     unsigned int flags)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    struct mem_alloc *alloc = mem_alloc_find(dptr);
    bool known = flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST ||
                 flags == CU_MEM_ATTACH_SINGLE;
    bool no_stream = hStream == NULL || hStream == CU_STREAM_LEGACY;

    if (known && alloc && alloc->kind == MEM_MANAGED && alloc->base == dptr &&
        (length == 0 || length == alloc->bytes) && !(flags == CU_MEM_ATTACH_SINGLE && no_stream)) {
        mem_managed_attach(alloc, flags);
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    soft_stream_put(stream);
    return result;
}

/* ---- locations
 * ----------------------------------------------------------------------------------- */

/* The 12 forms name a device or the CPU by a number. */
static CUmemLocation location_of_device(CUdevice device)
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

static CUresult check_location(CUmemLocation location)
{
    switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        return soft_device_at(location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
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

/* ---- advice
 * ---------------------------------------------------------------------------------------- */

struct advice_change {
    CUmem_advise advise;
    CUmemLocation location;
};

static void change_accessed_by(struct managed_advice *advice, CUmemLocation location, bool set)
{
    uint64_t bit;

    if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
        advice->by_host = set;
        return;
    }
    bit = mem_device_bit(location.id);
    advice->by_devices = set ? advice->by_devices | bit : advice->by_devices & ~bit;
}

static void change_advice(struct managed_advice *advice, const void *arg)
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
        break; /* advise_locked let nothing else through */
    }
}

static CUresult check_advice(CUmem_advise advice, CUmemLocation location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        return CUDA_SUCCESS; /* the location is not looked at */
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        return check_location(location);
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        if (location.type != CU_MEM_LOCATION_TYPE_DEVICE &&
            location.type != CU_MEM_LOCATION_TYPE_HOST)
            return CUDA_ERROR_INVALID_VALUE;
        return check_location(location);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult soft_cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
                             CUmemLocation location)
{
    struct soft_context *context;
    const struct advice_change change = {advice, location};
    CUresult result = soft_context_current(&context);

    if (result == CUDA_SUCCESS)
        result = check_advice(advice, location);
    if (result != CUDA_SUCCESS)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (mem_managed_covers(devPtr, count))
        result = mem_managed_change(devPtr, count, change_advice, &change);
    else
        result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
    return soft_cuMemAdvise_v2(devPtr, count, advice, location_of_device(device));
}

/* ---- prefetch and discard
 * ---------------------------------------------------------------------------- */

static void change_prefetched(struct managed_advice *advice, const void *arg)
{
    advice->prefetched = *(const CUmemLocation *)arg;
}

static void change_discarded(struct managed_advice *advice, const void *arg)
{
    (void)arg;
    advice->prefetched = (CUmemLocation){CU_MEM_LOCATION_TYPE_INVALID, CU_DEVICE_INVALID};
}

CUresult soft_cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                                    unsigned int flags, CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    soft_stream_put(stream); /* all sides share the memory: nothing is left to queue */
    result = flags != 0 ? CUDA_ERROR_INVALID_VALUE : check_location(location);
    if (result != CUDA_SUCCESS)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (mem_managed_covers(devPtr, count))
        result = mem_managed_change(devPtr, count, change_prefetched, &location);
    else
        result = CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
                                 CUstream hStream)
{
    return soft_cuMemPrefetchAsync_v2(devPtr, count, location_of_device(dstDevice), 0, hStream);
}

/* One batch of ranges; locs NULL: no prefetch. */
struct batch {
    const CUdeviceptr *dptrs;
    const size_t *sizes;
    size_t count;
    const CUmemLocation *locs; /* range idxs[k] and up go to locs[k] */
    const size_t *idxs;
    size_t loc_count;
    bool discard;
};

/* Under mem_lock. Everything is checked before anything changes. */
static CUresult check_batch(const struct batch *batch)
{
    if (!batch->dptrs || !batch->sizes || batch->count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < batch->count; i++) {
        if (!mem_managed_covers(batch->dptrs[i], batch->sizes[i]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (batch->loc_count == 0)
        return batch->discard ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (!batch->locs || !batch->idxs || batch->idxs[0] != 0 || batch->loc_count > batch->count)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t k = 0; k < batch->loc_count; k++) {
        CUresult result = check_location(batch->locs[k]);

        if (result != CUDA_SUCCESS)
            return result;
        if (batch->idxs[k] >= batch->count || (k > 0 && batch->idxs[k] <= batch->idxs[k - 1]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult run_batch(const struct batch *batch)
{
    CUresult result = CUDA_SUCCESS;
    size_t k = 0;

    for (size_t i = 0; result == CUDA_SUCCESS && i < batch->count; i++) {
        while (k + 1 < batch->loc_count && batch->idxs[k + 1] <= i)
            k++;
        if (batch->discard)
            result = mem_managed_change(batch->dptrs[i], batch->sizes[i], change_discarded, NULL);
        if (result == CUDA_SUCCESS && batch->loc_count > 0)
            result = mem_managed_change(batch->dptrs[i], batch->sizes[i], change_prefetched,
                                        &batch->locs[k]);
    }
    return result;
}

static CUresult batch_call(const struct batch *batch, unsigned long long flags, CUstream hStream)
{
    struct soft_stream *stream;
    CUresult result = soft_stream_get(hStream, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    soft_stream_put(stream);
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    result = check_batch(batch);
    if (result == CUDA_SUCCESS)
        result = run_batch(batch);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                      CUmemLocation *prefetchLocs, size_t *prefetchLocIdxs,
                                      size_t numPrefetchLocs, unsigned long long flags,
                                      CUstream hStream)
{
    return batch_call(
        &(struct batch){dptrs, sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs, false},
        flags, hStream);
}

/* Discarded contents are undefined until written: they stay what they were. */
CUresult soft_cuMemDiscardBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                     unsigned long long flags, CUstream hStream)
{
    return batch_call(&(struct batch){dptrs, sizes, count, NULL, NULL, 0, true}, flags, hStream);
}

CUresult soft_cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                                CUmemLocation *prefetchLocs,
                                                size_t *prefetchLocIdxs, size_t numPrefetchLocs,
                                                unsigned long long flags, CUstream hStream)
{
    if (numPrefetchLocs == 0)
        return CUDA_ERROR_INVALID_VALUE;
    return batch_call(
        &(struct batch){dptrs, sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs, true},
        flags, hStream);
}

/* ---- range attributes
 * ----------------------------------------------------------------------------------- */

/* What all stretches of a range have in common. */
struct common {
    bool any;
    struct managed_advice advice;
};

static void see_common(const struct managed_advice *advice, void *arg)
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
    if (!mem_location_same(common->advice.preferred, advice->preferred))
        common->advice.preferred = none;
    if (!mem_location_same(common->advice.prefetched, advice->prefetched))
        common->advice.prefetched = none;
}

static void list_accessed_by(const struct managed_advice *advice, int32_t *list, size_t room)
{
    size_t used = 0;

    for (int i = 0; i < soft_device_count() && used < room; i++) {
        if (advice->by_devices & mem_device_bit(i))
            list[used++] = i;
    }
    if (advice->by_host && used < room)
        list[used++] = CU_DEVICE_CPU;
    while (used < room)
        list[used++] = CU_DEVICE_INVALID;
}

static CUresult answer(const struct managed_advice *advice, CUmem_range_attribute attribute,
                       void *data, size_t data_bytes)
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
        list_accessed_by(advice, data, data_bytes / sizeof(value));
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

CUresult soft_cuMemRangeGetAttributes(void **data, size_t *dataSizes,
                                      CUmem_range_attribute *attributes, size_t numAttributes,
                                      CUdeviceptr devPtr, size_t count)
{
    struct soft_context *context;
    struct common common = {0};
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!data || !dataSizes || !attributes || numAttributes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    if (mem_managed_covers(devPtr, count))
        mem_managed_each(devPtr, count, see_common, &common);
    (void)pthread_mutex_unlock(&mem_lock);
    if (!common.any)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < numAttributes; i++)
        result = answer(&common.advice, attributes[i], data[i], dataSizes[i]);
    return result;
}

CUresult soft_cuMemRangeGetAttribute(void *data, size_t dataSize, CUmem_range_attribute attribute,
                                     CUdeviceptr devPtr, size_t count)
{
    return soft_cuMemRangeGetAttributes(&data, &dataSize, &attribute, 1, devPtr, count);
}
