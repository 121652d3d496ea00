/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/demo_settings.c - see demo_settings.h.
 */
#include "tests/unit/base/demo_settings.h"

#include "base/err.h"

#define DAY_NS INT64_C(86400000000000)

static const char *const policies[] = {"pack", "spread", NULL};

static enum fab_status check_offset(const struct fab_setting *row, const void *field,
                                    struct fab_err *err)
{
    (void)row;
    if (*(const int64_t *)field == 7)
        return fab_err_set(err, FAB_ERR_INVALID, "7 brings bad luck");
    return FAB_OK;
}

static const struct fab_setting link_rows[] = {
    {.name = "peer",
     .type = FAB_SETTING_INT,
     .offset = offsetof(struct demo_link, peer),
     .max = 63,
     .flags = FAB_SETTING_REQUIRED,
     .help = "Index of the other GPU."},
    {.name = "bandwidth",
     .type = FAB_SETTING_SIZE,
     .offset = offsetof(struct demo_link, bandwidth_bytes_per_s),
     .fallback = "50GiB",
     .unit = "a second",
     .help = "In each direction."},
    {.name = "port.lanes",
     .type = FAB_SETTING_INT,
     .offset = offsetof(struct demo_link, lanes),
     .min = 1,
     .max = 16,
     .flags = FAB_SETTING_REQUIRED,
     .help = "Wires of the port."},
};
static const struct fab_schema link_schema = FAB_SCHEMA("link", link_rows, struct demo_link);

static const struct fab_setting gpu_rows[] = {
    {.name = "name",
     .type = FAB_SETTING_STRING,
     .offset = offsetof(struct demo_gpu, name),
     .flags = FAB_SETTING_REQUIRED,
     .help = "Product name."},
    {.name = "memory",
     .type = FAB_SETTING_SIZE,
     .offset = offsetof(struct demo_gpu, memory_bytes),
     .fallback = "16GiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 40,
     .help = "Size of its memory."},
    {.name = "links",
     .type = FAB_SETTING_LIST,
     .offset = offsetof(struct demo_gpu, links),
     .item = &link_schema,
     .max = 4,
     .help = "Direct links to other GPUs."},
};
static const struct fab_schema gpu_schema = FAB_SCHEMA("gpu", gpu_rows, struct demo_gpu);

static const struct fab_setting rail_rows[] = {
    {.name = "name",
     .type = FAB_SETTING_STRING,
     .offset = offsetof(struct demo_rail, name),
     .min = 1,
     .max = 15,
     .help = "Network device."},
};
static const struct fab_schema rail_schema = FAB_SCHEMA("rail", rail_rows, struct demo_rail);

static const struct fab_setting rows[] = {
    {.name = "device.memory",
     .type = FAB_SETTING_SIZE,
     .offset = offsetof(struct demo_conf, memory_bytes),
     .fallback = "8GiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 40,
     .env = "DEMO_MEMORY",
     .help = "Memory of each device."},
    {.name = "device.ttl",
     .type = FAB_SETTING_DURATION,
     .offset = offsetof(struct demo_conf, ttl_ns),
     .fallback = "30s",
     .min = 1000000000,
     .max = DAY_NS,
     .flags = FAB_SETTING_RUNTIME,
     .help = "How long a device stays with a silent holder."},
    {.name = "policy",
     .type = FAB_SETTING_ENUM,
     .offset = offsetof(struct demo_conf, policy),
     .fallback = "spread",
     .choices = policies,
     .help = "Where GPUs are taken first."},
    {.name = "checked",
     .type = FAB_SETTING_BOOL,
     .offset = offsetof(struct demo_conf, checked),
     .help = "Look twice."},
    {.name = "offset",
     .type = FAB_SETTING_INT,
     .offset = offsetof(struct demo_conf, offset),
     .fallback = "-3",
     .min = -10,
     .max = 10,
     .unit = "MHz",
     .check = check_offset,
     .help = "Added to every clock."},
    {.name = "name",
     .type = FAB_SETTING_STRING,
     .offset = offsetof(struct demo_conf, name),
     .fallback = "rack",
     .min = 1,
     .max = 8,
     .env = "DEMO_NAME",
     .flags = FAB_SETTING_RUNTIME,
     .help = "Shown in lists."},
    {.name = "note",
     .type = FAB_SETTING_STRING,
     .offset = offsetof(struct demo_conf, note),
     .help = "Anything."},
    {.name = "gpus",
     .type = FAB_SETTING_LIST,
     .offset = offsetof(struct demo_conf, gpus),
     .item = &gpu_schema,
     .max = 3,
     .help = "One group for each GPU."},
    {.name = "rails",
     .type = FAB_SETTING_LIST,
     .offset = offsetof(struct demo_conf, rails),
     .item = &rail_schema,
     .max = 2,
     .help = "Names of network devices."},
};
const struct fab_schema demo_schema = FAB_SCHEMA("demo", rows, struct demo_conf);
