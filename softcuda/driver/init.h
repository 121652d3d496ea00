/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/init.h - cuInit's state and the engine that all devices share.
 */
#ifndef SOFTCUDA_DRIVER_INIT_H
#define SOFTCUDA_DRIVER_INIT_H

#include <stdbool.h>

#include <cuda.h>

enum { SOFT_DRIVER_VERSION = 13000 }; /* CUDA 13.0 */

/* CUDA_LAUNCH_BLOCKING=1: every launch waits for its end. */
bool soft_launch_is_blocking(void);

/* Starts the engine; every open context has done this, so that soft_engine() is never NULL where a
 * context is. */
CUresult soft_engine_open(void);

#endif /* SOFTCUDA_DRIVER_INIT_H */
