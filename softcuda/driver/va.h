/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/va.h - where memory lies: the address table and reservations in it.
 *
 * The table follows "Addresses are the same everywhere" in ARCHITECTURE.md: each device has a
 * slice, pinned and managed memory have ranges of their own. A row holds bases and sizes; no
 * address or size of the layout stands anywhere else. Ranges are reserved from the operating
 * system only when they are taken, so that an address-space limit counts what is in use.
 * Placement is first fit: the same calls give the same addresses. Thread: mem_lock (mem_int.h).
 */
#ifndef SOFTCUDA_DRIVER_VA_H
#define SOFTCUDA_DRIVER_VA_H

#include <stdbool.h>
#include <stdint.h>

enum va_area {
    VA_SLICE,   /* a device's memory; continues in VA_RESERVE when the slice is taken */
    VA_FIXED,   /* a device's driver-made memory */
    VA_PINNED,  /* page-locked host memory */
    VA_MANAGED, /* managed memory */
    VA_RESERVE, /* cuMemAddressReserve without a wanted address */
};

/* Reserves `bytes` (a multiple of the page size) without access. `device` is an ordinal for
 * VA_SLICE and VA_FIXED, else 0. `align`: a power of two. False: no room, in the area or in the
 * process. */
bool va_reserve(enum va_area area, int device, uint64_t bytes, uint64_t align,
                uint64_t *address_out);
/* The same at an address, in any area or outside all. False: something is there. */
bool va_reserve_at(uint64_t address, uint64_t bytes);
/* Makes [address, address + bytes) of a reservation readable and writable: zeroed memory. `huge`:
 * in large pages where there are any. */
bool va_open(uint64_t address, uint64_t bytes, bool huge);
/* Gives a whole reservation back, with everything mapped in it. */
void va_release(uint64_t address, uint64_t bytes);
/* Makes [address, address + bytes) of a reservation empty again (no access, memory dropped). */
void va_blank(uint64_t address, uint64_t bytes);

/* The most devices that the table has room for. */
int va_device_max(void);
/* Where an area (of a device) lies. */
uint64_t va_base(enum va_area area, int device);
uint64_t va_bytes(enum va_area area);
/* Whether an address lies in an area of the table: then it is no memory of the program's own. */
bool va_is_ours(uint64_t address);

#endif /* SOFTCUDA_DRIVER_VA_H */
