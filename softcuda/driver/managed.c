/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed.c - managed memory: plain memory of the process that all devices see.
 *
 * Nothing moves here, so advice and prefetches change no data; cuda-common/managed.c keeps them for
 * each stretch of an allocation, and queries report them truthfully. Distributed unified memory
 * (unimem/) will stand behind the same calls. Source: CUDA Driver API, Unified Addressing.
 */
#include "softcuda/driver/managed.h"

#include <stdlib.h>

#include "softcuda/driver/device.h"

enum {
    MANAGED_UNIT = 64 * 1024,    /* no two allocations share one */
    MANAGED_LARGE = 1024 * 1024, /* from here on aligned to MEM_GRANULE */
};

CUresult mem_managed_alloc(struct soft_context *context, uint64_t bytes, uint32_t flags,
                           struct mem_alloc **alloc_out)
{
    struct mem_extent extent = {
        .kind = MEM_MANAGED, .read_mask = MEM_ALL_DEVICES, .write_mask = MEM_ALL_DEVICES};
    struct mem_alloc values = {
        .bytes = bytes, .kind = MEM_MANAGED, .context = context, .attach_flags = flags};
    uint64_t step = bytes >= MANAGED_LARGE ? MEM_GRANULE : MANAGED_UNIT;

    if (!mem_host_fits(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    /* Whole steps leave no gaps: neighbours are one range for the kernels' look-ups. */
    values.span_bytes = mem_round_up(bytes, step);
    if (!va_reserve(VA_MANAGED, 0, values.span_bytes, step, &values.base))
        return CUDA_ERROR_OUT_OF_MEMORY;
    values.advice = cuc_advice_new(values.base, values.span_bytes);
    if (!values.advice || !va_open(values.base, values.span_bytes, bytes >= MANAGED_LARGE) ||
        mem_extent_add(values.base, values.base + values.span_bytes, &extent) != CUDA_SUCCESS)
        goto fail;
    if (mem_alloc_add(&values, alloc_out) == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    mem_extent_remove(values.base);
fail:
    cuc_advice_free(values.advice);
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

static bool find(uint64_t address, struct cuc_managed *managed_out)
{
    const struct mem_alloc *alloc = mem_alloc_find(address);

    if (!alloc || alloc->kind != MEM_MANAGED)
        return false;
    *managed_out = (struct cuc_managed){.base = alloc->base,
                                        .bytes = alloc->bytes,
                                        .span_bytes = alloc->span_bytes,
                                        .advice = alloc->advice};
    return true;
}

struct cuc_managed_set mem_managed_set(void)
{
    return (struct cuc_managed_set){.find = find, .device_count = soft_device_count()};
}
