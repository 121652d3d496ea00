/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/visible.h - CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER: which devices a process sees,
 * in which order. The rules are those of the CUDA Programming Guide, "CUDA Environment Variables".
 */
#ifndef CUDA_COMMON_VISIBLE_H
#define CUDA_COMMON_VISIBLE_H

#include <stdint.h>

enum { CUC_DEVICES_MAX = 64 };

/* What the rules look at. */
struct cuc_device_key {
    const char *pci_bus_id;
    const uint8_t *uuid; /* 16 bytes */
    uint64_t speed;      /* fastest first is the default order */
};

/* Puts indices of `keys` into order_out (room for CUC_DEVICES_MAX) and returns how many are
 * visible. Either text may be NULL (not set). */
uint32_t cuc_devices_select(const struct cuc_device_key *keys, uint32_t count, const char *visible,
                            const char *order, uint32_t *order_out);

#endif /* CUDA_COMMON_VISIBLE_H */
