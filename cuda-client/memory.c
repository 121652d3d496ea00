/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memory.c - the tables of extents and allocations, and the questions asked of them.
 *
 * Writers hold the lock of what they change and take the reader-writer lock only around the change
 * itself, never over a call to a worker.
 */
#include "cuda-client/memory.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/memory_int.h"
#include "cuda-client/region.h"
#include "cuda-common/managed.h"

static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct cuc_ranges extents;
static struct cuc_ranges allocs;
static uint64_t last_id; /* under the write lock */

void cudac_table_read(void)
{
    (void)pthread_rwlock_rdlock(&table_lock);
}

void cudac_table_write(void)
{
    (void)pthread_rwlock_wrlock(&table_lock);
}

void cudac_table_unlock(void)
{
    (void)pthread_rwlock_unlock(&table_lock);
}

/* ---- extents ----------------------------------------------------------------------------------
 */

CUresult cudac_extent_add(uint64_t lo, uint64_t hi, const struct cudac_extent *extent)
{
    struct cudac_extent *item = fab_alloc(sizeof(*item));
    bool done = false;

    if (item) {
        *item = *extent;
        cudac_table_write();
        done = cuc_ranges_insert(&extents, lo, hi, item);
        cudac_table_unlock();
    }
    if (done)
        return CUDA_SUCCESS;
    free(item);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void cudac_extent_remove(uint64_t lo)
{
    struct cudac_extent *item = NULL;

    cudac_table_write();
    struct cuc_range *range = cuc_ranges_find(&extents, lo);

    if (range && range->lo == lo) {
        item = range->item;
        (void)cuc_ranges_remove(&extents, lo);
    }
    cudac_table_unlock();
    free(item);
}

bool cudac_extent_hit(uint64_t lo, uint64_t hi)
{
    cudac_table_read();
    bool hit = cuc_ranges_hit(&extents, lo, hi);

    cudac_table_unlock();
    return hit;
}

void cudac_extent_access(uint64_t lo, uint64_t hi, uint64_t read_mask, uint64_t write_mask)
{
    cudac_table_write();
    for (size_t i = cuc_ranges_after(&extents, lo); i < extents.count && extents.at[i].lo < hi;
         i++) {
        struct cudac_extent *item = extents.at[i].item;

        item->read_mask = read_mask;
        item->write_mask = write_mask;
    }
    cudac_table_unlock();
}

bool cudac_extent_find(uint64_t address, struct cudac_extent *extent_out, uint64_t *lo_out,
                       uint64_t *hi_out)
{
    uint32_t owners;

    cudac_table_read();
    const struct cuc_range *range = cuc_ranges_find(&extents, address);

    if (range) {
        if (extent_out)
            *extent_out = *(const struct cudac_extent *)range->item;
        if (lo_out)
            *lo_out = range->lo;
        if (hi_out)
            *hi_out = range->hi;
    }
    const struct cudac_alloc *fixed = range ? NULL : cudac_fixed_find(address, &owners);

    if (fixed)
        cudac_fixed_extent(fixed, extent_out, lo_out, hi_out);
    cudac_table_unlock();
    return range || fixed;
}

struct cudac_reader cudac_reader_of(struct cudac_context *context)
{
    struct cudac_reader reader = {.is_any = context == NULL};

    if (!context)
        return reader;
    reader.own = memory_bit(context->vgpu);
    (void)pthread_mutex_lock(&context->lock);
    reader.peers = context->peer_mask;
    (void)pthread_mutex_unlock(&context->lock);
    return reader;
}

bool cudac_extent_allows(const struct cudac_reader *reader, const struct cudac_extent *extent,
                         bool write)
{
    uint64_t mask = write ? extent->write_mask : extent->read_mask;

    if (reader->is_any)
        return mask != 0;
    return (mask & reader->own) ||
           (extent->by_peer && (reader->peers & memory_bit(extent->vgpu)) != 0);
}

/* ---- allocations ------------------------------------------------------------------------------
 */

uint64_t cudac_alloc_id(void)
{
    cudac_table_write();
    uint64_t id = ++last_id;

    cudac_table_unlock();
    return id;
}

CUresult cudac_alloc_add(const struct cudac_alloc *values, struct cudac_alloc **alloc_out)
{
    struct cudac_alloc *alloc = fab_alloc(sizeof(*alloc));
    bool done = false;

    if (alloc) {
        *alloc = *values;
        cudac_table_write();
        alloc->id = ++last_id;
        done = cuc_ranges_insert(&allocs, alloc->base, alloc->base + alloc->span_bytes, alloc);
        cudac_table_unlock();
    }
    if (!done) {
        free(alloc);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *alloc_out = alloc;
    return CUDA_SUCCESS;
}

void cudac_alloc_remove(struct cudac_alloc *alloc)
{
    cudac_table_write();
    (void)cuc_ranges_remove(&allocs, alloc->base);
    cudac_table_unlock();
    cuc_advice_free(alloc->advice);
    free(alloc);
}

void cudac_alloc_renew(struct cudac_alloc *alloc, uint64_t bytes, struct cudac_context *context)
{
    cudac_table_write();
    alloc->bytes = bytes;
    alloc->context = context;
    alloc->context_id = context->id;
    alloc->is_freed = false;
    alloc->id = ++last_id;
    cudac_table_unlock();
}

/* Inside cudac_table_read. */
static const struct cudac_alloc *find_alloc(uint64_t address, uint32_t *owners_out)
{
    const struct cuc_range *range = cuc_ranges_find(&allocs, address);

    *owners_out = 1;
    return range ? range->item : cudac_fixed_find(address, owners_out);
}

bool cudac_alloc_find(uint64_t address, struct cudac_alloc *alloc_out)
{
    uint32_t owners;

    cudac_table_read();
    const struct cudac_alloc *alloc = find_alloc(address, &owners);

    if (alloc)
        *alloc_out = *alloc;
    cudac_table_unlock();
    if (alloc && owners > 1)
        cudac_fixed_complain(address);
    return alloc && owners == 1;
}

struct cudac_alloc *cudac_alloc_at(uint64_t address)
{
    cudac_table_read();
    const struct cuc_range *range = cuc_ranges_find(&allocs, address);
    struct cudac_alloc *alloc = range ? range->item : NULL;

    cudac_table_unlock();
    return alloc;
}

struct cudac_alloc *cudac_alloc_next(uint64_t address)
{
    cudac_table_read();
    size_t i = cuc_ranges_after(&allocs, address);
    struct cudac_alloc *alloc = i < allocs.count ? allocs.at[i].item : NULL;

    cudac_table_unlock();
    return alloc;
}

/* ---- questions --------------------------------------------------------------------------------
 */

/* Inside cudac_table_read: the end of the mappings that follow each other from the address on. */
static uint64_t mapped_end(uint64_t address)
{
    size_t i = cuc_ranges_after(&extents, address);

    if (i == extents.count || extents.at[i].lo > address)
        return address;
    while (i + 1 < extents.count && extents.at[i + 1].lo == extents.at[i].hi)
        i++;
    return extents.at[i].hi;
}

static void fill_of_alloc(const struct cudac_alloc *alloc, uint64_t address,
                          struct cudac_memory_info *info)
{
    const struct cudac_region *region = alloc->region;

    *info = (struct cudac_memory_info){.kind = alloc->kind,
                                       .base = alloc->base,
                                       .bytes = alloc->bytes,
                                       .vgpu = alloc->vgpu,
                                       .context = alloc->context,
                                       .device_address = address};
    if (!region)
        return;
    const uint64_t offset = address - alloc->base;

    info->host_address = region->host_address + offset;
    info->device_address = region->device_address + offset;
    info->window_id = region->window_id;
    info->window_offset = region->window_offset + offset;
    info->xp_mem = region->mem;
}

bool cudac_memory_find(uint64_t address, struct cudac_memory_info *info_out)
{
    const struct cudac_reader anybody = {.is_any = true};
    uint32_t owners;
    bool found = true;

    cudac_table_read();
    const struct cudac_alloc *alloc = find_alloc(address, &owners);
    const struct cuc_range *extent = cuc_ranges_find(&extents, address);

    if (alloc) {
        fill_of_alloc(alloc, address, info_out);
    } else if (extent) { /* freed, in a block that is still there */
        const struct cudac_extent *item = extent->item;

        *info_out = (struct cudac_memory_info){.kind = item->kind,
                                               .base = extent->lo,
                                               .bytes = extent->hi - extent->lo,
                                               .vgpu = item->vgpu,
                                               .device_address = address};
    } else {
        found = false;
    }
    if (found)
        info_out->extent_end = info_out->kind == CUDAC_MEMORY_FIXED
                                   ? cudac_fixed_end(&anybody, address)
                                   : mapped_end(address);
    cudac_table_unlock();
    if (owners > 1)
        cudac_fixed_complain(address);
    return found && owners == 1;
}

/* Inside cudac_table_read. */
static CUresult check(const struct cudac_reader *reader, uint64_t address, uint64_t bytes,
                      bool write)
{
    uint64_t end = address + bytes;

    while (address < end) {
        const struct cuc_range *range = cuc_ranges_find(&extents, address);

        if (range && !cudac_extent_allows(reader, range->item, write))
            return CUDA_ERROR_INVALID_VALUE;
        address = range ? range->hi : cudac_fixed_end(reader, address);
        if (address == 0)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult cudac_memory_check(struct cudac_context *context, uint64_t address, uint64_t bytes,
                            bool write)
{
    if (address + bytes < address)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cudac_reader reader = cudac_reader_of(context);

    cudac_table_read();
    CUresult result = check(&reader, address, bytes, write);

    cudac_table_unlock();
    return result;
}

bool cudac_memory_is_ours(uint64_t address)
{
    const struct cuc_layout *row = cudac_layout();
    const struct cuc_span spans[] = {
        {row->slice.base, row->slice.bytes * (uint64_t)(unsigned)row->device_max},
        {row->fixed.base, row->fixed.bytes * (uint64_t)(unsigned)row->device_max},
        row->pinned,
        row->managed,
        row->reserve,
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(spans); i++) {
        if (address >= spans[i].base && address - spans[i].base < spans[i].bytes)
            return true;
    }
    return false;
}
