/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/device_model.h - GPUs as the device file describes them.
 *
 * Plain data, no CUDA types: the driver, NVML and tests read it. Defaults are a small sm_89 part.
 * One table of settings (device_model_schema) feeds the reader, the environment and
 * softcuda.conf(5).
 */
#ifndef SOFTCUDA_DEVICES_DEVICE_MODEL_H
#define SOFTCUDA_DEVICES_DEVICE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct fab_schema;

enum {
    DEVICE_NAME_BYTES = 96,
    DEVICE_PCI_BYTES = 16, /* "0000:3b:00.0" */
    DEVICE_COUNT_MAX = 64,
    DEVICE_UUID_BYTES = 16,
    DEVICE_UUID_TEXT_BYTES = 48, /* "GPU-8-4-4-4-12" and its end */
    DEVICE_STATE_DIR_BYTES = 256,
    DEVICE_RESERVED_SHARED_BYTES = 1024, /* a block's shared memory that the system keeps */
};

enum device_model_time {
    DEVICE_TIME_REAL,     /* a launch takes as long as computing it takes */
    DEVICE_TIME_MODELLED, /* at least the roofline duration of the named GPU, after computing */
    DEVICE_TIME_ONLY,     /* the roofline duration instead of computing: results are not computed */
};

enum device_model_slowed {
    DEVICE_SLOWED_NOT,
    DEVICE_SLOWED_POWER,
    DEVICE_SLOWED_THERMAL,
    DEVICE_SLOWED_HARDWARE,
};

struct device_model {
    char name[DEVICE_NAME_BYTES];
    uint8_t uuid[DEVICE_UUID_BYTES];
    char pci_bus_id[DEVICE_PCI_BYTES];
    int32_t numa_node;                     /* -1: unknown */
    uint32_t compute_major, compute_minor; /* 7.5 .. 8.9 */
    uint64_t memory_bytes;
    uint64_t context_reserve_bytes; /* taken by each context (seams F17) */
    uint64_t bar1_bytes;
    uint32_t sm_count;
    uint32_t sm_clock_khz, memory_clock_khz, memory_bus_bits, l2_bytes;
    uint32_t shared_per_block_bytes, shared_per_block_optin_bytes, shared_per_sm_bytes;
    uint32_t threads_per_sm, blocks_per_sm, regs_per_sm;
    enum device_model_time time;
    char computes[DEVICE_NAME_BYTES];          /* a kernel, also with DEVICE_TIME_ONLY */
    uint64_t peak_flops_f32, peak_bytes_per_s; /* roofline */
    uint64_t launch_overhead_ns;
    uint32_t power_idle_mw, power_max_mw;  /* power model: idle + share of busy time */
    enum device_model_slowed slowed;       /* what NVML says of the clocks */
    uint64_t peer_mask;                    /* bit i: direct access to device i of the file */
    uint32_t peer_links[DEVICE_COUNT_MAX]; /* NVLink count to device i; 0: PCIe */
};

struct device_models {
    struct device_model device[DEVICE_COUNT_MAX];
    uint32_t count;
    char state_dir[DEVICE_STATE_DIR_BYTES]; /* SOFTCUDA_STATE or the default */
    uint32_t first_place;   /* of driver-made memory: device i has place first_place + i */
    uint32_t queue_depth;   /* commands of a stream; then the program waits */
    bool pageable_access;   /* kernels may touch all memory of the process */
    bool check_allocations; /* kernels may touch live allocations only, not whole blocks */
};

/** device_models_read - the file named by `path`, or the default devices for NULL.
 * The environment (SOFTCUDA_STATE and the other variables named in the table) is stronger than the
 * file. Returns FAB_OK, or an error with file:line and the allowed range in err. */
FAB_NODISCARD enum fab_status device_models_read(const char *path, struct device_models *out,
                                                 struct fab_err *err);

/* The settings of the device file, for the man page and the example. */
const struct fab_schema *device_model_schema(void);

/* "GPU-01234567-89ab-cdef-0123-456789abcdef". Returns text. */
const char *device_uuid_format(const uint8_t uuid[DEVICE_UUID_BYTES],
                               char text[DEVICE_UUID_TEXT_BYTES]);
/* The parts of a bus id "0000:3b:00.0" (any case, domain optional as "3b:00.0"); FAB_ERR_INVALID
 * for other text. */
FAB_NODISCARD enum fab_status device_pci_parse(const char *text, uint32_t *domain_out,
                                               uint32_t *bus_out, uint32_t *device_out);

#endif /* SOFTCUDA_DEVICES_DEVICE_MODEL_H */
