/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/region.c - the list of regions, and their places in workers.
 */
#include "cuda-client/region.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ucx-transport/xp.h"

pthread_mutex_t cudac_memory_lock = PTHREAD_MUTEX_INITIALIZER;

static struct cudac_region *regions;

struct cudac_region *cudac_region_first(void)
{
    return regions;
}

CUresult cudac_region_add(const struct cudac_region *values, struct cudac_region **region_out)
{
    struct cudac_region *region = fab_alloc(sizeof(*region));

    if (!region)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *region = *values;
    if (region->mem)
        region->window_id = xp_mem_id(region->mem);
    region->next = regions;
    regions = region;
    cudac_move_changed();
    *region_out = region;
    return CUDA_SUCCESS;
}

/* Whole pages around the region, as workers map them. */
static uint64_t page_lo(const struct cudac_region *region)
{
    return region->device_address & ~(MEMORY_PAGE - 1);
}

static uint64_t page_bytes(const struct cudac_region *region)
{
    return mem_round_up(region->device_address + region->bytes, MEMORY_PAGE) - page_lo(region);
}

static void take_places(const struct cudac_region *region)
{
    const struct wire_host_unmap message = {.address = page_lo(region),
                                            .bytes = page_bytes(region)};
    struct wire_parts parts;

    wire_put_host_unmap(&message, &parts);
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        struct cudac_worker *worker = cudac_worker_at(i);

        /* A worker that is lost has forgotten it. */
        if (region->placed & region_bit(worker) && worker != region->owner)
            (void)cudac_memory_call(worker, WIRE_HOST_UNMAP, &parts);
    }
}

void cudac_region_unlink(struct cudac_region *region)
{
    struct cudac_region **at = &regions;

    while (*at != region)
        at = &(*at)->next;
    *at = region->next;
    cudac_move_forget(region);
    cudac_move_changed();
}

void cudac_region_end(struct cudac_region *region)
{
    if (!region)
        return;
    take_places(region);
    xp_mem_unregister(region->mem);
    free(region);
}

void cudac_dropped_end(const struct cudac_dropped *dropped)
{
    cudac_region_end(dropped->region);
    if (dropped->bytes == 0)
        return;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    cudac_shared_release(dropped->address, dropped->bytes);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

static uint32_t kind_of(const struct cudac_region *region)
{
    if (region->kind == CUDAC_MEMORY_HOST)
        return WIRE_HOST_MEMORY_PINNED;
    return region->kind == CUDAC_MEMORY_MANAGED ? WIRE_HOST_MEMORY_MANAGED
                                                : WIRE_HOST_MEMORY_REGISTERED;
}

CUresult cudac_region_place(struct cudac_region *region, struct cudac_worker *worker)
{
    uint64_t bit = region_bit(worker);
    bool has_window = region->window_id != 0 && cudac_worker_is_same_host(worker);
    const struct wire_host_map message = {
        .address = page_lo(region),
        .bytes = page_bytes(region),
        .window = {.mem_id = has_window ? region->window_id : 0, .offset = region->window_offset},
        .kind = kind_of(region)};
    struct wire_host_map_reply placed;
    struct cudac_reply reply = {0};
    struct wire_parts parts;

    if (region->placed & bit)
        return CUDA_SUCCESS;
    wire_put_host_map(&message, &parts);
    CUresult result = cudac_call(worker, WIRE_HOST_MAP, &parts, &reply);

    if (result == CUDA_SUCCESS) {
        if (!wire_get_host_map_reply(reply.bytes, reply.size_bytes, &placed)) {
            result = cudac_worker_broken(worker, "a reply to host_map is malformed");
        } else {
            region->placed |= bit;
            if (placed.same_memory)
                region->shared |= bit;
        }
    }
    cudac_reply_free(&reply);
    return result;
}

void cudac_region_want(struct cudac_region *region)
{
    if (region->is_wanted)
        return;
    region->is_wanted = true;
    cudac_move_changed();
}
