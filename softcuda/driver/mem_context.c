/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_context.c - what memory keeps for a context: its heaps, its reserve, its
 * peers; and driver-made memory.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

static struct mem_context *contexts;

struct mem_context *mem_context_find(const struct soft_context *context)
{
    struct mem_context *at = contexts;

    while (at && at->context != context)
        at = at->next;
    return at;
}

bool mem_context_may(const struct mem_context *reader, const struct mem_extent *extent, bool write)
{
    uint64_t mask = write ? extent->write_mask : extent->read_mask;

    if (!reader)
        return mask != 0;
    if (mask & mem_device_bit(soft_device_ordinal(reader->device)))
        return true;
    return extent->by_peer &&
           (reader->peer_mask & mem_device_bit(soft_device_ordinal(extent->device))) != 0;
}

bool soft_context_can_access(const struct soft_context *context, const struct soft_device *owner)
{
    mem_table_read();
    const struct mem_context *reader = mem_context_find(context);
    bool can = reader && (reader->device == owner ||
                          (reader->peer_mask & mem_device_bit(soft_device_ordinal(owner))) != 0);

    mem_table_unlock();
    return can;
}

static struct mem_heap heap_of(const struct mem_context *owner, enum mem_kind kind,
                               enum va_area area)
{
    uint64_t own = mem_device_bit(soft_device_ordinal(owner->device));

    return (struct mem_heap){.common = {.ops = &mem_heap_ops},
                             .kind = kind,
                             .area = area,
                             .device = owner->device,
                             .context = owner->context,
                             .read_mask = own,
                             .write_mask = own,
                             .by_peer = true};
}

CUresult soft_mem_context_open(struct soft_context *context)
{
    struct soft_device *device = soft_context_device(context);
    uint64_t reserve = soft_device_model(device)->context_reserve_bytes;
    struct mem_context *entry = fab_alloc_zeroed(1, sizeof(*entry));

    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!soft_device_charge(device, reserve)) {
        free(entry);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *entry = (struct mem_context){.context = context, .device = device, .reserve_bytes = reserve};
    entry->heap = heap_of(entry, MEM_DEVICE, VA_SLICE);
    entry->fixed = heap_of(entry, MEM_FIXED, VA_FIXED);
    (void)pthread_mutex_lock(&mem_lock);
    mem_table_write();
    entry->next = contexts;
    contexts = entry;
    mem_table_unlock();
    (void)pthread_mutex_unlock(&mem_lock);
    return CUDA_SUCCESS;
}

void soft_mem_context_close(struct soft_context *context)
{
    struct mem_context **at = &contexts, *entry;

    (void)pthread_mutex_lock(&mem_lock);
    while (*at && (*at)->context != context)
        at = &(*at)->next;
    entry = *at;
    if (entry) {
        mem_pools_context_close(context);
        mem_host_context_close(context);
        mem_heap_clear(&entry->heap);
        mem_heap_clear(&entry->fixed);
        mem_table_write();
        *at = entry->next;
        mem_table_unlock();
        soft_device_uncharge(entry->device, entry->reserve_bytes);
        free(entry);
    }
    (void)pthread_mutex_unlock(&mem_lock);
}

CUresult soft_mem_alloc_fixed(struct soft_context *context, uint64_t bytes, uint64_t align,
                              bool managed, uint64_t *address_out)
{
    struct mem_alloc *alloc;
    CUresult result = CUDA_ERROR_INVALID_CONTEXT;

    (void)pthread_mutex_lock(&mem_lock);
    struct mem_context *entry = mem_context_find(context);

    if (entry)
        result = managed ? mem_managed_alloc(context, bytes, CU_MEM_ATTACH_GLOBAL, &alloc)
                         : mem_heap_alloc(&entry->fixed, bytes, align ? align : 1, &alloc);
    if (result == CUDA_SUCCESS) {
        *address_out = alloc->base;
        if (bytes < MEM_GRANULE) /* its block may have been used before */
            memset(mem_pointer(alloc->base), 0, bytes);
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

void soft_mem_free_fixed(struct soft_context *context, uint64_t address)
{
    (void)pthread_mutex_lock(&mem_lock);
    struct mem_alloc *alloc = mem_alloc_find(address);

    if (alloc && alloc->base == address && alloc->context == context) {
        if (alloc->kind == MEM_MANAGED)
            mem_managed_free(alloc);
        else if (alloc->kind == MEM_FIXED)
            mem_heap_free(alloc);
    }
    (void)pthread_mutex_unlock(&mem_lock);
}
