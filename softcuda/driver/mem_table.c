/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_table.c - the tables of extents and allocations, and the questions asked of
 * them.
 *
 * Writers hold mem_lock and take the reader-writer lock only around the change itself; kernels
 * (soft_mem_find_range, called when a worker's own cache misses), copies and queries read.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"
#include "softcuda/driver/pool.h"
#include "softcuda/warp/warp_int.h"

enum {
    MERGE_MAX = 4096, /* neighbours that one answer joins, each way */
    PAGES_ASKED = 16, /* of memory in no table, at once */
};

pthread_mutex_t mem_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct cuc_ranges extents;
static struct cuc_ranges allocs;
static uint64_t last_id;

void mem_table_read(void)
{
    (void)pthread_rwlock_rdlock(&table_lock);
}

void mem_table_write(void)
{
    (void)pthread_rwlock_wrlock(&table_lock);
}

void mem_table_unlock(void)
{
    (void)pthread_rwlock_unlock(&table_lock);
}

CUresult mem_extent_add(uint64_t lo, uint64_t hi, const struct mem_extent *extent)
{
    struct mem_extent *item = fab_alloc(sizeof(*item));
    bool done = false;

    if (item) {
        *item = *extent;
        mem_table_write();
        done = cuc_ranges_insert(&extents, lo, hi, item);
        mem_table_unlock();
    }
    if (done)
        return CUDA_SUCCESS;
    free(item);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void mem_extent_remove(uint64_t lo)
{
    struct cuc_range *range = cuc_ranges_find(&extents, lo);

    if (!range)
        return;
    struct mem_extent *item = range->item;

    mem_table_write();
    (void)cuc_ranges_remove(&extents, lo);
    mem_table_unlock();
    free(item);
}

struct cuc_range *mem_extent_find(uint64_t address)
{
    return cuc_ranges_find(&extents, address);
}

bool mem_extent_hit(uint64_t lo, uint64_t hi)
{
    return cuc_ranges_hit(&extents, lo, hi);
}

void mem_extent_access(uint64_t lo, uint64_t hi, uint64_t read_mask, uint64_t write_mask)
{
    mem_table_write();
    for (size_t i = cuc_ranges_after(&extents, lo); i < extents.count && extents.at[i].lo < hi;
         i++) {
        struct mem_extent *item = extents.at[i].item;

        item->read_mask = read_mask;
        item->write_mask = write_mask;
    }
    mem_table_unlock();
}

CUresult mem_alloc_add(const struct mem_alloc *values, struct mem_alloc **alloc_out)
{
    struct mem_alloc *alloc = fab_alloc(sizeof(*alloc));
    bool done = false;

    if (alloc) {
        *alloc = *values;
        alloc->id = ++last_id;
        mem_table_write();
        done = cuc_ranges_insert(&allocs, alloc->base, alloc->base + alloc->span_bytes, alloc);
        mem_table_unlock();
    }
    if (!done) {
        free(alloc);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *alloc_out = alloc;
    return CUDA_SUCCESS;
}

void mem_alloc_remove(struct mem_alloc *alloc)
{
    mem_table_write();
    (void)cuc_ranges_remove(&allocs, alloc->base);
    mem_table_unlock();
    cuc_advice_free(alloc->advice);
    free(alloc);
}

void mem_alloc_renew(struct mem_alloc *alloc, uint64_t bytes, struct soft_context *context)
{
    mem_table_write();
    alloc->bytes = bytes;
    alloc->context = context;
    alloc->is_freed = false;
    alloc->id = ++last_id;
    mem_table_unlock();
}

struct mem_alloc *mem_alloc_find(uint64_t address)
{
    struct cuc_range *range = cuc_ranges_find(&allocs, address);

    return range ? range->item : NULL;
}

struct mem_alloc *mem_alloc_next(uint64_t address)
{
    size_t i = cuc_ranges_after(&allocs, address);

    return i < allocs.count ? allocs.at[i].item : NULL;
}

/* ---- questions ------------------------------------------------------------------------------ */

bool soft_mem_find(uint64_t address, struct mem_info *info_out)
{
    mem_table_read();
    const struct mem_alloc *alloc = mem_alloc_find(address);

    if (alloc)
        *info_out = (struct mem_info){.kind = alloc->kind,
                                      .base = alloc->base,
                                      .bytes = alloc->bytes,
                                      .device = alloc->device,
                                      .context = alloc->context,
                                      .id = alloc->id,
                                      .host_flags = alloc->host_flags,
                                      .device_alias = address,
                                      .pool = alloc->pool ? soft_pool_handle(alloc->pool) : NULL};
    mem_table_unlock();
    return alloc != NULL;
}

/* Inside mem_table_read: the valid range around an address, with all its neighbours. */
static bool range_around(const struct mem_context *reader, uint64_t address, bool write,
                         struct warp_range *range_out)
{
    size_t i = cuc_ranges_after(&extents, address);

    if (i == extents.count || extents.at[i].lo > address ||
        !mem_context_may(reader, extents.at[i].item, write))
        return false;
    bool can_write = mem_context_may(reader, extents.at[i].item, true);
    size_t low = i, high = i;

    while (low > 0 && i - low < MERGE_MAX && extents.at[low - 1].hi == extents.at[low].lo &&
           mem_context_may(reader, extents.at[low - 1].item, write) &&
           mem_context_may(reader, extents.at[low - 1].item, true) == can_write)
        low--;
    while (high + 1 < extents.count && high - i < MERGE_MAX &&
           extents.at[high + 1].lo == extents.at[high].hi &&
           mem_context_may(reader, extents.at[high + 1].item, write) &&
           mem_context_may(reader, extents.at[high + 1].item, true) == can_write)
        high++;
    *range_out = (struct warp_range){
        .lo = extents.at[low].lo, .hi = extents.at[high].hi, .can_write = can_write};
    return true;
}

CUresult soft_mem_check(struct soft_context *context, uint64_t address, uint64_t bytes, bool write)
{
    CUresult result = CUDA_SUCCESS;

    if (address + bytes < address)
        return CUDA_ERROR_INVALID_VALUE;
    mem_table_read();
    const struct mem_context *reader = context ? mem_context_find(context) : NULL;

    while (bytes > 0 && result == CUDA_SUCCESS) {
        struct warp_range range;

        if ((context && !reader) || !range_around(reader, address, write, &range)) {
            result = CUDA_ERROR_INVALID_VALUE;
        } else {
            uint64_t step = range.hi - address < bytes ? range.hi - address : bytes;

            address += step;
            bytes -= step;
        }
    }
    mem_table_unlock();
    return result;
}

/* With check_allocations only the live allocation counts, not the block around it. */
static bool narrow(uint64_t address, struct warp_range *range)
{
    const struct mem_alloc *alloc = mem_alloc_find(address);

    if (!alloc || address >= alloc->base + alloc->bytes)
        return false;
    range->lo = alloc->base;
    range->hi = alloc->base + alloc->bytes;
    return true;
}

/* With pageable_access: the mapped pages around an address that is in no table. What lies in one is
 * known, and was refused for a reason. */
static bool pages_around(uint64_t address, struct warp_range *range_out)
{
    unsigned char seen[PAGES_ASKED];
    uint64_t bytes = PAGES_ASKED * MEM_PAGE;

    for (int tries = 0; tries < 2; tries++, bytes = MEM_PAGE) {
        uint64_t lo = address & ~(bytes - 1);

        if (lo == 0 || cuc_ranges_hit(&extents, lo, lo + bytes) ||
            mincore(mem_pointer(lo), bytes, seen) != 0)
            continue;
        *range_out = (struct warp_range){.lo = lo, .hi = lo + bytes, .can_write = true};
        return true;
    }
    return false;
}

bool soft_mem_find_range(void *context, uint64_t address, struct warp_range *range_out)
{
    mem_table_read();
    const struct mem_context *reader = mem_context_find(context);
    bool found = reader && range_around(reader, address, false, range_out);

    if (found && soft_device_models()->check_allocations)
        found = narrow(address, range_out);
    if (!found && reader && soft_device_models()->pageable_access)
        found = pages_around(address, range_out);
    mem_table_unlock();
    return found;
}
