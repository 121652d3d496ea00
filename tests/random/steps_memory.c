/* SPDX-License-Identifier: Apache-2.0
 * tests/random/steps_memory.c - allocating, freeing, mapping and registering.
 */
#include "tests/random/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GRANULE = 2 << 20 };

static size_t some_bytes(struct rng *rng)
{
    static const size_t sizes[] = {4, 64, 512, 4096, 5000, 65536, 70000, 300000, 1 << 20, 3 << 20};
    size_t bytes = sizes[rng_below(rng, sizeof(sizes) / sizeof(sizes[0]))];

    return bytes & ~(size_t)3;
}

static struct buffer *add_buffer(struct world *w, CUdeviceptr at, size_t bytes,
                                 enum buffer_kind kind, uint32_t lane)
{
    struct buffer *buffer = &w->buffer[w->buffer_count++];

    *buffer = (struct buffer){.at = at,
                              .bytes = bytes,
                              .kind = kind,
                              .device = w->lane[lane].device,
                              .context = w->lane[lane].context,
                              .lane = lane};
    (void)world_add(w, POOL_MEMORY, at);
    return buffer;
}

/* New memory has no contents that drivers agree on. */
static void clear(struct world *w, struct rng *rng, uint32_t lane, struct buffer *buffer)
{
    world_use_buffer(w, rng, lane, buffer);
    (void)CU(w, cuMemsetD32Async, buffer->at, (uint32_t)rng_next(rng), buffer->bytes / 4,
             w->lane[lane].handle);
}

static bool has_room(const struct world *w)
{
    return w->buffer_count < BUFFERS_MAX;
}

static void alloc(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    size_t bytes = some_bytes(rng);
    CUdeviceptr at = 0;

    if (has_room(w) && CU(w, cuMemAlloc_v2, &at, bytes) == CUDA_SUCCESS)
        clear(w, rng, lane, add_buffer(w, at, bytes, BUFFER_DEVICE, lane));
}

static void alloc_pitch(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    size_t width = (some_bytes(rng) % 8192) | 4, height = 1 + rng_below(rng, 20), pitch = 0;
    unsigned element = 4u << rng_below(rng, 4);
    CUdeviceptr at = 0;

    if (!has_room(w) || CU(w, cuMemAllocPitch_v2, &at, &pitch, width, height, element) != 0)
        return;
    world_note_number(w, "pitch", pitch);
    clear(w, rng, lane, add_buffer(w, at, pitch * height, BUFFER_DEVICE, lane));
}

static void alloc_managed(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    size_t bytes = some_bytes(rng);
    CUdeviceptr at = 0;

    if (has_room(w) && w->thread_count == 1 &&
        CU(w, cuMemAllocManaged, &at, bytes, CU_MEM_ATTACH_GLOBAL) == CUDA_SUCCESS)
        clear(w, rng, lane, add_buffer(w, at, bytes, BUFFER_MANAGED, lane));
}

static void alloc_async(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    size_t bytes = some_bytes(rng);
    uint32_t which = rng_below(rng, w->pool[POOL_POOL].count);
    CUdeviceptr at = 0;
    CUresult result;

    if (!has_room(w))
        return;
    /* Memory of another device's pool would not be this lane's to use. */
    if (w->pool[POOL_POOL].count && w->pool_device[which] == w->lane[lane].device)
        result = CU(w, cuMemAllocFromPoolAsync, &at, bytes,
                    (CUmemoryPool)w->pool[POOL_POOL].item[which], w->lane[lane].handle);
    else
        result = CU(w, cuMemAllocAsync, &at, bytes, w->lane[lane].handle);
    if (result == CUDA_SUCCESS)
        clear(w, rng, lane, add_buffer(w, at, bytes, BUFFER_ASYNC, lane));
}

/* cuMemCreate, cuMemMap, cuMemSetAccess, all or nothing. */
static void alloc_virtual(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    size_t bytes = (size_t)(1 + rng_below(rng, 3)) * GRANULE, granularity = 0;
    CUmemAllocationProp prop = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)w->lane[lane].device}};
    CUmemAllocationProp got;
    CUmemAccessDesc access = {.location = prop.location,
                              .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle allocation = 0;
    CUdeviceptr at = 0;

    if (!has_room(w))
        return;
    if (CU(w, cuMemGetAllocationGranularity, &granularity, &prop,
           CU_MEM_ALLOC_GRANULARITY_MINIMUM) == CUDA_SUCCESS)
        world_note_number(w, "granularity", granularity);
    if (CU(w, cuMemCreate, &allocation, bytes, &prop, 0) != CUDA_SUCCESS)
        return;
    if (CU(w, cuMemGetAllocationPropertiesFromHandle, &got, allocation) == CUDA_SUCCESS)
        world_note(w, &got.location, sizeof(got.location));
    if (CU(w, cuMemAddressReserve, &at, bytes, 0, 0, 0) != CUDA_SUCCESS)
        goto release;
    if (CU(w, cuMemMap, at, bytes, 0, allocation, 0) != CUDA_SUCCESS)
        goto unreserve;
    if (CU(w, cuMemSetAccess, at, bytes, &access, 1) != CUDA_SUCCESS)
        goto unmap;
    struct buffer *buffer = add_buffer(w, at, bytes, BUFFER_VIRTUAL, lane);

    buffer->allocation = allocation;
    (void)world_add(w, POOL_ALLOCATION, allocation);
    clear(w, rng, lane, buffer);
    return;

unmap:
    (void)CU(w, cuMemUnmap, at, bytes);
unreserve:
    (void)CU(w, cuMemAddressFree, at, bytes);
release:
    (void)CU(w, cuMemRelease, allocation);
}

static void free_virtual(struct world *w, struct rng *rng, struct buffer *buffer)
{
    CUmemGenericAllocationHandle again = 0;

    if (rng_chance(rng, 3) &&
        CU(w, cuMemRetainAllocationHandle, &again, (void *)(uintptr_t)buffer->at) == CUDA_SUCCESS)
        (void)CU(w, cuMemRelease, again);
    (void)CU(w, cuMemUnmap, buffer->at, buffer->bytes);
    (void)CU(w, cuMemRelease, buffer->allocation);
    (void)CU(w, cuMemAddressFree, buffer->at, buffer->bytes);
    world_drop(w, POOL_ALLOCATION, buffer->allocation);
}

static void free_buffer(struct world *w, struct rng *rng)
{
    struct buffer *buffer = world_buffer(w, rng, -1);
    bool async = false;

    if (!buffer || w->buffer_count < 3)
        return;
    if (buffer->kind == BUFFER_ASYNC || (buffer->kind == BUFFER_DEVICE && rng_chance(rng, 4))) {
        uint32_t lane = world_lane_on(w, rng, buffer->device);

        async = buffer->kind == BUFFER_ASYNC ? !rng_chance(rng, 4) : false;
        if (async) {
            world_use_buffer(w, rng, lane, buffer);
            (void)CU(w, cuMemFreeAsync, buffer->at, w->lane[lane].handle);
        }
    }
    if (!async) {
        world_settle_buffer(w, rng, buffer);
        (void)CU(w, cuCtxSetCurrent, buffer->context);
        if (buffer->kind == BUFFER_VIRTUAL)
            free_virtual(w, rng, buffer);
        else
            (void)CU(w, cuMemFree_v2, buffer->at);
    }
    world_drop(w, POOL_MEMORY, buffer->at);
    *buffer = w->buffer[--w->buffer_count];
}

static void free_nonsense(struct world *w, struct rng *rng)
{
    CUdeviceptr at = 0x1000 + rng_below(rng, 4096);

    (void)world_lane(w, rng);
    (void)CU(w, cuMemFree_v2, rng_chance(rng, 3) ? 0 : at);
    (void)CU(w, cuMemFreeHost, (void *)(uintptr_t)at);
    (void)CU(w, cuMemHostUnregister, (void *)(uintptr_t)at);
    (void)CU(w, cuMemUnmap, at & ~(CUdeviceptr)4095, 4096);
}

/* ---- host memory ------------------------------------------------------------------------------
 */

static bool take_registered(struct world *w, struct host *host, struct rng *rng)
{
    host->at = aligned_alloc(4096, (host->bytes + 4095) & ~(size_t)4095);
    if (!host->at)
        abort();
    if (rng_chance(rng, 2))
        return CU(w, cuMemHostRegister_v2, host->at, host->bytes, CU_MEMHOSTREGISTER_PORTABLE) == 0;
    return CU(w, cuMemHostRegister, host->at, host->bytes, 0) == 0;
}

static void alloc_host(struct world *w, struct rng *rng)
{
    struct host *host = &w->host[w->host_count];
    void *at = NULL;
    bool done;

    (void)world_lane(w, rng);
    if (w->host_count == HOSTS_MAX)
        return;
    *host = (struct host){.bytes = some_bytes(rng), .kind = (enum host_kind)rng_below(rng, 3)};
    switch (host->kind) {
    case HOST_PINNED:
        done =
            (rng_chance(rng, 2) ? CU(w, cuMemHostAlloc, &at, host->bytes, CU_MEMHOSTALLOC_PORTABLE)
                                : CU(w, cuMemAllocHost_v2, &at, host->bytes)) == CUDA_SUCCESS;
        host->at = at;
        break;
    case HOST_REGISTERED:
        done = take_registered(w, host, rng);
        if (!done)
            free(host->at);
        break;
    case HOST_PAGEABLE:
    default:
        host->at = malloc(host->bytes);
        done = host->at != NULL;
        break;
    }
    if (!done)
        return;
    memset(host->at, (int)rng_below(rng, 256), host->bytes);
    w->host_count++;
}

static void free_host(struct world *w, struct rng *rng)
{
    struct host *host = world_host(w, rng);

    if (!host || w->host_count < 2)
        return;
    (void)world_lane(w, rng);
    world_settle_host(w, rng, host);
    if (host->kind == HOST_PINNED)
        (void)CU(w, cuMemFreeHost, host->at);
    if (host->kind == HOST_REGISTERED)
        (void)CU(w, cuMemHostUnregister, host->at);
    if (host->kind != HOST_PINNED && !w->is_hit) /* else somebody may still use it */
        free(host->at);
    *host = w->host[--w->host_count];
}

static void ask_host(struct world *w, struct rng *rng)
{
    struct host *host = world_host(w, rng);
    CUdeviceptr at = 0;
    unsigned flags = 0;

    (void)world_lane(w, rng);
    if (!host || host->kind == HOST_PAGEABLE)
        return;
    if (CU(w, cuMemHostGetFlags, &flags, host->at) == CUDA_SUCCESS)
        world_note(w, &flags, sizeof(flags));
    (void)CU(w, cuMemHostGetDevicePointer_v2, &at, host->at, rng_chance(rng, 8) ? 1 : 0);
}

/* ---- pools ------------------------------------------------------------------------------------
 */

static void create_pool(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)w->lane[lane].device}};
    CUmemoryPool pool = NULL;

    if (rng_chance(rng, 8))
        props.location.id = 77;
    if (w->pool[POOL_POOL].count == 3 || CU(w, cuMemPoolCreate, &pool, &props) != CUDA_SUCCESS)
        return;
    w->pool_device[w->pool[POOL_POOL].count] = w->lane[lane].device;
    (void)world_add(w, POOL_POOL, (uint64_t)pool);
}

static void destroy_pool(struct world *w, struct rng *rng)
{
    CUmemoryPool pool = (CUmemoryPool)world_pick_live(w, rng, POOL_POOL);

    (void)world_lane(w, rng);
    if (!pool || !rng_chance(rng, 2))
        return;
    (void)CU(w, cuMemPoolDestroy, pool);
    world_drop(w, POOL_POOL, (uint64_t)pool);
}

static void use_pool(struct world *w, struct rng *rng)
{
    CUmemoryPool pool = (CUmemoryPool)world_pick(w, rng, POOL_POOL), other = NULL;
    uint32_t lane = world_lane(w, rng);
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)w->lane[lane].device};
    CUmemAccessDesc access = {.location = location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemPool_attribute attribute = (CUmemPool_attribute)(1 + rng_below(rng, 8));
    CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    cuuint64_t value = rng_below(rng, 3);
    int yes = (int)rng_below(rng, 2);

    if (pool) {
        if (attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
            (void)CU(w, cuMemPoolSetAttribute, pool, attribute, &yes);
        else
            (void)CU(w, cuMemPoolSetAttribute, pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value);
        value = 0;
        if (CU(w, cuMemPoolGetAttribute, pool, attribute, &value) == CUDA_SUCCESS &&
            attribute <= CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
            world_note(w, &value, sizeof(value));
        (void)CU(w, cuMemPoolSetAccess, pool, &access, 1);
        if (CU(w, cuMemPoolGetAccess, &flags, pool, &location) == CUDA_SUCCESS)
            world_note(w, &flags, sizeof(flags));
    }
    (void)CU(w, cuMemGetDefaultMemPool, &other, &location, CU_MEM_ALLOCATION_TYPE_PINNED);
    (void)CU(w, cuMemGetMemPool, &other, &location, CU_MEM_ALLOCATION_TYPE_PINNED);
    if (w->thread_count == 1 && other) {
        (void)CU(w, cuMemSetMemPool, &location, CU_MEM_ALLOCATION_TYPE_PINNED, other);
        (void)CU(w, cuDeviceSetMemPool, (CUdevice)w->lane[lane].device, other);
    }
}

static void export_import(struct world *w, struct rng *rng)
{
    uint32_t lane = world_lane(w, rng);
    CUmemAllocationProp prop = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)w->lane[lane].device}};
    CUmemGenericAllocationHandle allocation = 0, second = 0;
    int fd = -1;

    if (CU(w, cuMemCreate, &allocation, GRANULE, &prop, 0) != CUDA_SUCCESS)
        return;
    if (CU(w, cuMemExportToShareableHandle, &fd, allocation,
           CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) == CUDA_SUCCESS) {
        if (CU(w, cuMemImportFromShareableHandle, &second, (void *)(intptr_t)fd,
               CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == CUDA_SUCCESS)
            (void)CU(w, cuMemRelease, second);
        (void)close(fd);
    }
    (void)CU(w, cuMemRelease, allocation);
}

const struct step_kind steps_memory[] = {
    {"alloc", alloc, 8, false},
    {"alloc_pitch", alloc_pitch, 2, false},
    {"alloc_managed", alloc_managed, 2, true},
    {"alloc_async", alloc_async, 6, false},
    {"alloc_virtual", alloc_virtual, 2, false},
    {"free_buffer", free_buffer, 10, false},
    {"free_nonsense", free_nonsense, 1, false},
    {"alloc_host", alloc_host, 6, false},
    {"free_host", free_host, 4, false},
    {"ask_host", ask_host, 2, false},
    {"create_pool", create_pool, 2, false},
    {"destroy_pool", destroy_pool, 1, false},
    {"use_pool", use_pool, 2, false},
    {"export_import", export_import, 1, false},
};
const size_t steps_memory_count = sizeof(steps_memory) / sizeof(steps_memory[0]);
