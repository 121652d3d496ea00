/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/memory.h - every address that is not the program's own: what it is and whose.
 *
 * Allocations live in the slices of the address row (cuda-common/layout.h), which the client and
 * all workers share, so an address names its vgpu. One row an allocation, one an extent (a mapping
 * in a worker). Thread: any, locked inside; look-ups are quick.
 */
#ifndef CUDA_CLIENT_MEMORY_H
#define CUDA_CLIENT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-client/context.h"
#include "cuda-common/kernel_fit.h"

enum cudac_memory_kind {
    CUDAC_MEMORY_NONE,       /* pageable memory of the program, or nothing at all */
    CUDAC_MEMORY_DEVICE,     /* cuMemAlloc and kin, pools */
    CUDAC_MEMORY_VIRTUAL,    /* cuMemMap of device memory */
    CUDAC_MEMORY_FIXED,      /* what a driver placed: module variables */
    CUDAC_MEMORY_HOST,       /* cuMemHostAlloc, cuMemAllocHost, and cuMemMap of host memory */
    CUDAC_MEMORY_REGISTERED, /* cuMemHostRegister: by its own address or its device alias */
    CUDAC_MEMORY_MANAGED,    /* cuMemAllocManaged, __managed__ */
};

/* What is known of an address: a copy, valid at the time of the call. */
struct cudac_memory_info {
    enum cudac_memory_kind kind;
    uint64_t base, bytes;          /* the allocation that holds it */
    uint64_t extent_end;           /* accesses from the address on are inside mappings up to here */
    struct cudac_vgpu *vgpu;       /* owner; NULL for host memory */
    struct cudac_context *context; /* that made it; may be NULL */
    uint64_t host_address;   /* HOST, REGISTERED, MANAGED: where the host reads and writes it */
    uint64_t device_address; /* the address that kernels use */
    uint64_t window_id;      /* xp_mem_id of the registration that holds it; 0: none */
    uint64_t window_offset;  /* of this address in it */
    const void *xp_mem;      /* struct xp_mem *: for bulk transfers; may be NULL */
};

/* False for CUDAC_MEMORY_NONE. CUDA_ERROR_... is not asked here: see cudac_memory_check(). An
 * address of driver-placed memory that two devices own: false, with one line on stderr naming both.
 */
bool cudac_memory_find(uint64_t address, struct cudac_memory_info *info_out);

/* For copies, sets and memory operations: [address, address + bytes) must lie in mapped memory
 * that the context may access (NULL: any device). CUDA_ERROR_INVALID_VALUE. */
CUresult cudac_memory_check(struct cudac_context *context, uint64_t address, uint64_t bytes,
                            bool write);

/* Whether an address lies in the layout's ranges: then it is no pageable memory of the program's,
 * and where cudac_memory_find() knows nothing of it, it may not be touched. */
bool cudac_memory_is_ours(uint64_t address);

/* What a worker answers with CUDA_ERROR_OUT_OF_MEMORY may be tried again if this is true: pools of
 * the device gave back what they did not use. */
bool cudac_memory_reclaim(struct cudac_vgpu *vgpu);

/* Device attributes that follow from where memory lies: true if this is one, with its value; then
 * the worker's own answer does not count. */
bool cudac_memory_attribute(const struct cudac_vgpu *vgpu, CUdevice_attribute attribute,
                            int *value_out);

/* A module variable that the worker's driver placed. Managed ones become host-readable at the same
 * address. Gone with cudac_memory_remove_fixed() (module unload) or the context; before the worker
 * hears of the end, since its driver may give the place to another module at once. */
CUresult cudac_memory_add_fixed(struct cudac_context *context, uint64_t address, uint64_t bytes,
                                bool managed, const void *owner);
void cudac_memory_remove_fixed(const void *owner);

/* ---- host memory that kernels use (managed, mapped, pinned) -----------------------------------
 */

/* Before a launch: what it may touch of host memory is brought to the worker, in stream order.
 * `packed`: the parameters, each of which is looked through for addresses. Cheap when there is
 * none. */
CUresult cudac_memory_before_launch(struct cudac_stream *stream, const struct cuc_params *params,
                                    const uint8_t *packed);
/* After a synchronisation of the worker's context (or one stream of it): what kernels may have
 * written comes back. Called by cudac_context_wait, cudac_stream_wait, event waits, queries of
 * streams and events that answer CUDA_SUCCESS, and blocking copies, before they return. */
CUresult cudac_memory_after_wait(struct cudac_worker *worker);
/* The same for a host function whose turn in its stream has come: it sees what copies and kernels
 * before it wrote. Blocks; not on the control engine. */
CUresult cudac_memory_before_host_call(struct cudac_worker *worker);
/* When it has returned, before its stream goes on: what it wrote goes to where the stream's kernels
 * see it. The same threads. */
void cudac_memory_after_host_call(void);
/* When work that memory was given to is posted, and at the end of the driver call at the latest:
 * until then nobody takes the memory back. */
void cudac_memory_call_end(void);

/* Streams at `worker` go on when something at `other` is done: from now on a wait for `worker` also
 * brings home what `other` has. Before the wait is posted, also where it needs none. */
void cudac_memory_waits_for(const struct cudac_worker *worker, const struct cudac_worker *other);

struct cudac_memory_place {
    /* The bytes live at that worker now, so the copy goes there (device_address; device to device
     * for the worker). Else the host's bytes are meant (host_address), as pageable memory. */
    bool is_away;
    bool is_live;    /* away, and the host may write it meanwhile: see cudac_memory_catch_up() */
    bool has_waited; /* for other work; what was said of other addresses before may be over */
};
/* Around a copy or set, in a stream at `worker`, one side of which is MANAGED, HOST or REGISTERED
 * memory. What another worker has is waited for and brought home first. */
struct cudac_memory_place cudac_memory_place(struct cudac_worker *worker, uint64_t address);
/* Around two of these, for one copy. */
void cudac_memory_turn_begin(void);
void cudac_memory_turn_end(void);
/* When the stream comes to this, what the host has written by then goes to the worker, and the
 * stream waits for it: a copy behind it reads, and overwrites, what the program means. */
CUresult cudac_memory_catch_up(struct cudac_stream *stream);

#endif /* CUDA_CLIENT_MEMORY_H */
