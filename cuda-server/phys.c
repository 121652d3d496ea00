/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/phys.c - cuMemCreate and cuMemMap of the program.
 *
 * The client answers what needs no driver (reservations, handles, properties). Its reservations
 * outside the slices are reserved here mapping by mapping, so that the addresses are the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/limit.h"
#include "cuda-server/memory.h"

static void phys_destroy(struct cudas_object *object)
{
    struct cudas_phys *phys = (struct cudas_phys *)object;

    (void)phys->worker->cu.cuMemRelease(phys->handle);
    if (phys->vgpu >= 0)
        cudas_uncharge(phys->worker, (uint32_t)phys->vgpu, phys->bytes);
    free(phys);
}

static CUresult driver_create(struct cudas_worker *worker, const struct wire_phys_create *m,
                              CUmemGenericAllocationHandle *handle_out)
{
    const struct cudas_vgpu *vgpu = m->vgpu < 0 ? NULL : cudas_vgpu_find(worker, (uint32_t)m->vgpu);
    CUmemAllocationProp properties;
    CUresult result;

    if (m->vgpu >= 0 && !vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    if (vgpu) {
        cudas_memory_properties(worker, vgpu, &properties);
    } else {
        memset(&properties, 0, sizeof(properties));
        properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
        properties.location.type =
            m->numa_node < 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_HOST_NUMA;
        properties.location.id = m->numa_node < 0 ? 0 : m->numa_node;
    }
    if (vgpu &&
        (!cudas_limit_settle(worker, vgpu->index) || !cudas_charge(worker, vgpu->index, m->bytes)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = worker->cu.cuMemCreate(handle_out, m->bytes, &properties, 0);
    if (result != CUDA_SUCCESS && vgpu)
        cudas_uncharge(worker, vgpu->index, m->bytes);
    return result;
}

static CUresult phys_create(struct cudas_worker *worker, const struct cudas_command *command,
                            const struct wire_phys_create *m)
{
    struct cudas_phys *phys = fab_alloc_zeroed(1, sizeof(*phys));
    CUresult result;

    if (!phys)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *phys =
        (struct cudas_phys){.object = {.id = m->phys, .kind = CUDAS_PHYS, .destroy = phys_destroy},
                            .worker = worker,
                            .bytes = m->bytes,
                            .vgpu = m->vgpu};
    result = driver_create(worker, m, &phys->handle);
    if (result != CUDA_SUCCESS) {
        free(phys);
        return result;
    }
    result = cudas_object_add(worker, &phys->object, command);
    if (result != CUDA_SUCCESS)
        phys_destroy(&phys->object);
    return result;
}

void cudas_on_phys_create(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_phys_create m;

    if (!wire_get_phys_create(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    cudas_reply(worker, command, phys_create(worker, command, &m), NULL);
}

/* Mappings keep it alive. */
void cudas_on_phys_release(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_object *object;
    struct wire_phys_release m;

    if (!wire_get_phys_release(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    object = cudas_object_remove(worker, m.phys, CUDAS_PHYS);
    cudas_object_put(object);
    cudas_reply(worker, command, object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE, NULL);
}

static CUresult reserve(struct cudas_worker *worker, uint64_t address, uint64_t bytes,
                        bool *is_reserved_out)
{
    CUdeviceptr got = 0;
    CUresult result;

    *is_reserved_out = false;
    if (cudas_memory_is_reserved(worker, address, bytes))
        return CUDA_SUCCESS;
    result = worker->cu.cuMemAddressReserve(&got, bytes, 0, address, 0);
    if (result == CUDA_SUCCESS && got != address) {
        (void)worker->cu.cuMemAddressFree(got, bytes);
        result = CUDA_ERROR_OUT_OF_MEMORY; /* something of this process lies there */
    }
    *is_reserved_out = result == CUDA_SUCCESS;
    return result;
}

static CUresult phys_map_locked(struct cudas_worker *worker, const struct wire_phys_map *m,
                                struct cudas_phys *phys)
{
    struct cudas_extent *extent = fab_alloc_zeroed(1, sizeof(*extent));
    CUresult result;

    if (!extent)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *extent = (struct cudas_extent){.kind = CUDAS_EXTENT_PHYS, .vgpu = phys->vgpu};
    result = reserve(worker, m->address, m->bytes, &extent->is_reserved);
    if (result == CUDA_SUCCESS) {
        result = worker->cu.cuMemMap(m->address, m->bytes, m->offset, phys->handle, 0);
        if (result == CUDA_SUCCESS && !cuc_ranges_insert(&worker->memory->extents, m->address,
                                                         m->address + m->bytes, extent)) {
            (void)worker->cu.cuMemUnmap(m->address, m->bytes);
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    if (result == CUDA_SUCCESS) {
        extent->phys = &phys->object;
        cudas_object_ref(extent->phys);
        return result;
    }
    if (extent->is_reserved)
        (void)worker->cu.cuMemAddressFree(m->address, m->bytes);
    free(extent);
    return result;
}

void cudas_on_phys_map(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_phys *phys;
    struct wire_phys_map m;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!wire_get_phys_map(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    phys = (struct cudas_phys *)cudas_object_get(worker, m.phys, CUDAS_PHYS);
    if (phys && m.bytes > 0 && m.address + m.bytes > m.address) {
        fab_mutex_lock(&worker->memory->lock);
        result = cuc_ranges_hit(&worker->memory->extents, m.address, m.address + m.bytes)
                     ? CUDA_ERROR_INVALID_VALUE
                     : phys_map_locked(worker, &m, phys);
        fab_mutex_unlock(&worker->memory->lock);
    }
    if (phys)
        cudas_object_put(&phys->object);
    cudas_reply(worker, command, result, NULL);
}

/* Whole mappings only. With the lock. */
static bool is_mapped_locked(struct cudas_worker *worker, uint64_t at, uint64_t end)
{
    while (at < end) {
        const struct cuc_range *range = cuc_ranges_find(&worker->memory->extents, at);

        if (!range || range->lo != at || range->hi > end ||
            ((const struct cudas_extent *)range->item)->kind != CUDAS_EXTENT_PHYS)
            return false;
        at = range->hi;
    }
    return true;
}

void cudas_on_phys_unmap(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_phys_unmap m;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!wire_get_phys_unmap(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    fab_mutex_lock(&worker->memory->lock);
    if (m.bytes > 0 && m.address + m.bytes > m.address &&
        is_mapped_locked(worker, m.address, m.address + m.bytes)) {
        cudas_memory_unmap_locked(worker, m.address, m.address + m.bytes);
        result = CUDA_SUCCESS;
    }
    fab_mutex_unlock(&worker->memory->lock);
    cudas_reply(worker, command, result, NULL);
}
