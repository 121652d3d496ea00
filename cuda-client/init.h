/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/init.h - cuInit's state; the end of the process.
 */
#ifndef CUDA_CLIENT_INIT_H
#define CUDA_CLIENT_INIT_H

#include <stdbool.h>

#include <cuda.h>

bool cudac_is_initialized(void);
/* The first part of cuInit, for what manages devices: the process is attached, CUDA is not
 * initialised. */
CUresult cudac_init_attach(void);
/* The process ends and has said goodbye to its workers. */
bool cudac_is_ending(void);
/* CUDA_LAUNCH_BLOCKING=1: every launch waits for its end. */
bool cudac_launch_is_blocking(void);

#endif /* CUDA_CLIENT_INIT_H */
