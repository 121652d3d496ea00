/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/launch.h - attributes of launches on the wire.
 */
#ifndef CUDA_CLIENT_LAUNCH_H
#define CUDA_CLIENT_LAUNCH_H

#include <stdint.h>

#include <cuda.h>

#include "generated/cuda-api/wire.h"

enum { CUDAC_LAUNCH_ATTRIBUTES_MAX = 32 };

/* Those that mean something to a driver, at most CUDAC_LAUNCH_ATTRIBUTES_MAX; returns how many. */
uint32_t cudac_launch_attributes(const CUlaunchConfig *config, struct wire_attribute *attributes);

#endif /* CUDA_CLIENT_LAUNCH_H */
