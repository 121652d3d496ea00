/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memory_fixed.c - module variables: memory that a worker's driver placed.
 *
 * The client learns their addresses from the worker and gives them to programs unchanged. Two
 * drivers may choose the same address, so each virtual GPU has a table of its own. An address is
 * first looked for at the device of the calling thread's current context, which is where a program
 * that asked for a variable uses it; one that only other devices have, and more than one, is an
 * error that names them. A driver maps variables in whole granules: an access is valid up to there.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/memory_int.h"

/* Under the tables' lock. Bit k of `some`: vgpu k has any. */
static struct cuc_ranges tables[MEMORY_VGPUS_MAX];
static uint64_t some;

static struct cudac_alloc *find_at(uint32_t index, uint64_t address)
{
    const struct cuc_range *range = cuc_ranges_find(&tables[index], address);

    return range ? range->item : NULL;
}

const struct cudac_alloc *cudac_fixed_find(uint64_t address, uint32_t *owners_out)
{
    const struct cudac_context *current = some ? cudac_context_peek() : NULL;
    const struct cudac_alloc *found =
        current ? find_at(cudac_vgpu_index(current->vgpu), address) : NULL;

    *owners_out = 1;
    if (found)
        return found;
    uint32_t owners = 0;

    for (uint64_t left = some; left; left &= left - 1) {
        const struct cudac_alloc *at = find_at((uint32_t)__builtin_ctzll(left), address);

        if (at)
            found = at;
        owners += at != NULL;
    }
    *owners_out = owners > 1 ? owners : 1;
    return found;
}

void cudac_fixed_extent(const struct cudac_alloc *alloc, struct cudac_extent *extent_out,
                        uint64_t *lo_out, uint64_t *hi_out)
{
    uint64_t own = memory_bit(alloc->vgpu);

    if (extent_out)
        *extent_out = (struct cudac_extent){.kind = CUDAC_MEMORY_FIXED,
                                            .vgpu = alloc->vgpu,
                                            .read_mask = own,
                                            .write_mask = own,
                                            .by_peer = true};
    if (lo_out)
        *lo_out = alloc->base & ~(CUC_GRANULE - 1);
    if (hi_out)
        *hi_out = mem_round_up(alloc->base + alloc->span_bytes, CUC_GRANULE);
}

/* Where the granules around variables of one vgpu end that hold the address; 0: none do. */
static uint64_t end_at(uint32_t index, uint64_t address)
{
    uint64_t lo = address & ~(CUC_GRANULE - 1);
    size_t i = cuc_ranges_after(&tables[index], lo);

    if (i == tables[index].count || tables[index].at[i].lo >= lo + CUC_GRANULE)
        return 0;
    return lo + CUC_GRANULE;
}

uint64_t cudac_fixed_end(const struct cudac_reader *reader, uint64_t address)
{
    struct cudac_extent extent;
    uint64_t end = 0;

    for (uint64_t left = some; left && end == 0; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(left);

        if (tables[index].count == 0)
            continue;
        cudac_fixed_extent(tables[index].at[0].item, &extent, NULL, NULL);
        if (cudac_extent_allows(reader, &extent, true))
            end = end_at(index, address);
    }
    return end;
}

void cudac_fixed_complain(uint64_t address)
{
    static _Atomic bool is_said;

    if (atomic_exchange(&is_said, true))
        return;
    int devices[2] = {-1, -1}, count = 0;

    cudac_table_read();
    for (uint64_t left = some; left && count < 2; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(left);

        if (find_at(index, address))
            devices[count++] = cudac_vgpu_ordinal(cudac_vgpu_of_index(index));
    }
    cudac_table_unlock();
    (void)fprintf(stderr,
                  "fabric: address %#llx is a module variable of device %d and of device %d: make "
                  "the context that is meant current\n",
                  (unsigned long long)address, devices[0], devices[1]);
}

/* ---- entering and leaving ----------------------------------------------------------------------
 */

static CUresult add(struct cudac_context *context, uint64_t address, uint64_t bytes,
                    const void *owner)
{
    uint32_t index = cudac_vgpu_index(context->vgpu);
    struct cudac_alloc *alloc = fab_alloc(sizeof(*alloc));
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (!alloc)
        return result;
    *alloc = (struct cudac_alloc){.base = address,
                                  .bytes = bytes,
                                  .span_bytes = bytes,
                                  .id = cudac_alloc_id(),
                                  .kind = CUDAC_MEMORY_FIXED,
                                  .vgpu = context->vgpu,
                                  .context = context,
                                  .context_id = context->id,
                                  .owner = owner};
    cudac_table_write();
    if (!cuc_ranges_hit(&tables[index], address, address + bytes) &&
        cuc_ranges_insert(&tables[index], address, address + bytes, alloc)) {
        some |= UINT64_C(1) << index;
        alloc = NULL;
        result = CUDA_SUCCESS;
    }
    cudac_table_unlock();
    free(alloc);
    return result;
}

CUresult cudac_memory_add_fixed(struct cudac_context *context, uint64_t address, uint64_t bytes,
                                bool managed, const void *owner)
{
    struct cudac_alloc known;

    if (bytes == 0)
        return CUDA_SUCCESS;
    if (cudac_alloc_find(address, &known) && known.base == address && known.owner == owner &&
        (known.kind == CUDAC_MEMORY_MANAGED || known.vgpu == context->vgpu))
        return CUDA_SUCCESS; /* asked for again */
    return managed ? cudac_managed_add_variable(context, address, bytes, owner)
                   : add(context, address, bytes, owner);
}

/* Takes out the variables of one owner, or (NULL) of one context. */
static void remove_device(const void *owner, const struct cudac_context *context)
{
    cudac_table_write();
    for (uint32_t k = 0; k < MEMORY_VGPUS_MAX; k++) {
        for (size_t i = tables[k].count; i-- > 0;) {
            struct cudac_alloc *alloc = tables[k].at[i].item;

            if (owner ? alloc->owner != owner : alloc->context_id != context->id)
                continue;
            (void)cuc_ranges_remove(&tables[k], tables[k].at[i].lo);
            free(alloc);
        }
        if (tables[k].count == 0)
            some &= ~(UINT64_C(1) << k);
    }
    cudac_table_unlock();
}

static void remove_managed(const void *owner, const struct cudac_context *context)
{
    struct cudac_alloc *alloc;

    (void)pthread_mutex_lock(&cudac_memory_lock);
    for (uint64_t at = cudac_layout()->managed.base; (alloc = cudac_alloc_next(at)) != NULL;) {
        at = alloc->base + alloc->span_bytes;
        if (alloc->owner && (owner ? alloc->owner == owner : alloc->context_id == context->id))
            cudac_managed_remove_variable(alloc);
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

void cudac_memory_remove_fixed(const void *owner)
{
    remove_device(owner, NULL);
    remove_managed(owner, NULL);
}

void cudac_memory_context_closing(struct cudac_context *context)
{
    remove_device(NULL, context);
}

void cudac_fixed_context_close(const struct cudac_context *context)
{
    remove_device(NULL, context);
    remove_managed(NULL, context);
}
