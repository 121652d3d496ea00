/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem.h - every byte a kernel or copy may touch: what it is and whose.
 *
 * A device address is a host address of this process (design D4). One table holds all extents:
 * device blocks and pieces, virtual-memory mappings, pinned, registered and managed host memory,
 * module variables. Nothing is device memory without a row. Thread: any, locked inside; look-ups
 * take no lock that an allocating thread holds for long.
 */
#ifndef SOFTCUDA_DRIVER_MEM_H
#define SOFTCUDA_DRIVER_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

struct soft_context;
struct soft_device;
struct warp_range;

enum mem_kind {
    MEM_DEVICE,     /* cuMemAlloc and kin, pools */
    MEM_VIRTUAL,    /* cuMemMap */
    MEM_HOST,       /* cuMemHostAlloc, cuMemAllocHost */
    MEM_REGISTERED, /* cuMemHostRegister */
    MEM_MANAGED,    /* cuMemAllocManaged, __managed__ */
    MEM_FIXED,      /* module variables, printf buffers, other driver-made memory */
};

/* What is known of an address: a copy, valid at the time of the call. */
struct mem_info {
    enum mem_kind kind;
    uint64_t base, bytes;         /* the allocation that holds it */
    struct soft_device *device;   /* owner; NULL for host memory */
    struct soft_context *context; /* that made it */
    uint64_t id;                  /* CU_POINTER_ATTRIBUTE_BUFFER_ID */
    uint32_t host_flags;          /* CU_MEMHOSTALLOC_* or CU_MEMHOSTREGISTER_* */
    uint64_t device_alias;        /* registered: address to use on the device (same here) */
    CUmemoryPool pool;
};

/* False when no row holds the address (it is pageable host memory or nothing at all). */
bool soft_mem_find(uint64_t address, struct mem_info *info_out);

/* For copies and sets: CUDA_SUCCESS when [address, address + bytes) lies in mapped memory that
 * `context` may access, CUDA_ERROR_INVALID_VALUE otherwise. NULL: that any device may access (for
 * copies between devices that are not peers). */
CUresult soft_mem_check(struct soft_context *context, uint64_t address, uint64_t bytes, bool write);

/* struct warp_env.find_range for kernels of a context (arg: struct soft_context *). */
bool soft_mem_find_range(void *context, uint64_t address, struct warp_range *range_out);

/* When stream-ordered frees are pending on the device: waits for them and returns true, so that an
 * allocation may be tried again. No lock is held that work of the device takes. */
bool soft_mem_reclaim(struct soft_device *device);

/* Driver-made memory on the context's device: charged, zeroed, freed with the context at the
 * latest. `align` is a power of two. managed: readable and writable by the host (__managed__
 * variables). */
CUresult soft_mem_alloc_fixed(struct soft_context *context, uint64_t bytes, uint64_t align,
                              bool managed, uint64_t *address_out);
void soft_mem_free_fixed(struct soft_context *context, uint64_t address);

/* Context life: takes / gives back the per-context reserve; frees what the context still owns. */
CUresult soft_mem_context_open(struct soft_context *context);
void soft_mem_context_close(struct soft_context *context);

#endif /* SOFTCUDA_DRIVER_MEM_H */
