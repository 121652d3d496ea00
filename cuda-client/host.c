/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/host.c - page-locked host memory: allocated in the pinned range, or registered.
 *
 * What is allocated here is memory that workers on this host map: kernels and copies there use the
 * very bytes. What is registered stays the program's own memory; kernels know it by an alias in
 * the pinned range (CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM is 0), and it moves at launches and
 * synchronisations. Source: CUDA Driver API, Memory Management.
 */
#include <errno.h>
#include <sys/mman.h>

#include "cuda-client/region.h"
#include "generated/cuda-api/client_impl.h"
#include "ucx-transport/xp.h"

enum {
    ALLOC_FLAGS =
        CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED,
    REGISTER_FLAGS =
        CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY,
    PAGES_ASKED = 1024, /* of the kernel at once */
};

/* Enters host memory, by one of its addresses, into both tables. Under memory_lock. */
static CUresult enter(const struct cudac_alloc *values)
{
    struct cudac_extent extent = {
        .kind = values->kind, .read_mask = MEMORY_ALL_DEVICES, .write_mask = MEMORY_ALL_DEVICES};
    struct cudac_alloc *alloc;

    if (values->kind == CUDAC_MEMORY_REGISTERED &&
        (values->host_flags & CU_MEMHOSTREGISTER_READ_ONLY))
        extent.write_mask = 0;
    CUresult result = cudac_extent_add(values->base, values->base + values->span_bytes, &extent);

    if (result != CUDA_SUCCESS)
        return result;
    result = cudac_alloc_add(values, &alloc);
    if (result != CUDA_SUCCESS)
        cudac_extent_remove(values->base);
    return result;
}

static void leave(uint64_t base)
{
    struct cudac_alloc *alloc = cudac_alloc_at(base);

    cudac_extent_remove(base);
    if (alloc && alloc->base == base)
        cudac_alloc_remove(alloc);
}

/* No kernel was launched since it was added: it has no places yet. Under memory_lock. */
static void region_undo(struct cudac_region *region)
{
    cudac_region_unlink(region);
    cudac_region_end(region);
}

/* ---- allocated --------------------------------------------------------------------------------
 */

/* Under memory_lock. */
static CUresult host_alloc(struct cudac_context *context, uint64_t bytes, uint32_t flags,
                           uint64_t *address_out)
{
    uint64_t step = bytes >= CUC_GRANULE ? CUC_GRANULE : MEMORY_PAGE, base;
    struct cudac_alloc values = {.bytes = bytes,
                                 .kind = CUDAC_MEMORY_HOST,
                                 .context = context,
                                 .context_id = context->id,
                                 .host_flags = flags};

    if (bytes > UINT64_MAX - CUC_GRANULE || !cudac_shared_fits(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    values.span_bytes = mem_round_up(bytes, step);
    CUresult result = cudac_shared_map(CUDAC_SHARED_PINNED, values.span_bytes, step, &base);

    if (result != CUDA_SUCCESS)
        return result;
    const struct cudac_region region = {.kind = CUDAC_MEMORY_HOST,
                                        .host_address = base,
                                        .device_address = base,
                                        .bytes = values.span_bytes,
                                        .mem = cudac_shared_register(base, values.span_bytes),
                                        .is_wanted = (flags & CU_MEMHOSTALLOC_DEVICEMAP) != 0};

    values.base = base;
    result = cudac_region_add(&region, &values.region);
    if (result == CUDA_SUCCESS) {
        result = enter(&values);
        if (result == CUDA_SUCCESS)
            *address_out = base;
        else
            region_undo(values.region);
    } else {
        xp_mem_unregister(region.mem);
    }
    if (result != CUDA_SUCCESS)
        cudac_shared_release(base, values.span_bytes);
    return result;
}

CUresult cudac_cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);
    uint64_t address;

    if (result != CUDA_SUCCESS)
        return result;
    if (!pp || (Flags & ~(unsigned)ALLOC_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (bytesize == 0) {
        *pp = NULL;
        return CUDA_SUCCESS;
    }
    (void)pthread_mutex_lock(&cudac_memory_lock);
    result = host_alloc(context, bytesize, Flags, &address);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    if (result == CUDA_SUCCESS)
        *pp = memory_pointer(address);
    return result;
}

CUresult cudac_cuMemAllocHost_v2(void **pp, size_t bytesize)
{
    return cudac_cuMemHostAlloc(pp, bytesize, 0);
}

/* ---- freed ------------------------------------------------------------------------------------
 */

/* Under memory_lock. */
static struct cudac_dropped take_out(const struct cudac_alloc *alloc)
{
    struct cudac_region *region = alloc->region;
    uint64_t lo = region->device_address & ~(MEMORY_PAGE - 1);
    struct cudac_dropped dropped = {.region = region, .address = lo};

    if (region->kind == CUDAC_MEMORY_HOST)
        dropped.bytes = alloc->span_bytes;
    else
        dropped.bytes = mem_round_up(region->device_address + region->bytes, MEMORY_PAGE) - lo;
    leave(region->host_address);
    if (region->device_address != region->host_address)
        leave(region->device_address);
    cudac_region_unlink(region);
    return dropped;
}

/* Frees or unregisters the allocation that starts at p, if it is of that kind. */
static CUresult host_drop(const void *p, enum cudac_memory_kind kind, CUresult if_absent)
{
    struct cudac_context *context;
    struct cudac_alloc seen;
    struct cudac_dropped dropped = {.region = NULL};
    uint64_t address = (uintptr_t)p;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!cudac_alloc_find(address, &seen) || seen.base != address || seen.kind != kind ||
        !seen.region || seen.is_alias)
        return if_absent;
    result = cudac_memory_wait_all();
    (void)pthread_mutex_lock(&cudac_memory_lock);
    const struct cudac_alloc *alloc = cudac_alloc_at(address);

    if (alloc && alloc->id == seen.id)
        dropped = take_out(alloc);
    else
        result = if_absent; /* another thread was faster */
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    cudac_dropped_end(&dropped);
    return result;
}

CUresult cudac_cuMemFreeHost(void *p)
{
    return host_drop(p, CUDAC_MEMORY_HOST, CUDA_ERROR_INVALID_VALUE);
}

CUresult cudac_cuMemHostUnregister(void *p)
{
    return host_drop(p, CUDAC_MEMORY_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

/* ---- registered -------------------------------------------------------------------------------
 */

/* Whether every page of the range is mapped in this process. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    unsigned char pages[PAGES_ASKED];
    uint64_t end = address + bytes;

    for (uint64_t at = address & ~(MEMORY_PAGE - 1); at < end; at += PAGES_ASKED * MEMORY_PAGE) {
        uint64_t left = mem_round_up(end - at, MEMORY_PAGE);
        uint64_t step = left < PAGES_ASKED * MEMORY_PAGE ? left : PAGES_ASKED * MEMORY_PAGE;

        if (mincore(memory_pointer(at), step, pages) != 0 && errno == ENOMEM)
            return false;
    }
    return true;
}

/* Under memory_lock. */
static CUresult host_register(struct cudac_context *context, uint64_t address, uint64_t bytes,
                              uint32_t flags)
{
    uint64_t offset = address & (MEMORY_PAGE - 1), alias;
    uint64_t alias_bytes = mem_round_up(offset + bytes, MEMORY_PAGE);
    struct cudac_alloc values = {.base = address,
                                 .bytes = bytes,
                                 .span_bytes = bytes,
                                 .kind = CUDAC_MEMORY_REGISTERED,
                                 .context = context,
                                 .context_id = context->id,
                                 .host_flags = flags};
    CUresult result = cudac_shared_reserve(CUDAC_SHARED_PINNED, alias_bytes, MEMORY_PAGE, &alias);

    if (result != CUDA_SUCCESS)
        return result;
    const struct cudac_region region = {.kind = CUDAC_MEMORY_REGISTERED,
                                        .host_address = address,
                                        .device_address = alias + offset,
                                        .bytes = bytes,
                                        .is_wanted = (flags & CU_MEMHOSTREGISTER_DEVICEMAP) != 0};

    result = cudac_region_add(&region, &values.region);
    if (result != CUDA_SUCCESS)
        goto release;
    result = enter(&values);
    if (result != CUDA_SUCCESS)
        goto remove;
    values.base = region.device_address;
    values.is_alias = true;
    result = enter(&values);
    if (result == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    leave(address);
remove:
    region_undo(values.region);
release:
    cudac_shared_release(alias, alias_bytes);
    return result;
}

CUresult cudac_cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
    struct cudac_context *context;
    uint64_t address = (uintptr_t)p;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (Flags & CU_MEMHOSTREGISTER_IOMEMORY)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!p || bytesize == 0 || (Flags & ~(unsigned)REGISTER_FLAGS) || address + bytesize < address)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    if (cudac_extent_hit(address, address + bytesize))
        result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    else if (!is_mapped(address, bytesize))
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = host_register(context, address, bytesize, Flags);
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

/* ---- questions --------------------------------------------------------------------------------
 */

static CUresult find_host(const void *p, struct cudac_alloc *alloc_out)
{
    if (!cudac_alloc_find((uintptr_t)p, alloc_out) ||
        (alloc_out->kind != CUDAC_MEMORY_HOST && alloc_out->kind != CUDAC_MEMORY_REGISTERED))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* Who asks for the address gives it to kernels, perhaps where no parameter shows it. */
CUresult cudac_cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
    struct cudac_context *context;
    struct cudac_alloc alloc;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pdptr || Flags != 0 || find_host(p, &alloc) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_VALUE;
    (void)pthread_mutex_lock(&cudac_memory_lock);
    struct cudac_alloc *now = cudac_alloc_at((uintptr_t)p);

    if (now && now->id == alloc.id && now->region) {
        cudac_region_want(now->region);
        *pdptr = now->region->device_address + ((uintptr_t)p - now->base);
    } else {
        result = CUDA_ERROR_INVALID_VALUE;
    }
    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return result;
}

CUresult cudac_cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
    struct cudac_context *context;
    struct cudac_alloc alloc;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pFlags || find_host(p, &alloc) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_VALUE;
    *pFlags = alloc.host_flags;
    return CUDA_SUCCESS;
}

/* Takes out the next allocation of the context. Under memory_lock. False: there is none. */
static bool take_next(const struct cudac_context *context, struct cudac_dropped *dropped_out)
{
    struct cudac_alloc *alloc;

    for (uint64_t at = 0; (alloc = cudac_alloc_next(at)) != NULL;) {
        at = alloc->base + alloc->span_bytes;
        if (alloc->context_id != context->id || !alloc->region || alloc->owner)
            continue;
        *dropped_out =
            alloc->kind == CUDAC_MEMORY_MANAGED ? cudac_managed_take_out(alloc) : take_out(alloc);
        return true;
    }
    return false;
}

void cudac_host_context_close(struct cudac_context *context)
{
    struct cudac_dropped dropped;

    for (;;) {
        (void)pthread_mutex_lock(&cudac_memory_lock);
        bool any = take_next(context, &dropped);

        (void)pthread_mutex_unlock(&cudac_memory_lock);
        if (!any)
            return;
        cudac_dropped_end(&dropped);
    }
}
