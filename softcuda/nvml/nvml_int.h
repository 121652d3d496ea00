/* SPDX-License-Identifier: Apache-2.0
 * softcuda/nvml/nvml_int.h - the devices behind the handles, for the files of NVML.
 *
 * NVML sees every device of the file, in the order of their bus ids, whatever
 * CUDA_VISIBLE_DEVICES says. Thread: any; what changes is guarded by nvml_lock.
 */
#ifndef SOFTCUDA_NVML_NVML_INT_H
#define SOFTCUDA_NVML_NVML_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda-common/nvml.h"
#include "softcuda/devices/device_model.h"

struct state_account;

struct nvmlDevice_st {
    const struct device_model *model;
    struct state_account *account;
    uint32_t place; /* in the device file: bit in peer_mask, index in peer_links */
    uint32_t index; /* in order of bus ids */
    /* Utilisation is measured between two looks at the busy time. */
    uint64_t seen_ns, seen_busy_ns;
    uint32_t busy_percent;
};

extern pthread_mutex_t nvml_lock;

/* NVML_SUCCESS when the library is initialised. */
nvmlReturn_t nvml_ready(void);
/* Also checks a handle and the pointer that an answer goes to. */
nvmlReturn_t nvml_check(nvmlDevice_t device, const void *out);

uint32_t nvml_device_count(void);
struct nvmlDevice_st *nvml_device_at(uint32_t index);
struct nvmlDevice_st *nvml_device_of_place(uint32_t place);

/* The PCI description of a device. */
void nvml_pci_info(const struct nvmlDevice_st *device, nvmlPciInfo_t *pci);
/* Share of the last moments in which kernels ran. */
uint32_t nvml_busy_percent(struct nvmlDevice_st *device);
uint32_t nvml_power_mw(struct nvmlDevice_st *device);
uint64_t nvml_energy_mj(struct nvmlDevice_st *device);

#endif /* SOFTCUDA_NVML_NVML_INT_H */
