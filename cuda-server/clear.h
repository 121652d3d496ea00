/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/clear.h - that nothing of one tenant is left on a GPU: what an agent has done before
 * it gives the GPU to the next.
 */
#ifndef CUDA_SERVER_CLEAR_H
#define CUDA_SERVER_CLEAR_H

#include "base/status.h"

struct fab_err;
struct cudas_driver;

/* Sets all memory of the device that can be taken to zero; nobody else may use it. FAB_ERR_DEVICE:
 * what failed, and the driver's code. Everything is given back. Blocks for as long as the device
 * does: the caller's caller has a deadline. */
FAB_NODISCARD enum fab_status cudas_clear_device(const struct cudas_driver *driver, int device,
                                                 struct fab_err *err);

#endif /* CUDA_SERVER_CLEAR_H */
