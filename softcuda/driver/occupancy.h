/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/occupancy.h - a device and a function as the occupancy model sees them.
 */
#ifndef SOFTCUDA_DRIVER_OCCUPANCY_H
#define SOFTCUDA_DRIVER_OCCUPANCY_H

#include "cuda-common/kernel_fit.h"

struct soft_device;
struct soft_function;
struct warp_program_info;

/* What the rules of cuda-common/kernel_fit.h go by. */
struct cuc_device_limits soft_device_limits(const struct soft_device *device);
struct cuc_kernel_limits soft_function_limits(const struct soft_function *function,
                                              const struct warp_program_info *info);

#endif /* SOFTCUDA_DRIVER_OCCUPANCY_H */
