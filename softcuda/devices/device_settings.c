/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/device_settings.c - the table of settings in a device file.
 *
 * One row a setting; the same rows make softcuda.conf(5). The defaults describe a small sm_89 part
 * whose sizes suit a machine of a few cores: programs that size their grids by them do not
 * oversubscribe the CPU.
 */
#include "softcuda/devices/device_settings_int.h"

#include "softcuda/devices/device_model.h"

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

static const char *const compute_names[] = {
    [DEVICE_COMPUTE_75] = "7.5", [DEVICE_COMPUTE_80] = "8.0", [DEVICE_COMPUTE_86] = "8.6",
    [DEVICE_COMPUTE_87] = "8.7", [DEVICE_COMPUTE_89] = "8.9", NULL};
static const char *const time_names[] = {[DEVICE_TIME_REAL] = "real",
                                         [DEVICE_TIME_MODELLED] = "modelled",
                                         [DEVICE_TIME_ONLY] = "only",
                                         NULL};
static const char *const slowed_names[] = {[DEVICE_SLOWED_NOT] = "no",
                                           [DEVICE_SLOWED_POWER] = "power",
                                           [DEVICE_SLOWED_THERMAL] = "thermal",
                                           [DEVICE_SLOWED_HARDWARE] = "hardware",
                                           NULL};
static const char *const peers_names[] = {
    [DEVICE_PEERS_ALL] = "all", [DEVICE_PEERS_LINKS] = "links", NULL};

#define ROW(setting, kind, field)                                                                  \
    .name = (setting), .type = (kind), .offset = offsetof(struct device_row, field)

static const struct fab_setting row_rows[] = {
    {ROW("name", FAB_SETTING_STRING, name), .fallback = "softcuda sm_89", .min = 1,
     .max = DEVICE_NAME_BYTES - 1, .help = "Product name."},
    {ROW("count", FAB_SETTING_INT, count), .fallback = "1", .min = 1, .max = DEVICE_COUNT_MAX,
     .help = "How many of these devices there are."},
    {ROW("uuid", FAB_SETTING_STRING, uuid), .max = DEVICE_UUID_TEXT_BYTES - 1,
     .help = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx. By default made from node, name and "
             "pci_bus_id."},
    {ROW("pci_bus_id", FAB_SETTING_STRING, pci), .max = DEVICE_PCI_BYTES - 1,
     .help = "PCI bus id, 0000:3b:00.0. By default 0000:01:00.0 and up."},
    {ROW("numa_node", FAB_SETTING_INT, numa_node), .fallback = "-1", .min = -1, .max = 1023,
     .help = "NUMA node the device is attached to; -1 is unknown."},
    {ROW("compute", FAB_SETTING_ENUM, compute), .fallback = "8.9", .choices = compute_names,
     .help = "Compute capability."},
    {ROW("memory", FAB_SETTING_SIZE, memory_bytes), .fallback = "8GiB", .min = 16 * MIB,
     .max = 512 * GIB, .help = "Device memory; rounded down to 2MiB."},
    {ROW("context_reserve", FAB_SETTING_SIZE, context_reserve_bytes), .fallback = "64MiB",
     .max = 4 * GIB, .help = "Device memory that each context takes for itself."},
    {ROW("bar1", FAB_SETTING_SIZE, bar1_bytes), .fallback = "256MiB", .min = MIB, .max = 512 * GIB,
     .help = "Device memory that other PCI devices can reach at a time."},
    {ROW("sms", FAB_SETTING_INT, sms), .fallback = "8", .min = 1, .max = 256,
     .help = "Streaming multiprocessors."},
    {ROW("sm_clock", FAB_SETTING_INT, sm_clock_mhz), .fallback = "1500", .min = 1, .max = 10000,
     .unit = "MHz", .help = "Clock of the multiprocessors."},
    {ROW("memory_clock", FAB_SETTING_INT, memory_clock_mhz), .fallback = "5000", .min = 1,
     .max = 50000, .unit = "MHz", .help = "Clock of the memory."},
    {ROW("memory_bus", FAB_SETTING_INT, memory_bus_bits), .fallback = "128", .min = 8, .max = 16384,
     .unit = "bits", .help = "Width of the memory bus."},
    {ROW("l2", FAB_SETTING_SIZE, l2_bytes), .fallback = "4MiB", .min = 64 * KIB, .max = GIB,
     .help = "Level 2 cache."},
    {ROW("shared_per_block", FAB_SETTING_SIZE, shared_per_block_bytes), .fallback = "48KiB",
     .min = 16 * KIB, .max = 48 * KIB, .help = "Shared memory of a block without opting in."},
    {ROW("shared_per_block_optin", FAB_SETTING_SIZE, shared_per_block_optin_bytes),
     .fallback = "99KiB", .min = 16 * KIB, .max = 227 * KIB,
     .help = "The most shared memory a block can have."},
    {ROW("shared_per_sm", FAB_SETTING_SIZE, shared_per_sm_bytes), .fallback = "100KiB",
     .min = 32 * KIB, .max = 256 * KIB, .help = "Shared memory of a multiprocessor."},
    {ROW("threads_per_sm", FAB_SETTING_INT, threads_per_sm), .fallback = "1536", .min = 1024,
     .max = 2048, .help = "Threads a multiprocessor holds; a multiple of 32."},
    {ROW("blocks_per_sm", FAB_SETTING_INT, blocks_per_sm), .fallback = "24", .min = 1, .max = 64,
     .help = "Blocks a multiprocessor holds."},
    {ROW("regs_per_sm", FAB_SETTING_INT, regs_per_sm), .fallback = "65536", .min = 32768,
     .max = 262144, .help = "32-bit registers of a multiprocessor."},
    {ROW("time", FAB_SETTING_ENUM, time), .fallback = "real", .choices = time_names,
     .help = "How long a launch takes: real is as long as computing it takes; modelled is at least "
             "the duration by the roofline of peak_gflops and peak_bandwidth; only waits for that "
             "duration and computes nothing."},
    {ROW("computes", FAB_SETTING_STRING, computes), .max = DEVICE_NAME_BYTES - 1,
     .help = "With time = only: a kernel that is computed all the same. With gpu_worker_check a "
             "node's daemon finds nothing wrong with the device."},
    {ROW("peak_gflops", FAB_SETTING_INT, peak_gflops), .fallback = "15000", .min = 1,
     .max = 10000000, .unit = "GFLOP/s", .help = "Peak 32-bit floating point rate."},
    {ROW("peak_bandwidth", FAB_SETTING_INT, peak_gbytes_per_s), .fallback = "300", .min = 1,
     .max = 100000, .unit = "GB/s", .help = "Peak memory bandwidth."},
    {ROW("launch_overhead", FAB_SETTING_DURATION, launch_overhead_ns), .fallback = "3us",
     .max = 1000000000, .help = "Added to each modelled launch."},
    {ROW("power_idle", FAB_SETTING_INT, power_idle_w), .fallback = "15", .max = 2000, .unit = "W",
     .help = "Power when nothing runs."},
    {ROW("power_max", FAB_SETTING_INT, power_max_w), .fallback = "70", .min = 1, .max = 2000,
     .unit = "W", .help = "Power when kernels run all the time."},
    {ROW("slowed", FAB_SETTING_ENUM, slowed), .fallback = "no", .choices = slowed_names,
     .help = "What NVML says of why clocks are lower than they could be: nothing, the power limit, "
             "the temperature, or the hardware because it is too hot. Nothing becomes slower."},
};
static const struct fab_schema row_schema = FAB_SCHEMA("device", row_rows, struct device_row);

#define LINK(setting, field)                                                                       \
    .name = (setting), .type = FAB_SETTING_INT, .offset = offsetof(struct device_link_row, field)

static const struct fab_setting link_rows[] = {
    {LINK("a", a), .max = DEVICE_COUNT_MAX - 1, .flags = FAB_SETTING_REQUIRED,
     .help = "One device, by its place in the file."},
    {LINK("b", b), .max = DEVICE_COUNT_MAX - 1, .flags = FAB_SETTING_REQUIRED,
     .help = "The other device."},
    {LINK("nvlinks", nvlinks), .fallback = "0", .max = 18,
     .help = "NVLinks between them; 0 is PCIe."},
};
static const struct fab_schema link_schema = FAB_SCHEMA("link", link_rows, struct device_link_row);

#define FILE_ROW(setting, kind, field)                                                             \
    .name = (setting), .type = (kind), .offset = offsetof(struct device_file, field)

static const struct fab_setting file_rows[] = {
    {FILE_ROW("devices", FAB_SETTING_LIST, devices), .item = &row_schema, .max = DEVICE_COUNT_MAX,
     .help = "One group for each kind of device, in the order of their ordinals."},
    {FILE_ROW("device_count", FAB_SETTING_INT, default_count), .fallback = "1", .min = 1,
     .max = DEVICE_COUNT_MAX, .env = "SOFTCUDA_DEVICES",
     .help = "How many default devices there are when devices is not set."},
    {FILE_ROW("peers", FAB_SETTING_ENUM, peers), .fallback = "all", .choices = peers_names,
     .help = "Which devices reach each other's memory directly: all, or those that links names."},
    {FILE_ROW("links", FAB_SETTING_LIST, links), .item = &link_schema, .max = 2016,
     .help = "Direct links between two devices."},
    {FILE_ROW("node", FAB_SETTING_STRING, node), .max = 255, .env = "SOFTCUDA_NODE",
     .help = "A name that makes derived UUIDs differ between machines."},
    {FILE_ROW("first_place", FAB_SETTING_INT, first_place), .max = DEVICE_COUNT_MAX - 1,
     .env = "SOFTCUDA_FIRST_PLACE",
     .help = "Which of the 64 places for memory that the driver itself makes, such as module "
             "variables, the first device has; the next devices follow. Devices of several "
             "machines that one program uses need places that differ."},
    {FILE_ROW("state", FAB_SETTING_STRING, state), .max = DEVICE_STATE_DIR_BYTES - 48,
     .env = "SOFTCUDA_STATE",
     .help = "Directory of the accounts of device memory, shared by all processes that use these "
             "devices. By default /dev/shm/softcuda-UID."},
    {FILE_ROW("queue_depth", FAB_SETTING_INT, queue_depth), .fallback = "16384", .min = 16,
     .max = 1 << 20, .env = "SOFTCUDA_QUEUE_DEPTH",
     .help = "Commands that a stream takes before it makes the program wait; a GPU's takes about "
             "1000."},
    {FILE_ROW("check_allocations", FAB_SETTING_BOOL, check_allocations), .fallback = "false",
     .env = "SOFTCUDA_CHECK_ALLOCATIONS",
     .help = "Kernels may access live allocations only, not the whole of the 2MiB blocks that "
             "hold them. Finds more mistakes than a GPU does."},
    {FILE_ROW("pageable_access", FAB_SETTING_BOOL, pageable_access), .fallback = "false",
     .env = "SOFTCUDA_PAGEABLE_ACCESS",
     .help = "Kernels may access all memory of the process, as on machines where devices use the "
             "host's page tables, and the device attributes say so. Without it such an access is "
             "an error, which finds host pointers that were passed to kernels by mistake."},
};
static const struct fab_schema file_schema = FAB_SCHEMA("softcuda", file_rows, struct device_file);

const struct fab_schema *device_row_schema(void)
{
    return &row_schema;
}

const struct fab_schema *device_model_schema(void)
{
    return &file_schema;
}
