/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/phys.c - physical memory: created, mapped, and found again by a descriptor.
 *
 * An exported descriptor is an empty file that names the memory to this process alone: the memory
 * itself is at a worker. Another process's descriptor is refused, not guessed at.
 */
#include "cuda-client/phys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "cuda-client/region.h"
#include "ucx-transport/xp.h"

#define TOKEN_NAME "cuda-client-memory"

static struct cudac_phys *all;
static uint64_t last_id;

/* ---- making -----------------------------------------------------------------------------------
 */

static CUresult create_at_worker(struct cudac_phys *phys)
{
    struct cudac_worker *worker = cudac_vgpu_worker(phys->vgpu);
    const struct wire_phys_create message = {.phys = cudac_id_new(),
                                             .bytes = phys->bytes,
                                             .vgpu = (int32_t)cudac_vgpu_index(phys->vgpu),
                                             .numa_node = -1};
    struct wire_parts parts;

    wire_put_phys_create(&message, &parts);
    phys->wire_id = message.phys;
    return cudac_memory_call(worker, WIRE_PHYS_CREATE, &parts);
}

static CUresult create_here(struct cudac_phys *phys)
{
    CUresult result =
        cudac_shared_map(CUDAC_SHARED_PINNED, phys->bytes, CUC_GRANULE, &phys->host_base);

    if (result == CUDA_SUCCESS)
        phys->mem = cudac_shared_register(phys->host_base, phys->bytes);
    return result;
}

CUresult cudac_phys_create(struct cudac_vgpu *vgpu, uint64_t bytes,
                           const CUmemAllocationProp *properties, struct cudac_phys **phys_out)
{
    struct cudac_phys *phys = fab_alloc_zeroed(1, sizeof(*phys));

    if (!phys)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *phys = (struct cudac_phys){
        .vgpu = vgpu, .bytes = bytes, .refs = 1, .properties = *properties, .next = all};
    phys->properties.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_NONE;
    CUresult result = vgpu ? create_at_worker(phys) : create_here(phys);

    if (result != CUDA_SUCCESS) {
        free(phys);
        return result;
    }
    phys->id = ++last_id;
    all = phys;
    *phys_out = phys;
    return CUDA_SUCCESS;
}

static void release(struct cudac_phys *phys)
{
    struct wire_parts parts;

    if (phys->vgpu) {
        wire_put_phys_release(&(struct wire_phys_release){.phys = phys->wire_id}, &parts);
        /* A worker that is lost has released it. */
        (void)cudac_memory_call(cudac_vgpu_worker(phys->vgpu), WIRE_PHYS_RELEASE, &parts);
    } else {
        xp_mem_unregister(phys->mem);
        cudac_shared_release(phys->host_base, phys->bytes);
    }
}

void cudac_phys_put(struct cudac_phys *phys)
{
    struct cudac_phys **at = &all;

    if (--phys->refs > 0)
        return;
    while (*at != phys)
        at = &(*at)->next;
    *at = phys->next;
    release(phys);
    if (phys->token_fd)
        (void)close(phys->token_fd - 1);
    free(phys);
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

CUresult cudac_phys_export(struct cudac_phys *phys, int *fd_out)
{
    if (!phys->token_fd) {
        int token = fab_fault("memfd") ? -1 : memfd_create(TOKEN_NAME, MFD_CLOEXEC);

        if (token < 0)
            return CUDA_ERROR_OPERATING_SYSTEM;
        phys->token_fd = token + 1;
    }
    *fd_out = fcntl(phys->token_fd - 1, F_DUPFD_CLOEXEC, 3);
    return *fd_out < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

static bool is_token(int fd)
{
    char link[64], name[64];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof(name) - 1);

    if (length < 0)
        return false;
    name[length] = '\0';
    return strncmp(name, "/memfd:" TOKEN_NAME, sizeof("/memfd:" TOKEN_NAME) - 1) == 0;
}

CUresult cudac_phys_import(int fd, struct cudac_phys **phys_out)
{
    struct stat wanted, had;

    if (fstat(fd, &wanted) != 0 || !is_token(fd))
        return CUDA_ERROR_INVALID_VALUE;
    for (struct cudac_phys *at = all; at; at = at->next) {
        if (at->token_fd && fstat(at->token_fd - 1, &had) == 0 && had.st_dev == wanted.st_dev &&
            had.st_ino == wanted.st_ino) {
            at->refs++;
            *phys_out = at;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- mapping ----------------------------------------------------------------------------------
 */

CUresult cudac_phys_map(struct cudac_phys *phys, uint64_t address, uint64_t bytes)
{
    const struct wire_phys_map message = {
        .address = address, .bytes = bytes, .phys = phys->wire_id};
    struct wire_parts parts;

    if (!phys->vgpu)
        return cudac_shared_alias(phys->host_base, address, bytes) ? CUDA_SUCCESS
                                                                   : CUDA_ERROR_OUT_OF_MEMORY;
    wire_put_phys_map(&message, &parts);
    return cudac_memory_call(cudac_vgpu_worker(phys->vgpu), WIRE_PHYS_MAP, &parts);
}

void cudac_phys_unmap(struct cudac_phys *phys, uint64_t address, uint64_t bytes)
{
    const struct wire_phys_unmap message = {.address = address, .bytes = bytes};
    struct wire_parts parts;

    if (!phys->vgpu) {
        cudac_shared_unalias(address, bytes);
        return;
    }
    wire_put_phys_unmap(&message, &parts);
    (void)cudac_memory_call(cudac_vgpu_worker(phys->vgpu), WIRE_PHYS_UNMAP, &parts);
}
