/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/vmm.c - virtual memory management: address ranges, physical allocations, mappings
 * and who may access them.
 *
 * Ranges are this process's; a worker takes an address when something is mapped there. A wanted
 * address is honoured where this process has nothing. A mapping lasts until it is unmapped whole.
 * Host memory is a region (region.h) while some device may access it.
 * Source: CUDA Driver API, Virtual Memory Management.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "cuda-client/phys.h"
#include "cuda-client/region.h"
#include "cuda-common/object.h"
#include "cuda-common/vmm.h"
#include "generated/cuda-api/client_impl.h"
#include "ucx-transport/xp.h"

/* What a CUmemGenericAllocationHandle names. cuMemRetainAllocationHandle gives the same handle
 * again, so the program's references are counted here. */
struct vmm_handle {
    struct cuc_object object;
    struct cudac_phys *phys; /* a reference while program_refs > 0 */
    uint32_t program_refs;   /* memory_lock */
    struct vmm_handle *next;
};

/* Reservations of cuMemAddressReserve, and all handles. memory_lock. */
static struct cuc_ranges reserved;
static struct vmm_handle *handles;

static void lock(void)
{
    (void)pthread_mutex_lock(&cudac_memory_lock);
}

static void unlock(void)
{
    (void)pthread_mutex_unlock(&cudac_memory_lock);
}

/* ---- address ranges ---------------------------------------------------------------------------
 */

/* Outside the layout's ranges, which are reserved: only where nothing is. */
static bool hold(uint64_t address, uint64_t bytes)
{
    void *wanted = memory_pointer(address);
    void *got = mmap(wanted, bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return false;
    if (got == wanted) {
        (void)madvise(got, bytes, MADV_DONTDUMP);
        return true;
    }
    (void)munmap(got, bytes);
    return false;
}

static bool is_in(struct cuc_span span, uint64_t address, uint64_t bytes)
{
    return address >= span.base && bytes <= span.bytes && address - span.base <= span.bytes - bytes;
}

/* Whether the range was reserved with the layout: then it is neither mapped nor unmapped here. */
static bool is_held(uint64_t address, uint64_t bytes)
{
    return cudac_layout_is_reserved() && is_in(cudac_layout()->reserve, address, bytes);
}

static bool take(uint64_t address, uint64_t bytes)
{
    if (address + bytes < address || address + bytes > cudac_layout()->end ||
        cuc_ranges_hit(&reserved, address, address + bytes) ||
        !cuc_ranges_insert(&reserved, address, address + bytes, NULL))
        return false;
    if (is_held(address, bytes) || hold(address, bytes))
        return true;
    (void)cuc_ranges_remove(&reserved, address);
    return false;
}

static bool reserve(uint64_t wanted, uint64_t bytes, uint64_t align, uint64_t *address_out)
{
    const struct cuc_span span = cudac_layout()->reserve;

    *address_out = wanted;
    if (wanted && wanted % align == 0 && take(wanted, bytes))
        return true;
    return cuc_ranges_first_fit(&reserved, span.base, span.base + span.bytes, bytes, align,
                                address_out) &&
           take(*address_out, bytes);
}

CUresult cudac_cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment,
                                   CUdeviceptr addr, unsigned long long flags)
{
    uint64_t align = alignment > CUC_GRANULE ? alignment : CUC_GRANULE, address;

    if (!ptr || size == 0 || !cuc_vmm_is_aligned(size) || flags != 0 ||
        (alignment & (alignment - 1)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    bool done = reserve(addr, size, align, &address);

    unlock();
    if (!done)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *ptr = address;
    return CUDA_SUCCESS;
}

CUresult cudac_cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    lock();
    const struct cuc_range *range = cuc_ranges_find(&reserved, ptr);

    if (range && range->lo == ptr && range->hi == ptr + size &&
        !cudac_extent_hit(ptr, ptr + size)) {
        (void)cuc_ranges_remove(&reserved, ptr);
        if (!is_held(ptr, size))
            (void)munmap(memory_pointer(ptr), size);
        result = CUDA_SUCCESS;
    }
    unlock();
    return result;
}

bool cudac_memory_reserved(uint64_t address, uint64_t *lo_out, uint64_t *hi_out)
{
    lock();
    const struct cuc_range *range = cuc_ranges_find(&reserved, address);

    if (range) {
        *lo_out = range->lo;
        *hi_out = range->hi;
    }
    unlock();
    return range != NULL;
}

/* ---- handles ----------------------------------------------------------------------------------
 */

static void handle_destroy(struct cuc_object *object)
{
    free(object);
}

/* Takes over the reference of `phys`, also on failure. Under memory_lock. */
static CUresult handle_new(struct cudac_phys *phys, CUmemGenericAllocationHandle *handle_out)
{
    struct vmm_handle *handle = fab_alloc_zeroed(1, sizeof(*handle));
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (handle) {
        handle->phys = phys;
        handle->program_refs = 1;
        result = cuc_object_register(&handle->object, CUC_ALLOCATION, handle_destroy);
    }
    if (result != CUDA_SUCCESS) {
        free(handle);
        cudac_phys_put(phys);
        return result;
    }
    handle->next = handles;
    handles = handle;
    *handle_out = handle->object.handle;
    return CUDA_SUCCESS;
}

/* NULL for anything that is not a live handle. Put with cuc_object_put(), also under the lock. */
static struct vmm_handle *handle_get(CUmemGenericAllocationHandle handle)
{
    return (struct vmm_handle *)cuc_object_get(handle, CUC_ALLOCATION);
}

/* Under memory_lock. */
static CUresult handle_release(struct vmm_handle *handle)
{
    struct vmm_handle **at = &handles;

    if (handle->program_refs == 0)
        return CUDA_ERROR_INVALID_VALUE; /* another thread released the last one meanwhile */
    if (--handle->program_refs > 0)
        return CUDA_SUCCESS;
    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
    cudac_phys_put(handle->phys);
    if (cuc_object_retire(&handle->object))
        cuc_object_put(&handle->object);
    return CUDA_SUCCESS;
}

static CUresult phys_new(struct cudac_vgpu *vgpu, size_t bytes, const CUmemAllocationProp *prop,
                         CUmemGenericAllocationHandle *handle_out)
{
    struct cudac_phys *phys;

    lock();
    CUresult result = cudac_phys_create(vgpu, bytes, prop, &phys);

    if (result == CUDA_SUCCESS)
        result = handle_new(phys, handle_out);
    unlock();
    return result;
}

CUresult cudac_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                           const CUmemAllocationProp *prop, unsigned long long flags)
{
    int ordinal;
    CUresult result = cuc_vmm_check(prop, cudac_vgpu_count(), &ordinal);

    if (result != CUDA_SUCCESS)
        return result;
    struct cudac_vgpu *vgpu = ordinal == CUC_VMM_HOST ? NULL : cudac_vgpu_at(ordinal);

    if (!handle || size == 0 || !cuc_vmm_is_aligned(size) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu && !cudac_shared_fits(size))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = phys_new(vgpu, size, prop, handle);
    /* Waits, so without the lock. */
    if (result == CUDA_ERROR_OUT_OF_MEMORY && vgpu && cudac_memory_reclaim(vgpu))
        result = phys_new(vgpu, size, prop, handle);
    return result;
}

CUresult cudac_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct vmm_handle *found = handle_get(handle);

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    CUresult result = handle_release(found);

    unlock();
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    struct cudac_extent extent;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!handle)
        return result;
    lock();
    if (cudac_extent_find((uintptr_t)addr, &extent, NULL, NULL) && extent.phys) {
        struct vmm_handle *at = handles;

        while (at && at->phys != extent.phys)
            at = at->next;
        if (at) {
            at->program_refs++;
            *handle = at->object.handle;
            result = CUDA_SUCCESS;
        } else {
            extent.phys->refs++;
            result = handle_new(extent.phys, handle);
        }
    }
    unlock();
    return result;
}

CUresult cudac_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                      CUmemGenericAllocationHandle handle)
{
    struct vmm_handle *found = prop ? handle_get(handle) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    *prop = found->phys->properties;
    unlock();
    cuc_object_put(&found->object);
    return CUDA_SUCCESS;
}

CUresult cudac_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                             CUmemAllocationGranularity_flags option)
{
    return cuc_vmm_granularity(prop, option, cudac_vgpu_count(), granularity);
}

CUresult cudac_cuMemExportToShareableHandle(void *shareableHandle,
                                            CUmemGenericAllocationHandle handle,
                                            CUmemAllocationHandleType handleType,
                                            unsigned long long flags)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    int fd;

    if (!shareableHandle || flags != 0)
        return result;
    if (handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct vmm_handle *found = handle_get(handle);

    if (!found)
        return result;
    lock();
    if (found->phys->properties.requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        result = cudac_phys_export(found->phys, &fd);
    unlock();
    if (result == CUDA_SUCCESS)
        memcpy(shareableHandle, &fd, sizeof(fd));
    cuc_object_put(&found->object);
    return result;
}

CUresult cudac_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *osHandle,
                                              CUmemAllocationHandleType shHandleType)
{
    struct cudac_phys *phys;

    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    lock();
    /* The descriptor's number stands in the pointer itself. */
    CUresult result = cudac_phys_import((int)(intptr_t)osHandle, &phys);

    if (result == CUDA_SUCCESS)
        result = handle_new(phys, handle);
    unlock();
    return result;
}

/* ---- mappings ---------------------------------------------------------------------------------
 */

/* Under memory_lock. Takes a reference of the physical memory on success. */
static CUresult map(uint64_t address, uint64_t bytes, struct cudac_phys *phys)
{
    const struct cuc_range *range = cuc_ranges_find(&reserved, address);
    struct cudac_extent extent = {.kind = CUDAC_MEMORY_VIRTUAL,
                                  .vgpu = phys->vgpu,
                                  .phys = phys,
                                  .block_id = phys->id,
                                  .handle_types = (uint32_t)phys->properties.requestedHandleTypes};
    struct cudac_alloc *alloc, values = {.base = address,
                                         .bytes = bytes,
                                         .span_bytes = bytes,
                                         .kind = CUDAC_MEMORY_VIRTUAL,
                                         .vgpu = phys->vgpu};

    if (!range || address + bytes > range->hi || cudac_extent_hit(address, address + bytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (!phys->vgpu)
        extent.kind = values.kind = CUDAC_MEMORY_HOST;
    CUresult result = cudac_phys_map(phys, address, bytes);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_extent_add(address, address + bytes, &extent);
    if (result != CUDA_SUCCESS)
        goto unmap;
    result = cudac_alloc_add(&values, &alloc);
    if (result != CUDA_SUCCESS)
        goto remove;
    phys->refs++;
    phys->mappings++;
    return CUDA_SUCCESS;

remove:
    cudac_extent_remove(address);
unmap:
    cudac_phys_unmap(phys, address, bytes);
    return result;
}

CUresult cudac_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    if (!cuc_vmm_is_aligned(ptr) || size == 0 || !cuc_vmm_is_aligned(size) || flags != 0 ||
        ptr + size < ptr)
        return CUDA_ERROR_INVALID_VALUE;
    if (offset != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct vmm_handle *found = handle_get(handle);

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    CUresult result =
        size <= found->phys->bytes ? map(ptr, size, found->phys) : CUDA_ERROR_INVALID_VALUE;

    unlock();
    cuc_object_put(&found->object);
    return result;
}

/* Whether [lo, hi) is exactly filled by whole mappings of cuMemMap. Under memory_lock. */
static bool whole_mappings(uint64_t lo, uint64_t hi)
{
    struct cudac_extent extent;
    uint64_t from, to;

    while (lo < hi) {
        if (!cudac_extent_find(lo, &extent, &from, &to) || from != lo || to > hi || !extent.phys)
            return false;
        lo = to;
    }
    return lo == hi;
}

/* Regions that end when the lock is given up. Under memory_lock. */
static struct cudac_region *ended;

/* Kernels see host memory of cuMemMap no longer. Under memory_lock. */
static void region_close(struct cudac_alloc *alloc)
{
    struct cudac_region *region = alloc->region;

    if (!region)
        return;
    cudac_table_write();
    alloc->region = NULL;
    cudac_table_unlock();
    cudac_region_unlink(region);
    region->next = ended;
    ended = region;
}

/* Gives the lock up, and ends what is to end: workers wait for their devices there. */
static void unlock_and_end(void)
{
    struct cudac_region *region = ended, *next;

    ended = NULL;
    unlock();
    for (; region; region = next) {
        next = region->next;
        cudac_region_end(region);
    }
}

static void unmap_one(uint64_t address)
{
    struct cudac_alloc *alloc = cudac_alloc_at(address);
    struct cudac_extent extent;
    uint64_t lo, hi;

    if (!alloc || !cudac_extent_find(address, &extent, &lo, &hi))
        return;
    region_close(alloc);
    cudac_alloc_remove(alloc);
    cudac_extent_remove(lo);
    cudac_phys_unmap(extent.phys, lo, hi - lo);
    extent.phys->mappings--;
    cudac_phys_put(extent.phys);
}

CUresult cudac_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
    uint64_t end = ptr + size, hi;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (size == 0 || end < ptr)
        return result;
    lock();
    if (whole_mappings(ptr, end)) {
        for (uint64_t at = ptr; at < end; at = hi) {
            (void)cudac_extent_find(at, NULL, NULL, &hi);
            unmap_one(at);
        }
        result = CUDA_SUCCESS;
    }
    unlock_and_end();
    return result;
}

/* ---- access -----------------------------------------------------------------------------------
 */

static bool can_peer(int from, int to)
{
    const struct cudac_vgpu *of = cudac_vgpu_at(from), *owner = cudac_vgpu_at(to);

    return of != owner && (cudac_vgpu_facts(of)->peer_mask & memory_bit(owner)) != 0;
}

/* The masks that one mapping would get. Under memory_lock. */
static CUresult new_masks(struct cudac_extent *extent, const CUmemAccessDesc *desc, size_t count)
{
    int owner = extent->vgpu ? cudac_vgpu_ordinal(extent->vgpu) : CUC_VMM_HOST, device;

    for (size_t i = 0; i < count; i++) {
        CUresult result = cuc_vmm_access(&desc[i], owner, cudac_vgpu_count(), can_peer, &device);

        if (result != CUDA_SUCCESS)
            return result;
        if (device == CUC_VMM_HOST)
            continue;
        uint64_t bit = memory_bit(cudac_vgpu_at(device));

        extent->read_mask &= ~bit;
        extent->write_mask &= ~bit;
        if (desc[i].flags & CU_MEM_ACCESS_FLAGS_PROT_READ)
            extent->read_mask |= bit;
        if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            extent->write_mask |= bit;
    }
    return CUDA_SUCCESS;
}

/* A device's mapping: the worker is told of every one of its devices. */
static CUresult tell_worker(const struct cudac_extent *extent, uint64_t lo, uint64_t hi)
{
    struct cudac_worker *worker = cudac_vgpu_worker(extent->vgpu);
    struct wire_access access[MEMORY_VGPUS_MAX];
    struct wire_mem_access message = {.address = lo, .bytes = hi - lo, .access = access};
    struct wire_parts parts;

    for (uint32_t i = 0; i < MEMORY_VGPUS_MAX; i++) {
        const struct cudac_vgpu *vgpu = cudac_vgpu_of_index(i);
        uint64_t bit = UINT64_C(1) << i;
        uint32_t flags = extent->write_mask & bit  ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                         : extent->read_mask & bit ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                                   : CU_MEM_ACCESS_FLAGS_PROT_NONE;

        if (!vgpu || cudac_vgpu_worker(vgpu) != worker)
            continue;
        /* Devices that cannot reach it are not mentioned. */
        if (flags != CU_MEM_ACCESS_FLAGS_PROT_NONE || vgpu == extent->vgpu ||
            (cudac_vgpu_facts(vgpu)->peer_mask & memory_bit(extent->vgpu)))
            access[message.access_count++] =
                (struct wire_access){.vgpu = (int32_t)i, .flags = flags};
    }
    wire_put_mem_access(&message, &parts);
    return cudac_memory_call(worker, WIRE_MEM_ACCESS, &parts);
}

/* Host memory becomes a region with the first access of a device, and is none after the last. */
static CUresult region_open(const struct cudac_extent *extent, uint64_t lo, uint64_t hi)
{
    struct cudac_alloc *alloc = cudac_alloc_at(lo);
    struct cudac_region *made;
    const struct cudac_region region = {.kind = CUDAC_MEMORY_HOST,
                                        .host_address = lo,
                                        .device_address = lo,
                                        .bytes = hi - lo,
                                        .window_id =
                                            extent->phys->mem ? xp_mem_id(extent->phys->mem) : 0,
                                        .is_wanted = true};

    if (extent->read_mask == 0) {
        region_close(alloc);
        return CUDA_SUCCESS;
    }
    if (alloc->region)
        return CUDA_SUCCESS;
    CUresult result = cudac_region_add(&region, &made);

    if (result != CUDA_SUCCESS)
        return result;
    cudac_table_write();
    alloc->region = made;
    cudac_table_unlock();
    return CUDA_SUCCESS;
}

/* Two mappings of host memory that a worker cannot share would be two memories there. */
static bool would_split(const struct cudac_extent *extent)
{
    if (extent->vgpu || extent->phys->mappings < 2 || extent->read_mask == 0)
        return false;
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        if (!cudac_worker_is_same_host(cudac_worker_at(i)))
            return true;
    }
    return false;
}

/* Checks every mapping, then, with `change`, changes it. Under memory_lock. */
static CUresult set_access(uint64_t lo, uint64_t end, const CUmemAccessDesc *desc, size_t count,
                           bool change)
{
    struct cudac_extent extent;
    uint64_t hi;

    for (; lo < end; lo = hi) {
        if (!cudac_extent_find(lo, &extent, NULL, &hi))
            return CUDA_ERROR_INVALID_VALUE;
        CUresult result = new_masks(&extent, desc, count);

        if (result == CUDA_SUCCESS && would_split(&extent))
            result = CUDA_ERROR_NOT_SUPPORTED;
        if (result == CUDA_SUCCESS && change)
            result = extent.vgpu ? tell_worker(&extent, lo, hi) : region_open(&extent, lo, hi);
        if (result != CUDA_SUCCESS)
            return result;
        if (change)
            cudac_extent_access(lo, hi, extent.read_mask, extent.write_mask);
    }
    return CUDA_SUCCESS;
}

CUresult cudac_cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc,
                              size_t count)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (size == 0 || ptr + size < ptr || !desc || count == 0)
        return result;
    lock();
    if (whole_mappings(ptr, ptr + size))
        result = set_access(ptr, ptr + size, desc, count, false);
    if (result == CUDA_SUCCESS)
        result = set_access(ptr, ptr + size, desc, count, true);
    unlock_and_end();
    return result;
}

CUresult cudac_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
                              CUdeviceptr ptr)
{
    struct cudac_extent extent;

    if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(location->id);

    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!cudac_extent_find(ptr, &extent, NULL, NULL) || !extent.phys)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = extent.write_mask & memory_bit(vgpu)  ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
             : extent.read_mask & memory_bit(vgpu) ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                                   : CU_MEM_ACCESS_FLAGS_PROT_NONE;
    return CUDA_SUCCESS;
}
