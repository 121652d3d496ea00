/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/vmm.c - virtual memory management: address ranges, physical allocations, mappings
 * and who may access them.
 *
 * A wanted address is honoured wherever this process has nothing, and is otherwise a hint, as the
 * driver API says. Sizes and addresses are multiples of 2 MiB. A mapping lasts until it is unmapped
 * whole. Source: CUDA Driver API, Virtual Memory Management.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cuda-common/object.h"
#include "cuda-common/vmm.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

/* What a CUmemGenericAllocationHandle names. cuMemRetainAllocationHandle gives the same handle
 * again, so the program's references are counted here. */
struct vmm_handle {
    struct cuc_object object;
    struct mem_phys *phys; /* a reference while program_refs > 0 */
    uint32_t program_refs; /* mem_lock */
    struct vmm_handle *next;
};

/* Reservations of cuMemAddressReserve, and all handles. mem_lock. */
static struct cuc_ranges reserved;
static struct vmm_handle *handles;

/* ---- address ranges
 * ------------------------------------------------------------------------------ */

static bool reserve(uint64_t wanted, uint64_t bytes, uint64_t align, uint64_t *address_out)
{
    if (wanted && wanted % align == 0 && va_reserve_at(wanted, bytes))
        *address_out = wanted;
    else if (!va_reserve(VA_RESERVE, 0, bytes, align, address_out))
        return false;
    if (cuc_ranges_insert(&reserved, *address_out, *address_out + bytes, NULL))
        return true;
    va_release(*address_out, bytes);
    return false;
}

CUresult soft_cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                                  unsigned long long flags)
{
    uint64_t align = alignment > MEM_GRANULE ? alignment : MEM_GRANULE, address;

    if (!ptr || size == 0 || !cuc_vmm_is_aligned(size) || flags != 0 ||
        (alignment & (alignment - 1)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    bool done = reserve(addr, size, align, &address);

    (void)pthread_mutex_unlock(&mem_lock);
    if (!done)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *ptr = address;
    return CUDA_SUCCESS;
}

CUresult soft_cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    (void)pthread_mutex_lock(&mem_lock);
    const struct cuc_range *range = cuc_ranges_find(&reserved, ptr);

    if (range && range->lo == ptr && range->hi == ptr + size && !mem_extent_hit(ptr, ptr + size)) {
        (void)cuc_ranges_remove(&reserved, ptr);
        va_release(ptr, size);
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

bool mem_reserved_find(uint64_t address, uint64_t *lo_out, uint64_t *hi_out)
{
    (void)pthread_mutex_lock(&mem_lock);
    const struct cuc_range *range = cuc_ranges_find(&reserved, address);

    if (range) {
        *lo_out = range->lo;
        *hi_out = range->hi;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return range != NULL;
}

/* ---- physical allocations
 * ------------------------------------------------------------------------ */

static void handle_destroy(struct cuc_object *object)
{
    free(object);
}

/* Takes over the reference of `phys`, also on failure. Under mem_lock. */
static CUresult handle_new(struct mem_phys *phys, CUmemGenericAllocationHandle *handle_out)
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
        mem_phys_put(phys);
        return result;
    }
    handle->next = handles;
    handles = handle;
    *handle_out = handle->object.handle;
    return CUDA_SUCCESS;
}

/* NULL for anything that is not a live handle. Put with cuc_object_put(), also under mem_lock. */
static struct vmm_handle *handle_get(CUmemGenericAllocationHandle handle)
{
    return (struct vmm_handle *)cuc_object_get(handle, CUC_ALLOCATION);
}

/* Under mem_lock. */
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
    mem_phys_put(handle->phys);
    if (cuc_object_retire(&handle->object))
        cuc_object_put(&handle->object);
    return CUDA_SUCCESS;
}

static CUresult phys_new(struct soft_device *device, size_t bytes, const CUmemAllocationProp *prop,
                         CUmemGenericAllocationHandle *handle_out)
{
    struct mem_phys *phys = NULL;

    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = mem_phys_create(device, bytes, prop->requestedHandleTypes != 0, &phys);

    if (result == CUDA_SUCCESS) {
        phys->properties = *prop;
        phys->properties.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_NONE;
        result = handle_new(phys, handle_out);
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                          const CUmemAllocationProp *prop, unsigned long long flags)
{
    struct soft_device *device;
    int ordinal;
    CUresult result = cuc_vmm_check(prop, soft_device_count(), &ordinal);

    if (result != CUDA_SUCCESS)
        return result;
    device = soft_device_at(ordinal); /* NULL: the host */
    if (!handle || size == 0 || !cuc_vmm_is_aligned(size) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device && !mem_host_fits(size))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = phys_new(device, size, prop, handle);
    /* As in cuMemAlloc: what a stream still has to free counts as free. */
    if (result == CUDA_ERROR_OUT_OF_MEMORY && device && soft_mem_reclaim(device))
        result = phys_new(device, size, prop, handle);
    return result;
}

CUresult soft_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct vmm_handle *found = handle_get(handle);

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result = handle_release(found);

    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!handle)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    const struct cuc_range *range = mem_extent_find((uintptr_t)addr);
    const struct mem_extent *extent = range ? range->item : NULL;

    if (extent && extent->phys) {
        struct vmm_handle *at = handles;

        while (at && at->phys != extent->phys)
            at = at->next;
        if (at) {
            at->program_refs++;
            *handle = at->object.handle;
            result = CUDA_SUCCESS;
        } else {
            extent->phys->refs++;
            result = handle_new(extent->phys, handle);
        }
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                     CUmemGenericAllocationHandle handle)
{
    struct vmm_handle *found = prop ? handle_get(handle) : NULL;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&mem_lock);
    *prop = found->phys->properties;
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return CUDA_SUCCESS;
}

CUresult soft_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                            CUmemAllocationGranularity_flags option)
{
    return cuc_vmm_granularity(prop, option, soft_device_count(), granularity);
}

/* ---- other processes
 * ------------------------------------------------------------------------------ */

CUresult soft_cuMemExportToShareableHandle(void *shareableHandle,
                                           CUmemGenericAllocationHandle handle,
                                           CUmemAllocationHandleType handleType,
                                           unsigned long long flags)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!shareableHandle || flags != 0)
        return result;
    if (handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct vmm_handle *found = handle_get(handle);

    if (!found)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (found->phys->properties.requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
        int fd = fcntl(found->phys->fd, F_DUPFD_CLOEXEC, 3);

        result = fd < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
        if (fd >= 0)
            memcpy(shareableHandle, &fd, sizeof(fd));
    }
    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

CUresult soft_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *osHandle,
                                             CUmemAllocationHandleType shHandleType)
{
    struct mem_phys *phys;

    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    (void)pthread_mutex_lock(&mem_lock);
    /* The descriptor's number stands in the pointer itself. */
    CUresult result = mem_phys_import((int)(intptr_t)osHandle, &phys);

    if (result == CUDA_SUCCESS)
        result = handle_new(phys, handle);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

/* ---- mappings
 * --------------------------------------------------------------------------------------- */

/* Under mem_lock. Takes a reference of the physical memory on success. */
static CUresult map(uint64_t address, uint64_t bytes, struct mem_phys *phys)
{
    const struct cuc_range *range = cuc_ranges_find(&reserved, address);
    struct mem_extent extent = {.kind = MEM_VIRTUAL, .device = phys->device, .phys = phys};
    struct mem_alloc *alloc, values = {.base = address,
                                       .bytes = bytes,
                                       .span_bytes = bytes,
                                       .kind = MEM_VIRTUAL,
                                       .device = phys->device};

    if (!range || address + bytes > range->hi || mem_extent_hit(address, address + bytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (!mem_phys_map(phys, address, bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (mem_extent_add(address, address + bytes, &extent) != CUDA_SUCCESS) {
        va_blank(address, bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (mem_alloc_add(&values, &alloc) != CUDA_SUCCESS) {
        mem_extent_remove(address);
        va_blank(address, bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    phys->refs++;
    return CUDA_SUCCESS;
}

CUresult soft_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
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
    (void)pthread_mutex_lock(&mem_lock);
    CUresult result =
        size <= found->phys->bytes ? map(ptr, size, found->phys) : CUDA_ERROR_INVALID_VALUE;

    (void)pthread_mutex_unlock(&mem_lock);
    cuc_object_put(&found->object);
    return result;
}

/* Whether [lo, hi) is exactly filled by whole mappings of cuMemMap. Under mem_lock. */
static bool whole_mappings(uint64_t lo, uint64_t hi)
{
    while (lo < hi) {
        const struct cuc_range *range = mem_extent_find(lo);

        if (!range || range->lo != lo || range->hi > hi ||
            ((const struct mem_extent *)range->item)->kind != MEM_VIRTUAL)
            return false;
        lo = range->hi;
    }
    return lo == hi;
}

CUresult soft_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
    uint64_t end = ptr + size;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (size == 0 || end < ptr)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (whole_mappings(ptr, end)) {
        for (uint64_t at = ptr; at < end;) {
            const struct cuc_range range = *mem_extent_find(at);
            struct mem_phys *phys = ((const struct mem_extent *)range.item)->phys;

            mem_alloc_remove(mem_alloc_find(at));
            mem_extent_remove(at);
            va_blank(at, range.hi - at);
            mem_phys_put(phys);
            at = range.hi;
        }
        result = CUDA_SUCCESS;
    }
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

/* ---- access
 * ------------------------------------------------------------------------------------------ */

static bool can_peer(int from, int to)
{
    return soft_device_can_peer(soft_device_at(from), soft_device_at(to));
}

/* Works one description into the masks of an extent's access. */
static CUresult apply_access(const struct mem_extent *extent, const CUmemAccessDesc *desc,
                             uint64_t *read_mask, uint64_t *write_mask)
{
    int owner = extent->device ? soft_device_ordinal(extent->device) : CUC_VMM_HOST, device;
    CUresult result = cuc_vmm_access(desc, owner, soft_device_count(), can_peer, &device);

    if (result != CUDA_SUCCESS || device == CUC_VMM_HOST)
        return result;
    uint64_t bit = mem_device_bit(device);

    *read_mask &= ~bit;
    *write_mask &= ~bit;
    if (desc->flags & CU_MEM_ACCESS_FLAGS_PROT_READ)
        *read_mask |= bit;
    if (desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        *write_mask |= bit;
    return CUDA_SUCCESS;
}

/* The masks that one mapping would get. Under mem_lock. */
static CUresult new_masks(const struct mem_extent *extent, const CUmemAccessDesc *desc,
                          size_t count, uint64_t *read_mask, uint64_t *write_mask)
{
    CUresult result = CUDA_SUCCESS;

    *read_mask = extent->read_mask;
    *write_mask = extent->write_mask;
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        result = apply_access(extent, &desc[i], read_mask, write_mask);
    return result;
}

/* Checks every mapping, then, with `change`, changes it. Under mem_lock. */
static CUresult set_access(uint64_t lo, uint64_t hi, const CUmemAccessDesc *desc, size_t count,
                           bool change)
{
    while (lo < hi) {
        const struct cuc_range *range = mem_extent_find(lo);
        uint64_t read_mask, write_mask;
        CUresult result = new_masks(range->item, desc, count, &read_mask, &write_mask);

        if (result != CUDA_SUCCESS)
            return result;
        if (change) {
            /* The host may touch host memory; device memory it is trusted not to touch. */
            bool open = read_mask != 0 || !((const struct mem_extent *)range->item)->device;

            if (mprotect(mem_pointer(lo), range->hi - lo,
                         open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
                return CUDA_ERROR_OUT_OF_MEMORY;
            mem_extent_access(lo, range->hi, read_mask, write_mask);
        }
        lo = range->hi;
    }
    return CUDA_SUCCESS;
}

CUresult soft_cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc,
                             size_t count)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (size == 0 || ptr + size < ptr || !desc || count == 0)
        return result;
    (void)pthread_mutex_lock(&mem_lock);
    if (whole_mappings(ptr, ptr + size))
        result = set_access(ptr, ptr + size, desc, count, false);
    if (result == CUDA_SUCCESS)
        result = set_access(ptr, ptr + size, desc, count, true);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
                             CUdeviceptr ptr)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return result;
    if (!soft_device_at(location->id))
        return CUDA_ERROR_INVALID_DEVICE;
    mem_table_read();
    const struct cuc_range *range = mem_extent_find(ptr);
    const struct mem_extent *extent = range ? range->item : NULL;

    if (extent && extent->kind == MEM_VIRTUAL) {
        uint64_t bit = mem_device_bit(location->id);

        *flags = extent->write_mask & bit  ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                 : extent->read_mask & bit ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                           : CU_MEM_ACCESS_FLAGS_PROT_NONE;
        result = CUDA_SUCCESS;
    }
    mem_table_unlock();
    return result;
}
