/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/nvml/nvml_int.h - the devices behind the handles, and how a question reaches a
 * worker.
 *
 * NVML sees every GPU of the system, in the order of their bus ids, whatever CUDA_VISIBLE_DEVICES
 * says. Thread: any; the devices are written once.
 */
#ifndef CUDA_CLIENT_NVML_NVML_INT_H
#define CUDA_CLIENT_NVML_NVML_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda-client/face.h"
#include "cuda-common/nvml_row.h"

struct nvmlDevice_st {
    uint32_t vgpu; /* index in the system */
    uint32_t index;
    uint32_t domain, bus, slot; /* unique in the system */
};

/* NVML_SUCCESS when the library is initialised. */
nvmlReturn_t cudac_nvml_ready(void);
/* Also checks a handle and the pointer that an answer goes to. */
nvmlReturn_t cudac_nvml_check(nvmlDevice_t device, const void *out);

uint32_t cudac_nvml_device_count(void);
nvmlDevice_t cudac_nvml_device_at(uint32_t index); /* NULL: no such device */
const struct cudac_face *cudac_nvml_face(void);    /* after cudac_nvml_ready() */
bool cudac_nvml_share_worker(nvmlDevice_t one, nvmlDevice_t two);

/* Asks the NVML of the worker of the first device among the arguments (else of any worker), and
 * fills what they point to. NVML_ERROR_GPU_IS_LOST when the worker is lost. */
nvmlReturn_t cudac_nvml_forward(uint32_t number, const union cuc_nvml_arg *args);
/* NVML_ERROR_NOT_SUPPORTED, if the handle is one. */
nvmlReturn_t cudac_nvml_refused(nvmlDevice_t device);

#endif /* CUDA_CLIENT_NVML_NVML_INT_H */
