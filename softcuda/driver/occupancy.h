/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/occupancy.h - how many blocks of a kernel a multiprocessor holds.
 */
#ifndef SOFTCUDA_DRIVER_OCCUPANCY_H
#define SOFTCUDA_DRIVER_OCCUPANCY_H

#include <stdint.h>

struct device_model;
struct warp_program_info;

/* 0 when a block does not fit at all. */
uint32_t soft_occupancy_blocks(const struct device_model *model,
                               const struct warp_program_info *info, uint32_t block_threads,
                               uint64_t dynamic_shared_bytes);

#endif /* SOFTCUDA_DRIVER_OCCUPANCY_H */
