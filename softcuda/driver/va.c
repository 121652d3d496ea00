/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/va.c - the address table and first-fit reservations in it.
 */
#include "softcuda/driver/va.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "softcuda/driver/mem_ranges.h"

#define GIB(n) (UINT64_C(n) << 30)
#define TIB(n) (UINT64_C(n) << 40)

struct va_span {
    uint64_t base, bytes;
};

struct va_row {
    struct va_span slice, fixed; /* of device 0; the next devices follow */
    struct va_span pinned, managed, reserve;
    uint64_t end; /* of all addresses that a process may have */
    int device_max;
};

/* Clear of programs at 0x55.., libraries at 0x7f.. and ASan's shadow below 0x1000_8000_0000. */
static const struct va_row usual = {
    .slice = {0x200000000000, GIB(512)},
    .fixed = {0x100200000000, GIB(64)},
    .pinned = {0x180000000000, TIB(8)},
    .managed = {0x400000000000, TIB(16)},
    .reserve = {0x140200000000, 0x180000000000 - 0x140200000000},
    .end = UINT64_C(1) << 47,
    .device_max = 64,
};

/* ThreadSanitizer leaves a program the lowest 512 GiB, where no shadow lies. */
static const struct va_row under_tsan = {
    .slice = {GIB(64), GIB(16)},
    .fixed = {GIB(448), GIB(1)},
    .pinned = {GIB(320), GIB(64)},
    .managed = {GIB(384), GIB(64)},
    .reserve = {GIB(464), GIB(48)},
    .end = GIB(512),
    .device_max = 16,
};

/* Present when the program (not only this library) is built with ThreadSanitizer. */
extern void __tsan_init(void) __attribute__((weak));

enum {
    VA_PAGE = 4096,
    VA_SKIPS_MAX = 64, /* foreign mappings to step over before giving up */
};

static struct mem_ranges taken;

static const struct va_row *row(void)
{
    return &__tsan_init != NULL ? &under_tsan : &usual;
}

int va_device_max(void)
{
    return row()->device_max;
}

static struct va_span area_span(enum va_area area, int device)
{
    const struct va_row *r = row();
    struct va_span span = {0};

    switch (area) {
    case VA_SLICE:
        span = r->slice;
        span.base += (uint64_t)device * span.bytes;
        break;
    case VA_FIXED:
        span = r->fixed;
        span.base += (uint64_t)device * span.bytes;
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
        const struct va_span span = area_span(areas[i], 0);

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
    if (mem_ranges_hit(&taken, address, address + bytes))
        return false;
    if (!mem_ranges_insert(&taken, address, address + bytes, NULL))
        return false;
    if (map_at(address, bytes))
        return true;
    int saved = errno;

    (void)mem_ranges_remove(&taken, address);
    errno = saved;
    return false;
}

static bool reserve_in(struct va_span span, uint64_t bytes, uint64_t align, uint64_t *address_out)
{
    uint64_t from = span.base, address;

    for (int skips = 0; skips < VA_SKIPS_MAX; skips++) {
        if (!mem_ranges_first_fit(&taken, from, span.base + span.bytes, bytes, align, &address))
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
    (void)mem_ranges_remove(&taken, address);
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
