/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/host.c - page-locked host memory: allocated in the pinned range, or registered.
 *
 * Every device sees it at the same address. Source: CUDA Driver API, Memory Management.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

enum {
    ALLOC_FLAGS =
        CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED,
    REGISTER_FLAGS =
        CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY,
    PAGES_ASKED = 1024, /* of the kernel at once */
};

bool mem_host_fits(uint64_t bytes)
{
    return bytes / MEM_PAGE <= (uint64_t)sysconf(_SC_PHYS_PAGES);
}

/* Enters host memory into both tables. Under mem_lock. */
static CUresult enter(const struct mem_alloc *values)
{
    struct mem_extent extent = {
        .kind = values->kind, .read_mask = MEM_ALL_DEVICES, .write_mask = MEM_ALL_DEVICES};
    struct mem_alloc *alloc;

    if (values->kind == MEM_REGISTERED && (values->host_flags & CU_MEMHOSTREGISTER_READ_ONLY))
        extent.write_mask = 0;
    CUresult result = mem_extent_add(values->base, values->base + values->span_bytes, &extent);

    if (result != CUDA_SUCCESS)
        return result;
    result = mem_alloc_add(values, &alloc);
    if (result != CUDA_SUCCESS)
        mem_extent_remove(values->base);
    return result;
}

static CUresult host_alloc(struct soft_context *context, uint64_t bytes, uint32_t flags,
                           uint64_t *address_out)
{
    bool huge = bytes >= MEM_GRANULE;
    uint64_t step = huge ? MEM_GRANULE : MEM_PAGE; /* no gaps: neighbours are one range */
    struct mem_alloc values = {.bytes = bytes,
                               .span_bytes = mem_round_up(bytes, step),
                               .kind = MEM_HOST,
                               .context = context,
                               .host_flags = flags};

    if (bytes > UINT64_MAX - MEM_GRANULE || !mem_host_fits(bytes) ||
        !va_reserve(VA_PINNED, 0, values.span_bytes, step, &values.base))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!va_open(values.base, values.span_bytes, huge) || enter(&values) != CUDA_SUCCESS) {
        va_release(values.base, values.span_bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *address_out = values.base;
    return CUDA_SUCCESS;
}

CUresult soft_cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);
    uint64_t address;

    if (result != CUDA_SUCCESS)
        return result;
    if (!pp || (Flags & ~(unsigned)ALLOC_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (bytesize == 0) {
        *pp = NULL;
        return CUDA_SUCCESS;
    }
    (void)pthread_mutex_lock(&mem_lock);
    result = host_alloc(context, bytesize, Flags, &address);
    (void)pthread_mutex_unlock(&mem_lock);
    if (result == CUDA_SUCCESS)
        *pp = mem_pointer(address);
    return result;
}

CUresult soft_cuMemAllocHost_v2(void **pp, size_t bytesize)
{
    return soft_cuMemHostAlloc(pp, bytesize, 0);
}

void mem_host_free(struct mem_alloc *alloc)
{
    uint64_t base = alloc->base, bytes = alloc->span_bytes;
    enum mem_kind kind = alloc->kind;

    mem_extent_remove(base);
    mem_alloc_remove(alloc);
    if (kind == MEM_HOST)
        va_release(base, bytes);
}

/* Host memory may be in use by every device. */
static CUresult wait_all(void)
{
    CUresult result = CUDA_SUCCESS;

    for (int i = 0; i < soft_device_count(); i++) {
        CUresult one = soft_device_wait(soft_device_at(i));

        if (result == CUDA_SUCCESS)
            result = one;
    }
    return result;
}

/* Frees or unregisters the allocation that starts at p, if it is of that kind. */
static CUresult host_drop(const void *p, enum mem_kind kind, CUresult if_absent)
{
    struct soft_context *context;
    struct mem_info info;
    uint64_t address = (uintptr_t)p;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!soft_mem_find(address, &info) || info.base != address || info.kind != kind)
        return if_absent;
    result = wait_all();
    (void)pthread_mutex_lock(&mem_lock);
    struct mem_alloc *alloc = mem_alloc_find(address);

    if (alloc && alloc->id == info.id)
        mem_host_free(alloc);
    else
        result = if_absent; /* another thread was faster */
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemFreeHost(void *p)
{
    return host_drop(p, MEM_HOST, CUDA_ERROR_INVALID_VALUE);
}

CUresult soft_cuMemHostUnregister(void *p)
{
    return host_drop(p, MEM_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

/* Whether every page of the range is mapped in this process. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    unsigned char pages[PAGES_ASKED];
    uint64_t end = address + bytes;

    for (uint64_t at = address & ~(MEM_PAGE - 1); at < end; at += PAGES_ASKED * MEM_PAGE) {
        uint64_t left = mem_round_up(end - at, MEM_PAGE);
        uint64_t step = left < PAGES_ASKED * MEM_PAGE ? left : PAGES_ASKED * MEM_PAGE;

        if (mincore(mem_pointer(at), step, pages) != 0 && errno == ENOMEM)
            return false;
    }
    return true;
}

CUresult soft_cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
    struct soft_context *context;
    uint64_t address = (uintptr_t)p;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (Flags & CU_MEMHOSTREGISTER_IOMEMORY)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!p || bytesize == 0 || (Flags & ~(unsigned)REGISTER_FLAGS) || address + bytesize < address)
        return CUDA_ERROR_INVALID_VALUE;
    struct mem_alloc values = {.base = address,
                               .bytes = bytesize,
                               .span_bytes = bytesize,
                               .kind = MEM_REGISTERED,
                               .context = context,
                               .host_flags = Flags};

    (void)pthread_mutex_lock(&mem_lock);
    if (mem_extent_hit(address, address + bytesize))
        result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    else if (!is_mapped(address, bytesize))
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = enter(&values);
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
    struct soft_context *context;
    struct mem_info info;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pdptr || Flags != 0 || !soft_mem_find((uintptr_t)p, &info) ||
        (info.kind != MEM_HOST && info.kind != MEM_REGISTERED))
        return CUDA_ERROR_INVALID_VALUE;
    *pdptr = info.device_alias;
    return CUDA_SUCCESS;
}

CUresult soft_cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
    struct soft_context *context;
    struct mem_info info;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (!pFlags || !soft_mem_find((uintptr_t)p, &info) ||
        (info.kind != MEM_HOST && info.kind != MEM_REGISTERED))
        return CUDA_ERROR_INVALID_VALUE;
    *pFlags = info.host_flags;
    return CUDA_SUCCESS;
}

void mem_host_context_close(struct soft_context *context)
{
    struct mem_alloc *alloc;

    for (uint64_t at = 0; (alloc = mem_alloc_next(at)) != NULL;) {
        at = alloc->base + alloc->span_bytes;
        if (alloc->context != context)
            continue;
        if (alloc->kind == MEM_HOST || alloc->kind == MEM_REGISTERED)
            mem_host_free(alloc);
        else if (alloc->kind == MEM_MANAGED)
            mem_managed_free(alloc);
    }
}
