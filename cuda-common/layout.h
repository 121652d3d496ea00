/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/layout.h - where memory lies: the candidates of the address layout (design D4).
 *
 * Each virtual GPU has a slice; pinned and managed host memory have ranges of their own. A row
 * holds bases and sizes; no address or size of the layout stands anywhere else. A client and its
 * workers agree on one row at attach; softcuda by itself takes the first that suits the build.
 */
#ifndef CUDA_COMMON_LAYOUT_H
#define CUDA_COMMON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

struct cuc_span {
    uint64_t base, bytes;
};

struct cuc_layout {
    struct cuc_span slice, fixed; /* of device 0; the next devices follow */
    struct cuc_span pinned, managed, reserve;
    uint64_t end;    /* of all addresses that a process may have */
    int device_max;  /* slices there are */
    bool under_tsan; /* for programs built with ThreadSanitizer, and only for them */
};

enum { CUC_LAYOUT_COUNT = 2 };

/* A row of the table, 0 .. CUC_LAYOUT_COUNT - 1. */
const struct cuc_layout *cuc_layout_row(uint32_t index);
/* The rows that suit this process as it was built: bit i for row i. What lies in the way (other
 * mappings, an address-space limit) is found out by reserving. */
uint32_t cuc_layout_suits(void);

static inline struct cuc_span cuc_layout_slice(const struct cuc_layout *layout, uint32_t device)
{
    return (struct cuc_span){layout->slice.base + device * layout->slice.bytes,
                             layout->slice.bytes};
}

/* The device whose slice holds the address, or -1. */
static inline int cuc_layout_device(const struct cuc_layout *layout, uint64_t address)
{
    const uint64_t at = address - layout->slice.base;

    if (address < layout->slice.base ||
        at >= layout->slice.bytes * (uint64_t)(unsigned)layout->device_max)
        return -1;
    return (int)(at / layout->slice.bytes);
}

#endif /* CUDA_COMMON_LAYOUT_H */
