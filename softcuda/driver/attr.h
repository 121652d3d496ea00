/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/attr.h - device attributes for the driver's own use. Thread: any.
 */
#ifndef SOFTCUDA_DRIVER_ATTR_H
#define SOFTCUDA_DRIVER_ATTR_H

#include <cuda.h>

struct soft_device;

enum { ATTR_TEXTURE1D_LINEAR_MAX = 1 << 28 }; /* elements */

/* CUDA_ERROR_INVALID_VALUE for a number that is no attribute. */
CUresult soft_device_attribute(const struct soft_device *device, CUdevice_attribute attribute,
                               int *value_out);

#endif /* SOFTCUDA_DRIVER_ATTR_H */
