/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/va.c - first-fit reservations in the address layout.
 */
#include "softcuda/driver/va.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "cuda-common/layout.h"
#include "cuda-common/ranges.h"
#include "softcuda/driver/device.h"

#define GIB(n) (UINT64_C(n) << 30)

enum {
    VA_PAGE = 4096,
    VA_SKIPS_MAX = 64, /* foreign mappings to step over before giving up */
};

static struct cuc_ranges taken;

static const struct cuc_layout *row(void)
{
    return cuc_layout_row((uint32_t)__builtin_ctz(cuc_layout_suits()));
}

int va_device_max(void)
{
    return row()->device_max;
}

static struct cuc_span area_span(enum va_area area, int device)
{
    const struct cuc_layout *r = row();
    struct cuc_span span = {0};

    switch (area) {
    case VA_SLICE:
        span = r->slice;
        span.base += (uint64_t)device * span.bytes;
        break;
    case VA_FIXED:
        span = r->fixed;
        span.base += (soft_device_models()->first_place + (uint64_t)device) * span.bytes;
        break;
    case VA_PINNED:
        span = r->pinned;
        break;
    case VA_MANAGED:
        span = r->managed;
        break;
    case VA_RESERVE:
        span = r->reserve;
        break;
    }
    return span;
}

uint64_t va_base(enum va_area area, int device)
{
    return area_span(area, device).base;
}

uint64_t va_bytes(enum va_area area)
{
    return area_span(area, 0).bytes;
}

bool va_is_ours(uint64_t address)
{
    static const enum va_area areas[] = {VA_SLICE, VA_FIXED, VA_PINNED, VA_MANAGED, VA_RESERVE};

    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        const bool each = areas[i] == VA_SLICE || areas[i] == VA_FIXED;
        const struct cuc_span span = areas[i] == VA_FIXED ? row()->fixed : area_span(areas[i], 0);

        if (address >= span.base &&
            address - span.base < span.bytes * (each ? (uint64_t)va_device_max() : 1))
            return true;
    }
    return false;
}

/* Addresses of this process are numbers in the tables and pointers only here and where memory is
 * touched. */
static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

static bool map_at(uint64_t address, uint64_t bytes)
{
    void *wanted = pointer(address);
    void *got = mmap(wanted, bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return false;
    if (got != wanted) { /* kernels before 4.17 take the flag for a hint */
        (void)munmap(got, bytes);
        errno = EEXIST;
        return false;
    }
    (void)madvise(got, bytes, MADV_DONTDUMP); /* only makes core dumps smaller */
    return true;
}

bool va_reserve_at(uint64_t address, uint64_t bytes)
{
    if (address < VA_PAGE || address % VA_PAGE != 0 || address >= row()->end ||
        bytes > row()->end - address)
        return false;
    if (cuc_ranges_hit(&taken, address, address + bytes))
        return false;
    if (!cuc_ranges_insert(&taken, address, address + bytes, NULL))
        return false;
    if (map_at(address, bytes))
        return true;
    int saved = errno;

    (void)cuc_ranges_remove(&taken, address);
    errno = saved;
    return false;
}

static bool reserve_in(struct cuc_span span, uint64_t bytes, uint64_t align, uint64_t *address_out)
{
    uint64_t from = span.base, address;

    for (int skips = 0; skips < VA_SKIPS_MAX; skips++) {
        if (!cuc_ranges_first_fit(&taken, from, span.base + span.bytes, bytes, align, &address))
            return false;
        if (va_reserve_at(address, bytes)) {
            *address_out = address;
            return true;
        }
        if (errno != EEXIST)
            return false;
        from = address + (align > GIB(1) ? align : GIB(1)); /* somebody else's mapping */
    }
    return false;
}

bool va_reserve(enum va_area area, int device, uint64_t bytes, uint64_t align,
                uint64_t *address_out)
{
    if (align < VA_PAGE)
        align = VA_PAGE;
    if (reserve_in(area_span(area, device), bytes, align, address_out))
        return true;
    return area == VA_SLICE && reserve_in(area_span(VA_RESERVE, 0), bytes, align, address_out);
}

bool va_open(uint64_t address, uint64_t bytes, bool huge)
{
    if (fab_fault("mprotect") || mprotect(pointer(address), bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    /* A forked child has no driver. Without this it would keep the memory, and the parent would pay
     * for copies on write. */
    (void)madvise(pointer(address), bytes, MADV_DONTFORK);
    if (huge)
        (void)madvise(pointer(address), bytes, MADV_HUGEPAGE); /* only makes it faster */
    return true;
}

void va_release(uint64_t address, uint64_t bytes)
{
    (void)munmap(pointer(address), bytes);
    (void)cuc_ranges_remove(&taken, address);
}

void va_blank(uint64_t address, uint64_t bytes)
{
    void *got = mmap(pointer(address), bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

    if (got != MAP_FAILED)
        (void)madvise(got, bytes, MADV_DONTDUMP);
    else
        (void)mprotect(pointer(address), bytes,
                       PROT_NONE); /* out of mappings: at least no access */
}
