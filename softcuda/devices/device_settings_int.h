/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/device_settings_int.h - the device file as its settings table fills it.
 *
 * Only device_settings.c (the table) and device_model.c (what becomes of it) see these structs.
 */
#ifndef SOFTCUDA_DEVICES_DEVICE_SETTINGS_INT_H
#define SOFTCUDA_DEVICES_DEVICE_SETTINGS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"

enum device_compute {
    DEVICE_COMPUTE_75,
    DEVICE_COMPUTE_80,
    DEVICE_COMPUTE_86,
    DEVICE_COMPUTE_87,
    DEVICE_COMPUTE_89,
    DEVICE_COMPUTE_COUNT,
};

enum device_peers { DEVICE_PEERS_ALL, DEVICE_PEERS_LINKS };

#define DEVICE_MEMORY_STEP (UINT64_C(2) << 20) /* memory comes in 2 MiB granules */

struct device_row {
    char *name, *uuid, *pci, *computes;
    int64_t count, numa_node;
    int compute, time, slowed;
    uint64_t memory_bytes, context_reserve_bytes, bar1_bytes, l2_bytes;
    uint64_t shared_per_block_bytes, shared_per_block_optin_bytes, shared_per_sm_bytes;
    int64_t sms, sm_clock_mhz, memory_clock_mhz, memory_bus_bits;
    int64_t threads_per_sm, blocks_per_sm, regs_per_sm;
    int64_t peak_gflops, peak_gbytes_per_s;
    uint64_t launch_overhead_ns;
    int64_t power_idle_w, power_max_w;
};

struct device_link_row {
    int64_t a, b, nvlinks;
};

struct device_file {
    struct fab_setting_list devices; /* of struct device_row */
    struct fab_setting_list links;   /* of struct device_link_row */
    char *node, *state;
    int64_t default_count, first_place, queue_depth;
    int peers;
    bool check_allocations, pageable_access;
};

const struct fab_schema *device_row_schema(void);

#endif /* SOFTCUDA_DEVICES_DEVICE_SETTINGS_INT_H */
