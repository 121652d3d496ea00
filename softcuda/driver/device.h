/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/device.h - the devices of this process: the device file, visibility, accounts.
 *
 * Devices come from the libconfig file in SOFTCUDA_CONFIG (default: one device), filtered and
 * ordered by CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER at cuInit, and never change afterwards.
 * NVML (softcuda/nvml) reads the same file through the same reader. Thread: any.
 */
#ifndef SOFTCUDA_DRIVER_DEVICE_H
#define SOFTCUDA_DRIVER_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "softcuda/devices/device_model.h"

struct fab_err;
struct soft_device;

/* Reads settings and builds the list; idempotent, thread-safe. */
FAB_NODISCARD enum fab_status soft_devices_load(struct fab_err *err);
int soft_device_count(void);                     /* visible ones */
struct soft_device *soft_device_at(int ordinal); /* NULL outside 0..count-1 */
int soft_device_ordinal(const struct soft_device *device);
const struct device_model *soft_device_model(const struct soft_device *device);
/* Settings of the whole file. */
const struct device_models *soft_device_models(void);

/* The account of device memory, shared by all processes that use SOFTCUDA_STATE. Charge first,
 * then allocate; false: that much is not free (exact). A killed process gives back by itself. */
bool soft_device_charge(struct soft_device *device, uint64_t bytes);
void soft_device_uncharge(struct soft_device *device, uint64_t bytes);
void soft_device_memory(const struct soft_device *device, uint64_t *free_out, uint64_t *total_out);
/* Adds the time that a kernel kept the device busy; NVML's utilisation and power come from it. */
void soft_device_busy(struct soft_device *device, uint64_t ns);

/* Whether `from` can access memory of `to` directly (device file's links; same device: false). */
bool soft_device_can_peer(const struct soft_device *from, const struct soft_device *to);
/* NVLinks between two devices; 0: PCIe. */
uint32_t soft_device_links(const struct soft_device *from, const struct soft_device *to);

/* The filter behind soft_devices_load, for tests: puts places in the file into order_out (room for
 * DEVICE_COUNT_MAX) and returns how many are visible. Either text may be NULL (not set). */
uint32_t soft_devices_select(const struct device_models *models, const char *visible,
                             const char *order, uint32_t *order_out);

#endif /* SOFTCUDA_DRIVER_DEVICE_H */
