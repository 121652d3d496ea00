/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/check.h - whether a GPU works: what an agent asks before it offers one.
 */
#ifndef CUDA_SERVER_CHECK_H
#define CUDA_SERVER_CHECK_H

#include "base/status.h"

struct fab_err;
struct cudas_driver;

/* Takes memory on the device as a worker does, copies to it, runs a kernel over it, and reads back.
 * FAB_ERR_DEVICE: what failed, and the driver's code, or which word was wrong. Everything is given
 * back. Blocks for as long as the device does: the caller's caller has a deadline. */
FAB_NODISCARD enum fab_status cudas_check_device(const struct cudas_driver *driver, int device,
                                                 struct fab_err *err);

#endif /* CUDA_SERVER_CHECK_H */
