/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/demo_settings.h - a small table with every type, for tests and the fuzz target.
 */
#ifndef TESTS_UNIT_BASE_DEMO_SETTINGS_H
#define TESTS_UNIT_BASE_DEMO_SETTINGS_H

#include "base/settings.h"

enum demo_policy { DEMO_PACK, DEMO_SPREAD };

struct demo_link {
    int64_t peer;
    uint64_t bandwidth_bytes_per_s;
    int64_t lanes;
};

struct demo_gpu {
    char *name;
    uint64_t memory_bytes;
    struct fab_setting_list links; /* of struct demo_link */
};

struct demo_rail {
    char *name;
};

struct demo_conf {
    uint64_t memory_bytes, ttl_ns;
    int policy; /* enum demo_policy */
    bool checked;
    int64_t offset;
    char *name, *note;
    struct fab_setting_list gpus, rails;
};

extern const struct fab_schema demo_schema;

#endif /* TESTS_UNIT_BASE_DEMO_SETTINGS_H */
