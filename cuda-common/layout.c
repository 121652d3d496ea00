/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/layout.c - the table of address layouts.
 */
#include "cuda-common/layout.h"

#include <stddef.h>

#include "base/assert.h"

#define GIB(n) (UINT64_C(n) << 30)
#define TIB(n) (UINT64_C(n) << 40)

static const struct cuc_layout rows[CUC_LAYOUT_COUNT] = {
    /* Clear of programs at 0x55.., libraries at 0x7f.. and ASan's shadow below 0x1000_8000_0000. */
    {
        .slice = {0x200000000000, GIB(512)},
        .fixed = {0x100200000000, GIB(64)},
        .pinned = {0x180000000000, TIB(8)},
        .managed = {0x400000000000, TIB(16)},
        .reserve = {0x140200000000, 0x180000000000 - 0x140200000000},
        .end = UINT64_C(1) << 47,
        .device_max = 64,
    },
    /* ThreadSanitizer leaves a program the lowest 512 GiB, where no shadow lies. */
    {
        .slice = {GIB(64), GIB(16)},
        .fixed = {GIB(448), GIB(1)},
        .pinned = {GIB(320), GIB(64)},
        .managed = {GIB(384), GIB(64)},
        .reserve = {GIB(464), GIB(48)},
        .end = GIB(512),
        .device_max = 16,
        .under_tsan = true,
    },
};

/* Present when the program (not only this library) is built with ThreadSanitizer. */
extern void __tsan_init(void) __attribute__((weak));

const struct cuc_layout *cuc_layout_row(uint32_t index)
{
    fab_assert(index < CUC_LAYOUT_COUNT);
    return &rows[index];
}

uint32_t cuc_layout_suits(void)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < CUC_LAYOUT_COUNT; i++) {
        if (rows[i].under_tsan == (&__tsan_init != NULL))
            mask |= 1u << i;
    }
    return mask;
}
