/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/nvml.h - the NVML library of the worker's node, for the client's.
 *
 * Loaded and initialised at the first question: a session that asks nothing pays nothing. It may
 * answer about the session's GPUs only. Thread: any; NVML itself is safe to use from several.
 */
#ifndef CUDA_SERVER_NVML_H
#define CUDA_SERVER_NVML_H

#include "cuda-server/worker.h"

struct cudas_nvml;

/* `path`: the library; NULL: libnvidia-ml.so.1 beside `driver` (a path), else as the loader finds
 * it. Both are borrowed for good. */
FAB_NODISCARD enum fab_status cudas_nvml_create(const char *path, const char *driver,
                                                struct cudas_nvml **nvml_out, struct fab_err *err);
/* How much of the device's memory this process has. False: NVML does not tell. */
bool cudas_nvml_process_bytes(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                              uint64_t *bytes_out);
void cudas_nvml_destroy(struct cudas_nvml *nvml); /* takes NULL */

#endif /* CUDA_SERVER_NVML_H */
