/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/memory.c - see memory.h.
 *
 * Memory that is new to a session is cleared by the driver (a worker serves one session, and what
 * it gives back never comes to another process uncleared); within the session it is as it was, as
 * cuMemAlloc's is.
 */
#include "cuda-server/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "cuda-server/context.h"
#include "cuda-server/limit.h"
#include "cuda-server/sync.h"
#include "cuda-server/window.h"

#define MANAGED_HELD_BYTES (UINT64_C(32) << 30)

/* ---- places ---------------------------------------------------------------------------------- */

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Nothing of the process may come to lie where the client's host memory will be mapped. */
static bool hold_place(struct cuc_span span)
{
    void *got = mmap(pointer(span.base), span.bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return false;
    if (got != pointer(span.base)) {
        (void)munmap(got, span.bytes);
        return false;
    }
    (void)madvise(got, span.bytes, MADV_DONTDUMP); /* only makes core dumps smaller */
    return true;
}

/* What the driver reserves: the slice of each vgpu, and where the program's own mappings come. */
static uint32_t driver_spans(const struct cudas_worker *worker)
{
    return worker->vgpu_count + 1;
}

/* Empty for a vgpu that the layout has no slice for. */
static struct cuc_span driver_span(const struct cudas_worker *worker,
                                   const struct cuc_layout *layout, uint32_t i)
{
    const struct cuc_span none = {0, 0};

    if (i == worker->vgpu_count)
        return layout->reserve;
    return worker->vgpus[i].index < (uint32_t)layout->device_max
               ? cuc_layout_slice(layout, worker->vgpus[i].index)
               : none;
}

/* Before there are contexts: then NVIDIA's driver gives a wanted address, later it may not. */
static bool reserve_span(struct cudas_worker *worker, struct cuc_span span)
{
    CUdeviceptr got = 0;

    if (span.bytes == 0 || worker->cu.cuMemAddressReserve(&got, span.bytes, CUDAS_GRANULE,
                                                          span.base, 0) != CUDA_SUCCESS)
        return false;
    if (got == span.base)
        return true;
    (void)worker->cu.cuMemAddressFree(got, span.bytes);
    return false;
}

enum { PLACES = 2 };

/* The client's pinned and managed memory. Variables that a driver manages itself also come to lie
 * in the managed range, above what is held of it. */
static struct cuc_span place_span(const struct cuc_layout *layout, uint32_t index)
{
    struct cuc_span span = index == 0 ? layout->pinned : layout->managed;

    if (index > 0 && span.bytes > MANAGED_HELD_BYTES)
        span.bytes = MANAGED_HELD_BYTES;
    return span;
}

bool cudas_memory_is_reserved(const struct cudas_worker *worker, uint64_t address, uint64_t bytes)
{
    const struct cuc_span span = worker->layout->reserve;

    return (address >= span.base && bytes <= span.bytes &&
            address - span.base <= span.bytes - bytes) ||
           (cudas_vgpu_of_address(worker, address) &&
            cudas_vgpu_of_address(worker, address + bytes - 1));
}

bool cudas_memory_is_held(const struct cudas_worker *worker, uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        const struct cuc_span span = place_span(worker->layout, i);

        if (address >= span.base && bytes <= span.bytes &&
            address - span.base <= span.bytes - bytes)
            return true;
    }
    return false;
}

static void give_back(struct cudas_worker *worker, const struct cuc_layout *layout,
                      uint32_t span_count, uint32_t place_count)
{
    for (uint32_t i = 0; i < place_count; i++)
        (void)munmap(pointer(place_span(layout, i).base), place_span(layout, i).bytes);
    for (uint32_t i = 0; i < span_count; i++) {
        const struct cuc_span span = driver_span(worker, layout, i);

        (void)worker->cu.cuMemAddressFree(span.base, span.bytes);
    }
}

enum fab_status cudas_memory_reserve(struct cudas_worker *worker, const struct cuc_layout *layout,
                                     struct fab_err *err)
{
    uint32_t spans = 0, held = 0;

    while (spans < driver_spans(worker) && reserve_span(worker, driver_span(worker, layout, spans)))
        spans++;
    while (spans == driver_spans(worker) && held < PLACES && hold_place(place_span(layout, held)))
        held++;
    if (held == PLACES)
        return FAB_OK;
    give_back(worker, layout, spans, held);
    return fab_err_set(err, FAB_ERR_BUSY, "the address layout does not fit into this process");
}

void cudas_memory_release(struct cudas_worker *worker, const struct cuc_layout *layout)
{
    give_back(worker, layout, driver_spans(worker), PLACES);
}

/* ---- the table ------------------------------------------------------------------------------- */

enum fab_status cudas_memory_create(struct cudas_memory **memory_out, struct fab_err *err)
{
    struct cudas_memory *memory = fab_alloc_zeroed(1, sizeof(*memory));

    if (!memory)
        return fab_err_set(err, FAB_ERR_NOMEM, "memory table");
    fab_mutex_init(&memory->lock);
    *memory_out = memory;
    return FAB_OK;
}

void cudas_memory_properties(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                             CUmemAllocationProp *properties_out)
{
    int can_rdma = 0;

    memset(properties_out, 0, sizeof(*properties_out));
    properties_out->type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties_out->location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties_out->location.id = vgpu->device;
    (void)worker->cu.cuDeviceGetAttribute(
        &can_rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, vgpu->device);
    properties_out->allocFlags.gpuDirectRDMACapable = can_rdma == 1;
}

CUresult cudas_memory_access(struct cudas_worker *worker, uint64_t address, uint64_t bytes,
                             const struct wire_access *access, uint32_t count)
{
    CUmemAccessDesc descs[CUDAS_VGPUS_MAX + 1];

    if (count > FAB_ARRAY_LEN(descs))
        return CUDA_ERROR_INVALID_VALUE;
    memset(descs, 0, sizeof(descs));
    for (uint32_t i = 0; i < count; i++) {
        const struct cudas_vgpu *vgpu =
            access[i].vgpu < 0 ? NULL : cudas_vgpu_find(worker, (uint32_t)access[i].vgpu);

        if (access[i].vgpu >= 0 && !vgpu)
            return CUDA_ERROR_INVALID_DEVICE;
        descs[i].location.type = vgpu ? CU_MEM_LOCATION_TYPE_DEVICE : CU_MEM_LOCATION_TYPE_HOST;
        descs[i].location.id = vgpu ? vgpu->device : 0;
        descs[i].flags = (CUmemAccess_flags)access[i].flags;
    }
    return count > 0 ? worker->cu.cuMemSetAccess(address, bytes, descs, count) : CUDA_SUCCESS;
}

/* Undoes one extent of mem_map. With the lock. */
static void extent_drop_locked(struct cudas_worker *worker, uint64_t lo, uint64_t hi,
                               struct cudas_extent *extent)
{
    (void)worker->cu.cuMemUnmap(lo, hi - lo);
    if (extent->kind == CUDAS_EXTENT_HEAP) {
        (void)worker->cu.cuMemRelease(extent->handle);
        cudas_uncharge(worker, (uint32_t)extent->vgpu, hi - lo);
    }
    if (extent->is_reserved)
        (void)worker->cu.cuMemAddressFree(lo, hi - lo);
    cudas_object_put(extent->phys);
    (void)cuc_ranges_remove(&worker->memory->extents, lo);
    free(extent);
}

void cudas_memory_destroy(struct cudas_worker *worker)
{
    struct cudas_memory *memory = worker->memory;

    if (!memory)
        return;
    while (memory->extents.count > 0) {
        const struct cuc_range range = memory->extents.at[memory->extents.count - 1];

        extent_drop_locked(worker, range.lo, range.hi, range.item);
    }
    cuc_ranges_clear(&memory->extents);
    fab_mutex_fini(&memory->lock);
    free(memory);
    worker->memory = NULL;
}

const struct cudas_vgpu *cudas_memory_vgpu(struct cudas_worker *worker, uint64_t address)
{
    const struct cuc_range *range;
    int32_t vgpu = -1;

    fab_mutex_lock(&worker->memory->lock);
    range = cuc_ranges_find(&worker->memory->extents, address);
    if (range)
        vgpu = ((const struct cudas_extent *)range->item)->vgpu;
    fab_mutex_unlock(&worker->memory->lock);
    if (range)
        return vgpu < 0 ? NULL : cudas_vgpu_find(worker, (uint32_t)vgpu);
    return cudas_vgpu_of_address(worker, address);
}

bool cudas_memory_covers(struct cudas_worker *worker, uint64_t address, uint64_t bytes)
{
    const uint64_t end = address + bytes;
    const struct cuc_range *range;

    if (end < address)
        return false;
    fab_mutex_lock(&worker->memory->lock);
    while (address < end && (range = cuc_ranges_find(&worker->memory->extents, address)) != NULL)
        address = range->hi;
    fab_mutex_unlock(&worker->memory->lock);
    return address >= end;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* Pieces of 32 MiB, then what is left in powers of two. */
static uint64_t piece_bytes(uint64_t left)
{
    uint64_t piece = CUDAS_PIECE;

    while (piece > left)
        piece /= 2;
    return piece;
}

static CUresult piece_map_locked(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                                 uint64_t address, uint64_t bytes)
{
    struct cudas_extent *extent = fab_alloc_zeroed(1, sizeof(*extent));
    CUmemAllocationProp properties;
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (!extent)
        return result;
    if (!cudas_charge(worker, vgpu->index, bytes)) {
        free(extent);
        return result;
    }
    *extent = (struct cudas_extent){.kind = CUDAS_EXTENT_HEAP, .vgpu = (int32_t)vgpu->index};
    cudas_memory_properties(worker, vgpu, &properties);
    result = worker->cu.cuMemCreate(&extent->handle, bytes, &properties, 0);
    if (result == CUDA_SUCCESS) {
        result = worker->cu.cuMemMap(address, bytes, 0, extent->handle, 0);
        if (result == CUDA_SUCCESS) {
            if (cuc_ranges_insert(&worker->memory->extents, address, address + bytes, extent))
                return result;
            result = CUDA_ERROR_OUT_OF_MEMORY;
            (void)worker->cu.cuMemUnmap(address, bytes);
        }
        (void)worker->cu.cuMemRelease(extent->handle);
    }
    cudas_uncharge(worker, vgpu->index, bytes);
    free(extent);
    return result;
}

void cudas_memory_unmap_locked(struct cudas_worker *worker, uint64_t lo, uint64_t hi)
{
    const struct cuc_range *range;

    while (lo < hi && (range = cuc_ranges_find(&worker->memory->extents, lo)) != NULL) {
        const struct cuc_range found = *range;

        lo = found.hi;
        extent_drop_locked(worker, found.lo, found.hi, found.item);
    }
}

static CUresult map_locked(struct cudas_worker *worker, const struct wire_mem_map *m,
                           const struct cudas_vgpu *vgpu)
{
    const struct wire_access own = {.vgpu = (int32_t)vgpu->index,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    uint64_t at = m->address;
    const uint64_t end = m->address + m->bytes;
    CUresult result = CUDA_SUCCESS;

    if (cuc_ranges_hit(&worker->memory->extents, m->address, end))
        return CUDA_ERROR_ALREADY_MAPPED;
    while (at < end) {
        const uint64_t bytes = piece_bytes(end - at);

        result = piece_map_locked(worker, vgpu, at, bytes);
        if (result != CUDA_SUCCESS)
            break;
        at += bytes;
    }
    if (result == CUDA_SUCCESS)
        result = cudas_memory_access(worker, m->address, m->bytes, &own, 1);
    if (result == CUDA_SUCCESS)
        result = cudas_memory_access(worker, m->address, m->bytes, m->access, m->access_count);
    if (result != CUDA_SUCCESS)
        cudas_memory_unmap_locked(worker, m->address, at);
    return result;
}

void cudas_on_mem_map(struct cudas_worker *worker, const struct cudas_command *command)
{
    const struct cudas_vgpu *vgpu;
    struct wire_mem_map m;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!wire_get_mem_map(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    vgpu = cudas_vgpu_find(worker, m.vgpu);
    if (vgpu && m.bytes > 0 && (m.address | m.bytes) % CUDAS_GRANULE == 0) {
        const struct cuc_span slice = cuc_layout_slice(worker->layout, vgpu->index);

        if (m.address >= slice.base && m.bytes <= slice.bytes &&
            m.address - slice.base <= slice.bytes - m.bytes) {
            if (!cudas_limit_settle(worker, vgpu->index)) {
                cudas_reply(worker, command, CUDA_ERROR_OUT_OF_MEMORY, NULL);
                return;
            }
            fab_mutex_lock(&worker->memory->lock);
            result = map_locked(worker, &m, vgpu);
            fab_mutex_unlock(&worker->memory->lock);
        }
    }
    cudas_reply(worker, command, result, NULL);
}

/* ---- freeing --------------------------------------------------------------------------------- */

/* Whether the range is exactly filled by whole extents of mem_map. */
static bool is_whole_locked(struct cudas_worker *worker, uint64_t lo, uint64_t bytes)
{
    const uint64_t end = lo + bytes;

    if (bytes == 0 || end < lo)
        return false;
    while (lo < end) {
        const struct cuc_range *range = cuc_ranges_find(&worker->memory->extents, lo);

        if (!range || range->lo != lo || range->hi > end ||
            ((const struct cudas_extent *)range->item)->kind != CUDAS_EXTENT_HEAP)
            return false;
        lo = range->hi;
    }
    return true;
}

struct waiting {
    uint32_t vgpu;
    CUresult result;
};

static void wait_for_context(struct cudas_context *context, void *arg)
{
    struct waiting *waiting = arg;
    CUresult result;

    if (context->vgpu != waiting->vgpu)
        return;
    result = cudas_enter(context);
    if (result == CUDA_SUCCESS)
        result = context->worker->cu.cuCtxSynchronize();
    if (waiting->result == CUDA_SUCCESS && result != CUDA_ERROR_CONTEXT_IS_DESTROYED)
        waiting->result = result;
}

void cudas_on_mem_free(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct waiting waiting = {.result = CUDA_SUCCESS};
    struct cudas_context *context;
    struct wire_mem_free m;

    if (!wire_get_mem_free(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    waiting.vgpu = m.vgpu;
    if (m.wait)
        cudas_context_each(worker, wait_for_context, &waiting);
    fab_mutex_lock(&worker->memory->lock);
    for (uint32_t i = 0; i < m.ranges_count; i++) {
        if (is_whole_locked(worker, m.ranges[i].address, m.ranges[i].bytes))
            cudas_memory_unmap_locked(worker, m.ranges[i].address,
                                      m.ranges[i].address + m.ranges[i].bytes);
        else
            waiting.result = CUDA_ERROR_INVALID_VALUE;
    }
    fab_mutex_unlock(&worker->memory->lock);
    context = (struct cudas_context *)cudas_object_get(worker, m.ctx, CUDAS_CONTEXT);
    cudas_reply_landed(worker, command, context, waiting.result);
    if (context && cudas_enter(context) == CUDA_SUCCESS)
        cudas_windows_reap(worker);
    cudas_context_put(context);
}

/* ---- questions and access -------------------------------------------------------------------- */

void cudas_on_mem_info(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context = NULL;
    struct wire_mem_info_reply reply = {.free_bytes = 0};
    struct wire_mem_info m;
    struct wire_parts parts;
    size_t free_bytes = 0, total_bytes = 0;
    CUresult result;

    if (!wire_get_mem_info(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_context_enter(worker, m.ctx, &context);
    if (result == CUDA_SUCCESS)
        result = worker->cu.cuMemGetInfo_v2(&free_bytes, &total_bytes);
    if (result == CUDA_SUCCESS) {
        const struct cudas_vgpu *vgpu = cudas_vgpu_find(worker, context->vgpu);

        (void)!cudas_limit_settle(worker,
                                  context->vgpu); /* what is too much shows as nothing free */
        reply.free_bytes = cudas_limit_free(worker, vgpu, free_bytes);
        reply.total_bytes = cudas_limit_total(worker, vgpu, total_bytes);
    }
    wire_put_mem_info_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
    cudas_context_put(context);
}

void cudas_on_mem_access(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_mem_access m;
    CUresult result = CUDA_SUCCESS;
    uint64_t at, end;

    if (!wire_get_mem_access(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    at = m.address;
    end = m.address + m.bytes;
    if (end <= at)
        result = CUDA_ERROR_INVALID_VALUE;
    fab_mutex_lock(&worker->memory->lock);
    while (result == CUDA_SUCCESS && at < end) {
        const struct cuc_range *range = cuc_ranges_find(&worker->memory->extents, at);

        if (!range || range->lo != at || range->hi > end)
            result = CUDA_ERROR_INVALID_VALUE;
        else
            result = cudas_memory_access(worker, at, range->hi - at, m.access, m.access_count);
        at = range ? range->hi : end;
    }
    fab_mutex_unlock(&worker->memory->lock);
    cudas_reply(worker, command, result, NULL);
}

CUresult cudas_memory_peer(struct cudas_worker *worker, uint32_t owner, uint32_t user, bool enable)
{
    const struct wire_access access = {.vgpu = (int32_t)user,
                                       .flags = enable ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                                                       : CU_MEM_ACCESS_FLAGS_PROT_NONE};
    CUresult result = CUDA_SUCCESS;

    fab_mutex_lock(&worker->memory->lock);
    for (size_t i = 0; result == CUDA_SUCCESS && i < worker->memory->extents.count; i++) {
        const struct cuc_range *range = &worker->memory->extents.at[i];
        const struct cudas_extent *extent = range->item;

        if (extent->kind == CUDAS_EXTENT_HEAP && extent->vgpu == (int32_t)owner)
            result = cudas_memory_access(worker, range->lo, range->hi - range->lo, &access, 1);
    }
    fab_mutex_unlock(&worker->memory->lock);
    return result;
}
