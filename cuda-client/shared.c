/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/shared.c - host memory at agreed addresses that workers on this host can map.
 *
 * One sparse memory file an area, as large as the area: an address is an offset in it, descriptors
 * do not grow with allocations, and freed memory is punched out, so that it is zeroed when it is
 * used again. The client takes the upper half of an area; drivers in workers, which know nothing of
 * ours, place their own pinned and managed memory from the bottom.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "cuda-client/region.h"
#include "ucx-transport/xp.h"

enum {
    AREAS = 2,
    SKIPS_MAX = 64, /* foreign mappings to step over before giving up */
};

/* Under memory_lock. */
static struct {
    int fd; /* plus one: 0 is not opened */
    struct cuc_ranges taken;
} areas[AREAS];
static struct cuc_ranges elsewhere; /* outside the areas, where drivers placed variables */

static struct cuc_span span_of(enum cudac_shared_area area)
{
    const struct cuc_layout *row = cudac_layout();

    return area == CUDAC_SHARED_PINNED ? row->pinned : row->managed;
}

/* The area whose memory file has a place for the address, or -1. */
static int area_of(uint64_t address)
{
    for (int i = 0; i < AREAS; i++) {
        const struct cuc_span span = span_of((enum cudac_shared_area)i);

        if (address >= span.base && address - span.base < span.bytes)
            return i;
    }
    return -1;
}

static int file_of(enum cudac_shared_area area)
{
    const char *name = area == CUDAC_SHARED_PINNED ? "cuda-pinned" : "cuda-managed";
    int fd;

    if (areas[area].fd)
        return areas[area].fd - 1;
    fd = fab_fault("memfd") ? -1 : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    /* Workers map only what cannot shrink under them. */
    if (ftruncate(fd, (off_t)span_of(area).bytes) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        (void)close(fd);
        return -1;
    }
    areas[area].fd = fd + 1;
    return fd;
}

bool cudac_shared_fits(uint64_t bytes)
{
    return bytes / MEMORY_PAGE <= (uint64_t)sysconf(_SC_PHYS_PAGES);
}

/* Without reserved ranges somebody else's mapping may be in the way. */
static int fixed_flag(void)
{
    return cudac_layout_is_reserved() ? MAP_FIXED : MAP_FIXED_NOREPLACE;
}

static bool map_file(enum cudac_shared_area area, uint64_t address, uint64_t bytes)
{
    int fd = file_of(area);
    void *wanted = memory_pointer(address), *got = MAP_FAILED;

    if (fd >= 0 && !fab_fault("mmap"))
        got = mmap(wanted, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | fixed_flag(),
                   fd, (off_t)(address - span_of(area).base));
    if (got == MAP_FAILED)
        return false;
    if (got != wanted) {
        (void)munmap(got, bytes);
        errno = EEXIST;
        return false;
    }
    (void)madvise(got, bytes, MADV_DONTDUMP);
    /* A forked child has no driver. */
    (void)madvise(got, bytes, MADV_DONTFORK);
    return true;
}

/* No access again, and nobody else's. */
static void unmap(uint64_t address, uint64_t bytes)
{
    if (cudac_layout_is_reserved())
        (void)mmap(memory_pointer(address), bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    else
        (void)munmap(memory_pointer(address), bytes);
}

CUresult cudac_shared_reserve(enum cudac_shared_area area, uint64_t bytes, uint64_t align,
                              uint64_t *address_out)
{
    const struct cuc_span span = span_of(area);
    uint64_t lo = span.base + span.bytes / 2;

    if (cuc_ranges_first_fit(&areas[area].taken, lo, span.base + span.bytes, bytes, align,
                             address_out) &&
        cuc_ranges_insert(&areas[area].taken, *address_out, *address_out + bytes, NULL))
        return CUDA_SUCCESS;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cudac_shared_map(enum cudac_shared_area area, uint64_t bytes, uint64_t align,
                          uint64_t *address_out)
{
    CUresult result = cudac_shared_reserve(area, bytes, align, address_out);

    /* What somebody else has mapped there stays taken. */
    for (int skips = 0; result == CUDA_SUCCESS; skips++) {
        if (map_file(area, *address_out, bytes))
            return CUDA_SUCCESS;
        if (errno != EEXIST || skips == SKIPS_MAX) {
            (void)cuc_ranges_remove(&areas[area].taken, *address_out);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        result = cudac_shared_reserve(area, bytes, align, address_out);
    }
    return result;
}

/* A driver in another process chose the address: here somebody else may have it. */
static bool map_private(uint64_t address, uint64_t bytes)
{
    void *wanted = memory_pointer(address);
    void *got = mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return false;
    if (got != wanted) {
        (void)munmap(got, bytes);
        return false;
    }
    (void)madvise(got, bytes, MADV_DONTFORK);
    return true;
}

CUresult cudac_shared_map_at(uint64_t address, uint64_t bytes)
{
    int area = area_of(address);
    struct cuc_ranges *taken = area < 0 ? &elsewhere : &areas[area].taken;

    if (cuc_ranges_hit(taken, address, address + bytes) ||
        !cuc_ranges_insert(taken, address, address + bytes, NULL))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (area < 0 ? map_private(address, bytes)
                 : map_file((enum cudac_shared_area)area, address, bytes))
        return CUDA_SUCCESS;
    (void)cuc_ranges_remove(taken, address);
    return CUDA_ERROR_NOT_SUPPORTED;
}

bool cudac_shared_has(uint64_t address)
{
    int area = area_of(address);

    return cuc_ranges_find(area < 0 ? &elsewhere : &areas[area].taken, address) != NULL;
}

void cudac_shared_release(uint64_t address, uint64_t bytes)
{
    int area = area_of(address);

    if (area < 0)
        return;
    unmap(address, bytes);
    if (areas[area].fd)
        (void)fallocate(areas[area].fd - 1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(address - span_of((enum cudac_shared_area)area).base),
                        (off_t)bytes);
    (void)cuc_ranges_remove(&areas[area].taken, address);
}

bool cudac_shared_alias(uint64_t base, uint64_t address, uint64_t bytes)
{
    int area = area_of(base);
    void *got = MAP_FAILED;

    if (area >= 0 && areas[area].fd && !fab_fault("mmap"))
        got = mmap(memory_pointer(address), bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE | MAP_FIXED, areas[area].fd - 1,
                   (off_t)(base - span_of((enum cudac_shared_area)area).base));
    if (got == MAP_FAILED)
        return false;
    (void)madvise(got, bytes, MADV_DONTDUMP);
    (void)madvise(got, bytes, MADV_DONTFORK);
    return true;
}

void cudac_shared_unalias(uint64_t address, uint64_t bytes)
{
    (void)mmap(memory_pointer(address), bytes, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

struct xp_mem *cudac_shared_register(uint64_t address, uint64_t bytes)
{
    int area = area_of(address);
    struct xp_mem *mem = NULL;

    if (area < 0 || areas[area].fd == 0)
        return NULL;
    const struct xp_mem_config config = {
        .address = memory_pointer(address),
        .size_bytes = bytes,
        .memory = XP_MEMORY_HOST,
        .fd = areas[area].fd - 1,
        .fd_offset = address - span_of((enum cudac_shared_area)area).base,
        .peer_writable = true,
    };

    return xp_mem_register(cudac_node(), &config, &mem, NULL) == FAB_OK ? mem : NULL;
}
